"""Read the bytes and the text of a file within limits of size, and represent a table before it is checked.

The limits keep any file from filling the memory or blocking the program for long. A million recipes fit.
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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import IO

import numpy as np
import pandas as pd

from nasicon_ml.errors import UnreadableFileError, nearest

#: Largest size of a file, by format. The YAML parser is slow: it takes some seconds for this size.
MAX_BYTES: Mapping[str, int] = MappingProxyType(
    {"csv": 256_000_000, "parquet": 256_000_000, "json": 64_000_000, "yaml": 250_000, "workbook": 64_000_000}
)
MAX_ROWS = 2_000_000
#: The vocabulary has fewer than a hundred names.
MAX_COLUMNS = 500
#: Rows times columns.
MAX_CELLS = 60_000_000
MAX_FILE_BYTES = max(MAX_BYTES.values())
#: How long a pipe without a writer is waited for.
_WRITER_WAIT_S = 2.0
_CHUNK_BYTES = 1 << 20


def check_file_size(count: int, file_format: str, name: str) -> None:
    """Raise `UnreadableFileError` if a file has too many bytes for its format."""
    limit = MAX_BYTES[file_format]
    if count > limit:
        others = "; use CSV or Parquet" if file_format in {"json", "yaml"} else "; split it"
        raise UnreadableFileError(
            f"{name}: {count} bytes of {file_format.upper()} are more than the {limit} that are read{others}"
        )


def check_shape(rows: int, columns: int, name: str) -> None:
    """Raise `UnreadableFileError` if a table has too many rows, columns or cells."""
    if columns > MAX_COLUMNS:
        raise UnreadableFileError(f"{name}: {columns} columns are more than the {MAX_COLUMNS} that are read")
    if rows > MAX_ROWS:
        raise UnreadableFileError(f"{name}: {rows} rows are more than the {MAX_ROWS} that are read; split it")
    check_cell_count(rows * columns, name)


def check_cell_count(count: int, name: str) -> None:
    """Raise `UnreadableFileError` if a table has too many cells."""
    if count > MAX_CELLS:
        raise UnreadableFileError(f"{name}: {count} cells are more than the {MAX_CELLS} that are read; split it")


def read_bytes(path: str | Path) -> tuple[bytes, str]:
    """Return the content of a file, pipe or device, and its name for messages; ``-`` is standard input.

    Raises
    ------
    UnreadableFileError
        If there is no such file, it is larger than `MAX_FILE_BYTES`, or it is a pipe without a writer.
    TypeError
        If `path` is not a path.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"the name of a file is needed, not a {type(path).__name__}")
    name = str(path)
    if name == "-":
        return _join(_file_chunks(sys.stdin.buffer, "standard input"), "standard input"), "standard input"
    try:
        # In blocking mode, opening a pipe would wait for a writer forever.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123  (a descriptor has no Path)
            return _read_descriptor(file, name), name
    except FileNotFoundError:
        raise UnreadableFileError(f"{name}: there is no such file. {_similar_file(Path(path))}".strip()) from None
    except IsADirectoryError:
        raise UnreadableFileError(f"{name}: this is a folder, not a file") from None
    except (OSError, ValueError) as error:  # ValueError: NUL in the name
        reason = error.strerror if isinstance(error, OSError) else error
        raise UnreadableFileError(f"{name}: cannot be read ({reason})") from None


def _read_descriptor(file: io.FileIO, name: str) -> bytes:
    status = os.fstat(file.fileno())
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError
    if stat.S_ISREG(status.st_mode) and status.st_size > MAX_FILE_BYTES:
        raise _too_large(name, f"{status.st_size}")
    if stat.S_ISFIFO(status.st_mode):
        return _join(_pipe_chunks(file, name), name)
    if not stat.S_ISREG(status.st_mode):
        os.set_blocking(file.fileno(), True)  # a terminal is read while the user types
    return _join(_file_chunks(file, name), name)


def _join(chunks: Iterable[bytes], name: str) -> bytes:
    """Return all chunks, up to the size limit."""
    read: list[bytes] = []
    size = 0
    for chunk in chunks:
        read.append(chunk)
        size += len(chunk)
        if size > MAX_FILE_BYTES:
            raise _too_large(name, f"more than {MAX_FILE_BYTES}")
    return b"".join(read)


def _file_chunks(file: IO[bytes] | io.FileIO, name: str) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk
    if chunk is None:  # a special file such as /proc/kmsg, which waits for an event
        raise UnreadableFileError(f"{name}: there is nothing to read in it")


def _pipe_chunks(file: io.FileIO, name: str) -> Iterator[bytes]:
    """Yield the content of a pipe, which nobody may have opened for writing."""
    deadline = time.monotonic() + _WRITER_WAIT_S
    has_writer = False
    while True:
        chunk = file.read(_CHUNK_BYTES)
        if chunk is None:  # the writer has not written more yet
            has_writer = True
            select.select([file], [], [])
        elif chunk:
            has_writer = True
            yield chunk
        elif has_writer:
            return
        elif time.monotonic() > deadline:
            raise UnreadableFileError(f"{name}: this is a pipe, and nothing is written into it")
        else:
            time.sleep(0.01)


def _too_large(name: str, size: str) -> UnreadableFileError:
    return UnreadableFileError(f"{name}: {size} bytes are more than the {MAX_FILE_BYTES} that are read; split it")


def _similar_file(path: Path) -> str:
    """Return a hint at the file in the same folder whose name is most similar."""
    try:
        return nearest(path.name, sorted(entry.name for entry in path.parent.iterdir()))
    except OSError:
        return ""


#: How to correct an encoding or a separator.
RESAVE = "In Excel: File > Save As > 'CSV UTF-8 (Comma delimited)'."


@dataclass(frozen=True)
class RawTable:
    """A table as it is in its file, unchecked.

    Attributes
    ----------
    frame
        Shape (n_rows, n_columns); cells are text in a CSV, and of any type in other formats.
    lines
        Shape (n_rows,): the line of the file where each row begins, from 1; None if the format has no lines.
    name
        The name of the file in messages.
    notes
        Sentences for the user on assumptions made in reading the file.
    """

    frame: pd.DataFrame
    lines: np.ndarray | None
    name: str
    notes: tuple[str, ...] = ()

    def with_notes(self, *notes: str) -> RawTable:
        """Return the table with additional notes."""
        return replace(self, notes=(*self.notes, *notes))


def check_unique_names(names: Sequence[str], place: str) -> None:
    """Raise `UnreadableFileError` if a name is repeated: one of its two values would be lost."""
    repeated = [name for name, count in Counter(names).items() if count > 1 and name]
    if repeated:
        raise UnreadableFileError(f"{place}: the column {repeated[0]!r} occurs more than once")


def decode(data: bytes, name: str) -> str:
    """Decode UTF-8, or raise `UnreadableFileError` with the encoding that the bytes seem to have."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and not data.startswith(codecs.BOM_UTF32_LE):
        with contextlib.suppress(UnicodeDecodeError):
            data = data.decode("utf-16").encode()  # saved by Excel as "Unicode text"
    if data[:64].count(b"\0") > len(data[:64]) // 4 or data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UnreadableFileError(f"{name}: saved as UTF-16 ('Unicode text'); save it as UTF-8. {RESAVE}")
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        legacy_character = data[error.start : error.start + 1].decode("cp1252", errors="replace")
        raise UnreadableFileError(
            f"{name}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8"
            f" (probably {legacy_character!r} of an older encoding); save it as UTF-8. {RESAVE}"
        ) from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise UnreadableFileError(f"{name}, line {line}: holds a NUL character; this is not a text file")
    return text
