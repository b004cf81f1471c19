"""Boosted trees as plain arrays, their checks, and the `.npz` file that holds them.

A file may come from a stranger. Before an array is made of it, the names, sizes, types and shapes that the archive
states are checked; then the trees: children in range, each node reached once, features that exist, finite numbers.
"""

from __future__ import annotations

import io
import struct
import tokenize
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Trees deeper than this are refused. Ours have five levels.
MAX_DEPTH = 64
MAX_TREES = 100_000
#: Largest absolute number in a tree: thresholds are temperatures and logarithms, leaves decades.
MAX_NUMBER = 1e30
LEAF = -1

#: Member of the archive -> its type. All are one-dimensional.
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
#: What Python's readers raise for archives and headers that are broken.
_BROKEN = (
    zipfile.BadZipFile, tokenize.TokenError, EOFError, KeyError, LookupError, MemoryError, NotImplementedError,
    OSError, OverflowError, RecursionError, RuntimeError, SyntaxError, TypeError, struct.error,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class TreeArrays:
    """The trees of one target, tree after tree; n_nodes nodes in all.

    Attributes
    ----------
    n_features
        How many features a recipe has.
    trees_per_round
        How many trees each boosting round has grown.
    base_score
        Where the sum over the trees starts.
    tree_sizes
        Nodes of each tree, shape (n_trees,).
    left_child
        Shape (n_nodes,), counted from the root of the tree; the right child is the next node. `LEAF` for leaves.
    feature
        Which feature a node compares, shape (n_nodes,).
    value
        Threshold of a comparison (smaller values go left), or what a leaf adds; shape (n_nodes,).
    default_left
        1 where a missing feature goes left, shape (n_nodes,).
    cover, gain
        Sum of the hessian in a node, and what its split gained, shape (n_nodes,); for contributions and gains.
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
        """Where the root of each tree stands, shape (n_trees,)."""
        return np.cumsum(self.tree_sizes, dtype=np.int64) - self.tree_sizes

    @cached_property
    def left(self) -> NDArray[np.int64]:
        """Left child of each node, counted over all trees, shape (n_nodes,); a leaf is its own."""
        own = np.arange(len(self.left_child))
        return np.where(self.is_leaf, own, np.repeat(self.starts, self.tree_sizes) + self.left_child)

    @cached_property
    def is_leaf(self) -> NDArray[np.bool_]:
        """Which nodes are leaves, shape (n_nodes,)."""
        return self.left_child == LEAF

    @cached_property
    def depths(self) -> NDArray[np.intp]:
        """Most comparisons on a way through each tree, shape (n_trees,); `ValueError` if above `MAX_DEPTH`."""
        nodes, tree = self.starts, np.arange(len(self.tree_sizes))
        found = np.zeros_like(tree)
        for depth in range(MAX_DEPTH):
            inner = ~self.is_leaf[nodes]
            if not inner.any():
                return found
            left, tree = self.left[nodes[inner]], tree[inner]
            found[tree] = depth + 1
            nodes, tree = np.concatenate([left, left + 1]), np.concatenate([tree, tree])
        raise ValueError(f"a tree is deeper than {MAX_DEPTH}")

    @property
    def depth(self) -> int:
        """Most comparisons on a way through any tree."""
        return int(self.depths.max())

    def check(self, n_features: int) -> None:
        """Refuse trees that cannot be evaluated, or are not for so many features.

        Raises
        ------
        ValueError
            With what is wrong.
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
                raise ValueError(f"{name} has not one value for each of {n_nodes} nodes")
        for name in ("base_score", "value", "cover", "gain"):
            if not np.all(np.abs(getattr(self, name)) < MAX_NUMBER):
                raise ValueError(f"{name} holds what is no number of reasonable size")
        if self.feature.min() < 0 or self.feature.max() >= n_features:
            raise ValueError(f"feature holds one beyond the {n_features} there are")
        if self.default_left.max() > 1:
            raise ValueError("default_left holds other than 0 and 1")
        self._check_children()

    def _check_children(self) -> None:
        """Check that each node but the roots is the child of one node, which stands before it."""
        position = np.arange(len(self.left_child)) - np.repeat(self.starts, self.tree_sizes)
        size = np.repeat(self.tree_sizes, self.tree_sizes)
        # The right child stands behind the left; a sum could overflow.
        if not np.all(self.is_leaf | ((self.left_child > position) & (self.left_child < size - 1))):
            raise ValueError("left_child holds a node that is not there, or stands before its parent")
        left = self.left[~self.is_leaf]
        times = np.bincount(np.concatenate([left, left + 1]), minlength=len(position))
        if not np.array_equal(times, position > 0):
            raise ValueError("left_child makes a node the child of none, or of several")
        _ = self.depths


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
    """Return the trees of an archive that `write_npz` made, or a stranger.

    Raises
    ------
    ValueError
        If it holds other arrays than trees are made of, or trees that `TreeArrays.check` refuses.
    """
    try:
        arrays: dict[str, Any] = _read_arrays(data)
    except _BROKEN as error:
        raise ValueError(f"it is no archive of arrays: {error}") from None
    for name in _SCALARS:
        if len(arrays[name]) != 1:
            raise ValueError(f"{name} holds {len(arrays[name])} numbers instead of one")
    scalars = {name: arrays.pop(name)[0].item() for name in _SCALARS}
    trees = TreeArrays(**scalars, **arrays)
    trees.check(n_features)
    return trees


def _read_arrays(data: bytes) -> dict[str, Any]:
    if data.count(_CENTRAL_ENTRY) > _MAX_ENTRIES:  # zipfile would list them all
        raise ValueError("the archive has too many members")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        names = [member.filename for member in members]
        if names != [f"{name}.npy" for name in DTYPES]:
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
    shape, _, found = np.lib.format.read_array_header_1_0(stream, max_header_size=_HEADER_BYTES)
    if found != dtype or len(shape) != 1:
        raise ValueError(f"{name} is not a list of {dtype}")
    if stream.tell() + shape[0] * dtype.itemsize != len(data):
        raise ValueError(f"{name} has not the {shape[0]} values that it states")
    return np.frombuffer(data, dtype, offset=stream.tell())
