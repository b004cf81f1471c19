"""Values of one quantity as a space states them: one, a list, a range in steps, a range by logarithms."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from nasicon_ml.screening.reading import Stated

#: More values than this on one axis are no screening but a typing error.
MOST_VALUES = 100_000
RANGE_KEYS = ("from", "to", "step", "count", "scale")
SCALES = ("linear", "log")
_DIGITS = 12
#: Significant digits of the inner values of a logarithmic range.
_LOG_DIGITS = 4
_STEPS = 1e-9
_ALLOWED = "a range with from, to, and step or count"

Reader = Callable[[Stated], Any]


def grid(stated: Stated, read: Reader) -> list[float]:
    """Read a range: ``{from: 700, to: 800, step: 10}``, or with `count` and `scale: log`.

    Parameters
    ----------
    stated
        The mapping.
    read
        Reads `from` and `to`, and refuses what is out of bounds.

    Returns
    -------
    list of float
        Rising; `from` is the first, and `to` the last if a step ends there.

    Raises
    ------
    SpaceError
        If it is no range, or one of more than `MOST_VALUES` values.
    """
    parts = stated.fields(RANGE_KEYS, ("from", "to"))
    first, last = (read(parts[key].renamed(stated.name)) for key in ("from", "to"))
    if first > last:
        raise stated.error("a range that rises", "from is above to.")
    scale = parts["scale"].value if "scale" in parts else SCALES[0]
    if scale not in SCALES:
        raise parts["scale"].error(" or ".join(SCALES))
    if ("step" in parts) == ("count" in parts):
        raise stated.error(_ALLOWED, "It needs one of step and count.")
    if "step" in parts:
        if scale == "log":
            raise stated.error("a logarithmic range with from, to and count", "Steps belong to a linear range.")
        return _in_steps(first, last, parts["step"])
    count = parts["count"].whole(1 if first == last else 2, MOST_VALUES)
    if scale == "linear":
        return [round(float(value), _DIGITS) for value in np.linspace(first, last, count)]
    return _by_logarithm(first, last, count, stated)


def _in_steps(first: float, last: float, stated: Stated) -> list[float]:
    step = stated.number(0, math.inf)
    if not 0 < step < math.inf:
        raise stated.error("a step above 0")
    steps = (last - first) / step + _STEPS
    if steps >= MOST_VALUES:
        raise stated.error(f"a step that makes at most {MOST_VALUES} values", f"This makes {steps:.3g}.")
    return [round(first + at * step, _DIGITS) for at in range(int(steps) + 1)]


def _by_logarithm(first: float, last: float, count: int, stated: Stated) -> list[float]:
    if first <= 0:
        raise stated.error("a logarithmic range that begins above 0")
    values = [_significant(float(value)) for value in np.geomspace(first, last, count)]
    values[0], values[-1] = first, last
    if any(low >= high for low, high in itertools.pairwise(values)):
        raise stated.error(f"values that differ in {_LOG_DIGITS} significant digits", "Take a smaller count.")
    return values


def _significant(value: float) -> float:
    return float(f"{value:.{_LOG_DIGITS - 1}e}")


def numbers(stated: Stated, minimum: float, maximum: float) -> list[float]:
    """Read a number, a list of numbers and ranges, or a range; every value once, in the order stated."""

    def read(one: Stated) -> float:
        return one.number(minimum, maximum)

    found = [*values_of(stated, read, f"a number from {minimum:g} to {maximum:g}, a list, or a range")]
    refuse_repeats(found, stated)
    return found


def values_of(stated: Stated, read: Callable[[Stated], Any], allowed: str) -> Iterator[Any]:
    """Go through a value, a list of values and ranges, or a range.

    Raises
    ------
    SpaceError
        If there are more than `MOST_VALUES`.
    """
    count = 0
    for item in stated.one_or_more(allowed):
        values = grid(item, read) if isinstance(item.value, dict) else [read(item)]
        count += len(values)
        if count > MOST_VALUES:
            raise stated.error(f"at most {MOST_VALUES} values", f"These are more than {count - 1}.", value=count)
        yield from values


def refuse_repeats(values: Sequence[object], stated: Stated) -> None:
    """Refuse a value that stands twice: its candidates would count twice."""
    seen: set[object] = set()
    for value in values:
        if value in seen:
            raise stated.error("every value once", value=value, hint="It stands there twice.")
        seen.add(value)
