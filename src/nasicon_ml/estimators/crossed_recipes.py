"""Very many recipes that share compositions and ways of making, as trees are asked about them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.estimators.stored_trees import StoredTrees
from nasicon_ml.features.build import CrossedFeatures
from nasicon_ml.features.crossing import Crossing

Floats = NDArray[np.float64]

#: Crossing pays from so many recipes on, of so many compositions and ways, if they are this share of all pairs.
MANY_RECIPES, _SIDE, _SHARE = 1000, 4, 0.2


@dataclass(frozen=True)
class CrossedRecipes:
    """n recipes with their features.

    Attributes
    ----------
    crossing
        Which composition and which way of making each recipe has.
    features
        Of all pairs of the two.
    """

    crossing: Crossing
    features: CrossedFeatures

    @cached_property
    def _singles(self) -> tuple[NDArray[np.float32], ...]:
        return tuple(column.astype(np.float32) for column in self.features.columns)

    @property
    def _shape(self) -> tuple[int, int]:
        return len(self.crossing.sites.systems), len(self.crossing.ways)

    def margin(self, trees: StoredTrees) -> Floats:
        """Evaluate trees as `StoredTrees.margin` does; shape (n,)."""
        return self._of_recipes(trees.crossed.margin(self._singles, self._shape))

    def column(self, at: int) -> Floats:
        """Give one feature, by its position; shape (n,)."""
        return self._of_recipes(np.broadcast_to(self.features.columns[at], self._shape))

    def _of_recipes(self, pairs: Floats) -> Floats:
        return pairs[self.crossing.composition_of, self.crossing.way_of]


def worth_crossing(crossing: Crossing) -> bool:
    """Whether the recipes are a good part of all pairs of their compositions and ways of making."""
    smaller = min(len(crossing.sites.systems), len(crossing.ways))
    return len(crossing.way_of) >= MANY_RECIPES and smaller >= _SIDE and crossing.share >= _SHARE
