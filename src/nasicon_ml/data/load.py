"""Loads the committed dataset, or any file like it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from nasicon_ml.checks import Severity
from nasicon_ml.columns import Column
from nasicon_ml.composition import occupancies
from nasicon_ml.data.files import PELLETS_FILE, datasets_folder, verify_checksum
from nasicon_ml.data.reading import clean_pellets, excuse_suspects, with_lines
from nasicon_ml.errors import DatasetError
from nasicon_ml.io import read_table


def load_pellets(
    path: str | Path | None = None, *, include_suspect: bool = False, verify: bool = True
) -> pd.DataFrame:
    """Load measured pellets as a clean table.

    Parameters
    ----------
    path
        A file of pellets; by default the committed dataset.
    include_suspect
        Whether rows that are marked suspect come along; their formula (and system) may be missing.
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
    return clean[~clean[Column.SUSPECT].astype(bool)].reset_index(drop=True)


def systems_of(formulas: pd.Series) -> pd.Series:
    """Give the name of each formula's system; None where the formula is missing.

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
