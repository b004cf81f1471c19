"""Score one chunk of a space: candidates in, an aggregate out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.arrays import Floats
from nasicon_ml.columns import MODEL_INPUT, Column, Kind
from nasicon_ml.composition import CHARGE_TOLERANCE
from nasicon_ml.errors import FieldError, nearest
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.io import write_table
from nasicon_ml.model import PropertyModel
from nasicon_ml.processors import usable_processors
from nasicon_ml.screening.aggregate import Aggregate, ConductivityMap, Counts, Front, Kept, best_by_system
from nasicon_ml.screening.objectives import Answers, Question
from nasicon_ml.screening.reading import check_whole
from nasicon_ml.screening.space import Candidates

MOST_CHUNK = 1_048_576
ENGINES = ("local", "processes", "dask")


@dataclass(frozen=True)
class Effort:
    """How it is computed; the result is the same.

    Attributes
    ----------
    threads
        Chunks that are scored at the same time on this machine, by threads or by processes.
    chunk
        Positions of the space that are scored in one call; by default `Space.usual_chunk`.
    engine
        "local" (threads of this process); "processes" (this one and others of this machine, which need a second or
        two to start but do not hold each other up); "dask" (a cluster).
    scheduler
        Address of the Dask scheduler, such as tcp://host:8786.
    """

    threads: int = field(default_factory=lambda: min(8, usable_processors()))
    chunk: int | None = None
    engine: str = "local"
    scheduler: str | None = None

    def __post_init__(self) -> None:
        check_whole("threads", self.threads, 1, 1_000)
        if self.chunk is not None:
            check_whole("chunk", self.chunk, 1, MOST_CHUNK)
        if self.engine not in ENGINES:
            raise FieldError("engine", self.engine, ", ".join(ENGINES), nearest(self.engine, ENGINES))
        if (self.scheduler is not None) != (self.engine == "dask"):
            raise FieldError(
                "scheduler", self.scheduler, "an address such as tcp://host:8786, with the engine dask alone"
            )

    def chunk_of(self, space: Space) -> int:
        """Return how many positions of a space are scored in one call."""
        return space.usual_chunk if self.chunk is None else self.chunk


def chunks(size: int, length: int, start: int = 0) -> Iterator[range]:
    """Divide the positions from `start` on."""
    return (range(first, min(first + length, size)) for first in range(start, size, length))


class Space(Protocol):
    """What a screening needs of a search space, whole or sampled."""

    @property
    def size(self) -> int:
        """Positions, before constraints."""

    @property
    def usual_chunk(self) -> int:
        """Positions of a chunk: enough for few calls, and few enough that some hundred megabytes hold several."""

    def chunk(self, start: int, stop: int) -> Candidates:
        """Return the recipes at some positions that the space's constraints leave."""

    def at(self, positions: NDArray[np.int64]) -> Candidates:
        """Return the recipes at positions that a chunk named."""

    @property
    def fingerprint(self) -> str:
        """All that decides which recipe stands where."""

    def to_json(self) -> dict[str, Any]:
        """Return what the space holds, as plain dictionaries."""


@dataclass(frozen=True)
class Scorer:
    """Scores chunks of one space with one model."""

    # space, model, question: what is asked of whom
    space: Space
    model: PropertyModel
    question: Question
    # Folder for the scored recipes, one Parquet file a chunk; None if they are not wanted.
    parts: Path | None = None

    def prepare(self) -> None:
        """Compute what all threads share before there are several."""
        for trees in self.model.boosters.values():
            trees.prepare()
        _ = self.model.space, self.model.measured

    def aggregate(self, start: int, stop: int) -> Aggregate:
        """Score the positions `start` to `stop`, and write them if that is asked for."""
        found = self.space.chunk(start, stop)
        balanced = self._balanced(self.question.conductivity_at(found))
        if not len(balanced.numbers):
            empty = Aggregate.empty(self.question.keep)
            return replace(empty, counts=Counts(stop - start, len(found.numbers)))
        numbers = self.model.scores(balanced.table, level=self.question.level, sites=balanced.sites)
        firing_c = balanced.table[Column.SINTERING_TEMPERATURE_C].to_numpy(dtype=np.float64)
        errors = self.model.intervals[TargetName.CONDUCTIVITY].scores
        answers = Answers(numbers, firing_c, errors, self.question.level)
        objective = self.question.objective.values(answers)
        if self.parts is not None:
            write_table(_part(balanced, numbers, objective), self.parts / part_name(start))
        return self._aggregate(balanced, answers, objective, Counts(stop - start, len(found.numbers)))

    def _balanced(self, candidates: Candidates) -> Candidates:
        if not self.question.balanced_only:
            return candidates
        sites = candidates.sites
        is_balanced = sites.per_row(np.abs(sites.charge_imbalance) <= CHARGE_TOLERANCE)
        return candidates if is_balanced.all() else candidates.take(np.flatnonzero(is_balanced))

    def _aggregate(self, candidates: Candidates, answers: Answers, objective: Floats, counts: Counts) -> Aggregate:
        inside = np.asarray(answers.numbers[Column.INSIDE_DOMAIN], dtype=np.bool_)
        may = inside if self.question.inside_only else np.ones(len(inside), dtype=bool)
        values = np.where(may, objective, np.nan)
        conductivity, density, purity = (
            answers.numbers[column]
            for column in (
                Column.PREDICTED_CONDUCTIVITY_S_CM,
                Column.PREDICTED_RELATIVE_DENSITY_PCT,
                Column.PREDICTED_PHASE_PURITY,
            )
        )
        # A recipe that does not say how hot it is fired counts as the hottest.
        cold = np.where(np.isnan(answers.sintering_temperature_c), -np.inf, -answers.sintering_temperature_c)
        points = np.column_stack([conductivity, density, purity, cold])
        sites = candidates.sites
        return Aggregate(
            replace(
                counts,
                balanced=len(inside),
                inside=int(inside.sum()),
                valued=int((~np.isnan(values)).sum()),
            ),
            Kept.best_of(self.question.keep, values, candidates.numbers),
            Front.of(points[may], candidates.numbers[may]),
            best_by_system(sites.index, sites.systems, inside, values, candidates.numbers),
            ConductivityMap.of(
                sites.per_row(sites.x)[may], answers.sintering_temperature_c[may], conductivity[may]
            ),
        )


def part_name(start: int) -> str:
    """Name the file of the chunk that begins at a position: in the order of the space by name, too."""
    return f"part-{start:015d}.parquet"


def _part(candidates: Candidates, numbers: dict[Column, NDArray[Any]], objective: Floats) -> pd.DataFrame:
    """Return the scored recipes of a chunk as they are written; every different formula is spelled once."""
    _, first, code = np.unique(candidates.sites.index, return_index=True, return_inverse=True)
    formulas = np.asarray(candidates.formulas(first), dtype=object)
    columns: dict[str, Any] = {
        Column.SPACE_POSITION.value: candidates.numbers,
        Column.FORMULA.value: pd.array(formulas[code], dtype="string"),
    }
    for column in MODEL_INPUT[1:]:
        cells = candidates.table[column].reset_index(drop=True)
        # One type for all chunks, also where a chunk has no text in a column.
        columns[column.value] = cells if column.kind is Kind.NUMBER else cells.astype("string")
    columns |= {column.value: values for column, values in numbers.items()}
    systems = candidates.sites.per_row(candidates.sites.systems)
    columns[Column.SYSTEM.value] = pd.array(systems, dtype="string")
    return pd.DataFrame(columns | {Column.OBJECTIVE.value: objective})
