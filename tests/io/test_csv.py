"""Reading of CSV files, and the messages about files that are not valid CSV."""

import codecs
from pathlib import Path

import pytest

from nasicon_ml.errors import UnreadableFileError
from nasicon_ml.io import RawTable, read_table

GOOD = "formula,sintering_temperature_c\nLATP x=0.3,900\n"


def read(tmp_path: Path, content: str | bytes, name: str = "pellets.csv") -> RawTable:
    file = tmp_path / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table(file)


def error_message(tmp_path: Path, content: str | bytes) -> str:
    with pytest.raises(UnreadableFileError) as caught:
        read(tmp_path, content)
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "pellets.csv"))
    return message


def test_cells_are_read_as_unchanged_text(tmp_path: Path) -> None:
    table = read(tmp_path, "formula,sintering_temperature_c,atmosphere\nLTP,0900.0,NA\nLGP,,1e3\n")
    assert table.frame.to_dict("list") == {
        "formula": ["LTP", "LGP"],
        "sintering_temperature_c": ["0900.0", ""],
        "atmosphere": ["NA", "1e3"],
    }
    assert table.lines is not None
    assert table.lines.tolist() == [2, 3]


def test_line_numbers_count_empty_rows_and_line_breaks_in_cells(tmp_path: Path) -> None:
    table = read(tmp_path, '\n\nformula,notes\n\nLTP,"two\nlines"\n,\nLGP,"a, b"\r\nLZP,x\n')
    assert table.frame["notes"].tolist() == ["two\nlines", "a, b", "x"]
    assert table.lines is not None
    assert table.lines.tolist() == [5, 8, 9]  # empty rows and the second line of a cell are counted


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_all_line_endings_are_read(tmp_path: Path, end: str) -> None:
    table = read(tmp_path, GOOD.replace("\n", end))
    assert table.frame["formula"].tolist() == ["LATP x=0.3"]


def test_byte_order_mark_is_not_part_of_the_first_column_name(tmp_path: Path) -> None:
    table = read(tmp_path, codecs.BOM_UTF8 + GOOD.encode())
    assert list(table.frame.columns) == ["formula", "sintering_temperature_c"]


def test_column_names_are_stripped_and_trailing_commas_ignored(tmp_path: Path) -> None:
    table = read(tmp_path, " formula , sintering_temperature_c ,,\nLTP,900,,\nLGP,800\n")
    assert list(table.frame.columns) == ["formula", "sintering_temperature_c"]
    assert table.frame.iloc[1].tolist() == ["LGP", "800"]


def test_short_rows_are_filled_with_empty_cells(tmp_path: Path) -> None:
    table = read(tmp_path, "formula,atmosphere,notes\nLTP\n")
    assert table.frame.iloc[0].tolist() == ["LTP", "", ""]


def test_file_with_only_a_header_is_an_empty_table(tmp_path: Path) -> None:
    table = read(tmp_path, "formula,atmosphere\n")
    assert table.frame.shape == (0, 2)


def test_unicode_text_of_excel_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD.replace(",", "\t").encode("utf-16")).frame.shape == (1, 2)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_byte_order_mark_raises(tmp_path: Path, encoding: str) -> None:
    message = error_message(tmp_path, GOOD.encode(encoding))
    assert "UTF-16" in message
    assert "CSV UTF-8" in message


@pytest.mark.parametrize(("character", "byte"), [("µ", "0xb5"), ("°", "0xb0"), ("é", "0xe9")])
def test_message_about_cp1252_names_line_and_byte(tmp_path: Path, character: str, byte: str) -> None:
    content = f"formula,notes\nLTP,fine\nLGP,5 {character}m\n".encode("cp1252")
    message = error_message(tmp_path, content)
    assert f"line 3: byte {byte} is not UTF-8 (probably {character!r}" in message
    assert "CSV UTF-8" in message


def test_line_of_invalid_byte_is_correct_after_byte_order_mark(tmp_path: Path) -> None:
    assert "line 2: byte 0xb5" in error_message(tmp_path, codecs.BOM_UTF8 + b"formula\n5 \xb5m\n")


@pytest.mark.parametrize(("separator", "plural"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")])
def test_other_separators_are_read_and_noted(tmp_path: Path, separator: str, plural: str) -> None:
    rows = (["formula", "notes", "sintering_temperature_c"], ["LTP", f'"a{separator} b"', "850,5"], [], ["LGP"])
    table = read(tmp_path, "\n".join(map(separator.join, rows)))
    assert list(table.frame.columns) == ["formula", "notes", "sintering_temperature_c"]
    assert table.frame["notes"].tolist() == [f"a{separator} b", ""]
    assert table.frame["sintering_temperature_c"].tolist() == ["850,5", ""]
    assert table.notes == (f"columns separated by {plural}",)
    assert table.lines is not None
    assert table.lines.tolist() == [2, 4]


def test_commas_in_column_names_are_kept_with_semicolons(tmp_path: Path) -> None:
    table = read(tmp_path, "Composition;Sintering temperature, °C;Comment, if any\nLTP;850,5;\n")
    assert table.frame.iloc[0].tolist() == ["LTP", "850,5", ""]


@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "SEP=;"])
def test_separator_line_of_excel_is_used(tmp_path: Path, line: str) -> None:
    table = read(tmp_path, f"{line}\r\nformula;notes\r\nLTP;a,b,c\r\n")
    assert table.frame.iloc[0].tolist() == ["LTP", "a,b,c"]
    assert table.lines is not None
    assert table.lines.tolist() == [3]
    assert "separates no columns" in error_message(tmp_path, "sep=x\nformulaxnotes\n")


def test_comments_and_titles_are_skipped_and_noted(tmp_path: Path) -> None:
    text = "# by hand\nPellets of March\n\nformula,notes\n#LTP,thrown away\nLGP,fine\n# end\n"
    table = read(tmp_path, text)
    assert table.frame.to_dict("list") == {"formula": ["LGP"], "notes": ["fine"]}
    assert table.notes == (
        "lines 1 and 2 above the header skipped",
        "lines 5 and 7 skipped as comments (#)",
    )
    assert read(tmp_path, "# formula,notes\nLTP,x\n").frame["formula"].tolist() == ["LTP"]


def test_number_sign_in_keys_and_errors_does_not_start_a_comment(tmp_path: Path) -> None:
    table = read(tmp_path, "pellet_id,formula\n#1,LTP\n#2,LGP\n# the end\n")
    assert table.frame["pellet_id"].tolist() == ["#1", "#2"]
    assert read(tmp_path, "notes,formula\n#N/A,LTP\n").frame["notes"].tolist() == ["#N/A"]
    assert read(tmp_path, "#,formula\n1,LTP\n").frame.shape == (1, 2)


def test_unnamed_index_is_dropped_and_unnamed_keys_are_kept(tmp_path: Path) -> None:
    with_index = read(tmp_path, ",formula\n0,LTP\n1,LGP\n")
    assert with_index.frame.to_dict("list") == {"formula": ["LTP", "LGP"]}
    assert "index" in with_index.notes[0]
    assert list(read(tmp_path, "Unnamed: 0,formula\n0,LTP\n").frame.columns) == ["formula"]
    with_keys = read(tmp_path, ",formula\nMK12,LTP\nMK13,LGP\n")
    assert with_keys.frame["pellet_id"].tolist() == ["MK12", "MK13"]
    assert "column 1 has no name" in error_message(tmp_path, ",formula,sample\na,LTP,b\n")


def test_message_about_extra_cell_suggests_decimal_point(tmp_path: Path) -> None:
    message = error_message(tmp_path, "formula,heating_rate_c_min,atmosphere\nLTP,1,air\nLGP,2,5,air\n")
    assert "line 3: 4 cells, but the header names 3 columns" in message
    assert "write decimals with a point" in message


def test_message_about_extra_cell_suggests_quotes(tmp_path: Path) -> None:
    message = error_message(tmp_path, "formula,notes\nLTP,dense, white\n")
    assert "line 2: 3 cells" in message
    assert "double quotes" in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "the file is empty"),
        (" \n\n", "the file is empty"),
        (",,\n", "the file is empty"),
        ("formula,formula\nLTP,LGP\n", "line 1: the column 'formula' occurs more than once"),
        ("formula,,atmosphere\nLTP,1,air\n", "line 1: column 2 has no name"),
        ("Li1.3Al0.3Ti1.7(PO4)3,900,12\nLiTi2(PO4)3,850,6\n", "the first row holds data, not column names"),
        ('formula,notes\nLTP,"open\nLGP,x\n', "line 2: not a well-formed CSV row"),
        ('formula,notes\nLTP,"a"b\n', "line 2: not a well-formed CSV row"),
        ("formula\nLTP\0\n", "line 2: holds a NUL character"),
        ("formula,notes\nLTP," + "x" * 200_000 + "\n", "line 2: not a well-formed CSV row"),
    ],
    ids=lambda value: str(value)[:25],
)
def test_invalid_csv_raises(tmp_path: Path, content: str, expected: str) -> None:
    assert expected in error_message(tmp_path, content)
