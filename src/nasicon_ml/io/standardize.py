"""Tables as people keep them: titles above the header, units in headers, values as a person writes them."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from nasicon_ml.columns import ADDITIVE_UNITS, ROOM_TEMPERATURE_C, ZERO_CELSIUS_K, Column, Kind, is_missing
from nasicon_ml.errors import UnreadableFileError, plain_line
from nasicon_ml.io.headers import (
    POWERS,
    Meaning,
    column_meant,
    conversion,
    is_unit,
    meaning_of,
    plain_name,
    plain_unit,
)
from nasicon_ml.io.raw import RawTable

#: The columns whose numbers may be bounds, and those that say so.
BOUND_OF = {
    Column.CONDUCTIVITY_TOTAL_S_CM: Column.CONDUCTIVITY_BOUND,
    Column.RELATIVE_DENSITY_PCT: Column.DENSITY_BOUND,
}
_DIGITS = r"[+-]?(?:\d+(?:[.,]\d+)?|[.,]\d+)"
_POWER = r"(?:\s*[x×·*⋅]\s*10\s*\^?\s*\(?\s*([+-]?\d+)\s*\)?|[eE]\s*([+-]?\d+))?"  # noqa: RUF001
_NUMBER = re.compile(
    rf"(?P<about>~|≈|∼|ca\.?|approx\.?|about)?\s*(?P<bound><=?|>=?|≤|≥)?\s*(?P<open>\()?\s*(?P<digits>{_DIGITS})"  # noqa: RUF001
    rf"\s*(?P<spread>(?:±|\+/-|\+-)\s*[\d.,]+|\(\d+\))?\s*(?(open)\))\s*(?P<power>{_POWER})"
    rf"\s*(?P<late>(?:±|\+/-|\+-)\s*[\d.,]+(?:[eE][+-]?\d+)?)?\s*(?P<unit>[^\d\s].*)?",
    re.IGNORECASE,
)  # fmt: skip
_EXPONENT = r"[+-]?\d+(?=\s*\)?\s*$)"
_BARE_POWER = re.compile(r"10\s*\^\s*\(?\s*([+-]?\d+)\s*\)?")
#: 1,234 is 1.234 here and 1234 there.
_COMMA = re.compile(r"(?<![\d.,])(\d+),(\d+)(?![\d.,])")
_THOUSANDS = re.compile(r"[1-9]\d{0,2},\d{3}")


@dataclass(frozen=True)
class Read:
    """A number in the column's unit, and what was made of it."""

    #: The number.
    value: float
    #: What there is to say about it: "about", "spread", "bound", "unit" (converted), "own unit" (the column's).
    causes: tuple[str, ...] = ()
    #: "upper" or "lower" where the number is one.
    bound: str = ""
    #: The unit of an amount of additive.
    amount_unit: str = ""


def has_decimal_comma(text: str) -> bool:
    """Whether a text holds a comma that separates decimals and cannot separate thousands."""
    found = _COMMA.search(text)
    return found is not None and not _THOUSANDS.fullmatch(found[0])


def read_number(text: str, column: Column, *, commas: bool) -> Read | None:
    """Read a number that is not written plainly.

    None if it is a plain number, or nothing that can be read without doubt: 1,234 is not, unless `commas` separate
    decimals in this table.
    """
    plain = text.translate(_SPACES).strip()
    plain = re.sub(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+", lambda found: f"^{found[0]}", plain).translate(POWERS)
    if bare := _BARE_POWER.fullmatch(plain):
        return Read(float(f"1e{bare[1]}"))
    match = _NUMBER.fullmatch(plain)
    if match is None or len(plain) > 60:
        return None
    digits = match["digits"]
    if "," in digits and not commas and _THOUSANDS.fullmatch(digits.lstrip("+-")):
        return None
    value = float(f"{digits.replace(',', '.')}e{(re.findall(_EXPONENT, match['power']) or [0])[-1]}")
    if not math.isfinite(value):
        return None
    causes = [name for name in ("about", "bound") if match[name]]
    causes += ["spread"] if match["spread"] or match["late"] else []
    bound = {"<": "upper", "≤": "upper", ">": "lower", "≥": "lower"}.get((match["bound"] or " ")[0], "")
    if bound and column not in BOUND_OF:
        return None
    return _with_unit(Read(value, tuple(causes), bound), (match["unit"] or "").strip(), column)


def _with_unit(read: Read, unit: str, column: Column) -> Read | None:
    """Return a number that has a unit of its own in the column's; None if it is none of the column's."""
    if not unit:
        return read
    if column is Column.ADDITIVE_AMOUNT:
        return replace(read, amount_unit=plain_unit(unit)) if plain_unit(unit) in ADDITIVE_UNITS else None
    step = conversion(column, unit) if re.search(r"[^\W\d_]|%", unit) else None
    if step is None:
        return None
    factor, shift = step
    if shift == -ZERO_CELSIUS_K and read.value == int(read.value):
        shift = -273.0  # people take 1123 K for 850 °C
    cause = "own unit" if step == (1.0, 0.0) else "unit"
    return replace(read, value=rounded(read.value * factor + shift), causes=(*read.causes, cause))


def rounded(value: float) -> float:
    """Return a converted number without the dust of binary fractions."""
    return float(f"{value:.12g}")


_SPACES = dict.fromkeys(map(ord, "\u00a0\u2009\u202f\u2007"), " ")


#: A name that is so like one of ours is a slip of the pen, and no column of somebody else.
_SLIP = 0.8
_LISTED = 10
_COMMAS = "commas read as decimal points"
_SAID = {
    "about": "read as if exact",
    "spread": "read without what stands behind ±",
    "bound": "read as a bound",
    "unit": "converted",
}


@dataclass(frozen=True)
class Step:
    """From a number as it stands in a column to our unit."""

    factor: float = 1.0
    shift: float = 0.0
    is_logarithm: bool = False

    def __call__(self, number: float) -> float:
        """Return the number in our unit."""
        if self == Step():
            return number
        power = 10.0 ** min(number, 300.0) if self.is_logarithm else number
        return rounded(power * self.factor + self.shift)


def understand(raw: RawTable, wanted: Collection[Column], *, strict: bool = False) -> RawTable:
    """Return a table in our columns and units.

    Parameters
    ----------
    raw
        A table as it stands in its file.
    wanted
        The columns that are read of it. Others of ours stay as they are, or are left out if they are named in
        another way.
    strict
        Whether columns that are not ours stay, for the next one to refuse. Otherwise they are left out; names that
        are like ours, or may mean several of ours, stay in any case.

    Returns
    -------
    RawTable
        With a note on each step that is not plain.

    Raises
    ------
    UnreadableFileError
        If two columns mean the same.
    """
    raw = _with_units_below(_with_x(raw))
    names = [str(name) for name in raw.frame.columns]
    meanings = [meaning_of(name) for name in names]
    frame, notes, aside = pd.DataFrame(index=raw.frame.index), list[str](), list[str]()
    homes: dict[str, str] = {}
    steps: dict[str, Step] = {}
    for place, (name, meaning) in enumerate(zip(names, meanings, strict=True)):
        target = _target(name, meaning, wanted, strict)
        if meaning is None and target is None:
            aside.append(name)
        if target is None:
            continue
        if target in homes:
            raise UnreadableFileError(
                f"{raw.name}: the columns {homes[target]!r:.80} and {name!r:.80} both mean {target}; leave one out"
            )
        homes[target], frame[target] = name, raw.frame.iloc[:, place]
        if meaning is not None and name != target:
            steps[target], words = _step(frame[target], meaning)
            if words or plain_name(name) != target:
                notes.append(f"column {plain_line(name, 80)!r} read as {target}{words}")
            _add_beside(frame, meaning, frame[target])
    if aside:
        more = f" and {len(aside) - _LISTED} more" if len(aside) > _LISTED else ""
        shown = ", ".join(repr(plain_line(name, 40)) for name in aside[:_LISTED])
        notes.append(f"not read, as no column of ours is like it: {shown}{more} (--strict refuses such a file)")
    return _plainly_written(replace(raw, frame=frame).noting(*notes), wanted, steps)


def _target(name: str, meaning: Meaning | None, wanted: Collection[Column], strict: bool) -> str | None:
    """Return what a column is called from now on; None if it is left out."""
    if meaning is None:
        return name if strict or column_meant(name, wanted, likeness=_SLIP) else None
    if name == meaning.column.value:
        return name if strict or name in wanted else None
    if not meaning.is_certain:
        return name if strict or set(meaning.columns) & set(wanted) else None
    return meaning.column.value if meaning.column in wanted else None


def _with_x(raw: RawTable) -> RawTable:
    """Write a name or a formula with x and its x, which stand in two columns, into one."""
    names = {plain_name(name): name for name in raw.frame.columns}
    formula = next(
        (n for n in raw.frame.columns if (m := meaning_of(str(n))) and m.column is Column.FORMULA), None
    )
    base = names.get(Column.SYSTEM.value) if formula is None else formula
    if base is None or (formula is not None and "x" not in names):
        return raw
    xs = raw.frame[names["x"]] if "x" in names else pd.Series("", raw.frame.index)

    def joined(text: Any, x: Any) -> Any:
        is_open = isinstance(text, str) and re.search(r"x(?![a-z=\s])|^[A-Z]+$", text.strip()) and "=" not in text
        return text if is_missing(x) or not is_open else f"{text} x={str(x).strip().replace(',', '.')}"

    cells = [joined(text, x) for text, x in zip(raw.frame[base], xs, strict=True)]
    frame = raw.frame.drop(columns=[name for name in (names.get("x"), base) if name is not None])
    frame.insert(0, Column.FORMULA.value, pd.Series(cells, raw.frame.index, dtype="object"))
    if "x" not in names or not cells:
        return replace(raw, frame=frame)
    note = f"columns {base!r} and {names['x']!r} read together, as in {cells[0]!r:.60}"
    return replace(raw, frame=frame).noting(note)


def _with_units_below(raw: RawTable) -> RawTable:
    """Join a row of units below the header with the names."""
    if raw.frame.empty:
        return raw
    first = ["" if is_missing(cell) else str(cell).strip() for cell in raw.frame.iloc[0]]
    if not any(first) or not all(is_unit(cell.strip("[]() ")) for cell in first if cell):
        return raw
    names = [
        f"{name} ({cell.strip('[]() ')})" if cell else name
        for name, cell in zip(raw.frame.columns, first, strict=True)
    ]
    frame = raw.frame.iloc[1:].set_axis(names, axis="columns").reset_index(drop=True)
    lines = None if raw.lines is None else raw.lines[1:]
    return replace(raw, frame=frame, lines=lines).noting("the row below the header read as units")


def _step(cells: pd.Series[Any], meaning: Meaning) -> tuple[Step, str]:
    """Return the step to our unit, and what it does in words."""
    at = meaning.beside.get(Column.MEASUREMENT_TEMPERATURE_C, ROOM_TEMPERATURE_C)
    words = f", measured at {at:g} °C" if at != ROOM_TEMPERATURE_C else ""
    words = (
        f"{words}, in {meaning.beside[Column.ADDITIVE_UNIT]}" if Column.ADDITIVE_UNIT in meaning.beside else words
    )
    if meaning.column.kind is not Kind.NUMBER:
        return Step(), words
    factor, shift = meaning.factor, meaning.shift
    stated = [number for cell in cells if (number := _number(cell, meaning.column)) is not None]
    if shift == -ZERO_CELSIUS_K and all(number == int(number) for number in stated):
        shift = -273.0  # people take 1123 K for 850 °C
    is_share = meaning.column is Column.RELATIVE_DENSITY_PCT and factor == 1
    if is_share and stated and all(0 < number <= 1 for number in stated):
        factor, words = 100.0, f"{words}, taken for fractions"
    words += ", ten to the power of it" if meaning.is_logarithm else ""
    if factor != 1:
        is_divided = factor < 1 and abs(1 / factor - round(1 / factor)) < 1e-6
        words += f", divided by {1 / factor:g}" if is_divided else f", multiplied by {factor:.6g}"
    words += f", minus {-shift:g}" if shift else ""
    return Step(factor, shift, meaning.is_logarithm), words


def _number(cell: Any, column: Column) -> float | None:
    """Return the number in a cell that has no unit of its own; None if there is none."""
    if isinstance(cell, bool) or is_missing(cell):
        return None
    found = read_number(cell, column, commas=True) if isinstance(cell, str) else None
    if found is not None:
        return None if _has_unit(found) else found.value
    try:
        number = float(cell)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if np.isfinite(number) else None


def _has_unit(found: Read) -> bool:
    return not {"unit", "own unit"}.isdisjoint(found.causes)


def _add_beside(frame: pd.DataFrame, meaning: Meaning, cells: pd.Series[Any]) -> None:
    """Write what a name says of another column into that one, where there is a value."""
    for column, value in meaning.beside.items():
        if column.value not in frame.columns:
            frame[column.value] = [None if is_missing(cell) else value for cell in cells]


def _plainly_written(table: RawTable, wanted: Collection[Column], steps: Mapping[str, Step]) -> RawTable:
    """Write numbers plainly and in our units, and say what was passed over."""
    frame = table.frame.copy()
    numbers = [column for column in wanted if column.kind is Kind.NUMBER and column in frame.columns]
    odd: dict[Column, list[str]] = {}
    for column in numbers:
        if frame[column].dtype == object:
            texts = (cell for cell in frame[column].unique() if isinstance(cell, str))
            odd[column] = [text for text in texts if not _is_plain(text)]
    commas = any(has_decimal_comma(text) for texts in odd.values() for text in texts)
    notes: list[str] = []
    if Column.FORMULA in frame.columns and Column.FORMULA in wanted:
        cells = frame[Column.FORMULA].tolist()
        plain = [re.sub(r"(?<=\d),(?=\d)", ".", cell) if isinstance(cell, str) else cell for cell in cells]
        if any(isinstance(cell, str) and cell != ours for cell, ours in zip(cells, plain, strict=True)):
            frame[Column.FORMULA.value] = plain
            notes.append(_COMMAS)
    for column in numbers:
        step = steps.get(column.value, Step())
        read = {text: found for text in odd.get(column, ()) if (found := read_number(text, column, commas=commas))}
        if not read and step == Step():
            continue
        values = {text: found.value if _has_unit(found) else step(found.value) for text, found in read.items()}
        if any("," in text for text in read) and _COMMAS not in notes:
            notes.append(_COMMAS)
        notes += _causes(frame[column], column, read, values)
        _mark(frame, column, read)
        frame[column.value] = [_ours(cell, values, step) for cell in frame[column]]
    return replace(table, frame=frame).noting(*notes)


def _ours(cell: Any, values: Mapping[str, float], step: Step) -> Any:
    if isinstance(cell, str) and cell in values:
        return values[cell]
    if step == Step() or isinstance(cell, bool) or is_missing(cell):
        return cell
    try:
        return step(float(cell))
    except (TypeError, ValueError, OverflowError):
        return cell  # who reads the column says what is wrong


def _is_plain(text: str) -> bool:
    if is_missing(text):
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True


def _causes(
    cells: pd.Series[Any], column: Column, read: Mapping[str, Read], values: Mapping[str, float]
) -> list[str]:
    """Return what there is to say about numbers that are not written plainly, once a cause."""
    found: dict[str, list[str]] = {}
    for cell in cells:
        if isinstance(cell, str) and cell in read:
            for cause in _SAID.keys() & read[cell].causes:
                found.setdefault(cause, []).append(cell)
    unit = f" {column.unit}" if column.unit else ""
    return [
        f"{column}: {same[0]!r:.60}{f' and {len(same) - 1} more' if len(same) > 1 else ''} {_SAID[cause]}"
        f" ({values[same[0]]:g}{unit})"
        for cause, same in sorted(found.items())
    ]


def _mark(frame: pd.DataFrame, column: Column, read: Mapping[str, Read]) -> None:
    """Write bounds and units of amounts into their columns, where nothing stands there yet."""
    for other, values in (
        (BOUND_OF.get(column), {text: found.bound for text, found in read.items()}),
        (Column.ADDITIVE_UNIT, {text: found.amount_unit for text, found in read.items()}),
    ):
        if other is None or not any(values.values()):
            continue
        given = frame[other].tolist() if other in frame.columns else [None] * len(frame)
        marks = [values.get(cell) if isinstance(cell, str) else None for cell in frame[column]]
        frame[other.value] = [
            mark if mark and is_missing(cell) else cell for cell, mark in zip(given, marks, strict=True)
        ]
