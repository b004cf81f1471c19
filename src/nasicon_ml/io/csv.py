"""Read CSV files as people and spreadsheets write them."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import math
import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.arrays import Floats, Mask, Strings
from nasicon_ml.checks import join_numbers
from nasicon_ml.errors import UnreadableFileError
from nasicon_ml.io.headers import (
    MAX_HEADER_ROWS,
    NumberedRows,
    count_known_names,
    drop_index_column,
    find_header,
    is_comment,
)
from nasicon_ml.io.raw import MAX_ROWS, RawTable, check_cell_count, check_shape, decode

#: Separators of cells that are recognized, with their names.
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
#: A first line that tells Excel the separator.
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\r?\n', re.IGNORECASE)
#: The separator is guessed from this many characters.
_SAMPLE_CHARACTERS = 20_000


def read_csv(data: bytes, name: str) -> RawTable:
    """Read a CSV file: UTF-8, cells separated by commas, semicolons, tabs or bars, one header.

    Blank rows and lines that begin with # are skipped, and short rows are padded. The apostrophe of
    `escape_spreadsheet_formula` is removed.

    Raises
    ------
    UnreadableFileError
        If the file is not such a CSV; the message names the line and a remedy.
    """
    text = decode(data, name)
    if separator_line := _SEPARATOR_LINE.match(text):
        text = "\n" + text[separator_line.end() :]
    separator = separator_line[1] if separator_line else _guess_separator(text)
    if separator not in SEPARATORS:
        raise UnreadableFileError(
            f"{name}, line 1: {separator!r} separates no columns; allowed: {', '.join(SEPARATORS.values())}"
        )
    header_line, header, notes, rows = find_header(_nonblank_rows(text, name, separator), name)
    check_shape(0, len(header), name)
    check_cell_count(text.count(separator), name)
    unquoted_rows = read_unquoted_rows(text, header_line, len(header), separator)
    if unquoted_rows is not None:
        columns, lines = unquoted_rows
        frame = pd.DataFrame(dict(enumerate(columns)), dtype="object")
        frame.columns = pd.Index(header, dtype="object")
    else:
        cells, lines, comment_lines = _read_rows(rows, header, name, separator)
        frame = pd.DataFrame(cells, columns=header, dtype="object")
        if comment_lines:
            notes.append(f"{join_numbers(comment_lines, 'line')} skipped as comments (#)")
    if re.search(rf"(?:^|[\"\r\n{re.escape(separator)}])'", text):
        frame = frame.map(unescape_spreadsheet_formula)
    if separator != ",":
        notes.append(f"columns separated by {SEPARATORS[separator]}")
    return drop_index_column(RawTable(frame, lines, name, tuple(notes)))


def _read_rows(
    rows: NumberedRows, header: list[str], name: str, separator: str
) -> tuple[list[list[str]], Lines, list[int]]:
    """Return the cells of the rows below the header, their lines, and the lines of comments."""
    width = len(header)
    table: list[list[str]] = []
    lines: list[int] = []
    comment_lines: list[int] = []
    for line, cells in rows:
        if is_comment(cells, header):
            comment_lines.append(line)
            continue
        if len(cells) > width and any(cell.strip() for cell in cells[width:]):
            raise UnreadableFileError(
                f"{name}, line {line}: {len(cells)} cells, but the header names {width} columns."
                f" {_surplus_hint(cells, separator)}"
            )
        table.append(cells if len(cells) == width else cells[:width] + [""] * (width - len(cells)))
        lines.append(line)
        if len(table) > MAX_ROWS:
            check_shape(len(table), width, name)
    return table, np.asarray(lines, dtype=np.int64), comment_lines


def _nonblank_rows(text: str, name: str, separator: str) -> NumberedRows:
    """Yield the line where each row begins, and its cells, for rows that are not blank."""
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


def _guess_separator(text: str) -> str:
    """Return the separator that splits off the most known column names in one row, or else the most cells."""

    def score(separator: str) -> tuple[int, int]:
        scores = [(0, 0)]
        with contextlib.suppress(csv.Error):
            reader = csv.reader(io.StringIO(text[:_SAMPLE_CHARACTERS], newline=""), delimiter=separator)
            for cells in itertools.islice(filter(any, reader), MAX_HEADER_ROWS):
                scores.append((count_known_names(cells), len(cells) if len(scores) == 1 and len(cells) > 1 else 0))
        return max(scores)

    return max(SEPARATORS, key=score)


def _surplus_hint(cells: list[str], separator: str) -> str:
    has_decimal_comma = separator == "," and any(
        re.fullmatch(r"\s*[+-]?\d+", left) and re.fullmatch(r"\d+\s*", right)
        for left, right in itertools.pairwise(cells)
    )
    if has_decimal_comma:
        return "If these are decimal commas, write decimals with a point."
    return f"Put text that holds a {'comma' if separator == ',' else 'separator'} in double quotes."


Lines = NDArray[np.int64]
#: A file with more short rows than this is read row by row.
_MAX_SHORT_ROWS = 10_000


def read_unquoted_rows(
    text: str, header_line: int, column_count: int, separator: str = ","
) -> tuple[list[Strings], Lines] | None:
    """Read the rows below the header with the fast parser of pandas.

    Return the cells of each column and the line of each row, from 1, without blank rows; None if the text has
    quotation marks, comments or rows longer than the header.
    """
    if '"' in text or "\n#" in text or "\r#" in text or column_count < 1:
        return None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    data = text.encode("utf-8")
    starts, ends = _line_offsets(data, header_line)
    if not len(starts):
        return [np.zeros(0, dtype="object")] * column_count, np.zeros(0, dtype=np.int64)
    separators = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord(separator))
    counts = np.searchsorted(separators, ends) - np.searchsorted(separators, starts)
    is_filled = ends > starts
    missing = np.where(is_filled, column_count - 1 - counts, 0)
    # The csv module reports rows that are too long and cells beyond its size limit.
    if (
        missing.min() < 0
        or np.count_nonzero(missing) > _MAX_SHORT_ROWS
        or (ends - starts).max() > csv.field_size_limit()
    ):
        return None
    padded = _pad_short_rows(data, ends, missing, separator)
    columns = [column[is_filled] for column in _parse_rows(padded[starts[0] :], column_count, separator)]
    is_stated = ~_blank_rows(columns)
    lines = header_line + 1 + np.flatnonzero(is_filled)[is_stated]
    return [column[is_stated] for column in columns], lines.astype(np.int64)


def _line_offsets(data: bytes, header_line: int) -> tuple[Lines, Lines]:
    """Return the byte offsets at which the lines below the header begin and end."""
    line_feeds = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n")).astype(np.int64)
    ends = line_feeds if data.endswith(b"\n") else np.append(line_feeds, len(data))
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64)
    return starts[header_line:], ends[header_line:]


def _pad_short_rows(data: bytes, ends: Lines, missing: Lines, separator: str) -> bytes:
    """Return the data with the missing separators appended to each short line."""
    pieces, position = [], 0
    for line in np.flatnonzero(missing).tolist():
        end = int(ends[line])
        pieces += [data[position:end], separator.encode() * int(missing[line])]
        position = end
    return b"".join([*pieces, data[position:]]) if pieces else data


def _parse_rows(data: bytes, column_count: int, separator: str) -> list[Strings]:
    """Return the cells of each column; an empty line is a row of empty cells."""
    frame = pd.read_csv(
        io.BytesIO(data), sep=separator, header=None, names=range(column_count), index_col=False, dtype="object",
        na_filter=False, quoting=csv.QUOTE_NONE, skip_blank_lines=False, engine="c", low_memory=False,
        lineterminator="\n", encoding="utf-8",
    )  # fmt: skip
    return [frame[name].to_numpy(dtype="object") for name in frame.columns]


def _blank_rows(columns: list[Strings]) -> Mask:
    rows = np.arange(len(columns[0]))
    for column in columns:
        rows = rows[[not cell.strip() for cell in column[rows]]]
        if not len(rows):
            break
    is_blank = np.zeros(len(columns[0]), dtype=bool)
    is_blank[rows] = True
    return is_blank


_FORMULA_STARTS = "=+\\-@\uff1d\uff0b\uff0d\uff20\t\r"
_SPREADSHEET_FORMULA = re.compile(rf"['\s]*[{_FORMULA_STARTS}]")
_ESCAPED_FORMULA = re.compile(rf"'['\s]*[{_FORMULA_STARTS}]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def escape_spreadsheet_formula(cell: object) -> object:
    """Return a cell with an apostrophe in front if a spreadsheet would evaluate it as a formula."""
    if isinstance(cell, str) and _SPREADSHEET_FORMULA.match(cell) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def unescape_spreadsheet_formula(cell: str) -> str:
    """Return a cell without the apostrophe of `escape_spreadsheet_formula`."""
    return cell[1:] if _ESCAPED_FORMULA.match(cell) else cell


def read_exact_csv(text: str, *headers: Sequence[str]) -> dict[str, list[str]]:
    """Return the cells of each column of a CSV whose header is one of `headers`; nothing is guessed.

    Raises
    ------
    ValueError
        If the header is another, or a row has too few or too many cells; the message names the line.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        if header not in map(list, headers):
            raise ValueError(f"line 1: the columns are not the {len(headers[0])} that are expected")
        rows = []
        for row in reader:
            if len(row) != len(header):
                raise ValueError(f"line {reader.line_num}: {len(row)} cells instead of {len(header)}")
            rows.append(row)
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from None
    if not rows:
        return {name: [] for name in header}
    return {name: list(cells) for name, cells in zip(header, zip(*rows, strict=True), strict=True)}


def to_numbers(cells: Sequence[str], name: str, *, may_be_missing: bool) -> Floats:
    """Return the cells of a column as numbers, empty ones as NaN; shape (n,).

    Raises
    ------
    ValueError
        If a cell is not a number, or is empty without `may_be_missing`; the message names the row.
    """
    try:
        numbers = np.array([float(cell) if cell else np.nan for cell in cells], dtype=np.float64)
    except ValueError:
        numbers = np.array([0.0 if _is_number(cell) else np.nan for cell in cells])
    must_be_number = np.array([bool(cell) for cell in cells], dtype=bool) if may_be_missing else True
    wrong_rows = np.flatnonzero(np.isnan(numbers) & must_be_number)
    if len(wrong_rows):
        row = wrong_rows[0]
        raise ValueError(f"{name}, row {row + 1}: {cells[row][:40]!r} is not a number")
    return numbers


def _is_number(cell: str) -> bool:
    try:
        return not math.isnan(float(cell))
    except ValueError:
        return False
