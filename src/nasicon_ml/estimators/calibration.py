"""Probabilities that mean what they say: Platt scaling of out-of-fold scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PlattCalibration:
    """Probability = 1 / (1 + exp(-(slope * margin + intercept))), the margin being the trees' log-odds.

    Two numbers are all that some hundred pellets support; a slope below 1 says that the trees were too sure
    of themselves, as they are on sources they have not seen (Platt scaling, doi.org/10.1145/1102351.1102430
    compares it with isotonic regression).
    """

    slope: float
    intercept: float

    def probability(self, margin: Floats) -> Floats:
        """Turn log-odds of shape (n,) into calibrated probabilities of shape (n,)."""
        from scipy.special import expit

        return np.asarray(expit(self.slope * margin + self.intercept))


def fit_platt(margin: Floats, outcome: Floats) -> PlattCalibration:
    """Fit the two numbers to out-of-fold margins and outcomes (0 or 1), both of shape (n,).

    The slope is never negative: a model that ranks worse than chance falls back to the base rate instead of
    being turned around.

    Raises
    ------
    ValueError
        If only one outcome occurs.
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    if outcome.min() == outcome.max():
        raise ValueError("calibration needs both outcomes among the rows")
    base = float(outcome.mean())

    def loss(parameters: Floats) -> tuple[float, Floats]:
        log_odds = parameters[0] * margin + parameters[1]
        value = float(np.mean(np.logaddexp(0.0, log_odds) - outcome * log_odds))
        excess = expit(log_odds) - outcome
        return value, np.array([np.mean(excess * margin), np.mean(excess)])

    start = np.array([0.5, np.log(base / (1.0 - base))])
    found = minimize(loss, start, jac=True, bounds=[(0.0, None), (None, None)], method="L-BFGS-B")
    return PlattCalibration(float(found.x[0]), float(found.x[1]))
