"""Values that cannot both be right, and one value under two keys of an author."""

import pytest

from nasicon_ml.checks import Severity
from nasicon_ml.data.validate import find_problems
from tests.data.examples import GOOD, table

PLAIN = {
    **GOOD,
    "additive": "", "additive_amount": "", "additive_unit": "",
    "conductivity_bulk_s_cm": "", "relative_density_pct": "",
}  # fmt: skip
FAR = {**PLAIN, "pellet_id": "p2", "conductivity_total_s_cm": "9e-6"}  # 3e-4 is 1.52 decades above
SAME_VALUE = {**PLAIN, "pellet_id": "p2", "source": "raj2023b"}


def rules(*rows: dict[str, str]) -> list[tuple[int | None, str, str, Severity]]:
    return [(one.line, one.column, one.rule, one.severity) for one in find_problems(table(*rows))]


def test_values_far_apart_in_one_source_contradict_each_other() -> None:
    assert rules(PLAIN, FAR) == [(3, "conductivity_total_s_cm", "contradicting_values", Severity.WARNING)]
    (found,) = find_problems(table(PLAIN, FAR))
    assert "9e-06 S/cm is 1.5 decades from 0.0003 S/cm in line 2 (p1)" in found.message


def test_a_row_is_told_once_however_many_it_contradicts() -> None:
    assert len(rules(PLAIN, {**PLAIN, "pellet_id": "p3", "conductivity_total_s_cm": "3.1e-4"}, FAR)) == 1


def test_bulk_values_are_compared_with_bulk_values() -> None:
    bulk = {**PLAIN, "conductivity_total_s_cm": "", "conductivity_bulk_s_cm": "3e-4"}
    far = {**bulk, "pellet_id": "p2", "conductivity_bulk_s_cm": "1e-6"}
    assert [found[1:3] for found in rules(bulk, far)] == [("conductivity_bulk_s_cm", "contradicting_values")]
    assert rules(bulk, {**FAR, "conductivity_total_s_cm": "1e-6"}) == []


@pytest.mark.parametrize(
    "change", [{"measurement_temperature_c": "21.23"}, {"sintering_temperature_c": ""}], ids=str
)
def test_what_is_nearly_alike_or_missing_tells_nothing_apart(change: dict[str, str]) -> None:
    assert len(rules(PLAIN, {**FAR, **change})) == 1


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
def test_what_is_told_apart_contradicts_nothing(change: dict[str, str]) -> None:
    assert rules(PLAIN, {**FAR, **change}) == []


def test_one_value_under_two_keys_of_an_author() -> None:
    assert rules(PLAIN, SAME_VALUE) == [(3, "source", "same_author_same_value", Severity.WARNING)]
    (found,) = find_problems(table(PLAIN, SAME_VALUE))
    assert "'raj2023b' gives the value that 'raj2023' gives in line 2 (p1)" in found.message


@pytest.mark.parametrize(
    ("one", "other"), [("yi2014", "yi2014film"), ("fu1997", "fu1997b"), ("aono1990", "aono1994")]
)
def test_what_an_author_is(one: str, other: str) -> None:
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
def test_other_authors_values_and_recipes_are_left_alone(change: dict[str, str]) -> None:
    assert rules(PLAIN, {**SAME_VALUE, **change}) == []


def test_numbers_of_a_collection_are_no_years() -> None:
    assert rules({**PLAIN, "source": "ly2018"}, {**SAME_VALUE, "source": "ly2065"}) == []
