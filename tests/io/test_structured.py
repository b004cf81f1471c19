"""Reading of tables from JSON, YAML and Parquet."""

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
def test_list_of_objects_is_read_as_rows(tmp_path: Path, name: str, content: str) -> None:
    table = read(tmp_path, content, name)
    assert list(table.frame.columns) == ["formula", "sintering_time_h", "atmosphere"]
    assert table.frame["formula"].tolist() == ["LTP", "LGP"]
    assert table.frame["sintering_time_h"].iloc[0] == 2
    assert table.lines is None


@pytest.mark.parametrize(("name", "content"), [("r.json", '{"formula": "LTP"}'), ("r.yaml", "formula: LTP\n")])
def test_single_object_is_read_as_one_row(tmp_path: Path, name: str, content: str) -> None:
    assert read(tmp_path, content, name).frame.to_dict("records") == [{"formula": "LTP"}]


def test_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    assert len(read(tmp_path, b'\xef\xbb\xbf[{"formula": "LTP"}]', "r.json").frame) == 1


@pytest.mark.parametrize(
    ("name", "content", "expected"),
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
def test_invalid_file_raises_with_short_message(
    tmp_path: Path, name: str, content: str | bytes, expected: str
) -> None:
    with pytest.raises(UnreadableFileError) as caught:
        read(tmp_path, content, name)
    assert expected in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert len(str(caught.value)) < 500


def test_nested_yaml_aliases_are_refused(tmp_path: Path) -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    with pytest.raises(UnreadableFileError, match="aliases"):
        read(tmp_path, bomb, "r.yaml")


def test_too_large_yaml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="use CSV or Parquet"):
        read(tmp_path, "#" * (MAX_BYTES["yaml"] + 1), "r.yaml")


def test_parquet_is_read_without_its_index(tmp_path: Path) -> None:
    frame = pd.DataFrame({"formula": ["LTP", None], "sintering_time_h": [2.0, None]}, index=[5, 6])
    frame.to_parquet(tmp_path / "r.parquet", index=True)
    table = read_table(tmp_path / "r.parquet")
    assert table.frame["sintering_time_h"].iloc[0] == 2
    assert table.frame.index.tolist() == [0, 1]


@pytest.mark.parametrize("number", ["1:30", "010", "0x10", "1:30.5", "1_5", "1_9.5"])
def test_numbers_with_special_meaning_in_yaml_stay_text(tmp_path: Path, number: str) -> None:
    """YAML 1.1 would read 1:30 as 90 and 010 as 8; such cells stay text."""
    table = read(
        tmp_path,
        f"- formula: LTP\n  sintering_time_h: {number}\n- formula: LTP\n  sintering_time_h: 2\n",
        "r.yaml",
    )
    assert table.frame["sintering_time_h"].tolist() == [number, 2]


def repeated_text(text: str, rows: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(np.zeros(rows, dtype=np.int32), [text])


TOO_LARGE_OR_UNSUPPORTED = {
    "one cell": (
        lambda: {"x": pa.array(["L" * 6_000_000])},
        r"600\d+ bytes when uncompressed are more than the 5000000",
    ),
    "repeated text": (
        lambda: {"x": repeated_text("L" * 1_000_000, 2_000_000)},
        "its texts have more than the 256000000 char",
    ),
    "two repeated texts": (
        lambda: {name: repeated_text("L" * 2000, 2_000_000) for name in "xy"},
        "more than the 256000000",
    ),
    "long list": (lambda: {"x": pa.array([[True] * 1_000_000])}, "the column 'x' holds list<"),
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


@pytest.mark.parametrize("case", TOO_LARGE_OR_UNSUPPORTED)
def test_small_parquet_with_huge_or_unsupported_columns_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    columns, message = TOO_LARGE_OR_UNSUPPORTED[case]
    if case == "one cell":
        monkeypatch.setattr(structured, "_MAX_UNCOMPRESSED", 5_000_000)
    table = pa.table(columns())
    pq.write_table(table, tmp_path / "r.parquet", compression="zstd", use_dictionary=case != "one cell")
    assert (tmp_path / "r.parquet").stat().st_size < 2_000_000
    with pytest.raises(UnreadableFileError, match=message):
        read_table(tmp_path / "r.parquet")


@pytest.mark.parametrize("rows", [0, 1, 65_536, 65_537])
def test_parquet_of_several_batches_is_read_completely(tmp_path: Path, rows: int) -> None:
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
    result = read_table(tmp_path / "r.parquet").frame
    assert list(result.columns) == list(frame.columns)
    for name in frame.columns:
        expected = frame[name].astype(object).where(frame[name].notna(), None).tolist()
        assert result[name].astype(object).where(result[name].notna(), None).tolist() == expected


def test_json_objects_with_too_many_cells_are_refused(tmp_path: Path) -> None:
    """Forty names in 1.5 million objects: a table of 60 million cells from a file of 4 MB."""
    items = [f'{{"c{number}":1}}' for number in range(40)] + ["{}"] * 1_500_001
    with pytest.raises(UnreadableFileError, match="60001640 cells are more than the 60000000 that are read"):
        read(tmp_path, f"[{','.join(items)}]", "r.json")


def test_csv_with_too_many_empty_cells_is_refused(tmp_path: Path) -> None:
    row = b"," * 499 + b"\n"
    header = ",".join(f"c{number}" for number in range(500)).encode() + b"\n"
    with pytest.raises(UnreadableFileError, match="cells are more than the 60000000 that are read"):
        read(tmp_path, header + row * 130_000, "r.csv")
