"""Reads and writes tables: CSV, JSON, YAML and Parquet in; CSV, JSON and Parquet out.

Cells of a CSV stay the text a person wrote, so that the checks see it. Whatever is wrong with the file itself
is said in the words of somebody who has it open in a spreadsheet.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import re
import secrets
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nasicon_ml.columns import Column
from nasicon_ml.errors import NasiconError, UnreadableFileError, nearest

#: The formats by the ending of a file's name.
FORMATS = {
    ".csv": "csv", ".json": "json", ".yaml": "yaml", ".yml": "yaml", ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip
#: YAML is read with the slow and safe loader, and no hand writes more than this.
YAML_LIMIT_BYTES = 4_000_000
_RESAVE = "In Excel: File > Save As > 'CSV UTF-8 (Comma delimited)'."
_NUMBER = re.compile(r"[+-]?\d+([.,]\d*)?([eE][+-]?\d+)?")
_DECIMAL_COMMA = re.compile(r"(?:^|[;\t])\s*[+-]?\d+,\d+\s*(?=$|[;\t])")


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
    """

    frame: pd.DataFrame
    lines: np.ndarray | None
    name: str


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
        If there is no such file, or it is not a table in that format; the message says where and what to do.
    """
    data, name = _read_bytes(path)
    chosen = file_format or _format_of(path, data, name)
    if chosen not in _READERS:
        hint = nearest(chosen, _READERS)
        raise UnreadableFileError(
            f"{name}: format {chosen!r} is not known; allowed: {', '.join(_READERS)}. {hint}".strip()
        )
    if not data.strip():
        raise UnreadableFileError(f"{name}: the file is empty")
    return _READERS[chosen](data, name)


def _read_bytes(path: str | Path) -> tuple[bytes, str]:
    if str(path) == "-":
        return sys.stdin.buffer.read(), "standard input"
    name = str(path)
    try:
        return Path(path).read_bytes(), name
    except FileNotFoundError:
        raise UnreadableFileError(f"{name}: there is no such file. {_neighbour(Path(path))}".strip()) from None
    except IsADirectoryError:
        raise UnreadableFileError(f"{name}: this is a folder, not a file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else error
        raise UnreadableFileError(f"{name}: cannot be read ({reason})") from None


def _neighbour(path: Path) -> str:
    """Say which file of the same folder was probably meant."""
    try:
        return nearest(path.name, sorted(entry.name for entry in path.parent.iterdir()))
    except OSError:
        return ""


def _format_of(path: str | Path, data: bytes, name: str) -> str:
    if str(path) == "-":
        return _format_of_content(data)
    ending = Path(path).suffix.lower()
    if ending in FORMATS:
        return FORMATS[ending]
    if ending in {".xls", ".xlsx", ".ods", ".numbers"}:
        raise UnreadableFileError(f"{name}: a spreadsheet; save the sheet as CSV first. {_RESAVE}")
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


def _decode(data: bytes, name: str) -> str:
    """Turn bytes into text, or say which encoding they are really in."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or data[:64].count(b"\0") > len(data[:64]) // 4:
        raise UnreadableFileError(f"{name}: saved as UTF-16 ('Unicode text'); save it as UTF-8. {_RESAVE}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # Positions count from the start of the data that was decoded; utf-8-sig drops no bytes from it.
        line = data[: error.start].count(b"\n") + 1
        raise UnreadableFileError(
            f"{name}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8"
            f" (probably {_legacy_character(data[error.start])} of an older encoding); save it as UTF-8. {_RESAVE}"
        ) from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise UnreadableFileError(f"{name}, line {line}: holds a NUL character; this is not a text file")
    return text


def _legacy_character(byte: int) -> str:
    """Give the character that the byte is in Windows-1252, the usual culprit."""
    return repr(bytes([byte]).decode("cp1252", errors="replace"))


# ---------------------------------------------------------------------------------------------- CSV


def _read_csv(data: bytes, name: str) -> RawTable:
    text = _decode(data, name)
    records = _records(text, name)
    try:
        header_line, header = next(records)
    except StopIteration:
        raise UnreadableFileError(f"{name}: the file is empty") from None
    header = [cell.strip() for cell in header]
    _check_separator(text, header, name)
    while header and not header[-1]:
        header.pop()
    _check_header(header, header_line, name)
    width = len(header)
    rows: list[list[str]] = []
    lines: list[int] = []
    for line, cells in records:
        if any(cell.strip() for cell in cells[width:]):
            raise UnreadableFileError(
                f"{name}, line {line}: {len(cells)} cells, but the header names {width} columns."
                f" {_surplus_hint(cells)}"
            )
        rows.append(cells[:width] + [""] * (width - len(cells)))
        lines.append(line)
    frame = pd.DataFrame(rows, columns=header, dtype="object")
    return RawTable(frame, np.asarray(lines, dtype=np.int64), name)


def _records(text: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """Give each row that is not blank, with the line where it begins."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise UnreadableFileError(
            f"{name}, line {line}: not a well-formed CSV row ({error}); check the quotation marks"
        ) from None


def _check_separator(text: str, header: list[str], name: str) -> None:
    first = ",".join(header)
    for separator, word in ((";", "semicolons"), ("\t", "tabs")):
        if first.count(separator) > first.count(","):
            commas = " Its decimal commas must become points, too." if _has_decimal_commas(text) else ""
            raise UnreadableFileError(
                f"{name}: the columns are separated by {word}; separate them by commas.{commas} {_RESAVE}"
                " If Excel still writes semicolons, set the list separator of the system to a comma."
            )


def _has_decimal_commas(text: str) -> bool:
    return any(_DECIMAL_COMMA.search(line) for line in text[:100_000].splitlines()[1:])


def _check_header(header: list[str], line: int, name: str) -> None:
    known = set(Column)
    if not known.intersection(header) and any(_NUMBER.fullmatch(cell) for cell in header):
        raise UnreadableFileError(
            f"{name}, line {line}: the first row holds data, not column names; put the names of the columns"
            " (for example formula,sintering_temperature_c) above it"
        )
    _refuse_repeated(header, f"{name}, line {line}")
    for position, cell in enumerate(header, start=1):
        if not cell:
            raise UnreadableFileError(f"{name}, line {line}: column {position} has no name")


def _refuse_repeated(names: list[str], place: str) -> None:
    repeated = [cell for cell, count in Counter(names).items() if count > 1 and cell]
    if repeated:
        raise UnreadableFileError(f"{place}: the column {repeated[0]!r} stands more than once")


def _surplus_hint(cells: list[str]) -> str:
    whole = any(
        re.fullmatch(r"\s*[+-]?\d+", left) and re.fullmatch(r"\d+\s*", right)
        for left, right in itertools.pairwise(cells)
    )
    if whole:
        return "If these are decimal commas, write decimals with a point."
    return "Put text that holds a comma in double quotes."


# -------------------------------------------------------------------------------------- JSON and YAML


def _read_json(data: bytes, name: str) -> RawTable:
    def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        _refuse_repeated([key for key, _ in pairs], name)
        return dict(pairs)

    try:
        content = json.loads(_decode(data, name), object_pairs_hook=without_repeats)
    except json.JSONDecodeError as error:
        raise UnreadableFileError(f"{name}, line {error.lineno}: not valid JSON ({error.msg})") from None
    except (RecursionError, ValueError):  # ValueError: an integer of thousands of digits
        raise UnreadableFileError(f"{name}: not a table (nested too deeply, or an endless number)") from None
    return _table_of_items(content, name)


def _read_yaml(data: bytes, name: str) -> RawTable:
    import yaml

    if len(data) > YAML_LIMIT_BYTES:
        raise UnreadableFileError(
            f"{name}: {len(data)} bytes of YAML are more than the {YAML_LIMIT_BYTES} that are read;"
            " use CSV or Parquet"
        )

    class PlainLoader(yaml.SafeLoader):
        """The safe loader, without aliases (a few bytes of which can fill the memory) and repeated keys."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
                raise UnreadableFileError(f"{name}, line {line}: YAML aliases (*name) are not read; write it out")
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            keys = [str(key.value) for key, _ in node.value]
            _refuse_repeated(keys, f"{name}, line {node.start_mark.line + 1}")
            return dict(super().construct_mapping(node, deep=deep))

    try:
        content = yaml.load(_decode(data, name), Loader=PlainLoader)  # noqa: S506  (a SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{name}, line {mark.line + 1}" if mark else name
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "broken"
        raise UnreadableFileError(f"{place}: not valid YAML ({problem})") from None
    except (RecursionError, ValueError, TypeError):  # ValueError: a date such as 2020-13-45
        raise UnreadableFileError(f"{name}: not a table (nested too deeply, or an impossible value)") from None
    return _table_of_items(content, name)


def _table_of_items(content: object, name: str) -> RawTable:
    """Make a table of a list of objects, or of one object."""
    items: list[Any] = content if isinstance(content, list) else [content]
    if not items:
        raise UnreadableFileError(f"{name}: the list is empty")
    for number, item in enumerate(items, start=1):
        if not isinstance(item, dict):
            raise UnreadableFileError(
                f"{name}, item {number}: a {type(item).__name__} where an object with named fields is needed"
            )
    rows = [{str(key).strip(): value for key, value in item.items()} for item in items]
    frame = pd.DataFrame(rows, dtype="object", index=pd.RangeIndex(len(rows)))
    return RawTable(frame, None, name)


# ------------------------------------------------------------------------------------------- Parquet


def _read_parquet(data: bytes, name: str) -> RawTable:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else "broken"
        raise UnreadableFileError(f"{name}: not a Parquet file ({reason})") from None
    _refuse_repeated([str(column) for column in table.column_names], name)
    frame = table.to_pandas(ignore_metadata=True)
    frame.columns = pd.Index([str(column).strip() for column in frame.columns])
    return RawTable(frame.reset_index(drop=True), None, name)


_READERS: dict[str, Callable[[bytes, str], RawTable]] = {
    "csv": _read_csv,
    "json": _read_json,
    "yaml": _read_yaml,
    "parquet": _read_parquet,
}


# ------------------------------------------------------------------------------------------- writing


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
        write_text(_with_words(frame).to_csv(index=False, lineterminator="\n"), path)
    elif ending == ".json":
        write_text(table_as_json(frame), path)
    elif ending in {".parquet", ".pq"}:
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        _write_bytes(buffer.getvalue(), path)
    else:
        allowed = ".csv, .json, .parquet"
        raise NasiconError(f"{path}: the ending {ending!r} names no format to write; allowed: {allowed}")


def table_as_json(frame: pd.DataFrame) -> str:
    """Give a table as a JSON list of objects, missing cells null, with all digits."""
    plain = frame.astype("object").where(frame.notna(), None)
    return json.dumps(plain.to_dict("records"), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _with_words(frame: pd.DataFrame) -> pd.DataFrame:
    """Write flags as the words of the vocabulary instead of Python's."""

    def word(cell: object) -> object:
        return ("true" if cell else "false") if isinstance(cell, (bool, np.bool_)) else cell

    columns = {
        position: cells.astype("object").map(word) if cells.dtype.kind in "Ob" else cells
        for position, (_, cells) in enumerate(frame.items())
    }
    words = pd.DataFrame(columns, index=frame.index)
    words.columns = frame.columns
    return words


def write_text(text: str, path: str | Path) -> None:
    """Write text as UTF-8 with plain line feeds; the file appears whole or not at all.

    Raises
    ------
    NasiconError
        If the place cannot be written to.
    """
    _write_bytes(text.encode("utf-8"), path)


def _write_bytes(data: bytes, path: str | Path) -> None:
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
    except OSError as error:
        raise NasiconError(f"{target}: cannot be written ({error.strerror})") from None
