"""The installed `nasicon-ml compare`."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.e2e.conftest import Command

pytestmark = pytest.mark.slow
RECIPES = (
    "pellet_id,formula,sintering_temperature_c\na,LATP x=0.3,900\nb,LATP x=0.3,hot\nc,LAGP x=0.5,900\nd,LTP,900\n"
)


def test_recipes_from_options_are_compared_with_the_first(command: Command, tmp_path: Path) -> None:
    outcome = command(
        "compare", "--system", "LATP", "--x", "0.3", "--sintering-time", "1,2,4", "--output", "differences.csv"
    )
    assert outcome.returncode == 0
    lines = outcome.stdout.splitlines()
    assert lines[0] == "compared with 1: Li1.3Al0.3Ti1.7(PO4)3, 1 h"
    assert [line.split()[0] for line in lines[3:6]] == ["#", "2", "3"]
    assert "told apart from 1 at 90 %: " in outcome.stdout
    with (tmp_path / "differences.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["input_row"] for row in rows[::3]] == ["1", "2", "3"]
    assert {row["unit"] for row in rows} == {"decades", "points", "probability"}


def test_recipes_from_file_keep_row_numbers_and_ids(command: Command, tmp_path: Path) -> None:
    (tmp_path / "recipes.csv").write_text(RECIPES, encoding="utf-8")
    outcome = command("compare", "recipes.csv", "--reference", "3")
    assert outcome.returncode == 1
    assert outcome.stdout.startswith("compared with 3: c: Li1.5Al0.5Ge1.5(PO4)3, 900 °C\n")
    assert "recipes.csv, line 3: sintering_temperature_c" in outcome.stderr
    content = json.loads(command("compare", "recipes.csv", "--json").stdout)
    assert (content["schema"], content["reference"]) == ("nasicon-ml/comparison/1", 1)
    first, _, last = content["differences"]
    assert [row["input_row"] for row in content["differences"]] == [1, 3, 4]
    assert first["conductivity"]["difference"] == 0
    sigma = [row["conductivity"]["value"] for row in content["predictions"]]
    assert 10 ** last["conductivity"]["difference"] == pytest.approx(sigma[2] / sigma[0])
    assert last["conductivity"]["better"] < 0.2, "LTP conducts less than LATP"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--formula", "LTP"), "at least two recipes"),
        (("--formula", "LTP", "--formula", "LGP", "--reference", "3"), "there is no such recipe"),
        (("recipes.csv", "--formula", "LTP"), "give a file or options, not both"),
        (("absent.csv",), "absent.csv"),
    ],
)
def test_invalid_comparison_exits_with_code_2(
    command: Command, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "recipes.csv").write_text(RECIPES, encoding="utf-8")
    outcome = command("compare", *arguments)
    assert (outcome.returncode, outcome.stdout) == (2, "")
    assert message in " ".join(outcome.stderr.split())
