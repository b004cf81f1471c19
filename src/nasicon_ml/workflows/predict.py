"""Predicts recipes with a bundle, and shows the answers as a table and in notebooks."""

from __future__ import annotations

import numbers
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from html import escape
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.arrays import Floats
from nasicon_ml.columns import (
    CONDUCTIVITY_INTERVAL,
    DENSITY_INTERVAL,
    MODEL_INPUT,
    PELLET,
    Column,
    Kind,
    is_missing,
)
from nasicon_ml.composition import occupancies
from nasicon_ml.data.files import shipped_folder
from nasicon_ml.data.own_pellets import own_pellets
from nasicon_ml.errors import BundleError, FieldError
from nasicon_ml.estimators.rule_scope import applicable_rules
from nasicon_ml.estimators.targets import TargetName, measurement_temperature
from nasicon_ml.estimators.uncertainty import NEAR_PELLETS
from nasicon_ml.features.distances import Neighbours, nearest_neighbours_among, recipe_space
from nasicon_ml.model import Answers, PropertyModel
from nasicon_ml.recipe.batch import AnyRecipes, as_recipe_table
from nasicon_ml.workflows.similar_pellets import SimilarPellets, find_similar_pellets

#: More rows than this are counted, not shown.
MOST_ROWS = 30
#: What is added, in the order of speech; with the formula, what a pellet is made of.
_ADDED = (Column.ADDITIVE_AMOUNT, Column.ADDITIVE_UNIT, Column.ADDITIVE)
_WHAT = (Column.FORMULA, *_ADDED)
_BAR, _PALE = "#0072B255", "#E69F0066"


def prediction_html(prediction: Prediction) -> str:
    """Return predictions as an HTML table; every text of the recipes is escaped.

    Behind conductivity and density lies their interval, on the range of the rows shown; behind the purity its
    probability.
    """
    shown = prediction.frame().head(MOST_ROWS)
    columns = [
        _recipes(shown),
        _intervals(shown, CONDUCTIVITY_INTERVAL, "{:.1e}", np.log10),
        _intervals(shown, DENSITY_INTERVAL, "{:.1f}", np.asarray),
        (_barred(f"{100 * pure:.0f} %", 0.0, 100 * pure, _PALE) for pure in shown[Column.PREDICTED_PHASE_PURITY]),
        (f"<td>{'inside' if inside else '<b>OUTSIDE</b>'}</td>" for inside in shown[Column.INSIDE_DOMAIN]),
    ]
    heads = [
        "recipe",
        f"{Column.PREDICTED_CONDUCTIVITY_S_CM.axis_label}, {100 * prediction.level:g} % interval",
        f"{Column.PREDICTED_RELATIVE_DENSITY_PCT.axis_label}, {100 * prediction.level:g} % interval",
        Column.PREDICTED_PHASE_PURITY.axis_label,
        "known domain",
    ]
    rows = "".join(f"<tr>{''.join(row)}</tr>" for row in zip(*columns, strict=True))
    left = len(prediction.recipes) - len(shown)
    more = f"<p>... and {left:,} more recipes</p>" if left else ""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}"


def _recipes(shown: pd.DataFrame) -> Iterator[str]:
    """Yield the formula of each recipe, and below all that is known of its making."""
    for row in shown.to_dict("records"):
        stated = [_stated(column, row.get(column.value)) for column in MODEL_INPUT if column not in _WHAT]
        if not is_missing(row[Column.ADDITIVE]):
            stated.insert(
                0, " ".join(["with", *filter(None, (_stated(column, row[column]) for column in _ADDED))])
            )
        making = escape(", ".join(part for part in stated if part))
        yield f'<td style="text-align:left"><b>{escape(str(row[Column.FORMULA]))}</b><br/>{making}</td>'


def _stated(column: Column, value: Any) -> str:
    if is_missing(value):
        return ""
    if column.kind is Kind.NUMBER:
        return f"{value:g} {column.unit}".rstrip()
    return f"{column.label}: {value}" if column.kind is Kind.FLAG else str(value).replace("_", " ")


def _intervals(
    shown: pd.DataFrame, columns: tuple[Column, Column, Column], form: str, scale: Callable[[Any], NDArray[Any]]
) -> Iterator[str]:
    """Yield a value with its interval (columns: value, lower, upper), which is also drawn behind it."""
    numbers = shown[list(columns)].to_numpy(dtype=np.float64)
    places = scale(numbers)
    first, last = np.nanmin(places), np.nanmax(places)
    shares = 100 * (places - first) / ((last - first) or 1.0)
    for (value, low, high), (_, start, end) in zip(numbers.tolist(), shares.tolist(), strict=True):
        words = f"{form.format(value)}<br/><small>{form.format(low)} to {form.format(high)}</small>"
        yield _barred(words, start, end, _BAR)


def _barred(words: str, start: float, end: float, colour: str) -> str:
    stops = f"transparent {start:.0f}%, {colour} {start:.0f}%, {colour} {end:.0f}%, transparent {end:.0f}%"
    return f'<td style="background:linear-gradient(90deg, {stops})">{words}</td>'


#: Name of the distance column that `Prediction.nearest` adds.
DISTANCE = "distance"
BUNDLE_VARIABLE = "NASICON_ML_MODEL"


@dataclass(frozen=True)
class Prediction:
    """Recipes with their answers.

    Attributes
    ----------
    recipes
        Columns `nasicon_ml.columns.MODEL_INPUT`, n rows.
    answers
        The answers as values.
    model
        Who answered.
    level
        Of the intervals.
    own
        Pellets of one's own that moved the answers.
    """

    recipes: pd.DataFrame
    answers: Answers
    model: PropertyModel
    level: float
    own: pd.DataFrame | None = None

    @cached_property
    def results(self) -> pd.DataFrame:
        """Columns `nasicon_ml.columns.PREDICTION`, n rows; with own pellets also those of role `Role.OWN`."""
        return self.answers.table()

    @cached_property
    def learned(self) -> dict[TargetName, Floats]:
        """The answers on the scale the model learns, without own pellets (`PropertyModel.learned`)."""
        return self.model.learned(self.recipes)

    def frame(self) -> pd.DataFrame:
        """Return recipes and results side by side."""
        return pd.concat([self.recipes, self.results], axis=1)

    def __repr__(self) -> str:
        """Return one line: how many recipes, by which model."""
        return (
            f"<Prediction of {len(self.recipes)} recipes, intervals of {100 * self.level:g} %, by {self.model!r}>"
        )

    def _repr_html_(self) -> str:
        """Return the table that a notebook shows."""
        return prediction_html(self)

    @cached_property
    def broken_rules(self) -> list[dict[str, str]]:
        """For each recipe what the literature states of recipes like it and the model breaks: rule -> statement.

        What comes closest to the recipe stands first. Models trained before 0.2 do not know which recipes a rule
        is about, and have none.
        """
        metadata = self.model.metadata
        if not metadata.broken_scopes:
            return [{} for _ in range(len(self.recipes))]
        sites = occupancies(self.recipes[Column.FORMULA].to_list())
        found = applicable_rules(metadata.broken_scopes, self.recipes, sites)
        return [{name: metadata.broken_statements.get(name, name) for name in names} for names in found]

    @cached_property
    def similar_pellets(self) -> list[dict[TargetName, SimilarPellets]]:
        """For each recipe what was measured on pellets of the same composition, made alike, by property."""
        at_c = measurement_temperature(self.recipes)
        return find_similar_pellets(self.recipes, self.model.pellets, at_c=at_c)

    @cached_property
    def measured(self) -> pd.DataFrame:
        """The pellets that may be neighbours: those of the model, and then one's own."""
        columns = [str(column) for column in (*PELLET, Column.SYSTEM)]
        pellets = self.model.pellets[columns]
        return pellets if self.own is None else pd.concat([pellets, self.own[columns]], ignore_index=True)

    @cached_property
    def neighbours(self) -> Neighbours:
        """The nearest of `measured` to each recipe: as many as were asked for, at least five."""
        return self._with_own(self.answers.nearest)

    def _with_own(self, found: Neighbours) -> Neighbours:
        """Return as many neighbours, own pellets among them where these are nearer."""
        if self.own is None:
            return found
        space, count = recipe_space(self.own), found.positions.shape[1]
        asked = ((np.arange(len(self.own)), min(count, len(self.own))),)
        own = nearest_neighbours_among(recipe_space(self.recipes), space, asked)[0]
        positions = np.hstack([own.positions + len(self.model.pellets), found.positions])
        distances = np.hstack([own.distances, found.distances])
        order = np.argsort(distances, axis=1, kind="stable")[:, :count]
        return Neighbours(np.take_along_axis(positions, order, 1), np.take_along_axis(distances, order, 1))

    def nearest(self, row: int, k: int = 3) -> pd.DataFrame:
        """Return the k measured pellets nearest to one recipe, nearest first; one's own are among them.

        Returns
        -------
        pandas.DataFrame
            Columns `nasicon_ml.columns.PELLET`, the system, and ``distance`` (0: same composition, made in
            the same, fully stated way).
        """
        one = replace(self, recipes=self.recipes.iloc[[row]])
        found = one._with_own(self.model.nearest(one.recipes, k))
        pellets = self.measured.iloc[found.positions[0]].reset_index(drop=True)
        return pellets.assign(**{DISTANCE: found.distances[0]})


def predict(
    recipes: AnyRecipes,
    model: PropertyModel | str | Path | None = None,
    *,
    level: float = 0.9,
    at_c: float | None = None,
    own: str | Path | pd.DataFrame | None = None,
    neighbours: int = NEAR_PELLETS,
) -> Prediction:
    """Predict conductivity, density and phase purity.

    Parameters
    ----------
    recipes
        A formula or the name of a system (``"LATP x=0.3"``), a `Recipe`, a dict of its fields, or several of
        these; a table with the column ``formula`` and any of the other columns of a recipe; or a file of recipes.
    model
        A model, a bundle folder, or None for the default model. A bundle is read once and kept while its files
        stay as they are.
    level
        Probability with which the intervals should hold the truth.
    at_c
        Temperature in °C at which the conductivity is wanted; overrides what the table says.
    own
        Measured pellets of one's own, a file or a table (`data.own_pellets.own_pellets`): they move answers and
        intervals without retraining, and the results say by how much. Nothing of them is kept.
    neighbours
        How many nearest measured pellets `Prediction.answers` holds.

    Raises
    ------
    FieldError
        If a recipe cannot be read, or level or temperature is out of range.
    BundleError
        If the model cannot be loaded, or cannot take own pellets.
    DatasetError
        If rows of the own pellets are bad.
    """
    given: object = level
    if isinstance(given, bool) or not isinstance(given, numbers.Real):
        raise FieldError("level", level, "a number between 0 and 1")
    table = as_recipe_table(recipes)
    if at_c is not None:
        table[Column.MEASUREMENT_TEMPERATURE_C] = Column.MEASUREMENT_TEMPERATURE_C.parse(at_c)
    if not isinstance(model, PropertyModel):
        model = loaded_model(default_bundle() if model is None else model)
    pellets = None if own is None else own_pellets(own)
    answers = model.answer(table, level=level, own=pellets, neighbours=neighbours)
    return Prediction(table, answers, model, level, pellets)


def loaded_model(folder: str | Path) -> PropertyModel:
    """Return the model of a bundle; read again only if a file of the bundle has changed since.

    Raises
    ------
    BundleError
        If the model cannot be loaded.
    """
    folder = Path(folder).absolute()
    try:
        states = [(path.name, path.stat()) for path in sorted(folder.iterdir())]
    except OSError:  # loading says in a sentence what is wrong with the folder
        return PropertyModel.load(folder)
    state = tuple((name, s.st_mtime_ns, s.st_ctime_ns, s.st_size, s.st_ino) for name, s in states)
    with _LOADING:  # threads that ask at once get the same model, which one of them reads
        return _load(folder, state)


_LOADING = Lock()


@lru_cache(maxsize=2)
def _load(folder: Path, state: tuple[object, ...]) -> PropertyModel:  # noqa: ARG001 -- of the key
    return PropertyModel.load(folder)


def default_bundle() -> Path:
    """Find the bundle of the committed default model.

    The folder named by the environment variable NASICON_ML_MODEL, if set; else ``models/champion`` as it
    comes along with the package.

    Raises
    ------
    BundleError
        If there is none.
    """
    named = os.environ.get(BUNDLE_VARIABLE)
    folder = Path(named) if named else shipped_folder("models", "champion")
    if not folder.is_dir():
        raise BundleError(
            f"there is no default model at {folder}: name one with --model, set {BUNDLE_VARIABLE}, or train one "
            "(nasicon-ml train --bundle FOLDER)"
        )
    return folder
