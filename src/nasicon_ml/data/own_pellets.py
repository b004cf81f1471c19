"""Read a user's own measured pellets, with the columns of the dataset; only a formula and one result are required.

The table stays in memory: this module does not write, log or send any of it.
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
from nasicon_ml.data.load import HEADER_ROW, add_lines, clean_pellets, systems_of, without_doubtful_results
from nasicon_ml.data.validate import find_problems
from nasicon_ml.errors import DatasetError, TableNote
from nasicon_ml.io import RawTable, read_table, standardize_table

#: Source of pellets whose file does not name one.
OWN_SOURCE = "own"
#: Each row must have at least one of these.
RESULTS = (
    Column.CONDUCTIVITY_TOTAL_S_CM, Column.RELATIVE_DENSITY_PCT, Column.PHASE_PURE, Column.ACTIVATION_ENERGY_EV,
)  # fmt: skip
#: Rule about rows that do not differ; they are replicates if the file has keys, and duplicates otherwise.
_DUPLICATE_RULE = "duplicate_measurement"
_MAX_LISTED = 20


class OwnPelletsError(DatasetError):
    """A table of a user's own pellets has invalid rows.

    Attributes
    ----------
    findings
        All errors, by row and column.
    """

    def __init__(self, name: str, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        causes = group_by_cause(findings)
        shown = [
            f"{_place(name, same[0])}: {same[0].message}{describe_other_places(same)} [{same[0].rule}]"
            for same in causes[:_MAX_LISTED]
        ]
        if len(causes) > _MAX_LISTED:
            shown.append(f"... and {sum(map(len, causes[_MAX_LISTED:]))} more")
        errors = "1 error" if len(findings) == 1 else f"{len(findings)} errors"
        super().__init__(
            f"{name}: {errors} in your own pellets; nothing is done with any of them\n" + "\n".join(shown)
        )


def own_pellets(own: str | Path | pd.DataFrame, *, sheet: str | None = None, strict: bool = False) -> pd.DataFrame:
    """Read a table of own pellets.

    Parameters
    ----------
    own
        A file (`nasicon_ml.io.read_table`) or a table with columns of `nasicon_ml.columns.PELLET` under their own
        or other usual names. The formula and one of total conductivity, density, purity and activation energy are
        required; missing keys and sources are generated.
    sheet
        Name or number of the sheet of a workbook; the first by default.
    strict
        Whether unknown columns raise an error instead of being ignored.

    Returns
    -------
    pandas.DataFrame
        Table like that of `nasicon_ml.data.load.load_pellets`, without suspect rows and doubtful results.

    Warns
    -----
    TableNote
        For each interpretation of the table that is not obvious.

    Raises
    ------
    OwnPelletsError
        If cells are invalid; `findings` has the row, line, column, value and rule of each.
    UnreadableFileError
        If the file is not a table.
    DatasetError
        If the table has no pellet.
    FieldError
        If a column occurs twice.
    """
    if isinstance(own, pd.DataFrame):
        # Tables returned by this function have a column of systems, which is computed again.
        frame = own.drop(columns=Column.SYSTEM, errors="ignore").reset_index(drop=True)
        raw = RawTable(frame, None, "own pellets")
    else:
        raw = read_table(own, sheet=sheet)
    if raw.frame.empty:
        raise DatasetError(f"{raw.name}: there is no pellet in it")
    check_unique_columns(raw.frame)
    raw = standardize_table(raw, PELLET, strict=strict)
    for note in raw.notes:
        warnings.warn(f"{raw.name}: {note}", TableNote, stacklevel=2)
    completed = _with_keys_and_sources(raw)
    findings = [finding for finding in find_problems(completed) if finding.severity is Severity.ERROR]
    # Equal rows with different keys are replicates; equal rows with invalid cells may differ in these.
    invalid = {finding.row for finding in findings if finding.rule != _DUPLICATE_RULE}
    has_keys = Column.PELLET_ID in raw.frame.columns
    findings = [f for f in findings if f.rule != _DUPLICATE_RULE or not (has_keys or f.row in invalid)]
    clean, _ = clean_pellets(completed)
    unreadable = {finding.row for finding in findings if finding.column in RESULTS}
    findings += [finding for finding in _missing_result_findings(clean, raw) if finding.row not in unreadable]
    if findings:
        raise OwnPelletsError(raw.name, add_lines(findings, raw))
    clean[Column.SYSTEM.value] = systems_of(clean[Column.FORMULA])
    kept = without_doubtful_results(clean[~clean[Column.SUSPECT].astype(bool)].reset_index(drop=True))
    if kept.empty:
        raise DatasetError(f"{raw.name}: all of its pellets are marked suspect")
    return kept


def generated_key(row: int) -> str:
    """Return the key for the pellet in a row, counted from 0, without a key."""
    return f"{OWN_SOURCE}-{row + 1}"


def own_checksum(pellets: pd.DataFrame) -> str:
    """Return the SHA-256 of cleaned pellets, which does not depend on the format of their file."""
    return hashlib.sha256(pellets.to_csv(index=False, lineterminator="\n").encode()).hexdigest()


def refuse_known_sources(pellets: pd.DataFrame, known: Collection[str]) -> None:
    """Raise an error if a source of own pellets is one of the dataset, since both would count as one work.

    Raises
    ------
    DatasetError
        If there is such a source; it names the first one and its pellet.
    """
    clash = np.flatnonzero(pellets[Column.SOURCE].isin(list(known)).to_numpy())
    if len(clash):
        source = pellets[Column.SOURCE].iloc[clash[0]]
        raise DatasetError(
            f"{Column.SOURCE}: {source!r} of pellet {pellets[Column.PELLET_ID].iloc[clash[0]]!r} is a source of"
            f" the dataset; allowed: a key of your own, such as {OWN_SOURCE!r} (or no {Column.SOURCE} column). If"
            " the pellets are those of that work, they are in the dataset already"
        )


def _with_keys_and_sources(raw: RawTable) -> RawTable:
    """Fill in missing keys and sources."""
    frame = raw.frame.copy()
    defaults = {
        Column.PELLET_ID: [generated_key(row) for row in range(len(frame))],
        Column.SOURCE: [OWN_SOURCE] * len(frame),
    }
    for column, values in defaults.items():
        name = column.value
        cells = frame[name].tolist() if name in frame.columns else [None] * len(frame)
        frame[name] = [value if is_missing(cell) else cell for cell, value in zip(cells, values, strict=True)]
    return replace(raw, frame=frame)


def _missing_result_findings(clean: pd.DataFrame, raw: RawTable) -> list[Finding]:
    names = [column.value for column in RESULTS]
    if not any(name in raw.frame.columns for name in names):
        message = f"none of the columns {', '.join(names)} is there, and own pellets need one result at least"
        return [Finding(HEADER_ROW, names[0], None, "missing_column", Severity.ERROR, message)]
    rows = np.flatnonzero(clean[names].isna().all(axis=1)).tolist()
    message = f"no result: one of {', '.join(names)} is needed"
    return [Finding(row, names[0], None, "missing_result", Severity.ERROR, message) for row in rows]


def _place(name: str, finding: Finding) -> str:
    if finding.row == HEADER_ROW:
        return f"{name}, header"
    if finding.line is not None:
        return f"{name}, line {finding.line}"
    return f"{name}, row {finding.row + 1}"
