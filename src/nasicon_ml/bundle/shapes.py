"""Says what a piece of JSON has to look like, and refuses anything else by its place.

A shape is a function of a value and its place; it raises `ValueError` or returns nothing. Types are exact: "0.5"
is no number, 1 is no truth value, and True is no 1.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

Shape = Callable[[Any, str], None]

_SHOWN = 40


def number(low: float = -1e12, high: float = 1e12) -> Shape:
    """Accept a number within bounds."""

    def check(value: Any, place: str) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            _refuse(place, value, f"a number from {low:g} to {high:g}")

    return check


def whole(low: int, high: int) -> Shape:
    """Accept a whole number within bounds."""

    def check(value: Any, place: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            _refuse(place, value, f"a whole number from {low} to {high}")

    return check


def flag() -> Shape:
    """Accept true or false."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, bool):
            _refuse(place, value, "true or false")

    return check


def text(longest: int) -> Shape:
    """Accept text of at most so many characters."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, str) or len(value) > longest:
            _refuse(place, value, f"text of at most {longest} characters")

    return check


def one_of(allowed: Collection[str]) -> Shape:
    """Accept one of some texts."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, str) or value not in allowed:
            _refuse(place, value, f"one of {', '.join(sorted(allowed))}")

    return check


def listing(item: Shape, least: int, most: int) -> Shape:
    """Accept a list, each item of one shape."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, list) or not least <= len(value) <= most:
            long = str(least) if least == most else f"{least} to {most}"
            _refuse(place, value, f"a list of {long}")
        for at, one in enumerate(value):
            item(one, f"{place}[{at}]")

    return check


def mapping(item: Shape, most: int, names: Collection[str] | None = None) -> Shape:
    """Accept an object with at most so many names (of those given), each value of one shape."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, dict) or len(value) > most:
            _refuse(place, value, f"an object of at most {most} names")
        for name, one in value.items():
            if names is not None and name not in names:
                _refuse(place, name, f"one of {', '.join(sorted(names))}")
            item(one, _below(place, name))

    return check


def record(needed: Mapping[str, Shape], optional: Mapping[str, Shape] | None = None) -> Shape:
    """Accept an object with these names and no others."""
    known = {**needed, **(optional or {})}

    def check(value: Any, place: str) -> None:
        if not isinstance(value, dict):
            _refuse(place, value, "an object")
        for name in needed:
            if name not in value:
                raise ValueError(f"{_below(place, name)} is missing")
        for name, one in value.items():
            if name not in known:
                raise ValueError(f"{_below(place, name)} is not known")
            known[name](one, _below(place, name))

    return check


def either(*shapes: Shape) -> Shape:
    """Accept what one of the shapes accepts; the last says what is wrong."""

    def check(value: Any, place: str) -> None:
        for shape in shapes[:-1]:
            try:
                return shape(value, place)
            except ValueError:
                continue
        return shapes[-1](value, place)

    return check


def _below(place: str, name: str) -> str:
    shown = name[:_SHOWN]
    if not (name.isascii() and name.isprintable() and name):
        shown = repr(shown)
    return f"{place}.{shown}" if place else shown


def _refuse(place: str, value: Any, allowed: str) -> None:
    shown = f"an object of {len(value)}" if isinstance(value, dict) else repr(value)
    if isinstance(value, list):
        shown = f"a list of {len(value)}"
    if len(shown) > _SHOWN:
        shown = shown[:_SHOWN] + "..."
    raise ValueError(f"{place or 'it'}: {shown} is not accepted; allowed: {allowed}")
