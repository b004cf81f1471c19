"""How a screening is followed: a bar on a terminal, lines elsewhere, and Ctrl-C that lets it end in order."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import click

from nasicon_ml.cli.screen_words import duration
from nasicon_ml.cli.words import scientific
from nasicon_ml.screening.watching import Progress, Watch

#: Lines are written no more often than this, in seconds.
_EVERY_S = 10.0


@contextmanager
def followed() -> Iterator[Watch]:
    """Follow a screening on standard error, and let Ctrl-C stop it between chunks; a second one stops at once."""
    with _stopped_by_ctrl_c() as stop, _shown() as show:
        yield Watch(show, stop)


@contextmanager
def _stopped_by_ctrl_c() -> Iterator[Callable[[], bool]]:
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = signal.getsignal(signal.SIGINT)

    def handle(_number: int, _frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        click.echo("stopping after the chunks in work (Ctrl-C again: at once)", err=True)

    signal.signal(signal.SIGINT, handle)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _shown() -> Iterator[Callable[[Progress], None]]:
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.percentage:>3.0f} %"), BarColumn(), TextColumn("{task.description}"))
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("screening", total=1.0)
        yield lambda at: bar.update(task, description=_state(at), completed=at.done / at.size)


class _Lines:
    """Writes a line now and then."""

    def __init__(self) -> None:
        self.written = time.monotonic()

    def __call__(self, at: Progress) -> None:
        now = time.monotonic()
        if now - self.written >= _EVERY_S:
            self.written = now
            click.echo(f"{at.done:,} of {at.size:,} ({100 * at.done / at.size:.0f} %), {_state(at)}", err=True)


def _state(at: Progress) -> str:
    return f"{at.per_second:,.0f} a second, {duration(at.remaining_s)} left, best {scientific(at.best)}"
