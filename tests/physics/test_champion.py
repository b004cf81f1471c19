"""The committed champion against the rules of the literature, one test per rule.

A rule that the champion violates is listed in `known_violations.json` with its margin and the reason, and its test
is expected to fail. This is strict: if a new champion satisfies the rule, the test fails until the rule is removed
from the list. `make benchmark-plausibility` updates the list (see benchmarks/plausibility.py). Rules are never
relaxed.
"""

from __future__ import annotations

import pandas as pd
import pytest
from benchmarks.plausibility import CHAMPION, DIGITS, KNOWN, RESULT, champion_checksum, read_known, renewed

from nasicon_ml.data.files import PELLETS_FILE, dataset_checksum, datasets_folder
from nasicon_ml.evaluation.plausibility import PhysicalRule, check_plausibility, physical_rules
from nasicon_ml.model import PropertyModel

KNOWN_VIOLATIONS = read_known()
RENEW = "renew it: make benchmark-plausibility"


def _parameter(rule: PhysicalRule) -> object:
    marks = []
    if rule.name in KNOWN_VIOLATIONS:
        reason = KNOWN_VIOLATIONS[rule.name]["reason"]
        marks.append(pytest.mark.xfail(strict=True, raises=AssertionError, reason=reason))
    return pytest.param(rule, id=rule.name, marks=marks)


@pytest.fixture(scope="module")
def rule_margins() -> pd.DataFrame:
    return check_plausibility(PropertyModel.load(CHAMPION)).set_index("rule")


@pytest.mark.parametrize("rule", [_parameter(rule) for rule in physical_rules()])
def test_champion_satisfies_the_rule(rule_margins: pd.DataFrame, rule: PhysicalRule) -> None:
    result = rule_margins.loc[rule.name]
    assert result["holds"], f"{rule.statement} [{rule.source}] Off by {-result['margin']:.3g} {rule.unit}."


def test_known_violations_are_existing_rules_with_a_reason() -> None:
    assert set(KNOWN_VIOLATIONS) <= {rule.name for rule in physical_rules()}
    assert [name for name, entry in KNOWN_VIOLATIONS.items() if len(entry["reason"]) < 20] == []


def test_margins_of_known_violations_are_those_of_the_champion(rule_margins: pd.DataFrame) -> None:
    current = renewed(KNOWN_VIOLATIONS, rule_margins.reset_index())
    recorded = {name: entry["margin"] for name, entry in KNOWN_VIOLATIONS.items()}
    assert {name: entry["margin"] for name, entry in current.items()} == pytest.approx(
        recorded, abs=10.0**-DIGITS
    ), RENEW


def test_committed_report_is_of_the_current_champion_and_dataset() -> None:
    text = RESULT.read_text(encoding="utf-8")
    assert champion_checksum() in text, RENEW
    assert dataset_checksum(datasets_folder() / PELLETS_FILE) in text, RENEW
    for rule in physical_rules():
        assert f"`{rule.name}`" in text, RENEW
    for entry in KNOWN_VIOLATIONS.values():
        assert entry["reason"] in text, RENEW


def test_renewing_removes_rules_that_hold_and_keeps_reasons() -> None:
    known = {"a": {"margin": -1.0, "reason": "why a"}, "b": {"margin": -1.0, "reason": "why b"}}
    current = pd.DataFrame(
        {"rule": ["a", "b", "c"], "margin": [-0.123456, 1.0, -2.0], "holds": [False, True, False]}
    )
    assert renewed(known, current) == {
        "a": {"margin": -0.1235, "reason": "why a"},
        "c": {"margin": -2.0, "reason": ""},
    }


def test_known_violations_are_fewer_than_the_rules() -> None:
    assert KNOWN.is_file()
    assert len(KNOWN_VIOLATIONS) < len(physical_rules())
