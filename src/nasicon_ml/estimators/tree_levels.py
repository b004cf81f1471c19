"""Trees as arrays that can be evaluated for many recipes at once: comparisons made once, leaves as whole numbers.

Hundreds of trees ask the same thousands of questions ("fired below 850 °C?"), so each different question is
answered once a recipe. And what the trees answer is a sum of leaves, whose last digits would depend on the order
in which floating-point numbers are added. So leaves are counted in whole multiples of a quantum, about a
billionth of the largest: their sums are exact, in any order, on any number of threads, in any way of dividing
the recipes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.estimators.tree_layout import TreeTable

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Mask = NDArray[np.bool_]

#: The largest leaf has so many binary digits; floating-point numbers add up eight million such leaves exactly.
_DIGITS = 30


@dataclass(frozen=True)
class Conditions:
    """The different comparisons of a forest, sorted by feature.

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
    def of(cls, table: TreeTable) -> Conditions:
        """Collect them from all nodes of all trees."""
        columns = table.columns
        inner = columns["left_children"] >= 0
        feature = columns["split_indices"][inner].astype(np.int64)
        threshold = columns["split_conditions"][inner].astype(np.float32)
        default_left = columns["default_left"][inner].astype(np.int64)
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

    def ask(self, which: slice, values: NDArray[np.float32]) -> Mask:
        """Say which recipes go left, for the conditions of one feature.

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
        goes_left = values < self.thresholds[which].reshape(shape)
        unknown = np.isnan(values)
        if unknown.any():
            goes_left |= unknown & self.default_left[which].reshape(shape)
        return np.asarray(goes_left)

    def ask_all(self, X: NDArray[np.float32]) -> Mask:
        """Say which of n recipes go left, features of shape (n, n_features); shape (n_conditions, n)."""
        found = np.empty((len(self.features), len(X)), dtype=np.bool_)
        for feature, which in self.by_feature.items():
            found[which] = self.ask(which, X[:, feature])
        return found


@dataclass(frozen=True)
class Leaves:
    """What the leaves add, in whole numbers.

    Attributes
    ----------
    counts
        Of every node, how many quanta it adds, a whole number, shape (n_nodes,); 0 for nodes that are none.
    quantum
        A power of two.
    """

    counts: Floats
    quantum: float

    @classmethod
    def of(cls, table: TreeTable) -> Leaves:
        """Round the leaves of all trees."""
        columns = table.columns
        is_leaf = columns["left_children"] < 0
        values = np.where(is_leaf, columns["split_conditions"].astype(np.float64), 0.0)
        largest = float(np.abs(values).max(initial=0.0))
        exponent = int(np.ceil(np.log2(largest))) - _DIGITS if largest > 0 else 0
        return cls(np.rint(np.ldexp(values, -exponent)), float(np.ldexp(1.0, exponent)))


@dataclass(frozen=True)
class Level:
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


def levels(table: TreeTable, conditions: Conditions, leaves: Leaves, trees: slice) -> tuple[Level, ...]:
    """Lay out some trees level by level; the first holds their roots, in order, the last has leaves alone."""
    root = np.repeat(table.starts, table.sizes)
    left = root + table.columns["left_children"]
    right = root + table.columns["right_children"]
    nodes = table.starts[trees]
    found = []
    while len(nodes):
        is_inner = conditions.of_node[nodes] >= 0
        inner = nodes[is_inner]
        found.append(
            Level(
                np.flatnonzero(is_inner),
                np.flatnonzero(~is_inner),
                conditions.of_node[inner],
                leaves.counts[nodes[~is_inner]],
            )
        )
        nodes = np.concatenate([left[inner], right[inner]])
    return tuple(found)


def reached(trees: tuple[Level, ...], left: Mask, right: Mask) -> Iterator[tuple[Level, Mask]]:
    """Follow n recipes through trees, from the roots down.

    Parameters
    ----------
    trees
        As `levels` lays them out.
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
