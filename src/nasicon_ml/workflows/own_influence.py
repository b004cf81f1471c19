"""What single own pellets do: which one alone moves an answer, which are unlike the others, which lie near."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.columns import ERROR_UNITS, ROOM_TEMPERATURE_C, Column
from nasicon_ml.estimators.own_pellets import Known
from nasicon_ml.estimators.targets import TARGETS, TargetName
from nasicon_ml.features.distances import recipe_space
from nasicon_ml.model import PropertyModel

if TYPE_CHECKING:
    from nasicon_ml.workflows.predict import Prediction

Floats = NDArray[np.float64]

#: An answer is moved by one pellet if without it the shift is this much less, in decades or points, ...
_LEAST = {TargetName.CONDUCTIVITY: 0.1, TargetName.RELATIVE_DENSITY: 1.5}
#: ... and that is this share of the whole shift.
_SHARE = 0.5


@dataclass(frozen=True)
class Dominant:
    """One own pellet that makes up most of the shift of an answer.

    Attributes
    ----------
    target
        Which answer.
    pellet_id
        Which pellet.
    change
        What the shift owes to it: decades or points.
    unit
        Of the change.
    """

    target: str
    pellet_id: str
    change: float
    unit: str


def dominant_pellets(prediction: Prediction) -> list[tuple[Dominant, ...]]:
    """Return, for each recipe, the own pellets without which conductivity or density would move far less."""
    found: list[list[Dominant]] = [[] for _ in range(len(prediction.recipes))]
    if prediction.own is None:
        return [()] * len(found)
    space, ids = recipe_space(prediction.recipes), prediction.own[Column.PELLET_ID].to_numpy(dtype=object)
    known = prediction.model.known(prediction.own)
    for name, least in _LEAST.items():
        of_target, learned = known[name], prediction.learned[name]
        if len(of_target.rows) < 2:
            continue
        whole = _shift(name, of_target, space, learned)
        every = np.arange(len(of_target.rows))
        changes = np.stack(
            [whole - _shift(name, of_target.take(every != one), space, learned) for one in every], axis=1
        )
        largest = np.abs(changes).argmax(axis=1)
        for row, one in enumerate(largest.tolist()):
            change = float(changes[row, one])
            if abs(change) >= max(least, _SHARE * abs(whole[row])):
                key = str(ids[of_target.rows[one]])
                found[row].append(Dominant(str(name), key, change, ERROR_UNITS[TARGETS[name].column]))
    return [tuple(each) for each in found]


def _shift(name: TargetName, known: Known, space: object, learned: Floats) -> Floats:
    """Return how far own pellets move answers: decades, or points."""
    shift = known.conditioned(space, learned).shift  # type: ignore[arg-type]
    if name is TargetName.CONDUCTIVITY:
        return shift
    return np.asarray(TARGETS[name].inverse(learned + shift) - TARGETS[name].inverse(learned))


def outlier_words(model: PropertyModel, own: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the own pellets that are unlike the others and so count less: pellet, and what is unlike."""
    ids = own[Column.PELLET_ID].to_numpy(dtype=object)
    found = []
    for name, known in model.known(own).items():
        column, back = TARGETS[name].column, TARGETS[name].inverse
        for at in np.flatnonzero(known.off).tolist():
            measured, expected = known.measured[at], known.measured[at] - known.off[at]
            if name is TargetName.CONDUCTIVITY:
                values = [f"{10.0**measured:.2g} S/cm at {ROOM_TEMPERATURE_C:g} °C", f"{10.0**expected:.2g} S/cm"]
            else:
                both = back(np.array([measured, expected])).tolist()
                values = [f"{one:.3g} {column.unit}" for one in both]
            words = f"{values[0]}, where its recipe and the other pellets let expect {values[1]}; it counts less"
            found.append((str(ids[known.rows[at]]), f"{column.label}: {words}"))
    return found
