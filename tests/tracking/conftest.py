"""A small training, done once; stores to record it in; and a training function that costs nothing."""

import itertools
import shutil
from pathlib import Path

import pytest

from nasicon_ml.tracking import record
from nasicon_ml.tracking import store as stores
from nasicon_ml.tracking.registry import CHAMPION, MODEL_NAME
from nasicon_ml.tracking.runs import run_training
from nasicon_ml.workflows import train as workflow


@pytest.fixture(scope="session", autouse=True)
def all_of_mlflow():
    """Import MLflow's part for models without its warnings, before a test replaces something in it."""
    stores.load_mlflow()
    with stores.quiet_logging():
        import mlflow.pyfunc  # noqa: F401


@pytest.fixture(scope="session")
def result(small_dataset):
    """A real result of a training, with few folds and few trees."""
    few = {name: settings.changed(rounds=10) for name, settings in workflow.DEFAULT_SETTINGS.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workflow, "DEFAULT_SETTINGS", few)
        return workflow.train(workflow.TrainingOptions(folds=2), dataset=small_dataset)


def returning(result):
    """A training function that gives the result at once."""

    def train(options=None, *, dataset=None, add=None, progress=None):
        progress("cross-validating conductivity", 0.5)
        progress("done", 1.0)
        return result

    return train


def crown(version, tracking_uri=None):
    """Make a version the champion without asking: these few trees would pass no gate."""
    with stores.open_store(tracking_uri) as store:
        store.client.set_registered_model_alias(MODEL_NAME, CHAMPION, version)


@pytest.fixture
def instant_training(monkeypatch, result):
    """No time for training, and one figure instead of all."""
    monkeypatch.setattr("nasicon_ml.tracking.runs.train", returning(result))
    every = record.figures
    monkeypatch.setattr(record, "figures", lambda result: itertools.islice(every(result), 1))


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """An SQLite store with its tables, and nothing in them: making the tables takes seconds."""
    path = tmp_path_factory.mktemp("empty") / stores.DATABASE
    with stores.open_store(f"sqlite:///{path}") as store:
        assert store.client.search_registered_models() == []
    return path


@pytest.fixture
def workplace(tmp_path, monkeypatch, empty_database):
    """A working directory with an empty store."""
    shutil.copy(empty_database, tmp_path / stores.DATABASE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def tracked(tmp_path_factory, empty_database, result):
    """One recorded and registered run, for tests that only read."""
    folder = tmp_path_factory.mktemp("tracked")
    shutil.copy(empty_database, folder / stores.DATABASE)
    with pytest.MonkeyPatch.context() as patch:
        for name in (stores.URI_VARIABLE, "MLFLOW_EXPERIMENT_NAME"):
            patch.delenv(name, raising=False)
        patch.chdir(folder)
        patch.setattr("nasicon_ml.tracking.runs.train", returning(result))
        run = run_training(result.options)
        crown(run.version)
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
    (found,) = folder.rglob("MLmodel")
    return found.parent
