"""Samples of a space that is too large to go through: at random, or spread evenly by Sobol's sequence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.errors import FieldError, nearest
from nasicon_ml.screening.candidates import Candidates
from nasicon_ml.screening.counting import Count
from nasicon_ml.screening.pruning import COMPOSITION

if TYPE_CHECKING:
    from nasicon_ml.screening.space import SearchSpace

Ints = NDArray[np.int64]

METHODS = ("random", "sobol")
#: Eight bytes each are kept.
MOST_SAMPLED = 50_000_000
#: Spaces up to this size are drawn from by shuffling, so that a budget near the size ends.
_SHUFFLED = 4_000_000
#: Positions that are drawn at once: as many as the budget asks for, within these powers of two.
_SMALLEST_BATCH, _LARGEST_BATCH = 16, 20
_BATCH = 2**_SMALLEST_BATCH
#: Draws per candidate of the budget after which a sample stays smaller than its budget.
_PATIENCE = 64


@dataclass(frozen=True, eq=False)
class SampledSpace:
    """Some candidates of a space, numbered anew: number k is position `chosen[k]` of the space.

    Attributes
    ----------
    space
        From which they were drawn.
    chosen
        Their positions in it, rising, all different; all satisfy the constraints.
    budget, method, seed
        As asked.
    """

    space: SearchSpace
    chosen: Ints
    budget: int
    method: str
    seed: int

    @property
    def name(self) -> str:
        """What the space is called."""
        return self.space.name

    @property
    def size(self) -> int:
        """How many there are: the budget, or fewer where the space holds no more."""
        return len(self.chosen)

    @property
    def fingerprint(self) -> str:
        """What decides the candidates: the space and the draw."""
        return f"{self.space.fingerprint}:{self.method}:{self.budget}:{self.seed}"

    def chunk(self, start: int, stop: int) -> Candidates:
        """Make the candidates from the `start`-th to the `stop`-th of the sample."""
        return self.at(np.arange(max(start, 0), min(stop, self.size), dtype=np.int64))

    def at(self, positions: Ints) -> Candidates:
        """Make candidates by their numbers, which are positions in the sample."""
        return replace(self.space.at(self.chosen[positions]), numbers=positions)

    def count(self) -> Count:
        """Say how many there are."""
        return Count(self.size, exact=True)

    def describe(self) -> str:
        """Say in words what the space holds and what was drawn of it."""
        return f"{self.space.describe()}\n{self._drawn}"

    def to_json(self) -> dict[str, Any]:
        """Give the space, and how the sample was drawn, as plain dictionaries."""
        drawn = {"method": self.method, "budget": self.budget, "seed": self.seed, "size": self.size}
        return {**self.space.to_json(), "sample": drawn}

    @property
    def _drawn(self) -> str:
        how = "at random" if self.method == "random" else "by Sobol's sequence, scrambled"
        short = "" if self.size == self.budget else f" (fewer than the {self.budget:,} asked for)"
        return f"sample: {self.size:,} of them{short}, {how}, seed {self.seed}"


def draw(space: SearchSpace, budget: int, method: str, seed: int) -> SampledSpace:
    """Draw different candidates that satisfy the constraints; the same for the same seed.

    Parameters
    ----------
    space
        From which.
    budget
        How many; where the space holds fewer, all of them.
    method
        ``random``: every candidate is as likely as any other. ``sobol``: a scrambled Sobol sequence over the axes,
        the composition being one of them [1]_.
    seed
        Of either.

    Raises
    ------
    FieldError
        If the method is not known, or the budget or the seed is no number that can be used.

    References
    ----------
    .. [1] A. B. Owen, J. Complexity 14 (1998) 466, doi:10.1006/jcom.1998.0487
    """
    if method not in METHODS:
        raise FieldError("sample", method, " or ".join(METHODS), nearest(str(method), METHODS))
    _check_whole("budget", budget, 1, MOST_SAMPLED)
    _check_whole("seed", seed, 0, 2**63 - 1)
    if space.size <= _SHUFFLED and (method == "random" or budget >= space.size):
        chosen = _shuffled(space, budget, seed)
    else:
        batch = 2 ** min(max(int(budget).bit_length(), _SMALLEST_BATCH), _LARGEST_BATCH)
        stream = _random if method == "random" else _sobol
        chosen = _gathered(space, budget, stream(space, batch, seed))
    return SampledSpace(space, np.sort(chosen), int(budget), method, int(seed))


def _check_whole(name: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or not least <= value <= most:
        raise FieldError(name, value, f"a whole number from {least} to {most}")


def _shuffled(space: SearchSpace, budget: int, seed: int) -> Ints:
    """Draw by shuffling all that satisfy the constraints."""
    batches = [np.arange(start, min(start + _BATCH, space.size)) for start in range(0, space.size, _BATCH)]
    good = np.concatenate([batch[space.satisfied(space.digits(batch))] for batch in batches])
    return np.random.default_rng(seed).permutation(good)[:budget]


def _gathered(space: SearchSpace, budget: int, batches: Iterator[Ints]) -> Ints:
    """Collect different good positions in the order they are drawn, as far as the budget."""
    found = np.empty(0, dtype=np.int64)
    drawn = 0
    while len(found) < budget and drawn < _PATIENCE * budget + 16 * _BATCH:
        batch = next(batches)
        drawn += len(batch)
        fresh = batch[space.satisfied(space.digits(batch))]
        joined = np.concatenate([found, fresh])
        _, first = np.unique(joined, return_index=True)
        found = joined[np.sort(first)]
    return found[:budget]


def _random(space: SearchSpace, batch: int, seed: int) -> Iterator[Ints]:
    rng = np.random.default_rng(seed)
    while True:
        yield rng.integers(space.size, size=batch, dtype=np.int64)


def _sobol(space: SearchSpace, batch: int, seed: int) -> Iterator[Ints]:
    from scipy.stats import qmc

    lengths = {COMPOSITION: len(space.axes.compositions)}
    lengths |= {at: len(axis) for at, axis in enumerate(space.axes.fields)}
    varied = [at for at, length in lengths.items() if length > 1]
    sequence = qmc.Sobol(max(len(varied), 1), scramble=True, rng=np.random.default_rng(seed), bits=48)
    while True:
        points = sequence.random(batch)
        digits = {at: np.zeros(batch, dtype=np.int64) for at in lengths}
        for column, at in enumerate(varied):
            digits[at] = np.minimum((points[:, column] * lengths[at]).astype(np.int64), lengths[at] - 1)
        yield space.positions(digits)
