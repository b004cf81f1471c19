"""Trees are evaluated without XGBoost: they reach the same leaves, whose values are summed exactly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nasicon_ml.estimators.boosting import raw_prediction
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.features.build import build_features
from nasicon_ml.model import PropertyModel
from nasicon_ml.trees import prediction
from nasicon_ml.trees.arrays import from_json, read_npz, to_json, write_npz
from nasicon_ml.trees.ensemble import TreeEnsemble

CHAMPION = Path(__file__).resolve().parents[2] / "models" / "champion"
N_FEATURES = 4


@pytest.fixture(scope="module")
def champion() -> PropertyModel:
    return PropertyModel.load(CHAMPION)


def grow_trees(**settings: object) -> TreeEnsemble:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, N_FEATURES))
    X[rng.random(X.shape) < 0.2] = np.nan
    y = np.nan_to_num(X[:, 0]) * np.nan_to_num(X[:, 1], nan=1.0) + np.isnan(X[:, 2])
    parameters = {"max_depth": 4, "nthread": 1, "objective": "reg:squarederror"} | settings
    booster = xgb.train(parameters, xgb.DMatrix(X, label=y, nthread=1), num_boost_round=20)
    return TreeEnsemble.from_xgboost(booster, N_FEATURES)


def sum_of_xgboost_leaves(trees: TreeEnsemble, X: np.ndarray) -> np.ndarray:
    """Sum, in double precision, the values of the leaves that XGBoost reports with `pred_leaf`."""
    reached = trees.to_xgboost().predict(xgb.DMatrix(X, nthread=1), pred_leaf=True).reshape(len(X), -1)
    nodes = trees.arrays.starts + reached.astype(np.int64)
    values = trees.arrays.value.astype(np.float64)[nodes]
    return trees.arrays.base_score + values.sum(axis=1)


@pytest.fixture(scope="module")
def trees() -> TreeEnsemble:
    return grow_trees()


@pytest.mark.parametrize("target", list(TargetName))
def test_champion_margins_of_all_pellets_equal_those_of_xgboost(champion, target) -> None:
    X = build_features(champion.pellets, champion.feature_set).values
    trees = champion.boosters[target]
    margin = trees.margin(X)
    assert margin == pytest.approx(sum_of_xgboost_leaves(trees, X), rel=0, abs=1e-8)
    # XGBoost sums a thousand leaves in single precision.
    assert margin == pytest.approx(raw_prediction(trees.to_xgboost(), X), rel=0, abs=1e-5)


@pytest.mark.parametrize("target", list(TargetName))
def test_champion_margins_equal_sums_of_xgboost_over_20_rounds_at_a_time(champion, target) -> None:
    """XGBoost differs because it sums in single precision, not because it reaches other leaves."""
    X = build_features(champion.pellets, champion.feature_set).values
    trees = champion.boosters[target]
    booster = trees.to_xgboost().copy()
    matrix, rounds = xgb.DMatrix(X, nthread=1), booster.num_boosted_rounds()
    matrix.set_base_margin(np.zeros(len(X)))
    parts = [(start, min(start + 20, rounds)) for start in range(0, rounds, 20)]
    margins = [
        booster.predict(matrix, output_margin=True, iteration_range=part).astype(np.float64) for part in parts
    ]
    total = trees.arrays.base_score + np.sum(margins, axis=0)
    assert trees.margin(X) == pytest.approx(total, rel=0, abs=1e-6)


@given(
    hnp.arrays(
        np.float64,
        st.tuples(st.integers(0, 30), st.just(N_FEATURES)),
        elements=st.one_of(st.floats(-1e30, 1e30), st.floats(-3, 3), st.just(np.nan)),
    )
)
def test_any_features_with_missing_values_reach_leaves_of_xgboost(trees, X) -> None:
    expected = sum_of_xgboost_leaves(trees, X) if len(X) else np.empty(0)
    assert trees.margin(X) == pytest.approx(expected, rel=0, abs=1e-8)


def test_value_equal_to_threshold_goes_to_side_of_xgboost(trees) -> None:
    thresholds = trees.arrays.value[~trees.arrays.is_leaf]
    X = np.repeat(thresholds[:, None], N_FEATURES, axis=1).astype(np.float64)
    assert trees.margin(X) == pytest.approx(sum_of_xgboost_leaves(trees, X), rel=0, abs=1e-8)


@pytest.mark.parametrize(
    "settings", [{"max_depth": 0, "max_leaves": 2, "grow_policy": "lossguide"}, {"gamma": 1e9}]
)
def test_stumps_and_single_leaves_are_evaluated(settings) -> None:
    trees = grow_trees(**settings)
    X = np.random.default_rng(1).normal(size=(7, N_FEATURES))
    assert trees.margin(X) == pytest.approx(sum_of_xgboost_leaves(trees, X), rel=0, abs=1e-8)


@pytest.mark.parametrize(
    "sizes",
    [
        {"_RECIPE_BLOCK": 64, "_TREE_BLOCK": 1, "_MAX_DESCENDING": 0, "_MAX_RECIPES_AT_ONCE": 0},
        {
            "_RECIPE_BLOCK": 128,
            "_TREE_BLOCK": 7,
            "_MAX_DESCENDING": 0,
            "_TABLE_DIRECTIONS": 5,
            "_MAX_RECIPES_AT_ONCE": 64,
        },
        {"_RECIPE_BLOCK": 512, "_TREE_BLOCK": 32, "_MAX_DESCENDING": 30, "_TABLE_DIRECTIONS": 12},
        {"_RECIPE_BLOCK": 512, "_TREE_BLOCK": 32, "_MAX_DESCENDING": 0, "_MAX_TABLE_ENTRIES": 1},
        {
            "_RECIPE_BLOCK": 64,
            "_TREE_BLOCK": 9,
            "_MAX_DESCENDING": 0,
            "_MAX_TABLE_ENTRIES": 99,
            "_TABLE_DIRECTIONS": 3,
            "_MAX_RECIPES_AT_ONCE": 0,
        },
    ],
)
def test_margin_does_not_depend_on_block_sizes_or_method(trees, monkeypatch, sizes):
    X = np.random.default_rng(2).normal(size=(200, N_FEATURES))
    X[::3, 2] = np.nan
    expected = trees.margin(X)
    for name, value in sizes.items():
        monkeypatch.setattr(prediction, name, value)
    ensemble = TreeEnsemble(trees.arrays)
    assert np.array_equal(ensemble.margin(X), expected)
    for size in (1, 3, 63, 64, 65):
        parts = [ensemble.margin(X[start : start + size]) for start in range(0, len(X), size)]
        assert np.array_equal(np.concatenate(parts), expected)


@pytest.mark.parametrize("depth", [1, 2, 3, 7, 11])
def test_trees_of_various_depths_reach_leaves_of_xgboost(depth) -> None:
    trees = grow_trees(max_depth=depth, min_child_weight=0, reg_lambda=0)
    X = np.random.default_rng(3).normal(size=(100, N_FEATURES))
    X[::4, 1] = np.nan
    assert trees.margin(X) == pytest.approx(sum_of_xgboost_leaves(trees, X), rel=0, abs=1e-8)
    assert np.array_equal(np.concatenate([trees.margin(X[[row]]) for row in range(len(X))]), trees.margin(X))


def test_xgboost_export_of_saved_trees_equals_trained_booster(trees, tmp_path) -> None:
    """Predictions, contributions and importances are equal to the last bit, also after `save_model`."""
    X = np.random.default_rng(4).normal(size=(50, N_FEATURES))
    X[::5, 0] = np.nan
    matrix = xgb.DMatrix(X, nthread=1)
    exported = TreeEnsemble(read_npz(write_npz(trees.arrays), N_FEATURES)).to_xgboost()
    exported.save_model(tmp_path / "trees.ubj")
    for booster in (exported, xgb.Booster(model_file=tmp_path / "trees.ubj")):
        for options in ({}, {"pred_contribs": True}, {"pred_leaf": True}, {"iteration_range": (0, 7)}):
            assert np.array_equal(booster.predict(matrix, **options), trees.grown.predict(matrix, **options))
        for kind in ("weight", "gain", "cover"):
            assert booster.get_score(importance_type=kind) == trees.grown.get_score(importance_type=kind)
        assert booster.num_boosted_rounds() == trees.grown.num_boosted_rounds()
    assert exported.inplace_predict(X) == pytest.approx(trees.margin(X), abs=1e-5)


def test_json_round_trip_is_exact(trees) -> None:
    assert write_npz(from_json(to_json(trees.arrays))) == write_npz(trees.arrays)


def test_single_prediction_does_not_import_xgboost_scipy_or_sklearn() -> None:
    program = (
        "import sys; from nasicon_ml.recipe import Recipe; from nasicon_ml.workflows.predict import predict;"
        "predict(Recipe(formula='LATP x=0.3', sintering_temperature_c=900)).results;"
        "print(sorted({'xgboost', 'scipy', 'sklearn', 'mlflow', 'matplotlib'} & set(sys.modules)))"
    )
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"


@pytest.mark.parametrize("target", ["conductivity", "phase_purity"])
def test_scaled_and_joined_trees_predict_weighted_sum(champion: PropertyModel, target: str) -> None:
    trees, other = champion.boosters[TargetName(target)], champion.boosters[TargetName.RELATIVE_DENSITY]
    X = build_features(champion.pellets.head(300), champion.feature_set).values
    expected = 0.3 * trees.margin(X) + other.margin(X)
    combined = trees.scaled(0.3).joined(other)
    combined.arrays.check(X.shape[1])
    np.testing.assert_allclose(combined.margin(X), expected, atol=1e-5)
    assert trees.scaled(1.0) is trees
