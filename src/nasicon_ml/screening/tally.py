"""What a screening has found so far: parts of a space are tallied apart, and put together in any order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.screening.front import Front
from nasicon_ml.screening.keeping import Kept
from nasicon_ml.screening.landscape import Landscape

Floats = NDArray[np.float64]

#: The properties of the front, in the order of its columns: the sintering temperature counts downwards.
FRONT_PROPERTIES = ("conductivity", "density", "purity", "sintering temperature")


@dataclass(frozen=True)
class Counts:
    """How many recipes came how far.

    Attributes
    ----------
    positions
        Positions of the space that were looked at.
    candidates
        Recipes that the space's own constraints leave.
    balanced
        Of these, those whose charges add up; all, where that is not asked for.
    inside
        Of these, those inside the known domain.
    valued
        Of the recipes that may be kept, those that have an objective.
    """

    positions: int = 0
    candidates: int = 0
    balanced: int = 0
    inside: int = 0
    valued: int = 0

    def merged(self, other: Counts) -> Counts:
        """Add them up."""
        return Counts(*(mine + theirs for mine, theirs in zip(self.as_tuple(), other.as_tuple(), strict=True)))

    def as_tuple(self) -> tuple[int, ...]:
        """Give the numbers in order."""
        return (self.positions, self.candidates, self.balanced, self.inside, self.valued)

    def to_json(self) -> dict[str, int]:
        """Give the numbers by name."""
        names = ("positions", "candidates", "balanced", "inside", "valued")
        return dict(zip(names, self.as_tuple(), strict=True))


@dataclass(frozen=True)
class BestOfSystem:
    """What was found in one system.

    Attributes
    ----------
    candidates, inside
        Recipes scored, and those of them inside the known domain.
    value, number
        The best objective and the position that has it; NaN and -1 where none may be kept.
    """

    candidates: int
    inside: int
    value: float
    number: int

    def merged(self, other: BestOfSystem) -> BestOfSystem:
        """Add the counts up, and take the better; among equal ones, the earlier in the space."""
        pair = sorted((one for one in (self, other) if one.number >= 0), key=lambda one: (-one.value, one.number))
        best = pair[0] if pair else self
        return BestOfSystem(
            self.candidates + other.candidates, self.inside + other.inside, best.value, best.number
        )


@dataclass(frozen=True)
class Tally:
    """All that is gathered of some part of a space."""

    counts: Counts
    kept: Kept
    front: Front
    systems: Mapping[str, BestOfSystem]
    landscape: Landscape

    @classmethod
    def empty(cls, keep: int) -> Tally:
        """Start with nothing, to keep so many."""
        none, numbers = np.empty(0), np.empty(0, dtype=np.int64)
        front = Front(np.empty((0, len(FRONT_PROPERTIES))), numbers)
        return cls(Counts(), Kept(keep, none, numbers), front, {}, Landscape.of(none, none, none))

    def merged(self, other: Tally) -> Tally:
        """Put two parts together."""
        systems = dict(self.systems)
        for name, found in other.systems.items():
            systems[name] = systems[name].merged(found) if name in systems else found
        return Tally(
            self.counts.merged(other.counts),
            self.kept.merged(other.kept),
            self.front.merged(other.front),
            dict(sorted(systems.items())),
            self.landscape.merged(other.landscape),
        )

    def to_json(self) -> dict[str, Any]:
        """Give all of it, every digit."""
        return {
            "counts": self.counts.to_json(),
            "kept": self.kept.to_json(),
            "front": self.front.to_json(),
            "systems": {
                name: [one.candidates, one.inside, None if one.number < 0 else one.value, one.number]
                for name, one in self.systems.items()
            },
            "landscape": self.landscape.to_json(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Tally:
        """Read what `to_json` gave."""
        systems = {
            name: BestOfSystem(
                int(candidates), int(inside), float("nan") if value is None else float(value), int(number)
            )
            for name, (candidates, inside, value, number) in content["systems"].items()
        }
        return cls(
            Counts(**content["counts"]),
            Kept.from_json(content["kept"]),
            Front.from_json(content["front"]),
            systems,
            Landscape.from_json(content["landscape"]),
        )


def best_by_system(
    system: NDArray[np.intp],
    names: NDArray[np.object_],
    inside: NDArray[np.bool_],
    values: Floats,
    numbers: NDArray[np.int64],
) -> dict[str, BestOfSystem]:
    """Tally recipes by system.

    Parameters
    ----------
    system
        Which of the names each recipe has, shape (n,).
    names
        Names of systems; one may stand there more than once.
    inside
        Whether inside the known domain, shape (n,).
    values
        Objective, NaN where a recipe may not be kept; shape (n,).
    numbers
        Positions in the space, shape (n,).
    """
    different, code_of_name = np.unique(names.astype(str), return_inverse=True)
    code = code_of_name[system]
    counts = np.bincount(code, minlength=len(different))
    insiders = np.bincount(code[inside], minlength=len(different))
    valued = np.flatnonzero(~np.isnan(values))
    order = valued[np.lexsort((numbers[valued], -values[valued], code[valued]))]
    starts = np.searchsorted(code[order], np.arange(len(different) + 1))
    found = {}
    for place, name in enumerate(different.tolist()):
        if not counts[place]:
            continue
        has_best = starts[place] < starts[place + 1]
        best = order[starts[place]] if has_best else -1
        found[name] = BestOfSystem(
            int(counts[place]),
            int(insiders[place]),
            float(values[best]) if has_best else float("nan"),
            int(numbers[best]) if has_best else -1,
        )
    return found
