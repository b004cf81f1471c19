"""Named feature sets with a frozen column order: a table of recipes in, a float matrix out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.columns import Column
from nasicon_ml.composition import OccupancyTable, occupancies
from nasicon_ml.features.additives import additive_columns, host_mass_g_mol
from nasicon_ml.features.composition import bulk_columns, site_columns
from nasicon_ml.features.precursors import preparation_columns
from nasicon_ml.features.processing import firing_columns, given_columns, physics_columns, usual_for_hosts_c
from nasicon_ml.features.sintering import sintered_share

Floats = NDArray[np.float64]
Columns = dict[str, Floats]


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
