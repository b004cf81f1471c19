"""A small search space in which each recipe has a formula that is parsed, as a reference for `SearchSpace`."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.columns import MODEL_INPUT, Column
from nasicon_ml.composition import occupancies
from nasicon_ml.recipe import Recipe, recipe_table
from nasicon_ml.screening.space import Candidates

FORMULAS = tuple(
    f"Li{1 + x:g}{dopant}{x:g}{host}{2 - x:g}(PO4)3"
    for host, dopant, x in itertools.product(("Ti", "Ge", "Zr"), ("Al", "Sc"), (0.1, 0.3, 0.4, 0.5))
)
UNBALANCED = "Li1.9Al0.3Ti1.7(PO4)3"
TEMPERATURES_C = (None, 700.0, 800.0, 900.0, 1000.0, 1100.0)
ATMOSPHERES = ("air", "Ar")
TIMES_H = (2.0, 6.0, 12.0)


@dataclass(frozen=True)
class SmallSpace:
    """All combinations; formulas vary fastest."""

    formulas: tuple[str, ...] = (*FORMULAS, UNBALANCED)
    times_h: tuple[float, ...] = TIMES_H

    @property
    def _recipes(self) -> list[tuple[float, str, float | None, str]]:
        return list(itertools.product(self.times_h, ATMOSPHERES, TEMPERATURES_C, self.formulas))

    @property
    def size(self) -> int:
        return len(self._recipes)

    @property
    def default_chunk_size(self) -> int:
        return 65_536

    def chunk(self, start: int, stop: int) -> Candidates:
        return self.at(np.arange(start, min(stop, self.size)))

    def at(self, indices: NDArray[np.int64]) -> Candidates:
        # The constraint of this space: in argon, pellets are not sintered for 2 h.
        recipes = self._recipes
        rows = [
            (position, recipe)
            for position in indices.tolist()
            if not ((recipe := recipes[position])[1] == "Ar" and recipe[0] == 2.0)
        ]
        if not rows:
            return self._empty()
        table = recipe_table(
            [
                Recipe(
                    formula=formula,
                    sintering_temperature_c=temperature_c,
                    sintering_time_h=time_h,
                    atmosphere=atmosphere,
                )
                for _, (time_h, atmosphere, temperature_c, formula) in rows
            ]
        )
        sites = occupancies([recipe[3] for _, recipe in rows])
        positions = np.array([position for position, _ in rows], dtype=np.int64)
        return Candidates(positions, table.drop(columns=[Column.FORMULA.value]), sites)

    def _empty(self) -> Candidates:
        table = pd.DataFrame({column.value: pd.Series(dtype="float64") for column in MODEL_INPUT[1:]})
        return Candidates(np.empty(0, dtype=np.int64), table, occupancies([]))

    @property
    def fingerprint(self) -> str:
        return repr(self)

    def to_json(self) -> dict[str, Any]:
        return {"formulas": list(self.formulas), "times_h": list(self.times_h)}
