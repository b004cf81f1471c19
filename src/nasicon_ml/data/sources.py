"""The list of sources: the works from which the pellets come, and how to cite them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from nasicon_ml.checks import check_columns
from nasicon_ml.columns import SOURCES, Column
from nasicon_ml.data.files import SOURCES_FILE, datasets_folder, verify_checksum
from nasicon_ml.errors import DatasetError
from nasicon_ml.io import read_table

#: What separates several values in one cell.
SEPARATOR = ";"


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


def citation(source: Mapping[str, Any] | pd.Series) -> str:
    """Put what is known of a source into one line.

    Parameters
    ----------
    source
        One row of the list of sources.

    Returns
    -------
    str
        Authors, year, title and DOI as far as known; where the work itself is not identified, the key under
        which it was read.
    """

    def known(column: Column) -> str:
        value = source.get(column.value)
        return value if isinstance(value, str) else ""

    authors, year, title = known(Column.AUTHORS), known(Column.YEAR), known(Column.TITLE)
    head = f"{authors} ({year})" if authors and year else authors or (f"({year})" if year else "")
    links = " ".join(f"https://doi.org/{doi}" for doi in known(Column.DOI).split(SEPARATOR) if doi)
    parts = [part.rstrip(".") for part in (head, title, links) if part]
    if not parts:
        parts = [f"work not identified, read as {known(Column.READING) or known(Column.SOURCE)}"]
    places = [_place(place) for place in known(Column.CITED_IN).split(SEPARATOR) if place and place not in links]
    read_in = f"; read in {', '.join(places)}" if places else ""
    return f"{'. '.join(parts)}{read_in}"


def _place(place: str) -> str:
    """Write a DOI as a link, anything else as it is."""
    return f"https://doi.org/{place}" if place.startswith("10.") else place
