"""What a screening found, and its folder: tables, summary, state to resume from; each file whole or not at all."""

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
#: Columns of the tables of a screening.
COLUMNS = (Column.SPACE_POSITION, Column.OBJECTIVE, *MODEL_INPUT, *PREDICTION)
#: A kept recipe's composition and way of making; the column that counts those that differ in numbers alone.
_WAY = [column.value for column in MODEL_INPUT if column.kind is not Kind.NUMBER]
ALIKE = "kept_alike"
#: Files and a folder of a screening.
KEPT, FRONT, SUMMARY, SCORED, STATE = "kept", "front", "summary.json", "scored", "state.json"
FORMATS = ("csv", "parquet")
_FORMAT = 1
_MAX_BYTES = 256 * 1024**2


@dataclass(frozen=True)
class ScreeningResult:
    """What a screening found.

    Attributes
    ----------
    space, model, question
        What was asked of whom.
    aggregate
        What was found, in numbers.
    seconds
        What it took, without what came before the first chunk.
    """

    space: Space
    model: PropertyModel
    question: Question
    aggregate: Aggregate
    seconds: float

    @property
    def is_complete(self) -> bool:
        """Whether the whole space was looked at."""
        return self.aggregate.counts.positions == self.space.size

    @cached_property
    def kept(self) -> pd.DataFrame:
        """The kept recipes, best first, columns `COLUMNS`: answered once more, with neighbours and reasons."""
        kept = self.aggregate.kept
        return self._answered(kept.numbers, kept.values)

    @cached_property
    def best(self) -> pd.DataFrame:
        """The best kept recipe of each composition and way of making, columns `COLUMNS` and `ALIKE`.

        A way is what is chosen (route, atmosphere, densification, additive ...), not temperatures, times and other
        numbers; `ALIKE` counts the kept recipes that differ in those alone.
        """
        alike = self.kept.groupby(_WAY, sort=False, dropna=False)
        return alike.head(1).assign(**{ALIKE: alike[Column.OBJECTIVE.value].transform("size")})

    @cached_property
    def front(self) -> pd.DataFrame:
        """The Pareto front, the best conductor first, columns `COLUMNS`; their objective, if they were kept."""
        front = self.aggregate.front
        order = np.lexsort((front.numbers, -front.points[:, 0]))
        kept = dict(zip(self.aggregate.kept.numbers.tolist(), self.aggregate.kept.values.tolist(), strict=True))
        numbers = front.numbers[order]
        return self._answered(numbers, np.array([kept.get(number, np.nan) for number in numbers.tolist()]))

    def _answered(self, numbers: NDArray[np.int64], objective: Floats) -> pd.DataFrame:
        names = [column.value for column in COLUMNS]
        if not len(numbers):
            return pd.DataFrame({name: pd.Series(dtype="object") for name in names})
        recipes = recipes_at(self.space, self.question, numbers)
        answers = self.model.predict(recipes, level=self.question.level)
        first = pd.DataFrame({Column.SPACE_POSITION.value: numbers, Column.OBJECTIVE.value: objective})
        return pd.concat([first, recipes, answers], axis=1)[names]

    def to_json(self, best: int = 10) -> dict[str, Any]:
        """Return the summary: what was asked, how many, how fast, the best ones (`best`), by system."""
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
            "kept": len(self.aggregate.kept.numbers),
            "best": table_records(self.best.head(best)),
            "systems": [
                {
                    Column.SYSTEM.value: name,
                    "candidates": one.candidates,
                    "inside": one.inside,
                    "best_objective": None if one.number < 0 else one.value,
                    "best_position": None if one.number < 0 else one.number,
                }
                for name, one in self.aggregate.systems.items()
            ],
            "front": {
                "properties": list(FRONT_PROPERTIES),
                "recipes": len(self.aggregate.front.numbers),
                "given_up": self.aggregate.front.given_up,
            },
        }


def recipes_at(space: Space, question: Question, numbers: NDArray[np.int64]) -> pd.DataFrame:
    """Return the recipes at some positions, columns `nasicon_ml.columns.MODEL_INPUT`, in the order asked for.

    The temperature of the conductivity is always given: without one it would be ambiguous.
    """
    found = question.conductivity_at(space.at(numbers))
    cells: dict[str, Any] = {Column.FORMULA.value: found.formulas(np.arange(len(numbers)))}
    for column in MODEL_INPUT[1:]:
        given = found.table[column]
        is_number = column.kind is Kind.NUMBER
        cells[column.value] = given if is_number else given.astype("object").where(given.notna(), None)
    cells[Column.MEASUREMENT_TEMPERATURE_C.value] = question.temperatures_c(found)
    return pd.DataFrame(cells)


@dataclass(frozen=True)
class OutputFolder:
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
        """Check before the work that the result can be written.

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
        """Create the folders."""
        try:
            (self.parts or self.folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise NasiconError(f"{error.filename}: cannot be made ({error.strerror})") from None

    def remove_parts_from(self, position: int) -> None:
        """Remove the files of chunks written but not in the aggregate; resuming writes them again."""
        if self.parts is not None:
            for path in self.parts.glob("part-*.parquet"):
                if path.name >= part_name(position):
                    path.unlink()
            for draft in self.parts.glob(".part-*.tmp"):  # of a worker that was killed while it wrote
                draft.unlink(missing_ok=True)


def write_result(result: ScreeningResult, output: OutputFolder) -> list[Path]:
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
        path = output.folder / f"{name}.{output.file_format}"
        write_table(frame, path)
        written.append(path)
    summary = output.folder / SUMMARY
    write_text(json.dumps(result.to_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n", summary)
    return [*written, summary]


@dataclass(frozen=True)
class Identity:
    """What a screening is of: two with the same have the same result.

    Attributes
    ----------
    space, model
        SHA-256 of what decides which recipe stands where, and of what decides the answers.
    settings
        Of the question, and of what is written; by name.
    """

    space: str
    model: str
    settings: Mapping[str, Any]

    @classmethod
    def of(cls, space: Space, model: PropertyModel, question: Question, *, chunk: int, scored: bool) -> Identity:
        """Return the checksums; the chunk length counts, as a scored space has one file for each."""
        settings = question.to_json() | {"chunk": chunk, "scored": scored}
        return cls(_sha256(space.fingerprint), model_checksum(model), settings)

    def refuse_other(self, other: Identity, path: Path) -> None:
        """Refuse to go on with another space, model or setting.

        Raises
        ------
        NasiconError
            If they differ; it says in what.
        """
        for what, begun, now in (("space", self.space, other.space), ("model", self.model, other.model)):
            if begun != now:
                raise NasiconError(
                    f"{path}: this screening was begun with another {what} (SHA-256 {begun[:12]}..., not "
                    f"{now[:12]}...); resume it with that one, or begin anew in another folder"
                )
        for name in sorted({*self.settings, *other.settings}):
            was, asked = self.settings.get(name), other.settings.get(name)
            if was != asked:
                raise NasiconError(
                    f"{path}: this screening was begun with {name} {format_value(was)}, not {format_value(asked)};"
                    " resume it with that, or begin anew in another folder"
                )


@dataclass(frozen=True)
class State:
    """How far a screening is.

    Attributes
    ----------
    identity
        Of what.
    position
        All positions of the space before this one are in the aggregate.
    seconds
        What they took.
    aggregate
        What was found.
    note
        What whoever began it wants to know when it is resumed.
    """

    identity: Identity
    position: int
    seconds: float
    aggregate: Aggregate
    note: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write the state into the folder of a screening; whole or not at all."""
        content = {
            "space": self.identity.space,
            "model": self.identity.model,
            "settings": dict(self.identity.settings),
            "position": self.position,
            "seconds": self.seconds,
            "tally": self.aggregate.to_json(),  # The file keeps the name it has had.
            "note": dict(self.note),
        }
        text = _dumped(content)
        write_text(_dumped({"format": _FORMAT, "sha256": _sha256(text), "state": content}) + "\n", folder / STATE)


def read_state(folder: Path) -> State:
    """Read the state of a screening.

    Raises
    ------
    UnreadableFileError
        If there is none, or it was damaged.
    """
    path = folder / STATE
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UnreadableFileError(f"{path}: is larger than {_MAX_BYTES} bytes, which no state is")
        whole = load_json(path.read_text(encoding="utf-8"))
        content = whole["state"]
        if whole["format"] != _FORMAT or whole["sha256"] != _sha256(_dumped(content)):
            raise UnreadableFileError(f"{path}: was changed or damaged (SHA-256 differs); begin anew")
        identity = Identity(content["space"], content["model"], content["settings"])
        aggregate = Aggregate.from_json(content["tally"])
        return State(identity, int(content["position"]), float(content["seconds"]), aggregate, content["note"])
    except OSError as error:
        raise UnreadableFileError(f"{path}: there is no screening to resume ({error.strerror or error})") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UnreadableFileError(f"{path}: is not the state of a screening; begin anew") from None


def model_checksum(model: PropertyModel) -> str:
    """Return the SHA-256 of all that decides a model's answers."""
    total = hashlib.sha256()
    for name, content in sorted(model_files(model).items()):
        total.update(name.encode() + hashlib.sha256(content).digest())
    if isinstance(model, OwnModel):
        total.update(own_checksum(model.measured_own).encode())
    return total.hexdigest()


def _dumped(content: Any) -> str:
    return json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
