"""Trees from XGBoost's model files, and to them.

XGBoost trusts the indices in a file, and can crash on wrong ones. So binary files of older bundles are converted
to XGBoost's documented JSON by a process of its own, and the trees in that are checked as any others are.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nasicon_ml.trees.arrays import DTYPES, LEAF, TreeArrays

#: XGBoost's name of each array of nodes.
_COLUMNS = {
    "left_child": "left_children", "feature": "split_indices", "value": "split_conditions",
    "default_left": "default_left", "cover": "sum_hessian", "gain": "loss_changes",
}  # fmt: skip
#: Objectives whose trees answer on the scale they learn.
_OBJECTIVES = ("reg:squarederror", "reg:absoluteerror")
_NO_PARENT = 2**31 - 1
_SECONDS = 120
_CONVERT = """
import sys, xgboost
for name in sys.argv[1:]:
    xgboost.Booster(model_file=name + ".ubj").save_model(name + ".json")
"""


def from_json(text: bytes) -> TreeArrays:
    """Return the trees of an XGBoost model in JSON, not checked yet.

    Raises
    ------
    ValueError
        If it is no model of one target by trees with numeric features, or is written otherwise.
    """
    try:
        return _read(json.loads(text)["learner"])
    except (KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"it is not a model as XGBoost writes one: {error!r}") from None


def _read(learner: Mapping[str, Any]) -> TreeArrays:
    parameters, booster = learner["learner_model_param"], learner["gradient_booster"]
    objective = learner["objective"]["name"]
    if booster["name"] != "gbtree" or objective not in _OBJECTIVES:
        raise ValueError(f"a model of kind {booster['name']!r:.40} for {objective!r:.40} is not supported")
    if (parameters["num_class"], parameters["num_target"]) != ("0", "1"):
        raise ValueError("the model has several classes or targets")
    model = booster["model"]
    trees = model["trees"]
    columns = {
        name: np.concatenate([np.array(tree[theirs], dtype=DTYPES[name]) for tree in trees])
        for name, theirs in _COLUMNS.items()
    }
    left = columns["left_child"]
    right = np.concatenate([np.array(tree["right_children"], dtype=left.dtype) for tree in trees])
    if not np.array_equal(right, np.where(left == LEAF, LEAF, left + 1)):
        raise ValueError("a right child does not stand behind the left one")
    if any(any(tree["split_type"]) or len(tree["categories"]) for tree in trees):
        raise ValueError("a tree divides by categories")
    return TreeArrays(
        n_features=int(parameters["num_feature"]),
        trees_per_round=int(model["gbtree_model_param"]["num_parallel_tree"]),
        # A number, in brackets since version 3.1.
        base_score=float(np.float32(re.sub(r"[\[\]]", "", parameters["base_score"]))),
        tree_sizes=np.array([len(tree["left_children"]) for tree in trees], dtype=DTYPES["tree_sizes"]),
        **columns,
    )


def to_json(trees: TreeArrays) -> bytes:
    """Return trees as an XGBoost model in JSON, which any version since 1.6 reads."""
    n_trees = len(trees.tree_sizes)
    model = {
        "gbtree_model_param": {"num_parallel_tree": str(trees.trees_per_round), "num_trees": str(n_trees)},
        "iteration_indptr": list(range(0, n_trees + 1, trees.trees_per_round)),
        "tree_info": [0] * n_trees,
        "trees": [_tree(trees, number) for number in range(n_trees)],
    }
    parameters = {"num_class": "0", "num_target": "1", "num_feature": str(trees.n_features)}
    learner = {
        "attributes": {},
        "feature_names": [],
        "feature_types": [],
        "gradient_booster": {"model": model, "name": "gbtree"},
        "learner_model_param": parameters | {"base_score": repr(trees.base_score), "boost_from_average": "1"},
        "objective": {"name": _OBJECTIVES[0], "reg_loss_param": {"scale_pos_weight": "1"}},
    }
    return json.dumps({"learner": learner, "version": [2, 0, 0]}).encode()


def _tree(trees: TreeArrays, number: int) -> dict[str, Any]:
    start, size = int(trees.starts[number]), int(trees.tree_sizes[number])
    own = {theirs: getattr(trees, name)[start : start + size].tolist() for name, theirs in _COLUMNS.items()}
    left = np.array(own["left_children"])
    inner = np.flatnonzero(left != LEAF)
    parents = np.full(size, _NO_PARENT)
    parents[left[inner]] = parents[left[inner] + 1] = inner
    none: dict[str, list[int]] = {
        name: [] for name in ("categories", "categories_nodes", "categories_segments", "categories_sizes")
    }
    counts = {"num_deleted": 0, "num_feature": trees.n_features, "num_nodes": size, "size_leaf_vector": 1}
    return own | none | {
        "id": number,
        "right_children": np.where(left == LEAF, LEAF, left + 1).tolist(),
        "parents": parents.tolist(),
        "split_type": [0] * size,
        "base_weights": [0.0] * size,
        "tree_param": {name: str(count) for name, count in counts.items()},
    }  # fmt: skip


def json_of_ubj(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Convert XGBoost models, by name, from binary JSON to JSON, in a process that may crash.

    Raises
    ------
    ValueError
        If XGBoost cannot read one of them, or dies of it.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            Path(folder, f"{name}.ubj").write_bytes(content)
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-c", _CONVERT, *files],
                cwd=folder, capture_output=True, text=True, check=False, timeout=_SECONDS,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise ValueError("XGBoost does not come to an end reading the trees") from None
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
            raise ValueError(f"XGBoost cannot read the trees: {said[-1][:200]}")
        return {name: Path(folder, f"{name}.json").read_bytes() for name in files}
