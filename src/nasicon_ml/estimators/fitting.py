"""One target fitted to pellets: prior, trees and, for conductivity, the activation energy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.columns import ROOM_TEMPERATURE_C, Column
from nasicon_ml.errors import DatasetError
from nasicon_ml.estimators.boosting import (
    BoosterSettings,
    CompositionPrior,
    TrainingMatrix,
    fit_booster,
    fit_prior,
    raw_prediction,
)
from nasicon_ml.estimators.targets import (
    TARGETS,
    TargetName,
    TrainingRows,
    measurement_temperature,
    shift_log10_conductivity,
)
from nasicon_ml.features.build import FeatureMatrix
from nasicon_ml.trees.grids import PairedRecipes

if TYPE_CHECKING:
    import xgboost

    from nasicon_ml.estimators.boosting import Trees

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class FitContext:
    """What every fit shares.

    Attributes
    ----------
    pellets
        The whole pellet table, n rows.
    features
        Features of every pellet, n rows.
    settings
        Booster settings by target.
    seed
        Of XGBoost.
    threads
        How many folds are fitted side by side, each booster on one thread; they change no number.
    """

    pellets: pd.DataFrame
    features: FeatureMatrix
    settings: dict[TargetName, BoosterSettings]
    seed: int
    threads: int


@dataclass(frozen=True)
class FittedTarget:
    """The trees of one target, and where they start; conductivity brings along those of the activation energy."""

    name: TargetName
    booster: Trees
    energy: Trees | None = None
    prior: CompositionPrior | None = None

    def raw(self, features: Floats | PairedRecipes) -> Floats:
        """Return what was learned beyond the prior, shape (n,)."""
        return raw_prediction(self.booster, features)

    def learned(self, features: Floats | PairedRecipes) -> Floats:
        """Predict on the scale the model learns: log10(S/cm) at 25 °C, log10 porosity, log-odds or eV."""
        raw = self.raw(features)
        if self.prior is None:
            return raw
        if isinstance(features, PairedRecipes):
            return self.prior.start([features.column(at) for at in self.prior.columns]) + raw
        return self.prior.margin(features) + raw

    def reported(
        self, features: Floats | PairedRecipes, temperature_c: Floats, energy_ev: Floats | None = None
    ) -> Floats:
        """Predict on the scale of reports; conductivity at the temperatures given, shape (n,).

        `energy_ev` are the recipes' activation energies, shape (n,), where the caller has them already.
        """
        learned = self.learned(features)
        if self.energy is not None:
            energy = raw_prediction(self.energy, features) if energy_ev is None else energy_ev
            learned = shift_log10_conductivity(learned, energy, ROOM_TEMPERATURE_C, temperature_c)
        return TARGETS[self.name].inverse(learned)


def fit_target(
    context: FitContext, name: TargetName, rows: TrainingRows, chosen: NDArray[np.bool_]
) -> FittedTarget:
    """Fit one target to some of its rows.

    Parameters
    ----------
    context
        Pellets, features and settings.
    name
        Which target.
    rows
        All usable rows of the target.
    chosen
        Which of `rows` to learn from, shape (len(rows.rows),).

    Raises
    ------
    DatasetError
        If conductivities were measured away from 25 °C and no pellet states an activation energy.

    Notes
    -----
    Conductivities measured at other temperatures are carried to 25 °C with the pellet's own activation energy
    where it was measured, else with one predicted by trees that saw only the sources chosen here.
    """
    matrix, energy, prior = training_matrix(context, name, rows, chosen)
    return FittedTarget(name, fit_booster(matrix, context.settings[name], seed=context.seed), energy, prior)


def training_matrix(
    context: FitContext, name: TargetName, rows: TrainingRows, chosen: NDArray[np.bool_]
) -> tuple[TrainingMatrix, xgboost.Booster | None, CompositionPrior | None]:
    """Return what the trees of a target learn from, less the prior; with the trees of the energy, and the prior.

    Parameters, errors and notes as in `fit_target`.
    """
    at = rows.rows[chosen]
    y = rows.y[chosen]
    energy = None
    if name is TargetName.CONDUCTIVITY:
        energy = _fit_energy(context, at)
        y = y if energy is None else _at_room_temperature(context, at, y, energy)
    else:
        y = TARGETS[name].forward(y)
    matrix = _matrix(context, at, y, rows.weight[chosen])
    settings = context.settings[name]
    prior = fit_prior(matrix, settings) if settings.prior_share else None
    if prior is not None:
        matrix = replace(matrix, y=matrix.y - prior.margin(matrix.X))
    return matrix, energy, prior


def _fit_energy(context: FitContext, rows: Ints) -> xgboost.Booster | None:
    """Fit the activation energy to all pellets of the rows' sources; None if there is none and no need."""
    sources = context.pellets.iloc[rows][Column.SOURCE].unique()
    measured = context.pellets[Column.ACTIVATION_ENERGY_EV].to_numpy(dtype=np.float64)
    allowed = context.pellets[Column.SOURCE].isin(sources).to_numpy()
    at = np.flatnonzero(np.isfinite(measured) & allowed)
    if len(at) == 0:
        if np.all(measurement_temperature(context.pellets.iloc[rows]) == ROOM_TEMPERATURE_C):
            return None
        raise DatasetError("no pellet to learn from states an activation energy, which conductivity needs")
    matrix = _matrix(context, at, measured[at], np.ones(len(at)))
    return fit_booster(matrix, context.settings[TargetName.ACTIVATION_ENERGY], seed=context.seed)


def _matrix(context: FitContext, at: Ints, y: Floats, weight: Floats) -> TrainingMatrix:
    sources = context.pellets[Column.SOURCE].to_numpy(dtype=object)[at]
    return TrainingMatrix(context.features.values[at], context.features.names, y, weight, sources)


def _at_room_temperature(context: FitContext, at: Ints, y: Floats, energy: xgboost.Booster) -> Floats:
    own = context.pellets[Column.ACTIVATION_ENERGY_EV].to_numpy(dtype=np.float64)[at]
    used = np.where(np.isnan(own), raw_prediction(energy, context.features.values[at]), own)
    start = measurement_temperature(context.pellets.iloc[at])
    return shift_log10_conductivity(y, used, start, ROOM_TEMPERATURE_C)
