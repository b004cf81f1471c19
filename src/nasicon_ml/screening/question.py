"""What is asked of a space, and with how much effort: the first decides the result, the second only the time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.columns import ROOM_TEMPERATURE_C, Column
from nasicon_ml.errors import FieldError, nearest
from nasicon_ml.screening.candidates import Candidates
from nasicon_ml.screening.objectives import Conductivity, Objective, objective_from_json

#: Recipes that may be kept: each is written out, and stands in the state file.
MOST_KEPT = 100_000
#: Positions of a chunk: enough that few calls are made, few enough that some hundred megabytes hold several.
CHUNK = 65_536
MOST_CHUNK = 1_048_576
ENGINES = ("local", "dask")


@dataclass(frozen=True)
class Question:
    """Everything that decides the result, beside space and model.

    Attributes
    ----------
    objective
        What the kept recipes are best in.
    keep
        How many are kept.
    level
        Of the intervals.
    at_c
        Temperature in °C at which the conductivity is wanted; None: what the space says, else 25.
    inside_only
        Whether recipes outside the known domain are left out of everything that is kept.
    balanced_only
        Whether recipes whose charges do not add up are left out, unscored.
    """

    objective: Objective = field(default_factory=Conductivity)
    keep: int = 100
    level: float = 0.9
    at_c: float | None = None
    inside_only: bool = True
    balanced_only: bool = True

    def __post_init__(self) -> None:
        if not is_whole(self.keep, MOST_KEPT):
            raise FieldError("keep", self.keep, f"a whole number from 1 to {MOST_KEPT}")
        if not 0 < self.level < 1:
            raise FieldError("level", self.level, "a number between 0 and 1")
        if self.at_c is not None:
            Column.MEASUREMENT_TEMPERATURE_C.parse(self.at_c)

    def to_json(self) -> dict[str, Any]:
        """Give the settings by name."""
        return {
            "objective": self.objective.to_json(),
            "keep": self.keep,
            "level": self.level,
            "at_c": self.at_c,
            "inside_only": self.inside_only,
            "balanced_only": self.balanced_only,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Question:
        """Read what `to_json` gave."""
        return cls(**(dict(content) | {"objective": objective_from_json(content["objective"])}))

    def conductivity_at(self, candidates: Candidates) -> Candidates:
        """Put the temperature at which the conductivity is wanted into recipes."""
        if self.at_c is None:
            return candidates
        name = Column.MEASUREMENT_TEMPERATURE_C.value
        table = candidates.table.assign(**{name: np.full(len(candidates.numbers), float(self.at_c))})
        return Candidates(candidates.numbers, table, candidates.sites)

    def temperatures_c(self, candidates: Candidates) -> NDArray[np.float64]:
        """Give the temperature of each recipe's conductivity, in °C; shape (n,)."""
        given = candidates.table[Column.MEASUREMENT_TEMPERATURE_C].to_numpy(dtype=np.float64)
        return np.where(np.isnan(given), ROOM_TEMPERATURE_C, given)


@dataclass(frozen=True)
class Effort:
    """How it is computed; the result is the same.

    Attributes
    ----------
    threads
        Chunks that are scored at the same time on this machine.
    chunk
        Positions of the space that are scored in one call.
    engine
        "local", or "dask" for a cluster.
    scheduler
        Address of the Dask scheduler, such as tcp://host:8786.
    """

    threads: int = field(default_factory=lambda: min(8, os.cpu_count() or 1))
    chunk: int = CHUNK
    engine: str = "local"
    scheduler: str | None = None

    def __post_init__(self) -> None:
        for name, value, most in (("threads", self.threads, 1_000), ("chunk", self.chunk, MOST_CHUNK)):
            if not is_whole(value, most):
                raise FieldError(name, value, f"a whole number from 1 to {most}")
        if self.engine not in ENGINES:
            raise FieldError("engine", self.engine, ", ".join(ENGINES), nearest(self.engine, ENGINES))
        if (self.scheduler is not None) != (self.engine == "dask"):
            raise FieldError(
                "scheduler", self.scheduler, "an address such as tcp://host:8786, with the engine dask alone"
            )


def is_whole(value: object, most: int) -> bool:
    """Whether a value is a whole number from 1 to `most`."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most
