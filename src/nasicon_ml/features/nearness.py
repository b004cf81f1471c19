"""How near recipes lie to measured pellets and to their sources, for millions of recipes.

The distance of two recipes is a sum: how their compositions differ, and how their processing does. A table of
recipes has few different compositions and, in a screening, few different ways of making them. So both parts are
computed once for each different one, and a recipe costs one addition a pellet. What is asked of the distances are
minima, which are taken in layers: the first pellet of every source, the second, and so on, so that each step runs
over neighbouring numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
#: Different compositions, or ways of making, whose distances are computed beforehand; of more, block by block.
_MOST_KEPT = 4096
#: Different ways of making whose fields are compared at once.
_WAYS = 1024


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
    columns = [*space.numbers.T, *space.codes.T, *space.additive.T]
    code = np.zeros(len(space), dtype=np.int64)
    for column in columns:
        parts, kinds = pd.factorize(column, use_na_sentinel=False)
        code = pd.factorize(code * len(kinds) + parts)[0]
    _, one_of, way_of = np.unique(code, return_index=True, return_inverse=True)
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
        _, code, counts = np.unique(sources.astype(str), return_inverse=True, return_counts=True)
        rank = np.argsort(np.argsort(-counts, kind="stable"), kind="stable")[code]
        by_source = np.argsort(code, kind="stable")
        turn = np.empty(len(code), dtype=np.intp)
        starts = np.cumsum(counts) - counts
        turn[by_source] = np.arange(len(code)) - starts[code[by_source]]
        order = np.lexsort((rank, turn))
        return cls(space.take(order), tuple(np.bincount(turn).tolist()))

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
        of_composition = _Kept(self._of_compositions, asked.compositions)
        of_way = _Kept(self._of_ways, asked.ways)
        for start in range(0, len(asked), _BLOCK):
            rows = slice(start, start + _BLOCK)
            total = of_way.take(asked.way_of[rows])
            total += of_composition.take(asked.composition_of[rows])
            gaps[rows] = np.sort(self._by_source(total), axis=1)[:, :j]
            near[rows] = _smallest(total, k)
        return Surroundings(near, gaps)

    def _of_compositions(self, compositions: RecipeSpace) -> Singles:
        """Give the part of the distances that comes from compositions; shape (len(compositions), m)."""
        exchanged = composition_distance(compositions, self.space)
        return (COMPOSITION_WEIGHT * exchanged).astype(np.float32)

    def _of_ways(self, ways: RecipeSpace) -> Singles:
        """Give the part of the distances that comes from processing; shape (len(ways), m)."""
        found = np.zeros((len(ways), len(self.space)), dtype=np.float32)
        for first in range(0, len(ways), _WAYS):
            some = slice(first, min(first + _WAYS, len(ways)))
            for part in processing_parts(ways.take(some), self.space):
                gaps = part.gaps.astype(np.float32)
                for start in range(some.start, some.stop, _BLOCK):
                    stop = min(start + _BLOCK, some.stop)
                    found[start:stop] += gaps[part.value_of[start - first : stop - first]]
        return found

    def _by_source(self, total: Singles) -> Singles:
        """Take the smallest distance to each source; shape (n, n_sources)."""
        found = total[:, : self.layers[0]].copy()
        start = self.layers[0]
        for size in self.layers[1:]:
            np.minimum(found[:, :size], total[:, start : start + size], out=found[:, :size])
            start += size
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


def _smallest(total: Singles, k: int) -> Singles:
    """Give the k smallest numbers of each row, rising; `total` is used up."""
    found = np.empty((len(total), k), dtype=np.float32)
    rows = np.arange(len(total))
    for turn in range(k):
        at = total.argmin(axis=1)
        found[:, turn] = total[rows, at]
        total[rows, at] = np.inf
    return found
