import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from nasicon_ml.estimators.calibration import fit_platt


def test_agrees_with_unpenalised_logistic_regression():
    random = np.random.default_rng(0)
    margin = random.normal(scale=2, size=400)
    outcome = (random.uniform(size=400) < 1 / (1 + np.exp(-(0.4 * margin - 0.3)))).astype(float)
    ours = fit_platt(margin, outcome)
    theirs = LogisticRegression(C=np.inf).fit(margin[:, None], outcome)
    assert ours.slope == pytest.approx(theirs.coef_[0, 0], abs=1e-3)
    np.testing.assert_allclose(ours.probability(margin), theirs.predict_proba(margin[:, None])[:, 1], atol=1e-3)


def test_worse_than_chance_falls_back_to_the_base_rate():
    margin = np.linspace(-3, 3, 100)
    outcome = (margin < 0.5).astype(float)
    calibration = fit_platt(margin, outcome)
    np.testing.assert_allclose(calibration.probability(margin), outcome.mean(), atol=1e-3)


def test_one_outcome_is_refused():
    with pytest.raises(ValueError, match="both outcomes"):
        fit_platt(np.zeros(10), np.ones(10))
