"""The installed `nasicon-ml profile`: table, JSON, file and figure."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.e2e.conftest import Command

pytestmark = pytest.mark.slow


def test_profile_prints_best_value_and_writes_csv_and_figure(command: Command, tmp_path: Path) -> None:
    outcome = command(
        "profile", "--system", "LATP", "--x", "0.1:0.5:0.2", "--sintering-temperature", "800,900",
        "--figure", "figure.png", "--output", "curve.csv",
    )  # fmt: skip
    assert outcome.returncode == 0
    assert outcome.stderr.startswith("6 recipes: x 0.1, 0.3, 0.5 x sintering temperature 800, 900 °C\n")
    assert "figure written to figure.png; it shows " in outcome.stderr
    lines = outcome.stdout.splitlines()
    assert lines[0] == "LATP"
    assert lines[2].split()[:2] == ["x", "sintering"]
    for expected in (
        "highest conductivity: x = ",
        "not told apart from it: ",
        "above the lowest, x = ",
        "decades (",
    ):
        assert expected in outcome.stdout
    with (tmp_path / "curve.csv").open(encoding="utf-8") as file:
        assert [row["x"] for row in csv.DictReader(file)] == ["0.1", "0.1", "0.3", "0.3", "0.5", "0.5"]
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_json_contains_predictions_differences_and_measured_points(command: Command) -> None:
    outcome = command("profile", "--formula", "Li1.3M0.3Ti1.7(PO4)3", "--substitute", "M=Al,Sc", "--json")
    content = json.loads(outcome.stdout)
    assert content["schema"] == "nasicon-ml/profile/1"
    assert [varied["values"] for varied in content["varied"]] == [["Al", "Sc"]]
    assert len(content["predictions"]) == 2
    best = content["best"]["conductivity"]
    assert best["differences"]["value"][best["row"]] == 0
    assert {point["M"] for point in content["measured"]} == {"Al", "Sc"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--formula", "LATP x=0.3"), "one or two fields with several values"),
        (("--sintering-temperature", "800,900"), "no recipe: give --formula"),
        (("--formula", "LATP x=0.3", "--sintering-temperature", "800,9000"), "20 to 1700"),
        (("--formula", "LATP x=0.3", "--sintering-time", "1,2,3", "--figure", "f.docx"), ".png, .pdf, .svg"),
        (("--system", "LATP", "--x", "0:3:0.5"), "x is 2.5 here"),
    ],
)
def test_invalid_curve_exits_with_code_2(command: Command, arguments: tuple[str, ...], message: str) -> None:
    outcome = command("profile", *arguments)
    assert (outcome.returncode, outcome.stdout) == (2, "")
    assert message in outcome.stderr
