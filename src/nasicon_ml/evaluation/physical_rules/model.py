"""What a physical rule is: a statement of the literature, and recipes that put it to a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.recipe import Recipe

Floats = NDArray[np.float64]
#: Answers by target, each of shape (n_recipes,): log10(S/cm), %, probability, eV.
Answers = Mapping[TargetName, Floats]
#: From a curve, shape (n_points,), to the size of what it shows, in the unit of the curve.
Measure = Callable[[Floats], float]

#: The unit in which each target is compared.
UNITS: Mapping[TargetName, str] = {
    TargetName.CONDUCTIVITY: "decades",
    TargetName.RELATIVE_DENSITY: "points",
    TargetName.PHASE_PURITY: "probability",
    TargetName.ACTIVATION_ENERGY: "eV",
}
DEGREES = "°C"

DEWEES_2019 = "DeWees and Wang, ChemSusChem 2019, 12, 3713 (10.1002/cssc.201900725)"
TOLGANBEK_2022 = "Tolganbek et al., review 2022 (10.1039/d1ma01239h)"
ZHANG_2023 = "Zhang et al., review of LAGP 2023 (10.1002/adfm.202300973)"
RAJ_2023 = "Raj et al. 2023 (10.1021/acsaem.2c02464)"


@dataclass(frozen=True)
class Check:
    """Recipes, and how the answers to them are read.

    Attributes
    ----------
    recipes
        What is predicted, n of them.
    effect
        From the answers to the size of the effect; positive in the direction of the statement.
    at_c
        Temperature of measurement in °C of each recipe, or empty for 25 °C throughout.
    """

    recipes: tuple[Recipe, ...]
    effect: Callable[[Answers], float]
    at_c: tuple[float, ...] = ()


@dataclass(frozen=True)
class PhysicalRule:
    """One statement of the literature that a model can be held to.

    Attributes
    ----------
    name
        Unique, in lower case with underscores.
    statement
        What the literature says, in our words.
    source
        Who says it, with DOI.
    target
        What is predicted for it.
    check
        The recipes and the size of the effect.
    required
        Least size of the effect, in `unit`. 0 where the literature states a direction alone.
    may_be_equal
        Whether the effect may be just `required` ("not below"), or has to exceed it ("higher").
    unit
        Of effect, requirement and margin; that of the target unless said otherwise.
    note
        Where other statements or the data disagree.
    """

    name: str
    statement: str
    source: str
    target: TargetName
    check: Check = field(repr=False)
    required: float = 0.0
    may_be_equal: bool = False
    unit: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if not self.unit:
            object.__setattr__(self, "unit", UNITS[self.target])

    def margin(self, answers: Answers) -> float:
        """Give by how much the effect exceeds what is required, in `unit`; below 0 the rule is violated."""
        return float(self.check.effect(answers)) - self.required

    def holds(self, margin: float) -> bool:
        """Say whether a margin is enough. A trillionth is rounding; a margin that is no number is not enough."""
        return margin >= -1e-12 if self.may_be_equal else margin > 1e-12


def higher(target: TargetName, better: Sequence[Recipe], worse: Sequence[Recipe]) -> Check:
    """Check that one set of recipes lies above another on average; the effect is the difference of the means."""
    count = len(better)

    def effect(answers: Answers) -> float:
        values = answers[target]
        return float(values[:count].mean() - values[count:].mean())

    return Check((*better, *worse), effect)


def lower(target: TargetName, better: Sequence[Recipe], worse: Sequence[Recipe]) -> Check:
    """Check that the first set of recipes lies below the second on average."""
    return higher(target, worse, better)


def along(target: TargetName, points: Sequence[Sequence[Recipe]], measure: Measure) -> Check:
    """Check a curve: at each point the mean over the recipes there, which differ in their context alone.

    Parameters
    ----------
    target
        What is predicted.
    points
        The recipes by point of the curve; the same number at each.
    measure
        What is read from the curve, shape (n_points,).
    """
    size = len(points[0])

    def effect(answers: Answers) -> float:
        return measure(answers[target].reshape(len(points), size).mean(axis=1))

    return Check(_flat(points), effect)


def no_hotter(
    target: TargetName,
    first: Sequence[Sequence[Recipe]],
    second: Sequence[Sequence[Recipe]],
    celsius: Sequence[float],
) -> Check:
    """Check that the first kind of powder needs no higher temperature than the second, in °C.

    The temperature needed is the lowest at which the curve comes within one point of its highest value.

    Parameters
    ----------
    target
        What is predicted; the tolerance is made for density.
    first, second
        Recipes by temperature, as in `along`.
    celsius
        The temperatures.
    """
    grid = np.asarray(celsius, dtype=np.float64)

    def needed(values: Floats, size: int) -> float:
        curve = values.reshape(len(grid), size).mean(axis=1)
        return float(grid[np.argmax(curve >= curve.max() - 1.0)])

    here, there = len(first[0]), len(second[0])
    split = len(grid) * here

    def effect(answers: Answers) -> float:
        values = answers[target]
        return needed(values[split:], there) - needed(values[:split], here)

    return Check((*_flat(first), *_flat(second)), effect)


def _flat(points: Sequence[Sequence[Recipe]]) -> tuple[Recipe, ...]:
    return tuple(recipe for point in points for recipe in point)


def least_rise(curve: Floats) -> float:
    """Smallest step of a curve that should rise from point to point."""
    return float(np.diff(curve).min())


def interior_maximum(curve: Floats) -> float:
    """How far the highest inner point lies above the higher end."""
    return float(curve[1:-1].max() - max(curve[0], curve[-1]))


def best_within(first: int, last: int) -> Measure:
    """Measure how far the best of the points first to last lies above the best of all other points."""

    def measure(curve: Floats) -> float:
        inside = np.zeros(len(curve), dtype=bool)
        inside[first : last + 1] = True
        return float(curve[inside].max() - curve[~inside].max())

    return measure


def lowest_within(floor: float) -> Measure:
    """Measure how far the lowest point lies above a floor."""
    return lambda curve: float(curve.min() - floor)


def highest_below(ceiling: float) -> Measure:
    """Measure how far the highest point lies below a ceiling."""
    return lambda curve: float(ceiling - curve.max())
