"""Scores chunks of a space on a Dask cluster; needs the extra ``dask``.

Each worker is sent the model once, as the bytes of a bundle, and makes it anew. Aggregates are put together on the
workers, a few at a time, until one is left for each batch of chunks. What a lost worker had, others do again: the
result is the same, and files of scored recipes are written anew, whole.
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
from nasicon_ml.screening.processes import Shipment
from nasicon_ml.screening.scoring import Effort, Scorer, chunks

#: Where a scheduler listens unless it was told otherwise.
_PORT = 8786
#: Aggregates that one task puts together.
_FAN_IN = 8
#: Chunks of a batch: this many for each thread of the cluster, within limits.
_CHUNKS_PER_THREAD, _LARGEST_BATCH = 4, 4096
#: How long a scheduler may take to answer, in seconds, and how long to wait for a batch before looking around.
_CONNECT_S, _PATIENCE = 10, 0.2
#: How long fetching an aggregate may take, in seconds, before it is tried again.
_FETCH_S = 60


_unpacked: dict[str, Scorer] = {}
_unpacking = threading.Lock()


def score_chunk(shipped: tuple[str, Shipment], start: int, stop: int) -> Aggregate:
    """Score a chunk on a worker, which unpacks a shipment, told from others by its key, once."""
    key, shipment = shipped
    with _unpacking:
        if key not in _unpacked:
            _unpacked.clear()  # of an earlier screening
            _unpacked[key] = shipment.unpack()
        scorer = _unpacked[key]
    return scorer.aggregate(start, stop)


def merge_aggregates(aggregates: Sequence[Aggregate]) -> Aggregate:
    """Return the sum of aggregates; runs on a worker."""
    return reduce(Aggregate.merged, aggregates)


def cluster_threads(scheduler: str) -> int:
    """Return how many chunks a cluster scores at the same time.

    Raises
    ------
    MissingExtraError
        If Dask is not installed.
    NasiconError
        If there is no scheduler, or it has no workers.
    """
    with _connected(scheduler) as client:
        return _threads(client, scheduler)


def run_dask(
    scorer: Scorer, effort: Effort, start: int, stop: Callable[[], bool]
) -> Generator[tuple[range, Aggregate], None, None]:
    """Score the chunks from a position on, on a cluster, as `nasicon_ml.screening.engine.run_local` does here.

    Chunks come in batches, each as one; when `stop` says so, what is in work is dropped.

    Raises
    ------
    MissingExtraError
        If Dask is not installed.
    NasiconError
        If the scheduler cannot be reached or is lost, or a chunk fails.
    """
    scheduler = str(effort.scheduler)
    with _connected(scheduler) as client:
        _same_version(client)
        batch = min(max(_FAN_IN, _CHUNKS_PER_THREAD * _threads(client, scheduler)), _LARGEST_BATCH)
        ahead = chunks(scorer.space.size, effort.chunk_of(scorer.space), start)
        shipment = client.submit(
            _shipped, (secrets.token_hex(8), Shipment.of(scorer, draw_again=True)), pure=False
        )
        waiting: deque[tuple[range, Any]] = deque()
        while not stop():
            while len(waiting) < 2 and (some := list(itertools.islice(ahead, batch))):
                waiting.append((range(some[0].start, some[-1].stop), _submit(client, shipment, some)))
            if not waiting:
                return
            chunk, future = waiting[0]
            aggregate = _result(client, scheduler, future)
            if aggregate is not None:
                waiting.popleft()
                yield chunk, aggregate


def _shipped(shipment: tuple[str, Shipment]) -> tuple[str, Shipment]:
    """Be the task whose result is the shipment: Dask brings it to each worker once, and can make it again."""
    return shipment


def _submit(client: Any, shipment: Any, some: Sequence[range]) -> Any:
    """Submit the chunks of a batch and the tree that puts their aggregates together; return its root."""
    level = [client.submit(score_chunk, shipment, chunk.start, chunk.stop, pure=False) for chunk in some]
    while len(level) > 1:
        groups = [level[at : at + _FAN_IN] for at in range(0, len(level), _FAN_IN)]
        level = [client.submit(merge_aggregates, group, pure=False) for group in groups]
    return level[0]


def _result(client: Any, scheduler: str, future: Any) -> Aggregate | None:
    """Wait a little for an aggregate, None if it takes longer; raise if nobody can finish it any more."""
    import distributed

    if client.status != "running":
        raise _lost(scheduler)
    try:
        # A `future.result` with this timeout that is given up while it begins to fetch would spoil the client.
        with client.as_current():
            distributed.wait([future], timeout=_PATIENCE)
        aggregate: Aggregate = future.result(timeout=_FETCH_S)
    except NasiconError:
        raise
    except Exception as error:
        if isinstance(error, TimeoutError) and future.status != "error":
            return None
        if future.status != "error" or client.status != "running":
            raise _lost(scheduler) from error
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise NasiconError(
            f"a chunk failed on the cluster ({reason}); what was done until then is kept"
        ) from error
    return aggregate


def _lost(scheduler: str) -> NasiconError:
    return NasiconError(
        f"the Dask scheduler {scheduler} was lost; what was done until then is kept, and can be resumed"
    )


@contextmanager
def _connected(scheduler: str) -> Iterator[Any]:
    try:
        import distributed
    except ImportError:
        raise MissingExtraError("Dask's distributed", "dask", "screening on a cluster") from None
    scheduler = scheduler_address(scheduler)
    ours = distributed.__version__
    try:
        client = distributed.Client(scheduler, timeout=_CONNECT_S, set_as_default=False)
    except Exception as error:  # noqa: BLE001 -- a scheduler of another version may answer anything
        reason = " ".join(f"{error}".split())[:200] or type(error).__name__
        raise NasiconError(
            f"the Dask scheduler {scheduler} cannot be reached ({reason}); here is Dask {ours}, is it that there?"
        ) from None
    try:
        _same_dask(client, scheduler, ours)
        yield client
    finally:
        client.close(timeout=_CONNECT_S)


def scheduler_address(scheduler: str) -> str:
    """Return the address of a scheduler in full: ``tcp://127.0.0.1:8786`` for ``127.0.0.1``.

    Raises
    ------
    NasiconError
        For ``http://``, which is where its dashboard is looked at.
    """
    scheme, _, place = scheduler.strip().rpartition("://")
    if scheme in {"http", "https"}:
        host = re.sub(r"[:/].*", "", place)
        raise NasiconError(
            f"{scheduler} is the address of Dask's dashboard; that of the scheduler begins with tcp://, such as"
            f" tcp://{host}:{_PORT}"
        )
    if scheme not in {"", "tcp", "tls"}:
        return scheduler.strip()
    return f"{scheme or 'tcp'}://{place}" + ("" if re.search(r":\d+$", place) else f":{_PORT}")


def _same_dask(client: Any, scheduler: str, ours: str) -> None:
    """Refuse a scheduler or workers of another version of Dask: what is sent to them could not be read."""
    found = client.get_versions()
    hosts = {f"the scheduler {scheduler}": found["scheduler"]}
    hosts |= {f"the worker {address}": worker for address, worker in found["workers"].items()}
    for name, host in hosts.items():
        theirs = (host or {}).get("packages", {}).get("distributed")
        if theirs is not None and theirs != ours:
            raise NasiconError(f"{name} has Dask {theirs}, and here is Dask {ours}: install the same on both")


def _threads(client: Any, scheduler: str) -> int:
    threads = sum(client.nthreads().values())
    if not threads:
        raise NasiconError(f"the Dask scheduler {scheduler} has no workers")
    return int(threads)


def _code_checksum() -> str:
    """Return the SHA-256 of this package's code: other code may give other numbers."""
    root = Path(__file__).parents[1]
    total = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        total.update(str(path.relative_to(root)).encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _same_version(client: Any) -> None:
    """Refuse workers that hold another nasicon-ml: their numbers would be mixed with ours."""
    ours = _code_checksum()
    try:
        found = client.run(_code_checksum)
    except Exception as error:  # noqa: BLE001 -- a worker's error is ours, whatever it is
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise NasiconError(
            f"a worker of the cluster cannot run nasicon-ml ({reason}); install it on all"
        ) from None
    others = [address for address, theirs in found.items() if theirs != ours]
    if others:
        raise NasiconError(
            f"{len(others)} workers of the cluster hold another version of nasicon-ml (the first: {others[0]}); "
            "install the same on all"
        )
