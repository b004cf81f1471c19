"""Reads CSV, and recognises what spreadsheets write instead."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from nasicon_ml.columns import Column
from nasicon_ml.errors import UnreadableFileError
from nasicon_ml.tables.even_rows import read_even_rows
from nasicon_ml.tables.guarded import unguarded
from nasicon_ml.tables.limits import MAX_ROWS, refuse_shape
from nasicon_ml.tables.raw import RESAVE, RawTable, decode, refuse_repeated

_NUMBER = re.compile(r"[+-]?\d+([.,]\d*)?([eE][+-]?\d+)?")
_DECIMAL_COMMA = re.compile(r"(?:^|[;\t])\s*[+-]?\d+,\d+\s*(?=$|[;\t])")


def read_csv(data: bytes, name: str) -> RawTable:
    """Read a CSV: commas, UTF-8, one header, points in decimals. Blank rows are skipped, short ones filled up.

    The apostrophe by which a cell is marked as text (`nasicon_ml.tables.guarded`) is taken away.

    Raises
    ------
    UnreadableFileError
        If it is not such a file; the message says where and what to do.
    """
    text = decode(data, name)
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
    refuse_shape(0, len(header), name)
    even = read_even_rows(text, header_line, len(header))
    if even is not None:
        columns, lines = even
        frame = pd.DataFrame(dict(enumerate(columns)), dtype="object")
        frame.columns = pd.Index(header, dtype="object")
        table = RawTable(frame, lines, name)
    else:
        table = _row_by_row(records, header, name)
    return replace(table, frame=table.frame.map(unguarded)) if "'" in text else table


def _row_by_row(records: Iterator[tuple[int, list[str]]], header: list[str], name: str) -> RawTable:
    """Read the rows below the header, whatever they look like."""
    width = len(header)
    rows: list[list[str]] = []
    lines: list[int] = []
    for line, cells in records:
        if len(cells) > width and any(cell.strip() for cell in cells[width:]):
            raise UnreadableFileError(
                f"{name}, line {line}: {len(cells)} cells, but the header names {width} columns."
                f" {_surplus_hint(cells)}"
            )
        rows.append(cells if len(cells) == width else cells[:width] + [""] * (width - len(cells)))
        lines.append(line)
        if len(rows) > MAX_ROWS:
            refuse_shape(len(rows), width, name)
    frame = pd.DataFrame(rows, columns=header, dtype="object")
    return RawTable(frame, np.asarray(lines, dtype=np.int64), name)


def _records(text: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """Give each row that is not blank, with the line where it begins."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
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


def _check_separator(text: str, header: list[str], name: str) -> None:
    first = ",".join(header)
    for separator, word in ((";", "semicolons"), ("\t", "tabs")):
        if first.count(separator) > first.count(","):
            commas = " Its decimal commas must become points, too." if _has_decimal_commas(text) else ""
            raise UnreadableFileError(
                f"{name}: the columns are separated by {word}; separate them by commas.{commas} {RESAVE}"
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
    refuse_repeated(header, f"{name}, line {line}")
    for position, cell in enumerate(header, start=1):
        if not cell:
            raise UnreadableFileError(f"{name}, line {line}: column {position} has no name")


def _surplus_hint(cells: list[str]) -> str:
    whole = any(
        re.fullmatch(r"\s*[+-]?\d+", left) and re.fullmatch(r"\d+\s*", right)
        for left, right in itertools.pairwise(cells)
    )
    if whole:
        return "If these are decimal commas, write decimals with a point."
    return "Put text that holds a comma in double quotes."
