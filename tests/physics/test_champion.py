"""The committed model against what the literature states, one test a rule.

A rule that the model violates is a finding. It is listed in `known_violations.json`, with the margin by which it
fails and the reason, and its test is expected to fail: strictly, so that a model that puts it right fails the test
until the list is shortened. After a new champion `make benchmark-plausibility` renews the list
(benchmarks/plausibility.py says how); no rule is loosened.
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
def checked() -> pd.DataFrame:
    return check_plausibility(PropertyModel.load(CHAMPION)).set_index("rule")


@pytest.mark.parametrize("rule", [_parameter(rule) for rule in physical_rules()])
def test_the_champion_agrees_with_the_literature(checked: pd.DataFrame, rule: PhysicalRule) -> None:
    found = checked.loc[rule.name]
    assert found["holds"], f"{rule.statement} [{rule.source}] Off by {-found['margin']:.3g} {rule.unit}."


def test_known_violations_are_rules_with_a_reason() -> None:
    assert set(KNOWN_VIOLATIONS) <= {rule.name for rule in physical_rules()}
    assert [name for name, entry in KNOWN_VIOLATIONS.items() if len(entry["reason"]) < 20] == []


def test_sizes_of_known_violations_are_those_of_the_champion(checked: pd.DataFrame) -> None:
    now = renewed(KNOWN_VIOLATIONS, checked.reset_index())
    kept = {name: entry["margin"] for name, entry in KNOWN_VIOLATIONS.items()}
    assert {name: entry["margin"] for name, entry in now.items()} == pytest.approx(kept, abs=10.0**-DIGITS), RENEW


def test_the_committed_result_is_of_the_champion_and_the_dataset() -> None:
    text = RESULT.read_text(encoding="utf-8")
    assert champion_checksum() in text, RENEW
    assert dataset_checksum(datasets_folder() / PELLETS_FILE) in text, RENEW
    for rule in physical_rules():
        assert f"`{rule.name}`" in text, RENEW
    for entry in KNOWN_VIOLATIONS.values():
        assert entry["reason"] in text, RENEW


def test_renewing_drops_what_holds_and_keeps_reasons() -> None:
    known = {"a": {"margin": -1.0, "reason": "why a"}, "b": {"margin": -1.0, "reason": "why b"}}
    now = pd.DataFrame({"rule": ["a", "b", "c"], "margin": [-0.123456, 1.0, -2.0], "holds": [False, True, False]})
    assert renewed(known, now) == {
        "a": {"margin": -0.1235, "reason": "why a"},
        "c": {"margin": -2.0, "reason": ""},
    }


def test_the_list_stands_where_the_tests_are() -> None:
    assert KNOWN.is_file()
    assert len(KNOWN_VIOLATIONS) < len(physical_rules())
