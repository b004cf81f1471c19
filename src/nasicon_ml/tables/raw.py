"""What a table is before it is checked, and what every format refuses alike."""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nasicon_ml.errors import UnreadableFileError

#: How to mend an encoding or a separator.
RESAVE = "In Excel: File > Save As > 'CSV UTF-8 (Comma delimited)'."


@dataclass(frozen=True)
class RawTable:
    """A table as it stands in its file, unchecked.

    Attributes
    ----------
    frame
        Shape (n_rows, n_columns); text cells for a CSV, whatever the format holds for the others.
    lines
        Shape (n_rows,): the line of the file where each row begins, the first being 1; None where a format
        has no lines.
    name
        What messages call the file.
    """

    frame: pd.DataFrame
    lines: np.ndarray | None
    name: str


def refuse_repeated(names: Sequence[str], place: str) -> None:
    """Refuse columns that stand twice: one of the two would be lost."""
    repeated = [cell for cell, count in Counter(names).items() if count > 1 and cell]
    if repeated:
        raise UnreadableFileError(f"{place}: the column {repeated[0]!r} stands more than once")


def decode(data: bytes, name: str) -> str:
    """Turn bytes into text, or say which encoding they are really in."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or data[:64].count(b"\0") > len(data[:64]) // 4:
        raise UnreadableFileError(f"{name}: saved as UTF-16 ('Unicode text'); save it as UTF-8. {RESAVE}")
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UnreadableFileError(
            f"{name}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8"
            f" (probably {_legacy_character(data[error.start])} of an older encoding); save it as UTF-8. {RESAVE}"
        ) from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise UnreadableFileError(f"{name}, line {line}: holds a NUL character; this is not a text file")
    return text


def _legacy_character(byte: int) -> str:
    """Give the character that the byte is in Windows-1252, the usual culprit."""
    return repr(bytes([byte]).decode("cp1252", errors="replace"))
