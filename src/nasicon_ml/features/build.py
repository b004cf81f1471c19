"""Named feature sets with a frozen column order: a table of recipes in, a float matrix out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.columns import Column
from nasicon_ml.composition import OccupancyTable, occupancies
from nasicon_ml.features.additives import additive_columns
from nasicon_ml.features.composition import bulk_columns, site_columns
from nasicon_ml.features.firing import firing_columns
from nasicon_ml.features.processing import given_columns, physics_columns

Floats = NDArray[np.float64]
Columns = dict[str, Floats]


class FeatureSet(StrEnum):
    """A published list of features. A name never changes its columns: new lists get new names."""

    FULL = "full_2"
    COMPOSITION = "composition"
    #: What `FULL` was in version 0.1, for its bundles.
    FULL_1 = "full"


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
    columns = _BUILDERS[FeatureSet(feature_set)](table, sites)
    names = tuple(columns)
    return FeatureMatrix(names, np.column_stack([columns[name] for name in names]).reshape(len(table), len(names)))


def _composition_set(table: pd.DataFrame, sites: OccupancyTable) -> Columns:  # noqa: ARG001 -- one signature a set
    unique = site_columns(sites) | bulk_columns(sites)
    return {name: sites.per_row(values) for name, values in unique.items()}


def _full_set(table: pd.DataFrame, sites: OccupancyTable) -> Columns:
    return _full_set_1(table, sites) | firing_columns(table, sites)


def _full_set_1(table: pd.DataFrame, sites: OccupancyTable) -> Columns:
    columns = _composition_set(table, sites)
    columns |= additive_columns(table, sites)
    columns |= given_columns(table)
    columns |= physics_columns(table, columns["m_reducible"])
    return columns


_BUILDERS: dict[FeatureSet, Callable[[pd.DataFrame, OccupancyTable], Columns]] = {
    FeatureSet.COMPOSITION: _composition_set,
    FeatureSet.FULL: _full_set,
    FeatureSet.FULL_1: _full_set_1,
}


def feature_names(feature_set: FeatureSet | str = FeatureSet.FULL) -> tuple[str, ...]:
    """Give the frozen column order of a feature set."""
    from nasicon_ml.recipe import Recipe, recipe_table

    return build_features(recipe_table([Recipe(formula="LiTi2(PO4)3")]), feature_set).names
