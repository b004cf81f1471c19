"""Reading of the description of a search space: values with their name and line, ranges, and axes of fields."""

from __future__ import annotations

import itertools
import math
import numbers
from collections.abc import Callable, Mapping, Sequence
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

NodePath = tuple[object, ...]
#: Text for a field that is not given, in addition to `nasicon_ml.columns.MISSING_WORDS`.
NOT_GIVEN = "not given"
_MAX_TEXT_LENGTH = 500
_MAX_DEPTH = 20


@dataclass(frozen=True)
class SpecNode:
    """One value in the description of a search space, with its place in the file."""

    value: Any  # a mapping, a list, or a plain value
    name: str = "space"  # name in messages
    path: NodePath = ()  # keys and positions that lead to the value
    # Line number of each path; empty without a file.
    lines: Mapping[NodePath, int] = field(default_factory=dict)
    file: str = ""  # name of the file; empty without a file

    @property
    def place(self) -> str:
        """File and line for messages; empty without a file."""
        line = self.lines.get(self.path)
        return f"{self.file}, line {line}" if line else self.file

    @property
    def is_not_given(self) -> bool:
        """Whether the value means that a field is not given."""
        return is_missing(self.value) or (isinstance(self.value, str) and self.value.strip().lower() == NOT_GIVEN)

    def error(self, allowed: str, hint: str = "", value: object = ...) -> SpaceError:
        """Return the error for this value, or for `value` if only that part of it is wrong."""
        return SpaceError(self.name, self.value if value is ... else value, allowed, hint, self.place)

    def add_place(self, error: FieldError) -> SpaceError:
        """Return an error with the place of this value added."""
        return SpaceError(error.field, error.value, error.allowed, error.hint, self.place)

    def child(self, key: object, name: str | None = None) -> SpecNode:
        """Return the value at a key or a position."""
        return SpecNode(self.value[key], name or str(key), (*self.path, key), self.lines, self.file)

    def fields(self, known: Sequence[str], required: Sequence[str] = ()) -> dict[str, SpecNode]:
        """Read a mapping with known keys.

        Raises
        ------
        SpaceError
            If it is not a mapping, has an unknown key, or lacks a required one.
        """
        allowed = f"a mapping with {', '.join(known)}"
        nodes = self.any_fields(allowed)
        for key, node in nodes.items():
            if key not in known:
                raise SpaceError(
                    key, node.value, f"in {self.name}: {', '.join(known)}", nearest(key, known), node.place
                )
        for key in required:
            if key not in nodes:
                raise self.error(allowed, f"There is no {key!r} in it.")
        return nodes

    def any_fields(self, allowed: str) -> dict[str, SpecNode]:
        """Read a mapping whose keys are any strings."""
        if not isinstance(self.value, Mapping):
            raise self.error(allowed)
        for key in self.value:
            if isinstance(key, int):
                raise self.error(allowed, "Write decimals with a point: in braces a comma begins the next key.")
            if not isinstance(key, str):
                raise self.error(allowed, f"The key {key!r} is not text; put it in quotation marks.")
        return {key: self.child(key) for key in self.value}

    def items(self, allowed: str, *, empty: bool = False) -> list[SpecNode]:
        """Read a list.

        Raises
        ------
        SpaceError
            If it is not a list, or is empty although `empty` is False.
        """
        if not isinstance(self.value, list):
            raise self.error(allowed, "Write it as a list.")
        if not self.value and not empty:
            raise self.error(allowed, "The list is empty.")
        return [self.child(position, self.name) for position in range(len(self.value))]

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

    def integer(self, minimum: int, maximum: int) -> int:
        """Read an integer within bounds."""
        number = self.number(minimum, maximum)
        if number != int(number):
            raise self.error(f"a whole number from {minimum} to {maximum}")
        return int(number)

    def boolean(self) -> bool:
        """Read true or false."""
        if not isinstance(self.value, bool):
            raise self.error("true or false")
        return self.value

    def renamed(self, name: str) -> SpecNode:
        """Return the same value with another name in messages."""
        return replace(self, name=name)

    def text(self, allowed: str) -> str:
        """Read a text that is not blank."""
        if not isinstance(self.value, str) or not self.value.strip() or len(self.value) > _MAX_TEXT_LENGTH:
            raise self.error(allowed)
        return " ".join(self.value.split())


def check_integer(name: str, value: object, minimum: int, maximum: int) -> None:
    """Raise if a setting is not an integer within bounds.

    Raises
    ------
    FieldError
        If it is not; the message names the setting.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= maximum:
        raise FieldError(name, value, f"a whole number from {minimum} to {maximum}")


def to_plain(value: object, depth: int = 0) -> Any:
    """Convert arrays, tuples, ranges and NumPy scalars to values that a YAML file can contain.

    Raises
    ------
    SpaceError
        If the value is nested too deeply.
    """
    if depth > _MAX_DEPTH:
        raise SpaceError("space", value, "a space, which is never nested so deeply")
    if isinstance(value, Mapping):
        return {key: to_plain(child, depth + 1) for key, child in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple, range)):
        return [to_plain(child, depth + 1) for child in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and math.isnan(value) else value


def spec_from_yaml(path: str | Path, what: str = "a search space") -> SpecNode:
    """Read a YAML file, nothing in which is executed; `what` is its expected content in messages.

    Raises
    ------
    UnreadableFileError
        If there is no such file, or it is not YAML, too large, nested too deeply, or contains aliases.
    """
    data, name = read_bytes(path)
    check_file_size(len(data), "yaml", name)
    node, value = load_yaml(data, name, what)
    if node is None:
        raise UnreadableFileError(f"{name}: the file is empty")
    lines: dict[NodePath, int] = {}
    _collect_lines(node, (), lines)
    return SpecNode(to_plain(value), lines=lines, file=name)


def _collect_lines(node: yaml.Node, path: NodePath, lines: dict[NodePath, int]) -> None:
    import yaml

    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, child in node.value:
            lines[*path, key.value] = key.start_mark.line + 1
            _collect_lines(child, (*path, key.value), lines)
    elif isinstance(node, yaml.SequenceNode):
        for position, child in enumerate(node.value):
            _collect_lines(child, (*path, position), lines)


#: Maximum number of values of an axis; more are a typing error.
MAX_VALUES = 100_000
RANGE_KEYS = ("from", "to", "step", "count", "scale")
SCALES = ("linear", "log")
#: Decimals of the values of a linear range.
_DECIMALS = 12
#: Significant digits of the inner values of a logarithmic range.
_LOG_DIGITS = 4
#: Tolerance with which the last step may exceed the end of a range, in steps.
_STEP_TOLERANCE = 1e-9
_ALLOWED_RANGE = "a range with from, to, and step or count"

Reader = Callable[[SpecNode], Any]


def read_range(node: SpecNode, read: Reader) -> list[float]:
    """Read a range: ``{from: 700, to: 800, step: 10}``, or with `count` and `scale: log`.

    Values ascend; `from` is the first, and `to` the last if a step ends there. Both are read by `read`, which
    raises if they are out of bounds.

    Raises
    ------
    SpaceError
        If it is not a range, or has more than `MAX_VALUES` values.
    """
    parts = node.fields(RANGE_KEYS, ("from", "to"))
    first, last = (read(parts[key].renamed(node.name)) for key in ("from", "to"))
    if first > last:
        raise node.error("a range that rises", "from is above to.")
    scale = parts["scale"].value if "scale" in parts else SCALES[0]
    if scale not in SCALES:
        raise parts["scale"].error(" or ".join(SCALES))
    if ("step" in parts) == ("count" in parts):
        raise node.error(_ALLOWED_RANGE, "It needs one of step and count.")
    if "step" in parts:
        if scale == "log":
            raise node.error("a logarithmic range with from, to and count", "Steps belong to a linear range.")
        return _stepped_values(first, last, parts["step"])
    count = parts["count"].integer(1 if first == last else 2, MAX_VALUES)
    if scale == "linear":
        return [round(float(value), _DECIMALS) for value in np.linspace(first, last, count)]
    return _logarithmic_values(first, last, count, node)


def _stepped_values(first: float, last: float, node: SpecNode) -> list[float]:
    step = node.number(0, math.inf)
    if not 0 < step < math.inf:
        raise node.error("a step above 0")
    n_steps = (last - first) / step + _STEP_TOLERANCE
    if n_steps >= MAX_VALUES:
        raise node.error(f"a step that makes at most {MAX_VALUES} values", f"This makes {n_steps:.3g}.")
    return [round(first + i * step, _DECIMALS) for i in range(int(n_steps) + 1)]


def _logarithmic_values(first: float, last: float, count: int, node: SpecNode) -> list[float]:
    if first <= 0:
        raise node.error("a logarithmic range that begins above 0")
    is_time = node.name.rpartition(".")[2].endswith("_h")
    round_value = _round_time if is_time else _round_to_digits
    values = [round_value(float(value)) for value in np.geomspace(first, last, count)]
    values[0], values[-1] = first, last
    if any(low >= high for low, high in itertools.pairwise(values)):
        allowed = "times that can be set" if is_time else f"values that differ in {_LOG_DIGITS} significant digits"
        raise node.error(allowed, "Take a smaller count.")
    return values


def _round_time(hours: float) -> float:
    """Round a time to a value set in practice: to a quarter of an hour; below two hours, to two digits."""
    return round(hours * 4) / 4 if hours >= 2 else float(f"{hours:.1e}")


def _round_to_digits(value: float) -> float:
    return float(f"{value:.{_LOG_DIGITS - 1}e}")


def read_numbers(node: SpecNode, minimum: float, maximum: float) -> list[float]:
    """Read a number, a list of numbers and ranges, or a range, in the order stated."""
    allowed = f"a number from {minimum:g} to {maximum:g}, a list, or a range"
    return read_values(node, lambda item: item.number(minimum, maximum), allowed)


def read_values(node: SpecNode, read: Reader, allowed: str) -> list[Any]:
    """Read a value, a list of values and ranges, or a range.

    Raises
    ------
    SpaceError
        If there are more than `MAX_VALUES` values, or a value is repeated.
    """
    values: list[Any] = []
    for item in node.one_or_more(allowed):
        values += read_range(item, read) if isinstance(item.value, dict) else [read(item)]
        if len(values) > MAX_VALUES:
            hint = f"These are more than {len(values) - 1}."
            raise node.error(f"at most {MAX_VALUES} values", hint, value=len(values))
    check_unique(values, node)
    return values


def check_unique(values: Sequence[object], node: SpecNode) -> None:
    """Raise if a value is repeated, because its candidates would be counted twice."""
    seen: set[object] = set()
    for value in values:
        if value in seen:
            raise node.error("every value once", value=value, hint="It occurs twice.")
        seen.add(value)


Cell = float | str | bool | None

#: Fields that have an axis each.
FIELDS = tuple(column for column in MODEL_INPUT if column.role is not Role.COMPOSITION)
#: Keys of one additive, in the order of their columns.
ADDITIVE_KEYS = ("name", "amount", "unit")
_NO_ADDITIVE = (None, None, None)


@dataclass(frozen=True)
class Axis:
    """The possible values of one or more columns that vary together."""

    # Column -> its values, all of the same length; None where not given.
    cells: Mapping[Column, Sequence[Cell]]

    def __len__(self) -> int:
        return len(next(iter(self.cells.values())))

    @property
    def label(self) -> str:
        """The label of the first column."""
        return next(iter(self.cells)).label

    @property
    def is_stated(self) -> bool:
        """Whether there are other values than "not given"."""
        return len(self) > 1 or next(iter(self.cells.values()))[0] is not None

    def select(self, mask: Mask) -> Axis:
        """Return the axis with the masked values only."""
        rows = np.flatnonzero(mask).tolist()
        return Axis({column: [cells[row] for row in rows] for column, cells in self.cells.items()})

    def series(self, index: Ints) -> dict[Column, Any]:
        """Return the columns for indices on the axis: float64 with NaN, or categorical."""
        return {column: _take(values, index) for column, values in self._values.items()}

    @cached_property
    def _values(self) -> dict[Column, Any]:
        return {column: _to_array(column, cells) for column, cells in self.cells.items()}


def _to_array(column: Column, cells: Sequence[Cell]) -> Any:
    if column.kind is Kind.NUMBER:
        return np.array([np.nan if cell is None else cell for cell in cells], dtype=np.float64)
    categories: list[Any] = list(column.choices) or sorted({cell for cell in cells if cell is not None})
    return pd.Categorical(pd.Series(list(cells), dtype="object"), categories=categories)


def _take(values: Any, index: Ints) -> Any:
    if isinstance(values, np.ndarray):
        return values[index]
    return pd.Categorical.from_codes(values.codes[index], dtype=values.dtype, validate=False)


def read_field_axes(node: SpecNode | None, warnings: list[str]) -> list[Axis]:
    """Read the processing fields of a space: an axis for each of `FIELDS`, "not given" if it is not stated.

    Warnings about temperatures that look like kelvin are appended to `warnings`.

    Raises
    ------
    SpaceError
        If a field is unknown, or has a value that is not possible in a recipe.
    """
    stated = node.any_fields("fields of a recipe with their values") if node else {}
    for name, value in stated.items():
        if name not in {column.value for column in FIELDS}:
            raise _unknown_field_error(name, value)
    return [
        Axis({column: _read_cells(column, stated[column.value], warnings) if column.value in stated else [None]})
        for column in FIELDS
    ]


def _unknown_field_error(name: str, value: SpecNode) -> FieldError:
    allowed = f"fields {', '.join(FIELDS)}"
    if name in ADDITIVE:
        hint = "Additives have a list of their own, additives, with name, amount and unit."
        return value.error(allowed, hint)
    if name == Column.FORMULA:
        return value.error(allowed, "Compositions have a list of their own, compositions.")
    return value.add_place(unknown_field_error(name, value.value))


def _read_cells(column: Column, node: SpecNode, warnings: list[str]) -> list[Cell]:
    """Read the values of one field: one value, a list or ranges, possibly with "not given"."""
    for item in node.one_or_more(column.allowed):
        if isinstance(item.value, dict) and column.kind is not Kind.NUMBER:
            raise item.error(column.allowed, "Only numbers have ranges.")
    return read_values(node, lambda item: read_cell(column, item, warnings), column.allowed)


def read_cell(column: Column, node: SpecNode, warnings: list[str]) -> Cell:
    """Read one value of a field as in a recipe; None for "not given".

    Raises
    ------
    SpaceError
        If the value is not possible in a recipe, or is certainly in kelvin.
    """
    if node.is_not_given:
        return None
    try:
        value = column.parse(node.value)
    except FieldError as error:
        raise node.add_place(error) from None
    if column in TEMPERATURE_STEPS_C and isinstance(value, float):
        is_certain, is_likely = looks_like_kelvin(np.array([value]), column)
        conversion = f"{value:g} K is {kelvin_to_celsius(value):g} °C."
        if is_certain[0]:
            raise node.error(column.allowed, f"It looks like kelvin: {conversion}")
        if is_likely[0]:
            warnings.append(f"{node.place or column}: {column.label} {value:g} °C looks like kelvin: {conversion}")
    return value


def read_additive_axis(node: SpecNode | None) -> Axis:
    """Read the additives of a space: a list of additives with amounts and unit, "not given" for none.

    Raises
    ------
    SpaceError
        If an additive has no name, or amount and unit do not fit together.
    """
    rows: list[tuple[Cell, ...]] = []
    allowed = "additives, each with name, amount and unit, or 'none'"
    for item in node.one_or_more(allowed) if node else []:
        is_none = item.is_not_given or (not isinstance(item.value, dict) and means_no_additive(str(item.value)))
        rows += [_NO_ADDITIVE] if is_none else _read_additive(item)
    if node:
        check_unique([row for row in rows if row[1] != 0], node)
    # Every amount of 0 means that there is no additive, which is one value of the axis.
    rows = [*dict.fromkeys(row if row[1] != 0 else _NO_ADDITIVE for row in rows or [_NO_ADDITIVE])]
    return Axis({column: [row[i] for row in rows] for i, column in enumerate(ADDITIVE)})


def _read_additive(item: SpecNode) -> list[tuple[Cell, ...]]:
    parts = item.fields(ADDITIVE_KEYS, ADDITIVE_KEYS[:1])
    columns = dict(zip(ADDITIVE_KEYS, ADDITIVE, strict=True))
    cells = {key: _read_cells(columns[key], part, []) for key, part in parts.items()}
    rows = list(itertools.product(*(cells.get(key, [None]) for key in ADDITIVE_KEYS)))
    for row in rows:
        has_name, has_amount, has_unit = (cell is not None for cell in row)
        problem = ADDITIVE_CONFLICTS[4 * has_name + 2 * has_amount + has_unit]
        if problem:
            raise item.add_place(problem.error(row[ADDITIVE.index(problem.column)]))
    return rows
