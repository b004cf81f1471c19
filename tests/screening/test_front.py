"""The Pareto front is exact, whatever the order and the ties."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.screening import front as module
from nasicon_ml.screening.front import Front

VALUES = st.sampled_from([-np.inf, -1.0, 0.0, 1.0, 2.0, 1e300])
POINTS = st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=40).map(
    lambda rows: np.array(rows, dtype=np.float64).reshape(-1, 3)
)


def by_definition(points: np.ndarray) -> list[int]:
    """Every row compared with every other one."""
    found = []
    for row, point in enumerate(points):
        dominated = any((other >= point).all() and (other > point).any() for other in points)
        repeated = any((other == point).all() for other in points[:row])
        if not dominated and not repeated:
            found.append(row)
    return found


@given(POINTS)
def test_the_front_is_that_of_the_definition(points: np.ndarray) -> None:
    found = Front.of(points, np.arange(len(points)))
    assert found.numbers.tolist() == by_definition(points)
    np.testing.assert_array_equal(found.points, points[found.numbers])


@given(POINTS, st.integers(0, 40), st.randoms(use_true_random=False))
def test_parts_give_the_front_of_the_whole_in_any_order(points: np.ndarray, cut: int, random: object) -> None:
    numbers = np.arange(len(points))
    random.shuffle(numbers)  # type: ignore[attr-defined]
    points_there = points[numbers]
    parts = [Front.of(points_there[rows], numbers[rows]) for rows in (slice(0, cut), slice(cut, None))]
    whole = Front.of(points, np.arange(len(points)))
    for merged in (parts[0].merged(parts[1]), parts[1].merged(parts[0])):
        assert merged.to_json() == whole.to_json()


@given(POINTS)
def test_it_survives_json(points: np.ndarray) -> None:
    found = Front.of(points, np.arange(len(points)))
    again = Front.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False)))
    np.testing.assert_array_equal(again.points, found.points)
    assert again.points.shape == found.points.shape
    np.testing.assert_array_equal(again.numbers, found.numbers)


def test_a_recipe_without_a_value_is_not_in_it() -> None:
    points = np.array([[1.0, np.nan], [0.5, 0.5], [np.nan, np.nan]])
    assert Front.of(points, np.array([7, 8, 9])).numbers.tolist() == [8]


def test_too_many_are_given_up_and_stay_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_IN_FRONT", 3)
    points = np.column_stack([np.arange(4.0), -np.arange(4.0)])
    given_up = Front.of(points, np.arange(4))
    assert given_up.given_up
    assert not len(given_up.numbers)
    few = Front.of(points[:2], np.arange(2))
    assert few.merged(given_up).given_up
    assert given_up.merged(few).given_up
    assert Front.from_json(given_up.to_json()).given_up
