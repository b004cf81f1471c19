"""Feature sets of recipes, and the features of the composition: site occupancies, charge, size, Magpie statistics.

Functions of the composition take the occupancies of unique formulas, shape (n_unique, n_elements), and return
columns of shape (n_unique,). Amounts are per formula unit A(1+x)M2(TO4)3.

Magpie's element properties are read from the tables that matminer installs (Ward et al.,
10.1038/npjcompumats.2016.28), without importing matminer itself, which takes seconds. Ionic radii are
Shannon's (10.1107/S0567739476001551), from pymatgen. Both are arrays ordered like `ELEMENTS`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
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
    Columns,
    additive_columns,
    firing_columns,
    given_columns,
    host_mass_g_mol,
    physics_columns,
    preparation_columns,
    sintered_share,
    usual_for_hosts_c,
)

#: Cations of the M site with a column each; all others are summed in `m_other`.
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

#: The largest valence for which radii are read.
HIGHEST_VALENCE = 7
_ELEMENT_INDEX = {symbol: index for index, symbol in enumerate(ELEMENTS)}


def site_columns(sites: OccupancyTable) -> Columns:
    """Return amounts on the sites, substitution, charge and size of the M site; columns of shape (n_unique,)."""
    m_total = sites.m.sum(axis=1)
    share = sites.m / np.where(m_total > 0, m_total, np.nan)[:, None]
    columns: Columns = {
        "a_lithium": sites.a[:, _ELEMENT_INDEX["Li"]],
        "a_sodium": sites.a[:, _ELEMENT_INDEX["Na"]],
        "x": sites.x,
        "alkali_excess": sites.alkali_excess,
        "charge_imbalance": sites.charge_imbalance,
        "m_total": m_total,
        "t_silicon": sites.t[:, _ELEMENT_INDEX["Si"]],
    }
    columns |= {f"m_{symbol}": sites.m[:, _ELEMENT_INDEX[symbol]] for symbol in M_CATIONS}
    columns["m_other"] = np.delete(sites.m, [_ELEMENT_INDEX[s] for s in M_CATIONS], axis=1).sum(axis=1)
    valence = np.round(np.nan_to_num(sites.valence))
    columns |= {f"m_valence_{z}": np.where(valence == z, sites.m, 0.0).sum(axis=1) for z in VALENCES}
    columns["m_reducible"] = sites.m[:, [_ELEMENT_INDEX[symbol] for symbol in REDUCIBLE]].sum(axis=1)
    radius = radius_at_valence(sites.valence)
    statistics = _statistics(share, [radius, sites.valence, *map(magpie, SITE_PROPERTIES)])
    columns["m_radius_mean_angstrom"], columns["m_radius_deviation_angstrom"] = next(statistics)
    columns["m_radius_range_angstrom"] = _range(share, radius)
    columns["m_valence_mean"] = next(statistics)[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        columns["m_mixing_entropy_r"] = -np.where(share > 0, share * np.log(share), 0.0).sum(axis=1)
    for name, (mean, deviation) in zip(SITE_PROPERTIES, statistics, strict=True):
        columns[f"m_{name}_mean"] = mean
        columns[f"m_{name}_deviation"] = deviation
    return columns


def bulk_columns(sites: OccupancyTable) -> Columns:
    """Return Magpie statistics of the whole formula; mean and avg_dev as in matminer's ElementProperty."""
    amounts = sites.a + sites.m + sites.t + sites.other_anions
    amounts[:, _ELEMENT_INDEX["O"]] += sites.oxygen
    share = amounts / amounts.sum(axis=1, keepdims=True)
    columns: Columns = {}
    statistics = _statistics(share, map(magpie, BULK_PROPERTIES))
    for name, (mean, deviation) in zip(BULK_PROPERTIES, statistics, strict=True):
        columns[f"magpie_{name}_mean"] = mean
        columns[f"magpie_{name}_avg_dev"] = deviation
    return columns


def _statistics(share: Floats, values: Iterable[Floats]) -> Iterator[tuple[Floats, Floats]]:
    """Yield the weighted mean of each row and the mean absolute deviation from it, for each property.

    Properties have the shape of `share`, (n, n_elements), or (n_elements,). A missing value of an element that is
    present makes the statistics of the row NaN.
    """
    present = share > 0
    weight = np.where(present, share, 0.0)
    empty = ~present.any(axis=1)
    for property_values in values:
        mean = (weight * np.where(present, property_values, 0.0)).sum(axis=1)
        deviation = (weight * np.abs(np.where(present, property_values - mean[:, None], 0.0))).sum(axis=1)
        yield np.where(empty, np.nan, mean), np.where(empty, np.nan, deviation)


def _range(share: Floats, values: Floats) -> Floats:
    """Return the range of the values of each row with a positive share; NaN if it has none."""
    present = share > 0
    highest = np.where(present, values, -np.inf).max(axis=1)
    lowest = np.where(present, values, np.inf).min(axis=1)
    empty = ~present.any(axis=1)
    return np.where(empty, np.nan, highest - np.where(empty, 0.0, lowest))


@cache
def magpie(name: str) -> Floats:
    """Read one Magpie property; shape (len(ELEMENTS),), NaN where Magpie has none."""
    spec = importlib.util.find_spec("matminer")
    if spec is None or spec.origin is None:
        raise MissingExtraError("matminer", "all", "reading Magpie's element properties")
    folder = Path(spec.origin).parent / "utils" / "data_files" / "magpie_elementdata"
    lines = (folder / f"{name}.table").read_text(encoding="utf-8").splitlines()
    values = np.full(len(ELEMENTS), np.nan)
    for index, line in enumerate(lines[: len(ELEMENTS)]):
        with suppress(ValueError):  # "Missing[NotAvailable]" and the like
            values[index] = float(line)
    values.flags.writeable = False
    return values


@cache
def octahedral_radius_angstrom() -> Floats:
    """Return Shannon radii of six-fold coordinated cations in Å.

    Returns
    -------
    ndarray
        Shape (len(ELEMENTS), HIGHEST_VALENCE + 1), indexed by element and valence; NaN where Shannon gives
        none. High spin if both are given: the ligand field of a phosphate is weak.
    """
    from pymatgen.core import Element

    table = np.full((len(ELEMENTS), HIGHEST_VALENCE + 1), np.nan)
    for index, symbol in enumerate(ELEMENTS):
        radii = Element(symbol).data.get("Shannon radii", {})
        for valence_text, by_coordination in radii.items():
            valence = int(valence_text or 0)  # one entry of pymatgen has no valence
            spins = by_coordination.get("VI", {})
            if 0 < valence <= HIGHEST_VALENCE and spins:
                entry = spins.get("High Spin") or spins.get("") or next(iter(spins.values()))
                table[index, valence] = entry["ionic_radius"]
    table.flags.writeable = False
    return table


def radius_at_valence(valence: Floats) -> Floats:
    """Return the octahedral radius in Å of each element, interpolated linearly between integer valences.

    Parameters
    ----------
    valence
        Mean valence, shape (n, len(ELEMENTS)), NaN where the element is absent.

    Returns
    -------
    ndarray
        Same shape. If Shannon lists no radius at a valence, that of the nearest listed valence is used; NaN where
        the element is absent or has no octahedral radius.
    """
    table = _filled_radii()
    known = np.clip(np.nan_to_num(valence, nan=1.0), 1, HIGHEST_VALENCE)
    low = np.floor(known).astype(int)
    high = np.minimum(low + 1, HIGHEST_VALENCE)
    element = np.arange(table.shape[0])[None, :]
    fraction = known - low
    radius = (1.0 - fraction) * table[element, low] + fraction * table[element, high]
    return np.where(np.isnan(valence), np.nan, radius)


@cache
def _filled_radii() -> Floats:
    """Return `octahedral_radius_angstrom` with gaps filled from the nearest valence."""
    table = octahedral_radius_angstrom().copy()
    for row in table:
        known = np.flatnonzero(~np.isnan(row))
        if len(known):
            nearest = known[np.abs(np.arange(len(row))[:, None] - known[None, :]).argmin(axis=1)]
            row[:] = row[nearest]
    table.flags.writeable = False
    return table


class FeatureSet(StrEnum):
    """A published list of features. The columns of a name never change: new lists get new names."""

    FULL = "full_3"
    COMPOSITION = "composition"
    #: `FULL` of versions 0.2 and 0.1, for their bundles.
    FULL_2 = "full_2"
    FULL_1 = "full"


#: No powder sinters by heat alone below this temperature in °C.
COLD_C = 300.0
#: Number of feature matrices from `perturbed_features`.
_PERTURBED_COPIES = 6


@dataclass(frozen=True)
class FeatureMatrix:
    """Features of n recipes.

    Attributes
    ----------
    names
        Column names, in the frozen order of the set.
    values
        float64, shape (n, len(names)); NaN where a recipe does not state the fields it needs.
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
        Recipe columns (see `nasicon_ml.columns.RECIPE`), n rows, with readable formulas. The composition set does
        not need the processing columns.
    feature_set
        List of features to compute.
    sites
        Occupancies of the table, if the caller has them already.

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
    return FeatureMatrix(tuple(columns), np.column_stack(list(columns.values())))


def perturbed_features(
    table: pd.DataFrame, sites: OccupancyTable, *, spread_c: float, seed: int
) -> tuple[Floats, ...]:
    """Compute the features of recipes several times, with randomly perturbed sintering temperatures.

    Parameters
    ----------
    table, sites
        Recipe columns, n rows, and their occupancies.
    spread_c
        Standard deviation of the perturbation in °C.
    seed
        Seed of the random numbers.

    Returns
    -------
    tuple of ndarray
        Features of `FeatureSet.FULL`, shape (n, n_features) each, the first at the stated temperatures.
        Temperatures below `COLD_C`, of pellets that are pressed only, are not perturbed.
    """
    random = np.random.default_rng(seed)
    stated = table[Column.SINTERING_TEMPERATURE_C].to_numpy(dtype=np.float64)
    features = [build_features(table, FeatureSet.FULL, sites=sites).values]
    for _ in range(_PERTURBED_COPIES - 1):
        perturbed = np.where(stated < COLD_C, stated, stated + random.normal(0.0, spread_c, len(stated)))
        copy = table.assign(**{Column.SINTERING_TEMPERATURE_C.value: perturbed})
        features.append(build_features(copy, FeatureSet.FULL, sites=sites).values)
    return tuple(features)


@dataclass(frozen=True)
class PairFeatures:
    """Features of all pairs of m compositions and n processings, in arrays that broadcast to (m, n).

    Attributes
    ----------
    names
        Column names, in the frozen order of the set.
    columns
        One array per name, of shape (m, 1), (n,) or (m, n) if the feature depends on the composition, the
        processing or both.
    """

    names: tuple[str, ...]
    columns: tuple[Floats, ...]


def pair_features(processing: pd.DataFrame, feature_set: FeatureSet | str, sites: OccupancyTable) -> PairFeatures:
    """Compute a feature set for every pair of a composition and a processing.

    Parameters
    ----------
    processing
        Recipe columns without the formula, n rows.
    feature_set
        List of features to compute.
    sites
        Occupancies of the m compositions; `index` is not used.

    Returns
    -------
    PairFeatures
        The same numbers as from `build_features` for a table of the pairs.
    """
    columns = _BUILDERS[FeatureSet(feature_set)](processing, sites, lambda values: values[:, None])
    return PairFeatures(tuple(columns), tuple(columns.values()))


#: Expands an array over unique compositions to one over rows, or to one that broadcasts against all processings.
Expand: TypeAlias = Callable[[Floats], Floats]


def _composition_set(table: pd.DataFrame, sites: OccupancyTable, expand: Expand) -> Columns:  # noqa: ARG001
    return {name: expand(values) for name, values in (site_columns(sites) | bulk_columns(sites)).items()}


def _full_set_1(
    table: pd.DataFrame, sites: OccupancyTable, expand: Expand, *, all_choices: bool = False
) -> Columns:
    columns = _composition_set(table, sites, expand)
    columns |= additive_columns(table, lambda: expand(host_mass_g_mol(sites)))
    columns |= given_columns(table, all_choices=all_choices)
    columns |= physics_columns(table, columns["m_reducible"])
    return columns


def _full_set_2(table: pd.DataFrame, sites: OccupancyTable, expand: Expand) -> Columns:
    return _full_set_1(table, sites, expand) | firing_columns(table, expand(usual_for_hosts_c(sites)))


def _full_set(table: pd.DataFrame, sites: OccupancyTable, expand: Expand) -> Columns:
    hosts_c = expand(usual_for_hosts_c(sites))
    columns = _full_set_1(table, sites, expand, all_choices=True) | firing_columns(table, hosts_c)
    columns["sintered_share"] = sintered_share(table, hosts_c, columns["additive_fluxing"])
    return columns | preparation_columns(table)


_BUILDERS: dict[FeatureSet, Callable[[pd.DataFrame, OccupancyTable, Expand], Columns]] = {
    FeatureSet.COMPOSITION: _composition_set,
    FeatureSet.FULL: _full_set,
    FeatureSet.FULL_2: _full_set_2,
    FeatureSet.FULL_1: _full_set_1,
}


def feature_names(feature_set: FeatureSet | str = FeatureSet.FULL) -> tuple[str, ...]:
    """Return the frozen column order of a feature set."""
    from nasicon_ml.recipe import Recipe, recipe_table

    return build_features(recipe_table([Recipe(formula="LiTi2(PO4)3")]), feature_set).names
