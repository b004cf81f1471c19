"""Read CSV files as people and spreadsheets write them."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.checks import listed
from nasicon_ml.errors import UnreadableFileError
from nasicon_ml.io.headers import MOST_ABOVE, find_header, is_remark, known_names, without_index
from nasicon_ml.io.raw import MAX_ROWS, RawTable, decode, refuse_cells, refuse_shape

#: What may stand between the cells of a row.
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
#: The first line that Excel takes for the separator of the rest.
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\r?\n', re.IGNORECASE)
#: Characters of a file by which its separator is told.
_BEGINNING = 20_000


def read_csv(data: bytes, name: str) -> RawTable:
    """Read a CSV: UTF-8, cells separated by commas, semicolons, tabs or bars, one header.

    Blank rows are skipped, as are lines that begin with #; short rows are filled up. The apostrophe by which a
    cell is marked as text (`mark_as_text`) is taken away.

    Raises
    ------
    UnreadableFileError
        If it is not such a file; the message says where and what to do.
    """
    text = decode(data, name)
    if stated := _SEPARATOR_LINE.match(text):
        text = "\n" + text[stated.end() :]
    separator = stated[1] if stated else _separator(text)
    if separator not in SEPARATORS:
        raise UnreadableFileError(
            f"{name}, line 1: {separator!r} separates no columns; allowed: {', '.join(SEPARATORS.values())}"
        )
    header_line, header, notes, records = find_header(_records(text, name, separator), name)
    refuse_shape(0, len(header), name)
    refuse_cells(text.count(separator), name)
    even = read_even_rows(text, header_line, len(header), separator)
    if even is not None:
        columns, lines = even
        frame = pd.DataFrame(dict(enumerate(columns)), dtype="object")
        frame.columns = pd.Index(header, dtype="object")
        table = RawTable(frame, lines, name, tuple(notes))
    else:
        table = _row_by_row(records, RawTable(pd.DataFrame(columns=header), None, name, tuple(notes)), separator)
    if "'" in text:
        table = replace(table, frame=table.frame.map(without_text_mark))
    if separator != ",":
        table = table.noting(f"columns separated by {SEPARATORS[separator]}")
    return without_index(table)


def _row_by_row(records: Iterator[tuple[int, list[str]]], table: RawTable, separator: str) -> RawTable:
    """Read the rows below the header, whatever they look like."""
    header, name = list(table.frame.columns), table.name
    width = len(header)
    rows: list[list[str]] = []
    lines: list[int] = []
    remarks: list[int] = []
    for line, cells in records:
        if is_remark(cells, header):
            remarks.append(line)
            continue
        if len(cells) > width and any(cell.strip() for cell in cells[width:]):
            raise UnreadableFileError(
                f"{name}, line {line}: {len(cells)} cells, but the header names {width} columns."
                f" {_surplus_hint(cells, separator)}"
            )
        rows.append(cells if len(cells) == width else cells[:width] + [""] * (width - len(cells)))
        lines.append(line)
        if len(rows) > MAX_ROWS:
            refuse_shape(len(rows), width, name)
    frame = pd.DataFrame(rows, columns=header, dtype="object")
    table = replace(table, frame=frame, lines=np.asarray(lines, dtype=np.int64))
    return table.noting(f"{listed(remarks, 'line')} passed over as remarks (#)") if remarks else table


def _records(text: str, name: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each row that is not blank, with the line where it begins."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator)
    line = 1
    try:
        for cells in reader:
            if cells and (cells[0].strip() or any(cell.strip() for cell in cells)):
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise UnreadableFileError(
            f"{name}, line {line}: not a well-formed CSV row ({error}); check the quotation marks"
        ) from None


def _separator(text: str) -> str:
    """Return what separates the columns: that by which most names of ours stand in one row, or most cells."""

    def names_and_cells(separator: str) -> tuple[int, int]:
        found = [(0, 0)]
        with contextlib.suppress(csv.Error):
            reader = csv.reader(io.StringIO(text[:_BEGINNING], newline=""), delimiter=separator)
            for cells in itertools.islice(filter(any, reader), MOST_ABOVE):
                found.append((known_names(cells), len(cells) if len(found) == 1 and len(cells) > 1 else 0))
        return max(found)

    return max(SEPARATORS, key=names_and_cells)


def _surplus_hint(cells: list[str], separator: str) -> str:
    whole = separator == "," and any(
        re.fullmatch(r"\s*[+-]?\d+", left) and re.fullmatch(r"\d+\s*", right)
        for left, right in itertools.pairwise(cells)
    )
    if whole:
        return "If these are decimal commas, write decimals with a point."
    return f"Put text that holds a {'comma' if separator == ',' else 'separator'} in double quotes."


Positions = NDArray[np.int64]
Texts = NDArray[np.object_]
_FEED = 0x0A
#: A file with more short rows than this is left to the other reader.
_MOST_SHORT = 10_000


def read_even_rows(
    text: str, header_line: int, columns: int, separator: str = ","
) -> tuple[list[Texts], Positions] | None:
    """Read all rows below the header.

    Return the cells of each column, and the line of each row (the first of the file is 1); rows that are blank are
    left out. None if the file is not so plain.
    """
    if '"' in text or "\n#" in text or "\r#" in text or columns < 1:
        return None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    data = text.encode("utf-8")
    starts, ends = _lines(data, header_line)
    if not len(starts):
        return [np.zeros(0, dtype="object")] * columns, np.zeros(0, dtype=np.int64)
    marks = np.frombuffer(data, dtype=np.uint8)
    commas = np.flatnonzero(marks == ord(separator))
    counts = np.searchsorted(commas, ends) - np.searchsorted(commas, starts)
    filled = ends > starts
    missing = np.where(filled, columns - 1 - counts, 0)
    # A row that is too long is a matter for words, and a cell that never ends for the other reader's limit.
    if (
        missing.min() < 0
        or np.count_nonzero(missing) > _MOST_SHORT
        or (ends - starts).max() > csv.field_size_limit()
    ):
        return None
    cells = _cells(_filled_up(data, ends, missing, separator)[starts[0] :], columns, separator)
    cells = [column[filled] for column in cells]
    stated = ~_blank(cells)
    lines = header_line + 1 + np.flatnonzero(filled)[stated]
    return [column[stated] for column in cells], lines.astype(np.int64)


def _lines(data: bytes, header_line: int) -> tuple[Positions, Positions]:
    """Find where each line below the header begins and ends."""
    feeds = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == _FEED).astype(np.int64)
    ends = feeds if data.endswith(b"\n") else np.append(feeds, len(data))
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64)
    return starts[header_line:], ends[header_line:]


def _filled_up(data: bytes, ends: Positions, missing: Positions, separator: str) -> bytes:
    """Return the data with the missing separators added to each line that is too short."""
    pieces, position = [], 0
    for line in np.flatnonzero(missing).tolist():
        end = int(ends[line])
        pieces += [data[position:end], separator.encode() * int(missing[line])]
        position = end
    return b"".join([*pieces, data[position:]]) if pieces else data


def _cells(data: bytes, columns: int, separator: str) -> list[Texts]:
    """Read the cells of all lines, an empty line as a row of empty cells."""
    frame = pd.read_csv(
        io.BytesIO(data), sep=separator, header=None, names=range(columns), index_col=False, dtype="object",
        na_filter=False, quoting=csv.QUOTE_NONE, skip_blank_lines=False, engine="c", low_memory=False,
        lineterminator="\n", encoding="utf-8",
    )  # fmt: skip
    return [frame[name].to_numpy(dtype="object") for name in frame.columns]


def _blank(cells: list[Texts]) -> NDArray[np.bool_]:
    """Find rows without anything in them."""
    rows = np.arange(len(cells[0]))
    for column in cells:
        rows = rows[[not cell.strip() for cell in column[rows]]]
        if not len(rows):
            break
    blank = np.zeros(len(cells[0]), dtype=bool)
    blank[rows] = True
    return blank


_SIGNS = "=+\\-@\uff1d\uff0b\uff0d\uff20\t\r"
_WOULD_RUN = re.compile(rf"['\s]*[{_SIGNS}]")
_GUARDED = re.compile(rf"'['\s]*[{_SIGNS}]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def mark_as_text(cell: object) -> object:
    """Mark a cell as text that would be run; give any other as it is."""
    if isinstance(cell, str) and _WOULD_RUN.match(cell) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def without_text_mark(cell: str) -> str:
    """Return the cell without the mark."""
    return cell[1:] if _GUARDED.match(cell) else cell


def read_exact_csv(text: str, *headers: Sequence[str]) -> dict[str, list[str]]:
    """Read a CSV whose header is known, every row as long as the header; nothing is guessed.

    The first line has to name one of `headers`, in its order. Return column -> cells, all of the same length.

    Raises
    ------
    ValueError
        If the header is another, or a row has too few or too many cells; it names the line.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[list[str]] = []
    try:
        header = next(reader, [])
        if header not in [list(columns) for columns in headers]:
            raise ValueError(f"line 1: the columns are not the {len(headers[0])} that are expected")
        for row in reader:
            if len(row) != len(header):
                raise ValueError(f"line {reader.line_num}: {len(row)} cells instead of {len(header)}")
            rows.append(row)
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from None
    if not rows:
        return {name: [] for name in header}
    return {name: list(cells) for name, cells in zip(header, zip(*rows, strict=True), strict=True)}


def to_numbers(cells: Sequence[str], name: str, *, may_be_missing: bool) -> NDArray[np.float64]:
    """Convert the cells of a column into numbers, empty ones into NaN; shape (n,).

    Raises
    ------
    ValueError
        If a cell is no number, or empty where none may be missing; it names the row.
    """
    try:
        found = np.array([float(cell) if cell else np.nan for cell in cells], dtype=np.float64)
    except ValueError:
        found = np.array([np.nan if _is_not_a_number(cell) else 0.0 for cell in cells])
    stated = np.array([bool(cell) for cell in cells], dtype=bool) if may_be_missing else True
    wrong = np.flatnonzero(np.isnan(found) & stated)
    if len(wrong):
        raise ValueError(f"{name}, row {wrong[0] + 1}: {cells[wrong[0]][:40]!r} is not a number")
    return found


def _is_not_a_number(cell: str) -> bool:
    try:
        return math.isnan(float(cell))
    except ValueError:
        return True
