"""Four trainings at once into one SQLite store."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

import pytest

from tests.faults.conftest import PREDICT
from tests.faults.workers import PROMOTE, json_in

pytestmark = pytest.mark.slow

TOGETHER = 4


def different(train, number):
    """A training that gives another model than its neighbours."""
    return [*train, "--seed", str(number)]


@pytest.mark.parametrize("is_new", [True, False], ids=["no store yet", "a store"])
def test_four_trainings_at_once_give_four_versions(is_new, shop, lab, train, tmp_path):
    folder = tmp_path if is_new else lab
    # Where there is a store already, all record at the same moment, for their training is done at once.
    ready = {} if is_new else {"ready": train[2]}
    workers = [shop.start(folder, different(train, number), **ready) for number in range(TOGETHER)]
    assert [worker.text() for worker in workers if worker.end()] == []
    for worker in workers:
        assert "locked" not in worker.text()
        assert "Traceback" not in worker.text()
    code, text = shop.run(folder, ["registry", "list", "--json"])
    assert code == 0, text
    versions = json_in(text)
    count = TOGETHER + (0 if is_new else 1)
    assert [version["version"] for version in versions] == [str(number) for number in range(count, 0, -1)]
    assert all(version["usable"] for version in versions)
    assert len({version["run_id"] for version in versions}) == count
    answers = set()
    for version in versions[:TOGETHER]:
        code, text = shop.run(folder, [*PREDICT, "--model", version["uri"]])
        assert code == 0, text
        answers.add(str(json_in(text)["predictions"][0]["conductivity"]))
    assert len(answers) == (TOGETHER if is_new else 1)
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("SELECT count(*) FROM runs WHERE status = 'FINISHED'").fetchone() == (count,)
        aliases = dict(database.execute("SELECT alias, version FROM registered_model_aliases"))
    assert aliases["challenger"] == count


def test_two_promotions_at_once_have_one_winner_or_come_one_after_the_other(shop, lab, train):
    code, text = shop.run(lab, train, train, ready=train[2])
    assert code == 0, text
    workers = [shop.start(lab, [*PROMOTE[:2], version, *PROMOTE[2:]]) for version in ("2", "3")]
    codes = [worker.end() for worker in workers]
    texts = [worker.message() for worker in workers]
    assert set(codes) <= {0, 2}, texts
    assert 0 in codes
    with closing(sqlite3.connect(lab / "mlflow.db")) as database:
        (champion,) = database.execute(
            "SELECT version FROM registered_model_aliases WHERE alias = 'champion'"
        ).fetchone()
        over = dict(database.execute("SELECT version, value FROM model_version_tags WHERE key = 'promoted_over'"))
    assert str(champion) in {"2", "3"}
    if codes == [0, 0]:  # the later one follows the earlier
        assert over[champion] in {"2", "3"}
    else:
        assert "compare again" in texts[codes.index(2)]
        assert over == {1: "none", champion: "1"}


def test_a_store_that_another_program_holds_is_waited_for(shop, lab, train):
    """As `mlflow ui`, a backup or a person at the database may do it."""
    with closing(sqlite3.connect(lab / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        worker = shop.start(lab, train, ready=train[2])
        assert worker.wait_for("opening the store")
        time.sleep(3)
        assert other.execute("SELECT count(*) FROM runs").fetchone() == (1,)
        assert worker.is_running()
        other.execute("ROLLBACK")
        assert worker.end() == 0, worker.text()
    assert "locked" not in worker.text()
