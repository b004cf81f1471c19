"""Ctrl-C and SIGTERM while a run is recorded: they unwind the program, and are not lost on the way."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any


@dataclass
class Stop:
    """Whether the program was told to stop: what its handler raised then.

    A library may be hit where it cannot pass that on: it turns it into an error of its own, or drops it.
    """

    raised: BaseException | None = None

    def check(self) -> None:
        """Raise anew what was raised by the handler and did not arrive."""
        if self.raised is not None:
            raise self.raised


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Let SIGTERM unwind the program as Ctrl-C does, exit code 143 as usual, and remember either.

    Whoever embeds this package and handles a signal keeps doing so; what that handler raises is remembered.
    Outside the main thread nothing is changed.
    """
    stop = Stop()
    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                before = signal.getsignal(number)
                if callable(before) or (number == signal.SIGTERM and before == signal.SIG_DFL):
                    signal.signal(number, _remembering(before, stop))
                    stack.callback(signal.signal, number, before)
        yield stop


def _remembering(before: Any, stop: Stop) -> Callable[[int, FrameType | None], None]:
    def handle(number: int, frame: FrameType | None) -> None:
        try:
            if not callable(before):
                raise SystemExit(128 + number)
            before(number, frame)
        except BaseException as error:
            stop.raised = error
            raise

    return handle
