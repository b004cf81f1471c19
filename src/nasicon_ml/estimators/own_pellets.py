"""Own pellets: predictions conditioned on what the trees got wrong about a user's own measured pellets.

The errors of the trees on pellets of one source are alike, the more so the more alike the recipes are. Their
covariance, estimated in training from out-of-fold errors of the sources of the dataset, is

``level^2 + recipe^2 * matern(hypot(c / c0, f / f0)) * exp(-p / p0)``, and ``noise^2`` for a pellet with itself,

with the distances of `nasicon_ml.features.distances` in composition c, processing p and prediction f, and the
Matern function of smoothness 3/2. A new pellet's error is predicted from those of the known ones (Gaussian
process regression: Rasmussen and Williams, 10.7551/mitpress/3206.001.0001); for the probability of purity the
same process stands on the log-odds (their Laplace approximation). Pellets of other sources say nothing here: the
trees know them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import lgamma
from typing import Any

import numpy as np
import pandas as pd

from nasicon_ml.arrays import Floats, Ints, Mask, Strings
from nasicon_ml.columns import CONDUCTIVITY_INTERVAL, DENSITY_INTERVAL, ROOM_TEMPERATURE_C, Column
from nasicon_ml.data.own_pellets import own_checksum
from nasicon_ml.errors import BundleError
from nasicon_ml.estimators.targets import (
    ANSWERS,
    ENERGY_SPREAD_EV,
    TARGETS,
    TargetName,
    inverse_temperature_step,
    measurement_temperature,
    on_learned_scale,
    shift_log10_conductivity,
    training_rows,
)
from nasicon_ml.features.distances import LaboratoryDistances, RecipeSpace, laboratory_distances, recipe_space

_JITTER = 1e-6
#: Degrees of freedom of the errors of a source as a whole: some sources are wilder than others.
_FREEDOM = 4.0
#: Level at which intervals are made to hold after conditioning.
_LEVEL = 0.9
_MOST_KNOWN = 3
_DRAWS = 8
_MOST_NARROWING = 2.0
_MOST_TRUST = 1.5
_MOST_STEPS = 60
#: Standard deviations beyond which an error is an outlier. Where one pellet in five was off by three decades, the
#: error on others was 0.41 decades instead of 0.71; clean pellets lost nothing (docs/own-pellets.md).
_OUTLYING = 3.0
#: The variance grows with this power of the distance, so that the farther off a pellet is the less it says.
_OUTLYING_POWER = 4.0
#: Most sources are pure or impure throughout, for which any spread of log-odds would do, the larger the likelier.
#: Beyond this, probabilities after conditioning were too sure (protocol P8; from 2 to 6 it matters little).
_MOST_LOG_ODDS = 3.0
#: Log-odds beyond this are as good as certain.
LARGEST_LOG_ODDS = 6.0
_NEWTON_STEPS = 25
#: Standard deviation of the prior of each logarithm: what few sources leave open stays near the start.
_PULL = 1.0


@dataclass(frozen=True)
class OwnKernel:
    """How errors of one target on pellets of one source go together."""

    # Standard deviations on the scale the model learns (log-odds for a probability): of a pellet alone, shared
    # by all pellets of a source, and shared by those with like recipes
    noise: float
    level: float
    recipe: float
    # Distances over which likeness is lost
    composition: float
    processing: float
    prediction: float
    trust: float = 1.0  # how much of a predicted difference between two pellets of a source comes true
    # Power of the share of the spread that is left, by which intervals narrow: 0 not at all, 1 wholly
    narrowing: float = 1.0

    def covariance(self, distances: LaboratoryDistances) -> Floats:
        """Return the covariance of the errors that pellets share, same shape as the distances; no noise."""
        far = np.sqrt(3.0) * np.hypot(
            distances.composition / self.composition, distances.prediction / self.prediction
        )
        alike = (1.0 + far) * np.exp(-far - distances.processing / self.processing)
        return np.asarray(self.level**2 + self.recipe**2 * alike)

    @property
    def variance(self) -> float:
        """Variance that pellets can share."""
        return self.level**2 + self.recipe**2


@dataclass(frozen=True)
class Conditioned:
    """What known pellets change about n predictions."""

    shift: Floats  # what to add on the scale the model learns, shape (n,)
    width: Floats  # what to multiply half-widths of intervals with, shape (n,), in (0, 1]


def condition(
    kernel: OwnKernel,
    among: LaboratoryDistances,
    towards: LaboratoryDistances,
    errors: Floats,
    ahead: Floats,
    extra: Floats | None = None,
    slope: float = 0.0,
) -> Conditioned:
    """Predict the errors of n pellets from those of k known ones, `errors`, on the scale the model learns.

    `ahead`, shape (n, k), is how much higher the prediction of each of the n pellets is than that of each known
    one; `extra` the variance that the error of a known pellet has beyond its noise; `slope` that of `Known`.
    """
    n, k = towards.composition.shape
    if k == 0 or n == 0:
        return Conditioned(np.zeros(n), np.ones(n))
    # Predictions from their mean over the known pellets.
    ours, theirs = slope * (ahead.mean() - ahead.mean(axis=0)), slope * ahead.mean(axis=1)
    shares = kernel.covariance(towards) + np.outer(theirs, ours)
    own = np.full(k, kernel.noise**2 + _JITTER) if extra is None else kernel.noise**2 + _JITTER + extra
    weights = np.linalg.solve(kernel.covariance(among) + np.outer(ours, ours) + np.diag(own), shares.T).T
    shift = weights @ errors + (kernel.trust - 1.0) * (weights * ahead).sum(axis=1)
    whole = kernel.variance + kernel.noise**2
    left = np.clip((whole + theirs**2 - (weights * shares).sum(axis=1)) / whole, 1e-4, 1.0)
    return Conditioned(shift, left ** (kernel.narrowing / 2.0))


def attenuation(variance: Floats | float) -> Any:
    """Return the factor by which a normal spread draws mean log-odds towards 0 (MacKay's approximation)."""
    return np.sqrt(1.0 + np.pi * np.asarray(variance) / 8.0)


def bounded_log_odds(probability: Floats) -> Floats:
    """Return log-odds within `LARGEST_LOG_ODDS`; shape (n,)."""
    with np.errstate(divide="ignore"):
        log_odds = np.log(probability) - np.log1p(-probability)
    return np.clip(log_odds, -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS)


def laplace_mode(covariance: Floats, centre: Floats, outcome: Floats) -> tuple[Floats, Floats]:
    """Find the most likely log-odds, shape (m, n), of m groups of n pellets each, by Newton's method.

    `centre` are the log-odds expected beforehand, `outcome` what happened (0 or 1). The second array, shape (m,),
    is the logarithm of the marginal likelihood (Laplace).
    """
    unit = np.eye(covariance.shape[-1])
    weights = np.zeros_like(centre)  # mode = centre + covariance @ weights
    best = _posterior(covariance, centre, outcome, weights)
    for _ in range(_NEWTON_STEPS):
        mode = centre + np.einsum("mij,mj->mi", covariance, weights)
        slope = expit(mode)
        root = np.sqrt(slope * (1.0 - slope))
        inner = unit + root[:, :, None] * covariance * root[:, None, :]
        aim = root**2 * (mode - centre) + outcome - slope
        through = root * np.einsum("mij,mj->mi", covariance, aim)
        step = aim - root * np.linalg.solve(inner, through[:, :, None])[:, :, 0] - weights
        length = np.ones(len(centre))
        for _ in range(6):  # where a full step overshoots, half of it
            tried = _posterior(covariance, centre, outcome, weights + length[:, None] * step)
            length = np.where(tried >= best - 1e-12, length, length / 2.0)
        tried = _posterior(covariance, centre, outcome, weights + length[:, None] * step)
        length = np.where(tried >= best - 1e-12, length, 0.0)
        weights = weights + length[:, None] * step
        gained = np.where(length > 0.0, tried - best, 0.0)
        best = best + gained
        if gained.max(initial=0.0) < 1e-9:
            break
    mode = centre + np.einsum("mij,mj->mi", covariance, weights)
    slope = expit(mode)
    root = np.sqrt(slope * (1.0 - slope))
    volume = np.linalg.slogdet(unit + root[:, :, None] * covariance * root[:, None, :])[1]
    return mode, best - volume / 2.0


def _posterior(covariance: Floats, centre: Floats, outcome: Floats, weights: Floats) -> Floats:
    """Logarithm of likelihood times prior, but for a constant; shape (m,)."""
    moved = np.einsum("mij,mj->mi", covariance, weights)
    mode = centre + moved
    likelihood = outcome * mode - np.logaddexp(0.0, mode)
    return np.asarray(likelihood.sum(axis=1) - (weights * moved).sum(axis=1) / 2.0)


def expit(values: Floats) -> Floats:
    """Return the probabilities of log-odds."""
    return np.asarray(0.5 * (1.0 + np.tanh(values / 2.0)))


def condition_probability(
    kernel: OwnKernel,
    among: LaboratoryDistances,
    towards: LaboratoryDistances,
    outcome: Floats,
    known: Floats,
    asked: Floats,
) -> Floats:
    """Return n probabilities conditioned on the outcomes (0 or 1) of k pellets.

    `known` and `asked` are the probabilities predicted without them, of these pellets and of the others. Far from
    all known pellets a probability stays what it is.
    """
    if len(outcome) == 0:
        return asked
    # Averaging over the process draws a probability towards 1/2; the centre lies further out by as much, so that
    # a probability that nothing is known about stays what it is.
    slope, root, inner = _laplace(kernel, among, outcome, known)
    shares = kernel.covariance(towards)
    scaled = root[:, None] * shares.T
    left = kernel.variance - (scaled * np.linalg.solve(inner, scaled)).sum(axis=0)
    moved = shares @ (outcome - slope)
    prior = attenuation(kernel.variance) * bounded_log_odds(asked)
    probability = expit((prior + moved) / attenuation(np.clip(left, 0.0, kernel.variance)))
    # Nearly certain probabilities were bounded; only what moved may differ from what was asked.
    unmoved = expit(bounded_log_odds(asked))
    return np.clip(np.where(np.abs(moved) < 1e-12, asked, probability + (asked - unmoved)), 0.0, 1.0)


def _laplace(
    kernel: OwnKernel, among: LaboratoryDistances, outcome: Floats, known: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return probabilities given outcomes, the roots of their variances, (k,), and the matrix to solve, (k, k)."""
    centre = attenuation(kernel.variance) * bounded_log_odds(known)
    covariance = kernel.covariance(among) + _JITTER * np.eye(len(outcome))
    mode, _ = laplace_mode(covariance[None], centre[None], outcome[None])
    slope = expit(mode[0])
    root = np.sqrt(slope * (1.0 - slope))
    return slope, root, np.eye(len(outcome)) + root[:, None] * covariance * root[None, :]


@dataclass(frozen=True)
class Errors:
    """Out-of-fold predictions of one target, with all that conditioning needs; n rows."""

    name: TargetName  # which target
    # On the scale the model learns; of a probability, the outcome and the calibrated probability. Shape (n,).
    measured: Floats
    predicted: Floats
    half: Floats  # half-width of the 90 % interval on that scale, shape (n,); NaN for a probability
    sources: Strings  # shape (n,)
    space: RecipeSpace  # the recipes

    @property
    def scale(self) -> Floats:
        """What predictions are compared by: log-odds of probabilities."""
        return bounded_log_odds(self.predicted) if TARGETS[self.name].is_probability else self.predicted

    def distances(self, rows: Ints, columns: Ints) -> LaboratoryDistances:
        """Measure the distances between some of the rows and others."""
        scale = self.scale
        return laboratory_distances(self.space.take(rows), self.space.take(columns), scale[rows], scale[columns])

    def groups(self) -> dict[str, Ints]:
        """Return the rows of each source, in the order in which the sources first appear."""
        names, first, codes = np.unique(self.sources.astype(str), return_index=True, return_inverse=True)
        return {str(names[code]): np.flatnonzero(codes == code) for code in np.argsort(first)}

    def take(self, rows: Ints | Mask) -> Errors:
        """Keep some of the rows."""
        kept = np.arange(len(self.measured))[rows]
        return Errors(
            self.name, self.measured[kept], self.predicted[kept], self.half[kept], self.sources[kept],
            self.space.take(kept),
        )  # fmt: skip

    def known(self, kernel: OwnKernel, rows: Ints) -> Known:
        """Return some of the rows as known pellets."""
        found = Known(
            kernel, self.space.take(rows), self.predicted[rows], self.measured[rows], np.zeros(len(rows))
        )
        return found if TARGETS[self.name].is_probability else found.guarded()

    def conditioned(self, kernel: OwnKernel, known: Ints, asked: Ints) -> Conditioned:
        """Condition some rows on others; not for probabilities."""
        return self.known(kernel, known).conditioned(self.space.take(asked), self.predicted[asked])

    def probability(self, kernel: OwnKernel, known: Ints, asked: Ints) -> Floats:
        """Condition some rows on others, for probabilities."""
        return self.known(kernel, known).probability(self.space.take(asked), self.predicted[asked])


def fit_own_kernel(errors: Errors, *, seed: int = 0) -> OwnKernel:
    """Fit the covariance by marginal likelihood, each source a draw of its own; then trust and narrowing.

    The likelihood is Student's with 4 degrees of freedom over a source as a whole: what one wild source does
    counts less. `trust` makes the absolute error smallest, and `narrowing` brings the share inside to 90 %, when
    one to three pellets of a source are known; `seed` is that of the draws of these.
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
    return kernel if is_probability else _with_trust_and_narrowing(errors, kernel, seed)


@dataclass(frozen=True)
class _Stack:
    """All sources of one size: distances of shape (m, n, n), the rest (m, n)."""

    distances: LaboratoryDistances
    measured: Floats
    predicted: Floats


def _stacks(errors: Errors) -> Iterator[_Stack]:
    by_size: dict[int, list[Ints]] = {}
    for rows in errors.groups().values():
        by_size.setdefault(len(rows), []).append(rows)
    for groups in by_size.values():
        each = [errors.distances(rows, rows) for rows in groups]
        at = np.stack(groups)
        stacked = LaboratoryDistances(
            np.stack([one.composition for one in each]),
            np.stack([one.processing for one in each]),
            np.stack([one.prediction for one in each]),
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
    covariance = kernel.covariance(stack.distances) + (kernel.noise**2 + 1e-8) * np.eye(size)
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
    covariance = kernel.covariance(stack.distances) + 1e-6 * np.eye(size)
    return -float(laplace_mode(covariance, centre, stack.measured)[1].sum())


def _with_trust_and_narrowing(errors: Errors, kernel: OwnKernel, seed: int) -> OwnKernel:
    """Find trust and narrowing by predicting pellets from one to three others of their source."""
    from scipy.optimize import brentq, minimize_scalar

    with_trust, without = replace(kernel, trust=1.0), replace(kernel, trust=0.0)
    parts: list[Floats] = []
    for known, asked, weight in draw_known_pellets(errors.groups(), (1, 2, _MOST_KNOWN), 2, _DRAWS, seed):
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


def draw_known_pellets(
    groups: dict[str, Ints], ks: tuple[int, ...], least: int, draws: int, seed: int
) -> Iterator[tuple[Ints, Ints, float]]:
    """Draw pellets of each source as known; the others of it are to be predicted.

    Yield the positions of known and of asked rows, and the weight of each asked row with which every pellet of
    every source counts once for each number of known pellets.
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


@dataclass(frozen=True)
class Outliers:
    """What sets errors apart from the others of their source; shape (k,), 0 where nothing does."""

    variance: Floats  # to add to that of an error, so that it counts less
    distance: Floats  # how far it lies above what the others let expect


def find_outliers(covariance: Floats, errors: Floats, freedom: float) -> Outliers:
    """Find outliers among errors, shape (k,), the worst first, half of them at most.

    The covariance holds their noise; `freedom` are the degrees of freedom of the errors as a whole (multivariate
    Student's t): where all errors are wild, a wild one is none.
    """
    count = len(errors)
    variance, distance = np.zeros(count), np.zeros(count)
    for _ in range(max(1, count // 2) if count else 0):
        inverse = np.linalg.inv(covariance + np.diag(variance))
        weighted = inverse @ errors
        alone = 1.0 / np.diag(inverse)
        off = weighted * alone  # from what the others let expect
        others = errors @ weighted - weighted * off
        spread = alone * (freedom - 2.0 + np.maximum(others, 0.0)) / (freedom - 3.0 + count)
        size = np.where(variance > 0, 0.0, np.abs(off) / np.sqrt(spread))
        worst = int(np.argmax(size))
        if size[worst] <= _OUTLYING:
            break
        variance[worst] = max(spread[worst] * (size[worst] / _OUTLYING) ** _OUTLYING_POWER - alone[worst], 1e-12)
        distance[worst] = off[worst]
    return Outliers(variance, distance)


@dataclass(frozen=True)
class Known:
    """Own pellets with a usable value of one target; k of them."""

    kernel: OwnKernel  # how errors go together
    space: RecipeSpace  # their recipes
    # On the scale the model learns (conductivity at 25 °C), or probability and outcome; shape (k,)
    predicted: Floats
    measured: Floats
    extra: Floats  # variance of the errors beyond that of a pellet of the dataset, shape (k,)
    # Positions among all own pellets, shape (k,)
    rows: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.intp))
    # How far an outlier lies above what its recipe and the others let expect, on that scale; else 0. Shape (k,).
    off: Floats = field(default_factory=lambda: np.zeros(0))
    # How far the share of a predicted difference that comes true in one laboratory may be from
    # `OwnKernel.trust`, as a standard deviation: pellets then tell it, too (a linear term with a normal prior:
    # Rasmussen and Williams, section 2.7). Not for a probability.
    slope: float = 0.0

    def guarded(self) -> Known:
        """Return the same pellets, those that are unlike the others with less weight; not for probabilities."""
        among = laboratory_distances(self.space, self.space, self.predicted, self.predicted)
        own = self.kernel.noise**2 + _JITTER + self.extra
        covariance = self.kernel.covariance(among) + np.diag(own)
        found = find_outliers(covariance, self.measured - self.predicted, _FREEDOM)
        return replace(self, extra=self.extra + found.variance, off=found.distance)

    def take(self, kept: Ints | Mask) -> Known:
        """Return some of the pellets, with the weights that they have among all."""
        at = np.arange(len(self.measured))[kept]
        return Known(self.kernel, self.space.take(at), self.predicted[at], self.measured[at], self.extra[at])

    def tilt(self, predicted: Floats) -> Floats:
        """Return predictions from the mean of those of these pellets, times the slope; 0 without any pellet."""
        if not len(self.predicted):
            return np.zeros_like(predicted)
        return np.asarray(self.slope * (predicted - self.predicted.mean()))

    def conditioned(self, space: RecipeSpace, predicted: Floats) -> Conditioned:
        """Return what these pellets change about n predictions on the scale the model learns."""
        among, towards = self._distances(space, self.predicted, predicted)
        ahead = predicted[:, None] - self.predicted[None, :]
        return condition(
            self.kernel, among, towards, self.measured - self.predicted, ahead, self.extra, self.slope
        )

    def probability(self, space: RecipeSpace, asked: Floats) -> Floats:
        """Return n probabilities conditioned on these pellets."""
        among, towards = self._distances(space, bounded_log_odds(self.predicted), bounded_log_odds(asked))
        return condition_probability(self.kernel, among, towards, self.measured, self.predicted, asked)

    def precision(self, *, is_probability: bool) -> Floats:
        """Return M: these pellets lower a covariance by S M S', S being the covariance with them; shape (k, k)."""
        scale = bounded_log_odds(self.predicted) if is_probability else self.predicted
        among = laboratory_distances(self.space, self.space, scale, scale)
        if is_probability:
            _, root, inner = _laplace(self.kernel, among, self.measured, self.predicted)
            return np.asarray(root[:, None] * np.linalg.solve(inner, np.diag(root)))
        tilt = self.tilt(self.predicted)
        own = np.outer(tilt, tilt) + np.diag(self.kernel.noise**2 + _JITTER + self.extra)
        return np.asarray(np.linalg.inv(self.kernel.covariance(among) + own))

    def _distances(
        self, space: RecipeSpace, ours: Floats, theirs: Floats
    ) -> tuple[LaboratoryDistances, LaboratoryDistances]:
        return laboratory_distances(self.space, self.space, ours, ours), laboratory_distances(
            space, self.space, theirs, ours
        )


def refuse_known_to_trees(own: pd.DataFrame, options: Mapping[str, Any]) -> None:
    """Refuse pellets that a model was trained with: its errors on them are too small to say anything.

    Raises
    ------
    BundleError
        If they are those of ``train --add``.
    """
    if options.get("added_sha256") == own_checksum(own):
        raise BundleError(
            "this model was trained with these own pellets, so its errors on them say nothing about the next one;"
            " predict without them, or take a model that was trained without them"
        )


def known_pellets(
    kernels: Mapping[TargetName, OwnKernel], own: pd.DataFrame, learned: Mapping[TargetName, Floats]
) -> dict[TargetName, Known]:
    """Find what own pellets say about each answer.

    `own` are k pellets as `nasicon_ml.data.own_pellets.own_pellets` gives them, `learned` what the model says
    about them: log10(S/cm) at 25 °C, log10 of the porosity, probability of purity, eV; shape (k,) each.

    Raises
    ------
    BundleError
        If the model does not know how errors on pellets of one source go together.
    """
    missing = [str(name) for name in ANSWERS if name not in kernels]
    if missing:
        raise BundleError(
            "this model cannot take own pellets: the version that trained it did not estimate how errors on"
            f" pellets of one source go together ({', '.join(missing)}); train again with this one"
        )
    space = recipe_space(own)
    found = {}
    for name in ANSWERS:
        usable = training_rows(own, name)
        at, measured, extra = usable.rows, usable.y, np.zeros(len(usable.rows))
        if name is TargetName.CONDUCTIVITY:
            measured, extra = _at_room_temperature(
                own.iloc[at], measured, learned[TargetName.ACTIVATION_ENERGY][at]
            )
        elif not TARGETS[name].is_probability:
            measured = TARGETS[name].forward(measured)
        known = Known(kernels[name], space.take(at), learned[name][at], measured, extra, at)
        found[name] = known if TARGETS[name].is_probability else known.guarded()
    return found


def _at_room_temperature(own: pd.DataFrame, measured: Floats, predicted_energy: Floats) -> tuple[Floats, Floats]:
    """Carry conductivities to 25 °C as training does; the second is the variance of the step, in decades²."""
    energy = own[Column.ACTIVATION_ENERGY_EV].to_numpy(dtype=np.float64)
    guessed = np.isnan(energy)
    temperature = measurement_temperature(own)
    carried = shift_log10_conductivity(
        measured, np.where(guessed, predicted_energy, energy), temperature, ROOM_TEMPERATURE_C
    )
    step = inverse_temperature_step(temperature) / np.log(10.0)
    return carried, np.where(guessed, (ENERGY_SPREAD_EV * step) ** 2, 0.0)


def moved_answers(
    known: Mapping[TargetName, Known],
    space: RecipeSpace,
    learned: Mapping[TargetName, Floats],
    answers: Mapping[Column, Floats],
    half_at_25: Floats,
) -> dict[str, Floats]:
    """Return the answers to n recipes, conditioned on own pellets, that change, and how much they were moved.

    `learned` and `answers` (by column of `nasicon_ml.columns.PREDICTION`) are what the model says without them;
    `half_at_25` half-widths of the intervals of conductivity at 25 °C in decades: what an interval is wider at the
    temperature asked for is owed to the activation energy, and stays.
    """
    change = {name: known[name].conditioned(space, learned[name]) for name in ANSWERS[:2]}
    logs = _moved(TargetName.CONDUCTIVITY, answers, change[TargetName.CONDUCTIVITY], half_at_25)
    points = _moved(TargetName.RELATIVE_DENSITY, answers, change[TargetName.RELATIVE_DENSITY])
    pure = answers[Column.PREDICTED_PHASE_PURITY]
    moved_pure = known[TargetName.PHASE_PURITY].probability(space, pure)
    return {
        **{str(column): 10.0**log for column, log in zip(CONDUCTIVITY_INTERVAL, logs, strict=True)},
        Column.OWN_SHIFT_DECADES: logs[0] - np.log10(answers[Column.PREDICTED_CONDUCTIVITY_S_CM]),
        **dict(zip(map(str, DENSITY_INTERVAL), points, strict=True)),
        Column.OWN_SHIFT_POINTS: points[0] - answers[Column.PREDICTED_RELATIVE_DENSITY_PCT],
        Column.PREDICTED_PHASE_PURITY: moved_pure,
        Column.OWN_SHIFT_PURITY: moved_pure - pure,
    }


def _moved(
    name: TargetName, answers: Mapping[Column, Floats], change: Conditioned, narrowed: Floats | None = None
) -> tuple[Floats, Floats, Floats]:
    """Move value, lower and upper end on the scale of reports; only `narrowed` of the half-width narrows."""
    target = TARGETS[name]
    centre, half = on_learned_scale(name, answers)
    part = half if narrowed is None else np.minimum(narrowed, half)
    half = np.sqrt(half**2 - part**2 + (part * change.width) ** 2)
    moved = centre + change.shift
    low, high = target.inverse(moved - half), target.inverse(moved + half)
    return target.inverse(moved), np.minimum(low, high), np.maximum(low, high)
