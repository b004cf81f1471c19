"""Screens a space chunk by chunk, in bounded memory; what is found does not depend on how it was divided."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace

from nasicon_ml.model import PropertyModel
from nasicon_ml.screening.local import Chunk, run_local
from nasicon_ml.screening.output import Place, write_result
from nasicon_ml.screening.question import Effort, Question
from nasicon_ml.screening.result import ScreeningResult
from nasicon_ml.screening.resuming import Identity, State, read_state
from nasicon_ml.screening.scoring import Scorer, Space
from nasicon_ml.screening.tally import Tally
from nasicon_ml.screening.watching import Progress, Watch

#: The state is written no more often than this, in seconds.
_SAVE_EVERY_S = 3.0


def screen(
    space: Space,
    model: PropertyModel,
    question: Question | None = None,
    effort: Effort | None = None,
    *,
    place: Place | None = None,
    watch: Watch | None = None,
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
    place
        Where to write the result, and the state from which it can be resumed; by default nothing is written.
    watch
        Who is told how far it is, and may stop it.

    Returns
    -------
    ScreeningResult
        Of the whole space, or, where it was stopped, of the part before some position.

    Raises
    ------
    NasiconError
        If the model does not support the level; if the place is taken or cannot be written to; if the screening
        to be resumed was of another space, model or question.
    """
    question, effort, watch = question or Question(), effort or Effort(), watch or Watch()
    for interval in model.intervals.values():
        interval.scores.quantile(question.level)  # refused before anything is written
    state = State(Identity("", "", {}), 0, 0.0, Tally.empty(question.keep))
    if place is not None:
        place.check()
        identity = Identity.of(space, model, question, chunk=effort.chunk, scored=place.scored)
        state = replace(state, identity=identity, note=place.note)
        if place.resume:
            state = read_state(place.folder)
            state.identity.refuse_other(identity, place.folder)
        place.make()
    scorer = Scorer(space, model, question, place.parts if place else None)
    state = _run(scorer, effort, state, place, watch)
    result = ScreeningResult(space, model, question, state.tally, state.seconds)
    if place is not None:
        write_result(result, place)
    return result


def _run(scorer: Scorer, effort: Effort, state: State, place: Place | None, watch: Watch) -> State:
    """Go through the chunks; however that ends, what was done is on disk."""
    before, begun = state, time.monotonic()
    saved = begun
    try:
        with closing(_results(scorer, effort, state.position, watch.stop)) as results:
            for chunk, tally in results:
                now = time.monotonic()
                state = replace(
                    state,
                    position=chunk.stop,
                    seconds=before.seconds + now - begun,
                    tally=state.tally.merged(tally),
                )
                watch.progress(_progress(before, state, scorer.space.size))
                if place is not None and now - saved >= _SAVE_EVERY_S:
                    state.write(place.folder)
                    saved = now
    finally:
        if place is not None:
            state.write(place.folder)
            place.remove_parts_from(state.position)
    return state


def _results(
    scorer: Scorer, effort: Effort, start: int, stop: Callable[[], bool]
) -> Generator[tuple[Chunk, Tally], None, None]:
    """Score with the engine that was asked for."""
    if effort.engine == "dask":
        from nasicon_ml.screening.cluster import run_dask

        return run_dask(scorer, effort, start, stop)
    return run_local(scorer, effort, start, stop)


def _progress(before: State, now: State, size: int) -> Progress:
    rate = (now.position - before.position) / max(now.seconds - before.seconds, 1e-9)
    values = now.tally.kept.values
    return Progress(
        now.position,
        size,
        now.seconds,
        rate,
        (size - now.position) / rate,
        float(values[0]) if len(values) else float("nan"),
    )
