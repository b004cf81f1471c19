"""docs/scikit-learn.md: all code blocks run in order and print the output shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools.renew_docs import renewed_python_page

from tests.contracts.source import ROOT

PAGE = (ROOT / "docs" / "scikit-learn.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_code_blocks_print_the_output_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NASICON_ML_MODEL", raising=False)
    assert renewed_python_page(PAGE, tmp_path) == PAGE, "renew it: make docs"
