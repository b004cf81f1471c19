"""docs/registry.md names the commands of the registry, the limits of the gate, and the tags."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nasicon_ml import tracking
from nasicon_ml.cli.registry import registry
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.evaluation import gate
from nasicon_ml.evaluation.plausibility import DEGREES
from nasicon_ml.tracking import promotion
from nasicon_ml.tracking import registry as versions

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "registry.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| ([a-z ]+) \| (.+) \|$", PAGE, flags=re.MULTILINE))


def test_every_registry_command_has_a_row_with_an_existing_function() -> None:
    rows = re.findall(r"^\| `registry (\w+)[^`]*` \| `(\w+)\(", PAGE, flags=re.MULTILINE)
    assert {verb for verb, _ in rows} == set(registry.commands)
    assert all(callable(getattr(tracking, function)) for _, function in rows)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("conductivity", f"{gate.TOLERANCES[TargetName.CONDUCTIVITY]:g} decades"),
        ("relative density", f"{gate.TOLERANCES[TargetName.RELATIVE_DENSITY]:g} points"),
        ("phase purity", f"more than {gate.TOLERANCES[TargetName.PHASE_PURITY]:g}"),
        ("comparison", f"less than {100 * gate.LEAST_SHARE:.0f} %"),
        ("physics", f"{gate.ALLOWANCES['decades']:g} decades, {gate.ALLOWANCES['points']:g} points, "),
        ("physics", f"{gate.ALLOWANCES['probability']:g} of probability, {gate.ALLOWANCES['eV']:g} eV or "),
        ("physics", f"{gate.ALLOWANCES[DEGREES]:g} °C"),
        *(("coverage", f"{low:g} to {high:g}") for low, high in gate.COVERAGE_RANGES.values()),
    ],
)  # fmt: skip
def test_stated_limits_match_the_gate(question: str, expected: str) -> None:
    assert expected in ROWS[question]


def test_stated_numbers_of_the_comparison_match_the_gate() -> None:
    assert f"{gate.DRAWS:,} draws" in PAGE
    assert f"{100 * gate.LEAST_RULES:.0f} % of the rules" in PAGE


def test_written_tags_are_documented() -> None:
    names = (
        promotion.PROMOTED_OVER, promotion.PROMOTED_AT, promotion.PROMOTED_BY, promotion.GATE,
        promotion.FORCED_REASON, promotion.GATE_REPORT, versions.BUNDLE_FILES,
    )  # fmt: skip
    assert all(f"`{name}`" in PAGE for name in names)
