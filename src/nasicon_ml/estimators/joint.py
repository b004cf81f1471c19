"""Joint predictions of several recipes: the error that two recipes share cancels in their difference.

The errors on two pellets of one laboratory are correlated, more strongly for similar recipes; their covariance is
that of `nasicon_ml.estimators.own_pellets`, before or after conditioning on known pellets. A difference between
two recipes is the difference between a pellet of each, made in one laboratory. Its half-width follows from the
half-widths ``a`` and ``b`` of the two answers and the correlation ``r`` of their errors:

``sqrt(a^2 + b^2) * (1 - 2 r a b / (a^2 + b^2)) ** (narrowing / 2)``

where narrowing is the power by which intervals narrow with known pellets. docs/uncertainty.md compares this with
pairs of measured pellets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from nasicon_ml.arrays import Floats, Ints, Mask
from nasicon_ml.estimators.own_pellets import KnownPellets, OwnKernel, attenuation, bounded_log_odds, expit
from nasicon_ml.estimators.targets import TARGETS, TargetName
from nasicon_ml.estimators.uncertainty import ConformalScores
from nasicon_ml.features.distances import RecipeSpace, laboratory_distances

#: Grid points along each of the two axes of a pair of errors.
_GRID_POINTS = 64
_SMALLEST_SHARE = 1e-6
#: Pairs processed together, which bounds the memory.
_CHUNK = 256


@dataclass(frozen=True)
class Differences:
    """Differences of n answers to the answer for a reference recipe; shape (n,) each."""

    # In decades, in points of density, or as a difference of probabilities, with the interval of the difference
    # between one pellet of each recipe; for probabilities, between the two probabilities in one laboratory
    value: Floats
    lower: Floats
    upper: Floats
    # Probability that a pellet of the recipe has the higher value; for purity, that it is the pure one if exactly
    # one of the two is pure
    better: Floats

    @property
    def is_told_apart(self) -> Mask:
        """Whether the interval excludes zero."""
        return np.asarray((self.lower > 0) | (self.upper < 0))


@dataclass(frozen=True)
class RecipePoints:
    """n recipes as inputs of the covariance."""

    space: RecipeSpace
    predicted: Floats  # without own pellets, on the scale the model learns; log-odds of a probability. Shape (n,).

    @classmethod
    def from_learned(cls, name: TargetName, space: RecipeSpace, learned: Floats) -> RecipePoints:
        """Return the points of recipes with the predictions `learned`; for purity, probabilities."""
        return cls(space, bounded_log_odds(learned) if TARGETS[name].is_probability else learned)

    def take(self, rows: Ints) -> RecipePoints:
        """Return selected points."""
        return RecipePoints(self.space.take(rows), self.predicted[rows])


def error_covariance(
    name: TargetName,
    kernel: OwnKernel,
    first: RecipePoints,
    second: RecipePoints,
    known: KnownPellets | None = None,
) -> Floats:
    """Return the covariance of errors on pellets of one laboratory, without noise; shape (n_first, n_second).

    The noise of a single pellet, ``kernel.noise**2``, is independent. `known` are measured pellets of the
    laboratory, on which the covariance is conditioned.
    """
    if known is None or not len(known.predicted):
        return _prior_covariance(kernel, first, second, known)
    pellets = RecipePoints.from_learned(name, known.space, known.predicted)
    precision = known.precision(is_probability=TARGETS[name].is_probability)
    return _prior_covariance(kernel, first, second, known) - _prior_covariance(
        kernel, first, pellets, known
    ) @ precision @ _prior_covariance(kernel, pellets, second, known)


def _prior_covariance(
    kernel: OwnKernel, first: RecipePoints, second: RecipePoints, known: KnownPellets | None
) -> Floats:
    """Return the covariance of errors before conditioning, with the linear term of the known pellets."""
    distances = laboratory_distances(first.space, second.space, first.predicted, second.predicted)
    covariance = kernel.covariance(distances)
    if known is None or not known.trust_deviation:
        return covariance
    return covariance + np.outer(known.linear_term(first.predicted), known.linear_term(second.predicted))


def error_variance(
    name: TargetName, kernel: OwnKernel, points: RecipePoints, known: KnownPellets | None = None
) -> Floats:
    """Return the diagonal of `error_covariance` of recipes with themselves; shape (n,)."""
    variance = np.full(len(points.predicted), kernel.variance)
    if known is None or not len(known.predicted):
        return variance
    pellets = RecipePoints.from_learned(name, known.space, known.predicted)
    distances = laboratory_distances(points.space, pellets.space, points.predicted, pellets.predicted)
    term = known.linear_term(points.predicted)
    covariance = kernel.covariance(distances) + np.outer(term, known.linear_term(pellets.predicted))
    variance = variance + term**2
    precision = known.precision(is_probability=TARGETS[name].is_probability)
    explained = ((covariance @ precision) * covariance).sum(axis=1)
    return np.clip(variance - explained, _SMALLEST_SHARE * kernel.variance, None)


@dataclass(frozen=True)
class ReferenceCorrelation:
    """Correlation of the errors on n recipes with the error on a reference recipe."""

    correlation: Floats  # between the errors on a pellet of each recipe and a pellet of the reference, shape (n,)
    # Variances of errors, without noise, on the recipes, shape (n,), and on the reference
    variance: Floats
    reference_variance: float

    @classmethod
    def compute(
        cls,
        name: TargetName,
        kernel: OwnKernel,
        points: RecipePoints,
        reference: RecipePoints,
        known: KnownPellets | None = None,
    ) -> ReferenceCorrelation:
        """Compute the correlation of n recipes with one reference."""
        covariance = error_covariance(name, kernel, points, reference, known)[:, 0]
        variance = error_variance(name, kernel, points, known)
        reference_variance = float(error_variance(name, kernel, reference, known)[0])
        noise = kernel.noise**2
        scale = np.sqrt((variance + noise) * (reference_variance + noise))
        return cls(np.clip(covariance / scale, 0.0, 1.0), variance, reference_variance)


def differences_of_values(
    name: TargetName,
    kernel: OwnKernel,
    correlation: ReferenceCorrelation,
    learned: tuple[Floats, float],
    half: tuple[Floats, float],
    scores: ConformalScores,
    level: float,
) -> Differences:
    """Return the differences of n answers to that for the reference; conductivity and density.

    `learned` and `half` are answers and half-widths of their intervals at `level`, on the scale the model learns:
    those for the recipes, shape (n,), and that for the reference. The intervals were computed from `scores`.
    """
    values, reference = learned
    # Known pellets have narrowed the intervals, which is undone first.
    total_variance = kernel.variance + kernel.noise**2
    remaining = (correlation.variance + kernel.noise**2) / total_variance
    reference_remaining = np.array((correlation.reference_variance + kernel.noise**2) / total_variance)
    before = half[0] * remaining ** (-kernel.narrowing / 2.0)
    reference_before = half[1] * reference_remaining ** (-kernel.narrowing / 2.0)
    total = before**2 + reference_before**2
    width, reference_width = before * np.sqrt(remaining), reference_before * np.sqrt(reference_remaining)
    squares = width**2 + reference_width**2 - 2.0 * correlation.correlation * width * reference_width
    spread = np.sqrt(total) * np.clip(squares / total, _SMALLEST_SHARE, 1.0) ** (kernel.narrowing / 2.0)
    difference = values - reference
    certainty = scores.level_needed(np.abs(difference) / (spread / scores.quantile(level)))
    if name is TargetName.CONDUCTIVITY:
        better = 0.5 + np.sign(difference) * certainty / 2.0
        return Differences(difference, difference - spread, difference + spread, better)
    # Differences in points are larger where both pellets are porous: the interval is that of simulated pairs.
    inverse = TARGETS[name].inverse
    sigma = NormalDist().inv_cdf((1.0 + level) / 2.0)
    shared = np.clip((half[0] ** 2 + half[1] ** 2 - spread**2) / (2.0 * half[0] * half[1]), 0.0, 1.0)
    lower, upper = np.empty(len(values)), np.empty(len(values))
    pairs = _simulated_pairs(values, half[0] / sigma, reference, half[1] / sigma, shared)
    for rows, simulated, reference_simulated in pairs:
        lower[rows], upper[rows] = _central_interval(inverse(simulated) - inverse(reference_simulated), level)
    value = inverse(values) - inverse(np.full(len(values), reference))
    better = 0.5 + np.sign(value) * certainty / 2.0
    return Differences(value, np.minimum(lower, value), np.maximum(upper, value), better)


def differences_of_probabilities(
    correlation: ReferenceCorrelation, probability: Floats, reference: float, level: float
) -> Differences:
    """Return the differences of n probabilities of purity to that for the reference."""
    centre = attenuation(correlation.variance) * bounded_log_odds(probability)
    reference_log_odds = bounded_log_odds(np.array([reference]))[0]
    reference_centre = float(attenuation(correlation.reference_variance) * reference_log_odds)
    deviation, reference_deviation = np.sqrt(correlation.variance), float(np.sqrt(correlation.reference_variance))
    lower, upper, better = (np.empty(len(probability)) for _ in range(3))
    pairs = _simulated_pairs(centre, deviation, reference_centre, reference_deviation, correlation.correlation)
    for rows, simulated, reference_simulated in pairs:
        pure, reference_pure = expit(simulated), expit(reference_simulated)
        lower[rows], upper[rows] = _central_interval(pure - reference_pure, level)
        only_this = np.mean(pure * (1.0 - reference_pure), axis=1)
        only_reference = np.mean(reference_pure * (1.0 - pure), axis=1)
        better[rows] = only_this / (only_this + only_reference)
    value = probability - reference
    return Differences(value, np.minimum(lower, value), np.maximum(upper, value), better)


def _simulated_pairs(
    centre: Floats, deviation: Floats, reference: float, reference_deviation: float, correlation: Floats
) -> Iterator[tuple[slice, Floats, Floats]]:
    """Yield rows, their values on a grid of equally likely cases, (k, cases), and the reference's, (1, cases)."""
    steps = np.array([NormalDist().inv_cdf((point + 0.5) / _GRID_POINTS) for point in range(_GRID_POINTS)])
    steps /= steps.std()
    shared, independent = (axis.ravel() for axis in np.meshgrid(steps, steps))
    reference_values = reference + reference_deviation * shared
    for start in range(0, len(centre), _CHUNK):
        rows = slice(start, start + _CHUNK)
        r = correlation[rows, None]
        normal = r * shared + np.sqrt(1.0 - r**2) * independent
        yield rows, centre[rows, None] + deviation[rows, None] * normal, reference_values[None, :]


def _central_interval(cases: Floats, level: float) -> tuple[Floats, Floats]:
    """Return the ends of the central interval of each row."""
    ends = np.quantile(cases, [(1.0 - level) / 2.0, (1.0 + level) / 2.0], axis=1)
    return ends[0], ends[1]
