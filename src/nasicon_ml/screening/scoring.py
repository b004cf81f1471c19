"""Scoring of one chunk of a space: its candidates are scored and aggregated."""

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
from nasicon_ml.screening.aggregate import (
    Aggregate,
    ConductivityMap,
    Counts,
    KeptRecipes,
    ParetoFront,
    summarize_systems,
)
from nasicon_ml.screening.objectives import Predictions, Question
from nasicon_ml.screening.space import Candidates
from nasicon_ml.screening.specification import check_integer

MAX_CHUNK_SIZE = 1_048_576
ENGINES = ("local", "processes", "dask")


@dataclass(frozen=True)
class Effort:
    """Settings of the computation, on which the result does not depend.

    Attributes
    ----------
    threads
        Number of chunks scored at the same time on this machine, by threads or by processes.
    chunk
        Number of positions scored in one call; by default `Space.default_chunk_size`.
    engine
        "local" (threads of this process); "processes" (this and other processes of this machine, which take a
        second or two to start but do not wait for each other); "dask" (a cluster).
    scheduler
        Address of the Dask scheduler, such as tcp://host:8786.
    """

    threads: int = field(default_factory=lambda: min(8, usable_processors()))
    chunk: int | None = None
    engine: str = "local"
    scheduler: str | None = None

    def __post_init__(self) -> None:
        check_integer("threads", self.threads, 1, 1_000)
        if self.chunk is not None:
            check_integer("chunk", self.chunk, 1, MAX_CHUNK_SIZE)
        if self.engine not in ENGINES:
            raise FieldError("engine", self.engine, ", ".join(ENGINES), nearest(self.engine, ENGINES))
        if (self.scheduler is not None) != (self.engine == "dask"):
            raise FieldError(
                "scheduler", self.scheduler, "an address such as tcp://host:8786, with the engine dask alone"
            )

    def chunk_size(self, space: Space) -> int:
        """Return the number of positions of a space that are scored in one call."""
        return space.default_chunk_size if self.chunk is None else self.chunk


def chunks(size: int, length: int, start: int) -> Iterator[range]:
    """Divide the positions from `start` to `size` into chunks."""
    return (range(first, min(first + length, size)) for first in range(start, size, length))


class Space(Protocol):
    """What a screening needs of a search space or a sample of one."""

    @property
    def size(self) -> int:
        """Number of positions, before constraints."""

    @property
    def default_chunk_size(self) -> int:
        """Positions scored in one call; several chunks should fit into some hundred megabytes of memory."""

    def chunk(self, start: int, stop: int) -> Candidates:
        """Return the recipes at positions `start` to `stop` that satisfy the constraints of the space."""

    def at(self, positions: NDArray[np.int64]) -> Candidates:
        """Return the recipes at positions that `chunk` returned."""

    @property
    def fingerprint(self) -> str:
        """Text that identifies the recipes and their positions."""

    def to_json(self) -> dict[str, Any]:
        """Return the content of the space as plain dictionaries."""


@dataclass(frozen=True)
class Scorer:
    """Scores chunks of one space with one model."""

    space: Space
    model: PropertyModel
    question: Question
    # Folder for the scored recipes, one Parquet file per chunk; None if they are not written.
    parts: Path | None = None

    def prepare(self) -> None:
        """Compute what the threads share before they start."""
        for trees in self.model.boosters.values():
            trees.prepare()
        _ = self.model.space, self.model.measured

    def aggregate(self, start: int, stop: int) -> Aggregate:
        """Score the positions `start` to `stop`, and write the scored recipes if there is a folder for them."""
        candidates = self.space.chunk(start, stop)
        counts = Counts(stop - start, len(candidates.positions))
        balanced = self._balanced(self.question.conductivity_at(candidates))
        if not len(balanced.positions):
            return replace(Aggregate.empty(self.question.keep), counts=counts)
        scores = self.model.scores(balanced.table, level=self.question.level, sites=balanced.sites)
        sintering_c = balanced.table[Column.SINTERING_TEMPERATURE_C].to_numpy(dtype=np.float64)
        errors = self.model.intervals[TargetName.CONDUCTIVITY].scores
        predictions = Predictions(scores, sintering_c, errors, self.question.level)
        objective = self.question.objective.values(predictions)
        if self.parts is not None:
            write_table(_scored_table(balanced, scores, objective), self.parts / part_name(start))
        return self._aggregate(balanced, predictions, objective, counts)

    def _balanced(self, candidates: Candidates) -> Candidates:
        if not self.question.balanced_only:
            return candidates
        sites = candidates.sites
        is_balanced = sites.per_row(np.abs(sites.charge_imbalance) <= CHARGE_TOLERANCE)
        return candidates if is_balanced.all() else candidates.take(np.flatnonzero(is_balanced))

    def _aggregate(
        self, candidates: Candidates, predictions: Predictions, objective: Floats, counts: Counts
    ) -> Aggregate:
        inside = np.asarray(predictions.columns[Column.INSIDE_DOMAIN], dtype=np.bool_)
        eligible = inside if self.question.inside_only else np.ones(len(inside), dtype=bool)
        values = np.where(eligible, objective, np.nan)
        conductivity, density, purity = (
            predictions.columns[column]
            for column in (
                Column.PREDICTED_CONDUCTIVITY_S_CM,
                Column.PREDICTED_RELATIVE_DENSITY_PCT,
                Column.PREDICTED_PHASE_PURITY,
            )
        )
        # A recipe without a sintering temperature counts as the hottest.
        negative_c = np.where(
            np.isnan(predictions.sintering_temperature_c), -np.inf, -predictions.sintering_temperature_c
        )
        points = np.column_stack([conductivity, density, purity, negative_c])
        sites = candidates.sites
        return Aggregate(
            replace(
                counts,
                balanced=len(inside),
                inside=int(inside.sum()),
                valued=int((~np.isnan(values)).sum()),
            ),
            KeptRecipes.best_of(self.question.keep, values, candidates.positions),
            ParetoFront.from_points(points[eligible], candidates.positions[eligible]),
            summarize_systems(sites.index, sites.systems, inside, values, candidates.positions),
            ConductivityMap.from_recipes(
                sites.per_row(sites.x)[eligible],
                predictions.sintering_temperature_c[eligible],
                conductivity[eligible],
            ),
        )


def part_name(start: int) -> str:
    """Return the file name of the chunk that begins at a position; names sort in the order of the space."""
    return f"part-{start:015d}.parquet"


def _scored_table(candidates: Candidates, scores: dict[Column, NDArray[Any]], objective: Floats) -> pd.DataFrame:
    """Return the scored recipes of a chunk as a table; each different composition is formatted once."""
    _, first, code = np.unique(candidates.sites.index, return_index=True, return_inverse=True)
    formulas = np.asarray(candidates.formulas(first), dtype=object)
    columns: dict[str, Any] = {
        Column.SPACE_POSITION.value: candidates.positions,
        Column.FORMULA.value: pd.array(formulas[code], dtype="string"),
    }
    for column in MODEL_INPUT[1:]:
        cells = candidates.table[column].reset_index(drop=True)
        # One type for all chunks, even if a chunk has no text in a column.
        columns[column.value] = cells if column.kind is Kind.NUMBER else cells.astype("string")
    columns |= {column.value: values for column, values in scores.items()}
    systems = candidates.sites.per_row(candidates.sites.systems)
    columns[Column.SYSTEM.value] = pd.array(systems, dtype="string")
    return pd.DataFrame(columns | {Column.OBJECTIVE.value: objective})
