"""Conditions, and constraints that remove values of axes or are checked for each candidate."""

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
from tests.screening.stated_spaces import small_spec

RATE = "heating_rate_c_min"


def constraint_texts(*constraints: Any) -> list[str]:
    return [str(rule) for rule in read_rules(SpecNode(list(constraints), "constraints"), [])]


def test_require_and_when_constraints_are_read() -> None:
    assert constraint_texts(
        {"require": {RATE: {"max": 2}, "atmosphere": ["argon", "N2"]}, "because": "so"},
        {"when": {"atmosphere": "Ar", "x": {"min": 0.2}}, "then": {"Al": {"max": 0.3}}, "because": "a  reason"},
    ) == [
        "heating_rate_c_min at most 2 (because so)",
        "atmosphere is Ar or N2 (because so)",
        "when atmosphere is Ar and x at least 0.2: Al at most 0.3 (because a reason)",
    ]


@pytest.mark.parametrize(
    ("arguments", "expected"),
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
def test_missing_value_meets_only_conditions_that_allow_missing(
    arguments: dict[str, Any], expected: list[bool]
) -> None:
    condition = Condition("x", **arguments)
    assert condition.is_met([1.0, 2.0, 3.0, None]).tolist() == expected
    if arguments.get("allowed") != (None, 2.0):
        assert condition.is_met(np.array([1.0, 2.0, 3.0])).tolist() == expected[:3]


def _is_met_by_definition(condition: Condition, cell: Any) -> bool:
    """Return whether a condition holds for one cell, by its definition."""
    if cell is None:
        return condition.given is False or (condition.allowed is not None and None in condition.allowed)
    if condition.given is False:
        return False
    if isinstance(cell, str):
        allowed = condition.allowed is None or cell in condition.allowed
        return allowed and cell not in condition.forbidden

    def is_close(value: object) -> bool:
        return isinstance(value, float) and abs(cell - value) <= 1e-9

    allowed = condition.allowed is None or any(map(is_close, condition.allowed))
    inside = condition.minimum - 1e-9 <= cell <= condition.maximum + 1e-9
    return allowed and inside and not any(map(is_close, condition.forbidden))


@pytest.mark.parametrize("given", [None, True, False])
def test_all_conditions_on_numbers_and_texts_agree_with_definition(given: bool | None) -> None:
    numbers = [0.0, 0.1 + 0.2, 0.3, 0.3 + 1e-8, 1.0, -2.0]
    value_lists: list[tuple[Any, ...]] = [(0.3,), (1.0, 0.3), (2.0,)]
    for allowed in [None, *value_lists, *([] if given else [(None,), (None, 1.0)])]:
        for forbidden, minimum, maximum in itertools.product(
            [(), *value_lists], [-np.inf, 0.3, 1.0], [np.inf, 0.3, 0.0]
        ):
            condition = Condition("x", allowed, forbidden, minimum, maximum, given)
            for cells in (numbers, [*numbers, None], [None]):
                assert condition.is_met(cells).tolist() == [
                    _is_met_by_definition(condition, cell) for cell in cells
                ]
            assert condition.is_met(np.array(numbers)).tolist() == [
                _is_met_by_definition(condition, cell) for cell in numbers
            ]
    texts = ["Ar", "air", "N2"]
    for allowed in [None, ("Ar",), ("air", "N2"), ("O2",), *([] if given else [(None,), (None, "Ar")])]:
        for forbidden in [(), ("Ar",), ("O2", "air")]:
            condition = Condition("atmosphere", allowed, forbidden, given=given)
            for cells in (texts, [*texts, None], [None]):
                assert condition.is_met(cells).tolist() == [
                    _is_met_by_definition(condition, cell) for cell in cells
                ]


def test_conditions_on_choices() -> None:
    cells = ["Ar", "air", None]
    assert Condition("atmosphere", allowed=("Ar", None)).is_met(cells).tolist() == [True, False, True]
    assert Condition("atmosphere", forbidden=("Ar",)).is_met(cells).tolist() == [False, True, False]
    assert Condition("atmosphere", given=True).is_met(cells).tolist() == [True, True, False]


def test_bounds_tolerate_rounding_of_floats() -> None:
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
def test_invalid_constraint_raises_space_error_with_hint(constraint: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        constraint_texts(constraint)


def test_more_than_200_constraints_are_refused() -> None:
    constraint = {"require": {RATE: {"max": 2}}, "because": "so"}
    assert len(constraint_texts(*[constraint] * 200)) == 200
    with pytest.raises(SpaceError, match="constraints: 201 is not accepted; allowed: at most 200 constraints"):
        constraint_texts(*[constraint] * 201)


def test_bound_in_kelvin_raises_error_or_gives_warning() -> None:
    with pytest.raises(SpaceError, match=r"sintering_temperature_c: 1073.15 .*It looks like kelvin"):
        constraint_texts({"require": {"sintering_temperature_c": {"max": 1073.15}}, "because": "so"})
    warnings: list[str] = []
    spec = [{"require": {"sintering_temperature_c": {"max": 1073}}, "because": "so"}]
    read_rules(SpecNode(spec, "constraints"), warnings)
    assert warnings == [
        "sintering_temperature_c: sintering temperature 1073 °C looks like kelvin: 1073 K is 800 °C."
    ]


def test_constraints_on_system_element_and_x_select_compositions() -> None:
    def remaining_systems(condition: dict[str, Any]) -> list[str]:
        space = SearchSpace.from_dict(small_spec(constraints=[{"require": condition, "because": "so"}]))
        sites = space.axes.compositions.occupancies(np.arange(len(space.axes.compositions)), np.arange(0))
        return sorted(set(sites.systems))

    assert remaining_systems({"system": ["LAGP", "LATP"]}) == ["LAGP", "LATP"]
    assert remaining_systems({"Ge": {"min": 0.1}}) == ["LAGP", "LAYGP"]
    assert remaining_systems({"x": 0}) == ["LTP"]
    assert remaining_systems({"Y": {"min": 0.001}, "Li": {"max": 1.2}}) == ["LAYGP"]


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


def _all_met(conditions: dict[str, Any], recipe: dict[str, Any]) -> bool:
    return all(
        recipe[name] in condition
        if isinstance(condition, list)
        else (recipe[name] is not None) == condition["given"]
        for name, condition in conditions.items()
    )


def _is_allowed(recipe: dict[str, Any], constraints: list[dict[str, Any]]) -> bool:
    return all(
        _all_met(constraint["require"], recipe)
        if "require" in constraint
        else not _all_met(constraint["when"], recipe) or _all_met(constraint["then"], recipe)
        for constraint in constraints
    )


@pytest.mark.slow
@given(st.lists(_constraint(), max_size=4), st.sampled_from([list(FIELDS), list(FIELDS)[::-1]]))
@settings(max_examples=150)
def test_candidates_are_all_recipes_that_satisfy_every_constraint(
    constraints: list[dict[str, Any]], order: list[str]
) -> None:
    expected = {
        values
        for values in itertools.product(*(FIELDS[name] for name in order))
        if _is_allowed(dict(zip(order, values, strict=True)), constraints)
    }
    spec = small_spec(
        compositions=[{"hosts": "Ti"}], additives=None, processing=FIELDS, constraints=constraints or None
    )
    if not expected:
        with pytest.raises(SpaceError, match=r"that leave some candidate|that some candidate satisfies"):
            SearchSpace.from_dict(spec)
        return
    space = SearchSpace.from_dict(spec)
    table = space.chunk(0, space.size).table[order].astype("object")
    candidates = list(table.where(table.notna(), None).itertuples(index=False, name=None))
    assert len(candidates) == len(set(candidates)) == space.count().candidates
    assert set(candidates) == expected


def test_constraint_with_axis_of_one_value_prunes_other_axis() -> None:
    """All recipes are in argon: heating rates above 1.5 are removed before any candidate is built."""
    fields = {"atmosphere": "argon", "heating_rate_c_min": [1, 1.5, 5, None]}
    space = SearchSpace.from_dict(small_spec(processing=fields, constraints=small_spec()["constraints"][:1]))
    assert space.checks == ()
    assert [len(axis) for axis in space.axes.fields if len(axis) > 1] == [3, 2]
    assert "heating rate: 2 of 4 values left: when atmosphere is Ar" in space.describe()
    assert space.size == space.count().candidates == space.stated_size // 2


def test_constraint_between_two_axes_is_checked_for_each_candidate() -> None:
    space = SearchSpace.from_dict(small_spec())
    assert len(space.checks) == 1
    assert "sintering temperature: 3 of 5 values left" in space.describe()
    assert "constraints asked of every candidate:\n  when atmosphere is Ar" in space.describe()


def test_constraint_without_candidates_raises_error_with_reason() -> None:
    impossible = [{"require": {"sintering_temperature_c": {"max": 600}}, "because": "LiFePO4"}]
    with pytest.raises(SpaceError, match=r"\[700.0, .*at most 600 \(because LiFePO4\). The space has none"):
        SearchSpace.from_dict(small_spec(constraints=impossible))
    on_missing_field = [{"require": {"pressure_mpa": {"min": 10}}, "because": "so"}]
    with pytest.raises(
        SpaceError, match=r"pressure_mpa: \['not given'\] is not accepted; allowed: values that leave"
    ):
        SearchSpace.from_dict(small_spec(constraints=on_missing_field))


def test_count_of_large_space_is_estimated_with_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    space = SearchSpace.from_dict(small_spec())
    exact_count = space.count()
    monkeypatch.setattr(space_module, "MAX_COUNTED", 1)
    estimate = space.count()
    assert exact_count.exact
    assert not estimate.exact
    assert 0 < estimate.error < 0.01 * space.size
    assert estimate.candidates == pytest.approx(exact_count.candidates, abs=5 * estimate.error)
    assert str(estimate).startswith("about ")
    assert "estimated from" in space.describe()
    assert space.to_json()["candidates"]["exact"] is False


def test_when_condition_without_candidates_gives_warning() -> None:
    spec = {
        "compositions": [{"system": "LATP", "x": [0.3, 0.4]}],
        "processing": {"atmosphere": ["air", "Ar"], RATE: [1, 5]},
        "constraints": [
            {"when": {"atmosphere": "N2"}, "then": {RATE: {"max": 2}}, "because": "so"},
            {"when": {"atmosphere": "Ar"}, "then": {RATE: {"max": 2}}, "because": "so"},
            {"when": {"x": {"min": 0.5}}, "then": {RATE: {"max": 2}}, "because": "so"},
        ],
    }
    warnings = SearchSpace.from_dict(spec).warnings
    assert [warning for warning in warnings if "never applies" in warning] == [
        "this constraint never applies: atmosphere is N2 holds for no candidate; the space has ['air', 'Ar']",
        "this constraint never applies: x at least 0.5 holds for no candidate",
    ]


@pytest.mark.parametrize("x", ["0,3", {"from": 0.1, "to": "0,3", "step": 0.1}])
def test_decimal_comma_raises_error_with_hint(x: Any) -> None:
    with pytest.raises(SpaceError, match="decimals with a point"):
        SearchSpace.from_dict({"compositions": [{"system": "LATP", "x": x}]})


def test_decimal_comma_in_yaml_braces_raises_error_with_hint(tmp_path: Any) -> None:
    file = tmp_path / "space.yaml"
    file.write_text("compositions:\n  - {system: LATP, x: 0,3}\n", encoding="utf-8")
    with pytest.raises(SpaceError, match="decimals with a point"):
        SearchSpace.from_yaml(file)
