"""Likely secondary phases of a recipe: those of the nearest pellets that its elements can form."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nasicon_ml.arrays import Floats, Ints, Mask
from nasicon_ml.columns import Column, split_cell
from nasicon_ml.composition import ELEMENTS, OccupancyTable
from nasicon_ml.features.distances import Neighbours

#: Number of nearest pellets with reported secondary phases that vote for the phases of a recipe.
PHASE_NEIGHBOURS = 8
#: Largest number of phases reported for a recipe, and the smallest share of the votes of a reported phase.
NAMED_PHASES = 3
SMALLEST_SHARE = 0.1
_OXYGEN = ELEMENTS.index("O")


@dataclass(frozen=True)
class SecondaryPhases:
    """Secondary phases of the training pellets that report any.

    Attributes
    ----------
    pellets
        Positions of these pellets among the training pellets, shape (m,).
    names
        All reported phases, n_phases.
    occurrence
        1 where a pellet reports a phase, else 0; shape (m, n_phases).
    elements
        Positions in `nasicon_ml.composition.ELEMENTS` of the elements of each phase, shape
        (n_phases, largest number of elements), padded with the position of oxygen, which is always present.
    """

    pellets: Ints
    names: tuple[str, ...]
    occurrence: Floats
    elements: Ints

    @classmethod
    def from_pellets(cls, pellets: pd.DataFrame) -> SecondaryPhases:
        """Collect the phases of a pellet table."""
        cells = pellets[Column.SECONDARY_PHASES].to_numpy(dtype=object)
        rows = np.flatnonzero(pd.notna(cells))
        phases_by_row = [split_cell(cells[row]) for row in rows]
        names = tuple(sorted({phase for phases in phases_by_row for phase in phases}))
        occurrence = np.array([[float(name in phases) for name in names] for phases in phases_by_row])
        positions = [[ELEMENTS.index(element) for element in _elements(name)] for name in names]
        elements = np.full((len(names), max(map(len, positions), default=0)), _OXYGEN)
        for row, of_phase in zip(elements, positions, strict=True):
            row[: len(of_phase)] = of_phase
        return cls(rows, names, occurrence.reshape(len(rows), len(names)), elements)

    def likely_phases(
        self, neighbours: Neighbours, sites: OccupancyTable, additives: pd.Series
    ) -> list[tuple[str, ...]]:
        """Return the likely phases of each recipe, the likeliest first.

        Parameters
        ----------
        neighbours
            The `PHASE_NEIGHBOURS` of `pellets` nearest to each recipe.
        sites, additives
            Occupancies and additives of the recipes, whose elements can form a phase.
        """
        if not self.names or len(additives) == 0:
            return [()] * len(additives)
        weight = np.exp(-neighbours.distances)
        weight /= weight.sum(axis=1, keepdims=True)
        share = np.einsum("nk,nkp->np", weight, self.occurrence[neighbours.positions])
        row, phase = np.nonzero(share >= SMALLEST_SHARE)
        is_possible = _available_elements(sites, additives)[row[:, None], self.elements[phase]].all(axis=1)
        row, phase = row[is_possible], phase[is_possible]
        likely: list[list[str]] = [[] for _ in range(len(additives))]
        for index in np.lexsort((-share[row, phase], row)).tolist():  # stable
            if len(likely[row[index]]) < NAMED_PHASES:
                likely[row[index]].append(self.names[phase[index]])
        return [tuple(names) for names in likely]


def _available_elements(sites: OccupancyTable, additives: pd.Series) -> Mask:
    """Return whether each recipe contains each element, shape (n, n_elements)."""
    present = (sites.a > 0) | (sites.m > 0) | (sites.t > 0) | (sites.other_anions > 0)
    present[:, _OXYGEN] = True
    codes, names = pd.factorize(additives, use_na_sentinel=False)
    added = np.array([np.isin(ELEMENTS, _elements("" if pd.isna(name) else str(name))) for name in names])
    return np.asarray(sites.per_row(present) | added[codes])


def _elements(phase: str) -> list[str]:
    """Return the elements in the name of a phase; none for a name without a formula ("glass", "unidentified")."""
    return [symbol for symbol in re.findall(r"[A-Z][a-z]?", phase) if symbol in ELEMENTS]
