"""Whether a difference between two models is more than the luck of the papers at hand: bootstrap over sources.

Whole sources are drawn again with replacement, for pellets of one paper are alike; both models are scored on the
same draw. A draw is kept as a weight of each row, how often its source was drawn, so that one matrix product gives
the score of all draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """A difference of two scores, with the middle 95 % of what other papers might have shown.

    Attributes
    ----------
    value
        On the rows at hand.
    lower, upper
        2.5 and 97.5 % of the draws.
    """

    value: float
    lower: float
    upper: float

    @property
    def told_apart(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.lower > 0 or self.upper < 0


def source_weights(sources: ArrayLike, draws: int, seed: int) -> Floats:
    """Draw as many sources as there are, with replacement, many times.

    Parameters
    ----------
    sources
        Source of each row, shape (n,).
    draws, seed
        How many times; same seed and sources: same draws.

    Returns
    -------
    ndarray
        Shape (draws, n): how often each row counts in each draw, a whole number from 0.
    """
    names, codes = np.unique(np.asarray(sources, dtype=str), return_inverse=True)
    counts = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    return np.asarray(counts[:, codes], dtype=np.float64)


def interval(at_hand: float, drawn: Floats) -> Difference:
    """Put a difference and its draws, shape (draws,), together; draws that gave no number are left out."""
    usable = drawn[np.isfinite(drawn)]
    if len(usable) == 0:
        return Difference(at_hand, float("nan"), float("nan"))
    lower, upper = np.percentile(usable, [2.5, 97.5])
    return Difference(at_hand, float(lower), float(upper))


def weighted_mean(values: Floats, weights: Floats) -> Floats:
    """Mean of values of shape (n,) in each draw, weights of shape (draws, n); NaN where a draw is empty."""
    with np.errstate(invalid="ignore"):
        return np.asarray(weights @ values / weights.sum(axis=1))


def weighted_auroc(outcome: Floats, score: Floats, weights: Floats) -> Floats:
    """Probability that a positive row ranks above a negative one, ties counting half, in each draw.

    Parameters
    ----------
    outcome, score
        Shape (n,); an outcome above 0.5 is positive.
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
