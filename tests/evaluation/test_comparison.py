"""Two models on the same pellets: what is paired, and what the difference is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from benchmarks.scoring import weighted_auroc
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import roc_auc_score

from nasicon_ml.bundle.out_of_fold import NO_ROWS, from_csv
from nasicon_ml.columns import Column
from nasicon_ml.errors import DatasetError
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.evaluation.gate import compare, compare_with_baseline
from nasicon_ml.evaluation.scores import auroc, source_weights, weighted_mean, with_interval

CONDUCTIVITY, DENSITY, PURITY = (
    TargetName.CONDUCTIVITY, TargetName.RELATIVE_DENSITY, TargetName.PHASE_PURITY
)  # fmt: skip
N_SOURCES, PER_SOURCE = 12, 3


def held_out(error: float = 0.1, repeats: int = 1, seed: int = 0) -> pd.DataFrame:
    """Make an out-of-fold table in which every prediction is off by the same error."""
    rng = np.random.default_rng(0)
    parts = []
    for target in (CONDUCTIVITY, DENSITY, PURITY):
        measured = rng.integers(0, 2, N_SOURCES * PER_SOURCE).astype(float)
        for repeat in range(repeats):
            deal = np.random.default_rng([seed, repeat]).permutation(N_SOURCES) % 3
            sources = np.repeat(np.arange(N_SOURCES), PER_SOURCE)
            parts.append(
                pd.DataFrame(
                    {
                        "target": str(target),
                        "repeat": repeat,
                        "fold": deal[sources],
                        str(Column.PELLET_ID): [f"p{number}" for number in range(len(measured))],
                        str(Column.SOURCE): [f"s{number}" for number in sources],
                        str(Column.SYSTEM): "LATP",
                        str(Column.MEASUREMENT_TEMPERATURE_C): 25.0,
                        str(Column.SINTERING_TEMPERATURE_C): 900.0,
                        "measured": measured,
                        "predicted": measured + error,
                        "median": 0.5,
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


@pytest.mark.slow
@given(st.floats(0.01, 0.4), st.floats(0.01, 0.4))
def test_the_difference_is_that_of_the_scores(first: float, second: float) -> None:
    scores = {score.target: score for score in compare(held_out(first), held_out(second))}
    assert set(scores) == {CONDUCTIVITY, DENSITY, PURITY}
    assert scores[CONDUCTIVITY].difference.value == pytest.approx(second - first, abs=1e-12)
    assert scores[PURITY].difference.value == pytest.approx(second**2 - first**2, abs=1e-12)
    for score in scores.values():
        assert score.candidate - score.reference == pytest.approx(score.difference.value, abs=1e-12)
        assert (score.n_rows, score.n_sources) == (N_SOURCES * PER_SOURCE, N_SOURCES)
        assert (score.share, score.same_folds) == (1.0, True)


def test_a_model_compared_with_itself_differs_in_nothing(trained) -> None:
    for score in compare(trained.out_of_fold, trained.out_of_fold):
        assert (score.difference.value, score.difference.lower, score.difference.upper) == (0, 0, 0)
        assert score.same_folds


def test_scores_are_those_of_the_score_table(trained) -> None:
    table = trained.scores
    table = table[(table["subset"] == "all") & (table["model"] == "full")].set_index(["target", "metric"])["value"]
    for score in compare_with_baseline(trained.out_of_fold):
        assert score.candidate == pytest.approx(table[str(score.target), score.metric], rel=1e-9)
        assert score.difference.value < 0


def test_the_interval_is_wider_when_few_sources_decide() -> None:
    worse_in_one, worse_in_all = held_out(0.1), held_out(0.1)
    one = worse_in_one[str(Column.SOURCE)] == "s0"
    worse_in_one.loc[one, "predicted"] += 1.2
    worse_in_all["predicted"] += 0.1
    of_one, of_all = (compare(held_out(0.1), table)[0].difference for table in (worse_in_one, worse_in_all))
    assert of_one.value == pytest.approx(of_all.value)
    assert of_one.lower == 0
    assert of_all.lower == pytest.approx(0.1)


def test_other_folds_are_told_whatever_they_are_called() -> None:
    renamed = held_out().assign(fold=lambda table: 2 - table["fold"])
    assert all(score.same_folds for score in compare(held_out(), renamed))
    assert not any(score.same_folds for score in compare(held_out(), held_out(seed=1)))


def test_only_common_pellets_and_repeats_count() -> None:
    one = held_out()[str(Column.PELLET_ID)] == "p0"
    fewer = held_out(0.2)[~one]
    for score in compare(held_out(repeats=3), fewer):
        assert score.n_rows == N_SOURCES * PER_SOURCE - 1
        assert score.share == pytest.approx(1 - 1 / (N_SOURCES * PER_SOURCE))
        assert score.same_folds


def test_a_pellet_whose_value_was_corrected_is_left_out() -> None:
    corrected = held_out(0.2)
    corrected.loc[corrected[str(Column.PELLET_ID)] == "p5", "measured"] += 1
    assert {score.n_rows for score in compare(held_out(), corrected)} == {N_SOURCES * PER_SOURCE - 1}


def test_what_cannot_be_compared_says_so() -> None:
    with pytest.raises(DatasetError, match="without out-of-fold predictions"):
        compare(from_csv(NO_ROWS), held_out())
    with pytest.raises(DatasetError, match="no out-of-fold predictions of relative density"):
        compare(held_out(), held_out()[lambda table: table["target"] != str(DENSITY)])
    other = held_out().assign(**{str(Column.PELLET_ID): lambda table: "x" + table[str(Column.PELLET_ID)]})
    with pytest.raises(DatasetError, match="no pellet with conductivity in common"):
        compare(held_out(), other)


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
    assert once == pytest.approx(auroc(outcome.astype(float), score.astype(float)))


def test_an_interval_holds_the_middle_and_says_whether_nothing_lies_in_it() -> None:
    found = with_interval(0.5, np.linspace(0, 1, 201))
    assert (found.value, found.lower, found.upper) == pytest.approx((0.5, 0.025, 0.975))
    assert found.excludes_zero
    assert not with_interval(0.0, np.array([-1.0, 1.0])).excludes_zero
    assert with_interval(-0.5, np.array([-1.0, -0.2, np.nan])).excludes_zero


def test_draws_without_a_number_tell_nothing_apart() -> None:
    found = with_interval(0.5, np.array([np.nan]))
    assert np.isnan(found.lower)
    assert not found.excludes_zero


def test_an_interval_of_draws_covers_the_truth_as_often_as_it_says() -> None:
    """Pellets of one source share their error: drawing sources sees it, drawing pellets would not."""
    random = np.random.default_rng(0)
    sources = np.repeat(np.arange(40), 5)
    held = 0
    for seed in range(200):
        difference = np.repeat(random.normal(0.3, 1, 40), 5) + random.normal(0, 0.1, 200)
        found = with_interval(difference.mean(), weighted_mean(difference, source_weights(sources, 300, seed)))
        held += found.lower <= 0.3 <= found.upper
    assert 0.88 <= held / 200 <= 0.99
