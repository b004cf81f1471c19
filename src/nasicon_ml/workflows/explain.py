"""Why an answer is what it is, in the words of the recipe: how much each part of it moved the prediction."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.estimators.boosting import as_booster
from nasicon_ml.estimators.targets import ANSWERS, TARGETS, TargetName
from nasicon_ml.evaluation.importance import GROUPS, group_of
from nasicon_ml.features.build import build_features
from nasicon_ml.model import PropertyModel
from nasicon_ml.recipe import Recipe
from nasicon_ml.workflows.predict import predict

Floats = NDArray[np.float64]

#: Units of contributions, by target; of a probability, the scale that the model learns.
UNITS = {name: TARGETS[name].scale if TARGETS[name].is_probability else TARGETS[name].unit for name in ANSWERS}
#: A step on the learned scale that is small, and large enough to be told from rounding.
_STEP = 1e-6
#: No probability is nearer to 0 or 1 than this.
_LEAST = 1e-12
COLUMNS = ("row", "target", "group", "contribution", "unit", "learned", "base", "predicted")


def explain(
    recipes: Recipe | Iterable[Recipe] | pd.DataFrame, model: PropertyModel | str | Path | None = None
) -> pd.DataFrame:
    """Compute how much each part of a recipe moved its predictions away from the average of the training pellets.

    Parameters
    ----------
    recipes, model
        As in `nasicon_ml.workflows.predict.predict`.

    Returns
    -------
    pandas.DataFrame
        One row for each recipe, answer and part of the recipe, the strongest part of each answer first: row (of
        the recipes, from 0), target, group (`nasicon_ml.evaluation.importance`), contribution, unit, learned
        (the contribution on the scale that the model learned), base and predicted. In the unit of the
        contribution, base + the sum of contributions = predicted:

        - conductivity in decades, base and predicted as log10(S/cm) at 25 °C, whatever the temperature asked for;
        - relative density in points, base and predicted in %;
        - phase purity in log-odds of the calibrated probability.

    Raises
    ------
    FieldError, FormulaError, BundleError
        As `predict` does.

    Notes
    -----
    Exact Shapley values of the trees (Lundberg et al., 10.1038/s42256-019-0138-9), as XGBoost computes them, added
    up over the features of a group. A part of the recipe that is not stated contributes, too: the trees learned on
    which side pellets without it belong. Density is learned as the logarithm of the porosity, and a probability is
    calibrated afterwards; where the way from the sum to the report is not straight, every group gets the share of
    it that its contribution has of the sum (the value of Aumann and Shapley on the line from base to prediction).

    What a part contributes is what the model makes of it and no measured effect.
    """
    answered = predict(recipes, model)
    features = build_features(answered.recipes, answered.model.feature_set)
    names = [group_of(name) for name in features.names]
    groups = [group for group in GROUPS if group in names]
    member = np.array([[name == group for group in groups] for name in names], dtype=np.float64)
    frames = []
    for target in ANSWERS:
        contributions, base = tree_contributions(answered.model, target, features.values)
        grouped = contributions @ member
        frames.append(_frame(answered.model, target, groups, grouped, base))
    frame = pd.concat(frames, ignore_index=True)
    answer = np.repeat(np.arange(len(ANSWERS)), len(features.values) * len(groups))
    order = np.lexsort((-frame["contribution"].abs().to_numpy(), answer, frame["row"].to_numpy()))
    return frame.iloc[order].reset_index(drop=True)


def tree_contributions(model: PropertyModel, target: TargetName, X: Floats) -> tuple[Floats, float]:
    """Compute the contribution of every feature on the scale that the model learned.

    Parameters
    ----------
    model, target
        Whose trees.
    X
        Features, shape (n, n_features), NaN where not given.

    Returns
    -------
    contributions, base
        Shape (n, n_features), and what the model answers on average; their sum is the raw prediction. The trees'
        come on top of the prior's, which is exact: Shapley values are linear.
    """
    import xgboost as xgb

    if len(X) == 0:
        return np.zeros(X.shape), 0.0
    matrix = xgb.DMatrix(X, missing=np.nan, nthread=1)
    found = np.asarray(as_booster(model.boosters[target]).predict(matrix, pred_contribs=True), dtype=np.float64)
    contributions, base = found[:, :-1], float(found[0, -1])
    prior = model.priors.get(target)
    if prior is not None:
        expected, start = prior.contributions(X)
        contributions, base = contributions + expected, base + start
    return contributions, base


def _frame(
    model: PropertyModel, target: TargetName, groups: list[str], learned: Floats, base: float
) -> pd.DataFrame:
    """Bring contributions, shape (n, n_groups), from the learned scale to the one of reports, one row each."""
    total = base + learned.sum(axis=1)
    ends = _reported(model, target, np.concatenate([[base, base + _STEP], total]))
    start, end = float(ends[0]), ends[2:]
    slope = _secant((float(ends[1]) - start) / _STEP, end - start, total - base)
    count = len(groups)
    return pd.DataFrame(
        {
            "row": np.repeat(np.arange(len(learned)), count),
            "target": str(target),
            "group": np.tile(np.array(groups, dtype=object), len(learned)),
            "contribution": (learned * slope[:, None]).ravel(),
            "unit": UNITS[target],
            "learned": learned.ravel(),
            "base": start,
            "predicted": np.repeat(end, count),
        },
        columns=list(COLUMNS),
    )


def _reported(model: PropertyModel, target: TargetName, learned: Floats) -> Floats:
    """From the learned scale to that of `UNITS`; both of shape (n,)."""
    if target is TargetName.PHASE_PURITY:
        probability = np.clip(model.calibration.probability(learned), _LEAST, 1.0 - _LEAST)
        return np.asarray(np.log(probability) - np.log1p(-probability))
    return TARGETS[target].inverse(learned)


def _secant(tangent: float, rise: Floats, run: Floats) -> Floats:
    """Slope of the line from base to prediction; the tangent at the base where the two fall together."""
    flat = np.abs(run) < _STEP
    return np.asarray(np.where(flat, tangent, rise / np.where(flat, 1.0, run)))


def mean_strength(explained: pd.DataFrame) -> pd.DataFrame:
    """Average the size of contributions over recipes.

    Parameters
    ----------
    explained
        What `explain` gives.

    Returns
    -------
    pandas.DataFrame
        Columns target, group, strength (mean |contribution|) and unit, the strongest group of each target first.
    """
    sized = explained.assign(strength=explained["contribution"].abs())
    mean = sized.groupby(["target", "group", "unit"], sort=False)["strength"].mean().reset_index()
    place = mean["target"].map({str(name): place for place, name in enumerate(ANSWERS)})
    mean = mean.iloc[np.lexsort((-mean["strength"].to_numpy(), place.to_numpy()))]
    return mean[["target", "group", "strength", "unit"]].reset_index(drop=True)
