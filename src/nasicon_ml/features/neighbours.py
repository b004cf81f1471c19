"""Distances of millions of recipes to their nearest measured pellets and sources.

The distance of two recipes is the sum of a composition part and a processing part. A table of recipes has few
distinct compositions and, in a screening, few distinct processings. Both parts are computed once for each, and a
recipe costs one addition per pellet. Minima over the pellets of each source are taken in layers: the first pellet
of every source, the second, and so on, so that each step runs over contiguous memory.

If one composition has many processings, most pellets are excluded for all of them at once: a pellet that is
further away with the nearest processing than enough others are with the furthest cannot be among the nearest of
any.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.arrays import Floats, Ints, Mask
from nasicon_ml.columns import Column
from nasicon_ml.composition import OccupancyTable
from nasicon_ml.features.distances import (
    COMPOSITION_WEIGHT,
    RecipePairs,
    RecipeSpace,
    composition_distance,
    distinct_rows,
    processing_distance,
    processing_space,
    recipe_space,
    site_amounts,
)

Singles = NDArray[np.float32]

#: Recipes whose distances to all pellets are computed at once; they fit into the processor's cache.
_RECIPE_BLOCK = 256
#: Up to so many distinct compositions, their distances are computed in advance; otherwise block by block.
_MAX_COMPOSITIONS = 4096
#: Distinct processings whose distances are kept at once.
_PROCESSING_BLOCK = 512
#: With at least so many processings of one composition, pellets are excluded first.
_MIN_PROCESSINGS = 32
#: Up to so many numbers, sorting is faster than searching for the minimum repeatedly.
_MAX_SORTED = 128


@dataclass(frozen=True)
class DistinctPoints:
    """Coordinates of n recipes, as distinct compositions and distinct processings.

    Attributes
    ----------
    compositions, processing
        Coordinates; only the sites of the first and only the processing of the second are used.
    composition_index, processing_index
        Composition and processing of each recipe, shape (n,).
    """

    compositions: RecipeSpace
    processing: RecipeSpace
    composition_index: Ints
    processing_index: Ints

    def __len__(self) -> int:
        return len(self.processing_index)


def distinct_points(space: RecipeSpace, sites: OccupancyTable) -> DistinctPoints:
    """Return the distinct points of n recipes; `sites` are their occupancies."""
    composition_rows, composition_index = distinct_rows(len(space), [sites.index])
    processing_rows, processing_index = space.distinct_processing
    return DistinctPoints(
        space.take(composition_rows), space.take(processing_rows), composition_index, processing_index
    )


def pair_points(pairs: RecipePairs) -> DistinctPoints:
    """Return the distinct points of recipes that are given as pairs, equal to those of `distinct_points`."""
    table, sites = pairs.processing, pairs.sites
    if table[Column.ADDITIVE].notna().any():  # its amount depends on both the composition and the processing
        row_sites = replace(sites, index=pairs.composition_index)
        return distinct_points(recipe_space(table.iloc[pairs.processing_index], sites=row_sites), row_sites)
    processing = processing_space(table, lambda: np.full(len(table), np.nan))  # not called without an additive
    amounts = site_amounts(sites)
    unused = np.empty((len(amounts), 0))
    compositions = RecipeSpace(amounts, unused, unused.astype(np.int8), unused, unused)
    return DistinctPoints(compositions, processing, pairs.composition_index, pairs.processing_index)


@dataclass(frozen=True)
class NearestDistances:
    """Distances of n recipes to the measured pellets.

    Attributes
    ----------
    pellets
        Distances to the k nearest pellets, nearest first, shape (n, k).
    sources
        Distances to the nearest pellet of each of the j nearest sources, nearest first, shape (n, j).
    """

    pellets: Floats
    sources: Floats


#: Rows of a table, their distances to pellets, shape (n_rows, n_pellets), and the number of these in each layer.
_DistanceBlock = tuple[Ints, Singles, tuple[int, ...]]


@dataclass(frozen=True)
class MeasuredPellets:
    """The m measured pellets, sorted by layer: the first pellet of every source, the second of every source, ...

    Attributes
    ----------
    space
        Coordinates of the pellets in this order.
    layers
        Number of pellets in each layer, descending; the first has one pellet of every source.
    """

    space: RecipeSpace
    layers: tuple[int, ...]

    @classmethod
    def from_sources(cls, space: RecipeSpace, sources: NDArray[np.object_]) -> MeasuredPellets:
        """Sort measured pellets by layer; `sources` has shape (m,)."""
        source_codes = np.unique(sources.astype(str), return_inverse=True)[1]
        by_source = np.argsort(source_codes, kind="stable")
        order, sizes = _sort_by_layer(np.zeros(len(source_codes), dtype=np.intp), source_codes[by_source])
        return cls(space.take(by_source[order]), tuple(sizes[0].tolist()))

    def nearest_distances(self, recipes: DistinctPoints, n_pellets: int, n_sources: int) -> NearestDistances:
        """Compute the distances of n recipes to their nearest pellets and sources.

        Parameters
        ----------
        recipes
            The recipes.
        n_pellets, n_sources
            Number of pellets and of sources; the result has fewer if there are fewer.

        Returns
        -------
        NearestDistances
            Independent of the other recipes in the table: every distance is the sum of two single-precision
            numbers that depend on its own recipe alone.
        """
        k, j = min(n_pellets, len(self.space)), min(n_sources, self.layers[0])
        pellets, sources = np.empty((len(recipes), k)), np.empty((len(recipes), j))
        for rows, distances, layers in self._distances(recipes, k, j):
            sources[rows] = np.sort(_minimum_by_source(distances, layers), axis=1)[:, :j]
            pellets[rows] = _smallest(distances, k)
        return NearestDistances(pellets, sources)

    def _distances(self, recipes: DistinctPoints, k: int, j: int) -> Iterator[_DistanceBlock]:
        """Yield distances block by block, at least to every pellet that is among the nearest of its recipe."""
        by_composition = _CompositionDistances(recipes.compositions, self.space)
        for first, rows in _split_by_processing(recipes):
            processing = recipes.processing.take(slice(first, first + _PROCESSING_BLOCK))
            by_processing = processing_distance(processing, self.space, np.float32)
            single_rows, runs = _split_by_composition(rows, recipes.composition_index)
            for start in range(0, len(single_rows), _RECIPE_BLOCK):
                block = single_rows[start : start + _RECIPE_BLOCK]
                distances = by_processing.take(recipes.processing_index[block] - first, axis=0)
                distances += by_composition.take(recipes.composition_index[block])
                yield block, distances, self.layers
            by_pellet = np.ascontiguousarray(by_processing.T) if runs else by_processing
            for start in range(0, len(runs), _RECIPE_BLOCK):
                block_runs = runs[start : start + _RECIPE_BLOCK]
                of_runs = by_composition.take(recipes.composition_index[[run[0] for run in block_runs]])
                candidates = self._layers_of_candidates(self._are_candidates(of_runs, by_processing, k, j))
                for run, of_run, (pellets, layers) in zip(block_runs, of_runs, candidates, strict=True):
                    of_pellets, of_composition = by_pellet[pellets], of_run[pellets, None]
                    columns = recipes.processing_index[run] - first
                    for begin in range(0, len(run), _PROCESSING_BLOCK):
                        part = slice(begin, begin + _PROCESSING_BLOCK)
                        # Pellets are the first axis: minima over layers then run along contiguous memory.
                        distances = of_pellets.take(columns[part], axis=1)
                        distances += of_composition
                        yield run[part], distances.T, layers

    def _are_candidates(self, by_composition: Singles, by_processing: Singles, k: int, j: int) -> Mask:
        """Return which pellets can be among the nearest with some processing, shape (n_compositions, m).

        Rounding to single precision keeps the order of sums: the distance of a pellet lies exactly between the sum
        with its nearest processing and the sum with its furthest.
        """
        furthest = by_composition + by_processing.max(axis=0)
        bound = np.sort(_minimum_by_source(furthest, self.layers), axis=1)[:, j - 1]
        if k > j:
            bound = np.maximum(bound, np.partition(furthest, k - 1, axis=1)[:, k - 1])
        return np.asarray(by_composition + by_processing.min(axis=0) <= bound[:, None])

    def _layers_of_candidates(self, are_candidates: Mask) -> Iterator[tuple[Ints, tuple[int, ...]]]:
        """Yield the pellets of each row of a mask, shape (n, m), sorted by layer, and the size of each layer."""
        by_source, source = self._pellets_by_source
        row, column = np.divmod(np.flatnonzero(are_candidates.take(by_source, axis=1)), len(by_source))
        order, sizes = _sort_by_layer(row, source[column])
        pellets = by_source[column[order]]
        stops = np.cumsum(sizes.sum(axis=1))
        for stop, row_sizes in zip(stops.tolist(), sizes, strict=True):
            layers = tuple(row_sizes[row_sizes > 0].tolist())
            yield pellets[stop - sum(layers) : stop], layers

    @cached_property
    def _pellets_by_source(self) -> tuple[Ints, Ints]:
        """Pellets sorted by source, and the source of each in this order, shape (m,)."""
        source = np.concatenate([np.arange(size) for size in self.layers])
        order = np.argsort(source, kind="stable")
        return order, source[order]


class _CompositionDistances:
    """Composition part of the distances to pellets, computed in advance unless there are many compositions."""

    def __init__(self, compositions: RecipeSpace, pellets: RecipeSpace) -> None:
        self._compositions, self._pellets = compositions, pellets
        self._known = self._compute(compositions) if len(compositions) <= _MAX_COMPOSITIONS else None

    def take(self, index: Ints) -> Singles:
        """Return a new array of the distances of the given compositions, shape (len(index), m)."""
        if self._known is not None:
            return self._known.take(index, axis=0)
        first_rows, codes = distinct_rows(len(index), [index])
        return self._compute(self._compositions.take(index[first_rows])).take(codes, axis=0)

    def _compute(self, compositions: RecipeSpace) -> Singles:
        return (COMPOSITION_WEIGHT * composition_distance(compositions, self._pellets)).astype(np.float32)


def _sort_by_layer(table: Ints, source: Ints) -> tuple[Ints, Ints]:
    """Sort the pellets of several tables by layer: a layer has one pellet of each source with enough pellets.

    Within a layer, sources with more pellets come first, so that each layer has the first sources of the one
    before.

    Parameters
    ----------
    table, source
        Table and source of each pellet, sorted by both, shape (m,).

    Returns
    -------
    order, sizes
        Pellets by table and layer, shape (m,), and the number of pellets in each layer, shape (n_tables,
        n_layers).
    """
    starts = np.flatnonzero((np.diff(table, prepend=-1) != 0) | (np.diff(source, prepend=-1) != 0))
    counts = np.diff(starts, append=len(table))
    rank = np.arange(len(table)) - np.repeat(starts, counts)
    n_layers = int(counts.max())
    layer = table * n_layers + rank
    order = np.argsort(layer * (n_layers + 1) + n_layers - np.repeat(counts, counts), kind="stable")
    return order, np.bincount(layer, minlength=(int(table[-1]) + 1) * n_layers).reshape(-1, n_layers)


def _split_by_processing(recipes: DistinctPoints) -> Iterator[tuple[int, Ints]]:
    """Yield the first of `_PROCESSING_BLOCK` processings at a time, and the rows with these, by composition."""
    block = recipes.processing_index // _PROCESSING_BLOCK
    order = np.argsort(block * len(recipes.compositions) + recipes.composition_index, kind="stable")
    stops = np.cumsum(np.bincount(block))
    return zip(range(0, len(recipes.processing), _PROCESSING_BLOCK), np.split(order, stops[:-1]), strict=False)


def _split_by_composition(rows: Ints, composition_index: Ints) -> tuple[Ints, list[Ints]]:
    """Split rows, sorted by composition, into those of compositions with few rows and a list of the others."""
    starts = np.flatnonzero(np.diff(composition_index[rows], prepend=-1))
    lengths = np.diff(starts, append=len(rows))
    is_run = lengths >= _MIN_PROCESSINGS
    runs = [rows[start : start + length] for start, length in zip(starts[is_run], lengths[is_run], strict=True)]
    return rows[np.repeat(~is_run, lengths)], runs


def _minimum_by_source(distances: Singles, layers: tuple[int, ...]) -> Singles:
    """Return the smallest distance to each source, shape (n, n_sources)."""
    minimum = distances[:, : layers[0]].copy(order="K")
    start = layers[0]
    for size in layers[1:]:
        np.minimum(minimum[:, :size], distances[:, start : start + size], out=minimum[:, :size])
        start += size
    return minimum


def _smallest(distances: Singles, k: int) -> Singles:
    """Return the k smallest numbers of each row, ascending; `distances` is overwritten."""
    if distances.shape[1] <= _MAX_SORTED:
        return np.sort(distances, axis=1)[:, :k]
    smallest = np.empty((len(distances), k), dtype=np.float32)
    rows = np.arange(len(distances))
    for column in range(k):
        position = distances.argmin(axis=1)
        smallest[:, column] = distances[rows, position]
        distances[rows, position] = np.inf
    return smallest
