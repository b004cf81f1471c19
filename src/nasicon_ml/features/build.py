"""All features of recipes: of the composition, and of the processing.

Of the composition they say who sits on which site, and how much charge and size differ.

Functions of the composition take the occupancies of unique formulas, shape (n_unique, n_elements), and return
columns for these; they are spread over rows here. Amounts are per formula unit A(1+x)M2(TO4)3.

Magpie's element properties are read from the tables that matminer installs (Ward et al.,
10.1038/npjcompumats.2016.28), without importing matminer itself, which takes seconds. Ionic radii are
Shannon's (10.1107/S0567739476001551), as pymatgen carries them. Both are arrays ordered like `ELEMENTS`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd

from nasicon_ml.arrays import Floats
from nasicon_ml.columns import Column
from nasicon_ml.composition import ELEMENTS, OccupancyTable, occupancies
from nasicon_ml.errors import MissingExtraError
from nasicon_ml.features.processing import (
    additive_columns,
    firing_columns,
    given_columns,
    host_mass_g_mol,
    physics_columns,
    preparation_columns,
    sintered_share,
    usual_for_hosts_c,
)

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

    These are of the shape of `share`, (n, n_elements), or one number an element; NaN where the share is positive
    makes the row's statistics NaN.
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
    """Read one Magpie property; shape (len(ELEMENTS),), NaN where Magpie has none."""
    lines = (_magpie_folder() / f"{name}.table").read_text(encoding="utf-8").splitlines()
    values = np.full(len(ELEMENTS), np.nan)
    for position, line in enumerate(lines[: len(ELEMENTS)]):
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


class FeatureSet(StrEnum):
    """A published list of features. A name never changes its columns: new lists get new names."""

    FULL = "full_3"
    COMPOSITION = "composition"
    #: What `FULL` was in version 0.2, and in 0.1, for their bundles.
    FULL_2 = "full_2"
    FULL_1 = "full"


#: Below this no powder sinters by heat alone, in °C.
COLD_C = 300.0


@dataclass(frozen=True)
class FeatureMatrix:
    """Features of n recipes.

    Attributes
    ----------
    names
        Column names, in the set's frozen order.
    values
        float64, shape (n, len(names)); NaN where a recipe does not say.
    """

    names: tuple[str, ...]
    values: Floats


def build_features(
    table: pd.DataFrame, feature_set: FeatureSet | str = FeatureSet.FULL, *, sites: OccupancyTable | None = None
) -> FeatureMatrix:
    """Compute a feature set for a whole table of recipes at once.

    Parameters
    ----------
    table
        Recipe columns (see `nasicon_ml.columns.RECIPE`), n rows, formulas readable. For the composition set
        the processing columns need not be there.
    feature_set
        Which list of features.
    sites
        The table's occupancies, if the caller has them already.

    Returns
    -------
    FeatureMatrix
        Shape (n, n_features). Each unique formula is parsed once; no Python loop runs over rows.

    Raises
    ------
    FormulaError
        If a formula cannot be read.
    """
    sites = occupancies(table[Column.FORMULA].to_list()) if sites is None else sites
    columns = _BUILDERS[FeatureSet(feature_set)](table, sites, sites.per_row)
    names = tuple(columns)
    return FeatureMatrix(names, np.column_stack([columns[name] for name in names]).reshape(len(table), len(names)))


def nearby_firings(
    table: pd.DataFrame, sites: OccupancyTable, *, spread_c: float, copies: int = 6, seed: int
) -> tuple[Floats, ...]:
    """Compute the features of recipes as if each had been fired a little hotter or colder, several times.

    Parameters
    ----------
    table, sites
        Recipe columns, n rows, and their occupancies.
    spread_c
        Standard deviation of the sintering temperatures about the stated ones, in °C.
    copies
        How often, the stated temperatures included.
    seed
        Same seed: same temperatures.

    Returns
    -------
    tuple of ndarray
        `copies` times the features of `FeatureSet.FULL`, shape (n, n_features). Temperatures below
        `COLD_C`, of pressing, stay.
    """
    random = np.random.default_rng(seed)
    stated = table[Column.SINTERING_TEMPERATURE_C].to_numpy(dtype=np.float64)
    found = [build_features(table, FeatureSet.FULL, sites=sites).values]
    for _ in range(copies - 1):
        moved = np.where(stated < COLD_C, stated, stated + random.normal(0.0, spread_c, len(stated)))
        there = table.assign(**{Column.SINTERING_TEMPERATURE_C.value: moved})
        found.append(build_features(there, FeatureSet.FULL, sites=sites).values)
    return tuple(found)


@dataclass(frozen=True)
class PairFeatures:
    """Features of m compositions, each with all of n processings, without the m times n rows.

    Attributes
    ----------
    names
        Column names, in the set's frozen order.
    columns
        One array a name. Its shape says what the feature depends on: the composition (m, 1), the processing
        (n,), or both (m, n).
    """

    names: tuple[str, ...]
    columns: tuple[Floats, ...]


def pair_features(processing: pd.DataFrame, feature_set: FeatureSet | str, sites: OccupancyTable) -> PairFeatures:
    """Compute a feature set for every pair of a composition and a processing.

    Parameters
    ----------
    processing
        Recipe columns less the formula, n rows.
    feature_set
        Which list of features.
    sites
        Occupancies of the m compositions; `index` does not count.

    Returns
    -------
    PairFeatures
        The numbers that `build_features` gives for a table of the pairs.
    """
    columns = _BUILDERS[FeatureSet(feature_set)](processing, sites, lambda values: values[:, None])
    return PairFeatures(tuple(columns), tuple(columns.values()))


def _composition_set(table: pd.DataFrame, sites: OccupancyTable, spread: Spread) -> Columns:  # noqa: ARG001
    unique = site_columns(sites) | bulk_columns(sites)
    return {name: spread(values) for name, values in unique.items()}


def _full_set_2(table: pd.DataFrame, sites: OccupancyTable, spread: Spread) -> Columns:
    return _full_set_1(table, sites, spread) | firing_columns(table, spread(usual_for_hosts_c(sites)))


def _full_set(table: pd.DataFrame, sites: OccupancyTable, spread: Spread) -> Columns:
    hosts_c = spread(usual_for_hosts_c(sites))
    columns = _full_set_1(table, sites, spread, later=True) | firing_columns(table, hosts_c)
    columns["sintered_share"] = sintered_share(table, hosts_c, columns["additive_fluxing"])
    return columns | preparation_columns(table)


def _full_set_1(table: pd.DataFrame, sites: OccupancyTable, spread: Spread, *, later: bool = False) -> Columns:
    columns = _composition_set(table, sites, spread)
    columns |= additive_columns(table, lambda: spread(host_mass_g_mol(sites)))
    columns |= given_columns(table, later=later)
    columns |= physics_columns(table, columns["m_reducible"])
    return columns


#: How a number of each different composition becomes one of each row, or is held against all processings.
Spread: TypeAlias = Callable[[Floats], Floats]
_BUILDERS: dict[FeatureSet, Callable[[pd.DataFrame, OccupancyTable, Spread], Columns]] = {
    FeatureSet.COMPOSITION: _composition_set,
    FeatureSet.FULL: _full_set,
    FeatureSet.FULL_2: _full_set_2,
    FeatureSet.FULL_1: _full_set_1,
}


def feature_names(feature_set: FeatureSet | str = FeatureSet.FULL) -> tuple[str, ...]:
    """Return the frozen column order of a feature set."""
    from nasicon_ml.recipe import Recipe, recipe_table

    return build_features(recipe_table([Recipe(formula="LiTi2(PO4)3")]), feature_set).names
