"""Reading of workbooks (.xlsx, .ods), and limits on their size."""

import gzip
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from nasicon_ml.errors import UnreadableFileError
from nasicon_ml.io import RawTable, read_table
from tests.io.workbooks import Cell, ods, xlsx, xlsx_of, zipped

TABLE: list[list[Cell]] = [
    ["formula", "sintering_temperature_c", "phase_pure", "pellet_id", "notes"],
    ["LATP x=0.3", 850, True, 12, "a < b"],
    [None, None, None, None, None],
    ["LAGP x=0.5", 850.5, False, 13, None],
]


def read(tmp_path: Path, data: bytes, name: str = "pellets.xlsx", sheet: str | None = None) -> RawTable:
    (tmp_path / name).write_bytes(data)
    return read_table(tmp_path / name, sheet=sheet)


def error_message(tmp_path: Path, data: bytes, name: str = "pellets.xlsx", sheet: str | None = None) -> str:
    with pytest.raises(UnreadableFileError) as caught:
        read(tmp_path, data, name, sheet)
    assert str(caught.value).startswith(str(tmp_path / name))
    return str(caught.value)


@pytest.mark.parametrize(
    ("data", "name"), [(xlsx(TABLE), "a.xlsx"), (ods(TABLE), "a.ods"), (xlsx(TABLE), "A.XLSX")]
)
def test_cells_keep_their_types_and_lines_are_row_numbers(tmp_path: Path, data: bytes, name: str) -> None:
    table = read(tmp_path, data, name)
    assert table.frame.to_dict("list") == {
        "formula": ["LATP x=0.3", "LAGP x=0.5"],
        "sintering_temperature_c": [850, 850.5],
        "phase_pure": [True, False],
        "pellet_id": [12, 13],
        "notes": ["a < b", ""],
    }
    assert str(table.frame["pellet_id"][0]) == "12"
    assert table.lines is not None
    assert table.lines.tolist() == [2, 4]
    assert table.notes == ()


def test_sheet_is_selected_by_name_or_number(tmp_path: Path) -> None:
    data = xlsx(TABLE, [["formula"], ["LTP"]])
    first = read(tmp_path, data)
    assert len(first.frame) == 2
    assert first.notes == ("sheet 'Sheet1' is read, the first of 2; others: Sheet2",)
    for sheet in ("Sheet2", "2"):
        result = read(tmp_path, data, sheet=sheet)
        assert result.frame["formula"].tolist() == ["LTP"]
        assert result.notes == ()
    message = error_message(tmp_path, data, sheet="sheet 2")
    assert "there is no sheet 'sheet 2'; allowed: Sheet1, Sheet2. Did you mean 'Sheet2'?" in message
    assert "it is not a workbook" in error_message(tmp_path, b"formula\nLTP\n", "a.csv", sheet="2")


def test_titles_comments_errors_and_unnamed_columns_are_skipped(tmp_path: Path) -> None:
    table = read(
        tmp_path,
        xlsx(
            [
                ["Pellets of March"],
                ["formula", "sintering_time_h", None, "notes"],
                ["LTP", "#N/A", "mean 3", "x"],
                ["# later"],
                ["LGP", 2],
            ]
        ),
    )
    assert table.frame.to_dict("list") == {
        "formula": ["LTP", "LGP"],
        "sintering_time_h": ["", 2],
        "notes": ["x", ""],
    }
    assert table.notes == (
        "line 1 above the header skipped",
        "row 4 skipped as comments (#)",
        "cells in columns without a name skipped",
    )


def test_merged_cell_applies_to_all_its_rows(tmp_path: Path) -> None:
    parts = {}
    with zipfile.ZipFile(
        BytesIO(xlsx([["formula", "sintering_time_h"], ["LTP", 1], [None, 2], ["LGP", 3]]))
    ) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    merged = '</sheetData><mergeCells count="1"><mergeCell ref="A2:A3"/></mergeCells>'
    parts[sheet] = parts[sheet].replace("</sheetData>", merged)
    assert read(tmp_path, zipped(parts)).frame["formula"].tolist() == ["LTP", "LTP", "LGP"]


def test_workbook_or_gzip_with_wrong_extension_is_read_and_noted(tmp_path: Path) -> None:
    table = read(tmp_path, xlsx(TABLE), "a.csv")
    assert len(table.frame) == 2
    assert table.notes == ("a workbook, in spite of its name",)
    compressed = gzip.compress(b"formula;notes\nLTP;x\n")
    assert read(tmp_path, compressed, "a.csv").notes == (
        "packed by gzip; unpacked",
        "columns separated by semicolons",
    )
    assert read(tmp_path, compressed, "a.csv.gz").notes == ("columns separated by semicolons",)
    assert "cannot be unpacked" in error_message(tmp_path, compressed[:15], "a.csv")


CELL_IN_LAST_ROW_AND_COLUMN = (
    '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
)
REPEATED_CELL = (
    '<table:table-row table:number-rows-repeated="1048576"><table:table-cell office:value-type="float"'
    ' office:value="1" table:number-columns-repeated="16384"/></table:table-row>'
)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (xlsx_of({"S": CELL_IN_LAST_ROW_AND_COLUMN}), "reaches to row 1048576 and column 16384"),
        (
            xlsx_of(
                {
                    "S": CELL_IN_LAST_ROW_AND_COLUMN.replace(' r="XFD1048576"', "").replace("1048576", "9" * 8)
                    + CELL_IN_LAST_ROW_AND_COLUMN[-50:]
                }
            ),
            "reaches to row",
        ),
        (ods(TABLE, REPEATED_CELL), "reaches to row"),
        (zipped({"xl/workbook.xml": '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'}), "declares entities"),
        (zipped({"xl/workbook.xml": "<workbook"}), "not a workbook that can be read"),
        (zipped({"readme.txt": "formula"}), "not a workbook; allowed: .xlsx and .ods"),
        (xlsx(TABLE)[:400], "not a workbook that can be read"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "an old workbook (.xls), or one with a password"),
        (xlsx([]), "the file is empty"),
        (xlsx([["formula", "formula"], ["LTP", "LGP"]]), "occurs more than once"),
    ],
    ids=lambda value: value[:25] if isinstance(value, str) else "",
)
def test_invalid_or_too_large_workbook_is_refused(tmp_path: Path, data: bytes, expected: str) -> None:
    assert expected in error_message(tmp_path, data)


def test_workbook_with_too_large_unpacked_size_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nasicon_ml.io.workbook.MAX_UNPACKED", 1_000_000)
    assert len(read(tmp_path, xlsx(TABLE)).frame) == 2
    data = xlsx_of({"S": f"<!-- {' ' * 1_000_000} -->"})
    assert len(data) < 10_000
    assert "1000000 bytes that are read when unpacked" in error_message(tmp_path, data)


def test_empty_rows_to_the_end_of_a_sheet_are_ignored(tmp_path: Path) -> None:
    """Every OpenDocument spreadsheet ends like this."""
    empty = (
        '<table:table-row table:number-rows-repeated="1048570"><table:table-cell'
        ' table:number-columns-repeated="16384"/></table:table-row>'
    )
    assert len(read(tmp_path, ods(TABLE, empty), "a.ods").frame) == 2
    formatted = xlsx_of({"S": '<row r="1"><c r="A1" t="inlineStr"><is><t>formula</t></is></c></row>'
                              '<row r="1048576"><c r="XFD1048576" s="1"/></row>'})  # fmt: skip
    assert read(tmp_path, formatted).frame.shape == (0, 1)
