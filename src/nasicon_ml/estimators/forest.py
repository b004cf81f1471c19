"""Extremely randomised trees beside the boosted ones: unlike models, whose average is better than either.

They are scikit-learn's, grown on what a recipe states and little else, and become plain arrays of trees like all
others (`nasicon_ml.trees`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.estimators.boosting import TrainingMatrix
from nasicon_ml.features.composition import M_CATIONS
from nasicon_ml.trees.arrays import LEAF, TreeArrays
from nasicon_ml.trees.ensemble import TreeEnsemble

Floats = NDArray[np.float64]

FOREST_TREES = 100
#: A tree of so many levels is evaluated from tables (`nasicon_ml.trees.rows`); deeper ones walk, which is slow.
DEEPEST = 10
#: What the forest sees: amounts, the recipe as given, and a few numbers of the chemistry. With all features, half
#: of them statistics of the composition, its trees are worse (docs/what-we-tried.md).
_COMPOSITION = frozenset(
    ("a_lithium", "a_sodium", "x", "t_silicon", "m_total", "m_other", "alkali_excess", "charge_imbalance",
     "m_radius_deviation_angstrom", *(f"m_{cation}" for cation in M_CATIONS))
)  # fmt: skip
_PHYSICS = frozenset(
    ("overfired_c", "underfired_c", "mixing_quality", "lithia_loss_c_log_h", "reduction_drive")
)  # fmt: skip
_GIVEN = ("given_", "additive_", "log10_green", "synthesis_route=", "densification=", "atmosphere=")


def seen(feature_names: Sequence[str]) -> NDArray[np.bool_]:
    """Return which features the forest sees, shape (n_features,)."""
    return np.array([name in _COMPOSITION | _PHYSICS or name.startswith(_GIVEN) for name in feature_names])


def fit_forest(rows: TrainingMatrix, *, share: float, seed: int) -> TreeEnsemble:
    """Fit a forest of outcomes 0 and 1.

    Parameters
    ----------
    rows
        What to learn from; y is 0 or 1.
    share
        Weight of the forest in the average with other trees.
    seed
        Same data, seed and versions give the same trees.

    Returns
    -------
    TreeEnsemble
        Its sum is `share` times the log-odds, to first order about the base rate b of a found share p:
        log(b / (1 - b)) + (p - b) / (b (1 - b)).
    """
    from sklearn.ensemble import ExtraTreesClassifier

    chosen = np.flatnonzero(seen(rows.feature_names))
    if not len(chosen):  # features of the caller's own
        chosen = np.arange(len(rows.feature_names))
    forest = ExtraTreesClassifier(FOREST_TREES, max_depth=DEEPEST, random_state=seed, n_jobs=1)
    forest.fit(rows.X[:, chosen], rows.y.astype(np.int64), sample_weight=rows.weight)
    base = float((rows.y.sum() + 0.5) / (len(rows.y) + 1.0))
    scale = share / (base * (1.0 - base)) / FOREST_TREES
    pure = list(forest.classes_).index(1) if 1 in forest.classes_ else None
    trees = [_nodes(tree.tree_, chosen, pure, base, scale) for tree in forest.estimators_]
    columns = {name: np.concatenate([tree[name] for tree in trees]) for name in trees[0]}
    arrays = TreeArrays(
        n_features=rows.X.shape[1],
        trees_per_round=1,
        base_score=float(np.float32(share * np.log(base / (1.0 - base)))),
        tree_sizes=np.array([len(tree["value"]) for tree in trees], dtype=np.int32),
        **columns,
    )
    arrays.check(rows.X.shape[1])
    return TreeEnsemble(arrays)


def _nodes(tree: Any, chosen: NDArray[np.intp], pure: int | None, base: float, scale: float) -> dict[str, Any]:
    """Return the nodes of a tree in the order of `TreeArrays`: level by level, children side by side."""
    order = np.array([0])
    level = order
    while len(level := level[tree.children_left[level] != LEAF]):
        level = np.column_stack([tree.children_left[level], tree.children_right[level]]).ravel()
        order = np.concatenate([order, level])
    place = np.empty(tree.node_count, dtype=np.int32)
    place[order] = np.arange(tree.node_count)
    left = tree.children_left[order]
    is_leaf = left == LEAF
    share = tree.value[order, 0, pure] if pure is not None else np.zeros(len(order))
    value = np.where(is_leaf, scale * (share - base), _next_above(tree.threshold[order]))
    gain = np.where(is_leaf, 0.0, tree.impurity[order] * tree.weighted_n_node_samples[order])
    return {
        "left_child": np.where(is_leaf, LEAF, place[left]).astype(np.int32),
        "feature": np.where(is_leaf, 0, chosen[np.where(is_leaf, 0, tree.feature[order])]).astype(np.int16),
        "value": value.astype(np.float32),
        "default_left": np.where(is_leaf, 0, tree.missing_go_to_left[order]).astype(np.uint8),
        "cover": tree.weighted_n_node_samples[order].astype(np.float32),
        "gain": gain.astype(np.float32),
    }


def _next_above(thresholds: Floats) -> NDArray[np.float32]:
    """Return the smallest single-precision number above each: ``x <= threshold`` is ``x <`` that."""
    single = thresholds.astype(np.float32)
    return np.where(single > thresholds, single, np.nextafter(single, np.float32(np.inf)))
