"""Probabilities that mean what they say: beta calibration of out-of-fold scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Trust in the trees of this package: they learn with a level for every source (`mixed_effects`), so that their
#: log-odds already are those of a new one. Without trust, calibration on two hundred works gave worse
#: probabilities (docs/uncertainty.md).
OWN_TRUST = 2.0
_UNCHANGED = np.array([1.0, 1.0, 0.0])


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
        """Give a plain dictionary."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BetaCalibration:
        """Read what `to_json` gave, or Platt's slope and intercept of a bundle of version 0.1."""
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
    inputs = _inputs(margin)

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


def _inputs(margin: Floats) -> Floats:
    """Give log p, -log(1 - p) and 1 for log-odds of shape (n,); shape (n, 3)."""
    return np.column_stack([-np.logaddexp(0.0, -margin), np.logaddexp(0.0, margin), np.ones(len(margin))])
