"""Every route of MLflow's server is on the reviewed list, so that new routes of a release do not go unnoticed."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def test_served_routes_equal_the_reviewed_list() -> None:
    """After an upgrade of MLflow run tests/server/routes.py > tests/server/routes.txt, and review the changes."""
    program = Path(__file__).with_name("routes.py")
    output = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True).stdout
    assert output.splitlines() == program.with_suffix(".txt").read_text(encoding="utf-8").splitlines()


def test_guard_supports_the_locked_version_of_mlflow() -> None:
    root = Path(__file__).parents[2]
    guard = (root / "deploy/promotion_guard.py").read_text(encoding="utf-8")
    tested = guard.split('TESTED = "')[1].split('"')[0]
    assert f"mlflow=={tested} " in (root / "requirements/server.lock").read_text(encoding="utf-8")
    assert f'"mlflow[auth]=={tested}"' in (root / "pyproject.toml").read_text(encoding="utf-8")
