"""Writing of tables and texts: round trips, atomic replacement and errors."""

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
# Control characters and surrogates are refused by the checks (`errors.text_problem`).
TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"]) | st.sampled_from("=+-@'\t"), max_size=20)
ROWS = st.tuples(
    TEXTS, NUMBERS | st.none(), st.sampled_from(["air", "Ar/H2", None]), st.booleans() | st.none(), TEXTS
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROWS, min_size=1, max_size=6), extension=st.sampled_from(["csv", "json", "parquet"]))
def test_clean_table_round_trips(
    rows: list[tuple[object, ...]], extension: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    frame = pd.DataFrame(rows, columns=list(COLUMNS), dtype="object")
    clean, findings = check_columns(frame, COLUMNS)
    assert findings == []
    clean.insert(0, Column.PELLET_ID.value, [f"p{row}" for row in range(len(clean))])  # no row is entirely empty
    file = tmp_path_factory.mktemp("written") / f"table.{extension}"
    write_table(clean, file)
    read_back, findings = check_columns(read_table(file).frame, [Column.PELLET_ID, *COLUMNS])
    assert findings == []
    pd.testing.assert_frame_equal(read_back, clean)


@pytest.mark.parametrize(
    "text", ["=1+1", "+1-x", "-2+3+cmd|' /C calc'!A0", "@SUM(A1)", "\uff1d1", " =1", "'=1", "''=1", "-x"]
)
def test_cells_that_look_like_formulas_are_escaped_and_round_trip(tmp_path: Path, text: str) -> None:
    write_table(pd.DataFrame({"pellet_id": [text], "notes": ["-5"], "formula": ["LTP"]}), tmp_path / "t.csv")
    written = (tmp_path / "t.csv").read_text(encoding="utf-8").splitlines()[1]
    assert written == f"'{text},-5,LTP"
    assert read_table(tmp_path / "t.csv").frame.iloc[0].tolist() == [text, "-5", "LTP"]


def test_csv_has_lowercase_flags_and_empty_missing_cells(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"flag": [True, None], "number": [1e-10, math.nan], "word": ["a,b", None], "bool": np.array([True, False])}
    )
    write_table(frame, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_bytes() == b'flag,number,word,bool\ntrue,1e-10,"a,b",true\n,,,false\n'


def test_json_keeps_all_digits_and_writes_null(tmp_path: Path) -> None:
    frame = pd.DataFrame({"number": [1.2345678901234567e-12, math.nan], "word": ["µm", None]})
    assert json.loads(table_as_json(frame)) == [
        {"number": 1.2345678901234567e-12, "word": "µm"},
        {"number": None, "word": None},
    ]
    write_table(frame, tmp_path / "t.json")
    assert "µm" in (tmp_path / "t.json").read_text(encoding="utf-8")


def test_repeated_column_names_are_written_to_csv(tmp_path: Path) -> None:
    write_table(pd.DataFrame([[True, "x"]], columns=["a", "a"]), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text(encoding="utf-8") == "a,a\ntrue,x\n"


def test_unknown_extension_raises(tmp_path: Path) -> None:
    with pytest.raises(
        NasiconError, match=r"'\.xlsx' names no format to write; allowed: \.csv, \.json, \.parquet"
    ):
        write_table(pd.DataFrame(), tmp_path / "t.xlsx")


def test_missing_folder_raises(tmp_path: Path) -> None:
    with pytest.raises(NasiconError, match="cannot be written"):
        write_text("x", tmp_path / "no" / "t.txt")


def test_writing_to_a_folder_raises_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    with pytest.raises(NasiconError, match="cannot be written"):
        write_text("x", tmp_path)
    assert list(tmp_path.parent.glob("*.tmp")) == []


def test_failed_write_keeps_old_file_and_leaves_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "t.txt"
    write_text("old", file)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(NasiconError, match="No space left on device"):
        write_text("new", file)
    assert file.read_text(encoding="utf-8") == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["t.txt"]


def test_writing_to_a_symbolic_link_replaces_its_target(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("old", encoding="utf-8")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    write_text("new\n", tmp_path / "link.txt")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_bytes() == b"new\n"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no device files")
def test_writing_to_a_device_does_not_replace_it() -> None:
    write_text("x", "/dev/null")
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize("name", ["loop.csv", "x\0.csv", "\ud800.csv"], ids=["link to itself", "NUL", "surrogate"])
def test_invalid_file_names_raise(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    with pytest.raises(NasiconError, match=r"\.csv: cannot be written \("):
        write_text("x", tmp_path / name)


def test_lone_surrogates_are_escaped_as_in_json(tmp_path: Path) -> None:
    write_text(json.dumps({"additive": "\ud800\udc00"}, ensure_ascii=False), tmp_path / "out.json")
    assert (tmp_path / "out.json").read_bytes() == b'{"additive": "\\ud800\\udc00"}'
