"""How far a recipe is from what independent sources have made: one paper's many pellets are one witness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.features.similarity import RecipeSpace, distances

Floats = NDArray[np.float64]
Strings = NDArray[np.object_]
Mask = NDArray[np.bool_]

#: A recipe is as remote as the mean distance to the nearest pellet of each of this many sources, the nearest.
NEAR_SOURCES = 8
#: The distance of a recipe to "the nearest pellets" is the mean over this many.
NEAR_PELLETS = 3
_CHUNK_ROWS = 1000


@dataclass(frozen=True)
class SourceGaps:
    """Distances of n recipes to sources.

    Attributes
    ----------
    names
        The sources, sorted, shape (n_sources,).
    gaps
        Distance of each recipe to the nearest pellet of each source, shape (n, n_sources).
    """

    names: Strings
    gaps: Floats

    def remoteness(self, own: Strings | None = None, among: Mask | None = None) -> Floats:
        """Give the mean distance to the nearest `NEAR_SOURCES` sources, or to all where there are fewer.

        Parameters
        ----------
        own
            The source of each recipe, which is passed over, shape (n,); None for recipes of no source.
        among
            Which of the sources count, shape (n_sources,); all by default.

        Returns
        -------
        ndarray
            Shape (n,); infinite where no source is left.
        """
        gaps = self.gaps if among is None else self.gaps[:, among]
        names = self.names if among is None else self.names[among]
        if own is not None:
            gaps = np.where(own[:, None] == names[None, :], np.inf, gaps)
        nearest = np.sort(gaps, axis=1)[:, :NEAR_SOURCES]
        there = np.isfinite(nearest)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(there, nearest, 0.0).sum(axis=1) / there.sum(axis=1)
        return np.where(there.any(axis=1), mean, np.inf)


def source_gaps(queries: RecipeSpace, references: RecipeSpace, sources: Strings) -> SourceGaps:
    """Measure how far recipes are from each source.

    Parameters
    ----------
    queries, references
        Points of one recipe space; n and m of them.
    sources
        Source of each reference, shape (m,).
    """
    names, code = np.unique(sources.astype(str), return_inverse=True)
    order = np.argsort(code, kind="stable")
    starts = np.searchsorted(code[order], np.arange(len(names)))
    gaps = np.empty((len(queries), len(names)))
    for start in range(0, len(queries), _CHUNK_ROWS):
        rows = slice(start, start + _CHUNK_ROWS)
        gaps[rows] = np.minimum.reduceat(distances(queries.take(rows), references)[:, order], starts, axis=1)
    return SourceGaps(names.astype(object), gaps)
