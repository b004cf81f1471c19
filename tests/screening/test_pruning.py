"""Constraints on one axis shorten it; what is left is what the constraints allow, asked one by one."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasicon_ml.errors import SpaceError
from nasicon_ml.screening import SearchSpace, counting
from tests.screening.stated_spaces import small

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
    monkeypatch.setattr(counting, "MOST_COUNTED", 1)
    estimate = space.count()
    assert exact.exact
    assert not estimate.exact
    assert 0 < estimate.error < 0.01 * space.size
    assert estimate.candidates == pytest.approx(exact.candidates, abs=5 * estimate.error)
    assert str(estimate).startswith("about ")
    assert "estimated from" in space.describe()
    assert space.to_json()["candidates"]["exact"] is False
