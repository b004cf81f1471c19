"""Moments at which tests stop a program, such as just before its k-th write.

Moments are: the commit of a transaction that changed something, the renaming of a file, the creation of a table,
the next stage of a training, and the reading of a bundle's manifest.

``python -m tests.faults.moments MODULE SIGNAL PROGRAM ...`` runs a program and sends it the signal when it
first imports the module.
"""

from __future__ import annotations

import os
import re
import runpy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Begins the line that is written at each moment when moments are only listed.
MARKER = "--- moment"
_WRITES = ("INSERT", "UPDATE", "DELETE", "CREATE", "ALTER")


@dataclass(frozen=True)
class Moment:
    """A listed moment: its number, its kind, and the statement, file or stage."""

    number: int
    kind: str
    detail: str


def moments_in(text: str, *kinds: str) -> list[Moment]:
    """Return the moments of these kinds that a program listed in its output."""
    found = (re.match(rf"{MARKER} (\d+): (\w+) (.*)", line) for line in text.splitlines())
    return [Moment(int(match[1]), match[2], match[3]) for match in found if match and match[2] in kinds]


def inject(fault: dict[str, Any]) -> None:
    """Prepare a fault: ``{"kinds": [...], "at": k, "signal": number}``.

    The signal is sent to this process just before the k-th moment of these kinds ("commit", "rename", "table",
    "stage" or "manifest"), counted from 1; or, if ``"at"`` is a text, before the moment with this detail.
    Without ``"at"`` every moment is written to standard error.
    """
    count = 0

    def moment(kind: str, detail: str) -> None:
        nonlocal count
        if kind not in fault["kinds"]:
            return
        count += 1
        if "at" not in fault:
            os.write(2, f"{MARKER} {count}: {kind} {detail}\n".encode())
        elif fault["at"] in {count, detail}:
            os.kill(os.getpid(), fault["signal"])

    _call_at_moments(moment)


def _call_at_moments(moment: Callable[[str, str], None]) -> None:
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    @event.listens_for(Engine, "before_cursor_execute")
    def execute(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        word, table = (statement.split(None, 3) + [""] * 3)[:3:2]
        if word in _WRITES:
            connection.info["changed"] = f"{word} {table}"
        if word == "CREATE":
            moment("table", table)

    @event.listens_for(Engine, "commit")
    def commit(connection: Any) -> None:
        detail = connection.info.pop("changed", None)
        if detail:
            moment("commit", detail)

    @event.listens_for(Engine, "rollback")
    def rollback(connection: Any) -> None:
        connection.info.pop("changed", None)

    def audit(name: str, arguments: tuple[Any, ...]) -> None:
        # Compiled Python files are written by Python, and only once.
        if name == "os.rename" and not os.fsdecode(arguments[1]).endswith(".pyc"):
            moment("rename", Path(os.fsdecode(arguments[1])).name)
        elif name == "open" and str(arguments[0]).endswith("manifest.json"):
            moment("manifest", str(arguments[0]))

    sys.addaudithook(audit)

    from nasicon_ml.cli import train

    original_progress_bar = train.progress_bar

    @contextmanager
    def progress(*args: Any, **options: Any) -> Iterator[Callable[[str, float], None]]:
        with original_progress_bar(*args, **options) as show:

            def step(stage: str, done: float) -> None:
                show(stage, done)
                moment("stage", stage)

            yield step

    vars(train)["progress_bar"] = progress


def main() -> None:
    """Run a program and send the signal to this process when the module is first imported."""
    module, number, *sys.argv = sys.argv[1:]
    is_sent = False

    def audit(name: str, arguments: tuple[Any, ...]) -> None:
        nonlocal is_sent
        if name == "import" and arguments[0] == module and not is_sent:
            is_sent = True
            os.kill(os.getpid(), int(number))

    sys.addaudithook(audit)
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
