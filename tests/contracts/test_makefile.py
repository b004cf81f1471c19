"""The help of the Makefile lists all targets, and CI uses only these."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def _targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.MULTILINE))


def test_help_is_the_default_and_lists_every_target() -> None:
    outcome = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(re.findall(r"^  make ([a-z-]+) +\S", outcome.stdout, flags=re.MULTILINE)) == _targets()


def test_every_target_is_phony() -> None:
    """Otherwise a file with the name of a target (`test`, `out`) would prevent it from running."""
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, flags=re.MULTILINE)
    assert phony
    assert set(phony.group(1).split()) == _targets()


def test_ci_uses_only_targets_of_the_makefile() -> None:
    commands = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    used_targets = {line.split()[1] for line in commands if line.startswith("make ")}
    assert {"lint", "test", "notebooks"} <= used_targets <= _targets()
    assert "set -euo pipefail" in commands
