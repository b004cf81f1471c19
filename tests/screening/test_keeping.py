"""The k best are kept, ties go to the earlier one, and parts give what the whole gives."""

from __future__ import annotations

import json
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.screening.keeping import Kept
from nasicon_ml.screening.landscape import MOST_CELLS, Landscape

VALUES = st.lists(st.sampled_from([np.nan, -1.0, 0.0, 0.5, 0.5, 2.0]), max_size=60).map(np.array)


def floats(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)


@given(VALUES, st.integers(1, 10))
def test_the_best_are_kept_in_order(values: np.ndarray, most: int) -> None:
    kept = Kept.best_of(most, floats(values), np.arange(len(values)))
    ranked = sorted((-value, number) for number, value in enumerate(values.tolist()) if not math.isnan(value))
    assert kept.numbers.tolist() == [number for _, number in ranked[:most]]
    assert kept.values.tolist() == [-value for value, _ in ranked[:most]]


@given(VALUES, st.integers(1, 10), st.integers(0, 60), st.booleans())
def test_parts_give_what_the_whole_gives(values: np.ndarray, most: int, cut: int, swapped: bool) -> None:
    values, numbers = floats(values), np.arange(len(values))
    parts = [Kept.best_of(most, values[rows], numbers[rows]) for rows in (slice(0, cut), slice(cut, None))]
    first, second = reversed(parts) if swapped else parts
    whole = Kept.best_of(most, values, numbers)
    assert first.merged(second).to_json() == whole.to_json()
    assert Kept.from_json(json.loads(json.dumps(whole.to_json()))).to_json() == whole.to_json()


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
    whole = Landscape.of(*rows.T)
    expected: dict[tuple[float, float], float] = {}
    for x, firing_c, best in cells:
        if not math.isnan(firing_c):
            key = (round(x, 3), firing_c)
            expected[key] = max(best, expected.get(key, 0.0))
    assert {(x, t): best for x, t, best in zip(*whole.points(), strict=True)} == expected
    parts = [Landscape.of(*part.T) for part in (rows[:cut], rows[cut:])]
    assert parts[1].merged(parts[0]).to_json() == whole.to_json()
    assert Landscape.from_json(json.loads(json.dumps(whole.to_json()))).to_json() == whole.to_json()


def test_a_map_of_too_many_cells_becomes_coarse_whatever_the_order() -> None:
    rng = np.random.default_rng(0)
    x, firing_c, best = rng.uniform(0, 2, 9000), rng.uniform(500, 1300, 9000), rng.uniform(1e-6, 1e-3, 9000)
    whole = Landscape.of(x, firing_c, best)
    assert whole.is_coarse
    few = [
        Landscape.of(x[at : at + 900], firing_c[at : at + 900], best[at : at + 900]) for at in range(0, 9000, 900)
    ]
    assert not few[0].is_coarse
    forwards, backwards = few[0], few[-1]
    for part in few[1:]:
        forwards = forwards.merged(part)
    for part in few[-2::-1]:
        backwards = part.merged(backwards)
    assert forwards.to_json() == backwards.to_json() == whole.to_json()
    assert whole.best.max() == best.max()
    assert len(whole.best) <= MOST_CELLS
