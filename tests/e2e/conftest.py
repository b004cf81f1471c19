"""Fixtures that run the installed command in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("nasicon-ml")
ROOT = Path(__file__).parents[2]
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environment() -> dict[str, str]:
    """Return the environment variables without a developer's settings of nasicon-ml and MLflow."""
    prefixes = ("NASICON_ML_", "MLFLOW_")
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}


@pytest.fixture
def command(tmp_path: Path, environment: dict[str, str]) -> Command:
    """Return a function that runs `nasicon-ml` and waits until it exits."""

    def run_command(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(PROGRAM), *arguments],
            cwd=tmp_path,
            env=environment,
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )

    return run_command
