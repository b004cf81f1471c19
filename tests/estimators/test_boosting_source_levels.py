"""Every source has a level of its own: the objectives by themselves, and what trees learn under them."""

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

#: In one round three steps are made; over many rounds at the same predictions the intercepts reach their optimum.
MANY = 300


def settled(objective, predicted):
    """Gradient and curvature once the intercepts no longer move."""
    for _ in range(MANY):
        found = objective(predicted, None)
    return found


def robust_loss(error, tolerance):
    return tolerance**2 * (np.sqrt(1.0 + (error / tolerance) ** 2) - 1.0)


def logistic_loss(log_odds, y):
    return np.logaddexp(0.0, log_odds) - y * log_odds


def profiled(row_loss, predicted, weight, sources, shrinkage):
    """The loss of all rows at the best intercept of every source, each found by a search of its own."""
    total = 0.0
    for source in np.unique(sources):
        at = sources == source

        def one(level, at=at):
            return float((weight[at] * row_loss(predicted[at] + level, at)).sum() + 0.5 * shrinkage * level**2)

        total += minimize_scalar(one, bracket=(-0.5, 0.5), method="brent", tol=1e-12).fun
    return total


def numerical_gradient(loss, predicted, step=1e-4):
    found = np.empty(len(predicted))
    for row in range(len(predicted)):
        ahead, behind = predicted.copy(), predicted.copy()
        ahead[row] += step
        behind[row] -= step
        found[row] = (loss(ahead) - loss(behind)) / (2.0 * step)
    return found


def some_rows(seed, rows=14):
    random = np.random.default_rng(seed)
    sources = np.array([f"s{at}" for at in random.integers(0, 4, rows)])
    return random.normal(size=rows), random.uniform(0.3, 2.0, rows), sources, random


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.floats(0.1, 2.0), st.floats(0.3, 10.0))
def test_robust_gradient_is_that_of_the_loss_at_the_best_intercepts(seed, tolerance, shrinkage):
    y, weight, sources, random = some_rows(seed)
    predicted = random.normal(size=len(y))
    gradient, curvature = settled(
        robust_objective(y, weight, sources, tolerance=tolerance, shrinkage=shrinkage), predicted
    )

    def loss(at):
        return profiled(lambda f, rows: robust_loss(f - y[rows], tolerance), at, weight, sources, shrinkage)

    np.testing.assert_allclose(gradient, numerical_gradient(loss, predicted), atol=1e-5)
    assert (curvature > 0).all()
    assert (curvature <= weight).all()


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.floats(0.3, 10.0))
def test_logistic_gradient_is_that_of_the_loss_at_the_best_intercepts(seed, shrinkage):
    noise, weight, sources, random = some_rows(seed)
    y = (noise > 0).astype(float)
    predicted = random.normal(size=len(y))
    gradient, _ = settled(logistic_objective(y, weight, sources, shrinkage=shrinkage), predicted)

    def loss(at):
        return profiled(lambda f, rows: logistic_loss(f, y[rows]), at, weight, sources, shrinkage)

    np.testing.assert_allclose(gradient, numerical_gradient(loss, predicted), atol=1e-5)


def test_intercepts_are_shrunk_means_of_the_errors_of_a_source():
    """Where all errors are small, the intercept is sum(errors) / (rows + shrinkage); each row keeps the rest."""
    y = np.array([0.3, 0.3, 0.3, 0.3])
    objective = robust_objective(y, np.ones(4), ["a", "a", "a", "b"], tolerance=1e6, shrinkage=2.0)
    gradient, curvature = settled(objective, np.zeros(4))
    np.testing.assert_allclose(-gradient, [0.3 * 2 / 5] * 3 + [0.3 * 2 / 3])
    np.testing.assert_allclose(curvature, 1.0)


def test_a_huge_shrinkage_leaves_no_intercepts():
    y, weight, sources, random = some_rows(1)
    predicted = random.normal(size=len(y))
    gradient, _ = settled(robust_objective(y, weight, sources, tolerance=0.5, shrinkage=1e12), predicted)
    error = predicted - y
    np.testing.assert_allclose(gradient, weight * error / np.sqrt(1 + (error / 0.5) ** 2), atol=1e-9)
    outcome = (y > 0).astype(float)
    gradient, _ = settled(logistic_objective(outcome, weight, sources, shrinkage=1e12), predicted)
    np.testing.assert_allclose(gradient, weight * (1 / (1 + np.exp(-predicted)) - outcome), atol=1e-9)


@pytest.mark.parametrize("kind", ["robust", "logistic"])
@given(seed=st.integers(0, 1000))
def test_names_of_sources_and_order_of_rows_have_no_effect(kind, seed):
    noise, weight, sources, random = some_rows(seed)
    y = noise if kind == "robust" else (noise > 0).astype(float)
    predicted = random.normal(size=len(y))
    renamed = np.array([{"s0": "z", "s1": "10", "s2": "9", "s3": "a"}[name] for name in sources], dtype=object)
    order = random.permutation(len(y))

    def slopes(at, names):
        if kind == "robust":
            objective = robust_objective(y[at], weight[at], names[at], tolerance=0.3, shrinkage=2.0)
        else:
            objective = logistic_objective(y[at], weight[at], names[at], shrinkage=2.0)
        return objective(predicted[at], None)

    straight = slopes(np.arange(len(y)), sources)
    for expected, found in zip(straight, slopes(order, renamed), strict=True):
        np.testing.assert_allclose(found, expected[order], rtol=1e-10, atol=1e-13)


def test_an_outlier_hardly_changes_the_intercept_of_its_source():
    """Nine pellets agree; the tenth is ten decades off and pulls the level by less than a tolerance."""
    y = np.append(np.zeros(9), 10.0)
    objective = robust_objective(y, np.ones(10), ["a"] * 10, tolerance=0.3, shrinkage=1.0)
    gradient, curvature = settled(objective, np.zeros(10))
    # All nine stand on the same side of the intercept: their gradient says how far it moved.
    level = gradient[0] / curvature[0]
    assert 0.0 < level < 0.1  # the mean would be 10 / 11
    assert abs(gradient[9]) == pytest.approx(0.3, rel=1e-2)  # no error pulls by more than the tolerance
    assert curvature[9] > 0.0


@pytest.mark.parametrize("outcome", [0.0, 1.0])
@given(predicted=st.lists(st.floats(-30, 30), min_size=1, max_size=8))
def test_intercepts_are_finite_with_one_class(outcome, predicted):
    rows = len(predicted)
    objective = logistic_objective(np.full(rows, outcome), np.ones(rows), ["a"] * rows, shrinkage=1.0)
    gradient, curvature = settled(objective, np.array(predicted))
    assert np.isfinite(gradient).all()
    assert (np.sign(gradient) == (1.0 if outcome == 0.0 else -1.0)).all()
    assert (curvature >= 1e-3).all()


# ---- trees under these objectives -------------------------------------------------------------------------------

PLAIN = BoosterSettings("reg:absoluteerror", 150, 0.06, 3, 3.0, 0.7, 1.0, 3.0, 2)
MIXED = PLAIN.changed(objective=MIXED_ROBUST, source_shrinkage=0.5, tolerance=0.3)
NAMES = ("heat", "paper")


def papers(random, count, *, spread, pellets=8):
    """Pellets whose value rises by 1 with heat, whose papers lie higher or lower by `spread` for no reason.

    The second feature is a habit of the paper, the same in all its pellets: it names the paper, no more.
    """
    sources = np.repeat(np.arange(count), pellets)
    heat = random.uniform(0, 1, len(sources)) + random.normal(0, 0.3, count)[sources]
    habit = random.normal(size=count)[sources]
    level = random.normal(0, spread, count)[sources]
    truth = np.clip(heat, 0, 1)
    y = truth + level + random.normal(0, 0.05, len(sources))
    return np.column_stack([heat, habit]), y, truth, sources.astype(object)


def matrix(X, y, sources):
    return TrainingMatrix(X, NAMES, y, np.ones(len(y)), sources)


def errors_on_new_papers(settings, seed):
    random = np.random.default_rng(seed)
    X, y, _, sources = papers(random, 25, spread=1.0)
    new, _, truth, _ = papers(random, 60, spread=1.0)
    predicted = raw_prediction(fit_booster(matrix(X, y, sources), settings, seed=0), new)
    return np.abs(predicted - truth).mean(), np.polyfit(truth, predicted, 1)[0]


def test_trees_do_not_learn_the_level_of_a_paper():
    seeds = range(4)
    plain = np.array([errors_on_new_papers(PLAIN, seed) for seed in seeds])
    mixed = np.array([errors_on_new_papers(MIXED, seed) for seed in seeds])
    assert mixed[:, 0].mean() < 0.75 * plain[:, 0].mean(), "a new paper is met better"
    slope_error = np.abs(np.array([plain[:, 1], mixed[:, 1]]) - 1.0).mean(axis=1)
    assert slope_error[1] < slope_error[0]
    assert slope_error[1] < 0.35


def test_trees_learn_effects_common_to_papers():
    """Without offsets between papers nothing is lost: the level is in the trees, not in the intercepts."""
    random = np.random.default_rng(3)
    X, y, _, sources = papers(random, 25, spread=0.0)
    new, _, truth, _ = papers(random, 60, spread=0.0)
    predicted = raw_prediction(fit_booster(matrix(X, y + 5.0, sources), MIXED, seed=0), new)
    assert np.abs(predicted - truth - 5.0).mean() < 0.1


def test_outliers_hardly_change_the_trees():
    random = np.random.default_rng(4)
    X, y, _, sources = papers(random, 25, spread=0.5)
    wild = y.copy()
    wild[random.choice(len(y), 8, replace=False)] += 20.0
    clean, hit = (raw_prediction(fit_booster(matrix(X, some, sources), MIXED, seed=0), X) for some in (y, wild))
    squared = MIXED.changed(tolerance=1e3)
    clean_2, hit_2 = (
        raw_prediction(fit_booster(matrix(X, some, sources), squared, seed=0), X) for some in (y, wild)
    )
    assert np.abs(hit - clean).mean() < 0.2
    assert np.abs(hit - clean).mean() < 0.3 * np.abs(hit_2 - clean_2).mean()


def test_a_huge_shrinkage_gives_the_trees_of_one_paper_a_pellet():
    """No intercepts is also what sources of one row each come to when they are shrunk: the same trees."""
    random = np.random.default_rng(5)
    X, y, _, sources = papers(random, 12, spread=1.0)
    held = MIXED.changed(source_shrinkage=1e12)
    first = raw_prediction(fit_booster(matrix(X, y, sources), held, seed=0), X)
    alone = raw_prediction(fit_booster(matrix(X, y, np.arange(len(y)).astype(object)), held, seed=0), X)
    np.testing.assert_allclose(first, alone, atol=1e-5)
    assert np.abs(first - raw_prediction(fit_booster(matrix(X, y, sources), MIXED, seed=0), X)).max() > 0.1


def test_names_of_papers_do_not_change_trees():
    random = np.random.default_rng(6)
    X, y, _, sources = papers(random, 12, spread=1.0)
    renamed = np.array([f"paper {(7 * int(one)) % 12}" for one in sources], dtype=object)
    first, second = (raw_prediction(fit_booster(matrix(X, y, by), MIXED, seed=0), X) for by in (sources, renamed))
    np.testing.assert_array_equal(first, second)


LOGISTIC = BoosterSettings(MIXED_LOGISTIC, 120, 0.06, 2, 1.0, 0.7, 1.0, 3.0, 2, source_shrinkage=0.5)


def test_probabilities_of_new_papers_improve():
    def log_loss(settings, seed):
        random = np.random.default_rng(seed)

        def drawn(count):
            X, _, truth, sources = papers(random, count, spread=0.0)
            log_odds = 6.0 * (truth - 0.5) + random.normal(0, 2.5, count)[sources.astype(int)]
            return X, (random.uniform(size=len(X)) < 1 / (1 + np.exp(-log_odds))).astype(float), truth, sources

        X, y, _, sources = drawn(25)
        new, _, truth, _ = drawn(60)
        predicted = raw_prediction(fit_booster(matrix(X, y, sources), settings, seed=0), new)
        return np.abs(predicted - 6.0 * (truth - 0.5)).mean()

    plain = LOGISTIC.changed(objective="binary:logistic")
    errors = np.array([[log_loss(LOGISTIC, seed), log_loss(plain, seed)] for seed in range(4)]).mean(axis=0)
    assert errors[0] < 0.9 * errors[1]


@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_trees_fitted_to_one_class_are_finite_and_predict_it(outcome):
    random = np.random.default_rng(7)
    X, _, _, sources = papers(random, 6, spread=1.0)
    predicted = raw_prediction(fit_booster(matrix(X, np.full(len(X), outcome), sources), LOGISTIC, seed=0), X)
    assert np.isfinite(predicted).all()
    assert ((predicted > 2.0) if outcome else (predicted < -2.0)).all()
