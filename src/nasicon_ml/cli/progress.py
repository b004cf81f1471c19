"""A progress bar on standard error, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Say what is being done, and how much of the whole is done (0 to 1).
Step = Callable[[str, float], None]


@contextmanager
def progress(label: str) -> Iterator[Step]:
    """Give a function that moves the bar; where standard error is no terminal, it does nothing.

    Parameters
    ----------
    label
        What stands beside the bar until the first step.
    """
    if not sys.stderr.isatty():
        yield lambda message, fraction: None  # noqa: ARG005
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=1.0)

        def step(message: str, fraction: float) -> None:
            bar.update(task, description=message, completed=fraction)

        yield step
