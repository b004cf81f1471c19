"""Exact reading of CSV files that the package has written itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.io.csv import read_exact_csv, to_numbers

CELLS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\r\0"))


@given(st.lists(st.tuples(CELLS, CELLS)))
def test_cells_written_by_pandas_round_trip_exactly(rows):
    frame = pd.DataFrame(rows, columns=["a", "b"])
    cells = read_exact_csv(frame.to_csv(index=False, lineterminator="\n"), ["a", "b"])
    assert cells == {"a": [row[0] for row in rows], "b": [row[1] for row in rows]}


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "line 1: the columns are not the 2"),
        ("b,a\n1,2\n", "line 1: the columns are not the 2"),
        ("a,b,b\n", "line 1: the columns are not the 2"),
        ("a,b\n1,2\n1\n", "line 3: 1 cells instead of 2"),
        ("a,b\n1,2,3\n", "line 2: 3 cells instead of 2"),
        ("a,b\n\n", "line 2: 0 cells instead of 2"),
        ('a,b\n"1"x,2\n', "line 2: "),
        ('a,b\n1,"2\n', "line 2: unexpected end of data"),
        ("a,b\n1," + "x" * 200_000, "line 2: field larger than field limit"),
    ],
)
def test_invalid_csv_raises_with_line(text, match):
    with pytest.raises(ValueError, match=match):
        read_exact_csv(text, ["a", "b"])


@given(st.lists(st.floats(allow_nan=False)))
def test_numbers_round_trip_exactly(numbers):
    result = to_numbers([repr(number) for number in numbers], "x", may_be_missing=False)
    np.testing.assert_array_equal(result, np.array(numbers, dtype=np.float64))


def test_empty_cells_are_nan_only_with_may_be_missing():
    np.testing.assert_array_equal(to_numbers(["1", "", "-2.5"], "x", may_be_missing=True), [1.0, np.nan, -2.5])
    with pytest.raises(ValueError, match="x, row 2: '' is not a number"):
        to_numbers(["1", ""], "x", may_be_missing=False)


@pytest.mark.parametrize("cell", ["one", "1,5", "nan", "NaN", "1 2", "=1+1", "0x10"])
def test_invalid_number_raises_with_row(cell):
    with pytest.raises(ValueError, match="x, row 3: "):
        to_numbers(["1", "", cell, "also"], "x", may_be_missing=True)
