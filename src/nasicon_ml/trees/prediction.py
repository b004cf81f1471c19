"""Evaluates trees without XGBoost: for tables of recipes, and for every pair of composition and processing.

What trees answer is a sum of leaves, whose last digits would depend on the order in which floating-point numbers
are added. So leaves are counted in whole multiples of a quantum, about a billionth of the largest: their sums
are exact, in any order, on any number of threads, however the recipes are divided.

Few recipes walk down all trees at once. Many are evaluated by bits, one for each recipe: each different
comparison is made once, and packed; which turn a recipe takes on a level of a tree follows by bitwise
operations. The turns in some trees, as a number, are the position of their sum in a table.

For pairs: a leaf is reached if all comparisons on its way say so. Nearly all of them look at the composition
alone or at the processing alone, so a pair reaches a leaf if both do: a product of two masks, and the sum over
all leaves is a product of two matrices. Comparisons that look at both (how hot for these cations?) are few; the
leaves behind them are summed up separately, and taken where the comparisons hold. These sums equal the others to
the last bit.
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
        """Return which recipes go left, for the k conditions of one feature (`by_feature`); (k, *values.shape).

        Values of the feature have any shape, and are NaN where not given.
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
    """Trees of one depth laid out for evaluation by bits, in lots that share a table."""

    conditions: tuple[Ints, ...]  # of each level, shape (n_trees, 2**level); -1 where a tree has ended
    sums: Floats  # what the trees of a lot add, in quanta, by their turns; shape (n_lots, 2**turns)

    @classmethod
    def of(cls, sums: TableSums, depth: int) -> _Tables:
        trees, conditions, leaves = sums.trees, sums.conditions, sums.leaves
        nodes = trees.starts[trees.depths == depth, None]
        asked = []
        for _ in range(max(depth, 1)):
            asked.append(conditions.of_node[nodes])
            left = trees.left[nodes]
            nodes = np.stack([left, left + ~trees.is_leaf[nodes]], axis=-1).reshape(len(nodes), -1)
        each = _TURNS // len(asked)
        missing = -len(nodes) % each
        counts = np.pad(leaves.counts[nodes], ((0, missing), (0, 0))).reshape(-1, each, nodes.shape[1])
        added = np.zeros((len(counts), 1))
        for at in range(each):
            added = (added[:, :, None] + counts[:, at, None]).reshape(len(added), -1)
        return cls(tuple(np.pad(one, ((0, missing), (0, 0)), constant_values=-1) for one in asked), added)


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
    def _tables(self) -> tuple[_Tables, ...]:
        """Those of the trees of each depth."""
        return tuple(_Tables.of(self, depth) for depth in np.unique(self.trees.depths).tolist())

    def _by_bits(self, X: NDArray[np.float32]) -> Floats:
        right = self._turns_right(X)
        found = np.zeros(len(X))
        for tables in self._tables:
            levels, each = len(tables.conditions), _TURNS // len(tables.conditions)
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
        turns = right.take(asked, axis=0)  # an index in brackets would hold up other threads
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


#: Pairs pay from so many recipes on, of so many compositions and processings, if they are this share of all pairs.
MANY_RECIPES, _SIDE, _SHARE = 1000, 4, 0.2
#: Pairs are evaluated in lots of so many compositions and ways, and leaves so many at once.
_COMPOSITIONS, _PROCESSES, _LEAVES = 256, 512, 4096


@dataclass(frozen=True)
class PairedRecipes:
    """n recipes with their features.

    Attributes
    ----------
    pairs
        Which composition and which processing each recipe has.
    features
        Of all pairs of the two.
    """

    pairs: RecipePairs
    features: PairFeatures

    @cached_property
    def singles(self) -> tuple[NDArray[np.float32], ...]:
        """The features as trees compare them, in single precision."""
        return tuple(column.astype(np.float32) for column in self.features.columns)

    @property
    def shape(self) -> tuple[int, int]:
        """How many compositions and ways there are."""
        return len(self.pairs.sites.systems), len(self.pairs.processing)

    def column(self, at: int) -> Floats:
        """Return one feature, by its position; shape (n,)."""
        return self.of_recipes(np.broadcast_to(self.features.columns[at], self.shape))

    def of_recipes(self, values: Floats) -> Floats:
        """Return the values of the recipes, shape (n,), of those of all pairs."""
        return values[self.pairs.composition_index, self.pairs.processing_index]


def worth_pairing(pairs: RecipePairs) -> bool:
    """Return whether the recipes are a good part of all pairs of their compositions and processings."""
    smaller = min(len(pairs.sites.systems), len(pairs.processing))
    return len(pairs.processing_index) >= MANY_RECIPES and smaller >= _SIDE and pairs.coverage >= _SHARE


@dataclass(frozen=True)
class _Level:
    """The nodes of some trees that are equally far from their roots.

    The next level holds the left children of `inner`, in this order, and then the right ones.
    """

    inner: Ints  # positions on the level, of nodes with children
    leaves: Ints
    conditions: Ints  # of `inner`
    counts: Floats  # of `leaves`: how many quanta each adds


@dataclass(frozen=True)
class _Answers:
    """What each of k conditions says, by what it looks at; those that have to see both sides see neither."""

    of_composition: Mask  # which go left, shape (k, m); of no meaning where a condition does not look there
    of_process: Mask  # likewise, shape (k, n)
    sees_composition: Mask
    sees_process: Mask
    of_pair: dict[int, Mask]  # answers of those that have to see both, by number, each of shape (m, n)


@dataclass(frozen=True, eq=False)
class PairSums:
    """The trees of one target, for pairs."""

    sums: TableSums

    def margin(self, columns: Sequence[NDArray[np.float32]], shape: tuple[int, int]) -> Floats:
        """Evaluate the trees.

        Parameters
        ----------
        columns
            Features, NaN where not given: of shape (m, 1) for what depends on the composition, (n,) on the
            processing, (m, n) on both.
        shape
            m and n.

        Returns
        -------
        ndarray
            Shape (m, n).
        """
        found = np.empty(shape)
        for start in range(0, shape[0], _COMPOSITIONS):
            for first in range(0, shape[1], _PROCESSES):
                lot = (slice(start, start + _COMPOSITIONS), slice(first, first + _PROCESSES))
                found[lot] = self._counts([_cut(column, *lot) for column in columns])
        return self.sums.scaled(found)

    def prepare(self) -> None:
        """Build the tables that an evaluation needs."""
        _ = self._paths, self._values

    @cached_property
    def _levels(self) -> tuple[_Level, ...]:
        """All trees; the first level holds their roots, in order, the last has leaves alone."""
        trees, conditions, counts = self.sums.trees, self.sums.conditions.of_node, self.sums.leaves.counts
        nodes, found = trees.starts, []
        while len(nodes):
            leaf = trees.is_leaf[nodes]
            inner = nodes[~leaf]
            found.append(
                _Level(np.flatnonzero(~leaf), np.flatnonzero(leaf), conditions[inner], counts[nodes[leaf]])
            )
            nodes = np.concatenate([trees.left[inner], trees.left[inner] + 1])
        return tuple(found)

    @cached_property
    def _values(self) -> Floats:
        """What each leaf adds, in the order of levels, in whole numbers; shape (n_leaves,)."""
        return np.concatenate([level.counts for level in self._levels])

    @cached_property
    def _paths(self) -> NDArray[np.int32]:
        """The conditions on the way to each leaf, shape (n_leaves, depth).

        Twice the number of the condition, one more if it must not hold; -1 behind the last.
        """
        depth = len(self._levels) - 1
        paths = np.full((len(self._levels[0].inner) + len(self._levels[0].leaves), depth), -1, dtype=np.int32)
        found = []
        for at, level in enumerate(self._levels):
            found.append(paths[level.leaves])
            if len(level.inner):
                left, right = paths[level.inner], paths[level.inner]
                left[:, at], right[:, at] = 2 * level.conditions, 2 * level.conditions + 1
                paths = np.concatenate([left, right])
        return np.concatenate(found)

    def _counts(self, columns: Sequence[NDArray[np.float32]]) -> Floats:
        """Sum up the leaves, in whole numbers; shape (m, n)."""
        said = self._asked(columns)
        here = self._reached(said.of_composition, said.sees_composition)
        there = self._reached(said.of_process, said.sees_process)
        alive = np.flatnonzero(here.any(axis=1) & there.any(axis=1))
        group, needs = self._groups(said, alive)
        total = np.zeros((here.shape[1], there.shape[1]))
        order = np.argsort(group, kind="stable")
        bounds = np.searchsorted(group[order], np.arange(len(needs) + 1))
        for number, need in enumerate(needs):
            leaves = alive[order[bounds[number] : bounds[number + 1]]]
            mask = _all_hold(said.of_pair, need)
            if mask is not None and not mask.any():
                continue
            for start in range(0, len(leaves), _LEAVES):
                some = leaves[start : start + _LEAVES]
                weighted = here[some].T * self._values[some]
                part = weighted @ there[some].astype(np.float64)
                if mask is not None:
                    part *= mask
                total += part
        return total

    def _asked(self, columns: Sequence[NDArray[np.float32]]) -> _Answers:
        conditions = self.sums.conditions
        m = max((len(column) for column in columns if column.ndim == 2), default=1)
        n = max((column.shape[-1] for column in columns), default=1)
        count = len(conditions.features)
        said = _Answers(
            np.zeros((count, m), dtype=np.bool_),
            np.zeros((count, n), dtype=np.bool_),
            np.zeros(count, dtype=np.bool_),
            np.zeros(count, dtype=np.bool_),
            {},
        )
        for feature, which in conditions.by_feature.items():
            values = columns[feature]
            answers = conditions.goes_left(which, values)
            if values.ndim == 1:
                said.of_process[which], said.sees_process[which] = answers, True
            elif values.shape[1] == 1:
                said.of_composition[which], said.sees_composition[which] = answers[:, :, 0], True
            else:
                _sort_out(answers, which.start, said)
        return said

    def _reached(self, goes_left: Mask, sees: Mask) -> Mask:
        """Return which leaves one side reaches as far as it goes by what that side sees; shape (n_leaves, ...)."""
        left, right = goes_left | ~sees[:, None], ~(goes_left & sees[:, None])
        roots, count = self._levels[0], goes_left.shape[1]
        mask, found = np.ones((len(roots.inner) + len(roots.leaves), count), dtype=np.bool_), []
        for level in self._levels:
            found.append(mask[level.leaves])
            parents, half = mask[level.inner], len(level.inner)
            mask = np.empty((2 * half, count), dtype=np.bool_)
            np.logical_and(parents, left[level.conditions], out=mask[:half])
            np.logical_and(parents, right[level.conditions], out=mask[half:])
        return np.concatenate(found)

    def _groups(self, said: _Answers, leaves: Ints) -> tuple[Ints, list[tuple[int, ...]]]:
        """Sort leaves by the conditions that see both sides and stand on the way to them.

        Return which of several sets of conditions (as `_paths` writes them) each leaf needs, and the sets.
        """
        of_pair = np.zeros(len(said.sees_process) + 1, dtype=np.bool_)
        of_pair[list(said.of_pair)] = True
        paths = self._paths[leaves]
        needed = np.sort(np.where(of_pair[paths // 2], paths, -1), axis=1)
        needed = needed[:, needed.max(axis=0, initial=-1) >= 0]  # sorted: the first columns are empty
        first, group = distinct_rows(len(needed), needed.T)
        return group, [tuple(one for one in need if one >= 0) for need in needed[first].tolist()]


def _cut(column: NDArray[np.float32], compositions: slice, processing: slice) -> NDArray[np.float32]:
    if column.ndim == 1:
        return column[processing]
    return column[compositions] if column.shape[1] == 1 else column[compositions, processing]


def _sort_out(answers: Mask, start: int, said: _Answers) -> None:
    """Note answers for pairs, shape (k, m, n): many of them, here, differ by one side alone."""
    by_way = (answers == answers[:, :1]).all(axis=(1, 2))
    by_composition = (answers == answers[:, :, :1]).all(axis=(1, 2))
    for at, answer in enumerate(answers):
        number = start + at
        if by_way[at]:
            said.of_process[number], said.sees_process[number] = answer[0], True
        elif by_composition[at]:
            said.of_composition[number], said.sees_composition[number] = answer[:, 0], True
        else:
            said.of_pair[number] = answer


def _all_hold(of_pair: dict[int, Mask], need: tuple[int, ...]) -> Mask | None:
    """Return for which pairs conditions hold, shape (m, n); None if there are none."""
    found: Mask | None = None
    for one in need:
        answer = of_pair[one // 2] ^ bool(one % 2)
        found = answer if found is None else found & answer
    return found
