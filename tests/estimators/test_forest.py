"""The forest averaged with the boosted trees: scikit-learn's, as plain arrays."""

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier

from nasicon_ml.estimators.boosting import TrainingMatrix
from nasicon_ml.estimators.fitting import FOREST_DEPTH, FOREST_TREES, fit_forest, is_forest_feature
from nasicon_ml.features.build import feature_names

NAMES = ("x", "given_sintering_temperature_c", "magpie_MeltingT_mean", "overfired_c")


def make_rows(seed=0, count=300):
    """Pellets that are pure where x is small, unless overfired; half of the sintering temperatures are missing."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(size=(count, len(NAMES)))
    X[rng.uniform(size=count) < 0.5, 1] = np.nan
    y = ((X[:, 0] < 0.5) & (X[:, 3] < 0.8)).astype(float)
    return TrainingMatrix(X, NAMES, y, np.ones(count), np.arange(count).astype(str).astype(object))


def test_forest_predicts_like_scikit_learn():
    rows = make_rows()
    result = fit_forest(rows, share=0.4, seed=3).margin(rows.X)
    chosen = is_forest_feature(NAMES)
    forest = ExtraTreesClassifier(FOREST_TREES, max_depth=FOREST_DEPTH, random_state=3)
    forest.fit(rows.X[:, chosen], rows.y)
    base = (rows.y.sum() + 0.5) / (len(rows.y) + 1)
    share = forest.predict_proba(rows.X[:, chosen])[:, 1]
    expected = 0.4 * (np.log(base / (1 - base)) + (share - base) / (base * (1 - base)))
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_thresholds_and_missing_values_are_handled_like_scikit_learn():
    rows = make_rows()
    trees = fit_forest(rows, share=1.0, seed=0)
    chosen = is_forest_feature(NAMES)
    forest = ExtraTreesClassifier(FOREST_TREES, max_depth=FOREST_DEPTH, random_state=0)
    forest.fit(rows.X[:, chosen], rows.y)
    thresholds = forest.estimators_[0].tree_.threshold
    X = np.full((len(thresholds), len(NAMES)), np.nan)
    X[:, 0] = thresholds.astype(np.float32)
    base = (rows.y.sum() + 0.5) / (len(rows.y) + 1)
    expected = np.log(base / (1 - base)) + (forest.predict_proba(X[:, chosen])[:, 1] - base) / (base * (1 - base))
    np.testing.assert_allclose(trees.margin(X), expected, atol=1e-5)


def test_forest_ranks_unseen_pellets():
    result = fit_forest(make_rows(), share=1.0, seed=0)
    unseen = make_rows(seed=1)
    margin = result.margin(unseen.X)
    assert margin[unseen.y == 1].min() > np.median(margin[unseen.y == 0])


def test_forest_excludes_composition_statistics_and_starting_materials():
    assert is_forest_feature(NAMES).tolist() == [True, True, False, True]
    names = np.array(feature_names())[is_forest_feature(feature_names())].tolist()
    assert {"densification=sputtering", "given_lithium_excess_pct", "given_powder_bed", "m_Al"} <= set(names)
    assert not any("source=" in name or name.startswith("magpie") for name in names)


@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_forest_fitted_to_one_class_predicts_it(outcome):
    rows = make_rows()
    result = fit_forest(
        TrainingMatrix(rows.X, NAMES, np.full(len(rows.y), outcome), rows.weight, rows.sources), share=1.0, seed=0
    )
    assert (np.sign(result.margin(rows.X)) == np.sign(outcome - 0.5)).all()
