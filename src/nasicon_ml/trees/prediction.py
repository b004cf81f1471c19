"""Evaluation of boosted trees without XGBoost, for tables of recipes and for pairs of composition and processing.

The prediction of an ensemble is a sum of leaf values, whose last digits would depend on the order of the
floating-point additions. So leaf values are rounded to whole multiples of a quantum, about a billionth of the
largest: their sums are exact, in any order, on any number of threads, however the recipes are divided.

A few recipes descend all trees at once. Many recipes are evaluated with bit masks, one bit per recipe: each
distinct condition is evaluated once and packed; the direction that a recipe takes at a level of a tree follows by
bitwise operations. The directions in several trees, read as a binary number, are the index of their sum in a
table.

For pairs: a leaf is reached if all conditions on its path hold. Nearly all of these depend on the composition
alone or on the processing alone, so a pair reaches a leaf if both its parts do: the product of two masks, and the
sum over all leaves is a matrix product. Conditions that depend on both parts are few; the leaves below them are
summed separately, and added where the conditions hold. These sums equal the others to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.arrays import Floats, Ints, Mask
from nasicon_ml.features.build import PairFeatures
from nasicon_ml.features.distances import RecipePairs, distinct_rows
from nasicon_ml.trees.arrays import TreeArrays

Bits = NDArray[np.uint8]
Singles = NDArray[np.float32]

#: Binary digits of the largest leaf; double precision adds up eight million such leaves exactly.
_DIGITS = 30
#: Up to so many recipes descend the trees.
_MAX_DESCENDING = 4
#: Pairs of recipe and tree that descend at once.
_DESCENDING_BLOCK = 2**20
#: Recipes (a multiple of 64) and trees evaluated with bit masks at once, or fewer recipes and more trees; they fit
#: into the processor's cache.
_RECIPE_BLOCK, _TREE_BLOCK = 4096, 40
#: Up to so many recipes, all conditions are evaluated at once; for more, feature by feature.
_MAX_RECIPES_AT_ONCE = 512
#: Directions that index one table. Deeper trees are descended, as are ensembles whose tables would have more
#: entries.
_TABLE_DIRECTIONS, _MAX_TABLE_ENTRIES = 10, 2**22


@dataclass(frozen=True)
class SplitConditions:
    """The k distinct conditions of an ensemble, sorted by feature.

    Attributes
    ----------
    features
        Feature that is compared, shape (k,).
    thresholds
        Smaller values go left; single precision, as in XGBoost, shape (k,).
    default_left
        Whether missing values go left, shape (k,).
    node_conditions
        Condition of each node, shape (n_nodes,); -1 for leaves.
    """

    features: Ints
    thresholds: Singles
    default_left: Mask
    node_conditions: Ints

    @classmethod
    def from_trees(cls, trees: TreeArrays) -> SplitConditions:
        """Collect the conditions of all nodes."""
        is_inner = ~trees.is_leaf
        feature = trees.feature[is_inner].astype(np.int64)
        threshold = trees.value[is_inner].astype(np.float32)
        default_left = trees.default_left[is_inner].astype(np.int64)
        # One number for all three, the feature first: numbers are sorted much faster than records.
        keys = feature << 33 | threshold.view(np.uint32).astype(np.int64) << 1 | default_left
        _, first, codes = np.unique(keys, return_index=True, return_inverse=True)
        node_conditions = np.full(len(is_inner), -1, dtype=np.intp)
        node_conditions[is_inner] = codes
        return cls(feature[first], threshold[first], default_left[first].astype(np.bool_), node_conditions)

    @cached_property
    def by_feature(self) -> dict[int, slice]:
        """Range of the conditions of each feature."""
        features, starts = np.unique(self.features, return_index=True)
        stops = np.append(starts, len(self.features))[1:].tolist()
        return {
            feature: slice(start, stop)
            for feature, start, stop in zip(features.tolist(), starts.tolist(), stops, strict=True)
        }

    def goes_left(self, conditions: slice, values: Singles) -> Mask:
        """Return which recipes go left at the conditions of one feature (`by_feature`), shape (k, *values.shape).

        Values of the feature have any shape, and are NaN where not given.
        """
        shape = (-1, *(1,) * values.ndim)
        left = values < self.thresholds[conditions].reshape(shape)
        missing = np.isnan(values)
        if missing.any():
            left |= missing & self.default_left[conditions].reshape(shape)
        return np.asarray(left)


@dataclass(frozen=True)
class QuantizedLeaves:
    """Leaf values as multiples of a quantum.

    Attributes
    ----------
    counts
        Integral value of each node in quanta, shape (n_nodes,); 0 for conditions.
    quantum
        A power of two.
    """

    counts: Floats
    quantum: float

    @classmethod
    def from_trees(cls, trees: TreeArrays) -> QuantizedLeaves:
        """Round the leaf values of all trees."""
        values = np.where(trees.is_leaf, trees.value.astype(np.float64), 0.0)
        largest = float(np.abs(values).max(initial=0.0))
        exponent = int(np.ceil(np.log2(largest))) - _DIGITS if largest > 0 else 0
        return cls(np.rint(np.ldexp(values, -exponent)), float(np.ldexp(1.0, exponent)))


@dataclass(frozen=True)
class _SumTables:
    """Trees of one depth, in groups that share a table of sums."""

    conditions: tuple[Ints, ...]  # of each level, shape (n_trees, 2**level); -1 below leaves
    sums: Floats  # sums of the trees of a group, in quanta, by their directions; shape (n_groups, 2**directions)

    @classmethod
    def from_trees(cls, evaluator: TableEvaluator, depth: int) -> _SumTables:
        """Build the tables of the trees of one depth."""
        trees = evaluator.trees
        nodes = trees.starts[trees.depths == depth, None]
        levels = []
        for _ in range(max(depth, 1)):
            levels.append(evaluator.conditions.node_conditions[nodes])
            left = trees.left[nodes]
            nodes = np.stack([left, left + ~trees.is_leaf[nodes]], axis=-1).reshape(len(nodes), -1)
        group_size = _TABLE_DIRECTIONS // len(levels)
        padding = ((0, -len(nodes) % group_size), (0, 0))
        counts = np.pad(evaluator.leaves.counts[nodes], padding).reshape(-1, group_size, nodes.shape[1])
        sums = np.zeros((len(counts), 1))
        for tree in range(group_size):
            sums = (sums[:, :, None] + counts[:, tree, None]).reshape(len(sums), -1)
        return cls(tuple(np.pad(level, padding, constant_values=-1) for level in levels), sums)


@dataclass(frozen=True, eq=False)
class TableEvaluator:
    """Evaluates an ensemble for tables of recipes."""

    trees: TreeArrays

    @cached_property
    def conditions(self) -> SplitConditions:
        """Distinct conditions of all trees."""
        return SplitConditions.from_trees(self.trees)

    @cached_property
    def leaves(self) -> QuantizedLeaves:
        """Leaf values of all trees in quanta."""
        return QuantizedLeaves.from_trees(self.trees)

    def margin(self, X: Singles) -> Floats:
        """Evaluate the trees for features of shape (n, n_features), NaN where not given; shape (n,)."""
        if len(X) <= _MAX_DESCENDING or not self._fits_tables:
            step, count = max(1, _DESCENDING_BLOCK // len(self.trees.tree_sizes)), self._descend
        else:
            step, count = _RECIPE_BLOCK, self._sum_by_bits
        counts = np.zeros(len(X))
        for start in range(0, len(X), step):
            rows = slice(start, start + step)
            counts[rows] = count(X[rows])
        return self.to_margin(counts)

    def prepare(self) -> None:
        """Build the tables needed for an evaluation."""
        if self._fits_tables:
            _ = self._tables

    @cached_property
    def _fits_tables(self) -> bool:
        """Whether the trees are shallow enough, and few enough, for tables of sums."""
        entries = len(self.trees.tree_sizes) << min(self.trees.depth, _TABLE_DIRECTIONS)
        return self.trees.depth <= _TABLE_DIRECTIONS and entries <= _MAX_TABLE_ENTRIES

    def to_margin(self, counts: Floats) -> Floats:
        """Convert sums of leaves from quanta to predictions."""
        return np.asarray(float(self.trees.base_score) + self.leaves.quantum * counts)

    def _descend(self, X: Singles) -> Floats:
        """Return the sum of leaves of each recipe, in quanta, by descending the trees."""
        trees, rows = self.trees, np.arange(len(X))
        nodes = np.repeat(trees.starts[:, None], len(X), axis=1)
        for _ in range(trees.depth):
            values = X[rows, trees.feature[nodes]]
            left = values < trees.value[nodes]
            left |= np.isnan(values) & (trees.default_left[nodes] == 1)
            nodes = trees.left[nodes] + ~(left | trees.is_leaf[nodes])
        return np.asarray(self.leaves.counts[nodes].sum(axis=0))

    @cached_property
    def _tables(self) -> tuple[_SumTables, ...]:
        """Tables of the trees of each depth."""
        return tuple(_SumTables.from_trees(self, depth) for depth in np.unique(self.trees.depths).tolist())

    def _sum_by_bits(self, X: Singles) -> Floats:
        """Return the sum of leaves of each recipe, in quanta, by bit masks."""
        goes_right = self._goes_right(X)
        counts = np.zeros(len(X))
        for tables in self._tables:
            depth = len(tables.conditions)
            group_size = _TABLE_DIRECTIONS // depth
            step = max(1, _TREE_BLOCK * max(1, _RECIPE_BLOCK // len(X)) // group_size)
            for group in range(0, len(tables.sums), step):
                sums = tables.sums[group : group + step]
                trees = slice(group * group_size, (group + step) * group_size)
                directions = _directions([level[trees] for level in tables.conditions], goes_right)
                directions = directions.reshape(len(sums), group_size * depth, -1)
                counts += _look_up_sums(sums, np.unpackbits(directions, axis=-1, count=len(X)))
        return counts

    def _goes_right(self, X: Singles) -> NDArray[np.uint64]:
        """Return which recipes go right at each condition, as bits; the last row, of no condition, is 0."""
        conditions, n_bytes = self.conditions, -(-len(X) // 8)
        packed = np.zeros((len(conditions.features) + 1, -(-len(X) // 64) * 8), dtype=np.uint8)
        if len(X) <= _MAX_RECIPES_AT_ONCE:
            values = np.ascontiguousarray(X.T)[conditions.features]
            left = values < conditions.thresholds[:, None]
            left |= np.isnan(values) & conditions.default_left[:, None]
            packed[:-1, :n_bytes] = np.packbits(~left, axis=1)
            return packed.view(np.uint64)
        for feature, of_feature in conditions.by_feature.items():
            left = conditions.goes_left(of_feature, np.ascontiguousarray(X[:, feature]))
            packed[of_feature, :n_bytes] = np.packbits(~left, axis=1)
        return packed.view(np.uint64)


def _directions(levels: list[Ints], goes_right: NDArray[np.uint64]) -> Bits:
    """Return at which levels recipes go right in each tree, as bits of shape (n_trees, depth, n_bytes)."""
    n_words = goes_right.shape[1]
    directions = np.empty((len(levels[0]), len(levels), n_words), dtype=np.uint64)
    reached = None
    for level, conditions in enumerate(levels):
        right = goes_right.take(conditions, axis=0)  # indexing would block other threads
        if reached is not None:
            right &= reached
        np.bitwise_or.reduce(right, axis=1, out=directions[:, level])
        if level + 1 < len(levels):
            below = np.empty((*conditions.shape, 2, n_words), dtype=np.uint64)
            if reached is None:
                np.invert(right, out=below[:, :, 0])
            else:
                np.bitwise_xor(reached, right, out=below[:, :, 0])
            below[:, :, 1] = right
            reached = below.reshape(len(conditions), -1, n_words)
    return directions.view(np.uint8)


def _look_up_sums(sums: Floats, directions: Bits) -> Floats:
    """Add up the table entries, of shape (n_groups, 2**k), at the directions, shape (n_groups, k, n)."""
    index = np.zeros((len(sums), directions.shape[2]), dtype=np.uint16)
    for direction in range(directions.shape[1]):
        index <<= 1
        index |= directions[:, direction]
    start = np.arange(len(sums), dtype=np.intp)[:, None] * sums.shape[1]
    return np.asarray(np.take(sums.ravel(), start + index, mode="clip").sum(axis=0))


#: Pairs are faster with at least so many recipes, compositions and processings, and this share of all pairs.
MIN_PAIRED_RECIPES, _MIN_PARTS, _MIN_COVERAGE = 1000, 4, 0.2
#: Compositions, processings and leaves evaluated at once.
_COMPOSITION_BLOCK, _PROCESSING_BLOCK, _LEAF_BLOCK = 256, 512, 4096


@dataclass(frozen=True)
class PairedRecipes:
    """n recipes as pairs, with the features of all pairs of their compositions and processings."""

    pairs: RecipePairs
    features: PairFeatures

    @cached_property
    def single_columns(self) -> tuple[Singles, ...]:
        """The features in single precision, as trees compare them."""
        return tuple(column.astype(np.float32) for column in self.features.columns)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of compositions and of processings."""
        return len(self.pairs.sites.systems), len(self.pairs.processing)

    def column(self, index: int) -> Floats:
        """Return one feature of the recipes, shape (n,)."""
        return self.per_recipe(np.broadcast_to(self.features.columns[index], self.shape))

    def per_recipe(self, values: Floats) -> Floats:
        """Select the values of the recipes, shape (n,), from those of all pairs."""
        return values[self.pairs.composition_index, self.pairs.processing_index]


def pairing_is_faster(pairs: RecipePairs) -> bool:
    """Return whether the recipes are a large part of all pairs of their compositions and processings."""
    n_recipes, n_parts = len(pairs.processing_index), min(len(pairs.sites.systems), len(pairs.processing))
    return n_recipes >= MIN_PAIRED_RECIPES and n_parts >= _MIN_PARTS and pairs.coverage >= _MIN_COVERAGE


@dataclass(frozen=True)
class _Level:
    """Nodes at the same depth of all trees.

    The next level has the left children of `inner`, in this order, followed by the right ones.
    """

    inner: Ints  # positions on the level, of nodes with children
    leaves: Ints  # positions on the level
    conditions: Ints  # of `inner`
    counts: Floats  # of `leaves`, in quanta


@dataclass(frozen=True)
class _Answers:
    """Which compositions, processings or pairs go left at each of k conditions.

    A condition depends on the composition, on the processing or, in `of_pairs`, on both.
    """

    of_compositions: Mask  # shape (k, m), undefined for other conditions
    of_processings: Mask  # shape (k, n), undefined for other conditions
    depends_on_composition: Mask  # alone
    depends_on_processing: Mask  # alone
    of_pairs: dict[int, Mask]  # by condition, shape (m, n) each


@dataclass(frozen=True, eq=False)
class PairEvaluator:
    """Evaluates an ensemble for all pairs of m compositions and n processings."""

    table_evaluator: TableEvaluator

    def margin(self, columns: Sequence[Singles], shape: tuple[int, int]) -> Floats:
        """Evaluate the trees.

        Parameters
        ----------
        columns
            Features, NaN where not given, of shape (m, 1), (n,) or (m, n) if they depend on the composition, the
            processing or both.
        shape
            m and n.

        Returns
        -------
        ndarray
            Shape (m, n).
        """
        counts = np.empty(shape)
        for start in range(0, shape[0], _COMPOSITION_BLOCK):
            for first in range(0, shape[1], _PROCESSING_BLOCK):
                block = (slice(start, start + _COMPOSITION_BLOCK), slice(first, first + _PROCESSING_BLOCK))
                counts[block] = self._counts([_select(column, *block) for column in columns])
        return self.table_evaluator.to_margin(counts)

    def prepare(self) -> None:
        """Build the tables needed for an evaluation."""
        _ = self._paths, self._leaf_counts

    @cached_property
    def _levels(self) -> tuple[_Level, ...]:
        """All trees; the first level has their roots, the last has only leaves."""
        trees, counts = self.table_evaluator.trees, self.table_evaluator.leaves.counts
        conditions = self.table_evaluator.conditions.node_conditions
        nodes, levels = trees.starts, []
        while len(nodes):
            is_leaf = trees.is_leaf[nodes]
            inner = nodes[~is_leaf]
            positions = np.flatnonzero(~is_leaf), np.flatnonzero(is_leaf)
            levels.append(_Level(*positions, conditions[inner], counts[nodes[is_leaf]]))
            nodes = np.concatenate([trees.left[inner], trees.left[inner] + 1])
        return tuple(levels)

    @cached_property
    def _leaf_counts(self) -> Floats:
        """Leaf values in quanta, in the order of levels, shape (n_leaves,)."""
        return np.concatenate([level.counts for level in self._levels])

    @cached_property
    def _paths(self) -> NDArray[np.int32]:
        """Conditions on the path to each leaf, shape (n_leaves, depth).

        The number of the condition times two, plus one if it must not hold; -1 after the last.
        """
        depth = len(self._levels) - 1
        paths = np.full((len(self.table_evaluator.trees.tree_sizes), depth), -1, dtype=np.int32)
        leaf_paths = []
        for index, level in enumerate(self._levels):
            leaf_paths.append(paths[level.leaves])
            if len(level.inner):
                left, right = paths[level.inner], paths[level.inner]
                left[:, index], right[:, index] = 2 * level.conditions, 2 * level.conditions + 1
                paths = np.concatenate([left, right])
        return np.concatenate(leaf_paths)

    def _counts(self, columns: Sequence[Singles]) -> Floats:
        """Sum up the leaves of each pair, in quanta, shape (m, n)."""
        answers = self._evaluate_conditions(columns)
        by_composition = self._reached_leaves(answers.of_compositions, answers.depends_on_composition)
        by_processing = self._reached_leaves(answers.of_processings, answers.depends_on_processing)
        leaves = np.flatnonzero(by_composition.any(axis=1) & by_processing.any(axis=1))
        group, requirements = self._group_leaves(answers, leaves)
        total = np.zeros((by_composition.shape[1], by_processing.shape[1]))
        order = np.argsort(group, kind="stable")
        bounds = np.searchsorted(group[order], np.arange(len(requirements) + 1))
        for number, required in enumerate(requirements):
            mask = _all_hold(answers.of_pairs, required)
            if mask is not None and not mask.any():
                continue
            in_group = leaves[order[bounds[number] : bounds[number + 1]]]
            for start in range(0, len(in_group), _LEAF_BLOCK):
                block = in_group[start : start + _LEAF_BLOCK]
                weighted = by_composition[block].T * self._leaf_counts[block]
                part = weighted @ by_processing[block].astype(np.float64)
                if mask is not None:
                    part *= mask
                total += part
        return total

    def _evaluate_conditions(self, columns: Sequence[Singles]) -> _Answers:
        conditions = self.table_evaluator.conditions
        m = max((len(column) for column in columns if column.ndim == 2), default=1)
        n = max((column.shape[-1] for column in columns), default=1)
        k = len(conditions.features)
        by_part = np.zeros((k, m), dtype=np.bool_), np.zeros((k, n), dtype=np.bool_)
        answers = _Answers(*by_part, np.zeros(k, dtype=np.bool_), np.zeros(k, dtype=np.bool_), {})
        for feature, of_feature in conditions.by_feature.items():
            values = columns[feature]
            left = conditions.goes_left(of_feature, values)
            if values.ndim == 1:
                answers.of_processings[of_feature], answers.depends_on_processing[of_feature] = left, True
            elif values.shape[1] == 1:
                answers.of_compositions[of_feature] = left[:, :, 0]
                answers.depends_on_composition[of_feature] = True
            else:
                _add_pair_answers(left, of_feature.start, answers)
        return answers

    def _reached_leaves(self, goes_left: Mask, is_relevant: Mask) -> Mask:
        """Return which leaves are reached if only the relevant conditions count, shape (n_leaves, ...)."""
        left, right = goes_left | ~is_relevant[:, None], ~(goes_left & is_relevant[:, None])
        n_trees, count = len(self.table_evaluator.trees.tree_sizes), goes_left.shape[1]
        mask, leaf_masks = np.ones((n_trees, count), dtype=np.bool_), []
        for level in self._levels:
            leaf_masks.append(mask[level.leaves])
            parents, half = mask[level.inner], len(level.inner)
            mask = np.empty((2 * half, count), dtype=np.bool_)
            np.logical_and(parents, left[level.conditions], out=mask[:half])
            np.logical_and(parents, right[level.conditions], out=mask[half:])
        return np.concatenate(leaf_masks)

    def _group_leaves(self, answers: _Answers, leaves: Ints) -> tuple[Ints, list[tuple[int, ...]]]:
        """Group leaves by the conditions on their paths that depend on both parts of a pair.

        Return the group of each leaf, and the conditions of each group, coded as in `_paths`.
        """
        is_of_pairs = np.zeros(len(answers.depends_on_processing) + 1, dtype=np.bool_)
        is_of_pairs[list(answers.of_pairs)] = True
        paths = self._paths[leaves]
        required = np.sort(np.where(is_of_pairs[paths // 2], paths, -1), axis=1)
        required = required[:, required.max(axis=0, initial=-1) >= 0]  # sorted: the first columns are empty
        first_rows, group = distinct_rows(len(required), required.T)
        return group, [tuple(code for code in codes if code >= 0) for codes in required[first_rows].tolist()]


def _select(column: Singles, compositions: slice, processings: slice) -> Singles:
    if column.ndim == 1:
        return column[processings]
    return column[compositions] if column.shape[1] == 1 else column[compositions, processings]


def _add_pair_answers(left: Mask, start: int, answers: _Answers) -> None:
    """Add the answers for pairs, shape (k, m, n); many of them vary along one axis only."""
    only_processing = (left == left[:, :1]).all(axis=(1, 2))
    only_composition = (left == left[:, :, :1]).all(axis=(1, 2))
    for offset, answer in enumerate(left):
        number = start + offset
        if only_processing[offset]:
            answers.of_processings[number], answers.depends_on_processing[number] = answer[0], True
        elif only_composition[offset]:
            answers.of_compositions[number], answers.depends_on_composition[number] = answer[:, 0], True
        else:
            answers.of_pairs[number] = answer


def _all_hold(of_pairs: dict[int, Mask], required: tuple[int, ...]) -> Mask | None:
    """Return the pairs for which all required conditions hold, shape (m, n); None if there are no conditions."""
    mask: Mask | None = None
    for code in required:
        answer = of_pairs[code // 2] ^ bool(code % 2)
        mask = answer if mask is None else mask & answer
    return mask
