"""Scores one chunk of a space: candidates in, a tally out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.columns import MODEL_INPUT, Column, Kind
from nasicon_ml.composition import CHARGE_TOLERANCE
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.model import PropertyModel
from nasicon_ml.screening.candidates import Candidates
from nasicon_ml.screening.front import Front
from nasicon_ml.screening.keeping import Kept
from nasicon_ml.screening.landscape import Landscape
from nasicon_ml.screening.objectives import Answers
from nasicon_ml.screening.question import Question
from nasicon_ml.screening.tally import Counts, Tally, best_by_system
from nasicon_ml.tables import write_table

Floats = NDArray[np.float64]


class Space(Protocol):
    """What a screening needs of a search space, whole or sampled."""

    @property
    def size(self) -> int:
        """Positions, before constraints."""

    def chunk(self, start: int, stop: int) -> Candidates:
        """Give the recipes at some positions that the space's constraints leave."""

    def at(self, positions: NDArray[np.int64]) -> Candidates:
        """Give the recipes at positions that a chunk named."""

    @property
    def fingerprint(self) -> str:
        """All that decides which recipe stands where."""

    def to_json(self) -> dict[str, Any]:
        """Say what the space holds."""


@dataclass(frozen=True)
class Scorer:
    """Scores chunks of one space with one model.

    Attributes
    ----------
    space, model, question
        What is asked of whom.
    parts
        Folder for the scored recipes, one Parquet file a chunk; None if they are not wanted.
    """

    space: Space
    model: PropertyModel
    question: Question
    parts: Path | None = None

    def prepare(self) -> None:
        """Make what all threads share before there are several."""
        for trees in self.model.boosters.values():
            trees.prepare()
        _ = self.model.space, self.model.measured

    def tally(self, start: int, stop: int) -> Tally:
        """Score the positions `start` to `stop`, and write them if that is asked for."""
        found = self.space.chunk(start, stop)
        balanced = self._balanced(self.question.conductivity_at(found))
        if not len(balanced.numbers):
            empty = Tally.empty(self.question.keep)
            return replace(empty, counts=Counts(stop - start, len(found.numbers)))
        numbers = self.model.scores(balanced.table, level=self.question.level, sites=balanced.sites)
        firing_c = balanced.table[Column.SINTERING_TEMPERATURE_C].to_numpy(dtype=np.float64)
        errors = self.model.intervals[TargetName.CONDUCTIVITY].scores
        answers = Answers(numbers, firing_c, errors, self.question.level)
        objective = self.question.objective.values(answers)
        if self.parts is not None:
            write_table(_part(balanced, numbers, objective), self.parts / part_name(start))
        return self._tally(balanced, answers, objective, Counts(stop - start, len(found.numbers)))

    def _balanced(self, candidates: Candidates) -> Candidates:
        if not self.question.balanced_only:
            return candidates
        sites = candidates.sites
        is_balanced = sites.per_row(np.abs(sites.charge_imbalance) <= CHARGE_TOLERANCE)
        return candidates if is_balanced.all() else taken(candidates, np.flatnonzero(is_balanced))

    def _tally(self, candidates: Candidates, answers: Answers, objective: Floats, counts: Counts) -> Tally:
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
        return Tally(
            replace(
                counts,
                balanced=len(inside),
                inside=int(inside.sum()),
                valued=int((~np.isnan(values)).sum()),
            ),
            Kept.best_of(self.question.keep, values, candidates.numbers),
            Front.of(points[may], candidates.numbers[may]),
            best_by_system(sites.index, sites.systems, inside, values, candidates.numbers),
            Landscape.of(sites.per_row(sites.x)[may], answers.sintering_temperature_c[may], conductivity[may]),
        )


def taken(candidates: Candidates, rows: NDArray[np.intp]) -> Candidates:
    """Take some of the recipes."""
    return Candidates(
        candidates.numbers[rows],
        candidates.table.iloc[rows].reset_index(drop=True),
        replace(candidates.sites, index=candidates.sites.index[rows]),
    )


def part_name(start: int) -> str:
    """Name the file of the chunk that begins at a position: in the order of the space by name, too."""
    return f"part-{start:015d}.parquet"


def _part(candidates: Candidates, numbers: dict[Column, NDArray[Any]], objective: Floats) -> pd.DataFrame:
    """Give the scored recipes of a chunk as they are written; every different formula is spelled once."""
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
