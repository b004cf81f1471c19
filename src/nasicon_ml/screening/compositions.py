"""The axis of compositions: every different one once, in whole millionths; wide arrays only when asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.composition import Composition, OccupancyTable
from nasicon_ml.composition.elements import ALKALI_LETTERS, ELEMENT_INDEX, ELEMENTS, HOST_LETTERS
from nasicon_ml.composition.model import NAMED_DOPANT, NAMED_HOST_SHARE
from nasicon_ml.composition.oxidation import (
    CHARGE_TOLERANCE,
    TETRAHEDRAL_STATES,
    USUAL_STATES,
    oxidation_states,
)
from nasicon_ml.composition.sites import RESOLUTION, Sites
from nasicon_ml.screening.families import Family, read_family
from nasicon_ml.screening.reading import Stated

Floats = NDArray[np.float64]

#: So many compositions are held at once, some eighty bytes each.
MOST_COMPOSITIONS = 1_000_000
_OXYGEN = 12
_TETRAHEDRAL = ("Si", "P")
_ALLOWED = "a list of families of compositions"


@dataclass(frozen=True)
class Compositions:
    """Different compositions, n of them.

    Attributes
    ----------
    elements
        Cations that occur, k of them, by atomic number.
    units
        Millionths per formula unit, int32, shape (n, k).
    states
        Oxidation states as `nasicon_ml.composition.parse` reads them, int8, shape (n, k).
    names, name_of
        Names of the systems, and which each has, shape (n,).
    """

    elements: tuple[str, ...]
    units: NDArray[np.int32]
    states: NDArray[np.int8]
    names: tuple[str, ...]
    name_of: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.units)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Compositions:
        """Keep some of them."""
        return Compositions(self.elements, self.units[rows], self.states[rows], self.names, self.name_of[rows])

    def amount(self, element: str) -> Floats:
        """Amount of an element per formula unit, shape (n,)."""
        if element not in self.elements:
            return np.zeros(len(self))
        return self.units[:, self.elements.index(element)] / RESOLUTION

    @property
    def x(self) -> Floats:
        """Net substitution as in `Composition.x`, shape (n,)."""
        total = np.zeros(len(self), dtype=np.int64)
        for at, element in enumerate(self.elements):
            if element not in ALKALI_LETTERS:
                full = 5 if element in _TETRAHEDRAL else 4
                total += (full - self.states[:, at].astype(np.int64)) * self.units[:, at]
        return np.asarray(total / RESOLUTION)

    @property
    def systems(self) -> NDArray[np.object_]:
        """Name of the system of each, shape (n,)."""
        return np.array(self.names, dtype=object)[self.name_of]

    def occupancies(self, rows: NDArray[np.intp], index: NDArray[np.intp]) -> OccupancyTable:
        """Put some of them into wide arrays.

        Parameters
        ----------
        rows
            Which, shape (n_unique,).
        index
            Position among them of each row of a table, shape (n_rows,).
        """
        shape = (len(rows), len(ELEMENTS))
        a, m, t = (np.zeros(shape) for _ in range(3))
        valence = np.full(shape, np.nan)
        amounts = self.units[rows] / RESOLUTION
        for at, element in enumerate(self.elements):
            site = a if element in ALKALI_LETTERS else t if element in _TETRAHEDRAL else m
            column = ELEMENT_INDEX[element]
            site[:, column] = amounts[:, at]
            valence[:, column] = np.where(amounts[:, at] > 0, self.states[rows, at], np.nan)
        valence[:, ELEMENT_INDEX["O"]] = -2.0
        oxygen = np.full(len(rows), float(_OXYGEN))
        systems = np.array(self.names, dtype=object)[self.name_of[rows]]
        return OccupancyTable(a, m, t, valence, oxygen, np.zeros(shape), systems, index)


def read_compositions(stated: Stated, *, any_charge: bool = False) -> Compositions:
    """Read the families of a space into an axis; a composition that several of them hold stands once.

    Raises
    ------
    SpaceError
        If a family is none, or there are more than `MOST_COMPOSITIONS`.
    """
    families, count = [], 0
    for item in stated.one_or_more(_ALLOWED):
        families.append(read_family(item, any_charge=any_charge))
        count += len(families[-1])
        if count > MOST_COMPOSITIONS:
            raise item.error(f"at most {MOST_COMPOSITIONS} in all", "Take larger steps.", value=count)
    elements = tuple(sorted(set().union(*(family.elements for family in families)), key=ELEMENT_INDEX.__getitem__))
    units = np.concatenate([_of_family(family, elements) for family in families])
    units = units[_distinct_rows(units)[0]]
    states = _states(elements, units)
    names, name_of = _systems(elements, units, states)
    return Compositions(elements, units, states, names, name_of)


def _distinct_rows(table: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Give the first row of each kind, in order of appearance, and which kind each row is; without sorting."""
    code = np.zeros(len(table), dtype=np.int64)
    for column in table.T:
        parts, kinds = pd.factorize(column)
        code = pd.factorize(code * len(kinds) + parts)[0]
    return np.flatnonzero(np.diff(np.maximum.accumulate(code), prepend=-1)), code


def _of_family(family: Family, elements: Sequence[str]) -> NDArray[np.int32]:
    blocks = []
    for grid in family.grids():
        block = np.zeros((len(grid["P"]), len(elements)), dtype=np.int32)
        for element, units in grid.items():
            block[:, elements.index(element)] = units
        blocks.append(block)
    return np.concatenate(blocks)


def _states(elements: Sequence[str], units: NDArray[np.int32]) -> NDArray[np.int8]:
    """Give the states that a reader of the formula takes: the usual ones, or others where the charge asks."""
    usual = np.array([_usual(element) for element in elements])
    states = np.tile(usual.astype(np.int8), (len(units), 1))
    surplus = units.astype(np.int64) @ usual - 2 * _OXYGEN * RESOLUTION
    varied = [at for at, element in enumerate(elements) if len(_possible(element)) > 1]
    doubtful = (np.abs(surplus) > round(CHARGE_TOLERANCE * RESOLUTION)) & (units[:, varied] > 0).any(axis=1)
    for row in np.flatnonzero(doubtful).tolist():
        found = oxidation_states(_sites(elements, units[row]))
        states[row] = [found.get(element, usual[at]) for at, element in enumerate(elements)]
    return states


def _possible(element: str) -> tuple[int, ...]:
    return (TETRAHEDRAL_STATES[element],) if element in _TETRAHEDRAL else USUAL_STATES[element]


def _usual(element: str) -> int:
    return _possible(element)[0]


def _sites(elements: Sequence[str], row: NDArray[np.int32]) -> Sites:
    amounts = {el: units / RESOLUTION for el, units in zip(elements, row.tolist(), strict=True) if units > 0}
    a = {el: amount for el, amount in amounts.items() if el in ALKALI_LETTERS}
    t = {el: amount for el, amount in amounts.items() if el in _TETRAHEDRAL}
    m = {el: amount for el, amount in amounts.items() if el not in a and el not in t}
    return Sites(a, m, t, float(_OXYGEN), {})


def _systems(
    elements: Sequence[str], units: NDArray[np.int32], states: NDArray[np.int8]
) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """Name the systems: a name depends on nothing but which elements exceed their thresholds."""
    amounts = units / RESOLUTION
    m_total = amounts[:, [at for at, el in enumerate(elements) if _on_m(el)]].sum(axis=1).round(9)
    marks = np.empty(units.shape, dtype=np.bool_)
    for at, element in enumerate(elements):
        if element in HOST_LETTERS:
            marks[:, at] = amounts[:, at] >= NAMED_HOST_SHARE * m_total - 1e-6
        else:
            marks[:, at] = amounts[:, at] > (0.0 if element in ALKALI_LETTERS else NAMED_DOPANT)
    first, code = _distinct_rows(marks)
    found = [composition_of(elements, units[row], states[row]).system for row in first.tolist()]
    names = tuple(dict.fromkeys(found))
    places = np.array([names.index(name) for name in found], dtype=np.int32)
    return names, places[code]


def _on_m(element: str) -> bool:
    return element not in ALKALI_LETTERS and element not in _TETRAHEDRAL


def composition_of(elements: Sequence[str], units: NDArray[np.int32], states: NDArray[np.int8]) -> Composition:
    """Make the composition of one row."""
    sites = _sites(elements, units)
    found = {el: float(states[elements.index(el)]) for el in (*sites.a_site, *sites.m_site, *sites.t_site)}
    return Composition(sites.a_site, sites.m_site, sites.t_site, sites.oxygen, {}, found | {"O": -2.0}, None)


def as_mapping(compositions: Compositions) -> Mapping[str, int]:
    """Count the compositions of each system."""
    counts = np.bincount(compositions.name_of, minlength=len(compositions.names)).tolist()
    return {name: count for name, count in zip(compositions.names, counts, strict=True) if count}
