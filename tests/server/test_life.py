"""Train, register, promote, serve, roll back, all through the shared server and each by whoever may."""

import json

import pytest

from nasicon_ml.columns import Column
from tests.server.site import BIN
from tests.serving.server import serving

pytestmark = pytest.mark.slow

RECIPE = {"formula": "Li1.3Al0.3Ti1.7(PO4)3", "sintering_temperature_c": 950}
OPTIONS = ("--formula", RECIPE["formula"], "--sintering-temperature", "950", "--json")
CHAMPION = "models:/nasicon-recipe@champion"


def predicted(site, model, user="reader"):
    """What `nasicon-ml predict` answers, without the name that the model was asked by."""
    done = site.nasicon("predict", *OPTIONS, "--model", model, user=user)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["predictions"]


def test_a_training_is_recorded_and_registered_through_the_server(site, first):
    assert (first["version"], first["tracking_uri"], first["experiment"]) == ("1", site.uri, "nasicon-ml")
    assert first["artifact_uri"].startswith("mlflow-artifacts:/")
    assert list(site.artifacts.rglob("MLmodel"))
    assert site.version(1)["status"] == "READY"
    assert int(site.cluster.sql("select count(*) from model_versions", "mlflow")) >= 1
    assert not [*site.folder.glob("mlruns"), *site.folder.glob("mlartifacts"), *site.folder.glob("mlflow.db")]


def test_everybody_with_an_account_sees_and_uses_it(site, champion):
    done = site.nasicon("registry", "list", "--json", user="reader")
    versions = json.loads(done.stdout)
    assert [(one["version"], one["usable"], one["problem"]) for one in versions] == [
        ("2", True, ""),
        ("1", True, ""),
    ]
    program = site.run(BIN / "nasicon-ml", "predict", *OPTIONS, "--model", CHAMPION, user="reader")
    assert program.returncode == 0, program.stderr
    assert program.stderr.startswith("model: models:/nasicon-recipe/2, trained ")
    assert json.loads(program.stdout)["predictions"] == predicted(site, "models:/nasicon-recipe/2")


def test_promoting_serving_and_rolling_back(site, champion, bundle, promoted, tmp_path):
    exported = site.nasicon("registry", "export", "1", tmp_path / "old", user="reader")
    assert exported.returncode == 0, exported.stderr
    old, new = (predicted(site, str(folder)) for folder in (tmp_path / "old", bundle))
    assert old != new == predicted(site, CHAMPION)
    assert served(site) == pytest.approx(new[0]["conductivity"]["value"], rel=1e-9)
    try:
        rolled = site.nasicon("registry", "rollback", "--reason", "a test", "--json", user="maintainer")
        assert rolled.returncode == 0, rolled.stderr
        assert json.loads(rolled.stdout) == {"left": champion, "version": "1", "challenger": champion}
        assert site.aliases()["champion"] == "1"
        assert predicted(site, CHAMPION) == old
    finally:
        promoted(champion)


def served(site):
    """What `mlflow models serve` answers, which fetches the champion as a reader."""
    login = site.login("reader") | {"HOME": str(site.folder)}
    with serving(CHAMPION, site.uri, env=login) as server:
        answer = server.invoke({"dataframe_records": [RECIPE]})
    assert answer.status == 200, answer.text
    return answer.json()["predictions"][0][Column.PREDICTED_CONDUCTIVITY_S_CM]
