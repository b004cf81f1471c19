"""Distances of recipes, and recipes as pairs of a composition and a processing.

Of a million recipes there are some hundred compositions and some hundred processings: what depends on one of the
two alone is computed once for each, and not for each recipe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.arrays import Floats, Ints, Mask
from nasicon_ml.columns import Column
from nasicon_ml.composition import OccupancyTable, occupancies
from nasicon_ml.composition.precursors import Cation
from nasicon_ml.features.processing import (
    LOGARITHMIC,
    PROCESSING_CHOICES,
    PROCESSING_NUMBERS,
    additive_columns,
    choice_codes,
    host_mass_g_mol,
    preparation_table,
    source_codes,
)

#: So many kinds of rows have numbers that are told apart: rows have fewer than 2^31 by far.
_MOST_KINDS = 2**62


def distinct_rows(rows: int, columns: Iterable[Any]) -> tuple[Ints, Ints]:
    """Return the different rows of a table; cells that are not given are alike.

    Parameters
    ----------
    rows
        How many.
    columns
        Arrays or series, each of shape (rows,).

    Returns
    -------
    first, which
        Where each different row stands first, in order of appearance, and which of them every row is, shape
        (rows,).
    """
    found = (pd.factorize(column, use_na_sentinel=False) for column in columns)
    return distinct_combinations(rows, ((cells, codes) for codes, cells in found))


def distinct_combinations(rows: int, columns: Iterable[tuple[Sized, Ints]]) -> tuple[Ints, Ints]:
    """Return the different rows of a table, as `distinct_rows` does.

    Columns are given as their different cells, and which of them each row has, shape (rows,).
    """
    which, kinds = np.zeros(rows, dtype=np.int64), 1
    for cells, codes in columns:
        if kinds * len(cells) > _MOST_KINDS:
            which, kinds = pd.factorize(which)[0], rows
        if len(cells) > 1:
            which, kinds = which * len(cells) + codes, kinds * len(cells)
    which = pd.factorize(which)[0]
    return np.flatnonzero(np.diff(np.maximum.accumulate(which), prepend=-1)), which


@dataclass(frozen=True)
class RecipePairs:
    """n recipes as pairs.

    Attributes
    ----------
    sites
        The m different compositions, each once.
    processing
        The different ways in which they are made: the recipes' columns less the formula, one row each.
    composition_of, processing_of
        Positions of each recipe among them, shape (n,).
    """

    sites: OccupancyTable
    processing: pd.DataFrame
    composition_of: Ints
    processing_of: Ints

    @classmethod
    def of(cls, table: pd.DataFrame, sites: OccupancyTable) -> RecipePairs:
        """Return a table of n recipes as pairs; `sites` are its occupancies."""
        fields = table.drop(columns=[str(Column.FORMULA)], errors="ignore")
        first, processing_of = distinct_rows(len(table), (fields[name] for name in fields))
        used = np.zeros(len(sites.systems), dtype=np.bool_)
        used[sites.index] = True
        place = np.cumsum(used) - 1
        unique = np.flatnonzero(used)
        taken = OccupancyTable(
            sites.a[unique],
            sites.m[unique],
            sites.t[unique],
            sites.valence[unique],
            sites.oxygen[unique],
            sites.other_anions[unique],
            sites.systems[unique],
            np.arange(len(unique)),
        )
        return cls(taken, fields.iloc[first], place[sites.index], processing_of)

    @property
    def share(self) -> float:
        """How much of all pairs the recipes are; above 1 where some stand twice."""
        return len(self.processing_of) / max(1, len(self.sites.systems) * len(self.processing))


#: A difference of this size in one field counts as a wholly different value of it. Fields that span decades
#: are compared by their logarithm (the scale is then in decades).
SCALES: dict[Column, tuple[float, bool]] = {
    Column.CALCINATION_TEMPERATURE_C: (200.0, False),
    Column.CALCINATION_TIME_H: (1.0, True),
    Column.PARTICLE_SIZE_UM: (1.0, True),
    Column.SINTERING_TEMPERATURE_C: (150.0, False),
    Column.SINTERING_TIME_H: (1.0, True),
    Column.HEATING_RATE_C_MIN: (1.0, True),
    Column.PRESSURE_MPA: (1.0, True),
    Column.LITHIUM_EXCESS_PCT: (10.0, False),
    Column.GREEN_PRESSURE_MPA: (1.0, True),
}
#: How much each field matters beside the others.
WEIGHTS: dict[Column, float] = {Column.SINTERING_TEMPERATURE_C: 2.0, Column.DENSIFICATION: 2.0}
#: What a field counts that one of the two recipes does not give: halfway between equal and different.
UNKNOWN = 0.5
#: What a paper says of powder and green pellet counts beside the processing, and only where both recipes say it:
#: few do. Precursors are compared by the source of each kind of cation; these share the weight of one field.
PREPARATION_WEIGHTS = (1.0, 1.0, 1.0, *(1.0 / len(Cation) for _ in Cation))
#: Weight of exchanging one whole M cation against all of the processing.
COMPOSITION_WEIGHT = 2.0
_SMALLEST_TIME_H = 1e-2
_CHUNK_CELLS = 2_000_000
#: Compositions whose distances are added up element by element at once: what fits into a processor's cache, and so
#: few that most elements are in none of them.
_CACHED_COMPOSITIONS = 32
#: Queries whose distances are added up field by field at once: what fits into a processor's cache.
_CACHED_QUERIES = 64
_DIGITS = 9
#: Within a laboratory, numbers further apart than this many scales (`SCALES`) are simply far apart.
_FURTHEST_WITHIN = 2.0


@dataclass(frozen=True)
class RecipeSpace:
    """Recipes as points.

    Attributes
    ----------
    sites
        Amounts on A, M and T side by side, shape (n, 3 n_elements) less the columns that are always empty.
    numbers
        Processing numbers divided by their scale, shape (n, n_numbers), NaN where not given.
    codes
        Processing choices as integers, shape (n, n_choices), -1 where not given.
    additive
        wt% of additive divided by 10 and whether there is one, shape (n, 2).
    preparation
        Lithium excess and green pressure divided by their scale, whether there was a powder bed, and codes of the
        sources of the cations, shape (n, len(PREPARATION_WEIGHTS)), NaN where not given.
    """

    sites: Floats
    numbers: Floats
    codes: NDArray[np.int8]
    additive: Floats
    preparation: Floats

    def __len__(self) -> int:
        return len(self.sites)

    @cached_property
    def occurring(self) -> Mask:
        """Which columns of `sites` are not empty throughout; shape (n_columns,)."""
        found: Mask = (self.sites != 0).any(axis=0)
        return found

    @cached_property
    def distinct_sites(self) -> tuple[Ints, Ints]:
        """First point of each different composition, and which of these each point has, shape (n,)."""
        return distinct_rows(len(self), self.sites.T[self.occurring])

    @cached_property
    def distinct_values(self) -> list[tuple[Floats, Ints]]:
        """The different values of each field of the processing and the preparation, and which each point has."""
        columns = [*self.numbers.T, *self.codes.T, *self.additive.T, *self.preparation.T]
        return [np.unique(column, return_inverse=True) for column in columns]

    @cached_property
    def distinct_processing(self) -> tuple[Ints, Ints]:
        """First point of each different way of making, and which of these each point has, shape (n,)."""
        return distinct_combinations(len(self), self.distinct_values)

    def take(self, rows: Ints | slice) -> RecipeSpace:
        """Return some of the points."""
        return RecipeSpace(
            self.sites[rows], self.numbers[rows], self.codes[rows], self.additive[rows], self.preparation[rows]
        )


def recipe_space(table: pd.DataFrame, *, sites: OccupancyTable | None = None) -> RecipeSpace:
    """Place a table of recipes in recipe space.

    Raises
    ------
    FormulaError
        If a formula cannot be read.
    """
    sites = occupancies(table[Column.FORMULA].to_list()) if sites is None else sites
    processing = processing_points(table, lambda: sites.per_row(host_mass_g_mol(sites)))
    return replace(processing, sites=sites.per_row(composition_points(sites)))


def composition_points(sites: OccupancyTable) -> Floats:
    """Place compositions: `RecipeSpace.sites` of each different one."""
    return np.hstack([sites.a, sites.m, sites.t])


def processing_points(table: pd.DataFrame, host_g_mol: Callable[[], Floats]) -> RecipeSpace:
    """Place how n recipes are made, without what they are made of.

    Parameters
    ----------
    table
        Recipe columns, n rows.
    host_g_mol
        As for `nasicon_ml.features.processing.additive_columns`, shape (n,).
    """
    numbers = [_scaled(table, field) for field in PROCESSING_NUMBERS]
    codes = [choice_codes(table[field], field.choices) for field in PROCESSING_CHOICES]
    extra = additive_columns(table, host_g_mol)
    additive = [extra["additive_present"], np.nan_to_num(extra["additive_wt_pct"], nan=5.0) / 10.0]
    return RecipeSpace(
        np.empty((len(table), 0)),
        np.column_stack(numbers),
        np.column_stack(codes).astype(np.int8),
        np.column_stack(additive),
        _preparation(table),
    )


def _scaled(table: pd.DataFrame, field: Column) -> Floats:
    scale, logarithmic = SCALES[field]
    values = table[field].to_numpy(dtype=np.float64)
    smallest = LOGARITHMIC.get(field, _SMALLEST_TIME_H)
    return np.asarray((np.log10(np.maximum(values, smallest)) if logarithmic else values) / scale)


def _preparation(table: pd.DataFrame) -> Floats:
    """Return `RecipeSpace.preparation`."""
    table = preparation_table(table)
    bed = table[Column.POWDER_BED].to_numpy(dtype=np.float64, na_value=np.nan)
    numbers = (_scaled(table, field) for field in (Column.LITHIUM_EXCESS_PCT, Column.GREEN_PRESSURE_MPA))
    return np.column_stack([*numbers, bed, *source_codes(table).values()])


def recipe_distances(queries: RecipeSpace, references: RecipeSpace) -> Floats:
    """Distance of every query to every reference; shape (n_queries, n_references).

    0 for the same composition made in the same, fully stated way; about 1 for wholly different processing;
    2 for each M cation per formula unit that is another element.
    """
    composition = COMPOSITION_WEIGHT * composition_distance(queries, references)
    return composition + processing_distance(queries, references)


def composition_distance(queries: RecipeSpace, references: RecipeSpace) -> Floats:
    """Cations that have to be exchanged to make one of another; shape (n_queries, n_references)."""
    used = queries.occurring | references.occurring
    (first, of_query), (chosen, of_reference) = queries.distinct_sites, references.distinct_sites
    ours, theirs = queries.sites[first].T[used], references.sites[chosen].T[used]
    found = np.zeros((len(first), len(chosen)))
    for start in range(0, len(first), _CACHED_COMPOSITIONS):
        rows = slice(start, start + _CACHED_COMPOSITIONS)
        some, gap = found[rows], np.empty_like(found[rows])
        contained = (ours[:, rows] != 0).any(axis=1)
        # Element after element: a sum over one axis would add in an order that depends on the shape of the table.
        for our, their, is_contained in zip(ours[:, rows, None], theirs, contained, strict=True):
            some += np.abs(np.subtract(our, their, out=gap), out=gap) if is_contained else their
    # An exchanged cation is counted once where it leaves and once where another takes its place.
    found *= 0.5
    return found.take(of_reference, axis=1).take(of_query, axis=0)


def processing_distance(
    queries: RecipeSpace, references: RecipeSpace, dtype: type[np.floating[Any]] = np.float64
) -> NDArray[Any]:
    """How differently recipes are made, 0 to about 1, and up to 0.3 more where both state their preparation.

    Shape (n_queries, n_references); added up in numbers of the given type.
    """
    (first, of_query), (chosen, of_reference) = queries.distinct_processing, references.distinct_processing
    fields = [
        (np.ascontiguousarray(table.T, dtype=dtype), rows.take(first), columns.take(chosen))
        for table, rows, columns in _field_distances(queries, references)
    ]
    found = np.empty((len(first), len(references)), dtype=dtype)
    for start in range(0, len(first), _CACHED_QUERIES):
        some = slice(start, start + _CACHED_QUERIES)
        # Reference after reference in memory: its value of a field is looked up for many queries at once.
        total = np.zeros((len(chosen), len(found[some])), dtype=dtype)
        added = np.empty_like(total)
        for table, rows, columns in fields:
            total += np.take(table.take(rows[some], axis=1), columns, axis=0, out=added, mode="clip")
        found[some] = total.take(of_reference, axis=0).T
    return found if len(first) == len(queries) else found.take(of_query, axis=0)


def _field_distances(queries: RecipeSpace, references: RecipeSpace) -> Iterator[tuple[Floats, Ints, Ints]]:
    """Yield what each processing field adds to the distances.

    That is what each of its different values among the queries and each among the references add, shape
    (n_values, n_known), then which row of this each query has and which column each reference.
    """
    fields = [*PROCESSING_NUMBERS, *PROCESSING_CHOICES]
    weights = np.array([WEIGHTS.get(field, 1.0) for field in fields] + [1.0, 1.0])
    one = weights.sum()
    weights /= one
    both = list(zip(queries.distinct_values, references.distinct_values, strict=True))
    for at, weight in enumerate(weights.tolist()):
        (ours, of_query), (theirs, of_reference) = both[at]
        if len(PROCESSING_NUMBERS) <= at < len(fields):
            yield _of_choices(ours, theirs, weight), of_query, of_reference
        else:
            yield _of_numbers(ours, theirs, weight, weight * UNKNOWN), of_query, of_reference
    for weight, ((ours, of_query), (theirs, of_reference)) in zip(
        PREPARATION_WEIGHTS, both[len(weights) :], strict=True
    ):
        if not (np.isnan(ours).all() or np.isnan(theirs).all()):
            yield _of_numbers(ours, theirs, weight / one, 0.0), of_query, of_reference


def _of_choices(ours: Floats, theirs: Floats, weight: float) -> Floats:
    unknown = (ours[:, None] < 0) | (theirs < 0)
    return weight * np.where(unknown, UNKNOWN, (ours[:, None] != theirs).astype(np.float64))


def _of_numbers(ours: Floats, theirs: Floats, weight: float, unknown: float) -> Floats:
    gap = np.minimum(np.abs(ours[:, None] - theirs), 1.0) * weight
    return np.where(np.isnan(gap), unknown, gap)


@dataclass(frozen=True)
class Neighbours:
    """The nearest references of n queries.

    Attributes
    ----------
    positions
        Positions among the references, shape (n, k), nearest first.
    distances
        Shape (n, k); infinite where fewer than k references may be used.
    """

    positions: Ints
    distances: Floats


def nearest_neighbours(
    queries: RecipeSpace,
    references: RecipeSpace,
    k: int,
    *,
    query_sources: NDArray[np.object_] | None = None,
    reference_sources: NDArray[np.object_] | None = None,
) -> Neighbours:
    """Find the k nearest references of every query, in chunks of bounded memory.

    Parameters
    ----------
    queries, references
        Points of one recipe space.
    k
        How many; at most the number of references.
    query_sources, reference_sources
        Where both are given, references of the query's own source are passed over.
    """
    asked = [(np.arange(len(references)), k)]
    (found,) = nearest_neighbours_among(
        queries, references, asked, query_sources=query_sources, reference_sources=reference_sources
    )
    return found


def nearest_neighbours_among(
    queries: RecipeSpace,
    references: RecipeSpace,
    asked: Sequence[tuple[Ints, int]],
    *,
    query_sources: NDArray[np.object_] | None = None,
    reference_sources: NDArray[np.object_] | None = None,
) -> list[Neighbours]:
    """Find the nearest of several choices of references, from distances that are computed once.

    Parameters
    ----------
    queries, references, query_sources, reference_sources
        As for `nearest`.
    asked
        Positions of the references of each choice, rising, and how many of them are wanted.

    Returns
    -------
    list of Neighbours
        One of each choice; its positions count within the choice.
    """
    found: list[list[Neighbours]] = [[] for _ in asked]
    step = max(1, _CHUNK_CELLS // max(1, len(references)))
    for start in range(0, max(1, len(queries)), step):
        rows = slice(start, start + step)
        gaps = recipe_distances(queries if step >= len(queries) else queries.take(rows), references)
        if query_sources is not None and reference_sources is not None:
            gaps[query_sources[rows, None] == reference_sources[None, :]] = np.inf
        for parts, (chosen, k) in zip(found, asked, strict=True):
            parts.append(_smallest(gaps if len(chosen) == len(references) else gaps.take(chosen, axis=1), k))
    return [
        Neighbours(np.vstack([part.positions for part in parts]), np.vstack([part.distances for part in parts]))
        for parts in found
    ]


def _smallest(gaps: Floats, k: int) -> Neighbours:
    """Find the k smallest distances of each row; ties, rounding left aside, go to the earlier reference."""
    k = min(k, gaps.shape[1])
    if not gaps.size or not k:
        return Neighbours(np.empty((len(gaps), k), dtype=np.intp), np.empty((len(gaps), k)))
    # The smallest of groups of references are quickly found; the k-th of these is no less than the k-th of all.
    smallest = gaps
    while (half := smallest.shape[1] // 2) >= 4 * k:
        smallest = np.minimum(smallest[:, :half], smallest[:, half : 2 * half])
    bound = np.partition(smallest, k - 1, axis=1)[:, k - 1, None] + 10.0**-_DIGITS
    row, column = np.divmod(np.flatnonzero(gaps <= bound), gaps.shape[1])  # several times as fast as nonzero
    order = np.lexsort((gaps[row, column].round(_DIGITS), row))  # stable
    begins = np.searchsorted(row, np.arange(len(gaps)))
    positions = column[order[begins[:, None] + np.arange(k)]]
    return Neighbours(positions, np.take_along_axis(gaps, positions, axis=1))


@dataclass(frozen=True)
class LaboratoryDistances:
    """How far apart pellets of one laboratory are, for what one of them tells about another.

    These are not the distances to pellets of the literature (`recipe_distances`). Within a laboratory, what
    neither of two recipes states is the same for both: powder, furnace, electrodes, habits. And which dopant
    stands on a site matters more than how much of it: amounts are compared by their square roots. All are of every
    query to every reference, shape (n_queries, n_references).

    Attributes
    ----------
    composition
        Hellinger's distance of the amounts on the sites: 0 for the same formula, about 2 if all of M differs.
    processing
        Sum over the fields: 0 for equal or not stated by either, 1 for wholly different, at most 2 for a number
        of the processing.
    prediction
        Absolute difference of what the trees say, on the scale the model learns.
    """

    composition: Floats
    processing: Floats
    prediction: Floats

    def take(self, rows: Ints, columns: Ints) -> LaboratoryDistances:
        """Return those of some queries and some references."""
        at = np.ix_(rows, columns)
        return LaboratoryDistances(self.composition[at], self.processing[at], self.prediction[at])


def laboratory_distances(
    queries: RecipeSpace, references: RecipeSpace, predicted: Floats, reference_predicted: Floats
) -> LaboratoryDistances:
    """Return the distances within a laboratory; predictions on the scale the model learns, shape (n,) each."""
    ours, theirs = (np.sqrt(np.maximum(space.sites, 0.0)) for space in (queries, references))
    squared = (ours**2).sum(axis=1)[:, None] + (theirs**2).sum(axis=1)[None, :] - 2.0 * ours @ theirs.T
    # Rounding must not make a formula differ from itself: the root would magnify it.
    composition = np.sqrt(np.where(squared < 1e-9, 0.0, squared))
    return LaboratoryDistances(
        composition,
        _processing_within(queries, references),
        np.abs(predicted[:, None] - reference_predicted[None, :]),
    )


def _processing_within(queries: RecipeSpace, references: RecipeSpace) -> Floats:
    numbers = np.minimum(np.abs(queries.numbers[:, None, :] - references.numbers[None, :, :]), _FURTHEST_WITHIN)
    choices = (queries.codes[:, None, :] != references.codes[None, :, :]).astype(np.float64)
    additive = np.minimum(np.abs(queries.additive[:, None, :] - references.additive[None, :, :]), 1.0)
    total = _stated(numbers, np.isnan(queries.numbers), np.isnan(references.numbers), _FURTHEST_WITHIN)
    total += _stated(choices, queries.codes < 0, references.codes < 0, 1.0)
    most = np.array(PREPARATION_WEIGHTS)
    prepared = np.minimum(np.abs(queries.preparation[:, None, :] - references.preparation[None, :, :]), 1.0) * most
    total += _stated(prepared, np.isnan(queries.preparation), np.isnan(references.preparation), most)
    return np.asarray(total + additive.sum(axis=2))


def _stated(gap: Floats, ours_unknown: Mask, theirs_unknown: Mask, most: float | Floats) -> Floats:
    """Add up fields: 0 where neither of the two states one, half of the most it can count where only one does.

    Less than half would place "not stated" closer to all values than these are to each other allows: the
    covariance made of the distance would not be one.
    """
    ours, theirs = ours_unknown[:, None, :], theirs_unknown[None, :, :]
    return np.asarray(np.where(ours & theirs, 0.0, np.where(ours | theirs, most / 2.0, gap)).sum(axis=2))
