"""Own pellets: predictions conditioned on the errors of the trees on a user's own measured pellets.

The errors of the trees on pellets of one source are correlated, and more strongly for similar recipes. Their
covariance, estimated in training from out-of-fold errors, is

``level^2 + recipe^2 * matern(hypot(c / c0, f / f0)) * exp(-p / p0)``, and ``noise^2`` for a pellet with itself,

with the distances of `nasicon_ml.features.distances` in composition c, processing p and prediction f, and the
Matern function of smoothness 3/2. A new pellet's error is predicted from those of the known ones (Gaussian
process regression: Rasmussen and Williams, 10.7551/mitpress/3206.001.0001); for the probability of purity the
process describes the log-odds (their Laplace approximation). Pellets of other sources are not used here, because
the trees were trained on them.
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
#: Degrees of freedom of the errors of a source as a whole: the size of errors differs between sources.
_FREEDOM = 4.0
#: Level at which the intervals are calibrated after conditioning.
_LEVEL = 0.9
_MOST_KNOWN = 3
_DRAWS = 8
_MOST_NARROWING = 2.0
_MOST_TRUST = 1.5
_MOST_ITERATIONS = 60
#: Standard deviations beyond which an error is an outlier. Where one pellet in five was off by three decades, the
#: error on others was 0.41 decades instead of 0.71; clean pellets lost nothing (docs/own-pellets.md).
_OUTLIER_LIMIT = 3.0
#: The variance of an outlier grows with this power of its deviation, so that extreme outliers count least.
_OUTLIER_POWER = 4.0
#: Most sources are pure or impure throughout, so that the likelihood of the spread of log-odds has no maximum.
#: Beyond this bound, probabilities after conditioning were overconfident (protocol P8; 2 to 6 hardly differ).
_MOST_LOG_ODDS = 3.0
#: Log-odds beyond this count as certain.
LARGEST_LOG_ODDS = 6.0
_NEWTON_STEPS = 25
#: Standard deviation of the prior of each log parameter, which keeps poorly determined ones near the start.
_PRIOR_WIDTH = 1.0


@dataclass(frozen=True)
class OwnKernel:
    """Covariance of the errors of one target on pellets of one source."""

    # Standard deviations on the scale the model learns (log-odds for a probability): of a single pellet, of all
    # pellets of a source together, and of pellets with similar recipes together
    noise: float
    level: float
    recipe: float
    # Correlation lengths
    composition: float
    processing: float
    prediction: float
    trust: float = 1.0  # share of a predicted difference between two pellets of a source that is observed
    # Power of the remaining share of the spread by which intervals narrow: 0 not at all, 1 fully
    narrowing: float = 1.0

    def covariance(self, distances: LaboratoryDistances) -> Floats:
        """Return the covariance of errors without noise, same shape as the distances."""
        scaled = np.sqrt(3.0) * np.hypot(
            distances.composition / self.composition, distances.prediction / self.prediction
        )
        similarity = (1.0 + scaled) * np.exp(-scaled - distances.processing / self.processing)
        return np.asarray(self.level**2 + self.recipe**2 * similarity)

    @property
    def variance(self) -> float:
        """Variance without noise."""
        return self.level**2 + self.recipe**2


@dataclass(frozen=True)
class ErrorCorrection:
    """Change of n predictions by known pellets."""

    shift: Floats  # to add on the scale the model learns, shape (n,)
    width_factor: Floats  # to multiply half-widths of intervals with, shape (n,), in (0, 1]
    trust_slope: Floats  # change of the shift by one more unit of `OwnKernel.trust`, shape (n,)


def error_correction(
    kernel: OwnKernel,
    known_distances: LaboratoryDistances,
    query_distances: LaboratoryDistances,
    errors: Floats,
    differences: Floats,
    extra_variance: Floats | float = 0.0,
    trust_deviation: float = 0.0,
) -> ErrorCorrection:
    """Predict the errors of n pellets from the `errors` of k known ones, on the scale the model learns.

    `known_distances` are those among the known pellets, `query_distances` those from the n pellets to them.
    `differences`, shape (n, k), are the predictions of the n pellets minus those of the known ones; the last two
    parameters are those of `KnownPellets`.
    """
    n, k = query_distances.composition.shape
    if k == 0 or n == 0:
        return ErrorCorrection(np.zeros(n), np.ones(n), np.zeros(n))
    # Linear terms: predictions minus their mean over the known pellets.
    known_term = trust_deviation * (differences.mean() - differences.mean(axis=0))
    query_term = trust_deviation * differences.mean(axis=1)
    cross_covariance = kernel.covariance(query_distances) + np.outer(query_term, known_term)
    noise = np.full(k, kernel.noise**2 + _JITTER) + extra_variance
    covariance = kernel.covariance(known_distances) + np.outer(known_term, known_term) + np.diag(noise)
    weights = np.linalg.solve(covariance, cross_covariance.T).T
    trust_slope = (weights * differences).sum(axis=1)
    shift = weights @ errors + (kernel.trust - 1.0) * trust_slope
    total = kernel.variance + kernel.noise**2
    explained = (weights * cross_covariance).sum(axis=1)
    remaining = np.clip((total + query_term**2 - explained) / total, 1e-4, 1.0)
    return ErrorCorrection(shift, remaining ** (kernel.narrowing / 2.0), trust_slope)


def attenuation(variance: Floats | float) -> Any:
    """Return the factor by which averaging over a normal spread shrinks log-odds (MacKay's approximation)."""
    return np.sqrt(1.0 + np.pi * np.asarray(variance) / 8.0)


def bounded_log_odds(probability: Floats) -> Floats:
    """Return log-odds, clipped to `LARGEST_LOG_ODDS`; shape (n,)."""
    with np.errstate(divide="ignore"):
        log_odds = np.log(probability) - np.log1p(-probability)
    return np.clip(log_odds, -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS)


def laplace_mode(covariance: Floats, centre: Floats, outcome: Floats) -> tuple[Floats, Floats]:
    """Return the most likely log-odds, shape (m, n), of m groups of n pellets each, found by Newton's method.

    `centre` are the expected log-odds before the `outcome` (0 or 1) is known. The second array, shape (m,), is the
    logarithm of the marginal likelihood in Laplace's approximation.
    """
    unit = np.eye(covariance.shape[-1])
    weights = np.zeros_like(centre)  # mode = centre + covariance @ weights
    best = _log_posterior(covariance, centre, outcome, weights)
    for _ in range(_NEWTON_STEPS):
        mode = centre + np.einsum("mij,mj->mi", covariance, weights)
        probability = expit(mode)
        root = np.sqrt(probability * (1.0 - probability))
        inner = unit + root[:, :, None] * covariance * root[:, None, :]
        target = root**2 * (mode - centre) + outcome - probability
        projected = root * np.einsum("mij,mj->mi", covariance, target)
        step = target - root * np.linalg.solve(inner, projected[:, :, None])[:, :, 0] - weights
        length = np.ones(len(centre))
        for _ in range(6):  # halve steps that overshoot
            trial = _log_posterior(covariance, centre, outcome, weights + length[:, None] * step)
            length = np.where(trial >= best - 1e-12, length, length / 2.0)
        trial = _log_posterior(covariance, centre, outcome, weights + length[:, None] * step)
        length = np.where(trial >= best - 1e-12, length, 0.0)
        weights = weights + length[:, None] * step
        gain = np.where(length > 0.0, trial - best, 0.0)
        best = best + gain
        if gain.max(initial=0.0) < 1e-9:
            break
    mode = centre + np.einsum("mij,mj->mi", covariance, weights)
    probability = expit(mode)
    root = np.sqrt(probability * (1.0 - probability))
    log_determinant = np.linalg.slogdet(unit + root[:, :, None] * covariance * root[:, None, :])[1]
    return mode, best - log_determinant / 2.0


def _log_posterior(covariance: Floats, centre: Floats, outcome: Floats, weights: Floats) -> Floats:
    """Return the logarithm of likelihood times prior up to a constant; shape (m,)."""
    deviation = np.einsum("mij,mj->mi", covariance, weights)
    mode = centre + deviation
    likelihood = outcome * mode - np.logaddexp(0.0, mode)
    return np.asarray(likelihood.sum(axis=1) - (weights * deviation).sum(axis=1) / 2.0)


def expit(values: Floats) -> Floats:
    """Return the probabilities of log-odds."""
    return np.asarray(0.5 * (1.0 + np.tanh(values / 2.0)))


def condition_probability(
    kernel: OwnKernel,
    known_distances: LaboratoryDistances,
    query_distances: LaboratoryDistances,
    outcome: Floats,
    known_probability: Floats,
    query_probability: Floats,
) -> Floats:
    """Return n probabilities conditioned on the outcomes (0 or 1) of k pellets.

    Distances as in `error_correction`; `known_probability` and `query_probability` are the predictions without the
    outcomes. Far from all known pellets a probability stays as predicted.
    """
    if len(outcome) == 0:
        return query_probability
    # Averaging over the process shrinks log-odds. The centre is scaled up by the same factor, so that a
    # probability far from all known pellets does not change.
    mode_probability, root, inner = _laplace(kernel, known_distances, outcome, known_probability)
    cross_covariance = kernel.covariance(query_distances)
    scaled = root[:, None] * cross_covariance.T
    remaining = kernel.variance - (scaled * np.linalg.solve(inner, scaled)).sum(axis=0)
    shift = cross_covariance @ (outcome - mode_probability)
    prior = attenuation(kernel.variance) * bounded_log_odds(query_probability)
    probability = expit((prior + shift) / attenuation(np.clip(remaining, 0.0, kernel.variance)))
    # Log-odds were clipped: the difference to the prediction is added back.
    clipped = expit(bounded_log_odds(query_probability))
    conditioned = np.where(np.abs(shift) < 1e-12, query_probability, probability + (query_probability - clipped))
    return np.clip(conditioned, 0.0, 1.0)


def _laplace(
    kernel: OwnKernel, distances: LaboratoryDistances, outcome: Floats, probability: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return probabilities given outcomes, the roots of their variances, (k,), and the matrix to solve, (k, k)."""
    centre = attenuation(kernel.variance) * bounded_log_odds(probability)
    covariance = kernel.covariance(distances) + _JITTER * np.eye(len(outcome))
    mode, _ = laplace_mode(covariance[None], centre[None], outcome[None])
    mode_probability = expit(mode[0])
    root = np.sqrt(mode_probability * (1.0 - mode_probability))
    return mode_probability, root, np.eye(len(outcome)) + root[:, None] * covariance * root[None, :]


@dataclass(frozen=True)
class OutOfFoldErrors:
    """Out-of-fold predictions of one target with what conditioning needs; n rows."""

    name: TargetName
    # On the scale the model learns; for a probability, the outcome and the calibrated probability. Shape (n,).
    measured: Floats
    predicted: Floats
    half: Floats  # half-width of the 90 % interval on that scale, shape (n,); NaN for a probability
    sources: Strings  # shape (n,)
    space: RecipeSpace  # the recipes

    def distances(self, rows: Ints, columns: Ints) -> LaboratoryDistances:
        """Return the distances between some of the rows and others."""
        is_probability = TARGETS[self.name].is_probability
        scale = bounded_log_odds(self.predicted) if is_probability else self.predicted
        return laboratory_distances(self.space.take(rows), self.space.take(columns), scale[rows], scale[columns])

    def groups(self) -> dict[str, Ints]:
        """Return the rows of each source, in the order of the first row of each source."""
        names, first, codes = np.unique(self.sources.astype(str), return_index=True, return_inverse=True)
        return {str(names[code]): np.flatnonzero(codes == code) for code in np.argsort(first)}

    def take(self, rows: Ints | Mask) -> OutOfFoldErrors:
        """Return selected rows."""
        kept = np.arange(len(self.measured))[rows]
        return OutOfFoldErrors(
            self.name, self.measured[kept], self.predicted[kept], self.half[kept], self.sources[kept],
            self.space.take(kept),
        )  # fmt: skip

    def known(self, kernel: OwnKernel, rows: Ints) -> KnownPellets:
        """Return some of the rows as known pellets."""
        known = KnownPellets(
            kernel, self.space.take(rows), self.predicted[rows], self.measured[rows], np.zeros(len(rows))
        )
        return known if TARGETS[self.name].is_probability else known.with_outliers_downweighted()

    def correction(self, kernel: OwnKernel, known_rows: Ints, query_rows: Ints) -> ErrorCorrection:
        """Condition some rows on others; not for probabilities."""
        known = self.known(kernel, known_rows)
        return known.correction(self.space.take(query_rows), self.predicted[query_rows])

    def probability(self, kernel: OwnKernel, known_rows: Ints, query_rows: Ints) -> Floats:
        """Condition some rows on others; for probabilities."""
        known = self.known(kernel, known_rows)
        return known.probability(self.space.take(query_rows), self.predicted[query_rows])


def fit_own_kernel(errors: OutOfFoldErrors, *, seed: int = 0) -> OwnKernel:
    """Fit the covariance by marginal likelihood, with sources as independent samples; then trust and narrowing.

    The likelihood is Student's t with 4 degrees of freedom over a source as a whole, which limits the influence of
    one odd source. `trust` minimises the absolute error, and `narrowing` brings the coverage to 90 %, when one to
    three pellets of a source are known; these are drawn with `seed`.
    """
    from scipy.optimize import minimize

    batches = list(_batches(errors))
    is_probability = TARGETS[errors.name].is_probability
    start, bounds = _start_and_bounds(errors)
    likelihood = _purity_log_loss if is_probability else _error_log_loss

    def loss(parameters: Floats) -> float:
        kernel = _kernel(parameters, is_probability)
        total = sum(likelihood(kernel, batch) for batch in batches)
        # A weak prior keeps poorly determined parameters near the start.
        return (total + 0.5 * float((((parameters - start) / _PRIOR_WIDTH) ** 2).sum())) / len(errors.measured)

    best = minimize(loss, start, method="L-BFGS-B", bounds=bounds, options={"maxiter": _MOST_ITERATIONS}).x
    kernel = _kernel(best, is_probability)
    return kernel if is_probability else _with_trust_and_narrowing(errors, kernel, seed)


@dataclass(frozen=True)
class _SourceBatch:
    """All m sources with n pellets: distances of shape (m, n, n), the rest (m, n)."""

    distances: LaboratoryDistances
    measured: Floats
    predicted: Floats


def _batches(errors: OutOfFoldErrors) -> Iterator[_SourceBatch]:
    """Yield the sources, batched by their number of pellets."""
    by_size: dict[int, list[Ints]] = {}
    for rows in errors.groups().values():
        by_size.setdefault(len(rows), []).append(rows)
    for groups in by_size.values():
        distances = [errors.distances(rows, rows) for rows in groups]
        stacked = LaboratoryDistances(
            np.stack([each.composition for each in distances]),
            np.stack([each.processing for each in distances]),
            np.stack([each.prediction for each in distances]),
        )
        batch_rows = np.stack(groups)
        yield _SourceBatch(stacked, errors.measured[batch_rows], errors.predicted[batch_rows])


def _start_and_bounds(errors: OutOfFoldErrors) -> tuple[Floats, list[tuple[float, float]]]:
    """Return start values and bounds of the logarithms of noise, level, recipe and the three lengths."""
    is_probability = TARGETS[errors.name].is_probability
    error_deviation = prediction_deviation = 2.0
    if not is_probability:
        error_deviation = float(np.std(errors.measured - errors.predicted)) + 1e-6
        prediction_deviation = float(np.std(errors.predicted)) + 1e-6
    deviations = [error_deviation / 3.0, error_deviation / 2.0, error_deviation]
    start = np.log([*deviations, 0.6, 1.5, 16.0 * prediction_deviation])
    bounds = [(value - 4.0, value + 2.5) for value in start]
    if is_probability:
        bounds[1:3] = [(low, float(np.log(_MOST_LOG_ODDS))) for low, _ in bounds[1:3]]
    return start, bounds


def _kernel(parameters: Floats, is_probability: bool) -> OwnKernel:
    noise, *others = (float(value) for value in np.exp(parameters))
    return OwnKernel(0.0 if is_probability else noise, *others)


def _error_log_loss(kernel: OwnKernel, batch: _SourceBatch) -> float:
    """Return the negative log-likelihood (Student's t) of errors, without constants."""
    size = batch.measured.shape[1]
    covariance = kernel.covariance(batch.distances) + (kernel.noise**2 + 1e-8) * np.eye(size)
    factor = np.linalg.cholesky(covariance)
    whitened = np.linalg.solve(factor, (batch.measured - batch.predicted)[:, :, None])[:, :, 0]
    squares = (whitened**2).sum(axis=1)
    log_determinant = np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(axis=1)
    constant = lgamma(_FREEDOM / 2.0) - lgamma((_FREEDOM + size) / 2.0)
    tail = (_FREEDOM + size) / 2.0 * np.log1p(squares / (_FREEDOM - 2.0))
    return float((log_determinant + tail + constant).sum())


def _purity_log_loss(kernel: OwnKernel, batch: _SourceBatch) -> float:
    """Return the negative log-likelihood of outcomes in Laplace's approximation."""
    size = batch.measured.shape[1]
    centre = attenuation(kernel.variance) * bounded_log_odds(batch.predicted)
    covariance = kernel.covariance(batch.distances) + 1e-6 * np.eye(size)
    return -float(laplace_mode(covariance, centre, batch.measured)[1].sum())


def _with_trust_and_narrowing(errors: OutOfFoldErrors, kernel: OwnKernel, seed: int) -> OwnKernel:
    """Fit trust and narrowing by predicting pellets from one to three others of their source.

    The given kernel has a trust of 1.
    """
    from scipy.optimize import brentq, minimize_scalar

    parts: list[Floats] = []
    for known, query, weight in draw_known_pellets(errors.groups(), (1, 2, _MOST_KNOWN), 2, _DRAWS, seed):
        change = errors.correction(kernel, known, query)
        residual = errors.measured[query] - errors.predicted[query] - change.shift
        parts.append(np.stack([residual, change.trust_slope, change.width_factor, errors.half[query],
                               np.full(len(query), weight)]))  # fmt: skip
    if not parts:
        return kernel
    residual, trust_slope, width_factor, half, weight = np.hstack(parts)

    def mean_error(trust: float) -> float:
        return float(np.average(np.abs(residual + (1.0 - trust) * trust_slope), weights=weight))

    trust = float(minimize_scalar(mean_error, bounds=(0.0, _MOST_TRUST), method="bounded").x)
    size = np.abs(residual + (1.0 - trust) * trust_slope)

    def excess_coverage(narrowing: float) -> float:
        return float(np.average(size <= half * width_factor**narrowing, weights=weight)) - _LEVEL

    if excess_coverage(0.0) <= 0.0:
        narrowing = 0.0
    elif excess_coverage(_MOST_NARROWING) >= 0.0:
        narrowing = _MOST_NARROWING
    else:
        narrowing = float(brentq(excess_coverage, 0.0, _MOST_NARROWING, xtol=1e-3))
    return replace(kernel, trust=trust, narrowing=narrowing)


def draw_known_pellets(
    groups: dict[str, Ints], known_counts: tuple[int, ...], least_pellets: int, draws: int, seed: int
) -> Iterator[tuple[Ints, Ints, float]]:
    """Draw known pellets of each source with enough pellets; its other pellets are to be predicted.

    Yield the positions of known rows and of query rows, and the weight of each query row. With these weights every
    pellet of every source counts once for each number of known pellets.
    """
    for name, rows in groups.items():
        if len(rows) < least_pellets:
            continue
        # The seed depends on the name, so that the draws do not depend on the other sources.
        generator = np.random.default_rng([seed, *name.encode()])
        for _ in range(draws):
            order = generator.permutation(rows)
            for count in known_counts:
                if count < len(rows):
                    yield order[:count], order[count:], len(rows) / (len(rows) - count) / draws


def find_outliers(covariance: Floats, errors: Floats) -> tuple[Floats, Floats]:
    """Find outliers among errors, shape (k,), the largest first, at most half of them.

    The covariance includes noise. The errors together have a multivariate Student's t distribution, so that a
    large error among other large ones is no outlier.

    Returns
    -------
    extra_variance, deviation
        Variance to add to that of an outlier, which lowers its weight, and its deviation from the value expected
        from the other errors; 0 for other errors. Shape (k,) each.
    """
    count = len(errors)
    extra_variance, deviation = np.zeros(count), np.zeros(count)
    for _ in range(max(1, count // 2) if count else 0):
        inverse = np.linalg.inv(covariance + np.diag(extra_variance))
        weighted = inverse @ errors
        conditional_variance = 1.0 / np.diag(inverse)
        from_expected = weighted * conditional_variance
        others = errors @ weighted - weighted * from_expected
        spread = conditional_variance * (_FREEDOM - 2.0 + np.maximum(others, 0.0)) / (_FREEDOM - 3.0 + count)
        size = np.where(extra_variance > 0, 0.0, np.abs(from_expected) / np.sqrt(spread))
        worst = int(np.argmax(size))
        if size[worst] <= _OUTLIER_LIMIT:
            break
        variance = spread[worst] * (size[worst] / _OUTLIER_LIMIT) ** _OUTLIER_POWER
        extra_variance[worst] = max(variance - conditional_variance[worst], 1e-12)
        deviation[worst] = from_expected[worst]
    return extra_variance, deviation


@dataclass(frozen=True)
class KnownPellets:
    """Own pellets with a usable value of one target; k of them."""

    kernel: OwnKernel
    space: RecipeSpace  # their recipes
    # On the scale the model learns (conductivity at 25 °C), or probability and outcome; shape (k,)
    predicted: Floats
    measured: Floats
    extra_variance: Floats  # of the errors, in addition to that of a pellet of the dataset; shape (k,)
    # Positions among all own pellets, shape (k,)
    rows: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.intp))
    # Deviation of an outlier from the value expected from the other pellets, on that scale; else 0. Shape (k,).
    outlier_deviation: Floats = field(default_factory=lambda: np.zeros(0))
    # Standard deviation, between laboratories, of the share of a predicted difference that is observed, around
    # `OwnKernel.trust`: the known pellets then inform it, too (a linear term with a normal prior: Rasmussen and
    # Williams, section 2.7). Not for a probability.
    trust_deviation: float = 0.0

    def with_outliers_downweighted(self) -> KnownPellets:
        """Return the same pellets with a larger variance of outliers; not for probabilities."""
        distances = laboratory_distances(self.space, self.space, self.predicted, self.predicted)
        noise = self.kernel.noise**2 + _JITTER + self.extra_variance
        covariance = self.kernel.covariance(distances) + np.diag(noise)
        extra_variance, deviation = find_outliers(covariance, self.measured - self.predicted)
        return replace(self, extra_variance=self.extra_variance + extra_variance, outlier_deviation=deviation)

    def take(self, kept: Ints | Mask) -> KnownPellets:
        """Return selected pellets with their present weights."""
        at = np.arange(len(self.measured))[kept]
        return KnownPellets(
            self.kernel, self.space.take(at), self.predicted[at], self.measured[at], self.extra_variance[at]
        )

    def linear_term(self, predicted: Floats) -> Floats:
        """Return predictions minus their mean over these pellets, times `trust_deviation`; 0 without pellets."""
        if not len(self.predicted):
            return np.zeros_like(predicted)
        return np.asarray(self.trust_deviation * (predicted - self.predicted.mean()))

    def correction(self, space: RecipeSpace, predicted: Floats) -> ErrorCorrection:
        """Return the change of n predictions, on the scale the model learns, by these pellets."""
        known_distances, query_distances = self._distances(space, self.predicted, predicted)
        differences = predicted[:, None] - self.predicted[None, :]
        errors = self.measured - self.predicted
        return error_correction(
            self.kernel,
            known_distances,
            query_distances,
            errors,
            differences,
            self.extra_variance,
            self.trust_deviation,
        )

    def probability(self, space: RecipeSpace, predicted: Floats) -> Floats:
        """Return n predicted probabilities conditioned on these pellets."""
        distances = self._distances(space, bounded_log_odds(self.predicted), bounded_log_odds(predicted))
        return condition_probability(self.kernel, *distances, self.measured, self.predicted, predicted)

    def precision(self, *, is_probability: bool) -> Floats:
        """Return the matrix P, shape (k, k), such that these pellets reduce a covariance by S P S'.

        S is the covariance with these pellets.
        """
        scale = bounded_log_odds(self.predicted) if is_probability else self.predicted
        distances = laboratory_distances(self.space, self.space, scale, scale)
        if is_probability:
            _, root, inner = _laplace(self.kernel, distances, self.measured, self.predicted)
            return np.asarray(root[:, None] * np.linalg.solve(inner, np.diag(root)))
        term = self.linear_term(self.predicted)
        noise = np.outer(term, term) + np.diag(self.kernel.noise**2 + _JITTER + self.extra_variance)
        return np.asarray(np.linalg.inv(self.kernel.covariance(distances) + noise))

    def _distances(
        self, space: RecipeSpace, known_scale: Floats, query_scale: Floats
    ) -> tuple[LaboratoryDistances, LaboratoryDistances]:
        """Return the distances among these pellets, and from other recipes to them."""
        return laboratory_distances(self.space, self.space, known_scale, known_scale), laboratory_distances(
            space, self.space, query_scale, known_scale
        )


def check_not_trained_on(own: pd.DataFrame, options: Mapping[str, Any]) -> None:
    """Raise if a model was trained on these pellets, because its errors on them are too small.

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
) -> dict[TargetName, KnownPellets]:
    """Return the own pellets with a value of each target.

    `own` are k pellets as read by `nasicon_ml.data.own_pellets.own_pellets`, `learned` the predictions for them:
    log10(S/cm) at 25 °C, log10 of the porosity, probability of purity, eV; shape (k,) each.

    Raises
    ------
    BundleError
        If the model has no kernels.
    """
    missing = [str(name) for name in ANSWERS if name not in kernels]
    if missing:
        raise BundleError(
            "this model cannot take own pellets: the version that trained it did not estimate how errors on"
            f" pellets of one source go together ({', '.join(missing)}); train again with this one"
        )
    space = recipe_space(own)
    known = {}
    for name in ANSWERS:
        usable = training_rows(own, name)
        rows, measured, extra_variance = usable.rows, usable.y, np.zeros(len(usable.rows))
        if name is TargetName.CONDUCTIVITY:
            energy = learned[TargetName.ACTIVATION_ENERGY][rows]
            measured, extra_variance = _at_room_temperature(own.iloc[rows], measured, energy)
        elif not TARGETS[name].is_probability:
            measured = TARGETS[name].forward(measured)
        pellets = KnownPellets(
            kernels[name], space.take(rows), learned[name][rows], measured, extra_variance, rows
        )
        known[name] = pellets if TARGETS[name].is_probability else pellets.with_outliers_downweighted()
    return known


def _at_room_temperature(own: pd.DataFrame, measured: Floats, predicted_energy: Floats) -> tuple[Floats, Floats]:
    """Convert conductivities to 25 °C as in training; return them and the variance of the conversion, decades²."""
    energy = own[Column.ACTIVATION_ENERGY_EV].to_numpy(dtype=np.float64)
    is_predicted = np.isnan(energy)
    temperature = measurement_temperature(own)
    converted = shift_log10_conductivity(
        measured, np.where(is_predicted, predicted_energy, energy), temperature, ROOM_TEMPERATURE_C
    )
    step = inverse_temperature_step(temperature) / np.log(10.0)
    return converted, np.where(is_predicted, (ENERGY_SPREAD_EV * step) ** 2, 0.0)


def update_answers(
    known: Mapping[TargetName, KnownPellets],
    space: RecipeSpace,
    learned: Mapping[TargetName, Floats],
    answers: Mapping[Column, Floats],
    half_at_25: Floats,
) -> dict[str, Floats]:
    """Return the answers to n recipes that own pellets change, and how far they were moved.

    `learned` and `answers` (by column of `nasicon_ml.columns.PREDICTION`) are the predictions without own pellets;
    `half_at_25` are half-widths of the intervals of conductivity at 25 °C in decades. The additional width at
    other temperatures comes from the activation energy, which own pellets do not narrow.
    """
    corrections = {name: known[name].correction(space, learned[name]) for name in ANSWERS[:2]}
    log_conductivity = _updated_interval(
        TargetName.CONDUCTIVITY, answers, corrections[TargetName.CONDUCTIVITY], half_at_25
    )
    density = _updated_interval(TargetName.RELATIVE_DENSITY, answers, corrections[TargetName.RELATIVE_DENSITY])
    purity = answers[Column.PREDICTED_PHASE_PURITY]
    updated_purity = known[TargetName.PHASE_PURITY].probability(space, purity)
    return {
        **{str(column): 10.0**log for column, log in zip(CONDUCTIVITY_INTERVAL, log_conductivity, strict=True)},
        Column.OWN_SHIFT_DECADES: log_conductivity[0] - np.log10(answers[Column.PREDICTED_CONDUCTIVITY_S_CM]),
        **dict(zip(map(str, DENSITY_INTERVAL), density, strict=True)),
        Column.OWN_SHIFT_POINTS: density[0] - answers[Column.PREDICTED_RELATIVE_DENSITY_PCT],
        Column.PREDICTED_PHASE_PURITY: updated_purity,
        Column.OWN_SHIFT_PURITY: updated_purity - purity,
    }


def _updated_interval(
    name: TargetName,
    answers: Mapping[Column, Floats],
    correction: ErrorCorrection,
    narrowable: Floats | None = None,
) -> tuple[Floats, Floats, Floats]:
    """Return value, lower and upper end on the reported scale; only `narrowable` of the half-width narrows."""
    target = TARGETS[name]
    centre, half = on_learned_scale(name, answers)
    part = half if narrowable is None else np.minimum(narrowable, half)
    half = np.sqrt(half**2 - part**2 + (part * correction.width_factor) ** 2)
    updated = centre + correction.shift
    low, high = target.inverse(updated - half), target.inverse(updated + half)
    return target.inverse(updated), np.minimum(low, high), np.maximum(low, high)
