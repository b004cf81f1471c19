"""Trees in a file from a stranger: a wrong archive, array or tree is refused before it is used."""

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


def test_what_is_written_is_read_and_written_again(trees: TreeArrays, data: bytes) -> None:
    again = read_npz(data, N_FEATURES)
    for name in DTYPES:
        np.testing.assert_array_equal(getattr(again, name), getattr(trees, name), err_msg=name)
    assert write_npz(again) == data


def test_numpy_reads_the_file_without_pickle(trees: TreeArrays, data: bytes) -> None:
    with np.load(io.BytesIO(data), allow_pickle=False) as found:
        assert set(found) == set(DTYPES)
        np.testing.assert_array_equal(found["value"], trees.value)


def test_the_committed_models_pass() -> None:
    paths = sorted(shipped_folder("models", "champion").glob("*.npz"))
    assert len(paths) == 4
    for path in paths:
        with np.load(path, allow_pickle=False) as found:
            n_features = int(found["n_features"][0])
        assert len(read_npz(path.read_bytes(), n_features).tree_sizes) > 100


def changed(trees: TreeArrays, name: str, node: int, value: float) -> TreeArrays:
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
def test_trees_that_are_none_are_refused(trees, name, node, value, match) -> None:
    with pytest.raises(ValueError, match=match):
        read_npz(write_npz(changed(trees, name, node, value)), N_FEATURES)


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
def test_arrays_that_do_not_fit_each_other_are_refused(trees, change: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        read_npz(write_npz(replace(trees, **change)), N_FEATURES)


@pytest.mark.parametrize(("depth", "passes"), [(MAX_DEPTH - 1, True), (MAX_DEPTH, False)])
def test_a_tree_that_is_too_deep_is_refused(trees, depth: int, passes: bool) -> None:
    """A chain of nodes, each the left child of the one before."""
    size = 2 * depth + 1
    left = np.full(size, -1, dtype=np.int32)
    left[np.r_[0, 1 : size - 2 : 2]] = np.arange(1, size, 2)
    zeros = dict.fromkeys(("feature", "value", "default_left", "cover", "gain"), np.zeros(size))
    sizes = np.array([size])
    chain = replace(trees, tree_sizes=sizes, left_child=left, trees_per_round=1, **zeros)
    if passes:
        assert read_npz(write_npz(chain), N_FEATURES).depth == depth
    else:
        with pytest.raises(ValueError, match="a tree is deeper than 64"):
            read_npz(write_npz(chain), N_FEATURES)


def archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


def members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {name: file.read(name) for name in file.namelist()}


def npy(header: str, content: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    return b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header.encode("latin1") + content


def described(descr: str, shape: str, content: bytes = b"") -> bytes:
    return npy(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n", content)


@pytest.mark.parametrize(
    ("member", "match"),
    [
        (b"", "magic|EOF|archive of arrays"),
        (b"\x93NUMPY\x02\x00" + bytes(100), "another version of NumPy's format"),
        (described("'|O'", "(1,)", pickle.dumps([1])), "base_score is not a list of float32"),
        (described("'<f8'", "(1,)", bytes(8)), "base_score is not a list of float32"),
        (described("'>f4'", "(1,)", bytes(4)), "base_score is not a list of float32"),
        (described("[('a', '<f4')]", "(1,)", bytes(4)), "base_score is not a list of float32"),
        (described("'<f4'", "()", bytes(4)), "base_score is not a list of float32"),
        (described("'<f4'", "(1, 1)", bytes(4)), "base_score is not a list of float32"),
        (described("'<f4'", "(2,)", bytes(8)), "base_score holds 2 numbers instead of one"),
        (described("'<f4'", "(4611686018427387904,)", bytes(4)), "has not the 4611686018427387904 values"),
        (described("'<f4'", "(-1,)", bytes(4)), "has not the -1 values"),
        (described("'<f4'", "(1,)", bytes(3)), "has not the 1 values"),
        (described("'<f4'", "(1,)", bytes(5)), "has not the 1 values"),
        (described("'<f4'", "(1.5,)", bytes(4)), "shape is not valid"),
        (described("__import__('os').getcwd()", "(1,)", bytes(4)), "malformed node"),
        (npy("[" * 250), "header|archive of arrays"),
        (npy("{'descr': '<f4'" + " " * 10_000 + "}"), "[Hh]eader"),
        (npy("'''"), "header|archive of arrays"),
    ],
)
def test_members_that_are_no_such_array_are_refused(data, member: bytes, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        read_npz(archive(members(data) | {"base_score.npy": member}), N_FEATURES)


def test_archives_with_other_members_are_refused(data) -> None:
    whole = members(data)
    for other in (
        {},
        {name: whole[name] for name in list(whole)[:-1]},
        {name: whole[name] for name in reversed(whole)},
        whole | {"more.npy": b""},
        {f"../{name}": content for name, content in whole.items()},
    ):
        with pytest.raises(ValueError, match="does not hold exactly the arrays n_features"):
            read_npz(archive(other), N_FEATURES)
    with pytest.raises(ValueError, match="the archive is compressed"):
        read_npz(archive(whole, zipfile.ZIP_DEFLATED), N_FEATURES)
    with pytest.raises(ValueError, match="too many members"):
        read_npz(archive({f"{number}": b"" for number in range(5000)}), N_FEATURES)


def test_a_member_that_states_more_than_there_is_is_refused(data) -> None:
    """The directory of the archive states sizes; they are compared with the file's before anything is read."""
    entry = data.index(b"PK\x01\x02")
    large = struct.pack("<I", 2**31)
    for at, size, match in ((20, large, "compressed"), (24, large, "compressed"), (20, 2 * large, "states more")):
        lies = data[: entry + at] + size + data[entry + at + len(size) :]
        with pytest.raises(ValueError, match=match):
            read_npz(lies, N_FEATURES)


@pytest.mark.parametrize(
    "other", [b"", b"{}", b"PK\x05\x06", bytes(1000), b"\x80\x04\x95.", b"PK\x05\x06" + bytes(18)]
)
def test_other_files_are_refused(other: bytes) -> None:
    with pytest.raises(ValueError, match=r"not an archive of arrays|does not hold exactly"):
        read_npz(other, N_FEATURES)


def with_checksums(data: bytes) -> bytes:
    """The archive with the checksums that fit its members, as far as they can be found."""
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


def mutated(good: bytes, seed: int) -> bytes:
    chance = random.Random(seed)  # noqa: S311
    data = bytearray(good)
    at = chance.randrange(len(data))
    kind = chance.randrange(5)
    if kind == 0:
        data[at] ^= 1 << chance.randrange(8)
    elif kind == 1:
        del data[at : at + chance.randrange(1, 60)]
    elif kind == 2:
        data[at:at] = chance.randbytes(chance.randrange(1, 20))
    elif kind == 3:
        data[at : at + 4] = chance.choice([-1, 2**31 - 1, -(2**31), 1]).to_bytes(4, "little", signed=True)
    else:
        other = chance.randrange(len(data))
        data[at : at + 40] = data[other : other + 40]
    return with_checksums(bytes(data))


def test_600_mutated_files_are_refused_or_are_trees_that_answer(data) -> None:
    X = np.random.default_rng(0).normal(size=(30, N_FEATURES))
    X[0] = np.nan
    passed = 0
    for seed in range(600):
        try:
            found = read_npz(mutated(data, seed), N_FEATURES)
        except ValueError:
            continue
        ensemble = TreeEnsemble(found)
        assert np.isfinite(ensemble.margin(X)).all()
        np.testing.assert_array_equal(ensemble.margin(X[:5]), ensemble.margin(X)[:5])
        if passed < 20:
            assert np.isfinite(ensemble.to_xgboost().inplace_predict(X)).all()
        passed += 1
    assert 20 < passed < 400, "a mutation that does no harm may pass, most do harm"
