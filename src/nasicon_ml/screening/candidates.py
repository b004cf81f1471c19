"""Candidates: recipes of a space as arrays, with formulas spelled only where somebody will read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.composition import ELEMENTS, Composition, OccupancyTable


@dataclass(frozen=True)
class Candidates:
    """Recipes of a space, n of them.

    Attributes
    ----------
    numbers
        Position of each in its space, int64, shape (n,): the same however the space is cut into chunks.
    table
        `nasicon_ml.columns.MODEL_INPUT` without the formula, n rows: float64 with NaN, categorical where texts.
    sites
        Their occupancies, each composition of the chunk once.
    """

    numbers: NDArray[np.int64]
    table: pd.DataFrame
    sites: OccupancyTable

    def __len__(self) -> int:
        return len(self.numbers)

    def formulas(self, rows: Sequence[int] | NDArray[Any]) -> list[str]:
        """Spell the formulas of some rows; `nasicon_ml.composition.parse` reads the same occupancies from them."""
        which = self.sites.index[np.asarray(rows, dtype=np.intp)]
        spelled = {unique: self._composition(unique).formula for unique in np.unique(which).tolist()}
        return [spelled[unique] for unique in which.tolist()]

    def _composition(self, unique: int) -> Composition:
        sites = self.sites
        a, m, t, anions = (
            {ELEMENTS[at]: float(group[unique, at]) for at in np.flatnonzero(group[unique]).tolist()}
            for group in (sites.a, sites.m, sites.t, sites.other_anions)
        )
        stated = np.flatnonzero(~np.isnan(sites.valence[unique])).tolist()
        states = {ELEMENTS[at]: float(sites.valence[unique, at]) for at in stated}
        return Composition(a, m, t, float(sites.oxygen[unique]), anions, states)
