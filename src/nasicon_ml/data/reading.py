"""Reads a table of pellets into clean values; everything that is wrong comes back as a list of findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from nasicon_ml.checks import Finding, Severity, check_columns
from nasicon_ml.columns import PELLET, Column
from nasicon_ml.composition import check_formulas
from nasicon_ml.io import RawTable
from nasicon_ml.recipe.rules import column_hint

#: Without these a file is no list of pellets.
OBLIGATORY = (Column.PELLET_ID, Column.SOURCE, Column.FORMULA)
#: The row of a finding about the header.
HEADER = -1


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
    return clean, findings


def _check_header(frame: pd.DataFrame) -> list[Finding]:
    """Find columns that are absent or unknown."""
    names = [str(name) for name in frame.columns]
    absent = [
        Finding(
            HEADER, column.value, None, "missing_column", Severity.ERROR, f"the column {column.value} is absent"
        )
        for column in OBLIGATORY
        if column not in names
    ]
    known = set(PELLET)
    unknown = [
        Finding(
            HEADER,
            name,
            name,
            "unknown_column",
            Severity.ERROR,
            f"{name!r} is not a column of the dataset. {column_hint(name, PELLET)}".strip(),
        )
        for name in names
        if name not in known
    ]
    return absent + unknown


def excuse_suspects(findings: Sequence[Finding], clean: pd.DataFrame) -> list[Finding]:
    """Turn errors about values into warnings where the row is suspect and says why.

    What identifies a row (its key, its source) and the header are never excused.
    """
    excused = (clean[Column.SUSPECT].eq(True) & clean[Column.SUSPECT_REASON].notna()).to_numpy()
    never = {Column.PELLET_ID.value, Column.SOURCE.value, Column.SUSPECT.value, Column.SUSPECT_REASON.value}
    return [
        replace(finding, severity=Severity.WARNING)
        if finding.row != HEADER and excused[finding.row] and finding.column not in never
        else finding
        for finding in findings
    ]


def with_lines(findings: Sequence[Finding], raw: RawTable) -> list[Finding]:
    """Add the line of the file to findings, and sort them by row and column."""
    lines = raw.lines
    order = {column.value: position for position, column in enumerate(PELLET)}
    placed = [
        finding
        if lines is None
        else replace(finding, line=1 if finding.row == HEADER else int(lines[finding.row]))
        for finding in findings
    ]
    return sorted(placed, key=lambda finding: (finding.row, order.get(finding.column, len(order)), finding.rule))
