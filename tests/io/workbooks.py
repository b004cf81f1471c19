"""Builders of small workbooks from their XML parts, because no library writes invalid ones."""

from __future__ import annotations

import io
import zipfile
from xml.sax.saxutils import escape

_TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
_LINKS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_KIND = "application/vnd.openxmlformats-officedocument.spreadsheetml"

Cell = str | float | bool | None


def zipped(parts: dict[str, str]) -> bytes:
    """Return a zip archive of the parts, given as name and text."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def xlsx_of(sheets: dict[str, str]) -> bytes:
    """Return an .xlsx workbook with sheets given by name and the XML of their rows."""
    numbers = range(1, len(sheets) + 1)
    kinds = "".join(
        f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{_KIND}.worksheet+xml"/>' for n in numbers
    )
    names = "".join(
        f'<sheet name="{name}" sheetId="{n}" r:id="rId{n}"/>' for n, name in zip(numbers, sheets, strict=True)
    )
    links = "".join(
        f'<Relationship Id="rId{n}" Type="{_OFFICE}/worksheet" Target="worksheets/sheet{n}.xml"/>' for n in numbers
    )
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_TYPES}"><Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_KIND}.sheet.main+xml"/>{kinds}</Types>',
        "_rels/.rels": f'<Relationships xmlns="{_LINKS}"><Relationship Id="rId1" Type="{_OFFICE}/officeDocument"'
        ' Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{names}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_LINKS}">{links}</Relationships>',
    }
    for n, rows in zip(numbers, sheets.values(), strict=True):
        sheet = f'<worksheet xmlns="{_MAIN}"><sheetData>{rows}</sheetData></worksheet>'
        parts[f"xl/worksheets/sheet{n}.xml"] = sheet
    return zipped(parts)


def xlsx(*tables: list[list[Cell]]) -> bytes:
    """Return an .xlsx workbook with one sheet per table, named Sheet1, Sheet2, ..."""
    return xlsx_of({f"Sheet{number}": _xlsx_rows(table) for number, table in enumerate(tables, start=1)})


def _xlsx_rows(table: list[list[Cell]]) -> str:
    rows = []
    for number, row in enumerate(table, start=1):
        cells = "".join(
            _xlsx_cell(f"{chr(64 + column)}{number}", cell) for column, cell in enumerate(row, start=1)
        )
        rows.append(f'<row r="{number}">{cells}</row>')
    return "".join(rows)


def _xlsx_cell(reference: str, cell: Cell) -> str:
    if cell is None:
        return f'<c r="{reference}"/>'
    if isinstance(cell, str) and cell == "#N/A":
        return f'<c r="{reference}" t="e"><v>{cell}</v></c>'
    if isinstance(cell, str):
        return f'<c r="{reference}" t="inlineStr"><is><t>{escape(cell)}</t></is></c>'
    return (
        f'<c r="{reference}" t="b"><v>{cell:d}</v></c>'
        if isinstance(cell, bool)
        else f'<c r="{reference}"><v>{cell}</v></c>'
    )


def ods(table: list[list[Cell]], after: str = "") -> bytes:
    """Return an .ods workbook; `after` is XML that follows its rows."""
    rows = "".join(f"<table:table-row>{''.join(map(_ods_cell, row))}</table:table-row>" for row in table)
    space = "urn:oasis:names:tc:opendocument:xmlns"
    content = (
        f'<office:document-content xmlns:office="{space}:office:1.0" xmlns:table="{space}:table:1.0"'
        f' xmlns:text="{space}:text:1.0"><office:body><office:spreadsheet><table:table table:name="Pellets">'
        f"{rows}{after}</table:table></office:spreadsheet></office:body></office:document-content>"
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    entry = f'<m:file-entry m:full-path="/" m:media-type="{kind}"/>'
    manifest = f'<m:manifest xmlns:m="{space}:manifest:1.0">{entry}</m:manifest>'
    return zipped({"mimetype": kind, "META-INF/manifest.xml": manifest, "content.xml": content})


def _ods_cell(cell: Cell) -> str:
    if cell is None:
        return "<table:table-cell/>"
    if isinstance(cell, bool):
        return f'<table:table-cell office:value-type="boolean" office:boolean-value="{str(cell).lower()}"/>'
    if isinstance(cell, str):
        return f'<table:table-cell office:value-type="string"><text:p>{escape(cell)}</text:p></table:table-cell>'
    return f'<table:table-cell office:value-type="float" office:value="{cell}"/>'
