"""Aggregates of screened recipes: the best ones, the Pareto front, the best of each system, a conductivity map.

The parts of a space are aggregated separately, and their aggregates can be merged in any order.
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
class KeptRecipes:
    """Recipes with the highest objective values, best first; ties are in the order of the space."""

    capacity: int  # maximum number of recipes
    values: Floats  # objective values, descending, shape (n,) with n <= `capacity`
    positions: Ints  # positions in the space, shape (n,)

    @classmethod
    def best_of(cls, capacity: int, values: Floats, positions: Ints) -> KeptRecipes:
        """Return the recipes with the highest values; recipes whose value is NaN are left out."""
        valid = np.flatnonzero(~np.isnan(values))
        values, positions = values[valid], positions[valid]
        if len(values) > capacity:
            # Keep all ties with the last kept value: the sort below decides among them.
            threshold = np.partition(values, len(values) - capacity)[len(values) - capacity]
            is_candidate = values >= threshold
            values, positions = values[is_candidate], positions[is_candidate]
        order = np.lexsort((positions, -values))[:capacity]
        return cls(capacity, values[order], positions[order])

    def merge(self, other: KeptRecipes) -> KeptRecipes:
        """Return the best recipes of both."""
        values = np.concatenate([self.values, other.values])
        return KeptRecipes.best_of(self.capacity, values, np.concatenate([self.positions, other.positions]))

    def to_json(self) -> dict[str, Any]:
        """Return the content as plain values, in full precision."""
        return {"most": self.capacity, "values": self.values.tolist(), "numbers": self.positions.tolist()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> KeptRecipes:
        """Read the output of `to_json`."""
        return cls(
            int(content["most"]),
            np.asarray(content["values"], dtype=np.float64),
            np.asarray(content["numbers"], dtype=np.int64),
        )


#: Larger fronts are given up: nobody chooses among so many recipes, and the cost is quadratic in their number.
MAX_FRONT_SIZE = 100_000
#: Number of pairs of recipes that are compared at once; the comparison then fits into the processor's cache.
_PAIRS_PER_BLOCK = 2**18


@dataclass(frozen=True)
class ParetoFront:
    """Recipes that no other recipe dominates; of recipes with equal properties, the first in the space."""

    # Properties to be maximized, shape (n, n_properties).
    points: Floats
    positions: Ints  # positions in the space, ascending, shape (n,)
    given_up: bool = False  # whether the front is empty because it exceeded `MAX_FRONT_SIZE`

    @classmethod
    def from_points(cls, points: Floats, positions: Ints) -> ParetoFront:
        """Compute the front of n recipes; recipes with a NaN are left out."""
        valid = ~np.isnan(points).any(axis=1)
        points, positions = points[valid], positions[valid]
        rows = undominated_rows(points, positions)
        if len(rows) > MAX_FRONT_SIZE:
            return cls(points[:0], positions[:0], given_up=True)
        rows = rows[np.argsort(positions[rows], kind="stable")]
        return cls(points[rows], positions[rows])

    def merge(self, other: ParetoFront) -> ParetoFront:
        """Return the front of the recipes of both."""
        if self.given_up or other.given_up:
            return ParetoFront(self.points[:0], self.positions[:0], given_up=True)
        return ParetoFront.from_points(
            np.concatenate([self.points, other.points]), np.concatenate([self.positions, other.positions])
        )

    def to_json(self) -> dict[str, Any]:
        """Return the content as plain values, in full precision; -inf becomes null."""
        points = [[value if np.isfinite(value) else None for value in row] for row in self.points.tolist()]
        return {
            "points": points,
            "properties": self.points.shape[1],
            "numbers": self.positions.tolist(),
            "given_up": self.given_up,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ParetoFront:
        """Read the output of `to_json`."""
        rows = [[-np.inf if value is None else value for value in row] for row in content["points"]]
        points = np.asarray(rows, dtype=np.float64).reshape(len(rows), int(content["properties"]))
        return cls(points, np.asarray(content["numbers"], dtype=np.int64), bool(content["given_up"]))


def undominated_rows(points: Floats, positions: Ints) -> NDArray[np.intp]:
    """Return the rows that no other row dominates (equal or better everywhere, better somewhere), in any order.

    `points` has no NaN; of equal rows, the one with the lowest position is returned. Rows are sorted by descending
    sum of ranks, so that a row can only be dominated by an earlier one. Blocks of rows are then compared with all
    remaining rows, and the dominated ones are removed.
    """
    remaining = np.arange(len(points))
    if not len(remaining):
        return remaining
    # Ranks, because an infinite or very large value would hide the others in a sum.
    ranks = np.column_stack([np.unique(column, return_inverse=True)[1] for column in points.T])
    order = np.lexsort((positions, -ranks.sum(axis=1)))
    rank_type = np.min_scalar_type(len(points) - 1)
    remaining, columns = remaining[order], [column.astype(rank_type) for column in ranks[order].T]
    blocks = []
    while len(remaining):
        size = min(len(remaining), max(1, _PAIRS_PER_BLOCK // len(remaining)))
        is_better = np.zeros((size, len(remaining)), dtype=np.bool_)
        is_better[:, :size] = np.tri(size, dtype=np.bool_)  # only an earlier row can dominate a row of the block
        for column in columns:
            is_better |= column > column[:size, None]
        undominated = np.logical_and.reduce(is_better)
        blocks.append(remaining[:size][undominated[:size]])
        undominated[:size] = False
        remaining, columns = remaining[undominated], [column[undominated] for column in columns]
    return np.concatenate(blocks)


#: Cell size in x and in the temperature (°C).
_FINE_STEPS = (0.001, 0.1)
#: Cell size of a map whose fine cells would be more than `MAX_CELLS`.
_COARSE_STEPS = (0.05, 10.0)
MAX_CELLS = 4_000


@dataclass(frozen=True)
class ConductivityMap:
    """The highest conductivity in each cell of x and sintering temperature."""

    # Whether the cells are coarse, because there were more than `MAX_CELLS` fine ones. This depends on the set of
    # recipes, not on the order in which they are added.
    is_coarse: bool
    # x, t: integer coordinates of each cell, in steps, sorted by x, then t; shape (n,)
    x: Ints
    t: Ints
    best: Floats  # highest conductivity in S/cm, shape (n,)

    @classmethod
    def from_recipes(cls, x: Floats, temperature_c: Floats, conductivity: Floats) -> ConductivityMap:
        """Map n recipes, arrays of shape (n,); recipes without a sintering temperature are left out."""
        given = ~np.isnan(temperature_c)
        x_cells, t_cells = (
            np.rint(values[given] / step).astype(np.int64)
            for values, step in zip((x, temperature_c), _FINE_STEPS, strict=True)
        )
        return _highest_by_cell(x_cells, t_cells, conductivity[given], is_coarse=False)

    def merge(self, other: ConductivityMap) -> ConductivityMap:
        """Return the higher conductivity of both in each cell."""
        maps = (self, other)
        if self.is_coarse != other.is_coarse:
            maps = (self.coarsen(), other.coarsen())
        x, t, best = (np.concatenate([getattr(part, name) for part in maps]) for name in ("x", "t", "best"))
        return _highest_by_cell(x, t, best, is_coarse=maps[0].is_coarse)

    def coarsen(self) -> ConductivityMap:
        """Return the map with coarse cells."""
        if self.is_coarse:
            return self
        factors = [round(coarse / fine) for coarse, fine in zip(_COARSE_STEPS, _FINE_STEPS, strict=True)]
        x, t = (np.floor_divide(cells, factor) for cells, factor in zip((self.x, self.t), factors, strict=True))
        return _highest_by_cell(x, t, self.best, is_coarse=True)

    def points(self) -> tuple[Floats, Floats, Floats]:
        """Return x, temperature in °C and conductivity of each cell; the lower corner of a coarse cell."""
        x_step, t_step = _COARSE_STEPS if self.is_coarse else _FINE_STEPS
        # Division by an integer gives 0.3 instead of 0.30000000000000004.
        return self.x / round(1 / x_step), np.round(self.t * t_step, 1), self.best

    def to_json(self) -> dict[str, Any]:
        """Return the content as plain values, in full precision."""
        cells = {"x": self.x.tolist(), "t": self.t.tolist(), "best": self.best.tolist()}
        return {"coarse": self.is_coarse} | cells

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ConductivityMap:
        """Read the output of `to_json`."""
        x, t = (np.asarray(content[name], dtype=np.int64) for name in ("x", "t"))
        return cls(bool(content["coarse"]), x, t, np.asarray(content["best"], dtype=np.float64))


def _highest_by_cell(x: Ints, t: Ints, conductivity: Floats, *, is_coarse: bool) -> ConductivityMap:
    highest = pd.Series(conductivity).groupby([x, t]).max()
    x, t = (highest.index.get_level_values(level).to_numpy(dtype=np.int64) for level in (0, 1))
    cells = ConductivityMap(is_coarse, x, t, np.asarray(highest, dtype=np.float64))
    return cells.coarsen() if len(x) > MAX_CELLS else cells


#: The properties of the front, in the order of its columns; a lower sintering temperature is better.
FRONT_PROPERTIES = ("conductivity", "density", "purity", "sintering temperature")


@dataclass(frozen=True)
class Counts:
    """Number of recipes that pass each stage of a screening."""

    positions: int = 0  # positions of the space that were visited
    candidates: int = 0  # recipes that satisfy the constraints of the space
    balanced: int = 0  # candidates whose charges balance; all candidates if that is not required
    inside: int = 0  # balanced candidates inside the known domain
    valued: int = 0  # recipes that may be kept and have an objective value

    def merge(self, other: Counts) -> Counts:
        """Return the sums of both."""
        return Counts(*map(sum, zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True)
class SystemSummary:
    """The screened recipes of one system."""

    n_candidates: int  # scored recipes
    n_inside: int  # scored recipes inside the known domain
    # best_value, best_position: the best objective and its position; NaN and -1 where no recipe may be kept
    best_value: float
    best_position: int

    def merge(self, other: SystemSummary) -> SystemSummary:
        """Add the counts and take the better recipe; of ties, the earlier one in the space."""
        valued = [part for part in (self, other) if part.best_position >= 0]
        best = min(valued, key=lambda part: (-part.best_value, part.best_position), default=self)
        return SystemSummary(
            self.n_candidates + other.n_candidates,
            self.n_inside + other.n_inside,
            best.best_value,
            best.best_position,
        )


@dataclass(frozen=True)
class Aggregate:
    """Results for a part of a space."""

    counts: Counts
    kept: KeptRecipes
    front: ParetoFront
    systems: Mapping[str, SystemSummary]
    conductivity_map: ConductivityMap

    @classmethod
    def empty(cls, keep: int) -> Aggregate:
        """Return the aggregate of no recipes, which keeps up to `keep`."""
        values, positions = np.empty(0), np.empty(0, dtype=np.int64)
        return cls(
            Counts(),
            KeptRecipes(keep, values, positions),
            ParetoFront(np.empty((0, len(FRONT_PROPERTIES))), positions),
            {},
            ConductivityMap.from_recipes(values, values, values),
        )

    def merge(self, other: Aggregate) -> Aggregate:
        """Return the aggregate of both parts."""
        systems = dict(self.systems)
        for name, summary in other.systems.items():
            systems[name] = systems[name].merge(summary) if name in systems else summary
        return Aggregate(
            self.counts.merge(other.counts),
            self.kept.merge(other.kept),
            self.front.merge(other.front),
            dict(sorted(systems.items())),
            self.conductivity_map.merge(other.conductivity_map),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the content as plain values, in full precision."""
        return {
            "counts": asdict(self.counts),
            "kept": self.kept.to_json(),
            "front": self.front.to_json(),
            "systems": {
                name: [
                    summary.n_candidates,
                    summary.n_inside,
                    None if summary.best_position < 0 else summary.best_value,
                    summary.best_position,
                ]
                for name, summary in self.systems.items()
            },
            "landscape": self.conductivity_map.to_json(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Aggregate:
        """Read the output of `to_json`."""
        systems = {
            name: SystemSummary(
                int(n_candidates), int(n_inside), float("nan") if value is None else float(value), int(position)
            )
            for name, (n_candidates, n_inside, value, position) in content["systems"].items()
        }
        return cls(
            Counts(**content["counts"]),
            KeptRecipes.from_json(content["kept"]),
            ParetoFront.from_json(content["front"]),
            systems,
            ConductivityMap.from_json(content["landscape"]),
        )


def summarize_systems(
    name_index: NDArray[np.intp], names: Strings, inside: Mask, values: Floats, positions: Ints
) -> dict[str, SystemSummary]:
    """Summarize n recipes by system.

    `name_index` is the index into `names`, which may have duplicates, of each recipe's system; `values` is NaN
    where a recipe may not be kept.
    """
    unique_names, code_of_name = np.unique(names.astype(str), return_inverse=True)
    codes = code_of_name[name_index]
    n_candidates = np.bincount(codes, minlength=len(unique_names))
    n_inside = np.bincount(codes[inside], minlength=len(unique_names))
    order = np.lexsort((positions, -values, codes))  # NaN comes last
    present, first = np.unique(codes[order], return_index=True)
    best = order[first]
    best_positions = np.where(np.isnan(values[best]), -1, positions[best])
    return {
        str(unique_names[code]): SystemSummary(int(n_candidates[code]), int(n_inside[code]), value, position)
        for code, value, position in zip(present, values[best].tolist(), best_positions.tolist(), strict=True)
    }
