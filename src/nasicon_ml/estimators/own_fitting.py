"""Estimates, from out-of-fold errors, how errors on pellets of one source go together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import lgamma

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.estimators.closeness import Gaps, gaps
from nasicon_ml.estimators.own import (
    Conditioned,
    OwnKernel,
    attenuation,
    bounded_log_odds,
    condition,
    condition_probability,
    laplace_mode,
)
from nasicon_ml.estimators.targets import TARGETS, TargetName
from nasicon_ml.features.similarity import RecipeSpace

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Strings = NDArray[np.object_]

#: Degrees of freedom of the errors of a source as a whole: some sources are wilder than others.
_FREEDOM = 4.0
#: Level at which intervals are made to hold after conditioning.
_LEVEL = 0.9
_MOST_KNOWN = 3
_DRAWS = 8
_MOST_NARROWING = 2.0
_MOST_TRUST = 1.5
_MOST_STEPS = 60
#: Most sources are pure or impure throughout, for which any spread of log-odds would do, the larger the likelier.
#: Beyond this, probabilities after conditioning were too sure (protocol P8; from 2 to 6 it matters little).
_MOST_LOG_ODDS = 3.0
#: Standard deviation of the prior of each logarithm: what few sources leave open stays near the start.
_PULL = 1.0


@dataclass(frozen=True)
class Errors:
    """Out-of-fold predictions of one target, with all that conditioning needs; n rows.

    Attributes
    ----------
    name
        Which target.
    measured, predicted
        On the scale the model learns; of a probability, the outcome and the calibrated probability. Shape (n,).
    half
        Half-width of the 90 % interval on that scale, shape (n,); NaN for a probability.
    sources
        Shape (n,).
    space
        The recipes.
    """

    name: TargetName
    measured: Floats
    predicted: Floats
    half: Floats
    sources: Strings
    space: RecipeSpace

    @property
    def scale(self) -> Floats:
        """What predictions are compared by: log-odds of probabilities."""
        return bounded_log_odds(self.predicted) if TARGETS[self.name].is_probability else self.predicted

    def gaps(self, rows: Ints, columns: Ints) -> Gaps:
        """Measure the distances between some of the rows and others."""
        scale = self.scale
        return gaps(self.space.take(rows), self.space.take(columns), scale[rows], scale[columns])

    def groups(self) -> dict[str, Ints]:
        """Give the rows of each source, in the order in which the sources first appear."""
        names, first, codes = np.unique(self.sources.astype(str), return_index=True, return_inverse=True)
        return {str(names[code]): np.flatnonzero(codes == code) for code in np.argsort(first)}

    def take(self, rows: Ints | NDArray[np.bool_]) -> Errors:
        """Keep some of the rows."""
        kept = np.arange(len(self.measured))[rows]
        return Errors(
            self.name, self.measured[kept], self.predicted[kept], self.half[kept], self.sources[kept],
            self.space.take(kept),
        )  # fmt: skip

    def conditioned(self, kernel: OwnKernel, known: Ints, asked: Ints) -> Conditioned:
        """Condition some rows on others; not for probabilities."""
        return condition(
            kernel, self.gaps(known, known), self.gaps(asked, known),
            self.measured[known] - self.predicted[known],
            self.predicted[asked][:, None] - self.predicted[known][None, :],
        )  # fmt: skip

    def probability(self, kernel: OwnKernel, known: Ints, asked: Ints) -> Floats:
        """Condition some rows on others, for probabilities."""
        return condition_probability(
            kernel, self.gaps(known, known), self.gaps(asked, known), self.measured[known],
            self.predicted[known], self.predicted[asked],
        )  # fmt: skip


def fit_own_kernel(errors: Errors, *, seed: int = 0) -> OwnKernel:
    """Fit the covariance by marginal likelihood, each source a draw of its own; then trust and narrowing.

    Parameters
    ----------
    errors
        Out-of-fold predictions of all sources, or of all but those to be assessed.
    seed
        Of the draws of pellets taken as known.

    Notes
    -----
    The likelihood is Student's with 4 degrees of freedom over a source as a whole: what one wild source does
    counts less. `trust` makes the absolute error smallest, and `narrowing` brings the share inside to 90 %, when
    one to three pellets of a source are known.
    """
    from scipy.optimize import minimize

    stacks = list(_stacks(errors))
    is_probability = TARGETS[errors.name].is_probability
    start, bounds = _start(errors)

    def loss(parameters: Floats) -> float:
        kernel = _kernel(parameters, is_probability)
        likelihood = _log_odds_likelihood if is_probability else _likelihood
        total = sum(likelihood(kernel, stack) for stack in stacks)
        # A faint pull to the start keeps what the data leave open from running away.
        return (total + 0.5 * float((((parameters - start) / _PULL) ** 2).sum())) / len(errors.measured)

    found = minimize(loss, start, method="L-BFGS-B", bounds=bounds, options={"maxiter": _MOST_STEPS})
    kernel = _kernel(found.x, is_probability)
    return kernel if is_probability else _settled(errors, kernel, seed)


@dataclass(frozen=True)
class _Stack:
    """All sources of one size: gaps of shape (m, n, n), the rest (m, n)."""

    gaps: Gaps
    measured: Floats
    predicted: Floats


def _stacks(errors: Errors) -> Iterator[_Stack]:
    by_size: dict[int, list[Ints]] = {}
    for rows in errors.groups().values():
        by_size.setdefault(len(rows), []).append(rows)
    for groups in by_size.values():
        each = [errors.gaps(rows, rows) for rows in groups]
        at = np.stack(groups)
        stacked = Gaps(
            np.stack([gap.composition for gap in each]),
            np.stack([gap.processing for gap in each]),
            np.stack([gap.prediction for gap in each]),
        )
        yield _Stack(stacked, errors.measured[at], errors.predicted[at])


def _start(errors: Errors) -> tuple[Floats, list[tuple[float, float]]]:
    """Logarithms of noise, level, recipe and the three distances, to start from, and how far they may go."""
    if TARGETS[errors.name].is_probability:
        deviation, across = 2.0, 2.0
    else:
        deviation = float(np.std(errors.measured - errors.predicted)) + 1e-6
        across = float(np.std(errors.predicted)) + 1e-6
    start = np.log([deviation / 3.0, deviation / 2.0, deviation, 0.6, 1.5, 16.0 * across])
    bounds = [(value - 4.0, value + 2.5) for value in start]
    if TARGETS[errors.name].is_probability:
        bounds[1:3] = [(bounds[at][0], float(np.log(_MOST_LOG_ODDS))) for at in (1, 2)]
    return start, bounds


def _kernel(parameters: Floats, is_probability: bool) -> OwnKernel:
    noise, level, recipe, composition, processing, prediction = (float(value) for value in np.exp(parameters))
    return OwnKernel(0.0 if is_probability else noise, level, recipe, composition, processing, prediction)


def _likelihood(kernel: OwnKernel, stack: _Stack) -> float:
    """Negative log-likelihood of errors, Student's, constants left out."""
    size = stack.measured.shape[1]
    covariance = kernel.covariance(stack.gaps) + (kernel.noise**2 + 1e-8) * np.eye(size)
    factor = np.linalg.cholesky(covariance)
    whitened = np.linalg.solve(factor, (stack.measured - stack.predicted)[:, :, None])[:, :, 0]
    squares = (whitened**2).sum(axis=1)
    volume = np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(axis=1)
    constant = lgamma(_FREEDOM / 2.0) - lgamma((_FREEDOM + size) / 2.0)
    tail = (_FREEDOM + size) / 2.0 * np.log1p(squares / (_FREEDOM - 2.0))
    return float((volume + tail + constant).sum())


def _log_odds_likelihood(kernel: OwnKernel, stack: _Stack) -> float:
    """Negative log-likelihood of outcomes, by Laplace's approximation."""
    size = stack.measured.shape[1]
    centre = attenuation(kernel.variance) * bounded_log_odds(stack.predicted)
    covariance = kernel.covariance(stack.gaps) + 1e-6 * np.eye(size)
    return -float(laplace_mode(covariance, centre, stack.measured)[1].sum())


def _settled(errors: Errors, kernel: OwnKernel, seed: int) -> OwnKernel:
    """Find trust and narrowing by predicting pellets from one to three others of their source."""
    from scipy.optimize import brentq, minimize_scalar

    with_trust, without = replace(kernel, trust=1.0), replace(kernel, trust=0.0)
    parts: list[Floats] = []
    for known, asked, weight in known_and_asked(errors.groups(), (1, 2, _MOST_KNOWN), 2, _DRAWS, seed):
        full, none = (errors.conditioned(each, known, asked) for each in (with_trust, without))
        off = errors.measured[asked] - errors.predicted[asked] - full.shift
        parts.append(np.stack([off, full.shift - none.shift, full.width, errors.half[asked],
                               np.full(len(asked), weight)]))  # fmt: skip
    if not parts:
        return kernel
    off, slope, width, half, weight = np.hstack(parts)

    def mean_error(trust: float) -> float:
        return float(np.average(np.abs(off + (1.0 - trust) * slope), weights=weight))

    trust = float(minimize_scalar(mean_error, bounds=(0.0, _MOST_TRUST), method="bounded").x)
    size = np.abs(off + (1.0 - trust) * slope)

    def short(narrowing: float) -> float:
        return float(np.average(size <= half * width**narrowing, weights=weight)) - _LEVEL

    if short(0.0) <= 0.0:
        narrowing = 0.0
    elif short(_MOST_NARROWING) >= 0.0:
        narrowing = _MOST_NARROWING
    else:
        narrowing = float(brentq(short, 0.0, _MOST_NARROWING, xtol=1e-3))
    return replace(kernel, trust=trust, narrowing=narrowing)


def known_and_asked(
    groups: dict[str, Ints], ks: tuple[int, ...], least: int, draws: int, seed: int
) -> Iterator[tuple[Ints, Ints, float]]:
    """Draw pellets of each source as known, and give the others as asked about.

    Yields
    ------
    known, asked
        Positions of rows.
    weight
        Of each asked row, so that every pellet of every source counts once for each number of known pellets.
    """
    for name, rows in groups.items():
        if len(rows) < least:
            continue
        # Seeded by name: which other sources there are changes no draw.
        generator = np.random.default_rng([seed, *name.encode()])
        for _ in range(draws):
            order = generator.permutation(rows)
            for k in ks:
                if k < len(rows):
                    yield order[:k], order[k:], len(rows) / (len(rows) - k) / draws
