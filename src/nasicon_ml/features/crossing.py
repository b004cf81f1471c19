"""Recipes as pairs of a composition and a way of making it: of a million recipes, some hundreds of each.

What depends on one of the two alone is then computed once for each, and not for each pair.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.columns import Column
from nasicon_ml.composition import OccupancyTable
from nasicon_ml.features.nearness import Places, different_rows, places
from nasicon_ml.features.similarity import RecipeSpace, composition_points, recipe_space, way_space

Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Crossing:
    """n recipes as pairs.

    Attributes
    ----------
    sites
        The m different compositions, each once.
    ways
        The different ways of making: the recipes' columns less the formula, one row each.
    composition_of, way_of
        Positions of each recipe among them, shape (n,).
    """

    sites: OccupancyTable
    ways: pd.DataFrame
    composition_of: Ints
    way_of: Ints

    @classmethod
    def of(cls, table: pd.DataFrame, sites: OccupancyTable) -> Crossing:
        """Take recipes apart.

        Parameters
        ----------
        table
            Recipe columns, n rows; two cells that are not given are alike.
        sites
            The table's occupancies.
        """
        fields = table.drop(columns=[str(Column.FORMULA)], errors="ignore")
        one_of, way_of = different_rows(len(table), (fields[name] for name in fields))
        used = np.zeros(len(sites.systems), dtype=np.bool_)
        used[sites.index] = True
        place = np.cumsum(used) - 1
        return cls(_taken(sites, np.flatnonzero(used)), fields.iloc[one_of], place[sites.index], way_of)

    @property
    def share(self) -> float:
        """How much of all pairs of a composition and a way the recipes are; above 1 where some stand twice."""
        return len(self.way_of) / max(1, len(self.sites.systems) * len(self.ways))


def crossed_places(crossing: Crossing) -> Places:
    """Say where recipes lie, as `nasicon_ml.features.nearness.places` does, from the parts they are made of."""
    ways, sites = crossing.ways, crossing.sites
    if ways[Column.ADDITIVE].notna().any():  # how much of it is in a pellet depends on both parts
        table = ways.iloc[crossing.way_of]
        rows = replace(sites, index=crossing.composition_of)
        return places(recipe_space(table, sites=rows), rows)
    made = way_space(ways, lambda: np.full(len(ways), np.nan))  # of no additive the amount is not asked
    points = composition_points(sites)
    no_way = np.empty((len(points), 0))
    composed = RecipeSpace(points, no_way, no_way.astype(np.int8), no_way)
    return Places(composed, made, crossing.composition_of, crossing.way_of)


def _taken(sites: OccupancyTable, which: Ints) -> OccupancyTable:
    """Keep some of the different compositions."""
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
