"""The forest beside the boosted trees: scikit-learn's, as plain arrays."""

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier

from nasicon_ml.estimators.boosting import TrainingMatrix
from nasicon_ml.estimators.fitting import FOREST_DEPTH, FOREST_TREES, fit_forest, is_forest_feature
from nasicon_ml.features.build import feature_names

NAMES = ("x", "given_sintering_temperature_c", "magpie_MeltingT_mean", "overfired_c")


def pellets(seed=0, count=300):
    """Pellets that are pure where x is small, unless they were fired too hot; half of the firings unknown."""
    random = np.random.default_rng(seed)
    X = random.uniform(size=(count, len(NAMES)))
    X[random.uniform(size=count) < 0.5, 1] = np.nan
    y = ((X[:, 0] < 0.5) & (X[:, 3] < 0.8)).astype(float)
    return TrainingMatrix(X, NAMES, y, np.ones(count), np.arange(count).astype(str).astype(object))


def test_arrays_predict_like_scikit_learn():
    rows = pellets()
    found = fit_forest(rows, share=0.4, seed=3).margin(rows.X)
    chosen = is_forest_feature(NAMES)
    forest = ExtraTreesClassifier(FOREST_TREES, max_depth=FOREST_DEPTH, random_state=3)
    forest.fit(rows.X[:, chosen], rows.y)
    base = (rows.y.sum() + 0.5) / (len(rows.y) + 1)
    share = forest.predict_proba(rows.X[:, chosen])[:, 1]
    expected = 0.4 * (np.log(base / (1 - base)) + (share - base) / (base * (1 - base)))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_thresholds_and_missing_values_are_handled_like_scikit_learn():
    rows = pellets()
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


def test_the_forest_ranks_unseen_pellets():
    found = fit_forest(pellets(), share=1.0, seed=0)
    other = pellets(seed=1)
    margin = found.margin(other.X)
    assert margin[other.y == 1].min() > np.median(margin[other.y == 0])


def test_the_forest_uses_no_statistics_of_the_composition():
    assert is_forest_feature(NAMES).tolist() == [True, True, False, True]
    names = np.array(feature_names())[is_forest_feature(feature_names())].tolist()
    assert {"densification=sputtering", "given_lithium_excess_pct", "given_powder_bed", "m_Al"} <= set(names)
    assert not any("source=" in name or name.startswith("magpie") for name in names)


@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_one_class_is_predicted_for_all_pellets(outcome):
    rows = pellets()
    found = fit_forest(
        TrainingMatrix(rows.X, NAMES, np.full(len(rows.y), outcome), rows.weight, rows.sources), share=1.0, seed=0
    )
    assert (np.sign(found.margin(rows.X)) == np.sign(outcome - 0.5)).all()
