"""docs/uncertainty.md can be renewed from a training, and agrees with the code and the committed model."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tools.uncertainty_tables import FEWEST_SOURCES, PAGE, renew

from nasicon_ml.estimators.uncertainty import OWN_TRUST
from nasicon_ml.workflows.train import TrainingResult
from tests.contracts.source import ROOT


def test_renew_writes_tables_and_images_of_a_training(trained: TrainingResult, tmp_path: Path) -> None:
    page, images = tmp_path / "uncertainty.md", tmp_path / "images"
    page.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    renew(trained, page, images)
    text = page.read_text(encoding="utf-8")
    scores = trained.scores.set_index(["target", "subset", "model", "metric"])["value"]
    covered = scores["conductivity", "all", "full", "coverage_90"]
    row = next(line for line in text.splitlines() if line.startswith("| all | "))
    assert f" {100 * covered:.0f} ± " in row
    assert f"{scores['phase_purity', 'all', 'full', 'ece']:.3f}" in text
    assert trained.dataset_sha256[:12] in text
    shown = set(re.findall(r"\(images/([^)]+)\)", text))
    assert shown == {path.name for path in images.iterdir()}
    assert renew(trained, page, images) is None
    assert page.read_text(encoding="utf-8") == text, "renewing twice must not change the page"


def test_calibration_is_close_to_the_identity_as_stated() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert f"| `nasicon_ml.estimators.uncertainty.OWN_TRUST` | {OWN_TRUST:g} |" in text
    assert "are close to 1, 1 and 0" in text
    champion = json.loads((ROOT / "models" / "champion" / "model.json").read_text(encoding="utf-8"))
    assert champion["calibration"] == {
        "pure": pytest.approx(1.0, abs=0.1), "impure": pytest.approx(1.0, abs=0.1),
        "intercept": pytest.approx(0.0, abs=0.1),
    }  # fmt: skip


def test_systems_with_few_sources_are_not_shown() -> None:
    tables = PAGE.read_text(encoding="utf-8").split("<!-- measured:begin")[1]
    systems = re.findall(r"^\| (L\w+) \| \d+ \((\d+)\)", tables, flags=re.MULTILINE)
    assert len(systems) >= 2
    assert all(int(sources) >= FEWEST_SOURCES for _, sources in systems)
