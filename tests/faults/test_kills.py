"""kill -9 during training, registering and promoting: usable versions and the champion are kept."""

from __future__ import annotations

import signal
import sqlite3
from collections import Counter
from contextlib import closing

import pytest

from tests.faults.conftest import PREDICT
from tests.faults.moments import moments_in
from tests.faults.workers import PROMOTE, json_in

pytestmark = pytest.mark.slow

#: MLflow's status of a logged model whose files are not stored yet.
PENDING = 1
#: Minimum number of writes of a training with promotion. Each of two tests kills before every second write.
MIN_WRITES, STRIDE = 30, 2
WRITE_KINDS = ["commit", "rename"]


def wait_and_check_killed(worker):
    """Wait for a worker; return whether it was killed."""
    code = worker.wait()
    assert code in {0, -signal.SIGKILL}, worker.output()
    return code == -signal.SIGKILL


def list_versions(runner, store):
    """Return the versions of `registry list`, newest first."""
    code, output = runner.run(store, ["registry", "list", "--json"])
    assert code == 0, output
    return json_in(output)


def predictions(runner, store, *options):
    """Return the predictions of the champion, or of the model in the options."""
    code, output = runner.run(store, [*PREDICT, *options])
    assert code == 0, output
    return json_in(output)["predictions"]


def statuses(store):
    """Return the number of runs and of models by status, and the number of runs that are marked as interrupted."""
    with closing(sqlite3.connect(store / "mlflow.db")) as database:
        runs = Counter(status for (status,) in database.execute("SELECT status FROM runs"))
        models = Counter(status for (status,) in database.execute("SELECT status FROM logged_models"))
        interrupted = database.execute(
            "SELECT count(*) FROM tags WHERE value LIKE 'the process ended without a word%'"
        )
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return runs, models, interrupted.fetchone()[0]


def check_usable(runner, store, versions, checked, expected_predictions):
    """Check that each version that is not checked yet is usable and predicts as the champion did."""
    for version in versions:
        if version["version"] not in checked:
            checked.add(version["version"])
            assert version["usable"], version["problem"]
            assert predictions(runner, store, "--model", version["uri"]) == expected_predictions


@pytest.mark.parametrize("first", range(1, STRIDE + 1))
def test_sigkill_before_each_write_keeps_champion_and_versions_usable(
    first, runner, store, train_command, expected_predictions
):
    options = {"pretrained_on": train_command[2]}
    checked, champions, kills = set(), [1], 0
    while True:
        fault = {"kinds": WRITE_KINDS, "at": first + kills * STRIDE, "signal": signal.SIGKILL}
        is_killed = wait_and_check_killed(runner.start(store, train_command, PROMOTE, fault=fault, **options))
        versions = list_versions(runner, store)
        assert all(version["usable"] for version in versions if "champion" in version["aliases"])
        (champion,) = [int(version["version"]) for version in versions if "champion" in version["aliases"]]
        champions.append(champion)
        assert max(champions) == champion, "the champion is older than before"
        check_usable(runner, store, versions, checked, expected_predictions)
        if not is_killed:  # it has ended without reaching that write
            break
        kills += 1
    assert kills >= MIN_WRITES // STRIDE
    assert predictions(runner, store) == expected_predictions
    assert predictions(runner, store, "--model", "models:/nasicon-recipe/1") == expected_predictions
    runs, models, interrupted = statuses(store)
    assert runs["RUNNING"] == 0
    assert models[PENDING] == 0
    assert runs["FAILED"] == interrupted > 0


def test_sigkill_during_training_registers_nothing_and_run_is_failed_later(
    runner, store, train_command, expected_predictions
):
    fault = {"kinds": ["stage"], "at": "cross-validating relative density", "signal": signal.SIGKILL}
    assert wait_and_check_killed(runner.start(store, train_command, fault=fault))
    assert [version["version"] for version in list_versions(runner, store)] == ["1"]
    assert predictions(runner, store) == expected_predictions
    assert statuses(store)[0] == {"FINISHED": 1, "RUNNING": 1}
    code, output = runner.run(store, train_command, PROMOTE, pretrained_on=train_command[2])
    assert code == 0, output
    assert predictions(runner, store) == expected_predictions
    assert statuses(store)[0] == {"FINISHED": 2, "FAILED": 1}


def test_sigkill_while_creating_store_leaves_no_partial_store(runner, train_command, tmp_path):
    options = {"pretrained_on": train_command[2]}
    write_kinds = ["table", *WRITE_KINDS]
    (tmp_path / "first").mkdir()
    worker = runner.start(tmp_path / "first", train_command, fault={"kinds": write_kinds}, **options)
    assert worker.wait() == 0
    tables = [moment.number for moment in moments_in(worker.output(), "table")]
    database_renamed = next(
        moment.number for moment in moments_in(worker.output(), "rename") if moment.detail == "mlflow.db"
    )
    assert max(tables) < database_renamed
    store = tmp_path / "store"
    store.mkdir()
    for number in (
        1,
        database_renamed // 4,
        database_renamed // 2,
        tables[-1],
        database_renamed,
        database_renamed + 1,
    ):
        assert not (store / "mlflow.db").exists()
        fault = {"kinds": write_kinds, "at": number, "signal": signal.SIGKILL}
        assert wait_and_check_killed(runner.start(store, train_command, fault=fault, **options))
    statuses(store)
    code, output = runner.run(store, train_command, **options)
    assert code == 0, output
    assert {path.name for path in store.iterdir()} <= {"mlflow.db", "mlflow.db.lock", "mlartifacts"}
