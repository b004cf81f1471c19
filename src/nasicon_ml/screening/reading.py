"""Reads a search space: values that know their name and their line, ranges of them, and the axes they make."""

from __future__ import annotations

import itertools
import math
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from nasicon_ml.arrays import Ints, Mask
from nasicon_ml.checks import TEMPERATURE_STEPS_C, looks_like_kelvin
from nasicon_ml.columns import (
    ADDITIVE,
    MODEL_INPUT,
    Column,
    Kind,
    Role,
    is_missing,
    kelvin_to_celsius,
    means_no_additive,
    to_number,
)
from nasicon_ml.errors import FieldError, SpaceError, UnreadableFileError, nearest, number_hint
from nasicon_ml.io.raw import check_file_size, read_bytes
from nasicon_ml.io.structured import load_yaml
from nasicon_ml.recipe.rules import ADDITIVE_CONFLICTS, unknown_field_error

if TYPE_CHECKING:
    import yaml

Path_ = tuple[object, ...]
#: What says in a space that a field is not given, beside `nasicon_ml.columns.MISSING_WORDS`.
NOT_GIVEN = "not given"
_LONGEST_REASON = 500
_DEEPEST = 20


@dataclass(frozen=True)
class SpecNode:
    """One value in the description of a search space, with its place in the file."""

    value: Any  # what was given: a mapping, a list, or a plain value
    name: str = "space"  # what messages call it
    path: Path_ = ()  # keys and positions that lead to it
    # Line of the file of every path; empty where there is no file.
    lines: Mapping[Path_, int] = field(default_factory=dict)
    file: str = ""  # name of the file; empty where there is none

    @property
    def place(self) -> str:
        """File and line, as messages begin; empty where there is no file."""
        line = self.lines.get(self.path)
        return f"{self.file}, line {line}" if line else self.file

    @property
    def not_given(self) -> bool:
        """Whether it says that a field is not given."""
        return is_missing(self.value) or (isinstance(self.value, str) and self.value.strip().lower() == NOT_GIVEN)

    def error(self, allowed: str, hint: str = "", value: object = ...) -> SpaceError:
        """Return the error that refuses this value, or the part of it that is given."""
        return SpaceError(self.name, self.value if value is ... else value, allowed, hint, self.place)

    def refused(self, error: FieldError) -> SpaceError:
        """Return an error with the place of this value."""
        return SpaceError(error.field, error.value, error.allowed, error.hint, self.place)

    def child(self, key: object, name: str | None = None) -> SpecNode:
        """Return what stands under a key, or at a position."""
        return SpecNode(self.value[key], name or str(key), (*self.path, key), self.lines, self.file)

    def fields(self, known: Iterable[str], needed: Sequence[str] = ()) -> dict[str, SpecNode]:
        """Read a mapping whose keys are known.

        Raises
        ------
        SpaceError
            If it is no mapping, or has a key that is not known, or lacks one that is needed.
        """
        known = list(known)
        allowed = f"a mapping with {', '.join(known)}"
        found = self.any_fields(allowed)
        for key, node in found.items():
            if key not in known:
                raise SpaceError(
                    key, node.value, f"in {self.name}: {', '.join(known)}", nearest(key, known), node.place
                )
        for key in needed:
            if key not in found:
                raise self.error(allowed, f"There is no {key!r} in it.")
        return found

    def any_fields(self, allowed: str) -> dict[str, SpecNode]:
        """Read a mapping whose keys may be any text."""
        if not isinstance(self.value, Mapping):
            raise self.error(allowed)
        for key in self.value:
            if isinstance(key, int):
                raise self.error(allowed, "Write decimals with a point: in braces a comma begins the next key.")
            if not isinstance(key, str):
                raise self.error(allowed, f"The key {key!r} is no text; put it into quotation marks.")
        return {str(key): self.child(key) for key in self.value}

    def items(self, allowed: str, *, empty: bool = False) -> list[SpecNode]:
        """Read a list.

        Raises
        ------
        SpaceError
            If it is none, or empty where it may not be.
        """
        if not isinstance(self.value, list):
            raise self.error(allowed, "Write it as a list.")
        if not self.value and not empty:
            raise self.error(allowed, "The list is empty.")
        return [self.child(at, self.name) for at in range(len(self.value))]

    def one_or_more(self, allowed: str) -> list[SpecNode]:
        """Read a list, or a single value as a list of one."""
        return self.items(allowed) if isinstance(self.value, list) else [self]

    def number(self, minimum: float, maximum: float) -> float:
        """Read a number within bounds."""
        allowed = f"a number from {minimum:g} to {maximum:g}"
        value = self.value
        if isinstance(value, bool) or not isinstance(value, (numbers.Real, str)):
            raise self.error(allowed)
        try:
            number = to_number(value)
        except (ValueError, OverflowError):
            raise self.error(allowed, number_hint(str(value))) from None
        if not minimum <= number <= maximum:
            raise self.error(allowed)
        return number

    def whole(self, minimum: int, maximum: int) -> int:
        """Read a whole number within bounds."""
        number = self.number(minimum, maximum)
        if number != int(number):
            raise self.error(f"a whole number from {minimum} to {maximum}")
        return int(number)

    def flag(self) -> bool:
        """Read true or false."""
        if not isinstance(self.value, bool):
            raise self.error("true or false")
        return self.value

    def renamed(self, name: str) -> SpecNode:
        """Call it something else in messages."""
        return replace(self, name=name)

    def text(self, allowed: str) -> str:
        """Read a text that says something."""
        if not isinstance(self.value, str) or not self.value.strip() or len(self.value) > _LONGEST_REASON:
            raise self.error(allowed)
        return " ".join(self.value.split())


def check_whole(name: str, value: object, least: int, most: int) -> None:
    """Refuse what is no whole number within bounds.

    Raises
    ------
    FieldError
        With the name of the setting.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise FieldError(name, value, f"a whole number from {least} to {most}")


def plain(value: object, depth: int = 0) -> Any:
    """Return what a program may give, arrays and tuples among it, as what a YAML file can hold.

    Raises
    ------
    SpaceError
        If it is nested too deeply, which a space never is.
    """
    if depth > _DEEPEST:
        raise SpaceError("space", value, "a space, which is never nested so deeply")
    if isinstance(value, Mapping):
        return {key: plain(below, depth + 1) for key, below in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple, range)):
        return [plain(below, depth + 1) for below in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and math.isnan(value) else value


def spec_from_yaml(path: str | Path, what: str = "a search space") -> SpecNode:
    """Read a YAML file; nothing in it is ever executed. Messages say what it should hold.

    Raises
    ------
    UnreadableFileError
        If there is no such file, or it is not YAML, too large, nested too deeply or holds aliases.
    """
    data, name = read_bytes(path)
    check_file_size(len(data), "yaml", name)
    node, value = load_yaml(data, name, what)
    if node is None:
        raise UnreadableFileError(f"{name}: the file is empty")
    lines: dict[Path_, int] = {}
    _note_lines(node, (), lines)
    return SpecNode(plain(value), lines=lines, file=name)


def _note_lines(node: yaml.Node, path: Path_, lines: dict[Path_, int]) -> None:
    import yaml

    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, below in node.value:
            lines[*path, key.value] = key.start_mark.line + 1
            _note_lines(below, (*path, key.value), lines)
    elif isinstance(node, yaml.SequenceNode):
        for at, below in enumerate(node.value):
            _note_lines(below, (*path, at), lines)


#: More values than this on one axis are no screening but a typing error.
MOST_VALUES = 100_000
RANGE_KEYS = ("from", "to", "step", "count", "scale")
SCALES = ("linear", "log")
_DIGITS = 12
#: Significant digits of the inner values of a logarithmic range.
_LOG_DIGITS = 4
_STEPS = 1e-9
_ALLOWED = "a range with from, to, and step or count"

Reader = Callable[[SpecNode], Any]


def read_range(node: SpecNode, read: Reader) -> list[float]:
    """Read a range: ``{from: 700, to: 800, step: 10}``, or with `count` and `scale: log`.

    Values rise; `from` is the first, and `to` the last if a step ends there. Both are read by `read`, which
    refuses what is out of bounds.

    Raises
    ------
    SpaceError
        If it is no range, or one of more than `MOST_VALUES` values.
    """
    parts = node.fields(RANGE_KEYS, ("from", "to"))
    first, last = (read(parts[key].renamed(node.name)) for key in ("from", "to"))
    if first > last:
        raise node.error("a range that rises", "from is above to.")
    scale = parts["scale"].value if "scale" in parts else SCALES[0]
    if scale not in SCALES:
        raise parts["scale"].error(" or ".join(SCALES))
    if ("step" in parts) == ("count" in parts):
        raise node.error(_ALLOWED, "It needs one of step and count.")
    if "step" in parts:
        if scale == "log":
            raise node.error("a logarithmic range with from, to and count", "Steps belong to a linear range.")
        return _in_steps(first, last, parts["step"])
    count = parts["count"].whole(1 if first == last else 2, MOST_VALUES)
    if scale == "linear":
        return [round(float(value), _DIGITS) for value in np.linspace(first, last, count)]
    return _by_logarithm(first, last, count, node)


def _in_steps(first: float, last: float, node: SpecNode) -> list[float]:
    step = node.number(0, math.inf)
    if not 0 < step < math.inf:
        raise node.error("a step above 0")
    steps = (last - first) / step + _STEPS
    if steps >= MOST_VALUES:
        raise node.error(f"a step that makes at most {MOST_VALUES} values", f"This makes {steps:.3g}.")
    return [round(first + at * step, _DIGITS) for at in range(int(steps) + 1)]


def _by_logarithm(first: float, last: float, count: int, node: SpecNode) -> list[float]:
    if first <= 0:
        raise node.error("a logarithmic range that begins above 0")
    is_time = node.name.rpartition(".")[2].endswith("_h")
    rounded = _furnace_time if is_time else _significant
    values = [rounded(float(value)) for value in np.geomspace(first, last, count)]
    values[0], values[-1] = first, last
    if any(low >= high for low, high in itertools.pairwise(values)):
        apart = "times that can be set" if is_time else f"values that differ in {_LOG_DIGITS} significant digits"
        raise node.error(apart, "Take a smaller count.")
    return values


def _furnace_time(hours: float) -> float:
    """Round a time to what people set: to a quarter of an hour; below two hours to two digits."""
    return round(hours * 4) / 4 if hours >= 2 else float(f"{hours:.1e}")


def _significant(value: float) -> float:
    return float(f"{value:.{_LOG_DIGITS - 1}e}")


def read_numbers(node: SpecNode, minimum: float, maximum: float) -> list[float]:
    """Read a number, a list of numbers and ranges, or a range; every value once, in the order stated."""

    def read(one: SpecNode) -> float:
        return one.number(minimum, maximum)

    return read_values(node, read, f"a number from {minimum:g} to {maximum:g}, a list, or a range")


def read_values(node: SpecNode, read: Reader, allowed: str) -> list[Any]:
    """Read a value, a list of values and ranges, or a range.

    Raises
    ------
    SpaceError
        If there are more than `MOST_VALUES`, or one stands there twice.
    """
    found: list[Any] = []
    for item in node.one_or_more(allowed):
        found += read_range(item, read) if isinstance(item.value, dict) else [read(item)]
        if len(found) > MOST_VALUES:
            hint = f"These are more than {len(found) - 1}."
            raise node.error(f"at most {MOST_VALUES} values", hint, value=len(found))
    refuse_repeats(found, node)
    return found


def refuse_repeats(values: Sequence[object], node: SpecNode) -> None:
    """Refuse a value that stands twice: its candidates would count twice."""
    seen: set[object] = set()
    for value in values:
        if value in seen:
            raise node.error("every value once", value=value, hint="It stands there twice.")
        seen.add(value)


Cell = float | str | bool | None

#: Fields that a space states one by one.
FIELDS = tuple(column for column in MODEL_INPUT if column.role is not Role.COMPOSITION)
#: Keys of one additive, in the order of their columns.
ADDITIVE_KEYS = ("name", "amount", "unit")
_NO_ADDITIVE = (None, None, None)


@dataclass(frozen=True)
class Axis:
    """Some columns of a recipe, and the values they take together."""

    # Column -> its values, all lists of the same length; None where not given.
    cells: Mapping[Column, Sequence[Cell]]

    def __len__(self) -> int:
        return len(next(iter(self.cells.values())))

    @property
    def label(self) -> str:
        """What it is called: the label of its first column."""
        return next(iter(self.cells)).label

    def take(self, mask: Mask) -> Axis:
        """Return the axis with some of its values."""
        rows = np.flatnonzero(mask).tolist()
        return Axis({column: [cells[row] for row in rows] for column, cells in self.cells.items()})

    def series(self, at: Ints) -> dict[Column, Any]:
        """Return the columns for positions on the axis: float64 with NaN, or categorical."""
        return {column: _taken(prepared, at) for column, prepared in self._prepared.items()}

    @cached_property
    def _prepared(self) -> dict[Column, Any]:
        return {column: _prepare(column, cells) for column, cells in self.cells.items()}


def _prepare(column: Column, cells: Sequence[Cell]) -> Any:
    if column.kind is Kind.NUMBER:
        return np.array([np.nan if cell is None else cell for cell in cells], dtype=np.float64)
    names: list[Any] = list(column.choices) or sorted({cell for cell in cells if cell is not None})
    return pd.Categorical(pd.Series(list(cells), dtype="object"), categories=names)


def _taken(prepared: Any, at: Ints) -> Any:
    if isinstance(prepared, np.ndarray):
        return prepared[at]
    return pd.Categorical.from_codes(prepared.codes[at], dtype=prepared.dtype, validate=False)


def field_axes(node: SpecNode | None, warnings: list[str]) -> list[Axis]:
    """Read the processing fields of a space: an axis for each of `FIELDS`, "not given" where nothing is stated.

    Temperatures that look like kelvin are added to `warnings`.

    Raises
    ------
    SpaceError
        If a field is none of a recipe's, or has a value that no recipe may have.
    """
    given = node.any_fields("fields of a recipe with their values") if node else {}
    for name, value in given.items():
        if name not in {column.value for column in FIELDS}:
            raise _unknown(name, value)
    return [
        Axis({column: _values(column, given[column.value], warnings) if column.value in given else [None]})
        for column in FIELDS
    ]


def _unknown(name: str, value: SpecNode) -> FieldError:
    if name in ADDITIVE:
        hint = "Additives stand in a list of their own, additives, so that amount and unit go with the name."
        return value.error(f"fields {', '.join(FIELDS)}", hint)
    if name == Column.FORMULA:
        return value.error(
            f"fields {', '.join(FIELDS)}", "Compositions stand in a list of their own, compositions."
        )
    return value.refused(unknown_field_error(name, value.value))


def _values(column: Column, node: SpecNode, warnings: list[str]) -> list[Cell]:
    """Read the values of one field: one, a list, ranges; "not given" among them."""

    def read(one: SpecNode) -> Any:
        return read_cell(column, one, warnings)

    for item in node.one_or_more(column.allowed):
        if isinstance(item.value, dict) and column.kind is not Kind.NUMBER:
            raise item.error(column.allowed, "Only numbers have ranges.")
    return read_values(node, read, column.allowed)


def read_cell(column: Column, node: SpecNode, warnings: list[str]) -> Cell:
    """Read one value of a field as a recipe reads it; None for "not given".

    Raises
    ------
    SpaceError
        If no recipe may have it, or only kelvin can be meant.
    """
    if node.not_given:
        return None
    try:
        value = column.parse(node.value)
    except FieldError as error:
        raise node.refused(error) from None
    if column in TEMPERATURE_STEPS_C and isinstance(value, float):
        sure, likely = looks_like_kelvin(np.array([value]), column)
        message = f"{value:g} K is {kelvin_to_celsius(value):g} °C."
        if sure[0]:
            raise node.error(column.allowed, f"It looks like kelvin: {message}")
        if likely[0]:
            warnings.append(f"{node.place or column}: {column.label} {value:g} °C looks like kelvin: {message}")
    return value


def additive_axis(node: SpecNode | None) -> Axis:
    """Read the additives of a space: a list of additives with amounts and unit, "not given" for none.

    Raises
    ------
    SpaceError
        If an additive has no name, or amount and unit do not go together.
    """
    rows: list[tuple[Cell, ...]] = []
    allowed = "additives, each with name, amount and unit, or 'none'"
    for item in node.one_or_more(allowed) if node else []:
        is_none = item.not_given or (not isinstance(item.value, dict) and means_no_additive(str(item.value)))
        rows += [_NO_ADDITIVE] if is_none else _one_additive(item)
    if node:
        refuse_repeats([row for row in rows if row[1] != 0], node)
    # 0 of whatever is none, and stands there once.
    rows = [*dict.fromkeys(row if row[1] != 0 else _NO_ADDITIVE for row in rows or [_NO_ADDITIVE])]
    return Axis({column: [row[at] for row in rows] for at, column in enumerate(ADDITIVE)})


def _one_additive(item: SpecNode) -> list[tuple[Cell, ...]]:
    parts = item.fields(ADDITIVE_KEYS, ADDITIVE_KEYS[:1])
    columns = dict(zip(ADDITIVE_KEYS, ADDITIVE, strict=True))
    read = {key: _values(columns[key], part, []) for key, part in parts.items()}
    rows: list[tuple[Cell, ...]] = []
    for row in itertools.product(*(read.get(key, [None]) for key in ADDITIVE_KEYS)):
        name, amount, unit = (cell is not None for cell in row)
        problem = ADDITIVE_CONFLICTS[4 * name + 2 * amount + unit]
        if problem:
            raise item.refused(problem.error(row[ADDITIVE.index(problem.column)]))
        rows.append(row)
    return rows
