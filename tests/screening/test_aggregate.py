"""The best recipes, the Pareto front and the map do not depend on how a space was divided."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.screening import aggregate
from nasicon_ml.screening import aggregate as module
from nasicon_ml.screening.aggregate import MAX_CELLS, ConductivityMap, KeptRecipes, ParetoFront

VALUES = st.lists(st.sampled_from([np.nan, -1.0, 0.0, 0.5, 0.5, 2.0]), max_size=60).map(np.array)


def floats(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)


@given(VALUES, st.integers(1, 10))
def test_the_best_are_kept_in_order(values: np.ndarray, most: int) -> None:
    kept = KeptRecipes.best_of(most, floats(values), np.arange(len(values)))
    ranked = sorted((-value, number) for number, value in enumerate(values.tolist()) if not math.isnan(value))
    assert kept.positions.tolist() == [number for _, number in ranked[:most]]
    assert kept.values.tolist() == [-value for value, _ in ranked[:most]]


@given(VALUES, st.integers(1, 10), st.integers(0, 60), st.booleans())
def test_parts_give_what_the_whole_gives(values: np.ndarray, most: int, cut: int, swapped: bool) -> None:
    values, numbers = floats(values), np.arange(len(values))
    parts = [KeptRecipes.best_of(most, values[rows], numbers[rows]) for rows in (slice(0, cut), slice(cut, None))]
    first, second = reversed(parts) if swapped else parts
    whole = KeptRecipes.best_of(most, values, numbers)
    assert first.merge(second).to_json() == whole.to_json()
    assert KeptRecipes.from_json(json.loads(json.dumps(whole.to_json()))).to_json() == whole.to_json()


CELLS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.1, 0.30000000000000004, 0.3, 1.25]),
        st.sampled_from([np.nan, 700.0, 800.0, 812.5]),
        st.floats(1e-9, 1e-2),
    ),
    max_size=40,
)


@given(CELLS, st.integers(0, 40))
def test_the_map_holds_the_highest_of_each_cell_however_it_is_gathered(
    cells: list[tuple[float, float, float]], cut: int
) -> None:
    rows = np.array(cells, dtype=np.float64).reshape(-1, 3)
    whole = ConductivityMap.from_recipes(*rows.T)
    expected: dict[tuple[float, float], float] = {}
    for x, firing_c, best in cells:
        if not math.isnan(firing_c):
            key = (round(x, 3), firing_c)
            expected[key] = max(best, expected.get(key, 0.0))
    assert {(x, t): best for x, t, best in zip(*whole.points(), strict=True)} == expected
    parts = [ConductivityMap.from_recipes(*part.T) for part in (rows[:cut], rows[cut:])]
    assert parts[1].merge(parts[0]).to_json() == whole.to_json()
    assert ConductivityMap.from_json(json.loads(json.dumps(whole.to_json()))).to_json() == whole.to_json()


def test_a_map_of_too_many_cells_becomes_coarse_whatever_the_order() -> None:
    rng = np.random.default_rng(0)
    x, firing_c, best = rng.uniform(0, 2, 9000), rng.uniform(500, 1300, 9000), rng.uniform(1e-6, 1e-3, 9000)
    whole = ConductivityMap.from_recipes(x, firing_c, best)
    assert whole.is_coarse
    few = [
        ConductivityMap.from_recipes(x[at : at + 900], firing_c[at : at + 900], best[at : at + 900])
        for at in range(0, 9000, 900)
    ]
    assert not few[0].is_coarse
    forwards, backwards = few[0], few[-1]
    for part in few[1:]:
        forwards = forwards.merge(part)
    for part in few[-2::-1]:
        backwards = part.merge(backwards)
    assert forwards.to_json() == backwards.to_json() == whole.to_json()
    assert whole.best.max() == best.max()
    assert len(whole.best) <= MAX_CELLS


FEW_VALUES = st.sampled_from([-np.inf, -1.0, 0.0, 1.0, 2.0, 1e300])
POINTS = st.lists(st.tuples(FEW_VALUES, FEW_VALUES, FEW_VALUES), max_size=40).map(
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


@given(POINTS, st.sampled_from([1, 60, module._PAIRS_PER_BLOCK]))
def test_the_front_is_that_of_the_definition(points: np.ndarray, compared: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PAIRS_PER_BLOCK", compared)  # one at a time, some, all at once
        found = ParetoFront.from_points(points, np.arange(len(points)))
    assert found.positions.tolist() == by_definition(points)
    np.testing.assert_array_equal(found.points, points[found.positions])


@given(POINTS, st.integers(0, 40), st.randoms(use_true_random=False))
def test_parts_give_the_front_of_the_whole_in_any_order(points: np.ndarray, cut: int, random: object) -> None:
    numbers = np.arange(len(points))
    random.shuffle(numbers)  # type: ignore[attr-defined]
    points_there = points[numbers]
    parts = [
        ParetoFront.from_points(points_there[rows], numbers[rows]) for rows in (slice(0, cut), slice(cut, None))
    ]
    whole = ParetoFront.from_points(points, np.arange(len(points)))
    for merged in (parts[0].merge(parts[1]), parts[1].merge(parts[0])):
        assert merged.to_json() == whole.to_json()


@given(POINTS)
def test_it_survives_json(points: np.ndarray) -> None:
    found = ParetoFront.from_points(points, np.arange(len(points)))
    again = ParetoFront.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False)))
    np.testing.assert_array_equal(again.points, found.points)
    assert again.points.shape == found.points.shape
    np.testing.assert_array_equal(again.positions, found.positions)


def test_a_recipe_without_a_value_is_not_in_it() -> None:
    points = np.array([[1.0, np.nan], [0.5, 0.5], [np.nan, np.nan]])
    assert ParetoFront.from_points(points, np.array([7, 8, 9])).positions.tolist() == [8]


def test_too_many_are_given_up_and_stay_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregate, "MAX_FRONT_SIZE", 3)
    points = np.column_stack([np.arange(4.0), -np.arange(4.0)])
    given_up = ParetoFront.from_points(points, np.arange(4))
    assert given_up.given_up
    assert not len(given_up.positions)
    few = ParetoFront.from_points(points[:2], np.arange(2))
    assert few.merge(given_up).given_up
    assert given_up.merge(few).given_up
    assert ParetoFront.from_json(given_up.to_json()).given_up
