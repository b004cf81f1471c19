"""Several programs that use one SQLite store at the same time."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

import pytest

from tests.faults.conftest import PREDICT
from tests.faults.workers import PROMOTE, json_in

pytestmark = pytest.mark.slow

COUNT_OF_TRAININGS = 4


def with_seed(train_command, number):
    """Return a training with this seed, which gives another model."""
    return [*train_command, "--seed", str(number)]


@pytest.mark.parametrize("is_new", [True, False], ids=["new store", "existing store"])
def test_concurrent_trainings_register_one_version_each(is_new, runner, store, train_command, tmp_path):
    folder = tmp_path if is_new else store
    # In an existing store, all record at the same moment, because they reuse one training.
    options = {} if is_new else {"pretrained_on": train_command[2]}
    workers = [
        runner.start(folder, with_seed(train_command, number), **options) for number in range(COUNT_OF_TRAININGS)
    ]
    assert [worker.output() for worker in workers if worker.wait()] == []
    for worker in workers:
        assert "locked" not in worker.output()
        assert "Traceback" not in worker.output()
    code, output = runner.run(folder, ["registry", "list", "--json"])
    assert code == 0, output
    versions = json_in(output)
    count = COUNT_OF_TRAININGS + (0 if is_new else 1)
    assert [version["version"] for version in versions] == [str(number) for number in range(count, 0, -1)]
    assert all(version["usable"] for version in versions)
    assert len({version["run_id"] for version in versions}) == count
    conductivities = set()
    for version in versions[:COUNT_OF_TRAININGS]:
        code, output = runner.run(folder, [*PREDICT, "--model", version["uri"]])
        assert code == 0, output
        conductivities.add(str(json_in(output)["predictions"][0]["conductivity"]))
    assert len(conductivities) == (COUNT_OF_TRAININGS if is_new else 1)
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("SELECT count(*) FROM runs WHERE status = 'FINISHED'").fetchone() == (count,)
        aliases = dict(database.execute("SELECT alias, version FROM registered_model_aliases"))
    assert aliases["challenger"] == count


def test_concurrent_promotions_succeed_in_turn_or_one_is_refused(runner, store, train_command):
    code, output = runner.run(store, train_command, train_command, pretrained_on=train_command[2])
    assert code == 0, output
    workers = [runner.start(store, [*PROMOTE[:2], version, *PROMOTE[2:]]) for version in ("2", "3")]
    codes = [worker.wait() for worker in workers]
    messages = [worker.message() for worker in workers]
    assert set(codes) <= {0, 2}, messages
    assert 0 in codes
    with closing(sqlite3.connect(store / "mlflow.db")) as database:
        (champion,) = database.execute(
            "SELECT version FROM registered_model_aliases WHERE alias = 'champion'"
        ).fetchone()
        promoted_over = dict(
            database.execute("SELECT version, value FROM model_version_tags WHERE key = 'promoted_over'")
        )
    assert str(champion) in {"2", "3"}
    if codes == [0, 0]:  # one after the other
        assert promoted_over[champion] in {"2", "3"}
    else:
        assert "compare again" in messages[codes.index(2)]
        assert promoted_over == {1: "none", champion: "1"}


def test_training_waits_for_store_locked_by_other_program(runner, store, train_command):
    """`mlflow ui`, a backup or a database shell may lock it."""
    with closing(sqlite3.connect(store / "mlflow.db", isolation_level=None)) as other_program:
        other_program.execute("BEGIN IMMEDIATE")
        worker = runner.start(store, train_command, pretrained_on=train_command[2])
        assert worker.wait_for("opening the store")
        time.sleep(3)
        assert other_program.execute("SELECT count(*) FROM runs").fetchone() == (1,)
        assert worker.is_running()
        other_program.execute("ROLLBACK")
        assert worker.wait() == 0, worker.output()
    assert "locked" not in worker.output()
