"""Scores, as pure functions of arrays. Checked against scikit-learn by test where it has the same score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def mean_absolute_error(measured: Floats, predicted: Floats) -> float:
    """Mean of |measured - predicted|, in the unit of both; shape (n,) each."""
    return float(np.mean(np.abs(measured - predicted)))


def median_absolute_error(measured: Floats, predicted: Floats) -> float:
    """Median of |measured - predicted|: what a typical recipe is off by."""
    return float(np.median(np.abs(measured - predicted)))


def r_squared(measured: Floats, predicted: Floats) -> float:
    """Share of the variance explained; NaN if all measured values are equal."""
    total = float(np.sum((measured - measured.mean()) ** 2))
    return 1.0 - float(np.sum((measured - predicted) ** 2)) / total if total > 0 else float("nan")


def coverage(measured: Floats, lower: Floats, upper: Floats) -> float:
    """Share of measured values inside their interval, ends included."""
    return float(np.mean((measured >= lower) & (measured <= upper)))


def mean_width(lower: Floats, upper: Floats) -> float:
    """Mean width of the intervals, in their unit."""
    return float(np.mean(upper - lower))


def auroc(outcome: Floats, score: Floats) -> float:
    """Probability that a positive row ranks above a negative one, ties counting half; NaN with one class."""
    from scipy.stats import rankdata

    positive = outcome > 0.5
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if n_positive == 0 or n_negative == 0:
        return float("nan")
    ranks = rankdata(score)
    return float((ranks[positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def brier(outcome: Floats, probability: Floats) -> float:
    """Mean squared difference of probability and outcome."""
    return float(np.mean((probability - outcome) ** 2))


def brier_skill(outcome: Floats, probability: Floats, reference: Floats) -> float:
    """1 - Brier score over that of a reference forecast; above 0 is better than the reference."""
    return 1.0 - brier(outcome, probability) / brier(outcome, reference)


def expected_calibration_error(outcome: Floats, probability: Floats, bins: int = 10) -> float:
    """Mean |observed share - mean probability| over bins of equal counts, weighted by count.

    Bins of equal counts, because probabilities from few data crowd in the middle and bins of equal width
    would rest on a handful of rows each.
    """
    order = np.argsort(probability, kind="stable")
    gaps = [
        len(rows) * abs(float(outcome[rows].mean() - probability[rows].mean()))
        for rows in np.array_split(order, min(bins, len(order)))
        if len(rows)
    ]
    return float(np.sum(gaps) / len(outcome))


def calibration_error_by_chance(probability: Floats, bins: int = 10, draws: int = 200) -> float:
    """Give the calibration error that these probabilities show on average when they are exactly right.

    Outcomes are drawn from the probabilities themselves, each on its own: it is the least that a finite number
    of rows can be held to. Pellets of one source are alike, so the real least is somewhat higher.
    """
    outcomes = np.random.default_rng(0).uniform(size=(draws, len(probability))) < probability
    return float(
        np.mean([expected_calibration_error(drawn.astype(np.float64), probability, bins) for drawn in outcomes])
    )
