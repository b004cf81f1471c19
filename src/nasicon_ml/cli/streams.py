"""Standard input, output and error of the command line: what happens when they are closed or full.

Messages that cannot be written are dropped, for there is nobody to tell. An answer that cannot be written ends the
program with a sentence.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

from nasicon_ml.errors import NasiconError


class _Messages(io.FileIO):
    """Standard error: what cannot be written is dropped."""

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        try:
            return super().write(data) or 0
        except OSError:
            return len(data)


class _Answer(io.FileIO):
    """Standard output: what cannot be written is an error that names it."""

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        try:
            return super().write(data) or 0
        except BrokenPipeError:  # the reader has seen enough
            raise
        except OSError as error:
            raise NasiconError(f"standard output cannot be written ({error.strerror})") from None


def prepare_streams() -> None:
    """Prepare the three standard streams, whatever the program was started with.

    Streams that a caller or a test has put in their place stay; they show a question mark for a sign that they do
    not know.
    """
    if sys.stdout is not sys.__stdout__:
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")
        return
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # Closed: the next file that is opened, a database say, would become standard output.
            os.open(os.devnull, os.O_RDONLY)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  (a descriptor, for good)
    sys.stdout = _text_stream(_Answer(1, "w", closefd=False), sys.stdout, "replace")
    sys.stderr = _text_stream(_Messages(2, "w", closefd=False), sys.stderr, "replace")


def _text_stream(raw: io.FileIO, before: TextIO | None, errors: str) -> TextIO:
    """Return a stream of text in the encoding of the one before; a sign that it does not know is replaced."""
    if before is not None:
        before.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(before, "encoding", None) or "utf-8",
        errors=errors,
        line_buffering=raw.isatty() or raw.fileno() == 2,
    )


def silence_stdout() -> None:
    """Point standard output at nothing, so that closing it at exit does not fail again."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # a stand-in without a file descriptor needs no silencing
        return
