"""Intervals from out-of-fold errors: cross-conformal, scaled by how much of a recipe is unknown.

The errors come from folds in which no source stands on both sides, so they are errors on sources the model
has not seen, which is what a new recipe is. Their size is first described by a spread with two causes that
can only widen it: the share of the recipe that is not given, and the distance to the nearest measured
pellets of other sources. The conformal step then takes the quantile of error / spread, so that the stated
share of unseen sources' pellets falls inside, whatever the spread model got wrong on average
(cross-conformal prediction: Vovk, 10.1007/s10472-013-9368-4; normalised scores: Papadopoulos et al.,
10.1613/jair.3198).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.errors import FieldError

Floats = NDArray[np.float64]

#: A spread never falls below this share of its median: a handful of lucky rows must not promise certainty.
_SMALLEST_SHARE = 0.25


@dataclass(frozen=True)
class Spread:
    """Expected absolute error as ``exp(intercept + unknown * u + distance * d)``.

    Parameters
    ----------
    intercept
        Logarithm of the error, on the scale the model learns, of a fully stated recipe at distance 0.
    unknown, distance
        How much the logarithm grows from nothing unknown (0) to everything unknown (1), and per unit of
        distance. Neither is ever negative: knowing less cannot narrow an interval.
    """

    intercept: float
    unknown: float = 0.0
    distance: float = 0.0

    def scale(self, unknown: Floats, distance: Floats) -> Floats:
        """Give the expected absolute error of each recipe; shape (n,), on the scale the model learns."""
        return np.asarray(np.exp(self.intercept + self.unknown * unknown + self.distance * distance))


def fit_spread(residuals: Floats, unknown: Floats, distance: Floats) -> Spread:
    """Fit the spread to out-of-fold residuals by maximum likelihood of a Laplace distribution.

    Parameters
    ----------
    residuals
        Measured minus predicted on the scale the model learns, shape (n,).
    unknown
        Share of the processing fields that is not given, shape (n,), 0 to 1.
    distance
        Distance to the nearest pellets of other sources, shape (n,).

    Raises
    ------
    ValueError
        If there are fewer than 20 residuals.
    """
    from scipy.optimize import minimize

    size = np.abs(residuals)
    if len(size) < 20:
        raise ValueError(f"a spread needs at least 20 out-of-fold residuals, got {len(size)}")
    inputs = np.column_stack([unknown, distance])

    def loss(parameters: Floats) -> tuple[float, Floats]:
        log_scale = parameters[0] + inputs @ parameters[1:]
        ratio = size * np.exp(-log_scale)
        slope = 1.0 - ratio
        return float(np.mean(log_scale + ratio)), np.concatenate([[slope.mean()], inputs.T @ slope / len(size)])

    start = np.array([np.log(size.mean() + 1e-9), 0.0, 0.0])
    found = minimize(loss, start, jac=True, bounds=[(None, None), (0.0, None), (0.0, None)], method="L-BFGS-B")
    intercept, by_unknown, by_distance = (float(value) for value in found.x)
    spread = Spread(intercept, by_unknown, by_distance)
    floor = _SMALLEST_SHARE * float(np.median(spread.scale(unknown, distance)))
    return Spread(max(intercept, float(np.log(floor))), by_unknown, by_distance)


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
