"""Evaluates trees for every pair of a composition and a way of making it, by products of matrices.

A leaf is reached if all comparisons on its way say so. Nearly all of them look at the composition alone or at
the way of making alone, so a pair reaches a leaf if both do: a product of two masks, and the sum over all leaves
is a product of two matrices. Comparisons that look at both (how hot for these cations?) are few; the leaves
behind them are summed up separately, and taken where the comparisons hold. All sums are of whole numbers, hence
exact, and they equal those of `nasicon_ml.estimators.leaf_sums` to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.estimators.leaf_sums import LeafSums
from nasicon_ml.estimators.tree_levels import reached

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Mask = NDArray[np.bool_]

#: Pairs are evaluated in lots of so many compositions and ways, and leaves so many at once.
_COMPOSITIONS, _WAYS, _LEAVES = 256, 512, 4096


@dataclass(frozen=True)
class _Answers:
    """What each condition says, divided by what it looks at; shapes (n_conditions, ...).

    Attributes
    ----------
    of_composition, of_way
        Which go left; shapes (k, m) and (k, n). Where a condition does not look at that side, of no meaning.
    sees_composition, sees_way
        Which do, shape (k,). Those that have to see both at once do neither.
    of_pair
        Answers of those, by their number, each of shape (m, n).
    """

    of_composition: Mask
    of_way: Mask
    sees_composition: Mask
    sees_way: Mask
    of_pair: dict[int, Mask]


@dataclass(frozen=True)
class CrossedTrees:
    """The trees of one target, for pairs.

    Attributes
    ----------
    sums
        The trees.
    """

    sums: LeafSums

    def margin(self, columns: Sequence[NDArray[np.float32]], shape: tuple[int, int]) -> Floats:
        """Evaluate the trees.

        Parameters
        ----------
        columns
            Features, NaN where not given: of shape (m, 1) for what depends on the composition, (n,) on the way of
            making it, (m, n) on both.
        shape
            m and n.

        Returns
        -------
        ndarray
            Shape (m, n).
        """
        found = np.empty(shape)
        for start in range(0, shape[0], _COMPOSITIONS):
            for first in range(0, shape[1], _WAYS):
                lot = (slice(start, start + _COMPOSITIONS), slice(first, first + _WAYS))
                found[lot] = self._counts([_cut(column, *lot) for column in columns])
        return self.sums.scaled(found)

    @cached_property
    def _values(self) -> Floats:
        """What each leaf adds, in the order of levels, in whole numbers; shape (n_leaves,)."""
        return np.concatenate([level.counts for level in self.sums.levels])

    @cached_property
    def _ways(self) -> NDArray[np.int32]:
        """The conditions on the way to each leaf, shape (n_leaves, depth).

        Twice the number of the condition, one more if it must not hold; -1 behind the last.
        """
        depth = len(self.sums.levels) - 1
        ways = np.full(
            (len(self.sums.levels[0].inner) + len(self.sums.levels[0].leaves), depth), -1, dtype=np.int32
        )
        found = []
        for at, level in enumerate(self.sums.levels):
            found.append(ways[level.leaves])
            if len(level.inner):
                left, right = ways[level.inner], ways[level.inner]
                left[:, at], right[:, at] = 2 * level.conditions, 2 * level.conditions + 1
                ways = np.concatenate([left, right])
        return np.concatenate(found)

    def _counts(self, columns: Sequence[NDArray[np.float32]]) -> Floats:
        """Sum up the leaves, in whole numbers; shape (m, n)."""
        said = self._asked(columns)
        here = self._reached(said.of_composition, said.sees_composition)
        there = self._reached(said.of_way, said.sees_way)
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
            answers = conditions.ask(which, values)
            if values.ndim == 1:
                said.of_way[which], said.sees_way[which] = answers, True
            elif values.shape[1] == 1:
                said.of_composition[which], said.sees_composition[which] = answers[:, :, 0], True
            else:
                _sort_out(answers, which.start, said)
        return said

    def _reached(self, goes_left: Mask, sees: Mask) -> Mask:
        """Say which leaves one side reaches as far as it goes by what that side sees; shape (n_leaves, ...)."""
        blind = ~sees[:, None]
        masks = reached(self.sums.levels, goes_left | blind, ~goes_left | blind)
        return np.concatenate([mask for _, mask in masks])

    def _groups(self, said: _Answers, leaves: Ints) -> tuple[Ints, list[tuple[int, ...]]]:
        """Sort leaves by the conditions that see both sides and stand on the way to them.

        Returns
        -------
        group
            Which of the following each leaf needs, shape (len(leaves),).
        needs
            Conditions as `_ways` writes them.
        """
        of_pair = np.zeros(len(said.sees_way) + 1, dtype=np.bool_)
        of_pair[list(said.of_pair)] = True
        ways = self._ways[leaves]
        needed = np.sort(np.where(of_pair[ways // 2], ways, -1), axis=1)
        different, group = np.unique(needed, axis=0, return_inverse=True)
        return group.ravel(), [tuple(one for one in need if one >= 0) for need in different.tolist()]


def _cut(column: NDArray[np.float32], compositions: slice, ways: slice) -> NDArray[np.float32]:
    if column.ndim == 1:
        return column[ways]
    return column[compositions] if column.shape[1] == 1 else column[compositions, ways]


def _sort_out(answers: Mask, start: int, said: _Answers) -> None:
    """Note answers for pairs, shape (k, m, n): many of them, here, differ by one side alone."""
    by_way = (answers == answers[:, :1]).all(axis=(1, 2))
    by_composition = (answers == answers[:, :, :1]).all(axis=(1, 2))
    for at, answer in enumerate(answers):
        number = start + at
        if by_way[at]:
            said.of_way[number], said.sees_way[number] = answer[0], True
        elif by_composition[at]:
            said.of_composition[number], said.sees_composition[number] = answer[:, 0], True
        else:
            said.of_pair[number] = answer


def _all_hold(of_pair: dict[int, Mask], need: tuple[int, ...]) -> Mask | None:
    """Say for which pairs conditions hold, shape (m, n); None if there are none."""
    found: Mask | None = None
    for one in need:
        answer = of_pair[one // 2] ^ bool(one % 2)
        found = answer if found is None else found & answer
    return found
