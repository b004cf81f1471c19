"""Scores with their spread over repeats, and differences between models with a bootstrap over sources."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.predictions import FLOOR, FLOOR_ALIKE, Predictions
from benchmarks.series import recipes_of_series, series_scores
from nasicon_ml.arrays import Floats, Mask
from nasicon_ml.columns import Column
from nasicon_ml.estimators.targets import TARGETS, TargetName
from nasicon_ml.evaluation.scores import (
    auroc,
    expected_calibration_error,
    source_weights,
    weighted_mean,
    with_interval,
)

Record = dict[str, Any]
#: Function of measured, predicted and reference forecast, shape (n,), and weights, shape (draws, n).
DrawnMetric = Callable[[Floats, Floats, Floats, Floats], Floats]
#: Function of measured, predicted and fold, shape (n,) each.
PlainMetric = Callable[[Floats, Floats, Floats], float]

BASE_RATE = "median"  # of a probability: the share of pure pellets among the training rows
CHANCE = "chance"
#: Least number of sources for a bootstrap.
FEWEST_SOURCES = 3
REPLICATES = {FLOOR: "made by others, too", FLOOR_ALIKE: "sintered alike by others, too"}


@dataclass
class Results:
    """Results of a run: the rows of the two tables, in order."""

    scores: list[Record] = field(default_factory=list)
    differences: list[Record] = field(default_factory=list)

    def extend(self, other: Results) -> None:
        """Append the rows of other results."""
        self.scores.extend(other.scores)
        self.differences.extend(other.differences)


@dataclass(frozen=True)
class Scoring:
    """Options of scoring: bootstrap draws and seed, and whether only the order of probabilities is scored."""

    draws: int
    seed: int
    ranks_only: bool = False


def _mean_error(measured: Floats, predicted: Floats, _: Floats, weights: Floats) -> Floats:
    return weighted_mean(np.abs(measured - predicted), weights)


def _brier(measured: Floats, predicted: Floats, _: Floats, weights: Floats) -> Floats:
    return weighted_mean((measured - predicted) ** 2, weights)


def _brier_skill(measured: Floats, predicted: Floats, reference: Floats, weights: Floats) -> Floats:
    return 1.0 - _brier(measured, predicted, reference, weights) / _brier(measured, reference, reference, weights)


def _auroc(measured: Floats, predicted: Floats, _: Floats, weights: Floats) -> Floats:
    return weighted_auroc(measured, predicted, weights)


def drawn_metrics(name: TargetName, *, ranks_only: bool = False) -> dict[str, DrawnMetric]:
    """Return the metrics of a target for which bootstrap differences are computed."""
    if TARGETS[name].is_probability:
        return {"auroc": _auroc} | ({} if ranks_only else {"brier": _brier, "brier_skill": _brier_skill})
    return {f"mae_{TARGETS[name].unit}": _mean_error}


def plain_metrics(name: TargetName, *, ranks_only: bool = False) -> dict[str, PlainMetric]:
    """Return the metrics of a target without bootstrap differences."""
    from sklearn.metrics import median_absolute_error, r2_score

    if TARGETS[name].is_probability:
        return {} if ranks_only else {"auroc_within_folds": auroc_within_folds, "ece": _calibration_error}
    return {
        f"median_ae_{TARGETS[name].unit}": lambda y, p, _: float(median_absolute_error(y, p)),
        "r2": lambda y, p, _: float(r2_score(y, p, force_finite=False)),
        "spearman": lambda y, p, _: rank_correlation(y, p),
    }


def _calibration_error(measured: Floats, predicted: Floats, _: Floats) -> float:
    return expected_calibration_error(measured, predicted)


def auroc_within_folds(measured: Floats, predicted: Floats, fold: Floats) -> float:
    """Return the share of pairs of a pure and an impure pellet of the same fold that are ranked correctly.

    If a fold contains many pure pellets, few remain for training, so the models of that fold are too pessimistic.
    This lowers the AUROC over all pellets, below one half for poor models. Pairs of one fold are predicted by one
    model.
    """
    won = pairs = 0.0
    for held_out in np.unique(fold):
        test = fold == held_out
        number = float((measured[test] > 0.5).sum() * (measured[test] <= 0.5).sum())
        if number:
            won += number * auroc(measured[test], predicted[test])
            pairs += number
    return won / pairs if pairs else float("nan")


def rank_correlation(measured: Floats, predicted: Floats) -> float:
    """Return Spearman's rank correlation; 0 for constant predictions, NaN for constant measured values."""
    from scipy.stats import spearmanr

    if np.ptp(measured) == 0:
        return float("nan")
    return float(spearmanr(measured, predicted).statistic) if np.ptp(predicted) > 0 else 0.0


def score(protocol: str, subset: str, predictions: Predictions, chosen: Mask, scoring: Scoring) -> Results:
    """Score every model on a subset of the rows, and compare the own models with each of the others.

    If other sources made the same composition, models and floor are also compared on the rows with a floor.
    """
    part = predictions.frame[chosen]
    found = Results()
    if part.empty:
        return found
    found.extend(_score(protocol, subset, part, predictions, predictions.models, scoring))
    for column, words in REPLICATES.items():
        if column in part and part[column].notna().any():
            rows = part[part[column].notna()]
            models = (*predictions.models, column)
            found.extend(_score(protocol, f"{subset}; {words}", rows, predictions, models, scoring))
    return found


def _score(
    protocol: str,
    subset: str,
    part: pd.DataFrame,
    predictions: Predictions,
    models: tuple[str, ...],
    scoring: Scoring,
) -> Results:
    repeats = [frame for _, frame in part.groupby("repeat")]
    sources = repeats[0][Column.SOURCE]
    head = {"protocol": protocol, "target": str(predictions.target), "subset": subset}
    counts = {"n_rows": len(sources), "n_sources": int(sources.nunique())}
    measured = repeats[0]["measured"].to_numpy(np.float64)
    folds = [frame["fold"].to_numpy(np.float64) for frame in repeats]
    values = {m: [frame[m].to_numpy(np.float64) for frame in repeats] for m in models}
    reference = values.get(BASE_RATE, [np.full(len(measured), np.nan)] * len(repeats))
    found = Results()
    for metric, plain in plain_metrics(predictions.target, ranks_only=scoring.ranks_only).items():
        for model in models:
            single = [plain(measured, p, fold) for p, fold in zip(values[model], folds, strict=True)]
            found.scores.append(head | {"model": model, "metric": metric} | over_repeats(single) | counts)
    once, drawn = np.ones((1, len(measured))), source_weights(sources, scoring.draws, scoring.seed)
    for metric, compute in drawn_metrics(predictions.target, ranks_only=scoring.ranks_only).items():
        at_hand: dict[str, list[float]] = {}
        of_draws: dict[str, Floats] = {}
        for model in models:
            if metric == "auroc" and model == BASE_RATE:
                continue  # the base rate does not rank pellets
            pairs = list(zip(values[model], reference, strict=True))
            at_hand[model] = [float(compute(measured, p, r, once)[0]) for p, r in pairs]
            of_draws[model] = np.mean([compute(measured, p, r, drawn) for p, r in pairs], axis=0)
            row = head | {"model": model, "metric": metric} | over_repeats(at_hand[model]) | counts
            found.scores.append(row)
        if counts["n_sources"] >= FEWEST_SOURCES:
            means = {model: float(np.mean(of_model)) for model, of_model in at_hand.items()}
            lower_is_better = metric not in {"auroc", "brier_skill"}
            found.differences.extend(
                head | {"metric": metric} | row | counts
                for row in differences(predictions.own_models, means, of_draws, lower_is_better=lower_is_better)
            )
    return found


def over_repeats(values: Iterable[float]) -> Record:
    """Return the mean and the sample standard deviation over repeats (NaN for one repeat)."""
    array = np.asarray(list(values), dtype=np.float64)
    return {"mean": float(array.mean()), "spread": float(array.std(ddof=1)) if len(array) > 1 else float("nan")}


def differences(
    own_models: tuple[str, ...], at_hand: dict[str, float], drawn: dict[str, Floats], *, lower_is_better: bool
) -> list[Record]:
    """Return the differences of own models to every other model, with interval and verdict."""
    rows = []
    for own in own_models:
        for peer, of_peer in at_hand.items():
            if peer == own:
                continue
            found = with_interval(at_hand[own] - of_peer, drawn[own] - drawn[peer])
            better = (found.value < 0) == lower_is_better
            verdict = ("better" if better else "worse") if found.excludes_zero else "not told apart"
            rows.append(
                {"ours": own, "peer": peer, "score_ours": at_hand[own], "score_peer": of_peer}
                | {"difference": found.value, "lower": found.lower, "upper": found.upper, "verdict": verdict}
            )
    return rows


def score_series(predictions: Predictions, scoring: Scoring) -> tuple[Results, pd.DataFrame]:
    """Score the order within series: protocol P6.

    Returns
    -------
    Results
        tau (mean over series), tau_by_pairs (weighted by pairs), regret (mean over series, in the unit of the
        target), of every model and of a random choice.
    pandas.DataFrame
        One row per series, model and repeat: source, model, repeat, tau, regret, chance, pairs.
    """
    unit = TARGETS[predictions.target].unit
    tables = []
    for repeat, frame in predictions.frame.groupby("repeat"):
        recipes = recipes_of_series(frame, ("measured", *predictions.models))
        for model in predictions.models:
            table = series_scores(recipes, "measured", model).assign(model=model, repeat=repeat)
            tables.append(table.rename_axis(str(Column.SOURCE)).reset_index())
    long = pd.concat(tables, ignore_index=True)
    blind = long[long["model"] == predictions.models[0]].assign(model=CHANCE, tau=0.0)
    long = pd.concat([long, blind.assign(regret=blind["chance"])], ignore_index=True)
    head = {"protocol": "P6", "target": str(predictions.target), "subset": "series"}
    recipes = recipes_of_series(predictions.frame[predictions.frame["repeat"] == 0], ("measured",))
    counts = {"n_rows": len(recipes), "n_sources": int(recipes[Column.SOURCE].nunique())}
    found = Results()
    for metric, column in (("tau", "tau"), ("tau_by_pairs", "tau"), (f"regret_{unit}", "regret")):
        wide = long.pivot_table(index=["model", "repeat"], columns=str(Column.SOURCE), values=column, sort=False)
        pairs = long.groupby(Column.SOURCE)["pairs"].first().reindex(wide.columns).to_numpy(np.float64)
        weight = pairs if metric == "tau_by_pairs" else np.ones(len(pairs))
        drawn = source_weights(wide.columns, scoring.draws, scoring.seed) * weight
        scored: dict[str, float] = {}
        of_draws: dict[str, Floats] = {}
        for level, of_repeats in wide.groupby(level="model", sort=False):
            model, values = str(level), of_repeats.to_numpy(np.float64)
            single = [float(np.average(row, weights=weight)) for row in values]
            found.scores.append(head | {"model": model, "metric": metric} | over_repeats(single) | counts)
            scored[model] = float(np.mean(single))
            of_draws[model] = weighted_mean(values.mean(axis=0), drawn)
        better = {"lower_is_better": metric.startswith("regret")}
        rows = differences(predictions.own_models, scored, of_draws, **better)
        found.differences.extend(head | {"metric": metric} | row | counts for row in rows)
    return found, long


def weighted_auroc(outcome: Floats, score: Floats, weights: Floats) -> Floats:
    """Return the AUROC in each draw: the probability that a positive row ranks above a negative one.

    Parameters
    ----------
    outcome, score
        Shape (n,); an outcome above 0.5 is positive. Ties of the score count half.
    weights
        Shape (draws, n).

    Returns
    -------
    ndarray
        Shape (draws,); NaN for draws with one class only.
    """
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(score[order]) > 0])
    positive = outcome[order] > 0.5
    ahead = np.add.reduceat(weights[:, order] * positive, starts, axis=1)
    behind = np.add.reduceat(weights[:, order] * ~positive, starts, axis=1)
    below = np.cumsum(behind, axis=1) - behind
    with np.errstate(invalid="ignore"):
        won = (ahead * (below + 0.5 * behind)).sum(axis=1)
        return np.asarray(won / (ahead.sum(axis=1) * behind.sum(axis=1)))
