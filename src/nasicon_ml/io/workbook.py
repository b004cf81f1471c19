"""Read the values of one sheet of a workbook (.xlsx, .ods). Nothing in it is executed."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from typing import Any
from xml.parsers import expat

import numpy as np
import pandas as pd

from nasicon_ml.checks import join_numbers
from nasicon_ml.errors import UnreadableFileError, nearest
from nasicon_ml.io.headers import drop_index_column, find_header, is_comment
from nasicon_ml.io.raw import RawTable, check_shape

#: Bytes of a decompressed workbook; a sheet of a million cells has some 50 million.
MAX_UNPACKED = 200_000_000
#: Cells of the rectangle that a sheet spans; two cells in opposite corners could fill the memory.
MAX_SHEET_CELLS = 10_000_000
_CHUNK_BYTES = 1 << 20
_ARCHIVE_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, expat.ExpatError)
#: XML elements with the value of a cell.
_CONTENT_ELEMENTS = {"v", "is", "f", "p"}


def is_workbook(data: bytes) -> bool:
    """Return whether data begin like a ZIP archive or an old workbook (.xls)."""
    return data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0"))


def read_workbook(data: bytes, name: str, sheet: str | None = None) -> RawTable:
    """Read one sheet of a workbook.

    `sheet` is its name or number from 1, by default the first. Cells are text (empty for empty cells), numbers,
    booleans or dates; lines are the rows of the sheet.

    Raises
    ------
    UnreadableFileError
        If it is not a workbook, is too large when decompressed, or has no such sheet.
    """
    from python_calamine import CalamineError, CalamineWorkbook

    _check_archive(data, name)
    try:
        with CalamineWorkbook.from_filelike(io.BytesIO(data)) as workbook:
            sheet_name, notes = _select_sheet(workbook.sheet_names, sheet, name)
            selected = workbook.get_sheet_by_name(sheet_name)
            cells, merged = selected.to_python(skip_empty_area=False), selected.merged_cell_ranges or []
    except CalamineError as error:
        raise UnreadableFileError(f"{name}: not a workbook that can be read ({error})") from None
    for (top, left), (bottom, right) in merged:  # such as one formula for several pellets
        for row in range(top + 1, min(bottom + 1, len(cells)) if left == right else top):
            cells[row][left] = cells[top][left]
    return _table_below_header(cells, name, notes)


def _select_sheet(names: list[str], requested: str | None, name: str) -> tuple[str, list[str]]:
    """Return the name of the sheet to read, and notes on the choice."""
    if not names:
        raise UnreadableFileError(f"{name}: there is no sheet in it")
    if requested is None:
        if len(names) == 1:
            return names[0], []
        others = ", ".join(names[1:6])
        return names[0], [f"sheet {names[0]!r} is read, the first of {len(names)}; others: {others}"]
    if requested in names:
        return requested, []
    if requested.isdecimal() and 1 <= int(requested) <= len(names):
        return names[int(requested) - 1], []
    hint = nearest(requested, names)
    raise UnreadableFileError(
        f"{name}: there is no sheet {requested!r}; allowed: {', '.join(names[:20])}. {hint}".strip()
    )


def _table_below_header(cells: list[list[Any]], name: str, sheet_notes: list[str]) -> RawTable:
    """Return the table below the header, without the columns that have no name."""
    filled = [(line, row) for line, row in enumerate(cells, start=1) if any(cell != "" for cell in row)]
    texts = ((line, [str(cell) for cell in row]) for line, row in filled)
    header_line, header, notes, _ = find_header(texts, name, allow_unnamed=True)
    below = [(line, row) for line, row in filled if line > header_line]
    check_shape(len(below), len(header), name)
    comments = {line for line, row in below if is_comment([str(cell) for cell in row[: len(header)]], header)}
    if comments:
        notes.append(f"{join_numbers(sorted(comments), 'row')} skipped as comments (#)")
    rows = [(line, row) for line, row in below if line not in comments]
    named = [position for position, column_name in enumerate(header) if column_name or position == 0]
    width = max((len(row) for _, row in rows), default=0)
    if any(row[position] != "" for _, row in rows for position in set(range(width)) - set(named)):
        notes.append("cells in columns without a name skipped")
    columns = {position: [_whole_number(row[position]) for _, row in rows] for position in named}
    frame = pd.DataFrame(columns, dtype="object").set_axis(
        [header[position] for position in named], axis="columns"
    )
    lines = np.array([line for line, _ in rows], dtype=np.int64)
    return drop_index_column(RawTable(frame, lines, name, (*sheet_notes, *notes)))


def _whole_number(cell: Any) -> Any:
    """Return a cell, as an int if it is a float without decimals: sheets have no other numbers."""
    return int(cell) if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53 else cell


def _check_archive(data: bytes, name: str) -> None:
    """Raise `UnreadableFileError` if data are not a workbook, or are too large when decompressed or as cells."""
    if not data.startswith(b"PK"):
        raise UnreadableFileError(
            f"{name}: an old workbook (.xls), or one with a password; save it as .xlsx, without a password"
        )
    remaining = MAX_UNPACKED
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())
            if not names & {"xl/workbook.xml", "content.xml"}:
                raise UnreadableFileError(f"{name}: not a workbook; allowed: .xlsx and .ods")
            for member in archive.infolist():
                sheet = _SheetParser(name) if member.filename.endswith(".xml") else None
                with archive.open(member) as file:
                    while chunk := file.read(_CHUNK_BYTES):
                        remaining -= len(chunk)
                        if remaining < 0:
                            raise UnreadableFileError(
                                f"{name}: more than the {MAX_UNPACKED} bytes that are read when unpacked; split it"
                            )
                        if sheet is not None:
                            sheet.parser.Parse(chunk, False)
    except _ARCHIVE_ERRORS as error:
        raise UnreadableFileError(f"{name}: not a workbook that can be read ({error})") from None


class _SheetParser:
    """Follows the rows and cells of a sheet, and refuses it if its filled cells span too large a rectangle."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._reset()
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._start_element
        self.parser.EntityDeclHandler = self._refuse_entity

    def _reset(self) -> None:
        self.row = self.column = self.last_row = self.last_column = 0
        self.row_span = self.column_span = 1

    def _refuse_entity(self, *_: Any) -> None:
        raise UnreadableFileError(f"{self.name}: not a workbook (it declares entities)")

    def _start_element(self, tag: str, attributes: dict[str, str]) -> None:
        element = tag.rpartition(":")[2]
        if element in {"table", "sheetData"}:
            self._reset()
        elif element in {"row", "table-row"}:
            self.row, self.column = self.row + self.row_span, 0
            self.row_span, self.column_span = _integer(attributes, "table:number-rows-repeated"), 1
            if element == "row":
                self.row = _integer(attributes, "r", self.row)
        elif element in {"c", "table-cell", "covered-table-cell"}:
            self.column += self.column_span
            self.column_span = _integer(attributes, "table:number-columns-repeated")
            if match := re.fullmatch(r"([A-Za-z]+)(\d+)", attributes.get("r", "")):
                self.row, self.column = int(match[2][:9]), _column_number(match[1])
            if "office:value-type" in attributes:
                self._fill_cell()
        elif element in _CONTENT_ELEMENTS:
            self._fill_cell()

    def _fill_cell(self) -> None:
        self.last_row = max(self.last_row, self.row + self.row_span - 1)
        self.last_column = max(self.last_column, self.column + self.column_span - 1)
        if self.last_row * self.last_column > MAX_SHEET_CELLS:
            raise UnreadableFileError(
                f"{self.name}: a sheet reaches to row {self.last_row} and column {self.last_column}, and"
                f" {MAX_SHEET_CELLS} cells are the most that are read; delete cells far from the table, or"
                " save it as CSV"
            )


def _integer(attributes: dict[str, str], name: str, default: int = 1) -> int:
    text = attributes.get(name, "")
    return int(text[:9]) if text.isdecimal() else default


def _column_number(letters: str) -> int:
    """Return the number of a column with these letters: A is 1, AA is 27."""
    number = 0
    for letter in letters.upper()[:6]:
        number = 26 * number + ord(letter) - 64
    return number
