"""`nasicon-ml app` serves the pages, and refuses invalid options."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest


@pytest.mark.slow
def test_app_command_serves_the_page(address: str) -> None:
    with urllib.request.urlopen(address) as answer:  # noqa: S310
        assert b'<div id="root">' in answer.read()


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--model", "nowhere"], "no bundle here"), (["--port", "99999"], "65535"),
     (["--model", "."], "no bundle here")],
)  # fmt: skip
def test_invalid_option_exits_with_code_2_and_a_message(options: list[str], message: str, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).parent / "nasicon-ml"), "app", "--no-browser", *options]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert outcome.returncode == 2
    assert message in outcome.stderr
