"""Drawing sources again: what is drawn, what a score of a draw is, and what an interval of draws says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import roc_auc_score

from nasicon_ml.evaluation import metrics
from nasicon_ml.evaluation.bootstrap import interval, source_weights, weighted_auroc, weighted_mean

SOURCES = np.array(["a", "a", "b", "c", "c", "c"])


def test_sources_are_drawn_whole_and_as_many_as_there_are() -> None:
    weights = source_weights(SOURCES, 500, 0)
    assert weights.shape == (500, 6)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 3] == weights[:, 4]).all()
    assert (weights[:, [0, 2, 3]].sum(axis=1) == 3).all()
    assert np.allclose(weights[:, [0, 2, 3]].mean(axis=0), 1, atol=0.15)


def test_the_seed_decides_and_the_order_of_the_rows_does_not() -> None:
    weights = source_weights(SOURCES, 20, 1)
    np.testing.assert_array_equal(weights, source_weights(SOURCES, 20, 1))
    assert (weights != source_weights(SOURCES, 20, 2)).any()
    np.testing.assert_array_equal(weights[:, ::-1], source_weights(SOURCES[::-1], 20, 1))


def test_a_weight_is_a_number_of_copies() -> None:
    values = np.array([1.0, 2.0, 4.0])
    weights = np.array([[1.0, 1.0, 1.0], [2.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    found = weighted_mean(values, weights)
    assert found[:2].tolist() == [7 / 3, 2.0]
    assert np.isnan(found[2])


def test_auroc_by_hand() -> None:
    outcome, score = np.array([1.0, 1.0, 0.0, 0.0]), np.array([3.0, 1.0, 2.0, 1.0])
    # Of four pairs two are won, one is lost and one is tied.
    weights = np.array([[1.0, 1, 1, 1], [1, 0, 1, 1], [0, 1, 1, 3], [1, 1, 0, 0]])
    found = weighted_auroc(outcome, score, weights)
    assert found[:3].tolist() == [2.5 / 4, 1.0, (0 + 3 * 0.5) / 4]
    assert np.isnan(found[3])


@given(
    arrays(np.int64, 12, elements=st.integers(0, 1)).filter(lambda outcome: 0 < outcome.sum() < 12),
    arrays(np.int64, 12, elements=st.integers(0, 4)),
    arrays(np.int64, 12, elements=st.integers(1, 3)),
)
def test_auroc_is_that_of_the_copied_rows(outcome, score, copies) -> None:
    found = weighted_auroc(outcome.astype(float), score.astype(float), copies[None, :].astype(float))[0]
    assert found == pytest.approx(roc_auc_score(np.repeat(outcome, copies), np.repeat(score, copies)))
    once = weighted_auroc(outcome.astype(float), score.astype(float), np.ones((1, 12)))[0]
    assert once == pytest.approx(metrics.auroc(outcome.astype(float), score.astype(float)))


def test_an_interval_holds_the_middle_and_says_whether_nothing_lies_in_it() -> None:
    found = interval(0.5, np.linspace(0, 1, 201))
    assert (found.value, found.lower, found.upper) == pytest.approx((0.5, 0.025, 0.975))
    assert found.told_apart
    assert not interval(0.0, np.array([-1.0, 1.0])).told_apart
    assert interval(-0.5, np.array([-1.0, -0.2, np.nan])).told_apart


def test_draws_without_a_number_tell_nothing_apart() -> None:
    found = interval(0.5, np.array([np.nan]))
    assert np.isnan(found.lower)
    assert not found.told_apart


def test_an_interval_of_draws_covers_the_truth_as_often_as_it_says() -> None:
    """Pellets of one source share their error: drawing sources sees it, drawing pellets would not."""
    random = np.random.default_rng(0)
    sources = np.repeat(np.arange(40), 5)
    held = 0
    for seed in range(200):
        difference = np.repeat(random.normal(0.3, 1, 40), 5) + random.normal(0, 0.1, 200)
        found = interval(difference.mean(), weighted_mean(difference, source_weights(sources, 300, seed)))
        held += found.lower <= 0.3 <= found.upper
    assert 0.88 <= held / 200 <= 0.99
