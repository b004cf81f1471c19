"""Write tables and texts: whole or not at all."""

from __future__ import annotations

import io
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nasicon_ml.errors import NasiconError
from nasicon_ml.io.csv import mark_as_text


def write_table(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a table as CSV, JSON or Parquet, by the ending of the name; the index is left out.

    Parameters
    ----------
    frame
        Shape (n_rows, n_columns). Missing cells become empty (CSV) or null; flags become true and false;
        numbers keep all their digits.
    path
        Where to. The file appears whole or not at all.

    Raises
    ------
    NasiconError
        If the ending names no such format, or the place cannot be written to.
    """
    ending = Path(path).suffix.lower()
    if ending == ".csv":
        write_text(table_as_csv(frame), path)
    elif ending == ".json":
        write_text(table_as_json(frame), path)
    elif ending in {".parquet", ".pq"}:
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        write_bytes(buffer.getvalue(), path)
    else:
        allowed = ".csv, .json, .parquet"
        raise NasiconError(f"{path}: the ending {ending!r} names no format to write; allowed: {allowed}")


def table_as_csv(frame: pd.DataFrame) -> str:
    """Return a table as CSV: missing cells empty, flags as words, no cell that a spreadsheet would run."""
    return str(_with_words(frame).to_csv(index=False, lineterminator="\n"))


def table_as_json(frame: pd.DataFrame) -> str:
    """Return a table as a JSON list of objects, missing cells null, with all digits."""
    return json.dumps(table_records(frame), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def table_records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as Python's own values by name of column, None where a cell is missing."""
    plain = frame.astype("object").where(frame.notna(), None)
    return [{str(name): cell for name, cell in row.items()} for row in plain.to_dict("records")]


def _with_words(frame: pd.DataFrame) -> pd.DataFrame:
    """Write flags as the words of the vocabulary instead of Python's, and no cell that a spreadsheet would run."""

    def word(cell: object) -> object:
        return ("true" if cell else "false") if isinstance(cell, (bool, np.bool_)) else mark_as_text(cell)

    columns = {
        position: cells.astype("object").map(word) if cells.dtype.kind in "Ob" else cells
        for position, (_, cells) in enumerate(frame.items())
    }
    words = pd.DataFrame(columns, index=frame.index)
    words.columns = frame.columns
    return words


def write_text(text: str, path: str | Path) -> None:
    """Write text as UTF-8 with plain line feeds; the file appears whole or not at all.

    Halves of characters, which UTF-8 does not have, are written as JSON writes them.

    Raises
    ------
    NasiconError
        If the place cannot be written to.
    """
    write_bytes(text.encode("utf-8", "backslashreplace"), path)


def write_bytes(data: bytes, path: str | Path) -> None:
    """Write a file; it appears whole or not at all.

    Raises
    ------
    NasiconError
        If the place cannot be written to.
    """
    target = Path(path)
    with _told(target):
        target = target.resolve()  # a link stays a link: its target is replaced
        if target.exists() and not target.is_file() and not target.is_dir():
            target.write_bytes(data)  # a pipe or device cannot be replaced
            return
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
        try:
            temporary.write_bytes(data)
            os.replace(temporary, target)  # noqa: PTH105  (the one call that is atomic on every system)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def _told(target: Path) -> Iterator[None]:
    """Turn the system's refusal into ours."""
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:  # a NUL in the name; links that lead in a circle
        reason = error.strerror if isinstance(error, OSError) else error
        raise NasiconError(f"{target}: cannot be written ({reason})") from None
