import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasicon_ml.columns import Column
from nasicon_ml.errors import BundleError, TrackingError
from nasicon_ml.recipe import read_batch
from nasicon_ml.tracking import load_bundle, run_training
from nasicon_ml.tracking.registry import fetch_bundle
from nasicon_ml.tracking.store import open_store, sqlite_path
from tests.tracking.conftest import set_champion


def predict_conductivity(model):
    table = read_batch(pd.DataFrame({Column.FORMULA.value: ["LATP x=0.3", "LTP"]})).table
    return model.predict(table)[Column.PREDICTED_CONDUCTIVITY_S_CM].to_numpy()


@pytest.fixture
def copy_of_store(tracked, tmp_path, monkeypatch):
    """A copy of the database of `tracked`, which tests may change; its paths lead to the original artifacts."""
    database = tmp_path / "copy.db"
    shutil.copy(sqlite_path(tracked.tracking_uri), database)
    return f"sqlite:///{database}"


@pytest.mark.parametrize(
    "uri",
    [
        "models:/nasicon-recipe@champion",
        "models:/nasicon-recipe/1",
        "models:/nasicon-recipe/01",
        "models:/nasicon-recipe/latest",
        "models:/{model_id}",
        "runs:/{run_id}",
        "runs:/{run_id}/bundle",
        "runs:/{run_id}/nasicon-recipe",
        "runs:/{run_id}/nasicon-recipe/artifacts/bundle",
    ],
)
def test_load_bundle_accepts_every_form_of_uri(uri, tracked, result):
    model = load_bundle(
        uri.format(model_id=tracked.model_id, run_id=tracked.run_id), tracking_uri=tracked.tracking_uri
    )
    assert np.array_equal(predict_conductivity(model), predict_conductivity(result.model))


def test_load_bundle_uses_the_store_of_the_variable(tracked, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracked.tracking_uri)
    assert load_bundle("models:/nasicon-recipe@champion").metadata.dataset_rows > 0


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        (
            "models:/nasicon-recipes@champion",
            r"no model 'nasicon-recipes' is registered.*Did you mean 'nasicon-recipe'",
        ),
        ("models:/nasicon-recipe@champ", r"has no alias 'champ'.*champion \(version 1\).*Did you mean 'champion'"),
        ("models:/nasicon-recipe/7", r"has no version '7'.*there are: 1"),
        ("models:/nasicon-recipe/Production", r"has no version 'Production'.*there are: 1"),
        ("models:/nasicon-recipe/-1", r"has no version '-1'"),
        ("models:/nasicon-recipe", r"names no version of nasicon-recipe"),
        ("models:/m-00000000000000000000000000000000", r"m-0+ has no bundle|Logged model"),
        ("runs:/0123456789abcdef0123456789abcdef", r"no run '0123456789abcdef"),
        ("runs:/{run_id}/plots", r"manifest\.json"),
        ("runs:/{run_id}/nowhere", r"has no bundle"),
        ("models:nasicon-recipe", r"does not name a model; allowed: models:/NAME@ALIAS"),
        ("runs:/", r"does not name a model"),
        ("s3://bucket/model", r"does not name a model"),
        ("models:/nasicon-recipe@champion@x/../..", r"does not name a model|has no alias"),
    ],
)
def test_load_bundle_with_invalid_or_unknown_uri_raises(uri, message, tracked):
    with pytest.raises((TrackingError, BundleError), match=message):
        load_bundle(uri.format(run_id=tracked.run_id), tracking_uri=tracked.tracking_uri)


def test_load_bundle_does_not_create_a_store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TrackingError, match="there is no store"):
        load_bundle("models:/nasicon-recipe@champion")
    assert list(tmp_path.iterdir()) == []


def test_error_for_unknown_alias_states_that_there_are_none(copy_of_store):
    with open_store(copy_of_store) as store:
        for alias in ("champion", "challenger"):
            store.client.delete_registered_model_alias("nasicon-recipe", alias)
    with pytest.raises(TrackingError, match="there are: none"):
        load_bundle("models:/nasicon-recipe@champion", tracking_uri=copy_of_store)


@pytest.fixture
def bundle_folder(tracked, logged_model):
    """The bundle of the logged model; its files are restored after the test."""
    folder = logged_model / "artifacts" / "bundle"
    original = {path.name: path.read_bytes() for path in folder.iterdir()}
    yield folder
    for path in folder.iterdir():
        path.unlink()
    for name, content in original.items():
        (folder / name).write_bytes(content)


def test_changed_file_is_refused(tracked, bundle_folder):
    path = bundle_folder / "pellets.csv"
    path.write_bytes(path.read_bytes().replace(b"0.3", b"0.4", 1))
    with pytest.raises(BundleError, match=r"pellets\.csv"):
        load_bundle("models:/nasicon-recipe@champion", tracking_uri=tracked.tracking_uri)


@pytest.mark.parametrize("name", ["conductivity.npz", "manifest.json"])
def test_missing_file_is_refused(name, tracked, bundle_folder):
    (bundle_folder / name).unlink()
    with pytest.raises(BundleError, match=name):
        load_bundle("models:/nasicon-recipe@champion", tracking_uri=tracked.tracking_uri)


def test_additional_file_is_refused(tracked, bundle_folder):
    (bundle_folder / "python_model.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(BundleError, match=r"python_model\.pkl"):
        load_bundle("models:/nasicon-recipe@champion", tracking_uri=tracked.tracking_uri)


def test_missing_artifacts_raise(tracked, logged_model):
    hidden = logged_model.with_name("hidden")
    logged_model.rename(hidden)
    try:
        with pytest.raises(TrackingError, match=r"models:/nasicon-recipe@champion has no bundle.*missing"):
            load_bundle("models:/nasicon-recipe@champion", tracking_uri=tracked.tracking_uri)
    finally:
        hidden.rename(logged_model)


def test_load_bundle_does_not_run_code_of_the_model(tracked, logged_model):
    script = logged_model / "pyfunc_model.py"
    original = script.read_bytes()
    try:
        script.write_text("raise SystemExit('code of the model was run')")
        assert load_bundle("models:/nasicon-recipe@champion", tracking_uri=tracked.tracking_uri)
    finally:
        script.write_bytes(original)


def test_load_bundle_removes_temporary_files(tracked, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    load_bundle("models:/nasicon-recipe@champion", tracking_uri=tracked.tracking_uri)
    assert list(tmp_path.iterdir()) == []


def test_load_bundle_writes_nothing_to_the_working_directory(tracked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    load_bundle("models:/nasicon-recipe@champion", tracking_uri=tracked.tracking_uri)
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("models:/nasicon-recipe@champion", "models:/nasicon-recipe/1"),
        ("models:/nasicon-recipe/latest", "models:/nasicon-recipe/1"),
        ("models:/nasicon-recipe/01", "models:/nasicon-recipe/1"),
        ("runs:/{run_id}", "runs:/{run_id}"),
    ],
)
def test_fetched_bundle_has_the_name_of_its_version_or_run(uri, name, tracked):
    fetched = fetch_bundle(uri.format(run_id=tracked.run_id), tracking_uri=tracked.tracking_uri)
    assert fetched.name == name.format(run_id=tracked.run_id)
    assert fetched.model.metadata.dataset_sha256 == tracked.result.dataset_sha256


@pytest.mark.slow
def test_latest_is_the_newest_version_and_not_the_champion(store_folder, instant_training):
    assert [run_training().version, run_training().version] == ["1", "2"]
    set_champion("1")
    assert fetch_bundle("models:/nasicon-recipe/latest").name == "models:/nasicon-recipe/2"
    assert fetch_bundle("models:/nasicon-recipe@champion").name == "models:/nasicon-recipe/1"
