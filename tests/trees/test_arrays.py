"""Files of trees from untrusted sources: an invalid archive, array or tree is refused before it is used."""

from __future__ import annotations

import io
import pickle
import random
import struct
import zipfile
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xgboost as xgb

from nasicon_ml.data.files import shipped_folder
from nasicon_ml.trees.arrays import DTYPES, MAX_DEPTH, TreeArrays, read_npz, write_npz
from nasicon_ml.trees.ensemble import TreeEnsemble

N_FEATURES = 4


@pytest.fixture(scope="module")
def trees() -> TreeArrays:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, N_FEATURES))
    settings = {"max_depth": 3, "num_parallel_tree": 2, "subsample": 0.5, "seed": 0, "nthread": 1}
    booster = xgb.train(settings, xgb.DMatrix(X, label=X[:, 0] * X[:, 1], nthread=1), num_boost_round=5)
    return TreeEnsemble.from_xgboost(booster, N_FEATURES).arrays


@pytest.fixture(scope="module")
def data(trees: TreeArrays) -> bytes:
    return write_npz(trees)


def test_npz_round_trip_is_exact(trees: TreeArrays, data: bytes) -> None:
    trees_read = read_npz(data, N_FEATURES)
    for name in DTYPES:
        np.testing.assert_array_equal(getattr(trees_read, name), getattr(trees, name), err_msg=name)
    assert write_npz(trees_read) == data


def test_numpy_loads_npz_without_pickle(trees: TreeArrays, data: bytes) -> None:
    with np.load(io.BytesIO(data), allow_pickle=False) as loaded:
        assert set(loaded) == set(DTYPES)
        np.testing.assert_array_equal(loaded["value"], trees.value)


def test_committed_champion_files_are_valid() -> None:
    paths = sorted(shipped_folder("models", "champion").glob("*.npz"))
    assert len(paths) == 4
    for path in paths:
        with np.load(path, allow_pickle=False) as loaded:
            n_features = int(loaded["n_features"][0])
        assert len(read_npz(path.read_bytes(), n_features).tree_sizes) > 100


def with_changed_value(trees: TreeArrays, name: str, node: int, value: float) -> TreeArrays:
    array = getattr(trees, name).copy()
    array[node] = value
    return replace(trees, **{name: array})


@pytest.mark.parametrize(
    ("name", "node", "value", "match"),
    [
        ("left_child", 0, 1000, "a node that does not exist"),
        ("left_child", 0, -5, "a node that does not exist"),
        ("left_child", 0, 2**31 - 1, "a node that does not exist"),
        ("left_child", 0, 0, "precedes its parent"),
        ("left_child", 0, 2, "the child of none, or of several"),
        ("left_child", 0, -1, "the child of none, or of several"),
        ("feature", 0, N_FEATURES, "feature contains a number beyond the 4 there are"),
        ("feature", 0, -1, "feature contains a number beyond the 4 there are"),
        ("feature", 0, 2**15 - 1, "feature contains a number beyond the 4 there are"),
        ("default_left", 0, 2, "default_left contains numbers other than 0 and 1"),
        ("value", 0, float("nan"), "value contains numbers that are not finite"),
        ("value", 1, float("inf"), "value contains numbers that are not finite"),
        ("cover", 0, 1e35, "cover contains numbers that are not finite or too large"),
        ("cover", 0, float("nan"), "cover contains numbers that are not finite"),
        ("gain", 0, float("nan"), "gain contains numbers that are not finite"),
        ("tree_sizes", 0, 0, "sizes of the trees do not add up"),
        ("tree_sizes", 0, -3, "sizes of the trees do not add up"),
        ("tree_sizes", 0, 2**31 - 1, "sizes of the trees do not add up"),
    ],
)
def test_invalid_node_or_size_is_refused(trees, name, node, value, match) -> None:
    with pytest.raises(ValueError, match=match):
        read_npz(write_npz(with_changed_value(trees, name, node, value)), N_FEATURES)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"trees_per_round": 3}, "10 trees do not divide into rounds of 3"),
        ({"trees_per_round": 0}, "10 trees do not divide into rounds of 0"),
        ({"base_score": float("nan")}, "base_score contains numbers that are not finite"),
        ({"base_score": 1e35}, "base_score contains numbers that are not finite"),
        ({"n_features": 5}, "the trees are for 5 features, the model has 4"),
        ({"tree_sizes": np.array([], np.int32)}, "0 trees; allowed are 1 to"),
        ({"tree_sizes": np.ones(100_001, np.int32)}, "100001 trees; allowed are 1 to"),
        ({"value": np.zeros(3, np.float32)}, "value does not have one value for each of"),
        ({"left_child": np.array([], np.int32)}, "sizes of the trees do not add up to the 0 nodes"),
    ],
)
def test_inconsistent_arrays_are_refused(trees, change: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        read_npz(write_npz(replace(trees, **change)), N_FEATURES)


@pytest.mark.parametrize(("depth", "is_valid"), [(MAX_DEPTH - 1, True), (MAX_DEPTH, False)])
def test_tree_deeper_than_max_depth_is_refused(trees, depth: int, is_valid: bool) -> None:
    """The tree is a chain: each node is the left child of the one before."""
    size = 2 * depth + 1
    left = np.full(size, -1, dtype=np.int32)
    left[np.r_[0, 1 : size - 2 : 2]] = np.arange(1, size, 2)
    zeros = dict.fromkeys(("feature", "value", "default_left", "cover", "gain"), np.zeros(size))
    sizes = np.array([size])
    chain = replace(trees, tree_sizes=sizes, left_child=left, trees_per_round=1, **zeros)
    if is_valid:
        assert read_npz(write_npz(chain), N_FEATURES).depth == depth
    else:
        with pytest.raises(ValueError, match="a tree is deeper than 64"):
            read_npz(write_npz(chain), N_FEATURES)


def make_archive(read_members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in read_members.items():
            file.writestr(name, content)
    return buffer.getvalue()


def read_members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {name: file.read(name) for name in file.namelist()}


def npy_bytes(header: str, content: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    return b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header.encode("latin1") + content


def npy_with_header(descr: str, shape: str, content: bytes = b"") -> bytes:
    return npy_bytes(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n", content)


@pytest.mark.parametrize(
    ("member", "match"),
    [
        (b"", "magic|EOF|archive of arrays"),
        (b"\x93NUMPY\x02\x00" + bytes(100), "another version of NumPy's format"),
        (npy_with_header("'|O'", "(1,)", pickle.dumps([1])), "base_score is not a list of float32"),
        (npy_with_header("'<f8'", "(1,)", bytes(8)), "base_score is not a list of float32"),
        (npy_with_header("'>f4'", "(1,)", bytes(4)), "base_score is not a list of float32"),
        (npy_with_header("[('a', '<f4')]", "(1,)", bytes(4)), "base_score is not a list of float32"),
        (npy_with_header("'<f4'", "()", bytes(4)), "base_score is not a list of float32"),
        (npy_with_header("'<f4'", "(1, 1)", bytes(4)), "base_score is not a list of float32"),
        (npy_with_header("'<f4'", "(2,)", bytes(8)), "base_score holds 2 numbers instead of one"),
        (npy_with_header("'<f4'", "(4611686018427387904,)", bytes(4)), "has not the 4611686018427387904 values"),
        (npy_with_header("'<f4'", "(-1,)", bytes(4)), "has not the -1 values"),
        (npy_with_header("'<f4'", "(1,)", bytes(3)), "has not the 1 values"),
        (npy_with_header("'<f4'", "(1,)", bytes(5)), "has not the 1 values"),
        (npy_with_header("'<f4'", "(1.5,)", bytes(4)), "shape is not valid"),
        (npy_with_header("__import__('os').getcwd()", "(1,)", bytes(4)), "malformed node"),
        (npy_bytes("[" * 250), "header|archive of arrays"),
        (npy_bytes("{'descr': '<f4'" + " " * 10_000 + "}"), "[Hh]eader"),
        (npy_bytes("'''"), "header|archive of arrays"),
    ],
)
def test_malformed_array_member_is_refused(data, member: bytes, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        read_npz(make_archive(read_members(data) | {"base_score.npy": member}), N_FEATURES)


def test_archive_with_wrong_or_compressed_members_is_refused(data) -> None:
    valid_members = read_members(data)
    for wrong_members in (
        {},
        {name: valid_members[name] for name in list(valid_members)[:-1]},
        {name: valid_members[name] for name in reversed(valid_members)},
        valid_members | {"more.npy": b""},
        {f"../{name}": content for name, content in valid_members.items()},
    ):
        with pytest.raises(ValueError, match="does not hold exactly the arrays n_features"):
            read_npz(make_archive(wrong_members), N_FEATURES)
    with pytest.raises(ValueError, match="the archive is compressed"):
        read_npz(make_archive(valid_members, zipfile.ZIP_DEFLATED), N_FEATURES)
    with pytest.raises(ValueError, match="too many members"):
        read_npz(make_archive({f"{number}": b"" for number in range(5000)}), N_FEATURES)


def test_member_with_false_size_in_directory_is_refused(data) -> None:
    """Sizes stated in the directory are compared with the size of the file before anything is read."""
    entry = data.index(b"PK\x01\x02")
    large = struct.pack("<I", 2**31)
    for at, size, match in ((20, large, "compressed"), (24, large, "compressed"), (20, 2 * large, "states more")):
        with_false_size = data[: entry + at] + size + data[entry + at + len(size) :]
        with pytest.raises(ValueError, match=match):
            read_npz(with_false_size, N_FEATURES)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"PK\x05\x06", bytes(1000), b"\x80\x04\x95.", b"PK\x05\x06" + bytes(18)]
)
def test_file_that_is_not_an_npz_archive_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"not an archive of arrays|does not hold exactly"):
        read_npz(content, N_FEATURES)


def with_checksums(data: bytes) -> bytes:
    """Return the archive with correct checksums of its members, or unchanged if these cannot be located."""
    fixed = bytearray(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            entries, at = file.infolist(), file.start_dir
        for entry in entries:
            start = entry.header_offset + 30 + len(entry.filename)
            checksum = struct.pack("<I", zipfile.crc32(data[start : start + entry.file_size]))
            fixed[entry.header_offset + 14 : entry.header_offset + 18] = checksum
            at = data.index(b"PK\x01\x02", at)
            fixed[at + 16 : at + 20] = checksum
            at += 1
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, struct.error):
        return data
    return bytes(fixed)


def mutate(valid_archive: bytes, seed: int) -> bytes:
    rng = random.Random(seed)  # noqa: S311
    mutated = bytearray(valid_archive)
    at = rng.randrange(len(mutated))
    kind = rng.randrange(5)
    if kind == 0:
        mutated[at] ^= 1 << rng.randrange(8)
    elif kind == 1:
        del mutated[at : at + rng.randrange(1, 60)]
    elif kind == 2:
        mutated[at:at] = rng.randbytes(rng.randrange(1, 20))
    elif kind == 3:
        mutated[at : at + 4] = rng.choice([-1, 2**31 - 1, -(2**31), 1]).to_bytes(4, "little", signed=True)
    else:
        source = rng.randrange(len(mutated))
        mutated[at : at + 40] = mutated[source : source + 40]
    return with_checksums(bytes(mutated))


def test_mutated_files_are_refused_or_give_finite_predictions(data) -> None:
    X = np.random.default_rng(0).normal(size=(30, N_FEATURES))
    X[0] = np.nan
    accepted = 0
    for seed in range(600):
        try:
            mutated_trees = read_npz(mutate(data, seed), N_FEATURES)
        except ValueError:
            continue
        ensemble = TreeEnsemble(mutated_trees)
        assert np.isfinite(ensemble.margin(X)).all()
        np.testing.assert_array_equal(ensemble.margin(X[:5]), ensemble.margin(X)[:5])
        if accepted < 20:
            assert np.isfinite(ensemble.to_xgboost().inplace_predict(X)).all()
        accepted += 1
    assert 20 < accepted < 400, "most mutations should invalidate a file, but not all"
