"""Turns a prediction into an interval on the scale of reports."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.estimators.conformal import ConformalScores, Spread, fit_spread
from nasicon_ml.estimators.targets import TARGETS, TargetName, inverse_temperature_step

Floats = NDArray[np.float64]
Strings = NDArray[np.object_]

#: Conductivities within this of 25 °C tell how wrong the model is there, energies left aside.
NEAR_ROOM_TEMPERATURE_C = (15.0, 40.0)
#: A system has a spread of its own from this many sources on.
_ENOUGH_SOURCES = 4
#: Largest error of the activation energy considered, in eV.
_LARGEST_ENERGY_ERROR_EV = 0.5
#: Parts of the sources, each scored by a spread fitted to the others: one that knows it promises too much for it.
_SCORING_FOLDS = 20
#: Fewer rows than this do not tell how errors differ.
_FEW = 20


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
    system
        Name of the system.
    """

    unknown: Floats
    distance: Floats
    temperature_c: Floats
    system: Strings

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Circumstances:
        """Keep some rows."""
        return Circumstances(self.unknown[rows], self.distance[rows], self.temperature_c[rows], self.system[rows])


@dataclass(frozen=True)
class IntervalModel:
    """Conformal intervals of one target.

    Attributes
    ----------
    name
        Which target; decides the scale on which intervals are symmetric (log10 porosity for density).
    spread
        Expected error by circumstances.
    by_system
        Factor on the spread of systems that are harder or easier than the rest, fitted along with it and shrunk
        towards 1. Systems of few sources have one in common for each mobile ion, under its first letter.
    energy_error_ev
        Error of the activation energy: what an interval gains in width away from 25 °C. 0 where it does not
        matter.
    scores
        Out-of-fold errors in units of the spread.
    """

    name: TargetName
    spread: Spread
    by_system: Mapping[str, float]
    energy_error_ev: float
    scores: ConformalScores

    def interval(self, reported: Floats, circumstances: Circumstances, level: float) -> tuple[Floats, Floats]:
        """Give lower and upper ends around predictions on the scale of reports; shape (n,) each.

        Raises
        ------
        FieldError
            If the level cannot be supported (see `ConformalScores.quantile`).
        """
        target = TARGETS[self.name]
        half = self.scores.quantile(level) * self.scale(circumstances)
        centre = target.forward(reported)
        ends = target.inverse(centre - half), target.inverse(centre + half)
        return np.minimum(*ends), np.maximum(*ends)

    def scale(self, circumstances: Circumstances) -> Floats:
        """Give the expected absolute error of each recipe on the scale the model learns; shape (n,)."""
        return _Scale(self.spread, self.by_system, self.energy_error_ev).of(circumstances)

    def level_needed(self, measured: Floats, reported: Floats, circumstances: Circumstances) -> Floats:
        """Give the highest level whose interval still misses the measured value; shape (n,), 0 to 1."""
        target = TARGETS[self.name]
        residuals = target.forward(measured) - target.forward(reported)
        return self.scores.level_needed(np.abs(residuals) / self.scale(circumstances))


def fit_intervals(
    name: TargetName,
    measured: Floats,
    reported: Floats,
    sources: Strings,
    circumstances: Circumstances,
    energy_error_ev: float = 0.0,
) -> IntervalModel:
    """Fit spread, factors of systems and scores to out-of-fold predictions; all arrays of shape (n,).

    The score of a row is its error over a spread fitted to other sources.

    Parameters
    ----------
    name
        Which target.
    measured, reported
        On the scale of reports.
    sources
        Source of each row: a system counts by its sources, not by its pellets.
    circumstances
        Of each row.
    energy_error_ev
        Out-of-fold error of the activation energy, the least by which an interval grows away from 25 °C.
    """
    target = TARGETS[name]
    residuals = target.forward(measured) - target.forward(reported)
    scale = np.empty(len(residuals))
    fold = np.unique(sources.astype(str), return_inverse=True)[1] % _SCORING_FOLDS
    for held_out in np.unique(fold):
        test = fold == held_out
        # Too few rows to spare a part of them are scored by what they themselves were fitted with.
        train = ~test if (~test).sum() >= _FEW else np.ones(len(test), dtype=bool)
        fitted = _fit_scale(name, residuals[train], sources[train], circumstances.take(train), energy_error_ev)
        scale[test] = fitted.of(circumstances.take(test))
    scores = ConformalScores.from_residuals(residuals, scale)
    whole = _fit_scale(name, residuals, sources, circumstances, energy_error_ev)
    return IntervalModel(name, whole.spread, whole.by_system, whole.energy_error_ev, scores)


@dataclass(frozen=True)
class _Scale:
    """The expected error of recipes, without the scores."""

    spread: Spread
    by_system: Mapping[str, float]
    energy_error_ev: float

    def of(self, circumstances: Circumstances) -> Floats:
        return np.hypot(
            _at_room_temperature(self.spread, self.by_system, circumstances),
            self.energy_error_ev * _decades_per_ev(circumstances),
        )


def _fit_scale(
    name: TargetName, residuals: Floats, sources: Strings, circumstances: Circumstances, energy_error_ev: float
) -> _Scale:
    """Fit spread, factors and energy error to residuals on the scale the model learns."""
    low, high = NEAR_ROOM_TEMPERATURE_C
    near = (circumstances.temperature_c >= low) & (circumstances.temperature_c <= high)
    if name is not TargetName.CONDUCTIVITY or near.sum() < _FEW:
        near = np.ones(len(residuals), dtype=bool)
    here = circumstances.take(near)
    group = _group(here.system, _spoken_for(here.system, sources[near]))
    systems = sorted(set(group))
    groups = [group == system for system in systems]
    spread, factors = fit_spread(residuals[near], here.unknown, here.distance, groups=groups)
    by_system = dict(zip(systems, map(float, factors), strict=True))
    if (~near).sum() >= _FEW:
        scale = _at_room_temperature(spread, by_system, circumstances)
        steps = _decades_per_ev(circumstances)[~near]
        energy_error_ev = _fit_energy_error(residuals[~near], scale[~near], steps, energy_error_ev)
    return _Scale(spread, by_system, energy_error_ev)


def _spoken_for(system: Strings, sources: Strings) -> set[str]:
    """Name the systems of enough sources."""
    count = pd.Series(sources).groupby(system).nunique()
    return {str(name) for name in count.index[count >= _ENOUGH_SOURCES]}


def _group(system: Strings, named: Collection[str]) -> Strings:
    """Name what decides a system's factor: itself, or, where it is not among the named, its mobile ion (L, N)."""
    return np.array([name if name in named else str(name)[:1] for name in system], dtype=object)


def _fit_energy_error(residuals: Floats, scale: Floats, steps: Floats, least: float) -> float:
    """Find the energy error that explains errors away from 25 °C, by likelihood (Laplace), at least `least`."""
    from scipy.optimize import minimize_scalar

    def loss(energy_error: float) -> float:
        width = np.hypot(scale, energy_error * steps)
        return float(np.mean(np.log(width) + np.abs(residuals) / width))

    found = minimize_scalar(loss, bounds=(least, _LARGEST_ENERGY_ERROR_EV), method="bounded")
    return float(found.x)


def _at_room_temperature(spread: Spread, by_system: Mapping[str, float], circumstances: Circumstances) -> Floats:
    systems, system_of = _different(circumstances.system)
    factor = np.array([by_system.get(name, 1.0) for name in _group(systems, by_system)])[system_of]
    return spread.scale(circumstances.unknown, circumstances.distance) * factor


def _different(system: Strings) -> tuple[Strings, NDArray[np.intp]]:
    """Give the different names and which of them each row has: there are few, and comparing texts is slow."""
    system_of, names = pd.factorize(system)
    return np.asarray(names, dtype=object), system_of


def _decades_per_ev(circumstances: Circumstances) -> Floats:
    """How many decades an eV of activation energy moves a conductivity between 25 °C and where it was measured."""
    return inverse_temperature_step(circumstances.temperature_c) / np.log(10.0)
