"""Trees are checked before XGBoost sees them: it crashes on some that are wrong."""

from __future__ import annotations

import json
import struct
import subprocess
import sys

import numpy as np
import pytest
import xgboost as xgb

from nasicon_ml.estimators.forest import MAX_DEPTH, check_forest
from nasicon_ml.shipped import shipped_folder

N_FEATURES = 4
PER_NODE = {
    "base_weights": "f", "default_left": "B", "left_children": "i", "loss_changes": "f", "parents": "i",
    "right_children": "i", "split_conditions": "f", "split_indices": "i", "split_type": "B", "sum_hessian": "f",
}  # fmt: skip


@pytest.fixture(scope="module")
def booster():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, N_FEATURES))
    settings = {"max_depth": 3, "num_parallel_tree": 2, "subsample": 0.5, "seed": 0, "nthread": 1}
    return xgb.train(settings, xgb.DMatrix(X, label=X[:, 0] * X[:, 1], nthread=1), num_boost_round=5)


@pytest.fixture(scope="module")
def data(booster):
    return bytes(booster.save_raw("ubj"))


def with_value(data, name, node, value):
    """The file with another value at one node of its first tree."""
    start = data.index(b"trees[#L")
    at = data.index(name.encode() + b"[$", start) + len(name) + 5 + 8
    size = struct.calcsize(PER_NODE[name])
    return data[: at + node * size] + struct.pack(">" + PER_NODE[name], value) + data[at + (node + 1) * size :]


def with_text(data, name, value):
    """The file with another text after a name, where it stands first."""
    at = data.index(name.encode() + b"SL") + len(name) + 2
    (size,) = struct.unpack(">q", data[at : at + 8])
    raw = value.encode()
    return data[:at] + struct.pack(">q", len(raw)) + raw + data[at + 8 + size :]


def test_a_good_file_passes_with_the_trees_that_xgboost_sees(booster, data):
    trees = check_forest(data, N_FEATURES)
    seen = json.loads(bytes(booster.save_raw("json")))["learner"]["gradient_booster"]["model"]["trees"]
    assert trees.sizes.tolist() == [len(tree["parents"]) for tree in seen]
    for name in PER_NODE:
        whole = np.concatenate([np.array(tree[name]) for tree in seen])
        np.testing.assert_allclose(trees.columns[name], whole, rtol=1e-6, err_msg=name)


def test_the_trees_answer_as_xgboost_does(booster, data):
    """They are read as they are meant: walking them gives XGBoost's own numbers."""
    trees = check_forest(data, N_FEATURES)
    X = np.random.default_rng(1).normal(size=(50, N_FEATURES)).astype(np.float32)
    X[::7, 1] = np.nan
    left, right, feature, threshold = (
        trees.columns[name] for name in ("left_children", "right_children", "split_indices", "split_conditions")
    )
    total = np.zeros(len(X))
    for start in trees.starts:
        node = np.full(len(X), start)
        while (left[node] >= 0).any():
            value = X[np.arange(len(X)), feature[node]]
            missing = np.isnan(value)
            goes_left = np.where(missing, trees.columns["default_left"][node] == 1, value < threshold[node])
            node = np.where(left[node] < 0, node, start + np.where(goes_left, left[node], right[node]))
        total += threshold[node]
    base = float(json.loads(booster.save_config())["learner"]["learner_model_param"]["base_score"].strip("[]"))
    np.testing.assert_allclose(total + base, booster.inplace_predict(X), rtol=1e-5, atol=1e-6)


def test_the_committed_models_pass():
    for path in sorted(shipped_folder("models", "champion").glob("*.ubj")):
        n_features = xgb.Booster(model_file=path).num_features()
        assert len(check_forest(path.read_bytes(), n_features).sizes) > 100


@pytest.mark.parametrize(
    ("name", "node", "value", "match"),
    [
        ("left_children", 0, 1000, "a child that is not there"),
        ("right_children", 0, -5, "a child that is not there"),
        ("left_children", 0, 0, "a child that is not there, or stands before it"),
        ("left_children", 0, 2, "the child of none, or of several"),
        ("right_children", 0, -1, "a child that is not there"),
        ("parents", 1, 2, "names another parent"),
        ("split_indices", 0, N_FEATURES, "a feature beyond the 4 there are"),
        ("split_indices", 0, -1, "a feature beyond the 4 there are"),
        ("split_indices", 0, 2**31 - 1, "a feature beyond the 4 there are"),
        ("split_type", 0, 1, "split_type or default_left"),
        ("default_left", 0, 2, "split_type or default_left"),
        ("split_conditions", 0, float("nan"), "split_conditions holds what is no number"),
        ("split_conditions", 1, float("inf"), "split_conditions holds what is no number"),
        ("base_weights", 0, 1e35, "base_weights holds what is no number of reasonable size"),
        ("sum_hessian", 0, float("nan"), "sum_hessian holds what is no number"),
        ("loss_changes", 0, float("nan"), "loss_changes holds what is no number"),
    ],
)
def test_a_tree_that_is_none_is_refused(data, name, node, value, match):
    with pytest.raises(ValueError, match=match):
        check_forest(with_value(data, name, node, value), N_FEATURES)


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("num_trees", "11", "'11' trees are announced, 10 there"),
        ("num_trees", "ten", "'ten' trees are announced, 10 there"),
        ("num_parallel_tree", "3", "do not divide 10 trees into lots of 3"),
        ("num_parallel_tree", "0", "do not divide 10 trees into lots of 0"),
        ("base_score", "[nan]", r"base_score is '\[nan\]', which is no number"),
        ("base_score", "1e99999", "base_score is '1e99999', which is no number"),
        ("base_score", "1e300", "base_score is '1e300', which is no number"),
        ("boost_from_average", "2", "boost_from_average is '2'"),
        ("num_class", "3", "num_class is '3' and not '0'"),
        ("num_target", "2", "num_target is '2' and not '1'"),
        ("name", "dart", "name: 'dart' is not accepted; allowed: one of gbtree"),
        ("scale_pos_weight", "x", "scale_pos_weight is 'x', which is no number"),
        ("num_nodes", "3", "tree 0 is not as XGBoost writes one"),
        ("size_leaf_vector", "2", "tree 0 is not as XGBoost writes one"),
    ],
)
def test_settings_that_do_not_fit_the_trees_are_refused(data, name, value, match):
    with pytest.raises(ValueError, match=match):
        check_forest(with_text(data, name, value), N_FEATURES)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (b"reg:squarederror", b"reg:squareDerror", "objective.name: 'reg:squareDerror' is not accepted"),
        (b"tree_info", b"tree_inf0", "tree_info is missing"),
        (b"attributes{}", b"attributes{" + b"L" + struct.pack(">q", 1) + b"aZ}", "attributes is not empty"),
        (b"categories_nodes[$l#L" + bytes(8), b"categories_nodes[$l#L" + bytes(7) + b"\1" + bytes(4), "tree 0"),
        (
            b"tree_info[#L" + struct.pack(">q", 10) + b"i\0",
            b"tree_info[#L" + struct.pack(">q", 10) + b"i\1",
            "info",
        ),
    ],
)
def test_other_content_is_refused(data, old, new, match):
    assert old in data
    with pytest.raises(ValueError, match=match):
        check_forest(data.replace(old, new, 1), N_FEATURES)


def test_other_features_and_other_files_are_refused(data):
    with pytest.raises(ValueError, match="not as XGBoost writes one of this model's features"):
        check_forest(data, N_FEATURES + 1)
    for other in (b"", b"{}", b"{", bytes(1000), b'{"learner": {}}', data[:-1], data + b"N"):
        with pytest.raises(ValueError, match=r"byte \d+|ends too early|is missing|an object"):
            check_forest(other, N_FEATURES)


@pytest.mark.parametrize("count", [0, -1, 11, 2**62])
def test_a_wrong_number_of_trees_is_refused(data, count):
    at = data.index(b"trees[#L") + 8
    with pytest.raises(ValueError, match=r"trees; allowed are 1 to|no tree begins here|byte \d+: "):
        check_forest(data[:at] + struct.pack(">q", count) + data[at + 8 :], N_FEATURES)


def test_a_tree_that_is_too_deep_is_refused(booster):
    """A chain of nodes, each the left child of the one before; walked recursively it would fill the stack."""
    model = json.loads(bytes(booster.save_raw("json")))
    gbtree = model["learner"]["gradient_booster"]["model"]
    numbers = {name for name, kind in PER_NODE.items() if kind == "f"}
    for depth, passes in ((MAX_DEPTH - 1, True), (MAX_DEPTH, False)):
        size = 2 * depth + 1
        inner = range(0, size - 1, 2)
        tree = gbtree["trees"][0]
        for name in PER_NODE:
            tree[name] = [0.0 if name in numbers else 0] * size
        tree["left_children"] = [at + 2 if at in inner else -1 for at in range(size)]
        tree["right_children"] = [at + 1 if at in inner else -1 for at in range(size)]
        tree["parents"] = [2147483647, *((at - 1) // 2 * 2 for at in range(1, size))]
        tree["tree_param"]["num_nodes"] = str(size)
        gbtree["trees"], gbtree["tree_info"], gbtree["iteration_indptr"] = [tree], [0], [0, 1]
        gbtree["gbtree_model_param"] = {"num_parallel_tree": "1", "num_trees": "1"}
        made = xgb.Booster(model_file=bytearray(json.dumps(model).encode()))
        data = bytes(made.save_raw("ubj"))
        if passes:
            assert check_forest(data, N_FEATURES).sizes.tolist() == [size]
        else:
            with pytest.raises(ValueError, match="a tree is deeper than 64"):
                check_forest(data, N_FEATURES)


_FUZZ = """
import random, sys
import numpy as np, xgboost as xgb
from nasicon_ml.estimators.forest import check_forest
xgb.set_config(verbosity=0)
path, count = sys.argv[1], int(sys.argv[2])
good = open(path, "rb").read()
n_features = int(sys.argv[3])
X = np.random.default_rng(0).normal(size=(3, n_features))
X[0] = np.nan
passed = 0
for seed in range(count):
    chance = random.Random(seed)
    data = bytearray(good)
    at = chance.randrange(len(data)) if chance.random() < 0.5 else chance.randrange(min(3000, len(data)))
    kind = chance.randrange(5)
    if kind == 0:
        data[at] ^= 1 << chance.randrange(8)
    elif kind == 1:
        del data[at : at + chance.randrange(1, 60)]
    elif kind == 2:
        data[at:at] = chance.randbytes(chance.randrange(1, 20))
    elif kind == 3:
        data[at : at + 4] = chance.choice([-1, 2**31 - 1, -(2**31), 1]).to_bytes(4, "big", signed=True)
    else:
        other = chance.randrange(len(data))
        data[at : at + 40] = data[other : other + 40]
    try:
        check_forest(bytes(data), n_features)
    except ValueError:
        continue
    booster = xgb.Booster()
    booster.load_model(data)
    booster.inplace_predict(X, predict_type="margin")
    booster.predict(xgb.DMatrix(X), pred_contribs=True)
    bytes(booster.save_raw("ubj"))
    passed += 1
print("passed", passed)
"""


@pytest.mark.parametrize("count", [600])
def test_what_passes_after_a_mutation_crashes_nothing(data, tmp_path, count):
    """Of such mutations XGBoost alone dies of about one in ten (docs/reliability.md)."""
    (tmp_path / "good.ubj").write_bytes(data)
    outcome = subprocess.run(
        [sys.executable, "-c", _FUZZ, str(tmp_path / "good.ubj"), str(count), str(N_FEATURES)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert outcome.returncode == 0, (outcome.returncode, outcome.stderr[-2000:])
    passed = int(outcome.stdout.split()[-1])
    assert 0 < passed < count / 2, "a mutation that does no harm may pass, most do harm"
