"""Ctrl-C and SIGTERM at any moment: the run is KILLED, nothing is registered, and the program says so and ends."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.workers import PROMOTE, Worker

pytestmark = pytest.mark.slow

#: Two seconds on a quiet machine; a test must not fail because the machine does other things, too.
AT_ONCE_S = 10.0
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
STAGES = {
    "opening the store": 0.0,
    "cross-validating": 0.3,
    "recording tables": 0.02,
    "recording figures": 0.1,
    "recording the model": 0.3,
    "recording scores": 0.0,
    "registering the model": 0.01,
}


def left(lab):
    """Runs by status, what ended them, and the versions and models that are there."""
    with closing(sqlite3.connect(lab / "mlflow.db")) as database:
        runs = database.execute(
            "SELECT status, value FROM runs LEFT JOIN tags ON runs.run_uuid = tags.run_uuid AND key = 'ended_by' "
            "ORDER BY start_time"
        ).fetchall()
        versions = database.execute("SELECT count(*) FROM model_versions").fetchone()[0]
        pending = database.execute("SELECT count(*) FROM logged_models WHERE status = 1").fetchone()[0]
        return runs, versions, pending


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
@pytest.mark.parametrize(("stage", "later"), STAGES.items(), ids=[name.replace(" ", "-") for name in STAGES])
def test_a_training_that_is_stopped_is_killed_at_once(number, stage, later, shop, lab, train, record_property):
    worker = shop.start(lab, train)
    assert worker.wait_for(stage)
    time.sleep(later)
    took = worker.kill(number)
    assert worker.end() == CODES[number], worker.text()
    assert "Traceback" not in worker.text()
    assert "Exception ignored" not in worker.text()
    lines = worker.message().splitlines()
    assert lines[-1:] == ["stopped"], worker.text()
    runs, versions, pending = left(lab)
    assert (versions, pending) == (1, 0)
    assert runs[0] == ("FINISHED", None)
    if len(runs) > 1:  # else it was stopped before there was a run
        status, reason = runs[1]
        assert status == "KILLED"
        assert reason in {"KeyboardInterrupt", "SystemExit: 143"}
    else:
        assert stage == "opening the store"
    assert took < AT_ONCE_S
    record_property("seconds", round(took, 2))
    print(f"\n{stage}, {number.name}: {took:.2f} s")  # noqa: T201


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_promotion_that_is_stopped_changes_nothing(number, shop, lab, train):
    worker = shop.start(lab, train, PROMOTE, ready=train[2])
    assert worker.wait_for("--- begins registry")
    time.sleep(0.1)
    took = worker.kill(number)
    assert worker.end() == CODES[number], worker.text()
    assert worker.message().splitlines()[-1] == "stopped"
    assert "Traceback" not in worker.text()
    with closing(sqlite3.connect(lab / "mlflow.db")) as database:
        aliases = dict(database.execute("SELECT alias, version FROM registered_model_aliases"))
    assert aliases == {"champion": 1, "challenger": 2}
    assert took < AT_ONCE_S


# Imports take seconds; the first tenth of one belongs to Python, which is not ours to be quiet.
@pytest.mark.parametrize(
    ("number", "after"), [(signal.SIGINT, 0.5), (signal.SIGINT, 1.5), (signal.SIGTERM, 1.0), (signal.SIGINT, 2.5)]
)
def test_a_program_that_is_stopped_while_it_imports_ends_at_once(number, after, train, tmp_path):
    program = Path(sys.executable).parent / "nasicon-ml"
    env = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    log = tmp_path / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, program, *train], cwd=tmp_path, env=env, stdout=file, stderr=file,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
        )  # fmt: skip
    worker = Worker(process.pid, log, None)
    try:
        time.sleep(after)
        took = worker.kill(number)
    finally:
        process.kill()
        code = process.wait()
    assert (code, log.read_text().splitlines()[-1:]) == (CODES[number], ["stopped"]), log.read_text()
    assert "Traceback" not in log.read_text()
    assert took < AT_ONCE_S
    assert not (tmp_path / "mlflow.db").exists() or left(tmp_path)[1:] == (0, 0)
    print(f"\nafter {after} s, {number.name}: {took:.2f} s")  # noqa: T201
