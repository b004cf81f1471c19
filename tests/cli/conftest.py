"""Fixtures of the tests of the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from nasicon_ml.cli.main import main
from tests.cli.fakes import fake_predict


@dataclass(frozen=True)
class Outcome:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run `nasicon-ml` in this process, in a temporary folder, with the fake model."""
    monkeypatch.setattr("nasicon_ml.workflows.predict.predict", fake_predict)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NASICON_ML_DEBUG", raising=False)

    def call(*arguments: str) -> Outcome:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call
