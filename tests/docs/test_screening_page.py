"""docs/screening.md and docs/clusters.md: commands and Python example run, and numbers match the code."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from nasicon_ml.cli.main import main
from nasicon_ml.cli.screen import MOST_WITHOUT_YES, screen
from nasicon_ml.screening.aggregate import MAX_FRONT_SIZE
from nasicon_ml.screening.objectives import DEFAULT_WISHES, OBJECTIVES
from nasicon_ml.screening.result import SCHEMA
from tests.contracts.source import ROOT

PAGE = (ROOT / "docs" / "screening.md").read_text(encoding="utf-8")
COMMANDS = [
    line for block in re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL) for line in block.splitlines() if line
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("NASICON_ML_MODEL", raising=False)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_runs(folder: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    program, *arguments = shlex.split(command)
    assert (program, main(arguments)) == ("nasicon-ml", 0), capsys.readouterr().err
    assert "looked through" in capsys.readouterr().out


def test_written_files_are_listed(folder: Path) -> None:
    listed = set(re.findall(r"^\| `([^`]*\.\w+|scored/)` \|", PAGE, flags=re.MULTILINE))
    assert main(["screen", "examples/screening/small.yaml", "--output", "found", "--scored"]) == 0
    written = {path.name + ("/" if path.is_dir() else "") for path in (folder / "found").iterdir()}
    assert written == listed
    resumed = re.findall(r"```\n(nasicon-ml .*)\n```", PAGE)
    assert [main(shlex.split(command)[1:]) for command in resumed] == [0]


def test_python_example_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    exec(compile(block, "docs/screening.md", "exec"), {})  # noqa: S102
    assert "formula" in capsys.readouterr().out


def test_objectives_and_wishes_match_the_code() -> None:
    rows = re.findall(r"^\| `([a-z][a-z-]*)`( \([^)]*\))? \| (.*) \|$", PAGE, flags=re.MULTILINE)
    assert [name for name, unit, _ in rows if not unit] == list(OBJECTIVES)
    stated = {name: [float(cell) for cell in cells.split(" | ")] for name, unit, cells in rows if unit}
    assert stated == {name: [wish.worst, wish.best, wish.weight] for name, wish in DEFAULT_WISHES.items()}


def test_limits_and_options_match_the_code() -> None:
    assert f"{MOST_WITHOUT_YES:,} need `--yes`" in PAGE.replace("\n", " ")
    assert f"more than {MAX_FRONT_SIZE:,} recipes" in PAGE
    assert f"`{SCHEMA}`" in PAGE
    options = {option for parameter in screen.params for option in parameter.opts}
    assert set(re.findall(r"`(--[a-z-]+)", PAGE)) <= options


def test_cluster_times_follow_from_the_measured_rate() -> None:
    page = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")
    (rate,) = re.findall(r"10\^10 recipes at ([\d,]+) a second and core", page)
    recipes, seconds_of_work = re.findall(r"The ([\d,]+) recipes .* took (\d+) seconds", page.replace("\n", " "))[
        0
    ]
    measured = float(recipes.replace(",", "")) / float(seconds_of_work)
    assert float(rate.replace(",", "")) == pytest.approx(measured, rel=0.02)
    rows = re.findall(r"^\| ([\d,]+) \| ([\d.]+) (h|min) \|$", page, flags=re.MULTILINE)
    assert len(rows) == 4
    for cores, time, unit in rows:
        seconds = 1e10 / float(rate.replace(",", "")) / float(cores.replace(",", ""))
        assert float(time) == pytest.approx(seconds / {"h": 3600, "min": 60}[unit], rel=0.08)
    assert "nasicon-ml screen space.yaml --engine dask" in page
    options = {option for parameter in screen.params for option in parameter.opts}
    (command,) = re.findall(r"^nasicon-ml (screen .*)$", page, flags=re.MULTILINE)
    assert {word for word in shlex.split(command) if word.startswith("--")} <= options
