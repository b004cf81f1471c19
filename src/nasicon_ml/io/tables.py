"""Tables of any kind: read with the number of every line, and written so that nothing is left half done."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import secrets
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nasicon_ml.errors import NasiconError, UnreadableFileError, nearest
from nasicon_ml.io.csv import mark_as_text, read_csv
from nasicon_ml.io.raw import MAX_BYTES, RESAVE, RawTable, read_bytes, refuse_bytes, refuse_shape
from nasicon_ml.io.structured import read_json, read_parquet, read_yaml
from nasicon_ml.io.workbook import is_workbook, read_workbook

#: The formats by the ending of a file's name.
FORMATS = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".json": "json", ".yaml": "yaml", ".yml": "yaml",
    ".parquet": "parquet", ".pq": "parquet", ".xlsx": "workbook", ".xlsm": "workbook", ".xls": "workbook",
    ".ods": "workbook",
}  # fmt: skip
READERS: dict[str, Callable[[bytes, str], RawTable]] = {
    "csv": read_csv,
    "json": read_json,
    "yaml": read_yaml,
    "parquet": read_parquet,
    "workbook": read_workbook,
}


def read_table(path: str | Path, *, file_format: str | None = None, sheet: str | None = None) -> RawTable:
    """Read a table.

    Parameters
    ----------
    path
        The file, or ``-`` for standard input. It may be packed by gzip.
    file_format
        One of csv, json, yaml, parquet, workbook; by default told from the ending of the name and, on standard
        input, from the content. A workbook is recognised under any name.
    sheet
        Name or number of the sheet of a workbook; the first by default.

    Returns
    -------
    RawTable
        A JSON or YAML file holds a list of objects, or one object for a table of one row.

    Raises
    ------
    UnreadableFileError
        If there is no such file, it is larger than `nasicon_ml.io.raw` allows, or it is not a table in
        that format; the message says where and what to do.
    """
    data, name = read_bytes(path)
    notes = []
    ending = Path(path).suffix.lower()
    if data.startswith(_GZIP):
        data = _unpacked(data, name)
        notes = [] if ending == ".gz" else ["packed by gzip; unpacked"]
        ending = Path(path).with_suffix("").suffix.lower() if ending == ".gz" else ending
    chosen = file_format or (_format_of_content(data) if str(path) == "-" else _format_of(ending, name))
    if chosen not in READERS:
        hint = nearest(chosen, READERS)
        raise UnreadableFileError(
            f"{name}: format {chosen!r} is not known; allowed: {', '.join(READERS)}. {hint}".strip()
        )
    if not data.strip():
        raise UnreadableFileError(f"{name}: the file is empty")
    if chosen != "workbook" and is_workbook(data):
        chosen = "workbook"
        notes.append("a workbook, in spite of its name")
    refuse_bytes(len(data), chosen, name)
    if chosen == "workbook":
        table = read_workbook(data, name, sheet)
    elif sheet is not None:
        raise UnreadableFileError(f"{name}: there is no sheet {sheet!r} in it: it is no workbook")
    else:
        table = READERS[chosen](data, name)
    refuse_shape(*table.frame.shape, name)
    return replace(table, notes=(*notes, *table.notes))


_GZIP = b"\x1f\x8b"


def _unpacked(data: bytes, name: str) -> bytes:
    """Unpack what gzip packed, as far as the limit."""
    limit = max(MAX_BYTES.values())
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            unpacked = file.read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableFileError(f"{name}: packed by gzip, and cannot be unpacked ({error})") from None
    if len(unpacked) > limit:
        raise UnreadableFileError(f"{name}: more than the {limit} bytes that are read when unpacked; split it")
    return unpacked


def _format_of(ending: str, name: str) -> str:
    if ending in FORMATS:
        return FORMATS[ending]
    if ending in {".xlsb", ".numbers"}:
        raise UnreadableFileError(f"{name}: save the sheet as .xlsx, or as CSV. {RESAVE}")
    raise UnreadableFileError(
        f"{name}: the ending {ending!r} names no known format; allowed: {', '.join(FORMATS)}"
    )


def _format_of_content(data: bytes) -> str:
    if is_workbook(data):
        return "workbook"
    start = data.removeprefix(b"\xef\xbb\xbf").lstrip()[:4096]
    if start.startswith(b"PAR1"):
        return "parquet"
    if start.startswith((b"[", b"{")):
        return "json"
    lines = [line for line in start.splitlines() if line.strip() and not line.lstrip().startswith(b"#")]
    first = lines[0] if lines else b""
    is_yaml = first.strip() in {b"-", b"---"} or re.match(rb"\s*(- |['\"]?\w+['\"]?\s*:(\s|$))", first)
    return "yaml" if is_yaml else "csv"


def write_table(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a table as CSV, JSON or Parquet, by the ending of the name; the index is left out.

    Parameters
    ----------
    frame
        Shape (n_rows, n_columns). Missing cells become empty (CSV) or null; flags become true and false;
        numbers keep all their digits.
    path
        Where to. The file appears whole or not at all.

    Raises
    ------
    NasiconError
        If the ending names no such format, or the place cannot be written to.
    """
    ending = Path(path).suffix.lower()
    if ending == ".csv":
        write_text(table_as_csv(frame), path)
    elif ending == ".json":
        write_text(table_as_json(frame), path)
    elif ending in {".parquet", ".pq"}:
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        write_bytes(buffer.getvalue(), path)
    else:
        allowed = ".csv, .json, .parquet"
        raise NasiconError(f"{path}: the ending {ending!r} names no format to write; allowed: {allowed}")


def table_as_csv(frame: pd.DataFrame) -> str:
    """Return a table as CSV: missing cells empty, flags as words, no cell that a spreadsheet would run."""
    return str(_with_words(frame).to_csv(index=False, lineterminator="\n"))


def table_as_json(frame: pd.DataFrame) -> str:
    """Return a table as a JSON list of objects, missing cells null, with all digits."""
    return json.dumps(table_records(frame), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def table_records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as Python's own values by name of column, None where a cell is missing."""
    plain = frame.astype("object").where(frame.notna(), None)
    return [{str(name): cell for name, cell in row.items()} for row in plain.to_dict("records")]


def _with_words(frame: pd.DataFrame) -> pd.DataFrame:
    """Write flags as the words of the vocabulary instead of Python's, and no cell that a spreadsheet would run."""

    def word(cell: object) -> object:
        return ("true" if cell else "false") if isinstance(cell, (bool, np.bool_)) else mark_as_text(cell)

    columns = {
        position: cells.astype("object").map(word) if cells.dtype.kind in "Ob" else cells
        for position, (_, cells) in enumerate(frame.items())
    }
    words = pd.DataFrame(columns, index=frame.index)
    words.columns = frame.columns
    return words


def write_text(text: str, path: str | Path) -> None:
    """Write text as UTF-8 with plain line feeds; the file appears whole or not at all.

    Halves of characters, which UTF-8 does not have, are written as JSON writes them.

    Raises
    ------
    NasiconError
        If the place cannot be written to.
    """
    write_bytes(text.encode("utf-8", "backslashreplace"), path)


def write_bytes(data: bytes, path: str | Path) -> None:
    """Write a file; it appears whole or not at all.

    Raises
    ------
    NasiconError
        If the place cannot be written to.
    """
    target = Path(path)
    with _told(target):
        target = target.resolve()  # a link stays a link: its target is replaced
        if target.exists() and not target.is_file() and not target.is_dir():
            target.write_bytes(data)  # a pipe or device cannot be replaced
            return
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
        try:
            temporary.write_bytes(data)
            os.replace(temporary, target)  # noqa: PTH105  (the one call that is atomic on every system)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def _told(target: Path) -> Iterator[None]:
    """Turn the system's refusal into ours."""
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:  # a NUL in the name; links that lead in a circle
        reason = error.strerror if isinstance(error, OSError) else error
        raise NasiconError(f"{target}: cannot be written ({reason})") from None
