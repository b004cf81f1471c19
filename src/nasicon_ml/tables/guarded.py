"""Cells of a CSV that a spreadsheet would take for a formula and run: they are marked as text.

A cell that begins with ``=``, ``+``, ``-`` or ``@``, or a full-width form of one, is written with an apostrophe
in front, the mark that spreadsheets themselves use for text. The reader takes it away again, so nothing is lost.
Numbers are left alone.
"""

from __future__ import annotations

import re

_SIGNS = "=+\\-@\uff1d\uff0b\uff0d\uff20\t\r"
_WOULD_RUN = re.compile(rf"['\s]*[{_SIGNS}]")
_GUARDED = re.compile(rf"'['\s]*[{_SIGNS}]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def guarded(cell: object) -> object:
    """Mark a cell as text that would be run; give any other as it is."""
    if isinstance(cell, str) and _WOULD_RUN.match(cell) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def unguarded(cell: str) -> str:
    """Take the mark away."""
    return cell[1:] if _GUARDED.match(cell) else cell
