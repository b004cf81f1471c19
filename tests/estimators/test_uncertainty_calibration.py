from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from nasicon_ml.estimators.uncertainty import BetaCalibration, fit_calibration


def outcomes(log_odds, seed=0):
    return (np.random.default_rng(seed).uniform(size=len(log_odds)) < 1 / (1 + np.exp(-log_odds))).astype(float)


def test_calibration_agrees_with_unpenalized_logistic_regression():
    margin = np.random.default_rng(1).normal(scale=2, size=400)
    outcome = outcomes(0.4 * margin - 0.3)
    calibration = fit_calibration(margin, outcome)
    inputs = np.column_stack([-np.logaddexp(0, -margin), np.logaddexp(0, margin)])
    reference = LogisticRegression(C=np.inf, tol=1e-9, max_iter=1000).fit(inputs, outcome)
    assert (reference.coef_[0] > 0).all(), "otherwise the bounds at 0 would matter"
    assert (calibration.pure, calibration.impure) == pytest.approx(tuple(reference.coef_[0]), abs=2e-3)
    np.testing.assert_allclose(calibration.probability(margin), reference.predict_proba(inputs)[:, 1], atol=1e-3)


def test_overconfidence_of_one_outcome_is_corrected():
    """Log-odds above 0 carry no information, those below are right; Platt scaling cannot correct this."""
    margin = np.random.default_rng(2).uniform(-4, 4, 20000)
    truth = np.minimum(margin, 0.0)
    result = fit_calibration(margin, outcomes(truth)).probability(np.array([-3.0, 1.5, 3.5]))
    assert result == pytest.approx(1 / (1 + np.exp([3.0, 0.0, 0.0])), abs=0.08)


def test_margins_worse_than_chance_are_calibrated_to_the_base_rate():
    margin = np.linspace(-3, 3, 100)
    outcome = (margin < 0.5).astype(float)
    calibration = fit_calibration(margin, outcome)
    np.testing.assert_allclose(calibration.probability(margin), outcome.mean(), atol=1e-3)


@given(st.integers(0, 200), st.floats(-2, 2))
def test_calibrated_probabilities_keep_the_order_of_recipes(seed, slope):
    margin = np.random.default_rng(seed).normal(size=60)
    outcome = outcomes(slope * margin, seed)
    if outcome.min() == outcome.max():
        return
    probability = fit_calibration(margin, outcome).probability(np.linspace(-30, 30, 50))
    assert (np.diff(probability) >= 0).all()
    assert ((probability >= 0) & (probability <= 1)).all()


def parameters(calibration):
    return np.array([calibration.pure, calibration.impure, calibration.intercept])


def overconfident(seed=4):
    """Return log-odds that are three times too large and have an offset, and outcomes."""
    margin = np.random.default_rng(seed).normal(scale=2, size=300)
    return margin, outcomes(margin / 3 - 0.7, seed)


def test_trust_0_means_no_shrinkage():
    margin, outcome = overconfident()
    assert fit_calibration(margin, outcome, trust=0.0) == fit_calibration(margin, outcome)
    probability = fit_calibration(margin, outcome).probability(margin)
    assert probability.mean() == pytest.approx(outcome.mean(), abs=1e-3), "as in unpenalized fits"


@pytest.mark.parametrize(
    "make_data",
    [overconfident, lambda: (np.linspace(-3, 3, 100), (np.linspace(-3, 3, 100) < 0.5) * 1.0)],
    ids=["overconfident", "worse than chance"],
)
def test_large_trust_leaves_probabilities_unchanged(make_data):
    margin, outcome = make_data()
    result = fit_calibration(margin, outcome, trust=1e7)
    np.testing.assert_allclose(parameters(result), [1, 1, 0], atol=1e-4)
    np.testing.assert_allclose(result.probability(margin), 1 / (1 + np.exp(-margin)), atol=1e-4)


@given(st.integers(0, 200), st.floats(-2, 2))
def test_parameters_approach_identity_with_trust(seed, slope):
    margin = np.random.default_rng(seed).normal(scale=2, size=80)
    outcome = outcomes(slope * margin - 0.5, seed)
    if outcome.min() == outcome.max():
        return
    distances = [
        np.linalg.norm(parameters(fit_calibration(margin, outcome, trust=trust)) - [1, 1, 0])
        for trust in (0.0, 0.01, 0.1, 1.0, 10.0)
    ]
    assert (np.diff(distances) <= 1e-3).all()
    assert distances[-1] < 0.15


def test_moderate_trust_minimizes_the_penalized_log_loss():
    margin, outcome = overconfident()
    trust = 0.05
    unshrunk, result, unchanged = (
        parameters(fit_calibration(margin, outcome, trust=value)) for value in (0.0, trust, 1e7)
    )
    assert 0.05 < np.linalg.norm(result - unchanged) < 0.95 * np.linalg.norm(unshrunk - unchanged)

    def cost(values):
        log_odds = np.column_stack([-np.logaddexp(0, -margin), np.logaddexp(0, margin), np.ones(300)]) @ values
        return np.mean(np.logaddexp(0, log_odds) - outcome * log_odds) + trust * ((values - [1, 1, 0]) ** 2).sum()

    for step in 0.02 * np.vstack([np.eye(3), -np.eye(3)]):
        assert cost(result + step) > cost(result)


def test_calibration_of_a_trained_model_is_near_identity(trained):
    """Without shrinkage its parameters would be much further from identity."""
    assert np.linalg.norm(parameters(trained.model.calibration) - [1, 1, 0]) < 0.1


def test_platt_scaling_of_version_0_1_is_read():
    margin = np.linspace(-5, 5, 11)
    old = BetaCalibration.from_json({"slope": 0.4, "intercept": -0.2})
    np.testing.assert_allclose(old.probability(margin), 1 / (1 + np.exp(-(0.4 * margin - 0.2))))
    assert BetaCalibration.from_json(asdict(old)) == old


def test_calibration_with_one_class_raises():
    with pytest.raises(ValueError, match="both outcomes"):
        fit_calibration(np.zeros(10), np.ones(10))
