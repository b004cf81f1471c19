"""Searches the measured pellets: by system, element, any column with ranges and comparisons, or text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from nasicon_ml.arrays import Floats, Mask
from nasicon_ml.columns import PELLET, SEPARATOR, Column, Kind, is_missing
from nasicon_ml.composition import parse
from nasicon_ml.composition.formula import ELEMENT_INDEX, nearest_element
from nasicon_ml.data.load import load_pellets, load_sources
from nasicon_ml.errors import FieldError, nearest, number_hint

#: What can be asked for, by its name and by its option's: relative_density_pct, density.
SEARCHED: Mapping[str, Column] = {
    name: column
    for column in (Column.SYSTEM, *PELLET)
    for name in (column.option.removeprefix("--").replace("-", "_"), column.value)
}
_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?"
_RANGE = re.compile(
    rf"({_NUMBER})?\s*(?:\.\.+|:|\bto\b|\u2013|(?<=[0-9.])-(?=[0-9.]))\s*({_NUMBER})?", re.IGNORECASE
)
_COMPARED = re.compile(rf"(>=|<=|>|<|=|\u2265|\u2264)?\s*({_NUMBER})", re.IGNORECASE)
_GIVEN = ("given", "known")
NUMBERS_ALLOWED = "a number (900), a range (700..900), >95, <=2, several with commas, given or unknown"


def find_pellets(
    pellets: pd.DataFrame | None = None,
    *,
    elements: Iterable[str] = (),
    without: Iterable[str] = (),
    text: str = "",
    sort: str = Column.CONDUCTIVITY_TOTAL_S_CM.value,
    ascending: bool = False,
    **where: object,
) -> pd.DataFrame:
    """Return the measured pellets that fulfil all that is asked.

    Parameters
    ----------
    pellets
        Where to search; by default the committed dataset without suspect pellets and doubted results.
    elements, without
        Symbols of elements that the formula has, and that it has not.
    text
        Words that all stand somewhere in the pellet's texts (notes, secondary phases, source, DOI ...) or in the
        authors and title of its source, in any case.
    sort
        The column to sort by, numbers from the largest; pellets that do not report it come last.
    ascending
        Whether the smallest comes first.
    **where
        What a column holds, by its name or its option's (``density`` for ``relative_density_pct``). Numbers, in
        the unit of the column: ``900``, ``"700..900"`` or ``(700, 900)``, ``">95"``, ``"<=2"``, ``"800,850"``.
        Choices in any of their words, several with commas. Flags. Of texts a part in any case; of formulas the
        composition. ``"given"`` and ``"unknown"`` for anything; None asks for nothing.

    Returns
    -------
    pandas.DataFrame
        Rows of `pellets`, index 0 to n - 1.

    Raises
    ------
    FieldError
        If a column is unknown or what is asked of it cannot be understood.
    """
    frame = load_pellets() if pellets is None else pellets
    found = np.ones(len(frame), dtype=bool)
    for name, asked in where.items():
        if asked is not None and asked != "":
            column = searched_column(name)
            found &= fulfils(frame[column.value], column, asked, name)
    symbols = frame[Column.FORMULA].map(_symbols)
    for wanted, names in ((True, elements), (False, without)):
        for element in map(_element, names):
            found &= np.array([(element in held) == wanted for held in symbols], dtype=bool)
    if text.strip():
        found &= _text(frame, text)
    return frame[found].sort_values(
        searched_column(sort).value,
        ascending=ascending,
        kind="stable",
        ignore_index=True,
        key=lambda cells: cells if cells.dtype.kind == "f" else cells.astype("string"),
    )


def searched_column(name: str) -> Column:
    """Return the column of a name: its own, that of its option (``density``), or with hyphens.

    Raises
    ------
    FieldError
        If there is none.
    """
    column = SEARCHED.get(name.strip().lstrip("-").replace("-", "_"))
    if column is None:
        raise FieldError(
            "column", name, f"one of {', '.join(dict.fromkeys(SEARCHED.values()))}", nearest(name, SEARCHED)
        )
    return column


def fulfils(cells: pd.Series[Any], column: Column, asked: object, name: str = "") -> Mask:
    """Return which cells of a column are what is asked, shape (n,), as `find_pellets` reads it.

    Raises
    ------
    FieldError
        If it cannot be understood; it names `name`.
    """
    given = cells.notna().to_numpy()
    if isinstance(asked, str) and (is_missing(asked) or asked.strip().lower() in _GIVEN):
        return ~given if is_missing(asked) else given
    try:
        if column is Column.ADDITIVE and column.parse(asked) is None:
            return ~given
        return _held(cells, column, asked)
    except FieldError as error:
        raise FieldError(name or error.field, error.value, error.allowed, error.hint) from None


def _held(cells: pd.Series[Any], column: Column, asked: object) -> Mask:
    if column.kind is Kind.FORMULA:
        return (cells == parse(str(asked)).main_phase.formula).to_numpy(dtype=bool)
    if column.kind is Kind.TEXT:
        return _contains(cells, plain_doi(str(asked)))
    several = asked.split(",") if isinstance(asked, str) else asked if isinstance(asked, list) else [asked]
    if column.kind is Kind.NUMBER:
        values = cells.to_numpy(dtype=np.float64)
        return np.logical_or.reduce([_numbers(values, one, column) for one in several])
    return cells.isin([column.parse(one) for one in several]).to_numpy()


def _numbers(values: Floats, asked: object, column: Column) -> Mask:
    if isinstance(asked, tuple) and len(asked) == 2:
        asked = f"{asked[0]}..{asked[1]}"
    plain = str(asked).strip().removesuffix(column.unit).strip()
    span, compared = _RANGE.fullmatch(plain), _COMPARED.fullmatch(plain)
    if span and (span[1] or span[2]):
        low, high = float(span[1] or -np.inf), float(span[2] or np.inf)
        if low > high:
            raise FieldError(column.value, asked, NUMBERS_ALLOWED, f"Write {span[2]}..{span[1]}.")
    elif compared:
        sign, number = compared[1] or "=", float(compared[2])
        low = number if sign in {"=", ">", ">=", "\u2265"} else -np.inf
        high = number if sign in {"=", "<", "<=", "\u2264"} else np.inf
        if sign in {"<", ">"}:
            low, high = np.nextafter(low, np.inf), np.nextafter(high, -np.inf)
    else:
        raise FieldError(column.value, asked, NUMBERS_ALLOWED, number_hint(plain))
    with np.errstate(invalid="ignore"):
        return np.asarray((values >= low) & (values <= high))


def _contains(cells: pd.Series[Any], part: str) -> Mask:
    lower = cells.fillna("").astype("string").str.lower()
    return lower.str.contains(part.strip().lower(), regex=False).to_numpy(dtype=bool)


def _symbols(formula: object) -> frozenset[str]:
    return frozenset(re.findall(r"[A-Z][a-z]?", formula)) if isinstance(formula, str) else frozenset()


def _element(symbol: str) -> str:
    if symbol in ELEMENT_INDEX:
        return symbol
    raise FieldError("element", symbol, "the symbol of an element, such as Al", nearest_element(symbol))


def _text(frame: pd.DataFrame, text: str) -> Mask:
    sources = load_sources().set_index(Column.SOURCE.value)[[Column.AUTHORS.value, Column.TITLE.value]]
    written = sources.fillna("").agg(" ".join, axis=1)
    names = [column.value for column in (Column.SYSTEM, *PELLET) if column.kind not in {Kind.NUMBER, Kind.FLAG}]
    joined = frame[names].fillna("").agg(" ".join, axis=1)
    joined += " " + joined.str.replace("_", " ") + " " + frame[Column.SOURCE].map(written).fillna("")
    return np.logical_and.reduce([_contains(joined, word) for word in text.split()])


def find_sources(key: str, pellets: pd.DataFrame, sources: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the list of sources that a key names.

    Parameters
    ----------
    key
        The id of a pellet, a source, the key of a reading, or a DOI: bare, as a link, or with ``doi:`` before it.
    pellets, sources
        As `load_pellets` and `load_sources` give them.

    Raises
    ------
    FieldError
        If it names none.
    """
    plain = plain_doi(key)
    rows = pellets[pellets[Column.PELLET_ID] == key.strip()]
    if rows.empty:
        rows = pellets[pellets[Column.DOI].str.lower() == plain]

    def named(cell: object) -> bool:
        return isinstance(cell, str) and plain in cell.lower().split(SEPARATOR)

    held = sources[Column.SOURCE].isin(rows[Column.SOURCE])
    for column in (Column.SOURCE, Column.DOI, Column.READING):
        held |= sources[column].map(named)
    if not held.any():
        known = [*pellets[Column.PELLET_ID], *sources[Column.SOURCE], *sources[Column.DOI].dropna()]
        raise FieldError("key", key, "the id of a pellet of the dataset, a source or a DOI", nearest(plain, known))
    return sources[held]


def plain_doi(key: str) -> str:
    """Return a DOI in lower case without what stands before it; anything else in lower case."""
    return re.sub(r"^(?:https?://)?(?:dx\.)?doi(?:\.org/|:\s*)", "", key.strip().lower())
