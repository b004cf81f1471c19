"""Models in XGBoost's formats are read without loss, and refused if this package cannot evaluate them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import xgboost as xgb

from nasicon_ml.trees.arrays import convert_ubj_to_json, from_json
from nasicon_ml.trees.ensemble import TreeEnsemble

N_FEATURES = 4


def train_booster(X: Any = None, **settings: Any) -> xgb.Booster:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, N_FEATURES)) if X is None else X
    y = X[:, 0] > 0 if "num_class" in settings or "binary" in str(settings) else X[:, 0] * X[:, 1]
    matrix = xgb.DMatrix(X, label=y, nthread=1)
    return xgb.train({"max_depth": 3, "seed": 0, "nthread": 1} | settings, matrix, num_boost_round=5)


@pytest.fixture(scope="module")
def model() -> dict[str, Any]:
    return json.loads(bytes(train_booster().save_raw("json")))


def test_from_json_reads_all_nodes(model) -> None:
    trees = from_json(json.dumps(model).encode())
    json_trees = model["learner"]["gradient_booster"]["model"]["trees"]
    assert trees.tree_sizes.tolist() == [len(tree["parents"]) for tree in json_trees]
    for name, xgboost_name in (
        ("left_child", "left_children"),
        ("value", "split_conditions"),
        ("cover", "sum_hessian"),
    ):
        values_of_xgboost = np.concatenate([np.array(tree[xgboost_name], dtype=np.float32) for tree in json_trees])
        np.testing.assert_array_equal(getattr(trees, name), values_of_xgboost, err_msg=name)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"booster": "dart"}, "of kind 'dart' for 'reg:squarederror' is not supported"),
        ({"booster": "gblinear", "verbosity": 0}, "of kind 'gblinear'|not a model as XGBoost"),
        ({"objective": "binary:logistic"}, "for 'binary:logistic' is not supported"),
        ({"objective": "multi:softprob", "num_class": 2}, "for 'multi:softprob' is not supported"),
    ],
)
def test_unsupported_booster_or_objective_is_refused(settings, match) -> None:
    with pytest.raises(ValueError, match=match):
        TreeEnsemble.from_xgboost(train_booster(**settings), N_FEATURES)


def test_wrong_number_of_features_is_refused() -> None:
    with pytest.raises(ValueError, match="the trees are for 4 features, the model has 5"):
        TreeEnsemble.from_xgboost(train_booster(), N_FEATURES + 1)


@pytest.mark.parametrize(
    ("path", "value", "match"),
    [
        (("learner_model_param", "num_target"), "2", "several classes or targets"),
        (("learner_model_param", "num_class"), "3", "several classes or targets"),
        (("learner_model_param", "base_score"), "much", "could not convert"),
        (("learner_model_param",), None, "not a model as XGBoost writes one"),
        (("gradient_booster", "model", "trees"), [], "need at least one array|not a model"),
        (("gradient_booster", "model", "trees", 0, "right_children", 0), 5, "does not follow the left one"),
        (("gradient_booster", "model", "trees", 0, "split_type", 0), 1, "divides by categories"),
        (("gradient_booster", "model", "trees", 0, "split_indices", 0), 10**9, "not a model as XGBoost|int16"),
        (("gradient_booster", "model", "trees", 0, "split_indices", 0), "x", "invalid literal"),
    ],
)
def test_invalid_value_in_json_model_is_refused(model, path, value, match) -> None:
    content = json.loads(json.dumps(model))
    parent = content["learner"]
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = value
    with pytest.raises(ValueError, match=match):
        from_json(json.dumps(content).encode())


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"learner": 1}', b"[" * 100_000])
def test_text_that_is_not_a_model_is_refused(text) -> None:
    with pytest.raises(ValueError, match=r"not a model as XGBoost|Expecting value|nested"):
        from_json(text)


@pytest.mark.slow
def test_file_that_crashes_xgboost_raises_value_error() -> None:
    valid = bytes(train_booster().save_raw("ubj"))
    assert from_json(convert_ubj_to_json({"a": valid})["a"]).depth == 3
    # A child that does not exist: some versions of XGBoost follow it and crash, others do not check it.
    at = valid.index(b"left_children[$l#L") + len(b"left_children[$l#L") + 8
    corrupted = valid[:at] + (2**30).to_bytes(4, "big") + valid[at + 4 :]
    for files in ({"a": valid, "b": corrupted}, {"a": b"nonsense"}, {"a": valid[:-40]}):
        with pytest.raises(ValueError, match=r"XGBoost cannot read|follow the left one|does not exist"):
            [from_json(text).check(N_FEATURES) for text in convert_ubj_to_json(files).values()]
