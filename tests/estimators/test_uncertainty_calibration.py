from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from nasicon_ml.estimators.uncertainty import BetaCalibration, fit_calibration


def outcomes(log_odds, seed=0):
    return (np.random.default_rng(seed).uniform(size=len(log_odds)) < 1 / (1 + np.exp(-log_odds))).astype(float)


def test_agrees_with_unpenalised_logistic_regression_on_both_logarithms():
    margin = np.random.default_rng(1).normal(scale=2, size=400)
    outcome = outcomes(0.4 * margin - 0.3)
    ours = fit_calibration(margin, outcome)
    inputs = np.column_stack([-np.logaddexp(0, -margin), np.logaddexp(0, margin)])
    theirs = LogisticRegression(C=np.inf, tol=1e-9, max_iter=1000).fit(inputs, outcome)
    assert (theirs.coef_[0] > 0).all(), "only then no bound is in the way"
    assert (ours.pure, ours.impure) == pytest.approx(tuple(theirs.coef_[0]), abs=2e-3)
    np.testing.assert_allclose(ours.probability(margin), theirs.predict_proba(inputs)[:, 1], atol=1e-3)


def test_overconfidence_of_one_outcome_is_corrected():
    """What Platt's two numbers cannot: log-odds above 0 mean nothing, those below are right."""
    margin = np.random.default_rng(2).uniform(-4, 4, 20000)
    truth = np.minimum(margin, 0.0)
    found = fit_calibration(margin, outcomes(truth)).probability(np.array([-3.0, 1.5, 3.5]))
    assert found == pytest.approx(1 / (1 + np.exp([3.0, 0.0, 0.0])), abs=0.08)


def test_worse_than_chance_falls_back_to_the_base_rate():
    margin = np.linspace(-3, 3, 100)
    outcome = (margin < 0.5).astype(float)
    calibration = fit_calibration(margin, outcome)
    np.testing.assert_allclose(calibration.probability(margin), outcome.mean(), atol=1e-3)


@given(st.integers(0, 200), st.floats(-2, 2))
def test_the_order_of_recipes_stays(seed, slope):
    margin = np.random.default_rng(seed).normal(size=60)
    outcome = outcomes(slope * margin, seed)
    if outcome.min() == outcome.max():
        return
    probability = fit_calibration(margin, outcome).probability(np.linspace(-30, 30, 50))
    assert (np.diff(probability) >= 0).all()
    assert ((probability >= 0) & (probability <= 1)).all()


def numbers(calibration):
    return np.array([calibration.pure, calibration.impure, calibration.intercept])


def too_sure(seed=4):
    """Log-odds that are three times too large and off to one side."""
    margin = np.random.default_rng(seed).normal(scale=2, size=300)
    return margin, outcomes(margin / 3 - 0.7, seed)


def test_without_trust_there_is_no_shrinkage():
    margin, outcome = too_sure()
    assert fit_calibration(margin, outcome, trust=0.0) == fit_calibration(margin, outcome)
    probability = fit_calibration(margin, outcome).probability(margin)
    assert probability.mean() == pytest.approx(outcome.mean(), abs=1e-3), "as unpenalised fits are"


@pytest.mark.parametrize(
    "make", [too_sure, lambda: (np.linspace(-3, 3, 100), (np.linspace(-3, 3, 100) < 0.5) * 1.0)]
)
def test_with_large_trust_probabilities_do_not_change(make):
    margin, outcome = make()
    found = fit_calibration(margin, outcome, trust=1e7)
    np.testing.assert_allclose(numbers(found), [1, 1, 0], atol=1e-4)
    np.testing.assert_allclose(found.probability(margin), 1 / (1 + np.exp(-margin)), atol=1e-4)


@given(st.integers(0, 200), st.floats(-2, 2))
def test_parameters_approach_identity_with_trust(seed, slope):
    margin = np.random.default_rng(seed).normal(scale=2, size=80)
    outcome = outcomes(slope * margin - 0.5, seed)
    if outcome.min() == outcome.max():
        return
    away = [
        np.linalg.norm(numbers(fit_calibration(margin, outcome, trust=trust)) - [1, 1, 0])
        for trust in (0.0, 0.01, 0.1, 1.0, 10.0)
    ]
    assert (np.diff(away) <= 1e-3).all()
    assert away[-1] < 0.15


def test_some_trust_lies_between_and_costs_what_it_says():
    margin, outcome = too_sure()
    trust = 0.05
    free, found, unchanged = (
        numbers(fit_calibration(margin, outcome, trust=value)) for value in (0.0, trust, 1e7)
    )
    assert 0.05 < np.linalg.norm(found - unchanged) < 0.95 * np.linalg.norm(free - unchanged)

    def cost(at):
        log_odds = np.column_stack([-np.logaddexp(0, -margin), np.logaddexp(0, margin), np.ones(300)]) @ at
        return np.mean(np.logaddexp(0, log_odds) - outcome * log_odds) + trust * ((at - [1, 1, 0]) ** 2).sum()

    for step in 0.02 * np.vstack([np.eye(3), -np.eye(3)]):
        assert cost(found + step) > cost(found)


def test_training_trusts_the_trees(trained):
    """Free to go, the numbers of a model of this dataset would go much further."""
    assert np.linalg.norm(numbers(trained.model.calibration) - [1, 1, 0]) < 0.1


def test_a_bundle_of_version_0_1_keeps_its_platt_scaling():
    margin = np.linspace(-5, 5, 11)
    old = BetaCalibration.from_json({"slope": 0.4, "intercept": -0.2})
    np.testing.assert_allclose(old.probability(margin), 1 / (1 + np.exp(-(0.4 * margin - 0.2))))
    assert BetaCalibration.from_json(asdict(old)) == old


def test_one_outcome_is_refused():
    with pytest.raises(ValueError, match="both outcomes"):
        fit_calibration(np.zeros(10), np.ones(10))
