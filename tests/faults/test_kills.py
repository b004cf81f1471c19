"""kill -9 in the middle of training, registering and promoting: nothing that was good is lost."""

from __future__ import annotations

import random
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing

import pytest

from tests.faults.conftest import PREDICT
from tests.faults.workers import PROMOTE, json_in

pytestmark = pytest.mark.slow

#: Forty kills in four tests of ten, each with moments of its own.
KILLS, SEEDS = 10, (20240, 20241, 20242, 20243)
#: How MLflow writes the status of a model whose files are not there yet.
PENDING = 1
#: The first of so many kills falls into the training itself or the opening of the store; the others into what
#: follows, where something could be damaged. These are given a training that is done, to save the time.
EARLY = 4


def marks(text):
    """The lines that tell where a program is."""
    return [line for line in text.splitlines() if " %  " in line or line.startswith("--- begins")]


def where(line):
    """A mark without its time."""
    return line.partition(" at ")[0]


def stages(worker):
    """Follow an undisturbed pass: each mark with the seconds until the next."""
    seen, times = [], []
    while worker.is_running():
        for line in marks(worker.text())[len(seen) :]:
            seen.append(where(line))
            times.append(time.monotonic())
        time.sleep(0.002)
    ended = time.monotonic()
    assert worker.end() == 0, worker.text()
    return list(zip(seen, [b - a for a, b in zip(times, [*times[1:], ended], strict=True)], strict=True))


def moment(chosen, dice):
    """Draw a moment evenly over stages: the mark before it, and the seconds after that mark."""
    left = dice.uniform(0, sum(seconds for _, seconds in chosen))
    for mark, seconds in chosen:
        if left < seconds:
            return mark, left
        left -= seconds
    return chosen[-1][0], chosen[-1][1]


def killed_at(worker, mark, seconds):
    """Kill a worker some seconds after a mark; False if it had ended by itself."""
    worker.wait_for(mark)
    time.sleep(seconds)
    if worker.is_running():
        worker.kill(signal.SIGKILL)
    code = worker.end()
    assert code in {0, -signal.SIGKILL}, worker.text()
    return code == -signal.SIGKILL


def versions(shop, lab):
    """What `registry list` says, newest first, and what the champion predicts."""
    worker = shop.start(lab, ["registry", "list", "--json"], PREDICT)
    code = worker.end()
    text = worker.text()
    assert code == 0, text
    listed, _, predicted = text.partition("--- begins predict")
    return json_in(listed), json_in(predicted)["predictions"]


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
            code, text = shop.run(lab, [*PREDICT, "--model", version["uri"]])
            assert code == 0, text
            assert json_in(text)["predictions"] == as_before


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", SEEDS)
def test_ten_kills_lose_nothing(seed, shop, lab, train, small_dataset, as_before, record_property):
    dice = random.Random(seed)  # noqa: S311
    early = stages(shop.start(lab, train, PROMOTE))
    first = next(number for number, (mark, _) in enumerate(early) if "recording tables" in mark)
    late = stages(shop.start(lab, train, PROMOTE, ready=str(small_dataset)))
    late = late[next(number for number, (mark, _) in enumerate(late) if "recording tables" in mark) :]
    known, champions, hit, late_ones = set(), {"1", "2", "3"}, Counter(), 0
    for number in range(KILLS):
        is_early = number % EARLY == 0
        mark, seconds = moment(early[:first] if is_early else late, dice)
        ready = {} if is_early else {"ready": str(small_dataset)}
        while not killed_at(shop.start(lab, train, PROMOTE, **ready), mark, seconds):
            mark, seconds = moment(early[:first] if is_early else late, dice)  # it was done already
            late_ones += 1
            assert late_ones <= KILLS
        hit[mark.strip()] += 1
        found, predicted = versions(shop, lab)
        assert predicted == as_before
        (champion,) = [version["version"] for version in found if "champion" in version["aliases"]]
        champions.add(champion)
        assert max(map(int, champions)) == int(champion), "the champion went back"
        check_usable(shop, lab, found, known, as_before)
    assert hit.total() == KILLS
    code, text = shop.run(lab, train, PROMOTE)
    assert code == 0, text
    assert versions(shop, lab)[1] == as_before
    runs, models, ended = statuses(lab)
    assert runs["RUNNING"] == 0
    assert models[PENDING] == 0
    assert runs["FAILED"] == ended > 0
    record_property("killed during", dict(hit))
    print("\n", dict(hit), "versions", len(known), "runs", dict(runs), "models", dict(models))  # noqa: T201


@pytest.mark.parametrize("share", [0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95])
def test_a_kill_while_the_store_is_made_leaves_none_or_a_whole_one(share, shop, train, small_dataset, tmp_path):
    ready = {"ready": str(small_dataset)}
    worker = shop.start(tmp_path, train, **ready)
    worker.wait_for("opening the store")
    made = time.monotonic()
    while not (tmp_path / "mlflow.db").exists():
        time.sleep(0.002)
    made = time.monotonic() - made
    worker.kill(signal.SIGKILL)
    worker.end()
    for name in ("mlflow.db", "mlflow.db.lock"):
        (tmp_path / name).unlink()
    worker = shop.start(tmp_path, train, **ready)
    assert killed_at(worker, "opening the store", share * made)
    code, text = shop.run(tmp_path, train, **ready)
    assert code == 0, text
    assert {path.name for path in tmp_path.iterdir()} <= {"mlflow.db", "mlflow.db.lock", "mlartifacts"}
