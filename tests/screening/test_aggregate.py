"""The best recipes, the Pareto front and the map do not depend on how the space is divided into parts."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.screening import aggregate
from nasicon_ml.screening.aggregate import MAX_CELLS, ConductivityMap, KeptRecipes, ParetoFront

VALUES = st.lists(st.sampled_from([np.nan, -1.0, 0.0, 0.5, 0.5, 2.0]), max_size=60).map(np.array)


def as_floats(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)


@given(VALUES, st.integers(1, 10))
def test_best_of_keeps_highest_values_in_order(values: np.ndarray, n_best: int) -> None:
    kept = KeptRecipes.best_of(n_best, as_floats(values), np.arange(len(values)))
    ranked = sorted((-value, number) for number, value in enumerate(values.tolist()) if not math.isnan(value))
    assert kept.positions.tolist() == [number for _, number in ranked[:n_best]]
    assert kept.values.tolist() == [-value for value, _ in ranked[:n_best]]


@given(VALUES, st.integers(1, 10), st.integers(0, 60), st.booleans())
def test_merged_kept_recipes_of_parts_equal_those_of_whole(
    values: np.ndarray, n_best: int, cut: int, swapped: bool
) -> None:
    values, positions = as_floats(values), np.arange(len(values))
    parts = [
        KeptRecipes.best_of(n_best, values[rows], positions[rows]) for rows in (slice(0, cut), slice(cut, None))
    ]
    first, second = reversed(parts) if swapped else parts
    whole = KeptRecipes.best_of(n_best, values, positions)
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
def test_map_has_highest_value_of_each_cell_also_after_merging(
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


def test_map_with_too_many_cells_becomes_coarse_in_any_merge_order() -> None:
    rng = np.random.default_rng(0)
    x, firing_c, best = rng.uniform(0, 2, 9000), rng.uniform(500, 1300, 9000), rng.uniform(1e-6, 1e-3, 9000)
    whole = ConductivityMap.from_recipes(x, firing_c, best)
    assert whole.is_coarse
    parts = [
        ConductivityMap.from_recipes(x[at : at + 900], firing_c[at : at + 900], best[at : at + 900])
        for at in range(0, 9000, 900)
    ]
    assert not parts[0].is_coarse
    forwards, backwards = parts[0], parts[-1]
    for part in parts[1:]:
        forwards = forwards.merge(part)
    for part in parts[-2::-1]:
        backwards = part.merge(backwards)
    assert forwards.to_json() == backwards.to_json() == whole.to_json()
    assert whole.best.max() == best.max()
    assert len(whole.best) <= MAX_CELLS


COORDINATES = st.sampled_from([-np.inf, -1.0, 0.0, 1.0, 2.0, 1e300])
POINTS = st.lists(st.tuples(COORDINATES, COORDINATES, COORDINATES), max_size=40).map(
    lambda rows: np.array(rows, dtype=np.float64).reshape(-1, 3)
)


def front_by_definition(points: np.ndarray) -> list[int]:
    """Return the rows on the Pareto front, by comparing all pairs of rows."""
    rows = []
    for row, point in enumerate(points):
        dominated = any((other >= point).all() and (other > point).any() for other in points)
        repeated = any((other == point).all() for other in points[:row])
        if not dominated and not repeated:
            rows.append(row)
    return rows


@given(POINTS, st.sampled_from([1, 60, aggregate._PAIRS_PER_BLOCK]))
def test_pareto_front_agrees_with_definition(points: np.ndarray, pairs_per_block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aggregate, "_PAIRS_PER_BLOCK", pairs_per_block)
        front = ParetoFront.from_points(points, np.arange(len(points)))
    assert front.positions.tolist() == front_by_definition(points)
    np.testing.assert_array_equal(front.points, points[front.positions])


@given(POINTS, st.integers(0, 40), st.randoms(use_true_random=False))
def test_merged_fronts_of_parts_equal_front_of_whole(points: np.ndarray, cut: int, random: object) -> None:
    positions = np.arange(len(points))
    random.shuffle(positions)  # type: ignore[attr-defined]
    shuffled_points = points[positions]
    parts = [
        ParetoFront.from_points(shuffled_points[rows], positions[rows])
        for rows in (slice(0, cut), slice(cut, None))
    ]
    whole = ParetoFront.from_points(points, np.arange(len(points)))
    for merged in (parts[0].merge(parts[1]), parts[1].merge(parts[0])):
        assert merged.to_json() == whole.to_json()


@given(POINTS)
def test_pareto_front_json_round_trip(points: np.ndarray) -> None:
    front = ParetoFront.from_points(points, np.arange(len(points)))
    loaded = ParetoFront.from_json(json.loads(json.dumps(front.to_json(), allow_nan=False)))
    np.testing.assert_array_equal(loaded.points, front.points)
    assert loaded.points.shape == front.points.shape
    np.testing.assert_array_equal(loaded.positions, front.positions)


def test_recipe_with_missing_value_is_not_in_pareto_front() -> None:
    points = np.array([[1.0, np.nan], [0.5, 0.5], [np.nan, np.nan]])
    assert ParetoFront.from_points(points, np.array([7, 8, 9])).positions.tolist() == [8]


def test_front_that_is_too_large_is_given_up_also_after_merging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregate, "MAX_FRONT_SIZE", 3)
    points = np.column_stack([np.arange(4.0), -np.arange(4.0)])
    given_up = ParetoFront.from_points(points, np.arange(4))
    assert given_up.given_up
    assert not len(given_up.positions)
    small = ParetoFront.from_points(points[:2], np.arange(2))
    assert small.merge(given_up).given_up
    assert given_up.merge(small).given_up
    assert ParetoFront.from_json(given_up.to_json()).given_up
