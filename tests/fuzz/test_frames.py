"""Odd tables and arguments, by the Python API."""

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
from tests.fuzz.oracle import check_results, refused
from tests.fuzz.tally import TALLY, Verdict, in_time
from tests.fuzz.test_files import hold
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
    """Draw a table of up to five rows with odd cells, dtypes, labels or index."""
    count = draw(st.integers(0, 5))
    formulas = [draw(st.sampled_from(["LATP x=0.3", "NZSP"]) | odd_formula | odd_value) for _ in range(count)]
    frame = pd.DataFrame({"formula": pd.Series(formulas, dtype="object")})
    for name in draw(st.lists(NAMES, max_size=3, unique=True)):
        cells = pd.Series([draw(odd_value) for _ in range(count)], dtype="object")
        if draw(st.booleans()):
            cells = _as(pd.Series([800, 900, 1, 0, 25][:count]), draw(st.sampled_from(DTYPES)))
        frame[name] = cells
    change = draw(st.sampled_from(["none", "none", "label", "name", "twice", "index", "levels", "no formula"]))
    if change == "label":
        frame[draw(ODD_LABELS)] = 1
    elif change == "name":
        frame[draw(odd_name)] = 1
    elif change == "twice":
        frame = pd.concat([frame, frame], axis=1)
    elif change == "index":
        frame.index = pd.Index([5] * len(frame))
    elif change == "levels":
        frame.columns = pd.MultiIndex.from_product([frame.columns, ["a"]])
    elif change == "no formula":
        frame = frame.drop(columns="formula")
    return frame


def _as(cells: pd.Series, dtype: str) -> pd.Series:
    try:
        return cells.astype(dtype)
    except (ValueError, TypeError):
        return cells


@fuzz(250)
@given(frame=frames())
def test_odd_tables(frame: pd.DataFrame) -> None:
    before = frame.copy()
    recipes = len(frame)
    hold("Python read_batch", lambda: read_batch(frame), recipes)
    assert list(map(repr, frame.columns)) == list(map(repr, before.columns))


@pytest.mark.filterwarnings("ignore::nasicon_ml.errors.TableNote")  # how a table was understood is no fault
@fuzz(60)
@given(frame=frames())
def test_odd_tables_of_own_pellets(frame: pd.DataFrame) -> None:
    found = attempt("Python own_pellets", lambda: own_pellets(frame.assign(relative_density_pct=90)))
    if found is not None:
        assert len(found) == len(frame)


@pytest.mark.filterwarnings("ignore::nasicon_ml.errors.TableNote")
@fuzz(100)
@given(frame=frames())
def test_odd_tables_to_predict(frame: pd.DataFrame) -> None:
    """Columns that recipes have are read, any other table is refused; every row has an answer or none has."""
    found = attempt("Python predict", lambda: predict(frame))
    if found is not None:
        check_results(found.results, len(frame))


@pytest.mark.parametrize("column", [column.value for column in (*RECIPE, Column.MEASUREMENT_TEMPERATURE_C)])
def test_every_odd_cell_in_every_column(column: str) -> None:
    for cell in ODD_CELLS:
        frame = pd.DataFrame({"formula": ["NZSP"]}).assign(**{column: [cell]})
        hold("Python read_batch", lambda frame=frame: read_batch(frame), 1)


RECIPE_ = Recipe(formula="LATP x=0.3")
ARGUMENTS = [*range(len(ODD_NUMBERS) + len(ODD_OBJECTS))]


@pytest.mark.parametrize("name", ["level", "at_c", "own", "model"])
@pytest.mark.parametrize("place", ARGUMENTS)
def test_odd_arguments(name: str, place: int) -> None:
    value = [*ODD_NUMBERS, *ODD_OBJECTS][place]
    found = attempt("Python predict", lambda: predict(RECIPE_, **{name: value}))
    if found is not None:
        check_results(found.results, 1)


def attempt(channel: str, call: Any) -> Any:
    """Make a call; a refusal is counted and gives None. A wrong type may be Python's own TypeError."""

    def tried() -> Any:
        try:
            return call()
        except (NasiconError, TypeError) as error:
            return error

    found = in_time(channel, tried)
    if isinstance(found, NasiconError):
        refused(channel, found)
        return None
    if isinstance(found, TypeError):
        TALLY.add(channel, Verdict.REFUSED)
        return None
    TALLY.add(channel, Verdict.ANSWERED)
    return found
