"""Paths that cannot be read, odd file names, and paths that cannot be written."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given

from tests.fuzz.conftest import fuzz
from tests.fuzz.oracle import check_json_predictions, check_outcome, run_command
from tests.fuzz.tally import TALLY, Verdict
from tests.fuzz.texts import odd_text

RECIPES = "formula,sintering_temperature_c\nLATP x=0.3,900\nLATP x=0.4,8000\n"
#: Commands that read a file, whose path is the last argument.
READERS = [
    ["predict", "--json"],
    ["predict", "--json", "--format", "csv"],
    ["predict", "--formula", "LTP", "--own"],
    ["predict", "--formula", "LTP", "--model"],
    ["data", "validate"],
    ["data", "validate", "recipes.csv", "--sources"],
    ["train", "--no-track", "--dataset"],
    ["train", "--no-track", "--add"],
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with links, pipes, devices, sockets and folders that are named like CSV files."""
    folder_path = tmp_path_factory.mktemp("paths")
    (folder_path / "recipes.csv").write_text(RECIPES, encoding="utf-8")
    (folder_path / "folder.csv").mkdir()
    (folder_path / "closed").mkdir()
    (folder_path / "loop.csv").symlink_to("loop2.csv")
    (folder_path / "loop2.csv").symlink_to("loop.csv")
    (folder_path / "self.csv").symlink_to("self.csv")
    (folder_path / "nowhere.csv").symlink_to("no/such/file.csv")
    (folder_path / "zero.csv").symlink_to("/dev/zero")
    (folder_path / "null.csv").symlink_to("/dev/null")
    (folder_path / "empty.csv").touch()
    os.mkfifo(folder_path / "pipe.csv")
    with (folder_path / "hole.csv").open("wb") as hole:
        hole.truncate(10**12)
    with socket.socket(socket.AF_UNIX) as unix_socket:
        unix_socket.bind(str(folder_path / "socket.csv"))
    return folder_path


UNREADABLE_PATHS = [
    "folder.csv", "loop.csv", "self.csv", "nowhere.csv", "zero.csv", "null.csv", "empty.csv", "pipe.csv",
    "hole.csv", "socket.csv",
    "recipes.csv/", "recipes.csv/x.csv", "no/such.csv", ".", "..", "/", "", " ", "a" * 5000 + ".csv", "a/" * 5000,
    "x\0.csv", "\ud800.csv",
    "/dev/zero", "/dev/full", "/dev/fd/99", "/proc/self/mem", "/proc/kmsg", "~", "$HOME", "*.csv", "recipes.CSV~",
    "http://x/y.csv",
    "s3://bucket/recipes.csv", "file://localhost/etc/passwd", "zip:///a.zip", "recipes.csv.gz", "models:/x",
    "runs:/../../x", "con", "\x1b[2J.csv",
]  # fmt: skip


@pytest.mark.parametrize("reader", READERS, ids=" ".join)
@pytest.mark.parametrize("name", UNREADABLE_PATHS, ids=range(len(UNREADABLE_PATHS)))
def test_reading_commands_refuse_paths_that_are_not_readable_files(
    reader: list[str], name: str, folder: Path
) -> None:
    outcome = run_command("CLI paths", [*reader, name], folder)
    verdict = check_outcome(outcome)
    # One command accepts a trailing slash after an existing file; `--sources` comes after a readable dataset.
    assert verdict is Verdict.REFUSED or name == "recipes.csv/" or reader[-1] == "--sources", outcome
    TALLY.add("CLI paths", verdict)


@fuzz(60)
@given(name=odd_text)
def test_predict_reads_or_refuses_any_file_name(name: str, folder: Path) -> None:
    try:
        source = folder / f"{name}.csv"
        source.write_text(RECIPES, encoding="utf-8")
    except (OSError, ValueError):  # not a possible file name
        source = Path(name)
    output = folder / "out.csv"
    output.unlink(missing_ok=True)
    outcome = run_command("CLI paths", ["predict", "--json", "--output", "out.csv", "--", str(source)], folder)
    verdict = check_outcome(outcome, output)
    if verdict is not Verdict.REFUSED:
        assert verdict is Verdict.PARTLY
        check_json_predictions(outcome.out, 2)
    TALLY.add("CLI paths", verdict)


OUTPUT_PATHS = [
    "-", "-.csv", "out", "out.txt", "out.xlsx", "no/out.csv", "folder.csv", "recipes.csv", "recipes.csv/out.csv",
    "loop.csv", "self.csv",
    ".csv", ".", "..", "/", "", "out.csv/", "a" * 300 + ".csv", "x\0.csv", "\ud800.csv", "/dev/full/out.csv",
    "/proc/out.csv", "./recipes.csv",
    "../paths0/recipes.csv", "socket.csv", "\x1b[2J", "/proc/self/mem.csv",
]  # fmt: skip


@pytest.mark.parametrize("option", ["--output", "--plot"])
@pytest.mark.parametrize("name", OUTPUT_PATHS, ids=range(len(OUTPUT_PATHS)))
def test_output_to_any_path_keeps_input_and_leaves_no_partial_files(option: str, name: str, folder: Path) -> None:
    before = {path.name: path.lstat().st_size for path in folder.iterdir()}
    name = name.replace(".csv", ".png") if option == "--plot" and "recipes" not in name else name
    outcome = run_command("CLI paths", ["predict", "recipes.csv", "--json", option, name], folder)
    verdict = check_outcome(outcome)
    after = {path.name: path.lstat().st_size for path in folder.iterdir()}
    new_files = set(after) - set(before)
    assert (folder / "recipes.csv").read_text(encoding="utf-8") == RECIPES
    assert not [entry for entry in new_files if entry.endswith(".tmp")]
    if verdict is Verdict.REFUSED:
        assert after == before
    else:
        check_json_predictions(outcome.out, 2)
    for entry in new_files:
        (folder / entry).unlink()
    TALLY.add("CLI paths", verdict)
