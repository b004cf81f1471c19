"""The best conductivity at every substitution and sintering temperature: a map, gathered chunk by chunk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Steps of x and of the temperature (°C) that are told apart.
_FINE = (0.001, 0.1)
#: Steps where the fine ones would give more cells than `MOST_CELLS`.
_COARSE = (0.05, 10.0)
MOST_CELLS = 4_000


@dataclass(frozen=True)
class Landscape:
    """The highest conductivity in each cell of x and sintering temperature.

    Attributes
    ----------
    x_step, t_step
        How far cells are apart; `MOST_CELLS` cells at most have the fine steps, more are put into coarse ones.
        That depends on which cells there are, not on the order in which they come.
    x, t
        Of each cell, in steps; shape (n,), sorted by x, then t.
    best
        Highest conductivity in S/cm, shape (n,).
    """

    x_step: float
    t_step: float
    x: Ints
    t: Ints
    best: Floats

    @classmethod
    def of(cls, x: Floats, temperature_c: Floats, conductivity: Floats) -> Landscape:
        """Map some recipes, all arrays of shape (n,); those without a sintering temperature are left out."""
        given = ~np.isnan(temperature_c)
        x_cells, t_cells = (
            np.rint(values[given] / step).astype(np.int64)
            for values, step in zip((x, temperature_c), _FINE, strict=True)
        )
        return _landscape(_FINE, x_cells, t_cells, conductivity[given])

    @property
    def is_coarse(self) -> bool:
        """Whether cells were put together."""
        return (self.x_step, self.t_step) == _COARSE

    def merged(self, other: Landscape) -> Landscape:
        """Take the higher of both in each cell."""
        pair = (self, other)
        if self.is_coarse != other.is_coarse:
            pair = (self.coarse(), other.coarse())
        x, t, best = (np.concatenate([getattr(one, name) for one in pair]) for name in ("x", "t", "best"))
        return _landscape((pair[0].x_step, pair[0].t_step), x, t, best)

    def coarse(self) -> Landscape:
        """Put cells together."""
        if self.is_coarse:
            return self
        factors = [round(coarse / fine) for coarse, fine in zip(_COARSE, _FINE, strict=True)]
        x, t = (np.floor_divide(cells, factor) for cells, factor in zip((self.x, self.t), factors, strict=True))
        return _landscape(_COARSE, x, t, self.best)

    def points(self) -> tuple[Floats, Floats, Floats]:
        """Give x, temperature in °C and best conductivity of each cell (its lower corner, where it is coarse)."""
        # Dividing by a whole number instead gives 0.3 and not 0.30000000000000004.
        return self.x / round(1 / self.x_step), np.round(self.t * self.t_step, 1), self.best

    def to_json(self) -> dict[str, Any]:
        """Give all of it, every digit."""
        cells = {"x": self.x.tolist(), "t": self.t.tolist(), "best": self.best.tolist()}
        return {"coarse": self.is_coarse} | cells

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Landscape:
        """Read what `to_json` gave."""
        x, t = (np.asarray(content[name], dtype=np.int64) for name in ("x", "t"))
        steps = _COARSE if content["coarse"] else _FINE
        return cls(*steps, x, t, np.asarray(content["best"], dtype=np.float64))


def _landscape(steps: tuple[float, float], x: Ints, t: Ints, best: Floats) -> Landscape:
    order = np.lexsort((t, x))
    x, t, best = x[order], t[order], best[order]
    is_first = np.ones(len(x), dtype=bool)
    is_first[1:] = (np.diff(x) != 0) | (np.diff(t) != 0)
    starts = np.flatnonzero(is_first)
    if len(starts):
        x, t, best = x[starts], t[starts], np.maximum.reduceat(best, starts)
    found = Landscape(*steps, x, t, best)
    return found.coarse() if len(starts) > MOST_CELLS and steps == _FINE else found
