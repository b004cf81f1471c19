"""Writes what a screening found into its folder: tables, summary, figures; each file whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from nasicon_ml.errors import FieldError, NasiconError, nearest
from nasicon_ml.screening.result import ScreeningResult
from nasicon_ml.screening.resuming import STATE
from nasicon_ml.screening.scoring import part_name
from nasicon_ml.tables import write_table, write_text

KEPT, FRONT, SUMMARY, SCORED = "kept", "front", "summary.json", "scored"
FORMATS = ("csv", "parquet")


@dataclass(frozen=True)
class Place:
    """Where the files of a screening go.

    Attributes
    ----------
    folder
        A folder that does not exist or is empty; to resume, that of the screening.
    resume
        Whether to go on with the screening whose state is there.
    scored
        Whether to write every scored recipe, a Parquet file a chunk, into the folder ``scored``.
    file_format
        Of the kept recipes and the front: "csv" or "parquet".
    note
        What is written beside the state, for whoever resumes.
    """

    folder: Path
    resume: bool = False
    scored: bool = False
    file_format: str = "csv"
    note: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.file_format not in FORMATS:
            raise FieldError("format", self.file_format, ", ".join(FORMATS), nearest(self.file_format, FORMATS))

    @property
    def parts(self) -> Path | None:
        """The folder of the scored recipes."""
        return self.folder / SCORED if self.scored else None

    def check(self) -> None:
        """Find out before the work whether its result has a place to go to.

        Raises
        ------
        NasiconError
            If it has not.
        """
        folder = self.folder
        if self.resume:
            if not (folder / STATE).is_file():
                raise NasiconError(f"{folder}: there is no screening to resume (no {STATE})")
            return
        if folder.exists() and not folder.is_dir():
            raise NasiconError(f"{folder}: is a file; a screening needs a folder of its own")
        if folder.is_dir() and any(folder.iterdir()):
            raise NasiconError(
                f"{folder}: is not empty; name another folder, or resume the screening that is there"
            )
        if not folder.parent.is_dir():
            raise NasiconError(f"{folder}: there is no folder {folder.parent}; make it first")

    def make(self) -> None:
        """Make the folders."""
        try:
            (self.parts or self.folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise NasiconError(f"{error.filename}: cannot be made ({error.strerror})") from None

    def remove_parts_from(self, position: int) -> None:
        """Remove the files of chunks that were written but are not in the tally; resuming writes them again."""
        if self.parts is not None:
            for path in self.parts.glob("part-*.parquet"):
                if path.name >= part_name(position):
                    path.unlink()
            for draft in self.parts.glob(".part-*.tmp"):  # of a worker that was killed while it wrote
                draft.unlink(missing_ok=True)


def write_result(result: ScreeningResult, place: Place) -> list[Path]:
    """Write kept recipes, front and summary.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    NasiconError
        If one cannot be written.
    """
    written = []
    for name, frame in ((KEPT, result.kept), (FRONT, result.front)):
        written.append(_write(frame, place.folder / f"{name}.{place.file_format}"))
    summary = place.folder / SUMMARY
    write_text(json.dumps(result.to_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n", summary)
    return [*written, summary]


def _write(frame: pd.DataFrame, path: Path) -> Path:
    write_table(frame, path)
    return path
