"""Log-odds of probabilities, and the most likely ones of groups whose outcomes are known (Laplace)."""

from __future__ import annotations

from typing import Any

import numpy as np

from nasicon_ml.arrays import Floats

#: Log-odds beyond this are as good as certain.
LARGEST_LOG_ODDS = 6.0
_NEWTON_STEPS = 25


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
