"""Conditions predictions on pellets of one's own: a Gaussian process on what the trees got wrong about them.

The errors of the trees on pellets of one source are alike, the more so the more alike the recipes are. Their
covariance, estimated in training from out-of-fold errors of the sources of the dataset, is

``level^2 + recipe^2 * matern(hypot(c / c0, f / f0)) * exp(-p / p0)``, and ``noise^2`` for a pellet with itself,

with the distances of `nasicon_ml.estimators.closeness` in composition c, processing p and prediction f, and the
Matern function of smoothness 3/2. A new pellet's error is predicted from those of the known ones (Gaussian
process regression: Rasmussen and Williams, 10.7551/mitpress/3206.001.0001); for the probability of purity the
same process stands on the log-odds (their Laplace approximation). Pellets of other sources say nothing here: the
trees know them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.estimators.closeness import Gaps

Floats = NDArray[np.float64]

#: Log-odds beyond this are as good as certain.
LARGEST_LOG_ODDS = 6.0
_NEWTON_STEPS = 25
_JITTER = 1e-6


@dataclass(frozen=True)
class OwnKernel:
    """How errors of one target on pellets of one source go together.

    Attributes
    ----------
    noise, level, recipe
        Standard deviations on the scale the model learns (log-odds for a probability): of a pellet alone, shared
        by all pellets of a source, and shared by those with like recipes.
    composition, processing, prediction
        Distances over which likeness is lost.
    trust
        How much of a predicted difference between two pellets of a source comes true.
    narrowing
        Power of the share of the spread that is left, by which intervals narrow: 0 not at all, 1 wholly.
    """

    noise: float
    level: float
    recipe: float
    composition: float
    processing: float
    prediction: float
    trust: float = 1.0
    narrowing: float = 1.0

    def covariance(self, gaps: Gaps) -> Floats:
        """Give the covariance of the errors that pellets share, same shape as the gaps; no noise."""
        far = np.sqrt(3.0) * np.hypot(gaps.composition / self.composition, gaps.prediction / self.prediction)
        alike = (1.0 + far) * np.exp(-far - gaps.processing / self.processing)
        return np.asarray(self.level**2 + self.recipe**2 * alike)

    @property
    def variance(self) -> float:
        """Variance that pellets can share."""
        return self.level**2 + self.recipe**2

    def to_json(self) -> dict[str, Any]:
        """Give the numbers as JSON knows them."""
        return asdict(self)


@dataclass(frozen=True)
class Conditioned:
    """What known pellets change about n predictions.

    Attributes
    ----------
    shift
        What to add on the scale the model learns, shape (n,).
    width
        What to multiply half-widths of intervals with, shape (n,), in (0, 1].
    """

    shift: Floats
    width: Floats


def condition(
    kernel: OwnKernel, among: Gaps, towards: Gaps, errors: Floats, ahead: Floats, extra: Floats | None = None
) -> Conditioned:
    """Predict the errors of n pellets from those of k known ones.

    Parameters
    ----------
    kernel
        Of the target.
    among, towards
        Distances among the known pellets, shape (k, k), and of the others to them, shape (n, k).
    errors
        Measured minus predicted of the known pellets, on the scale the model learns, shape (k,).
    ahead
        How much higher the prediction of each of the n pellets is than that of each known one, shape (n, k).
    extra
        Variance that the error of a known pellet has beyond its noise, shape (k,).
    """
    n, k = towards.composition.shape
    if k == 0:
        return Conditioned(np.zeros(n), np.ones(n))
    shares = kernel.covariance(towards)
    own = np.full(k, kernel.noise**2 + _JITTER) if extra is None else kernel.noise**2 + _JITTER + extra
    weights = np.linalg.solve(kernel.covariance(among) + np.diag(own), shares.T).T
    shift = weights @ errors + (kernel.trust - 1.0) * (weights * ahead).sum(axis=1)
    whole = kernel.variance + kernel.noise**2
    left = np.clip((whole - (weights * shares).sum(axis=1)) / whole, 1e-4, 1.0)
    return Conditioned(shift, left ** (kernel.narrowing / 2.0))


def condition_probability(
    kernel: OwnKernel, among: Gaps, towards: Gaps, outcome: Floats, known: Floats, asked: Floats
) -> Floats:
    """Bring n probabilities up to date with the outcomes of k pellets.

    Parameters
    ----------
    kernel
        Of the target.
    among, towards
        Distances among the known pellets, shape (k, k), and of the others to them, shape (n, k).
    outcome
        0 or 1 for each known pellet, shape (k,).
    known, asked
        Probabilities predicted without them, shapes (k,) and (n,).

    Returns
    -------
    ndarray
        Probabilities, shape (n,). Without known pellets, or far from them, they are those asked about.
    """
    if len(outcome) == 0:
        return asked
    # Averaging over the process draws a probability towards 1/2; the centre lies further out by as much, so that
    # a probability that nothing is known about stays what it is.
    centre = attenuation(kernel.variance) * bounded_log_odds(known)
    covariance = kernel.covariance(among) + _JITTER * np.eye(len(outcome))
    mode, _ = laplace_mode(covariance[None], centre[None], outcome[None])
    shares = kernel.covariance(towards)
    slope = _expit(mode[0])
    root = np.sqrt(slope * (1.0 - slope))
    inner = np.eye(len(outcome)) + root[:, None] * covariance * root[None, :]
    scaled = root[:, None] * shares.T
    left = kernel.variance - (scaled * np.linalg.solve(inner, scaled)).sum(axis=0)
    moved = shares @ (outcome - slope)
    prior = attenuation(kernel.variance) * bounded_log_odds(asked)
    probability = _expit((prior + moved) / attenuation(np.clip(left, 0.0, kernel.variance)))
    # Nearly certain probabilities were bounded; only what moved may differ from what was asked.
    unmoved = _expit(bounded_log_odds(asked))
    return np.clip(np.where(np.abs(moved) < 1e-12, asked, probability + (asked - unmoved)), 0.0, 1.0)


def attenuation(variance: Floats | float) -> Any:
    """Say by how much averaging over a normal spread draws log-odds towards 0 (MacKay's approximation)."""
    return np.sqrt(1.0 + np.pi * np.asarray(variance) / 8.0)


def bounded_log_odds(probability: Floats) -> Floats:
    """Give log-odds within `LARGEST_LOG_ODDS`; shape (n,)."""
    with np.errstate(divide="ignore"):
        log_odds = np.log(probability) - np.log1p(-probability)
    return np.clip(log_odds, -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS)


def laplace_mode(covariance: Floats, centre: Floats, outcome: Floats) -> tuple[Floats, Floats]:
    """Find the most likely log-odds of m groups of n pellets each, by Newton's method.

    Parameters
    ----------
    covariance
        Shape (m, n, n).
    centre, outcome
        Log-odds expected beforehand and what happened (0 or 1), shape (m, n).

    Returns
    -------
    mode
        Shape (m, n).
    evidence
        Logarithm of the marginal likelihood (Laplace), shape (m,).
    """
    unit = np.eye(covariance.shape[-1])
    weights = np.zeros_like(centre)  # mode = centre + covariance @ weights
    best = _posterior(covariance, centre, outcome, weights)
    for _ in range(_NEWTON_STEPS):
        mode = centre + np.einsum("mij,mj->mi", covariance, weights)
        slope = _expit(mode)
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
    slope = _expit(mode)
    root = np.sqrt(slope * (1.0 - slope))
    volume = np.linalg.slogdet(unit + root[:, :, None] * covariance * root[:, None, :])[1]
    return mode, best - volume / 2.0


def _posterior(covariance: Floats, centre: Floats, outcome: Floats, weights: Floats) -> Floats:
    """Logarithm of likelihood times prior, but for a constant; shape (m,)."""
    moved = np.einsum("mij,mj->mi", covariance, weights)
    mode = centre + moved
    likelihood = outcome * mode - np.logaddexp(0.0, mode)
    return np.asarray(likelihood.sum(axis=1) - (weights * moved).sum(axis=1) / 2.0)


def _expit(values: Floats) -> Floats:
    return np.asarray(0.5 * (1.0 + np.tanh(values / 2.0)))
