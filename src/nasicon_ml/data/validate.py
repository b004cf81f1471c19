"""Checks a file of pellets against the vocabulary and the rules, and reports everything at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import astuple, fields, replace
from pathlib import Path

import pandas as pd

from nasicon_ml.checks import Finding, Severity, kelvin_findings
from nasicon_ml.columns import Column
from nasicon_ml.data import contradictions, rules
from nasicon_ml.data.files import SOURCES_FILE
from nasicon_ml.data.reading import HEADER, clean_pellets, excuse_suspects, with_lines
from nasicon_ml.data.sources import load_sources
from nasicon_ml.errors import NasiconError
from nasicon_ml.io import RawTable, read_table

#: The columns of a table of findings.
FINDING_COLUMNS = tuple(field.name for field in fields(Finding))


def find_problems(raw: RawTable, sources: Collection[str] | None = None) -> list[Finding]:
    """Check a table of pellets.

    Parameters
    ----------
    raw
        The table as it stands in its file.
    sources
        The keys of the known sources; None if there is no list to check against.

    Returns
    -------
    list of Finding
        Everything that is wrong, by row and column. Row -1 is the header. Errors about the values of a row that
        is marked suspect, with the reason, are warnings.
    """
    clean, findings = clean_pellets(raw)

    def place(row: int) -> str:
        key = clean[Column.PELLET_ID][row]
        where = f"line {raw.lines[row]}" if raw.lines is not None else f"row {row + 1}"
        return f"{where} ({key})" if key else where

    found = rules.total_above_bulk(clean)
    found += kelvin_findings(clean)
    found += rules.additives(clean)
    found += rules.bounds(clean)
    found += rules.purity(clean)
    found += rules.suspicion(clean)
    found += rules.keys(clean, place)
    found += rules.source_known(clean, sources)
    found += rules.duplicates(clean, place)
    found += contradictions.contradictions(clean, place)
    found += contradictions.shared_authors(clean, place)
    # A cell that could not be read is missing from the clean table; that it is missing is no second mistake.
    unread = {(finding.row, finding.column) for finding in findings}
    findings = rules.escalate_charges(findings, clean)
    findings += [finding for finding in found if (finding.row, finding.column) not in unread]
    return with_lines(excuse_suspects(_as_written(findings, raw), clean), raw)


def count_problems(path: str | Path) -> dict[str, int]:
    """Count what is wrong with a file of pellets, held against the list of sources beside it, if there is one.

    Returns
    -------
    dict
        "errors" and "warnings". A list of sources that cannot be read counts as one error.

    Raises
    ------
    UnreadableFileError
        If the file is not a table.
    """
    beside = Path(path).parent / SOURCES_FILE
    unreadable, known = 0, None
    if beside.is_file():
        try:
            known = set(load_sources(beside)[Column.SOURCE])
        except NasiconError:
            unreadable = 1
    found = find_problems(read_table(path), known)
    errors = sum(finding.severity is Severity.ERROR for finding in found)
    return {"errors": errors + unreadable, "warnings": len(found) - errors}


def _as_written(findings: Sequence[Finding], raw: RawTable) -> list[Finding]:
    """Show each cell as it stands in the file, not as it was understood."""
    cells = {str(name): raw.frame[name].to_numpy(dtype=object) for name in raw.frame.columns}
    return [
        replace(found, value=cells[found.column][found.row])
        if found.row != HEADER and found.column in cells
        else found
        for found in findings
    ]


def findings_table(findings: Sequence[Finding]) -> pd.DataFrame:
    """Put findings into a table, one row each.

    Returns
    -------
    pandas.DataFrame
        Shape (n_findings, 7): row (0-based; -1 is the header), column, value, rule, severity, message, line.
    """
    return pd.DataFrame([astuple(finding) for finding in findings], columns=list(FINDING_COLUMNS), dtype="object")


def validate_pellets(raw: RawTable, sources: pd.DataFrame | None = None) -> pd.DataFrame:
    """Check a table of pellets and give all findings as a table.

    Parameters
    ----------
    raw
        The table as it stands in its file.
    sources
        The list of sources (`load_sources`); None if there is none to check against.

    Returns
    -------
    pandas.DataFrame
        What `findings_table` gives.
    """
    known = None if sources is None else set(sources[Column.SOURCE])
    return findings_table(find_problems(raw, known))
