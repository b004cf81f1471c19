import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sk

from nasicon_ml.evaluation import metrics

numbers = arrays(np.float64, 30, elements=st.floats(-9, 0, allow_subnormal=False))


@given(numbers, numbers)
def test_errors_agree_with_scikit_learn(measured, predicted):
    assert metrics.mean_absolute_error(measured, predicted) == pytest.approx(
        sk.mean_absolute_error(measured, predicted)
    )
    assert metrics.median_absolute_error(measured, predicted) == pytest.approx(
        sk.median_absolute_error(measured, predicted)
    )
    if np.ptp(measured) > 1e-3:
        assert metrics.r_squared(measured, predicted) == pytest.approx(sk.r2_score(measured, predicted))


@given(
    arrays(np.int64, 40, elements=st.integers(0, 1)),
    arrays(np.float64, 40, elements=st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9])),
)
def test_probability_scores_agree_with_scikit_learn(outcome, probability):
    outcome = outcome.astype(float)
    assert metrics.brier(outcome, probability) == pytest.approx(
        sk.brier_score_loss(outcome, probability, pos_label=1)
    )
    if 0 < outcome.sum() < 40:
        assert metrics.auroc(outcome, probability) == pytest.approx(sk.roc_auc_score(outcome, probability))
    else:
        assert np.isnan(metrics.auroc(outcome, probability))


def test_coverage_and_width():
    measured = np.array([1.0, 2.0, 3.0, 4.0])
    lower, upper = np.array([0.0, 2.0, 3.5, 0.0]), np.array([1.0, 3.0, 5.0, 3.0])
    assert metrics.coverage(measured, lower, upper) == 0.5
    assert metrics.mean_width(lower, upper) == pytest.approx(1.625)


def test_brier_skill_is_zero_for_the_reference_and_one_for_the_truth():
    outcome = np.array([0.0, 1.0, 1.0, 0.0])
    reference = np.full(4, 0.5)
    assert metrics.brier_skill(outcome, reference, reference) == 0.0
    assert metrics.brier_skill(outcome, outcome, reference) == 1.0


def test_calibration_error_of_a_biased_forecast_is_its_bias():
    outcome = np.tile([0.0, 1.0], 50)
    assert metrics.expected_calibration_error(outcome, np.full(100, 0.8)) == pytest.approx(0.3)
    assert metrics.expected_calibration_error(outcome, np.full(100, 0.5)) == pytest.approx(0.0)
