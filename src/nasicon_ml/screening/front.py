"""The Pareto front: recipes that no other beats in one property without losing in another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

#: A front of more recipes is given up: nobody chooses among so many, and finding them costs their square.
MOST_IN_FRONT = 100_000


@dataclass(frozen=True)
class Front:
    """Recipes that no other dominates. Of those with the same properties the earliest in the space stands for all.

    Attributes
    ----------
    points
        Properties of n recipes, each the higher the better; shape (n, n_properties), in order of `numbers`.
    numbers
        Positions in the space, rising; shape (n,).
    given_up
        Whether there were too many (`MOST_IN_FRONT`): then it is empty.
    """

    points: Floats
    numbers: Numbers
    given_up: bool = False

    @classmethod
    def of(cls, points: Floats, numbers: Numbers) -> Front:
        """Find the front of some recipes; those with a NaN are left out.

        Parameters
        ----------
        points
            Shape (n, n_properties), each the higher the better.
        numbers
            Positions in the space, shape (n,).
        """
        valued = ~np.isnan(points).any(axis=1)
        points, numbers = points[valued], numbers[valued]
        best = undominated(points, numbers)
        if len(best) > MOST_IN_FRONT:
            return cls._none(points.shape[1])
        best = best[np.argsort(numbers[best], kind="stable")]
        return cls(points[best], numbers[best])

    @classmethod
    def _none(cls, properties: int) -> Front:
        return cls(np.empty((0, properties)), np.empty(0, dtype=np.int64), given_up=True)

    def merged(self, other: Front) -> Front:
        """Find the front of both."""
        if self.given_up or other.given_up:
            return Front._none(self.points.shape[1])
        return Front.of(np.concatenate([self.points, other.points]), np.concatenate([self.numbers, other.numbers]))

    def to_json(self) -> dict[str, Any]:
        """Give all of it, every digit; null for infinity."""
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


def undominated(points: Floats, numbers: Numbers) -> NDArray[np.intp]:
    """Find the rows that no other row dominates (as good everywhere, better somewhere), of equal rows the first.

    Parameters
    ----------
    points
        Shape (n, n_properties), no NaN.
    numbers
        Which of equal rows is the first; shape (n,).

    Returns
    -------
    ndarray
        Rows, in no particular order. No row that is found has to be looked at again: the one with the highest sum
        of ranks among those left is dominated by none, and takes with it all that it dominates.
    """
    left = np.arange(len(points))
    if not len(left):
        return left
    # Ranks instead of values: infinite or huge values do not swallow the others in the sum.
    ranks = np.column_stack([np.unique(column, return_inverse=True)[1] for column in points.T])
    order = np.lexsort((numbers, -ranks.sum(axis=1)))
    left, columns = left[order], [np.ascontiguousarray(column) for column in ranks[order].T]
    found = []
    while len(left):
        found.append(left[0])
        beats = np.zeros(len(left), dtype=bool)
        for column in columns:
            beats |= column > column[0]
        left, columns = left[beats], [column[beats] for column in columns]
    return np.asarray(found, dtype=np.intp)
