import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasicon_ml.checks import Severity
from nasicon_ml.columns import MODEL_INPUT, RECIPE, Column
from nasicon_ml.errors import FieldError, NasiconError
from nasicon_ml.io import RawTable, read_table
from nasicon_ml.recipe import Recipe, read_batch, recipe_table, recipe_warnings
from nasicon_ml.recipe import batch as batch_module
from tests.recipe.strategies import any_rows, recipe_fields

NAMES = [column.value for column in RECIPE]


def test_recipe_table_has_model_input_columns_and_dtypes() -> None:
    table = recipe_table(
        [Recipe(formula="LTP", sintering_temperature_c=900), Recipe(formula="LGP", atmosphere="air")]
    )
    assert list(table.columns) == [column.value for column in MODEL_INPUT]
    assert table.index.equals(pd.RangeIndex(2))
    assert table["formula"].tolist() == ["LiTi2(PO4)3", "LiGe2(PO4)3"]
    assert table["sintering_temperature_c"].dtype == np.float64
    assert table["atmosphere"].tolist() == [None, "air"]
    assert table["measurement_temperature_c"].isna().all()


def test_empty_recipe_table_has_columns_and_dtypes() -> None:
    table = recipe_table([])
    assert table.shape == (0, len(MODEL_INPUT))
    assert table["pressure_mpa"].dtype == np.float64
    assert read_batch(table).table.shape == (0, len(MODEL_INPUT))


def test_read_batch_keeps_valid_rows_and_reports_invalid_ones() -> None:
    frame = pd.DataFrame(
        {
            "formula": ["LATP x=0.3", "LATB", "LTP + 2 wt% LiF", None, "LTP", "LTP + 1 wt% LiF", "LTP", "LTP"],
            "additive": [None, None, None, None, None, "B2O3", None, "B2O3"],
            "additive_amount": [None, None, None, None, None, None, "3", "3"],
            "sintering_temperature_c": ["800", "x", "", "900", "5000", "800", "800", "800"],
            "measurement_temperature_c": ["25", "", "", "", "", "", "", ""],
            "doi": ["10.1/x"] * 8,
        }
    )
    batch = read_batch(RawTable(frame, np.arange(8) + 2, "recipes.csv"))
    assert batch.rows.tolist() == [0, 2]
    assert batch.lines is not None
    assert batch.lines.tolist() == [2, 4]
    assert batch.bad_rows.tolist() == [1, 3, 4, 5, 6, 7]
    assert [(finding.row, finding.line, finding.column, finding.rule) for finding in batch.findings] == [
        (1, 3, "formula", "bad_formula"),
        (1, 3, "sintering_temperature_c", "not_a_number"),
        (3, 5, "formula", "missing_formula"),
        (4, 6, "sintering_temperature_c", "out_of_bounds"),
        (5, 7, "formula", "second_phase_twice"),
        (6, 8, "additive_amount", "amount_without_additive"),
        (7, 9, "additive_amount", "amount_without_unit"),
    ]
    assert {finding.severity for finding in batch.findings} == {Severity.ERROR}
    assert list(batch.table.columns) == [column.value for column in MODEL_INPUT]
    assert batch.table["formula"].tolist() == ["Li1.3Al0.3Ti1.7(PO4)3", "LiTi2(PO4)3"]
    assert batch.table["additive"].tolist() == [None, "LiF"]
    assert batch.table["additive_amount"].tolist()[1] == 2.0
    assert batch.table["additive_amount"].dtype == np.float64
    assert batch.table["measurement_temperature_c"].tolist()[0] == 25


def test_invalid_cell_gives_one_finding() -> None:
    frame = pd.DataFrame(
        {
            "formula": ["LTP", 5],
            "additive": ["LiF", None],
            "additive_amount": ["x", None],
            "additive_unit": ["wt%", None],
        }
    )
    assert [(finding.row, finding.rule) for finding in read_batch(frame).findings] == [
        (0, "not_a_number"),
        (1, "not_text"),
    ]


def test_charge_imbalance_gives_warning() -> None:
    batch = read_batch(pd.DataFrame({"formula": ["LTP", "Li1.6Al0.5Ge1.5(PO4)3", "nonsense"]}))
    assert batch.rows.tolist() == [0, 1]
    assert batch.lines is None
    assert [(finding.row, finding.rule) for finding in batch.warnings] == [(1, "charge_imbalance")]
    assert [finding.row for finding in batch.findings] == [2]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            ["formula", "sinter_temperature"],
            "column: 'sinter_temperature' .* Did you mean 'sintering_temperature_c'",
        ),
        (["Formula"], "Did you mean 'formula'"),
        (["formula", 5], "column: 5 is not accepted"),
        (["formula", "additive", "formula"], "every column once. It occurs twice"),
        (["additive"], "a table with formula"),
    ],
)
def test_invalid_header_raises_field_error(columns: list[object], message: str) -> None:
    with pytest.raises(FieldError, match=message):
        read_batch(pd.DataFrame([["LTP"] * len(columns)], columns=columns))


def test_findings_of_csv_file_have_lines(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "recipes.csv"
    path.write_text(
        "formula,atmosphere,sintering_temperature_c\nLATP x=0.4,Ar,800\nLATP,air,900\nLTP,argn,\n", "utf-8"
    )
    batch = read_batch(read_table(path))
    assert batch.table["formula"].tolist() == ["Li1.4Al0.4Ti1.6(PO4)3"]
    assert [(finding.line, finding.column) for finding in batch.findings] == [(3, "formula"), (4, "atmosphere")]


@settings(max_examples=60)
@given(st.lists(any_rows, min_size=1, max_size=6))
def test_read_batch_accepts_same_rows_as_recipe(rows: list[dict[str, object]]) -> None:
    batch = read_batch(pd.DataFrame(rows, columns=NAMES, dtype="object"))
    accepted: dict[int, Recipe] = {}
    for position, row in enumerate(rows):
        try:
            accepted[position] = Recipe(**row)  # type: ignore[arg-type]
        except NasiconError:
            continue
    assert batch.rows.tolist() == list(accepted)
    assert batch.bad_rows.tolist() == [row for row in range(len(rows)) if row not in accepted]
    pd.testing.assert_frame_equal(batch.table, recipe_table(accepted.values()))


@given(st.lists(recipe_fields(), max_size=5))
def test_read_batch_of_recipe_table_is_unchanged(recipes: list[dict[str, object]]) -> None:
    table = recipe_table([Recipe.from_dict(fields) for fields in recipes])
    batch = read_batch(table)
    assert batch.findings == []
    pd.testing.assert_frame_equal(batch.table, table)


def test_read_batch_parses_each_distinct_cell_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed_cells: list[object] = []
    original_parse = Column.parse

    def counting_parse(column: Column, value: object) -> float | str | bool | None:
        parsed_cells.append(value)
        return original_parse(column, value)

    def fail_if_called(*_: object) -> None:
        raise AssertionError("read_batch built a Recipe for a single row")

    monkeypatch.setattr(Column, "parse", counting_parse)
    monkeypatch.setattr(batch_module, "Recipe", fail_if_called)
    rows = 20_000
    frame = pd.DataFrame(
        {
            "formula": ["LATP x=0.3", "LAGP x=0.5"] * (rows // 2),
            "sintering_temperature_c": ["900", "800.5"] * (rows // 2),
            "particle_size_um": np.linspace(0.1, 10, rows),
            "atmosphere": ["air", ""] * (rows // 2),
        }
    )
    batch = read_batch(frame)
    assert len(parsed_cells) < 20
    assert len(batch.table) == rows
    assert batch.table["sintering_temperature_c"].tolist()[:2] == [900, 800.5]


def test_one_error_names_all_unknown_columns() -> None:
    names = ["formula", "Sintering Temperature (°C)", "colour", "Relative density [%]"]
    with pytest.raises(FieldError) as caught:
        read_batch(pd.DataFrame([["LTP", 900, "red", 95]], columns=names))
    assert caught.value.value == names[1:]
    assert caught.value.hint == (
        "'Sintering Temperature (°C)': Did you mean 'sintering_temperature_c'? "
        "'colour': No column is like it. 'Relative density [%]': Did you mean 'relative_density_pct'?"
    )


@pytest.mark.parametrize("names", [["system", "x"], ["formula", "x"], ["system", "sintering_time_h"]])
def test_columns_system_and_x_give_hint_to_formula(names: list[str]) -> None:
    with pytest.raises(FieldError, match=r'into the formula column, as in "LATP x=0\.3"'):
        read_batch(pd.DataFrame([["LATP", 0.3]], columns=names))


def test_read_batch_warns_of_temperatures_in_kelvin() -> None:
    frame = pd.DataFrame(
        {
            "formula": ["LATP x=0.3", "nonsense", "Li1.3Al0.5Ti1.7(PO4)3", "LTP"],
            "calcination_temperature_c": ["800", "1073", "", "1123.15"],
            "sintering_temperature_c": ["1073", "1073", "900", "900"],
            "measurement_temperature_c": ["298", "298.15", "298.15", "25"],
        }
    )
    batch = read_batch(RawTable(frame, np.arange(4) + 2, "recipes.csv"))
    assert batch.rows.tolist() == [0, 2, 3]
    assert [(finding.row, finding.line, finding.column, finding.rule) for finding in batch.warnings] == [
        (0, 2, "sintering_temperature_c", "kelvin_for_celsius"),
        (0, 2, "measurement_temperature_c", "kelvin_for_celsius"),
        (2, 4, "formula", "charge_imbalance"),
        (2, 4, "measurement_temperature_c", "kelvin_for_celsius"),
        (3, 5, "calcination_temperature_c", "kelvin_for_celsius"),
    ]
    assert {finding.severity for finding in batch.warnings} == {Severity.WARNING}
    assert "1073 K is 800 °C" in batch.warnings[0].message


def test_lithium_excess_as_fraction_gives_warning() -> None:
    table = recipe_table([Recipe(formula="LTP", lithium_excess_pct=value) for value in (0.1, 0, 10, None, -0.05)])
    warnings = recipe_warnings(table)
    assert [(warning.row, warning.rule, warning.severity) for warning in warnings] == [
        (0, "looks_like_a_fraction", Severity.WARNING),
        (4, "looks_like_a_fraction", Severity.WARNING),
    ]
    assert "as a fraction it is 10 %" in warnings[0].message


def test_recipe_warnings_include_temperatures_in_kelvin() -> None:
    table = recipe_table([Recipe(formula="LTP", sintering_temperature_c=t) for t in (900, 1173, 1173.15)])
    warnings = recipe_warnings(table)
    assert [(warning.row, warning.column, warning.severity) for warning in warnings] == [
        (1, "sintering_temperature_c", Severity.WARNING),
        (2, "sintering_temperature_c", Severity.WARNING),
    ]
    assert recipe_warnings(recipe_table([Recipe(formula="LTP", sintering_temperature_c=900)])) == []


def test_calcination_hotter_than_sintering_gives_warning() -> None:
    calcined, sintered = [700, 1000, 850, None], [900, 850, 850, 900]
    table = pd.DataFrame(
        {"formula": "LTP", "calcination_temperature_c": calcined, "sintering_temperature_c": sintered}
    )
    batch = read_batch(table)
    assert len(batch.table) == 4
    assert [(finding.row, finding.column, finding.severity) for finding in batch.warnings] == [
        (1, "calcination_temperature_c", Severity.WARNING)
    ]
    assert batch.warnings[0].message.endswith(
        "1000 °C is hotter than the sintering at 850 °C; are the two exchanged?"
    )
