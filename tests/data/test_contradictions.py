"""Warnings about contradicting values of one source, and about equal values of two sources of one author."""

import pytest

from nasicon_ml.checks import Severity
from nasicon_ml.data.validate import find_problems
from tests.data.examples import GOOD, table

PLAIN = {
    **GOOD,
    "additive": "", "additive_amount": "", "additive_unit": "",
    "conductivity_bulk_s_cm": "", "relative_density_pct": "",
}  # fmt: skip
DISTANT_VALUE = {**PLAIN, "pellet_id": "p2", "conductivity_total_s_cm": "9e-6"}  # 3e-4 is 1.52 decades above
SAME_VALUE = {**PLAIN, "pellet_id": "p2", "source": "raj2023b"}


def rules(*rows: dict[str, str]) -> list[tuple[int | None, str, str, Severity]]:
    return [
        (finding.line, finding.column, finding.rule, finding.severity) for finding in find_problems(table(*rows))
    ]


def test_distant_values_in_one_source_are_reported_as_contradicting() -> None:
    assert rules(PLAIN, DISTANT_VALUE) == [
        (3, "conductivity_total_s_cm", "contradicting_values", Severity.WARNING)
    ]
    (finding,) = find_problems(table(PLAIN, DISTANT_VALUE))
    assert "9e-06 S/cm is 1.5 decades from 0.0003 S/cm in line 2 (p1)" in finding.message


def test_row_that_contradicts_several_rows_is_reported_once() -> None:
    assert len(rules(PLAIN, {**PLAIN, "pellet_id": "p3", "conductivity_total_s_cm": "3.1e-4"}, DISTANT_VALUE)) == 1


def test_bulk_conductivities_are_compared_only_with_bulk_conductivities() -> None:
    bulk = {**PLAIN, "conductivity_total_s_cm": "", "conductivity_bulk_s_cm": "3e-4"}
    distant = {**bulk, "pellet_id": "p2", "conductivity_bulk_s_cm": "1e-6"}
    assert [finding[1:3] for finding in rules(bulk, distant)] == [
        ("conductivity_bulk_s_cm", "contradicting_values")
    ]
    assert rules(bulk, {**DISTANT_VALUE, "conductivity_total_s_cm": "1e-6"}) == []


@pytest.mark.parametrize(
    "change", [{"measurement_temperature_c": "21.23"}, {"sintering_temperature_c": ""}], ids=str
)
def test_small_differences_and_missing_fields_still_contradict(change: dict[str, str]) -> None:
    assert len(rules(PLAIN, {**DISTANT_VALUE, **change})) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"conductivity_total_s_cm": "1e-5"},  # 1.48 decades
        {"source": "zhao2022"},
        {"formula": "LATP x=0.3"},
        {"sintering_temperature_c": "600"},
        {"densification": "spark_plasma", "sintering_temperature_c": "700"},
        {"measurement_temperature_c": "-40"},
        {"additive": "LiF"},
        {"conductivity_bound": "lower"},
        {"suspect": "true", "suspect_reason": "conductivity: odd"},
    ],
    ids=str,
)
def test_different_recipe_source_bound_or_suspect_does_not_contradict(change: dict[str, str]) -> None:
    assert rules(PLAIN, {**DISTANT_VALUE, **change}) == []


def test_equal_value_under_two_source_keys_of_one_author_is_reported() -> None:
    assert rules(PLAIN, SAME_VALUE) == [(3, "source", "same_author_same_value", Severity.WARNING)]
    (finding,) = find_problems(table(PLAIN, SAME_VALUE))
    assert "'raj2023b' gives the value that 'raj2023' gives in line 2 (p1)" in finding.message


@pytest.mark.parametrize(
    ("one", "other"), [("yi2014", "yi2014film"), ("fu1997", "fu1997b"), ("aono1990", "aono1994")]
)
def test_keys_with_equal_name_before_the_year_have_the_same_author(one: str, other: str) -> None:
    assert len(rules({**PLAIN, "source": one}, {**SAME_VALUE, "source": other})) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"source": "raju2023"},
        {"source": "10.1021/acsaem.2c02464"},
        {"conductivity_total_s_cm": "3.1e-4"},
        {"formula": "LATP x=0.3"},
        {"synthesis_route": "melt_quench"},
        {"suspect": "true", "suspect_reason": "duplicate of p1"},
    ],
    ids=str,
)
def test_different_author_value_or_recipe_is_not_reported(change: dict[str, str]) -> None:
    assert rules(PLAIN, {**SAME_VALUE, **change}) == []


def test_numbered_keys_of_a_collection_are_not_one_author() -> None:
    assert rules({**PLAIN, "source": "ly2018"}, {**SAME_VALUE, "source": "ly2065"}) == []
