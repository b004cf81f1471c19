# ruff: noqa: RUF001
"""Standardization of column names, units and numbers in users' tables, and the notes on it."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.columns import MODEL_INPUT, OTHER_UNITS, PELLET, Column, Kind
from nasicon_ml.errors import UnreadableFileError
from nasicon_ml.io import RawTable, standardize_table
from nasicon_ml.io.headers import parse_column_name
from nasicon_ml.io.standardize import parse_number


def standardize(strict: bool = False, **columns: list[object]) -> RawTable:
    return standardize_table(
        RawTable(pd.DataFrame(columns, dtype="object"), None, "lab.csv"), PELLET, strict=strict
    )


@pytest.mark.parametrize(
    ("name", "column", "expected"),
    [
        ("Sintering Temperature (°C)", Column.SINTERING_TEMPERATURE_C, 1000),
        ("T_sinter (K)", Column.SINTERING_TEMPERATURE_C, 727),
        ("sintering_temp_K", Column.SINTERING_TEMPERATURE_C, 727),
        ("Sinter T/°C", Column.SINTERING_TEMPERATURE_C, 1000),
        ("temperature of calcination in K", Column.CALCINATION_TEMPERATURE_C, 727),
        ("t / min", Column.SINTERING_TIME_H, 1000 / 60),
        ("dwell time [h]", Column.SINTERING_TIME_H, 1000),
        ("t_sinter [h]", Column.SINTERING_TIME_H, 1000),
        ("ramp rate (K min⁻¹)", Column.HEATING_RATE_C_MIN, 1000),
        ("particle size, nm", Column.PARTICLE_SIZE_UM, 1),
        ("D50 (µm)", Column.PARTICLE_SIZE_UM, 1000),
        ("σ_total / mS cm-1", Column.CONDUCTIVITY_TOTAL_S_CM, 1),
        ("sigma (mS/cm)", Column.CONDUCTIVITY_TOTAL_S_CM, 1),
        ("Ionic conductivity / Ω⁻¹ cm⁻¹", Column.CONDUCTIVITY_TOTAL_S_CM, 1000),
        ("sigma_bulk_S_m", Column.CONDUCTIVITY_BULK_S_CM, 10),
        ("rel. density [%]", Column.RELATIVE_DENSITY_PCT, 1000),
        ("Density (Archimedes) [%]", Column.RELATIVE_DENSITY_PCT, 1000),
        ("Ea / meV", Column.ACTIVATION_ENERGY_EV, 1),
        ("E_a (kJ/mol)", Column.ACTIVATION_ENERGY_EV, 1000 / 96.485),
        ("a (nm)", Column.LATTICE_A_ANGSTROM, 10000),
        ("Li excess (mol%)", Column.LITHIUM_EXCESS_PCT, 1000),
        ("Composition", Column.FORMULA, None),
        ("Sample", Column.PELLET_ID, None),
        ("single phase", Column.PHASE_PURE, None),
        ("Comments", Column.NOTES, None),
    ],
)
def test_column_names_with_units_are_recognised_and_noted(
    name: str, column: Column, expected: float | None
) -> None:
    cells: list[object] = ["1000", "1000"] if expected is not None else ["LTP", "LTP"]
    table = standardize(**{name: cells})
    assert list(table.frame.columns) == [column]
    result = table.frame[column].tolist()
    assert (
        result == cells if expected is None else [float(cell) for cell in result] == pytest.approx([expected] * 2)
    )
    assert table.notes[0].startswith(f"column {name!r} read as {column}")


def test_notes_describe_unit_conversions() -> None:
    table = standardize(**{"sigma (mS/cm)": ["0.38"], "T_sinter (K)": ["1123.15"], "t/min": [90]})
    assert table.notes == (
        "column 'sigma (mS/cm)' read as conductivity_total_s_cm, divided by 1000",
        "column 'T_sinter (K)' read as sintering_temperature_c, minus 273.15",
        "column 't/min' read as sintering_time_h, divided by 60",
    )
    assert table.frame.iloc[0].tolist() == [0.00038, 850, 1.5]


def test_integer_kelvin_are_converted_to_integer_celsius() -> None:
    assert standardize(**{"T_sinter (K)": ["1123", 1173, ""]}).frame.iloc[:, 0].tolist() == [850, 900, ""]


def test_logarithms_fractions_and_temperatures_in_column_names() -> None:
    table = standardize(
        **{"log σ (S/cm)": ["-4", -3.0], "relative density": [0.95, "0.9"], "Additive amount (wt.%)": [2, ""]}
    )
    assert table.frame[Column.CONDUCTIVITY_TOTAL_S_CM].tolist() == [1e-4, 1e-3]
    assert table.frame[Column.RELATIVE_DENSITY_PCT].tolist() == [95, 90]
    assert table.frame[Column.ADDITIVE_UNIT].tolist() == ["wt%", None]
    hot = standardize(**{"conductivity at 60 °C (S/cm)": ["1e-3", ""]})
    assert hot.frame[Column.MEASUREMENT_TEMPERATURE_C].fillna(0).tolist() == [60, 0]
    assert "measured at 60 °C" in hot.notes[0]


@pytest.mark.parametrize(
    "name", ["temperature", "T (°C)", "t_sinter", "sintering temperature (F)", "sintring_time_h"]
)
def test_ambiguous_and_misspelled_names_are_kept(name: str) -> None:
    assert list(standardize(formula=["LTP"], **{name: ["850"]}).frame.columns) == ["formula", name]


def test_unknown_columns_are_dropped_with_one_note() -> None:
    table = standardize(
        formula=["LTP"], Operator=["M"], **{"density (g/cm3)": [2.9], "grain boundary σ (S/cm)": ["1e-4"]}
    )
    assert list(table.frame.columns) == ["formula"]
    (note,) = table.notes
    assert all(repr(name) in note for name in ("Operator", "density (g/cm3)", "grain boundary σ (S/cm)"))
    assert "Operator" in standardize(strict=True, formula=["LTP"], Operator=["M"]).frame.columns


def test_two_columns_with_the_same_meaning_are_refused() -> None:
    with pytest.raises(
        UnreadableFileError, match="'T_sinter' and 'sintering temperature' both mean sintering_temp"
    ):
        standardize(**{"T_sinter": [850], "sintering temperature": [850]})


def test_a_system_or_formula_is_merged_with_its_x() -> None:
    table = standardize(system=["LATP", "NZSP", "LTP"], x=["0,3", 2, None])
    assert table.frame["formula"].tolist() == ["LATP x=0.3", "NZSP x=2", "LTP"]
    formula = ["Li1+xAlxTi2-x(PO4)3", "Li1.3Al0.3Ti1.7(PO4)3"]
    assert standardize(formula=formula, x=[0.3, 0.3]).frame["formula"].tolist() == [
        f"{formula[0]} x=0.3",
        formula[1],
    ]


def test_a_row_of_units_is_merged_with_the_header() -> None:
    table = standardize(Composition=["", "LTP"], T_sinter=["K", "1123"], sigma=["[mS/cm]", "0.1"])
    assert table.frame.to_dict("list") == {
        "formula": ["LTP"], "sintering_temperature_c": [850], "conductivity_total_s_cm": [0.0001],
    }  # fmt: skip


@pytest.mark.parametrize("unit_of_x", ["", "mol", "pfu", "-", "per formula"])
@pytest.mark.parametrize("unit_of_system", ["", None])
def test_units_in_row_below_header_are_not_read_as_composition(unit_of_system: str | None, unit_of_x: str) -> None:
    table = standardize(System=[unit_of_system, "LATP"], x=[unit_of_x, "0.3"], T_sinter=["K", "1123"])
    assert table.frame["formula"].tolist() == ["LATP x=0.3"]
    assert table.frame["sintering_temperature_c"].tolist() == [850]
    assert "columns 'System' and 'x' read together, as in 'LATP x=0.3'" in table.notes


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,2E-4", 1.2e-4), ("1.2×10⁻⁴", 1.2e-4), ("1.2 x 10^-4", 1.2e-4), ("10⁻⁴", 1e-4),
        ("1.2x10-4", 1.2e-4), ("1.2x104", 1.2e4), ("1.2 × 10 (−4)", 1.2e-4),
        ("(1.2±0.1)·10−4", 1.2e-4),
        ("1.2(1)e-4", 1.2e-4), ("~0.0002", 2e-4), ("0,5 mS/cm", 5e-4), ("<1e-6", 1e-6), ("3e-4 S cm⁻¹", 3e-4),
    ],
)  # fmt: skip
def test_common_notations_of_numbers_are_parsed(text: str, value: float) -> None:
    number = parse_number(text, Column.CONDUCTIVITY_TOTAL_S_CM, decimal_commas=False)
    assert number is not None
    assert number.value == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("text", ["800-900", "800–900", "1,234", "8OO", "850 g", "1.5.2", "½", "1:30", ">850", ""])
def test_ambiguous_numbers_are_not_read(text: str) -> None:
    assert parse_number(text, Column.SINTERING_TEMPERATURE_C, decimal_commas=False) is None


def test_each_treatment_of_a_column_has_one_note() -> None:
    table = standardize(
        formula=["LTP"] * 3,
        sintering_temperature_c=["850±10", "900 ± 10", "~800"],
        relative_density_pct=[">95", "≥ 93 %", "90,5"],
        sintering_time_h=["90 min", "2 h", "3"],
    )
    assert table.frame[Column.SINTERING_TEMPERATURE_C].tolist() == [850, 900, 800]
    assert table.frame[Column.RELATIVE_DENSITY_PCT].tolist() == [95, 93, 90.5]
    assert table.frame[Column.DENSITY_BOUND].tolist() == ["lower", "lower", None]
    assert table.frame[Column.SINTERING_TIME_H].tolist() == [1.5, 2, "3"]
    assert set(table.notes) == {
        "sintering_temperature_c: '850±10' and 1 more read without the uncertainty after ± (850 °C)",
        "sintering_temperature_c: '~800' read as if exact (800 °C)",
        "relative_density_pct: '>95' and 1 more read as a bound (95 %)",
        "sintering_time_h: '90 min' converted (1.5 h)",
        "commas read as decimal points",
    }


def test_bounds_are_converted_to_the_unit_of_the_column() -> None:
    table = standardize(**{"sigma (mS/cm)": ["<0,1", "2"]})
    assert table.frame[Column.CONDUCTIVITY_TOTAL_S_CM].tolist() == [0.0001, 0.002]
    assert table.frame[Column.CONDUCTIVITY_BOUND].tolist() == ["upper", None]


def test_decimal_commas_in_formulas_are_replaced() -> None:
    table = standardize(formula=["Li1,3Al0,3Ti1,7(PO4)3", "LATP x=0,4", None])
    assert table.frame["formula"].tolist() == ["Li1.3Al0.3Ti1.7(PO4)3", "LATP x=0.4", None]
    assert table.notes == ("commas read as decimal points",)


def test_other_numbers_decide_whether_a_comma_separates_thousands_or_decimals() -> None:
    assert standardize(sintering_time_h=["1,234", "2,5"]).frame.iloc[:, 0].tolist() == [1.234, 2.5]
    assert standardize(sintering_time_h=["1,234", "2"]).frame.iloc[:, 0].tolist() == ["1,234", "2"]


@pytest.mark.parametrize("column", [column for column in Column if column in PELLET or column in MODEL_INPUT])
def test_standard_column_names_are_unchanged(column: Column) -> None:
    cells: list[object] = ["1", "x", None]
    table = standardize(**{column.value: cells})
    assert table.frame[column].tolist() == cells
    assert table.notes == ()


NUMBERS = [column for column in PELLET if column.kind is Kind.NUMBER and column.unit]


@given(column=st.sampled_from(NUMBERS), value=st.floats(2, 1e6), data=st.data())
def test_a_unit_in_the_name_and_in_the_cell_give_the_same_number(
    column: Column, value: float, data: st.DataObject
) -> None:
    units = [unit for own_unit, unit in OTHER_UNITS if own_unit == column.unit and unit != "fraction"]
    unit = data.draw(st.sampled_from(units))
    in_name = standardize(**{f"{column.label} ({unit})": [f"{value:g}"]}).frame
    in_cell = standardize(**{column.label: [f"{value:g} {unit}"]}).frame
    assert list(in_name.columns) == list(in_cell.columns) == [column]
    assert float(in_name.iloc[0, 0]) == pytest.approx(float(in_cell.iloc[0, 0]), rel=1e-9)


@pytest.mark.parametrize("column", [column for column in Column if column in PELLET or column in MODEL_INPUT])
@pytest.mark.parametrize("cell", [[1, 2], {"a": 1}], ids=["list", "dict"])
def test_nested_cells_are_unchanged(column: Column, cell: object) -> None:
    cells = {Column.FORMULA.value: ["LTP"], column.value: [cell]}
    assert standardize(**cells).frame[column][0] == cell


@given(name=st.text(max_size=60))
def test_any_column_name_has_candidates_or_none(name: str) -> None:
    parsed = parse_column_name(name)
    assert parsed is None or parsed.candidates


@given(
    text=st.text(alphabet="0123456789.,eE+-±×~<>() °CKhminmS/%⁻⁴^x10", max_size=25),
    column=st.sampled_from(NUMBERS),
)
def test_any_text_is_a_finite_number_or_none(text: str, column: Column) -> None:
    number = parse_number(text, column, decimal_commas=False)
    assert number is None or abs(number.value) < float("inf")
