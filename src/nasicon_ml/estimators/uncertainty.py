"""Intervals and calibrated probabilities, fitted to out-of-fold predictions.

The errors come from folds in which no source stands on both sides, so they are errors on sources the model
has not seen, which is what a new recipe is. Their size is first described by a spread: two causes that can
only widen it, the share of the recipe that is not given and the distance to the nearest measured pellets of
other sources, and a factor for each system. The conformal step then takes the quantile of error / spread, so
that the stated share of unseen sources' pellets falls inside, whatever the spread model got wrong on average
(cross-conformal prediction: Vovk, 10.1007/s10472-013-9368-4; normalised scores: Papadopoulos et al.,
10.1613/jair.3198). Probabilities of phase purity are calibrated by beta calibration of out-of-fold scores.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from nasicon_ml.arrays import Floats, Ints, Mask, Strings
from nasicon_ml.errors import FieldError
from nasicon_ml.estimators.targets import TARGETS, TargetName, inverse_temperature_step

#: The distance of a recipe to the nearest measured pellets is the mean over this many.
NEAR_PELLETS = 3
#: A spread never falls below this share of its median: a handful of lucky rows must not promise certainty.
_SMALLEST_SHARE = 0.25
#: A recipe is incomplete where more than this share of its processing is unknown: there errors jump.
INCOMPLETE = 1 / 3
#: A recipe that says less comes nearer to others by at most this for each unit of unknown share that it gains: a
#: field that differs wholly counts 1 and an unknown one 0.5, two of the fourteen weights at most, a tenth each.
_DISTANCE_PER_UNKNOWN = 0.5 * 2 / 14 * 10
#: By how much the logarithm of the spread differs between systems before any error is seen: as the width of a
#: normal distribution, a factor of 1.6 either way.
SYSTEM_SPREAD = 0.5
#: Conductivities within this of 25 °C tell how wrong the model is there, energies left aside.
NEAR_ROOM_TEMPERATURE_C = (15.0, 40.0)
#: A system has a spread of its own from this many sources on.
_ENOUGH_SOURCES = 4
#: Largest error of the activation energy considered, in eV.
_LARGEST_ENERGY_ERROR_EV = 0.5
#: Parts of the sources, each scored by a spread fitted to the others: one that knows it promises too much for it.
_SCORING_FOLDS = 20
#: Fewer rows than this do not tell how errors differ.
_FEWEST_ROWS = 20
#: Trust in the trees of this package: they learn with a level for every source, so that their log-odds already are
#: those of a new one. Without trust, calibration on two hundred papers gave worse probabilities
#: (docs/uncertainty.md).
OWN_TRUST = 2.0
_UNCHANGED = np.array([1.0, 1.0, 0.0])


def is_near_room_temperature(temperature_c: Floats) -> Mask:
    """Return which temperatures of measurement lie within `NEAR_ROOM_TEMPERATURE_C`; shape (n,)."""
    low, high = NEAR_ROOM_TEMPERATURE_C
    return (temperature_c >= low) & (temperature_c <= high)


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
        """Return the expected absolute error of each recipe; shape (n,), on the scale the model learns."""
        # Cause by cause: a product of matrices would depend, in the last bit, on how many recipes there are.
        log_scale = self.intercept + self.unknown * unknown + self.distance * distance
        return np.asarray(np.exp(log_scale + self.incomplete * (unknown > INCOMPLETE)))


def fit_spread(
    residuals: Floats, unknown: Floats, distance: Floats, *, groups: Sequence[Mask] = ()
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
    # What is not stated brings a recipe nearer to others: the unknown share has to make up for that distance.
    further = distance + _DISTANCE_PER_UNKNOWN * unknown
    causes = np.column_stack([np.ones(len(unknown)), unknown, further, unknown > INCOMPLETE])
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
    by_unknown += _DISTANCE_PER_UNKNOWN * by_distance
    spread = Spread(max(intercept, float(np.log(floor))), by_unknown, by_distance, incomplete)
    return spread, np.exp(found[4:])


@dataclass(frozen=True)
class ConformalScores:
    """Sorted out-of-fold scores ``|error|`` / spread, shape (n,): their quantiles make the intervals."""

    scores: Floats

    @classmethod
    def from_residuals(cls, residuals: Floats, scale: Floats) -> ConformalScores:
        """Sort the scores of out-of-fold residuals; both of shape (n,)."""
        return cls(np.sort(np.abs(residuals) / scale))

    def quantile(self, level: float) -> float:
        """Return the score that a new recipe stays below with probability `level`.

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
        """Return the highest level whose interval still misses a score; shape (n,), 1 beyond all known scores.

        At every level above it the interval holds the score. So the share of out-of-fold pellets whose value is
        below a level is the coverage at that level.
        """
        count = len(self.scores)
        below = np.searchsorted(self.scores, scores, side="left")
        return np.where(below == count, 1.0, below / (count + 1))


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

    def take(self, rows: Ints | Mask) -> Circumstances:
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
        """Return lower and upper ends around predictions on the scale of reports; shape (n,) each.

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
        """Return the expected absolute error of each recipe on the scale the model learns; shape (n,)."""
        return _expected_error(self.spread, self.by_system, self.energy_error_ev, circumstances)

    def level_needed(self, measured: Floats, reported: Floats, circumstances: Circumstances) -> Floats:
        """Return the highest level whose interval still misses the measured value; shape (n,), 0 to 1."""
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
    for part in np.unique(fold):
        test = fold == part
        # Too few rows to spare a part of them are scored by what they themselves were fitted with.
        train = ~test if (~test).sum() >= _FEWEST_ROWS else np.ones(len(test), dtype=bool)
        fitted = _fit_scale(name, residuals[train], sources[train], circumstances.take(train), energy_error_ev)
        scale[test] = _expected_error(*fitted, circumstances.take(test))
    scores = ConformalScores.from_residuals(residuals, scale)
    whole = _fit_scale(name, residuals, sources, circumstances, energy_error_ev)
    return IntervalModel(name, *whole, scores)


def _fit_scale(
    name: TargetName, residuals: Floats, sources: Strings, circumstances: Circumstances, energy_error_ev: float
) -> tuple[Spread, dict[str, float], float]:
    """Fit spread, factors and energy error to residuals on the scale the model learns."""
    near = is_near_room_temperature(circumstances.temperature_c)
    if name is not TargetName.CONDUCTIVITY or near.sum() < _FEWEST_ROWS:
        near = np.ones(len(residuals), dtype=bool)
    here = circumstances.take(near)
    count = pd.Series(sources[near]).groupby(here.system).nunique()
    group = _group(here.system, {str(name) for name in count.index[count >= _ENOUGH_SOURCES]})
    systems = sorted(set(group))
    groups = [group == system for system in systems]
    spread, factors = fit_spread(residuals[near], here.unknown, here.distance, groups=groups)
    by_system = dict(zip(systems, map(float, factors), strict=True))
    if (~near).sum() >= _FEWEST_ROWS:
        scale = _at_room_temperature(spread, by_system, circumstances)
        steps = _decades_per_ev(circumstances)[~near]
        energy_error_ev = _fit_energy_error(residuals[~near], scale[~near], steps, energy_error_ev)
    return spread, by_system, energy_error_ev


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


def _expected_error(
    spread: Spread, by_system: Mapping[str, float], energy_error_ev: float, circumstances: Circumstances
) -> Floats:
    """Return the expected absolute error of recipes on the scale the model learns; shape (n,)."""
    return np.hypot(
        _at_room_temperature(spread, by_system, circumstances), energy_error_ev * _decades_per_ev(circumstances)
    )


def _at_room_temperature(spread: Spread, by_system: Mapping[str, float], circumstances: Circumstances) -> Floats:
    # There are few different systems, and comparing texts is slow.
    system_of, systems = pd.factorize(circumstances.system)
    factor = np.array([by_system.get(name, 1.0) for name in _group(np.asarray(systems), by_system)])[system_of]
    return spread.scale(circumstances.unknown, circumstances.distance) * factor


def _decades_per_ev(circumstances: Circumstances) -> Floats:
    """How many decades an eV of activation energy moves a conductivity between 25 °C and where it was measured."""
    return inverse_temperature_step(circumstances.temperature_c) / np.log(10.0)


@dataclass(frozen=True)
class BetaCalibration:
    """Probability = 1 / (1 + exp(-(pure * log p - impure * log(1 - p) + intercept))), p being the trees' own.

    Three numbers (beta calibration: Kull et al., 10.1214/17-EJS1338SI). With both slopes alike it is Platt's
    scaling of the log-odds (10.1145/1102351.1102430 compares that with isotonic regression); with two of them,
    trees may be too sure of purity and not of impurity. Neither is negative, so that the order stays.

    Attributes
    ----------
    pure, impure
        Slopes: below 1, the trees were too sure of themselves; 1 leaves them as they are.
    intercept
        The constant, in log-odds.
    """

    pure: float
    impure: float
    intercept: float

    def probability(self, margin: Floats) -> Floats:
        """Turn log-odds of the trees, shape (n,), into calibrated probabilities of shape (n,)."""
        log_odds = (
            self.intercept + self.impure * np.logaddexp(0.0, margin) - self.pure * np.logaddexp(0.0, -margin)
        )
        return np.asarray(np.exp(-np.logaddexp(0.0, -log_odds)))  # scipy's expit, without importing scipy

    def to_json(self) -> dict[str, float]:
        """Return a plain dictionary."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BetaCalibration:
        """Read what `to_json` returned, or Platt's slope and intercept of a bundle of version 0.1."""
        if "slope" in data:
            return cls(float(data["slope"]), float(data["slope"]), float(data["intercept"]))
        return cls(float(data["pure"]), float(data["impure"]), float(data["intercept"]))


def fit_calibration(margin: Floats, outcome: Floats, *, trust: float = 0.0) -> BetaCalibration:
    """Fit the three numbers to out-of-fold margins (log-odds) and outcomes (0 or 1), both of shape (n,).

    A model that ranks worse than chance falls back to the base rate instead of being turned around, unless it is
    trusted.

    Parameters
    ----------
    margin, outcome
        What the trees said of unseen sources, and what was seen.
    trust
        How strongly the numbers are drawn to slopes of 1 and intercept 0, which leave the probabilities as they
        are: the weight of a squared step away from there against the mean logarithmic loss of a row.

    Raises
    ------
    ValueError
        If only one outcome occurs.
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    if outcome.min() == outcome.max():
        raise ValueError("calibration needs both outcomes among the rows")
    # log p, -log(1 - p) and 1
    inputs = np.column_stack([-np.logaddexp(0.0, -margin), np.logaddexp(0.0, margin), np.ones(len(margin))])

    def loss(parameters: Floats) -> tuple[float, Floats]:
        log_odds = inputs @ parameters
        value = float(np.mean(np.logaddexp(0.0, log_odds) - outcome * log_odds))
        step = parameters - _UNCHANGED
        slope = inputs.T @ (expit(log_odds) - outcome) / len(outcome)
        return value + trust * float(step @ step), slope + 2.0 * trust * step

    base = float(outcome.mean())
    start = np.array([0.5, 0.5, np.log(base / (1.0 - base))])
    bounds = [(0.0, None), (0.0, None), (None, None)]
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B").x
    return BetaCalibration(*(float(value) for value in found))
