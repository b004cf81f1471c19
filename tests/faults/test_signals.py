"""Ctrl-C and SIGTERM at any moment: the run is KILLED and nothing is registered."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.workers import PROMOTE
from tests.programs import PATIENCE_S
from tests.stores import copy_store

pytestmark = pytest.mark.slow

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
#: Stages of a training before anything is recorded.
STAGES = ("opening the store", "computing features", "cross-validating relative density",
          "fitting phase purity to all pellets", "checking dataset and model")  # fmt: skip
#: Number of files that are renamed while a run is recorded; the version is registered after the last.
RENAMED_FILES = 7


def recorded_state(store):
    """Return status and `ended_by` of each run, the number of versions and the number of pending models."""
    with closing(sqlite3.connect(store / "mlflow.db")) as database:
        runs = database.execute(
            "SELECT status, value FROM runs LEFT JOIN tags ON runs.run_uuid = tags.run_uuid AND key = 'ended_by' "
            "ORDER BY start_time"
        ).fetchall()
        versions = database.execute("SELECT count(*) FROM model_versions").fetchone()[0]
        pending = database.execute("SELECT count(*) FROM logged_models WHERE status = 1").fetchone()[0]
        return runs, versions, pending


def check_stopped(worker, number):
    """Check that the exit code is that of the signal and that the last line is "stopped"."""
    assert worker.wait() == EXIT_CODES[number], worker.output()
    assert "Traceback" not in worker.output()
    assert "Exception ignored" not in worker.output()
    assert worker.message().splitlines()[-1:] == ["stopped"], worker.output()


def check_run_killed(store):
    """Check that a stopped run is KILLED and nothing is registered; return whether there is such a run."""
    runs, versions, pending = recorded_state(store)
    assert (versions, pending) == (1, 0)
    assert runs[0] == ("FINISHED", None)
    for status, reason in runs[1:]:
        assert status == "KILLED"
        assert reason in {"KeyboardInterrupt", "SystemExit: 143"}
    return len(runs) > 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
@pytest.mark.parametrize("stage", STAGES, ids=[name.replace(" ", "-") for name in STAGES])
def test_stopped_training_marks_run_killed(stage, number, runner, store, train_command):
    worker = runner.start(store, train_command, fault={"kinds": ["stage"], "at": stage, "signal": number})
    check_stopped(worker, number)
    assert check_run_killed(store) == (stage != "opening the store")  # no run exists yet


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
@pytest.mark.parametrize("file", range(1, RENAMED_FILES + 1))
def test_training_stopped_while_recording_marks_run_killed(file, number, runner, store, train_command):
    worker = runner.start(
        store,
        train_command,
        pretrained_on=train_command[2],
        fault={"kinds": ["rename"], "at": file, "signal": number},
    )
    check_stopped(worker, number)
    assert check_run_killed(store)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_promotion_stopped_before_writing_changes_no_alias(number, runner, challenger_store, tmp_path):
    store = copy_store(challenger_store, tmp_path / "store")
    check_stopped(runner.start(store, PROMOTE, fault={"kinds": ["manifest"], "at": 1, "signal": number}), number)
    assert aliases(store) == {"champion": 1, "challenger": 2}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_signal_at_first_commit_lets_promotion_complete(number, runner, challenger_store, tmp_path):
    store = copy_store(challenger_store, tmp_path / "store")
    worker = runner.start(store, PROMOTE, fault={"kinds": ["commit"], "at": 1, "signal": number})
    assert worker.wait() == 0, worker.output()
    assert "version 2 is champion now" in worker.output()
    assert aliases(store)["champion"] == 2


def aliases(store):
    """Return the version of each alias."""
    with closing(sqlite3.connect(store / "mlflow.db")) as database:
        return dict(database.execute("SELECT alias, version FROM registered_model_aliases"))


IMPORTED_MODULES = ("nasicon_ml.cli.inputs", "numpy", "pandas", "mlflow", "sqlalchemy", "xgboost")


@pytest.mark.parametrize(
    ("module", "number"),
    [(name, list(EXIT_CODES)[position % 2]) for position, name in enumerate(IMPORTED_MODULES)],
)
def test_signal_during_import_ends_with_exit_code_of_signal(module, number, train_command, tmp_path):
    root = Path(__file__).parents[2]
    env = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    program = Path(sys.executable).parent / "nasicon-ml"
    outcome = subprocess.run(
        [sys.executable, "-m", "tests.faults.moments", module, str(number.value), program, *train_command],
        cwd=tmp_path, env=env | {"PYTHONPATH": str(root)}, capture_output=True, text=True, check=False,
        timeout=PATIENCE_S,
    )  # fmt: skip
    assert (outcome.returncode, outcome.stderr.splitlines()[-1:]) == (EXIT_CODES[number], ["stopped"]), (
        outcome.stderr
    )
    assert "Traceback" not in outcome.stderr
    assert not (tmp_path / "mlflow.db").exists() or recorded_state(tmp_path)[1:] == (0, 0)
