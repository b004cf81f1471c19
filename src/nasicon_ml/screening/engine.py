"""Screen a space chunk by chunk, in bounded memory; what is found does not depend on how it was divided."""

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
from nasicon_ml.screening.processes import ScoringProcess, Shipment, refuse_class_of_script
from nasicon_ml.screening.result import Identity, OutputFolder, ScreeningResult, State, read_state, write_result
from nasicon_ml.screening.scoring import Effort, Scorer, Space, chunks


@dataclass(frozen=True)
class Progress:
    """How far a screening is.

    Attributes
    ----------
    done, size
        Positions of the space.
    seconds
        Since the beginning, earlier parts of a resumed screening included.
    per_second
        Positions a second of this part.
    remaining_s
        Seconds that the rest takes at this rate.
    best
        The best objective so far; NaN while there is none.
    """

    done: int
    size: int
    seconds: float
    per_second: float
    remaining_s: float
    best: float


#: Positions that tell the rate before a screening begins.
_TRIAL = 16_384
#: Chunks that are handed out for each process before the first of them is done: some are not ready at once.
_AHEAD = 4
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
    trial = min(scorer.space.size, effort.chunk_of(scorer.space), _TRIAL)
    with _shared_processor():
        scorer.aggregate(0, max(1, trial // 16))
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
        What to score, and how.
    start
        First position.
    stop
        Asked now and then; when it says so, no further chunk is begun, and those in work are waited for.

    Yields
    ------
    tuple
        Chunks and their aggregates, in the order of the space, without a gap.
    """
    scorer.prepare()
    length = effort.chunk_of(scorer.space)
    ahead = chunks(scorer.space.size, length, start)
    at_once = max(1, min(effort.threads, math.ceil((scorer.space.size - start) / length)))
    # One more than there are threads: none has to wait for this one.
    most = at_once + 1 if effort.engine == "local" else _AHEAD * at_once
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="screening")
    waiting: deque[tuple[range, Future[Aggregate]]] = deque()
    with _shared_processor(), _workers(scorer, at_once, effort.engine) as aggregate:
        try:
            while True:
                while len(waiting) < most and not stop() and (chunk := next(ahead, None)):
                    waiting.append((chunk, pool.submit(aggregate, chunk.start, chunk.stop)))
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
def _workers(scorer: Scorer, at_once: int, engine: str) -> Iterator[Callable[[int, int], Aggregate]]:
    """Provide what scores a chunk: the scorer itself or, of several processes, one that is idle."""
    if engine == "local":
        yield scorer.aggregate
        return
    shipment = Shipment.of(scorer)
    with ExitStack() as stack:
        processes = [stack.enter_context(closing(ScoringProcess(shipment))) for _ in range(at_once - 1)]
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


#: How long a thread may keep another waiting for its turn, in seconds.
_TURN_S = 5e-5


@contextmanager
def _shared_processor() -> Iterator[None]:
    """Let a product of matrices take one thread, as the chunks share the processor; let these take turns quickly.

    A chunk is thousands of short computations, after each of which a thread may have to wait for its turn to run
    Python: 5 ms, by default, where another holds on to it.
    """
    from threadpoolctl import threadpool_limits

    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(_TURN_S)
    try:
        with threadpool_limits(limits=1, user_api="blas"):
            yield
    finally:
        sys.setswitchinterval(usual_s)


#: The state is written no more often than this, in seconds.
_SAVE_EVERY_S = 3.0


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
    """Look through a space for the best recipes.

    Parameters
    ----------
    space
        A search space, or a sample of one.
    model
        Who answers.
    question
        What is looked for; by default the 100 highest predicted conductivities inside the known domain.
    effort
        Threads, length of chunks, engine: the result does not depend on them.
    output
        Where to write the result, and the state from which it can be resumed; by default nothing is written.
    progress
        Called after each chunk.
    stop
        Called several times a second; once it returns True, the chunks in work are finished and no more are begun.

    Returns
    -------
    ScreeningResult
        Of the whole space, or, where it was stopped, of the part before some position.

    Raises
    ------
    NasiconError
        If the model does not support the level; if other processes cannot know the class of the space; if the
        folder is taken or cannot be written to; if the screening to be resumed was of another space, model or
        question.
    """
    question, effort = question or Question(), effort or Effort()
    for interval in model.intervals.values():
        interval.scores.quantile(question.level)  # refused before anything is written
    if effort.engine == "processes":
        refuse_class_of_script(space)
    state = State(Identity("", "", {}), 0, 0.0, Aggregate.empty(question.keep))
    if output is not None:
        output.check()
        identity = Identity.of(space, model, question, chunk=effort.chunk_of(space), scored=output.scored)
        state = replace(state, identity=identity, note=output.note)
        if output.resume:
            state = read_state(output.folder)
            state.identity.refuse_other(identity, output.folder)
        output.make()
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
    """Go through the chunks; however that ends, what was done is on disk."""
    before, begun = state, time.monotonic()
    saved = begun
    try:
        run = run_dask if effort.engine == "dask" else run_local
        with closing(run(scorer, effort, state.position, stop)) as results:
            for chunk, aggregate in results:
                now = time.monotonic()
                state = replace(
                    state,
                    position=chunk.stop,
                    seconds=before.seconds + now - begun,
                    aggregate=state.aggregate.merged(aggregate),
                )
                progress(_progress(before, state, scorer.space.size))
                if output is not None and now - saved >= _SAVE_EVERY_S:
                    state.write(output.folder)
                    saved = now
    finally:
        if output is not None:
            state.write(output.folder)
            output.remove_parts_from(state.position)
    return state


def _progress(before: State, now: State, size: int) -> Progress:
    rate = (now.position - before.position) / max(now.seconds - before.seconds, 1e-9)
    values = now.aggregate.kept.values
    return Progress(
        now.position,
        size,
        now.seconds,
        rate,
        (size - now.position) / rate,
        float(values[0]) if len(values) else float("nan"),
    )
