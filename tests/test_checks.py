"""Tables are checked by the same rules as single cells; temperatures that look like kelvin are reported."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml import checks
from nasicon_ml.checks import TEMPERATURE_STEPS_C, Severity, check_columns, kelvin_findings, looks_like_kelvin
from nasicon_ml.columns import RECIPE, Column, Kind, is_missing
from nasicon_ml.errors import FieldError

CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.text(max_size=12),
    st.floats(-10, 2000).map(str),
    st.floats(-10, 2000).map(np.float32),
    st.floats(-10, 2000).map(np.float64),
    st.sampled_from(
        ["", "NaN", "air", " Argon ", "SPS", "true", "No", "1e3", "1_000", "12,5", "0x10", "inf", "-", "\uff11"]
    ),
    st.just(pd.NA),
    st.decimals(allow_nan=False),
    st.lists(st.integers(), max_size=2),
    st.binary(max_size=3),
    st.complex_numbers(),
    st.datetimes(),
)


def parse_cell(column: Column, cell: object) -> tuple[object, bool]:
    """Return the value of `Column.parse`, and whether it rejects the cell."""
    try:
        return column.parse(cell), False
    except FieldError:
        return None, True


@given(st.sampled_from(list(Column)), st.lists(CELLS, min_size=1, max_size=8))
def test_check_columns_agrees_with_column_parse_on_mixed_cells(column: Column, cells: list[object]) -> None:
    frame = pd.DataFrame({column: pd.Series(cells, dtype="object")})
    clean, findings = check_columns(frame, [column])
    rejected_rows = {finding.row for finding in findings}
    for row, cell in enumerate(cells):
        value, is_rejected = parse_cell(column, cell)
        assert (row in rejected_rows) is is_rejected
        if column is Column.ADDITIVE_AMOUNT and value == 0:
            value = None  # an additive amount of 0 means no additive
        table_value = clean[column].iloc[row]
        assert (is_missing(table_value) and value is None) or table_value == value
    assert clean[column].dtype == ("float64" if column.kind is Kind.NUMBER else "object")
    assert [finding.row for finding in findings] == sorted(rejected_rows)


@given(st.lists(st.floats(), min_size=1, max_size=8), st.sampled_from(["float64", "float32"]))
def test_check_columns_agrees_with_column_parse_on_float_columns(cells: list[float], dtype: str) -> None:
    column = Column.SINTERING_TEMPERATURE_C
    with np.errstate(over="ignore"):
        series = pd.Series(np.array(cells, dtype=dtype))
    clean, findings = check_columns(pd.DataFrame({column: series}), [column])
    expected = [parse_cell(column, cell) for cell in series]
    assert {finding.row for finding in findings} == {
        row for row, (_, is_rejected) in enumerate(expected) if is_rejected
    }
    assert [None if math.isnan(cell) else cell for cell in clean[column]] == [value for value, _ in expected]


def test_one_finding_per_invalid_cell_sorted_by_row_and_column() -> None:
    frame = pd.DataFrame(
        {
            "atmosphere": ["air", "steam", ""],
            "relative_density_pct": ["0.95", "101", "95"],
            "sintering_temperature_c": ["900", "9000", "x"],
            "phase_pure": ["true", "true", "maybe"],
            "additive": ["", "", "LiF"],
        }
    )
    columns = [*RECIPE, Column.RELATIVE_DENSITY_PCT, Column.PHASE_PURE]
    clean, findings = check_columns(frame, columns)
    assert [(finding.row, finding.column, finding.rule) for finding in findings] == [
        (0, "relative_density_pct", "fraction_for_percent"),
        (1, "sintering_temperature_c", "out_of_bounds"),
        (1, "atmosphere", "unknown_atmosphere"),
        (1, "relative_density_pct", "density_above_100"),
        (2, "sintering_temperature_c", "not_a_number"),
        (2, "phase_pure", "not_a_flag"),
    ]
    assert all(finding.severity is Severity.ERROR for finding in findings)
    assert [finding.value for finding in findings] == ["0.95", "9000", "steam", "101", "x", "maybe"]
    assert list(clean.columns) == [column.value for column in columns]
    assert clean["atmosphere"].tolist() == ["air", None, None]
    assert clean["additive"].tolist() == [None, None, "LiF"]
    assert clean["formula"].tolist() == [None] * 3  # an absent column is not reported


def test_number_in_text_column_is_rejected() -> None:
    _, findings = check_columns(pd.DataFrame({"formula": [5]}), [Column.FORMULA])
    assert [finding.rule for finding in findings] == ["not_text"]


def test_findings_use_row_positions_not_index_labels() -> None:
    frame = pd.DataFrame({"sintering_temperature_c": [900.0, 5000.0]}, index=[7, 7])
    clean, findings = check_columns(frame, [Column.SINTERING_TEMPERATURE_C])
    assert clean.index.tolist() == [0, 1]
    assert [finding.row for finding in findings] == [1]


def test_check_columns_does_not_modify_its_input() -> None:
    frame = pd.DataFrame({"atmosphere": ["Argon"], "sintering_temperature_c": ["9e2"]})
    before = frame.copy()
    check_columns(frame, RECIPE)
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "string", "category", "boolean"])
def test_pandas_extension_dtypes_are_accepted(dtype: str) -> None:
    flags = dtype == "boolean"
    cells = pd.Series([True, None] if flags else ["1", None], dtype="object")
    series = cells.astype("Int64").astype(dtype) if dtype in {"Int64", "Float64"} else cells.astype(dtype)
    column = Column.PHASE_PURE
    clean, findings = check_columns(pd.DataFrame({column: series}), [column])
    assert findings == []
    assert clean[column].tolist() == [True, None]


def test_empty_table_has_no_findings() -> None:
    clean, findings = check_columns(pd.DataFrame(), RECIPE)
    assert clean.shape == (0, len(RECIPE))
    assert findings == []


@pytest.mark.parametrize("word", ["N/A", " nan ", "Not  Reported", "-", "UNKNOWN"])
def test_words_for_not_reported_become_missing_in_every_column(word: str) -> None:
    columns = list(Column)
    clean, findings = check_columns(pd.DataFrame({column: [word] for column in columns}), columns)
    assert findings == []
    assert clean.isna().all(axis=None)


def test_each_distinct_text_is_parsed_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed_cells = []
    original = checks._parse_cell
    monkeypatch.setattr(
        checks, "_parse_cell", lambda column, cell: parsed_cells.append(cell) or original(column, cell)
    )
    _, findings = check_columns(pd.DataFrame({"atmosphere": ["argn"] * 50 + ["air"] * 50}), RECIPE)
    assert len(findings) == 50
    assert all("Did you mean 'argon'" in finding.message for finding in findings)
    assert parsed_cells == ["argn", "air"]


@pytest.mark.parametrize("name", ["atmosphere", "sintering_time_h", "additive"])
def test_too_many_distinct_invalid_texts_in_a_column_raise(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "MAX_BAD_TEXTS", 3)
    cells = [f"\x1bq{number}" for number in range(5)]
    check_columns(pd.DataFrame({name: cells[:3]}), RECIPE)
    with pytest.raises(FieldError, match=f"{name}: .*More than 3 cells of this column are not accepted"):
        check_columns(pd.DataFrame({name: cells}), RECIPE)


@pytest.mark.parametrize("cell", ["argn", 5, None])
def test_too_many_invalid_cells_in_a_column_raise_unless_missing(
    cell: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "MAX_BAD_CELLS", 3)
    frame = pd.DataFrame({"atmosphere": [cell] * 4}, dtype="object")
    if cell is None:
        assert check_columns(frame, RECIPE)[1] == []
        return
    with pytest.raises(FieldError, match=r"atmosphere: .*More than 3 cells"):
        check_columns(frame, RECIPE)


def test_control_characters_surrogates_and_long_texts_are_rejected() -> None:
    frame = pd.DataFrame({"additive": ["LiF\x1b[2J", "LiF\ud800", "LiF", "a" * 2_001]})
    clean, findings = check_columns(frame, RECIPE)
    assert [finding.row for finding in findings] == [0, 1, 3]
    assert clean["additive"].tolist() == [None, None, "LiF", None]
    assert "U+001B" in findings[0].message


@pytest.mark.parametrize("cell", [pd.Series([800.0]), np.array([800.0]), True, [800], 10**400], ids=range(5))
def test_non_number_in_number_column_is_reported_as_not_a_number(cell: object) -> None:
    frame = pd.DataFrame({"sintering_temperature_c": pd.Series([None], dtype="object")})
    frame.at[0, "sintering_temperature_c"] = cell  # noqa: PD008  (a cell that holds a whole object)
    assert [finding.rule for finding in check_columns(frame, RECIPE)[1]] == ["not_a_number"]


def test_duplicate_column_raises() -> None:
    frame = pd.DataFrame([["LTP", "LGP"]], columns=["formula", "formula"])
    with pytest.raises(FieldError, match="'formula' is not accepted; allowed: every column once"):
        check_columns(frame, RECIPE)


def test_multiindex_columns_raise() -> None:
    frame = pd.DataFrame([["LTP"]], columns=pd.MultiIndex.from_tuples([("formula", "a")]))
    with pytest.raises(FieldError, match="allowed: one name a column"):
        check_columns(frame, RECIPE)


SINTERING, MEASUREMENT = Column.SINTERING_TEMPERATURE_C, Column.MEASUREMENT_TEMPERATURE_C


@pytest.mark.parametrize(
    ("column", "value", "sure", "likely"),
    [
        (SINTERING, 1073.0, False, True),
        (SINTERING, 1123.15, True, False),
        (SINTERING, 1173.15, True, False),
        (SINTERING, 900.0, False, False),
        (SINTERING, 1075.0, False, False),
        (SINTERING, 298.0, False, True),
        (SINTERING, np.nan, False, False),
        (MEASUREMENT, 298.0, True, False),
        (MEASUREMENT, 293.0, True, False),
        (MEASUREMENT, 298.15, True, False),
        (MEASUREMENT, 333.0, False, True),
        (MEASUREMENT, 300.0, False, False),
        (MEASUREMENT, 25.0, False, False),
        (MEASUREMENT, -40.0, False, False),
    ],
)
def test_looks_like_kelvin_marks_sure_and_likely_values(
    column: Column, value: float, sure: bool, likely: bool
) -> None:
    masks = looks_like_kelvin(np.array([value]), column)
    assert [mask.tolist() for mask in masks] == [[sure], [likely]]


@pytest.mark.parametrize("column", list(TEMPERATURE_STEPS_C))
def test_kelvin_finding_names_row_and_value_in_celsius(column: Column) -> None:
    (finding,) = kelvin_findings(pd.DataFrame({column.value: [np.nan, 30.0, 1073.15]}))
    assert (finding.row, finding.column, finding.rule, finding.severity) == (
        2, column.value, "kelvin_for_celsius", Severity.ERROR,
    )  # fmt: skip
    assert finding.message == f"{column.value}: 1073.15 °C looks like kelvin: 1073.15 K is 800 °C"


def test_table_without_temperatures_has_no_kelvin_findings() -> None:
    assert kelvin_findings(pd.DataFrame({Column.FORMULA.value: ["LTP"]})) == []
