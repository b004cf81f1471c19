"""Turns a prediction into an interval on the scale of reports."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.estimators.conformal import ConformalScores, Spread, fit_spread
from nasicon_ml.estimators.targets import TARGETS, TargetName, inverse_temperature_step

Floats = NDArray[np.float64]

#: Conductivities within this of 25 °C tell how wrong the model is there, energies left aside.
NEAR_ROOM_TEMPERATURE_C = (15.0, 40.0)


@dataclass(frozen=True)
class Circumstances:
    """What decides how wide an interval is; each of shape (n,).

    Attributes
    ----------
    unknown
        Share of the processing fields not given, 0 to 1.
    distance
        Distance to the nearest measured pellets (of other sources, for a training pellet).
    temperature_c
        Temperature of measurement; matters for conductivity only.
    """

    unknown: Floats
    distance: Floats
    temperature_c: Floats

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Circumstances:
        """Keep some rows."""
        return Circumstances(self.unknown[rows], self.distance[rows], self.temperature_c[rows])


@dataclass(frozen=True)
class IntervalModel:
    """Conformal intervals of one target.

    Attributes
    ----------
    name
        Which target; decides the scale on which intervals are symmetric (log10 porosity for density).
    spread
        Expected error by circumstances.
    scores
        Out-of-fold errors in units of the spread.
    energy_error_ev
        Mean absolute out-of-fold error of the activation energy: what an interval gains in width away from
        25 °C. 0 where it does not matter.
    """

    name: TargetName
    spread: Spread
    scores: ConformalScores
    energy_error_ev: float = 0.0

    def interval(self, reported: Floats, circumstances: Circumstances, level: float) -> tuple[Floats, Floats]:
        """Give lower and upper ends around predictions on the scale of reports; shape (n,) each.

        Raises
        ------
        FieldError
            If the level cannot be supported (see `ConformalScores.quantile`).
        """
        target = TARGETS[self.name]
        half = self.scores.quantile(level) * _scale(self.spread, self.energy_error_ev, circumstances)
        centre = target.forward(reported)
        ends = target.inverse(centre - half), target.inverse(centre + half)
        return np.minimum(*ends), np.maximum(*ends)


def fit_intervals(
    name: TargetName,
    measured: Floats,
    reported: Floats,
    circumstances: Circumstances,
    energy_error_ev: float = 0.0,
) -> IntervalModel:
    """Fit spread and scores to out-of-fold predictions; all arrays of shape (n,)."""
    target = TARGETS[name]
    residuals = target.forward(measured) - target.forward(reported)
    low, high = NEAR_ROOM_TEMPERATURE_C
    near = (circumstances.temperature_c >= low) & (circumstances.temperature_c <= high)
    if name is not TargetName.CONDUCTIVITY or near.sum() < 20:
        near = np.ones(len(residuals), dtype=bool)
    spread = fit_spread(residuals[near], circumstances.unknown[near], circumstances.distance[near])
    scale = _scale(spread, energy_error_ev, circumstances)
    return IntervalModel(name, spread, ConformalScores.from_residuals(residuals, scale), energy_error_ev)


def _scale(spread: Spread, energy_error_ev: float, circumstances: Circumstances) -> Floats:
    step = inverse_temperature_step(circumstances.temperature_c) / np.log(10.0)
    return np.hypot(spread.scale(circumstances.unknown, circumstances.distance), energy_error_ev * step)
