"""Rows of a CSV that holds no quotation mark and whose rows nearly all have as many commas, read as columns.

So are nearly all large ones. What is read here is what the row-by-row reader would have read, in a fraction of its
time and memory: a text that stands in many rows is kept once.
"""

from __future__ import annotations

import csv
import io

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Positions = NDArray[np.int64]
Texts = NDArray[np.object_]
_FEED, _COMMA = 0x0A, 0x2C
#: A file with more short rows than this is left to the other reader.
_MOST_SHORT = 10_000


def read_even_rows(text: str, header_line: int, columns: int) -> tuple[list[Texts], Positions] | None:
    """Read all rows below the header.

    Parameters
    ----------
    text
        The whole file.
    header_line
        Line of the header, the first being 1.
    columns
        Number of columns that the header names.

    Returns
    -------
    tuple of (list of object arrays, int64 array), or None
        The cells of each column, and the line of each row; rows that are blank are left out. None if the file is
        not so plain.
    """
    if '"' in text or columns < 1:
        return None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    data = text.encode("utf-8")
    starts, ends = _lines(data, header_line)
    if not len(starts):
        return [np.zeros(0, dtype="object")] * columns, np.zeros(0, dtype=np.int64)
    marks = np.frombuffer(data, dtype=np.uint8)
    commas = np.flatnonzero(marks == _COMMA)
    counts = np.searchsorted(commas, ends) - np.searchsorted(commas, starts)
    filled = ends > starts
    missing = np.where(filled, columns - 1 - counts, 0)
    # A row that is too long is a matter for words, and a cell that never ends for the other reader's limit.
    if (
        missing.min() < 0
        or np.count_nonzero(missing) > _MOST_SHORT
        or (ends - starts).max() > csv.field_size_limit()
    ):
        return None
    cells = _cells(_filled_up(data, ends, missing)[starts[0] :], columns)
    cells = [column[filled] for column in cells]
    stated = ~_blank(cells)
    lines = header_line + 1 + np.flatnonzero(filled)[stated]
    return [column[stated] for column in cells], lines.astype(np.int64)


def _lines(data: bytes, header_line: int) -> tuple[Positions, Positions]:
    """Find where each line below the header begins and ends."""
    feeds = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == _FEED).astype(np.int64)
    ends = feeds if data.endswith(b"\n") else np.append(feeds, len(data))
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64)
    return starts[header_line:], ends[header_line:]


def _filled_up(data: bytes, ends: Positions, missing: Positions) -> bytes:
    """Put the commas that are missing behind each line that is too short."""
    pieces, position = [], 0
    for line in np.flatnonzero(missing).tolist():
        end = int(ends[line])
        pieces += [data[position:end], b"," * int(missing[line])]
        position = end
    return b"".join([*pieces, data[position:]]) if pieces else data


def _cells(data: bytes, columns: int) -> list[Texts]:
    """Read the cells of all lines, an empty line as a row of empty cells."""
    frame = pd.read_csv(
        io.BytesIO(data), header=None, names=range(columns), index_col=False, dtype="object", na_filter=False,
        quoting=csv.QUOTE_NONE, skip_blank_lines=False, engine="c", low_memory=False, lineterminator="\n",
        encoding="utf-8",
    )  # fmt: skip
    return [frame[name].to_numpy(dtype="object") for name in frame.columns]


def _blank(cells: list[Texts]) -> NDArray[np.bool_]:
    """Find rows without anything in them."""
    rows = np.arange(len(cells[0]))
    for column in cells:
        rows = rows[[not cell.strip() for cell in column[rows]]]
        if not len(rows):
            break
    blank = np.zeros(len(cells[0]), dtype=bool)
    blank[rows] = True
    return blank
