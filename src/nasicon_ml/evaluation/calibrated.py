"""Intervals and calibrated probabilities for out-of-fold predictions, each from the other folds alone.

The interval of a held-out row must not be made from its own error, or coverage would flatter itself: spread,
scores and calibration of each fold are fitted to the out-of-fold errors of all other folds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.estimators.calibration import fit_calibration
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.estimators.uncertainty import Circumstances, fit_intervals
from nasicon_ml.evaluation.crossval import OutOfFold

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Strings = NDArray[np.object_]


def held_out_intervals(
    name: TargetName,
    found: OutOfFold,
    sources: Strings,
    circumstances: Circumstances,
    *,
    level: float,
    energy_error_ev: float = 0.0,
) -> tuple[Floats, Floats]:
    """Give each row an interval fitted on the other folds; lower and upper of shape (n,)."""
    measured, reported = found.rows.y, found.full
    lower, upper = np.empty(len(measured)), np.empty(len(measured))
    for held_out in np.unique(found.fold):
        test = found.fold == held_out
        model = fit_intervals(
            name, measured[~test], reported[~test], sources[~test], circumstances.take(~test), energy_error_ev
        )
        lower[test], upper[test] = model.interval(reported[test], circumstances.take(test), level)
    return lower, upper


def held_out_probabilities(outcome: Floats, margin: Floats, fold: Ints) -> Floats:
    """Calibrate each row's log-odds by what the other folds say; shape (n,)."""
    probability = np.empty(len(outcome))
    for held_out in np.unique(fold):
        test = fold == held_out
        probability[test] = fit_calibration(margin[~test], outcome[~test]).probability(margin[test])
    return probability
