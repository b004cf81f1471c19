"""Margins of all pairs of composition and processing equal those of single recipes, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from nasicon_ml.trees import prediction
from nasicon_ml.trees.ensemble import TreeEnsemble

N_FEATURES = 6
#: Part of a recipe that each feature depends on.
PARTS = ("composition", "composition", "processing", "processing", "both", "both")


def grow_trees(seed: int, depth: int) -> TreeEnsemble:
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


ENSEMBLES = [grow_trees(seed, depth) for seed, depth in ((0, 1), (1, 3), (2, 6))]


def random_columns(seed: int, m: int, n: int, *, interacting: bool = True) -> list[np.ndarray]:
    """Return features of m compositions and n processings; some values are missing."""
    rng = np.random.default_rng(seed)
    shapes = {"composition": (m, 1), "processing": (n,), "both": (m, n)}
    features = []
    for part in PARTS:
        shape = shapes[part]
        values = rng.integers(-3, 4, size=shape).astype(np.float32)
        if part == "both" and not interacting:  # depends on one part only, though it has the shape of both
            values = np.broadcast_to(values[:1] if rng.random() < 0.5 else values[:, :1], shape).copy()
        values[rng.random(shape) < 0.1] = np.nan
        features.append(values)
    return features


def rows_of_pairs(features: list[np.ndarray], m: int, n: int) -> np.ndarray:
    return np.stack([np.broadcast_to(column, (m, n)).ravel() for column in features], axis=1)


@given(
    st.integers(0, 10**6),
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from(ENSEMBLES),
    st.booleans(),
)
@settings(max_examples=60)
def test_margins_of_pairs_equal_margins_of_rows(seed, m, n, trees, interacting) -> None:
    features = random_columns(seed, m, n, interacting=interacting)
    margins = trees.pair_evaluator.margin(features, (m, n)).ravel()
    assert np.array_equal(margins, trees.margin(rows_of_pairs(features, m, n)))


@pytest.mark.parametrize("trees", ENSEMBLES)
def test_margins_of_pairs_do_not_depend_on_block_sizes(monkeypatch, trees) -> None:
    features = random_columns(0, 23, 31)
    expected = trees.pair_evaluator.margin(features, (23, 31))
    for name, size in (("_COMPOSITION_BLOCK", 5), ("_PROCESSING_BLOCK", 7), ("_LEAF_BLOCK", 3)):
        monkeypatch.setattr(prediction, name, size)
    assert np.array_equal(trees.pair_evaluator.margin(features, (23, 31)), expected)


def test_margins_of_pairs_do_not_depend_on_number_of_blas_threads() -> None:
    features = random_columns(0, 300, 700)
    margins = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            margins.append(ENSEMBLES[2].pair_evaluator.margin(features, (300, 700)))
    assert np.array_equal(*margins)


def test_trees_of_a_single_leaf_apply_to_all_pairs() -> None:
    X = np.zeros((10, N_FEATURES))
    booster = xgb.train(
        {"gamma": 1e9, "nthread": 1}, xgb.DMatrix(X, label=np.arange(10.0), nthread=1), num_boost_round=3
    )
    trees = TreeEnsemble.from_xgboost(booster, N_FEATURES)
    features = random_columns(0, 3, 4)
    margins = trees.pair_evaluator.margin(features, (3, 4)).ravel()
    assert np.array_equal(margins, trees.margin(rows_of_pairs(features, 3, 4)))
