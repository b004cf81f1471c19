"""A curve from the installed command: table, JSON, file and figure."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.e2e.conftest import Command

pytestmark = pytest.mark.slow


def test_a_curve_says_what_its_best_is_worth(command: Command, tmp_path: Path) -> None:
    outcome = command(
        "profile", "--system", "LATP", "--x", "0.1:0.5:0.2", "--sintering-temperature", "800,900",
        "--figure", "f.png", "--output", "curve.csv",
    )  # fmt: skip
    assert outcome.returncode == 0
    assert outcome.stderr.startswith("6 recipes: x 0.1, 0.3, 0.5 x sintering temperature 800, 900 °C\n")
    assert "figure written to f.png; it shows " in outcome.stderr
    lines = outcome.stdout.splitlines()
    assert lines[0] == "LATP"
    assert lines[2].split()[:2] == ["x", "sintering"]
    for words in ("highest conductivity: x = ", "not told apart from it: ", "above the lowest, x = ", "decades ("):
        assert words in outcome.stdout
    with (tmp_path / "curve.csv").open(encoding="utf-8") as file:
        assert [row["x"] for row in csv.DictReader(file)] == ["0.1", "0.1", "0.3", "0.3", "0.5", "0.5"]
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")


def test_json_holds_predictions_differences_and_points(command: Command) -> None:
    outcome = command("profile", "--formula", "Li1.3M0.3Ti1.7(PO4)3", "--substitute", "M=Al,Sc", "--json")
    content = json.loads(outcome.stdout)
    assert content["schema"] == "nasicon-ml/profile/1"
    assert [varied["values"] for varied in content["varied"]] == [["Al", "Sc"]]
    assert len(content["predictions"]) == 2
    best = content["best"]["conductivity"]
    assert best["differences"]["value"][best["row"]] == 0
    assert {point["M"] for point in content["measured"]} == {"Al", "Sc"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--formula", "LATP x=0.3"), "one or two fields with several values"),
        (("--sintering-temperature", "800,900"), "no recipe: give --formula"),
        (("--formula", "LATP x=0.3", "--sintering-temperature", "800,9000"), "20 to 1700"),
        (("--formula", "LATP x=0.3", "--sintering-time", "1,2,3", "--figure", "f.docx"), ".png, .pdf, .svg"),
        (("--system", "LATP", "--x", "0:3:0.5"), "x is 2.5 here"),
    ],
)
def test_what_is_no_curve_ends_with_2(command: Command, arguments: tuple[str, ...], words: str) -> None:
    outcome = command("profile", *arguments)
    assert (outcome.returncode, outcome.stdout) == (2, "")
    assert words in outcome.stderr
