"""Screening on a real Dask cluster: a scheduler and two workers, each a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nasicon_ml.errors import MissingExtraError, NasiconError
from nasicon_ml.model import PropertyModel
from nasicon_ml.screening import cluster as module
from nasicon_ml.screening.engine import Progress, screen
from nasicon_ml.screening.objectives import Question
from nasicon_ml.screening.processes import PackedScorer
from nasicon_ml.screening.result import STATE, OutputFolder, read_state
from nasicon_ml.screening.scoring import Effort, Scorer
from nasicon_ml.screening.space import SearchSpace

needs_dask = pytest.mark.usefixtures("dask")
QUESTION = Question(keep=30)
SPACE = SearchSpace.from_dict(
    {
        "compositions": [{"system": "LATP", "x": [0.2, 0.3, 0.4]}, {"system": "LAGP", "x": [0.4, 0.5]}],
        "processing": {
            "sintering_temperature_c": [700, 800, 900],
            "sintering_time_h": {"from": 1, "to": 12, "step": 1},
            "atmosphere": ["air", "Ar"],
        },
    }
)
CHUNK = 6


@pytest.fixture
def dask() -> None:
    pytest.importorskip("distributed", reason="needs the extra dask")


@dataclass
class Cluster:
    """A running cluster."""

    address: str
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]]

    @property
    def effort(self) -> Effort:
        return Effort(chunk=CHUNK, engine="dask", scheduler=self.address)


def _start(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    with (folder / "log").open("ab") as log:
        return subprocess.Popen([sys.executable, "-m", *words], cwd=folder, stdout=log, stderr=log)


@pytest.fixture
def cluster(dask: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    file = folder / "scheduler.json"
    options = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
    scheduler = _start(folder, "distributed.cli.dask_scheduler", *options)
    workers: list[subprocess.Popen[bytes]] = []
    try:
        address = _address(file, scheduler, folder)
        workers += [
            _start(
                folder, "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard"
            )
            for _ in range(2)
        ]
        _wait_for_workers(address, len(workers))
        yield Cluster(address, scheduler, workers)
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.wait(timeout=120)


def _address(file: Path, scheduler: subprocess.Popen[bytes], folder: Path) -> str:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        assert scheduler.poll() is None, (folder / "log").read_text(encoding="utf-8")
        try:
            return str(json.loads(file.read_text(encoding="utf-8"))["address"])
        except (OSError, ValueError):
            time.sleep(0.1)
    raise AssertionError("the scheduler did not start")


def _wait_for_workers(address: str, count: int) -> None:
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=240)


class Then:
    """Does something once after the first batch."""

    def __init__(self, action: Any) -> None:
        self.action: Any = action
        self.seen: list[Progress] = []

    def __call__(self, at: Progress) -> None:
        self.seen.append(at)
        if len(self.seen) == 1:
            self.action()


@pytest.fixture(scope="module")
def local(champion: PropertyModel, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("local") / "out"
    screen(SPACE, champion, QUESTION, Effort(threads=2, chunk=CHUNK), output=OutputFolder(folder, scored=True))
    return files(folder)


def files(folder: Path) -> dict[str, bytes]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in found
        if path.name not in {STATE, "summary.json"}
    }


@pytest.mark.slow
def test_a_cluster_finds_what_this_machine_finds(
    cluster: Cluster, champion: PropertyModel, local: dict[str, bytes], tmp_path: Path
) -> None:
    then = Then(lambda: None)
    output = OutputFolder(tmp_path / "out", scored=True)
    screen(SPACE, champion, QUESTION, cluster.effort, output=output, progress=then)
    assert len(then.seen) > 3
    assert files(tmp_path / "out") == local
    drawn = SPACE.sample(100, "sobol", seed=1)
    there = screen(drawn, champion, QUESTION, cluster.effort)
    assert there.aggregate.to_json() == screen(drawn, champion, QUESTION, Effort(threads=1)).aggregate.to_json()
    assert module.cluster_threads(cluster.address) == 2


@pytest.mark.slow
def test_a_killed_worker_costs_time_and_no_result(
    cluster: Cluster, champion: PropertyModel, local: dict[str, bytes], tmp_path: Path
) -> None:
    then = Then(lambda: os.kill(cluster.workers[0].pid, signal.SIGKILL))
    output = OutputFolder(tmp_path / "out", scored=True)
    screen(SPACE, champion, QUESTION, cluster.effort, output=output, progress=then)
    assert cluster.workers[0].wait(timeout=120) == -signal.SIGKILL
    assert len(then.seen) > 3
    assert files(tmp_path / "out") == local


@pytest.mark.slow
def test_a_lost_scheduler_is_said_and_the_work_goes_on_elsewhere(
    cluster: Cluster, champion: PropertyModel, local: dict[str, bytes], tmp_path: Path
) -> None:
    then = Then(lambda: os.kill(cluster.scheduler.pid, signal.SIGKILL))
    output = OutputFolder(tmp_path / "out", scored=True)
    with pytest.raises(NasiconError, match=r"scheduler tcp://.* was lost; .* can be resumed"):
        screen(SPACE, champion, QUESTION, cluster.effort, output=output, progress=then)
    assert 0 < read_state(tmp_path / "out").position < SPACE.size
    resumed = OutputFolder(tmp_path / "out", scored=True, resume=True)
    screen(SPACE, champion, QUESTION, Effort(threads=2, chunk=CHUNK), output=resumed)
    assert files(tmp_path / "out") == local


@needs_dask
def test_a_result_is_fetched_however_often_one_looks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import distributed

    local = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(protocol="tcp", **local) as cluster, distributed.Client(cluster) as client:
        for number in range(100):
            monkeypatch.setattr(module, "_POLL_S", 5e-4 + 2e-5 * number)
            future = client.submit(str, number, pure=False)
            result: Any = None
            while result is None:
                result = module._poll(client, cluster.scheduler_address, future)
            assert result == str(number)


@needs_dask
def test_a_scheduler_that_is_none_is_said_before_anything_is_written(
    champion: PropertyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CONNECT_S", 1)
    with pytest.raises(NasiconError, match=r"scheduler tcp://127\.0\.0\.1:9 cannot be reached"):
        module.cluster_threads("tcp://127.0.0.1:9")
    with pytest.raises(NasiconError, match="scheduler nonsense://x cannot be reached"):
        module.cluster_threads("nonsense://x")


@pytest.mark.parametrize(
    ("given", "address"),
    [("127.0.0.1", "tcp://127.0.0.1:8786"), ("node7:9000", "tcp://node7:9000"), (" tcp://node7 ", "tcp://node7:8786"),
     ("tcp://[::1]:1", "tcp://[::1]:1"), ("tls://node7", "tls://node7:8786"), ("inproc://x", "inproc://x")],
)  # fmt: skip
def test_an_address_is_completed(given: str, address: str) -> None:
    assert module.scheduler_address(given) == address


@needs_dask
@pytest.mark.parametrize("given", ["http://node7:8787/status", "https://node7"])
def test_the_address_of_the_dashboard_is_refused_with_the_cure(given: str) -> None:
    with pytest.raises(NasiconError, match=r"begins with tcp://, such as tcp://node7:8786"):
        module.cluster_threads(given)


@needs_dask
@pytest.mark.parametrize("other", ["scheduler", "worker"])
def test_another_version_of_dask_is_named_at_once(other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import distributed

    def host(name: str) -> dict[str, Any]:
        return {"packages": {"distributed": "2020.1.0" if name == other else distributed.__version__}}

    class Client:
        def __init__(self, *_: Any, **__: Any) -> None:
            pass

        def get_versions(self) -> dict[str, Any]:
            return {"scheduler": host("scheduler"), "workers": {"tcp://node7:1": host("worker")}, "client": {}}

        def close(self, **_: Any) -> None:
            pass

    monkeypatch.setattr(distributed, "Client", Client)
    with pytest.raises(NasiconError, match=rf"the {other} .* has Dask 2020\.1\.0, and here is Dask "):
        module.cluster_threads("127.0.0.1")


def test_without_dask_it_says_what_to_install(champion: PropertyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    effort = Effort(engine="dask", scheduler="tcp://127.0.0.1:9")
    with pytest.raises(MissingExtraError, match=r"nasicon-ml\[dask\]"):
        screen(SPACE, champion, QUESTION, effort)


def test_what_is_sent_makes_the_same_scorer(champion: PropertyModel, tmp_path: Path) -> None:
    drawn = SPACE.sample(50, "random", seed=3)
    scorer = Scorer(drawn, champion, QUESTION)
    scorer.prepare()
    packed_scorer = PackedScorer.pack(scorer, redraw=True)
    assert packed_scorer.space is SPACE
    assert packed_scorer.unpack().aggregate(0, 50).to_json() == scorer.aggregate(0, 50).to_json()
    for key in ("one", "one", "other"):
        assert module.score_chunk((key, packed_scorer), 0, 50).to_json() == scorer.aggregate(0, 50).to_json()
    nowhere = PackedScorer.pack(Scorer(drawn, champion, QUESTION, tmp_path / "nowhere"))
    with pytest.raises(NasiconError, match="a worker does not see this folder"):
        nowhere.unpack()
