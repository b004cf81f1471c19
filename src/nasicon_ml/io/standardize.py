"""Standardize tables of users: names and units of columns, and numbers as people write them."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from nasicon_ml.columns import ADDITIVE_UNITS, BOUND_OF, ROOM_TEMPERATURE_C, Column, Kind, is_missing
from nasicon_ml.errors import UnreadableFileError, plain_line
from nasicon_ml.io.headers import (
    SUPERSCRIPTS,
    ParsedColumnName,
    UnitConversion,
    guess_column,
    is_unit,
    normalize_name,
    normalize_unit,
    parse_column_name,
    unit_conversion,
)
from nasicon_ml.io.raw import RawTable

_SPACES = str.maketrans(dict.fromkeys("\u00a0\u2009\u202f\u2007", " "))
_DIGITS = r"[+-]?(?:\d+(?:[.,]\d+)?|[.,]\d+)"
_POWER = r"(?:\s*[x×·*⋅]\s*10\s*\^?\s*\(?\s*(?P<power>[+-]?\d+)\s*\)?|[eE]\s*(?P<exponent>[+-]?\d+))?"  # noqa: RUF001
_NUMBER = re.compile(
    rf"(?P<about>~|≈|∼|ca\.?|approx\.?|about)?\s*(?P<bound><=?|>=?|≤|≥)?\s*(?P<open>\()?\s*(?P<digits>{_DIGITS})"  # noqa: RUF001
    rf"\s*(?P<spread>(?:±|\+/-|\+-)\s*[\d.,]+|\(\d+\))?\s*(?(open)\))\s*{_POWER}"
    rf"\s*(?P<late>(?:±|\+/-|\+-)\s*[\d.,]+(?:[eE][+-]?\d+)?)?\s*(?P<unit>[^\d\s].*)?",
    re.IGNORECASE,
)  # fmt: skip
_BARE_POWER = re.compile(r"10\s*\^\s*\(?\s*([+-]?\d+)\s*\)?")
_COMMA = re.compile(r"(?<![\d.,])(\d+),(\d+)(?![\d.,])")
#: 1,234 means 1.234 in some countries and 1234 in others.
_THOUSANDS = re.compile(r"[1-9]\d{0,2},\d{3}")
_UNCHANGED = UnitConversion()
#: How the parts of a text around the number are treated, for the notes.
_TREATMENTS = {
    "about": "read as if exact",
    "spread": "read without the uncertainty after ±",
    "bound": "read as a bound",
    "unit": "converted",
}


@dataclass(frozen=True)
class ParsedNumber:
    """A number read from a text such as "~0.5(1) mS/cm", in the column's unit."""

    value: float
    #: Keys of `_TREATMENTS`.
    treated_parts: tuple[str, ...] = ()
    has_unit: bool = False
    #: "upper" or "lower" if the number is a bound.
    bound: str = ""
    #: The unit of an amount of additive.
    amount_unit: str = ""


def parse_number(text: str, column: Column, *, decimal_commas: bool) -> ParsedNumber | None:
    """Return the number in a text that `float` cannot read; None if it is ambiguous or there is none.

    1,234 is ambiguous unless commas separate decimals in this table (`decimal_commas`).
    """
    plain = text.translate(_SPACES).strip()
    plain = re.sub(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+", r"^\g<0>", plain).translate(SUPERSCRIPTS)
    if match := _BARE_POWER.fullmatch(plain):
        return ParsedNumber(float(f"1e{match[1]}"))
    match = _NUMBER.fullmatch(plain)
    if match is None or len(plain) > 60:
        return None
    digits = match["digits"]
    if "," in digits and not decimal_commas and _THOUSANDS.fullmatch(digits.lstrip("+-")):
        return None
    value = float(f"{digits.replace(',', '.')}e{match['power'] or match['exponent'] or 0}")
    if not math.isfinite(value):
        return None
    treated_parts = [part for part in ("about", "bound") if match[part]]
    if match["spread"] or match["late"]:
        treated_parts.append("spread")
    bound = {"<": "upper", "≤": "upper", ">": "lower", "≥": "lower"}.get((match["bound"] or " ")[0], "")
    if bound and column not in BOUND_OF:
        return None
    number = ParsedNumber(value, tuple(treated_parts), bound=bound)
    return _convert_unit(number, (match["unit"] or "").strip(), column)


def _convert_unit(number: ParsedNumber, unit: str, column: Column) -> ParsedNumber | None:
    """Convert a number from the unit behind it; None if the column cannot have the unit."""
    if not unit:
        return number
    if column is Column.ADDITIVE_AMOUNT:
        amount_unit = normalize_unit(unit)
        return replace(number, amount_unit=amount_unit) if amount_unit in ADDITIVE_UNITS else None
    conversion = unit_conversion(column, unit) if re.search(r"[^\W\d_]|%", unit) else None
    if conversion is None:
        return None
    value = conversion.for_numbers([number.value]).convert(number.value)
    treated_parts = number.treated_parts if conversion == _UNCHANGED else (*number.treated_parts, "unit")
    return replace(number, value=value, treated_parts=treated_parts, has_unit=True)


#: A name at least this similar to a column's is taken for a misspelling of it.
_MISSPELLING_CUTOFF = 0.8
_MAX_LISTED_NAMES = 10
_COMMA_NOTE = "commas read as decimal points"


def standardize_table(table: RawTable, columns: Collection[Column], *, strict: bool = False) -> RawTable:
    """Return a table with the names and units of the vocabulary.

    Parameters
    ----------
    table
        A table as it is in its file.
    columns
        The columns to read. Other columns of the vocabulary are dropped unless `strict` keeps them.
    strict
        Whether to keep unknown columns, so that the next check refuses them. Misspelled and ambiguous names are
        kept in any case.

    Returns
    -------
    RawTable
        With a note for each conversion.

    Raises
    ------
    UnreadableFileError
        If two columns have the same meaning.
    """
    table = _merge_formula_and_x(_merge_unit_row(table))
    frame, notes, ignored_names = pd.DataFrame(index=table.frame.index), list[str](), list[str]()
    original_names: dict[str, str] = {}
    conversions: dict[str, UnitConversion] = {}
    for position, name in enumerate(map(str, table.frame.columns)):
        parsed = parse_column_name(name)
        new_name = _standard_name(name, parsed, columns, strict)
        if new_name is None:
            if parsed is None:
                ignored_names.append(name)
            continue
        if new_name in original_names:
            raise UnreadableFileError(
                f"{table.name}: the columns {original_names[new_name]!r:.80} and {name!r:.80}"
                f" both mean {new_name}; leave one out"
            )
        original_names[new_name], frame[new_name] = name, table.frame.iloc[:, position]
        if parsed is not None and name != new_name:
            conversions[new_name], description = _column_conversion(frame[new_name], parsed)
            if description or normalize_name(name) != new_name:
                notes.append(f"column {plain_line(name, 80)!r} read as {new_name}{description}")
            for column, value in parsed.implied_values.items():
                if column.value not in frame.columns:
                    frame[column.value] = [None if is_missing(cell) else value for cell in frame[new_name]]
    if ignored_names:
        more = (
            f" and {len(ignored_names) - _MAX_LISTED_NAMES} more" if len(ignored_names) > _MAX_LISTED_NAMES else ""
        )
        listed = ", ".join(repr(plain_line(name, 40)) for name in ignored_names[:_MAX_LISTED_NAMES])
        notes.append(f"not read, as no column of ours is like it: {listed}{more} (--strict refuses such a file)")
    return _convert_numbers(replace(table, frame=frame).with_notes(*notes), columns, conversions)


def _standard_name(
    name: str, parsed: ParsedColumnName | None, columns: Collection[Column], strict: bool
) -> str | None:
    """Return the name of a column in the standardized table; None if the column is dropped."""
    if parsed is None:
        return name if strict or guess_column(name, columns, cutoff=_MISSPELLING_CUTOFF) else None
    if name == parsed.column.value:
        return name if strict or name in columns else None
    if not parsed.is_certain:
        return name if strict or set(parsed.candidates) & set(columns) else None
    return parsed.column.value if parsed.column in columns else None


def _merge_formula_and_x(table: RawTable) -> RawTable:
    """Merge a column of systems or of formulas with a variable x, and a column of x, into one of formulas."""
    names = {normalize_name(name): name for name in table.frame.columns}
    formula_name = next(
        (n for n in table.frame.columns if (p := parse_column_name(str(n))) and p.column is Column.FORMULA), None
    )
    base_name = names.get(Column.SYSTEM.value) if formula_name is None else formula_name
    if base_name is None or (formula_name is not None and "x" not in names):
        return table
    xs = table.frame[names["x"]] if "x" in names else pd.Series("", table.frame.index)

    def merge(text: Any, x: Any) -> Any:
        needs_x = isinstance(text, str) and re.search(r"x(?![a-z=\s])|^[A-Z]+$", text.strip()) and "=" not in text
        return text if is_missing(x) or not needs_x else f"{text} x={str(x).strip().replace(',', '.')}"

    cells = [merge(text, x) for text, x in zip(table.frame[base_name], xs, strict=True)]
    frame = table.frame.drop(columns=[name for name in (names.get("x"), base_name) if name is not None])
    frame.insert(0, Column.FORMULA.value, pd.Series(cells, table.frame.index, dtype="object"))
    merged = replace(table, frame=frame)
    if "x" not in names or not cells:
        return merged
    return merged.with_notes(f"columns {base_name!r} and {names['x']!r} read together, as in {cells[0]!r:.60}")


def _merge_unit_row(table: RawTable) -> RawTable:
    """Append the units in a row below the header to the names in the header."""
    if table.frame.empty:
        return table
    # x has units such as "per formula unit" in many spellings, none of which changes its values.
    first = [
        "" if is_missing(cell) or normalize_name(name) == "x" else str(cell).strip()
        for name, cell in table.frame.iloc[0].items()
    ]
    if not any(first) or not all(is_unit(cell.strip("[]() ")) for cell in first if cell):
        return table
    names = [
        f"{name} ({cell.strip('[]() ')})" if cell else name
        for name, cell in zip(table.frame.columns, first, strict=True)
    ]
    frame = table.frame.iloc[1:].set_axis(names, axis="columns").reset_index(drop=True)
    lines = None if table.lines is None else table.lines[1:]
    return replace(table, frame=frame, lines=lines).with_notes("the row below the header read as units")


def _column_conversion(cells: pd.Series[Any], parsed: ParsedColumnName) -> tuple[UnitConversion, str]:
    """Return the conversion of a column's numbers, and its description for the note."""
    temperature = parsed.implied_values.get(Column.MEASUREMENT_TEMPERATURE_C, ROOM_TEMPERATURE_C)
    description = f", measured at {temperature:g} °C" if temperature != ROOM_TEMPERATURE_C else ""
    if Column.ADDITIVE_UNIT in parsed.implied_values:
        description += f", in {parsed.implied_values[Column.ADDITIVE_UNIT]}"
    if parsed.column.kind is not Kind.NUMBER:
        return _UNCHANGED, description
    numbers = [number for cell in cells if (number := _number_without_unit(cell, parsed.column)) is not None]
    conversion = parsed.conversion.for_numbers(numbers)
    is_density = parsed.column is Column.RELATIVE_DENSITY_PCT and conversion.factor == 1
    if is_density and numbers and all(0 < number <= 1 for number in numbers):
        conversion = replace(conversion, factor=100.0)
        description += ", taken for fractions"
    factor = conversion.factor
    if conversion.is_logarithm:
        description += ", ten to the power of it"
    if factor != 1:
        is_divisor = factor < 1 and abs(1 / factor - round(1 / factor)) < 1e-6
        description += f", divided by {1 / factor:g}" if is_divisor else f", multiplied by {factor:.6g}"
    if conversion.shift:
        description += f", minus {-conversion.shift:g}"
    return conversion, description


def _number_without_unit(cell: Any, column: Column) -> float | None:
    """Return the number in a cell that is not followed by a unit; None if there is none."""
    if isinstance(cell, bool) or is_missing(cell):
        return None
    parsed = parse_number(cell, column, decimal_commas=True) if isinstance(cell, str) else None
    if parsed is not None:
        return None if parsed.has_unit else parsed.value
    try:
        number = float(cell)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _convert_numbers(
    table: RawTable, columns: Collection[Column], conversions: Mapping[str, UnitConversion]
) -> RawTable:
    """Convert all numbers to plain numbers in the units of the vocabulary."""
    frame = table.frame.copy()
    notes: list[str] = []
    if Column.FORMULA in frame.columns and Column.FORMULA in columns:
        cells = frame[Column.FORMULA].tolist()
        converted = [re.sub(r"(?<=\d),(?=\d)", ".", cell) if isinstance(cell, str) else cell for cell in cells]
        if any(isinstance(cell, str) and cell != new for cell, new in zip(cells, converted, strict=True)):
            frame[Column.FORMULA.value] = converted
            notes.append(_COMMA_NOTE)
    number_columns = [column for column in columns if column.kind is Kind.NUMBER and column in frame.columns]
    texts_by_column = {
        column: dict.fromkeys(cell for cell in frame[column] if isinstance(cell, str))
        for column in number_columns
        if frame[column].dtype == object
    }
    unusual_texts = {
        column: [text for text in texts if not _is_plain_number(text)] for column, texts in texts_by_column.items()
    }
    decimal_commas = any(_has_decimal_comma(text) for texts in unusual_texts.values() for text in texts)
    for column in number_columns:
        conversion = conversions.get(column.value, _UNCHANGED)
        parsed = {
            text: number
            for text in unusual_texts.get(column, ())
            if (number := parse_number(text, column, decimal_commas=decimal_commas))
        }
        if not parsed and conversion == _UNCHANGED:
            continue
        values = {
            text: number.value if number.has_unit or conversion == _UNCHANGED else conversion.convert(number.value)
            for text, number in parsed.items()
        }
        if any("," in text for text in parsed) and _COMMA_NOTE not in notes:
            notes.append(_COMMA_NOTE)
        notes += _treatment_notes(frame[column], column, parsed, values)
        _fill_bounds_and_units(frame, column, parsed)
        frame[column.value] = [_convert_cell(cell, values, conversion) for cell in frame[column]]
    return replace(table, frame=frame).with_notes(*notes)


def _is_plain_number(text: str) -> bool:
    """Return whether a text is missing or a number that `float` reads."""
    if is_missing(text):
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True


def _has_decimal_comma(text: str) -> bool:
    """Return whether a text contains a comma that can only separate decimals."""
    match = _COMMA.search(text)
    return match is not None and not _THOUSANDS.fullmatch(match[0])


def _convert_cell(cell: Any, values: Mapping[str, float], conversion: UnitConversion) -> Any:
    if isinstance(cell, str) and cell in values:
        return values[cell]
    if conversion == _UNCHANGED or isinstance(cell, bool) or is_missing(cell):
        return cell
    try:
        return conversion.convert(float(cell))
    except (TypeError, ValueError, OverflowError):
        return cell  # the check of the column reports it


def _treatment_notes(
    cells: pd.Series[Any], column: Column, parsed: Mapping[str, ParsedNumber], values: Mapping[str, float]
) -> list[str]:
    """Return a note for each kind of treatment of the column's numbers."""
    texts: dict[str, list[str]] = {}
    for cell in cells:
        if isinstance(cell, str) and cell in parsed:
            for part in parsed[cell].treated_parts:
                texts.setdefault(part, []).append(cell)
    unit = f" {column.unit}" if column.unit else ""
    return [
        f"{column}: {same[0]!r:.60}{f' and {len(same) - 1} more' if len(same) > 1 else ''} {_TREATMENTS[part]}"
        f" ({values[same[0]]:g}{unit})"
        for part, same in sorted(texts.items())
    ]


def _fill_bounds_and_units(frame: pd.DataFrame, column: Column, parsed: Mapping[str, ParsedNumber]) -> None:
    """Write the bounds and units in a column's numbers into the empty cells of their own columns."""
    for target, values in (
        (BOUND_OF.get(column), {text: number.bound for text, number in parsed.items()}),
        (Column.ADDITIVE_UNIT, {text: number.amount_unit for text, number in parsed.items()}),
    ):
        if target is None or not any(values.values()):
            continue
        given = frame[target].tolist() if target in frame.columns else [None] * len(frame)
        new = [values.get(cell) if isinstance(cell, str) else None for cell in frame[column]]
        frame[target.value] = [
            value if value and is_missing(cell) else cell for cell, value in zip(given, new, strict=True)
        ]
