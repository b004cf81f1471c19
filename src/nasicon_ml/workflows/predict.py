"""Prediction of recipes with a bundle; answers as a table and as HTML in notebooks."""

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

#: Most rows of the HTML table; the number of further rows is stated below it.
MOST_ROWS = 30
#: Fields of the additive in the order in which they are read.
_ADDITIVE_FIELDS = (Column.ADDITIVE_AMOUNT, Column.ADDITIVE_UNIT, Column.ADDITIVE)
_INTERVAL_COLOUR, _PURITY_COLOUR = "#0072B255", "#E69F0066"


def prediction_html(prediction: Prediction) -> str:
    """Return predictions as an HTML table, with all texts of the recipes escaped.

    Bars behind conductivity and density show their intervals, scaled to the range of the rows shown; a bar behind
    the purity shows its probability.
    """
    shown = prediction.frame().head(MOST_ROWS)
    columns = [
        _recipe_cells(shown),
        _interval_cells(shown, CONDUCTIVITY_INTERVAL, "{:.1e}", np.log10),
        _interval_cells(shown, DENSITY_INTERVAL, "{:.1f}", np.asarray),
        (
            _bar_cell(f"{100 * purity:.0f} %", 0.0, 100 * purity, _PURITY_COLOUR)
            for purity in shown[Column.PREDICTED_PHASE_PURITY]
        ),
        (f"<td>{'inside' if inside else '<b>OUTSIDE</b>'}</td>" for inside in shown[Column.INSIDE_DOMAIN]),
    ]
    headings = [
        "recipe",
        f"{Column.PREDICTED_CONDUCTIVITY_S_CM.axis_label}, {100 * prediction.level:g} % interval",
        f"{Column.PREDICTED_RELATIVE_DENSITY_PCT.axis_label}, {100 * prediction.level:g} % interval",
        Column.PREDICTED_PHASE_PURITY.axis_label,
        "known domain",
    ]
    rows = "".join(f"<tr>{''.join(row)}</tr>" for row in zip(*columns, strict=True))
    hidden = len(prediction.recipes) - len(shown)
    more = f"<p>... and {hidden:,} more recipes</p>" if hidden else ""
    head = "".join(f"<th>{escape(text)}</th>" for text in headings)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}"


def _recipe_cells(shown: pd.DataFrame) -> Iterator[str]:
    """Yield a cell with the formula of each recipe and, below it, its other stated fields."""
    others = [column for column in MODEL_INPUT if column not in (Column.FORMULA, *_ADDITIVE_FIELDS)]
    for row in shown.to_dict("records"):
        texts = [_field_text(column, row.get(column.value)) for column in others]
        if not is_missing(row[Column.ADDITIVE]):
            additive = (_field_text(column, row[column]) for column in _ADDITIVE_FIELDS)
            texts.insert(0, " ".join(["with", *filter(None, additive)]))
        making = escape(", ".join(filter(None, texts)))
        yield f'<td style="text-align:left"><b>{escape(str(row[Column.FORMULA]))}</b><br/>{making}</td>'


def _field_text(column: Column, value: Any) -> str:
    if is_missing(value):
        return ""
    if column.kind is Kind.NUMBER:
        return f"{value:g} {column.unit}".rstrip()
    return f"{column.label}: {value}" if column.kind is Kind.FLAG else str(value).replace("_", " ")


def _interval_cells(
    shown: pd.DataFrame, columns: tuple[Column, Column, Column], form: str, scale: Callable[[Any], NDArray[Any]]
) -> Iterator[str]:
    """Yield cells with a value and its interval (columns: value, lower, upper), with a bar for the interval."""
    values = shown[list(columns)].to_numpy(dtype=np.float64)
    scaled = scale(values)
    first, last = np.nanmin(scaled), np.nanmax(scaled)
    percents = 100 * (scaled - first) / ((last - first) or 1.0)
    for (value, low, high), (_, start, end) in zip(values.tolist(), percents.tolist(), strict=True):
        text = f"{form.format(value)}<br/><small>{form.format(low)} to {form.format(high)}</small>"
        yield _bar_cell(text, start, end, _INTERVAL_COLOUR)


def _bar_cell(text: str, start: float, end: float, colour: str) -> str:
    """Return a cell with a bar from `start` to `end` per cent of its width behind the text."""
    stops = f"transparent {start:.0f}%, {colour} {start:.0f}%, {colour} {end:.0f}%, transparent {end:.0f}%"
    return f'<td style="background:linear-gradient(90deg, {stops})">{text}</td>'


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
        The model that answered.
    level
        Level of the intervals.
    own
        Own pellets on which the answers are conditioned; None without any.
    """

    recipes: pd.DataFrame
    answers: Answers
    model: PropertyModel
    level: float
    own: pd.DataFrame | None = None

    @cached_property
    def results(self) -> pd.DataFrame:
        """The answers as columns `nasicon_ml.columns.PREDICTION`; with own pellets also those of `Role.OWN`."""
        return self.answers.table()

    @cached_property
    def learned(self) -> dict[TargetName, Floats]:
        """The answers on the scale the model learns, without own pellets (`PropertyModel.learned`)."""
        return self.model.learned(self.recipes)

    def frame(self) -> pd.DataFrame:
        """Return recipes and results side by side."""
        return pd.concat([self.recipes, self.results], axis=1)

    def __repr__(self) -> str:
        """Return the number of recipes, the level and the model in one line."""
        return (
            f"<Prediction of {len(self.recipes)} recipes, intervals of {100 * self.level:g} %, by {self.model!r}>"
        )

    def _repr_html_(self) -> str:
        """Return the table that a notebook shows."""
        return prediction_html(self)

    @cached_property
    def broken_rules(self) -> list[dict[str, str]]:
        """For each recipe the rules of the literature about similar recipes that the model violates.

        Each maps name to statement, with the rule closest to the recipe first. Models trained before 0.2 do not
        store which recipes a rule is about, so the result is empty for them.
        """
        metadata = self.model.metadata
        if not metadata.broken_scopes:
            return [{} for _ in range(len(self.recipes))]
        sites = occupancies(self.recipes[Column.FORMULA].to_list())
        rules = applicable_rules(metadata.broken_scopes, self.recipes, sites)
        return [{name: metadata.broken_statements.get(name, name) for name in names} for names in rules]

    @cached_property
    def similar_pellets(self) -> list[dict[TargetName, SimilarPellets]]:
        """For each recipe the measurements on pellets of the same composition made alike, by property."""
        at_c = measurement_temperature(self.recipes)
        return find_similar_pellets(self.recipes, self.model.pellets, at_c=at_c)

    @cached_property
    def measured(self) -> pd.DataFrame:
        """The pellets that may be neighbours: first those of the model, then own pellets."""
        columns = [str(column) for column in (*PELLET, Column.SYSTEM)]
        pellets = self.model.pellets[columns]
        return pellets if self.own is None else pd.concat([pellets, self.own[columns]], ignore_index=True)

    @cached_property
    def neighbours(self) -> Neighbours:
        """The nearest of `measured` to each recipe: the requested number, at least five."""
        return self._merge_own(self.answers.nearest)

    def _merge_own(self, neighbours: Neighbours) -> Neighbours:
        """Return the same number of neighbours, with own pellets where these are nearer."""
        if self.own is None:
            return neighbours
        count = neighbours.positions.shape[1]
        groups = ((np.arange(len(self.own)), min(count, len(self.own))),)
        own = nearest_neighbours_among(recipe_space(self.recipes), recipe_space(self.own), groups)[0]
        positions = np.hstack([own.positions + len(self.model.pellets), neighbours.positions])
        distances = np.hstack([own.distances, neighbours.distances])
        order = np.argsort(distances, axis=1, kind="stable")[:, :count]
        return Neighbours(np.take_along_axis(positions, order, 1), np.take_along_axis(distances, order, 1))

    def nearest(self, row: int, k: int = 3) -> pd.DataFrame:
        """Return the k measured pellets nearest to one recipe, own pellets included, nearest first.

        Returns
        -------
        pandas.DataFrame
            Columns `nasicon_ml.columns.PELLET`, the system, and ``distance`` (0: same composition and the same,
            fully stated processing).
        """
        one = replace(self, recipes=self.recipes.iloc[[row]])
        neighbours = one._merge_own(self.model.nearest(one.recipes, k))
        pellets = self.measured.iloc[neighbours.positions[0]].reset_index(drop=True)
        return pellets.assign(**{DISTANCE: neighbours.distances[0]})


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
        A model, a bundle folder, or None for the default model. A bundle is read once and cached until its files
        change.
    level
        Probability that the intervals contain the true value.
    at_c
        Temperature of the conductivity in °C; overrides the temperature in the table.
    own
        Own measured pellets, a file or a table (`data.own_pellets.own_pellets`). They shift answers and intervals
        without retraining, and the results contain the shifts. The pellets are not stored.
    neighbours
        Number of nearest measured pellets in `Prediction.answers`.

    Raises
    ------
    FieldError
        If a recipe cannot be read, or level or temperature is out of range.
    BundleError
        If the model cannot be loaded, or does not support own pellets.
    DatasetError
        If rows of the own pellets are invalid.
    """
    untyped_level: object = level
    if isinstance(untyped_level, bool) or not isinstance(untyped_level, numbers.Real):
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
    """Return the model of a bundle; a cached one unless a file of the bundle has changed.

    Raises
    ------
    BundleError
        If the model cannot be loaded.
    """
    folder = Path(folder).absolute()
    try:
        states = [(path.name, path.stat()) for path in sorted(folder.iterdir())]
    except OSError:  # `load` raises an error that describes what is wrong with the folder
        return PropertyModel.load(folder)
    state = tuple((name, s.st_mtime_ns, s.st_ctime_ns, s.st_size, s.st_ino) for name, s in states)
    with _CACHE_LOCK:  # concurrent threads share one model instead of each loading its own
        return _load_cached(folder, state)


_CACHE_LOCK = Lock()


@lru_cache(maxsize=2)
def _load_cached(folder: Path, state: tuple[object, ...]) -> PropertyModel:  # noqa: ARG001 -- part of the cache key
    return PropertyModel.load(folder)


def default_bundle() -> Path:
    """Return the folder of the default model.

    This is the folder in the environment variable NASICON_ML_MODEL if it is set, otherwise ``models/champion`` as
    shipped with the package.

    Raises
    ------
    BundleError
        If the folder does not exist.
    """
    named = os.environ.get(BUNDLE_VARIABLE)
    folder = Path(named) if named else shipped_folder("models", "champion")
    if not folder.is_dir():
        raise BundleError(
            f"there is no default model at {folder}: name one with --model, set {BUNDLE_VARIABLE}, or train one "
            "(nasicon-ml train --bundle FOLDER)"
        )
    return folder
