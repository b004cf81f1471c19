"""Names that lead to no file, and places where no file can be written."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given

from tests.fuzz.conftest import fuzz
from tests.fuzz.oracle import check_answers, check_command, command
from tests.fuzz.tally import TALLY, Verdict
from tests.fuzz.texts import odd_text

RECIPES = "formula,sintering_temperature_c\nLATP x=0.3,900\nLATP x=0.4,8000\n"
#: Commands that read a file, the file coming last.
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
    """Make a folder in which every name is a trap."""
    place = tmp_path_factory.mktemp("paths")
    (place / "recipes.csv").write_text(RECIPES, encoding="utf-8")
    (place / "folder.csv").mkdir()
    (place / "closed").mkdir()
    (place / "loop.csv").symlink_to("loop2.csv")
    (place / "loop2.csv").symlink_to("loop.csv")
    (place / "self.csv").symlink_to("self.csv")
    (place / "nowhere.csv").symlink_to("no/such/file.csv")
    (place / "zero.csv").symlink_to("/dev/zero")
    (place / "null.csv").symlink_to("/dev/null")
    (place / "empty.csv").touch()
    os.mkfifo(place / "pipe.csv")
    with (place / "hole.csv").open("wb") as hole:
        hole.truncate(10**12)
    with socket.socket(socket.AF_UNIX) as plug:
        plug.bind(str(place / "socket.csv"))
    return place


TRAPS = [
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
@pytest.mark.parametrize("name", TRAPS, ids=range(len(TRAPS)))
def test_what_is_no_file_to_read(reader: list[str], name: str, folder: Path) -> None:
    outcome = command("CLI paths", [*reader, name], folder)
    verdict = check_command(outcome)
    # A slash behind the name of a file that is there is forgiven by one command.
    assert verdict is Verdict.REFUSED or name == "recipes.csv/" or reader[-1] == "--sources", outcome
    TALLY.add("CLI paths", verdict)


@fuzz(60)
@given(name=odd_text)
def test_names_as_no_program_makes_them(name: str, folder: Path) -> None:
    """A file may have any name; what is written beside it is called as it is asked for."""
    try:
        source = folder / f"{name}.csv"
        source.write_text(RECIPES, encoding="utf-8")
    except (OSError, ValueError):  # a name that no file can have
        source = Path(name)
    output = folder / "out.csv"
    output.unlink(missing_ok=True)
    outcome = command("CLI paths", ["predict", "--json", "--output", "out.csv", "--", str(source)], folder)
    verdict = check_command(outcome, output)
    if verdict is not Verdict.REFUSED:
        assert verdict is Verdict.PARTLY
        check_answers(outcome.out, 2)
    TALLY.add("CLI paths", verdict)


PLACES = [
    "-", "-.csv", "out", "out.txt", "out.xlsx", "no/out.csv", "folder.csv", "recipes.csv", "recipes.csv/out.csv",
    "loop.csv", "self.csv",
    ".csv", ".", "..", "/", "", "out.csv/", "a" * 300 + ".csv", "x\0.csv", "\ud800.csv", "/dev/full/out.csv",
    "/proc/out.csv", "./recipes.csv",
    "../paths0/recipes.csv", "socket.csv", "\x1b[2J", "/proc/self/mem.csv",
]  # fmt: skip


@pytest.mark.parametrize("option", ["--output", "--plot"])
@pytest.mark.parametrize("name", PLACES, ids=range(len(PLACES)))
def test_where_nothing_can_be_written(option: str, name: str, folder: Path) -> None:
    before = {path.name: path.lstat().st_size for path in folder.iterdir()}
    name = name.replace(".csv", ".png") if option == "--plot" and "recipes" not in name else name
    outcome = command("CLI paths", ["predict", "recipes.csv", "--json", option, name], folder)
    verdict = check_command(outcome)
    after = {path.name: path.lstat().st_size for path in folder.iterdir()}
    written = set(after) - set(before)
    assert (folder / "recipes.csv").read_text(encoding="utf-8") == RECIPES
    assert not [entry for entry in written if entry.endswith(".tmp")]
    if verdict is Verdict.REFUSED:
        assert after == before
    else:
        check_answers(outcome.out, 2)
    for entry in written:
        (folder / entry).unlink()
    TALLY.add("CLI paths", verdict)
