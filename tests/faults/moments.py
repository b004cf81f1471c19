"""Moments at which a program is stopped: just before it writes the k-th time.

It writes when it commits a transaction in which something was changed, renames a file or makes a table. That a
training reaches its next stage, and that the manifest of a bundle is read, are moments, too.

``python -m tests.faults.moments MODULE SIGNAL PROGRAM ...`` runs a program that is stopped when it first imports a
module.
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

#: What is written before each moment, if moments are only to be listed.
MARK = "--- moment"
_WRITES = ("INSERT", "UPDATE", "DELETE", "CREATE", "ALTER")


@dataclass(frozen=True)
class Moment:
    """A moment that was listed: its number, its kind, and what is written then."""

    number: int
    kind: str
    what: str


def moments_in(text: str, *kinds: str) -> list[Moment]:
    """Read the moments of these kinds from what a program wrote."""
    found = (re.match(rf"{MARK} (\d+): (\w+) (.*)", line) for line in text.splitlines())
    return [Moment(int(match[1]), match[2], match[3]) for match in found if match and match[2] in kinds]


def inject(fault: dict[str, Any]) -> None:
    """Prepare what a test asks for: ``{"kinds": [...], "at": k, "signal": number}``.

    The signal is sent to this process just before the k-th moment of these kinds ("commit", "rename", "table",
    "stage" or "manifest"), counted from 1; or, if ``"at"`` is a text, before what is named so. Without ``"at"``
    every moment is written to standard error.
    """
    count = 0

    def moment(kind: str, what: str) -> None:
        nonlocal count
        if kind not in fault["kinds"]:
            return
        count += 1
        if "at" not in fault:
            os.write(2, f"{MARK} {count}: {kind} {what}\n".encode())
        elif fault["at"] in {count, what}:
            os.kill(os.getpid(), fault["signal"])

    _listen(moment)


def _listen(moment: Callable[[str, str], None]) -> None:
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
        what = connection.info.pop("changed", None)
        if what:
            moment("commit", what)

    @event.listens_for(Engine, "rollback")
    def rollback(connection: Any) -> None:
        connection.info.pop("changed", None)

    def hear(name: str, arguments: tuple[Any, ...]) -> None:
        # What Python has compiled is its own, and there already the next time.
        if name == "os.rename" and not os.fsdecode(arguments[1]).endswith(".pyc"):
            moment("rename", Path(os.fsdecode(arguments[1])).name)
        elif name == "open" and str(arguments[0]).endswith("manifest.json"):
            moment("manifest", str(arguments[0]))

    sys.addaudithook(hear)

    from nasicon_ml.cli import train

    every = train.progress_bar

    @contextmanager
    def progress(*args: Any, **options: Any) -> Iterator[Callable[[str, float], None]]:
        with every(*args, **options) as shown:

            def step(stage: str, done: float) -> None:
                shown(stage, done)
                moment("stage", stage)

            yield step

    vars(train)["progress_bar"] = progress


def main() -> None:
    """Run a program, and send the signal to this process when the module is first imported."""
    module, number, *sys.argv = sys.argv[1:]
    sent = False

    def hear(name: str, arguments: tuple[Any, ...]) -> None:
        nonlocal sent
        if name == "import" and arguments[0] == module and not sent:
            sent = True
            os.kill(os.getpid(), int(number))

    sys.addaudithook(hear)
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
