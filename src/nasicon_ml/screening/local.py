"""Scores chunks of a space in threads of this process, a few at a time."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass

from nasicon_ml.screening.question import Effort
from nasicon_ml.screening.scoring import Scorer
from nasicon_ml.screening.tally import Tally

#: Positions that tell the rate before a screening begins.
_TRIAL = 16_384
#: How long to wait for a chunk before looking whether somebody wants to stop, in seconds.
_PATIENCE = 0.2


@dataclass(frozen=True)
class Estimate:
    """How long a screening will take.

    Attributes
    ----------
    candidates
        Recipes to score.
    per_second
        Recipes that one thread scored in a second, at the beginning of the space.
    at_once
        Threads that can work at the same time.
    seconds
        For all of them.
    """

    candidates: int
    per_second: float
    at_once: int
    seconds: float


def estimate(scorer: Scorer, effort: Effort, candidates: int, at_once: int | None = None) -> Estimate:
    """Score the beginning of a space, once to warm up and once against the clock.

    Parameters
    ----------
    scorer, effort
        What will be scored, and how.
    candidates
        Recipes of the space.
    at_once
        Chunks that will be scored at the same time; by default those of this machine.
    """
    scorer = Scorer(scorer.space, scorer.model, scorer.question)
    scorer.prepare()
    trial = min(scorer.space.size, effort.chunk, _TRIAL)
    with _one_thread_each():
        scorer.tally(0, max(1, trial // 16))
        start = time.perf_counter()
        scored = scorer.tally(0, trial).counts.candidates
        seconds = max(time.perf_counter() - start, 1e-9)
    per_second = max(scored, 1) / seconds
    at_once = at_once or min(effort.threads, os.cpu_count() or 1)
    return Estimate(candidates, per_second, at_once, candidates / per_second / at_once)


@dataclass(frozen=True)
class Chunk:
    """Positions of a space, from `start` to before `stop`."""

    start: int
    stop: int


def chunks(size: int, length: int, start: int = 0) -> Iterator[Chunk]:
    """Divide the positions from `start` on."""
    return (Chunk(first, min(first + length, size)) for first in range(start, size, length))


def run_local(
    scorer: Scorer, effort: Effort, start: int, stop: Callable[[], bool]
) -> Generator[tuple[Chunk, Tally], None, None]:
    """Score the chunks from a position on, in threads of this process.

    Parameters
    ----------
    scorer, effort
        What to score, and how.
    start
        First position.
    stop
        Asked now and then; when it says so, no further chunk is begun, and those in work are waited for.

    Yields
    ------
    tuple
        Chunks and their tallies, in the order of the space, without a gap.
    """
    scorer.prepare()
    ahead = chunks(scorer.space.size, effort.chunk, start)
    pool = ThreadPoolExecutor(effort.threads, thread_name_prefix="screening")
    waiting: deque[tuple[Chunk, Future[Tally]]] = deque()
    with _one_thread_each():
        try:
            while True:
                # One more than there are threads: none has to wait for this one.
                while len(waiting) <= effort.threads and not stop() and (chunk := next(ahead, None)):
                    waiting.append((chunk, pool.submit(scorer.tally, chunk.start, chunk.stop)))
                if not waiting or waiting[0][1].cancelled():
                    return
                if stop():
                    for _, future in waiting:
                        future.cancel()
                elif not wait([waiting[0][1]], timeout=_PATIENCE).done:
                    continue
                if not waiting[0][1].cancelled():
                    chunk, future = waiting.popleft()
                    yield chunk, future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let a product of matrices take one thread: the chunks already share the processor."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        yield
