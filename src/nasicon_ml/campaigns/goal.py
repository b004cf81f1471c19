"""What a campaign is after, as a number for every pellet: the higher the better."""

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
    """What pellets come to, measured or drawn; all arrays of one shape (..., n).

    Attributes
    ----------
    log10_conductivity
        In log10(S/cm) at 25 °C.
    density_pct
        Relative density in per cent.
    purity
        Probability of phase purity, or 0 and 1.
    sintering_temperature_c
        Of the recipes, shape (n,), NaN where not given.
    """

    log10_conductivity: Floats
    density_pct: Floats
    purity: Floats
    sintering_temperature_c: Floats


@dataclass(frozen=True)
class Goal:
    """What is wanted of a pellet.

    Attributes
    ----------
    min_density_pct
        A pellet below this relative density does not count; None: any counts.
    min_purity
        A pellet that is not phase pure does not count, and recipes less likely pure than this are not proposed;
        None: any counts.
    wishes
        Weighted desirability of several properties (`nasicon_ml.screening.objectives.Desirability`) in place of
        the conductivity; empty: the conductivity.
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
            Desirability(self.wishes)  # refuses what it does not know

    @property
    def unit(self) -> str:
        """What its values are counted in."""
        return "desirability" if self.wishes else "decades"

    @property
    def needed(self) -> set[TargetName]:
        """Properties that decide its values and what counts."""
        found = {TargetName.CONDUCTIVITY}
        if self.min_density_pct is not None or "density" in self.wishes:
            found.add(TargetName.RELATIVE_DENSITY)
        if self.min_purity is not None or "purity" in self.wishes:
            found.add(TargetName.PHASE_PURITY)
        return found

    def values(self, pellets: Outcomes) -> Floats:
        """Return log10 of the conductivity, or the desirability; shape of the outcomes."""
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

    def counts(self, pellets: Outcomes) -> Floats:
        """Return how likely pellets count, 0 to 1, shape of the outcomes; a result that is not known counts."""
        found = np.ones(pellets.log10_conductivity.shape)
        if self.min_density_pct is not None:
            found = found * ~(pellets.density_pct < self.min_density_pct)
        if self.min_purity is not None:
            found = found * np.where(np.isnan(pellets.purity), 1.0, pellets.purity)
        return found

    def describe(self) -> str:
        """Return what it is, in words."""
        what = Desirability(self.wishes).describe() if self.wishes else "the highest conductivity"
        conditions = []
        if self.min_density_pct is not None:
            conditions.append(f"of pellets of at least {self.min_density_pct:g} % density")
        if self.min_purity is not None:
            conditions.append(f"of phase pure pellets (of recipes at least {self.min_purity:.0%} likely pure)")
        return ", ".join([what, *conditions])

    def to_json(self) -> dict[str, Any]:
        """Return the settings by name."""
        return {
            "min_density_pct": self.min_density_pct,
            "min_purity": self.min_purity,
            "wishes": {name: [wish.worst, wish.best, wish.weight] for name, wish in self.wishes.items()},
        }
