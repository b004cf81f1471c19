"""What every protocol stands on: the options of a run, the pellets, and the OBELiX rows as pellets."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.columns import PELLET, Column
from nasicon_ml.data.files import datasets_folder
from nasicon_ml.data.load import load_pellets, systems_of
from nasicon_ml.estimators.boosting import DEFAULT_SETTINGS
from nasicon_ml.estimators.fitting import FitContext, recipe_context
from nasicon_ml.estimators.uncertainty import NEAR_ROOM_TEMPERATURE_C
from nasicon_ml.features.build import FeatureSet, build_features

Flags = NDArray[np.bool_]

OBELIX_FILE = "obelix_nasicon.csv"


@dataclass(frozen=True)
class Options:
    """How a run is made.

    Attributes
    ----------
    folds, repeats, seed
        Grouped folds; how often sources are dealt anew (with seed, seed + 1, ...).
    draws
        Of the bootstrap over sources.
    trees
        Of the forests among the peers; 100 is scikit-learn's default.
    threads
        Folds fitted side by side; they change no number.
    """

    folds: int = 10
    repeats: int = 3
    seed: int = 0
    draws: int = 2000
    trees: int = 100
    threads: int = 2


@dataclass(frozen=True)
class BenchmarkData:
    """Pellets and the features our own models learn from.

    Attributes
    ----------
    pellets
        As from `load_pellets`, n rows.
    full, composition_only
        What our models are fitted with: all features, and those of the formula alone.
    """

    pellets: pd.DataFrame
    full: FitContext
    composition_only: FitContext

    @classmethod
    def of(cls, pellets: pd.DataFrame, options: Options) -> BenchmarkData:
        """Compute the features of a table of pellets."""
        context = recipe_context(pellets, DEFAULT_SETTINGS, seed=options.seed, threads=options.threads)
        composition = build_features(pellets, FeatureSet.COMPOSITION)
        return cls(pellets, context, replace(context, features=composition, perturbed=()))


def load_benchmark_data(options: Options) -> BenchmarkData:
    """Load the committed pellets, suspect ones left out."""
    pellets = load_pellets()
    return BenchmarkData.of(pellets[pellets[Column.FORMULA].notna()].reset_index(drop=True), options)


def obelix_pellets(*, as_listed: bool = False) -> pd.DataFrame:
    """Return the NASICON rows of OBELiX as a table of pellets: composition, lattice and what was measured.

    The source is that of the linked pellet, which is a DOI or coarser. Bounds stay out.

    Parameters
    ----------
    as_listed
        Whether rows come along whose pellet is suspect here: most list a bulk value as total, others are of a
        related structure.

    Returns
    -------
    pandas.DataFrame
        The columns of `load_pellets`; processing is empty, for OBELiX has none.
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


def near_room_temperature(pellets: pd.DataFrame) -> Flags:
    """Return which pellets were measured at 15 to 40 °C, or at a temperature not stated; shape (n,)."""
    temperature = pellets[Column.MEASUREMENT_TEMPERATURE_C]
    return np.asarray(temperature.isna() | temperature.between(*NEAR_ROOM_TEMPERATURE_C))


def lithium(pellets: pd.DataFrame) -> Flags:
    """Return which pellets are lithium conductors; shape (n,)."""
    return np.asarray(pellets[Column.SYSTEM].str.startswith("L"), dtype=bool)
