"""Tracking servers that are down, silent, slow or broken: one message, exit code 2, and no hang."""

from __future__ import annotations

import pytest

from tests.faults.conftest import PREDICT
from tests.faults.servers import bad_server
from tests.faults.test_disk import assert_predictions, assert_refused
from tests.faults.workers import PROMOTE

pytestmark = pytest.mark.slow

#: Shorter than the default of 10 s.
FIRST_RESPONSE_TIMEOUT_S = 2
SETTINGS = {"nasicon_ml.tracking.store:FIRST_RESPONSE_TIMEOUT_S": FIRST_RESPONSE_TIMEOUT_S}
EXPECTED_MESSAGES = {
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
#: MLflow's own settings, which users may choose, too.
SHORT_TIMEOUTS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "2", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}


@pytest.mark.parametrize("kind", EXPECTED_MESSAGES)
def test_commands_fail_in_time_naming_bad_server_and_leave_no_files(
    kind, runner, champion_store, train_command, expected_predictions, tmp_path
):
    commands = {
        "train": train_command,
        "predict": PREDICT,
        "list": ["registry", "list"],
        "promote": PROMOTE,
        "rollback": ["registry", "rollback"],
        "export": ["registry", "export", "champion", tmp_path / "bundle"],
        "import": [
            "registry",
            "import",
            next((champion_store / "mlartifacts").rglob("bundle/manifest.json")).parent,
        ],
        "train and save": [*train_command, "--bundle", tmp_path / "bundle"],
        "predict and write": [*PREDICT, "--output", tmp_path / "p.csv", "--plot", tmp_path / "p.png"],
    }
    if kind not in {"silent", "later error"}:  # some commands are enough for the other faults
        commands = {name: commands[name] for name in ("train", "predict", "list", "promote")}
    with bad_server(kind) as uri:
        env = {"MLFLOW_TRACKING_URI": uri} | (SHORT_TIMEOUTS if kind.startswith("later") else {})
        # All commands run at the same time, because they mostly wait.
        settings = SETTINGS if kind in {"silent", "slow"} else {}
        workers = {
            name: runner.start(tmp_path, command, env=env, pretrained_on=train_command[2], set=settings)
            for name, command in commands.items()
        }
        for worker in workers.values():
            message = assert_refused((worker.wait(), worker.message()), [EXPECTED_MESSAGES[kind]])
            assert uri in message
    assert list(tmp_path.iterdir()) == []
    assert_predictions(runner, champion_store, expected_predictions)  # the champion of the local store


def test_default_request_retries_take_at_most_180_seconds(monkeypatch):
    """Computed from the settings of this package for a server that becomes silent, without waiting for one."""
    import os

    from nasicon_ml.tracking.store import FIRST_RESPONSE_TIMEOUT_S, load_mlflow

    assert FIRST_RESPONSE_TIMEOUT_S <= 10
    for name in ("MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES"):
        monkeypatch.delenv(name, raising=False)
    load_mlflow()
    attempts = 1 + int(os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"])
    pauses = sum(2 * 2**number for number in range(1, attempts - 1))
    assert attempts * int(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]) + pauses <= 180
