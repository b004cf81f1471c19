"""The bytes and the text of a file, how large it may be, and a table before it is checked.

The limits keep any file from filling the memory or stopping the program for long. A million recipes fit.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import select
import stat
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import IO

import numpy as np
import pandas as pd

from nasicon_ml.errors import UnreadableFileError, nearest

#: Bytes that are read of a file, by format. YAML is read by a slow and safe reader: these take it some seconds.
MAX_BYTES: Mapping[str, int] = MappingProxyType(
    {"csv": 256_000_000, "parquet": 256_000_000, "json": 64_000_000, "yaml": 250_000, "workbook": 64_000_000}
)
MAX_ROWS = 2_000_000
#: The vocabulary has fewer than a hundred names.
MAX_COLUMNS = 500
#: Rows times columns.
MAX_CELLS = 60_000_000
_LARGEST = max(MAX_BYTES.values())
#: A pipe that nobody has opened for writing by then is taken for one that nobody will.
_WRITER_WAIT_S = 2.0
_PIECE = 1 << 20


def refuse_bytes(count: int, file_format: str, name: str) -> None:
    """Refuse a file that is larger than its format may be."""
    limit = MAX_BYTES[file_format]
    if count > limit:
        others = "; use CSV or Parquet" if file_format in {"json", "yaml"} else "; split it"
        raise UnreadableFileError(
            f"{name}: {count} bytes of {file_format.upper()} are more than the {limit} that are read{others}"
        )


def refuse_shape(rows: int, columns: int, name: str) -> None:
    """Refuse a table of too many rows or columns."""
    if columns > MAX_COLUMNS:
        raise UnreadableFileError(f"{name}: {columns} columns are more than the {MAX_COLUMNS} that are read")
    if rows > MAX_ROWS:
        raise UnreadableFileError(f"{name}: {rows} rows are more than the {MAX_ROWS} that are read; split it")
    refuse_cells(rows * columns, name)


def refuse_cells(count: int, name: str) -> None:
    """Refuse a table of too many cells."""
    if count > MAX_CELLS:
        raise UnreadableFileError(f"{name}: {count} cells are more than the {MAX_CELLS} that are read; split it")


def read_bytes(path: str | Path) -> tuple[bytes, str]:
    """Read a file, a pipe or a device as far as the limit.

    Return all of it, and what messages call it. The name ``-`` is standard input.

    Raises
    ------
    UnreadableFileError
        If there is no such file, it is larger than any table may be, or a pipe into which nobody writes.
    TypeError
        If the name is none.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"the name of a file is needed, not a {type(path).__name__}")
    name = str(path)
    if name == "-":
        return _bounded(sys.stdin.buffer, "standard input"), "standard input"
    try:
        # Not blocking: opening a pipe would otherwise wait for a writer for ever.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123  (there is a descriptor, not a path)
            return _read_open(file, name), name
    except FileNotFoundError:
        raise UnreadableFileError(f"{name}: there is no such file. {_neighbour(Path(path))}".strip()) from None
    except IsADirectoryError:
        raise UnreadableFileError(f"{name}: this is a folder, not a file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else error
        raise UnreadableFileError(f"{name}: cannot be read ({reason})") from None


def _read_open(file: io.FileIO, name: str) -> bytes:
    kind = os.fstat(file.fileno())
    if stat.S_ISDIR(kind.st_mode):
        raise IsADirectoryError
    if stat.S_ISREG(kind.st_mode) and kind.st_size > _LARGEST:
        raise _too_large(name, f"{kind.st_size}")
    if stat.S_ISFIFO(kind.st_mode):
        return _read_pipe(file, name)
    if not stat.S_ISREG(kind.st_mode):
        os.set_blocking(file.fileno(), True)  # a terminal, say: it is read as it is typed
    return _bounded(file, name)


def _bounded(file: IO[bytes] | io.FileIO, name: str) -> bytes:
    """Read to the end, or as far as the limit."""
    pieces: list[bytes] = []
    size = 0
    while piece := file.read(_PIECE):
        pieces.append(piece)
        size += len(piece)
        if size > _LARGEST:
            raise _too_large(name, f"more than {_LARGEST}")
    if piece is None:  # some files of the system are none, and wait for something to happen
        raise UnreadableFileError(f"{name}: there is nothing to read in it")
    return b"".join(pieces)


def _read_pipe(file: io.FileIO, name: str) -> bytes:
    """Read a pipe to its end; it may be one that nobody has opened for writing."""
    pieces: list[bytes] = []
    size, deadline = 0, time.monotonic() + _WRITER_WAIT_S
    begun = False
    while True:
        piece = file.read(_PIECE)
        if piece is None:  # there is a writer, and it takes its time
            begun = True
            select.select([file], [], [])
        elif piece:
            begun = True
            pieces.append(piece)
            size += len(piece)
            if size > _LARGEST:
                raise _too_large(name, f"more than {_LARGEST}")
        elif begun:
            return b"".join(pieces)
        elif time.monotonic() > deadline:
            raise UnreadableFileError(f"{name}: this is a pipe, and nothing is written into it")
        else:
            time.sleep(0.01)


def _too_large(name: str, size: str) -> UnreadableFileError:
    return UnreadableFileError(f"{name}: {size} bytes are more than the {_LARGEST} that are read; split it")


def _neighbour(path: Path) -> str:
    """Return which file of the same folder was probably meant."""
    try:
        return nearest(path.name, sorted(entry.name for entry in path.parent.iterdir()))
    except OSError:
        return ""


#: How to mend an encoding or a separator.
RESAVE = "In Excel: File > Save As > 'CSV UTF-8 (Comma delimited)'."


@dataclass(frozen=True)
class RawTable:
    """A table as it stands in its file, unchecked.

    Attributes
    ----------
    frame
        Shape (n_rows, n_columns); text cells for a CSV, whatever the format holds for the others.
    lines
        Shape (n_rows,): the line of the file where each row begins, the first being 1; None where a format
        has no lines.
    name
        What messages call the file.
    notes
        How the file was understood, where that goes without saying for nobody: a sentence each.
    """

    frame: pd.DataFrame
    lines: np.ndarray | None
    name: str
    notes: tuple[str, ...] = ()

    def noting(self, *notes: str) -> RawTable:
        """Return the table with more notes."""
        return replace(self, notes=(*self.notes, *notes))


def refuse_repeated(names: Sequence[str], place: str) -> None:
    """Refuse columns that stand twice: one of the two would be lost."""
    repeated = [cell for cell, count in Counter(names).items() if count > 1 and cell]
    if repeated:
        raise UnreadableFileError(f"{place}: the column {repeated[0]!r} stands more than once")


def decode(data: bytes, name: str) -> str:
    """Turn bytes into text, or say which encoding they are really in."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and not data.startswith(codecs.BOM_UTF32_LE):
        with contextlib.suppress(UnicodeDecodeError):
            data = data.decode("utf-16").encode()  # Excel's "Unicode text"
    if data[:64].count(b"\0") > len(data[:64]) // 4 or data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UnreadableFileError(f"{name}: saved as UTF-16 ('Unicode text'); save it as UTF-8. {RESAVE}")
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UnreadableFileError(
            f"{name}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8"
            f" (probably {_legacy_character(data[error.start])} of an older encoding); save it as UTF-8. {RESAVE}"
        ) from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise UnreadableFileError(f"{name}, line {line}: holds a NUL character; this is not a text file")
    return text


def _legacy_character(byte: int) -> str:
    """Return the character that the byte is in Windows-1252, the usual culprit."""
    return repr(bytes([byte]).decode("cp1252", errors="replace"))
