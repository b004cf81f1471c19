"""kill -9 in the middle of training, registering and promoting: nothing that was good is lost."""

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

#: How MLflow writes the status of a model whose files are not there yet.
PENDING = 1
#: A training and a promotion write so many times at least; each of two tests takes every second time.
LEAST, STRIDE = 30, 2
RECORDING = ["commit", "rename"]


def killed(worker):
    """Wait for the end of a worker; say whether it was killed on the way."""
    code = worker.end()
    assert code in {0, -signal.SIGKILL}, worker.text()
    return code == -signal.SIGKILL


def versions(shop, lab):
    """What `registry list` says, newest first."""
    code, text = shop.run(lab, ["registry", "list", "--json"])
    assert code == 0, text
    return json_in(text)


def predictions(shop, lab, *options):
    """What the champion predicts, or another model."""
    code, text = shop.run(lab, [*PREDICT, *options])
    assert code == 0, text
    return json_in(text)["predictions"]


def statuses(lab):
    with closing(sqlite3.connect(lab / "mlflow.db")) as database:
        runs = Counter(status for (status,) in database.execute("SELECT status FROM runs"))
        models = Counter(status for (status,) in database.execute("SELECT status FROM logged_models"))
        ends = database.execute("SELECT count(*) FROM tags WHERE value LIKE 'the process ended without a word%'")
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return runs, models, ends.fetchone()[0]


def check_usable(shop, lab, found, known, as_before):
    """Every version that is new and is said to be usable answers as it must."""
    for version in found:
        if version["version"] not in known:
            known.add(version["version"])
            assert version["usable"], version["problem"]
            assert predictions(shop, lab, "--model", version["uri"]) == as_before


@pytest.mark.parametrize("first", range(1, STRIDE + 1))
def test_a_kill_before_any_write_loses_nothing(first, shop, lab, train, as_before):
    ready = {"ready": train[2]}
    known, champions, kills = set(), [1], 0
    while True:
        fault = {"kinds": RECORDING, "at": first + kills * STRIDE, "signal": signal.SIGKILL}
        is_killed = killed(shop.start(lab, train, PROMOTE, fault=fault, **ready))
        found = versions(shop, lab)
        assert all(version["usable"] for version in found if "champion" in version["aliases"])
        (champion,) = [int(version["version"]) for version in found if "champion" in version["aliases"]]
        champions.append(champion)
        assert max(champions) == champion, "the champion went back"
        check_usable(shop, lab, found, known, as_before)
        if not is_killed:  # it writes no more often than that
            break
        kills += 1
    assert kills >= LEAST // STRIDE
    assert predictions(shop, lab) == as_before
    assert predictions(shop, lab, "--model", "models:/nasicon-recipe/1") == as_before
    runs, models, ended = statuses(lab)
    assert runs["RUNNING"] == 0
    assert models[PENDING] == 0
    assert runs["FAILED"] == ended > 0


def test_a_kill_in_the_training_itself(shop, lab, train, as_before):
    fault = {"kinds": ["stage"], "at": "cross-validating relative density", "signal": signal.SIGKILL}
    assert killed(shop.start(lab, train, fault=fault))
    assert [version["version"] for version in versions(shop, lab)] == ["1"]
    assert predictions(shop, lab) == as_before
    assert statuses(lab)[0] == {"FINISHED": 1, "RUNNING": 1}
    code, text = shop.run(lab, train, PROMOTE, ready=train[2])
    assert code == 0, text
    assert predictions(shop, lab) == as_before
    assert statuses(lab)[0] == {"FINISHED": 2, "FAILED": 1}


def test_a_kill_while_the_store_is_made_leaves_none_or_a_whole_one(shop, train, tmp_path):
    ready = {"ready": train[2]}
    making = ["table", *RECORDING]
    (tmp_path / "first").mkdir()
    worker = shop.start(tmp_path / "first", train, fault={"kinds": making}, **ready)
    assert worker.end() == 0
    tables = [moment.number for moment in moments_in(worker.text(), "table")]
    placed = next(moment.number for moment in moments_in(worker.text(), "rename") if moment.what == "mlflow.db")
    assert max(tables) < placed
    lab = tmp_path / "lab"
    lab.mkdir()
    for number in (1, placed // 4, placed // 2, tables[-1], placed, placed + 1):
        assert not (lab / "mlflow.db").exists()
        fault = {"kinds": making, "at": number, "signal": signal.SIGKILL}
        assert killed(shop.start(lab, train, fault=fault, **ready))
    statuses(lab)
    code, text = shop.run(lab, train, **ready)
    assert code == 0, text
    assert {path.name for path in lab.iterdir()} <= {"mlflow.db", "mlflow.db.lock", "mlartifacts"}
