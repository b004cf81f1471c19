"""The predicted properties: the scale on which a model learns each of them, and its training pellets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd

from nasicon_ml.arrays import Floats, Ints
from nasicon_ml.columns import (
    BOUND_OF,
    CONDUCTIVITY_INTERVAL,
    DENSITY_INTERVAL,
    ERROR_UNITS,
    ROOM_TEMPERATURE_C,
    ZERO_CELSIUS_K,
    Column,
)

#: Boltzmann constant in eV/K (CODATA 2018, exact; 10.1103/RevModPhys.93.025010).
BOLTZMANN_EV_K = 8.617333262e-5

#: About the resolution of an Archimedes or geometric density; it keeps the logarithm of the porosity of a fully
#: dense pellet finite.
POROSITY_FLOOR_POINTS = 0.5

#: Spread of measured activation energies among pellets of one system in the dataset, used to weight rows that are
#: converted to 25 °C with a predicted energy.
ENERGY_SPREAD_EV = 0.07
#: Difference between independent sources at one composition, in decades, computed from the dataset by
#: `nasicon_ml.data.agreement` (docs/method.md).
CONDUCTIVITY_SPREAD_DECADES = 0.7


class TargetName(StrEnum):
    """The three answers, and the activation energy that converts conductivity to other temperatures."""

    CONDUCTIVITY = "conductivity"
    RELATIVE_DENSITY = "relative_density"
    PHASE_PURITY = "phase_purity"
    ACTIVATION_ENERGY = "activation_energy"


#: The reported answers, in their order.
ANSWERS = (TargetName.CONDUCTIVITY, TargetName.RELATIVE_DENSITY, TargetName.PHASE_PURITY)
#: The column of each prediction.
PREDICTED = {
    TargetName.CONDUCTIVITY: Column.PREDICTED_CONDUCTIVITY_S_CM,
    TargetName.RELATIVE_DENSITY: Column.PREDICTED_RELATIVE_DENSITY_PCT,
    TargetName.PHASE_PURITY: Column.PREDICTED_PHASE_PURITY,
    TargetName.ACTIVATION_ENERGY: Column.PREDICTED_ACTIVATION_ENERGY_EV,
}


def _identity(values: Floats) -> Floats:
    return values


@dataclass(frozen=True)
class Target:
    """One predicted property.

    Parameters
    ----------
    name
        The name.
    column
        The measured column of the dataset.
    scale
        Description of the scale the model learns. It is stored in every bundle, so that a bundle with another
        scale is refused.
    forward, inverse
        Monotone functions of arrays, from the reported scale to the scale the model learns and back.
    is_probability
        Whether the answer is a probability, which has no interval.
    """

    name: TargetName
    column: Column
    scale: str
    forward: Callable[[Floats], Floats] = _identity
    inverse: Callable[[Floats], Floats] = _identity
    is_probability: bool = False

    @property
    def unit(self) -> str:
        """Unit of errors and differences on the reported scale."""
        return ERROR_UNITS[self.column]

    @property
    def metric(self) -> str:
        """Name of the main score in `nasicon_ml.evaluation.scores`; less is better."""
        return "brier" if self.is_probability else f"mae_{self.unit.lower()}"


def _possible_log10_conductivity(values: Floats) -> Floats:
    """Clip to the bounds of the column."""
    column = Column.CONDUCTIVITY_TOTAL_S_CM
    return np.clip(values, np.log10(column.minimum), np.log10(column.maximum))


def _to_log_porosity(density_pct: Floats) -> Floats:
    return np.log10(100.0 + POROSITY_FLOOR_POINTS - np.asarray(density_pct, dtype=np.float64))


def _from_log_porosity(log_porosity: Floats) -> Floats:
    column = Column.RELATIVE_DENSITY_PCT
    density = 100.0 + POROSITY_FLOOR_POINTS - 10.0 ** np.asarray(log_porosity, dtype=np.float64)
    return np.clip(density, column.minimum, column.maximum)


TARGETS: dict[TargetName, Target] = {
    target.name: target
    for target in (
        Target(
            TargetName.CONDUCTIVITY,  # the reported scale is log10(S/cm), with errors in decades
            Column.CONDUCTIVITY_TOTAL_S_CM,
            scale="log10(S/cm) at 25 °C",
            inverse=_possible_log10_conductivity,
        ),
        Target(
            TargetName.RELATIVE_DENSITY,
            Column.RELATIVE_DENSITY_PCT,
            scale=f"log10(100 + {POROSITY_FLOOR_POINTS:g} - %)",
            forward=_to_log_porosity,
            inverse=_from_log_porosity,
        ),
        Target(TargetName.PHASE_PURITY, Column.PHASE_PURE, scale="log-odds", is_probability=True),
        Target(TargetName.ACTIVATION_ENERGY, Column.ACTIVATION_ENERGY_EV, scale="eV, of sigma T"),
    )
}


def on_learned_scale(name: TargetName, answers: Mapping[Column, Floats]) -> tuple[Floats, Floats]:
    """Return predicted values and half-widths of their intervals on the scale the model learns; shape (n,) each.

    Parameters
    ----------
    name
        Conductivity or density.
    answers
        Answers by column of `nasicon_ml.columns.PREDICTION`, shape (n,).
    """
    if name is TargetName.CONDUCTIVITY:
        return learned_interval(name, [np.log10(answers[column]) for column in CONDUCTIVITY_INTERVAL])
    return learned_interval(name, [answers[column] for column in DENSITY_INTERVAL])


def learned_interval(name: TargetName, reported: Sequence[Floats]) -> tuple[Floats, Floats]:
    """Convert reported values, lower and upper ends to values and half-widths on the scale the model learns."""
    centre, *ends = (TARGETS[name].forward(each) for each in reported)
    # One end may have been clipped to possible values; the half-width is then that of the other end.
    return centre, np.maximum(*(np.abs(end - centre) for end in ends))


def inverse_temperature_step(temperature_c: Floats) -> Floats:
    """Return 1/(k T25) - 1/(k T), the distance of temperatures from 25 °C on the Arrhenius axis, in 1/eV."""
    kelvin = np.asarray(temperature_c, dtype=np.float64) + ZERO_CELSIUS_K
    return (1.0 / (ROOM_TEMPERATURE_C + ZERO_CELSIUS_K) - 1.0 / kelvin) / BOLTZMANN_EV_K


def shift_log10_conductivity(
    log10_conductivity: Floats, activation_energy_ev: Floats, from_c: Floats | float, to_c: Floats | float
) -> Floats:
    """Convert log10 of a conductivity in S/cm from one temperature to another, sigma T = A exp(-Ea/kT).

    Parameters
    ----------
    log10_conductivity
        log10(S/cm) at `from_c`.
    activation_energy_ev
        Activation energy of sigma T in eV.
    from_c, to_c
        Temperatures in °C.

    Returns
    -------
    ndarray
        log10(S/cm) at `to_c`; NaN where any input is NaN.
    """
    start = np.asarray(from_c, dtype=np.float64)
    end = np.asarray(to_c, dtype=np.float64)
    step = inverse_temperature_step(end) - inverse_temperature_step(start)
    prefactor = np.log10((start + ZERO_CELSIUS_K) / (end + ZERO_CELSIUS_K))
    return log10_conductivity + prefactor + activation_energy_ev * step / np.log(10.0)


@dataclass(frozen=True)
class TrainingRows:
    """The pellets with a usable value of one target.

    Attributes
    ----------
    rows
        Positions in the pellet table, shape (n,).
    y
        Values on the reported scale, shape (n,): log10(S/cm) at the temperature of measurement, %, 0/1 or eV.
    weight
        Weights, shape (n,), mean 1.
    """

    rows: Ints
    y: Floats
    weight: Floats


def training_rows(pellets: pd.DataFrame, name: TargetName) -> TrainingRows:
    """Return the pellets with a usable measured value of one target.

    Bounds (``<1e-10``) are left out. A conductivity without a stated temperature is taken to be measured at 25 °C
    (the data card counts such rows).
    """
    y = measured(pellets, name)
    usable, column = np.isfinite(y), TARGETS[name].column
    if column in BOUND_OF:
        usable &= pellets[BOUND_OF[column]].isna().to_numpy()
    rows = np.flatnonzero(usable)
    is_conductivity = name is TargetName.CONDUCTIVITY
    weight = temperature_weight(pellets.iloc[rows]) if is_conductivity else np.ones(len(rows))
    return TrainingRows(rows, y[rows], weight)


def measured(pellets: pd.DataFrame, name: TargetName) -> Floats:
    """Return the measured values of a target on the reported scale, NaN where there is none; shape (n,)."""
    column: Any = pellets[TARGETS[name].column]
    if name is TargetName.CONDUCTIVITY:
        return np.log10(column.to_numpy(dtype=np.float64))
    return column.astype("float64").to_numpy()


def measurement_temperature(table: pd.DataFrame) -> Floats:
    """Return the temperature of measurement in °C, 25 where none is given; shape (n,)."""
    given = table[Column.MEASUREMENT_TEMPERATURE_C].to_numpy(dtype=np.float64)
    return np.where(np.isnan(given), ROOM_TEMPERATURE_C, given)


def temperature_weight(pellets: pd.DataFrame) -> Floats:
    """Return weights of conductivities, smaller far from 25 °C if the pellet has no measured activation energy."""
    step = inverse_temperature_step(measurement_temperature(pellets))
    has_energy = pellets[Column.ACTIVATION_ENERGY_EV].notna().to_numpy()
    error = np.where(has_energy, 0.0, ENERGY_SPREAD_EV) * step / np.log(10.0)
    weight = 1.0 / (1.0 + (error / CONDUCTIVITY_SPREAD_DECADES) ** 2)
    return np.asarray(weight / weight.mean()) if len(weight) else weight
