"""Turns a user's own pellets into what they change about predictions of each target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.columns import ROOM_TEMPERATURE_C, Column
from nasicon_ml.data.own import own_checksum
from nasicon_ml.errors import BundleError
from nasicon_ml.estimators.closeness import Gaps, gaps
from nasicon_ml.estimators.own import Conditioned, OwnKernel, bounded_log_odds, condition, condition_probability
from nasicon_ml.estimators.targets import (
    ANSWERS,
    ENERGY_SPREAD_EV,
    TARGETS,
    TargetName,
    inverse_temperature_step,
    measurement_temperature,
    shift_log10_conductivity,
    training_rows,
)
from nasicon_ml.features.similarity import RecipeSpace, recipe_space

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Known:
    """Own pellets with a usable value of one target; k of them.

    Attributes
    ----------
    kernel
        How errors go together.
    space
        Their recipes.
    predicted, measured
        On the scale the model learns (conductivity at 25 °C), or probability and outcome; shape (k,).
    extra
        Variance of the errors beyond that of a pellet of the dataset, shape (k,).
    """

    kernel: OwnKernel
    space: RecipeSpace
    predicted: Floats
    measured: Floats
    extra: Floats

    def conditioned(self, space: RecipeSpace, predicted: Floats) -> Conditioned:
        """Say what these pellets change about n predictions, given on the scale the model learns."""
        among, towards = self._gaps(space, self.predicted, predicted)
        ahead = predicted[:, None] - self.predicted[None, :]
        return condition(self.kernel, among, towards, self.measured - self.predicted, ahead, self.extra)

    def probability(self, space: RecipeSpace, asked: Floats) -> Floats:
        """Bring n probabilities up to date."""
        among, towards = self._gaps(space, bounded_log_odds(self.predicted), bounded_log_odds(asked))
        return condition_probability(self.kernel, among, towards, self.measured, self.predicted, asked)

    def _gaps(self, space: RecipeSpace, ours: Floats, theirs: Floats) -> tuple[Gaps, Gaps]:
        return gaps(self.space, self.space, ours, ours), gaps(space, self.space, theirs, ours)


def refuse_known_to_trees(own: pd.DataFrame, options: Mapping[str, Any]) -> None:
    """Refuse pellets that a model was trained with: its errors on them are too small to say anything.

    Raises
    ------
    BundleError
        If they are those of ``train --add``.
    """
    if options.get("added_sha256") == own_checksum(own):
        raise BundleError(
            "this model was trained with these own pellets, so its errors on them say nothing about the next one;"
            " predict without them, or take a model that was trained without them"
        )


def known_pellets(
    kernels: Mapping[TargetName, OwnKernel], own: pd.DataFrame, learned: Mapping[TargetName, Floats]
) -> dict[TargetName, Known]:
    """Find what own pellets say about each answer.

    Parameters
    ----------
    kernels
        Of each answer, as a model holds them.
    own
        Measured pellets as `nasicon_ml.data.own.own_pellets` gives them, k rows.
    learned
        What the model says about them: log10(S/cm) at 25 °C, log10 of the porosity, probability of purity, eV;
        shape (k,) each.

    Raises
    ------
    BundleError
        If the model does not know how errors on pellets of one source go together.
    """
    missing = [str(name) for name in ANSWERS if name not in kernels]
    if missing:
        raise BundleError(
            "this model cannot take own pellets: the version that trained it did not estimate how errors on"
            f" pellets of one source go together ({', '.join(missing)}); train again with this one"
        )
    space = recipe_space(own)
    found = {}
    for name in ANSWERS:
        usable = training_rows(own, name)
        at, measured, extra = usable.rows, usable.y, np.zeros(len(usable.rows))
        if name is TargetName.CONDUCTIVITY:
            measured, extra = _at_room_temperature(
                own.iloc[at], measured, learned[TargetName.ACTIVATION_ENERGY][at]
            )
        elif not TARGETS[name].is_probability:
            measured = TARGETS[name].forward(measured)
        found[name] = Known(kernels[name], space.take(at), learned[name][at], measured, extra)
    return found


def _at_room_temperature(own: pd.DataFrame, measured: Floats, predicted_energy: Floats) -> tuple[Floats, Floats]:
    """Carry conductivities to 25 °C as training does; the second is the variance of the step, in decades²."""
    energy = own[Column.ACTIVATION_ENERGY_EV].to_numpy(dtype=np.float64)
    guessed = np.isnan(energy)
    temperature = measurement_temperature(own)
    carried = shift_log10_conductivity(
        measured, np.where(guessed, predicted_energy, energy), temperature, ROOM_TEMPERATURE_C
    )
    step = inverse_temperature_step(temperature) / np.log(10.0)
    return carried, np.where(guessed, (ENERGY_SPREAD_EV * step) ** 2, 0.0)


def usable_count(known: Mapping[TargetName, Known], own: pd.DataFrame) -> int:
    """Count the own pellets that say something about any answer."""
    rows = {int(row) for name in known for row in training_rows(own, name).rows}
    return len(rows)


def moved_answers(
    known: Mapping[TargetName, Known],
    space: RecipeSpace,
    learned: Mapping[TargetName, Floats],
    answers: Mapping[Column, Floats],
    half_at_25: Floats,
) -> dict[str, Floats]:
    """Bring the answers to n recipes up to date.

    Parameters
    ----------
    known
        What own pellets say.
    space, learned
        The recipes, and what the model says about them without own pellets.
    answers
        The answers without them, by column of `nasicon_ml.columns.PREDICTION`.
    half_at_25
        Half-width of the intervals of conductivity at 25 °C in decades, shape (n,): what an interval is wider at
        the temperature asked for is owed to the activation energy, and stays.

    Returns
    -------
    dict
        The columns that change, and how much they were moved (role `nasicon_ml.columns.Role.OWN`).
    """
    conductivity = known[TargetName.CONDUCTIVITY].conditioned(space, learned[TargetName.CONDUCTIVITY])
    columns = (
        Column.PREDICTED_CONDUCTIVITY_S_CM, Column.PREDICTED_CONDUCTIVITY_LOWER_S_CM,
        Column.PREDICTED_CONDUCTIVITY_UPPER_S_CM,
    )  # fmt: skip
    before = tuple(np.log10(answers[column]) for column in columns)
    logs = _moved(TargetName.CONDUCTIVITY, before, conductivity, half_at_25)
    found = {str(column): 10.0**log for column, log in zip(columns, logs, strict=True)}
    found[Column.OWN_SHIFT_DECADES] = logs[0] - before[0]
    density = known[TargetName.RELATIVE_DENSITY].conditioned(space, learned[TargetName.RELATIVE_DENSITY])
    columns = (
        Column.PREDICTED_RELATIVE_DENSITY_PCT, Column.PREDICTED_RELATIVE_DENSITY_LOWER_PCT,
        Column.PREDICTED_RELATIVE_DENSITY_UPPER_PCT,
    )  # fmt: skip
    before = tuple(answers[column] for column in columns)
    points = _moved(TargetName.RELATIVE_DENSITY, before, density)
    found |= dict(zip(map(str, columns), points, strict=True))
    found[Column.OWN_SHIFT_POINTS] = points[0] - before[0]
    pure = answers[Column.PREDICTED_PHASE_PURITY]
    found[Column.PREDICTED_PHASE_PURITY] = known[TargetName.PHASE_PURITY].probability(space, pure)
    found[Column.OWN_SHIFT_PURITY] = found[Column.PREDICTED_PHASE_PURITY] - pure
    return found


def _moved(
    name: TargetName, before: tuple[Floats, ...], change: Conditioned, narrowed_half: Floats | None = None
) -> tuple[Floats, Floats, Floats]:
    """Move value, lower and upper end on the scale of reports; only `narrowed_half` of the width narrows."""
    target = TARGETS[name]
    centre, *ends = (target.forward(values) for values in before)
    # An end may have been cut at what is possible; the other one then tells how far the interval reaches.
    half = np.maximum(*(np.abs(end - centre) for end in ends))
    part = half if narrowed_half is None else np.minimum(narrowed_half, half)
    half = np.sqrt(half**2 - part**2 + (part * change.width) ** 2)
    moved = centre + change.shift
    low, high = target.inverse(moved - half), target.inverse(moved + half)
    return target.inverse(moved), np.minimum(low, high), np.maximum(low, high)
