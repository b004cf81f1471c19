"""Find out where a table is and in which format, and read it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from nasicon_ml.errors import UnreadableFileError, nearest
from nasicon_ml.io.csv import read_csv
from nasicon_ml.io.raw import RESAVE, RawTable, read_bytes, refuse_bytes, refuse_shape
from nasicon_ml.io.structured import read_json, read_parquet, read_yaml

#: The formats by the ending of a file's name.
FORMATS = {
    ".csv": "csv", ".json": "json", ".yaml": "yaml", ".yml": "yaml", ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip
READERS: dict[str, Callable[[bytes, str], RawTable]] = {
    "csv": read_csv,
    "json": read_json,
    "yaml": read_yaml,
    "parquet": read_parquet,
}


def read_table(path: str | Path, *, file_format: str | None = None) -> RawTable:
    """Read a table.

    Parameters
    ----------
    path
        The file, or ``-`` for standard input.
    file_format
        One of csv, json, yaml, parquet; by default told from the ending of the name and, on standard input,
        from the content.

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
    chosen = file_format or _format_of(path, data, name)
    if chosen not in READERS:
        hint = nearest(chosen, READERS)
        raise UnreadableFileError(
            f"{name}: format {chosen!r} is not known; allowed: {', '.join(READERS)}. {hint}".strip()
        )
    if not data.strip():
        raise UnreadableFileError(f"{name}: the file is empty")
    refuse_bytes(len(data), chosen, name)
    table = READERS[chosen](data, name)
    refuse_shape(*table.frame.shape, name)
    return table


def _format_of(path: str | Path, data: bytes, name: str) -> str:
    if str(path) == "-":
        return _format_of_content(data)
    ending = Path(path).suffix.lower()
    if ending in FORMATS:
        return FORMATS[ending]
    if ending in {".xls", ".xlsx", ".ods", ".numbers"}:
        raise UnreadableFileError(f"{name}: a spreadsheet; save the sheet as CSV first. {RESAVE}")
    raise UnreadableFileError(
        f"{name}: the ending {ending!r} names no known format; allowed: {', '.join(FORMATS)}"
    )


def _format_of_content(data: bytes) -> str:
    start = data.removeprefix(b"\xef\xbb\xbf").lstrip()[:4096]
    if start.startswith(b"PAR1"):
        return "parquet"
    if start.startswith((b"[", b"{")):
        return "json"
    lines = [line for line in start.splitlines() if line.strip() and not line.lstrip().startswith(b"#")]
    first = lines[0] if lines else b""
    is_yaml = first.strip() in {b"-", b"---"} or re.match(rb"\s*(- |['\"]?\w+['\"]?\s*:(\s|$))", first)
    return "yaml" if is_yaml else "csv"
