"""The k best recipes, gathered chunk by chunk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Kept:
    """Recipes with the highest values, best first; among equal ones, the earlier in the space comes first.

    Attributes
    ----------
    most
        How many are kept.
    values
        Shape (n,), n at most `most`, falling.
    numbers
        Positions in the space, shape (n,).
    """

    most: int
    values: Floats
    numbers: Numbers

    @classmethod
    def best_of(cls, most: int, values: Floats, numbers: Numbers) -> Kept:
        """Keep the best of some recipes; those whose value is NaN are left out."""
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
        """Keep the best of both."""
        values = np.concatenate([self.values, other.values])
        return Kept.best_of(self.most, values, np.concatenate([self.numbers, other.numbers]))

    def to_json(self) -> dict[str, Any]:
        """Give all of it, every digit."""
        return {"most": self.most, "values": self.values.tolist(), "numbers": self.numbers.tolist()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Kept:
        """Read what `to_json` gave."""
        return cls(
            int(content["most"]),
            np.asarray(content["values"], dtype=np.float64),
            np.asarray(content["numbers"], dtype=np.int64),
        )
