"""Comparison of two models on the same pellets, with bootstrap intervals of the differences."""

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


def out_of_fold_table(error: float = 0.1, repeats: int = 1, seed: int = 0) -> pd.DataFrame:
    """Make an out-of-fold table in which every prediction is off by the same error."""
    rng = np.random.default_rng(0)
    parts = []
    for target in (CONDUCTIVITY, DENSITY, PURITY):
        measured = rng.integers(0, 2, N_SOURCES * PER_SOURCE).astype(float)
        for repeat in range(repeats):
            fold_of_source = np.random.default_rng([seed, repeat]).permutation(N_SOURCES) % 3
            sources = np.repeat(np.arange(N_SOURCES), PER_SOURCE)
            parts.append(
                pd.DataFrame(
                    {
                        "target": str(target),
                        "repeat": repeat,
                        "fold": fold_of_source[sources],
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
def test_difference_is_the_difference_of_the_scores(first: float, second: float) -> None:
    scores = {score.target: score for score in compare(out_of_fold_table(first), out_of_fold_table(second))}
    assert set(scores) == {CONDUCTIVITY, DENSITY, PURITY}
    assert scores[CONDUCTIVITY].difference.value == pytest.approx(second - first, abs=1e-12)
    assert scores[PURITY].difference.value == pytest.approx(second**2 - first**2, abs=1e-12)
    for score in scores.values():
        assert score.candidate - score.reference == pytest.approx(score.difference.value, abs=1e-12)
        assert (score.n_rows, score.n_sources) == (N_SOURCES * PER_SOURCE, N_SOURCES)
        assert (score.share, score.same_folds) == (1.0, True)


def test_model_compared_with_itself_has_differences_of_zero(trained) -> None:
    for score in compare(trained.out_of_fold, trained.out_of_fold):
        assert (score.difference.value, score.difference.lower, score.difference.upper) == (0, 0, 0)
        assert score.same_folds


def test_compared_scores_equal_those_of_the_score_table(trained) -> None:
    table = trained.scores
    table = table[(table["subset"] == "all") & (table["model"] == "full")].set_index(["target", "metric"])["value"]
    for score in compare_with_baseline(trained.out_of_fold):
        assert score.candidate == pytest.approx(table[str(score.target), score.metric], rel=1e-9)
        assert score.difference.value < 0


def test_interval_is_wider_if_one_source_causes_the_difference() -> None:
    worse_in_one, worse_in_all = out_of_fold_table(0.1), out_of_fold_table(0.1)
    one = worse_in_one[str(Column.SOURCE)] == "s0"
    worse_in_one.loc[one, "predicted"] += 1.2
    worse_in_all["predicted"] += 0.1
    of_one, of_all = (
        compare(out_of_fold_table(0.1), table)[0].difference for table in (worse_in_one, worse_in_all)
    )
    assert of_one.value == pytest.approx(of_all.value)
    assert of_one.lower == 0
    assert of_all.lower == pytest.approx(0.1)


def test_same_folds_are_recognised_irrespective_of_their_numbers() -> None:
    renamed = out_of_fold_table().assign(fold=lambda table: 2 - table["fold"])
    assert all(score.same_folds for score in compare(out_of_fold_table(), renamed))
    assert not any(score.same_folds for score in compare(out_of_fold_table(), out_of_fold_table(seed=1)))


def test_only_common_pellets_and_repeats_are_compared() -> None:
    one = out_of_fold_table()[str(Column.PELLET_ID)] == "p0"
    fewer = out_of_fold_table(0.2)[~one]
    for score in compare(out_of_fold_table(repeats=3), fewer):
        assert score.n_rows == N_SOURCES * PER_SOURCE - 1
        assert score.share == pytest.approx(1 - 1 / (N_SOURCES * PER_SOURCE))
        assert score.same_folds


def test_pellet_with_a_corrected_value_is_excluded() -> None:
    corrected = out_of_fold_table(0.2)
    corrected.loc[corrected[str(Column.PELLET_ID)] == "p5", "measured"] += 1
    assert {score.n_rows for score in compare(out_of_fold_table(), corrected)} == {N_SOURCES * PER_SOURCE - 1}


def test_tables_without_common_predictions_raise() -> None:
    with pytest.raises(DatasetError, match="without out-of-fold predictions"):
        compare(from_csv(NO_ROWS), out_of_fold_table())
    with pytest.raises(DatasetError, match="no out-of-fold predictions of relative density"):
        compare(out_of_fold_table(), out_of_fold_table()[lambda table: table["target"] != str(DENSITY)])
    other = out_of_fold_table().assign(**{str(Column.PELLET_ID): lambda table: "x" + table[str(Column.PELLET_ID)]})
    with pytest.raises(DatasetError, match="no pellet with conductivity in common"):
        compare(out_of_fold_table(), other)


SOURCES = np.array(["a", "a", "b", "c", "c", "c"])


def test_bootstrap_draws_whole_sources_as_many_as_there_are() -> None:
    weights = source_weights(SOURCES, 500, 0)
    assert weights.shape == (500, 6)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 3] == weights[:, 4]).all()
    assert (weights[:, [0, 2, 3]].sum(axis=1) == 3).all()
    assert np.allclose(weights[:, [0, 2, 3]].mean(axis=0), 1, atol=0.15)


def test_bootstrap_depends_on_the_seed_but_not_on_the_order_of_rows() -> None:
    weights = source_weights(SOURCES, 20, 1)
    np.testing.assert_array_equal(weights, source_weights(SOURCES, 20, 1))
    assert (weights != source_weights(SOURCES, 20, 2)).any()
    np.testing.assert_array_equal(weights[:, ::-1], source_weights(SOURCES[::-1], 20, 1))


def test_weighted_mean_equals_the_mean_of_copied_rows() -> None:
    values = np.array([1.0, 2.0, 4.0])
    weights = np.array([[1.0, 1.0, 1.0], [2.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    result = weighted_mean(values, weights)
    assert result[:2].tolist() == [7 / 3, 2.0]
    assert np.isnan(result[2])


def test_weighted_auroc_matches_a_worked_example() -> None:
    outcome, score = np.array([1.0, 1.0, 0.0, 0.0]), np.array([3.0, 1.0, 2.0, 1.0])
    # Of four pairs two are won, one is lost and one is tied.
    weights = np.array([[1.0, 1, 1, 1], [1, 0, 1, 1], [0, 1, 1, 3], [1, 1, 0, 0]])
    result = weighted_auroc(outcome, score, weights)
    assert result[:3].tolist() == [2.5 / 4, 1.0, (0 + 3 * 0.5) / 4]
    assert np.isnan(result[3])


@given(
    arrays(np.int64, 12, elements=st.integers(0, 1)).filter(lambda outcome: 0 < outcome.sum() < 12),
    arrays(np.int64, 12, elements=st.integers(0, 4)),
    arrays(np.int64, 12, elements=st.integers(1, 3)),
)
def test_weighted_auroc_equals_auroc_of_copied_rows(outcome, score, copies) -> None:
    result = weighted_auroc(outcome.astype(float), score.astype(float), copies[None, :].astype(float))[0]
    assert result == pytest.approx(roc_auc_score(np.repeat(outcome, copies), np.repeat(score, copies)))
    once = weighted_auroc(outcome.astype(float), score.astype(float), np.ones((1, 12)))[0]
    assert once == pytest.approx(auroc(outcome.astype(float), score.astype(float)))


def test_interval_has_95_percent_of_the_draws_and_knows_if_it_excludes_zero() -> None:
    result = with_interval(0.5, np.linspace(0, 1, 201))
    assert (result.value, result.lower, result.upper) == pytest.approx((0.5, 0.025, 0.975))
    assert result.excludes_zero
    assert not with_interval(0.0, np.array([-1.0, 1.0])).excludes_zero
    assert with_interval(-0.5, np.array([-1.0, -0.2, np.nan])).excludes_zero


def test_interval_of_nan_draws_does_not_exclude_zero() -> None:
    result = with_interval(0.5, np.array([np.nan]))
    assert np.isnan(result.lower)
    assert not result.excludes_zero


def test_bootstrap_interval_has_nominal_coverage() -> None:
    """Pellets of a source share an error, which only a bootstrap of whole sources takes into account."""
    rng = np.random.default_rng(0)
    sources = np.repeat(np.arange(40), 5)
    covered = 0
    for seed in range(200):
        difference = np.repeat(rng.normal(0.3, 1, 40), 5) + rng.normal(0, 0.1, 200)
        result = with_interval(difference.mean(), weighted_mean(difference, source_weights(sources, 300, seed)))
        covered += result.lower <= 0.3 <= result.upper
    assert 0.88 <= covered / 200 <= 0.99
