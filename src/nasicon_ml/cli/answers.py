"""One answer a recipe: everything the command line says about it, gathered once for text and JSON alike."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nasicon_ml.cli.own import OwnShift, own_shift
from nasicon_ml.cli.words import split
from nasicon_ml.columns import MODEL_INPUT, PELLET, RECIPE, ROOM_TEMPERATURE_C, Column, is_missing

if TYPE_CHECKING:
    import pandas as pd

    from nasicon_ml.cli.inputs import Inputs
    from nasicon_ml.composition import Composition
    from nasicon_ml.workflows.predict import Prediction

Cells = Mapping[str, Any]


@dataclass(frozen=True)
class Interval:
    """A predicted number with its interval; NaN where there is none."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Neighbour:
    """A measured pellet: its cells by column name (None where not reported), and how far it is."""

    cells: Cells
    distance: float


@dataclass(frozen=True)
class Answer:
    """What is known about one recipe.

    Attributes
    ----------
    number, line, pellet_id
        Where it stands in the input, and what the input calls it.
    recipe
        The fields that were given, by column name.
    not_given
        The fields of a recipe that were not.
    composition
        The formula as understood.
    temperature_c
        Of the conductivity.
    own
        How far own pellets moved it; None where none were given.
    """

    number: int
    line: int | None
    pellet_id: str | None
    recipe: Cells
    not_given: tuple[Column, ...]
    composition: Composition
    temperature_c: float
    conductivity_s_cm: Interval
    activation_energy_ev: float
    relative_density_pct: Interval
    phase_purity: float
    secondary_phases: tuple[str, ...]
    inside_domain: bool
    domain_score: float
    domain_notes: tuple[str, ...]
    neighbours: tuple[Neighbour, ...]
    own: OwnShift | None = None


def answers(inputs: Inputs, prediction: Prediction, neighbours: int) -> list[Answer]:
    """Gather the answers to all recipes, each with that many nearest measured pellets."""
    recipes = prediction.recipes[[str(column) for column in MODEL_INPUT]].to_dict("records")
    results = prediction.results.to_dict("records")
    near = _neighbours(prediction, neighbours)
    ids = inputs.pellet_ids or (None,) * len(inputs)
    places = zip(inputs.numbers, inputs.lines, ids, strict=True)
    return [
        _answer(place, _plain(recipe), _plain(result), pellets)
        for place, recipe, result, pellets in zip(places, recipes, results, near, strict=True)
    ]


def _answer(
    place: tuple[int, int | None, str | None], recipe: Cells, result: Cells, neighbours: tuple[Neighbour, ...]
) -> Answer:
    from nasicon_ml.composition import parse

    given = {column.value: recipe[column] for column in RECIPE if recipe[column] is not None}
    temperature = recipe[Column.MEASUREMENT_TEMPERATURE_C]
    additive = (Column.ADDITIVE, Column.ADDITIVE_AMOUNT, Column.ADDITIVE_UNIT)
    # Without an additive, its amount and unit are not missing: there is nothing to state.
    not_given = tuple(column for column in RECIPE if column.value not in given and column not in additive)
    if Column.ADDITIVE in given:
        not_given += tuple(column for column in additive if column.value not in given)
    return Answer(
        *place,
        recipe=given,
        not_given=not_given,
        composition=parse(recipe[Column.FORMULA]),
        temperature_c=ROOM_TEMPERATURE_C if temperature is None else temperature,
        conductivity_s_cm=_interval(
            result,
            Column.PREDICTED_CONDUCTIVITY_S_CM,
            Column.PREDICTED_CONDUCTIVITY_LOWER_S_CM,
            Column.PREDICTED_CONDUCTIVITY_UPPER_S_CM,
        ),
        activation_energy_ev=_number(result[Column.PREDICTED_ACTIVATION_ENERGY_EV]),
        relative_density_pct=_interval(
            result,
            Column.PREDICTED_RELATIVE_DENSITY_PCT,
            Column.PREDICTED_RELATIVE_DENSITY_LOWER_PCT,
            Column.PREDICTED_RELATIVE_DENSITY_UPPER_PCT,
        ),
        phase_purity=_number(result[Column.PREDICTED_PHASE_PURITY]),
        secondary_phases=split(result[Column.LIKELY_SECONDARY_PHASES]),
        inside_domain=bool(result[Column.INSIDE_DOMAIN]),
        domain_score=_number(result[Column.DOMAIN_SCORE]),
        domain_notes=split(result[Column.DOMAIN_NOTES]),
        neighbours=neighbours,
        own=own_shift(result),
    )


def _neighbours(prediction: Prediction, count: int) -> list[tuple[Neighbour, ...]]:
    """Look all recipes up at once: one call, not one a recipe."""
    if count == 0 or prediction.recipes.empty:
        return [()] * len(prediction.recipes)
    pellets = prediction.model.pellets
    found = prediction.model.nearest(prediction.recipes, min(count, len(pellets)))
    columns = [str(column) for column in (*PELLET, Column.SYSTEM)]
    # A pellet is often the neighbour of many recipes: each is turned into plain cells once.
    used = sorted({int(position) for position in found.positions.ravel()})
    shown = pellets[columns].iloc[used].assign(**{Column.DOI.value: _dois(pellets).iloc[used]})
    cells = dict(zip(used, map(_plain, shown.to_dict("records")), strict=True))
    return [
        tuple(Neighbour(cells[int(at)], float(far)) for at, far in zip(row, distance, strict=True))
        for row, distance in zip(found.positions, found.distances, strict=True)
    ]


def nearest_origins(prediction: Prediction) -> pd.Series[Any]:
    """Give the DOIs of the pellets that each result names as nearest, in their order, "; " between them.

    Where no DOI is known, the key of the source stands in its place. Length n, index of the results.
    """
    pellets = prediction.model.pellets
    by_id = _dois(pellets).fillna(pellets[Column.SOURCE]).set_axis(pellets[Column.PELLET_ID], axis=0)
    named = prediction.results[Column.NEAREST_PELLETS].str.split("; ").explode()
    return named.map(by_id).groupby(level=0, sort=False).agg("; ".join)


def _dois(pellets: pd.DataFrame) -> pd.Series[Any]:
    """Give each pellet a DOI: its own; else the one that its source is named by, or has at all other pellets."""
    source, doi = pellets[Column.SOURCE], pellets[Column.DOI]
    by_source = doi.groupby(source)
    only = by_source.transform("first").where(by_source.transform("nunique") == 1)
    return doi.fillna(source.where(source.str.startswith("10."))).fillna(only)


def _plain(record: Mapping[Any, Any]) -> dict[str, Any]:
    """Turn the cells of a row into Python's own values, None where missing."""
    return {
        str(name): None if is_missing(cell) else cell.item() if hasattr(cell, "item") else cell
        for name, cell in record.items()
    }


def _interval(result: Cells, value: Column, lower: Column, upper: Column) -> Interval:
    return Interval(_number(result[value]), _number(result[lower]), _number(result[upper]))


def _number(cell: float | None) -> float:
    return math.nan if cell is None else float(cell)
