"""Boosted trees as plain arrays, their validation, and their files: `.npz` and XGBoost's JSON.

A file may come from an untrusted source. Names, sizes, types and shapes in the archive are checked before an array
is created; then the trees: children in range, each node reached once, existing features, finite numbers. XGBoost
trusts the indices in a file, and can crash on wrong ones. So binary files of older bundles are converted to
XGBoost's documented JSON in a separate process, and the resulting trees are checked like any others.
"""

from __future__ import annotations

import io
import json
import re
import struct
import subprocess
import sys
import tempfile
import tokenize
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Deeper trees are refused. Trained models have about five levels.
MAX_DEPTH = 64
MAX_TREES = 100_000
#: Largest absolute number in a tree. Thresholds are temperatures and logarithms, leaves are in decades.
MAX_NUMBER = 1e30
LEAF = -1

#: Type of each array in the archive. All are one-dimensional.
DTYPES: Mapping[str, np.dtype[Any]] = {
    "n_features": np.dtype("<i4"),
    "trees_per_round": np.dtype("<i4"),
    "base_score": np.dtype("<f4"),
    "tree_sizes": np.dtype("<i4"),
    "left_child": np.dtype("<i4"),
    "feature": np.dtype("<i2"),
    "value": np.dtype("<f4"),
    "default_left": np.dtype("u1"),
    "cover": np.dtype("<f4"),
    "gain": np.dtype("<f4"),
}
_SCALARS = ("n_features", "trees_per_round", "base_score")
#: Members with a number for each node.
PER_NODE = ("left_child", "feature", "value", "default_left", "cover", "gain")
_HEADER_BYTES = 256
_CENTRAL_ENTRY, _MAX_ENTRIES = b"PK\x01\x02", 100
#: Exceptions of Python's readers for damaged archives and headers.
_READ_ERRORS = (
    zipfile.BadZipFile, tokenize.TokenError, EOFError, KeyError, LookupError, MemoryError, NotImplementedError,
    OSError, OverflowError, RecursionError, RuntimeError, SyntaxError, TypeError, struct.error,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class TreeArrays:
    """The trees of one target, concatenated; n_nodes nodes in all.

    Attributes
    ----------
    n_features
        Number of features.
    trees_per_round
        Number of trees of each boosting round.
    base_score
        Constant added to the sum of the trees.
    tree_sizes
        Number of nodes of each tree, shape (n_trees,).
    left_child
        Left child of each node, counted from the root of its tree, shape (n_nodes,); the right child is the node
        after it. `LEAF` for leaves.
    feature
        Feature of each split, shape (n_nodes,).
    value
        Threshold of a split (smaller values go left), or value of a leaf, shape (n_nodes,).
    default_left
        1 where a missing feature goes left, shape (n_nodes,).
    cover, gain
        Sum of the hessian in a node and gain of its split, shape (n_nodes,); for contributions and importances.
    """

    n_features: int
    trees_per_round: int
    base_score: float
    tree_sizes: NDArray[np.int32]
    left_child: NDArray[np.int32]
    feature: NDArray[np.int16]
    value: NDArray[np.float32]
    default_left: NDArray[np.uint8]
    cover: NDArray[np.float32]
    gain: NDArray[np.float32]

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Position of the root of each tree, shape (n_trees,)."""
        return np.cumsum(self.tree_sizes, dtype=np.int64) - self.tree_sizes

    @cached_property
    def left(self) -> NDArray[np.int64]:
        """Position of the left child of each node, of a leaf itself, shape (n_nodes,)."""
        nodes = np.arange(len(self.left_child))
        return np.where(self.is_leaf, nodes, np.repeat(self.starts, self.tree_sizes) + self.left_child)

    @cached_property
    def is_leaf(self) -> NDArray[np.bool_]:
        """Which nodes are leaves, shape (n_nodes,)."""
        return self.left_child == LEAF

    @cached_property
    def depths(self) -> NDArray[np.intp]:
        """Depth of each tree, shape (n_trees,); raises `ValueError` above `MAX_DEPTH`."""
        nodes, tree = self.starts, np.arange(len(self.tree_sizes))
        depths = np.zeros_like(tree)
        for depth in range(MAX_DEPTH):
            inner = ~self.is_leaf[nodes]
            if not inner.any():
                return depths
            left, tree = self.left[nodes[inner]], tree[inner]
            depths[tree] = depth + 1
            nodes, tree = np.concatenate([left, left + 1]), np.concatenate([tree, tree])
        raise ValueError(f"a tree is deeper than {MAX_DEPTH}")

    @property
    def depth(self) -> int:
        """Depth of the deepest tree."""
        return int(self.depths.max())

    def check(self, n_features: int) -> None:
        """Validate the trees for a number of features.

        Raises
        ------
        ValueError
            If the trees cannot be evaluated; the message gives the reason.
        """
        if self.n_features != n_features:
            raise ValueError(f"the trees are for {self.n_features} features, the model has {n_features}")
        n_trees, n_nodes = len(self.tree_sizes), len(self.left_child)
        if not 1 <= n_trees <= MAX_TREES:
            raise ValueError(f"{n_trees} trees; allowed are 1 to {MAX_TREES}")
        if self.trees_per_round < 1 or n_trees % self.trees_per_round:
            raise ValueError(f"{n_trees} trees do not divide into rounds of {self.trees_per_round}")
        if self.tree_sizes.min() < 1 or self.tree_sizes.sum(dtype=np.int64) != n_nodes:
            raise ValueError(f"the sizes of the trees do not add up to the {n_nodes} nodes there are")
        for name in PER_NODE:
            if len(getattr(self, name)) != n_nodes:
                raise ValueError(f"{name} does not have one value for each of {n_nodes} nodes")
        for name in ("base_score", "value", "cover", "gain"):
            if not np.all(np.abs(getattr(self, name)) < MAX_NUMBER):
                raise ValueError(f"{name} contains numbers that are not finite or too large")
        if self.feature.min() < 0 or self.feature.max() >= n_features:
            raise ValueError(f"feature contains a number beyond the {n_features} there are")
        if self.default_left.max() > 1:
            raise ValueError("default_left contains numbers other than 0 and 1")
        self._check_children()

    def _check_children(self) -> None:
        """Check that each node except the roots is the child of exactly one node, which precedes it."""
        position = np.arange(len(self.left_child)) - np.repeat(self.starts, self.tree_sizes)
        size = np.repeat(self.tree_sizes, self.tree_sizes)
        # The right child follows the left; comparing with a sum could overflow.
        if not np.all(self.is_leaf | ((self.left_child > position) & (self.left_child < size - 1))):
            raise ValueError("left_child contains a node that does not exist or precedes its parent")
        left = self.left[~self.is_leaf]
        n_parents = np.bincount(np.concatenate([left, left + 1]), minlength=len(position))
        if not np.array_equal(n_parents, position > 0):
            raise ValueError("left_child makes a node the child of none, or of several")
        _ = self.depths  # raises if a tree is too deep


def write_npz(trees: TreeArrays) -> bytes:
    """Return trees as an uncompressed NumPy archive; equal trees give equal bytes.

    `numpy.load(path, allow_pickle=False)` reads it.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, dtype in DTYPES.items():
            member = io.BytesIO()
            array = np.atleast_1d(np.asarray(getattr(trees, name), dtype=dtype))
            np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # the same on all systems
            archive.writestr(entry, member.getvalue())
    return buffer.getvalue()


def read_npz(data: bytes, n_features: int) -> TreeArrays:
    """Return the trees in an archive of `write_npz`, which may come from an untrusted source.

    Raises
    ------
    ValueError
        If the archive contains other arrays, or trees that `TreeArrays.check` refuses.
    """
    try:
        arrays: dict[str, Any] = _read_arrays(data)
    except _READ_ERRORS as error:
        raise ValueError(f"it is not an archive of arrays: {error}") from None
    for name in _SCALARS:
        if len(arrays[name]) != 1:
            raise ValueError(f"{name} holds {len(arrays[name])} numbers instead of one")
    scalars = {name: arrays.pop(name)[0].item() for name in _SCALARS}
    trees = TreeArrays(**scalars, **arrays)
    trees.check(n_features)
    return trees


def _read_arrays(data: bytes) -> dict[str, Any]:
    if data.count(_CENTRAL_ENTRY) > _MAX_ENTRIES:  # before zipfile reads the list of members
        raise ValueError("the archive has too many members")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if [member.filename for member in members] != [f"{name}.npy" for name in DTYPES]:
            raise ValueError(f"the archive does not hold exactly the arrays {', '.join(DTYPES)}")
        if any(m.compress_type != zipfile.ZIP_STORED or m.compress_size != m.file_size for m in members):
            raise ValueError("the archive is compressed")
        if sum(member.file_size for member in members) > len(data):
            raise ValueError("the archive states more than it holds")
        return {
            name: _read_array(name, archive.read(member), dtype)
            for member, (name, dtype) in zip(members, DTYPES.items(), strict=True)
        }


def _read_array(name: str, data: bytes, dtype: np.dtype[Any]) -> NDArray[Any]:
    stream = io.BytesIO(data)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError(f"{name} is of another version of NumPy's format")
    shape, _, stated_dtype = np.lib.format.read_array_header_1_0(stream, max_header_size=_HEADER_BYTES)
    if stated_dtype != dtype or len(shape) != 1:
        raise ValueError(f"{name} is not a list of {dtype}")
    if stream.tell() + shape[0] * dtype.itemsize != len(data):
        raise ValueError(f"{name} has not the {shape[0]} values that it states")
    return np.frombuffer(data, dtype, offset=stream.tell())


#: XGBoost's name of each array of nodes.
_XGBOOST_NAMES = {
    "left_child": "left_children", "feature": "split_indices", "value": "split_conditions",
    "default_left": "default_left", "cover": "sum_hessian", "gain": "loss_changes",
}  # fmt: skip
#: Objectives whose predictions are the sum of the trees.
_OBJECTIVES = ("reg:squarederror", "reg:absoluteerror")
_NO_PARENT = 2**31 - 1
_TIMEOUT_S = 120
_CONVERT = """
import sys, xgboost
for name in sys.argv[1:]:
    xgboost.Booster(model_file=name + ".ubj").save_model(name + ".json")
"""


def from_json(text: bytes) -> TreeArrays:
    """Return the trees of an XGBoost model in JSON, without validation.

    Raises
    ------
    ValueError
        If it is not a tree model of one target with numeric features in XGBoost's format.
    """
    try:
        return _from_learner(json.loads(text)["learner"])
    except (KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"it is not a model as XGBoost writes one: {error!r}") from None


def _from_learner(learner: Mapping[str, Any]) -> TreeArrays:
    parameters, booster = learner["learner_model_param"], learner["gradient_booster"]
    objective = learner["objective"]["name"]
    if booster["name"] != "gbtree" or objective not in _OBJECTIVES:
        raise ValueError(f"a model of kind {booster['name']!r:.40} for {objective!r:.40} is not supported")
    if (parameters["num_class"], parameters["num_target"]) != ("0", "1"):
        raise ValueError("the model has several classes or targets")
    model = booster["model"]
    trees = model["trees"]
    columns = {
        name: np.concatenate([np.array(tree[xgboost_name], dtype=DTYPES[name]) for tree in trees])
        for name, xgboost_name in _XGBOOST_NAMES.items()
    }
    left = columns["left_child"]
    right = np.concatenate([np.array(tree["right_children"], dtype=left.dtype) for tree in trees])
    if not np.array_equal(right, np.where(left == LEAF, LEAF, left + 1)):
        raise ValueError("a right child does not follow the left one")
    if any(any(tree["split_type"]) or len(tree["categories"]) for tree in trees):
        raise ValueError("a tree divides by categories")
    return TreeArrays(
        n_features=int(parameters["num_feature"]),
        trees_per_round=int(model["gbtree_model_param"]["num_parallel_tree"]),
        # In brackets since version 3.1.
        base_score=float(np.float32(re.sub(r"[\[\]]", "", parameters["base_score"]))),
        tree_sizes=np.array([len(tree["left_children"]) for tree in trees], dtype=DTYPES["tree_sizes"]),
        **columns,
    )


def to_json(trees: TreeArrays) -> bytes:
    """Return trees as an XGBoost model in JSON, readable by any version since 1.6."""
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
    nodes = slice(start, start + size)
    columns = {xgboost_name: getattr(trees, name)[nodes].tolist() for name, xgboost_name in _XGBOOST_NAMES.items()}
    left = trees.left_child[nodes]
    inner = np.flatnonzero(left != LEAF)
    parents = np.full(size, _NO_PARENT)
    parents[left[inner]] = parents[left[inner] + 1] = inner
    counts = {"num_deleted": 0, "num_feature": trees.n_features, "num_nodes": size, "size_leaf_vector": 1}
    return columns | {
        "categories": [],
        "categories_nodes": [],
        "categories_segments": [],
        "categories_sizes": [],
        "id": number,
        "right_children": np.where(left == LEAF, LEAF, left + 1).tolist(),
        "parents": parents.tolist(),
        "split_type": [0] * size,
        "base_weights": [0.0] * size,
        "tree_param": {name: str(count) for name, count in counts.items()},
    }


def convert_ubj_to_json(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Convert XGBoost models, by name, from binary JSON to JSON, in a process that may crash.

    Raises
    ------
    ValueError
        If XGBoost cannot read one of them, or crashes.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            Path(folder, f"{name}.ubj").write_bytes(content)
        try:
            process = subprocess.run(
                [sys.executable, "-P", "-c", _CONVERT, *files],
                cwd=folder, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise ValueError("XGBoost does not come to an end reading the trees") from None
        if process.returncode:
            lines = [line for line in process.stderr.splitlines() if line.strip()]
            reason = lines[-1] if lines else f"exit code {process.returncode}"
            raise ValueError(f"XGBoost cannot read the trees: {reason[:200]}")
        return {name: Path(folder, f"{name}.json").read_bytes() for name in files}
