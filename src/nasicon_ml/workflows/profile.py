"""Profiles: predictions for one recipe with one or two fields varied, the best of them, and measured pellets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nasicon_ml.arrays import Mask
from nasicon_ml.columns import ROOM_TEMPERATURE_C, Column
from nasicon_ml.errors import FieldError
from nasicon_ml.estimators.joint import Differences
from nasicon_ml.estimators.targets import ANSWERS, PREDICTED, TargetName
from nasicon_ml.model import PropertyModel
from nasicon_ml.recipe import Recipe, recipe_table
from nasicon_ml.recipe.combinations import VariedField, combinations
from nasicon_ml.recipe.rules import MISSING_FORMULA
from nasicon_ml.workflows.differences import differences
from nasicon_ml.workflows.predict import Prediction, predict
from nasicon_ml.workflows.similar_pellets import find_profile_pellets

_MOST_VARIED = 2


@dataclass(frozen=True)
class Best:
    """The highest of n answers and its differences to the others.

    Attributes
    ----------
    row, lowest
        Rows of the highest and of the lowest answer.
    differences
        Differences of all answers to the highest one.
    """

    row: int
    lowest: int
    differences: Differences

    @property
    def is_told_apart(self) -> Mask:
        """Which answers are lower than the highest beyond the interval of their difference; shape (n,)."""
        return np.asarray(self.differences.upper < 0)


@dataclass(frozen=True)
class Profile:
    """The answers to one recipe with some fields varied.

    Attributes
    ----------
    prediction
        Prediction of the n recipes.
    varied
        The varied fields and their values.
    """

    prediction: Prediction
    varied: tuple[VariedField, ...]

    def frame(self) -> pd.DataFrame:
        """Return recipes and answers side by side, after varied quantities that are no recipe column (x, M)."""
        extra = {one.name: one.values for one in self.varied if one.column is None}
        return pd.concat([pd.DataFrame(extra), self.prediction.frame()], axis=1)

    @cached_property
    def best(self) -> Mapping[TargetName, Best]:
        """The best of each answer.

        Raises
        ------
        BundleError
            If the model lacks the covariance of errors on pellets of one source.
        """
        best = {}
        for name in ANSWERS:
            values = np.asarray(self.prediction.answers.numbers[PREDICTED[name]])
            row = int(values.argmax())
            best[name] = Best(row, int(values.argmin()), differences(self.prediction, row, (name,))[name])
        return best

    @cached_property
    def literature(self) -> pd.DataFrame:
        """Measurements on pellets of these compositions, made alike except for the varied fields; see `points`."""
        return self.points(self.prediction.model.pellets)

    @cached_property
    def own(self) -> pd.DataFrame:
        """Measurements on own pellets of these compositions; see `points`."""
        own = self.prediction.own
        return self.points(own) if own is not None else self.literature.head(0)

    def points(self, pellets: pd.DataFrame) -> pd.DataFrame:
        """Return measured pellets as points to compare with the answers.

        Returns
        -------
        pandas.DataFrame
            As from `nasicon_ml.workflows.similar_pellets.find_profile_pellets`, with pellet id and source, and a
            column for each varied field: the value that the pellet states, or the nearest value for a composition.
            Pellets that do not state a varied field, or lie outside its values, are left out.
        """
        recipes = self.prediction.recipes
        given = recipes[Column.MEASUREMENT_TEMPERATURE_C].iloc[0]
        at_c = ROOM_TEMPERATURE_C if pd.isna(given) else float(given)
        varied_fields = {one.column for one in self.varied if one.column is not None}
        points = find_profile_pellets(recipes, pellets, varied_fields=varied_fields, at_c=at_c)
        for column in (Column.PELLET_ID, Column.SOURCE):
            if column in pellets.columns:
                points[column.value] = pellets[column].to_numpy(dtype=object)[points["pellet"]]
        for one in self.varied:
            if one.column is None or one.column is Column.FORMULA:
                points[one.name] = np.array(one.values, dtype=object)[points["row"]]
                continue
            stated = pellets[one.column].to_numpy(dtype=object)[points["pellet"]]
            if one.is_number:
                numbers = stated.astype(np.float64)
                points[one.name] = numbers
                inside = (numbers >= min(one.values)) & (numbers <= max(one.values))
            else:
                points[one.name] = [None if pd.isna(value) else value for value in stated]
                values = {
                    value for value in one.unique_values if value is not None or one.column is Column.ADDITIVE
                }
                inside = points[one.name].isin(list(values)).to_numpy()
            points = points[inside].reset_index(drop=True)
        return points


def profile(
    recipe: str | Recipe | Mapping[str, Any],
    model: PropertyModel | str | Path | None = None,
    *,
    level: float = 0.9,
    at_c: float | None = None,
    own: str | Path | pd.DataFrame | None = None,
    **fields: Any,
) -> Profile:
    """Predict one recipe with one or two fields varied.

    Parameters
    ----------
    recipe
        A formula or shorthand, which may contain x or a placeholder (``Li1+xMxTi2-x(PO4)3``), a recipe, or a
        mapping of its fields.
    model, level, at_c, own
        As for `nasicon_ml.workflows.predict.predict`.
    **fields
        Fields of the recipe by column name, ``x``, or placeholders (``M``): a single value each, except for one or
        two that take several values in a list, range or array.

    Raises
    ------
    FieldError
        If a field is unknown, a value is wrong, or the number of fields with several values is not one or two.
    FormulaError, BundleError, DatasetError
        As `predict` does.
    """
    if not isinstance(recipe, Mapping):
        recipe = recipe.to_dict() if isinstance(recipe, Recipe) else {Column.FORMULA.value: recipe}
    all_fields = {**recipe, **fields}
    if Column.FORMULA.value not in all_fields:
        raise MISSING_FORMULA.error(None)
    combined = combinations(all_fields.pop(Column.FORMULA.value), all_fields)
    check_varied(combined.varied)
    prediction = predict(recipe_table(combined.recipes), model, level=level, at_c=at_c, own=own)
    return Profile(prediction, combined.varied)


def check_varied(varied: tuple[VariedField, ...]) -> None:
    """Raise FieldError unless one or two fields are varied."""
    allowed = "one or two fields with several values, such as sintering temperatures from 750 to 1050 °C"
    if not varied:
        hint = "Every field has one value here; several are a list, as 850,900,950, or a range, as 750:1050:25."
        raise FieldError("varied", "nothing", allowed, hint)
    if len(varied) > _MOST_VARIED:
        names = ", ".join(one.label for one in varied)
        hint = "'nasicon-ml predict' takes more, and 'nasicon-ml screen' looks for the best."
        raise FieldError("varied", names, allowed, hint)
