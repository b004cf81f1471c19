"""docs/python.md: all code blocks run in order and print the output shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tools.renew_docs import renewed_python_page

import nasicon_ml
from tests.contracts.source import ROOT

PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # raised by matminer's featurizers
def test_code_blocks_print_the_output_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NASICON_ML_MODEL", raising=False)
    assert renewed_python_page(PAGE, tmp_path) == PAGE, "renew it: make docs"
    assert {path.name for path in tmp_path.iterdir()} == {
        "examples", "predictions.csv", "my_model", "parity.png", "recipe.png",
    }  # fmt: skip


def test_all_public_names_are_shown() -> None:
    pages = PAGE + (ROOT / "docs" / "scikit-learn.md").read_text(encoding="utf-8")
    imported = {
        name.strip()
        for line in re.findall(r"^from nasicon_ml import (.*)$", pages, flags=re.MULTILINE)
        for name in line.split(",")
    }
    analogous = {"DensityRegressor", "PhasePurityClassifier"}  # used as ConductivityRegressor is
    imported |= analogous
    assert imported == {*nasicon_ml.__all__} - {"__version__"}
    introduction = PAGE.split("##")[0]
    assert {name for name in nasicon_ml.__all__ if f"`{name}`" in introduction} == imported
