"""Evaluates trees for every pair of a composition and a processing, by products of matrices.

A leaf is reached if all comparisons on its way say so. Nearly all of them look at the composition alone or at
the processing alone, so a pair reaches a leaf if both do: a product of two masks, and the sum over all leaves
is a product of two matrices. Comparisons that look at both (how hot for these cations?) are few; the leaves
behind them are summed up separately, and taken where the comparisons hold. All sums are of whole numbers, hence
exact, and they equal those of `nasicon_ml.trees.rows` to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.features.build import PairFeatures
from nasicon_ml.features.pairs import RecipePairs, distinct_rows
from nasicon_ml.trees.rows import TableSums

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Mask = NDArray[np.bool_]

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
        return values[self.pairs.composition_of, self.pairs.processing_of]


def worth_pairing(pairs: RecipePairs) -> bool:
    """Return whether the recipes are a good part of all pairs of their compositions and processings."""
    smaller = min(len(pairs.sites.systems), len(pairs.processing))
    return len(pairs.processing_of) >= MANY_RECIPES and smaller >= _SIDE and pairs.share >= _SHARE


@dataclass(frozen=True)
class _Level:
    """The nodes of some trees that are equally far from their roots.

    The next level holds the left children of `inner`, in this order, and then the right ones.

    Attributes
    ----------
    inner, leaves
        Positions on the level, of nodes with children and of leaves.
    conditions
        Of `inner`.
    counts
        Of `leaves`: how many quanta each adds.
    """

    inner: Ints
    leaves: Ints
    conditions: Ints
    counts: Floats


@dataclass(frozen=True)
class _Answers:
    """What each condition says, divided by what it looks at; shapes (n_conditions, ...).

    Attributes
    ----------
    of_composition, of_process
        Which go left; shapes (k, m) and (k, n). Where a condition does not look at that side, of no meaning.
    sees_composition, sees_process
        Which do, shape (k,). Those that have to see both at once do neither.
    of_pair
        Answers of those, by their number, each of shape (m, n).
    """

    of_composition: Mask
    of_process: Mask
    sees_composition: Mask
    sees_process: Mask
    of_pair: dict[int, Mask]


@dataclass(frozen=True, eq=False)
class PairSums:
    """The trees of one target, for pairs.

    Attributes
    ----------
    sums
        The trees.
    """

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
        blind = ~sees[:, None]
        masks = _follow(self._levels, goes_left | blind, ~goes_left | blind)
        return np.concatenate([mask for _, mask in masks])

    def _groups(self, said: _Answers, leaves: Ints) -> tuple[Ints, list[tuple[int, ...]]]:
        """Sort leaves by the conditions that see both sides and stand on the way to them.

        Returns
        -------
        group
            Which of the following each leaf needs, shape (len(leaves),).
        needs
            Conditions as `_paths` writes them.
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


def _follow(trees: tuple[_Level, ...], left: Mask, right: Mask) -> Iterator[tuple[_Level, Mask]]:
    """Follow n recipes through trees, from the roots down.

    Parameters
    ----------
    trees
        As `PairSums` lays them out.
    left, right
        Which recipes may go left, and right, by condition; shape (n_conditions, n).

    Yields
    ------
    level, mask
        Each level, and which of its leaves the recipes reach, shape (len(level.leaves), n).
    """
    first = trees[0]
    mask = np.ones((len(first.inner) + len(first.leaves), left.shape[1]), dtype=np.bool_)
    for level in trees:
        yield level, mask[level.leaves]
        parents, half = mask[level.inner], len(level.inner)
        mask = np.empty((2 * half, left.shape[1]), dtype=np.bool_)
        np.logical_and(parents, left[level.conditions], out=mask[:half])
        np.logical_and(parents, right[level.conditions], out=mask[half:])
