"""Outliers among own pellets: they are found and hardly influence the correction by the others."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.estimators.own_pellets import find_outliers


def covariance(count: int) -> np.ndarray:
    """Return the covariance of errors with a common level of 0.5 and noise of 0.3."""
    return 0.25 * np.ones((count, count)) + 0.09 * np.eye(count)


def expected_error(errors: np.ndarray, variance: np.ndarray) -> float:
    """Return the error of the next pellet that is expected from these errors."""
    weights = np.linalg.solve(covariance(len(errors)) + np.diag(variance), 0.25 * np.ones(len(errors)))
    return float(weights @ errors)


def test_similar_errors_are_not_outliers() -> None:
    for errors in ([0.3, 0.4, 0.2, 0.5, 0.1], [1.0], [], [-0.6, 0.2]):
        variance, deviation = find_outliers(covariance(len(errors)), np.array(errors, dtype=float))
        assert not variance.any()
        assert not deviation.any()


@pytest.mark.parametrize("offset", [3.0, -3.0, 6.0])
@pytest.mark.parametrize("position", [0, 2, 4])
def test_one_outlier_in_five_is_found_and_hardly_influences_others(offset: float, position: int) -> None:
    errors = np.array([0.3, 0.4, 0.2, 0.5, 0.1])
    clean = expected_error(np.delete(errors, position), np.zeros(4))
    errors[position] += offset
    variance, deviation = find_outliers(covariance(5), errors)
    assert np.flatnonzero(variance).tolist() == [position]
    assert deviation[position] == pytest.approx(offset, abs=0.6)
    assert abs(expected_error(errors, np.zeros(5)) - clean) > 0.4
    assert abs(expected_error(errors, variance) - clean) < 0.05


def test_no_error_is_an_outlier_among_errors_of_similar_size() -> None:
    errors = np.array([2.0, -1.8, 1.9, -2.2, 2.1, -1.7])
    assert not find_outliers(covariance(6), errors)[0].any()


@given(errors=st.lists(st.floats(-20, 20), min_size=1, max_size=8))
def test_at_most_half_of_the_errors_are_outliers(errors: list[float]) -> None:
    variance, deviation = find_outliers(covariance(len(errors)), np.array(errors))
    assert np.count_nonzero(variance) <= max(1, len(errors) // 2)
    assert np.isfinite(variance).all()
    assert (variance >= 0).all()
    assert (np.sign(deviation) == np.sign(deviation) * (variance > 0)).all()
