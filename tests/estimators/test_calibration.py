import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from nasicon_ml.estimators.calibration import BetaCalibration, fit_calibration


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


def test_too_sure_of_one_outcome_alone_is_mended():
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


def test_a_bundle_of_version_0_1_keeps_its_platt_scaling():
    margin = np.linspace(-5, 5, 11)
    old = BetaCalibration.from_json({"slope": 0.4, "intercept": -0.2})
    np.testing.assert_allclose(old.probability(margin), 1 / (1 + np.exp(-(0.4 * margin - 0.2))))
    assert BetaCalibration.from_json(old.to_json()) == old


def test_one_outcome_is_refused():
    with pytest.raises(ValueError, match="both outcomes"):
        fit_calibration(np.zeros(10), np.ones(10))
