"""Checks the trees of an XGBoost model before XGBoost sees them: it trusts what a file says, and can crash on it.

What passes has trees that end (every child stands behind its parent and belongs to one parent alone), features
that exist, finite numbers, and none of what this package does not use (categories, vector leaves, other boosters).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.estimators.shapes import Shape, listing, one_of, record, text, whole
from nasicon_ml.estimators.stored_trees import StoredTrees, read_base_score
from nasicon_ml.estimators.tree_layout import TreeTable, read_trees
from nasicon_ml.estimators.ubjson import read_ubjson

if TYPE_CHECKING:
    import xgboost

#: Trees deeper than this are refused: XGBoost walks some of its ways recursively. Ours have five levels.
MAX_DEPTH = 64
#: Largest number that stands in a tree: thresholds are temperatures and logarithms, leaves decades.
_LARGEST = 1e30
_NO_CHILD = -1
_OBJECTIVES = ("reg:squarederror", "reg:absoluteerror")

_DIGITS = re.compile(r"[0-9]{1,9}")
_NUMBER = re.compile(r"\[?([-+]?[0-9]{1,20}(\.[0-9]{1,20})?([eE][-+]?[0-9]{1,3})?)\]?")


def _empty(value: Any, place: str) -> None:
    if len(value) if isinstance(value, (list, dict, np.ndarray)) else True:
        raise ValueError(f"{place} is not empty")


def _trees(value: Any, place: str) -> None:
    if not isinstance(value, TreeTable):
        raise ValueError(f"{place} are no trees")  # noqa: TRY004 -- of a file, not of a caller


_MODEL: Shape = record(
    {
        "gbtree_model_param": record({"num_parallel_tree": text(9), "num_trees": text(9)}),
        "iteration_indptr": listing(whole(0, 10**6), 2, 10**6),
        "tree_info": listing(whole(0, 0), 1, 10**6),
        "trees": _trees,
    },
    {"cats": record(dict.fromkeys(("enc", "feature_segments", "sorted_idx"), _empty))},
)
_FILE: Shape = record(
    {
        "learner": record(
            {
                "attributes": _empty,
                "feature_names": _empty,
                "feature_types": _empty,
                "gradient_booster": record({"model": _MODEL, "name": one_of(("gbtree",))}),
                "learner_model_param": record(
                    dict.fromkeys(
                        ("base_score", "boost_from_average", "num_class", "num_feature", "num_target"), text(60)
                    )
                ),
                "objective": record(
                    {"name": one_of(_OBJECTIVES)},
                    {"reg_loss_param": record({"scale_pos_weight": text(20)})},
                ),
            }
        ),
        "version": listing(whole(0, 1000), 3, 3),
    }
)


def check_forest(data: bytes, n_features: int) -> TreeTable:
    """Refuse an XGBoost model in binary JSON that is not one this package wrote, or could have.

    Parameters
    ----------
    data
        The whole file.
    n_features
        How many features the trees have to take.

    Returns
    -------
    TreeTable
        Its trees.

    Raises
    ------
    ValueError
        With what is wrong.
    """
    return read_forest(data, n_features).table


def read_forest(data: bytes, n_features: int) -> StoredTrees:
    """Check an XGBoost model as `check_forest` does, and give it with the sum its trees start from."""
    content = read_ubjson(data, {"trees": lambda data, at: read_trees(data, at, n_features)})
    _FILE(content, "")
    learner = content["learner"]
    model = learner["gradient_booster"]["model"]
    trees: TreeTable = model["trees"]
    _check_parameters(learner["learner_model_param"], n_features)
    _check_rounds(model, len(trees.sizes))
    for name, values in learner["objective"].get("reg_loss_param", {}).items():
        _check_number(name, values)
    _check_values(trees, n_features)
    _check_children(trees)
    return StoredTrees(data, trees, read_base_score(learner["learner_model_param"]["base_score"]))


def stored(booster: xgboost.Booster, n_features: int) -> StoredTrees:
    """Give trees that XGBoost has grown as a bundle will hold them, so that saving them changes no answer."""
    return replace(read_forest(bytes(booster.save_raw("ubj")), n_features), grown=booster)


def _check_parameters(given: Mapping[str, str], n_features: int) -> None:
    expected = {"num_class": "0", "num_target": "1", "num_feature": str(n_features)}
    for name, value in expected.items():
        if given[name] != value:
            raise ValueError(f"{name} is {given[name]!r} and not {value!r}")
    if given["boost_from_average"] not in {"0", "1"}:
        raise ValueError(f"boost_from_average is {given['boost_from_average']!r}")
    _check_number("base_score", given["base_score"])


def _check_number(name: str, value: str) -> None:
    found = _NUMBER.fullmatch(value)
    if found is None or not abs(float(found[1])) < _LARGEST:
        raise ValueError(f"{name} is {value!r}, which is no number")


def _check_rounds(model: Mapping[str, Any], n_trees: int) -> None:
    """Hold what is said of the rounds against the trees."""
    counts = model["gbtree_model_param"]
    if not all(_DIGITS.fullmatch(value) for value in counts.values()) or int(counts["num_trees"]) != n_trees:
        raise ValueError(f"{counts['num_trees']!r} trees are announced, {n_trees} there")
    if len(model["tree_info"]) != n_trees:
        raise ValueError(f"{len(model['tree_info'])} trees are described, {n_trees} there")
    rounds, each = model["iteration_indptr"], int(counts["num_parallel_tree"])
    if each < 1 or rounds != list(range(0, n_trees + 1, each)):
        raise ValueError(f"the rounds do not divide {n_trees} trees into lots of {each}")


def _check_values(trees: TreeTable, n_features: int) -> None:
    for name, values in trees.columns.items():
        if values.dtype.kind == "f" and not np.all(np.abs(values) < _LARGEST):
            raise ValueError(f"{name} holds what is no number of reasonable size")
    feature = trees.columns["split_indices"]
    if not np.all((feature >= 0) & (feature < n_features)):
        raise ValueError(f"split_indices holds a feature beyond the {n_features} there are")
    if np.any(trees.columns["split_type"]) or np.any(trees.columns["default_left"] > 1):
        raise ValueError("split_type or default_left holds what this package does not use")


def _check_children(trees: TreeTable) -> None:
    """Make sure that each node but the root is the child of one node, which stands before it."""
    columns, sizes = trees.columns, trees.sizes
    root = np.repeat(trees.starts, sizes)
    own = np.arange(len(root)) - root
    left, right = (columns[name].astype(np.int64) for name in ("left_children", "right_children"))
    leaf = (left == _NO_CHILD) & (right == _NO_CHILD)
    inner = ~leaf
    size = np.repeat(sizes, sizes)
    for children in (left, right):
        if not np.all(leaf | ((children > own) & (children < size))):
            raise ValueError("a node has a child that is not there, or stands before it")
    children = np.concatenate([(root + left)[inner], (root + right)[inner]])
    parents = np.concatenate([own[inner], own[inner]])
    times = np.bincount(children, minlength=len(root))
    if not np.array_equal(times, (own > 0).astype(times.dtype)):
        raise ValueError("a node is the child of none, or of several")
    if not np.array_equal(columns["parents"][children], parents):
        raise ValueError("a node names another parent than the one it belongs to")
    _check_depth(root, np.stack([left, right]), inner, trees.starts)


def _check_depth(
    root: NDArray[np.int64], children: NDArray[np.int64], inner: NDArray[np.bool_], level: NDArray[np.int64]
) -> None:
    for _ in range(MAX_DEPTH):
        level = level[inner[level]]
        if not len(level):
            return
        level = (root[level] + children[:, level]).ravel()
    raise ValueError(f"a tree is deeper than {MAX_DEPTH}")
