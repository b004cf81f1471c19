"""Reads a user's own measured pellets: the dataset's columns, of which only a formula and one result are needed.

The table stays in memory: nothing here writes, logs or sends any of it.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from nasicon_ml.checks import Finding, Severity, check_unique_columns, describe_other_places, group_by_cause
from nasicon_ml.columns import PELLET, Column, is_missing
from nasicon_ml.data.load import HEADER, clean_pellets, systems_of, with_lines, without_doubted
from nasicon_ml.data.validate import find_problems
from nasicon_ml.errors import DatasetError, TableNote
from nasicon_ml.io import RawTable, read_table, standardize_table

#: The source of pellets whose file names none.
OWN_SOURCE = "own"
#: At least one of these makes a row worth reading.
RESULTS = (
    Column.CONDUCTIVITY_TOTAL_S_CM, Column.RELATIVE_DENSITY_PCT, Column.PHASE_PURE, Column.ACTIVATION_ENERGY_EV,
)  # fmt: skip
#: Two rows that nothing tells apart are one pellet written down twice, unless the file gives them keys.
_REPLICATE = "duplicate_measurement"
_LISTED = 20


class OwnPelletsError(DatasetError):
    """Some rows of a user's own pellets are bad.

    Attributes
    ----------
    findings
        All of them, by row and column.
    """

    def __init__(self, name: str, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        causes = group_by_cause(findings)
        shown = [
            f"{_place(name, same[0])}: {same[0].message}{describe_other_places(same)} [{same[0].rule}]"
            for same in causes[:_LISTED]
        ]
        if len(causes) > _LISTED:
            shown.append(f"... and {sum(map(len, causes[_LISTED:]))} more")
        errors = "1 error" if len(findings) == 1 else f"{len(findings)} errors"
        super().__init__(
            f"{name}: {errors} in your own pellets; nothing is done with any of them\n" + "\n".join(shown)
        )


def own_pellets(own: str | Path | pd.DataFrame, *, sheet: str | None = None, strict: bool = False) -> pd.DataFrame:
    """Read one's own pellets.

    Parameters
    ----------
    own
        A file (`nasicon_ml.io.read_table`) or a table with columns of `nasicon_ml.columns.PELLET`, or what people
        call them. Obligatory are the formula and one of total conductivity, density, purity and activation energy;
        keys and a source are made up where none are given.
    sheet
        Name or number of the sheet of a workbook; the first by default.
    strict
        Whether columns that are not known are refused; otherwise they are left out.

    Returns
    -------
    pandas.DataFrame
        As `nasicon_ml.data.load.load_pellets` gives the dataset. Rows marked suspect are left out, and results
        that are doubted.

    Warns
    -----
    TableNote
        On each step by which a table was understood that is not plain.

    Raises
    ------
    OwnPelletsError
        If cells are bad: row, line, column, value and rule of each are in `findings`.
    UnreadableFileError
        If the file is not a table.
    DatasetError
        If there is no pellet in it.
    FieldError
        If a column of a table stands twice.
    """
    if isinstance(own, pd.DataFrame):
        # The system comes along with what this function gave before; it is made anew.
        own = own.drop(columns=Column.SYSTEM, errors="ignore").reset_index(drop=True)
    raw = RawTable(own, None, "own pellets") if isinstance(own, pd.DataFrame) else read_table(own, sheet=sheet)
    if raw.frame.empty:
        raise DatasetError(f"{raw.name}: there is no pellet in it")
    check_unique_columns(raw.frame)
    raw = standardize_table(raw, PELLET, strict=strict)
    for note in raw.notes:
        warnings.warn(f"{raw.name}: {note}", TableNote, stacklevel=2)
    named = _named(raw)
    findings = [finding for finding in find_problems(named) if finding.severity is Severity.ERROR]
    # Rows told apart by their keys are replicates; by a cell that cannot be read, they may be anything.
    bad = {finding.row for finding in findings if finding.rule != _REPLICATE}
    has_keys = Column.PELLET_ID in raw.frame.columns
    findings = [found for found in findings if found.rule != _REPLICATE or not (has_keys or found.row in bad)]
    clean, _ = clean_pellets(named)
    # A result that cannot be read is no missing one.
    unread = {finding.row for finding in findings if finding.column in RESULTS}
    findings += [finding for finding in _without_result(clean, raw) if finding.row not in unread]
    if findings:
        raise OwnPelletsError(raw.name, with_lines(findings, raw))
    clean[Column.SYSTEM.value] = systems_of(clean[Column.FORMULA])
    kept = without_doubted(clean[~clean[Column.SUSPECT].astype(bool)].reset_index(drop=True))
    if kept.empty:
        raise DatasetError(f"{raw.name}: all of its pellets are marked suspect")
    return kept


def made_up_key(row: int) -> str:
    """Return the key of a pellet in a row, from 0, that has none of its own."""
    return f"{OWN_SOURCE}-{row + 1}"


def own_checksum(pellets: pd.DataFrame) -> str:
    """Return the SHA-256 of pellets as they were understood, whatever the format of their file."""
    return hashlib.sha256(pellets.to_csv(index=False, lineterminator="\n").encode()).hexdigest()


def refuse_known_sources(pellets: pd.DataFrame, known: Collection[str]) -> None:
    """Refuse own pellets whose source is one of the dataset: theirs and its pellets would be one work.

    Raises
    ------
    DatasetError
        Naming the first such source and its row.
    """
    clash = np.flatnonzero(pellets[Column.SOURCE].isin(list(known)).to_numpy())
    if len(clash):
        source = pellets[Column.SOURCE].iloc[clash[0]]
        raise DatasetError(
            f"{Column.SOURCE}: {source!r} of pellet {pellets[Column.PELLET_ID].iloc[clash[0]]!r} is a source of"
            f" the dataset; allowed: a key of your own, such as {OWN_SOURCE!r} (or no {Column.SOURCE} column). If"
            " the pellets are those of that work, they are in the dataset already"
        )


def _named(raw: RawTable) -> RawTable:
    """Fill in the keys and the source that rows lack."""
    frame = raw.frame.copy()
    count = len(frame)
    made_up = {Column.PELLET_ID: [made_up_key(row) for row in range(count)]}
    made_up[Column.SOURCE] = [OWN_SOURCE] * count
    for column, values in made_up.items():
        name = column.value
        cells = frame[name].tolist() if name in frame.columns else [None] * count
        frame[name] = [value if is_missing(cell) else cell for cell, value in zip(cells, values, strict=True)]
    return replace(raw, frame=frame)


def _without_result(clean: pd.DataFrame, raw: RawTable) -> list[Finding]:
    names = [column.value for column in RESULTS]
    if not any(name in raw.frame.columns for name in names):
        message = f"none of the columns {', '.join(names)} is there, and own pellets need one result at least"
        return [Finding(HEADER, names[0], None, "missing_column", Severity.ERROR, message)]
    empty = clean[names].isna().all(axis=1).to_numpy()
    message = f"no result: one of {', '.join(names)} is needed"
    return [
        Finding(int(row), names[0], None, "missing_result", Severity.ERROR, message)
        for row in np.flatnonzero(empty)
    ]


def _place(name: str, finding: Finding) -> str:
    if finding.row == HEADER:
        return f"{name}, header"
    if finding.line is not None:
        return f"{name}, line {finding.line}"
    return f"{name}, row {finding.row + 1}"
