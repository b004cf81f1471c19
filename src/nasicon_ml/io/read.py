"""Find out where a table is and in which format, and read it."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from nasicon_ml.errors import UnreadableFileError, nearest
from nasicon_ml.io.csv import read_csv
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
