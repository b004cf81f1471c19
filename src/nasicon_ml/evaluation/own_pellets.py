"""Protocol P8: how good predictions are after some pellets of the same source are known.

A laboratory that asks has pellets of its own. For every source with at least four pellets, its pellets are drawn
in random orders; after k of them are known, the others are predicted. Predictions without them are out-of-fold,
and the covariance by which they are conditioned is fitted to sources of the other folds alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.columns import Column
from nasicon_ml.estimators.own_pellets import Errors, OwnKernel, draw_known_pellets, fit_own_kernel
from nasicon_ml.estimators.targets import ANSWERS, TARGETS, TargetName, measurement_temperature
from nasicon_ml.estimators.uncertainty import NEAR_ROOM_TEMPERATURE_C
from nasicon_ml.evaluation.cross_validation import grouped_splits
from nasicon_ml.evaluation.scores import auroc
from nasicon_ml.features.distances import recipe_space

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

#: Sources with fewer pellets of a target are not assessed.
LEAST_PELLETS = 4


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
    target = TARGETS[name]
    columns = ("measured", "predicted", "lower", "upper")
    measured, predicted, lower, upper = (frame[column].to_numpy(dtype=np.float64) for column in columns)
    half = np.full(len(frame), np.nan)
    if not target.is_probability:
        measured, predicted = target.forward(measured), target.forward(predicted)
        # An end may have been cut at what is possible; the other one then tells how far the interval reaches.
        ends = [np.abs(target.forward(end) - predicted) for end in (lower, upper)]
        half = np.maximum(*ends)
    sources = frame[Column.SOURCE].to_numpy(dtype=object)
    return Errors(name, measured, predicted, half, sources, recipe_space(recipes))


def own_kernels(out_of_fold: pd.DataFrame, pellets: pd.DataFrame, *, seed: int = 0) -> dict[TargetName, OwnKernel]:
    """Fit how errors on pellets of one source go together, for a model to keep; to the first repeat.

    Parameters
    ----------
    out_of_fold, pellets, seed
        As for `own_pellets_predictions`.

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


def near_room_temperature(name: TargetName, frame: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which rows count, shape (n,): conductivities of 15 to 40 °C, all rows of the other targets."""
    if name is not TargetName.CONDUCTIVITY:
        return np.ones(len(frame), dtype=bool)
    low, high = NEAR_ROOM_TEMPERATURE_C
    temperature = measurement_temperature(frame)
    return np.asarray((temperature >= low) & (temperature <= high))


def own_pellets_predictions(
    out_of_fold: pd.DataFrame,
    pellets: pd.DataFrame,
    *,
    ks: tuple[int, ...] = (0, 1, 2, 3),
    draws: int = 20,
    seed: int = 0,
) -> pd.DataFrame:
    """Predict the other pellets of every lithium source after k of its pellets are known.

    Parameters
    ----------
    out_of_fold
        As in `nasicon_ml.workflows.train.TrainingResult.out_of_fold`.
    pellets
        The pellets with their recipes (`TrainingResult.model.pellets`, or `load_pellets()`).
    ks
        Numbers of known pellets.
    draws
        Random orders of the pellets of each source.
    seed
        Of the orders.

    Returns
    -------
    pandas.DataFrame
        One row per target, repeat, draw, k and predicted pellet: measured, predicted, lower, upper (90 %) on the
        scale of reports, source, pellet, and weight: with it every pellet counts once for each k and repeat.

    Raises
    ------
    LeakageError
        Never, unless the folds are broken: the covariance must not come from the source it is used on.
    """
    found = []
    for (target, _), rows in out_of_fold.groupby(["target", "repeat"], sort=False):
        name = TargetName(str(target))
        if name not in ANSWERS:
            continue
        frame = rows[near_room_temperature(name, rows)].reset_index(drop=True)
        part = pd.concat(_conditioned(name, frame, pellets, ks, draws, seed), ignore_index=True)
        found.append(part.assign(target=str(name), repeat=frame["repeat"].iloc[0]))
    return pd.concat(found, ignore_index=True)


def _conditioned(
    name: TargetName, frame: pd.DataFrame, pellets: pd.DataFrame, ks: tuple[int, ...], draws: int, seed: int
) -> Iterator[pd.DataFrame]:
    errors = out_of_fold_errors(name, frame, pellets)
    lithium = frame[Column.SYSTEM].str.startswith("L").to_numpy(dtype=bool)
    for train, test in grouped_splits(errors.sources, frame["fold"].to_numpy()):
        kernel = fit_own_kernel(errors.take(train), seed=seed)
        asked_about = np.flatnonzero(test & lithium)
        groups = {source: asked_about[rows] for source, rows in errors.take(asked_about).groups().items()}
        last: dict[str, int] = {}
        for known, asked, weight in draw_known_pellets(groups, ks, LEAST_PELLETS, draws, seed):
            source = str(errors.sources[asked[0]])
            last[source] = last.get(source, -1) + 1
            answers = _answers(errors, kernel, known, asked)
            yield pd.DataFrame(
                {
                    "draw": last[source] // len(ks),
                    "k": len(known),
                    str(Column.SOURCE): source,
                    str(Column.PELLET_ID): frame[Column.PELLET_ID].to_numpy()[asked],
                    "measured": frame["measured"].to_numpy(dtype=np.float64)[asked],
                    **answers,
                    "weight": weight,
                }
            )


def _answers(errors: Errors, kernel: OwnKernel, known: Ints, asked: Ints) -> dict[str, Floats]:
    """Return predictions and 90 % intervals on the scale of reports."""
    if TARGETS[errors.name].is_probability:
        nothing = np.full(len(asked), np.nan)
        return {"predicted": errors.probability(kernel, known, asked), "lower": nothing, "upper": nothing}
    back = TARGETS[errors.name].inverse
    found = errors.conditioned(kernel, known, asked)
    centre, half = errors.predicted[asked] + found.shift, errors.half[asked] * found.width
    ends = back(centre - half), back(centre + half)
    return {"predicted": back(centre), "lower": np.minimum(*ends), "upper": np.maximum(*ends)}


def own_pellets_curve(
    out_of_fold: pd.DataFrame,
    pellets: pd.DataFrame,
    *,
    ks: tuple[int, ...] = (0, 1, 2, 3),
    draws: int = 20,
    seed: int = 0,
) -> pd.DataFrame:
    """Score protocol P8; parameters as in `own_pellets_predictions`.

    Returns
    -------
    pandas.DataFrame
        target, k, and means over repeats and draws: mae (decades, points) with every pellet counting once,
        mae_by_source with every source counting once, coverage_90 and width_90 (decades, points); brier and auroc
        instead for phase purity; n_rows and n_sources. NaN where a score does not apply.
    """
    return summarise_own_pellets(own_pellets_predictions(out_of_fold, pellets, ks=ks, draws=draws, seed=seed))


def summarise_own_pellets(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the scores of predictions from `own_pellets_predictions`, the table of `own_pellets_curve`."""
    table = []
    for (target, k), rows in predictions.groupby(["target", "k"], sort=False):
        is_probability = TARGETS[TargetName(str(target))].is_probability
        score = _probability_scores(rows) if is_probability else _value_scores(rows)
        counts = {"n_rows": rows[Column.PELLET_ID].nunique(), "n_sources": rows[Column.SOURCE].nunique()}
        table.append({"target": target, "k": k, **score, **counts})
    columns = ["target", "k", "mae", "mae_by_source", "coverage_90", "width_90", "brier", "auroc"]
    frame = pd.DataFrame(table, columns=[*columns, "n_rows", "n_sources"])
    order = {str(name): place for place, name in enumerate(ANSWERS)}
    frame = frame.sort_values(["target", "k"], key=lambda column: column.map(order).fillna(column))
    return frame.reset_index(drop=True)


def _value_scores(rows: pd.DataFrame) -> dict[str, float]:
    error = (rows["measured"] - rows["predicted"]).abs()
    inside = rows["measured"].between(rows["lower"], rows["upper"])
    return {
        "mae": float(np.average(error, weights=rows["weight"])),
        "mae_by_source": float(error.groupby(rows[Column.SOURCE]).mean().mean()),
        "coverage_90": float(np.average(inside, weights=rows["weight"])),
        "width_90": float(np.average(rows["upper"] - rows["lower"], weights=rows["weight"])),
    }


def _probability_scores(rows: pd.DataFrame) -> dict[str, float]:
    squared = (rows["measured"] - rows["predicted"]) ** 2
    each = [
        auroc(part["measured"].to_numpy(dtype=np.float64), part["predicted"].to_numpy(dtype=np.float64))
        for _, part in rows.groupby(["repeat", "draw"])
    ]
    return {"brier": float(np.average(squared, weights=rows["weight"])), "auroc": float(np.mean(each))}
