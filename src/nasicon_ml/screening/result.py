"""What a screening found: the kept recipes and the front with full answers, and a summary."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.columns import MODEL_INPUT, PREDICTION, Column, Kind
from nasicon_ml.model import PropertyModel
from nasicon_ml.screening.objectives import Question
from nasicon_ml.screening.scoring import Space
from nasicon_ml.screening.tally import FRONT_PROPERTIES, Tally

SCHEMA = "nasicon-ml/screening/1"
#: Columns of the tables of a screening.
COLUMNS = (Column.SPACE_POSITION, Column.OBJECTIVE, *MODEL_INPUT, *PREDICTION)


@dataclass(frozen=True)
class ScreeningResult:
    """What a screening found.

    Attributes
    ----------
    space, model, question
        What was asked of whom.
    tally
        What was found, in numbers.
    seconds
        What it took, without what came before the first chunk.
    """

    space: Space
    model: PropertyModel
    question: Question
    tally: Tally
    seconds: float

    @property
    def is_complete(self) -> bool:
        """Whether the whole space was looked at."""
        return self.tally.counts.positions == self.space.size

    @cached_property
    def kept(self) -> pd.DataFrame:
        """The kept recipes, best first, columns `COLUMNS`: answered once more, with neighbours and reasons."""
        kept = self.tally.kept
        return self._answered(kept.numbers, kept.values)

    @cached_property
    def front(self) -> pd.DataFrame:
        """The Pareto front, the best conductor first, columns `COLUMNS`; their objective, if they were kept."""
        front = self.tally.front
        order = np.lexsort((front.numbers, -front.points[:, 0]))
        kept = dict(zip(self.tally.kept.numbers.tolist(), self.tally.kept.values.tolist(), strict=True))
        numbers = front.numbers[order]
        return self._answered(numbers, np.array([kept.get(number, np.nan) for number in numbers.tolist()]))

    def _answered(self, numbers: NDArray[np.int64], objective: NDArray[np.float64]) -> pd.DataFrame:
        names = [column.value for column in COLUMNS]
        if not len(numbers):
            return pd.DataFrame({name: pd.Series(dtype="object") for name in names})
        recipes = recipes_at(self.space, self.question, numbers)
        answers = self.model.predict(recipes, level=self.question.level)
        first = pd.DataFrame({Column.SPACE_POSITION.value: numbers, Column.OBJECTIVE.value: objective})
        return pd.concat([first, recipes, answers], axis=1)[names]

    def to_json(self, best: int = 10) -> dict[str, Any]:
        """Return the summary: what was asked, how many, how fast, the best ones, by system."""
        counts = self.tally.counts
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
            "counts": counts.to_json(),
            "seconds": round(self.seconds, 3),
            "scored_per_second": round(counts.balanced / self.seconds, 1) if self.seconds > 0 else None,
            "kept": len(self.tally.kept.numbers),
            "best": _records(self.kept.head(best)),
            "systems": [
                {
                    Column.SYSTEM.value: name,
                    "candidates": one.candidates,
                    "inside": one.inside,
                    "best_objective": None if one.number < 0 else one.value,
                    "best_position": None if one.number < 0 else one.number,
                }
                for name, one in self.tally.systems.items()
            ],
            "front": {
                "properties": list(FRONT_PROPERTIES),
                "recipes": len(self.tally.front.numbers),
                "given_up": self.tally.front.given_up,
            },
        }


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows as plain values, null where there is none."""
    plain = frame.astype("object").where(frame.notna(), None)
    return [{str(name): _plain(cell) for name, cell in row.items()} for row in plain.to_dict("records")]


def _plain(cell: Any) -> Any:
    return cell.item() if isinstance(cell, np.generic) else cell


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
