"""CSV files without quotes are read by pandas, with the same cells and lines as by the csv module."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.errors import UnreadableFileError
from nasicon_ml.io import RawTable, csv, read_table
from nasicon_ml.io.csv import read_unquoted_rows

CELLS = st.text(st.sampled_from("aLi3.=' \x0b\x0c\x1f\x85\u2028é"), max_size=4)
LINE_ENDINGS = st.sampled_from(["\n", "\r\n", "\r", "\r\r\n", "\n\n", "\n \n", "\n,,\n", "\n, ,\n"])


@st.composite
def csv_texts(draw: st.DrawFn) -> str:
    """Draw a CSV file of three columns, in which most rows have three cells."""
    text = draw(st.sampled_from(["", "\n", "\r\n\n", " \n"])) + "a,b,c" + draw(LINE_ENDINGS)
    for _ in range(draw(st.integers(0, 6))):
        count = draw(st.sampled_from([3, 3, 3, 3, 3, 3, 2, 4]))
        text += ",".join(draw(st.lists(CELLS, min_size=count, max_size=count))) + draw(LINE_ENDINGS)
    return text + draw(st.sampled_from(["", "x,y,z", "x,y,z\n", '"x",y,z', "x,y,z\r"]))


def read(text: str) -> tuple[list[list[str]], list[int]] | str:
    try:
        table = csv.read_csv(text.encode(), "t.csv")
    except UnreadableFileError as error:
        return str(error)
    assert table.lines is not None
    return table.frame.to_numpy(dtype=object).tolist(), table.lines.tolist()


@given(csv_texts())
def test_pandas_and_csv_module_read_the_same_table(text: str) -> None:
    by_pandas = read(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv, "read_unquoted_rows", lambda *_: None)
        assert by_pandas == read(text)


def test_unquoted_rows_are_read_with_line_numbers() -> None:
    cells_and_lines = read_unquoted_rows("\na,b\n1,é\n\n , \n3\r\n", 2, 2)
    assert cells_and_lines is not None
    cells, lines = cells_and_lines
    assert [column.tolist() for column in cells] == [["1", "3"], ["é", ""]]
    assert lines.tolist() == [3, 6]


@pytest.mark.parametrize("text", ['a,b\n"1",2\n', "a,b\n1,2,3\n", "a,b\n" + "1" * 200_000 + ",2\n"])
def test_quoted_or_irregular_rows_are_not_read_by_pandas(text: str) -> None:
    assert read_unquoted_rows(text, 1, 2) is None


def test_equal_cells_share_one_string(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("formula\n" + "LATP x=0.3\n" * 100, encoding="utf-8")
    table: RawTable = read_table(tmp_path / "t.csv")
    assert len({id(cell) for cell in table.frame["formula"]}) == 1
    assert np.array_equal(table.lines, np.arange(2, 102))
