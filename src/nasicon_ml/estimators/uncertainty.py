"""Intervals and calibrated probabilities, fitted to out-of-fold predictions.

Folds keep the pellets of a source together, so that the errors are errors on unseen sources, as for a new recipe.
Their size is first described by a spread, which grows with the unknown share of the recipe and with the distance
to the nearest measured pellets of other sources, and has a factor for each system. The conformal step then takes
the quantile of error / spread, which gives the intended coverage on unseen sources even if the spread is wrong on
average (cross-conformal prediction: Vovk, 10.1007/s10472-013-9368-4; normalised scores: Papadopoulos et al.,
10.1613/jair.3198). Probabilities of phase purity are calibrated by beta calibration of out-of-fold scores.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from nasicon_ml.arrays import Floats, Ints, Mask, Strings
from nasicon_ml.errors import FieldError
from nasicon_ml.estimators.targets import TARGETS, TargetName, inverse_temperature_step

#: The distance of a recipe to the measured pellets is the mean over this many nearest ones.
NEAR_PELLETS = 3
#: Lower bound of a spread as a share of its median, against overconfidence from a few small errors.
_SMALLEST_SHARE = 0.25
#: A recipe is incomplete if more than this share of its processing is unknown: errors are then much larger.
INCOMPLETE = 1 / 3
#: Largest decrease of the distance to other recipes per unit of additional unknown share: a field that differs
#: completely counts 1 and an unknown one 0.5; it has at most two of the fourteen weights and a tenth of the share.
_DISTANCE_PER_UNKNOWN = 0.5 * 2 / 14 * 10
#: Standard deviation between systems of the logarithm of the spread in the prior, a factor of 1.6.
SYSTEM_SPREAD = 0.5
#: Temperatures at which errors of conductivity hardly depend on the activation energy.
NEAR_ROOM_TEMPERATURE_C = (15.0, 40.0)
#: Number of sources from which on a system has a factor of its own.
_ENOUGH_SOURCES = 4
#: Largest error of the activation energy considered, in eV.
_LARGEST_ENERGY_ERROR_EV = 0.5
#: Number of folds of the sources; each is scored by a spread fitted to the others, because a spread is too small
#: for the rows it is fitted to.
_SCORING_FOLDS = 20
#: Least number of rows to fit a spread to.
_FEWEST_ROWS = 20
#: Trust in the trees of this package: their log-odds are those of a new source already, because sources have
#: intercepts of their own in training. Without trust, calibration on two hundred papers gave worse probabilities
#: (docs/uncertainty.md).
OWN_TRUST = 2.0
_IDENTITY_CALIBRATION = np.array([1.0, 1.0, 0.0])


def is_near_room_temperature(temperature_c: Floats) -> Mask:
    """Return whether measurement temperatures are within `NEAR_ROOM_TEMPERATURE_C`; shape (n,)."""
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
        Increase of the logarithm from nothing unknown (0) to everything unknown (1), and per unit of distance;
        never negative, so that unknown fields cannot narrow an interval.
    incomplete
        Increase where more than a third (`INCOMPLETE`) is unknown; never negative.
    """

    intercept: float
    unknown: float = 0.0
    distance: float = 0.0
    incomplete: float = 0.0

    def scale(self, unknown: Floats, distance: Floats) -> Floats:
        """Return the expected absolute error of each recipe; shape (n,), on the scale the model learns."""
        # A matrix product is not used because its last bit depends on the number of recipes.
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
        Masks of shape (n,) of rows with a common factor on the spread, which is shrunk towards 1: its logarithm
        has a normal prior of width `SYSTEM_SPREAD`.

    Returns
    -------
    spread
        Spread of rows without a group.
    factors
        Factors of the groups, shape (len(groups),).

    Raises
    ------
    ValueError
        If there are fewer than 20 residuals.
    """
    from scipy.optimize import minimize

    size = np.abs(residuals)
    if len(size) < _FEWEST_ROWS:
        raise ValueError(f"a spread needs at least {_FEWEST_ROWS} out-of-fold residuals, got {len(size)}")
    # Unknown fields reduce the distance to other recipes, which the coefficient of the unknown share compensates.
    corrected_distance = distance + _DISTANCE_PER_UNKNOWN * unknown
    causes = np.column_stack([np.ones(len(unknown)), unknown, corrected_distance, unknown > INCOMPLETE])
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
    best = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B").x
    floor = _SMALLEST_SHARE * float(np.median(np.exp(causes @ best[:4])))
    intercept, by_unknown, by_distance, incomplete = (float(value) for value in best[:4])
    by_unknown += _DISTANCE_PER_UNKNOWN * by_distance
    spread = Spread(max(intercept, float(np.log(floor))), by_unknown, by_distance, incomplete)
    return spread, np.exp(best[4:])


@dataclass(frozen=True)
class ConformalScores:
    """Sorted out-of-fold scores ``|error|`` / spread, shape (n,), whose quantiles scale the intervals."""

    scores: Floats

    @classmethod
    def from_residuals(cls, residuals: Floats, scale: Floats) -> ConformalScores:
        """Return the sorted scores of out-of-fold residuals; residuals and scale of shape (n,)."""
        return cls(np.sort(np.abs(residuals) / scale))

    def quantile(self, level: float) -> float:
        """Return the score that a new recipe does not exceed with probability `level`.

        It is the ``ceil((n + 1) level)``-th smallest score, which corrects for the finite number of scores.

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
        """Return the highest level whose interval does not contain a score; shape (n,), 1 beyond all known scores.

        At every higher level the interval contains the score, so that the share of out-of-fold pellets with values
        below a level is the coverage at that level.
        """
        count = len(self.scores)
        below = np.searchsorted(self.scores, scores, side="left")
        return np.where(below == count, 1.0, below / (count + 1))


@dataclass(frozen=True)
class Circumstances:
    """Inputs of the widths of intervals; each of shape (n,).

    Attributes
    ----------
    unknown
        Share of the processing fields that is not given, 0 to 1.
    distance
        Distance to the nearest measured pellets (of other sources, for a training pellet).
    temperature_c
        Temperature of measurement, used for conductivity only.
    system
        Name of the system.
    """

    unknown: Floats
    distance: Floats
    temperature_c: Floats
    system: Strings

    def take(self, rows: Ints | Mask) -> Circumstances:
        """Return selected rows."""
        return Circumstances(self.unknown[rows], self.distance[rows], self.temperature_c[rows], self.system[rows])


@dataclass(frozen=True)
class IntervalModel:
    """Conformal intervals of one target.

    Attributes
    ----------
    name
        The target; intervals are symmetric on its learned scale (log10 porosity for density).
    spread
        Expected error.
    by_system
        Factor on the spread of each system, fitted together with it and shrunk towards 1. Systems with few sources
        share a factor for each mobile ion, under its first letter.
    energy_error_ev
        Error of the activation energy, which widens intervals away from 25 °C; 0 for other targets.
    scores
        Out-of-fold errors in units of the spread.
    """

    name: TargetName
    spread: Spread
    by_system: Mapping[str, float]
    energy_error_ev: float
    scores: ConformalScores

    def interval(self, reported: Floats, circumstances: Circumstances, level: float) -> tuple[Floats, Floats]:
        """Return lower and upper ends around predictions on the reported scale; shape (n,) each.

        Raises
        ------
        FieldError
            If there are too few scores for the level (see `ConformalScores.quantile`).
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
        """Return the highest level whose interval does not contain the measured value; shape (n,), 0 to 1."""
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

    The score of a row is its error divided by a spread fitted to other sources.

    Parameters
    ----------
    name
        The target.
    measured, reported
        Measured and predicted values on the reported scale.
    sources
        Source of each row.
    circumstances
        Circumstances of each row.
    energy_error_ev
        Out-of-fold error of the activation energy, the lower bound of the fitted one.
    """
    target = TARGETS[name]
    residuals = target.forward(measured) - target.forward(reported)
    scale = np.empty(len(residuals))
    fold = np.unique(sources.astype(str), return_inverse=True)[1] % _SCORING_FOLDS
    for part in np.unique(fold):
        test = fold == part
        # With too few rows for a split, the spread is fitted to the scored rows themselves.
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
    is_near = is_near_room_temperature(circumstances.temperature_c)
    if name is not TargetName.CONDUCTIVITY or is_near.sum() < _FEWEST_ROWS:
        is_near = np.ones(len(residuals), dtype=bool)
    near = circumstances.take(is_near)
    source_counts = pd.Series(sources[is_near]).groupby(near.system).nunique()
    with_factor = source_counts.index[source_counts >= _ENOUGH_SOURCES]
    factor_names = _factor_names(near.system, {str(system) for system in with_factor})
    names = sorted(set(factor_names))
    groups = [factor_names == factor_name for factor_name in names]
    spread, factors = fit_spread(residuals[is_near], near.unknown, near.distance, groups=groups)
    by_system = dict(zip(names, map(float, factors), strict=True))
    if (~is_near).sum() >= _FEWEST_ROWS:
        scale = _at_room_temperature(spread, by_system, circumstances)
        steps = _decades_per_ev(circumstances)[~is_near]
        energy_error_ev = _fit_energy_error(residuals[~is_near], scale[~is_near], steps, energy_error_ev)
    return spread, by_system, energy_error_ev


def _factor_names(systems: Strings, named: Collection[str]) -> Strings:
    """Return the name of the factor of each system: the system itself if `named`, else its mobile ion (L, N)."""
    return np.array([name if name in named else str(name)[:1] for name in systems], dtype=object)


def _fit_energy_error(residuals: Floats, scale: Floats, steps: Floats, least: float) -> float:
    """Fit the energy error to errors away from 25 °C by maximum likelihood (Laplace); at least `least`."""
    from scipy.optimize import minimize_scalar

    def loss(energy_error: float) -> float:
        width = np.hypot(scale, energy_error * steps)
        return float(np.mean(np.log(width) + np.abs(residuals) / width))

    return float(minimize_scalar(loss, bounds=(least, _LARGEST_ENERGY_ERROR_EV), method="bounded").x)


def _expected_error(
    spread: Spread, by_system: Mapping[str, float], energy_error_ev: float, circumstances: Circumstances
) -> Floats:
    """Return the expected absolute error of recipes on the scale the model learns; shape (n,)."""
    return np.hypot(
        _at_room_temperature(spread, by_system, circumstances), energy_error_ev * _decades_per_ev(circumstances)
    )


def _at_room_temperature(spread: Spread, by_system: Mapping[str, float], circumstances: Circumstances) -> Floats:
    # Factors are looked up once per system, because comparing texts is slow.
    codes, systems = pd.factorize(circumstances.system)
    factors = np.array([by_system.get(name, 1.0) for name in _factor_names(np.asarray(systems), by_system)])
    return spread.scale(circumstances.unknown, circumstances.distance) * factors[codes]


def _decades_per_ev(circumstances: Circumstances) -> Floats:
    """Return the change in decades per eV of a conductivity between 25 °C and its measurement temperature."""
    return inverse_temperature_step(circumstances.temperature_c) / np.log(10.0)


@dataclass(frozen=True)
class BetaCalibration:
    """Probability = 1 / (1 + exp(-(pure * log p - impure * log(1 - p) + intercept))), with p of the trees.

    Beta calibration has three parameters (Kull et al., 10.1214/17-EJS1338SI). Equal slopes give Platt's scaling of
    the log-odds (10.1145/1102351.1102430 compares that with isotonic regression); different slopes correct trees
    that are overconfident of purity but not of impurity. Slopes are not negative, which keeps the ranking.

    Attributes
    ----------
    pure, impure
        Slopes; below 1 if the trees are overconfident, 1 for no change.
    intercept
        Intercept in log-odds.
    """

    pure: float
    impure: float
    intercept: float

    def probability(self, margin: Floats) -> Floats:
        """Return calibrated probabilities for log-odds of the trees, both of shape (n,)."""
        log_odds = (
            self.intercept + self.impure * np.logaddexp(0.0, margin) - self.pure * np.logaddexp(0.0, -margin)
        )
        return np.asarray(np.exp(-np.logaddexp(0.0, -log_odds)))  # scipy's expit, without importing scipy

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BetaCalibration:
        """Read the calibration of a bundle, or Platt's slope and intercept of a bundle of version 0.1."""
        if "slope" in data:
            return cls(float(data["slope"]), float(data["slope"]), float(data["intercept"]))
        return cls(float(data["pure"]), float(data["impure"]), float(data["intercept"]))


def fit_calibration(margin: Floats, outcome: Floats, *, trust: float = 0.0) -> BetaCalibration:
    """Fit a calibration to out-of-fold margins (log-odds) and outcomes (0 or 1), both of shape (n,).

    Without trust, the calibration of a model that ranks worse than chance predicts the base rate.

    Parameters
    ----------
    margin, outcome
        Predictions of the trees for unseen sources, and measured outcomes.
    trust
        Weight of the squared distance of the parameters from slopes of 1 and intercept 0, which change nothing,
        relative to the mean logarithmic loss.

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
        change = parameters - _IDENTITY_CALIBRATION
        gradient = inputs.T @ (expit(log_odds) - outcome) / len(outcome)
        return value + trust * float(change @ change), gradient + 2.0 * trust * change

    base = float(outcome.mean())
    start = np.array([0.5, 0.5, np.log(base / (1.0 - base))])
    bounds = [(0.0, None), (0.0, None), (None, None)]
    best = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B").x
    return BetaCalibration(*map(float, best))
