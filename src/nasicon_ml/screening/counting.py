"""How many candidates the constraints leave: counted where that is cheap, else estimated from a sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.screening.pruning import Axes, Check

#: Combinations of values that are counted one by one.
MOST_COUNTED = 2_000_000
#: Candidates from which the share is estimated, and the seed with which they are drawn.
SAMPLED = 200_000
_SEED = 0
_CHUNK = 65_536


@dataclass(frozen=True)
class Count:
    """Candidates that the constraints leave.

    Attributes
    ----------
    candidates
        How many.
    exact
        Whether they were counted; else it is an estimate.
    error
        Standard error of an estimate; 0 where counted.
    """

    candidates: int
    exact: bool
    error: float = 0.0

    def __str__(self) -> str:
        if self.exact:
            return f"{self.candidates:,}"
        drawn = f"estimated from {SAMPLED:,} drawn at random, standard error {self.error:,.0f}"
        return f"about {self.candidates:,} ({drawn})"


def count_candidates(axes: Axes, checks: Sequence[Check], size: int) -> Count:
    """Count what the checks leave of a product.

    Values of an axis that no check tells apart are counted together, so that nearly every space is counted in no
    time.

    Parameters
    ----------
    axes
        The axes.
    checks
        What is asked of candidates.
    size
        Of the product.
    """
    if not checks:
        return Count(size, exact=True)
    kinds = {at: _kinds(at, checks) for at in sorted(set().union(*(check.axes for check in checks)))}
    combinations = math.prod(len(first) for first, _ in kinds.values())
    if combinations > MOST_COUNTED:
        return _estimated(axes, checks, size)
    rest = size // math.prod(axes.length(at) for at in kinds)
    total = 0
    for start in range(0, combinations, _CHUNK):
        number = np.arange(start, min(start + _CHUNK, combinations))
        digits, weight = {}, np.ones(len(number), dtype=np.int64)
        for at, (first, counts) in kinds.items():
            number, digit = np.divmod(number, len(first))
            digits[at] = first[digit]
            weight = weight * counts[digit]
        allowed = np.logical_and.reduce([check.allows(digits) for check in checks])
        total += int(weight[allowed].sum())
    return Count(total * rest, exact=True)


def _kinds(at: int, checks: Sequence[Check]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Sort the values of an axis by what the checks say of them: the first of each kind, and how many."""
    asked = [pair for check in checks for pair in (*check.when.items(), (check.then_axis, check.then))]
    masks = [mask for axis, mask in asked if axis == at]
    _, first, counts = np.unique(np.column_stack(masks), axis=0, return_index=True, return_counts=True)
    return first.astype(np.intp), counts.astype(np.int64)


def _estimated(axes: Axes, checks: Sequence[Check], size: int) -> Count:
    rng = np.random.default_rng(_SEED)
    used = sorted(set().union(*(check.axes for check in checks)))
    digits = {at: rng.integers(axes.length(at), size=SAMPLED) for at in used}
    share = float(np.logical_and.reduce([check.allows(digits) for check in checks]).mean())
    error = math.sqrt(share * (1 - share) / SAMPLED)
    return Count(round(share * size), exact=False, error=error * size)
