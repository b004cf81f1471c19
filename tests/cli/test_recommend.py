"""``nasicon-ml recommend`` and ``campaign``: what they say, write and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.conftest import Run
from tests.cli.test_screen import MODEL

SPACE = """\
name: small
compositions:
  - system: LATP
    x: [0.2, 0.3, 0.4]
processing:
  sintering_temperature_c: [800, 850, 900, 950, 1000]
  sintering_time_h: 6
"""
OWN = """\
formula,sintering_temperature_c,sintering_time_h,conductivity_total_s_cm,relative_density_pct
LATP x=0.3,900,6,3e-4,92
LATP x=0.3,1000,6,1e-4,88
"""


@pytest.fixture
def ask(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `nasicon-ml` beside a space and own pellets, with the committed model."""
    monkeypatch.setenv("NASICON_ML_MODEL", MODEL)
    (tmp_path / "space.yaml").write_text(SPACE, encoding="utf-8")
    (tmp_path / "own.csv").write_text(OWN, encoding="utf-8")
    return run


def test_a_batch_is_recommended_with_reasons(ask: Run) -> None:
    outcome = ask("recommend", "space.yaml", "--own", "own.csv")
    assert outcome.code == 0, outcome.err
    assert "2 own pellets (best: own-1, 3.0e-4 S/cm), 2 candidates left out as already made" in outcome.out
    assert "next, of 13 candidates:" in outcome.out
    for number in (1, 2, 3):
        assert f"\n{number}. Li1." in outcome.out
    for fact in ("expected", "better", "teaches", "why", "nearest"):
        assert outcome.out.count(f"   {fact} ") == 3
    assert "likely better than own-1" in outcome.out


def test_json_and_files_say_the_same(ask: Run, tmp_path: Path) -> None:
    outcome = ask(
        "recommend", "space.yaml", "--batch", "2", "--json", "--output", "next.csv", "--figure", "next.png"
    )
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert found["best"] is None
    assert found["candidates"] == 15
    assert len(found["batch"]) == 2
    written = pd.read_csv(tmp_path / "next.csv")
    assert written["formula"].tolist() == [one["formula"] for one in found["batch"]]
    assert written["reason"].notna().all()
    assert (tmp_path / "next.png").read_bytes().startswith(b"\x89PNG")
    assert "written: next.csv, next.png" in outcome.err


def test_conditions_and_wishes_are_read(ask: Run) -> None:
    outcome = ask("recommend", "space.yaml", "--own", "own.csv", "--min-density", "90", "--min-purity", "0.1")
    assert outcome.code == 0, outcome.err
    assert "of pellets of at least 90 % density, of phase pure pellets" in outcome.out
    outcome = ask("recommend", "space.yaml", "--own", "own.csv", "--desire", "density=80:98", "--json")
    assert json.loads(outcome.out)["unit"] == "desirability"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("nowhere.yaml",), "nowhere.yaml"),
        (("space.yaml", "--min-purity", "50"), "min-purity"),
        (("space.yaml", "--min-density", "120"), "min-density"),
        (("space.yaml", "--method", "thomson"), "did you mean 'thompson'"),
        (("space.yaml", "--desire", "colour=1:2"), "colour"),
        (("space.yaml", "--min-purity", "0.999"), "likely to be phase pure"),
        (("space.yaml", "--own", "space.yaml"), "space.yaml"),
        (("space.yaml", "--output", "next.txt"), ".csv"),
        (("space.yaml", "--output", "space.yaml"), "--output"),
    ],
)
def test_what_cannot_be_is_refused(ask: Run, tmp_path: Path, arguments: tuple[str, ...], named: str) -> None:
    outcome = ask("recommend", *arguments)
    assert outcome.code == 2
    assert named.lower() in outcome.err.lower()
    assert "Traceback" not in outcome.err
    assert {path.name for path in tmp_path.iterdir()} == {"space.yaml", "own.csv"}


def test_what_a_batch_cannot_be_is_said(ask: Run) -> None:
    outcome = ask("recommend", "space.yaml", "--min-density", "99.9", "--batch", "40", "--json")
    assert outcome.code == 0, outcome.err
    assert "note: no candidate is likely to reach 99.9 % density" in outcome.err
    assert " in place of 40" in outcome.err
    assert len(json.loads(outcome.out)["warnings"]) == 2


def test_a_pellet_that_nothing_can_beat_is_asked_about(ask: Run, tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text(OWN.replace("3e-4", "0.3"), encoding="utf-8")
    outcome = ask("recommend", "space.yaml", "--own", "own.csv")
    assert "none of the batch is likely to be better than own-1" in outcome.err


def test_a_campaign_answers_in_json_whatever_its_state(ask: Run, tmp_path: Path) -> None:
    ask("campaign", "start", "latp", "space.yaml")
    outcome = ask("campaign", "status", "latp", "--json", "--figure", "status.png")
    assert json.loads(outcome.out)["pellets"] == []
    assert "status.png is not drawn" in outcome.err
    first = json.loads(ask("campaign", "next", "latp", "--json").out)["batch"]
    outcome = ask("campaign", "next", "latp", "--json", "--figure", "next.png")
    assert [one["formula"] for one in json.loads(outcome.out)["batch"]] == [one["formula"] for one in first]
    assert "next.png is not drawn" in outcome.err


def test_milliseconds_of_siemens_are_asked_about(ask: Run, tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text(OWN.replace("3e-4", "0.3"), encoding="utf-8")
    outcome = ask("recommend", "space.yaml", "--own", "own.csv")
    assert "mS/cm" in outcome.err


def test_a_campaign_with_a_model_that_is_not_there_is_not_begun(ask: Run, tmp_path: Path) -> None:
    outcome = ask("campaign", "start", "latp", "space.yaml", "--model", "nowhere")
    assert outcome.code == 2
    assert "--model nowhere: there is no such folder" in outcome.err
    assert not (tmp_path / "latp").exists()


def test_a_campaign_from_start_to_status(ask: Run, tmp_path: Path) -> None:
    outcome = ask("campaign", "start", "latp", "space.yaml", "--min-density", "85", "--batch", "2")
    assert outcome.code == 0, outcome.err
    assert "no pellet yet" in ask("campaign", "status", "latp").out
    (tmp_path / "own.csv").write_text(f"# furnace 2\n{(tmp_path / 'own.csv').read_text()}", encoding="utf-8")
    added = ask("campaign", "add", "latp", "own.csv")
    assert "2 pellets added; 2 in all" in added.out
    assert added.err.count("above the header skipped") == 1
    first = ask("campaign", "next", "latp", "--figure", "next.png")
    assert first.code == 0, first.err
    assert first.out.startswith("batch 1\n")
    batches = pd.read_csv(tmp_path / "latp" / "batches.csv")
    assert len(batches) == 2

    again = ask("campaign", "next", "latp")
    assert "not measured yet" in again.out
    assert len(pd.read_csv(tmp_path / "latp" / "batches.csv")) == 2

    made = batches[["formula", "sintering_temperature_c", "sintering_time_h"]].assign(conductivity_total_s_cm=4e-4)
    made.to_csv(tmp_path / "made.csv", index=False)
    assert "2 pellets added; 4 in all" in ask("campaign", "add", "latp", "made.csv").out
    assert ask("campaign", "next", "latp").out.startswith("batch 2\n")
    status = ask("campaign", "status", "latp", "--figure", "status.png")
    assert status.code == 0, status.err
    assert status.out.count("own-") == 4
    assert "4.0e-4" in status.out
    assert "2 recipes of the last batch not measured yet" in status.out
    assert (tmp_path / "status.png").exists()
    table = json.loads(ask("campaign", "status", "latp", "--json").out)["pellets"]
    assert [row["pellet_id"] for row in table] == ["own-1", "own-2", "own-3", "own-4"]


@pytest.mark.parametrize("verb", [("next",), ("status",), ("add", "own.csv")])
def test_a_folder_that_is_no_campaign_is_said(ask: Run, verb: tuple[str, ...]) -> None:
    name, *others = verb
    outcome = ask("campaign", name, "nowhere", *others)
    assert outcome.code == 2
    assert "there is no campaign" in outcome.err
