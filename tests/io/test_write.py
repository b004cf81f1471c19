"""Tables and texts appear whole or not at all, and come back as they were."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nasicon_ml.checks import check_columns
from nasicon_ml.columns import Column
from nasicon_ml.errors import NasiconError
from nasicon_ml.io import read_table, table_as_json, write_table, write_text

COLUMNS = (Column.FORMULA, Column.SINTERING_TEMPERATURE_C, Column.ATMOSPHERE, Column.PHASE_PURE, Column.NOTES)
NUMBERS = st.floats(Column.SINTERING_TEMPERATURE_C.minimum, Column.SINTERING_TEMPERATURE_C.maximum)
# What no cell may hold (`errors.text_problem`) is refused by the checks.
TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"]) | st.sampled_from("=+-@'\t"), max_size=20)
ROWS = st.tuples(
    TEXTS, NUMBERS | st.none(), st.sampled_from(["air", "Ar/H2", None]), st.booleans() | st.none(), TEXTS
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROWS, min_size=1, max_size=6), ending=st.sampled_from(["csv", "json", "parquet"]))
def test_a_clean_table_comes_back_as_it_was(
    rows: list[tuple[object, ...]], ending: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    frame = pd.DataFrame(rows, columns=list(COLUMNS), dtype="object")
    clean, findings = check_columns(frame, COLUMNS)
    assert findings == []
    clean.insert(0, Column.PELLET_ID.value, [f"p{row}" for row in range(len(clean))])  # no row is all empty
    file = tmp_path_factory.mktemp("written") / f"table.{ending}"
    write_table(clean, file)
    again, findings = check_columns(read_table(file).frame, [Column.PELLET_ID, *COLUMNS])
    assert findings == []
    pd.testing.assert_frame_equal(again, clean)


@pytest.mark.parametrize(
    "text", ["=1+1", "+1-x", "-2+3+cmd|' /C calc'!A0", "@SUM(A1)", "\uff1d1", " =1", "'=1", "''=1", "-x"]
)
def test_no_cell_is_run_by_a_spreadsheet_and_none_is_lost(tmp_path: Path, text: str) -> None:
    write_table(pd.DataFrame({"pellet_id": [text], "notes": ["-5"], "formula": ["LTP"]}), tmp_path / "t.csv")
    written = (tmp_path / "t.csv").read_text(encoding="utf-8").splitlines()[1]
    assert written == f"'{text},-5,LTP"
    assert read_table(tmp_path / "t.csv").frame.iloc[0].tolist() == [text, "-5", "LTP"]


def test_csv_is_written_as_people_write_it(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"flag": [True, None], "number": [1e-10, math.nan], "word": ["a,b", None], "bool": np.array([True, False])}
    )
    write_table(frame, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_bytes() == b'flag,number,word,bool\ntrue,1e-10,"a,b",true\n,,,false\n'


def test_json_keeps_all_digits_and_says_null(tmp_path: Path) -> None:
    frame = pd.DataFrame({"number": [1.2345678901234567e-12, math.nan], "word": ["µm", None]})
    assert json.loads(table_as_json(frame)) == [
        {"number": 1.2345678901234567e-12, "word": "µm"},
        {"number": None, "word": None},
    ]
    write_table(frame, tmp_path / "t.json")
    assert "µm" in (tmp_path / "t.json").read_text(encoding="utf-8")


def test_repeated_names_do_no_harm_to_csv(tmp_path: Path) -> None:
    write_table(pd.DataFrame([[True, "x"]], columns=["a", "a"]), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text(encoding="utf-8") == "a,a\ntrue,x\n"


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        NasiconError, match=r"'\.xlsx' names no format to write; allowed: \.csv, \.json, \.parquet"
    ):
        write_table(pd.DataFrame(), tmp_path / "t.xlsx")


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(NasiconError, match="cannot be written"):
        write_text("x", tmp_path / "no" / "t.txt")


def test_a_folder_is_not_overwritten(tmp_path: Path) -> None:
    with pytest.raises(NasiconError, match="cannot be written"):
        write_text("x", tmp_path)
    assert list(tmp_path.parent.glob("*.tmp")) == []


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "t.txt"
    write_text("old", file)

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(NasiconError, match="No space left on device"):
        write_text("new", file)
    assert file.read_text(encoding="utf-8") == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["t.txt"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("old", encoding="utf-8")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    write_text("new\n", tmp_path / "link.txt")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_bytes() == b"new\n"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no devices to write to")
def test_a_device_is_written_to() -> None:
    write_text("x", "/dev/null")
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize("name", ["loop.csv", "x\0.csv", "\ud800.csv"], ids=["loop", "NUL", "surrogate"])
def test_names_that_no_file_can_have_are_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    with pytest.raises(NasiconError, match=r"\.csv: cannot be written \("):
        write_text("x", tmp_path / name)


def test_halves_of_characters_are_written_as_json_writes_them(tmp_path: Path) -> None:
    write_text(json.dumps({"additive": "\ud800\udc00"}, ensure_ascii=False), tmp_path / "out.json")
    assert (tmp_path / "out.json").read_bytes() == b'{"additive": "\\ud800\\udc00"}'
