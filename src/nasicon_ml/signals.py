"""Handle Ctrl-C (SIGINT) and SIGTERM so that the program cleans up and ends with the usual exit code.

Ignored signals (SIGINT under ``nohup`` or in a background job) remain ignored, and existing handlers still run.
Outside the main thread nothing changes, as Python runs signal handlers in the main thread only.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

#: The exit code of a program ended by SIGTERM.
TERMINATED = 128 + signal.SIGTERM


@dataclass
class StopState:
    """Whether a signal has told the program to stop."""

    # The exception raised by the last signal's handler. An interrupted library may suppress or replace it.
    raised: BaseException | None = None
    _is_delayed: bool = False

    def check(self) -> None:
        """Raise the exception of the signal handler again if a library has suppressed it."""
        if self.raised is not None:
            raise self.raised

    @contextmanager
    def delayed(self) -> Iterator[None]:
        """Ignore one signal in the block, so that the last writes are completed; a second one stops at once."""
        self.check()
        self._is_delayed = True
        try:
            yield
        finally:
            self._is_delayed = False


@contextmanager
def stoppable() -> Iterator[StopState]:
    """Let SIGTERM raise `SystemExit` with code 143 in the block, and record the exception of Ctrl-C or SIGTERM.

    An error after a signal (such as a file closed twice) results from the interruption, and the exception of the
    signal is raised instead.
    """
    stop = StopState()
    previous_handlers = {number: signal.getsignal(number) for number in _handled_signals()}
    try:
        for number, handler in previous_handlers.items():
            signal.signal(number, _recording_handler(handler if callable(handler) else _terminate, stop))
        yield stop
    except BaseException as error:
        if stop.raised is not None and error is not stop.raised:
            raise stop.raised from None
        raise
    finally:
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)


@contextmanager
def first_ctrl_c(callback: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Call `callback` at the first Ctrl-C instead of interrupting; a second Ctrl-C has its usual effect.

    Yields
    ------
    Callable
        A function that returns whether Ctrl-C was pressed.
    """
    pressed = threading.Event()
    previous_handler = signal.getsignal(signal.SIGINT)
    if signal.SIGINT not in _handled_signals() or not callable(previous_handler):
        yield pressed.is_set
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if pressed.is_set():
            previous_handler(number, frame)
        pressed.set()
        callback()

    signal.signal(signal.SIGINT, handle)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, previous_handler)


def _handled_signals() -> list[signal.Signals]:
    """Return the signals to handle: those that are not ignored, and SIGINT only if Python handles it."""
    if threading.current_thread() is not threading.main_thread():
        return []
    interrupt, terminate = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    handled = [signal.SIGINT] if callable(interrupt) else []
    return [*handled, signal.SIGTERM] if callable(terminate) or terminate == signal.SIG_DFL else handled


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)


def _recording_handler(
    handler: Callable[[int, FrameType | None], object], stop: StopState
) -> Callable[[int, FrameType | None], None]:
    """Return a handler that records the exception of another in `stop`, and ignores one signal while delayed."""

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
