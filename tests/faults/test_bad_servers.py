"""Tracking servers that are down, silent, slow, broken, or something else: one sentence, exit code 2, no hang."""

from __future__ import annotations

import pytest

from tests.faults.conftest import PREDICT
from tests.faults.servers import bad_server
from tests.faults.test_disk import predicts, refused
from tests.faults.workers import PROMOTE

pytestmark = pytest.mark.slow

#: Shorter than what users wait for, 10 s.
FIRST_RESPONSE_TIMEOUT_S = 2
SETTINGS = {"nasicon_ml.tracking.store:FIRST_RESPONSE_TIMEOUT_S": FIRST_RESPONSE_TIMEOUT_S}
SAID = {
    "down": "cannot be reached",
    "silent": f"did not answer within {FIRST_RESPONSE_TIMEOUT_S} s",
    "slow": f"did not answer within {FIRST_RESPONSE_TIMEOUT_S} s",
    "error": "answers with error 500",
    "page": "is not an MLflow server",
    "not found": "is not an MLflow server",
    "later silent": "does not answer in time",
    "later error": "answers with an error again and again",
    "later down": "cannot be reached any more",
}
#: A server that is patient with nobody: MLflow's own settings, which a user may choose, too.
IMPATIENT = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "2", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}


@pytest.mark.parametrize("kind", SAID)
def test_a_bad_server_is_named_in_time_and_nothing_is_left(kind, shop, first_lab, train, as_before, tmp_path):
    commands = {
        "train": train,
        "predict": PREDICT,
        "list": ["registry", "list"],
        "promote": PROMOTE,
        "rollback": ["registry", "rollback"],
        "export": ["registry", "export", "champion", tmp_path / "bundle"],
        "import": ["registry", "import", next((first_lab / "mlartifacts").rglob("bundle/manifest.json")).parent],
        "train and save": [*train, "--bundle", tmp_path / "bundle"],
        "predict and write": [*PREDICT, "--output", tmp_path / "p.csv", "--plot", tmp_path / "p.png"],
    }
    if kind not in {"silent", "later error"}:  # every way through the program once or twice
        commands = {name: commands[name] for name in ("train", "predict", "list", "promote")}
    with bad_server(kind) as uri:
        env = {"MLFLOW_TRACKING_URI": uri} | (IMPATIENT if kind.startswith("later") else {})
        # All at the same time: they do little but wait.
        settings = SETTINGS if kind in {"silent", "slow"} else {}
        workers = {
            name: shop.start(tmp_path, command, env=env, ready=train[2], set=settings)
            for name, command in commands.items()
        }
        for worker in workers.values():
            message = refused((worker.end(), worker.message()), [SAID[kind]])
            assert uri in message
    assert list(tmp_path.iterdir()) == []
    predicts(shop, first_lab, as_before)  # the champion in the local store


def test_the_time_for_a_server_is_bounded_by_default(monkeypatch):
    """What a server that goes silent later costs with the settings of this package, without waiting for it."""
    import os

    from nasicon_ml.tracking.store import FIRST_RESPONSE_TIMEOUT_S, load_mlflow

    assert FIRST_RESPONSE_TIMEOUT_S <= 10
    for name in ("MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES"):
        monkeypatch.delenv(name, raising=False)
    load_mlflow()
    answers = 1 + int(os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"])
    pauses = sum(2 * 2**number for number in range(1, answers - 1))
    assert answers * int(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]) + pauses <= 180
