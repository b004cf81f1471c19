"""Screening of a space chunk by chunk, in bounded memory; the result does not depend on the chunks."""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from queue import SimpleQueue

from nasicon_ml.model import PropertyModel
from nasicon_ml.processors import usable_processors
from nasicon_ml.screening.aggregate import Aggregate
from nasicon_ml.screening.cluster import run_dask
from nasicon_ml.screening.objectives import Question
from nasicon_ml.screening.processes import PackedScorer, ScoringProcess, refuse_class_of_script
from nasicon_ml.screening.result import Identity, OutputFolder, ScreeningResult, State, read_state, write_result
from nasicon_ml.screening.scoring import Effort, Scorer, Space, chunks


@dataclass(frozen=True)
class Progress:
    """Progress of a screening.

    Attributes
    ----------
    done, size
        Number of screened positions, and of all positions of the space.
    seconds
        Elapsed time, including that of the runs before a resumed screening.
    per_second
        Positions screened per second in this run.
    remaining_s
        Estimated remaining time in seconds.
    best
        The best objective so far; NaN while there is none.
    """

    done: int
    size: int
    seconds: float
    per_second: float
    remaining_s: float
    best: float


#: Maximum number of positions scored to measure the speed before a screening.
_TRIAL_SIZE = 16_384
#: Chunks submitted in advance for each process; processes do not start at the same time.
_CHUNKS_PER_PROCESS = 4
#: Interval between checks for a finished chunk or a request to stop, in seconds.
_POLL_S = 0.2


@dataclass(frozen=True)
class Estimate:
    """Estimated duration of a screening.

    Attributes
    ----------
    candidates
        Number of recipes to score.
    per_second
        Recipes that one thread scored per second, at the beginning of the space.
    at_once
        Number of threads that run at the same time.
    seconds
        Estimated duration in seconds.
    """

    candidates: int
    per_second: float
    at_once: int
    seconds: float


def estimate(scorer: Scorer, effort: Effort, candidates: int, at_once: int | None = None) -> Estimate:
    """Estimate the duration of a screening by scoring the beginning of the space.

    Parameters
    ----------
    scorer, effort
        The scorer and settings of the screening.
    candidates
        Number of recipes to score.
    at_once
        Number of chunks scored at the same time; by default that of this machine.
    """
    scorer = Scorer(scorer.space, scorer.model, scorer.question)  # without writing the scored recipes
    scorer.prepare()
    trial = min(scorer.space.size, effort.chunk_size(scorer.space), _TRIAL_SIZE)
    with _limited_threads():
        scorer.aggregate(0, max(1, trial // 16))  # warm up
        start = time.perf_counter()
        scored = scorer.aggregate(0, trial).counts.candidates
        seconds = max(time.perf_counter() - start, 1e-9)
    per_second = max(scored, 1) / seconds
    at_once = at_once or min(effort.threads, usable_processors())
    return Estimate(candidates, per_second, at_once, candidates / per_second / at_once)


def run_local(
    scorer: Scorer, effort: Effort, start: int, stop: Callable[[], bool]
) -> Generator[tuple[range, Aggregate], None, None]:
    """Score the chunks from a position on, on this machine.

    Parameters
    ----------
    scorer, effort
        The scorer, and settings of the computation.
    start
        First position.
    stop
        Called several times a second. Once it returns True, no further chunk is started; running chunks are
        finished.

    Yields
    ------
    tuple
        Chunks and their aggregates, in the order of the space, without gaps.
    """
    scorer.prepare()
    length = effort.chunk_size(scorer.space)
    remaining = chunks(scorer.space.size, length, start)
    n_workers = max(1, min(effort.threads, math.ceil((scorer.space.size - start) / length)))
    # With one chunk more than there are threads, no thread waits for this generator.
    max_submitted = n_workers + 1 if effort.engine == "local" else _CHUNKS_PER_PROCESS * n_workers
    pool = ThreadPoolExecutor(n_workers, thread_name_prefix="screening")
    submitted: deque[tuple[range, Future[Aggregate]]] = deque()
    with _limited_threads(), _chunk_scorer(scorer, n_workers, effort.engine) as aggregate:
        try:
            while True:
                while len(submitted) < max_submitted and not stop() and (chunk := next(remaining, None)):
                    submitted.append((chunk, pool.submit(aggregate, chunk.start, chunk.stop)))
                if not submitted or submitted[0][1].cancelled():
                    return
                if stop():
                    for _, future in submitted:
                        future.cancel()
                elif not wait([submitted[0][1]], timeout=_POLL_S).done:
                    continue
                if not submitted[0][1].cancelled():
                    chunk, future = submitted.popleft()
                    yield chunk, future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _chunk_scorer(scorer: Scorer, n_workers: int, engine: str) -> Iterator[Callable[[int, int], Aggregate]]:
    """Provide the function that scores a chunk: in this process, or in an idle one of several processes."""
    if engine == "local":
        yield scorer.aggregate
        return
    packed_scorer = PackedScorer.pack(scorer)
    with ExitStack() as stack:
        processes = [stack.enter_context(closing(ScoringProcess(packed_scorer))) for _ in range(n_workers - 1)]
        idle: SimpleQueue[Scorer | ScoringProcess] = SimpleQueue()
        idle.put(scorer)
        for process in processes:
            idle.put(process)

        def aggregate(start: int, stop: int) -> Aggregate:
            worker = idle.get()
            try:
                return worker.aggregate(start, stop)
            finally:
                idle.put(worker)

        yield aggregate


#: Interval after which a waiting thread may request Python's global interpreter lock, in seconds.
_SWITCH_INTERVAL_S = 5e-5


@contextmanager
def _limited_threads() -> Iterator[None]:
    """Limit BLAS to one thread, as chunks are scored in parallel, and shorten Python's thread switch interval.

    A chunk is thousands of short computations, after each of which a thread may wait for the interpreter lock: up
    to 5 ms with the default interval.
    """
    from threadpoolctl import threadpool_limits

    default_s = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    try:
        with threadpool_limits(limits=1, user_api="blas"):
            yield
    finally:
        sys.setswitchinterval(default_s)


#: Minimum interval between writes of the state, in seconds.
_WRITE_INTERVAL_S = 3.0


def screen(
    space: Space,
    model: PropertyModel,
    question: Question | None = None,
    effort: Effort | None = None,
    *,
    output: OutputFolder | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> ScreeningResult:
    """Screen a space for the best recipes.

    Parameters
    ----------
    space
        A search space, or a sample of one.
    model
        The model that scores the recipes.
    question
        What to search for; by default the 100 highest predicted conductivities inside the known domain.
    effort
        Threads, chunk size and engine, on which the result does not depend.
    output
        Folder of the result, and of the state from which it can be resumed; by default nothing is written.
    progress
        Called after each chunk.
    stop
        Called several times a second. Once it returns True, running chunks are finished and no more are started.

    Returns
    -------
    ScreeningResult
        The result for the space or, if it was stopped, for the part before some position.

    Raises
    ------
    NasiconError
        If the model does not support the level; if other processes cannot import the class of the space; if the
        folder is not empty or cannot be written to; if the screening to resume has another space, model or
        question.
    """
    question, effort = question or Question(), effort or Effort()
    for interval in model.intervals.values():
        interval.scores.quantile(question.level)  # raises if the level is not supported
    if effort.engine == "processes" and effort.threads > 1:
        refuse_class_of_script(space)
    state = State(Identity("", "", {}), 0, 0.0, Aggregate.empty(question.keep))
    if output is not None:
        output.check()
        identity = Identity.of(space, model, question, chunk=effort.chunk_size(space), scored=output.scored)
        state = replace(state, identity=identity, note=output.note)
        if output.resume:
            state = read_state(output.folder)
            state.identity.check_same(identity, output.folder)
        output.create()
    scorer = Scorer(space, model, question, output.parts if output else None)
    state = _run(scorer, effort, state, output, progress, stop)
    result = ScreeningResult(space, model, question, state.aggregate, state.seconds)
    if output is not None:
        write_result(result, output)
    return result


def _run(
    scorer: Scorer,
    effort: Effort,
    state: State,
    output: OutputFolder | None,
    progress: Callable[[Progress], None],
    stop: Callable[[], bool],
) -> State:
    """Score the remaining chunks; the state is written even if this fails."""
    initial, start = state, time.monotonic()
    last_write = start
    try:
        run = run_dask if effort.engine == "dask" else run_local
        with closing(run(scorer, effort, state.position, stop)) as results:
            for chunk, aggregate in results:
                now = time.monotonic()
                state = replace(
                    state,
                    position=chunk.stop,
                    seconds=initial.seconds + now - start,
                    aggregate=state.aggregate.merge(aggregate),
                )
                progress(_progress(initial, state, scorer.space.size))
                if output is not None and now - last_write >= _WRITE_INTERVAL_S:
                    state.write(output.folder)
                    last_write = now
    finally:
        if output is not None:
            state.write(output.folder)
            output.remove_parts_from(state.position)
    return state


def _progress(initial: State, current: State, size: int) -> Progress:
    rate = (current.position - initial.position) / max(current.seconds - initial.seconds, 1e-9)
    values = current.aggregate.kept.values
    return Progress(
        current.position,
        size,
        current.seconds,
        rate,
        (size - current.position) / rate,
        float(values[0]) if len(values) else float("nan"),
    )
