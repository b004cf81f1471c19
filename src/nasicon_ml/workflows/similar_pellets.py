"""Measurements on pellets of the same composition that were made alike, to compare with an answer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.arrays import Floats, Ints, Mask
from nasicon_ml.columns import Column
from nasicon_ml.composition import OccupancyTable, occupancies
from nasicon_ml.estimators.targets import (
    ANSWERS,
    TARGETS,
    TargetName,
    measured,
    measurement_temperature,
    shift_log10_conductivity,
)
from nasicon_ml.features.distances import site_amounts

#: Amounts per formula unit that differ by no more than this are regarded as the same composition.
SAME_AMOUNT = 0.05
#: Largest difference in °C of sintering temperatures that count as alike.
ALIKE_C = 50.0
#: Conductivities measured within this many °C of the requested temperature are used unchanged; others are
#: converted with the activation energy of the same pellet, or left out if it is unknown.
AS_MEASURED_C = 5.0
#: If at least this many pellets agree with a recipe at one level of similarity, less similar pellets are ignored.
ENOUGH_PELLETS = 5
#: Levels of similarity from the closest to the loosest: name, and the fields that must agree if the recipe states
#: them.
_TECHNIQUE = (Column.DENSIFICATION, Column.SINTERING_TEMPERATURE_C, Column.ADDITIVE)
LEVELS: Mapping[str, tuple[Column, ...]] = {
    "made alike": (*_TECHNIQUE, Column.SYNTHESIS_ROUTE),
    "sintered alike": _TECHNIQUE,
    "made in any way": (Column.ADDITIVE,),
    "with or without additives": (),
}


@dataclass(frozen=True)
class SimilarPellets:
    """Measured values of one property of pellets like a recipe.

    Attributes
    ----------
    made
        How similarly they were made: a key of `LEVELS`.
    pellets, papers
        Numbers of pellets and of sources.
    lowest, middle, highest
        On the scale of answers: S/cm at the requested temperature, %, or 0 and 1. The middle is the median; for
        phase purity it is the share of pure pellets.
    carried
        Number of conductivities measured at another temperature and converted to this one with the activation
        energy of the same pellet.
    """

    made: str
    pellets: int
    papers: int
    lowest: float
    middle: float
    highest: float
    carried: int = 0


def find_similar_pellets(
    recipes: pd.DataFrame, pellets: pd.DataFrame, *, at_c: Floats
) -> list[dict[TargetName, SimilarPellets]]:
    """Find the measurements on pellets similar to each recipe.

    Parameters
    ----------
    recipes
        Columns `nasicon_ml.columns.RECIPE`, n rows.
    pellets
        Measured pellets with the columns of `PropertyModel.pellets`.
    at_c
        Temperature of the conductivity of each recipe in °C, shape (n,).

    Returns
    -------
    list of dict
        For each recipe, property -> measurements at the closest level at which any pellet reports the property. A
        property that no pellet of the composition reports is absent.
    """
    sites, pellet_sites = (occupancies(table[Column.FORMULA].to_list()) for table in (recipes, pellets))
    rows_by_composition = [
        np.flatnonzero(_same_composition(sites, position, pellet_sites)) for position in range(len(sites.systems))
    ]
    sources = pellets[Column.SOURCE].to_numpy(dtype=object).astype(str)
    measurements = _Measurements.of(pellets)
    recipe_cells = {field: recipes[field].to_numpy() for field in LEVELS["made alike"]}
    pellet_cells = {field: pellets[field].to_numpy() for field in recipe_cells}
    similar = []
    for row, composition in enumerate(sites.index):
        rows = rows_by_composition[composition]
        levels = {made: fields for made, fields in LEVELS.items() if _states_making(fields, recipe_cells, row)}
        agrees = {
            field: _agrees(field, recipe_cells[field][row], pellet_cells[field][rows]) for field in recipe_cells
        }
        values = measurements.at(rows, at_c[row])
        by_property = {}
        for name in ANSWERS:
            is_known = np.isfinite(values[name])
            for made, fields in levels.items():
                chosen = np.logical_and.reduce([is_known, *(agrees[field] for field in fields)])
                if chosen.any():
                    far = measurements.is_far(rows[chosen], at_c[row])
                    carried = int(far.sum()) if name is TargetName.CONDUCTIVITY else 0
                    by_property[name] = _summary(name, made, values[name][chosen], sources[rows][chosen], carried)
                    break
        similar.append(by_property)
    return similar


@dataclass(frozen=True)
class _Measurements:
    """Values of n pellets by property (bounds left out), with measurement temperatures and activation energies."""

    values: Mapping[TargetName, Floats]
    measured_c: Floats
    energy_ev: Floats

    @classmethod
    def of(cls, pellets: pd.DataFrame) -> _Measurements:
        values = {name: measured(pellets, name) for name in ANSWERS}
        for name, bound in (
            (TargetName.CONDUCTIVITY, Column.CONDUCTIVITY_BOUND),
            (TargetName.RELATIVE_DENSITY, Column.DENSITY_BOUND),
        ):
            values[name] = np.where(pellets[bound].isna(), values[name], np.nan)
        energy = pellets[Column.ACTIVATION_ENERGY_EV].to_numpy(dtype=np.float64)
        return cls(values, measurement_temperature(pellets), energy)

    def is_far(self, rows: Ints, at_c: float) -> Mask:
        """Return the mask of the rows whose conductivity was measured at another temperature."""
        return np.asarray(np.abs(self.measured_c[rows] - at_c) > AS_MEASURED_C)

    def at(self, rows: Ints, at_c: float) -> dict[TargetName, Floats]:
        """Return the values of the given rows, conductivity as log10(S/cm) at `at_c`; NaN where unknown."""
        values = {name: self.values[name][rows] for name in ANSWERS}
        log10 = values[TargetName.CONDUCTIVITY]
        converted = shift_log10_conductivity(log10, self.energy_ev[rows], self.measured_c[rows], at_c)
        values[TargetName.CONDUCTIVITY] = np.where(self.is_far(rows, at_c), converted, log10)
        return values


def find_profile_pellets(
    recipes: pd.DataFrame, pellets: pd.DataFrame, *, varied_fields: Collection[Column], at_c: float
) -> pd.DataFrame:
    """Find the measured pellets with the composition of one of the recipes, made alike except for varied fields.

    Parameters
    ----------
    recipes
        Columns `nasicon_ml.columns.RECIPE`, n rows, which differ only in composition and `varied_fields`.
    pellets
        Measured pellets.
    varied_fields
        Fields in which the pellets may differ from the recipes.
    at_c
        Temperature of the conductivity in °C.

    Returns
    -------
    pandas.DataFrame
        A row for each property and pellet: target; pellet (position in `pellets`); row (position of the recipe
        with the nearest composition); value, on the scale of answers; and made, a key of `LEVELS`: the closest
        level with at least `ENOUGH_PELLETS` pellets, otherwise the loosest.
    """
    sites, pellet_sites = (occupancies(table[Column.FORMULA].to_list()) for table in (recipes, pellets))
    points, pellet_points = site_amounts(sites), pellet_sites.per_row(site_amounts(pellet_sites))
    distance, nearest = np.full(len(pellets), np.inf), np.zeros(len(pellets), dtype=np.intp)
    for composition, first_row in zip(*np.unique(sites.index, return_index=True), strict=True):
        same = _same_composition(sites, int(composition), pellet_sites)
        gap = np.where(same, np.abs(pellet_points - points[composition]).sum(axis=1), np.inf)
        nearest = np.where(gap < distance, first_row, nearest)
        distance = np.minimum(gap, distance)
    rows = np.flatnonzero(np.isfinite(distance))
    cells = {field: recipes[field].to_numpy() for field in LEVELS["made alike"] if field not in varied_fields}
    agrees = {field: _agrees(field, value[0], pellets[field].to_numpy()[rows]) for field, value in cells.items()}
    frames = []
    for name, values in _Measurements.of(pellets).at(rows, at_c).items():
        chosen, made = np.isfinite(values), ""
        for made, level_fields in LEVELS.items():
            fields = tuple(field for field in level_fields if field in cells)
            if made != "with or without additives" and _states_making(fields, cells, 0):
                chosen = np.logical_and.reduce([np.isfinite(values), *(agrees[field] for field in fields)])
                if chosen.sum() >= ENOUGH_PELLETS:
                    break
        value = 10.0**values if name is TargetName.CONDUCTIVITY else values
        columns = {"pellet": rows[chosen], "row": nearest[rows[chosen]], "value": value[chosen], "made": made}
        frames.append(pd.DataFrame({"target": str(name)} | columns))
    return pd.concat(frames, ignore_index=True)


def side_of_interval(similar: SimilarPellets, lower: float, upper: float) -> str:
    """Return whether the middle of measured values is "below" or "above" an interval, or "" if it is inside."""
    return "below" if similar.middle < lower else "above" if similar.middle > upper else ""


def _same_composition(sites: OccupancyTable, position: int, pellet_sites: OccupancyTable) -> Mask:
    """Return which pellets have the composition at a position of `sites`; shape (n_pellets,)."""
    is_same = np.ones(len(pellet_sites.systems), dtype=np.bool_)
    for name in ("a", "m", "t", "other_anions"):
        amounts, pellet_amounts = getattr(sites, name)[position], getattr(pellet_sites, name)
        is_same &= (np.abs(pellet_amounts - amounts) <= SAME_AMOUNT + 1e-9).all(axis=1)
        is_same &= ((pellet_amounts > 0) == (amounts > 0)).all(axis=1)
    return np.asarray(pellet_sites.per_row(is_same))


def _states_making(fields: tuple[Column, ...], cells: Mapping[Column, NDArray[Any]], row: int) -> bool:
    """Return whether a recipe states any of the fields other than the additive; True if there are none."""
    making = [field for field in fields if field is not Column.ADDITIVE]
    return not making or any(not pd.isna(cells[field][row]) for field in making)


def _agrees(field: Column, value: Any, pellet_values: NDArray[Any]) -> Mask:
    """Return which pellets agree with a recipe in a field, shape (n,); all if the recipe does not state it."""
    if field is Column.ADDITIVE:  # an additive that is not stated means no additive
        return np.asarray(pd.isna(pellet_values) if pd.isna(value) else pellet_values == value, dtype=np.bool_)
    if pd.isna(value):
        return np.ones(len(pellet_values), dtype=np.bool_)
    if field is Column.SINTERING_TEMPERATURE_C:
        return np.asarray(np.abs(pellet_values.astype(np.float64) - value) <= ALIKE_C)
    return np.asarray(pellet_values == value, dtype=np.bool_)


def _summary(
    name: TargetName, made: str, values: Floats, sources: NDArray[np.str_], carried: int
) -> SimilarPellets:
    middle = float(np.mean(values) if TARGETS[name].is_probability else np.median(values))
    numbers = float(values.min()), middle, float(values.max())
    if name is TargetName.CONDUCTIVITY:
        numbers = 10.0 ** numbers[0], 10.0 ** numbers[1], 10.0 ** numbers[2]
    return SimilarPellets(made, len(values), len(np.unique(sources)), *numbers, carried)
