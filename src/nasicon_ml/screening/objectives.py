"""Objectives of a screening, which are to be maximized, and its settings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.arrays import Floats
from nasicon_ml.columns import Column
from nasicon_ml.errors import FieldError, nearest
from nasicon_ml.estimators.targets import measurement_temperature
from nasicon_ml.estimators.uncertainty import ConformalScores
from nasicon_ml.screening.space import Candidates
from nasicon_ml.screening.specification import check_integer


@dataclass(frozen=True)
class Predictions:
    """Predictions for n recipes, from which an objective is computed.

    Attributes
    ----------
    columns
        Output of `nasicon_ml.model.PropertyModel.scores`, arrays of shape (n,).
    sintering_temperature_c
        Shape (n,), NaN where not given.
    errors
        The model's out-of-fold errors of the conductivity, relative to the expected error.
    level
        Level of the intervals in `columns`.
    """

    columns: Mapping[Column, NDArray[Any]]
    sintering_temperature_c: Floats
    errors: ConformalScores
    level: float


class Objective(ABC):
    """A quantity to be maximized; `name` is its name on the command line."""

    name: str

    @abstractmethod
    def values(self, predictions: Predictions) -> Floats:
        """Return the objective of each recipe, shape (n,); NaN where it is undefined."""

    @abstractmethod
    def describe(self) -> str:
        """Return a description for reports."""

    def to_json(self) -> dict[str, Any]:
        """Return the name and the settings."""
        return {"name": self.name} | vars(self)


#: Objectives that are a predicted column: the column and its description.
_PREDICTED = {
    "conductivity": (Column.PREDICTED_CONDUCTIVITY_S_CM, "predicted conductivity in S/cm"),
    "lower-bound": (
        Column.PREDICTED_CONDUCTIVITY_LOWER_S_CM,
        "lower end of the interval of the conductivity in S/cm",
    ),
}


@dataclass(frozen=True)
class Predicted(Objective):
    """The predicted conductivity in S/cm, or the lower end of its interval at the level of the screening."""

    name: str = "conductivity"

    def values(self, predictions: Predictions) -> Floats:
        """Return the predicted column, shape (n,)."""
        return np.asarray(predictions.columns[_PREDICTED[self.name][0]], dtype=np.float64)

    def describe(self) -> str:
        """Return a description for reports."""
        return _PREDICTED[self.name][1]


@dataclass(frozen=True)
class Success(Objective):
    """Probability that a pellet conducts better than a threshold, times the probability that it is pure.

    The first factor is computed from the out-of-fold errors behind the intervals. Let L be the level of the
    interval that just excludes the threshold. A share 1 - L of pellets lies outside this interval and, as
    intervals are symmetric in log10 conductivity, half of them on the side of the threshold. The probability is
    therefore (1 - L)/2 where the prediction is below the threshold, and (1 + L)/2 where it is above. With n
    errors, L is at most n/(n + 1), so that no probability is 0 or 1. The product assumes that the two events are
    independent given the recipe.

    Attributes
    ----------
    threshold_s_cm
        Threshold in S/cm, at the temperature of the screening.
    """

    threshold_s_cm: float
    name: str = field(default="success", init=False)

    def values(self, predictions: Predictions) -> Floats:
        """Return the product of the probabilities, shape (n,)."""
        above = exceedance_probability(predictions, self.threshold_s_cm)
        return above * np.asarray(predictions.columns[Column.PREDICTED_PHASE_PURITY], dtype=np.float64)

    def describe(self) -> str:
        """Return a description for reports."""
        return f"probability of more than {self.threshold_s_cm:g} S/cm, times the probability of phase purity"


def exceedance_probability(predictions: Predictions, threshold_s_cm: float) -> Floats:
    """Return the probability that the measured conductivity exceeds a threshold (see `Success`), shape (n,)."""
    columns, errors = predictions.columns, predictions.errors
    log10_predicted = np.log10(columns[Column.PREDICTED_CONDUCTIVITY_S_CM])
    # An interval may be cut off at the limit of possible values; its longer half is not.
    half_width = np.maximum(
        np.log10(columns[Column.PREDICTED_CONDUCTIVITY_UPPER_S_CM]) - log10_predicted,
        log10_predicted - np.log10(columns[Column.PREDICTED_CONDUCTIVITY_LOWER_S_CM]),
    )
    scale = half_width / errors.quantile(predictions.level)
    gap = np.log10(threshold_s_cm) - log10_predicted
    n_errors = len(errors.scores)
    level = np.minimum(errors.level_needed(np.abs(gap) / scale), n_errors / (n_errors + 1))
    return np.where(gap > 0, (1.0 - level) / 2, (1.0 + level) / 2)


@dataclass(frozen=True)
class Wish:
    """Desirability function of one property (Derringer and Suich, 10.1080/00224065.1980.11980968).

    Attributes
    ----------
    worst, best
        Values with desirability 0 and 1. In between, it is linear in the value; for the conductivity, in its
        logarithm. If `best` is below `worst`, small values are desirable.
    weight
        Exponent in the geometric mean over the properties.
    """

    worst: float
    best: float
    weight: float = 1.0

    def desirability(self, values: Floats) -> Floats:
        """Return the desirability, 0 to 1, shape (n,); NaN where the value is NaN."""
        return np.clip((values - self.worst) / (self.best - self.worst), 0.0, 1.0)


#: Columns of the properties that a wish can be about.
_PROPERTIES: dict[str, Column] = {
    "conductivity": Column.PREDICTED_CONDUCTIVITY_S_CM,
    "density": Column.PREDICTED_RELATIVE_DENSITY_PCT,
    "purity": Column.PREDICTED_PHASE_PURITY,
    "sintering-temperature": Column.SINTERING_TEMPERATURE_C,
}
#: Wishes used by default.
DEFAULT_WISHES: Mapping[str, Wish] = {
    "conductivity": Wish(1e-6, 1e-3),
    "density": Wish(80.0, 98.0),
    "purity": Wish(0.0, 1.0),
    "sintering-temperature": Wish(1200.0, 700.0),
}


@dataclass(frozen=True)
class Desirability(Objective):
    """Weighted geometric mean of the desirabilities of several properties; 0 if one of them is 0.

    Attributes
    ----------
    wishes
        Wishes by property: conductivity (S/cm), density (%), purity (0 to 1), sintering-temperature (°C).
    """

    wishes: Mapping[str, Wish] = field(default_factory=lambda: dict(DEFAULT_WISHES))
    name: str = field(default="desirability", init=False)

    def __post_init__(self) -> None:
        for name, wish in self.wishes.items():
            if name not in _PROPERTIES:
                raise FieldError("desirability", name, ", ".join(_PROPERTIES), nearest(name, _PROPERTIES))
            limits = (wish.worst, wish.best)
            if wish.worst == wish.best or not np.isfinite(limits).all():
                raise FieldError(f"desirability of {name}", limits, "two different numbers, WORST and BEST")
            if not 0 < wish.weight < np.inf:
                raise FieldError(f"weight of {name}", wish.weight, "a number above 0")
            if name == "conductivity" and min(limits) <= 0:
                raise FieldError(f"desirability of {name}", limits, "two conductivities in S/cm above 0")
        if not self.wishes:
            raise FieldError("desirability", {}, "at least one of " + ", ".join(_PROPERTIES))

    def values(self, predictions: Predictions) -> Floats:
        """Return the overall desirability, shape (n,); NaN where a property with a wish is not given."""
        columns = {**predictions.columns, Column.SINTERING_TEMPERATURE_C: predictions.sintering_temperature_c}
        return self.combine({name: columns[_PROPERTIES[name]] for name in self.wishes})

    def combine(self, properties: Mapping[str, Floats]) -> Floats:
        """Return the overall desirability of property values, all of one shape; NaN where a value is NaN."""
        total_weight = sum(wish.weight for wish in self.wishes.values())
        overall: Floats = np.array(1.0)
        for name, wish in self.wishes.items():
            values, scaled_wish = properties[name], wish
            if name == "conductivity":
                values = np.log10(values)
                scaled_wish = Wish(float(np.log10(wish.worst)), float(np.log10(wish.best)))
            overall = overall * scaled_wish.desirability(values) ** (wish.weight / total_weight)
        return np.asarray(overall)

    def describe(self) -> str:
        """Return a description for reports."""
        parts = [
            f"{name} from {wish.worst:g} (0) to {wish.best:g} (1), weight {wish.weight:g}"
            for name, wish in self.wishes.items()
        ]
        return f"desirability: {'; '.join(parts)}"

    def to_json(self) -> dict[str, Any]:
        """Return the name and the settings."""
        wishes = {name: [wish.worst, wish.best, wish.weight] for name, wish in self.wishes.items()}
        return {"name": self.name, "wishes": wishes}


OBJECTIVES = (*_PREDICTED, Success.name, Desirability.name)


def objective_named(
    name: str, *, threshold_s_cm: float | None = None, wishes: Mapping[str, Wish] | None = None
) -> Objective:
    """Return an objective by its name and settings.

    Parameters
    ----------
    name
        One of `OBJECTIVES`.
    threshold_s_cm
        Threshold of "success", which requires it; not allowed for other objectives.
    wishes
        Wishes of "desirability", by default `DEFAULT_WISHES`; not allowed for other objectives.

    Raises
    ------
    FieldError
        If there is no such objective, or a setting does not fit it.
    """
    if name not in OBJECTIVES:
        raise FieldError("objective", name, ", ".join(OBJECTIVES), nearest(name, OBJECTIVES))
    if (threshold_s_cm is not None) != (name == Success.name):
        raise FieldError(
            "threshold", threshold_s_cm, f"a conductivity in S/cm with the objective {Success.name} alone"
        )
    if wishes and name != Desirability.name:
        raise FieldError("desire", ", ".join(wishes), f"wishes with the objective {Desirability.name} alone")
    if threshold_s_cm is not None:
        if not 0 < threshold_s_cm < np.inf:
            raise FieldError("threshold", threshold_s_cm, "a conductivity in S/cm above 0")
        return Success(float(threshold_s_cm))
    if name == Desirability.name:
        return Desirability(dict(wishes or DEFAULT_WISHES))
    return Predicted(name)


#: Maximum number of kept recipes, each of which is written to the result and the state file.
MAX_KEPT = 100_000


@dataclass(frozen=True)
class Question:
    """Settings that determine the result, together with space and model.

    Attributes
    ----------
    objective
        Objective by which recipes are kept.
    keep
        Number of kept recipes.
    level
        Level of the intervals.
    at_c
        Temperature of the conductivity in °C; None: the temperature stated by the space, or else 25.
    inside_only
        Whether recipes outside the known domain are excluded from the kept recipes, the front and the map.
    balanced_only
        Whether recipes whose charges do not balance are skipped.
    """

    objective: Objective = field(default_factory=Predicted)
    keep: int = 100
    level: float = 0.9
    at_c: float | None = None
    inside_only: bool = True
    balanced_only: bool = True

    def __post_init__(self) -> None:
        check_integer("keep", self.keep, 1, MAX_KEPT)
        if not 0 < self.level < 1:
            raise FieldError("level", self.level, "a number between 0 and 1")
        if self.at_c is not None:
            Column.MEASUREMENT_TEMPERATURE_C.parse(self.at_c)

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plain values."""
        return vars(self) | {"objective": self.objective.to_json()}

    def conductivity_at(self, candidates: Candidates) -> Candidates:
        """Return the candidates with `at_c`, if it is given, as temperature of the conductivity."""
        if self.at_c is None:
            return candidates
        name = Column.MEASUREMENT_TEMPERATURE_C.value
        table = candidates.table.assign(**{name: np.full(len(candidates.positions), float(self.at_c))})
        return Candidates(candidates.positions, table, candidates.sites)

    def temperatures_c(self, candidates: Candidates) -> Floats:
        """Return the temperature of each recipe's conductivity, in °C; shape (n,)."""
        return measurement_temperature(candidates.table)
