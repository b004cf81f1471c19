"""Evaluates trees for tables of recipes, without XGBoost.

What trees answer is a sum of leaves, whose last digits would depend on the order in which floating-point
numbers are added. So leaves are counted in whole multiples of a quantum, about a billionth of the largest: their
sums are exact, in any order, on any number of threads, however the recipes are divided.

Few recipes walk down all trees at once. Many are evaluated by bits, one for each recipe: each different comparison
is made once, and packed; which turn a recipe takes on a level of a tree follows by bitwise operations. The turns
in some trees, as a number, are the position of their sum in a table.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.trees.arrays import TreeArrays

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Mask = NDArray[np.bool_]
Bits = NDArray[np.uint8]

#: The largest leaf has so many binary digits; floating-point numbers add up eight million such leaves exactly.
_DIGITS = 30
#: So few recipes walk.
_FEW = 4
#: Pairs of recipe and tree that walk at once.
_WALKING = 2**20
#: Recipes (a multiple of 64) and trees evaluated by bits at once, or fewer recipes and more trees: what fits into
#: a processor's cache.
_RECIPES, _TREES = 4096, 40
#: Of so few recipes all conditions are compared at once; of more, feature by feature.
_COMPARED = 512
#: Turns in one table. Trees deeper than this walk, as do those whose tables would have more entries in all.
_TURNS, _MOST_ENTRIES = 10, 2**22


@dataclass(frozen=True)
class Conditions:
    """The different comparisons of some trees, sorted by feature.

    Attributes
    ----------
    features
        Which feature is compared, shape (n_conditions,).
    thresholds
        What is less than this goes left; single precision, as XGBoost compares.
    default_left
        Where a recipe goes that does not state the feature.
    of_node
        Which condition each node has, shape (n_nodes,); -1 for leaves.
    """

    features: Ints
    thresholds: NDArray[np.float32]
    default_left: Mask
    of_node: Ints

    @classmethod
    def of(cls, trees: TreeArrays) -> Conditions:
        """Return those of all nodes."""
        inner = ~trees.is_leaf
        feature = trees.feature[inner].astype(np.int64)
        threshold = trees.value[inner].astype(np.float32)
        default_left = trees.default_left[inner].astype(np.int64)
        # All three in one number, the feature first: numbers are sorted much faster than records.
        asked = feature << 33 | threshold.view(np.uint32).astype(np.int64) << 1 | default_left
        _, first, which = np.unique(asked, return_index=True, return_inverse=True)
        of_node = np.full(len(inner), -1, dtype=np.intp)
        of_node[inner] = which
        return cls(feature[first], threshold[first], default_left[first].astype(np.bool_), of_node)

    @cached_property
    def by_feature(self) -> dict[int, slice]:
        """Where the conditions of each feature stand."""
        used, starts = np.unique(self.features, return_index=True)
        stops = np.append(starts, len(self.features))[1:].tolist()
        return {
            feature: slice(start, stop)
            for feature, start, stop in zip(used.tolist(), starts.tolist(), stops, strict=True)
        }

    def goes_left(self, which: slice, values: NDArray[np.float32]) -> Mask:
        """Return which recipes go left, for the conditions of one feature.

        Parameters
        ----------
        which
            Conditions, as `by_feature` gives them; k of them.
        values
            The feature, any shape, NaN where not given.

        Returns
        -------
        ndarray
            Shape (k, *values.shape).
        """
        shape = (-1, *(1,) * values.ndim)
        left = values < self.thresholds[which].reshape(shape)
        unknown = np.isnan(values)
        if unknown.any():
            left |= unknown & self.default_left[which].reshape(shape)
        return np.asarray(left)


@dataclass(frozen=True)
class LeafCounts:
    """What the leaves add, in whole numbers.

    Attributes
    ----------
    counts
        How many quanta each node adds, a whole number, shape (n_nodes,); 0 for comparisons.
    quantum
        A power of two.
    """

    counts: Floats
    quantum: float

    @classmethod
    def of(cls, trees: TreeArrays) -> LeafCounts:
        """Round the leaves of all trees."""
        values = np.where(trees.is_leaf, trees.value.astype(np.float64), 0.0)
        largest = float(np.abs(values).max(initial=0.0))
        exponent = int(np.ceil(np.log2(largest))) - _DIGITS if largest > 0 else 0
        return cls(np.rint(np.ldexp(values, -exponent)), float(np.ldexp(1.0, exponent)))


@dataclass(frozen=True)
class _Tables:
    """Trees laid out for evaluation by bits, in lots that share a table.

    Attributes
    ----------
    conditions
        Of each level, shape (n_trees, 2**level); -1 where a tree has ended.
    sums
        What the trees of a lot add, in quanta, by their turns; shape (n_lots, 2**turns).
    """

    conditions: tuple[Ints, ...]
    sums: Floats

    @classmethod
    def of(cls, trees: TreeArrays, conditions: Conditions, leaves: LeafCounts) -> _Tables:
        nodes = trees.starts[:, None]
        asked = []
        for _ in range(max(trees.depth, 1)):
            asked.append(conditions.of_node[nodes])
            left = trees.left[nodes]
            nodes = np.stack([left, left + ~trees.is_leaf[nodes]], axis=-1).reshape(len(nodes), -1)
        each = _TURNS // len(asked)
        missing = -len(nodes) % each
        counts = np.pad(leaves.counts[nodes], ((0, missing), (0, 0))).reshape(-1, each, nodes.shape[1])
        sums = np.zeros((len(counts), 1))
        for at in range(each):
            sums = (sums[:, :, None] + counts[:, at, None]).reshape(len(sums), -1)
        return cls(tuple(np.pad(one, ((0, missing), (0, 0)), constant_values=-1) for one in asked), sums)


@dataclass(frozen=True, eq=False)
class TableSums:
    """Sums of the leaves that recipes reach."""

    trees: TreeArrays

    @cached_property
    def conditions(self) -> Conditions:
        """The different comparisons of all trees."""
        return Conditions.of(self.trees)

    @cached_property
    def leaves(self) -> LeafCounts:
        """The leaves of all trees in whole numbers."""
        return LeafCounts.of(self.trees)

    def margin(self, X: NDArray[np.float32]) -> Floats:
        """Evaluate the trees for features of shape (n, n_features), NaN where not given; shape (n,)."""
        if len(X) <= _FEW or self._walks:
            step, count = max(1, _WALKING // len(self.trees.tree_sizes)), self._walked
        else:
            step, count = _RECIPES, self._by_bits
        found = np.zeros(len(X))
        for start in range(0, len(X), step):
            rows = slice(start, start + step)
            found[rows] = count(X[rows])
        return self.scaled(found)

    def prepare(self) -> None:
        """Build the tables that an evaluation needs."""
        if not self._walks:
            _ = self._tables

    @cached_property
    def _walks(self) -> bool:
        """Whether the trees are too deep, or too many, for tables of their turns."""
        entries = len(self.trees.tree_sizes) << min(self.trees.depth, _TURNS)
        return self.trees.depth > _TURNS or entries > _MOST_ENTRIES

    def scaled(self, counts: Floats) -> Floats:
        """Return what sums of leaves, in whole numbers, mean."""
        return np.asarray(float(self.trees.base_score) + self.leaves.quantum * counts)

    def _walked(self, X: NDArray[np.float32]) -> Floats:
        trees, rows = self.trees, np.arange(len(X))
        nodes = np.repeat(trees.starts[:, None], len(X), axis=1)
        for _ in range(trees.depth):
            values = X[rows, trees.feature[nodes]]
            left = values < trees.value[nodes]
            left |= np.isnan(values) & (trees.default_left[nodes] == 1)
            nodes = trees.left[nodes] + ~(left | trees.is_leaf[nodes])
        return np.asarray(self.leaves.counts[nodes].sum(axis=0))

    @cached_property
    def _tables(self) -> _Tables:
        return _Tables.of(self.trees, self.conditions, self.leaves)

    def _by_bits(self, X: NDArray[np.float32]) -> Floats:
        tables = self._tables
        right = self._turns_right(X)
        levels, each = len(tables.conditions), _TURNS // len(tables.conditions)
        found = np.zeros(len(X))
        lots = max(1, _TREES * max(1, _RECIPES // len(X)) // each)
        for lot in range(0, len(tables.sums), lots):
            sums = tables.sums[lot : lot + lots]
            trees = slice(lot * each, (lot + lots) * each)
            turns = _turns([one[trees] for one in tables.conditions], right)
            turns = turns.reshape(len(sums), each * levels, -1)
            found += _looked_up(sums, np.unpackbits(turns, axis=-1, count=len(X)))
        return found

    def _turns_right(self, X: NDArray[np.float32]) -> NDArray[np.uint64]:
        """Return, of each condition and of one that never holds, which recipes turn right; a bit for each."""
        asked, n_bytes = self.conditions, -(-len(X) // 8)
        packed = np.zeros((len(asked.features) + 1, -(-len(X) // 64) * 8), dtype=np.uint8)
        if len(X) <= _COMPARED:
            values = np.ascontiguousarray(X.T)[asked.features]
            left = values < asked.thresholds[:, None]
            left |= np.isnan(values) & asked.default_left[:, None]
            packed[:-1, :n_bytes] = np.packbits(~left, axis=1)
            return packed.view(np.uint64)
        for feature, which in asked.by_feature.items():
            left = asked.goes_left(which, np.ascontiguousarray(X[:, feature]))
            packed[which, :n_bytes] = np.packbits(~left, axis=1)
        return packed.view(np.uint64)


def _turns(conditions: list[Ints], right: NDArray[np.uint64]) -> Bits:
    """Return the turns of recipes in trees: one for each level and recipe, shape (n_trees, depth, n_bytes)."""
    words = right.shape[1]
    found = np.empty((len(conditions[0]), len(conditions), words), dtype=np.uint64)
    reached = None
    for level, asked in enumerate(conditions):
        turns = right[asked]
        if reached is not None:
            turns &= reached
        np.bitwise_or.reduce(turns, axis=1, out=found[:, level])
        if level + 1 < len(conditions):
            below = np.empty((*asked.shape, 2, words), dtype=np.uint64)
            if reached is None:
                np.invert(turns, out=below[:, :, 0])
            else:
                np.bitwise_xor(reached, turns, out=below[:, :, 0])
            below[:, :, 1] = turns
            reached = below.reshape(len(asked), -1, words)
    return found.view(np.uint8)


def _looked_up(sums: Floats, turns: Bits) -> Floats:
    """Add up `sums`, shape (n_lots, 2**k), at the positions that `turns`, shape (n_lots, k, n), spell."""
    position = np.zeros((len(sums), turns.shape[2]), dtype=np.uint16)
    for at in range(turns.shape[1]):
        position <<= 1
        position |= turns[:, at]
    start = np.arange(len(sums), dtype=np.intp)[:, None] * sums.shape[1]
    return np.asarray(np.take(sums.ravel(), start + position, mode="clip").sum(axis=0))
