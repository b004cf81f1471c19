"""CSVs without quotation marks are read by pandas, with the same cells and lines as by the csv module."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.errors import UnreadableFileError
from nasicon_ml.io import RawTable, csv, read_table
from nasicon_ml.io.csv import read_unquoted_rows

CELLS = st.text(st.sampled_from("aLi3.=' \x0b\x0c\x1f\x85\u2028é"), max_size=4)
ENDS = st.sampled_from(["\n", "\r\n", "\r", "\r\r\n", "\n\n", "\n \n", "\n,,\n", "\n, ,\n"])


@st.composite
def files(draw: st.DrawFn) -> str:
    """Draw a CSV of three columns, most often with as many cells in every row."""
    text = draw(st.sampled_from(["", "\n", "\r\n\n", " \n"])) + "a,b,c" + draw(ENDS)
    for _ in range(draw(st.integers(0, 6))):
        count = draw(st.sampled_from([3, 3, 3, 3, 3, 3, 2, 4]))
        text += ",".join(draw(st.lists(CELLS, min_size=count, max_size=count))) + draw(ENDS)
    return text + draw(st.sampled_from(["", "x,y,z", "x,y,z\n", '"x",y,z', "x,y,z\r"]))


def read(text: str) -> tuple[list[list[str]], list[int]] | str:
    try:
        table = csv.read_csv(text.encode(), "t.csv")
    except UnreadableFileError as error:
        return str(error)
    assert table.lines is not None
    return table.frame.to_numpy(dtype=object).tolist(), table.lines.tolist()


@given(files())
def test_both_readers_read_the_same(text: str) -> None:
    fast = read(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv, "read_unquoted_rows", lambda *_: None)
        assert fast == read(text)


def test_unquoted_rows_are_read() -> None:
    columns_and_lines = read_unquoted_rows("\na,b\n1,é\n\n , \n3\r\n", 2, 2)
    assert columns_and_lines is not None
    cells, lines = columns_and_lines
    assert [column.tolist() for column in cells] == [["1", "3"], ["é", ""]]
    assert lines.tolist() == [3, 6]


@pytest.mark.parametrize("text", ['a,b\n"1",2\n', "a,b\n1,2,3\n", "a,b\n" + "1" * 200_000 + ",2\n"])
def test_other_texts_are_left_to_the_csv_module(text: str) -> None:
    assert read_unquoted_rows(text, 1, 2) is None


def test_equal_texts_share_memory(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("formula\n" + "LATP x=0.3\n" * 100, encoding="utf-8")
    table: RawTable = read_table(tmp_path / "t.csv")
    assert len({id(cell) for cell in table.frame["formula"]}) == 1
    assert np.array_equal(table.lines, np.arange(2, 102))
