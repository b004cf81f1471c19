"""What was measured on pellets of the same composition, made alike: what an answer should be held against."""

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

#: Amounts that differ by less, per formula unit, are the same: what two laboratories call one composition.
SAME_AMOUNT = 0.05
#: Sintered at temperatures no further apart than this is sintered alike, in °C.
ALIKE_C = 50.0
#: A conductivity measured so near to the temperature asked for is taken as it is, in °C; others are carried there
#: with the pellet's own activation energy, or left out.
AS_MEASURED_C = 5.0
#: So many pellets made alike are enough not to look at those made in another way.
FEWEST_LIKE = 5
#: What is compared, from most alike to least: the words for it, and the fields that have to agree where the recipe
#: states them.
_TECHNIQUE = (Column.DENSIFICATION, Column.SINTERING_TEMPERATURE_C, Column.ADDITIVE)
LEVELS: Mapping[str, tuple[Column, ...]] = {
    "made alike": (*_TECHNIQUE, Column.SYNTHESIS_ROUTE),
    "sintered alike": _TECHNIQUE,
    "made in any way": (Column.ADDITIVE,),
    "with or without additives": (),
}


@dataclass(frozen=True)
class MeasuredAlike:
    """Measured values of one property of pellets like a recipe.

    Attributes
    ----------
    made
        How like it they were made, one of `LEVELS`.
    pellets, papers
        How many pellets, of how many sources.
    lowest, middle, highest
        On the scale of answers: S/cm at the temperature asked for, %, or 0 and 1 with the share of pure pellets as
        the middle.
    carried
        How many conductivities were measured at another temperature, and carried to this one with the activation
        energy of the same pellet.
    """

    made: str
    pellets: int
    papers: int
    lowest: float
    middle: float
    highest: float
    carried: int = 0


def measured_alike(
    recipes: pd.DataFrame, pellets: pd.DataFrame, *, at_c: Floats
) -> list[dict[TargetName, MeasuredAlike]]:
    """Find what was measured on pellets like each recipe.

    Parameters
    ----------
    recipes
        Columns `nasicon_ml.columns.RECIPE`, n rows.
    pellets
        Measured pellets, as a model holds them.
    at_c
        Temperature of the conductivity of each recipe in °C, shape (n,).

    Returns
    -------
    list of dict
        For each recipe, property -> what was measured, of the pellets most alike of which any reports it; a
        property that no pellet of the composition reports is absent.
    """
    sites, known = (occupancies(table[Column.FORMULA].to_list()) for table in (recipes, pellets))
    same = [np.flatnonzero(_same_composition(sites, at, known)) for at in range(len(sites.systems))]
    sources = pellets[Column.SOURCE].to_numpy(dtype=object).astype(str)
    reported = _Reported.of(pellets)
    asked = {field: recipes[field].to_numpy() for field in LEVELS["made alike"]}
    fields = {field: pellets[field].to_numpy() for field in asked}
    found = []
    for row, at in enumerate(sites.index):
        rows = same[at]
        levels = {made: fields for made, fields in LEVELS.items() if _states_making(fields, asked, row)}
        agree = {field: _agree(field, asked[field][row], fields[field][rows]) for field in asked}
        here = reported.at(rows, at_c[row])
        answer = {}
        for name in ANSWERS:
            known_here = np.isfinite(here[name])
            for made, needed in levels.items():
                chosen = np.logical_and.reduce([known_here, *(agree[field] for field in needed)])
                if chosen.any():
                    far = reported.is_far(rows[chosen], at_c[row])
                    moved = int(far.sum()) if name is TargetName.CONDUCTIVITY else 0
                    answer[name] = _summary(name, made, here[name][chosen], sources[rows][chosen], moved)
                    break
        found.append(answer)
    return found


@dataclass(frozen=True)
class _Reported:
    """What n pellets report: values by property (bounds left out), temperatures of measurement and energies."""

    values: Mapping[TargetName, Floats]
    measured_c: Floats
    energy_ev: Floats

    @classmethod
    def of(cls, pellets: pd.DataFrame) -> _Reported:
        values = {name: measured(pellets, name) for name in ANSWERS}
        for name, bound in (
            (TargetName.CONDUCTIVITY, Column.CONDUCTIVITY_BOUND),
            (TargetName.RELATIVE_DENSITY, Column.DENSITY_BOUND),
        ):
            values[name] = np.where(pellets[bound].isna(), values[name], np.nan)
        energy = pellets[Column.ACTIVATION_ENERGY_EV].to_numpy(dtype=np.float64)
        return cls(values, measurement_temperature(pellets), energy)

    def is_far(self, rows: Ints, at_c: float) -> Mask:
        """Return of which rows the conductivity was measured at another temperature."""
        return np.asarray(np.abs(self.measured_c[rows] - at_c) > AS_MEASURED_C)

    def at(self, rows: Ints, at_c: float) -> dict[TargetName, Floats]:
        """Return the values of some rows, the conductivity as log10(S/cm) at a temperature; NaN where unknown."""
        log10 = self.values[TargetName.CONDUCTIVITY][rows]
        carried = shift_log10_conductivity(log10, self.energy_ev[rows], self.measured_c[rows], at_c)
        here = {name: self.values[name][rows] for name in ANSWERS}
        here[TargetName.CONDUCTIVITY] = np.where(self.is_far(rows, at_c), carried, log10)
        return here


def pellets_like(
    recipes: pd.DataFrame, pellets: pd.DataFrame, *, but: Collection[Column], at_c: float
) -> pd.DataFrame:
    """Find the measured pellets with the composition of one of the recipes, made alike but for some fields.

    Parameters
    ----------
    recipes
        Columns `nasicon_ml.columns.RECIPE`, n rows, which differ in composition and in the fields `but` alone.
    pellets
        Measured pellets.
    but
        Fields in which the pellets may differ from the recipes.
    at_c
        Temperature of the conductivity in °C.

    Returns
    -------
    pandas.DataFrame
        A row for each property and pellet: target; pellet (position in `pellets`); row (of the recipe whose
        composition is the nearest, from 0); value, on the scale of answers; and made, how like the recipes the
        pellets are, one of `LEVELS`: the most alike of which there are `FEWEST_LIKE`, else the least.
    """
    sites, known = (occupancies(table[Column.FORMULA].to_list()) for table in (recipes, pellets))
    points, references = site_amounts(sites), known.per_row(site_amounts(known))
    far, nearest = np.full(len(pellets), np.inf), np.zeros(len(pellets), dtype=np.intp)
    for at, first in zip(*np.unique(sites.index, return_index=True), strict=True):
        same = _same_composition(sites, int(at), known)
        gap = np.where(same, np.abs(references - points[at]).sum(axis=1), np.inf)
        nearest = np.where(gap < far, first, nearest)
        far = np.minimum(gap, far)
    rows = np.flatnonzero(np.isfinite(far))
    asked = {field: recipes[field].to_numpy() for field in LEVELS["made alike"] if field not in but}
    agree = {field: _agree(field, value[0], pellets[field].to_numpy()[rows]) for field, value in asked.items()}
    frames = []
    for name, values in _Reported.of(pellets).at(rows, at_c).items():
        chosen, made = np.isfinite(values), ""
        for made, needed in LEVELS.items():
            fields = [field for field in needed if field in asked]
            if made != "with or without additives" and _states_making(tuple(fields), asked, 0):
                chosen = np.logical_and.reduce([np.isfinite(values), *(agree[field] for field in fields)])
                if chosen.sum() >= FEWEST_LIKE:
                    break
        value = 10.0**values if name is TargetName.CONDUCTIVITY else values
        columns = {"pellet": rows[chosen], "row": nearest[rows[chosen]], "value": value[chosen], "made": made}
        frames.append(pd.DataFrame({"target": str(name)} | columns))
    return pd.concat(frames, ignore_index=True)


def outside_interval(found: MeasuredAlike, lower: float, upper: float) -> str:
    """Return where the middle of measured values lies to an interval: "below" it, "above" it, or "" within."""
    return "below" if found.middle < lower else "above" if found.middle > upper else ""


def _same_composition(sites: OccupancyTable, at: int, known: OccupancyTable) -> Mask:
    """Return which known pellets have the composition at a position of `sites`; shape (n_pellets,)."""
    alike = np.ones(len(known.systems), dtype=np.bool_)
    for name in ("a", "m", "t", "other_anions"):
        ours, theirs = getattr(sites, name)[at], getattr(known, name)
        alike &= (np.abs(theirs - ours) <= SAME_AMOUNT + 1e-9).all(axis=1) & ((theirs > 0) == (ours > 0)).all(
            axis=1
        )
    return np.asarray(known.per_row(alike))


def _states_making(fields: tuple[Column, ...], asked: Mapping[Column, NDArray[Any]], row: int) -> bool:
    """Return whether a recipe states any of the fields that pellets made like it have to share."""
    making = [field for field in fields if field is not Column.ADDITIVE]
    return not making or any(not pd.isna(asked[field][row]) for field in making)


def _agree(field: Column, value: Any, of_pellets: NDArray[Any]) -> Mask:
    """Return which pellets agree with a recipe in a field, shape (n,); all where the recipe does not state it."""
    if field is Column.ADDITIVE:  # not stated is none
        return np.asarray(pd.isna(of_pellets) if pd.isna(value) else of_pellets == value, dtype=np.bool_)
    if pd.isna(value):
        return np.ones(len(of_pellets), dtype=np.bool_)
    if field is Column.SINTERING_TEMPERATURE_C:
        return np.asarray(np.abs(of_pellets.astype(np.float64) - value) <= ALIKE_C)
    return np.asarray(of_pellets == value, dtype=np.bool_)


def _summary(
    name: TargetName, made: str, values: Floats, sources: NDArray[np.str_], carried: int
) -> MeasuredAlike:
    middle = float(np.mean(values) if TARGETS[name].is_probability else np.median(values))
    numbers = float(values.min()), middle, float(values.max())
    if name is TargetName.CONDUCTIVITY:
        numbers = 10.0 ** numbers[0], 10.0 ** numbers[1], 10.0 ** numbers[2]
    return MeasuredAlike(made, len(values), len(np.unique(sources)), *numbers, carried)
