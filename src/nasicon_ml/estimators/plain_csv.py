"""Reads the CSV files of a bundle to the letter: every row as long as the header, which is the one expected.

A reader that guesses (types, an index, missing columns) has no place where a file may come from a stranger.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def read_cells(text: str, columns: Sequence[str]) -> dict[str, list[str]]:
    """Give the cells of each column as text.

    Parameters
    ----------
    text
        The whole file.
    columns
        What its first line has to name, in this order.

    Returns
    -------
    dict
        Column -> cells, all of the same length.

    Raises
    ------
    ValueError
        If the header is another, or a row has too few or too many cells; it names the line.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[list[str]] = []
    try:
        header = next(reader, [])
        if header != list(columns):
            raise ValueError(f"line 1: the columns are not the {len(columns)} of a bundle of this format")
        for row in reader:
            if len(row) != len(columns):
                raise ValueError(f"line {reader.line_num}: {len(row)} cells instead of {len(columns)}")
            rows.append(row)
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from None
    if not rows:
        return {name: [] for name in columns}
    return {name: list(cells) for name, cells in zip(columns, zip(*rows, strict=True), strict=True)}


def read_numbers(cells: Sequence[str], name: str, *, may_be_missing: bool) -> NDArray[np.float64]:
    """Turn the cells of a column into numbers, empty ones into NaN; shape (n,).

    Raises
    ------
    ValueError
        If a cell is no number, or empty where none may be missing; it names the row.
    """
    try:
        found = np.array([float(cell) if cell else np.nan for cell in cells], dtype=np.float64)
    except ValueError:
        found = np.array([np.nan if _is_no_number(cell) else 0.0 for cell in cells])
    stated = np.array([bool(cell) for cell in cells], dtype=bool) if may_be_missing else True
    wrong = np.flatnonzero(np.isnan(found) & stated)
    if len(wrong):
        raise ValueError(f"{name}, row {wrong[0] + 1}: {cells[wrong[0]][:40]!r} is not a number")
    return found


def _is_no_number(cell: str) -> bool:
    try:
        return math.isnan(float(cell))
    except ValueError:
        return True
