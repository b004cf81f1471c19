"""Loads pellets from the dataset; results that are doubted one by one are left out."""

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


def doubted(clean: pd.DataFrame) -> dict[Column, NDArray[np.bool_]]:
    """Return which results of which rows are doubted: column -> mask of shape (n,); bounds with their numbers."""
    cells = clean[Column.DOUBTFUL_COLUMNS]
    found: dict[Column, NDArray[np.bool_]] = {}
    for row in np.flatnonzero(cells.notna()).tolist():
        for column in (_RESULTS[name] for name in split_cell(cells.iloc[row]) if name in _RESULTS):
            for one in (column, BOUND_OF.get(column)):  # a bound says nothing without its number
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
        unknown = [name for name in split_cell(cells[row]) if name not in _RESULTS]
        if unknown:
            allowed = f"columns of results, separated by {SEPARATOR!r}: {', '.join(_RESULTS)}"
            error = FieldError(Column.DOUBTFUL_COLUMNS, unknown[0], allowed, nearest(unknown[0], _RESULTS))
            found.append(_error(row, Column.DOUBTFUL_COLUMNS, cells[row], "unknown_result", error.message))
        if not reasons[row]:
            words = f"{Column.SUSPECT_REASON}: is missing; say why {cells[row]} is doubted"
            found.append(_error(row, Column.SUSPECT_REASON, None, "doubt_without_reason", words))
    return found


def _error(row: int, column: str, value: object, rule: str, message: str) -> Finding:
    return Finding(row, str(column), value, rule, Severity.ERROR, message)


#: Without these a file is no list of pellets.
OBLIGATORY = (Column.PELLET_ID, Column.SOURCE, Column.FORMULA)
#: The row of a finding about the header.
HEADER = -1


def load_pellets(
    path: str | Path | None = None, *, include_suspect: bool = False, verify: bool = True
) -> pd.DataFrame:
    """Load measured pellets as a clean table.

    Parameters
    ----------
    path
        A file of pellets; by default the committed dataset.
    include_suspect
        Whether rows that are marked suspect come along, and single results that are doubted
        (`Column.DOUBTFUL_COLUMNS`), which are blank otherwise; formula (and system) of the former may be missing.
    verify
        Whether the file must have the checksum that is recorded beside it (if one is).

    Returns
    -------
    pandas.DataFrame
        Shape (n_pellets, len(columns.PELLET) + 1), index 0 to n_pellets - 1: `columns.PELLET` with clean types and
        canonical formulas, and the name of the system. The flags of status and compilation are never missing.

    Raises
    ------
    DatasetError
        If the checksum differs, an obligatory column is absent, a column is unknown, or a cell of a row that is
        not suspect cannot be read.
    UnreadableFileError
        If the file is not a table.
    """
    file = datasets_folder() / PELLETS_FILE if path is None else Path(path)
    raw = read_table(file)
    if verify:
        verify_checksum(file)
    clean, findings = clean_pellets(raw)
    errors = [
        finding
        for finding in with_lines(excuse_suspects(findings, clean), raw)
        if finding.severity is Severity.ERROR
    ]
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
    return without_doubted(clean[~clean[Column.SUSPECT].astype(bool)].reset_index(drop=True))


def systems_of(formulas: pd.Series) -> pd.Series:
    """Return the name of each formula's system; None where the formula is missing.

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
    stated = formulas.notna().to_numpy()
    if stated.any():
        table = occupancies(formulas[stated].tolist())
        systems[stated] = table.per_row(table.systems)
    return pd.Series(systems, index=formulas.index, dtype="object")


def clean_pellets(raw: RawTable) -> tuple[pd.DataFrame, list[Finding]]:
    """Read `columns.PELLET` of a table.

    Parameters
    ----------
    raw
        A table as it stands in its file.

    Returns
    -------
    pandas.DataFrame
        Shape (n_rows, len(columns.PELLET)), index 0 to n_rows - 1: clean types, canonical formulas, flags of the
        status and of the compilations never missing. A bad cell is missing.
    list of Finding
        About the header (row -1) and about cells that cannot be read, in no order, without lines.
    """
    findings = _check_header(raw.frame)
    clean, bad_cells = check_columns(raw.frame, PELLET)
    findings += bad_cells
    for flag in (Column.SUSPECT, Column.IN_OBELIX, Column.IN_LIVERPOOL):
        clean[flag] = clean[flag].eq(True).astype("object")
    clean[Column.FORMULA], bad_formulas = check_formulas(clean[Column.FORMULA])
    if Column.FORMULA in raw.frame.columns:
        unread = {finding.row for finding in bad_cells if finding.column == Column.FORMULA}
        findings += [finding for finding in bad_formulas if finding.row not in unread]
    return clean, findings + doubt_findings(clean)


def _check_header(frame: pd.DataFrame) -> list[Finding]:
    """Find columns that are absent or unknown."""
    names = [str(name) for name in frame.columns]
    absent = [
        _error(HEADER, column, None, "missing_column", f"the column {column.value} is absent")
        for column in OBLIGATORY
        if column not in names
    ]
    for name in names:
        if name not in set(PELLET):
            words = f"{name!r} is not a column of the dataset. {column_hint(name, PELLET)}".strip()
            absent.append(_error(HEADER, name, name, "unknown_column", words))
    return absent


def excuse_suspects(findings: Sequence[Finding], clean: pd.DataFrame) -> list[Finding]:
    """Turn errors about values into warnings where the row is suspect, or the value doubted, and says why.

    What identifies a row (its key, its source) and the header are never excused.
    """
    reason = clean[Column.SUSPECT_REASON].notna().to_numpy()
    suspect = clean[Column.SUSPECT].eq(True).to_numpy() & reason
    excused = {column.value: suspect | (rows & reason) for column, rows in doubted(clean).items()}
    never = {
        column.value for column in (Column.PELLET_ID, Column.SOURCE, *columns_of(Role.STATUS))
        if column is not Column.NOTES
    }  # fmt: skip
    return [
        replace(finding, severity=Severity.WARNING)
        if finding.row != HEADER
        and finding.column not in never
        and excused.get(finding.column, suspect)[finding.row]
        else finding
        for finding in findings
    ]


def with_lines(findings: Sequence[Finding], raw: RawTable) -> list[Finding]:
    """Add the line of the file to findings, and sort them by row and column."""
    lines = raw.lines
    order = {column.value: position for position, column in enumerate(PELLET)}
    if lines is not None:
        findings = [
            replace(finding, line=1 if finding.row == HEADER else int(lines[finding.row])) for finding in findings
        ]
    return sorted(findings, key=lambda finding: (finding.row, order.get(finding.column, len(order)), finding.rule))


def load_sources(path: str | Path | None = None, *, verify: bool = True) -> pd.DataFrame:
    """Load the list of sources.

    Parameters
    ----------
    path
        A file of sources; by default the committed one.
    verify
        Whether the file must have the checksum that is recorded beside it (if one is).

    Returns
    -------
    pandas.DataFrame
        Shape (n_sources, len(columns.SOURCES)), index 0 to n_sources - 1; one row per source key.

    Raises
    ------
    DatasetError
        If the checksum differs, a cell cannot be read, or a key is missing or repeated.
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
        raise DatasetError(f"{file}: the source {repeated.iloc[0]!r} stands more than once")
    return clean
