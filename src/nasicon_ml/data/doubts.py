"""Results that are doubted one by one: such a number is left out while the rest of its row stays in use."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.checks import Finding, Severity
from nasicon_ml.columns import SEPARATOR, Column, Kind, Role, columns_of
from nasicon_ml.errors import FieldError, nearest

_RESULTS = {column.value: column for column in columns_of(Role.RESULT)}
#: A bound says nothing without its number.
_BOUNDS = {
    Column.CONDUCTIVITY_TOTAL_S_CM: Column.CONDUCTIVITY_BOUND,
    Column.RELATIVE_DENSITY_PCT: Column.DENSITY_BOUND,
}


def _names(cell: str | None) -> list[str]:
    return [name.strip() for name in (cell or "").split(SEPARATOR) if name.strip()]


def doubted(clean: pd.DataFrame) -> dict[Column, NDArray[np.bool_]]:
    """Return which results of which rows are doubted: column -> mask of shape (n,); bounds with their numbers."""
    cells = clean[Column.DOUBTFUL_COLUMNS]
    found: dict[Column, NDArray[np.bool_]] = {}
    for row in np.flatnonzero(cells.notna()).tolist():
        for name in _names(cells.iloc[row]):
            column = _RESULTS.get(name)
            for one in (column, _BOUNDS.get(column)) if column else ():
                if one is not None:
                    found.setdefault(one, np.zeros(len(clean), dtype=np.bool_))[row] = True
    return found


def without_doubted(clean: pd.DataFrame) -> pd.DataFrame:
    """Return a table of pellets in which the results that are doubted are blank."""
    blank = {
        column.value: clean[column].where(~rows, np.nan if column.kind is Kind.NUMBER else None)
        for column, rows in doubted(clean).items()
    }
    return clean.assign(**blank)


def doubt_findings(clean: pd.DataFrame) -> list[Finding]:
    """Find names in `Column.DOUBTFUL_COLUMNS` that are no results, and doubts without a reason.

    Parameters
    ----------
    clean
        Clean values, index 0 to n - 1.
    """
    cells = clean[Column.DOUBTFUL_COLUMNS]
    reasons = clean[Column.SUSPECT_REASON].notna().to_numpy()
    found = []
    for row in np.flatnonzero(cells.notna()).tolist():
        unknown = [name for name in _names(cells[row]) if name not in _RESULTS]
        if unknown:
            allowed = f"columns of results, separated by {SEPARATOR!r}: {', '.join(_RESULTS)}"
            error = FieldError(
                Column.DOUBTFUL_COLUMNS.value, unknown[0], allowed, nearest(unknown[0], list(_RESULTS))
            )
            found.append(_error(row, Column.DOUBTFUL_COLUMNS, cells[row], "unknown_result", error.message))
        if not reasons[row]:
            words = f"{Column.SUSPECT_REASON}: is missing; say why {cells[row]} is doubted"
            found.append(_error(row, Column.SUSPECT_REASON, None, "doubt_without_reason", words))
    return found


def _error(row: int, column: Column, value: object, rule: str, message: str) -> Finding:
    return Finding(row, column.value, value, rule, Severity.ERROR, message)
