"""Every address that MLflow serves is known, and for whom: what a new release brings fails until it is decided."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def test_every_address_of_the_server_is_known() -> None:
    """To renew the list after an upgrade: python tests/server/routes.py > tests/server/routes.txt, and read it."""
    program = Path(__file__).with_name("routes.py")
    found = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True).stdout
    assert found.splitlines() == program.with_suffix(".txt").read_text(encoding="utf-8").splitlines()


def test_the_guard_starts_with_the_version_of_mlflow_that_the_image_holds() -> None:
    root = Path(__file__).parents[2]
    guard = (root / "deploy/promotion_guard.py").read_text(encoding="utf-8")
    tested = guard.split('TESTED = "')[1].split('"')[0]
    assert f"mlflow=={tested} " in (root / "requirements/server.lock").read_text(encoding="utf-8")
    assert f'"mlflow[auth]=={tested}"' in (root / "pyproject.toml").read_text(encoding="utf-8")
