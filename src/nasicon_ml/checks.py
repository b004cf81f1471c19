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

from nasicon_ml.columns import FALSE_WORDS, MISSING_WORDS, TRUE_WORDS, Column, Kind
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


def _read_column(raw: pd.Series[Any], column: Column, findings: list[Finding]) -> pd.Series[Any]:
    """Read one column; append what is wrong with it to `findings`."""
    if column.kind is Kind.NUMBER and raw.dtype.kind in "iuf":
        values = raw.astype("float64")
        doubtful = values.notna() & ~values.between(column.minimum, column.maximum)
        return _parse_cells(raw, values, doubtful, column, findings)
    words = raw.astype("object").map(lambda cell: " ".join(cell.split()) if isinstance(cell, str) else cell)
    present = words.notna() & ~words.astype(str).str.lower().isin(MISSING_WORDS)
    if column.kind is Kind.NUMBER:
        is_bool = words.map(lambda cell: isinstance(cell, (bool, np.bool_)))
        values = pd.to_numeric(words.where(present & ~is_bool), errors="coerce").astype("float64")
        doubtful = present & ~values.between(column.minimum, column.maximum)
    elif column.kind is Kind.CATEGORY:
        exact = words.isin(column.choices)
        values = words.where(exact, None)
        doubtful = present & ~exact
    elif column.kind is Kind.FLAG:
        lowered = words.astype(str).str.lower()
        values = pd.Series(None, index=raw.index, dtype="object")
        values[present & lowered.isin(TRUE_WORDS)] = True
        values[present & lowered.isin(FALSE_WORDS)] = False
        doubtful = present & values.isna()
    else:
        values = words.where(present, None)
        doubtful = present & ~words.map(lambda cell: isinstance(cell, str))
    return _parse_cells(raw, values, doubtful, column, findings)


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
    return pd.Series(cells, index=values.index)


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
