"""Data of all protocols: options of a run, pellets with features, and the OBELiX rows as pellets."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from nasicon_ml.arrays import Mask
from nasicon_ml.columns import PELLET, Column
from nasicon_ml.data.files import datasets_folder
from nasicon_ml.data.load import load_pellets, systems_of
from nasicon_ml.estimators.boosting import DEFAULT_SETTINGS
from nasicon_ml.estimators.fitting import FitContext, recipe_context
from nasicon_ml.features.build import FeatureSet, build_features

OBELIX_FILE = "obelix_nasicon.csv"


@dataclass(frozen=True)
class Options:
    """Options of a run.

    Attributes
    ----------
    folds, repeats, seed
        Number of grouped folds, and of repeats with new assignments of sources to folds (seed, seed + 1, ...).
    draws
        Number of bootstrap draws of the sources.
    trees
        Number of trees of forests among the baselines; 100 is scikit-learn's default.
    threads
        Number of folds fitted in parallel; it does not change any result.
    """

    folds: int = 10
    repeats: int = 3
    seed: int = 0
    draws: int = 2000
    trees: int = 100
    threads: int = 2


@dataclass(frozen=True)
class BenchmarkData:
    """Pellets and the features of the own models.

    Attributes
    ----------
    pellets
        As from `load_pellets`, n rows.
    full, composition_only
        Fit contexts of the own models with all features, and with those of the formula only.
    """

    pellets: pd.DataFrame
    full: FitContext
    composition_only: FitContext

    @classmethod
    def from_pellets(cls, pellets: pd.DataFrame, options: Options) -> BenchmarkData:
        """Compute the features of a table of pellets."""
        context = recipe_context(pellets, DEFAULT_SETTINGS, seed=options.seed, threads=options.threads)
        composition = build_features(pellets, FeatureSet.COMPOSITION)
        return cls(pellets, context, replace(context, features=composition, perturbed=()))


def load_benchmark_data(options: Options) -> BenchmarkData:
    """Load the committed pellets without suspect ones."""
    pellets = load_pellets()
    return BenchmarkData.from_pellets(pellets[pellets[Column.FORMULA].notna()].reset_index(drop=True), options)


def obelix_pellets(*, as_listed: bool = False) -> pd.DataFrame:
    """Return the NASICON rows of OBELiX as a table of pellets: composition, lattice and what was measured.

    The source is that of the linked pellet, which is a DOI or coarser. Bounds are left out.

    Parameters
    ----------
    as_listed
        Whether to include rows whose pellet is suspect in our dataset: most list a bulk value as total, others are
        of a related structure.

    Returns
    -------
    pandas.DataFrame
        The columns of `load_pellets`; processing is empty because OBELiX has none.
    """
    pellets = load_pellets(include_suspect=as_listed)
    rows = pd.read_csv(datasets_folder() / OBELIX_FILE, dtype={"nasicon_structure": str})
    sources = pellets.set_index(Column.PELLET_ID)[Column.SOURCE]
    usable = (
        rows["nasicon_structure"].isin(("true", "related"))
        & rows[Column.CONDUCTIVITY_BOUND].isna()
        & rows[Column.CONDUCTIVITY_TOTAL_S_CM].notna()
        & rows[Column.PELLET_ID].isin(sources.index)
    )
    rows = rows[usable].reset_index(drop=True)
    table = rows.reindex(columns=[str(column) for column in PELLET])
    table[Column.SOURCE] = rows[Column.PELLET_ID].map(sources)
    table[Column.SYSTEM] = systems_of(table[Column.FORMULA])
    return table


def lithium(pellets: pd.DataFrame) -> Mask:
    """Return which pellets are lithium conductors; shape (n,)."""
    return np.asarray(pellets[Column.SYSTEM].str.startswith("L"), dtype=bool)
