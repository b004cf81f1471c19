"""Boosting in which every source has a level of its own.

Pellets of one paper share powder, furnace, electrodes and habits, so that the whole paper lies above or below
what its recipes explain. Trees that are shown such rows as if they were independent learn the paper: its odd
calcination time comes to mean its level. Here each source has a random intercept; before every round of boosting
the intercepts are estimated from the errors so far, shrunk towards zero, and the new tree is fitted to what they
leave. A new source has the intercept zero, so predictions are the sum of the trees alone.

The gradient of the marginal loss with respect to the trees is that of the loss at the best intercepts (Sigrist,
10.48550/arXiv.2004.02653, for Gaussian errors; here the loss is robust or logistic, and the intercepts are its
mode).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
#: What XGBoost wants of an objective: predictions and data in, gradient and curvature of each row out.
Objective = Callable[[Floats, object], tuple[Floats, Floats]]

#: Reweighting steps for the intercepts in a round; they start where the last round ended.
_STEPS = 3
#: No row's curvature may vanish, or a leaf of certain rows would have no size.
_SMALLEST_CURVATURE = 1e-3


class _Intercepts:
    """One number a source, on the scale the model learns."""

    def __init__(self, sources: ArrayLike) -> None:
        names, self._codes = np.unique(np.asarray(sources, dtype=str), return_inverse=True)
        self._levels = np.zeros(len(names))

    def per_row(self) -> Floats:
        return np.asarray(self._levels[self._codes])

    def step(self, gradient: Floats, curvature: Floats, shrinkage: float) -> None:
        """Go one Newton step down the loss of all rows plus that of being away from zero."""
        count = len(self._levels)
        slope = np.bincount(self._codes, gradient, count) + shrinkage * self._levels
        self._levels = self._levels - slope / (np.bincount(self._codes, curvature, count) + shrinkage)


def robust_objective(
    y: Floats, weight: Floats, sources: ArrayLike, *, tolerance: float, shrinkage: float
) -> Objective:
    """Pseudo-Huber loss around trees plus the source's intercept.

    Parameters
    ----------
    y, weight, sources
        Target on the scale the model learns, weight and source key of each row; shape (n,).
    tolerance
        Errors much smaller than this count squared, much larger ones by their size.
    shrinkage
        Variance within a source over that between sources: as many pellets as speak for an intercept of zero.

    Returns
    -------
    callable
        For `xgboost.train(obj=...)`. The curvature is that of the reweighted least squares (Charbonnier et al.,
        10.1109/83.551699), which does not vanish for outliers as the second derivative does.
    """
    intercepts = _Intercepts(sources)

    def objective(predicted: Floats, _data: object) -> tuple[Floats, Floats]:
        for _ in range(_STEPS):
            error = predicted + intercepts.per_row() - y
            reweighted = weight / np.sqrt(1.0 + (error / tolerance) ** 2)
            intercepts.step(reweighted * error, reweighted, shrinkage)
        error = predicted + intercepts.per_row() - y
        reweighted = weight / np.sqrt(1.0 + (error / tolerance) ** 2)
        return reweighted * error, reweighted

    return objective


def logistic_objective(y: Floats, weight: Floats, sources: ArrayLike, *, shrinkage: float) -> Objective:
    """Logarithmic loss of log-odds from trees plus the source's intercept.

    Parameters
    ----------
    y
        Outcomes, 0 or 1, shape (n,).
    weight, sources
        Weight and source key of each row; shape (n,).
    shrinkage
        One over the variance of the intercepts, in log-odds.

    Returns
    -------
    callable
        For `xgboost.train(obj=...)`.
    """
    intercepts = _Intercepts(sources)

    def slopes(predicted: Floats) -> tuple[Floats, Floats]:
        probability = 1.0 / (1.0 + np.exp(-(predicted + intercepts.per_row())))
        return weight * (probability - y), weight * probability * (1.0 - probability)

    def objective(predicted: Floats, _data: object) -> tuple[Floats, Floats]:
        for _ in range(_STEPS):
            intercepts.step(*slopes(predicted), shrinkage)
        gradient, curvature = slopes(predicted)
        return gradient, np.maximum(curvature, _SMALLEST_CURVATURE)

    return objective
