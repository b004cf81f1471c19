"""Scores and differences of small tables, compared with hand-computed values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from benchmarks.predictions import FLOOR, OURS, Predictions
from benchmarks.scoring import Scoring, auroc_within_folds, differences, rank_correlation, score, score_series

from nasicon_ml.columns import RECIPE, Column
from nasicon_ml.estimators.targets import TargetName

SCORING = Scoring(draws=200, seed=0)


def predictions_table(measured, sources, **models) -> pd.DataFrame:
    table = pd.DataFrame({str(column): [None] * len(measured) for column in RECIPE})
    table = table.assign(measured=measured, repeat=0, **models)
    table = table.assign(fold=0)
    return table.assign(**{str(Column.SOURCE): sources, str(Column.SINTERING_TEMPERATURE_C): range(len(measured))})


def score_row(ledger, model, metric, subset="all"):
    rows = [
        row for row in ledger.scores if (row["model"], row["metric"], row["subset"]) == (model, metric, subset)
    ]
    assert len(rows) == 1
    return rows[0]


def test_mean_error_and_its_spread_over_repeats() -> None:
    once = predictions_table([0.0, 1.0, 2.0], ["a", "b", "c"], **{OURS: [0.0, 1.0, 3.0], "peer": [1.0, 2.0, 3.0]})
    repeated = once.assign(repeat=1, **{OURS: [0.0, 1.0, 2.0]})
    predictions = Predictions(TargetName.CONDUCTIVITY, pd.concat([once, repeated]), (OURS, "peer"), (OURS,))
    results = score("P2", "all", predictions, np.ones(6, dtype=bool), SCORING)
    ours = score_row(results, OURS, "mae_decades")
    assert (ours["mean"], ours["n_rows"], ours["n_sources"]) == (pytest.approx(1 / 6), 3, 3)
    assert ours["spread"] == pytest.approx(np.std([1 / 3, 0], ddof=1))
    assert score_row(results, "peer", "mae_decades")["mean"] == 1
    (row,) = results.differences
    assert (row["ours"], row["peer"], row["verdict"]) == (OURS, "peer", "better")
    assert row["difference"] == pytest.approx(1 / 6 - 1)
    # Bootstrap draws of only "c" give 1/2 - 1, draws without it -1.
    assert (row["lower"], row["upper"]) == (-1, -0.5)


def test_floor_is_compared_only_on_rows_that_have_one() -> None:
    rows = predictions_table(
        [0.0, 1.0, 2.0, 9.0], list("abcd"), **{OURS: [1.0, 2.0, 3.0, 0.0], FLOOR: [2.0, 3.0, 4.0, np.nan]}
    )
    predictions = Predictions(TargetName.CONDUCTIVITY, rows, (OURS,), (OURS,))
    results = score("P2", "all", predictions, np.ones(4, dtype=bool), SCORING)
    floor_subset = "all; made by others, too"
    assert score_row(results, FLOOR, "mae_decades", floor_subset)["mean"] == 2
    assert score_row(results, OURS, "mae_decades", floor_subset)["mean"] == 1
    assert score_row(results, OURS, "mae_decades")["mean"] == 3
    (row,) = results.differences
    assert (row["subset"], row["peer"], row["difference"], row["verdict"]) == (floor_subset, FLOOR, -1, "better")


def test_scores_of_probabilities() -> None:
    rows = predictions_table(
        [1.0, 1.0, 0.0, 0.0], list("abcd"), **{OURS: [0.9, 0.4, 0.5, 0.1], "median": [0.5] * 4, "peer": [0.5] * 4}
    )
    predictions = Predictions(TargetName.PHASE_PURITY, rows, (OURS, "median", "peer"), (OURS,))
    results = score("P4", "all", predictions, np.ones(4, dtype=bool), SCORING)
    assert score_row(results, OURS, "auroc")["mean"] == 0.75
    assert score_row(results, OURS, "brier")["mean"] == pytest.approx((0.01 + 0.36 + 0.25 + 0.01) / 4)
    assert score_row(results, OURS, "brier_skill")["mean"] == pytest.approx(1 - 0.1575 / 0.25)
    assert score_row(results, "peer", "brier_skill")["mean"] == 0
    assert not [row for row in results.scores if row["model"] == "median" and row["metric"] == "auroc"]
    ranks = score("P7", "all", predictions, np.ones(4, dtype=bool), Scoring(50, 0, ranks_only=True))
    assert {row["metric"] for row in ranks.scores} == {"auroc"}


def test_single_source_has_scores_but_no_differences() -> None:
    rows = predictions_table([0.0, 1.0, 2.0], ["a", "a", "a"], **{OURS: [0.0, 1.0, 3.0]}, peer=[1.0, 2.0, 3.0])
    results = score(
        "P5", "all", Predictions(TargetName.CONDUCTIVITY, rows, (OURS, "peer"), (OURS,)), np.ones(3, bool), SCORING
    )
    assert results.scores
    assert results.differences == []


@pytest.mark.parametrize(
    ("lower_is_better", "drawn", "verdict"),
    [(True, -1.0, "better"), (False, -1.0, "worse"), (True, 1.0, "worse"), (False, 1.0, "better")],
)
def test_verdict_depends_on_direction_and_clarity_of_the_difference(lower_is_better, drawn, verdict) -> None:
    draws = {OURS: np.full(9, drawn), "peer": np.zeros(9)}
    scores = {OURS: drawn, "peer": 0.0}
    (row,) = differences((OURS,), scores, draws, lower_is_better=lower_is_better)
    assert row["verdict"] == verdict
    draws[OURS] = np.linspace(-1, 1, 9)
    (row,) = differences((OURS,), scores, draws, lower_is_better=lower_is_better)
    assert row["verdict"] == "not told apart"


def test_series_scores_match_hand_computed_values() -> None:
    measured = [0.0, 1.0, 2.0, 0.0, 1.0, 4.0, 6.0, 5.0, 5.0, 5.0]
    models = {OURS: [0.0, 1.0, 2.0, 4.0, 3.0, 2.0, 1.0, 0.0, 0.0, 0.0], "peer": [7.0] * 10}
    rows = predictions_table(measured, list("aaabbbbccc"), **models)
    predictions = Predictions(TargetName.CONDUCTIVITY, rows, (OURS, "peer"), (OURS,))
    results, table = score_series(predictions, SCORING)
    # "a" is in the right order, "b" in the reverse; "c" has no order.
    assert score_row(results, OURS, "tau", "series")["mean"] == 0
    assert score_row(results, OURS, "tau_by_pairs", "series")["mean"] == pytest.approx((3 - 6) / 9)
    assert score_row(results, OURS, "regret_decades", "series")["mean"] == 3
    random_regret = ((2 - 1) + (6 - 11 / 4)) / 2
    for model in ("peer", "chance"):
        assert score_row(results, model, "regret_decades", "series")["mean"] == pytest.approx(random_regret)
        assert score_row(results, model, "tau", "series")["mean"] == 0
    assert score_row(results, OURS, "tau", "series")["n_sources"] == 2
    assert set(table[Column.SOURCE]) == {"a", "b"}


def test_rank_correlation() -> None:
    assert rank_correlation(np.arange(4.0), np.arange(4.0) ** 3) == 1
    assert rank_correlation(np.arange(4.0), np.ones(4)) == 0
    assert np.isnan(rank_correlation(np.ones(4), np.arange(4.0)))


def test_auroc_within_folds() -> None:
    outcome, fold = np.array([1.0, 0.0, 1.0, 0.0, 1.0]), np.array([0.0, 0, 1, 1, 2])
    # Right within each fold, although the second fold's model is pessimistic; the third has no pair.
    probability = np.array([0.9, 0.8, 0.2, 0.1, 0.0])
    assert auroc_within_folds(outcome, probability, fold) == 1
    assert auroc_within_folds(outcome, -probability, fold) == 0
    assert auroc_within_folds(outcome, np.ones(5), fold) == 0.5
    assert np.isnan(auroc_within_folds(outcome, probability, np.arange(5.0)))
