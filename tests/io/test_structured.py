"""JSON, YAML and Parquet."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nasicon_ml.errors import UnreadableFileError
from nasicon_ml.io import RawTable, read_table, structured
from nasicon_ml.io.raw import MAX_BYTES


def read(tmp_path: Path, content: str | bytes, name: str) -> RawTable:
    file = tmp_path / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table(file)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("r.json", '[{"formula": "LTP", "sintering_time_h": 2}, {"formula": "LGP", "atmosphere": null}]'),
        ("r.yaml", "- formula: LTP\n  sintering_time_h: 2\n- {formula: LGP, atmosphere: null}\n"),
        ("r.yml", "---\n-\n  formula: LTP\n  sintering_time_h: 2\n- formula: LGP\n  atmosphere: ~\n"),
    ],
)
def test_a_list_of_objects_is_a_table(tmp_path: Path, name: str, content: str) -> None:
    table = read(tmp_path, content, name)
    assert list(table.frame.columns) == ["formula", "sintering_time_h", "atmosphere"]
    assert table.frame["formula"].tolist() == ["LTP", "LGP"]
    assert table.frame["sintering_time_h"].iloc[0] == 2
    assert table.lines is None


@pytest.mark.parametrize(("name", "content"), [("r.json", '{"formula": "LTP"}'), ("r.yaml", "formula: LTP\n")])
def test_one_object_is_one_row(tmp_path: Path, name: str, content: str) -> None:
    assert read(tmp_path, content, name).frame.to_dict("records") == [{"formula": "LTP"}]


def test_a_byte_order_mark_is_forgiven(tmp_path: Path) -> None:
    assert len(read(tmp_path, b'\xef\xbb\xbf[{"formula": "LTP"}]', "r.json").frame) == 1


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("r.json", '[{"formula": "LTP"},\n{"formula": }]', "line 2: not valid JSON"),
        ("r.json", '{"formula": "LTP", "formula": "LGP"}', "'formula' occurs more than once"),
        ("r.json", "[]", "the list is empty"),
        ("r.json", '[{"formula": "LTP"}, 5]', "item 2: a int where an object"),
        ("r.json", '"LTP"', "item 1: a str where an object"),
        ("r.json", "[" * 100_000, "not a table"),
        ("r.json", '{"sintering_time_h": ' + "1" * 10_000 + "}", "not a table"),
        ("r.yaml", "- formula: LTP\n  atmosphere: [air\n", "line 3: not valid YAML"),
        ("r.yaml", "formula: LTP\nformula: LGP\n", "line 1: the column 'formula' occurs more than once"),
        ("r.yaml", "- &a {formula: LTP}\n- *a\n", "line 2: YAML aliases"),
        ("r.yaml", "!!python/object/apply:os.getcwd []\n", "not valid YAML"),
        ("r.yaml", "formula: 2020-13-45\n", "not a table"),
        ("r.yaml", "? [a, b]\n: 1\n", "not valid YAML"),
        ("r.yaml", "[" * 5_000, "line 1: this is nested too deeply"),
        ("r.yaml", "- " * 5_000, "line 1: this is nested too deeply"),
        ("r.yaml", "# nothing but a remark\n", "item 1: a NoneType"),
        ("r.yaml", b"formula: \xff\n", "line 1: byte 0xff is not UTF-8"),
        ("r.parquet", "PAR1 but no more", "not a Parquet file"),
        ("r.parquet", "formula\nLTP\n", "not a Parquet file"),
    ],
)
def test_what_is_no_table_is_said(tmp_path: Path, name: str, content: str | bytes, words: str) -> None:
    with pytest.raises(UnreadableFileError) as caught:
        read(tmp_path, content, name)
    assert words in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert len(str(caught.value)) < 500


def test_a_bomb_of_aliases_costs_nothing(tmp_path: Path) -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    with pytest.raises(UnreadableFileError, match="aliases"):
        read(tmp_path, bomb, "r.yaml")


def test_yaml_has_a_limit(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="use CSV or Parquet"):
        read(tmp_path, "#" * (MAX_BYTES["yaml"] + 1), "r.yaml")


def test_parquet_is_read_without_its_index(tmp_path: Path) -> None:
    frame = pd.DataFrame({"formula": ["LTP", None], "sintering_time_h": [2.0, None]}, index=[5, 6])
    frame.to_parquet(tmp_path / "r.parquet", index=True)
    table = read_table(tmp_path / "r.parquet")
    assert table.frame["sintering_time_h"].iloc[0] == 2
    assert table.frame.index.tolist() == [0, 1]


@pytest.mark.parametrize("number", ["1:30", "010", "0x10", "1:30.5", "1_5", "1_9.5"])
def test_yaml_reads_no_number_otherwise_than_it_stands_there(tmp_path: Path, number: str) -> None:
    """YAML itself would make ninety of 1:30, and eight of 010."""
    table = read(
        tmp_path,
        f"- formula: LTP\n  sintering_time_h: {number}\n- formula: LTP\n  sintering_time_h: 2\n",
        "r.yaml",
    )
    assert table.frame["sintering_time_h"].tolist() == [number, 2]


def of_one_text(text: str, rows: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(np.zeros(rows, dtype=np.int32), [text])


BOMBS = {
    "one cell": (
        lambda: {"x": pa.array(["L" * 6_000_000])},
        r"600\d+ bytes when uncompressed are more than the 5000000",
    ),
    "one text": (
        lambda: {"x": of_one_text("L" * 1_000_000, 2_000_000)},
        "its texts have more than the 256000000 char",
    ),
    "two texts": (lambda: {name: of_one_text("L" * 2000, 2_000_000) for name in "xy"}, "more than the 256000000"),
    "a long list": (lambda: {"x": pa.array([[True] * 1_000_000])}, "the column 'x' holds list<"),
    "objects": (lambda: {"x": pa.array([{"a": 1}])}, "the column 'x' holds struct<"),
    "bytes": (
        lambda: {"x": pa.array([b"LTP"])},
        "the column 'x' holds binary; allowed: text, numbers, truth values",
    ),
    "wide bytes": (lambda: {"x": pa.array([None] * 10, pa.binary(10_000_000))}, "'x' holds fixed_size_binary"),
    "cells": (
        lambda: {f"c{at}": pa.nulls(2_000_000) for at in range(40)},
        "80000000 cells are more than the 6000",
    ),
}


@pytest.mark.parametrize("what", BOMBS)
def test_a_small_parquet_that_holds_very_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    columns, message = BOMBS[what]
    if what == "one cell":
        monkeypatch.setattr(structured, "_MAX_UNCOMPRESSED", 5_000_000)
    table = pa.table(columns())
    pq.write_table(table, tmp_path / "r.parquet", compression="zstd", use_dictionary=what != "one cell")
    assert (tmp_path / "r.parquet").stat().st_size < 2_000_000
    with pytest.raises(UnreadableFileError, match=message):
        read_table(tmp_path / "r.parquet")


@pytest.mark.parametrize("rows", [0, 1, 65_536, 65_537])
def test_parquet_is_read_whole_in_parts(tmp_path: Path, rows: int) -> None:
    numbers = np.arange(rows)
    frame = pd.DataFrame(
        {
            "formula": [None if number % 7 == 3 else f"LATP x=0.{number % 4}" for number in numbers],
            "phase_pure": pd.array([None, True, False], dtype="boolean")[numbers % 3],
            "sintering_time_h": np.where(numbers % 5, numbers / 3, np.nan),
            "pellet_id": numbers,
            "atmosphere": pd.Categorical(np.array(["air", "Ar"])[numbers % 2]),
        }
    )
    frame.to_parquet(tmp_path / "r.parquet")
    found = read_table(tmp_path / "r.parquet").frame
    assert list(found.columns) == list(frame.columns)
    for name in frame.columns:
        expected = frame[name].astype(object).where(frame[name].notna(), None).tolist()
        assert found[name].astype(object).where(found[name].notna(), None).tolist() == expected


def test_objects_of_ever_other_names_are_no_table(tmp_path: Path) -> None:
    """Forty names in a million and a half objects: a table of 60 million cells in a file of four megabytes."""
    items = [f'{{"c{number}":1}}' for number in range(40)] + ["{}"] * 1_500_001
    with pytest.raises(UnreadableFileError, match="60001640 cells are more than the 60000000 that are read"):
        read(tmp_path, f"[{','.join(items)}]", "r.json")


def test_a_csv_of_nothing_but_commas_is_refused(tmp_path: Path) -> None:
    row = b"," * 499 + b"\n"
    header = ",".join(f"c{number}" for number in range(500)).encode() + b"\n"
    with pytest.raises(UnreadableFileError, match="cells are more than the 60000000 that are read"):
        read(tmp_path, header + row * 130_000, "r.csv")
