"""Train, register, promote, serve and roll back on the shared server, each as a user with the required role."""

import json

import pytest

from nasicon_ml.columns import Column
from tests.server.site import BIN
from tests.serving.server import serving

pytestmark = pytest.mark.slow

RECIPE = {"formula": "Li1.3Al0.3Ti1.7(PO4)3", "sintering_temperature_c": 950}
OPTIONS = ("--formula", RECIPE["formula"], "--sintering-temperature", "950", "--json")
CHAMPION = "models:/nasicon-recipe@champion"


def predictions(server, model, user="reader"):
    """Return the predictions of `nasicon-ml predict --json`, without the name of the model."""
    completed = server.nasicon_ml("predict", *OPTIONS, "--model", model, user=user)
    assert completed.returncode == 0, completed.stderr
    return json.loads(completed.stdout)["predictions"]


def test_training_is_recorded_and_registered_on_the_server(server, first_version):
    assert (first_version["version"], first_version["tracking_uri"], first_version["experiment"]) == (
        "1",
        server.uri,
        "nasicon-ml",
    )
    assert first_version["artifact_uri"].startswith("mlflow-artifacts:/")
    assert list(server.artifacts.rglob("MLmodel"))
    assert server.model_version(1)["status"] == "READY"
    assert int(server.cluster.sql("select count(*) from model_versions", "mlflow")) >= 1
    assert not [
        *server.folder.glob("mlruns"),
        *server.folder.glob("mlartifacts"),
        *server.folder.glob("mlflow.db"),
    ]


def test_reader_can_list_versions_and_predict(server, champion):
    completed = server.nasicon_ml("registry", "list", "--json", user="reader")
    versions = json.loads(completed.stdout)
    assert [(version["version"], version["usable"], version["problem"]) for version in versions] == [
        ("2", True, ""),
        ("1", True, ""),
    ]
    program = server.run(BIN / "nasicon-ml", "predict", *OPTIONS, "--model", CHAMPION, user="reader")
    assert program.returncode == 0, program.stderr
    assert program.stderr.startswith("model: models:/nasicon-recipe/2, trained ")
    assert json.loads(program.stdout)["predictions"] == predictions(server, "models:/nasicon-recipe/2")


def test_champion_is_served_and_rollback_restores_the_previous_one(server, champion, bundle, promote, tmp_path):
    exported = server.nasicon_ml("registry", "export", "1", tmp_path / "old", user="reader")
    assert exported.returncode == 0, exported.stderr
    old, new = (predictions(server, str(folder)) for folder in (tmp_path / "old", bundle))
    assert old != new == predictions(server, CHAMPION)
    assert served_conductivity(server) == pytest.approx(new[0]["conductivity"]["value"], rel=1e-9)
    try:
        rollback = server.nasicon_ml("registry", "rollback", "--reason", "a test", "--json", user="maintainer")
        assert rollback.returncode == 0, rollback.stderr
        assert json.loads(rollback.stdout) == {"left": champion, "version": "1", "challenger": champion}
        assert server.aliases()["champion"] == "1"
        assert predictions(server, CHAMPION) == old
    finally:
        promote(champion)


def served_conductivity(server):
    """Return the conductivity that `mlflow models serve` predicts with the champion, fetched as a reader."""
    login = server.login("reader") | {"HOME": str(server.folder)}
    with serving(CHAMPION, server.uri, env=login) as scoring_server:
        response = scoring_server.invoke({"dataframe_records": [RECIPE]})
    assert response.status == 200, response.text
    return response.json()["predictions"][0][Column.PREDICTED_CONDUCTIVITY_S_CM]
