"""Which secondary phases a recipe risks: those of the nearest pellets, as far as its elements can form them."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nasicon_ml.arrays import Floats, Ints, Mask
from nasicon_ml.columns import Column, split_cell
from nasicon_ml.composition import ELEMENTS, OccupancyTable
from nasicon_ml.features.distances import Neighbours

#: How many pellets with named secondary phases are asked.
ASKED_PELLETS = 8
#: How many phases are named, and the smallest share of the asked pellets' weight that names one.
NAMED_PHASES = 3
SMALLEST_SHARE = 0.1
_OXYGEN = ELEMENTS.index("O")


@dataclass(frozen=True)
class PhaseMemory:
    """Secondary phases of the training pellets that named any.

    Attributes
    ----------
    pellets
        Positions of these pellets among the training pellets, shape (m,).
    names
        All phases named, n_phases.
    occurs
        Which pellet named which phase, shape (m, n_phases), 0 or 1.
    needs
        Positions in `nasicon_ml.composition.ELEMENTS` of the elements that each phase contains, shape
        (n_phases, most); filled up with that of oxygen, which is always there.
    """

    pellets: Ints
    names: tuple[str, ...]
    occurs: Floats
    needs: Ints

    @classmethod
    def from_pellets(cls, pellets: pd.DataFrame) -> PhaseMemory:
        """Collect the phases named in a pellet table."""
        named = pellets[Column.SECONDARY_PHASES].to_numpy(dtype=object)
        rows = np.flatnonzero(pd.notna(named))
        lists = [split_cell(named[row]) for row in rows]
        names = tuple(sorted({phase for phases in lists for phase in phases}))
        occurs = np.array([[float(name in phases) for name in names] for phases in lists])
        needed = [[ELEMENTS.index(element) for element in _elements(name)] for name in names]
        needs = np.full((len(names), max(map(len, needed), default=0)), _OXYGEN)
        for row, places in zip(needs, needed, strict=True):
            row[: len(places)] = places
        return cls(rows, names, occurs.reshape(len(rows), len(names)), needs)

    def likely(self, found: Neighbours, sites: OccupancyTable, additives: pd.Series) -> list[tuple[str, ...]]:
        """Return the likely phases of each recipe, the likeliest first.

        Parameters
        ----------
        found
            The nearest `ASKED_PELLETS` of `pellets` to each recipe.
        sites
            Of the recipes.
        additives
            The recipes' additives: their elements can end up in a phase, too.
        """
        if not self.names or len(additives) == 0:
            return [()] * len(additives)
        weight = np.exp(-found.distances)
        weight /= weight.sum(axis=1, keepdims=True)
        share = np.einsum("nk,nkp->np", weight, self.occurs[found.positions])
        share = np.where(self._possible(sites, additives), share, 0.0)
        order = np.argsort(-share, axis=1, kind="stable")[:, :NAMED_PHASES]
        names = np.array(self.names, dtype=object)[order]
        keep = np.take_along_axis(share, order, axis=1) >= SMALLEST_SHARE
        return [tuple(row[kept]) for row, kept in zip(names, keep, strict=True)]

    def _possible(self, sites: OccupancyTable, additives: pd.Series) -> Mask:
        present = (sites.a > 0) | (sites.m > 0) | (sites.t > 0) | (sites.other_anions > 0)
        present[:, _OXYGEN] = True
        codes, names = pd.factorize(additives, use_na_sentinel=False)
        brought = np.array([np.isin(ELEMENTS, _elements("" if pd.isna(name) else str(name))) for name in names])
        available = sites.per_row(present) | brought[codes]
        return np.asarray(available[:, self.needs].all(axis=2))


def _elements(phase: str) -> list[str]:
    """Elements in a phase's name; none for a name that is no formula ("glass", "unidentified")."""
    return [symbol for symbol in re.findall(r"[A-Z][a-z]?", phase) if symbol in ELEMENTS]
