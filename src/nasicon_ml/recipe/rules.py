"""Rules between the fields of a recipe, and the names of columns as people write them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nasicon_ml.columns import OTHER_UNITS, RECIPE, Column
from nasicon_ml.composition.formula import ALLOWED_FORMULAS
from nasicon_ml.errors import LONGEST_NAME, FieldError
from nasicon_ml.io.headers import guess_column, normalize_name, parse_column_name

#: A name and its value of x stand in two columns; a formula says both.
NAME_AND_X = 'Write the system and its x into the formula column, as in "LATP x=0.3".'


def column_hint(name: object, columns: Iterable[Column] = Column) -> str:
    """Return which column a name stands for, or where x belongs, as a sentence; empty if it is like none."""
    if len(str(name)) > LONGEST_NAME:
        return ""
    if normalize_name(name) in {"x", Column.SYSTEM.value}:
        return NAME_AND_X
    said = parse_column_name(str(name))
    if said is not None and len(said.candidates) > 1:
        return f"Which one is it: {', '.join(said.candidates)}? Call it so."
    if said is not None and said.unknown_unit:
        known = ", ".join(
            [said.column.unit, *sorted(unit for ours, unit in OTHER_UNITS if ours == said.column.unit)]
        )
        return f"It is {said.column.value}, but its unit {said.unknown_unit!r:.40} is not known; allowed: {known}."
    meant = guess_column(name, columns)
    return f"Did you mean {meant!r}?" if meant else ""


#: Unknown columns that are named one by one.
_LISTED = 10


@dataclass(frozen=True)
class Problem:
    """What is wrong with one combination of fields."""

    column: Column
    rule: str
    allowed: str
    hint: str

    def error(self, value: object) -> FieldError:
        """Return the error for the value that stands in the column."""
        return FieldError(self.column.value, value, self.allowed, self.hint)


_NO_ADDITIVE = Problem(
    Column.ADDITIVE_AMOUNT,
    "amount_without_additive",
    f"an amount of what {Column.ADDITIVE} names",
    f"Say in {Column.ADDITIVE} what was added, or leave the amount out.",
)
_UNIT_ALONE = Problem(
    Column.ADDITIVE_UNIT,
    "unit_without_amount",
    f"a unit beside an {Column.ADDITIVE_AMOUNT}",
    f"Say how much in {Column.ADDITIVE_AMOUNT}, or leave the unit out.",
)
_NO_UNIT = Problem(
    Column.ADDITIVE_AMOUNT,
    "amount_without_unit",
    f"an amount with its {Column.ADDITIVE_UNIT}: {Column.ADDITIVE_UNIT.allowed}",
    f"Say the unit in {Column.ADDITIVE_UNIT}.",
)

#: By ``4 * (additive given) + 2 * (amount given) + (unit given)``; None where that is all right.
ADDITIVE_PROBLEMS: tuple[Problem | None, ...] = (
    None, _UNIT_ALONE, _NO_ADDITIVE, _NO_ADDITIVE, None, _UNIT_ALONE, _NO_UNIT, None,
)  # fmt: skip

#: The formula brings a second phase, and the additive fields bring another.
SECOND_PHASE_TWICE = Problem(
    Column.FORMULA,
    "second_phase_twice",
    f"a second phase in the formula or in {Column.ADDITIVE}, not in both",
    "Leave one of them out.",
)
NO_FORMULA = Problem(Column.FORMULA, "missing_formula", ALLOWED_FORMULAS, "Only the formula is obligatory.")


def unknown_field(name: object, value: object) -> FieldError:
    """Return the error for a field that no recipe has."""
    allowed = f"the fields {', '.join(RECIPE)}"
    if not isinstance(name, str):
        return FieldError("field", name, allowed)
    if name in set(Column):
        hint = "It is a column of measured pellets, and no part of a recipe."
    else:
        hint = column_hint(name, RECIPE)
    return FieldError(name, value, allowed, hint)


def unknown_columns(names: Sequence[object]) -> FieldError:
    """Return the error for the columns of a table that no table has: all at once, each with what it may mean."""
    allowed = f"the columns of the vocabulary; of a recipe: {', '.join(RECIPE)}"
    if len(names) == 1:
        return FieldError("column", names[0], allowed, column_hint(names[0]))
    hints = [f"{name!r:.80}: {column_hint(name) or 'No column is like it.'}" for name in names[:_LISTED]]
    if len(names) > _LISTED:
        hints.append(f"And {len(names) - _LISTED} more.")
    return FieldError("column", list(names), allowed, " ".join(hints))


def no_formulas(names: Sequence[object]) -> FieldError:
    """Return the error for a table without formulas."""
    hint = NAME_AND_X if Column.SYSTEM in names else ""
    allowed = f"a table with {Column.FORMULA}, and what else is known of {', '.join(RECIPE)}"
    return FieldError("column", list(names), allowed, hint)
