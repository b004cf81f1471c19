"""Trees for all pairs of two sides give what they give for each pair, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from nasicon_ml.trees import prediction as grids
from nasicon_ml.trees.ensemble import TreeEnsemble

N_FEATURES = 6
#: What each feature depends on.
SIDES = ("composition", "composition", "way", "way", "both", "both")


def grown(seed: int, depth: int) -> TreeEnsemble:
    rng = np.random.default_rng(seed)
    X = rng.integers(-3, 4, size=(400, N_FEATURES)).astype(float)
    X[rng.random(X.shape) < 0.1] = np.nan
    filled = np.nan_to_num(X, nan=0.5)
    y = (
        filled[:, 0] * filled[:, 2]
        + filled[:, 4] * (filled[:, 5] > 0)
        + filled[:, 1] * filled[:, 3]
        + filled[:, 4]
    )
    settings = {"max_depth": depth, "nthread": 1, "eta": 0.5}
    booster = xgb.train(settings, xgb.DMatrix(X, label=y, nthread=1), num_boost_round=15)
    return TreeEnsemble.from_xgboost(booster, N_FEATURES)


FORESTS = [grown(seed, depth) for seed, depth in ((0, 1), (1, 3), (2, 6))]


def columns(seed: int, m: int, n: int, *, joined: bool = True) -> list[np.ndarray]:
    """Make features of m compositions and n ways, some of them not given."""
    rng = np.random.default_rng(seed)
    shapes = {"composition": (m, 1), "way": (n,), "both": (m, n)}
    found = []
    for side in SIDES:
        shape = shapes[side]
        values = rng.integers(-3, 4, size=shape).astype(np.float32)
        if side == "both" and not joined:  # it could depend on both, and does here on one
            values = np.broadcast_to(values[:1] if rng.random() < 0.5 else values[:, :1], shape).copy()
        values[rng.random(shape) < 0.1] = np.nan
        found.append(values)
    return found


def pairs(given: list[np.ndarray], m: int, n: int) -> np.ndarray:
    return np.stack([np.broadcast_to(column, (m, n)).ravel() for column in given], axis=1)


@given(
    st.integers(0, 10**6),
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from(FORESTS),
    st.booleans(),
)
@settings(max_examples=60)
def test_pairs_get_what_rows_get(seed, m, n, trees, joined) -> None:
    given = columns(seed, m, n, joined=joined)
    assert np.array_equal(trees.pair_evaluator.margin(given, (m, n)).ravel(), trees.margin(pairs(given, m, n)))


@pytest.mark.parametrize("trees", FORESTS)
def test_the_same_however_many_are_evaluated_at_once(monkeypatch, trees) -> None:
    given = columns(0, 23, 31)
    whole = trees.pair_evaluator.margin(given, (23, 31))
    for name, size in (("_COMPOSITION_BLOCK", 5), ("_PROCESSING_BLOCK", 7), ("_LEAF_BLOCK", 3)):
        monkeypatch.setattr(grids, name, size)
    assert np.array_equal(trees.pair_evaluator.margin(given, (23, 31)), whole)


def test_the_same_with_one_and_two_threads_of_the_algebra() -> None:
    given = columns(0, 300, 700)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            found.append(FORESTS[2].pair_evaluator.margin(given, (300, 700)))
    assert np.array_equal(*found)


def test_leaves_that_are_single_trees_reach_all() -> None:
    X = np.zeros((10, N_FEATURES))
    booster = xgb.train(
        {"gamma": 1e9, "nthread": 1}, xgb.DMatrix(X, label=np.arange(10.0), nthread=1), num_boost_round=3
    )
    trees = TreeEnsemble.from_xgboost(booster, N_FEATURES)
    given = columns(0, 3, 4)
    assert np.array_equal(trees.pair_evaluator.margin(given, (3, 4)).ravel(), trees.margin(pairs(given, 3, 4)))
