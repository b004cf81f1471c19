"""docs/python.md: every block runs, in order, and prints what is shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tools.renew_docs import renewed_python_page

import nasicon_ml
from tests.contracts.source import ROOT

PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of matminer's, through its own featurizers
def test_every_block_prints_what_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NASICON_ML_MODEL", raising=False)
    assert renewed_python_page(PAGE, tmp_path) == PAGE, "renew it: make docs"
    assert {path.name for path in tmp_path.iterdir()} == {
        "examples", "predictions.csv", "my_model", "parity.png", "recipe.png",
    }  # fmt: skip


def test_it_shows_everything_that_is_promised_at_the_roof() -> None:
    pages = PAGE + (ROOT / "docs" / "scikit-learn.md").read_text(encoding="utf-8")
    imported = {
        name.strip()
        for line in re.findall(r"^from nasicon_ml import (.*)$", pages, flags=re.MULTILINE)
        for name in line.split(",")
    }
    others = {"DensityRegressor", "PhasePurityClassifier"}  # used as ConductivityRegressor is
    imported |= others
    assert imported == {*nasicon_ml.__all__} - {"__version__"}
    opening = PAGE.split("##")[0]
    assert {name for name in nasicon_ml.__all__ if f"`{name}`" in opening} == imported
