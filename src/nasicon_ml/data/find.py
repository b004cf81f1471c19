"""Search the measured pellets by element, text, or the value of any column."""

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

#: Columns by their name and by that of their option: relative_density_pct, density.
SEARCHABLE_COLUMNS: Mapping[str, Column] = {
    name: column
    for column in (Column.SYSTEM, *PELLET)
    for name in (column.option.removeprefix("--").replace("-", "_"), column.value)
}
_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?"
_RANGE = re.compile(
    rf"({_NUMBER})?\s*(?:\.\.+|:|\bto\b|\u2013|(?<=[0-9.])-(?=[0-9.]))\s*({_NUMBER})?", re.IGNORECASE
)
_COMPARISON = re.compile(rf"(>=|<=|>|<|=|\u2265|\u2264)?\s*({_NUMBER})", re.IGNORECASE)
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
    """Return the measured pellets that match all conditions.

    Parameters
    ----------
    pellets
        Pellets to search; by default the committed dataset without suspect pellets and doubtful results.
    elements, without
        Symbols of elements that the formula must and must not contain.
    text
        Words that must all occur, in any case, in the texts of a pellet (notes, secondary phases, source, DOI ...)
        or in the authors and title of its source.
    sort
        Column to sort by, in descending order; pellets without a value come last.
    ascending
        Whether to sort in ascending order.
    **where
        Condition on a column, by its name or that of its option (``density`` for ``relative_density_pct``). For
        numbers, in the unit of the column: ``900``, ``"700..900"`` or ``(700, 900)``, ``">95"``, ``"<=2"``,
        ``"800,850"``. For choices any of their names, several with commas. For flags a truth value. For texts a
        part in any case; for formulas a composition. ``"given"`` and ``"unknown"`` for all; None is ignored.

    Returns
    -------
    pandas.DataFrame
        Matching rows of `pellets`, index 0 to n - 1.

    Raises
    ------
    FieldError
        If a column is unknown or a condition is invalid.
    """
    frame = load_pellets() if pellets is None else pellets
    is_match = np.ones(len(frame), dtype=bool)
    for name, query in where.items():
        if query is not None and query != "":
            column = column_named(name)
            is_match &= matches_query(frame[column.value], column, query, name)
    symbols = frame[Column.FORMULA].map(_element_symbols)
    for required, names in ((True, elements), (False, without)):
        for element in map(_checked_element, names):
            is_match &= np.array([(element in present) == required for present in symbols], dtype=bool)
    if text.strip():
        is_match &= _matches_text(frame, text)
    return frame[is_match].sort_values(
        column_named(sort, "sort").value,
        ascending=ascending,
        kind="stable",
        ignore_index=True,
        key=lambda cells: cells if cells.dtype.kind == "f" else cells.astype("string"),
    )


def column_named(name: str, field: str = "column") -> Column:
    """Return the column with a name, or with the name of an option (``density``), also with hyphens.

    Raises
    ------
    FieldError
        If there is no such column; it names `field`.
    """
    column = SEARCHABLE_COLUMNS.get(name.strip().lstrip("-").replace("-", "_"))
    if column is None:
        raise FieldError(
            field,
            name,
            f"one of {', '.join(dict.fromkeys(SEARCHABLE_COLUMNS.values()))}",
            nearest(name, SEARCHABLE_COLUMNS),
        )
    return column


def matches_query(cells: pd.Series[Any], column: Column, query: object, name: str = "") -> Mask:
    """Return which cells of a column match a query of `find_pellets`, shape (n,).

    Raises
    ------
    FieldError
        If the query is invalid; it names `name`.
    """
    is_given = cells.notna().to_numpy()
    if isinstance(query, str) and (is_missing(query) or query.strip().lower() in _GIVEN):
        return ~is_given if is_missing(query) else is_given
    try:
        if column is Column.ADDITIVE and column.parse(query) is None:
            return ~is_given
        return _matches_column(cells, column, query)
    except FieldError as error:
        raise FieldError(name or error.field, error.value, error.allowed, error.hint) from None


def _matches_column(cells: pd.Series[Any], column: Column, query: object) -> Mask:
    if column.kind is Kind.FORMULA:
        return (cells == parse(str(query)).main_phase.formula).to_numpy(dtype=bool)
    if column.kind is Kind.TEXT:
        return _contains_text(cells, normalise_doi(str(query)))
    options = query.split(",") if isinstance(query, str) else query if isinstance(query, list) else [query]
    if column.kind is Kind.NUMBER:
        values = cells.to_numpy(dtype=np.float64)
        return np.logical_or.reduce([_matches_number(values, option, column) for option in options])
    return cells.isin([column.parse(option) for option in options]).to_numpy()


def _matches_number(values: Floats, query: object, column: Column) -> Mask:
    if isinstance(query, tuple) and len(query) == 2:
        query = f"{query[0]}..{query[1]}"
    plain = str(query).strip().removesuffix(column.unit).strip()
    bounds, comparison = _RANGE.fullmatch(plain), _COMPARISON.fullmatch(plain)
    if bounds and (bounds[1] or bounds[2]):
        low, high = float(bounds[1] or -np.inf), float(bounds[2] or np.inf)
        if low > high:
            raise FieldError(column.value, query, NUMBERS_ALLOWED, f"Write {bounds[2]}..{bounds[1]}.")
    elif comparison:
        sign, number = comparison[1] or "=", float(comparison[2])
        low = number if sign in {"=", ">", ">=", "\u2265"} else -np.inf
        high = number if sign in {"=", "<", "<=", "\u2264"} else np.inf
        if sign in {"<", ">"}:
            low, high = np.nextafter(low, np.inf), np.nextafter(high, -np.inf)
    else:
        raise FieldError(column.value, query, NUMBERS_ALLOWED, number_hint(plain))
    with np.errstate(invalid="ignore"):
        return np.asarray((values >= low) & (values <= high))


def _contains_text(cells: pd.Series[Any], part: str) -> Mask:
    lower = cells.fillna("").astype("string").str.lower()
    return lower.str.contains(part.strip().lower(), regex=False).to_numpy(dtype=bool)


def _element_symbols(formula: object) -> frozenset[str]:
    return frozenset(re.findall(r"[A-Z][a-z]?", formula)) if isinstance(formula, str) else frozenset()


def _checked_element(symbol: str) -> str:
    if symbol in ELEMENT_INDEX:
        return symbol
    raise FieldError("element", symbol, "the symbol of an element, such as Al", nearest_element(symbol))


def _matches_text(frame: pd.DataFrame, text: str) -> Mask:
    sources = load_sources().set_index(Column.SOURCE.value)[[Column.AUTHORS.value, Column.TITLE.value]]
    source_texts = sources.fillna("").agg(" ".join, axis=1)
    names = [column.value for column in (Column.SYSTEM, *PELLET) if column.kind not in {Kind.NUMBER, Kind.FLAG}]
    joined = frame[names].fillna("").agg(" ".join, axis=1)
    joined += " " + joined.str.replace("_", " ") + " " + frame[Column.SOURCE].map(source_texts).fillna("")
    return np.logical_and.reduce([_contains_text(joined, word) for word in text.split()])


def find_sources(key: str, pellets: pd.DataFrame, sources: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the list of sources that match a key.

    Parameters
    ----------
    key
        The id of a pellet, a source, the key of a reading, or a DOI, also as a link or with the prefix ``doi:``.
    pellets, sources
        Tables as returned by `load_pellets` and `load_sources`.

    Raises
    ------
    FieldError
        If no source matches.
    """
    plain = normalise_doi(key)
    rows = pellets[pellets[Column.PELLET_ID] == key.strip()]
    if rows.empty:
        rows = pellets[pellets[Column.DOI].str.lower() == plain]

    def has_key(cell: object) -> bool:
        return isinstance(cell, str) and plain in cell.lower().split(SEPARATOR)

    is_match = sources[Column.SOURCE].isin(rows[Column.SOURCE])
    for column in (Column.SOURCE, Column.DOI, Column.READING):
        is_match |= sources[column].map(has_key)
    if not is_match.any():
        known = [*pellets[Column.PELLET_ID], *sources[Column.SOURCE], *sources[Column.DOI].dropna()]
        raise FieldError("key", key, "the id of a pellet of the dataset, a source or a DOI", nearest(plain, known))
    return sources[is_match]


def normalise_doi(key: str) -> str:
    """Return a key in lower case, without the prefix of a DOI."""
    return re.sub(r"^(?:https?://)?(?:dx\.)?doi(?:\.org/|:\s*)", "", key.strip().lower())
