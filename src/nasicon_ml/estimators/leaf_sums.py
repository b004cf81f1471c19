"""Evaluates trees for any recipes, hundreds at once: which leaves they reach, and what these add up to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.estimators.tree_layout import TreeTable
from nasicon_ml.estimators.tree_levels import Conditions, Leaves, Level, levels, reached

Floats = NDArray[np.float64]

#: Recipes and trees evaluated at once: what fits into a processor's cache.
_RECIPES, _TREES = 2048, 32
#: So few recipes are taken through all trees at once.
_FEW = 16
#: Trees far larger than ours are evaluated for fewer recipes at once, so that this is held at most.
_MOST_BYTES = 2**28


@dataclass(frozen=True)
class LeafSums:
    """The trees of one target.

    Attributes
    ----------
    table
        Their nodes.
    base_score
        Where the sum over the trees starts.
    """

    table: TreeTable
    base_score: float

    @cached_property
    def conditions(self) -> Conditions:
        """The different comparisons of all trees."""
        return Conditions.of(self.table)

    @cached_property
    def leaves(self) -> Leaves:
        """The leaves of all trees in whole numbers."""
        return Leaves.of(self.table)

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        """All trees, level by level."""
        return self._laid_out(slice(None))

    @cached_property
    def _lots(self) -> tuple[tuple[Level, ...], ...]:
        """Some trees at a time."""
        starts = range(0, len(self.table.sizes), _TREES)
        return tuple(self._laid_out(slice(start, start + _TREES)) for start in starts)

    def _laid_out(self, trees: slice) -> tuple[Level, ...]:
        return levels(self.table, self.conditions, self.leaves, trees)

    def margin(self, X: NDArray[np.float32]) -> Floats:
        """Evaluate the trees for features of shape (n, n_features), NaN where not given; shape (n,)."""
        found = np.zeros(len(X))
        lots = self._lots if len(X) > _FEW else (self.levels,)
        widest = int(self.table.sizes.sum()) + len(self.conditions.features)
        step = max(1, min(_RECIPES, _MOST_BYTES // widest))
        for start in range(0, len(X), step):
            rows = slice(start, start + step)
            left = self.conditions.ask_all(np.asfortranarray(X[rows]))
            right = ~left
            for lot in lots:
                for level, mask in reached(lot, left, right):
                    found[rows] += level.counts @ mask.astype(np.float64)
        return self.scaled(found)

    def scaled(self, counts: Floats) -> Floats:
        """Give what sums of leaves, in whole numbers, mean."""
        return np.asarray(self.base_score + self.leaves.quantum * counts)
