"""How near recipes lie to measured pellets and to their sources, for millions of recipes.

The distance of two recipes is a sum: how their compositions differ, and how their processing does. A table of
recipes has few different compositions and, in a screening, few different ways of making them. So both parts are
computed once for each different one, and a recipe costs one addition a pellet. What is asked of the distances are
minima, which are taken in layers: the first pellet of every source, the second, and so on, so that each step runs
over neighbouring numbers.

Where one composition is made in many ways, most pellets are ruled out for all of these ways at once: a pellet that
is further in the best of the ways than enough others are in the worst cannot be among the nearest in any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.composition import OccupancyTable
from nasicon_ml.features.similarity import (
    COMPOSITION_WEIGHT,
    RecipeSpace,
    composition_distance,
    processing_parts,
)

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Ints = NDArray[np.intp]

#: Recipes whose distances to all pellets are held at once: what fits into a processor's cache.
_BLOCK = 256
#: Ways of making whose distances are added up field by field at once: what fits into a processor's cache.
_CACHED = 64
#: Different compositions whose distances are computed beforehand; of more, block by block.
_MOST_KEPT = 4096
#: Different ways of making whose distances are held at once.
_WAYS = 512
#: From so many ways of making one composition on, it pays to rule pellets out first.
_MANY = 32
#: So few numbers are sorted faster than searched for the smallest, time after time.
_FEW = 128


@dataclass(frozen=True)
class Places:
    """Where n recipes lie: the different compositions and ways of making, and which recipe has which.

    Attributes
    ----------
    compositions, ways
        Points of which only the sites, or only the processing, count.
    composition_of, way_of
        Positions of each recipe among them, shape (n,).
    """

    compositions: RecipeSpace
    ways: RecipeSpace
    composition_of: Ints
    way_of: Ints

    def __len__(self) -> int:
        return len(self.way_of)


def places(space: RecipeSpace, sites: OccupancyTable) -> Places:
    """Sort recipes by what they are made of and how.

    Parameters
    ----------
    space
        n recipes.
    sites
        Their occupancies: which of them share a composition.
    """
    first = np.zeros(len(sites.systems), dtype=np.intp)
    first[sites.index[::-1]] = np.arange(len(space))[::-1]
    used, composition_of = np.unique(sites.index, return_inverse=True)
    one_of, way_of = different_rows(len(space), [*space.numbers.T, *space.codes.T, *space.additive.T])
    return Places(space.take(first[used]), space.take(one_of), composition_of, way_of)


@dataclass(frozen=True)
class Surroundings:
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
class Measured:
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
    def of(cls, space: RecipeSpace, sources: NDArray[np.object_]) -> Measured:
        """Sort pellets, given with their sources, shape (m,)."""
        order, layers = _layered(sources.astype(str))
        return cls(space.take(order), layers)

    def surroundings(self, asked: Places, pellets: int, sources: int) -> Surroundings:
        """Measure how near recipes lie, each to its nearest pellets and sources.

        Parameters
        ----------
        asked
            The recipes, n of them.
        pellets, sources
            How many of each; fewer where there are fewer.

        Returns
        -------
        Surroundings
            The same numbers whatever else stands in the table: every distance is the sum of two single-precision
            numbers that depend on its own recipe alone.
        """
        k, j = min(pellets, len(self.space)), min(sources, self.layers[0])
        near, gaps = np.empty((len(asked), k)), np.empty((len(asked), j))
        for rows, total, layers in self._distances(asked, k, j):
            gaps[rows] = np.sort(_by_source(total, layers), axis=1)[:, :j]
            near[rows] = _smallest(total, k)
        return Surroundings(near, gaps)

    def _distances(self, asked: Places, k: int, j: int) -> Iterator[_Distances]:
        """Give the distances block by block, at least to every pellet that is among the nearest of its recipe."""
        of_composition = _Kept(self._of_compositions, asked.compositions)
        for first, rows in _by_ways(asked):
            of_way = self._of_ways(asked.ways.take(slice(first, first + _WAYS)))
            few, many = _runs(rows, asked.composition_of)
            for start in range(0, len(few), _BLOCK):
                some = few[start : start + _BLOCK]
                total = of_way[asked.way_of[some] - first]
                total += of_composition.take(asked.composition_of[some])
                yield some, total, self.layers
            by_pellet = np.ascontiguousarray(of_way.T) if many else of_way
            for start in range(0, len(many), _BLOCK):
                runs = many[start : start + _BLOCK]
                of_runs = of_composition.take(asked.composition_of[[run[0] for run in runs]])
                in_reach = self._in_reach(of_runs, of_way, k, j)
                for run, of_run, kept in zip(runs, of_runs, in_reach, strict=True):
                    yield from self._of_run(run, asked.way_of[run] - first, of_run, kept, by_pellet)

    def _of_run(
        self, rows: Ints, ways: Ints, of_run: Singles, kept: NDArray[np.bool_], by_pellet: Singles
    ) -> Iterator[_Distances]:
        """Give the distances of recipes that share a composition, to some pellets only."""
        order, layers = _layered(self._source[kept])
        pellets = np.flatnonzero(kept)[order]
        parts, shared = by_pellet[pellets], of_run[pellets, None]
        for start in range(0, len(rows), _WAYS):
            some = slice(start, start + _WAYS)
            # Pellet after pellet in memory, so that the layers are taken along neighbouring numbers.
            total = parts.take(ways[some], axis=1)
            total += shared
            yield rows[some], total.T, layers

    def _in_reach(self, of_compositions: Singles, of_way: Singles, k: int, j: int) -> NDArray[np.bool_]:
        """Tell which pellets may be among the nearest of some composition; shape (n_compositions, m).

        Sums in single precision are rounded, but keep their order: a pellet's distance lies between the sum with
        its nearest way and the sum with its furthest, to the last bit.
        """
        furthest = of_compositions + of_way.max(axis=0)
        bound = np.sort(_by_source(furthest, self.layers), axis=1)[:, j - 1]
        if k > j:
            bound = np.maximum(bound, np.partition(furthest, k - 1, axis=1)[:, k - 1])
        possible: NDArray[np.bool_] = of_compositions + of_way.min(axis=0) <= bound[:, None]
        return possible

    @cached_property
    def _source(self) -> Ints:
        """The source of every pellet, as its position in the first layer; shape (m,)."""
        return np.concatenate([np.arange(size) for size in self.layers])

    @cached_property
    def _compositions(self) -> tuple[RecipeSpace, Ints]:
        """The pellets' different compositions, and which of them each pellet has."""
        one_of, which = different_rows(len(self.space), self.space.sites.T[self.space.occurring])
        return self.space.take(one_of), which

    def _of_compositions(self, compositions: RecipeSpace) -> Singles:
        """Give the part of the distances that comes from compositions; shape (len(compositions), m)."""
        different, which = self._compositions
        exchanged = composition_distance(compositions, different)
        return (COMPOSITION_WEIGHT * exchanged).astype(np.float32).take(which, axis=1)

    def _of_ways(self, ways: RecipeSpace) -> Singles:
        """Give the part of the distances that comes from processing; shape (len(ways), m)."""
        parts = list(processing_parts(ways, self.space))
        found = np.zeros((len(ways), len(self.space)), dtype=np.float32)
        for start in range(0, len(ways), _CACHED):
            some = slice(start, start + _CACHED)
            for part in parts:
                part.add(found[some], some)
        return found


class _Kept:
    """A part of the distances: computed beforehand for few different points, else for those that are asked for."""

    def __init__(self, compute: Callable[[RecipeSpace], Singles], points: RecipeSpace) -> None:
        self._compute, self._points = compute, points
        self._known = compute(points) if len(points) <= _MOST_KEPT else None

    def take(self, which: Ints) -> Singles:
        """Give it for some of the points, as an array of one's own."""
        if self._known is not None:
            return self._known[which]
        different, again = np.unique(which, return_inverse=True)
        return self._compute(self._points.take(different))[again]


def different_rows(rows: int, columns: Iterable[Any]) -> tuple[Ints, Ints]:
    """Tell rows apart by what their columns hold; what is not given is alike.

    Parameters
    ----------
    rows
        How many.
    columns
        Arrays or series, each of shape (rows,).

    Returns
    -------
    one_of, which
        The first row of each kind, and the kind of every row, shape (rows,).
    """
    code = np.zeros(rows, dtype=np.int64)
    for column in columns:
        parts, kinds = pd.factorize(column, use_na_sentinel=False)
        if len(kinds) > 1:
            code = pd.factorize(code * len(kinds) + parts)[0]
    _, one_of, which = np.unique(code, return_index=True, return_inverse=True)
    return one_of, which


def _layered(source: NDArray[Any]) -> tuple[Ints, tuple[int, ...]]:
    """Sort pellets by layer: give their order, shape (m,), and how many pellets each layer has, falling.

    A source with more pellets stands before one with fewer, so each layer has the sources that come first.
    """
    _, code, counts = np.unique(source, return_inverse=True, return_counts=True)
    rank = np.argsort(np.argsort(-counts, kind="stable"), kind="stable")[code]
    by_source = np.argsort(code, kind="stable")
    turn = np.empty(len(code), dtype=np.intp)
    starts = np.cumsum(counts) - counts
    turn[by_source] = np.arange(len(code)) - starts[code[by_source]]
    return np.lexsort((rank, turn)), tuple(np.bincount(turn).tolist())


def _by_ways(asked: Places) -> Iterator[tuple[int, Ints]]:
    """Part recipes by their ways, `_WAYS` at a time: give the first way, and the rows, sorted by composition."""
    group = asked.way_of // _WAYS
    order = np.argsort(group * len(asked.compositions) + asked.composition_of, kind="stable")
    stops = np.cumsum(np.bincount(group))
    return zip(range(0, len(asked.ways), _WAYS), np.split(order, stops[:-1]), strict=False)


def _runs(rows: Ints, composition_of: Ints) -> tuple[Ints, list[Ints]]:
    """Part rows, sorted by composition, into those of which few share one, and those of each that many share."""
    starts = np.flatnonzero(np.diff(composition_of[rows], prepend=-1))
    lengths = np.diff(starts, append=len(rows))
    many = lengths >= _MANY
    runs = [rows[start : start + length] for start, length in zip(starts[many], lengths[many], strict=True)]
    return rows[np.repeat(~many, lengths)], runs


def _by_source(total: Singles, layers: tuple[int, ...]) -> Singles:
    """Take the smallest distance to each source; shape (n, n_sources)."""
    found = total[:, : layers[0]].copy(order="K")
    start = layers[0]
    for size in layers[1:]:
        np.minimum(found[:, :size], total[:, start : start + size], out=found[:, :size])
        start += size
    return found


def _smallest(total: Singles, k: int) -> Singles:
    """Give the k smallest numbers of each row, rising; `total` is used up."""
    if total.shape[1] <= _FEW:
        return np.sort(total, axis=1)[:, :k]
    found = np.empty((len(total), k), dtype=np.float32)
    rows = np.arange(len(total))
    for turn in range(k):
        at = total.argmin(axis=1)
        found[:, turn] = total[rows, at]
        total[rows, at] = np.inf
    return found
