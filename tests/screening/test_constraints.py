"""Conditions, and rules that shorten axes or are asked of every candidate."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasicon_ml.errors import SpaceError
from nasicon_ml.screening import space as space_module
from nasicon_ml.screening.constraints import Condition, read_rules
from nasicon_ml.screening.space import SearchSpace
from nasicon_ml.screening.specification import SpecNode
from tests.screening.stated_spaces import small

RATE = "heating_rate_c_min"


def rules(*stated: Any) -> list[str]:
    return [str(rule) for rule in read_rules(SpecNode(list(stated), "constraints"), [])]


def test_require_and_when() -> None:
    assert rules(
        {"require": {RATE: {"max": 2}, "atmosphere": ["argon", "N2"]}, "because": "so"},
        {"when": {"atmosphere": "Ar", "x": {"min": 0.2}}, "then": {"Al": {"max": 0.3}}, "because": "a  reason"},
    ) == [
        "heating_rate_c_min at most 2 (because so)",
        "atmosphere is Ar or N2 (because so)",
        "when atmosphere is Ar and x at least 0.2: Al at most 0.3 (because a reason)",
    ]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"allowed": (1.0, 3.0)}, [True, False, True, False]),
        ({"allowed": (None, 2.0)}, [False, True, False, True]),
        ({"forbidden": (2.0,)}, [True, False, True, False]),
        ({"minimum": 2.0}, [False, True, True, False]),
        ({"maximum": 2.0}, [True, True, False, False]),
        ({"minimum": 1.5, "maximum": 2.0}, [False, True, False, False]),
        ({"given": True}, [True, True, True, False]),
        ({"given": False}, [False, False, False, True]),
        ({"given": True, "maximum": 1.0}, [True, False, False, False]),
    ],
)
def test_what_is_not_given_satisfies_nothing_but_that_it_is_not(
    condition: dict[str, Any], expected: list[bool]
) -> None:
    asked = Condition("x", **condition)
    assert asked.is_met([1.0, 2.0, 3.0, None]).tolist() == expected
    if condition.get("allowed") != (None, 2.0):
        assert asked.is_met(np.array([1.0, 2.0, 3.0])).tolist() == expected[:3]


def _asked(condition: Condition, cell: Any) -> bool:
    """Whether a condition holds for one cell, the slow way."""
    if cell is None:
        return condition.given is False or (condition.allowed is not None and None in condition.allowed)
    if condition.given is False:
        return False
    if isinstance(cell, str):
        allowed = condition.allowed is None or cell in condition.allowed
        return allowed and cell not in condition.forbidden

    def near(value: object) -> bool:
        return isinstance(value, float) and abs(cell - value) <= 1e-9

    allowed = condition.allowed is None or any(map(near, condition.allowed))
    inside = condition.minimum - 1e-9 <= cell <= condition.maximum + 1e-9
    return allowed and inside and not any(map(near, condition.forbidden))


@pytest.mark.parametrize("given", [None, True, False])
def test_every_form_of_condition_on_numbers_and_texts(given: bool | None) -> None:
    numbers = [0.0, 0.1 + 0.2, 0.3, 0.3 + 1e-8, 1.0, -2.0]
    some: list[tuple[Any, ...]] = [(0.3,), (1.0, 0.3), (2.0,)]
    for allowed in [None, *some, *([] if given else [(None,), (None, 1.0)])]:
        for forbidden, minimum, maximum in itertools.product([(), *some], [-np.inf, 0.3, 1.0], [np.inf, 0.3, 0.0]):
            one = Condition("x", allowed, forbidden, minimum, maximum, given)
            for cells in (numbers, [*numbers, None], [None]):
                assert one.is_met(cells).tolist() == [_asked(one, cell) for cell in cells]
            assert one.is_met(np.array(numbers)).tolist() == [_asked(one, cell) for cell in numbers]
    texts = ["Ar", "air", "N2"]
    for allowed in [None, ("Ar",), ("air", "N2"), ("O2",), *([] if given else [(None,), (None, "Ar")])]:
        for forbidden in [(), ("Ar",), ("O2", "air")]:
            one = Condition("atmosphere", allowed, forbidden, given=given)
            for cells in (texts, [*texts, None], [None]):
                assert one.is_met(cells).tolist() == [_asked(one, cell) for cell in cells]


def test_choices() -> None:
    cells = ["Ar", "air", None]
    assert Condition("atmosphere", allowed=("Ar", None)).is_met(cells).tolist() == [True, False, True]
    assert Condition("atmosphere", forbidden=("Ar",)).is_met(cells).tolist() == [False, True, False]
    assert Condition("atmosphere", given=True).is_met(cells).tolist() == [True, True, False]


def test_a_number_that_is_not_exact_in_binary_is_at_its_bound() -> None:
    assert Condition("x", maximum=0.3).is_met(np.array([0.1 + 0.2])).tolist() == [True]
    assert Condition("x", allowed=(0.3,)).is_met([0.1 + 0.2]).tolist() == [True]


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        ({"require": {RATE: {"max": 2}}}, "There is no 'because' in it"),
        ({"require": {RATE: {"max": 2}}, "because": " "}, "because: ' ' is not accepted; allowed: the reason"),
        ({"require": {RATE: {"max": 2}}, "because": 7}, "because: 7 is not accepted"),
        ({"when": {RATE: 2}, "because": "so"}, "require and because, or when, then and because"),
        ({"require": {RATE: 2}, "when": {RATE: 2}, "then": {RATE: 2}, "because": "so"}, "require and because, or"),
        ({"requires": {RATE: 2}, "because": "so"}, r"requires: .*Did you mean 'require'\?"),
        ({"require": {}, "because": "so"}, "require: .* It is empty"),
        ({"require": {"heating_rate": 2}, "because": "so"}, "Did you mean 'heating_rate_c_min'"),
        ({"require": {"formula": "LTP"}, "because": "so"}, "formula: 'LTP' is not accepted"),
        ({"require": {RATE: {"max": -2}}, "because": "so"}, "heating_rate_c_min: -2 .*a number from 0.01"),
        ({"require": {RATE: {"max": "1,5"}}, "because": "so"}, "Write decimals with a point"),
        ({"require": {RATE: {"max": None}}, "because": "so"}, "heating_rate_c_min: None is not accepted"),
        ({"require": {RATE: {"min": 3, "max": 2}}, "because": "so"}, "min at most max"),
        ({"require": {RATE: {"below": 2}}, "because": "so"}, "below: 2 .*in heating_rate_c_min: min"),
        ({"require": {RATE: {}}, "because": "so"}, "a value, a list of values"),
        ({"require": {RATE: []}, "because": "so"}, "The list is empty"),
        ({"require": {RATE: {"not": [None]}}, "because": "so"}, "write given: true"),
        ({"require": {RATE: {"given": "yes"}}, "because": "so"}, "given: 'yes' .*true or false"),
        ({"require": {RATE: {"given": False, "max": 2}}, "because": "so"}, "given: false alone"),
        ({"require": {"atmosphere": {"max": 2}}, "because": "so"}, "atmosphere: 2 .*values, as it is no number"),
        ({"require": {"system": {"max": 2}}, "because": "so"}, "system: 2 is not accepted; allowed: values"),
        ({"require": {"atmosphere": "argo"}, "because": "so"}, r"atmosphere: 'argo' .*Did you mean 'argon'\?"),
        ({"require": {"x": "__import__('os')"}, "because": "so"}, "x: .* is not accepted; allowed: a number"),
        ({"require": "x < 0.3", "because": "so"}, "require: 'x < 0.3' is not accepted; allowed: names of fields"),
        ("x < 0.3", "a mapping with require"),
    ],
)  # fmt: skip
def test_what_is_no_constraint_is_refused(constraint: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        rules(constraint)


def test_constraints_without_end_are_refused() -> None:
    one = {"require": {RATE: {"max": 2}}, "because": "so"}
    assert len(rules(*[one] * 200)) == 200
    with pytest.raises(SpaceError, match="constraints: 201 is not accepted; allowed: at most 200 constraints"):
        rules(*[one] * 201)


def test_bounds_in_kelvin_are_refused_or_doubted() -> None:
    with pytest.raises(SpaceError, match=r"sintering_temperature_c: 1073.15 .*It looks like kelvin"):
        rules({"require": {"sintering_temperature_c": {"max": 1073.15}}, "because": "so"})
    warnings: list[str] = []
    stated = [{"require": {"sintering_temperature_c": {"max": 1073}}, "because": "so"}]
    read_rules(SpecNode(stated, "constraints"), warnings)
    assert warnings == [
        "sintering_temperature_c: sintering temperature 1073 °C looks like kelvin: 1073 K is 800 °C."
    ]


def test_compositions_can_be_asked_for() -> None:
    def left(condition: dict[str, Any]) -> list[str]:
        space = SearchSpace.from_dict(small(constraints=[{"require": condition, "because": "so"}]))
        found = space.axes.compositions.occupancies(np.arange(len(space.axes.compositions)), np.arange(0))
        return sorted(set(found.systems))

    assert left({"system": ["LAGP", "LATP"]}) == ["LAGP", "LATP"]
    assert left({"Ge": {"min": 0.1}}) == ["LAGP", "LAYGP"]
    assert left({"x": 0}) == ["LTP"]
    assert left({"Y": {"min": 0.001}, "Li": {"max": 1.2}}) == ["LAYGP"]


FIELDS: dict[str, list[Any]] = {
    "atmosphere": ["Ar", "air", None],
    "densification": ["conventional", "hot_press"],
    "heating_rate_c_min": [1.0, 2.0, 5.0, None],
    "pressure_mpa": [None, 50.0],
}
_conditions = st.sampled_from(list(FIELDS)).flatmap(
    lambda name: st.tuples(
        st.just(name),
        st.one_of(
            st.lists(st.sampled_from(FIELDS[name]), min_size=1, unique=True),
            st.sampled_from([{"given": True}, {"given": False}]),
        ),
    )
)


@st.composite
def _constraint(draw: st.DrawFn) -> dict[str, Any]:
    then = dict(draw(st.lists(_conditions, min_size=1, max_size=2)))
    if draw(st.booleans()):
        return {"require": then, "because": "so"}
    return {"when": dict(draw(st.lists(_conditions, min_size=1, max_size=3))), "then": then, "because": "so"}


def _holds(conditions: dict[str, Any], recipe: dict[str, Any]) -> bool:
    return all(
        recipe[name] in asked if isinstance(asked, list) else (recipe[name] is not None) == asked["given"]
        for name, asked in conditions.items()
    )


def _allowed(recipe: dict[str, Any], constraints: list[dict[str, Any]]) -> bool:
    return all(
        _holds(c["require"], recipe)
        if "require" in c
        else not _holds(c["when"], recipe) or _holds(c["then"], recipe)
        for c in constraints
    )


@pytest.mark.slow
@given(st.lists(_constraint(), max_size=4), st.sampled_from([list(FIELDS), list(FIELDS)[::-1]]))
@settings(max_examples=150)
def test_candidates_are_those_that_satisfy_every_constraint(
    constraints: list[dict[str, Any]], order: list[str]
) -> None:
    expected = {
        values
        for values in itertools.product(*(FIELDS[name] for name in order))
        if _allowed(dict(zip(order, values, strict=True)), constraints)
    }
    stated = small(
        compositions=[{"hosts": "Ti"}], additives=None, processing=FIELDS, constraints=constraints or None
    )
    if not expected:
        with pytest.raises(SpaceError, match=r"that leave some candidate|that some candidate satisfies"):
            SearchSpace.from_dict(stated)
        return
    space = SearchSpace.from_dict(stated)
    table = space.chunk(0, space.size).table[order].astype("object")
    found = list(table.where(table.notna(), None).itertuples(index=False, name=None))
    assert len(found) == len(set(found)) == space.count().candidates
    assert set(found) == expected


def test_an_axis_of_one_value_makes_a_constraint_one_of_a_single_axis() -> None:
    """Argon everywhere: the heating rates above 1.5 go before anything is enumerated."""
    fields = {"atmosphere": "argon", "heating_rate_c_min": [1, 1.5, 5, None]}
    space = SearchSpace.from_dict(small(processing=fields, constraints=small()["constraints"][:1]))
    assert space.checks == ()
    assert [len(axis) for axis in space.axes.fields if len(axis) > 1] == [3, 2]
    assert "heating rate: 2 of 4 values left: when atmosphere is Ar" in space.describe()
    assert space.size == space.count().candidates == space.stated_size // 2


def test_constraints_between_fields_stay() -> None:
    space = SearchSpace.from_dict(small())
    assert len(space.checks) == 1
    assert "sintering temperature: 3 of 5 values left" in space.describe()
    assert "constraints asked of every candidate:\n  when atmosphere is Ar" in space.describe()


def test_what_leaves_nothing_is_refused_with_the_reason() -> None:
    impossible = [{"require": {"sintering_temperature_c": {"max": 600}}, "because": "LiFePO4"}]
    with pytest.raises(SpaceError, match=r"\[700.0, .*at most 600 \(because LiFePO4\). The space has none"):
        SearchSpace.from_dict(small(constraints=impossible))
    unstated = [{"require": {"pressure_mpa": {"min": 10}}, "because": "so"}]
    with pytest.raises(
        SpaceError, match=r"pressure_mpa: \['not given'\] is not accepted; allowed: values that leave"
    ):
        SearchSpace.from_dict(small(constraints=unstated))


def test_counts_are_estimated_where_counting_would_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    space = SearchSpace.from_dict(small())
    exact = space.count()
    monkeypatch.setattr(space_module, "MAX_COUNTED", 1)
    estimate = space.count()
    assert exact.exact
    assert not estimate.exact
    assert 0 < estimate.error < 0.01 * space.size
    assert estimate.candidates == pytest.approx(exact.candidates, abs=5 * estimate.error)
    assert str(estimate).startswith("about ")
    assert "estimated from" in space.describe()
    assert space.to_json()["candidates"]["exact"] is False


def test_a_condition_that_no_candidate_meets_is_warned_of() -> None:
    stated = {
        "compositions": [{"system": "LATP", "x": [0.3, 0.4]}],
        "processing": {"atmosphere": ["air", "Ar"], RATE: [1, 5]},
        "constraints": [
            {"when": {"atmosphere": "N2"}, "then": {RATE: {"max": 2}}, "because": "so"},
            {"when": {"atmosphere": "Ar"}, "then": {RATE: {"max": 2}}, "because": "so"},
            {"when": {"x": {"min": 0.5}}, "then": {RATE: {"max": 2}}, "because": "so"},
        ],
    }
    found = SearchSpace.from_dict(stated).warnings
    assert [line for line in found if "never applies" in line] == [
        "this constraint never applies: atmosphere is N2 holds for no candidate; the space has ['air', 'Ar']",
        "this constraint never applies: x at least 0.5 holds for no candidate",
    ]


@pytest.mark.parametrize("x", ["0,3", {"from": 0.1, "to": "0,3", "step": 0.1}])
def test_decimal_commas_are_told(x: Any) -> None:
    with pytest.raises(SpaceError, match="decimals with a point"):
        SearchSpace.from_dict({"compositions": [{"system": "LATP", "x": x}]})


def test_a_decimal_comma_in_braces_is_told(tmp_path: Any) -> None:
    file = tmp_path / "space.yaml"
    file.write_text("compositions:\n  - {system: LATP, x: 0,3}\n", encoding="utf-8")
    with pytest.raises(SpaceError, match="decimals with a point"):
        SearchSpace.from_yaml(file)
