"""How near recipes lie to measured pellets and to their sources, for millions of recipes.

The distance of two recipes is a sum: how their compositions differ, and how their processing does. A table of
recipes has few different compositions and, in a screening, few different processings. So both parts are computed
once for each different one, and a recipe costs one addition a pellet. What is asked of the distances are minima,
which are taken in layers: the first pellet of every source, the second, and so on, so that each step runs over
neighbouring numbers.

Where one composition is processed in many ways, most pellets are ruled out for all of these at once: a pellet that
is further with the nearest processing than enough others are with the furthest cannot be among the nearest of any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    composition_points,
    distinct_rows,
    processing_distance,
    processing_points,
    recipe_space,
)

Singles = NDArray[np.float32]

#: Recipes whose distances to all pellets are held at once: what fits into a processor's cache.
_BLOCK = 256
#: Different compositions whose distances are computed beforehand; of more, block by block.
_MOST_KEPT = 4096
#: Different processings whose distances are held at once.
_PROCESSING = 512
#: From so many processings of one composition on, it pays to rule pellets out first.
_MANY = 32
#: So few numbers are sorted faster than searched for the smallest, time after time.
_FEW = 128


@dataclass(frozen=True)
class DistinctPoints:
    """n recipes as points: their different compositions and processings, and which recipe has which.

    Attributes
    ----------
    compositions, processing
        Points of which only the sites, or only the processing, count.
    composition_of, processing_of
        Positions of each recipe among them, shape (n,).
    """

    compositions: RecipeSpace
    processing: RecipeSpace
    composition_of: Ints
    processing_of: Ints

    def __len__(self) -> int:
        return len(self.processing_of)


def distinct_points(space: RecipeSpace, sites: OccupancyTable) -> DistinctPoints:
    """Return the distinct points of n recipes; `sites` are their occupancies, and say who shares a composition."""
    first, composition_of = distinct_rows(len(space), [sites.index])
    one_of, processing_of = space.distinct_processing
    return DistinctPoints(space.take(first), space.take(one_of), composition_of, processing_of)


def pair_points(pairs: RecipePairs) -> DistinctPoints:
    """Return the distinct points of recipes, as `distinct_points` does, from the parts they are made of."""
    made, sites = pairs.processing, pairs.sites
    if made[Column.ADDITIVE].notna().any():  # how much of it is in a pellet depends on both parts
        rows = replace(sites, index=pairs.composition_of)
        return distinct_points(recipe_space(made.iloc[pairs.processing_of], sites=rows), rows)
    processing = processing_points(made, lambda: np.full(len(made), np.nan))  # no additive has no amount
    points = composition_points(sites)
    nothing = np.empty((len(points), 0))
    compositions = RecipeSpace(points, nothing, nothing.astype(np.int8), nothing, nothing)
    return DistinctPoints(compositions, processing, pairs.composition_of, pairs.processing_of)


@dataclass(frozen=True)
class NearestDistances:
    """Distances of n recipes to what was measured.

    Attributes
    ----------
    pellets
        Distances to the k nearest pellets, nearest first, shape (n, k).
    sources
        Distances to the nearest pellet of each of the j nearest sources, nearest first, shape (n, j).
    """

    pellets: Floats
    sources: Floats


#: Rows of a table, their distances to pellets, shape (n_rows, n_pellets), and how many of these each layer has.
_Distances = tuple[Ints, Singles, tuple[int, ...]]


@dataclass(frozen=True)
class MeasuredPellets:
    """The measured pellets, sorted by layer: the first of every source, the second of those that have one, ...

    Attributes
    ----------
    space
        Points of the pellets in this order; m of them.
    layers
        How many pellets each layer has, falling; the first has one of every source.
    """

    space: RecipeSpace
    layers: tuple[int, ...]

    @classmethod
    def of(cls, space: RecipeSpace, sources: NDArray[np.object_]) -> MeasuredPellets:
        """Sort measured pellets, given with their sources, shape (m,)."""
        code = np.unique(sources.astype(str), return_inverse=True)[1]
        by_source = np.argsort(code, kind="stable")
        order, sizes = _layered(np.zeros(len(code), dtype=np.intp), code[by_source])
        return cls(space.take(by_source[order]), tuple(sizes[0].tolist()))

    def nearest_distances(self, asked: DistinctPoints, pellets: int, sources: int) -> NearestDistances:
        """Return how near recipes lie, each to its nearest pellets and sources.

        Parameters
        ----------
        asked
            The recipes, n of them.
        pellets, sources
            How many of each; fewer where there are fewer.

        Returns
        -------
        NearestDistances
            The same numbers whatever else stands in the table: every distance is the sum of two single-precision
            numbers that depend on its own recipe alone.
        """
        k, j = min(pellets, len(self.space)), min(sources, self.layers[0])
        near, gaps = np.empty((len(asked), k)), np.empty((len(asked), j))
        for rows, total, layers in self._distances(asked, k, j):
            gaps[rows] = np.sort(_by_source(total, layers), axis=1)[:, :j]
            near[rows] = _smallest(total, k)
        return NearestDistances(near, gaps)

    def _distances(self, asked: DistinctPoints, k: int, j: int) -> Iterator[_Distances]:
        """Yield distances block by block, at least to every pellet that is among the nearest of its recipe."""
        of_composition = _Kept(self._of_compositions, asked.compositions)
        for first, rows in _by_processing(asked):
            some_processing = asked.processing.take(slice(first, first + _PROCESSING))
            by_processing = processing_distance(some_processing, self.space, np.float32)
            few, many = _runs(rows, asked.composition_of)
            for start in range(0, len(few), _BLOCK):
                some = few[start : start + _BLOCK]
                total = by_processing.take(asked.processing_of[some] - first, axis=0)
                total += of_composition.take(asked.composition_of[some])
                yield some, total, self.layers
            by_pellet = np.ascontiguousarray(by_processing.T) if many else by_processing
            for start in range(0, len(many), _BLOCK):
                runs = many[start : start + _BLOCK]
                of_runs = of_composition.take(asked.composition_of[[run[0] for run in runs]])
                in_reach = self._layers_in(self._in_reach(of_runs, by_processing, k, j))
                for run, of_run, (kept, layers) in zip(runs, of_runs, in_reach, strict=True):
                    parts, shared, made = by_pellet[kept], of_run[kept, None], asked.processing_of[run] - first
                    for begin in range(0, len(run), _PROCESSING):
                        part = slice(begin, begin + _PROCESSING)
                        # Pellet after pellet in memory: the layers are taken along neighbouring numbers.
                        total = parts.take(made[part], axis=1)
                        total += shared
                        yield run[part], total.T, layers

    def _in_reach(self, of_compositions: Singles, by_processing: Singles, k: int, j: int) -> Mask:
        """Return which pellets may be among the nearest of some composition; shape (n_compositions, m).

        Sums in single precision are rounded, but keep their order: a pellet's distance lies between the sum with
        its nearest processing and the sum with its furthest, to the last bit.
        """
        furthest = of_compositions + by_processing.max(axis=0)
        bound = np.sort(_by_source(furthest, self.layers), axis=1)[:, j - 1]
        if k > j:
            bound = np.maximum(bound, np.partition(furthest, k - 1, axis=1)[:, k - 1])
        possible: Mask = of_compositions + by_processing.min(axis=0) <= bound[:, None]
        return possible

    def _layers_in(self, kept: Mask) -> Iterator[tuple[Ints, tuple[int, ...]]]:
        """Yield the pellets of each row of a mask, shape (n, m), by layer, and how many each layer has."""
        by_source, source = self._by_source
        row, place = np.divmod(np.flatnonzero(kept.take(by_source, axis=1)), len(by_source))
        order, sizes = _layered(row, source[place])
        pellets = by_source[place[order]]
        stops = np.cumsum(sizes.sum(axis=1))
        for stop, size in zip(stops.tolist(), sizes, strict=True):
            layers = tuple(size[size > 0].tolist())
            yield pellets[stop - sum(layers) : stop], layers

    @cached_property
    def _by_source(self) -> tuple[Ints, Ints]:
        """The pellets sorted by source, and the source of each in this order; shape (m,)."""
        source = np.concatenate([np.arange(size) for size in self.layers])
        order = np.argsort(source, kind="stable")
        return order, source[order]

    def _of_compositions(self, compositions: RecipeSpace) -> Singles:
        """Return the part of the distances that comes from compositions; shape (len(compositions), m)."""
        return (COMPOSITION_WEIGHT * composition_distance(compositions, self.space)).astype(np.float32)


class _Kept:
    """A part of the distances: computed beforehand for few different points, else for those that are asked for."""

    def __init__(self, compute: Callable[[RecipeSpace], Singles], points: RecipeSpace) -> None:
        self._compute, self._points = compute, points
        self._known = compute(points) if len(points) <= _MOST_KEPT else None

    def take(self, which: Ints) -> Singles:
        """Return it for some of the points, as an array of one's own."""
        if self._known is not None:
            return self._known.take(which, axis=0)
        first, again = distinct_rows(len(which), [which])
        return self._compute(self._points.take(which[first])).take(again, axis=0)


def _layered(table: Ints, source: Ints) -> tuple[Ints, Ints]:
    """Sort the pellets of several tables by layer: a layer holds one pellet of each source that has so many.

    A source with more pellets stands before one with fewer, so each layer has the sources that come first. Pellets
    are given by table and then by source, shape (m,). Return them by table and layer, shape (m,), and how many
    each layer has, shape (n_tables, n_layers).
    """
    starts = np.flatnonzero((np.diff(table, prepend=-1) != 0) | (np.diff(source, prepend=-1) != 0))
    counts = np.diff(starts, append=len(table))
    turn = np.arange(len(table)) - np.repeat(starts, counts)
    most = int(counts.max())
    layer = table * most + turn
    order = np.argsort(layer * (most + 1) + most - np.repeat(counts, counts), kind="stable")
    return order, np.bincount(layer, minlength=(int(table[-1]) + 1) * most).reshape(-1, most)


def _by_processing(asked: DistinctPoints) -> Iterator[tuple[int, Ints]]:
    """Part recipes by their processing, `_PROCESSING` at a time: the first of it, and the rows by composition."""
    group = asked.processing_of // _PROCESSING
    order = np.argsort(group * len(asked.compositions) + asked.composition_of, kind="stable")
    stops = np.cumsum(np.bincount(group))
    return zip(range(0, len(asked.processing), _PROCESSING), np.split(order, stops[:-1]), strict=False)


def _runs(rows: Ints, composition_of: Ints) -> tuple[Ints, list[Ints]]:
    """Part rows, sorted by composition, into those of which few share one, and those of each that many share."""
    starts = np.flatnonzero(np.diff(composition_of[rows], prepend=-1))
    lengths = np.diff(starts, append=len(rows))
    many = lengths >= _MANY
    runs = [rows[start : start + length] for start, length in zip(starts[many], lengths[many], strict=True)]
    return rows[np.repeat(~many, lengths)], runs


def _by_source(total: Singles, layers: tuple[int, ...]) -> Singles:
    """Return the smallest distance to each source; shape (n, n_sources)."""
    found = total[:, : layers[0]].copy(order="K")
    start = layers[0]
    for size in layers[1:]:
        np.minimum(found[:, :size], total[:, start : start + size], out=found[:, :size])
        start += size
    return found


def _smallest(total: Singles, k: int) -> Singles:
    """Return the k smallest numbers of each row, rising; `total` is used up."""
    if total.shape[1] <= _FEW:
        return np.sort(total, axis=1)[:, :k]
    found = np.empty((len(total), k), dtype=np.float32)
    rows = np.arange(len(total))
    for turn in range(k):
        at = total.argmin(axis=1)
        found[:, turn] = total[rows, at]
        total[rows, at] = np.inf
    return found
