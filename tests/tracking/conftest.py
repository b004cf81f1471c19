"""A small training, done once; stores to record it in; and a replacement of training that returns it at once."""

import itertools
import shutil
from pathlib import Path

import pandas as pd
import pytest

from nasicon_ml.data.files import shipped_folder
from nasicon_ml.evaluation import gate
from nasicon_ml.evaluation.gate import GateCheck, GateReport
from nasicon_ml.model import PropertyModel
from nasicon_ml.tracking import import_bundle, promote, record
from nasicon_ml.tracking import store as stores
from nasicon_ml.tracking.registry import CHAMPION, MODEL_NAME
from nasicon_ml.tracking.runs import run_training
from nasicon_ml.workflows import train as workflow
from tests.stores import copy_store


@pytest.fixture(scope="session", autouse=True)
def imported_mlflow():
    """Import MLflow's model classes without warnings, before a test replaces a part of them."""
    stores.load_mlflow()
    with stores.quiet_logging():
        import mlflow.pyfunc  # noqa: F401


@pytest.fixture(scope="session")
def result(small_dataset):
    """Result of a real training with few folds and few trees."""
    short_settings = {name: settings.changed(rounds=10) for name, settings in workflow.DEFAULT_SETTINGS.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workflow, "DEFAULT_SETTINGS", short_settings)
        return workflow.train(workflow.TrainingOptions(folds=2), dataset=small_dataset)


@pytest.fixture(scope="session")
def bundle(result, tmp_path_factory):
    """The bundle of `result`."""
    return result.model.save(tmp_path_factory.mktemp("export") / "bundle")


@pytest.fixture(scope="session")
def real_scores():
    """The scores of the committed model, on the whole dataset."""
    metadata = PropertyModel.load(shipped_folder("models", "champion")).metadata
    return pd.DataFrame([dict(row) for row in metadata.scores])


def train_returning(result):
    """Return a training function that returns the result at once."""

    def train(options=None, *, dataset=None, add=None, progress=None):
        progress("cross-validating conductivity", 0.5)
        progress("done", 1.0)
        return result

    return train


def set_champion(version, tracking_uri=None):
    """Make a version the champion without the gate, which models of few trees would not pass."""
    with stores.open_store(tracking_uri) as store:
        store.client.set_registered_model_alias(MODEL_NAME, CHAMPION, version)


@pytest.fixture
def instant_training(monkeypatch, result):
    """Replace training by a function that returns `result`, and draw only one figure."""
    monkeypatch.setattr("nasicon_ml.tracking.runs.train", train_returning(result))
    all_figures = record.figures
    monkeypatch.setattr(record, "figures", lambda result: itertools.islice(all_figures(result), 1))


def replace_gate(monkeypatch, *, passed):
    """Let the gate pass or refuse every candidate; return a list of its calls, as (candidate, reference)."""
    calls = []

    def evaluate_candidate(candidate, reference):
        calls.append((candidate, reference))
        check = GateCheck("conductivity", passed, "conductivity: +0.5000, at most 0.02 worse is allowed", {})
        return GateReport((check,), (), has_reference=reference is not None)

    monkeypatch.setattr(gate, "evaluate_candidate", evaluate_candidate)
    return calls


def aliases():
    """Return the version numbers by alias in the store of the working directory."""
    with stores.open_store() as store:
        return {key: str(value) for key, value in store.client.get_registered_model(MODEL_NAME).aliases.items()}


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """An SQLite store with empty tables, which take seconds to create."""
    path = tmp_path_factory.mktemp("empty") / stores.DATABASE
    with stores.open_store(f"sqlite:///{path}") as store:
        assert store.client.search_registered_models() == []
    return path


@pytest.fixture
def store_folder(tmp_path, monkeypatch, empty_database):
    """A working directory with an empty store."""
    shutil.copy(empty_database, tmp_path / stores.DATABASE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def imported_twice(tmp_path_factory, empty_database, bundle):
    """A folder whose store has two imported versions; the newer one is challenger, and there is no champion."""
    folder = tmp_path_factory.mktemp("imported")
    uri = f"sqlite:///{shutil.copy(empty_database, folder)}"
    for _ in range(2):
        import_bundle(bundle, tracking_uri=uri)
    return folder


@pytest.fixture
def two_imports(imported_twice, tmp_path, monkeypatch):
    """A working directory with a copy of that store's database."""
    shutil.copy(imported_twice / stores.DATABASE, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def with_champion(imported_twice, tmp_path_factory):
    """A folder whose store has a champion, version 1, and a challenger, version 2."""
    folder = copy_store(imported_twice, tmp_path_factory.mktemp("champion"))
    with pytest.MonkeyPatch.context() as patch:
        replace_gate(patch, passed=True)
        promote("1", tracking_uri=f"sqlite:///{folder / stores.DATABASE}")
    return folder


@pytest.fixture
def two_versions(with_champion, tmp_path, monkeypatch):
    """A working directory with a copy of that store's database, and a gate that every version passes."""
    shutil.copy(with_champion / stores.DATABASE, tmp_path)
    monkeypatch.chdir(tmp_path)
    replace_gate(monkeypatch, passed=True)
    return tmp_path


@pytest.fixture(scope="session")
def tracked(tmp_path_factory, empty_database, result):
    """A recorded and registered run, for tests that only read."""
    folder = tmp_path_factory.mktemp("tracked")
    shutil.copy(empty_database, folder / stores.DATABASE)
    with pytest.MonkeyPatch.context() as patch:
        for name in (stores.URI_VARIABLE, "MLFLOW_EXPERIMENT_NAME"):
            patch.delenv(name, raising=False)
        patch.chdir(folder)
        patch.setattr("nasicon_ml.tracking.runs.train", train_returning(result))
        run = run_training(result.options)
        set_champion(run.version)
        return run


@pytest.fixture
def client(tracked):
    """An MLflow client of the store of `tracked`."""
    with stores.open_store(tracked.tracking_uri) as store:
        yield store.client


@pytest.fixture(scope="session")
def logged_model(tracked):
    """The folder of the logged model of `tracked`."""
    folder = Path(stores.sqlite_path(tracked.tracking_uri)).parent / stores.ARTIFACTS
    (description,) = folder.rglob("MLmodel")
    return description.parent
