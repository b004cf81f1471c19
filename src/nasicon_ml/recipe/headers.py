"""What people call columns, and the columns they mean."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from nasicon_ml.columns import Column
from nasicon_ml.errors import LONGEST_NAME

#: A name and its value of x stand in two columns; a formula says both.
NAME_AND_X = 'Write the system and its x into the formula column, as in "LATP x=0.3".'
_BRACKETS = re.compile(r"[(\[{][^)\]}]*[)\]}]")
_OTHER_SIGNS = re.compile(r"[\W_]+")
#: What people leave out of our names: units at the end, and that a conductivity is total or a density relative.
_LEFT_OUT = re.compile(r"^relative_|(?:_total)?_(?:c|h|um|nm|c_min|mpa|s_cm|ev|pct|angstrom)$")


def plain_name(name: object) -> str:
    """Write a column's name our way: lower case, underscores, no brackets."""
    return _OTHER_SIGNS.sub("_", _BRACKETS.sub(" ", str(name)).lower()).strip("_")


def column_meant(name: object, columns: Iterable[Column] = Column) -> str:
    """Guess which column a name stands for.

    Parameters
    ----------
    name
        A name that is no column, such as ``Sintering Temperature (°C)``.
    columns
        Those it may stand for.

    Returns
    -------
    str
        The column's name; empty if it resembles none.
    """
    known = {column.value: column.value for column in columns}
    for value in list(known):
        known.setdefault(_LEFT_OUT.sub("", value), value)
    written = re.sub(r"temp(?=_|$)", "temperature", plain_name(name))
    close = difflib.get_close_matches(written, known, n=1, cutoff=0.65)
    return known[close[0]] if close else ""


def column_hint(name: object, columns: Iterable[Column] = Column) -> str:
    """Say which column a name stands for, or where x belongs, as a sentence; empty if nothing can be guessed."""
    if len(str(name)) > LONGEST_NAME:
        return ""
    if plain_name(name) in {"x", Column.SYSTEM.value}:
        return NAME_AND_X
    meant = column_meant(name, columns)
    return f"Did you mean {meant!r}?" if meant else ""
