"""What an additive does to the batch: how much of it there is, and of which kind, in arrays.

Amounts come in wt%, mol% or formula units; all are brought to one basis, moles per formula unit of the
electrolyte, and to wt%.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.columns import Column
from nasicon_ml.composition import ELEMENTS, OccupancyTable

Floats = NDArray[np.float64]
Columns = dict[str, Floats]

#: Liquids of cold sintering: water, acetic acid, NMP, DMF, DMSO, lye. They leave the pellet or carry matter in it,
#: unlike a second phase.
PROCESS_LIQUIDS = frozenset({"H2O", "CH3COOH", "C5H9NO", "C3H7NO", "C2H6OS", "NaOH"})
#: An additive with one of these melts or forms a glass below the sintering temperatures of this family; nitrates
#: do too.
FLUXING_ELEMENTS = frozenset({"B", "Bi", "F", "Cl", "S", "V"})
ADDITIVE_FEATURES = (
    "additive_present", "additive_moles_per_formula", "additive_wt_pct", "additive_fluxing",
    "additive_process_liquid", "additive_lithium",
)  # fmt: skip
#: What says in a name that the additive is a glass or a nitrate.
_FLUXING_NAMES = re.compile(r"glass|NO3|P2O5|LiPO3")


@cache
def _molar_mass_g_mol(formula: str) -> float:
    """Molar mass of an additive, NaN if its name is not a formula (a glass with a trade name, a mixture)."""
    from pymatgen.core import Composition

    try:
        return float(Composition(formula).weight)
    except (ValueError, KeyError, OverflowError, AttributeError):  # the last: L2O, of an element that is none
        return float("nan")


def additive_columns(table: pd.DataFrame, host_g_mol: Callable[[], Floats]) -> Columns:
    """Describe the additives of n recipes; columns of shape (n,).

    Parameters
    ----------
    table
        Recipe columns, n rows.
    host_g_mol
        Gives the mass of a formula unit of each recipe's electrolyte (`host_mass_g_mol`), shape (n,); or of m
        electrolytes, shape (m, 1), each with the processing of all n rows: then amounts have shape (m, n). Called
        only if there is an additive.

    Recipes without an additive get 0 everywhere: none was added, as far as the source says.
    """
    codes, unique = pd.factorize(table[Column.ADDITIVE])
    present = codes >= 0
    if not present.any():  # nor is anything needed that knows chemistry: importing it takes long
        return {name: np.zeros(len(table)) for name in ADDITIVE_FEATURES}
    known = np.array([(*_kind(name), _molar_mass_g_mol(name)) for name in unique])
    fluxing, liquid, lithium, molar = np.where(present, known[codes].T, np.nan)
    moles, weight_pct = _amounts(table, molar, host_g_mol())
    values = (np.ones(len(table)), moles, weight_pct, fluxing, liquid, lithium)
    return {name: np.where(present, value, 0.0) for name, value in zip(ADDITIVE_FEATURES, values, strict=True)}


def _kind(name: str) -> tuple[bool, bool, bool]:
    """Whether an additive is fluxing, a process liquid, and brings lithium."""
    elements = set(re.findall(r"[A-Z][a-z]?", name))
    if name in PROCESS_LIQUIDS:
        return False, True, False
    fluxing = bool(elements & FLUXING_ELEMENTS) or _FLUXING_NAMES.search(name) is not None
    return fluxing, False, "Li" in elements


def _amounts(table: pd.DataFrame, molar: Floats, host: Floats) -> tuple[Floats, Floats]:
    """Moles per formula unit and wt% of the host; NaN where the amount or the unit is not given."""
    amount = table[Column.ADDITIVE_AMOUNT].to_numpy(dtype=np.float64)
    unit = table[Column.ADDITIVE_UNIT]
    by_weight = (unit == "wt%").to_numpy()
    by_mole = (unit == "mol%").to_numpy()
    by_formula = (unit == "formula_unit").to_numpy()
    moles = np.select(
        [by_weight, by_mole, by_formula], [amount / 100.0 * host / molar, amount / 100.0, amount], np.nan
    )
    return moles, np.where(by_weight, amount, 100.0 * moles * molar / host)


def host_mass_g_mol(sites: OccupancyTable) -> Floats:
    """Mass of one formula unit of the electrolyte in g/mol; shape (n_unique,)."""
    weights = _atomic_weights()
    amounts = sites.a + sites.m + sites.t + sites.other_anions
    return np.asarray((amounts * weights).sum(axis=1) + sites.oxygen * weights[ELEMENTS.index("O")])


@cache
def _atomic_weights() -> Floats:
    from pymatgen.core import Element

    return np.array([float(Element(symbol).atomic_mass) for symbol in ELEMENTS])
