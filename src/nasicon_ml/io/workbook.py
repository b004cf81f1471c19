"""Read workbooks (.xlsx, .ods): the cells of one sheet, as values. Nothing in them is executed."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from dataclasses import replace
from typing import Any
from xml.parsers import expat

import numpy as np
import pandas as pd

from nasicon_ml.checks import listed
from nasicon_ml.errors import UnreadableFileError, nearest
from nasicon_ml.io.headers import find_header, is_remark, without_index
from nasicon_ml.io.raw import RawTable, refuse_shape

#: Bytes of a workbook, unpacked: a sheet of a million cells has some 50 million.
MAX_UNPACKED = 200_000_000
#: Cells of the rectangle that a sheet fills. One cell in each corner would fill the memory.
MAX_SHEET_CELLS = 10_000_000
_PIECE = 1 << 20
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, expat.ExpatError)
_FILLED = {"v", "is", "f", "p"}


def is_workbook(data: bytes) -> bool:
    """Whether bytes are an archive with a workbook in it, or an old workbook."""
    return data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0"))


def read_workbook(data: bytes, name: str, sheet: str | None = None) -> RawTable:
    """Read one sheet of a workbook.

    A sheet is chosen by name or number (from 1), by default the first. Cells are text, numbers, truth values or
    dates, empty ones empty text; lines are the rows of the sheet.

    Raises
    ------
    UnreadableFileError
        If it is no workbook, too large when unpacked, or has no such sheet.
    """
    from python_calamine import CalamineError, CalamineWorkbook

    _check_archive(data, name)
    try:
        with CalamineWorkbook.from_filelike(io.BytesIO(data)) as workbook:
            chosen, notes = _sheet(workbook.sheet_names, sheet, name)
            found = workbook.get_sheet_by_name(chosen)
            cells, merged = found.to_python(skip_empty_area=False), found.merged_cell_ranges or []
    except CalamineError as error:
        raise UnreadableFileError(f"{name}: not a workbook that can be read ({error})") from None
    for (top, left), (bottom, right) in merged:  # one formula beside the firings of several pellets
        for row in range(top + 1, min(bottom + 1, len(cells)) if left == right else top):
            cells[row][left] = cells[top][left]
    return _table(cells, RawTable(pd.DataFrame(), None, name, notes))


def _sheet(names: list[str], asked: str | None, name: str) -> tuple[str, tuple[str, ...]]:
    """Return which sheet is read, and what there is to say about the choice."""
    if not names:
        raise UnreadableFileError(f"{name}: there is no sheet in it")
    if asked is None:
        if len(names) == 1:
            return names[0], ()
        others = ", ".join(names[1:6])
        return names[0], (f"sheet {names[0]!r} is read, the first of {len(names)}; others: {others}",)
    if asked in names:
        return asked, ()
    if asked.isdecimal() and 1 <= int(asked) <= len(names):
        return names[int(asked) - 1], ()
    raise UnreadableFileError(
        f"{name}: there is no sheet {asked!r}; allowed: {', '.join(names[:20])}. {nearest(asked, names)}".strip()
    )


def _table(cells: list[list[Any]], table: RawTable) -> RawTable:
    """Find the header, and return what stands below it; cells without a name above them are passed over."""
    filled = [(line, row) for line, row in enumerate(cells, start=1) if any(cell != "" for cell in row)]
    texts = ((line, [str(cell) for cell in row]) for line, row in filled)
    top, header, notes, _ = find_header(texts, table.name, nameless=True)
    below = [(line, row) for line, row in filled if line > top]
    refuse_shape(len(below), len(header), table.name)
    remarks = [line for line, row in below if is_remark([str(cell) for cell in row[: len(header)]], header)]
    if remarks:
        notes.append(f"{listed(remarks, 'row')} passed over as remarks (#)")
    kept = [(line, row) for line, row in below if line not in set(remarks)]
    named = [place for place, name in enumerate(header) if name or place == 0]
    width = max((len(row) for _, row in kept), default=0)
    if any(row[place] != "" for _, row in kept for place in set(range(width)) - set(named)):
        notes.append("cells in columns without a name passed over")
    columns = {place: [_plain(row[place]) for _, row in kept] for place in named}
    frame = pd.DataFrame(columns, dtype="object").set_axis([header[place] for place in named], axis="columns")
    lines = np.array([line for line, _ in kept], dtype=np.int64)
    return without_index(replace(table, frame=frame, lines=lines).noting(*notes))


def _plain(cell: Any) -> Any:
    """Return a whole number as one: a sheet knows only numbers with decimals."""
    return int(cell) if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53 else cell


def _check_archive(data: bytes, name: str) -> None:
    """Refuse what is no workbook, or would fill the memory when unpacked or as a rectangle of cells."""
    if not data.startswith(b"PK"):
        raise UnreadableFileError(
            f"{name}: an old workbook (.xls), or one with a password; save it as .xlsx, without a password"
        )
    left = MAX_UNPACKED
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())
            if not names & {"xl/workbook.xml", "content.xml"}:
                raise UnreadableFileError(f"{name}: not a workbook; allowed: .xlsx and .ods")
            for member in archive.infolist():
                reader = _Extent(name) if member.filename.endswith(".xml") else None
                with archive.open(member) as file:
                    while piece := file.read(_PIECE):
                        left -= len(piece)
                        if left < 0:
                            raise UnreadableFileError(
                                f"{name}: more than the {MAX_UNPACKED} bytes that are read when unpacked; split it"
                            )
                        if reader is not None:
                            reader.parser.Parse(piece, False)
    except _BROKEN as error:
        raise UnreadableFileError(f"{name}: not a workbook that can be read ({error})") from None


class _Extent:
    """Follows the rows and cells of a sheet, and refuses it where its filled cells span too large a rectangle."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.row = self.column = self.rows = self.columns = 0
        self.row_span = self.column_span = 1
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EntityDeclHandler = self._refuse_entity

    def _refuse_entity(self, *_: Any) -> None:
        raise UnreadableFileError(f"{self.name}: not a workbook (it declares entities)")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        kind = tag.rpartition(":")[2]
        if kind in {"table", "sheetData"}:
            self.row = self.column = self.rows = self.columns = 0
            self.row_span = self.column_span = 1
        elif kind in {"row", "table-row"}:
            self.row, self.column = self.row + self.row_span, 0
            self.row_span, self.column_span = _count(attributes, "table:number-rows-repeated"), 1
            if kind == "row":
                self.row = _count(attributes, "r", self.row)
        elif kind in {"c", "table-cell", "covered-table-cell"}:
            self.column += self.column_span
            self.column_span = _count(attributes, "table:number-columns-repeated")
            if place := re.fullmatch(r"([A-Za-z]+)(\d+)", attributes.get("r", "")):
                self.row, self.column = int(place[2][:9]), _number(place[1])
            if "office:value-type" in attributes:
                self._fill()
        elif kind in _FILLED:
            self._fill()

    def _fill(self) -> None:
        self.rows = max(self.rows, self.row + self.row_span - 1)
        self.columns = max(self.columns, self.column + self.column_span - 1)
        if self.rows * self.columns > MAX_SHEET_CELLS:
            raise UnreadableFileError(
                f"{self.name}: a sheet reaches to row {self.rows} and column {self.columns}, and {MAX_SHEET_CELLS}"
                " cells are the most that are read; delete what stands far from the table, or save it as CSV"
            )


def _count(attributes: dict[str, str], name: str, otherwise: int = 1) -> int:
    text = attributes.get(name, "")
    return int(text[:9]) if text.isdecimal() else otherwise


def _number(letters: str) -> int:
    """Return the number of a column from its letters: A is 1, AA is 27."""
    number = 0
    for letter in letters.upper()[:6]:
        number = 26 * number + ord(letter) - 64
    return number
