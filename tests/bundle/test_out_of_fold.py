"""The table of out-of-fold predictions of a model, and its CSV in a bundle."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.bundle.out_of_fold import COLUMNS, COUNTS, NO_ROWS, NUMBERS, TEXTS, from_csv, rounded, to_csv

TEXT_CELLS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\r\0"))
NUMBER_CELLS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=False), st.floats(-10, 100).map(lambda x: round(x, 6))
)
ROWS = st.lists(
    st.fixed_dictionaries(
        dict.fromkeys(TEXTS, TEXT_CELLS)
        | {name: st.integers(0, 100) for name in COUNTS}
        | dict.fromkeys(NUMBERS, NUMBER_CELLS)
    ),
    max_size=8,
)


def to_table(rows):
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype(from_csv(NO_ROWS).dtypes.to_dict())


@given(ROWS)
def test_csv_round_trip_is_exact(rows):
    table = to_table(rows)
    text = to_csv(table)
    result = from_csv(text)
    pd.testing.assert_frame_equal(result, table, check_exact=True)
    assert to_csv(result) == text


def test_model_keeps_out_of_fold_predictions_to_six_decimals(trained):
    """All rows of all repeats are kept; the rounding error is far below errors of measurement."""
    assert list(trained.out_of_fold.columns) == list(COLUMNS)
    kept = trained.model.out_of_fold
    pd.testing.assert_frame_equal(kept, rounded(trained.out_of_fold), check_exact=True)
    for name in NUMBERS:
        difference = np.abs(kept[name] - trained.out_of_fold[name])
        assert not (difference > 0.51e-6).any(), name
    pd.testing.assert_frame_equal(from_csv(to_csv(kept)), kept, check_exact=True)


def test_table_without_rows_has_all_columns_and_types():
    empty = from_csv(NO_ROWS)
    assert empty.empty
    assert empty.dtypes.to_dict() == dict.fromkeys(TEXTS, "object") | dict.fromkeys(
        COUNTS, "int64"
    ) | dict.fromkeys(NUMBERS, "float64")
    assert to_csv(empty) == NO_ROWS


@pytest.mark.parametrize(
    ("column", "cell", "match"),
    [
        ("measured", "high", "measured, row 1: 'high' is not a number"),
        ("predicted", "nan", "predicted, row 1: 'nan' is not a number"),
        ("fold", "", "fold, row 1: '' is not a number"),
        ("fold", "1.5", "fold: holds other than whole numbers from 0"),
        ("repeat", "-1", "repeat: holds other than whole numbers from 0"),
        ("repeat", "1e300", "repeat: holds other than whole numbers from 0"),
    ],
)
def test_invalid_cells_are_refused(column, cell, match):
    row = dict.fromkeys(TEXTS, "a") | dict.fromkeys(COUNTS, "0") | dict.fromkeys(NUMBERS, "1") | {column: cell}
    text = ",".join(COLUMNS) + "\n" + ",".join(row[name] for name in COLUMNS) + "\n"
    with pytest.raises(ValueError, match=match):
        from_csv(text)
