"""Build every combination of several values of the fields of a recipe."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nasicon_ml.columns import RECIPE, Column, to_number
from nasicon_ml.composition.reading import PLACEHOLDERS, parse
from nasicon_ml.errors import FieldError
from nasicon_ml.recipe.recipe import Recipe
from nasicon_ml.recipe.rules import unknown_field_error

if TYPE_CHECKING:
    from nasicon_ml.composition.sites import Composition

#: Name of the substitution x of a formula, which is not a column of a recipe.
X_NAME = "x"
#: Maximum number of combinations; larger grids are screened as a search space.
MOST_RECIPES = 10_000
_DECIMALS = 12
#: Added to the number of steps, so that rounding does not drop the last value of a range.
_COUNT_ROUNDING = 1e-9
#: Beyond this number of values, only the first two and the last are listed.
_MAX_LISTED_VALUES = 6
_COLUMNS: Mapping[str, Column] = {column.value: column for column in RECIPE}


@dataclass(frozen=True)
class VariedField:
    """Field with several values in a set of n recipes.

    Attributes
    ----------
    name
        Name of a column, ``x``, or a place holder of the formula (``M``).
    values
        Value in each recipe, length n.
    """

    name: str
    values: tuple[Any, ...]

    @property
    def column(self) -> Column | None:
        """Column of the field; None for ``x`` and place holders."""
        return _COLUMNS.get(self.name)

    @property
    def unit(self) -> str:
        """Unit of the values; empty if they have none."""
        return self.column.unit if self.column else ""

    @property
    def label(self) -> str:
        """Label for output."""
        return self.column.label if self.column else self.name

    @property
    def is_number(self) -> bool:
        """Whether all values are numbers."""
        return all(isinstance(value, float) for value in self.values)

    @property
    def unique_values(self) -> tuple[Any, ...]:
        """Unique values in order of appearance."""
        return tuple(dict.fromkeys(self.values))

    def written(self, row: int) -> str:
        """Return the value in one recipe as text, without its unit."""
        return self.text(self.values[row])

    def text(self, value: Any) -> str:
        """Return one of the values as text, without the unit."""
        if value is None:
            return "none" if self.column is Column.ADDITIVE else "not given"
        return f"{value:g}" if isinstance(value, float) else str(value).replace("_", " ")

    def __str__(self) -> str:
        texts = [self.text(value) for value in self.unique_values]
        if len(texts) > _MAX_LISTED_VALUES:
            texts = [texts[0], texts[1], "...", texts[-1]]
        return f"{self.label} {', '.join(texts)} {self.unit}".rstrip()


@dataclass(frozen=True)
class Combinations:
    """Recipes with every combination of the values of several fields.

    Attributes
    ----------
    recipes
        The n recipes; the first field varies slowest.
    varied
        Fields with several values.
    """

    recipes: tuple[Recipe, ...]
    varied: tuple[VariedField, ...]


def combinations(formula: Any, fields: Mapping[str, Any]) -> Combinations:
    """Return every combination of the values of fields.

    Parameters
    ----------
    formula
        A formula or shorthand, or several.
    fields
        By column name, ``x`` or place holder (``M``, ``Me``, ``Ln``): a value that `Recipe` accepts, or several in
        a list, tuple, range or array.

    Raises
    ------
    FieldError
        If a field is unknown, a value wrong or given twice, or there are more than `MOST_RECIPES` combinations.
    FormulaError
        If a formula cannot be read or does not allow a value.
    """
    values = {name: _to_list(value) for name, value in {Column.FORMULA.value: formula, **fields}.items()}
    for name, given in values.items():
        if name in _COLUMNS:
            values[name] = [_COLUMNS[name].parse(value) if isinstance(value, str) else value for value in given]
        elif name not in {X_NAME, *PLACEHOLDERS}:
            raise unknown_field_error(name, fields[name])
        if not given:
            raise FieldError(name, fields.get(name), "at least one value")
        values[name] = [float(value) if _is_number(value) else value for value in values[name]]
        if len(set(values[name])) < len(values[name]):
            repeated = next(value for i, value in enumerate(values[name]) if value in values[name][:i])
            raise FieldError(name, repeated, "every value once")
    count = math.prod(map(len, values.values()))
    if count > MOST_RECIPES:
        hint = "'nasicon-ml screen' looks through more."
        raise FieldError("recipes", count, f"at most {MOST_RECIPES} combinations of values", hint)
    rows = [dict(zip(values, row, strict=True)) for row in itertools.product(*values.values())]
    varied = (VariedField(name, tuple(row[name] for row in rows)) for name in values if len(values[name]) > 1)
    return Combinations(tuple(map(_build_recipe, rows)), tuple(varied))


def _to_list(value: Any) -> list[Any]:
    """Return one value or several values as a list."""
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping)):
        return [item.item() if hasattr(item, "item") else item for item in value]
    return [value]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _build_recipe(row: Mapping[str, Any]) -> Recipe:
    fields = {name: value for name, value in row.items() if name not in {Column.FORMULA, X_NAME, *PLACEHOLDERS}}
    if fields.get(Column.ADDITIVE, "") is None:  # no additive: no amount of it either
        fields |= {Column.ADDITIVE_AMOUNT.value: None, Column.ADDITIVE_UNIT.value: None}
    substitute = {name: row[name] for name in PLACEHOLDERS if name in row}
    formula: str | Composition = row[Column.FORMULA]
    if row.get(X_NAME) is not None or substitute:
        formula = parse(str(formula), x=row.get(X_NAME), substitute=substitute)
    return Recipe.from_dict({**fields, Column.FORMULA.value: formula})


#: Matches ``2,5`` and ``1123,15 K``, which may have a decimal comma, but not ``2, 5`` and ``2,5,10``.
_DECIMAL_COMMA = re.compile(r"\d+,\d?[1-9]\s*[^\d,:]*")


def read_values(text: str, read: Callable[[str], Any]) -> list[Any]:
    """Read one value or several: ``850``; ``800,850,900``; ``750:1050:25``; ``1,2:10:2``.

    Parameters
    ----------
    text
        Input of the user.
    read
        Function that reads one value, or raises FieldError.

    Raises
    ------
    FieldError
        If a value cannot be read, a range does not rise, or a decimal comma may be meant.
    """
    parts = [part.strip() for part in text.split(",")]
    if (len(parts) == 1 and ":" not in text) or _DECIMAL_COMMA.fullmatch(text.strip()):
        try:
            return [read(text)]
        except FieldError as error:
            raise _with_hint(error, text, parts) from None
    return [value for part in parts for value in (_parse_range(part, read) if ":" in part else [read(part)])]


def _with_hint(error: FieldError, text: str, parts: Sequence[str]) -> FieldError:
    """Add a hint about several values or a range to an error, if that may be meant."""
    hint = f"For two values write '{', '.join(parts)}'." if len(parts) == 2 else ""
    if match := re.fullmatch(r"\s*(\d+)\s*[-\u2013]\s*(\d+)\s*", text):
        hint = f"For a range write {match[1]}:{match[2]}:10, the last number being the step."
    return FieldError(error.field, error.value, error.allowed, f"{error.hint} {hint}".strip())


def _parse_range(text: str, read: Callable[[str], Any]) -> list[float]:
    """Read ``first:last:step``."""
    parts = [part.strip() for part in text.split(":")]
    allowed = "a range first:last:step that rises, such as 750:1050:25"
    if len(parts) != 3:
        raise FieldError("", text, allowed, "Say the step." if len(parts) == 2 else "")
    first, last = read(parts[0]), read(parts[1])
    try:
        step = to_number(parts[2])
    except ValueError:
        raise FieldError("", text, allowed, f"The step is {parts[2]!r} here.") from None
    if not isinstance(first, float) or not isinstance(last, float) or first > last or not 0 < step < math.inf:
        raise FieldError("", text, allowed)
    count = (last - first) / step + _COUNT_ROUNDING
    if count >= MOST_RECIPES:
        raise FieldError("", text, f"a range of at most {MOST_RECIPES} values")
    return [round(first + i * step, _DECIMALS) for i in range(int(count) + 1)]
