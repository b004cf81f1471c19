"""Goals of a campaign, as a value of every pellet that is to be maximized."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nasicon_ml.arrays import Floats
from nasicon_ml.errors import FieldError
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.screening.objectives import Desirability, Wish


@dataclass(frozen=True)
class Outcomes:
    """Properties of pellets, measured or drawn; arrays of shape (..., n).

    Attributes
    ----------
    log10_conductivity
        Conductivity at 25 °C in log10(S/cm).
    density_pct
        Relative density in per cent.
    purity
        Probability of phase purity, or 0 and 1.
    sintering_temperature_c
        Sintering temperature of the recipes, shape (n,), NaN where not given.
    """

    log10_conductivity: Floats
    density_pct: Floats
    purity: Floats
    sintering_temperature_c: Floats


@dataclass(frozen=True)
class Goal:
    """Goal of a campaign: a value to be maximized, and conditions that make a pellet acceptable.

    Attributes
    ----------
    min_density_pct
        Relative density below which a pellet is not acceptable; None: no condition.
    min_purity
        Only phase pure pellets are acceptable, and recipes with a lower probability of purity are not proposed;
        None: no condition.
    wishes
        Maximize the weighted desirability of several properties
        (`nasicon_ml.screening.objectives.Desirability`); if empty, the conductivity.
    """

    min_density_pct: float | None = None
    min_purity: float | None = None
    wishes: Mapping[str, Wish] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.min_density_pct is not None and not 0 < self.min_density_pct <= 100:
            raise FieldError("min_density", self.min_density_pct, "a relative density above 0 and up to 100 %")
        if self.min_purity is not None and not 0 < self.min_purity < 1:
            raise FieldError("min_purity", self.min_purity, "a probability between 0 and 1")
        if self.wishes:
            Desirability(self.wishes)  # raises if a wish is not valid

    @property
    def unit(self) -> str:
        """Unit of the values."""
        return "desirability" if self.wishes else "decades"

    @property
    def needed(self) -> set[TargetName]:
        """Properties on which the values and the conditions depend."""
        names = {TargetName.CONDUCTIVITY}
        if self.min_density_pct is not None or "density" in self.wishes:
            names.add(TargetName.RELATIVE_DENSITY)
        if self.min_purity is not None or "purity" in self.wishes:
            names.add(TargetName.PHASE_PURITY)
        return names

    def values(self, pellets: Outcomes) -> Floats:
        """Return log10 of the conductivity, or the desirability, in the shape of the outcomes."""
        if not self.wishes:
            return pellets.log10_conductivity
        properties = {
            "conductivity": 10.0**pellets.log10_conductivity,
            "density": pellets.density_pct,
            "purity": pellets.purity,
            "sintering-temperature": np.broadcast_to(
                pellets.sintering_temperature_c, pellets.log10_conductivity.shape
            ),
        }
        return Desirability(self.wishes).combine(properties)

    def acceptance(self, pellets: Outcomes) -> Floats:
        """Return the probability that pellets are acceptable; properties that are NaN do not reduce it."""
        probability = np.ones(pellets.log10_conductivity.shape)
        if self.min_density_pct is not None:
            probability = probability * ~(pellets.density_pct < self.min_density_pct)
        if self.min_purity is not None:
            probability = probability * np.where(np.isnan(pellets.purity), 1.0, pellets.purity)
        return probability

    def describe(self) -> str:
        """Return a description for reports."""
        what = Desirability(self.wishes).describe() if self.wishes else "the highest conductivity"
        conditions = []
        if self.min_density_pct is not None:
            conditions.append(f"of pellets of at least {self.min_density_pct:g} % density")
        if self.min_purity is not None:
            conditions.append(f"of phase pure pellets (of recipes at least {self.min_purity:.0%} likely pure)")
        return ", ".join([what, *conditions])

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plain values."""
        return {
            "min_density_pct": self.min_density_pct,
            "min_purity": self.min_purity,
            "wishes": {name: [wish.worst, wish.best, wish.weight] for name, wish in self.wishes.items()},
        }
