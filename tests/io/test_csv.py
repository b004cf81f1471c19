"""CSV: what is read, and what a person is told whose spreadsheet wrote something else."""

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


def complaint(tmp_path: Path, content: str | bytes) -> str:
    with pytest.raises(UnreadableFileError) as caught:
        read(tmp_path, content)
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "pellets.csv"))
    return message


def test_cells_stay_the_text_a_person_wrote(tmp_path: Path) -> None:
    table = read(tmp_path, "formula,sintering_temperature_c,atmosphere\nLTP,0900.0,NA\nLGP,,1e3\n")
    assert table.frame.to_dict("list") == {
        "formula": ["LTP", "LGP"],
        "sintering_temperature_c": ["0900.0", ""],
        "atmosphere": ["NA", "1e3"],
    }
    assert table.lines is not None
    assert table.lines.tolist() == [2, 3]


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    table = read(tmp_path, '\n\nformula,notes\n\nLTP,"two\nlines"\n,\nLGP,"a, b"\r\nLZP,x\n')
    assert table.frame["notes"].tolist() == ["two\nlines", "a, b", "x"]
    assert table.lines is not None
    assert table.lines.tolist() == [5, 8, 9]  # the rows that are empty, and the second line of a cell, count


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_all_line_ends_are_read(tmp_path: Path, end: str) -> None:
    table = read(tmp_path, GOOD.replace("\n", end))
    assert table.frame["formula"].tolist() == ["LATP x=0.3"]


def test_a_byte_order_mark_is_no_part_of_the_name(tmp_path: Path) -> None:
    table = read(tmp_path, codecs.BOM_UTF8 + GOOD.encode())
    assert list(table.frame.columns) == ["formula", "sintering_temperature_c"]


def test_names_are_trimmed_and_trailing_commas_forgiven(tmp_path: Path) -> None:
    table = read(tmp_path, " formula , sintering_temperature_c ,,\nLTP,900,,\nLGP,800\n")
    assert list(table.frame.columns) == ["formula", "sintering_temperature_c"]
    assert table.frame.iloc[1].tolist() == ["LGP", "800"]


def test_short_rows_are_filled_up(tmp_path: Path) -> None:
    table = read(tmp_path, "formula,atmosphere,notes\nLTP\n")
    assert table.frame.iloc[0].tolist() == ["LTP", "", ""]


def test_a_header_alone_is_an_empty_table(tmp_path: Path) -> None:
    table = read(tmp_path, "formula,atmosphere\n")
    assert table.frame.shape == (0, 2)


def test_what_excel_calls_unicode_text_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD.replace(",", "\t").encode("utf-16")).frame.shape == (1, 2)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_recognised(tmp_path: Path, encoding: str) -> None:
    message = complaint(tmp_path, GOOD.encode(encoding))
    assert "UTF-16" in message
    assert "CSV UTF-8" in message


@pytest.mark.parametrize(("character", "byte"), [("µ", "0xb5"), ("°", "0xb0"), ("é", "0xe9")])
def test_an_old_encoding_is_named_with_its_line_and_byte(tmp_path: Path, character: str, byte: str) -> None:
    content = f"formula,notes\nLTP,fine\nLGP,5 {character}m\n".encode("cp1252")
    message = complaint(tmp_path, content)
    assert f"line 3: byte {byte} is not UTF-8 (probably {character!r}" in message
    assert "CSV UTF-8" in message


def test_the_line_of_a_bad_byte_is_right_behind_a_byte_order_mark(tmp_path: Path) -> None:
    assert "line 2: byte 0xb5" in complaint(tmp_path, codecs.BOM_UTF8 + b"formula\n5 \xb5m\n")


@pytest.mark.parametrize(("separator", "word"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")])
def test_other_separators_are_read_and_said(tmp_path: Path, separator: str, word: str) -> None:
    rows = (["formula", "notes", "sintering_temperature_c"], ["LTP", f'"a{separator} b"', "850,5"], [], ["LGP"])
    table = read(tmp_path, "\n".join(map(separator.join, rows)))
    assert list(table.frame.columns) == ["formula", "notes", "sintering_temperature_c"]
    assert table.frame["notes"].tolist() == [f"a{separator} b", ""]
    assert table.frame["sintering_temperature_c"].tolist() == ["850,5", ""]
    assert table.notes == (f"columns separated by {word}",)
    assert table.lines is not None
    assert table.lines.tolist() == [2, 4]


def test_commas_in_names_separate_nothing(tmp_path: Path) -> None:
    table = read(tmp_path, "Composition;Sintering temperature, °C;Comment, if any\nLTP;850,5;\n")
    assert table.frame.iloc[0].tolist() == ["LTP", "850,5", ""]


@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "SEP=;"])
def test_the_line_that_tells_excel_the_separator_is_heeded(tmp_path: Path, line: str) -> None:
    table = read(tmp_path, f"{line}\r\nformula;notes\r\nLTP;a,b,c\r\n")
    assert table.frame.iloc[0].tolist() == ["LTP", "a,b,c"]
    assert table.lines is not None
    assert table.lines.tolist() == [3]
    assert "separates no columns" in complaint(tmp_path, "sep=x\nformulaxnotes\n")


def test_remarks_and_titles_are_passed_over_and_said(tmp_path: Path) -> None:
    text = "# by hand\nPellets of March\n\nformula,notes\n#LTP,thrown away\nLGP,fine\n# end\n"
    table = read(tmp_path, text)
    assert table.frame.to_dict("list") == {"formula": ["LGP"], "notes": ["fine"]}
    assert table.notes == (
        "lines 1 and 2 above the header skipped",
        "lines 5 and 7 skipped as comments (#)",
    )
    assert read(tmp_path, "# formula,notes\nLTP,x\n").frame["formula"].tolist() == ["LTP"]


def test_a_sign_in_front_of_a_name_or_of_an_error_is_no_remark(tmp_path: Path) -> None:
    table = read(tmp_path, "pellet_id,formula\n#1,LTP\n#2,LGP\n# the end\n")
    assert table.frame["pellet_id"].tolist() == ["#1", "#2"]
    assert read(tmp_path, "notes,formula\n#N/A,LTP\n").frame["notes"].tolist() == ["#N/A"]
    assert read(tmp_path, "#,formula\n1,LTP\n").frame.shape == (1, 2)


def test_an_index_is_passed_over_and_names_are_kept(tmp_path: Path) -> None:
    counted = read(tmp_path, ",formula\n0,LTP\n1,LGP\n")
    assert counted.frame.to_dict("list") == {"formula": ["LTP", "LGP"]}
    assert "index" in counted.notes[0]
    assert list(read(tmp_path, "Unnamed: 0,formula\n0,LTP\n").frame.columns) == ["formula"]
    named = read(tmp_path, ",formula\nMK12,LTP\nMK13,LGP\n")
    assert named.frame["pellet_id"].tolist() == ["MK12", "MK13"]
    assert "column 1 has no name" in complaint(tmp_path, ",formula,sample\na,LTP,b\n")


def test_a_decimal_comma_makes_a_cell_too_many(tmp_path: Path) -> None:
    message = complaint(tmp_path, "formula,heating_rate_c_min,atmosphere\nLTP,1,air\nLGP,2,5,air\n")
    assert "line 3: 4 cells, but the header names 3 columns" in message
    assert "write decimals with a point" in message


def test_a_comma_in_a_text_makes_a_cell_too_many(tmp_path: Path) -> None:
    message = complaint(tmp_path, "formula,notes\nLTP,dense, white\n")
    assert "line 2: 3 cells" in message
    assert "double quotes" in message


@pytest.mark.parametrize(
    ("content", "words"),
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
def test_what_is_no_table_is_said(tmp_path: Path, content: str, words: str) -> None:
    assert words in complaint(tmp_path, content)
