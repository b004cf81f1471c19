"""What the composition says: who sits on which site, how much charge and size differ, in arrays.

Every function takes the occupancies of unique formulas, shape (n_unique, n_elements), and returns columns
for these; the caller spreads them over rows. Amounts are per formula unit A(1+x)M2(TO4)3.

Magpie's element properties are read from the tables that matminer installs (Ward et al.,
10.1038/npjcompumats.2016.28), without importing matminer itself, which takes seconds. Ionic radii are
Shannon's (10.1107/S0567739476001551), as pymatgen carries them. Both are arrays ordered like `ELEMENTS`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.composition import ELEMENTS, OccupancyTable
from nasicon_ml.errors import MissingExtraError

Floats = NDArray[np.float64]
Columns = dict[str, Floats]

#: Cations of the M site that get a column of their own; all others are summed in `m_other`.
M_CATIONS = (
    "Al", "Ti", "Ge", "Zr", "Hf", "Sn", "Sc", "Y", "In", "Ga", "Cr", "Fe", "La", "Mg", "Ca", "Nb", "Ta", "V",
)  # fmt: skip
VALENCES = (2, 3, 4, 5)
#: Magpie properties whose mean and spread over the M site are features.
SITE_PROPERTIES = ("Electronegativity", "CovalentRadius", "MeltingT", "MendeleevNumber", "GSvolume_pa")
#: Magpie properties whose amount-weighted mean and mean deviation over the whole formula are features.
BULK_PROPERTIES = ("AtomicWeight", "Electronegativity", "CovalentRadius", "MeltingT", "NpUnfilled", "NdUnfilled")
#: Cations that an oxygen-poor atmosphere reduces below 1000 °C (Ti4+ to Ti3+, Ge4+ to Ge).
REDUCIBLE = ("Ti", "Ge", "Sn", "Fe", "Nb", "V")

#: The largest valence of which there are radii.
HIGHEST_VALENCE = 7
_POSITION = {symbol: position for position, symbol in enumerate(ELEMENTS)}


def site_columns(sites: OccupancyTable) -> Columns:
    """Amounts on the sites, substitution, charge and size of the M site; each column of shape (n_unique,)."""
    m_total = sites.m.sum(axis=1)
    share = sites.m / np.where(m_total > 0, m_total, np.nan)[:, None]
    columns: Columns = {
        "a_lithium": sites.a[:, _POSITION["Li"]],
        "a_sodium": sites.a[:, _POSITION["Na"]],
        "x": sites.x,
        "alkali_excess": sites.alkali_excess,
        "charge_imbalance": sites.charge_imbalance,
        "m_total": m_total,
        "t_silicon": sites.t[:, _POSITION["Si"]],
    }
    named = [_POSITION[symbol] for symbol in M_CATIONS]
    columns |= {f"m_{symbol}": sites.m[:, at] for symbol, at in zip(M_CATIONS, named, strict=True)}
    columns["m_other"] = np.delete(sites.m, named, axis=1).sum(axis=1)
    rounded = np.round(np.nan_to_num(sites.valence))
    columns |= {f"m_valence_{z}": np.where(rounded == z, sites.m, 0.0).sum(axis=1) for z in VALENCES}
    columns["m_reducible"] = sites.m[:, [_POSITION[symbol] for symbol in REDUCIBLE]].sum(axis=1)
    radius = radius_at_valence(sites.valence)
    found = _statistics(share, [radius, sites.valence, *map(magpie, SITE_PROPERTIES)])
    columns["m_radius_mean_angstrom"], columns["m_radius_deviation_angstrom"] = next(found)
    columns["m_radius_range_angstrom"] = _range(share, radius)
    columns["m_valence_mean"] = next(found)[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        columns["m_mixing_entropy_r"] = -np.where(share > 0, share * np.log(share), 0.0).sum(axis=1)
    for name, (mean, deviation) in zip(SITE_PROPERTIES, found, strict=True):
        columns[f"m_{name}_mean"] = mean
        columns[f"m_{name}_deviation"] = deviation
    return columns


def bulk_columns(sites: OccupancyTable) -> Columns:
    """Magpie statistics over the whole formula, as `matminer`'s ElementProperty defines mean and avg_dev."""
    amounts = sites.a + sites.m + sites.t + sites.other_anions
    amounts[:, _POSITION["O"]] += sites.oxygen
    share = amounts / amounts.sum(axis=1, keepdims=True)
    columns: Columns = {}
    found = _statistics(share, map(magpie, BULK_PROPERTIES))
    for name, (mean, deviation) in zip(BULK_PROPERTIES, found, strict=True):
        columns[f"magpie_{name}_mean"] = mean
        columns[f"magpie_{name}_avg_dev"] = deviation
    return columns


def _statistics(share: Floats, values: Iterable[Floats]) -> Iterator[tuple[Floats, Floats]]:
    """Yield the share-weighted mean of each row, and the mean absolute deviation from it, for several properties.

    Parameters
    ----------
    share
        Shape (n, n_elements).
    values
        Of that shape, or one number an element; they matter only where the share is positive, and NaN there makes
        the row's statistics NaN.
    """
    present = share > 0
    weight = np.where(present, share, 0.0)
    empty = ~present.any(axis=1)
    for one in values:
        mean = (weight * np.where(present, one, 0.0)).sum(axis=1)
        deviation = (weight * np.abs(np.where(present, one - mean[:, None], 0.0))).sum(axis=1)
        yield np.where(empty, np.nan, mean), np.where(empty, np.nan, deviation)


def _range(share: Floats, values: Floats) -> Floats:
    """Return the range of the values of each row where the share is positive; NaN where it is so nowhere."""
    present = share > 0
    highest = np.where(present, values, -np.inf).max(axis=1)
    lowest = np.where(present, values, np.inf).min(axis=1)
    empty = ~present.any(axis=1)
    return np.where(empty, np.nan, highest - np.where(empty, 0.0, lowest))


@cache
def magpie(name: str) -> Floats:
    """Read one Magpie property; shape (len(ELEMENTS),), NaN where Magpie has none.

    Raises
    ------
    KeyError
        If matminer installs no such table.
    """
    path = _magpie_folder() / f"{name}.table"
    if not path.is_file():
        raise KeyError(f"Magpie has no property {name!r}")
    values = np.full(len(ELEMENTS), np.nan)
    for position, line in enumerate(path.read_text(encoding="utf-8").splitlines()[: len(ELEMENTS)]):
        try:
            values[position] = float(line)
        except ValueError:  # "Missing[NotAvailable]" and its like
            continue
    values.flags.writeable = False
    return values


@cache
def _magpie_folder() -> Path:
    spec = importlib.util.find_spec("matminer")
    if spec is None or spec.origin is None:
        raise MissingExtraError("matminer", "all", "reading Magpie's element properties")
    return Path(spec.origin).parent / "utils" / "data_files" / "magpie_elementdata"


@cache
def octahedral_radius_angstrom() -> Floats:
    """Shannon radii of six-fold coordinated cations in Å.

    Returns
    -------
    ndarray
        Shape (len(ELEMENTS), HIGHEST_VALENCE + 1), indexed by element and valence; NaN where Shannon gives
        none. High spin where both are given: the field is weak in a phosphate.
    """
    from pymatgen.core import Element

    table = np.full((len(ELEMENTS), HIGHEST_VALENCE + 1), np.nan)
    for position, symbol in enumerate(ELEMENTS):
        radii = Element(symbol).data.get("Shannon radii", {})
        for valence_text, by_coordination in radii.items():
            valence = int(valence_text or 0)  # pymatgen has one entry without a valence
            spins = by_coordination.get("VI", {})
            if 0 < valence <= HIGHEST_VALENCE and spins:
                entry = spins.get("High Spin") or spins.get("") or next(iter(spins.values()))
                table[position, valence] = entry["ionic_radius"]
    table.flags.writeable = False
    return table


def radius_at_valence(valence: Floats) -> Floats:
    """Octahedral radius in Å of each element at its (possibly mixed) valence, linear between whole valences.

    Parameters
    ----------
    valence
        Shape (n, len(ELEMENTS)), NaN where the element is absent.

    Returns
    -------
    ndarray
        Same shape. Where Shannon has no radius at that valence, the nearest valence he has is taken; NaN
        where the element is absent or has no octahedral radius at all.
    """
    table = _filled_radii()
    known = np.clip(np.nan_to_num(valence, nan=1.0), 1, HIGHEST_VALENCE)
    low = np.floor(known).astype(int)
    high = np.minimum(low + 1, HIGHEST_VALENCE)
    element = np.arange(table.shape[0])[None, :]
    share = known - low
    radius = (1.0 - share) * table[element, low] + share * table[element, high]
    return np.where(np.isnan(valence), np.nan, radius)


@cache
def _filled_radii() -> Floats:
    table = octahedral_radius_angstrom().copy()
    for row in table:
        known = np.flatnonzero(~np.isnan(row))
        if len(known):
            nearest = known[np.abs(np.arange(len(row))[:, None] - known[None, :]).argmin(axis=1)]
            row[:] = row[nearest]
    table.flags.writeable = False
    return table
