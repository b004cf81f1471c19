"""`mlflow ui` as a user starts it, in the folder of the default store, and asked over HTTP."""

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
from tests.tracking.test_registry import conductivity

pytestmark = pytest.mark.slow


class Site:
    """A web server, asked without any proxy."""

    def __init__(self, port):
        self.address = f"http://127.0.0.1:{port}"
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def bytes(self, path, data=None):
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(  # noqa: S310
            self.address + path, body, {"Content-Type": "application/json"}
        )
        with self.opener.open(request, timeout=PATIENCE_S) as answer:
            return answer.read()

    def json(self, path, data=None):
        return json.loads(self.bytes(f"/api/2.0/mlflow/{path}", data))

    def is_up(self):
        try:
            return bool(self.bytes("/health"))
        except (OSError, urllib.error.URLError):
            return False


@contextmanager
def mlflow_ui(folder):
    """Start `mlflow ui` in a folder; only the port is chosen, and one worker is enough."""
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
    with mlflow_ui(recorded[0]) as found:
        yield found


def test_the_page_is_there(site):
    assert b"<html" in site.bytes("/")


def test_the_run_is_shown_with_scores_dataset_and_model(site, recorded, result):
    experiment = site.json("experiments/get-by-name?experiment_name=nasicon-ml")["experiment"]
    (run,) = site.json("runs/search", {"experiment_ids": [experiment["experiment_id"]]})["runs"]
    assert (run["info"]["run_id"], run["info"]["status"]) == (recorded[1].run_id, "FINISHED")
    metrics = {metric["key"]: metric["value"] for metric in run["data"]["metrics"]}
    assert 0 < metrics["conductivity.mae_decades"] < 10
    assert len(metrics) <= 12
    (given,) = run["inputs"]["dataset_inputs"]
    assert given["dataset"]["digest"] == result.dataset_sha256[:36]
    (made,) = run["outputs"]["model_outputs"]
    model = site.json(f"logged-models/{made['model_id']}")["model"]
    assert model["info"]["status"] == "LOGGED_MODEL_READY"
    assert len(model["data"]["metrics"]) == len(metrics)


def test_artifacts_are_shown(site, recorded):
    run_id = recorded[1].run_id
    top = site.json(f"artifacts/list?run_id={run_id}")["files"]
    assert [item["path"] for item in top] == ["bundle", "plots", "tables"]
    figure = site.bytes(f"/get-artifact?path=plots/conductivity_parity.png&run_uuid={run_id}")
    assert figure[:8] == b"\x89PNG\r\n\x1a\n"
    table = json.loads(site.bytes(f"/get-artifact?path=tables/scores.json&run_uuid={run_id}"))
    assert table["columns"][:4] == ["target", "subset", "model", "metric"]


def test_the_version_is_shown_as_champion(site, recorded):
    model = site.json("registered-models/get?name=nasicon-recipe")["registered_model"]
    aliases = {alias["alias"]: str(alias["version"]) for alias in model["aliases"]}
    assert aliases == {"champion": "1", "challenger": "1"}
    version = site.json("model-versions/get?name=nasicon-recipe&version=1")["model_version"]
    assert (version["status"], version["run_id"]) == ("READY", recorded[1].run_id)


def test_a_run_is_recorded_through_the_server_and_its_model_loaded_back(
    site, result, tmp_path, monkeypatch, instant_training
):
    monkeypatch.chdir(tmp_path)
    run = run_training(tracking_uri=site.address, experiment="through the server")
    assert (run.tracking_uri, run.version) == (site.address, "2")
    status = site.json(f"runs/get?run_id={run.run_id}")["run"]["info"]
    assert status["status"] == "FINISHED"
    assert status["artifact_uri"].startswith("mlflow-artifacts:/")
    for uri in ("models:/nasicon-recipe/2", "models:/nasicon-recipe@champion", f"runs:/{run.run_id}"):
        found = load_bundle(uri, tracking_uri=site.address)
        assert np.array_equal(conductivity(found), conductivity(result.model))
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_through_the_server_registers_nothing(site, monkeypatch, instant_training):
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


def test_wrong_names_are_explained_through_the_server(site):
    with pytest.raises(TrackingError, match=r"no model 'nasicon' is registered in http://127"):
        load_bundle("models:/nasicon@champion", tracking_uri=site.address)
    with pytest.raises(TrackingError, match=r"has no alias 'challenge'.*Did you mean 'challenger'"):
        load_bundle("models:/nasicon-recipe@challenge", tracking_uri=site.address)
    with pytest.raises(TrackingError, match=r"no run 'f{32}'"):
        load_bundle(f"runs:/{'f' * 32}", tracking_uri=site.address)
