"""One recipe with one or two fields varied: the answers along them, the best, and what was measured there."""

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
from nasicon_ml.recipe.combinations import Varied, combinations
from nasicon_ml.recipe.rules import NO_FORMULA
from nasicon_ml.workflows.differences import differences
from nasicon_ml.workflows.measured_alike import pellets_like
from nasicon_ml.workflows.predict import Prediction, predict

#: By which column each answer is called best.
BEST_BY = {name: PREDICTED[name] for name in ANSWERS}
_MOST_VARIED = 2


@dataclass(frozen=True)
class Best:
    """The highest of n answers, and what that is worth.

    Attributes
    ----------
    row, lowest
        Where the highest and the lowest answer stand.
    differences
        Of all answers to the highest one.
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
        Of the n recipes.
    varied
        What takes several values.
    """

    prediction: Prediction
    varied: tuple[Varied, ...]

    def frame(self) -> pd.DataFrame:
        """Return recipes and answers side by side; what is varied and no column of a recipe (x, M) in front."""
        beside = {one.name: one.values for one in self.varied if one.column is None}
        return pd.concat([pd.DataFrame(beside), self.prediction.frame()], axis=1)

    @cached_property
    def best(self) -> Mapping[TargetName, Best]:
        """The best of each answer.

        Raises
        ------
        BundleError
            If the model does not know how errors on pellets of one source go together.
        """
        found = {}
        for name, column in BEST_BY.items():
            values = np.asarray(self.prediction.answers.numbers[column])
            row = int(values.argmax())
            found[name] = Best(row, int(values.argmin()), differences(self.prediction, row, (name,))[name])
        return found

    @cached_property
    def literature(self) -> pd.DataFrame:
        """What was measured on pellets of these compositions, made alike but for what is varied; see `points`."""
        return self.points(self.prediction.model.pellets)

    @cached_property
    def own(self) -> pd.DataFrame:
        """What was measured on one's own pellets of these compositions; see `points`."""
        own = self.prediction.own
        return self.points(own) if own is not None else self.literature.head(0)

    def points(self, pellets: pd.DataFrame) -> pd.DataFrame:
        """Return measured pellets as points beside the answers.

        Returns
        -------
        pandas.DataFrame
            As `nasicon_ml.workflows.measured_alike.pellets_like`, with pellet id and source, and a column for each
            varied field, by its name: what the pellet states, or of a composition what is nearest. Pellets that do
            not state a varied field, or lie beyond its values, are left out.
        """
        recipes = self.prediction.recipes
        given = recipes[Column.MEASUREMENT_TEMPERATURE_C].iloc[0]
        at_c = ROOM_TEMPERATURE_C if pd.isna(given) else float(given)
        but = {one.column for one in self.varied if one.column is not None}
        found = pellets_like(recipes, pellets, but=but, at_c=at_c)
        for name in (Column.PELLET_ID, Column.SOURCE):
            if name in pellets.columns:
                found[name.value] = pellets[name].to_numpy(dtype=object)[found["pellet"]]
        for one in self.varied:
            if one.column is None or one.column is Column.FORMULA:
                found[one.name] = np.array(one.values, dtype=object)[found["row"]]
                continue
            stated = pellets[one.column].to_numpy(dtype=object)[found["pellet"]]
            if one.is_number:
                numbers = stated.astype(np.float64)
                found[one.name] = numbers
                inside = (numbers >= min(one.values)) & (numbers <= max(one.values))
            else:
                found[one.name] = [None if pd.isna(value) else value for value in stated]
                known = {value for value in one.different if value is not None or one.column is Column.ADDITIVE}
                inside = found[one.name].isin(list(known)).to_numpy()
            found = found[inside].reset_index(drop=True)
        return found


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
        A formula or shorthand, which may have an x or a place holder (``Li1+xMxTi2-x(PO4)3``), a recipe, or its
        fields.
    model, level, at_c, own
        As for `nasicon_ml.workflows.predict.predict`.
    **fields
        Fields of the recipe by column name, ``x``, or place holders (``M``): one value each, and for one or two of
        them several in a list, range or array.

    Raises
    ------
    FieldError
        If a field is unknown, a value wrong, or not one or two of them have several values.
    FormulaError, BundleError, DatasetError
        As `predict` does.
    """
    if not isinstance(recipe, Mapping):
        recipe = recipe.to_dict() if isinstance(recipe, Recipe) else {Column.FORMULA.value: recipe}
    everything = {**recipe, **fields}
    if Column.FORMULA.value not in everything:
        raise NO_FORMULA.error(None)
    found = combinations(everything.pop(Column.FORMULA.value), everything)
    check_varied(found.varied)
    return Profile(predict(recipe_table(found.recipes), model, level=level, at_c=at_c, own=own), found.varied)


def check_varied(varied: tuple[Varied, ...]) -> None:
    """Refuse other than one or two varied fields.

    Raises
    ------
    FieldError
        With what to do.
    """
    allowed = "one or two fields with several values, such as sintering temperatures from 750 to 1050 °C"
    if not varied:
        raise FieldError("varied", "nothing", allowed)
    if len(varied) > _MOST_VARIED:
        names = ", ".join(one.label for one in varied)
        raise FieldError(
            "varied",
            names,
            allowed,
            "'nasicon-ml predict' takes more, and 'nasicon-ml screen' looks for the best.",
        )
