"""`mlflow ui`, started as by a user in the folder of the default store, and its responses over HTTP."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from nasicon_ml.errors import TrackingError
from nasicon_ml.tracking import load_bundle, run_training
from nasicon_ml.tracking.store import sqlite_path
from tests.programs import PATIENCE_S, free_port, running
from tests.stores import copy_store
from tests.tracking.test_registry import predict_conductivity

pytestmark = pytest.mark.slow


class Site:
    """A local web server; requests ignore the proxy settings."""

    def __init__(self, port):
        self.address = f"http://127.0.0.1:{port}"
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def bytes(self, path, data=None):
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(  # noqa: S310
            self.address + path, body, {"Content-Type": "application/json"}
        )
        with self.opener.open(request, timeout=PATIENCE_S) as response:
            return response.read()

    def json(self, path, data=None):
        return json.loads(self.bytes(f"/api/2.0/mlflow/{path}", data))

    def is_up(self):
        try:
            return bool(self.bytes("/health"))
        except (OSError, urllib.error.URLError):
            return False


@contextmanager
def mlflow_ui(folder):
    """Start `mlflow ui` in a folder with default settings, except for a free port and a single worker."""
    port = free_port()
    env = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    env |= {"MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONWARNINGS": "ignore"}
    command = [str(Path(sys.executable).parent / "mlflow"), "ui", "--port", str(port), "--workers", "1"]
    log = folder / "ui.log"
    settings = {"cwd": folder, "env": env, "stderr": subprocess.STDOUT}
    with log.open("w") as output, running(*command, stdout=output, **settings) as program:
        site, started = Site(port), time.monotonic()
        while not site.is_up():
            assert program.poll() is None, log.read_text()
            assert time.monotonic() - started < PATIENCE_S, log.read_text()
            time.sleep(0.3)
        yield site


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, tracked):
    """A folder with a run in its default store."""
    source = sqlite_path(tracked.tracking_uri).parent
    return copy_store(source, tmp_path_factory.mktemp("a lab's folder")), tracked


@pytest.fixture(scope="module")
def site(recorded):
    with mlflow_ui(recorded[0]) as server:
        yield server


def test_start_page_is_served(site):
    assert b"<html" in site.bytes("/")


def test_run_is_served_with_scores_dataset_and_model(site, recorded, result):
    experiment = site.json("experiments/get-by-name?experiment_name=nasicon-ml")["experiment"]
    (run,) = site.json("runs/search", {"experiment_ids": [experiment["experiment_id"]]})["runs"]
    assert (run["info"]["run_id"], run["info"]["status"]) == (recorded[1].run_id, "FINISHED")
    metrics = {metric["key"]: metric["value"] for metric in run["data"]["metrics"]}
    assert 0 < metrics["conductivity.mae_decades"] < 10
    assert len(metrics) <= 12
    (dataset_input,) = run["inputs"]["dataset_inputs"]
    assert dataset_input["dataset"]["digest"] == result.dataset_sha256[:36]
    (model_output,) = run["outputs"]["model_outputs"]
    model = site.json(f"logged-models/{model_output['model_id']}")["model"]
    assert model["info"]["status"] == "LOGGED_MODEL_READY"
    assert len(model["data"]["metrics"]) == len(metrics)


def test_artifacts_are_served(site, recorded):
    run_id = recorded[1].run_id
    top = site.json(f"artifacts/list?run_id={run_id}")["files"]
    assert [item["path"] for item in top] == ["bundle", "plots", "tables"]
    figure = site.bytes(f"/get-artifact?path=plots/conductivity_parity.png&run_uuid={run_id}")
    assert figure[:8] == b"\x89PNG\r\n\x1a\n"
    table = json.loads(site.bytes(f"/get-artifact?path=tables/scores.json&run_uuid={run_id}"))
    assert table["columns"][:4] == ["target", "subset", "model", "metric"]


def test_version_is_served_with_its_aliases(site, recorded):
    model = site.json("registered-models/get?name=nasicon-recipe")["registered_model"]
    aliases = {alias["alias"]: str(alias["version"]) for alias in model["aliases"]}
    assert aliases == {"champion": "1", "challenger": "1"}
    version = site.json("model-versions/get?name=nasicon-recipe&version=1")["model_version"]
    assert (version["status"], version["run_id"]) == ("READY", recorded[1].run_id)


def test_model_of_a_run_recorded_on_the_server_can_be_loaded(
    site, result, tmp_path, monkeypatch, instant_training
):
    monkeypatch.chdir(tmp_path)
    run = run_training(tracking_uri=site.address, experiment="through the server")
    assert (run.tracking_uri, run.version) == (site.address, "2")
    status = site.json(f"runs/get?run_id={run.run_id}")["run"]["info"]
    assert status["status"] == "FINISHED"
    assert status["artifact_uri"].startswith("mlflow-artifacts:/")
    for uri in ("models:/nasicon-recipe/2", "models:/nasicon-recipe@champion", f"runs:/{run.run_id}"):
        model = load_bundle(uri, tracking_uri=site.address)
        assert np.array_equal(predict_conductivity(model), predict_conductivity(result.model))
    assert list(tmp_path.iterdir()) == []


def test_interrupted_training_on_the_server_registers_nothing(site, monkeypatch, instant_training):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    before = site.json("model-versions/search")["model_versions"]
    monkeypatch.setattr("mlflow.MlflowClient.set_logged_model_tags", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_training(tracking_uri=site.address, experiment="interrupted")
    assert site.json("model-versions/search")["model_versions"] == before
    experiment = site.json("experiments/get-by-name?experiment_name=interrupted")["experiment"]
    (run,) = site.json("runs/search", {"experiment_ids": [experiment["experiment_id"]]})["runs"]
    assert run["info"]["status"] == "KILLED"


def test_unknown_names_on_the_server_raise_with_suggestions(site):
    with pytest.raises(TrackingError, match=r"no model 'nasicon' is registered in http://127"):
        load_bundle("models:/nasicon@champion", tracking_uri=site.address)
    with pytest.raises(TrackingError, match=r"has no alias 'challenge'.*Did you mean 'challenger'"):
        load_bundle("models:/nasicon-recipe@challenge", tracking_uri=site.address)
    with pytest.raises(TrackingError, match=r"no run 'f{32}'"):
        load_bundle(f"runs:/{'f' * 32}", tracking_uri=site.address)
