"""A search space: what may be chosen for each part of a recipe, and what goes together."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.columns import MODEL_INPUT, Column
from nasicon_ml.errors import FieldError
from nasicon_ml.screening.axes import additive_axis, field_axes
from nasicon_ml.screening.candidates import Candidates
from nasicon_ml.screening.compositions import read_compositions
from nasicon_ml.screening.constraints import read_rules
from nasicon_ml.screening.counting import Count, count_candidates
from nasicon_ml.screening.pruning import COMPOSITION, Axes, Check, prune
from nasicon_ml.screening.reading import Stated, plain, stated_in_yaml

if TYPE_CHECKING:
    from nasicon_ml.screening.sampling import SampledSpace

Ints = NDArray[np.int64]

SPACE_KEYS = ("name", "compositions", "additives", "processing", "constraints", "charge_balance")
CHARGE_BALANCE = ("required", "any")
#: Compositions that vary together before the way of making changes: distances of few compositions to all pellets
#: are cheap to keep, so a larger axis is gone through in blocks of this many.
BLOCK = 1024
#: Positions are 64-bit numbers.
MOST_CANDIDATES = 2**62


@dataclass(frozen=True, eq=False)
class SearchSpace:
    """Recipes to look through, made when they are asked for.

    Candidates are numbered: within a block of `BLOCK` compositions the composition varies fastest, then the
    fields from the last to the first, then the block. Only the axes are in memory.

    Attributes
    ----------
    name
        What the space is called.
    axes
        Compositions and fields, without the values that constraints on a single axis take away.
    checks
        Constraints between axes, asked of every candidate.
    stated_size
        Candidates of the axes as stated, before any constraint.
    removed, warnings
        What constraints took from the axes, and what is doubtful about the values, in words.
    stated
        The mapping it was made of.
    """

    name: str
    axes: Axes
    checks: tuple[Check, ...]
    stated_size: int
    removed: tuple[str, ...]
    warnings: tuple[str, ...]
    stated: Mapping[str, Any]

    @classmethod
    def from_yaml(cls, path: str | Path) -> SearchSpace:
        """Read a space from a YAML file (docs/search-spaces.md).

        Raises
        ------
        UnreadableFileError
            If it cannot be read as YAML.
        SpaceError
            If it states something that no recipe can have, or has a key that is not known; with file and line.
        """
        return _read(stated_in_yaml(path))

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> SearchSpace:
        """Make a space of what a YAML file would hold.

        Raises
        ------
        SpaceError
            As `from_yaml`, without file and line.
        """
        return _read(Stated(plain(mapping)))

    @cached_property
    def ways(self) -> int:
        """Different ways of making, additives included."""
        return math.prod(len(axis) for axis in self.axes.fields)

    @cached_property
    def size(self) -> int:
        """Numbered candidates: the product of the axes, before the constraints that join several of them."""
        return len(self.axes.compositions) * self.ways

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of what decides the candidates and their numbers: the axes and the checks."""
        digest = hashlib.sha256()
        compositions = self.axes.compositions
        parts: list[object] = [BLOCK, compositions.elements, compositions.units.shape]
        parts += [[str(column), list(cells)] for axis in self.axes.fields for column, cells in axis.cells.items()]
        digest.update(json.dumps(parts).encode())
        digest.update(np.ascontiguousarray(compositions.units, dtype="<i4").tobytes())
        for check in self.checks:
            masks = [(check.then_axis, check.then), *sorted(check.when.items(), key=lambda pair: pair[0])]
            for at, mask in masks:
                digest.update(f"{at}:".encode() + np.packbits(mask).tobytes())
        return digest.hexdigest()

    def count(self) -> Count:
        """Say how many candidates the constraints leave, exactly where that is cheap."""
        return count_candidates(self.axes, self.checks, self.size)

    def chunk(self, start: int, stop: int) -> Candidates:
        """Make the candidates at positions `start` to `stop` that satisfy the constraints.

        Parameters
        ----------
        start, stop
            Positions; what lies beyond the last is left out.
        """
        return self.at(np.arange(max(start, 0), min(stop, self.size), dtype=np.int64))

    def at(self, positions: Ints) -> Candidates:
        """Make the candidates at some positions, in this order, as far as they satisfy the constraints.

        Raises
        ------
        FieldError
            If a position is none of the space's.
        """
        positions = np.asarray(positions, dtype=np.int64)
        if len(positions) and not (positions.min() >= 0 and positions.max() < self.size):
            raise FieldError("position", int(positions.max()), f"positions from 0 to {self.size - 1}")
        digits = self.digits(positions)
        if self.checks:
            rows = np.flatnonzero(self.satisfied(digits))
            if len(rows) < len(positions):
                positions = positions[rows]
                digits = {axis: digit[rows] for axis, digit in digits.items()}
        columns: dict[Column, Any] = {}
        for at, axis in enumerate(self.axes.fields):
            columns |= axis.series(digits[at])
        ordered = {column.value: columns[column] for column in MODEL_INPUT if column in columns}
        table = pd.DataFrame(ordered, index=pd.RangeIndex(len(positions)), copy=False)
        used, index = _distinct(digits[COMPOSITION])
        return Candidates(positions, table, self.axes.compositions.occupancies(used, index))

    def satisfied(self, digits: Mapping[int, NDArray[np.intp]]) -> NDArray[np.bool_]:
        """Say which candidates satisfy the constraints, given their positions on the axes, shape (n,)."""
        found = np.ones(len(digits[COMPOSITION]), dtype=np.bool_)
        for check in self.checks:
            found &= check.allows(digits)
        return found

    def digits(self, positions: Ints) -> dict[int, NDArray[np.intp]]:
        """Take positions apart: axis -> position on it, shape (n,)."""
        count = len(self.axes.compositions)
        block, rest = np.divmod(positions, BLOCK * self.ways)
        way, composition = np.divmod(rest, np.minimum(BLOCK, count - BLOCK * block))
        found = {COMPOSITION: composition + BLOCK * block}
        for at in reversed(range(len(self.axes.fields))):
            length = len(self.axes.fields[at])
            if length == 1:
                found[at] = np.zeros(len(positions), dtype=np.intp)
            else:
                way, found[at] = np.divmod(way, length)
        return found

    def positions(self, digits: Mapping[int, NDArray[np.intp]]) -> Ints:
        """Put positions together from those on the axes: the inverse of `digits`."""
        way = np.zeros(len(digits[COMPOSITION]), dtype=np.int64)
        for at, axis in enumerate(self.axes.fields):
            way = way * len(axis) + digits[at]
        block, within = np.divmod(digits[COMPOSITION].astype(np.int64), BLOCK)
        in_block = np.minimum(BLOCK, len(self.axes.compositions) - BLOCK * block)
        return np.asarray(BLOCK * block * self.ways + way * in_block + within)

    def sample(self, budget: int, method: str = "sobol", seed: int = 0) -> SampledSpace:
        """Draw candidates (`nasicon_ml.screening.sampling.draw`)."""
        from nasicon_ml.screening.sampling import draw

        return draw(self, budget, method, seed)

    def describe(self) -> str:
        """Say in words what the space holds."""
        from nasicon_ml.screening.describing import describe

        return describe(self)

    def to_json(self) -> dict[str, Any]:
        """Give what the space holds as plain dictionaries and lists."""
        from nasicon_ml.screening.describing import to_json

        return to_json(self)


def _distinct(digits: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Give the different numbers, rising, and which of them each is; without sorting where they lie close."""
    if not len(digits):
        return digits, digits
    lowest, highest = int(digits.min()), int(digits.max())
    if highest - lowest > 8 * len(digits):
        used, index = np.unique(digits, return_inverse=True)
        return used, index
    present = np.zeros(highest - lowest + 1, dtype=np.bool_)
    present[digits - lowest] = True
    places = np.cumsum(present) - 1
    return np.flatnonzero(present) + lowest, places[digits - lowest]


def _read(stated: Stated) -> SearchSpace:
    parts = stated.fields(SPACE_KEYS, ("compositions",))
    balance = parts["charge_balance"].value if "charge_balance" in parts else CHARGE_BALANCE[0]
    if balance not in CHARGE_BALANCE:
        raise parts["charge_balance"].error(" or ".join(CHARGE_BALANCE))
    compositions = read_compositions(parts["compositions"], any_charge=balance == CHARGE_BALANCE[1])
    warnings: list[str] = []
    fields = field_axes(parts.get("processing"), warnings)
    axes = Axes(compositions, (additive_axis(parts.get("additives")), *fields))
    size = len(compositions) * math.prod(len(axis) for axis in axes.fields)
    if size > MOST_CANDIDATES:
        raise stated.error(f"at most {MOST_CANDIDATES:.3g} candidates", "Take larger steps.", value=f"{size:.3g}")
    pruned = prune(axes, read_rules(parts.get("constraints"), warnings))
    name = parts["name"].text("a name") if "name" in parts else "search space"
    space = SearchSpace(name, pruned.axes, pruned.checks, size, pruned.removed, tuple(warnings), stated.value)
    if space.count() == Count(0, exact=True):
        hint = "Together they forbid every candidate; each alone leaves some."
        raise parts["constraints"].error("constraints that some candidate satisfies", hint)
    return space
