"""Reads the trees of an XGBoost model out of its binary JSON, a thousand at once.

XGBoost writes every tree alike: the same names in the same order, arrays with one item a node. So all that stands
between the arrays of a tree is known from its number of nodes, and is compared as it stands; what remains are
arrays, which are joined over all trees. Anything written otherwise is refused. XGBoost itself trusts indices in a
file and can crash on wrong ones, so nothing else may reach it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

_COUNT = struct.Struct(">q")
_MAX_NODES, _MAX_TREES = 1_000_000, 100_000
#: Mark of a type -> as NumPy reads it.
_TYPES = {"d": ">f4", "l": ">i4", "U": "u1", "L": ">i8"}
#: Arrays before the number of a tree and after it: name, mark, and whether it has one item a node, or none.
_BEFORE = (
    ("base_weights", "d", True), ("categories", "l", False), ("categories_nodes", "l", False),
    ("categories_segments", "L", False), ("categories_sizes", "L", False), ("default_left", "U", True),
)  # fmt: skip
_AFTER = (
    ("left_children", "l", True), ("loss_changes", "d", True), ("parents", "l", True),
    ("right_children", "l", True), ("split_conditions", "d", True), ("split_indices", "l", True),
    ("split_type", "U", True), ("sum_hessian", "d", True),
)  # fmt: skip
_MARKS = {name: mark for name, mark, per_node in (*_BEFORE, *_AFTER) if per_node}
#: How XGBoost writes the number of a tree: mark -> number.
_NUMBERS = {ord(mark): struct.Struct(code) for mark, code in {"i": ">b", "I": ">h", "l": ">i", "L": ">q"}.items()}


@dataclass(frozen=True)
class TreeTable:
    """All nodes of all trees, tree after tree.

    Attributes
    ----------
    sizes
        Nodes of each tree, shape (n_trees,).
    columns
        XGBoost's name -> one value a node, shape (n_nodes,). Children and parents count from the tree's root.
    """

    sizes: NDArray[np.int64]
    columns: dict[str, NDArray[Any]]

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Where each tree's root stands, shape (n_trees,)."""
        return np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(np.int64)


def read_trees(data: bytes, at: int, n_features: int) -> tuple[TreeTable, int]:
    """Read the list of trees.

    Parameters
    ----------
    data
        The whole file.
    at
        Where the list begins: behind the opening bracket.
    n_features
        Which the trees have to take.

    Returns
    -------
    table, at
        The trees, and where the list ends.

    Raises
    ------
    ValueError
        If the trees are not written as XGBoost writes them.
    struct.error, IndexError
        If the file ends too early.
    """
    if data[at : at + 2] != b"#L":
        raise ValueError("the list of trees has no count")
    (count,) = _COUNT.unpack_from(data, at + 2)
    at += 10
    if not 1 <= count <= _MAX_TREES:
        raise ValueError(f"{count} trees; allowed are 1 to {_MAX_TREES}")
    layouts: dict[int, _Layout] = {}
    slices: dict[str, list[bytes]] = {name: [] for name in _MARKS}
    sizes = []
    for number in range(count):
        nodes = _nodes(data, at)
        layout = layouts.get(nodes)
        if layout is None:
            layout = layouts[nodes] = _Layout.of(nodes, n_features)
        at = _read_run(data, at, layout.before, slices, number)
        at = _read_number(data, at, number)
        at = _read_run(data, at, layout.after, slices, number)
        sizes.append(nodes)
    columns = {name: _joined(parts, _TYPES[_MARKS[name]]) for name, parts in slices.items()}
    return TreeTable(np.array(sizes, dtype=np.int64), columns), at


_Run = tuple[tuple[bytes, str, int], ...]


@dataclass(frozen=True)
class _Layout:
    """How a tree with so many nodes is written: constant bytes, then so many bytes of a column ("" for none)."""

    before: _Run
    after: _Run

    @classmethod
    def of(cls, nodes: int, n_features: int) -> _Layout:
        texts = {"num_deleted": "0", "num_feature": n_features, "num_nodes": nodes, "size_leaf_vector": "1"}
        written = b"".join(_named(name) + b"S" + _sized(str(value)) for name, value in texts.items())
        before = _run(_BEFORE, nodes, b"{", _named("id"))
        return cls(before, _run(_AFTER, nodes, b"", _named("tree_param") + b"{" + written + b"}}"))


def _run(arrays: Sequence[tuple[str, str, bool]], nodes: int, first: bytes, last: bytes) -> _Run:
    found, constant = [], first
    for name, mark, per_node in arrays:
        count = nodes if per_node else 0
        constant += _named(name) + b"[$" + mark.encode() + b"#L" + _COUNT.pack(count)
        if per_node:
            found.append((constant, name, count * np.dtype(_TYPES[mark]).itemsize))
            constant = b""
    return (*found, (constant + last, "", 0))


def _named(name: str) -> bytes:
    return _sized(name)


def _sized(text: str) -> bytes:
    return b"L" + _COUNT.pack(len(text)) + text.encode("ascii")


_FIRST = b"{" + _named("base_weights") + b"[$d#L"


def _nodes(data: bytes, at: int) -> int:
    """Read how many nodes the tree that begins here has."""
    (nodes,) = _COUNT.unpack_from(data, at + len(_FIRST))
    if data[at : at + len(_FIRST)] != _FIRST or not 1 <= nodes <= _MAX_NODES:
        raise ValueError(f"byte {at}: no tree begins here")
    return int(nodes)


def _read_run(data: bytes, at: int, run: _Run, slices: dict[str, list[bytes]], number: int) -> int:
    for constant, name, size in run:
        end = at + len(constant)
        if data[at:end] != constant:
            raise ValueError(f"byte {at}: tree {number} is not as XGBoost writes one of this model's features")
        at = end + size
        if name:
            slices[name].append(data[end:at])
    if at > len(data):
        raise ValueError(f"tree {number} goes beyond the end of the file")
    return at


def _read_number(data: bytes, at: int, expected: int) -> int:
    form = _NUMBERS.get(data[at])
    if form is None or form.unpack_from(data, at + 1)[0] != expected:
        raise ValueError(f"byte {at}: tree {expected} has another number")
    return at + 1 + form.size


def _joined(parts: Sequence[bytes], dtype: str) -> NDArray[Any]:
    found = np.frombuffer(b"".join(parts), dtype)
    return found.astype(found.dtype.newbyteorder("="))
