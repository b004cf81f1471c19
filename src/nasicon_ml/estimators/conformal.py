"""Intervals from out-of-fold errors: cross-conformal, scaled by how much of a recipe is unknown.

The errors come from folds in which no source stands on both sides, so they are errors on sources the model
has not seen, which is what a new recipe is. Their size is first described by a spread: two causes that can
only widen it, the share of the recipe that is not given and the distance to the nearest measured pellets of
other sources, and a factor for each system. The conformal step then takes the quantile of error / spread, so
that the stated share of unseen sources' pellets falls inside, whatever the spread model got wrong on average
(cross-conformal prediction: Vovk, 10.1007/s10472-013-9368-4; normalised scores: Papadopoulos et al.,
10.1613/jair.3198).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.errors import FieldError

Floats = NDArray[np.float64]

#: A spread never falls below this share of its median: a handful of lucky rows must not promise certainty.
_SMALLEST_SHARE = 0.25
#: A recipe is incomplete where more than this share of its processing is unknown: there errors jump.
INCOMPLETE = 1 / 3
#: A recipe that says less comes nearer to others by at most this for each unit of unknown share that it gains: a
#: field that differs wholly counts 1 and an unknown one 0.5, two of the fourteen weights at most, a tenth each.
_NEARER_BY_SILENCE = 0.5 * 2 / 14 * 10
#: By how much the logarithm of the spread differs between systems before any error is seen: as the width of a
#: normal distribution, a factor of 1.6 either way.
SYSTEM_SPREAD = 0.5


@dataclass(frozen=True)
class Spread:
    """Expected absolute error as ``exp(intercept + unknown * u + distance * d + incomplete * (u > 1/3))``.

    Parameters
    ----------
    intercept
        Logarithm of the error, on the scale the model learns, of a fully stated recipe at distance 0.
    unknown, distance
        How much the logarithm grows from nothing unknown (0) to everything unknown (1), and per unit of
        distance. Neither is ever negative: knowing less cannot narrow an interval.
    incomplete
        How much it grows where more than a third (`INCOMPLETE`) is unknown; never negative, either.
    """

    intercept: float
    unknown: float = 0.0
    distance: float = 0.0
    incomplete: float = 0.0

    def scale(self, unknown: Floats, distance: Floats) -> Floats:
        """Give the expected absolute error of each recipe; shape (n,), on the scale the model learns."""
        # Cause by cause: a product of matrices would depend, in the last bit, on how many recipes there are.
        log_scale = self.intercept + self.unknown * unknown + self.distance * distance
        return np.asarray(np.exp(log_scale + self.incomplete * (unknown > INCOMPLETE)))


def _causes(unknown: Floats, distance: Floats) -> Floats:
    """Give what a spread is made of, shape (n, 4)."""
    return np.column_stack([np.ones(len(unknown)), unknown, distance, unknown > INCOMPLETE])


def fit_spread(
    residuals: Floats,
    unknown: Floats,
    distance: Floats,
    *,
    groups: Sequence[NDArray[np.bool_]] = (),
) -> tuple[Spread, Floats]:
    """Fit the spread to out-of-fold residuals by maximum likelihood of a Laplace distribution.

    Parameters
    ----------
    residuals
        Measured minus predicted on the scale the model learns, shape (n,).
    unknown
        Share of the processing fields that is not given, shape (n,), 0 to 1.
    distance
        Distance to the nearest pellets of other sources, shape (n,).
    groups
        Rows (masks of shape (n,)) that have a factor of their own on the spread, each shrunk towards 1: its
        logarithm is taken to be normal with a width of `SYSTEM_SPREAD`.

    Returns
    -------
    spread
        Of rows without a group.
    factors
        Of the groups, shape (len(groups),).

    Raises
    ------
    ValueError
        If there are fewer than 20 residuals.
    """
    from scipy.optimize import minimize

    size = np.abs(residuals)
    if len(size) < 20:
        raise ValueError(f"a spread needs at least 20 out-of-fold residuals, got {len(size)}")
    # Silence brings a recipe nearer to others: whatever distance is worth, the unknown share makes up for that.
    causes = _causes(unknown, distance + _NEARER_BY_SILENCE * unknown)
    inputs = np.column_stack([causes, *groups]).astype(np.float64)
    penalty = np.concatenate([np.zeros(4), np.full(len(groups), SYSTEM_SPREAD**-2)]) / len(size)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        log_scale = inputs @ parameters
        ratio = size * np.exp(-log_scale)
        value = float(np.mean(log_scale + ratio) + 0.5 * penalty @ parameters**2)
        return value, inputs.T @ (1.0 - ratio) / len(size) + penalty * parameters

    start = np.zeros(inputs.shape[1])
    start[0] = np.log(size.mean() + 1e-9)
    bounds = [(None, None), *[(0.0, None)] * 3, *[(None, None)] * len(groups)]
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B").x
    floor = _SMALLEST_SHARE * float(np.median(np.exp(causes @ found[:4])))
    intercept, by_unknown, by_distance, incomplete = (float(value) for value in found[:4])
    by_unknown += _NEARER_BY_SILENCE * by_distance
    spread = Spread(max(intercept, float(np.log(floor))), by_unknown, by_distance, incomplete)
    return spread, np.exp(found[4:])


@dataclass(frozen=True)
class ConformalScores:
    """Sorted out-of-fold scores |error| / spread, shape (n,): their quantiles make the intervals."""

    scores: Floats

    @classmethod
    def from_residuals(cls, residuals: Floats, scale: Floats) -> ConformalScores:
        """Sort the scores of out-of-fold residuals; both of shape (n,)."""
        return cls(np.sort(np.abs(residuals) / scale))

    def quantile(self, level: float) -> float:
        """Give the score that a new recipe stays below with probability `level`.

        The ``ceil((n + 1) level)``-th smallest score, which carries the correction for a finite number of
        scores.

        Raises
        ------
        FieldError
            If the level is not between 0 and 1, or is closer to 1 than n scores can support.
        """
        count = len(self.scores)
        highest = count / (count + 1)
        if not 0.0 < level <= highest:
            allowed = (
                f"a number above 0 and up to {highest:.4f}, which is all that {count} measured pellets support"
            )
            raise FieldError("level", level, allowed)
        # The tolerance keeps 0.9 * 10 = 9.000000000000002 from becoming 10.
        rank = int(np.ceil((count + 1) * level - 1e-9))
        return float(self.scores[rank - 1])

    def level_needed(self, scores: Floats) -> Floats:
        """Give the highest level whose interval still misses a score; shape (n,), 1 beyond all known scores.

        At every level above it the interval holds the score. So the share of held-out pellets whose value is
        below a level is the coverage at that level.
        """
        count = len(self.scores)
        below = np.searchsorted(self.scores, scores, side="left")
        return np.where(below == count, 1.0, below / (count + 1))
