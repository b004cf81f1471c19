"""Load pellets and sources of the dataset, by default without suspect pellets and doubtful results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.checks import Finding, Severity, check_columns
from nasicon_ml.columns import (
    BOUND_OF,
    PELLET,
    SEPARATOR,
    SOURCES,
    Column,
    Kind,
    Role,
    columns_of,
    split_cell,
)
from nasicon_ml.composition import check_formulas, occupancies
from nasicon_ml.data.files import PELLETS_FILE, SOURCES_FILE, datasets_folder, verify_checksum
from nasicon_ml.errors import DatasetError, FieldError, nearest
from nasicon_ml.io import RawTable, read_table
from nasicon_ml.recipe.rules import column_hint

_RESULTS = {column.value: column for column in columns_of(Role.RESULT)}


def doubtful_results(clean: pd.DataFrame) -> dict[Column, NDArray[np.bool_]]:
    """Return a mask of shape (n,) for each column with doubtful results; a bound is as doubtful as its number."""
    cells = clean[Column.DOUBTFUL_COLUMNS]
    masks: dict[Column, NDArray[np.bool_]] = {}
    for row in np.flatnonzero(cells.notna()).tolist():
        for result in (_RESULTS[name] for name in split_cell(cells.iloc[row]) if name in _RESULTS):
            for column in filter(None, (result, BOUND_OF.get(result))):
                masks.setdefault(column, np.zeros(len(clean), dtype=np.bool_))[row] = True
    return masks


def without_doubtful_results(clean: pd.DataFrame) -> pd.DataFrame:
    """Return a table of pellets with doubtful results set to missing."""
    replaced = {
        column.value: clean[column].where(~rows, np.nan if column.kind is Kind.NUMBER else None)
        for column, rows in doubtful_results(clean).items()
    }
    return clean.assign(**replaced)


def doubtful_column_findings(clean: pd.DataFrame) -> list[Finding]:
    """Return errors for names in `Column.DOUBTFUL_COLUMNS` that are not results, and for missing reasons.

    `clean` has clean values and the index 0 to n - 1.
    """
    cells = clean[Column.DOUBTFUL_COLUMNS]
    reasons = clean[Column.SUSPECT_REASON].notna().to_numpy()
    findings = []
    for row in np.flatnonzero(cells.notna()).tolist():
        unknown = [name for name in split_cell(cells[row]) if name not in _RESULTS]
        if unknown:
            allowed = f"columns of results, separated by {SEPARATOR!r}: {', '.join(_RESULTS)}"
            error = FieldError(Column.DOUBTFUL_COLUMNS, unknown[0], allowed, nearest(unknown[0], _RESULTS))
            findings.append(_error(row, Column.DOUBTFUL_COLUMNS, cells[row], "unknown_result", error.message))
        if not reasons[row]:
            message = f"{Column.SUSPECT_REASON}: is missing; say why {cells[row]} is doubted"
            findings.append(_error(row, Column.SUSPECT_REASON, None, "doubt_without_reason", message))
    return findings


def _error(row: int, column: str, value: object, rule: str, message: str) -> Finding:
    return Finding(row, str(column), value, rule, Severity.ERROR, message)


#: Columns that every file of pellets must have.
REQUIRED_COLUMNS = (Column.PELLET_ID, Column.SOURCE, Column.FORMULA)
#: Row number of findings about the header.
HEADER_ROW = -1


def load_pellets(
    path: str | Path | None = None, *, include_suspect: bool = False, verify: bool = True
) -> pd.DataFrame:
    """Load measured pellets as a clean table.

    Parameters
    ----------
    path
        A file of pellets; by default the committed dataset.
    include_suspect
        Whether to include suspect rows, whose formula and system may be missing, and doubtful results
        (`Column.DOUBTFUL_COLUMNS`), which are set to missing otherwise.
    verify
        Whether the file must match the checksum recorded in its folder, if there is one.

    Returns
    -------
    pandas.DataFrame
        Shape (n_pellets, len(columns.PELLET) + 1), index 0 to n_pellets - 1: `columns.PELLET` with clean types and
        canonical formulas, and the name of the system. The flags of status and compilation are never missing.

    Raises
    ------
    DatasetError
        If the checksum differs, a required column is absent, a column is unknown, or a cell of a row that is not
        suspect is invalid.
    UnreadableFileError
        If the file is not a table.
    """
    file = datasets_folder() / PELLETS_FILE if path is None else Path(path)
    raw = read_table(file)
    if verify:
        verify_checksum(file)
    clean, findings = clean_pellets(raw)
    findings = add_lines(downgrade_suspect_errors(findings, clean), raw)
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if errors:
        first = errors[0]
        place = f", line {first.line}" if first.line is not None else f", row {first.row + 1}"
        raise DatasetError(
            f"{file}{place}: {first.message} ({len(errors)} errors in all;"
            f" 'nasicon-ml data validate {file}' lists them)"
        )
    clean[Column.SYSTEM.value] = systems_of(clean[Column.FORMULA])
    if include_suspect:
        return clean
    return without_doubtful_results(clean[~clean[Column.SUSPECT].astype(bool)].reset_index(drop=True))


def systems_of(formulas: pd.Series) -> pd.Series:
    """Return the name of the system of each formula; None for missing formulas.

    Parameters
    ----------
    formulas
        Shape (n_rows,): canonical formulas or None.

    Returns
    -------
    pandas.Series
        Shape (n_rows,), object, with the same index.
    """
    systems = np.full(len(formulas), None, dtype="object")
    is_given = formulas.notna().to_numpy()
    if is_given.any():
        table = occupancies(formulas[is_given].tolist())
        systems[is_given] = table.per_row(table.systems)
    return pd.Series(systems, index=formulas.index, dtype="object")


def clean_pellets(raw: RawTable) -> tuple[pd.DataFrame, list[Finding]]:
    """Read `columns.PELLET` of a table.

    Parameters
    ----------
    raw
        A table as read from its file.

    Returns
    -------
    pandas.DataFrame
        Shape (n_rows, len(columns.PELLET)), index 0 to n_rows - 1: clean types, canonical formulas. The flags of
        status and compilation are never missing; invalid cells are.
    list of Finding
        Errors in the header (row -1) and invalid cells, in no order, without lines.
    """
    findings = _check_header(raw.frame)
    clean, cell_findings = check_columns(raw.frame, PELLET)
    findings += cell_findings
    for flag in (Column.SUSPECT, Column.IN_OBELIX, Column.IN_LIVERPOOL):
        clean[flag] = clean[flag].eq(True).astype("object")
    clean[Column.FORMULA], formula_findings = check_formulas(clean[Column.FORMULA])
    if Column.FORMULA in raw.frame.columns:
        unreadable = {finding.row for finding in cell_findings if finding.column == Column.FORMULA}
        findings += [finding for finding in formula_findings if finding.row not in unreadable]
    return clean, findings + doubtful_column_findings(clean)


def _check_header(frame: pd.DataFrame) -> list[Finding]:
    """Return errors for absent and unknown columns."""
    names = [str(name) for name in frame.columns]
    findings = [
        _error(HEADER_ROW, column, None, "missing_column", f"the column {column.value} is absent")
        for column in REQUIRED_COLUMNS
        if column not in names
    ]
    for name in names:
        if name not in set(PELLET):
            message = f"{name!r} is not a column of the dataset. {column_hint(name, PELLET)}".strip()
            findings.append(_error(HEADER_ROW, name, name, "unknown_column", message))
    return findings


def downgrade_suspect_errors(findings: Sequence[Finding], clean: pd.DataFrame) -> list[Finding]:
    """Turn errors in suspect rows and doubtful results into warnings, if the row gives a reason.

    Errors in the header, the key, the source and the status of a row remain errors.
    """
    has_reason = clean[Column.SUSPECT_REASON].notna().to_numpy()
    is_suspect = clean[Column.SUSPECT].eq(True).to_numpy() & has_reason
    excused = {column.value: is_suspect | (rows & has_reason) for column, rows in doubtful_results(clean).items()}
    strict_columns = {Column.PELLET_ID, Column.SOURCE, *columns_of(Role.STATUS)} - {Column.NOTES}
    return [
        replace(finding, severity=Severity.WARNING)
        if finding.row != HEADER_ROW
        and finding.column not in strict_columns
        and excused.get(finding.column, is_suspect)[finding.row]
        else finding
        for finding in findings
    ]


def add_lines(findings: Sequence[Finding], raw: RawTable) -> list[Finding]:
    """Add line numbers of the file to findings, and sort them by row and column."""
    lines = raw.lines
    order = {column.value: position for position, column in enumerate(PELLET)}
    if lines is not None:
        findings = [
            replace(finding, line=1 if finding.row == HEADER_ROW else int(lines[finding.row]))
            for finding in findings
        ]
    return sorted(findings, key=lambda finding: (finding.row, order.get(finding.column, len(order)), finding.rule))


def load_sources(path: str | Path | None = None, *, verify: bool = True) -> pd.DataFrame:
    """Load the list of sources.

    Parameters
    ----------
    path
        A file of sources; by default the committed one.
    verify
        Whether the file must match the checksum recorded in its folder, if there is one.

    Returns
    -------
    pandas.DataFrame
        Shape (n_sources, len(columns.SOURCES)), index 0 to n_sources - 1; one row per source key.

    Raises
    ------
    DatasetError
        If the checksum differs, a cell is invalid, or a key is missing or repeated.
    UnreadableFileError
        If the file is not a table.
    """
    file = datasets_folder() / SOURCES_FILE if path is None else Path(path)
    raw = read_table(file)
    if verify:
        verify_checksum(file)
    clean, findings = check_columns(raw.frame, SOURCES)
    if findings:
        row = findings[0].row
        line = f", line {raw.lines[row]}" if raw.lines is not None else ""
        raise DatasetError(f"{file}{line}: {findings[0].message}")
    keys = clean[Column.SOURCE]
    if keys.isna().any():
        raise DatasetError(f"{file}: {Column.SOURCE.value} is missing in {int(keys.isna().sum())} rows")
    repeated = keys[keys.duplicated()]
    if len(repeated):
        raise DatasetError(f"{file}: the source {repeated.iloc[0]!r} occurs more than once")
    return clean
