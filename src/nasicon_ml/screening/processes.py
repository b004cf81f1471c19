"""Scoring of chunks in other processes of this machine.

Threads of one process share Python's global interpreter lock; processes do not. Each process receives the model
once, as the bytes of a bundle, and rebuilds it. It does not run the user's program again, which therefore needs no
``if __name__ == "__main__":``, and may be a notebook or an app.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
from threadpoolctl import threadpool_limits

from nasicon_ml.bundle.store import model_files, model_from_files
from nasicon_ml.errors import NasiconError
from nasicon_ml.model import OwnModel, PropertyModel
from nasicon_ml.screening.aggregate import Aggregate
from nasicon_ml.screening.objectives import Question
from nasicon_ml.screening.scoring import Scorer, Space
from nasicon_ml.screening.space import SampledSpace

#: How long a process may take to terminate, in seconds, before it is killed.
_TERMINATE_S = 10


@dataclass(frozen=True)
class PackedScorer:
    """A `Scorer` that can be sent to another process."""

    model_files: Mapping[str, bytes]  # as returned by `nasicon_ml.bundle.store.model_files`
    own: pd.DataFrame | None  # the own pellets of an `OwnModel`
    # space, sampling: the space; budget, method and seed of a sample that the other process draws from it
    space: Any
    sampling: tuple[int, str, int] | None
    # question, parts: as in `Scorer`
    question: Question
    parts: str | None

    @classmethod
    def pack(cls, scorer: Scorer, *, redraw: bool = False) -> PackedScorer:
        """Pack a scorer; with `redraw`, a sample is drawn again instead of sent at 8 bytes a candidate."""
        space, sampling = scorer.space, None
        own = scorer.model.measured_own if isinstance(scorer.model, OwnModel) else None
        if redraw and isinstance(space, SampledSpace):
            sampling = (space.budget, space.method, space.seed)
            space = space.space
        parts = None if scorer.parts is None else str(scorer.parts.resolve())
        return cls(model_files(scorer.model), own, space, sampling, scorer.question, parts)

    def unpack(self) -> Scorer:
        """Return the scorer, prepared for several threads."""
        space: Space = self.space if self.sampling is None else self.space.sample(*self.sampling)
        parts = None if self.parts is None else Path(self.parts)
        if parts is not None and not parts.is_dir():
            raise NasiconError(f"{parts}: a worker does not see this folder, into which it is to write")
        model = PropertyModel.from_parts(model_from_files(self.model_files))
        if self.own is not None:
            model = OwnModel.of(model, self.own)
        scorer = Scorer(space, model, self.question, parts)
        scorer.prepare()
        return scorer


def refuse_class_of_script(space: Space) -> None:
    """Raise if the class of a space is defined in the user's script, which other processes do not run.

    Raises
    ------
    NasiconError
        If it is; the message names the class.
    """
    space_class = type(space.space if isinstance(space, SampledSpace) else space)
    if space_class.__module__ == "__main__":
        raise NasiconError(
            f"{space_class.__name__}: other processes know no class of your own script; put it into a module that"
            ' they can import, or use threads (engine="local")'
        )


class ScoringProcess:
    """A process that scores chunks like a `Scorer`; it ends with its parent process.

    Parameters
    ----------
    packed_scorer
        The scorer, which is sent with the first chunk.
    """

    def __init__(self, packed_scorer: PackedScorer) -> None:
        context = multiprocessing.get_context("spawn")  # a forked process could not use the threads of this one
        self._packed_scorer: PackedScorer | None = packed_scorer
        self._connection, child_connection = context.Pipe()
        self._process = context.Process(
            target=_score_chunks, args=(child_connection,), name="screening", daemon=True
        )
        with _ctrl_c_ignored(), _main_module_hidden():
            self._process.start()
        child_connection.close()

    def aggregate(self, start: int, stop: int) -> Aggregate:
        """Score the positions `start` to `stop`; the first call waits until the process is ready.

        Raises
        ------
        NasiconError
            If the process ended, or could not score them.
        """
        try:
            if self._packed_scorer is not None:
                self._connection.send(self._packed_scorer)
                self._packed_scorer = None
            self._connection.send((start, stop))
            result = self._connection.recv()
        except (EOFError, OSError):
            self._process.join(_TERMINATE_S)
            raise NasiconError(
                f"a process of the screening ended (exit code {self._process.exitcode}); what was done until then"
                " is kept. Was memory short?"
            ) from None
        if isinstance(result, Exception):
            raise result
        aggregate: Aggregate = result
        return aggregate

    def close(self) -> None:
        """Terminate the process, even in the middle of a chunk."""
        self._process.terminate()
        self._process.join(_TERMINATE_S)
        self._process.kill()
        self._process.join()
        self._connection.close()


def _score_chunks(connection: Connection) -> None:
    """Score the requested chunks until the parent process closes the connection."""
    scorer: Scorer | None = None
    with threadpool_limits(limits=1, user_api="blas"):
        try:
            packed_scorer: PackedScorer = connection.recv()
            while True:
                start, stop = connection.recv()
                result: Aggregate | Exception
                try:
                    scorer = scorer or packed_scorer.unpack()
                    result = scorer.aggregate(start, stop)
                except NasiconError as error:
                    result = error
                except Exception as error:  # noqa: BLE001 -- raised again in the parent process
                    error.add_note(f"In a process of the screening:\n{traceback.format_exc()}")
                    result = error
                connection.send(result)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """Make processes started in this context ignore Ctrl-C, which their parent process handles."""
    handler = signal.getsignal(signal.SIGINT)
    # Handlers can be set only in the main thread, and only a handler set from Python can be restored.
    if threading.current_thread() is not threading.main_thread() or handler is None:
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


_MAIN_MODULE_LOCK = threading.Lock()


@contextmanager
def _main_module_hidden() -> Iterator[None]:
    """Prevent `multiprocessing` from running the user's script in processes started in this context."""
    with _MAIN_MODULE_LOCK:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main
