"""What the composition says: who sits on which site, how much charge and size differ, in arrays.

Every function takes the occupancies of unique formulas, shape (n_unique, n_elements), and returns columns
for these; the caller spreads them over rows. Amounts are per formula unit A(1+x)M2(TO4)3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.composition import ELEMENTS, OccupancyTable
from nasicon_ml.features.elements import magpie, radius_at_valence

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
    mean, deviation, spread = _statistics(share, radius_at_valence(sites.valence))
    columns["m_radius_mean_angstrom"] = mean
    columns["m_radius_deviation_angstrom"] = deviation
    columns["m_radius_range_angstrom"] = spread
    columns["m_valence_mean"] = _statistics(share, sites.valence)[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        columns["m_mixing_entropy_r"] = -np.where(share > 0, share * np.log(share), 0.0).sum(axis=1)
    for name in SITE_PROPERTIES:
        mean, deviation, _ = _statistics(share, np.broadcast_to(magpie(name), share.shape))
        columns[f"m_{name}_mean"] = mean
        columns[f"m_{name}_deviation"] = deviation
    return columns


def bulk_columns(sites: OccupancyTable) -> Columns:
    """Magpie statistics over the whole formula, as `matminer`'s ElementProperty defines mean and avg_dev."""
    amounts = sites.a + sites.m + sites.t + sites.other_anions
    amounts[:, _POSITION["O"]] += sites.oxygen
    share = amounts / amounts.sum(axis=1, keepdims=True)
    columns: Columns = {}
    for name in BULK_PROPERTIES:
        mean, deviation, _ = _statistics(share, np.broadcast_to(magpie(name), share.shape))
        columns[f"magpie_{name}_mean"] = mean
        columns[f"magpie_{name}_avg_dev"] = deviation
    return columns


def _statistics(share: Floats, values: Floats) -> tuple[Floats, Floats, Floats]:
    """Share-weighted mean, mean absolute deviation from it, and range, of each row.

    Parameters
    ----------
    share, values
        Shape (n, n_elements); values matter only where the share is positive, and NaN there makes the row's
        statistics NaN.
    """
    present = share > 0
    inside = np.where(present, values, 0.0)
    weight = np.where(present, share, 0.0)
    mean = (weight * inside).sum(axis=1)
    deviation = (weight * np.abs(np.where(present, values - mean[:, None], 0.0))).sum(axis=1)
    highest = np.where(present, values, -np.inf).max(axis=1)
    lowest = np.where(present, values, np.inf).min(axis=1)
    empty = ~present.any(axis=1)
    spread = np.where(empty, np.nan, highest - np.where(empty, 0.0, lowest))
    return np.where(empty, np.nan, mean), np.where(empty, np.nan, deviation), spread
