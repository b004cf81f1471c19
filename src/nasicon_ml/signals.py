"""Ctrl-C (SIGINT) and SIGTERM: a program that is told to stop tidies up and ends with the usual exit code.

A signal that is ignored, as SIGINT is under ``nohup`` or in the background of a script, stays ignored. Whoever
embeds this package and handles a signal keeps doing so. Outside the main thread nothing is changed, since Python
has no handlers there.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

#: The exit code of a program that SIGTERM has ended.
TERMINATED = 128 + signal.SIGTERM


@dataclass
class Stop:
    """Whether the program was told to stop."""

    # What the handler of the last signal raised; None before. A signal may strike inside a library that drops
    # the exception, or turns it into an error of its own.
    raised: BaseException | None = None
    _is_delayed: bool = False

    def check(self) -> None:
        """Raise again what was raised by the handler and did not arrive."""
        if self.raised is not None:
            raise self.raised

    @contextmanager
    def delayed(self) -> Iterator[None]:
        """Let a first signal pass without effect: for the last writes of something that is to be whole.

        What is in the block is then done, and the program goes on to say so. A second signal stops at once.
        """
        self.check()
        self._is_delayed = True
        try:
            yield
        finally:
            self._is_delayed = False


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Let SIGTERM unwind the block as Ctrl-C does, by `SystemExit` with code 143, and remember either.

    If the block is left by any other error after a signal, that error came of the unwinding (a file that was
    closed twice, a transaction cut short): the signal's own exception is raised instead.
    """
    stop = Stop()
    before = {number: signal.getsignal(number) for number in _handled()}
    try:
        for number, handler in before.items():
            signal.signal(number, _remembering(handler if callable(handler) else _terminate, stop))
        yield stop
    except BaseException as error:
        if stop.raised is not None and error is not stop.raised:
            raise stop.raised from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def first_ctrl_c(tell: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Let a first Ctrl-C only call `tell` and be noted; a second one does what Ctrl-C did before.

    Yields
    ------
    Callable
        Whether there was one.
    """
    asked = threading.Event()
    before = signal.getsignal(signal.SIGINT)
    if signal.SIGINT not in _handled() or not callable(before):
        yield asked.is_set
        return
    again = before

    def handle(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            again(number, frame)
        asked.set()
        tell()

    signal.signal(signal.SIGINT, handle)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def _handled() -> list[signal.Signals]:
    """Return the signals that can be handled here: those that are not ignored, and SIGINT if Python handles it."""
    if threading.current_thread() is not threading.main_thread():
        return []
    interrupt, terminate = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    found = [signal.SIGINT] if callable(interrupt) else []
    return [*found, signal.SIGTERM] if callable(terminate) or terminate == signal.SIG_DFL else found


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)


def _remembering(
    handler: Callable[[int, FrameType | None], object], stop: Stop
) -> Callable[[int, FrameType | None], None]:
    """Return a handler that keeps in `stop` what another raises, and passes over a first signal while delayed."""

    def handle(number: int, frame: FrameType | None) -> None:
        if stop._is_delayed:
            stop._is_delayed = False
            return
        try:
            handler(number, frame)
        except BaseException as error:
            stop.raised = error
            raise

    return handle
