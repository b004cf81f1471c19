"""Axes of a search space: one field of a recipe (or the three of an additive), and the values it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.checks import STEPS, looks_like_kelvin
from nasicon_ml.columns import MODEL_INPUT, Column, Kind, Role
from nasicon_ml.errors import FieldError
from nasicon_ml.recipe.rules import ADDITIVE_PROBLEMS, unknown_field
from nasicon_ml.screening.reading import Stated, read_values, refuse_repeats

Cell = float | str | None
Mask = NDArray[np.bool_]

#: Fields that a space states one by one.
FIELDS = tuple(column for column in MODEL_INPUT if column.role in (Role.PROCESSING, Role.CONDITION))
ADDITIVE_COLUMNS = (Column.ADDITIVE, Column.ADDITIVE_AMOUNT, Column.ADDITIVE_UNIT)
#: Keys of one additive, in the order of their columns.
ADDITIVE_KEYS = ("name", "amount", "unit")
_NO_ADDITIVE = (None, None, None)


@dataclass(frozen=True)
class Axis:
    """Some columns of a recipe, and the values they take together.

    Attributes
    ----------
    cells
        Column -> its values, all lists of the same length; None where not given.
    """

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

    def series(self, at: NDArray[np.intp]) -> dict[Column, Any]:
        """Return the columns for positions on the axis: float64 with NaN, or categorical."""
        return {column: _taken(prepared, at) for column, prepared in self._prepared.items()}

    @cached_property
    def _prepared(self) -> dict[Column, Any]:
        return {column: _prepare(column, cells) for column, cells in self.cells.items()}


def _prepare(column: Column, cells: Sequence[Cell]) -> Any:
    if column.kind is Kind.NUMBER:
        return np.array([np.nan if cell is None else cell for cell in cells], dtype=np.float64)
    names = list(column.choices) or sorted({str(cell) for cell in cells if cell is not None})
    return pd.Categorical(pd.Series(list(cells), dtype="object"), categories=names)


def _taken(prepared: Any, at: NDArray[np.intp]) -> Any:
    if isinstance(prepared, np.ndarray):
        return prepared[at]
    return pd.Categorical.from_codes(prepared.codes[at], dtype=prepared.dtype, validate=False)


def absent(column: Column) -> Axis:
    """Return the axis of a field that is never given."""
    return Axis({column: [None]})


def field_axes(stated: Stated | None, warnings: list[str]) -> list[Axis]:
    """Read the processing fields of a space.

    Parameters
    ----------
    stated
        Fields with their values.
    warnings
        To which is added what is doubtful: temperatures that look like kelvin.

    Returns
    -------
    list of Axis
        One for each of `FIELDS`, those that are not stated with one value, "not given".

    Raises
    ------
    SpaceError
        If a field is none of a recipe's, or has a value that no recipe may have.
    """
    given = stated.any_fields("fields of a recipe with their values") if stated else {}
    for name, value in given.items():
        if name not in {column.value for column in FIELDS}:
            raise _unknown(name, value)
    return [
        Axis({column: _values(column, given[column.value], warnings)}) if column.value in given else absent(column)
        for column in FIELDS
    ]


def _unknown(name: str, value: Stated) -> FieldError:
    if name in ADDITIVE_COLUMNS:
        hint = "Additives stand in a list of their own, additives, so that amount and unit go with the name."
        return value.error(f"fields {', '.join(FIELDS)}", hint)
    if name == Column.FORMULA:
        return value.error(
            f"fields {', '.join(FIELDS)}", "Compositions stand in a list of their own, compositions."
        )
    return value.refused(unknown_field(name, value.value))


def _values(column: Column, stated: Stated, warnings: list[str]) -> list[Cell]:
    """Read the values of one field: one, a list, ranges; "not given" among them."""

    def read(one: Stated) -> Any:
        return read_cell(column, one, warnings)

    for item in stated.one_or_more(column.allowed):
        if isinstance(item.value, dict) and column.kind is not Kind.NUMBER:
            raise item.error(column.allowed, "Only numbers have ranges.")
    found = [*read_values(stated, read, column.allowed)]
    refuse_repeats(found, stated)
    return found


def read_cell(column: Column, stated: Stated, warnings: list[str]) -> Cell:
    """Read one value of a field as a recipe reads it; None for "not given".

    Raises
    ------
    SpaceError
        If no recipe may have it, or only kelvin can be meant.
    """
    if stated.not_given:
        return None
    try:
        value = column.parse(stated.value)
    except FieldError as error:
        raise stated.refused(error) from None
    if column in STEPS and isinstance(value, float):
        sure, likely = looks_like_kelvin(np.array([value]), column)
        message = f"{value:g} K is {value - (273.15 if value % 1 else 273):g} °C."
        if sure[0]:
            raise stated.error(column.allowed, f"It looks like kelvin: {message}")
        if likely[0]:
            warnings.append(f"{stated.place or column}: {column.label} {value:g} °C looks like kelvin: {message}")
    return None if value is None else float(value) if column.kind is Kind.NUMBER else str(value)


def additive_axis(stated: Stated | None) -> Axis:
    """Read the additives of a space: a list of additives with amounts and unit, "not given" for none.

    Raises
    ------
    SpaceError
        If an additive has no name, or amount and unit do not go together.
    """
    rows: list[tuple[Cell, ...]] = []
    allowed = "additives, each with name, amount and unit, or 'none'"
    for item in stated.one_or_more(allowed) if stated else []:
        rows += [_NO_ADDITIVE] if item.not_given else _one_additive(item)
    rows = rows or [_NO_ADDITIVE]
    if stated:
        refuse_repeats(rows, stated)
    return Axis({column: [row[at] for row in rows] for at, column in enumerate(ADDITIVE_COLUMNS)})


def _one_additive(item: Stated) -> list[tuple[Cell, ...]]:
    parts = item.fields(ADDITIVE_KEYS, ADDITIVE_KEYS[:1])
    columns = dict(zip(ADDITIVE_KEYS, ADDITIVE_COLUMNS, strict=True))
    read = {key: _values(columns[key], part, []) for key, part in parts.items()}
    rows: list[tuple[Cell, ...]] = []
    for name in read[ADDITIVE_KEYS[0]]:
        for amount in read.get("amount", [None]):
            for unit in read.get("unit", [None]):
                row = (name, amount, unit)
                given = [cell is not None for cell in row]
                problem = ADDITIVE_PROBLEMS[4 * given[0] + 2 * given[1] + given[2]]
                if problem:
                    raise item.refused(problem.error(row[ADDITIVE_COLUMNS.index(problem.column)]))
                rows.append(row)
    return rows
