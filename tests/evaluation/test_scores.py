import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import roc_auc_score

from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.evaluation import scores


@given(
    arrays(np.int64, 40, elements=st.integers(0, 1)),
    arrays(np.float64, 40, elements=st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9])),
)
def test_auroc_agrees_with_scikit_learn_and_is_nan_for_one_class(outcome, probability):
    result = scores.auroc(outcome.astype(float), probability)
    if 0 < outcome.sum() < 40:
        assert result == pytest.approx(roc_auc_score(outcome, probability))
    else:
        assert np.isnan(result)


def test_coverage_and_mean_width_of_intervals():
    measured = np.array([1.0, 2.0, 3.0, 4.0])
    lower, upper = np.array([0.0, 2.0, 3.5, 0.0]), np.array([1.0, 3.0, 5.0, 3.0])
    assert scores.coverage(measured, lower, upper) == 0.5
    assert scores.mean_width(lower, upper) == pytest.approx(1.625)


def test_brier_skill_is_zero_for_the_base_rate_and_one_for_the_outcome():
    outcome = np.array([0.0, 1.0, 1.0, 0.0])
    rows = pd.DataFrame({"measured": outcome, "median": 0.5, "predicted": outcome})
    skill = scores._metrics(TargetName.PHASE_PURITY, "full")["brier_skill"]
    assert skill(rows, "median") == 0.0
    assert skill(rows, "predicted") == 1.0


def test_loss_is_log_loss_for_purity_and_absolute_error_for_conductivity():
    outcome, log_odds = np.array([1.0, 0.0, 1.0]), np.array([2.0, -1.0, -0.5])
    probability = 1 / (1 + np.exp(-log_odds))
    expected = -np.mean(np.log(np.where(outcome == 1, probability, 1 - probability)))
    assert scores.loss(TargetName.PHASE_PURITY, outcome, log_odds) == pytest.approx(expected)
    assert scores.loss(TargetName.CONDUCTIVITY, np.array([-4.0, -3.0]), np.array([-5.0, -3.0])) == 0.5


def test_calibration_error_of_a_biased_forecast_is_its_bias():
    outcome = np.tile([0.0, 1.0], 50)
    assert scores.expected_calibration_error(outcome, np.full(100, 0.8)) == pytest.approx(0.3)
    assert scores.expected_calibration_error(outcome, np.full(100, 0.5)) == pytest.approx(0.0)
