"""Odd data frames and arguments, in the Python API."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.columns import RECIPE, Column
from nasicon_ml.data.own_pellets import own_pellets
from nasicon_ml.errors import NasiconError
from nasicon_ml.recipe import Recipe, read_batch
from nasicon_ml.workflows.predict import predict
from tests.fuzz.conftest import fuzz
from tests.fuzz.files import ODD_CELLS
from tests.fuzz.oracle import check_prediction_table, count_refusal
from tests.fuzz.tally import TALLY, Verdict, in_time
from tests.fuzz.test_files import check_batch
from tests.fuzz.texts import ODD_NUMBERS, ODD_OBJECTS, odd_formula, odd_name, odd_value

NAMES = st.sampled_from([column.value for column in (*RECIPE[1:], Column.MEASUREMENT_TEMPERATURE_C)])
ODD_LABELS = st.sampled_from([None, 0, 1.5, float("nan"), ("formula",), True, b"formula", pd.NaT, Column.FORMULA])
DTYPES = [
    "category",
    "string",
    "Int64",
    "boolean",
    "float32",
    "complex128",
    "datetime64[ns]",
    "int8",
    "bool",
    "Float64",
    "S10",
]


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    """Draw a frame of up to five rows with odd cells, dtypes, column labels or index."""
    count = draw(st.integers(0, 5))
    formulas = [draw(st.sampled_from(["LATP x=0.3", "NZSP"]) | odd_formula | odd_value) for _ in range(count)]
    frame = pd.DataFrame({"formula": pd.Series(formulas, dtype="object")})
    for name in draw(st.lists(NAMES, max_size=3, unique=True)):
        cells = pd.Series([draw(odd_value) for _ in range(count)], dtype="object")
        if draw(st.booleans()):
            cells = _with_dtype(pd.Series([800, 900, 1, 0, 25][:count]), draw(st.sampled_from(DTYPES)))
        frame[name] = cells
    change = draw(
        st.sampled_from(["none", "none", "label", "name", "duplicate columns", "index", "levels", "no formula"])
    )
    if change == "label":
        frame[draw(ODD_LABELS)] = 1
    elif change == "name":
        frame[draw(odd_name)] = 1
    elif change == "duplicate columns":
        frame = pd.concat([frame, frame], axis=1)
    elif change == "index":
        frame.index = pd.Index([5] * len(frame))
    elif change == "levels":
        frame.columns = pd.MultiIndex.from_product([frame.columns, ["a"]])
    elif change == "no formula":
        frame = frame.drop(columns="formula")
    return frame


def _with_dtype(cells: pd.Series, dtype: str) -> pd.Series:
    try:
        return cells.astype(dtype)
    except (ValueError, TypeError):
        return cells


@fuzz(250)
@given(frame=frames())
def test_read_batch_accepts_or_refuses_any_frame(frame: pd.DataFrame) -> None:
    before = frame.copy()
    recipes = len(frame)
    check_batch("Python read_batch", lambda: read_batch(frame), recipes)
    assert list(map(repr, frame.columns)) == list(map(repr, before.columns))


@pytest.mark.filterwarnings("ignore::nasicon_ml.errors.TableNote")  # notes on how a table was read are not errors
@fuzz(60)
@given(frame=frames())
def test_own_pellets_accepts_or_refuses_any_frame(frame: pd.DataFrame) -> None:
    result = call_or_refusal("Python own_pellets", lambda: own_pellets(frame.assign(relative_density_pct=90)))
    if result is not None:
        assert len(result) == len(frame)


@pytest.mark.filterwarnings("ignore::nasicon_ml.errors.TableNote")
@fuzz(100)
@given(frame=frames())
def test_predict_answers_every_row_or_refuses_any_frame(frame: pd.DataFrame) -> None:
    """If one row is invalid the whole frame is refused."""
    result = call_or_refusal("Python predict", lambda: predict(frame))
    if result is not None:
        check_prediction_table(result.results, len(frame))


@pytest.mark.parametrize("column", [column.value for column in (*RECIPE, Column.MEASUREMENT_TEMPERATURE_C)])
def test_read_batch_accepts_or_rejects_odd_cells_in_every_column(column: str) -> None:
    for cell in ODD_CELLS:
        frame = pd.DataFrame({"formula": ["NZSP"]}).assign(**{column: [cell]})
        check_batch("Python read_batch", lambda frame=frame: read_batch(frame), 1)


EXAMPLE_RECIPE = Recipe(formula="LATP x=0.3")
ARGUMENT_POSITIONS = [*range(len(ODD_NUMBERS) + len(ODD_OBJECTS))]


@pytest.mark.parametrize("name", ["level", "at_c", "own", "model"])
@pytest.mark.parametrize("position", ARGUMENT_POSITIONS)
def test_predict_accepts_or_refuses_any_argument(name: str, position: int) -> None:
    value = [*ODD_NUMBERS, *ODD_OBJECTS][position]
    result = call_or_refusal("Python predict", lambda: predict(EXAMPLE_RECIPE, **{name: value}))
    if result is not None:
        check_prediction_table(result.results, 1)


def call_or_refusal(channel: str, call: Any) -> Any:
    """Return the result, or None if the call was refused, which is counted. A `TypeError` is a refusal, too."""

    def call_or_error() -> Any:
        try:
            return call()
        except (NasiconError, TypeError) as error:
            return error

    result = in_time(channel, call_or_error)
    if isinstance(result, NasiconError):
        count_refusal(channel, result)
        return None
    if isinstance(result, TypeError):
        TALLY.add(channel, Verdict.REFUSED)
        return None
    TALLY.add(channel, Verdict.ANSWERED)
    return result
