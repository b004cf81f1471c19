"""Scores chunks in other processes of this machine.

Threads of one process take turns whenever they run Python; processes do not. Each is sent the model once, as the
bytes of a bundle, and makes it anew. The user's own program is not run again in them: it needs no
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

#: How long a process may take to end, in seconds, before it is killed.
_END_S = 10


@dataclass(frozen=True)
class Shipment:
    """What another process needs, in plain data."""

    files: Mapping[str, bytes]  # the model, as `nasicon_ml.bundle.store.model_files` gives it
    own: pd.DataFrame | None  # the own pellets of an `OwnModel`
    # space, drawn: the space; budget, method and seed of a sample that is to be drawn again there
    space: Any
    drawn: tuple[int, str, int] | None
    # question, parts: as of a `Scorer`
    question: Question
    parts: str | None

    @classmethod
    def of(cls, scorer: Scorer, *, draw_again: bool = False) -> Shipment:
        """Pack what a scorer has; a sample as it is, 8 bytes a candidate, or so that it is drawn again."""
        files, space, drawn = model_files(scorer.model), scorer.space, None
        own = scorer.model.measured_own if isinstance(scorer.model, OwnModel) else None
        if draw_again and isinstance(space, SampledSpace):
            drawn = (space.budget, space.method, space.seed)
            space = space.space
        parts = None if scorer.parts is None else str(scorer.parts.resolve())
        return cls(files, own, space, drawn, scorer.question, parts)

    def unpack(self) -> Scorer:
        """Return the scorer, ready to be used by several threads."""
        space: Space = self.space if self.drawn is None else self.space.sample(*self.drawn)
        parts = None if self.parts is None else Path(self.parts)
        if parts is not None and not parts.is_dir():
            raise NasiconError(f"{parts}: a worker does not see this folder, into which it is to write")
        model = PropertyModel.from_parts(model_from_files(self.files))
        if self.own is not None:
            model = OwnModel.of(model, self.own)
        scorer = Scorer(space, model, self.question, parts)
        scorer.prepare()
        return scorer


def refuse_class_of_script(space: Space) -> None:
    """Refuse a space whose class stands in the user's script, which other processes do not run.

    Raises
    ------
    NasiconError
        Naming the class.
    """
    whole = type(space.space if isinstance(space, SampledSpace) else space)
    if whole.__module__ == "__main__":
        raise NasiconError(
            f"{whole.__name__}: other processes know no class of your own script; put it into a module that they"
            ' can import, or use threads (engine="local")'
        )


class ScoringProcess:
    """A process that scores chunks as a `Scorer` does; it ends when the one that started it does.

    Parameters
    ----------
    shipment
        What it scores, and how; sent with the first chunk.
    """

    def __init__(self, shipment: Shipment) -> None:
        context = multiprocessing.get_context("spawn")  # a copy of this process (fork) could not use its threads
        self._shipment: Shipment | None = shipment
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_score_chunks, args=(theirs,), name="screening", daemon=True)
        with _ctrl_c_ignored(), _main_module_hidden():
            self._process.start()
        theirs.close()

    def aggregate(self, start: int, stop: int) -> Aggregate:
        """Score the positions `start` to `stop`; the first call waits until the process is ready.

        Raises
        ------
        NasiconError
            If the process ended, or could not score them.
        """
        try:
            if self._shipment is not None:
                self._connection.send(self._shipment)
                self._shipment = None
            self._connection.send((start, stop))
            found = self._connection.recv()
        except (EOFError, OSError):
            self._process.join(_END_S)
            raise NasiconError(
                f"a process of the screening ended (exit code {self._process.exitcode}); what was done until then"
                " is kept. Was memory short?"
            ) from None
        if isinstance(found, Exception):
            raise found
        aggregate: Aggregate = found
        return aggregate

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._process.terminate()
        self._process.join(_END_S)
        self._process.kill()
        self._process.join()
        self._connection.close()


def _score_chunks(connection: Connection) -> None:
    """Score what is asked for until the process that asks is gone."""
    scorer: Scorer | None = None
    with threadpool_limits(limits=1, user_api="blas"):
        try:
            shipment: Shipment = connection.recv()
            while True:
                start, stop = connection.recv()
                found: Aggregate | Exception
                try:
                    scorer = scorer or shipment.unpack()
                    found = scorer.aggregate(start, stop)
                except NasiconError as error:
                    found = error
                except Exception as error:  # noqa: BLE001 -- raised again where the chunk was asked for
                    error.add_note(f"In a process of the screening:\n{traceback.format_exc()}")
                    found = error
                connection.send(found)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """Let a process that is started meanwhile ignore Ctrl-C: the one that started it decides what that means."""
    before = signal.getsignal(signal.SIGINT)
    # Python sets no handlers outside the main thread, and cannot set one again that is not its own.
    if threading.current_thread() is not threading.main_thread() or before is None:
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


#: One module is hidden at a time.
_HIDING = threading.Lock()


@contextmanager
def _main_module_hidden() -> Iterator[None]:
    """Let a process that is started meanwhile not run the user's script, as `multiprocessing` would have it do."""
    with _HIDING:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main
