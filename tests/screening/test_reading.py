"""Values of one quantity in a search space: a number, a list, a range in steps or on a logarithmic scale."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.errors import SpaceError
from nasicon_ml.screening import specification
from nasicon_ml.screening.specification import SpecNode


def numbers(value: Any) -> list[float]:
    return specification.read_numbers(SpecNode(value, "x"), 0, 1000)


def test_read_numbers_accepts_numbers_lists_and_ranges() -> None:
    assert numbers(0.3) == [0.3]
    assert numbers("0.3") == [0.3]
    assert numbers([3, 1]) == [3.0, 1.0]
    assert numbers({"from": 0.1, "to": 0.5, "step": 0.1}) == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert numbers({"from": 1, "to": 2.9, "step": 1}) == [1.0, 2.0]
    assert numbers({"from": 1, "to": 2, "count": 3}) == [1.0, 1.5, 2.0]
    assert numbers({"from": 0.1, "to": 10, "count": 5, "scale": "log"}) == [0.1, 0.3162, 1.0, 3.162, 10.0]
    assert numbers([0, {"from": 1, "to": 2, "step": 0.5}, 9]) == [0.0, 1.0, 1.5, 2.0, 9.0]


def test_times_of_logarithmic_range_are_rounded_to_settable_values() -> None:
    def times(first: float, last: float, count: int) -> list[float]:
        spec = {"from": first, "to": last, "count": count, "scale": "log"}
        return specification.read_numbers(SpecNode(spec, "sintering_time_h"), 0, 100)

    assert times(1, 12, 4) == [1, 2.25, 5.25, 12]
    assert times(0.1, 3, 4) == [0.1, 0.31, 0.97, 3]
    with pytest.raises(SpaceError, match="times that can be set"):
        times(10, 12, 20)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-1, "x: -1 is not accepted; allowed: a number from 0 to 1000"),
        ("a", "a number from 0 to 1000"),
        (math.inf, "a number from 0 to 1000"),
        (True, "x: True is not accepted"),
        (10**400, "a number from 0 to 1000"),
        (None, "x: None is not accepted"),
        ([], "The list is empty"),
        ([1, 1.0], "It occurs twice"),
        ([1, {"from": 0, "to": 2, "step": 1}], "It occurs twice"),
        ({"from": 1, "to": 2}, "It needs one of step and count"),
        ({"from": 1, "to": 2, "step": 1, "count": 2}, "It needs one of step and count"),
        ({"from": 2, "to": 1, "step": 1}, "from is above to"),
        ({"from": 1, "step": 1}, "There is no 'to' in it"),
        ({"from": 1, "to": 2, "steps": 1}, r"steps: 1 is not accepted; .*Did you mean 'step'\?"),
        ({"from": 1, "to": 2, "step": 0}, "a step above 0"),
        ({"from": 1, "to": 2, "step": "inf"}, "a step above 0"),
        ({"from": 0, "to": 1000, "step": 1e-9}, "a step that makes at most 100000 values. This makes 1e"),
        ({"from": 0, "to": 1000, "step": 5e-324}, "at most 100000 values"),
        ({"from": 1, "to": 2, "count": 1}, "count: 1 is not accepted"),
        ({"from": 1, "to": 2, "count": 2.5}, "a whole number"),
        ({"from": 1, "to": 2, "count": 10**9}, "a number from 2 to 100000"),
        ({"from": 1, "to": 2, "step": 1, "scale": "log"}, "a logarithmic range with from, to and count"),
        ({"from": 1, "to": 2, "count": 2, "scale": "ln"}, "scale: 'ln' is not accepted; allowed: linear or log"),
        ({"from": 0, "to": 2, "count": 2, "scale": "log"}, "begins above 0"),
        ({"from": 1, "to": 1.001, "count": 9, "scale": "log"}, "Take a smaller count"),
    ],
)
def test_invalid_number_or_range_raises_space_error_with_hint(value: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        numbers(value)


@given(st.floats(0, 500), st.floats(0, 20), st.floats(0.01, 100))
def test_range_in_steps_starts_at_from_and_does_not_exceed_to(first: float, width: float, step: float) -> None:
    values = numbers({"from": first, "to": first + width, "step": step})
    assert values[0] == pytest.approx(first)
    assert values[-1] <= first + width + 1e-6
    assert first + width - values[-1] <= step * (1 + 1e-6)
    assert all(right - left == pytest.approx(step, abs=1e-9) for left, right in itertools.pairwise(values))


def test_total_number_of_values_of_several_ranges_is_limited() -> None:
    first = {"from": 0, "to": 0.6, "step": 1e-5}
    second = {"from": 0.7, "to": 1.3, "step": 1e-5}
    with pytest.raises(SpaceError, match="at most 100000 values"):
        numbers([first, second])
