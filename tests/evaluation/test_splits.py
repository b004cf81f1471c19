import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.errors import LeakageError
from nasicon_ml.evaluation.splits import assert_disjoint, grouped_folds


@given(
    st.lists(st.integers(0, 30), min_size=8, max_size=200).filter(lambda keys: len(set(keys)) >= 5),
    st.integers(2, 5),
    st.integers(0, 1000),
)
def test_no_source_stands_in_two_folds(keys, folds, seed):
    sources = np.array([f"s{key}" for key in keys])
    fold = grouped_folds(sources, folds, seed)
    assert set(fold) == set(range(folds))
    for source in np.unique(sources):
        assert len(np.unique(fold[sources == source])) == 1


@given(st.integers(0, 50))
def test_folds_do_not_depend_on_the_order_of_rows(seed):
    sources = np.array([f"s{number % 17}" for number in range(60)])
    order = np.random.default_rng(seed).permutation(60)
    np.testing.assert_array_equal(grouped_folds(sources, 5, 3)[order], grouped_folds(sources[order], 5, 3))


def test_folds_are_even_and_differ_by_seed():
    sources = np.repeat([f"s{number}" for number in range(40)], 5)
    fold = grouped_folds(sources, 10, 0)
    assert np.bincount(fold).tolist() == [20] * 10
    assert (fold != grouped_folds(sources, 10, 1)).any()


@pytest.mark.parametrize("folds", [1, 4])
def test_too_few_sources_are_refused(folds):
    with pytest.raises(ValueError, match="cannot be made of 3 sources"):
        grouped_folds(["a", "b", "c"], folds, 0)


def test_a_source_on_both_sides_is_named():
    assert_disjoint(["a", "b"], ["c"])
    with pytest.raises(LeakageError, match="1 sources stand on both sides of a split: b"):
        assert_disjoint(["a", "b"], ["b", "c"])
