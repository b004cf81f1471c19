"""Ctrl-C and SIGTERM at any moment: the run is KILLED, nothing is registered, and the program says so and ends."""

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

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
#: Stages of a training before anything is recorded.
STAGES = ("opening the store", "computing features", "cross-validating relative density",
          "fitting phase purity to all pellets", "checking dataset and model")  # fmt: skip
#: While a run is recorded, so many files get their names; the version is registered after the last.
FILES = 7


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


def check_stopped(worker, number):
    """It ended with the code of the signal and one word."""
    assert worker.end() == CODES[number], worker.text()
    assert "Traceback" not in worker.text()
    assert "Exception ignored" not in worker.text()
    assert worker.message().splitlines()[-1:] == ["stopped"], worker.text()


def check_killed(lab):
    """The run that was stopped is KILLED, and nothing is registered; returns whether there was such a run."""
    runs, versions, pending = left(lab)
    assert (versions, pending) == (1, 0)
    assert runs[0] == ("FINISHED", None)
    for status, reason in runs[1:]:
        assert status == "KILLED"
        assert reason in {"KeyboardInterrupt", "SystemExit: 143"}
    return len(runs) > 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
@pytest.mark.parametrize("stage", STAGES, ids=[name.replace(" ", "-") for name in STAGES])
def test_a_training_that_is_stopped_is_killed(stage, number, shop, lab, train):
    worker = shop.start(lab, train, fault={"kinds": ["stage"], "at": stage, "signal": number})
    check_stopped(worker, number)
    assert check_killed(lab) == (stage != "opening the store")  # before there is a run


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
@pytest.mark.parametrize("file", range(1, FILES + 1))
def test_a_training_that_is_stopped_while_it_records_is_killed(file, number, shop, lab, train):
    worker = shop.start(lab, train, ready=train[2], fault={"kinds": ["rename"], "at": file, "signal": number})
    check_stopped(worker, number)
    assert check_killed(lab)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_promotion_that_is_stopped_changes_nothing(number, shop, two, tmp_path):
    lab = copy_store(two, tmp_path / "lab")
    check_stopped(shop.start(lab, PROMOTE, fault={"kinds": ["manifest"], "at": 1, "signal": number}), number)
    assert aliases(lab) == {"champion": 1, "challenger": 2}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_promotion_that_has_begun_to_write_is_done(number, shop, two, tmp_path):
    lab = copy_store(two, tmp_path / "lab")
    worker = shop.start(lab, PROMOTE, fault={"kinds": ["commit"], "at": 1, "signal": number})
    assert worker.end() == 0, worker.text()
    assert "version 2 is champion now" in worker.text()
    assert aliases(lab)["champion"] == 2


def aliases(lab):
    """Which version each alias names."""
    with closing(sqlite3.connect(lab / "mlflow.db")) as database:
        return dict(database.execute("SELECT alias, version FROM registered_model_aliases"))


IMPORTED = ("nasicon_ml.cli.inputs", "numpy", "pandas", "mlflow", "sqlalchemy", "xgboost")


@pytest.mark.parametrize(
    ("module", "number"), [(name, list(CODES)[place % 2]) for place, name in enumerate(IMPORTED)]
)
def test_a_program_that_is_stopped_while_it_imports_ends(module, number, train, tmp_path):
    root = Path(__file__).parents[2]
    env = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    program = Path(sys.executable).parent / "nasicon-ml"
    outcome = subprocess.run(
        [sys.executable, "-m", "tests.faults.moments", module, str(number.value), program, *train],
        cwd=tmp_path, env=env | {"PYTHONPATH": str(root)}, capture_output=True, text=True, check=False,
        timeout=PATIENCE_S,
    )  # fmt: skip
    assert (outcome.returncode, outcome.stderr.splitlines()[-1:]) == (CODES[number], ["stopped"]), outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert not (tmp_path / "mlflow.db").exists() or left(tmp_path)[1:] == (0, 0)
