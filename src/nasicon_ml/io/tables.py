"""Read tables of any format, and write tables and files atomically."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import secrets
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nasicon_ml.errors import NasiconError, UnreadableFileError, nearest
from nasicon_ml.io.csv import escape_spreadsheet_formula, read_csv
from nasicon_ml.io.raw import MAX_FILE_BYTES, RESAVE, RawTable, check_file_size, check_shape, read_bytes
from nasicon_ml.io.structured import read_json, read_parquet, read_yaml
from nasicon_ml.io.workbook import is_workbook, read_workbook

#: Formats by the extension of a file.
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
        The file, or ``-`` for standard input; it may be compressed by gzip.
    file_format
        One of csv, json, yaml, parquet, workbook; by default from the extension or, for standard input, from the
        content. A workbook is recognized under any name.
    sheet
        Name or number of the sheet of a workbook; the first by default.

    Returns
    -------
    RawTable
        A JSON or YAML file holds a list of objects, or one object for a table of one row.

    Raises
    ------
    UnreadableFileError
        If there is no such file, it exceeds the limits of `nasicon_ml.io.raw`, or it is not a table in that
        format; the message names the place and a remedy.
    """
    data, name = read_bytes(path)
    notes = []
    extension = Path(path).suffix.lower()
    if data.startswith(_GZIP_MAGIC):
        data = _decompress(data, name)
        if extension == ".gz":
            extension = Path(path).with_suffix("").suffix.lower()
        else:
            notes.append("packed by gzip; unpacked")
    if not file_format:
        file_format = _guess_format(data) if str(path) == "-" else _format_of_extension(extension, name)
    if file_format not in READERS:
        hint = nearest(file_format, READERS)
        raise UnreadableFileError(
            f"{name}: format {file_format!r} is not known; allowed: {', '.join(READERS)}. {hint}".strip()
        )
    if not data.strip():
        raise UnreadableFileError(f"{name}: the file is empty")
    if file_format != "workbook" and is_workbook(data):
        file_format = "workbook"
        notes.append("a workbook, in spite of its name")
    check_file_size(len(data), file_format, name)
    if file_format == "workbook":
        table = read_workbook(data, name, sheet)
    elif sheet is not None:
        raise UnreadableFileError(f"{name}: there is no sheet {sheet!r} in it: it is not a workbook")
    else:
        table = READERS[file_format](data, name)
    check_shape(*table.frame.shape, name)
    return replace(table, notes=(*notes, *table.notes))


_GZIP_MAGIC = b"\x1f\x8b"


def _decompress(data: bytes, name: str) -> bytes:
    """Decompress gzip data, up to the size limit."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            decompressed = file.read(MAX_FILE_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableFileError(f"{name}: packed by gzip, and cannot be unpacked ({error})") from None
    if len(decompressed) > MAX_FILE_BYTES:
        raise UnreadableFileError(
            f"{name}: more than the {MAX_FILE_BYTES} bytes that are read when unpacked; split it"
        )
    return decompressed


def _format_of_extension(extension: str, name: str) -> str:
    if extension in FORMATS:
        return FORMATS[extension]
    if extension in {".xlsb", ".numbers"}:
        raise UnreadableFileError(f"{name}: save the sheet as .xlsx, or as CSV. {RESAVE}")
    raise UnreadableFileError(
        f"{name}: the ending {extension!r} names no known format; allowed: {', '.join(FORMATS)}"
    )


def _guess_format(data: bytes) -> str:
    if is_workbook(data):
        return "workbook"
    start = data.removeprefix(b"\xef\xbb\xbf").lstrip()[:4096]
    if start.startswith(b"PAR1"):
        return "parquet"
    if start.startswith((b"[", b"{")):
        return "json"
    lines = [line for line in start.splitlines() if line.strip() and not line.lstrip().startswith(b"#")]
    line = lines[0] if lines else b""
    is_yaml = line.strip() in {b"-", b"---"} or re.match(rb"\s*(- |['\"]?\w+['\"]?\s*:(\s|$))", line)
    return "yaml" if is_yaml else "csv"


def write_table(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a table without its index as CSV, JSON or Parquet, chosen by the extension.

    Parameters
    ----------
    frame
        Shape (n_rows, n_columns). Missing cells become empty (CSV) or null; flags become true and false;
        numbers keep all their digits.
    path
        The file, which is written completely or not at all.

    Raises
    ------
    NasiconError
        If the extension is none of these, or the file cannot be written.
    """
    extension = Path(path).suffix.lower()
    if extension == ".csv":
        write_text(table_as_csv(frame), path)
    elif extension == ".json":
        write_text(table_as_json(frame), path)
    elif extension in {".parquet", ".pq"}:
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        write_bytes(buffer.getvalue(), path)
    else:
        allowed = ".csv, .json, .parquet"
        raise NasiconError(f"{path}: the ending {extension!r} names no format to write; allowed: {allowed}")


def table_as_csv(frame: pd.DataFrame) -> str:
    """Return a table as CSV: missing cells empty, flags as true and false, spreadsheet formulas escaped."""

    def as_text(cell: object) -> object:
        is_flag = isinstance(cell, (bool, np.bool_))
        return ("true" if cell else "false") if is_flag else escape_spreadsheet_formula(cell)

    columns = {
        position: cells.astype("object").map(as_text) if cells.dtype.kind in "Ob" else cells
        for position, (_, cells) in enumerate(frame.items())
    }
    table = pd.DataFrame(columns, index=frame.index)
    table.columns = frame.columns
    return str(table.to_csv(index=False, lineterminator="\n"))


def table_as_json(frame: pd.DataFrame) -> str:
    """Return a table as a JSON list of objects, with null for missing cells and all digits of numbers."""
    return json.dumps(table_records(frame), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def table_records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as dictionaries of Python objects, with None for missing cells."""
    plain = frame.astype("object").where(frame.notna(), None)
    return [{str(name): cell for name, cell in row.items()} for row in plain.to_dict("records")]


def write_text(text: str, path: str | Path) -> None:
    """Write text as UTF-8 with line feeds, completely or not at all; lone surrogates are escaped.

    Raises
    ------
    NasiconError
        If the file cannot be written.
    """
    write_bytes(text.encode("utf-8", "backslashreplace"), path)


def write_bytes(data: bytes, path: str | Path) -> None:
    """Write a file, completely or not at all.

    Raises
    ------
    NasiconError
        If the file cannot be written.
    """
    target = Path(path)
    try:
        resolved = target.resolve()  # a link is kept, and its target replaced
        if resolved.exists() and not resolved.is_file() and not resolved.is_dir():
            resolved.write_bytes(data)  # a pipe or device cannot be replaced
            return
        temporary = resolved.with_name(f".{resolved.name}.{secrets.token_hex(4)}.tmp")
        try:
            temporary.write_bytes(data)
            os.replace(temporary, resolved)  # noqa: PTH105  (atomic on every system)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, ValueError, RuntimeError) as error:  # also NUL in the name, and circular links
        reason = error.strerror if isinstance(error, OSError) else error
        raise NasiconError(f"{target}: cannot be written ({reason})") from None
