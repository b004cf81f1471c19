"""What a screening looks for: an objective, a number for every recipe, the higher the better; and the settings."""

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
from nasicon_ml.screening.reading import check_whole
from nasicon_ml.screening.space import Candidates


@dataclass(frozen=True)
class Answers:
    """What an objective is made from, for n recipes.

    Attributes
    ----------
    numbers
        As `nasicon_ml.model.PropertyModel.scores` gives them, each of shape (n,).
    sintering_temperature_c
        Shape (n,), NaN where not given.
    errors
        The model's out-of-fold errors of conductivity, in units of what it expected.
    level
        Of the intervals in `numbers`.
    """

    numbers: Mapping[Column, NDArray[Any]]
    sintering_temperature_c: Floats
    errors: ConformalScores
    level: float


class Objective(ABC):
    """What is looked for; `name` is the word for it on the command line."""

    name: str

    @abstractmethod
    def values(self, answers: Answers) -> Floats:
        """Return the objective of each recipe, shape (n,): the higher the better, NaN where it has none."""

    @abstractmethod
    def describe(self) -> str:
        """Return what it is, in words."""

    def to_json(self) -> dict[str, Any]:
        """Return name and settings by name."""
        return {"name": self.name} | vars(self)


#: Objectives that are one of the predicted numbers: its column, and what it is.
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

    def values(self, answers: Answers) -> Floats:
        """Return the predicted numbers, shape (n,)."""
        return np.asarray(answers.numbers[_PREDICTED[self.name][0]], dtype=np.float64)

    def describe(self) -> str:
        """Return what it is, in words."""
        return _PREDICTED[self.name][1]


@dataclass(frozen=True)
class Success(Objective):
    """Probability that a pellet conducts better than a threshold, times the probability that it is pure.

    The first factor comes from the out-of-fold errors behind the intervals. The interval that just misses the
    threshold has a level L; a share 1 - L of pellets lies outside it, and, as intervals are symmetric on the scale
    of log10 conductivity, half of them on the side of the threshold. So the probability is (1 - L)/2 where the
    prediction is below the threshold, and (1 + L)/2 where it is above. With n errors, L is n/(n + 1) at most: no
    probability is 0 or 1. The product takes the two events to be independent given the recipe.

    Attributes
    ----------
    threshold_s_cm
        In S/cm, at the temperature of the screening.
    """

    threshold_s_cm: float
    name: str = field(default="success", init=False)

    def values(self, answers: Answers) -> Floats:
        """Return the product of the probabilities, shape (n,)."""
        above = exceedance(answers, self.threshold_s_cm)
        return above * np.asarray(answers.numbers[Column.PREDICTED_PHASE_PURITY], dtype=np.float64)

    def describe(self) -> str:
        """Return what it is, in words."""
        return f"probability of more than {self.threshold_s_cm:g} S/cm, times the probability of phase purity"


def exceedance(answers: Answers, threshold_s_cm: float) -> Floats:
    """Return the probability that the measured conductivity exceeds a threshold (see `Success`); shape (n,)."""
    numbers = answers.numbers
    point = np.log10(numbers[Column.PREDICTED_CONDUCTIVITY_S_CM])
    # An end at the border of what is possible was cut off there; the longer half was not.
    half = np.maximum(
        np.log10(numbers[Column.PREDICTED_CONDUCTIVITY_UPPER_S_CM]) - point,
        point - np.log10(numbers[Column.PREDICTED_CONDUCTIVITY_LOWER_S_CM]),
    )
    scale = half / answers.errors.quantile(answers.level)
    gap = np.log10(threshold_s_cm) - point
    count = len(answers.errors.scores)
    missed = np.minimum(answers.errors.level_needed(np.abs(gap) / scale), count / (count + 1))
    return np.where(gap > 0, (1.0 - missed) / 2, (1.0 + missed) / 2)


@dataclass(frozen=True)
class Wish:
    """How desirable values of one property are (Derringer and Suich, 10.1080/00224065.1980.11980968).

    Attributes
    ----------
    worst, best
        Values whose desirability is 0 and 1; in between it rises along a line, of conductivity along its
        logarithm. `best` below `worst` wishes for small values.
    weight
        Exponent in the geometric mean over the properties.
    """

    worst: float
    best: float
    weight: float = 1.0

    def desirability(self, values: Floats) -> Floats:
        """Return the desirability, shape (n,), 0 to 1; NaN where the value is not given."""
        return np.clip((values - self.worst) / (self.best - self.worst), 0.0, 1.0)


#: Properties that can be wished for: their columns.
_PROPERTIES: dict[str, Column] = {
    "conductivity": Column.PREDICTED_CONDUCTIVITY_S_CM,
    "density": Column.PREDICTED_RELATIVE_DENSITY_PCT,
    "purity": Column.PREDICTED_PHASE_PURITY,
    "sintering-temperature": Column.SINTERING_TEMPERATURE_C,
}
#: What is wished for where nobody says otherwise.
DEFAULT_WISHES: Mapping[str, Wish] = {
    "conductivity": Wish(1e-6, 1e-3),
    "density": Wish(80.0, 98.0),
    "purity": Wish(0.0, 1.0),
    "sintering-temperature": Wish(1200.0, 700.0),
}


@dataclass(frozen=True)
class Desirability(Objective):
    """Weighted geometric mean of how desirable the properties are; 0 as soon as one is not acceptable.

    Attributes
    ----------
    wishes
        By property: conductivity (S/cm), density (%), purity (0 to 1), sintering-temperature (°C).
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

    def values(self, answers: Answers) -> Floats:
        """Return the overall desirability, shape (n,); NaN where a property is wished for and not given."""
        given = {**answers.numbers, Column.SINTERING_TEMPERATURE_C: answers.sintering_temperature_c}
        return self.of({name: given[_PROPERTIES[name]] for name in self.wishes})

    def of(self, properties: Mapping[str, Floats]) -> Floats:
        """Return the overall desirability of values by property, all of one shape; NaN where one is."""
        total = sum(wish.weight for wish in self.wishes.values())
        found: Floats = np.array(1.0)
        for name, wish in self.wishes.items():
            values, on_scale = properties[name], wish
            if name == "conductivity":
                values = np.log10(values)
                on_scale = Wish(float(np.log10(wish.worst)), float(np.log10(wish.best)))
            found = found * on_scale.desirability(values) ** (wish.weight / total)
        return np.asarray(found)

    def describe(self) -> str:
        """Return what it is, in words."""
        parts = [
            f"{name} from {wish.worst:g} (0) to {wish.best:g} (1), weight {wish.weight:g}"
            for name, wish in self.wishes.items()
        ]
        return f"desirability: {'; '.join(parts)}"

    def to_json(self) -> dict[str, Any]:
        """Return name and settings by name."""
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
        Of "success", which needs it; no other takes it.
    wishes
        Of "desirability"; by default `DEFAULT_WISHES`; no other takes them.

    Raises
    ------
    FieldError
        If there is no such objective, or it takes other settings.
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


#: Recipes that may be kept: each is written out, and stands in the state file.
MOST_KEPT = 100_000


@dataclass(frozen=True)
class Question:
    """Everything that decides the result, beside space and model.

    Attributes
    ----------
    objective
        What the kept recipes are best in.
    keep
        How many are kept.
    level
        Of the intervals.
    at_c
        Temperature in °C at which the conductivity is wanted; None: what the space says, else 25.
    inside_only
        Whether recipes outside the known domain are left out of everything that is kept.
    balanced_only
        Whether recipes whose charges do not add up are left out, unscored.
    """

    objective: Objective = field(default_factory=Predicted)
    keep: int = 100
    level: float = 0.9
    at_c: float | None = None
    inside_only: bool = True
    balanced_only: bool = True

    def __post_init__(self) -> None:
        check_whole("keep", self.keep, 1, MOST_KEPT)
        if not 0 < self.level < 1:
            raise FieldError("level", self.level, "a number between 0 and 1")
        if self.at_c is not None:
            Column.MEASUREMENT_TEMPERATURE_C.parse(self.at_c)

    def to_json(self) -> dict[str, Any]:
        """Return the settings by name."""
        return vars(self) | {"objective": self.objective.to_json()}

    def conductivity_at(self, candidates: Candidates) -> Candidates:
        """Return recipes with the temperature at which the conductivity is wanted."""
        if self.at_c is None:
            return candidates
        name = Column.MEASUREMENT_TEMPERATURE_C.value
        table = candidates.table.assign(**{name: np.full(len(candidates.numbers), float(self.at_c))})
        return Candidates(candidates.numbers, table, candidates.sites)

    def temperatures_c(self, candidates: Candidates) -> Floats:
        """Return the temperature of each recipe's conductivity, in °C; shape (n,)."""
        return measurement_temperature(candidates.table)
