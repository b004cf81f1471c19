"""The out-of-fold table of a model, on its way to disk and back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.bundle.out_of_fold import COLUMNS, COUNTS, NO_ROWS, NUMBERS, TEXTS, from_csv, rounded, to_csv

WORDS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\r\0"))
NUMBER = st.one_of(st.floats(allow_nan=True, allow_infinity=False), st.floats(-10, 100).map(lambda x: round(x, 6)))
ROWS = st.lists(
    st.fixed_dictionaries(
        dict.fromkeys(TEXTS, WORDS)
        | {name: st.integers(0, 100) for name in COUNTS}
        | dict.fromkeys(NUMBERS, NUMBER)
    ),
    max_size=8,
)


def table_of(rows):
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype(from_csv(NO_ROWS).dtypes.to_dict())


@given(ROWS)
def test_any_table_comes_back_to_the_last_bit(rows):
    table = table_of(rows)
    text = to_csv(table)
    found = from_csv(text)
    pd.testing.assert_frame_equal(found, table, check_exact=True)
    assert to_csv(found) == text


def test_a_training_has_these_columns_and_its_model_keeps_them_to_six_decimals(trained):
    """All repeats, and the same rows; what is cut off is below anything that can be measured."""
    assert list(trained.out_of_fold.columns) == list(COLUMNS)
    kept = trained.model.out_of_fold
    pd.testing.assert_frame_equal(kept, rounded(trained.out_of_fold), check_exact=True)
    for name in NUMBERS:
        difference = np.abs(kept[name] - trained.out_of_fold[name])
        assert not (difference > 0.51e-6).any(), name
    pd.testing.assert_frame_equal(from_csv(to_csv(kept)), kept, check_exact=True)


def test_no_rows_are_a_table_of_all_columns():
    none = from_csv(NO_ROWS)
    assert none.empty
    assert none.dtypes.to_dict() == dict.fromkeys(TEXTS, "object") | dict.fromkeys(
        COUNTS, "int64"
    ) | dict.fromkeys(NUMBERS, "float64")
    assert to_csv(none) == NO_ROWS


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
