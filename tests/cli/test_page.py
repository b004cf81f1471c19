"""docs/cli.md is correct: its commands run, and its JSON has the actual structure."""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from nasicon_ml.cli.main import VERBS
from nasicon_ml.columns import PREDICTION
from nasicon_ml.workflows.predict import predict as real_predict
from tests.cli.conftest import Run

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
COMMANDS = [
    line for block in re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL) for line in block.splitlines() if line
]


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "examples", tmp_path / "examples"))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_documented_command_runs(
    run: Run, examples: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    *before, last = command.split(" | ")
    if before:
        (source,) = before
        data = (examples.parent / source.removeprefix("cat ")).read_bytes()
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    program, *arguments = shlex.split(last)
    assert program == "nasicon-ml"
    if {"profile", "compare", "--explain"} & set(arguments):  # these need more than the fake model has
        monkeypatch.setattr("nasicon_ml.workflows.predict.predict", real_predict)
    outcome = run(*arguments)
    assert (outcome.code, bool(outcome.out)) == (0, True), outcome.err


def structure(content: Any) -> Any:
    """Return the keys of a JSON value, without its numbers and texts."""
    if isinstance(content, dict):
        return {key: structure(value) for key, value in content.items()}
    if isinstance(content, list):
        return [structure(item) for item in content[:1] if isinstance(item, dict)]
    return None


def test_documented_json_has_actual_structure(run: Run, tmp_path: Path) -> None:
    (block,) = re.findall(r"```json\n(.*?)```", PAGE, flags=re.DOTALL)
    text = "pellet_id,formula,atmosphere\nargon-slow,LATP x=0.4,Ar\nfast,LATP x=0.4,argn\n"
    (tmp_path / "recipes.csv").write_text(text, encoding="utf-8")
    actual = json.loads(run("predict", "recipes.csv", "--json", "--neighbours", "1").out)
    for item in actual["predictions"]:
        item["broken_rules"] = []  # depends on the model
        assert set(item["measured_alike"]) <= {"conductivity", "relative_density", "phase_purity"}
    documented = json.loads(block)
    assert structure(documented) == structure(actual)
    assert documented["schema"] == actual["schema"]
    assert documented["rejected"] == actual["rejected"]


def test_every_prediction_column_is_documented() -> None:
    assert [column.value for column in PREDICTION if f"`{column.value}`" not in PAGE] == []


def test_every_verb_is_documented() -> None:
    assert [name for name in VERBS if f"`nasicon-ml {name}`" not in PAGE] == []
