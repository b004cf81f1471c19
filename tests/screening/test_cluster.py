"""Screening on a real Dask cluster: a scheduler and two workers, each in a separate process."""

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
from nasicon_ml.screening import cluster as cluster_module
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
    """A running Dask cluster."""

    address: str
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]]

    @property
    def effort(self) -> Effort:
        return Effort(chunk=CHUNK, engine="dask", scheduler=self.address)


def _start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    with (folder / "log").open("ab") as log:
        return subprocess.Popen([sys.executable, "-m", *arguments], cwd=folder, stdout=log, stderr=log)


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


class RunAfterFirstChunk:
    """Progress callback that records all calls and runs an action at the first."""

    def __init__(self, action: Any) -> None:
        self.action: Any = action
        self.calls: list[Progress] = []

    def __call__(self, progress: Progress) -> None:
        self.calls.append(progress)
        if len(self.calls) == 1:
            self.action()


@pytest.fixture(scope="module")
def local_files(champion: PropertyModel, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("local") / "out"
    screen(SPACE, champion, QUESTION, Effort(threads=2, chunk=CHUNK), output=OutputFolder(folder, scored=True))
    return result_files(folder)


def result_files(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in paths
        if path.name not in {STATE, "summary.json"}
    }


@pytest.mark.slow
def test_cluster_gives_same_result_as_local_threads(
    cluster: Cluster, champion: PropertyModel, local_files: dict[str, bytes], tmp_path: Path
) -> None:
    progress_callback = RunAfterFirstChunk(lambda: None)
    output = OutputFolder(tmp_path / "out", scored=True)
    screen(SPACE, champion, QUESTION, cluster.effort, output=output, progress=progress_callback)
    assert len(progress_callback.calls) > 3
    assert result_files(tmp_path / "out") == local_files
    sample = SPACE.sample(100, "sobol", seed=1)
    result_of_cluster = screen(sample, champion, QUESTION, cluster.effort)
    assert (
        result_of_cluster.aggregate.to_json()
        == screen(sample, champion, QUESTION, Effort(threads=1)).aggregate.to_json()
    )
    assert cluster_module.cluster_threads(cluster.address) == 2


@pytest.mark.slow
def test_killed_worker_does_not_change_result(
    cluster: Cluster, champion: PropertyModel, local_files: dict[str, bytes], tmp_path: Path
) -> None:
    progress_callback = RunAfterFirstChunk(lambda: os.kill(cluster.workers[0].pid, signal.SIGKILL))
    output = OutputFolder(tmp_path / "out", scored=True)
    screen(SPACE, champion, QUESTION, cluster.effort, output=output, progress=progress_callback)
    assert cluster.workers[0].wait(timeout=120) == -signal.SIGKILL
    assert len(progress_callback.calls) > 3
    assert result_files(tmp_path / "out") == local_files


@pytest.mark.slow
def test_lost_scheduler_raises_error_and_screening_can_be_resumed(
    cluster: Cluster, champion: PropertyModel, local_files: dict[str, bytes], tmp_path: Path
) -> None:
    progress_callback = RunAfterFirstChunk(lambda: os.kill(cluster.scheduler.pid, signal.SIGKILL))
    output = OutputFolder(tmp_path / "out", scored=True)
    with pytest.raises(NasiconError, match=r"scheduler tcp://.* was lost; .* can be resumed"):
        screen(SPACE, champion, QUESTION, cluster.effort, output=output, progress=progress_callback)
    assert 0 < read_state(tmp_path / "out").position < SPACE.size
    resumed = OutputFolder(tmp_path / "out", scored=True, resume=True)
    screen(SPACE, champion, QUESTION, Effort(threads=2, chunk=CHUNK), output=resumed)
    assert result_files(tmp_path / "out") == local_files


@needs_dask
def test_poll_returns_result_at_any_polling_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    import distributed

    options = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(protocol="tcp", **options) as cluster, distributed.Client(cluster) as client:
        for number in range(100):
            monkeypatch.setattr(cluster_module, "_POLL_S", 5e-4 + 2e-5 * number)
            future = client.submit(str, number, pure=False)
            result: Any = None
            while result is None:
                result = cluster_module._poll(client, cluster.scheduler_address, future)
            assert result == str(number)


@needs_dask
def test_unreachable_scheduler_raises_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "_CONNECT_S", 1)
    with pytest.raises(NasiconError, match=r"scheduler tcp://127\.0\.0\.1:9 cannot be reached"):
        cluster_module.cluster_threads("tcp://127.0.0.1:9")
    with pytest.raises(NasiconError, match="scheduler nonsense://x cannot be reached"):
        cluster_module.cluster_threads("nonsense://x")


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1", "tcp://127.0.0.1:8786"), ("node7:9000", "tcp://node7:9000"), (" tcp://node7 ", "tcp://node7:8786"),
     ("tcp://[::1]:1", "tcp://[::1]:1"), ("tls://node7", "tls://node7:8786"), ("inproc://x", "inproc://x")],
)  # fmt: skip
def test_scheduler_address_adds_missing_protocol_and_port(text: str, address: str) -> None:
    assert cluster_module.scheduler_address(text) == address


@needs_dask
@pytest.mark.parametrize("address", ["http://node7:8787/status", "https://node7"])
def test_dashboard_address_raises_error_with_hint(address: str) -> None:
    with pytest.raises(NasiconError, match=r"begins with tcp://, such as tcp://node7:8786"):
        cluster_module.cluster_threads(address)


@needs_dask
@pytest.mark.parametrize("outdated", ["scheduler", "worker"])
def test_other_dask_version_of_scheduler_or_worker_raises_error(
    outdated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import distributed

    def versions_of(name: str) -> dict[str, Any]:
        return {"packages": {"distributed": "2020.1.0" if name == outdated else distributed.__version__}}

    class Client:
        def __init__(self, *_: Any, **__: Any) -> None:
            pass

        def get_versions(self) -> dict[str, Any]:
            return {
                "scheduler": versions_of("scheduler"),
                "workers": {"tcp://node7:1": versions_of("worker")},
                "client": {},
            }

        def close(self, **_: Any) -> None:
            pass

    monkeypatch.setattr(distributed, "Client", Client)
    with pytest.raises(NasiconError, match=rf"the {outdated} .* has Dask 2020\.1\.0, and here is Dask "):
        cluster_module.cluster_threads("127.0.0.1")


def test_missing_dask_raises_missing_extra_error(champion: PropertyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    effort = Effort(engine="dask", scheduler="tcp://127.0.0.1:9")
    with pytest.raises(MissingExtraError, match=r"nasicon-ml\[dask\]"):
        screen(SPACE, champion, QUESTION, effort)


def test_packed_scorer_gives_same_aggregate_after_unpacking(champion: PropertyModel, tmp_path: Path) -> None:
    sample = SPACE.sample(50, "random", seed=3)
    scorer = Scorer(sample, champion, QUESTION)
    scorer.prepare()
    packed_scorer = PackedScorer.pack(scorer, redraw=True)
    assert packed_scorer.space is SPACE
    assert packed_scorer.unpack().aggregate(0, 50).to_json() == scorer.aggregate(0, 50).to_json()
    for key in ("one", "one", "other"):
        assert (
            cluster_module.score_chunk((key, packed_scorer), 0, 50).to_json() == scorer.aggregate(0, 50).to_json()
        )
    packed_with_missing_folder = PackedScorer.pack(Scorer(sample, champion, QUESTION, tmp_path / "nowhere"))
    with pytest.raises(NasiconError, match="a worker does not see this folder"):
        packed_with_missing_folder.unpack()
