"""Differences between recipes and a reference recipe, with their intervals and probabilities."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from nasicon_ml.columns import ERROR_UNITS, Column
from nasicon_ml.errors import BundleError, FieldError
from nasicon_ml.estimators.joint import (
    Differences,
    RecipePoints,
    ReferenceCorrelation,
    differences_of_probabilities,
    differences_of_values,
)
from nasicon_ml.estimators.targets import ANSWERS, TARGETS, TargetName, on_learned_scale
from nasicon_ml.features.distances import recipe_space
from nasicon_ml.workflows.predict import Prediction

COLUMNS = ("row", "target", "difference", "lower", "upper", "unit", "better")


def differences(
    prediction: Prediction, reference: int = 0, names: Iterable[TargetName] = ANSWERS
) -> dict[TargetName, Differences]:
    """Compare all recipes of a prediction with one of them.

    Parameters
    ----------
    prediction
        Prediction of n recipes.
    reference
        Row of the recipe with which the others are compared, from 0.
    names
        The answers to compare.

    Returns
    -------
    dict
        For each answer the n differences to the reference. The entry of the reference itself is the difference
        between two pellets made from it.

    Raises
    ------
    FieldError
        If there is no such recipe.
    BundleError
        If the model lacks the covariance of errors on pellets of one source.
    """
    table, model, level = prediction.recipes, prediction.model, prediction.level
    if not 0 <= reference < len(table):
        raise FieldError("reference", reference, f"a recipe from 0 to {len(table) - 1}")
    if any(name not in model.own for name in ANSWERS):
        raise BundleError(
            "this model cannot compare recipes: the version that trained it did not estimate how errors on pellets"
            " of one source go together; train again with this one"
        )
    learned, space, known = prediction.learned, recipe_space(table), model.known(prediction.own)
    numbers = prediction.answers.numbers
    compared = {}
    for name in names:
        kernel, points = model.own[name], RecipePoints.from_learned(name, space, learned[name])
        correlation = ReferenceCorrelation.compute(
            name, kernel, points, points.take(np.array([reference])), known.get(name)
        )
        if TARGETS[name].is_probability:
            pure = numbers[Column.PREDICTED_PHASE_PURITY]
            compared[name] = differences_of_probabilities(correlation, pure, float(pure[reference]), level)
            continue
        centre, half = on_learned_scale(name, numbers)
        at = (centre, float(centre[reference])), (half, float(half[reference]))
        compared[name] = differences_of_values(name, kernel, correlation, *at, model.intervals[name].scores, level)
    return compared


def compare(prediction: Prediction, reference: int = 0) -> pd.DataFrame:
    """Compare all recipes of a prediction with one of them, as a table.

    Parameters
    ----------
    prediction, reference
        As for `differences`.

    Returns
    -------
    pandas.DataFrame
        A row for each recipe and answer: row, target, difference to the reference, lower and upper end of its
        interval, unit (decades, points, or probability), and better, the probability that the recipe is the better
        one.
    """
    frames = [
        pd.DataFrame(
            {
                "row": np.arange(len(prediction.recipes)), "target": str(name), "difference": each.value,
                "lower": each.lower, "upper": each.upper, "unit": ERROR_UNITS[TARGETS[name].column],
                "better": each.better,
            },
            columns=list(COLUMNS),
        )
        for name, each in differences(prediction, reference).items()
    ]  # fmt: skip
    return pd.concat(frames).sort_values("row", kind="stable", ignore_index=True)
