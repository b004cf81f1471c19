"""How the errors on pellets of one source go together, fitted to out-of-fold predictions, for a model to keep."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nasicon_ml.arrays import Mask
from nasicon_ml.columns import Column
from nasicon_ml.estimators.own_pellets import Errors, OwnKernel, fit_own_kernel
from nasicon_ml.estimators.targets import (
    ANSWERS,
    TARGETS,
    TargetName,
    learned_interval,
    measurement_temperature,
)
from nasicon_ml.estimators.uncertainty import is_near_room_temperature
from nasicon_ml.features.distances import recipe_space


def out_of_fold_errors(name: TargetName, frame: pd.DataFrame, pellets: pd.DataFrame) -> Errors:
    """Prepare out-of-fold predictions of one target and one repeat for conditioning.

    Parameters
    ----------
    name
        Which target.
    frame
        Rows as in `nasicon_ml.workflows.train.TrainingResult.out_of_fold`, all of one target and one repeat.
    pellets
        The pellets with their recipes, at least all that `frame` names.

    Returns
    -------
    Errors
        Same rows in the same order.
    """
    recipes = pellets.set_index(Column.PELLET_ID).loc[frame[Column.PELLET_ID]].reset_index()
    columns = ("measured", "predicted", "lower", "upper")
    measured, *reported = (frame[column].to_numpy(dtype=np.float64) for column in columns)
    predicted, half = reported[0], np.full(len(frame), np.nan)
    if not TARGETS[name].is_probability:
        measured = TARGETS[name].forward(measured)
        predicted, half = learned_interval(name, reported)
    sources = frame[Column.SOURCE].to_numpy(dtype=object)
    return Errors(name, measured, predicted, half, sources, recipe_space(recipes))


def own_kernels(out_of_fold: pd.DataFrame, pellets: pd.DataFrame, *, seed: int = 0) -> dict[TargetName, OwnKernel]:
    """Fit how errors on pellets of one source go together, for a model to keep; to the first repeat.

    Parameters
    ----------
    out_of_fold
        As in `nasicon_ml.workflows.train.TrainingResult.out_of_fold`.
    pellets
        The pellets with their recipes.
    seed
        Of the fit.

    Raises
    ------
    ValueError
        If an answer has no out-of-fold predictions.
    """
    kernels = {}
    for name in ANSWERS:
        rows = out_of_fold[out_of_fold["target"] == str(name)]
        if rows.empty:
            raise ValueError(f"{name}: no out-of-fold prediction of it to learn from")
        rows = rows[rows["repeat"] == rows["repeat"].min()]
        frame = rows[near_room_temperature(name, rows)].reset_index(drop=True)
        kernels[name] = fit_own_kernel(out_of_fold_errors(name, frame, pellets), seed=seed)
    return kernels


def near_room_temperature(name: TargetName, frame: pd.DataFrame) -> Mask:
    """Return which rows count, shape (n,): conductivities of 15 to 40 °C, all rows of the other targets."""
    if name is not TargetName.CONDUCTIVITY:
        return np.ones(len(frame), dtype=bool)
    return is_near_room_temperature(measurement_temperature(frame))
