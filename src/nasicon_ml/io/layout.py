"""Where the table stands in a sheet or a text: titles and remarks above the header, an index in front of it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from nasicon_ml.checks import listed
from nasicon_ml.columns import Column
from nasicon_ml.errors import UnreadableFileError
from nasicon_ml.io.headers import meaning_of
from nasicon_ml.io.raw import MAX_COLUMNS, RawTable, refuse_repeated

#: Rows among which the header is looked for.
MOST_ABOVE = 20
_NUMBER = re.compile(r"[+-]?\d+([.,]\d*)?([eE][+-]?\d+)?")
#: Errors that a spreadsheet writes into cells begin like remarks.
_ERROR = re.compile(r"#(N/A|NV|REF!|DIV/0!|VALUE!|NAME\?|NUM!|NULL!|WERT!|BEZUG!|ZAHL!)")
_UNNAMED = re.compile(r"(Unnamed: \d+(_level_\d+)?)?")

Rows = Iterator[tuple[int, list[str]]]


def known_names(cells: Sequence[str]) -> int:
    """Count the cells that name a column of ours."""
    return sum(meaning_of(cell) is not None for cell in _names(cells[:MAX_COLUMNS]))


def _names(cells: Sequence[str]) -> list[str]:
    """Return the names in a header; the mark of a remark in front of it is none of them."""
    names = [cell.strip() for cell in cells]
    if names and names[0].startswith("#") and meaning_of(names[0].lstrip("# ")):
        names[0] = names[0].lstrip("# ")
    return names


def find_header(records: Rows, name: str, *, nameless: bool = False) -> tuple[int, list[str], list[str], Rows]:
    """Find the header: the first row that names a column of formulas; else the first that is no remark.

    Parameters
    ----------
    records
        Rows that are not blank, with their lines.
    name
        What messages call the file.
    nameless
        Whether there may be columns without a name.

    Returns
    -------
    tuple of (int, list of str, list of str, iterator)
        The line, the names, what there is to say about the rows above, and the rows below.

    Raises
    ------
    UnreadableFileError
        If there is no header, or a name stands in it twice or not at all.
    """
    first = list(itertools.islice(records, MOST_ABOVE))
    rows = [_names(cells) for _, cells in first]
    formulas = [
        any((m := meaning_of(cell)) and m.column is Column.FORMULA for cell in names[:MAX_COLUMNS])
        for names in rows
    ]
    plain = [not names[0].startswith("#") or known_names(names) > 0 for names in rows]
    if not any(plain):
        raise UnreadableFileError(f"{name}: the file is empty")
    place = (formulas if any(formulas) else plain).index(True)
    line, header = first[place][0], rows[place]
    while header and not header[-1]:
        header.pop()
    _check_header(header, line, name, nameless)
    above = [first[row][0] for row in range(place)]
    notes = [f"{listed(above, 'line')} above the header passed over"] if above else []
    return line, header, notes, itertools.chain(first[place + 1 :], records)


def _check_header(header: list[str], line: int, name: str, nameless: bool) -> None:
    if not known_names(header) and any(_NUMBER.fullmatch(cell) for cell in header):
        raise UnreadableFileError(
            f"{name}, line {line}: the first row holds data, not column names; put the names of the columns"
            " (for example formula,sintering_temperature_c) above it"
        )
    refuse_repeated(header, f"{name}, line {line}")
    for position, cell in enumerate(header[1:], start=2):
        if not cell and not nameless:
            raise UnreadableFileError(f"{name}, line {line}: column {position} has no name")


def is_remark(cells: Sequence[str], header: Sequence[str]) -> bool:
    """Whether a row below the header is a remark: it begins with #, and is no pellet that is called #5."""
    first = cells[0].strip()
    if not first.startswith("#") or _ERROR.fullmatch(first):
        return False
    meant = meaning_of(header[0]) if header else None
    is_name = meant is not None and meant.column is Column.PELLET_ID
    return not (is_name and len(cells) == len(header))


def without_index(table: RawTable) -> RawTable:
    """Leave out a first column without a name that counts the rows, or take it for the names of the pellets.

    Raises
    ------
    UnreadableFileError
        If it is neither.
    """
    frame = table.frame
    names = [str(name) for name in frame.columns]
    if not names or not _UNNAMED.fullmatch(names[0]):
        return table
    cells = [str(cell).strip() for cell in frame.iloc[:, 0]]
    if all(re.fullmatch(r"\d*", cell) for cell in cells):
        note = ["the first column, which has no name, passed over as an index"] if any(cells) else []
        return replace(table, frame=frame.iloc[:, 1:]).noting(*note)
    if Column.PELLET_ID in {meant.column for name in names if (meant := meaning_of(name))}:
        raise UnreadableFileError(f"{table.name}: column 1 has no name")
    frame = frame.set_axis([Column.PELLET_ID.value, *names[1:]], axis="columns")
    return replace(table, frame=frame).noting(f"the first column, which has no name, read as {Column.PELLET_ID}")
