"""What a screening has found so far: parts of a space are aggregated apart, and put together in any order.

The k best recipes, the Pareto front, the best of each system, and a map of the best conductivity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.arrays import Floats, Mask, Strings

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Kept:
    """Recipes with the highest values, best first; among equal ones, the earlier in the space comes first."""

    most: int  # how many are kept
    values: Floats  # shape (n,), n at most `most`, falling
    numbers: Ints  # positions in the space, shape (n,)

    @classmethod
    def best_of(cls, most: int, values: Floats, numbers: Ints) -> Kept:
        """Return the best of some recipes; those whose value is NaN are left out."""
        valued = np.flatnonzero(~np.isnan(values))
        values, numbers = values[valued], numbers[valued]
        if len(values) > most:
            # All that reach the value of the last one kept: the sort decides among equal ones.
            last = np.partition(values, len(values) - most)[len(values) - most]
            reached = values >= last
            values, numbers = values[reached], numbers[reached]
        order = np.lexsort((numbers, -values))[:most]
        return cls(most, values[order], numbers[order])

    def merged(self, other: Kept) -> Kept:
        """Return the best of both."""
        values = np.concatenate([self.values, other.values])
        return Kept.best_of(self.most, values, np.concatenate([self.numbers, other.numbers]))

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain values, every digit."""
        return {"most": self.most, "values": self.values.tolist(), "numbers": self.numbers.tolist()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Kept:
        """Read what `to_json` gave."""
        return cls(
            int(content["most"]),
            np.asarray(content["values"], dtype=np.float64),
            np.asarray(content["numbers"], dtype=np.int64),
        )


#: A front of more recipes is given up: nobody chooses among so many, and finding them costs their square.
MOST_IN_FRONT = 100_000
#: Pairs of recipes that are compared at once for it: what fits into a processor's cache.
_COMPARED = 2**18


@dataclass(frozen=True)
class Front:
    """Recipes that no other dominates; of those with the same properties the earliest in the space."""

    # Properties of n recipes, each the higher the better; shape (n, n_properties), in order of `numbers`.
    points: Floats
    numbers: Ints  # positions in the space, rising; shape (n,)
    given_up: bool = False  # whether there were too many (`MOST_IN_FRONT`): then it is empty

    @classmethod
    def of(cls, points: Floats, numbers: Ints) -> Front:
        """Return the front of some recipes; those with a NaN are left out."""
        valued = ~np.isnan(points).any(axis=1)
        points, numbers = points[valued], numbers[valued]
        best = undominated(points, numbers)
        if len(best) > MOST_IN_FRONT:
            return cls(points[:0], numbers[:0], given_up=True)
        best = best[np.argsort(numbers[best], kind="stable")]
        return cls(points[best], numbers[best])

    def merged(self, other: Front) -> Front:
        """Return the front of both."""
        if self.given_up or other.given_up:
            return Front(self.points[:0], self.numbers[:0], given_up=True)
        return Front.of(np.concatenate([self.points, other.points]), np.concatenate([self.numbers, other.numbers]))

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain values, every digit; null for infinity."""
        points = [[value if np.isfinite(value) else None for value in row] for row in self.points.tolist()]
        return {
            "points": points,
            "properties": self.points.shape[1],
            "numbers": self.numbers.tolist(),
            "given_up": self.given_up,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Front:
        """Read what `to_json` gave."""
        rows = [[-np.inf if value is None else value for value in row] for row in content["points"]]
        points = np.asarray(rows, dtype=np.float64).reshape(len(rows), int(content["properties"]))
        return cls(points, np.asarray(content["numbers"], dtype=np.int64), bool(content["given_up"]))


def undominated(points: Floats, numbers: Ints) -> NDArray[np.intp]:
    """Return the rows that no other row dominates (as good everywhere, better somewhere), of equal rows the first.

    They come in no particular order, and there is no NaN. In order of the sum of ranks, the highest first, what
    dominates a row stands before it: some rows at a time are compared with all that are left, and take with them
    what they dominate.
    """
    left = np.arange(len(points))
    if not len(left):
        return left
    # Ranks instead of values: infinite or huge values do not swallow the others in the sum.
    ranks = np.column_stack([np.unique(column, return_inverse=True)[1] for column in points.T])
    order = np.lexsort((numbers, -ranks.sum(axis=1)))
    size = np.min_scalar_type(len(points) - 1)
    left, columns = left[order], [column.astype(size) for column in ranks[order].T]
    found = []
    while len(left):
        some = min(len(left), max(1, _COMPARED // len(left)))
        beats = np.zeros((some, len(left)), dtype=np.bool_)
        beats[:, :some] = np.tri(some, dtype=np.bool_)  # only those before a row can dominate it
        for column in columns:
            beats |= column > column[:some, None]
        rest = np.logical_and.reduce(beats)
        found.append(left[:some][rest[:some]])
        rest[:some] = False
        left, columns = left[rest], [column[rest] for column in columns]
    return np.concatenate(found)


#: Steps of x and of the temperature (°C) that are told apart.
_FINE = (0.001, 0.1)
#: Steps where the fine ones would give more cells than `MOST_CELLS`.
_COARSE = (0.05, 10.0)
MOST_CELLS = 4_000


@dataclass(frozen=True)
class ConductivityMap:
    """The highest conductivity in each cell of x and sintering temperature."""

    # Whether cells were put together: there are `MOST_CELLS` fine ones at most. That depends on which cells there
    # are, not on the order in which they come.
    is_coarse: bool
    # x, t: of each cell, in steps; shape (n,), sorted by x, then t
    x: Ints
    t: Ints
    best: Floats  # highest conductivity in S/cm, shape (n,)

    @classmethod
    def of(cls, x: Floats, temperature_c: Floats, conductivity: Floats) -> ConductivityMap:
        """Map some recipes, all arrays of shape (n,); those without a sintering temperature are left out."""
        given = ~np.isnan(temperature_c)
        x_cells, t_cells = (
            np.rint(values[given] / step).astype(np.int64)
            for values, step in zip((x, temperature_c), _FINE, strict=True)
        )
        return _map_of(x_cells, t_cells, conductivity[given], is_coarse=False)

    def merged(self, other: ConductivityMap) -> ConductivityMap:
        """Return the higher of both in each cell."""
        pair = (self, other)
        if self.is_coarse != other.is_coarse:
            pair = (self.coarse(), other.coarse())
        x, t, best = (np.concatenate([getattr(one, name) for one in pair]) for name in ("x", "t", "best"))
        return _map_of(x, t, best, is_coarse=pair[0].is_coarse)

    def coarse(self) -> ConductivityMap:
        """Return the map in coarse cells."""
        if self.is_coarse:
            return self
        factors = [round(coarse / fine) for coarse, fine in zip(_COARSE, _FINE, strict=True)]
        x, t = (np.floor_divide(cells, factor) for cells, factor in zip((self.x, self.t), factors, strict=True))
        return _map_of(x, t, self.best, is_coarse=True)

    def points(self) -> tuple[Floats, Floats, Floats]:
        """Return x, temperature in °C and best conductivity of each cell (of a coarse one, its lower corner)."""
        x_step, t_step = _COARSE if self.is_coarse else _FINE
        # Dividing by a whole number instead gives 0.3 and not 0.30000000000000004.
        return self.x / round(1 / x_step), np.round(self.t * t_step, 1), self.best

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain values, every digit."""
        cells = {"x": self.x.tolist(), "t": self.t.tolist(), "best": self.best.tolist()}
        return {"coarse": self.is_coarse} | cells

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ConductivityMap:
        """Read what `to_json` gave."""
        x, t = (np.asarray(content[name], dtype=np.int64) for name in ("x", "t"))
        return cls(bool(content["coarse"]), x, t, np.asarray(content["best"], dtype=np.float64))


def _map_of(x: Ints, t: Ints, best: Floats, *, is_coarse: bool) -> ConductivityMap:
    highest = pd.Series(best).groupby([x, t]).max()
    x, t = (highest.index.get_level_values(level).to_numpy(dtype=np.int64) for level in (0, 1))
    found = ConductivityMap(is_coarse, x, t, np.asarray(highest, dtype=np.float64))
    return found.coarse() if len(x) > MOST_CELLS else found


#: The properties of the front, in the order of its columns: the sintering temperature counts downwards.
FRONT_PROPERTIES = ("conductivity", "density", "purity", "sintering temperature")


@dataclass(frozen=True)
class Counts:
    """How many recipes came how far."""

    positions: int = 0  # positions of the space that were looked at
    candidates: int = 0  # recipes that the space's own constraints leave
    balanced: int = 0  # of these, those whose charges add up; all, where that is not asked for
    inside: int = 0  # of these, those inside the known domain
    valued: int = 0  # of the recipes that may be kept, those that have an objective

    def merged(self, other: Counts) -> Counts:
        """Return the sums of both."""
        return Counts(*map(sum, zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True)
class BestOfSystem:
    """What was found in one system."""

    # candidates, inside: recipes scored, and those of them inside the known domain
    candidates: int
    inside: int
    # value, number: the best objective and the position that has it; NaN and -1 where none may be kept
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
class Aggregate:
    """What was found in a part of a space: counts, the best recipes, the front, the best by system, the map."""

    counts: Counts
    kept: Kept
    front: Front
    systems: Mapping[str, BestOfSystem]
    conductivity_map: ConductivityMap

    @classmethod
    def empty(cls, keep: int) -> Aggregate:
        """Return the aggregate of no recipe, which keeps so many."""
        none, numbers = np.empty(0), np.empty(0, dtype=np.int64)
        front = Front(np.empty((0, len(FRONT_PROPERTIES))), numbers)
        return cls(Counts(), Kept(keep, none, numbers), front, {}, ConductivityMap.of(none, none, none))

    def merged(self, other: Aggregate) -> Aggregate:
        """Return the aggregate of both parts."""
        systems = dict(self.systems)
        for name, found in other.systems.items():
            systems[name] = systems[name].merged(found) if name in systems else found
        return Aggregate(
            self.counts.merged(other.counts),
            self.kept.merged(other.kept),
            self.front.merged(other.front),
            dict(sorted(systems.items())),
            self.conductivity_map.merged(other.conductivity_map),
        )

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain values, every digit."""
        return {
            "counts": asdict(self.counts),
            "kept": self.kept.to_json(),
            "front": self.front.to_json(),
            "systems": {
                name: [one.candidates, one.inside, None if one.number < 0 else one.value, one.number]
                for name, one in self.systems.items()
            },
            "landscape": self.conductivity_map.to_json(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Aggregate:
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
            ConductivityMap.from_json(content["landscape"]),
        )


def best_by_system(
    system: NDArray[np.intp], names: Strings, inside: Mask, values: Floats, numbers: NDArray[np.int64]
) -> dict[str, BestOfSystem]:
    """Aggregate n recipes by system.

    `system` says which of the names each has, of which several may be the same; objectives are NaN where a recipe
    may not be kept.
    """
    different, code_of_name = np.unique(names.astype(str), return_inverse=True)
    code = code_of_name[system]
    counts = np.bincount(code, minlength=len(different))
    insiders = np.bincount(code[inside], minlength=len(different))
    order = np.lexsort((numbers, -values, code))  # NaN comes last
    present, first = np.unique(code[order], return_index=True)
    best = order[first]
    best_numbers = np.where(np.isnan(values[best]), -1, numbers[best])
    return {
        str(different[at]): BestOfSystem(int(counts[at]), int(insiders[at]), value, number)
        for at, value, number in zip(present, values[best].tolist(), best_numbers.tolist(), strict=True)
    }
