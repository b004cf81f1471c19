"""Checks a whole table against the vocabulary: all findings at once, in arrays.

Every different text of a column is read once, by `Column.parse`, and numbers are compared with their bounds as
arrays, so table and single recipe can never disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd

from nasicon_ml.columns import Column, Kind
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
    is_number = column.kind is Kind.NUMBER
    if is_number and isinstance(raw.dtype, np.dtype) and raw.dtype.kind in "iuf":
        values = raw.to_numpy(dtype="float64", copy=True)
        with np.errstate(invalid="ignore"):
            doubtful = ~np.isnan(values) & ~((values >= column.minimum) & (values <= column.maximum))
        cells = raw.to_numpy()
    else:
        cells = raw.astype("object").to_numpy()
        values = np.full(len(cells), np.nan if is_number else None, dtype="float64" if is_number else "object")
        is_text = np.fromiter((isinstance(cell, str) for cell in cells), dtype=bool, count=len(cells))
        # A text that stands in a thousand rows is read once.
        codes, texts = pd.factorize(cells[is_text])
        read = [_read_cell(column, text) for text in texts]
        known = np.full(len(read), None, dtype="object")
        known[:] = [value for value, _ in read]
        refused = np.array([error is not None for _, error in read], dtype=bool)
        doubtful = ~is_text
        doubtful[is_text] = refused[codes]
        values[is_text] = known[codes]  # None becomes NaN in an array of numbers
    for row in np.flatnonzero(doubtful).tolist():
        values[row], error = _read_cell(column, cells[row])
        if error is not None:
            rule = _rule_of(column, cells[row])
            findings.append(Finding(row, column.value, cells[row], rule, Severity.ERROR, error.message))
    return pd.Series(values)


def _read_cell(column: Column, cell: object) -> tuple[float | str | bool | None, FieldError | None]:
    """Read one cell, or say why not."""
    try:
        return column.parse(cell), None
    except FieldError as error:
        return None, error


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
