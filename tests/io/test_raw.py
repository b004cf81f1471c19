"""Limits on the size of inputs, and inputs such as pipes and devices that might never end."""

import os
import resource
import threading
import time
from pathlib import Path

import pandas as pd
import pytest

from nasicon_ml.errors import UnreadableFileError
from nasicon_ml.io import raw, read_table

GOOD = b"formula,atmosphere\nLTP,air\n"


def test_endless_device_is_read_only_up_to_the_limit() -> None:
    with pytest.raises(UnreadableFileError, match=r"/dev/zero: more than 256000000 bytes are more than"):
        read_table("/dev/zero", file_format="csv")


def test_too_large_file_is_refused_without_reading_it(tmp_path: Path) -> None:
    file = tmp_path / "large.csv"
    with file.open("wb") as large:
        large.truncate(40_000_000_000)  # sparse: takes no disk space
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UnreadableFileError, match=r"large\.csv: 40000000000 bytes are more than the 256000000"):
        read_table(file)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


def test_pipe_without_writer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw, "_WRITER_WAIT_S", 0.05)
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(UnreadableFileError, match="this is a pipe, and nothing is written into it"):
        read_table(tmp_path / "pipe.csv")


def test_slow_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)

    def write() -> None:
        with pipe.open("wb") as file:
            for piece in (GOOD[:5], GOOD[5:]):
                time.sleep(0.1)
                file.write(piece)
                file.flush()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert read_table(pipe).frame.to_dict("list") == {"formula": ["LTP"], "atmosphere": ["air"]}
    finally:
        writer.join()


def test_empty_device_is_refused_as_empty_file() -> None:
    with pytest.raises(UnreadableFileError, match="the file is empty"):
        read_table("/dev/null", file_format="csv")


@pytest.mark.parametrize("file_format", ["csv", "json", "yaml", "parquet"])
def test_every_format_has_a_size_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_format: str) -> None:
    monkeypatch.setattr(raw, "MAX_BYTES", {file_format: 10})
    (tmp_path / "t").write_bytes(GOOD)
    with pytest.raises(UnreadableFileError, match=rf"t: 27 bytes of {file_format.upper()} are more than the 10"):
        read_table(tmp_path / "t", file_format=file_format)


@pytest.mark.parametrize("quote", ["", '"'])
def test_too_many_rows_or_columns_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quote: str) -> None:
    for module in ("raw", "csv"):
        monkeypatch.setattr(f"nasicon_ml.io.{module}.MAX_ROWS", 2)
    file = tmp_path / "t.csv"
    file.write_text("formula\n" + f"{quote}LTP{quote}\n" * 2, encoding="utf-8")
    assert len(read_table(file).frame) == 2
    file.write_text("formula\n" + f"{quote}LTP{quote}\n" * 3, encoding="utf-8")
    with pytest.raises(UnreadableFileError, match="3 rows are more than the 2 that are read"):
        read_table(file)
    file.write_text(",".join(f"c{number}" for number in range(501)) + "\n1\n", encoding="utf-8")
    with pytest.raises(UnreadableFileError, match="501 columns are more than the 500 that are read"):
        read_table(file)


def test_parquet_with_too_many_rows_is_refused_before_reading_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "t.parquet"
    pd.DataFrame({"formula": ["LTP"] * 1000}).to_parquet(file)
    monkeypatch.setattr(raw, "MAX_ROWS", 999)
    monkeypatch.setattr("pyarrow.parquet.ParquetFile.iter_batches", None)
    with pytest.raises(UnreadableFileError, match="1000 rows are more than the 999"):
        read_table(file)


@pytest.mark.skipif(not os.access("/proc/kmsg", os.R_OK), reason="/proc/kmsg cannot be read here")
def test_blocking_device_is_refused_without_waiting() -> None:
    with pytest.raises(UnreadableFileError, match="/proc/kmsg"):
        read_table("/proc/kmsg", file_format="csv")
