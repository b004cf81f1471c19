"""Distances between recipes, and tables of recipes as pairs of a composition and a processing.

A screening of a million recipes has some hundred compositions and some hundred processings. Quantities that depend
on only one of the two are computed once per composition or processing, not once per recipe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.arrays import Floats, Ints, Mask
from nasicon_ml.columns import Column
from nasicon_ml.composition import OccupancyTable, occupancies
from nasicon_ml.composition.precursors import CationGroup
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

#: Combined row codes above this could overflow int64 in the next step; they are renumbered first.
_MAX_CODES = 2**62


def distinct_rows(n_rows: int, columns: Iterable[Any]) -> tuple[Ints, Ints]:
    """Find the distinct rows of a table; missing cells count as equal.

    Parameters
    ----------
    n_rows
        Number of rows.
    columns
        Arrays or series, each of shape (n_rows,).

    Returns
    -------
    first_rows, codes
        The first row of each distinct row, in order of appearance, and the number of the distinct row that each
        row equals, shape (n_rows,).
    """
    factorized = (pd.factorize(column, use_na_sentinel=False) for column in columns)
    return distinct_combinations(n_rows, ((values, codes) for codes, values in factorized))


def distinct_combinations(n_rows: int, columns: Iterable[tuple[Sized, Ints]]) -> tuple[Ints, Ints]:
    """Find distinct rows as `distinct_rows` does; a column is its distinct values and its codes."""
    row_codes, n_codes = np.zeros(n_rows, dtype=np.int64), 1
    for values, codes in columns:
        if n_codes * len(values) > _MAX_CODES:
            row_codes, n_codes = pd.factorize(row_codes)[0], n_rows
        if len(values) > 1:
            row_codes, n_codes = row_codes * len(values) + codes, n_codes * len(values)
    row_codes = pd.factorize(row_codes)[0]
    return np.flatnonzero(np.diff(np.maximum.accumulate(row_codes), prepend=-1)), row_codes


@dataclass(frozen=True)
class RecipePairs:
    """n recipes as pairs of a composition and a processing.

    Attributes
    ----------
    sites
        Occupancies of the m distinct compositions.
    processing
        The distinct processings: recipe columns without the formula, one row each.
    composition_index, processing_index
        Composition and processing of each recipe, shape (n,).
    """

    sites: OccupancyTable
    processing: pd.DataFrame
    composition_index: Ints
    processing_index: Ints

    @classmethod
    def from_table(cls, table: pd.DataFrame, sites: OccupancyTable) -> RecipePairs:
        """Split a table of n recipes into pairs; `sites` are its occupancies."""
        processing = table.drop(columns=[str(Column.FORMULA)], errors="ignore")
        first_rows, processing_index = distinct_rows(len(table), (processing[name] for name in processing))
        is_used = np.zeros(len(sites.systems), dtype=np.bool_)
        is_used[sites.index] = True
        per_formula = [field.name for field in fields(sites) if field.name != "index"]
        compositions = OccupancyTable(
            **{name: getattr(sites, name)[is_used] for name in per_formula}, index=np.arange(is_used.sum())
        )
        composition_index = (np.cumsum(is_used) - 1)[sites.index]
        return cls(compositions, processing.iloc[first_rows], composition_index, processing_index)

    @property
    def coverage(self) -> float:
        """Number of recipes divided by the number of possible pairs; above 1 if recipes are repeated."""
        return len(self.processing_index) / max(1, len(self.sites.systems) * len(self.processing))


#: A difference of this size counts as an entirely different value of the field, and whether the field spans
#: decades and is compared by its logarithm (the size is then in decades).
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
#: Weights of the fields that do not have weight 1.
WEIGHTS: dict[Column, float] = {Column.SINTERING_TEMPERATURE_C: 2.0, Column.DENSIFICATION: 2.0}
#: Difference in a field that one of the two recipes does not give: halfway between equal and different.
UNKNOWN = 0.5
#: Weights of the preparation, which few papers describe: its fields add to the distance only if both recipes give
#: them. Precursors are compared by the source of each kind of cation; these share the weight of one field.
PREPARATION_WEIGHTS = (1.0, 1.0, 1.0, *(1.0 / len(CationGroup) for _ in CationGroup))
#: Weight of exchanging one whole M cation, relative to all of the processing.
COMPOSITION_WEIGHT = 2.0
_SMALLEST_TIME_H = 1e-2
#: Distances computed at once by `nearest_neighbours`.
_CHUNK_CELLS = 2_000_000
#: Compositions whose distances are added up element by element at once. They fit into the processor's cache, and
#: are so few that most elements occur in none of them.
_COMPOSITION_BLOCK = 32
#: Queries whose distances are added up field by field at once; they fit into the processor's cache.
_QUERY_BLOCK = 64
#: Distances that are equal to so many digits are ties.
_DIGITS = 9
#: Within a laboratory, the largest difference of a number, in units of `SCALES`.
_MAX_LABORATORY_DIFFERENCE = 2.0


@dataclass(frozen=True)
class RecipeSpace:
    """Coordinates of n recipes.

    Attributes
    ----------
    sites
        Amounts on A, M and T, shape (n, 3 n_elements).
    numbers
        Processing numbers divided by their scale, shape (n, n_numbers), NaN where not given.
    codes
        Processing choices as integers, shape (n, n_choices), -1 where not given.
    additive
        Whether there is an additive, and its wt% divided by 10, shape (n, 2).
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
    def used_columns(self) -> Mask:
        """Columns of `sites` with a nonzero amount, shape (n_columns,)."""
        return np.asarray((self.sites != 0).any(axis=0))

    @cached_property
    def distinct_compositions(self) -> tuple[Ints, Ints]:
        """First recipe of each distinct composition, and the composition of each recipe, shape (n,)."""
        return distinct_rows(len(self), self.sites.T[self.used_columns])

    @cached_property
    def distinct_values(self) -> list[tuple[Floats, Ints]]:
        """Distinct values of each processing and preparation field, and the index of each recipe's value."""
        columns = [*self.numbers.T, *self.codes.T, *self.additive.T, *self.preparation.T]
        return [np.unique(column, return_inverse=True) for column in columns]

    @cached_property
    def distinct_processing(self) -> tuple[Ints, Ints]:
        """First recipe of each distinct processing, and the processing of each recipe, shape (n,)."""
        return distinct_combinations(len(self), self.distinct_values)

    def take(self, rows: Ints | slice) -> RecipeSpace:
        """Return the coordinates of the given recipes."""
        return RecipeSpace(
            self.sites[rows], self.numbers[rows], self.codes[rows], self.additive[rows], self.preparation[rows]
        )


def recipe_space(table: pd.DataFrame, *, sites: OccupancyTable | None = None) -> RecipeSpace:
    """Compute the coordinates of a table of recipes; `sites` are its occupancies, if the caller has them.

    Raises
    ------
    FormulaError
        If a formula cannot be read.
    """
    sites = occupancies(table[Column.FORMULA].to_list()) if sites is None else sites
    processing = processing_space(table, lambda: sites.per_row(host_mass_g_mol(sites)))
    return replace(processing, sites=sites.per_row(site_amounts(sites)))


def site_amounts(sites: OccupancyTable) -> Floats:
    """Return `RecipeSpace.sites` of each distinct composition, shape (n_unique, 3 n_elements)."""
    return np.hstack([sites.a, sites.m, sites.t])


def processing_space(table: pd.DataFrame, host_g_mol: Callable[[], Floats]) -> RecipeSpace:
    """Compute the coordinates of the processing of n recipes; their `sites` have no columns.

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
    prepared = preparation_table(table)
    preparation = [_scaled(prepared, field) for field in (Column.LITHIUM_EXCESS_PCT, Column.GREEN_PRESSURE_MPA)]
    preparation.append(prepared[Column.POWDER_BED].to_numpy(dtype=np.float64, na_value=np.nan))
    return RecipeSpace(
        np.empty((len(table), 0)),
        np.column_stack(numbers),
        np.column_stack(codes).astype(np.int8),
        np.column_stack(additive),
        np.column_stack([*preparation, *source_codes(prepared).values()]),
    )


def _scaled(table: pd.DataFrame, field: Column) -> Floats:
    scale, logarithmic = SCALES[field]
    values = table[field].to_numpy(dtype=np.float64)
    smallest = LOGARITHMIC.get(field, _SMALLEST_TIME_H)
    return np.asarray((np.log10(np.maximum(values, smallest)) if logarithmic else values) / scale)


def recipe_distances(queries: RecipeSpace, references: RecipeSpace) -> Floats:
    """Return the distance of every query to every reference, shape (n_queries, n_references).

    0 for the same composition with the same, fully stated processing; about 1 for entirely different processing; 2
    for each M cation per formula unit that is another element.
    """
    composition = COMPOSITION_WEIGHT * composition_distance(queries, references)
    return composition + processing_distance(queries, references)


def composition_distance(queries: RecipeSpace, references: RecipeSpace) -> Floats:
    """Return the number of cations in which compositions differ, shape (n_queries, n_references)."""
    used_columns = queries.used_columns | references.used_columns
    query_rows, query_index = queries.distinct_compositions
    reference_rows, reference_index = references.distinct_compositions
    query_amounts = queries.sites[query_rows].T[used_columns]
    reference_amounts = references.sites[reference_rows].T[used_columns]
    distances = np.zeros((len(query_rows), len(reference_rows)))
    for start in range(0, len(query_rows), _COMPOSITION_BLOCK):
        block = slice(start, start + _COMPOSITION_BLOCK)
        total, difference = distances[block], np.empty_like(distances[block])
        is_present = (query_amounts[:, block] != 0).any(axis=1)
        # Elements are added one by one: the order of a sum over an axis would depend on the shape of the array.
        for of_query, of_reference, present in zip(
            query_amounts[:, block, None], reference_amounts, is_present, strict=True
        ):
            if present:
                total += np.abs(np.subtract(of_query, of_reference, out=difference), out=difference)
            else:
                total += of_reference
    # An exchanged cation is counted twice: where it leaves and where another takes its place.
    distances *= 0.5
    return distances.take(reference_index, axis=1).take(query_index, axis=0)


def processing_distance(
    queries: RecipeSpace, references: RecipeSpace, dtype: type[np.floating[Any]] = np.float64
) -> NDArray[Any]:
    """Return the distance of the processing of every query to that of every reference.

    It is 0 to about 1, and up to 0.3 more if both state their preparation; shape (n_queries, n_references), summed
    in the given precision.
    """
    query_rows, query_index = queries.distinct_processing
    reference_rows, reference_index = references.distinct_processing
    lookups = [
        (np.ascontiguousarray(table.T, dtype=dtype), query_codes.take(query_rows), codes.take(reference_rows))
        for table, query_codes, codes in _field_distances(queries, references)
    ]
    distances = np.empty((len(query_rows), len(references)), dtype=dtype)
    for start in range(0, len(query_rows), _QUERY_BLOCK):
        block = slice(start, start + _QUERY_BLOCK)
        # References are the first axis: the value of one is looked up for many queries at once.
        total = np.zeros((len(reference_rows), len(distances[block])), dtype=dtype)
        added = np.empty_like(total)
        for table, query_codes, reference_codes in lookups:
            of_queries = table.take(query_codes[block], axis=1)
            total += np.take(of_queries, reference_codes, axis=0, out=added, mode="clip")
        distances[block] = total.take(reference_index, axis=0).T
    return distances if len(query_rows) == len(queries) else distances.take(query_index, axis=0)


def _field_distances(queries: RecipeSpace, references: RecipeSpace) -> Iterator[tuple[Floats, Ints, Ints]]:
    """Yield the contribution of each processing field to the distances.

    That is an array for all pairs of distinct values, shape (n_query_values, n_reference_values), with the index
    of the value of each query and of each reference.
    """
    columns = [*PROCESSING_NUMBERS, *PROCESSING_CHOICES]
    weights = [*(WEIGHTS.get(column, 1.0) for column in columns), 1.0, 1.0]  # the last two: additive
    total = sum(weights)
    values = zip(queries.distinct_values, references.distinct_values, strict=True)
    for index, (weight, pair) in enumerate(zip([*weights, *PREPARATION_WEIGHTS], values, strict=True)):
        (query_values, query_codes), (reference_values, reference_codes) = pair
        share = weight / total
        if len(PROCESSING_NUMBERS) <= index < len(columns):
            table = _choice_distances(query_values, reference_values, share)
        elif index < len(weights):
            table = _number_distances(query_values, reference_values, share, share * UNKNOWN)
        elif np.isnan(query_values).all() or np.isnan(reference_values).all():
            continue
        else:
            table = _number_distances(query_values, reference_values, share, 0.0)
        yield table, query_codes, reference_codes


def _choice_distances(queries: Floats, references: Floats, weight: float) -> Floats:
    unknown = (queries[:, None] < 0) | (references < 0)
    return weight * np.where(unknown, UNKNOWN, queries[:, None] != references)


def _number_distances(queries: Floats, references: Floats, weight: float, unknown: float) -> Floats:
    difference = np.minimum(np.abs(queries[:, None] - references), 1.0) * weight
    return np.where(np.isnan(difference), unknown, difference)


@dataclass(frozen=True)
class Neighbours:
    """The nearest references of n queries.

    Attributes
    ----------
    positions
        Positions among the references, shape (n, k), nearest first.
    distances
        Shape (n, k); infinite if fewer than k references are allowed.
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
        Coordinates of recipes.
    k
        Number of neighbours; at most the number of references.
    query_sources, reference_sources
        If both are given, references from the query's own source are excluded.
    """
    (neighbours,) = nearest_neighbours_among(
        queries,
        references,
        [(np.arange(len(references)), k)],
        query_sources=query_sources,
        reference_sources=reference_sources,
    )
    return neighbours


def nearest_neighbours_among(
    queries: RecipeSpace,
    references: RecipeSpace,
    subsets: Sequence[tuple[Ints, int]],
    *,
    query_sources: NDArray[np.object_] | None = None,
    reference_sources: NDArray[np.object_] | None = None,
) -> list[Neighbours]:
    """Find the nearest references in several subsets of them; the distances are computed once.

    Parameters
    ----------
    queries, references, query_sources, reference_sources
        As for `nearest_neighbours`.
    subsets
        Ascending positions of the references of each subset, and the number of neighbours to find in it.

    Returns
    -------
    list of Neighbours
        One for each subset; positions are those within the subset.
    """
    chunks_of_subsets: list[list[Neighbours]] = [[] for _ in subsets]
    step = max(1, _CHUNK_CELLS // max(1, len(references)))
    for start in range(0, max(1, len(queries)), step):
        rows = slice(start, start + step)
        distances = recipe_distances(queries if step >= len(queries) else queries.take(rows), references)
        if query_sources is not None and reference_sources is not None:
            distances[query_sources[rows, None] == reference_sources[None, :]] = np.inf
        for chunks, (positions, k) in zip(chunks_of_subsets, subsets, strict=True):
            is_all = len(positions) == len(references)
            chunks.append(_smallest(distances if is_all else distances.take(positions, axis=1), k))
    return [
        Neighbours(
            np.vstack([chunk.positions for chunk in chunks]), np.vstack([chunk.distances for chunk in chunks])
        )
        for chunks in chunks_of_subsets
    ]


def _smallest(distances: Floats, k: int) -> Neighbours:
    """Find the k smallest distances of each row; of rounded distances that are equal, the earlier comes first."""
    k = min(k, distances.shape[1])
    if not distances.size or not k:
        return Neighbours(np.empty((len(distances), k), dtype=np.intp), np.empty((len(distances), k)))
    # Minima of groups of references are found quickly; the k-th of these is an upper bound for the k-th of all.
    minima = distances
    while (half := minima.shape[1] // 2) >= 4 * k:
        minima = np.minimum(minima[:, :half], minima[:, half : 2 * half])
    bound = np.partition(minima, k - 1, axis=1)[:, k - 1, None] + 10.0**-_DIGITS
    row, column = np.divmod(np.flatnonzero(distances <= bound), distances.shape[1])  # much faster than nonzero
    order = np.lexsort((distances[row, column].round(_DIGITS), row))  # stable
    starts = np.searchsorted(row, np.arange(len(distances)))
    positions = column[order[starts[:, None] + np.arange(k)]]
    return Neighbours(positions, np.take_along_axis(distances, positions, axis=1))


@dataclass(frozen=True)
class LaboratoryDistances:
    """Distances between pellets of one laboratory, for what one of them tells about another.

    They differ from the distances to pellets of the literature (`recipe_distances`). Within a laboratory, what
    neither of two recipes states is the same for both: powder, furnace, electrodes, habits. And the kind of dopant
    on a site matters more than its amount: amounts are compared by their square roots. All have shape (n_queries,
    n_references).

    Attributes
    ----------
    composition
        Hellinger distance of the amounts on the sites: 0 for the same formula, about 2 if all of M differs.
    processing
        Sum over the fields: 0 if equal or not stated by either, 1 if entirely different, at most 2 for a number of
        the processing.
    prediction
        Absolute difference of the predictions of the trees, on the scale the model learns.
    """

    composition: Floats
    processing: Floats
    prediction: Floats


def laboratory_distances(
    queries: RecipeSpace, references: RecipeSpace, predicted: Floats, reference_predicted: Floats
) -> LaboratoryDistances:
    """Compute the distances within a laboratory; predictions have shape (n,), on the scale the model learns."""
    roots, reference_roots = (np.sqrt(np.maximum(space.sites, 0.0)) for space in (queries, references))
    squared = (roots**2).sum(axis=1)[:, None] + (reference_roots**2).sum(axis=1)[None, :]
    squared = squared - 2.0 * roots @ reference_roots.T
    # The root would magnify rounding errors: the distance of a formula to itself must be 0.
    composition = np.sqrt(np.where(squared < 1e-9, 0.0, squared))
    return LaboratoryDistances(
        composition,
        _laboratory_processing(queries, references),
        np.abs(predicted[:, None] - reference_predicted[None, :]),
    )


def _laboratory_processing(queries: RecipeSpace, references: RecipeSpace) -> Floats:
    """Return `LaboratoryDistances.processing`."""
    choices = (queries.codes[:, None, :] != references.codes[None, :, :]).astype(np.float64)
    numbers = _capped_differences(queries.numbers, references.numbers, _MAX_LABORATORY_DIFFERENCE)
    weights = np.array(PREPARATION_WEIGHTS)
    preparation = _capped_differences(queries.preparation, references.preparation, 1.0) * weights
    unknown, reference_unknown = np.isnan(queries.numbers), np.isnan(references.numbers)
    total = _sum_of_fields(numbers, unknown, reference_unknown, _MAX_LABORATORY_DIFFERENCE)
    total += _sum_of_fields(choices, queries.codes < 0, references.codes < 0, 1.0)
    unknown, reference_unknown = np.isnan(queries.preparation), np.isnan(references.preparation)
    total += _sum_of_fields(preparation, unknown, reference_unknown, weights)
    return np.asarray(total + _capped_differences(queries.additive, references.additive, 1.0).sum(axis=2))


def _capped_differences(queries: Floats, references: Floats, maximum: float) -> Floats:
    return np.minimum(np.abs(queries[:, None, :] - references[None, :, :]), maximum)


def _sum_of_fields(
    differences: Floats, query_unknown: Mask, reference_unknown: Mask, maximum: float | Floats
) -> Floats:
    """Sum differences over fields; 0 if neither recipe states the field, half of the maximum if only one does.

    With less than half, "not stated" would be closer to all values than the triangle inequality allows, and a
    covariance derived from the distance would not be positive definite.
    """
    neither = query_unknown[:, None, :] & reference_unknown[None, :, :]
    either = query_unknown[:, None, :] | reference_unknown[None, :, :]
    return np.asarray(np.where(neither, 0.0, np.where(either, maximum / 2.0, differences)).sum(axis=2))
