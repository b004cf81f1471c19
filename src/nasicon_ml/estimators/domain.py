"""The domain of a model: what its training pellets cover, and how far outside of it a recipe lies.

The domain score of a recipe is the largest of its deviations, each divided by the deviation that puts a recipe
outside: 0 in the middle of the training pellets, 1 at the border.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from nasicon_ml.arrays import Floats, Ints, Mask, Strings
from nasicon_ml.columns import COLUMNS, Column
from nasicon_ml.composition import ELEMENTS, OccupancyTable
from nasicon_ml.features.distances import COMPOSITION_WEIGHT, SCALES, RecipeSpace, recipe_distances
from nasicon_ml.features.processing import LOGARITHMIC, PROCESSING_CHOICES, PROCESSING_NUMBERS, is_one_of

#: A system has a range of its own for a field that this many of its pellets state; below, that of all systems.
ENOUGH_PELLETS = 8
#: The distance of a recipe to the measured pellets is the mean distance to this many nearest sources.
NEAR_SOURCES = 8
#: A choice or an anion that fewer sources measured is outside: results of one laboratory rarely transfer.
FEW_SOURCES = 3
#: Key under which the domain counts the sources of anions, next to those of the choices.
ANION = "anion"
#: Share of the training pellets, each compared with other sources only, that count as near.
NEAR_SHARE = 0.9
#: Steps beyond the range that put a number outside, as shares of a whole difference (`SCALES`). That of the firing
#: is smaller than that of the powder, because errors on unseen sources grow with the former only.
FIRING_STEP, POWDER_STEP = 0.5, 1.0
_POWDER_COLUMNS = (Column.CALCINATION_TEMPERATURE_C, Column.CALCINATION_TIME_H, Column.PARTICLE_SIZE_UM)
_SMALLEST_LOGGED = 1e-2
#: Numbers with one range for all systems; bundles of version 0.1 contain the measurement temperature only.
_SYSTEM_INDEPENDENT = (Column.MEASUREMENT_TEMPERATURE_C, Column.LITHIUM_EXCESS_PCT, Column.GREEN_PRESSURE_MPA)
#: The fields that have a range.
RANGED = ("x", *map(str, (*PROCESSING_NUMBERS, *_SYSTEM_INDEPENDENT)))
_CHUNK_ROWS = 1000


@dataclass(frozen=True)
class SourceDistances:
    """Distances of n recipes to sources; all pellets of a source count as one.

    Attributes
    ----------
    names
        The sources, sorted, shape (n_sources,).
    distances
        Distance of each recipe to the nearest pellet of each source, shape (n, n_sources).
    """

    names: Strings
    distances: Floats

    def take(self, rows: Ints) -> SourceDistances:
        """Return the distances of selected recipes."""
        return SourceDistances(self.names, self.distances[rows])

    def mean_of_nearest(self, own_sources: Strings | None = None, included: Mask | None = None) -> Floats:
        """Return the mean distance to the nearest `NEAR_SOURCES` sources, or to all if there are fewer.

        Parameters
        ----------
        own_sources
            The source of each recipe, which is ignored, shape (n,); None for recipes without a source.
        included
            Which sources are considered, shape (n_sources,); all by default.

        Returns
        -------
        ndarray
            Shape (n,); infinite where no source is left.
        """
        distances = self.distances if included is None else self.distances[:, included]
        names = self.names if included is None else self.names[included]
        if own_sources is not None:
            distances = np.where(own_sources[:, None] == names[None, :], np.inf, distances)
        nearest = np.sort(distances, axis=1)[:, :NEAR_SOURCES]
        is_finite = np.isfinite(nearest)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(is_finite, nearest, 0.0).sum(axis=1) / is_finite.sum(axis=1)
        return np.where(is_finite.any(axis=1), mean, np.inf)


def source_distances(queries: RecipeSpace, references: RecipeSpace, sources: Strings) -> SourceDistances:
    """Return the distance of each recipe to each source.

    Parameters
    ----------
    queries, references
        n and m points of one recipe space.
    sources
        Source of each reference, shape (m,).
    """
    names, codes = np.unique(sources.astype(str), return_inverse=True)
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(len(names)))
    distances = np.empty((len(queries), len(names)))
    for start in range(0, len(queries), _CHUNK_ROWS):
        rows = slice(start, start + _CHUNK_ROWS)
        distances[rows] = np.minimum.reduceat(
            recipe_distances(queries.take(rows), references)[:, order], starts, axis=1
        )
    return SourceDistances(names.astype(object), distances)


@dataclass(frozen=True)
class Domain:
    """What the training pellets cover.

    Attributes
    ----------
    ranges
        system -> field -> (lowest, highest); the key "" contains the ranges over all systems. The substitution is
        the field "x". The measurement temperature occurs under "" only, because Arrhenius' law extrapolates the
        conductivity of every system alike; so do lithium excess and green pressure, which few papers state.
    choices
        field -> choices that occur.
    elements
        site (A, M, T) -> elements that occur on it.
    near
        Distance to sources (`SourceDistances.mean_of_nearest`) below which a recipe counts as near.
    sources
        field, or `ANION`, -> choice -> number of sources that measured it; empty in older bundles.
    """

    ranges: Mapping[str, Mapping[str, tuple[float, float]]]
    choices: Mapping[str, tuple[str, ...]]
    elements: Mapping[str, tuple[str, ...]]
    near: float
    sources: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain dictionaries and lists."""
        content = asdict(self)
        if not self.sources:
            del content["sources"]  # keeps the files of older bundles unchanged
        return content

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Domain:
        """Read the output of `to_json`."""
        ranges = {
            system: {name: (float(low), float(high)) for name, (low, high) in fields.items()}
            for system, fields in data["ranges"].items()
        }
        choices = {name: tuple(values) for name, values in data["choices"].items()}
        elements = {site: tuple(values) for site, values in data["elements"].items()}
        return cls(ranges, choices, elements, float(data["near"]), data.get("sources", {}))

    def with_anions(self, sites: OccupancyTable, sources: Strings) -> Domain:
        """Return the domain with the sources of anions counted; parameters as in `fit_domain`."""
        return replace(self, sources={**self.sources, ANION: _sources_by_anion(sites, sources)})

    def rare_choices(self, name: str) -> dict[str, int]:
        """Return the choices of a field, or anions, of fewer than `FEW_SOURCES` sources, with their number."""
        return {choice: count for choice, count in self.sources.get(name, {}).items() if count < FEW_SOURCES}

    def compare(self, table: pd.DataFrame, sites: OccupancyTable) -> DomainComparison:
        """Compare n recipes, a table of recipe columns and their occupancies, with the domain."""
        unseen_choices = {
            column: table[column].notna().to_numpy() & ~is_one_of(table[column], self.choices[column])
            for column in PROCESSING_CHOICES
        }
        rare_choices = {
            column: is_one_of(table[column], self.rare_choices(column)) for column in PROCESSING_CHOICES
        }
        deviations = tuple(self._deviations(table, sites))
        return DomainComparison(self, table, sites, unseen_choices, rare_choices, deviations)

    def _deviations(self, table: pd.DataFrame, sites: OccupancyTable) -> Iterator[_RangeDeviations]:
        fields = {column.value: table[column].to_numpy(dtype=np.float64) for column in PROCESSING_NUMBERS}
        for column in _SYSTEM_INDEPENDENT:
            if column in self.ranges[""] and column in table.columns:
                fields[column.value] = table[column].to_numpy(dtype=np.float64)
        fields["x"] = sites.per_row(sites.x)
        for name, values in fields.items():
            own = {system: limits[name] for system, limits in self.ranges.items() if system and name in limits}
            overall = self.ranges[""].get(name, (-np.inf, np.inf))
            limits = np.array([own.get(system, overall) for system in sites.systems]).reshape(-1, 2)
            owners = np.array([f"{system} " if system in own else "" for system in sites.systems], dtype=object)
            yield _RangeDeviations.compute(name, values, limits, owners, sites.index)


@dataclass(frozen=True)
class DomainComparison:
    """Comparison of n recipes with a domain.

    Attributes
    ----------
    domain, table, sites
        The domain, the recipes and their occupancies.
    unseen_choices, rare_choices
        By field, which recipes state a choice that never occurred, or that few sources measured; shape (n,).
    deviations
        By field, the numbers outside the range of their system.
    """

    domain: Domain
    table: pd.DataFrame
    sites: OccupancyTable
    unseen_choices: Mapping[Column, Mask]
    rare_choices: Mapping[Column, Mask]
    deviations: tuple[_RangeDeviations, ...]

    @property
    def uncovered_fields(self) -> dict[Column, Mask]:
        """By processing field, the recipes whose value no training pellet covers; shape (n,)."""
        return dict(self.unseen_choices) | {
            COLUMNS[deviation.name]: deviation.is_outside
            for deviation in self.deviations
            if deviation.name != "x" and deviation.is_outside.any()
        }

    def score(self, source_distance: Floats) -> Floats:
        """Return the domain score of each recipe, shape (n,); from 1 on a recipe is outside.

        Parameters
        ----------
        source_distance
            Mean distance to the nearest sources, shape (n,), as `SourceDistances.mean_of_nearest` returns it.
        """
        near = self.domain.near
        score = source_distance / near if near > 0 else np.where(source_distance > 0, np.inf, 0.0)
        by_composition = np.zeros(len(self.sites.systems))
        for site, amounts in _amounts_by_site(self.sites):
            unseen_amount = np.where(self._unseen_elements[site], amounts, 0.0).sum(axis=1)
            by_composition = np.maximum(by_composition, np.where(unseen_amount > 0, 1.0 + unseen_amount, 0.0))
        by_composition = np.maximum(by_composition, self._rare_anions.any(axis=1))
        score = np.maximum(score, self.sites.per_row(by_composition))
        for is_outside in (*self.unseen_choices.values(), *self.rare_choices.values()):
            score = np.maximum(score, is_outside)
        for deviation in self.deviations:
            score[deviation.rows] = np.maximum(score[deviation.rows], deviation.steps)
        return np.asarray(score)

    def reasons(self, source_distance: Floats) -> list[tuple[str, ...]]:
        """Return why each recipe is outside, empty for a recipe inside; parameter as in `score`."""
        reasons: list[list[str]] = [[] for _ in range(len(self.table))]
        outside_elements = np.any(np.hstack([*self._unseen_elements.values(), self._rare_anions]), axis=1)
        for row in np.flatnonzero(self.sites.per_row(outside_elements)):
            reasons[row] += self._element_reasons(int(self.sites.index[row]))
        for column, is_unseen in self.unseen_choices.items():
            for row in np.flatnonzero(is_unseen):
                reasons[row].append(f"{column.label} {self.table[column].iloc[row]!r} never seen")
        for column, is_rare in self.rare_choices.items():
            counts = self.domain.rare_choices(column)
            for row in np.flatnonzero(is_rare):
                choice = self.table[column].iloc[row]
                reasons[row].append(f"{column.label} {choice!r} was {_measured_in(counts[choice])}")
        for deviation in self.deviations:
            for at in np.flatnonzero(deviation.steps >= 1).tolist():
                reasons[deviation.rows[at]].append(deviation.reason(at))
        for row in np.flatnonzero(source_distance >= self.domain.near):
            reasons[row].append(
                f"far from what was measured (mean distance to the nearest {NEAR_SOURCES} sources "
                f"{source_distance[row]:.2f}, for {NEAR_SHARE:.0%} of known pellets below {self.domain.near:.2f})"
            )
        return [tuple(texts) for texts in reasons]

    @cached_property
    def _rare_anions(self) -> Mask:
        """Anions of each composition that few sources measured; shape (n_unique, n_elements)."""
        counts = self.domain.sources.get(ANION)
        if counts is None:
            return np.zeros(self.sites.other_anions.shape, dtype=np.bool_)
        common = [anion for anion, count in counts.items() if count >= FEW_SOURCES]
        return np.asarray((self.sites.other_anions > 0) & ~np.isin(ELEMENTS, common))

    @cached_property
    def _unseen_elements(self) -> dict[str, Mask]:
        """By site, the elements that no training pellet has there; shape (n_unique, n_elements)."""
        seen = self.domain.elements
        return {
            site: (amounts > 0) & ~np.isin(ELEMENTS, seen[site]) for site, amounts in _amounts_by_site(self.sites)
        }

    def _element_reasons(self, composition: int) -> list[str]:
        """Describe the elements of a composition that were never seen on their site, and its rare anions."""
        unseen = [
            f"{', '.join(np.array(ELEMENTS)[is_unseen[composition]])} never seen on the {site} site"
            for site, is_unseen in self._unseen_elements.items()
            if is_unseen[composition].any()
        ]
        counts = self.domain.rare_choices(ANION)
        return unseen + [
            f"{anion} on the anion site {_measured_in(counts.get(anion, 0))}"
            for anion in np.array(ELEMENTS)[self._rare_anions[composition]].tolist()
        ]


@dataclass(frozen=True)
class _RangeDeviations:
    """Values of one field of n recipes that lie outside the range of their system; k of them."""

    name: str
    is_outside: Mask  # shape (n,)
    rows: Ints  # positions of the k recipes
    values: Floats
    limits: Floats  # the ranges, shape (k, 2)
    owners: Strings  # the system that each range belongs to, "" for all systems

    @classmethod
    def compute(cls, name: str, values: Floats, limits: Floats, owners: Strings, index: Ints) -> _RangeDeviations:
        """Compare values of shape (n,) with the ranges of their compositions, shape (n_unique, 2)."""
        low, high = limits.T
        lowest, highest = low - _rounding(low), high + _rounding(high)
        # Comparing with the narrowest range first leaves few values to compare with their own range.
        candidates = np.flatnonzero(
            (values < lowest.max(initial=-np.inf)) | (values > highest.min(initial=np.inf))
        )
        composition = index[candidates]
        too_low, too_high = values[candidates] < lowest[composition], values[candidates] > highest[composition]
        rows = candidates[too_low | too_high]
        is_outside = np.zeros(len(values), dtype=np.bool_)
        is_outside[rows] = True
        return cls(name, is_outside, rows, values[rows], limits[index[rows]], owners[index[rows]])

    @cached_property
    def steps(self) -> Floats:
        """Distance to the range, 1 where it puts a recipe outside the domain; shape (k,)."""
        return steps_outside(self.name, self.values, *self.limits.T)

    def reason(self, at: int) -> str:
        """Return the text that explains one of the deviations."""
        value, (low, high) = self.values[at], self.limits[at]
        side, limit = ("below", low) if value < low else ("above", high)
        return f"{field_label(self.name)} {value:g} is {side} that of any {self.owners[at]}pellet ({limit:g})"


def _rounding(limits: Floats) -> Floats:
    """Return the deviation from a limit that rounding explains."""
    return 1e-6 + 0.01 * np.abs(limits)


def steps_outside(name: str, values: Floats, low: Floats | float, high: Floats | float) -> Floats:
    """Return how far values of a field, or of x, lie outside a range, 1 where that puts a recipe outside.

    Negative inside the range; NaN where the value or the range is NaN.
    """
    if name == "x":
        step, logarithmic = FIRING_STEP / COMPOSITION_WEIGHT, False
    else:
        # Measurement temperatures have no scale of their own and use that of sintering.
        scale, logarithmic = SCALES.get(COLUMNS[name], SCALES[Column.SINTERING_TEMPERATURE_C])
        step = scale * (POWDER_STEP if COLUMNS[name] in _POWDER_COLUMNS else FIRING_STEP)
    if logarithmic:
        smallest = LOGARITHMIC.get(COLUMNS[name], _SMALLEST_LOGGED)
        values, low, high = (np.log10(np.maximum(each, smallest)) for each in (values, low, high))
    return np.asarray(np.maximum(low - values, values - high) / step)


def field_label(name: str) -> str:
    """Return the label of a field that has a range, with its unit."""
    return "substitution x" if name == "x" else COLUMNS[name].axis_label


def _amounts_by_site(sites: OccupancyTable) -> Iterator[tuple[str, Floats]]:
    return zip("AMT", (sites.a, sites.m, sites.t), strict=True)


def _measured_in(n_sources: int) -> str:
    return f"measured in {n_sources} work{'' if n_sources == 1 else 's'} only" if n_sources else "never measured"


def fit_domain(table: pd.DataFrame, sites: OccupancyTable, source_distance: Floats, sources: Strings) -> Domain:
    """Return the domain that training pellets cover.

    Parameters
    ----------
    table
        Training pellets, n rows.
    sites
        Their occupancies.
    source_distance
        Distance of each pellet to the other sources, shape (n,).
    sources
        Source of each pellet, shape (n,).
    """
    systems = sites.per_row(sites.systems)
    numbers = table[list(PROCESSING_NUMBERS)].astype("float64").assign(x=sites.per_row(sites.x))
    system_independent = table[list(_SYSTEM_INDEPENDENT)].astype("float64")
    ranges = {"": _ranges(numbers, 1) | _ranges(system_independent, 1)}
    for system, rows in numbers.groupby(systems):
        ranges[str(system)] = _ranges(rows, ENOUGH_PELLETS)
    counts = {column.value: _sources_by_choice(table[column], sources) for column in PROCESSING_CHOICES}
    elements = {
        site: tuple(ELEMENTS[at] for at in np.flatnonzero((sites.per_row(amounts) > 0).any(axis=0)))
        for site, amounts in _amounts_by_site(sites)
    }
    choices = {name: tuple(by_choice) for name, by_choice in counts.items()}
    counts[ANION] = _sources_by_anion(sites, sources)
    return Domain(ranges, choices, elements, float(np.quantile(source_distance, NEAR_SHARE)), counts)


def _sources_by_choice(choices: pd.Series[str], sources: Strings) -> dict[str, int]:
    """Return the number of sources that measured each choice of a field."""
    counts = pd.Series(sources, choices.index).groupby(choices.astype(object)).nunique()
    return {str(choice): int(count) for choice, count in counts.items()}


def _sources_by_anion(sites: OccupancyTable, sources: Strings) -> dict[str, int]:
    """Return the number of sources that measured each anion, from occupancies and sources of n pellets."""
    anions = np.flatnonzero(sites.other_anions.any(axis=0))
    present = {"O": sites.oxygen > 0} | {ELEMENTS[at]: sites.other_anions[:, at] > 0 for at in anions}
    return {anion: len(set(sources[sites.per_row(is_present)])) for anion, is_present in present.items()}


def _ranges(numbers: pd.DataFrame, least_count: int) -> dict[str, tuple[float, float]]:
    """Return (lowest, highest) of each column with enough values."""
    values = numbers.to_numpy(dtype=np.float64)
    has_enough = np.count_nonzero(~np.isnan(values), axis=0) >= least_count
    lowest, highest = (extreme(values[:, has_enough], axis=0).tolist() for extreme in (np.nanmin, np.nanmax))
    return dict(zip(map(str, numbers.columns[has_enough]), zip(lowest, highest, strict=True), strict=True))
