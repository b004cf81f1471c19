"""``nasicon-ml recommend`` and ``nasicon-ml campaign``: output, files, messages and exit codes."""

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
def run_with_model(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `nasicon-ml` in a folder with a space and own pellets, with the committed model."""
    monkeypatch.setenv("NASICON_ML_MODEL", MODEL)
    (tmp_path / "space.yaml").write_text(SPACE, encoding="utf-8")
    (tmp_path / "own.csv").write_text(OWN, encoding="utf-8")
    return run


def test_batch_is_printed_with_reasons(run_with_model: Run) -> None:
    outcome = run_with_model("recommend", "space.yaml", "--own", "own.csv")
    assert outcome.code == 0, outcome.err
    assert "2 own pellets (best: own-1, 3.0e-4 S/cm), 2 candidates left out as already made" in outcome.out
    assert "next, of 13 candidates:" in outcome.out
    for number in (1, 2, 3):
        assert f"\n{number}. Li1." in outcome.out
    for label in ("expected", "better", "teaches", "why", "nearest"):
        assert outcome.out.count(f"   {label} ") == 3
    assert "likely better than own-1" in outcome.out


def test_json_and_output_files_contain_the_same_batch(run_with_model: Run, tmp_path: Path) -> None:
    outcome = run_with_model(
        "recommend", "space.yaml", "--batch", "2", "--json", "--output", "next.csv", "--figure", "next.png"
    )
    assert outcome.code == 0, outcome.err
    result = json.loads(outcome.out)
    assert result["best"] is None
    assert result["candidates"] == 15
    assert len(result["batch"]) == 2
    written = pd.read_csv(tmp_path / "next.csv")
    assert written["formula"].tolist() == [recipe["formula"] for recipe in result["batch"]]
    assert written["reason"].notna().all()
    assert (tmp_path / "next.png").read_bytes().startswith(b"\x89PNG")
    assert "written: next.csv, next.png" in outcome.err


def test_conditions_and_desirability_options_are_used(run_with_model: Run) -> None:
    outcome = run_with_model(
        "recommend", "space.yaml", "--own", "own.csv", "--min-density", "90", "--min-purity", "0.1"
    )
    assert outcome.code == 0, outcome.err
    assert "of pellets of at least 90 % density, of phase pure pellets" in outcome.out
    outcome = run_with_model("recommend", "space.yaml", "--own", "own.csv", "--desire", "density=80:98", "--json")
    assert json.loads(outcome.out)["unit"] == "desirability"


@pytest.mark.parametrize(
    ("arguments", "message"),
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
def test_invalid_arguments_exit_with_code_2_and_write_nothing(
    run_with_model: Run, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    outcome = run_with_model("recommend", *arguments)
    assert outcome.code == 2
    assert message.lower() in outcome.err.lower()
    assert "Traceback" not in outcome.err
    assert {path.name for path in tmp_path.iterdir()} == {"space.yaml", "own.csv"}


def test_unreachable_density_and_incomplete_batch_are_reported(run_with_model: Run) -> None:
    outcome = run_with_model("recommend", "space.yaml", "--min-density", "99.9", "--batch", "40", "--json")
    assert outcome.code == 0, outcome.err
    assert "note: no candidate is likely to reach 99.9 % density" in outcome.err
    assert " in place of 40" in outcome.err
    assert len(json.loads(outcome.out)["warnings"]) == 2


def test_batch_unlikely_to_beat_best_pellet_is_reported(run_with_model: Run, tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text(OWN.replace("3e-4", "0.3"), encoding="utf-8")
    outcome = run_with_model("recommend", "space.yaml", "--own", "own.csv")
    assert "none of the batch is likely to be better than own-1" in outcome.err


def test_campaign_prints_json_even_if_the_figure_cannot_be_drawn(run_with_model: Run, tmp_path: Path) -> None:
    run_with_model("campaign", "start", "latp", "space.yaml")
    outcome = run_with_model("campaign", "status", "latp", "--json", "--figure", "status.png")
    assert json.loads(outcome.out)["pellets"] == []
    assert "status.png is not drawn" in outcome.err
    first = json.loads(run_with_model("campaign", "next", "latp", "--json").out)["batch"]
    outcome = run_with_model("campaign", "next", "latp", "--json", "--figure", "next.png")
    assert [recipe["formula"] for recipe in json.loads(outcome.out)["batch"]] == [
        recipe["formula"] for recipe in first
    ]
    assert "next.png is not drawn" in outcome.err


def test_own_conductivity_probably_in_ms_per_cm_gives_a_warning(run_with_model: Run, tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text(OWN.replace("3e-4", "0.3"), encoding="utf-8")
    outcome = run_with_model("recommend", "space.yaml", "--own", "own.csv")
    assert "mS/cm" in outcome.err


def test_campaign_with_missing_model_is_not_started(run_with_model: Run, tmp_path: Path) -> None:
    outcome = run_with_model("campaign", "start", "latp", "space.yaml", "--model", "nowhere")
    assert outcome.code == 2
    assert "--model nowhere: there is no such folder" in outcome.err
    assert not (tmp_path / "latp").exists()


def test_campaign_workflow_from_start_to_status(run_with_model: Run, tmp_path: Path) -> None:
    outcome = run_with_model("campaign", "start", "latp", "space.yaml", "--min-density", "85", "--batch", "2")
    assert outcome.code == 0, outcome.err
    assert "no pellet yet" in run_with_model("campaign", "status", "latp").out
    (tmp_path / "own.csv").write_text(f"# furnace 2\n{(tmp_path / 'own.csv').read_text()}", encoding="utf-8")
    added = run_with_model("campaign", "add", "latp", "own.csv")
    assert "2 pellets added; 2 in all" in added.out
    assert added.err.count("above the header skipped") == 1
    first = run_with_model("campaign", "next", "latp", "--figure", "next.png")
    assert first.code == 0, first.err
    assert first.out.startswith("batch 1\n")
    batches = pd.read_csv(tmp_path / "latp" / "batches.csv")
    assert len(batches) == 2

    again = run_with_model("campaign", "next", "latp")
    assert "not measured yet" in again.out
    assert len(pd.read_csv(tmp_path / "latp" / "batches.csv")) == 2

    made = batches[["formula", "sintering_temperature_c", "sintering_time_h"]].assign(conductivity_total_s_cm=4e-4)
    made.to_csv(tmp_path / "made.csv", index=False)
    assert "2 pellets added; 4 in all" in run_with_model("campaign", "add", "latp", "made.csv").out
    assert run_with_model("campaign", "next", "latp").out.startswith("batch 2\n")
    status = run_with_model("campaign", "status", "latp", "--figure", "status.png")
    assert status.code == 0, status.err
    assert status.out.count("own-") == 4
    assert "4.0e-4" in status.out
    assert "2 recipes of the last batch not measured yet" in status.out
    assert (tmp_path / "status.png").exists()
    table = json.loads(run_with_model("campaign", "status", "latp", "--json").out)["pellets"]
    assert [row["pellet_id"] for row in table] == ["own-1", "own-2", "own-3", "own-4"]


@pytest.mark.parametrize("verb", [("next",), ("status",), ("add", "own.csv")])
def test_campaign_verbs_exit_with_code_2_in_folder_without_campaign(
    run_with_model: Run, verb: tuple[str, ...]
) -> None:
    name, *others = verb
    outcome = run_with_model("campaign", name, "nowhere", *others)
    assert outcome.code == 2
    assert "there is no campaign" in outcome.err
