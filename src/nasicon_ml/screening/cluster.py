"""Scoring of chunks on a Dask cluster; needs the extra ``dask``.

Each worker receives the model once, as the bytes of a bundle, and rebuilds it. The workers merge the aggregates, a
few at a time, into one for each batch of chunks. Other workers repeat the chunks of a lost worker: the result is
the same, and files of scored recipes are completely rewritten.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import secrets
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import Any

from nasicon_ml.errors import MissingExtraError, NasiconError
from nasicon_ml.screening.aggregate import Aggregate
from nasicon_ml.screening.processes import PackedScorer
from nasicon_ml.screening.scoring import Effort, Scorer, chunks

#: Default port of a scheduler.
_PORT = 8786
#: Number of aggregates that one task merges.
_FAN_IN = 8
_CHUNKS_PER_THREAD, _MAX_CHUNKS_PER_BATCH = 4, 4096
#: Timeout of requests to the scheduler, in seconds.
_CONNECT_S = 10
#: Interval between checks for a finished batch or a request to stop, in seconds.
_POLL_S = 0.2
#: Timeout of fetching an aggregate, in seconds, after which it is tried again.
_FETCH_S = 60


#: The scorer of the current screening on this worker, by the key of the screening.
_scorers: dict[str, Scorer] = {}
_scorers_lock = threading.Lock()


def score_chunk(keyed_scorer: tuple[str, PackedScorer], start: int, stop: int) -> Aggregate:
    """Score a chunk on a worker, which unpacks the scorer once for each key."""
    key, packed_scorer = keyed_scorer
    with _scorers_lock:
        if key not in _scorers:
            _scorers.clear()  # the scorer of an earlier screening
            _scorers[key] = packed_scorer.unpack()
        scorer = _scorers[key]
    return scorer.aggregate(start, stop)


def merge_aggregates(aggregates: Sequence[Aggregate]) -> Aggregate:
    """Merge aggregates on a worker."""
    return reduce(Aggregate.merge, aggregates)


def cluster_threads(scheduler: str) -> int:
    """Return the number of chunks that a cluster scores at the same time.

    Raises
    ------
    MissingExtraError
        If Dask is not installed.
    NasiconError
        If there is no scheduler, or it has no workers.
    """
    with _connect(scheduler) as client:
        return _count_threads(client, scheduler)


def run_dask(
    scorer: Scorer, effort: Effort, start: int, stop: Callable[[], bool]
) -> Generator[tuple[range, Aggregate], None, None]:
    """Score the chunks from position `start` on a cluster; see `nasicon_ml.screening.engine.run_local`.

    Each yielded range and aggregate is that of a batch of chunks. Once `stop` returns True, unfinished batches are
    dropped.

    Raises
    ------
    MissingExtraError
        If Dask is not installed.
    NasiconError
        If the scheduler cannot be reached or is lost, or a chunk fails.
    """
    scheduler = str(effort.scheduler)
    with _connect(scheduler) as client:
        _check_package_version(client)
        chunks_per_batch = min(
            max(_FAN_IN, _CHUNKS_PER_THREAD * _count_threads(client, scheduler)), _MAX_CHUNKS_PER_BATCH
        )
        remaining = chunks(scorer.space.size, effort.chunk_size(scorer.space), start)
        keyed_scorer = client.submit(
            _return_argument, (secrets.token_hex(8), PackedScorer.pack(scorer, redraw=True)), pure=False
        )
        submitted: deque[tuple[range, Any]] = deque()
        while not stop():
            while len(submitted) < 2 and (batch := list(itertools.islice(remaining, chunks_per_batch))):
                submitted.append((range(batch[0].start, batch[-1].stop), _submit(client, keyed_scorer, batch)))
            if not submitted:
                return
            positions, future = submitted[0]
            aggregate = _poll(client, scheduler, future)
            if aggregate is not None:
                submitted.popleft()
                yield positions, aggregate


def _return_argument(keyed_scorer: tuple[str, PackedScorer]) -> tuple[str, PackedScorer]:
    """Return the argument: Dask sends the result of a task to each worker once, and can compute it again."""
    return keyed_scorer


def _submit(client: Any, keyed_scorer: Any, batch: Sequence[range]) -> Any:
    """Submit the chunks of a batch and a tree of tasks that merge their aggregates; return the last of these."""
    level = [client.submit(score_chunk, keyed_scorer, chunk.start, chunk.stop, pure=False) for chunk in batch]
    while len(level) > 1:
        groups = [level[first : first + _FAN_IN] for first in range(0, len(level), _FAN_IN)]
        level = [client.submit(merge_aggregates, group, pure=False) for group in groups]
    return level[0]


def _poll(client: Any, scheduler: str, future: Any) -> Aggregate | None:
    """Return an aggregate, or None if it is not finished yet; raise if it can no longer be finished."""
    import distributed

    if client.status != "running":
        raise _lost_connection(scheduler)
    try:
        # A `future.result` that reaches so short a timeout while it begins to fetch would break the client.
        with client.as_current():
            distributed.wait([future], timeout=_POLL_S)
        aggregate: Aggregate = future.result(timeout=_FETCH_S)
    except NasiconError:
        raise
    except Exception as error:
        if isinstance(error, TimeoutError) and future.status != "error":
            return None
        if future.status != "error" or client.status != "running":
            raise _lost_connection(scheduler) from error
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise NasiconError(
            f"a chunk failed on the cluster ({reason}); what was done until then is kept"
        ) from error
    return aggregate


def _lost_connection(scheduler: str) -> NasiconError:
    return NasiconError(
        f"the Dask scheduler {scheduler} was lost; what was done until then is kept, and can be resumed"
    )


@contextmanager
def _connect(scheduler: str) -> Iterator[Any]:
    try:
        import distributed
    except ImportError:
        raise MissingExtraError("Dask's distributed", "dask", "screening on a cluster") from None
    scheduler = scheduler_address(scheduler)
    version = distributed.__version__
    try:
        client = distributed.Client(scheduler, timeout=_CONNECT_S, set_as_default=False)
    except Exception as error:  # noqa: BLE001 -- a scheduler of another version may cause any error
        reason = " ".join(f"{error}".split())[:200] or type(error).__name__
        raise NasiconError(
            f"the Dask scheduler {scheduler} cannot be reached ({reason}); here is Dask {version}, is it that"
            " there?"
        ) from None
    try:
        _check_dask_version(client, scheduler, version)
        yield client
    finally:
        client.close(timeout=_CONNECT_S)


def scheduler_address(scheduler: str) -> str:
    """Return the full address of a scheduler: ``tcp://127.0.0.1:8786`` for ``127.0.0.1``.

    Raises
    ------
    NasiconError
        If the scheme is ``http`` or ``https``, as in the address of the dashboard.
    """
    scheme, _, address = scheduler.strip().rpartition("://")
    if scheme in {"http", "https"}:
        host = re.sub(r"[:/].*", "", address)
        raise NasiconError(
            f"{scheduler} is the address of Dask's dashboard; that of the scheduler begins with tcp://, such as"
            f" tcp://{host}:{_PORT}"
        )
    if scheme not in {"", "tcp", "tls"}:
        return scheduler.strip()
    return f"{scheme or 'tcp'}://{address}" + ("" if re.search(r":\d+$", address) else f":{_PORT}")


def _check_dask_version(client: Any, scheduler: str, version: str) -> None:
    """Raise if the scheduler or a worker has another version of Dask: it could not read the tasks."""
    reports = client.get_versions()
    hosts = {f"the scheduler {scheduler}": reports["scheduler"]}
    hosts |= {f"the worker {address}": worker for address, worker in reports["workers"].items()}
    for name, host in hosts.items():
        host_version = (host or {}).get("packages", {}).get("distributed")
        if host_version is not None and host_version != version:
            raise NasiconError(
                f"{name} has Dask {host_version}, and here is Dask {version}: install the same on both"
            )


def _count_threads(client: Any, scheduler: str) -> int:
    threads = sum(client.nthreads().values())
    if not threads:
        raise NasiconError(f"the Dask scheduler {scheduler} has no workers")
    return int(threads)


def _code_checksum() -> str:
    """Return the SHA-256 of the source code of this package."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _check_package_version(client: Any) -> None:
    """Raise if a worker has another version of nasicon-ml, whose results might differ."""
    checksum = _code_checksum()
    try:
        worker_checksums = client.run(_code_checksum)
    except Exception as error:  # noqa: BLE001 -- whatever went wrong on the worker is reported
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise NasiconError(
            f"a worker of the cluster cannot run nasicon-ml ({reason}); install it on all"
        ) from None
    others = [address for address, worker_checksum in worker_checksums.items() if worker_checksum != checksum]
    if others:
        raise NasiconError(
            f"{len(others)} workers of the cluster hold another version of nasicon-ml (the first: {others[0]}); "
            "install the same on all"
        )
