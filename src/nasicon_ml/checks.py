"""Checks a whole table against the vocabulary: all findings at once, in arrays.

Arrays find the cells that may be wrong; only for those few is `Column.parse` asked, cell by cell, for the
value or the message, so table and single recipe can never disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd

from nasicon_ml.columns import FALSE_WORDS, MISSING_WORDS, TRUE_WORDS, Column, Kind, is_missing
from nasicon_ml.errors import FieldError


class Severity(StrEnum):
    """How bad a finding is. Errors make a file invalid; warnings ask for a second look."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with one cell.

    `row` is the 0-based position in the table; `line` is the line of the file it came from, if known.
    """

    row: int
    column: str
    value: object
    rule: str
    severity: Severity
    message: str
    line: int | None = None


def check_columns(frame: pd.DataFrame, columns: Sequence[Column]) -> tuple[pd.DataFrame, list[Finding]]:
    """Read the named columns of a table, as text or numbers, into clean values.

    Parameters
    ----------
    frame
        Any table; a column that is absent counts as not reported everywhere.
    columns
        The columns to read. Formulas are only trimmed here: `nasicon_ml.composition` reads them.

    Returns
    -------
    pandas.DataFrame
        Shape (n_rows, n_columns), index 0 to n_rows - 1: float64 with NaN for numbers, object with None for
        everything else.
    list of Finding
        One per bad cell, in order of row and column; the cell itself is missing in the clean table.
    """
    findings: list[Finding] = []
    clean: dict[str, pd.Series[Any]] = {}
    for column in columns:
        if column in frame.columns:
            raw = frame[column].reset_index(drop=True)
            clean[column.value] = _read_column(raw, column, findings)
        else:
            dtype = "float64" if column.kind is Kind.NUMBER else "object"
            empty = np.nan if column.kind is Kind.NUMBER else None
            clean[column.value] = pd.Series([empty] * len(frame), dtype=dtype)
    order = {column.value: position for position, column in enumerate(columns)}
    findings.sort(key=lambda finding: (finding.row, order[finding.column]))
    return pd.DataFrame(clean, index=pd.RangeIndex(len(frame))), findings


#: Numbers as they are usually written; any other text is for `Column.parse` to judge.
_DECIMAL = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"


def _read_column(raw: pd.Series[Any], column: Column, findings: list[Finding]) -> pd.Series[Any]:
    """Read one column; append what is wrong with it to `findings`."""
    if isinstance(raw.dtype, np.dtype) and column.kind is Kind.NUMBER and raw.dtype.kind in "iuf":
        numbers = raw.astype("float64")
        doubtful = numbers.notna() & ~numbers.between(column.minimum, column.maximum)
        return _parse_cells(raw, numbers, doubtful, column, findings)
    cells = raw.astype("object")
    is_text = cells.map(lambda cell: isinstance(cell, str)).astype(bool)
    texts = cells[is_text].map(lambda cell: " ".join(cell.split())).astype("object")
    texts = texts[~texts.str.lower().isin(MISSING_WORDS)]
    others = cells[~is_text]
    others = others[~others.map(is_missing).astype(bool)]
    values, sure = _clean_texts(texts, column, raw.index)
    doubtful = pd.Series(False, index=raw.index)
    doubtful[texts.index] = ~sure
    doubtful[others.index] = True
    return _parse_cells(raw, values, doubtful, column, findings)


def _clean_texts(
    texts: pd.Series[Any], column: Column, index: pd.Index[Any]
) -> tuple[pd.Series[Any], pd.Series[bool]]:
    """Read what is plainly written; say of which texts that is true."""
    if column.kind is Kind.NUMBER:
        values = pd.Series(np.nan, index=index, dtype="float64")
        written = texts[texts.str.fullmatch(_DECIMAL).astype(bool)]
        numbers = pd.Series(written.to_numpy(dtype="U").astype("float64"), index=written.index)
        numbers = numbers[numbers.between(column.minimum, column.maximum)]
        values[numbers.index] = numbers
        return values, pd.Series(texts.index.isin(numbers.index), index=texts.index)
    if column.kind is Kind.FLAG:
        meaning = {**dict.fromkeys(TRUE_WORDS, True), **dict.fromkeys(FALSE_WORDS, False)}
        read = texts.str.lower().map(meaning.get)
        sure = read.notna()
    else:
        read = texts
        sure = texts.isin(column.choices) if column.kind is Kind.CATEGORY else texts.notna()
    cleaned = np.full(len(index), None, dtype="object")
    cleaned[index.get_indexer(texts.index[sure])] = read[sure].to_numpy(dtype="object")
    return pd.Series(cleaned, index=index, dtype="object"), sure


def _parse_cells(
    raw: pd.Series[Any],
    values: pd.Series[Any],
    doubtful: pd.Series[bool],
    column: Column,
    findings: list[Finding],
) -> pd.Series[Any]:
    """Ask `Column.parse` about the doubtful cells only."""
    cells: np.ndarray = values.to_numpy(copy=True)
    for row in np.flatnonzero(doubtful.to_numpy()):
        cell = raw.iloc[int(row)]
        try:
            cells[row] = column.parse(cell)  # None becomes NaN in an array of numbers
        except FieldError as error:
            cells[row] = None
            rule = _rule_of(column, cell)
            findings.append(Finding(int(row), column.value, cell, rule, Severity.ERROR, error.message))
    return pd.Series(cells, index=values.index, dtype=values.dtype)


def _rule_of(column: Column, cell: object) -> str:
    if column.kind is not Kind.NUMBER:
        other = {Kind.CATEGORY: f"unknown_{column.value}", Kind.FLAG: "not_a_flag"}
        return other.get(column.kind, "not_text")
    try:
        number = float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return "not_a_number"
    if column is Column.RELATIVE_DENSITY_PCT and number > column.maximum:
        return "density_above_100"
    if column is Column.RELATIVE_DENSITY_PCT and 0 < number <= 1:
        return "fraction_for_percent"
    return "out_of_bounds"
