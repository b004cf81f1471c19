"""Objectives with an intercept per source: their gradients, and what trees learn with them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from nasicon_ml.estimators.boosting import (
    MIXED_LOGISTIC,
    MIXED_ROBUST,
    BoosterSettings,
    TrainingMatrix,
    fit_booster,
    logistic_objective,
    raw_prediction,
    robust_objective,
)

#: An evaluation makes three Newton steps; after many at the same predictions the intercepts have converged.
EVALUATIONS = 300


def converged(objective, predicted):
    """Return gradient and curvature after the intercepts have converged."""
    for _ in range(EVALUATIONS):
        gradient_and_curvature = objective(predicted, None)
    return gradient_and_curvature


def robust_loss(error, tolerance):
    return tolerance**2 * (np.sqrt(1.0 + (error / tolerance) ** 2) - 1.0)


def logistic_loss(log_odds, y):
    return np.logaddexp(0.0, log_odds) - y * log_odds


def profile_loss(row_loss, predicted, weight, sources, shrinkage):
    """Return the loss of all rows with the optimal intercept of each source, found by a scalar minimizer."""
    total = 0.0
    for source in np.unique(sources):
        is_source = sources == source

        def source_loss(level, rows=is_source):
            return float(
                (weight[rows] * row_loss(predicted[rows] + level, rows)).sum() + 0.5 * shrinkage * level**2
            )

        total += minimize_scalar(source_loss, bracket=(-0.5, 0.5), method="brent", tol=1e-12).fun
    return total


def numerical_gradient(loss, predicted, step=1e-4):
    gradient = np.empty(len(predicted))
    for row in range(len(predicted)):
        ahead, behind = predicted.copy(), predicted.copy()
        ahead[row] += step
        behind[row] -= step
        gradient[row] = (loss(ahead) - loss(behind)) / (2.0 * step)
    return gradient


def random_rows(seed, rows=14):
    rng = np.random.default_rng(seed)
    sources = np.array([f"s{at}" for at in rng.integers(0, 4, rows)])
    return rng.normal(size=rows), rng.uniform(0.3, 2.0, rows), sources, rng


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.floats(0.1, 2.0), st.floats(0.3, 10.0))
def test_robust_gradient_is_that_of_the_profile_loss(seed, tolerance, shrinkage):
    y, weight, sources, rng = random_rows(seed)
    predicted = rng.normal(size=len(y))
    gradient, curvature = converged(
        robust_objective(y, weight, sources, tolerance=tolerance, shrinkage=shrinkage), predicted
    )

    def loss(at):
        return profile_loss(lambda f, rows: robust_loss(f - y[rows], tolerance), at, weight, sources, shrinkage)

    np.testing.assert_allclose(gradient, numerical_gradient(loss, predicted), atol=1e-5)
    assert (curvature > 0).all()
    assert (curvature <= weight).all()


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.floats(0.3, 10.0))
def test_logistic_gradient_is_that_of_the_profile_loss(seed, shrinkage):
    noise, weight, sources, rng = random_rows(seed)
    y = (noise > 0).astype(float)
    predicted = rng.normal(size=len(y))
    gradient, _ = converged(logistic_objective(y, weight, sources, shrinkage=shrinkage), predicted)

    def loss(at):
        return profile_loss(lambda f, rows: logistic_loss(f, y[rows]), at, weight, sources, shrinkage)

    np.testing.assert_allclose(gradient, numerical_gradient(loss, predicted), atol=1e-5)


def test_intercepts_are_shrunk_means_of_the_errors_of_a_source():
    """For small errors the intercept is sum(errors) / (rows + shrinkage); the gradient is the remaining error."""
    y = np.array([0.3, 0.3, 0.3, 0.3])
    objective = robust_objective(y, np.ones(4), ["a", "a", "a", "b"], tolerance=1e6, shrinkage=2.0)
    gradient, curvature = converged(objective, np.zeros(4))
    np.testing.assert_allclose(-gradient, [0.3 * 2 / 5] * 3 + [0.3 * 2 / 3])
    np.testing.assert_allclose(curvature, 1.0)


def test_intercepts_vanish_with_a_huge_shrinkage():
    y, weight, sources, rng = random_rows(1)
    predicted = rng.normal(size=len(y))
    gradient, _ = converged(robust_objective(y, weight, sources, tolerance=0.5, shrinkage=1e12), predicted)
    error = predicted - y
    np.testing.assert_allclose(gradient, weight * error / np.sqrt(1 + (error / 0.5) ** 2), atol=1e-9)
    outcome = (y > 0).astype(float)
    gradient, _ = converged(logistic_objective(outcome, weight, sources, shrinkage=1e12), predicted)
    np.testing.assert_allclose(gradient, weight * (1 / (1 + np.exp(-predicted)) - outcome), atol=1e-9)


@pytest.mark.parametrize("kind", ["robust", "logistic"])
@given(seed=st.integers(0, 1000))
def test_names_of_sources_and_order_of_rows_have_no_effect(kind, seed):
    noise, weight, sources, rng = random_rows(seed)
    y = noise if kind == "robust" else (noise > 0).astype(float)
    predicted = rng.normal(size=len(y))
    renamed = np.array([{"s0": "z", "s1": "10", "s2": "9", "s3": "a"}[name] for name in sources], dtype=object)
    order = rng.permutation(len(y))

    def derivatives(at, names):
        if kind == "robust":
            objective = robust_objective(y[at], weight[at], names[at], tolerance=0.3, shrinkage=2.0)
        else:
            objective = logistic_objective(y[at], weight[at], names[at], shrinkage=2.0)
        return objective(predicted[at], None)

    original = derivatives(np.arange(len(y)), sources)
    for expected, result in zip(original, derivatives(order, renamed), strict=True):
        np.testing.assert_allclose(result, expected[order], rtol=1e-10, atol=1e-13)


def test_outlier_hardly_changes_the_intercept_of_its_source():
    """Nine pellets agree; the tenth is ten decades off and moves the intercept by less than the tolerance."""
    y = np.append(np.zeros(9), 10.0)
    objective = robust_objective(y, np.ones(10), ["a"] * 10, tolerance=0.3, shrinkage=1.0)
    gradient, curvature = converged(objective, np.zeros(10))
    # All nine lie on the same side of the intercept, so that their gradient tells how far it moved.
    level = gradient[0] / curvature[0]
    assert 0.0 < level < 0.1  # the mean would be 10 / 11
    assert abs(gradient[9]) == pytest.approx(0.3, rel=1e-2)  # gradients are bounded by the tolerance
    assert curvature[9] > 0.0


@pytest.mark.parametrize("outcome", [0.0, 1.0])
@given(predicted=st.lists(st.floats(-30, 30), min_size=1, max_size=8))
def test_intercepts_are_finite_with_one_class(outcome, predicted):
    rows = len(predicted)
    objective = logistic_objective(np.full(rows, outcome), np.ones(rows), ["a"] * rows, shrinkage=1.0)
    gradient, curvature = converged(objective, np.array(predicted))
    assert np.isfinite(gradient).all()
    assert (np.sign(gradient) == (1.0 if outcome == 0.0 else -1.0)).all()
    assert (curvature >= 1e-3).all()


# ---- trees under these objectives -------------------------------------------------------------------------------

PLAIN = BoosterSettings("reg:absoluteerror", 150, 0.06, 3, 3.0, 0.7, 1.0, 3.0, 2)
MIXED = PLAIN.changed(objective=MIXED_ROBUST, source_shrinkage=0.5, tolerance=0.3)
NAMES = ("heat", "paper")


def make_papers(rng, count, *, spread, pellets=8):
    """Pellets whose value rises by 1 with heat, with a random offset of each paper of the size `spread`.

    The second feature is the same in all pellets of a paper and has no effect: it merely identifies the paper.
    """
    sources = np.repeat(np.arange(count), pellets)
    heat = rng.uniform(0, 1, len(sources)) + rng.normal(0, 0.3, count)[sources]
    paper_feature = rng.normal(size=count)[sources]
    level = rng.normal(0, spread, count)[sources]
    truth = np.clip(heat, 0, 1)
    y = truth + level + rng.normal(0, 0.05, len(sources))
    return np.column_stack([heat, paper_feature]), y, truth, sources.astype(object)


def matrix(X, y, sources):
    return TrainingMatrix(X, NAMES, y, np.ones(len(y)), sources)


def errors_on_new_papers(settings, seed):
    rng = np.random.default_rng(seed)
    X, y, _, sources = make_papers(rng, 25, spread=1.0)
    new, _, truth, _ = make_papers(rng, 60, spread=1.0)
    predicted = raw_prediction(fit_booster(matrix(X, y, sources), settings, seed=0), new)
    return np.abs(predicted - truth).mean(), np.polyfit(truth, predicted, 1)[0]


def test_trees_with_intercepts_do_not_learn_offsets_of_papers():
    seeds = range(4)
    plain = np.array([errors_on_new_papers(PLAIN, seed) for seed in seeds])
    mixed = np.array([errors_on_new_papers(MIXED, seed) for seed in seeds])
    assert mixed[:, 0].mean() < 0.75 * plain[:, 0].mean(), "errors on new papers are smaller"
    slope_error = np.abs(np.array([plain[:, 1], mixed[:, 1]]) - 1.0).mean(axis=1)
    assert slope_error[1] < slope_error[0]
    assert slope_error[1] < 0.35


def test_trees_learn_effects_common_to_papers():
    """Without offsets between papers the level is learned by the trees, not by the intercepts."""
    rng = np.random.default_rng(3)
    X, y, _, sources = make_papers(rng, 25, spread=0.0)
    new, _, truth, _ = make_papers(rng, 60, spread=0.0)
    predicted = raw_prediction(fit_booster(matrix(X, y + 5.0, sources), MIXED, seed=0), new)
    assert np.abs(predicted - truth - 5.0).mean() < 0.1


def test_outliers_hardly_change_the_trees():
    rng = np.random.default_rng(4)
    X, y, _, sources = make_papers(rng, 25, spread=0.5)
    y_with_outliers = y.copy()
    y_with_outliers[rng.choice(len(y), 8, replace=False)] += 20.0
    clean, disturbed = (
        raw_prediction(fit_booster(matrix(X, values, sources), MIXED, seed=0), X)
        for values in (y, y_with_outliers)
    )
    squared = MIXED.changed(tolerance=1e3)
    clean_squared, disturbed_squared = (
        raw_prediction(fit_booster(matrix(X, values, sources), squared, seed=0), X)
        for values in (y, y_with_outliers)
    )
    assert np.abs(disturbed - clean).mean() < 0.2
    assert np.abs(disturbed - clean).mean() < 0.3 * np.abs(disturbed_squared - clean_squared).mean()


def test_huge_shrinkage_gives_the_same_trees_as_one_paper_per_pellet():
    """In both cases the intercepts have no effect."""
    rng = np.random.default_rng(5)
    X, y, _, sources = make_papers(rng, 12, spread=1.0)
    shrunk = MIXED.changed(source_shrinkage=1e12)
    first = raw_prediction(fit_booster(matrix(X, y, sources), shrunk, seed=0), X)
    one_paper_per_pellet = raw_prediction(
        fit_booster(matrix(X, y, np.arange(len(y)).astype(object)), shrunk, seed=0), X
    )
    np.testing.assert_allclose(first, one_paper_per_pellet, atol=1e-5)
    assert np.abs(first - raw_prediction(fit_booster(matrix(X, y, sources), MIXED, seed=0), X)).max() > 0.1


def test_names_of_papers_do_not_change_trees():
    rng = np.random.default_rng(6)
    X, y, _, sources = make_papers(rng, 12, spread=1.0)
    renamed = np.array([f"paper {(7 * int(one)) % 12}" for one in sources], dtype=object)
    first, second = (
        raw_prediction(fit_booster(matrix(X, y, names), MIXED, seed=0), X) for names in (sources, renamed)
    )
    np.testing.assert_array_equal(first, second)


LOGISTIC = BoosterSettings(MIXED_LOGISTIC, 120, 0.06, 2, 1.0, 0.7, 1.0, 3.0, 2, source_shrinkage=0.5)


def test_intercepts_improve_probabilities_of_new_papers():
    def mean_error(settings, seed):
        rng = np.random.default_rng(seed)

        def draw_papers(count):
            X, _, truth, sources = make_papers(rng, count, spread=0.0)
            log_odds = 6.0 * (truth - 0.5) + rng.normal(0, 2.5, count)[sources.astype(int)]
            return X, (rng.uniform(size=len(X)) < 1 / (1 + np.exp(-log_odds))).astype(float), truth, sources

        X, y, _, sources = draw_papers(25)
        new, _, truth, _ = draw_papers(60)
        predicted = raw_prediction(fit_booster(matrix(X, y, sources), settings, seed=0), new)
        return np.abs(predicted - 6.0 * (truth - 0.5)).mean()

    plain = LOGISTIC.changed(objective="binary:logistic")
    errors = np.array([[mean_error(LOGISTIC, seed), mean_error(plain, seed)] for seed in range(4)]).mean(axis=0)
    assert errors[0] < 0.9 * errors[1]


@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_trees_fitted_to_one_class_are_finite_and_predict_it(outcome):
    rng = np.random.default_rng(7)
    X, _, _, sources = make_papers(rng, 6, spread=1.0)
    predicted = raw_prediction(fit_booster(matrix(X, np.full(len(X), outcome), sources), LOGISTIC, seed=0), X)
    assert np.isfinite(predicted).all()
    assert ((predicted > 2.0) if outcome else (predicted < -2.0)).all()
