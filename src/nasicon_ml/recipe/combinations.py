"""Several recipes out of one: fields that take several values, each value with each."""

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
from nasicon_ml.recipe.rules import unknown_field

if TYPE_CHECKING:
    from nasicon_ml.composition.sites import Composition

#: The substitution of a formula with x, which is no column of a recipe.
X = "x"
#: More recipes than this are asked of a search space.
MOST_RECIPES = 10_000
_DIGITS = 12
#: Rounding must not lose the last value of a range.
_STEPS = 1e-9
#: A line names so many values of a field, and else the first two and the last.
_MOST_NAMED = 6
_COLUMNS: Mapping[str, Column] = {column.value: column for column in RECIPE}


@dataclass(frozen=True)
class Varied:
    """What is not the same in all of n recipes.

    Attributes
    ----------
    name
        Name of a column, ``x``, or a place holder of the formula (``M``).
    values
        Its value in each recipe, length n.
    """

    name: str
    values: tuple[Any, ...]

    @property
    def column(self) -> Column | None:
        """The column, if it is one."""
        return _COLUMNS.get(self.name)

    @property
    def unit(self) -> str:
        """Of its values; empty where they have none."""
        return self.column.unit if self.column else ""

    @property
    def label(self) -> str:
        """What it is called."""
        return self.column.label if self.column else self.name

    @property
    def is_number(self) -> bool:
        """Whether its values lie on an axis."""
        return all(isinstance(value, float) for value in self.values)

    @property
    def different(self) -> tuple[Any, ...]:
        """Every value once, in the order stated."""
        return tuple(dict.fromkeys(self.values))

    def written(self, row: int) -> str:
        """Return the value in one recipe, without its unit."""
        return self.text(self.values[row])

    def text(self, value: Any) -> str:
        """Write one of its values, without the unit."""
        if value is None:
            return "none" if self.column is Column.ADDITIVE else "not given"
        return f"{value:g}" if isinstance(value, float) else str(value).replace("_", " ")

    def __str__(self) -> str:
        texts = [self.text(value) for value in self.different]
        if len(texts) > _MOST_NAMED:
            texts = [texts[0], texts[1], "...", texts[-1]]
        return f"{self.label} {', '.join(texts)} {self.unit}".rstrip()


@dataclass(frozen=True)
class Combinations:
    """Recipes that are every combination of some values.

    Attributes
    ----------
    recipes
        The n recipes; what stands first varies slowest.
    varied
        What takes several values.
    """

    recipes: tuple[Recipe, ...]
    varied: tuple[Varied, ...]


def combinations(formula: Any, fields: Mapping[str, Any]) -> Combinations:
    """Return every combination of the values of fields.

    Parameters
    ----------
    formula
        A formula or shorthand, or several.
    fields
        By column name, ``x`` or place holder (``M``, ``Me``, ``Ln``): a value as `Recipe` takes it, or several in
        a list, tuple, range or array. A sequence of one value is that value.

    Raises
    ------
    FieldError
        If a field is unknown, a value wrong or given twice, or there are more than `MOST_RECIPES` combinations.
    FormulaError
        If a formula cannot be read, or leaves no room for a value.
    """
    values = {Column.FORMULA.value: _several(formula)} | {name: _several(value) for name, value in fields.items()}
    for name, each in values.items():
        if name in _COLUMNS:
            values[name] = [_COLUMNS[name].parse(value) if isinstance(value, str) else value for value in each]
        elif name not in {X, *PLACEHOLDERS}:
            raise unknown_field(name, fields[name])
        if not each:
            raise FieldError(name, fields.get(name), "at least one value")
        values[name] = [float(value) if _is_number(value) else value for value in values[name]]
        if len(set(values[name])) < len(values[name]):
            twice = next(value for at, value in enumerate(values[name]) if value in values[name][:at])
            raise FieldError(name, twice, "every value once")
    count = math.prod(map(len, values.values()))
    if count > MOST_RECIPES:
        hint = "'nasicon-ml screen' looks through more."
        raise FieldError("recipes", count, f"at most {MOST_RECIPES} combinations of values", hint)
    rows = [dict(zip(values, row, strict=True)) for row in itertools.product(*values.values())]
    varied = [name for name, each in values.items() if len(each) > 1]
    return Combinations(
        tuple(_recipe(row) for row in rows),
        tuple(Varied(name, tuple(row[name] for row in rows)) for name in varied),
    )


def _several(value: Any) -> list[Any]:
    """Return the values of what may be one value or several."""
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping)):
        return [item.item() if hasattr(item, "item") else item for item in value]
    return [value]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _recipe(row: Mapping[str, Any]) -> Recipe:
    fields = {name: value for name, value in row.items() if name not in {Column.FORMULA, X, *PLACEHOLDERS}}
    if fields.get(Column.ADDITIVE, "") is None:  # one of several is none: then there is no amount of it, either
        fields |= {Column.ADDITIVE_AMOUNT.value: None, Column.ADDITIVE_UNIT.value: None}
    substitute = {name: row[name] for name in PLACEHOLDERS if name in row}
    formula: str | Composition = row[Column.FORMULA]
    if row.get(X) is not None or substitute:
        formula = parse(str(formula), x=row.get(X), substitute=substitute)
    return Recipe.from_dict({**fields, Column.FORMULA.value: formula})


#: ``2,5`` may be meant as two and a half, and ``1123,15 K`` as one number; ``2, 5`` and ``2,5,10`` are not.
_DECIMAL_COMMA = re.compile(r"\d+,\d?[1-9]\s*[^\d,:]*")


def read_values(text: str, read: Callable[[str], Any]) -> list[Any]:
    """Read one value or several: ``850``; ``800,850,900``; ``750:1050:25``; ``1,2:10:2``.

    Parameters
    ----------
    text
        What a person wrote.
    read
        Reads one value, or raises FieldError.

    Raises
    ------
    FieldError
        If a value cannot be read, a range does not rise in steps, or a decimal comma may be meant.
    """
    parts = [part.strip() for part in text.split(",")]
    if (len(parts) == 1 and ":" not in text) or _DECIMAL_COMMA.fullmatch(text.strip()):
        try:
            return [read(text)]
        except FieldError as error:
            raise _with_hint(error, text, parts) from None
    return [value for part in parts for value in (_range(part, read) if ":" in part else [read(part)])]


def _with_hint(error: FieldError, text: str, parts: Sequence[str]) -> FieldError:
    """Say how several values are written, where they may be meant."""
    hint = f"For two values write '{', '.join(parts)}'." if len(parts) == 2 else ""
    if match := re.fullmatch(r"\s*(\d+)\s*[-\u2013]\s*(\d+)\s*", text):
        hint = f"For a range write {match[1]}:{match[2]}:10, the last number being the step."
    return FieldError(error.field, error.value, error.allowed, f"{error.hint} {hint}".strip())


def _range(text: str, read: Callable[[str], Any]) -> list[float]:
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
    count = (last - first) / step + _STEPS
    if count >= MOST_RECIPES:
        raise FieldError("", text, f"a range of at most {MOST_RECIPES} values")
    return [round(first + at * step, _DIGITS) for at in range(int(count) + 1)]
