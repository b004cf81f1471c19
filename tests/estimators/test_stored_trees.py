"""Trees evaluated without XGBoost: the leaves that XGBoost reaches, added up exactly."""

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

from nasicon_ml.errors import BundleError
from nasicon_ml.estimators import leaf_sums
from nasicon_ml.estimators.forest import read_forest, stored
from nasicon_ml.estimators.stored_trees import StoredTrees, inplace_margin, read_base_score
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.features.build import build_features
from nasicon_ml.model import PropertyModel

CHAMPION = Path(__file__).resolve().parents[2] / "models" / "champion"
N_FEATURES = 4


@pytest.fixture(scope="module")
def champion() -> PropertyModel:
    return PropertyModel.load(CHAMPION)


def grown(**settings: object) -> StoredTrees:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, N_FEATURES))
    X[rng.random(X.shape) < 0.2] = np.nan
    y = np.nan_to_num(X[:, 0]) * np.nan_to_num(X[:, 1], nan=1.0) + np.isnan(X[:, 2])
    given = {"max_depth": 4, "nthread": 1, "objective": "reg:squarederror"} | settings
    booster = xgb.train(given, xgb.DMatrix(X, label=y, nthread=1), num_boost_round=20)
    return stored(booster, N_FEATURES)


def leaves_of_xgboost(trees: StoredTrees, X: np.ndarray) -> np.ndarray:
    """Add up, in double precision, the leaves that XGBoost says recipes reach."""
    reached = trees.booster.predict(xgb.DMatrix(X, nthread=1), pred_leaf=True).reshape(len(X), -1)
    nodes = trees.table.starts + reached.astype(np.int64)
    values = trees.table.columns["split_conditions"].astype(np.float64)[nodes]
    return np.float32(trees.base_score) + values.sum(axis=1)


@pytest.fixture(scope="module")
def trees() -> StoredTrees:
    return grown()


@pytest.mark.parametrize("target", list(TargetName))
def test_the_champions_trees_say_of_every_pellet_what_xgboost_says(champion, target) -> None:
    X = build_features(champion.pellets, champion.feature_set).values
    trees = champion.boosters[target]
    found = trees.margin(X)
    assert found == pytest.approx(leaves_of_xgboost(trees, X), rel=0, abs=1e-8)
    # XGBoost itself adds a thousand leaves in single precision.
    assert found == pytest.approx(inplace_margin(trees.booster, X), rel=0, abs=1e-5)


@pytest.mark.parametrize("target", list(TargetName))
def test_lots_of_trees_in_single_precision_come_within_a_millionth(champion, target) -> None:
    """XGBoost, asked for twenty rounds at a time: what it loses is lost by adding up, and not by other leaves."""
    X = build_features(champion.pellets, champion.feature_set).values
    trees = champion.boosters[target]
    booster = trees.booster.copy()
    matrix, rounds = xgb.DMatrix(X, nthread=1), booster.num_boosted_rounds()
    matrix.set_base_margin(np.zeros(len(X)))
    lots = [(start, min(start + 20, rounds)) for start in range(0, rounds, 20)]
    parts = [booster.predict(matrix, output_margin=True, iteration_range=lot).astype(np.float64) for lot in lots]
    total = np.float32(trees.base_score) + np.sum(parts, axis=0)
    assert trees.margin(X) == pytest.approx(total, rel=0, abs=1e-6)


@given(
    hnp.arrays(
        np.float64,
        st.tuples(st.integers(0, 30), st.just(N_FEATURES)),
        elements=st.one_of(st.floats(-1e30, 1e30), st.floats(-3, 3), st.just(np.nan)),
    )
)
def test_any_numbers_and_gaps_reach_the_leaves_that_xgboost_reaches(trees, X) -> None:
    expected = leaves_of_xgboost(trees, X) if len(X) else np.empty(0)
    assert trees.margin(X) == pytest.approx(expected, rel=0, abs=1e-8)


def test_a_number_on_a_threshold_goes_where_xgboost_sends_it(trees) -> None:
    inner = trees.table.columns["left_children"] >= 0
    thresholds = trees.table.columns["split_conditions"][inner]
    X = np.repeat(thresholds[:, None], N_FEATURES, axis=1).astype(np.float64)
    assert trees.margin(X) == pytest.approx(leaves_of_xgboost(trees, X), rel=0, abs=1e-8)


@pytest.mark.parametrize(
    "settings", [{"max_depth": 0, "max_leaves": 2, "grow_policy": "lossguide"}, {"gamma": 1e9}]
)
def test_stumps_and_single_leaves_are_trees_too(settings) -> None:
    trees = grown(**settings)
    X = np.random.default_rng(1).normal(size=(7, N_FEATURES))
    assert trees.margin(X) == pytest.approx(leaves_of_xgboost(trees, X), rel=0, abs=1e-8)


@pytest.mark.parametrize(("recipes", "at_once", "few"), [(1, 1, 0), (7, 3, 0), (512, 32, 100), (50, 1000, 0)])
def test_the_same_numbers_however_many_are_evaluated_at_once(trees, monkeypatch, recipes, at_once, few) -> None:
    X = np.random.default_rng(2).normal(size=(50, N_FEATURES))
    whole = trees.margin(X)
    monkeypatch.setattr(leaf_sums, "_RECIPES", recipes)
    monkeypatch.setattr(leaf_sums, "_TREES", at_once)
    monkeypatch.setattr(leaf_sums, "_FEW", few)
    monkeypatch.setattr(leaf_sums, "_MOST_BYTES", 10**6 if few else 10**9)
    again = read_forest(trees.raw, N_FEATURES)
    assert np.array_equal(again.margin(X), whole)
    assert np.array_equal(np.concatenate([again.margin(X[[row]]) for row in range(len(X))]), whole)


def test_what_is_saved_again_is_the_file(trees) -> None:
    assert trees.save_raw("ubj") == trees.raw
    assert trees.save_raw("json").startswith(b"{")


@pytest.mark.parametrize(("text", "value"), [("[-1.5E0]", -1.5), ("5E-1", 0.5), ("[3]", 3.0)])
def test_the_base_score_is_read_as_any_version_writes_it(text, value) -> None:
    assert read_base_score(text) == value


def test_trees_that_xgboost_refuses_after_all_are_a_bad_bundle(trees) -> None:
    broken = StoredTrees(b"{", trees.table, trees.base_score)
    with pytest.raises(BundleError, match="XGBoost cannot read"):
        _ = broken.booster


def test_a_single_prediction_imports_neither_xgboost_nor_scipy_nor_pymatgen() -> None:
    program = (
        "import sys; from nasicon_ml.recipe import Recipe; from nasicon_ml.workflows.predict import predict;"
        "predict(Recipe(formula='LATP x=0.3', sintering_temperature_c=900)).results;"
        "print(sorted({'xgboost', 'scipy', 'sklearn', 'mlflow', 'matplotlib'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
