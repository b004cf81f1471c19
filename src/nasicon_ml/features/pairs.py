"""Recipes as pairs of a composition and a processing: of a million recipes, some hundreds of each.

What depends on one of the two alone is then computed once for each, and not for each recipe.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.columns import Column
from nasicon_ml.composition import OccupancyTable

Ints = NDArray[np.intp]

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
    which, kinds = np.zeros(rows, dtype=np.int64), 1
    for column in columns:
        codes, cells = pd.factorize(column, use_na_sentinel=False)
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
        return cls(_taken(sites, np.flatnonzero(used)), fields.iloc[first], place[sites.index], processing_of)

    @property
    def share(self) -> float:
        """How much of all pairs the recipes are; above 1 where some stand twice."""
        return len(self.processing_of) / max(1, len(self.sites.systems) * len(self.processing))


def _taken(sites: OccupancyTable, which: Ints) -> OccupancyTable:
    """Return some of the different compositions."""
    if len(which) == len(sites.systems):
        return replace(sites, index=which)
    return OccupancyTable(
        sites.a[which],
        sites.m[which],
        sites.t[which],
        sites.valence[which],
        sites.oxygen[which],
        sites.other_anions[which],
        sites.systems[which],
        np.arange(len(which)),
    )
