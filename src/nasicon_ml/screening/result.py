"""Results of a screening and their folder: tables, summary, and the state from which it resumes.

Each file is replaced atomically.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.arrays import Floats
from nasicon_ml.bundle.store import model_files
from nasicon_ml.columns import MODEL_INPUT, PREDICTION, Column, Kind
from nasicon_ml.data.own_pellets import own_checksum
from nasicon_ml.errors import FieldError, NasiconError, UnreadableFileError, format_value, nearest
from nasicon_ml.io import table_records, write_table, write_text
from nasicon_ml.io.structured import load_json
from nasicon_ml.model import OwnModel, PropertyModel
from nasicon_ml.screening.aggregate import FRONT_PROPERTIES, Aggregate
from nasicon_ml.screening.objectives import Question
from nasicon_ml.screening.scoring import Space, part_name

SCHEMA = "nasicon-ml/screening/1"
#: Columns of the result tables.
COLUMNS = (Column.SPACE_POSITION, Column.OBJECTIVE, *MODEL_INPUT, *PREDICTION)
#: Columns by which kept recipes are grouped, and the column with the size of each group.
_GROUP_COLUMNS = [column.value for column in MODEL_INPUT if column.kind is not Kind.NUMBER]
ALIKE = "kept_alike"
#: Names of the files, without the format of tables, and of the folder of scored recipes.
KEPT, FRONT, SUMMARY, SCORED, STATE = "kept", "front", "summary.json", "scored", "state.json"
FORMATS = ("csv", "parquet")
_FORMAT = 1
_MAX_BYTES = 256 * 1024**2


@dataclass(frozen=True)
class ScreeningResult:
    """Result of a screening.

    Attributes
    ----------
    space, model, question
        The arguments of the screening.
    aggregate
        Counts, positions of the best recipes, front and map.
    seconds
        Duration from the first chunk on.
    """

    space: Space
    model: PropertyModel
    question: Question
    aggregate: Aggregate
    seconds: float

    @property
    def is_complete(self) -> bool:
        """Whether the whole space was screened."""
        return self.aggregate.counts.positions == self.space.size

    @cached_property
    def kept(self) -> pd.DataFrame:
        """The kept recipes, best first, columns `COLUMNS`: full predictions with neighbours and reasons."""
        kept = self.aggregate.kept
        return self._predict(kept.positions, kept.values)

    @cached_property
    def best(self) -> pd.DataFrame:
        """The best kept recipe of each group, columns `COLUMNS` and `ALIKE`.

        The recipes of a group have the same formula and choices (route, atmosphere, densification, additive ...),
        and differ in temperatures, times and other numbers; `ALIKE` is the number of kept recipes in the group.
        """
        groups = self.kept.groupby(_GROUP_COLUMNS, sort=False, dropna=False)
        return groups.head(1).assign(**{ALIKE: groups[Column.OBJECTIVE.value].transform("size")})

    @cached_property
    def front(self) -> pd.DataFrame:
        """The Pareto front by falling conductivity, columns `COLUMNS`; the objective is that of kept recipes."""
        front, kept = self.aggregate.front, self.aggregate.kept
        positions = front.positions[np.lexsort((front.positions, -front.points[:, 0]))]
        objectives = dict(zip(kept.positions.tolist(), kept.values.tolist(), strict=True))
        return self._predict(
            positions, np.array([objectives.get(position, np.nan) for position in positions.tolist()])
        )

    def _predict(self, positions: NDArray[np.int64], objective: Floats) -> pd.DataFrame:
        names = [column.value for column in COLUMNS]
        if not len(positions):
            return pd.DataFrame({name: pd.Series(dtype="object") for name in names})
        recipes = recipes_at(self.space, self.question, positions)
        predictions = self.model.predict(recipes, level=self.question.level)
        first = pd.DataFrame({Column.SPACE_POSITION.value: positions, Column.OBJECTIVE.value: objective})
        return pd.concat([first, recipes, predictions], axis=1)[names]

    def to_json(self, best: int = 10) -> dict[str, Any]:
        """Return the summary: settings, counts, speed, the first `best` groups, and the systems."""
        counts = self.aggregate.counts
        metadata = self.model.metadata
        return {
            "schema": SCHEMA,
            "complete": self.is_complete,
            "question": self.question.to_json(),
            "space": {"size": self.space.size, "asked": self.space.to_json()},
            "model": {
                "created": metadata.created,
                "dataset_sha256": metadata.dataset_sha256,
                "dataset_rows": metadata.dataset_rows,
            },
            "counts": asdict(counts),
            "seconds": round(self.seconds, 3),
            "scored_per_second": round(counts.balanced / self.seconds, 1) if self.seconds > 0 else None,
            "kept": len(self.aggregate.kept.positions),
            "best": table_records(self.best.head(best)),
            "systems": [
                {
                    Column.SYSTEM.value: name,
                    "candidates": summary.n_candidates,
                    "inside": summary.n_inside,
                    "best_objective": None if summary.best_position < 0 else summary.best_value,
                    "best_position": None if summary.best_position < 0 else summary.best_position,
                }
                for name, summary in self.aggregate.systems.items()
            ],
            "front": {
                "properties": list(FRONT_PROPERTIES),
                "recipes": len(self.aggregate.front.positions),
                "given_up": self.aggregate.front.given_up,
            },
        }


def recipes_at(space: Space, question: Question, positions: NDArray[np.int64]) -> pd.DataFrame:
    """Return the recipes at the given positions, in this order, columns `nasicon_ml.columns.MODEL_INPUT`.

    The temperature of the conductivity, without which the prediction would be ambiguous, is always given.
    """
    candidates = question.conductivity_at(space.at(positions))
    columns: dict[str, Any] = {Column.FORMULA.value: candidates.formulas(np.arange(len(positions)))}
    for column in MODEL_INPUT[1:]:
        cells = candidates.table[column]
        is_number = column.kind is Kind.NUMBER
        columns[column.value] = cells if is_number else cells.astype("object").where(cells.notna(), None)
    columns[Column.MEASUREMENT_TEMPERATURE_C.value] = question.temperatures_c(candidates)
    return pd.DataFrame(columns)


@dataclass(frozen=True)
class OutputFolder:
    """Folder of the files of a screening.

    Attributes
    ----------
    folder
        A folder that does not exist or is empty or, to resume, the folder of the screening.
    resume
        Whether to resume the screening whose state is in the folder.
    scored
        Whether to write every scored recipe, one Parquet file per chunk, to the folder ``scored``.
    file_format
        Format of the kept recipes and the front: "csv" or "parquet".
    note
        Additional content of the state file, available when the screening is resumed.
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
        """The folder of the scored recipes; None if they are not written."""
        return self.folder / SCORED if self.scored else None

    def check(self) -> None:
        """Raise if the result cannot be written to the folder.

        Raises
        ------
        NasiconError
            If the folder is not empty or has no parent folder or, to resume, has no state.
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

    def create(self) -> None:
        """Create the folders."""
        try:
            (self.parts or self.folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise NasiconError(f"{error.filename}: cannot be made ({error.strerror})") from None

    def remove_parts_from(self, position: int) -> None:
        """Remove the files of chunks from `position` on; when the screening is resumed, they are written again."""
        if self.parts is not None:
            for path in self.parts.glob("part-*.parquet"):
                if path.name >= part_name(position):
                    path.unlink()
            for draft in self.parts.glob(".part-*.tmp"):  # left by a worker that was killed while writing
                draft.unlink(missing_ok=True)


def write_result(result: ScreeningResult, output: OutputFolder) -> None:
    """Write kept recipes, front and summary.

    Raises
    ------
    NasiconError
        If a file cannot be written.
    """
    for name, frame in ((KEPT, result.kept), (FRONT, result.front)):
        write_table(frame, output.folder / f"{name}.{output.file_format}")
    summary = json.dumps(result.to_json(), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(summary + "\n", output.folder / SUMMARY)


@dataclass(frozen=True)
class Identity:
    """Everything that determines the result of a screening.

    Attributes
    ----------
    space, model
        SHA-256 of the fingerprint of the space, and of the model.
    settings
        Settings of the question and the output, by name.
    """

    space: str
    model: str
    settings: Mapping[str, Any]

    @classmethod
    def of(cls, space: Space, model: PropertyModel, question: Question, *, chunk: int, scored: bool) -> Identity:
        """Compute the checksums; the settings include the chunk size, as there is one file of scores per chunk."""
        settings = question.to_json() | {"chunk": chunk, "scored": scored}
        return cls(_sha256(space.fingerprint), model_checksum(model), settings)

    def check_same(self, other: Identity, path: Path) -> None:
        """Raise if another identity has a different space, model or setting.

        Raises
        ------
        NasiconError
            If they differ; the message names the difference.
        """
        for what, begun, now in (("space", self.space, other.space), ("model", self.model, other.model)):
            if begun != now:
                raise NasiconError(
                    f"{path}: this screening was begun with another {what} (SHA-256 {begun[:12]}..., not "
                    f"{now[:12]}...); resume it with that one, or start again in another folder"
                )
        for name in sorted({*self.settings, *other.settings}):
            before, after = self.settings.get(name), other.settings.get(name)
            if before != after:
                raise NasiconError(
                    f"{path}: this screening was begun with {name} {format_value(before)}, not "
                    f"{format_value(after)}; resume it with that, or start again in another folder"
                )


@dataclass(frozen=True)
class State:
    """State of a screening, from which it can be resumed.

    Attributes
    ----------
    identity
        Identity of the screening.
    position
        First position that is not in the aggregate.
    seconds
        Duration so far.
    aggregate
        Result so far.
    note
        See `OutputFolder.note`.
    """

    identity: Identity
    position: int
    seconds: float
    aggregate: Aggregate
    note: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write the state file into the folder of a screening."""
        content = {
            "space": self.identity.space,
            "model": self.identity.model,
            "settings": dict(self.identity.settings),
            "position": self.position,
            "seconds": self.seconds,
            "tally": self.aggregate.to_json(),
            "note": dict(self.note),
        }
        state = {"format": _FORMAT, "sha256": _sha256(_to_text(content)), "state": content}
        write_text(_to_text(state) + "\n", folder / STATE)


def read_state(folder: Path) -> State:
    """Read the state of a screening.

    Raises
    ------
    UnreadableFileError
        If there is no state file, or it is damaged.
    """
    path = folder / STATE
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UnreadableFileError(f"{path}: is larger than {_MAX_BYTES} bytes, which no state is")
        state = load_json(path.read_text(encoding="utf-8"))
        content = state["state"]
        if state["format"] != _FORMAT or state["sha256"] != _sha256(_to_text(content)):
            raise UnreadableFileError(f"{path}: was changed or damaged (SHA-256 differs); start again")
        identity = Identity(content["space"], content["model"], content["settings"])
        aggregate = Aggregate.from_json(content["tally"])
        return State(identity, int(content["position"]), float(content["seconds"]), aggregate, content["note"])
    except OSError as error:
        raise UnreadableFileError(f"{path}: there is no screening to resume ({error.strerror or error})") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UnreadableFileError(f"{path}: is not the state of a screening; start again") from None


def model_checksum(model: PropertyModel) -> str:
    """Return the SHA-256 of everything that determines a model's predictions."""
    digest = hashlib.sha256()
    for name, content in sorted(model_files(model).items()):
        digest.update(name.encode() + hashlib.sha256(content).digest())
    if isinstance(model, OwnModel):
        digest.update(own_checksum(model.measured_own).encode())
    return digest.hexdigest()


def _to_text(content: Any) -> str:
    return json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
