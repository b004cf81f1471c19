"""Recipes together: what the errors on two of them share, cancels in their difference.

Two pellets of one laboratory share its level, and the more of the rest the more alike they are; the covariance is
that of `nasicon_ml.estimators.own_pellets`, without or after known pellets. A difference between two recipes is
the difference between a pellet of each, made in one laboratory. Its half-width follows from those of the two
answers, ``a`` and ``b``, and the correlation ``r`` of their errors:

``sqrt(a^2 + b^2) * (1 - 2 r a b / (a^2 + b^2)) ** (narrowing / 2)``

where narrowing is the power by which intervals narrow with known pellets; what these leave takes the place of the
whole. docs/uncertainty.md has what pairs of measured pellets say about it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from nasicon_ml.arrays import Floats, Ints, Mask
from nasicon_ml.estimators.own_pellets import Known, OwnKernel, attenuation, bounded_log_odds, expit
from nasicon_ml.estimators.targets import TARGETS, TargetName
from nasicon_ml.estimators.uncertainty import ConformalScores
from nasicon_ml.features.distances import RecipeSpace, laboratory_distances

#: Points along each of two axes at which a pair of errors is looked at.
_POINTS = 64
_LEAST_SHARE = 1e-6
#: Pairs looked at together: memory is bounded.
_CHUNK = 256


@dataclass(frozen=True)
class Differences:
    """How much higher one answer is for n recipes than for another; shape (n,) each."""

    # In decades, in points of density, or as a difference of probabilities, with the interval in which the
    # difference between one pellet of each lies; of probabilities, the one between the two probabilities in one
    # laboratory
    value: Floats
    lower: Floats
    upper: Floats
    # Probability that a pellet of the recipe has the higher value; of purity, that it is the pure one, if one of
    # the two is pure and the other is not
    better: Floats

    @property
    def is_told_apart(self) -> Mask:
        """Whether the interval leaves no doubt which of the two is higher."""
        return np.asarray((self.lower > 0) | (self.upper < 0))


@dataclass(frozen=True)
class Points:
    """n recipes as the covariance sees them."""

    space: RecipeSpace  # where they lie
    # What the model says about them without own pellets, on the scale it learns; log-odds of a probability.
    # Shape (n,).
    predicted: Floats

    @classmethod
    def of(cls, name: TargetName, space: RecipeSpace, learned: Floats) -> Points:
        """Return recipes of which the model says `learned`: of a probability, the probability."""
        return cls(space, bounded_log_odds(learned) if TARGETS[name].is_probability else learned)

    def take(self, rows: Ints) -> Points:
        """Return some of them."""
        return Points(self.space.take(rows), self.predicted[rows])


def error_covariance(
    name: TargetName, kernel: OwnKernel, first: Points, second: Points, known: Known | None = None
) -> Floats:
    """Return the covariance of what errors on pellets of one laboratory share; shape (n_first, n_second).

    The noise of a pellet, which it has for itself, comes on top: ``kernel.noise**2``. `known` are pellets of the
    laboratory that are measured already.
    """

    def prior(one: Points, other: Points) -> Floats:
        far = laboratory_distances(one.space, other.space, one.predicted, other.predicted)
        shared = kernel.covariance(far)
        if known is None or not known.slope:
            return shared
        return shared + np.outer(known.tilt(one.predicted), known.tilt(other.predicted))

    if known is None or not len(known.predicted):
        return prior(first, second)
    pellets = Points.of(name, known.space, known.predicted)
    precision = known.precision(is_probability=TARGETS[name].is_probability)
    return prior(first, second) - prior(first, pellets) @ precision @ prior(pellets, second)


def error_variance(name: TargetName, kernel: OwnKernel, points: Points, known: Known | None = None) -> Floats:
    """Return the diagonal of `error_covariance` of recipes with themselves; shape (n,)."""
    whole = np.full(len(points.predicted), kernel.variance)
    if known is None or not len(known.predicted):
        return whole
    pellets = Points.of(name, known.space, known.predicted)
    far = laboratory_distances(points.space, pellets.space, points.predicted, pellets.predicted)
    tilt = known.tilt(points.predicted)
    shares = kernel.covariance(far) + np.outer(tilt, known.tilt(pellets.predicted))
    whole = whole + tilt**2
    precision = known.precision(is_probability=TARGETS[name].is_probability)
    return np.clip(whole - ((shares @ precision) * shares).sum(axis=1), _LEAST_SHARE * kernel.variance, None)


@dataclass(frozen=True)
class Beside:
    """What errors on n recipes have to do with the error on one other, the reference."""

    correlation: Floats  # of the errors on a pellet of each and on one of the reference, shape (n,)
    # Of what pellets share, shape (n,), and of the reference
    variance: Floats
    of_reference: float

    @classmethod
    def compute(
        cls, name: TargetName, kernel: OwnKernel, points: Points, reference: Points, known: Known | None = None
    ) -> Beside:
        """Compute it for n recipes and one reference."""
        shared = error_covariance(name, kernel, points, reference, known)[:, 0]
        variance = error_variance(name, kernel, points, known)
        of_reference = float(error_variance(name, kernel, reference, known)[0])
        noise = kernel.noise**2
        whole = np.sqrt((variance + noise) * (of_reference + noise))
        return cls(np.clip(shared / whole, 0.0, 1.0), variance, of_reference)


def differences_of_values(
    name: TargetName,
    kernel: OwnKernel,
    beside: Beside,
    learned: tuple[Floats, float],
    half: tuple[Floats, float],
    scores: ConformalScores,
    level: float,
) -> Differences:
    """Return the differences of n answers to that for the reference; conductivity and density.

    `learned` and `half` hold answers and half-widths of their intervals at `level`, on the scale the model learns:
    those for the recipes, shape (n,), and that for the reference. The intervals were made from `scores`.
    """
    values, reference = learned
    # Known pellets have narrowed the intervals already: first back to what they were before.
    whole = kernel.variance + kernel.noise**2
    known = (beside.variance + kernel.noise**2) / whole
    known_reference = np.array((beside.of_reference + kernel.noise**2) / whole)
    before = half[0] * known ** (-kernel.narrowing / 2.0)
    reference_before = half[1] * known_reference ** (-kernel.narrowing / 2.0)
    total = before**2 + reference_before**2
    own, other = before * np.sqrt(known), reference_before * np.sqrt(known_reference)
    left = np.clip((own**2 + other**2 - 2.0 * beside.correlation * own * other) / total, _LEAST_SHARE, 1.0)
    spread = np.sqrt(total) * left ** (kernel.narrowing / 2.0)
    step = values - reference
    certainty = scores.level_needed(np.abs(step) / (spread / scores.quantile(level)))
    if name is TargetName.CONDUCTIVITY:
        return Differences(step, step - spread, step + spread, 0.5 + np.sign(step) * certainty / 2.0)
    # Differences in points are larger where both pellets are porous: their ends come from the pairs that may be.
    inverse = TARGETS[name].inverse
    sigma = NormalDist().inv_cdf((1.0 + level) / 2.0)
    alike = np.clip((half[0] ** 2 + half[1] ** 2 - spread**2) / (2.0 * half[0] * half[1]), 0.0, 1.0)
    lower, upper = np.empty(len(values)), np.empty(len(values))
    for rows, ours, theirs in _pairs(values, half[0] / sigma, reference, half[1] / sigma, alike):
        lower[rows], upper[rows] = _middle(inverse(ours) - inverse(theirs), level)
    value = inverse(values) - inverse(np.full(len(values), reference))
    better = 0.5 + np.sign(value) * certainty / 2.0
    return Differences(value, np.minimum(lower, value), np.maximum(upper, value), better)


def differences_of_probabilities(
    beside: Beside, probability: Floats, reference: float, level: float
) -> Differences:
    """Return the differences of n probabilities of purity to that for the reference."""
    centre = attenuation(beside.variance) * bounded_log_odds(probability)
    other = float(attenuation(beside.of_reference) * bounded_log_odds(np.array([reference]))[0])
    lower, upper, better = (np.empty(len(probability)) for _ in range(3))
    deviation = np.sqrt(beside.variance)
    for rows, ours, theirs in _pairs(
        centre, deviation, other, float(np.sqrt(beside.of_reference)), beside.correlation
    ):
        pure, pure_reference = expit(ours), expit(theirs)
        lower[rows], upper[rows] = _middle(pure - pure_reference, level)
        only, only_reference = (
            np.mean(one * (1.0 - another), axis=1)
            for one, another in ((pure, pure_reference), (pure_reference, pure))
        )
        better[rows] = only / (only + only_reference)
    value = probability - reference
    return Differences(value, np.minimum(lower, value), np.maximum(upper, value), better)


def _pairs(
    centre: Floats, deviation: Floats, reference: float, of_reference: float, correlation: Floats
) -> Iterator[tuple[slice, Floats, Floats]]:
    """Yield rows, their values in many equally likely cases, shape (k, cases), and the reference's, (1, cases)."""
    steps = np.array([NormalDist().inv_cdf((at + 0.5) / _POINTS) for at in range(_POINTS)])
    steps /= steps.std()
    shared, alone = (axis.ravel() for axis in np.meshgrid(steps, steps))
    theirs = reference + of_reference * shared
    for start in range(0, len(centre), _CHUNK):
        rows = slice(start, start + _CHUNK)
        r = correlation[rows, None]
        moved = r * shared + np.sqrt(1.0 - r**2) * alone
        yield rows, centre[rows, None] + deviation[rows, None] * moved, theirs[None, :]


def _middle(cases: Floats, level: float) -> tuple[Floats, Floats]:
    """Return the ends between which the middle part of each row lies."""
    ends = np.quantile(cases, [(1.0 - level) / 2.0, (1.0 + level) / 2.0], axis=1)
    return ends[0], ends[1]
