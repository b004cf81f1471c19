"""Errors about the fields of a recipe: conflicts between fields, unknown fields and unknown columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nasicon_ml.columns import OTHER_UNITS, RECIPE, Column
from nasicon_ml.composition.formula import ALLOWED_FORMULAS
from nasicon_ml.errors import LONGEST_NAME, FieldError
from nasicon_ml.io.headers import guess_column, normalize_name, parse_column_name

#: Hint for a table that has the system and x in two columns instead of a formula.
SYSTEM_AND_X_HINT = 'Write the system and its x into the formula column, as in "LATP x=0.3".'


def column_hint(name: object, columns: Iterable[Column] = Column) -> str:
    """Return a sentence that suggests the column meant by a name; empty if no column is similar."""
    if len(str(name)) > LONGEST_NAME:
        return ""
    if normalize_name(name) in {"x", Column.SYSTEM.value}:
        return SYSTEM_AND_X_HINT
    meaning = parse_column_name(str(name))
    if meaning is not None and len(meaning.candidates) > 1:
        return f"Which one is it: {', '.join(meaning.candidates)}? Use that name."
    if meaning is not None and meaning.unknown_unit:
        column = meaning.column
        units = [column.unit, *sorted(other for unit, other in OTHER_UNITS if unit == column.unit)]
        return (
            f"It is {column.value}, but its unit {meaning.unknown_unit!r:.40} is not known;"
            f" allowed: {', '.join(units)}."
        )
    suggestion = guess_column(name, columns)
    return f"Did you mean {suggestion!r}?" if suggestion else ""


#: An error about unknown columns describes at most this many.
_MAX_LISTED = 10


@dataclass(frozen=True)
class FieldConflict:
    """Invalid combination of fields."""

    column: Column
    rule: str
    allowed: str
    hint: str

    def error(self, value: object) -> FieldError:
        """Return the error for a value of the column."""
        return FieldError(self.column.value, value, self.allowed, self.hint)


_MISSING_ADDITIVE = FieldConflict(
    Column.ADDITIVE_AMOUNT,
    "amount_without_additive",
    f"an amount of what {Column.ADDITIVE} names",
    f"Say in {Column.ADDITIVE} what was added, or leave the amount out.",
)
_MISSING_AMOUNT = FieldConflict(
    Column.ADDITIVE_UNIT,
    "unit_without_amount",
    f"a unit beside an {Column.ADDITIVE_AMOUNT}",
    f"Say how much in {Column.ADDITIVE_AMOUNT}, or leave the unit out.",
)
_MISSING_UNIT = FieldConflict(
    Column.ADDITIVE_AMOUNT,
    "amount_without_unit",
    f"an amount with its {Column.ADDITIVE_UNIT}: {Column.ADDITIVE_UNIT.allowed}",
    f"Say the unit in {Column.ADDITIVE_UNIT}.",
)

#: Conflict at the index ``4 * (additive given) + 2 * (amount given) + (unit given)``; None if there is none.
ADDITIVE_CONFLICTS: tuple[FieldConflict | None, ...] = (
    None, _MISSING_AMOUNT, _MISSING_ADDITIVE, _MISSING_ADDITIVE, None, _MISSING_AMOUNT, _MISSING_UNIT, None,
)  # fmt: skip

DUPLICATE_SECOND_PHASE = FieldConflict(
    Column.FORMULA,
    "second_phase_twice",
    f"a second phase in the formula or in {Column.ADDITIVE}, not in both",
    "Leave one of them out.",
)
MISSING_FORMULA = FieldConflict(
    Column.FORMULA, "missing_formula", ALLOWED_FORMULAS, "Only the formula is obligatory."
)


def unknown_field_error(name: object, value: object) -> FieldError:
    """Return the error for a field that is not part of a recipe."""
    allowed = f"the fields {', '.join(RECIPE)}"
    if not isinstance(name, str):
        return FieldError("field", name, allowed)
    if name in set(Column):
        hint = "It is a column of measured pellets, and no part of a recipe."
    else:
        hint = column_hint(name, RECIPE)
    return FieldError(name, value, allowed, hint)


def unknown_columns_error(names: Sequence[object]) -> FieldError:
    """Return one error for all unknown columns of a table, with a suggestion for each."""
    allowed = f"the columns of the vocabulary; of a recipe: {', '.join(RECIPE)}"
    if len(names) == 1:
        return FieldError("column", names[0], allowed, column_hint(names[0]))
    hints = [f"{name!r:.80}: {column_hint(name) or 'No column is like it.'}" for name in names[:_MAX_LISTED]]
    if len(names) > _MAX_LISTED:
        hints.append(f"And {len(names) - _MAX_LISTED} more.")
    return FieldError("column", list(names), allowed, " ".join(hints))


def missing_formula_error(names: Sequence[object]) -> FieldError:
    """Return the error for a table without a column of formulas."""
    hint = SYSTEM_AND_X_HINT if Column.SYSTEM in names else ""
    allowed = f"a table with {Column.FORMULA}, and what else is known of {', '.join(RECIPE)}"
    return FieldError("column", list(names), allowed, hint)
