"""Search spaces: what may be chosen for each part of a recipe, what goes together, and samples of it.

Candidates are made lazily, as arrays; formulas are spelled only where somebody will read them.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.arrays import Mask
from nasicon_ml.columns import MODEL_INPUT, Column, Role
from nasicon_ml.composition import ELEMENTS, Composition, OccupancyTable
from nasicon_ml.errors import FieldError, nearest
from nasicon_ml.features.distances import distinct_rows
from nasicon_ml.screening.compositions import as_mapping, read_compositions
from nasicon_ml.screening.constraints import COMPOSITION, Axes, Check, never_applied, prune, read_rules
from nasicon_ml.screening.reading import (
    Axis,
    SpecNode,
    additive_axis,
    check_whole,
    field_axes,
    plain,
    spec_from_yaml,
)


@dataclass(frozen=True)
class Candidates:
    """Recipes of a space, n of them.

    Attributes
    ----------
    numbers
        Position of each in its space, int64, shape (n,): the same however the space is cut into chunks.
    table
        `nasicon_ml.columns.MODEL_INPUT` without the formula, n rows: float64 with NaN, categorical where texts.
    sites
        Their occupancies, each composition of the chunk once.
    """

    numbers: NDArray[np.int64]
    table: pd.DataFrame
    sites: OccupancyTable

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, rows: NDArray[np.intp]) -> Candidates:
        """Return some of the recipes."""
        table = self.table.iloc[rows].reset_index(drop=True)
        return Candidates(self.numbers[rows], table, replace(self.sites, index=self.sites.index[rows]))

    def formulas(self, rows: Sequence[int] | NDArray[Any]) -> list[str]:
        """Spell the formulas of some rows; `nasicon_ml.composition.parse` reads the same occupancies from them."""
        which = self.sites.index[np.asarray(rows, dtype=np.intp)]
        spelled = {unique: self._composition(unique).formula for unique in np.unique(which).tolist()}
        return [spelled[unique] for unique in which.tolist()]

    def _composition(self, unique: int) -> Composition:
        sites = self.sites
        a, m, t, anions = (
            {ELEMENTS[at]: float(group[unique, at]) for at in np.flatnonzero(group[unique]).tolist()}
            for group in (sites.a, sites.m, sites.t, sites.other_anions)
        )
        stated = np.flatnonzero(~np.isnan(sites.valence[unique])).tolist()
        states = {ELEMENTS[at]: float(sites.valence[unique, at]) for at in stated}
        return Composition(a, m, t, float(sites.oxygen[unique]), anions, states)


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
    first, which = distinct_rows(len(masks[0]), masks)
    return first, np.bincount(which)


def _estimated(axes: Axes, checks: Sequence[Check], size: int) -> Count:
    rng = np.random.default_rng(_SEED)
    used = sorted(set().union(*(check.axes for check in checks)))
    digits = {at: rng.integers(axes.length(at), size=SAMPLED) for at in used}
    share = float(np.logical_and.reduce([check.allows(digits) for check in checks]).mean())
    error = math.sqrt(share * (1 - share) / SAMPLED)
    return Count(round(share * size), exact=False, error=error * size)


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
        return _read(spec_from_yaml(path))

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> SearchSpace:
        """Return the space that a YAML file with this content would state.

        Raises
        ------
        SpaceError
            As `from_yaml`, without file and line.
        """
        return _read(SpecNode(plain(mapping)))

    @cached_property
    def n_processings(self) -> int:
        """Different ways of making, additives included."""
        return math.prod(len(axis) for axis in self.axes.fields)

    @cached_property
    def size(self) -> int:
        """Numbered candidates: the product of the axes, before the constraints that join several of them."""
        return len(self.axes.compositions) * self.n_processings

    @property
    def usual_chunk(self) -> int:
        """Positions that are scored in one call: many, as what neighbours share is computed once."""
        return 65_536

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of what decides the candidates and their numbers: the axes and the checks.

        What is not stated of the preparation does not enter, so that spaces keep the fingerprints of version 0.1.
        """
        digest = hashlib.sha256()
        compositions = self.axes.compositions
        parts: list[object] = [BLOCK, compositions.elements, compositions.units.shape]
        parts += [
            [str(column), list(cells)]
            for axis in self.axes.fields
            for column, cells in axis.cells.items()
            if column.role is not Role.PREPARATION or list(cells) != [None]
        ]
        digest.update(json.dumps(parts).encode())
        digest.update(np.ascontiguousarray(compositions.units, dtype="<i4").tobytes())
        for check in self.checks:
            masks = [(check.then_axis, check.then), *sorted(check.when.items(), key=lambda pair: pair[0])]
            for at, mask in masks:
                digest.update(f"{at}:".encode() + np.packbits(mask).tobytes())
        return digest.hexdigest()

    def count(self) -> Count:
        """Return how many candidates the constraints leave, exactly where that is cheap."""
        return count_candidates(self.axes, self.checks, self.size)

    def chunk(self, start: int, stop: int) -> Candidates:
        """Return the candidates at positions `start` to `stop` that satisfy the constraints.

        Parameters
        ----------
        start, stop
            Positions; what lies beyond the last is left out.
        """
        return self.at(np.arange(max(start, 0), min(stop, self.size), dtype=np.int64))

    def at(self, positions: Ints) -> Candidates:
        """Return the candidates at some positions, in this order, as far as they satisfy the constraints.

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

    def satisfied(self, digits: Mapping[int, NDArray[np.intp]]) -> Mask:
        """Return which candidates satisfy the constraints, given their positions on the axes, shape (n,)."""
        found = np.ones(len(digits[COMPOSITION]), dtype=np.bool_)
        for check in self.checks:
            found &= check.allows(digits)
        return found

    def digits(self, positions: Ints) -> dict[int, NDArray[np.intp]]:
        """Return the position on each axis of candidates: axis -> shape (n,)."""
        count = len(self.axes.compositions)
        block, rest = np.divmod(positions, BLOCK * self.n_processings)
        processing, composition = np.divmod(rest, np.minimum(BLOCK, count - BLOCK * block))
        found = {COMPOSITION: composition + BLOCK * block}
        for at in reversed(range(len(self.axes.fields))):
            length = len(self.axes.fields[at])
            if length == 1:
                found[at] = np.zeros(len(positions), dtype=np.intp)
            else:
                processing, found[at] = np.divmod(processing, length)
        return found

    def positions(self, digits: Mapping[int, NDArray[np.intp]]) -> Ints:
        """Return positions in the space from those on the axes: the inverse of `digits`."""
        processing = np.zeros(len(digits[COMPOSITION]), dtype=np.int64)
        for at, axis in enumerate(self.axes.fields):
            processing = processing * len(axis) + digits[at]
        block, within = np.divmod(digits[COMPOSITION].astype(np.int64), BLOCK)
        in_block = np.minimum(BLOCK, len(self.axes.compositions) - BLOCK * block)
        return np.asarray(BLOCK * block * self.n_processings + processing * in_block + within)

    def sample(self, budget: int, method: str = "sobol", seed: int = 0) -> SampledSpace:
        """Draw candidates (`draw`)."""
        return draw(self, budget, method, seed)

    def describe(self) -> str:
        """Return in words: sizes, axes, what constraints took away, what they still ask."""
        compositions = self.axes.compositions
        systems = ", ".join(f"{name} {count}" for name, count in as_mapping(compositions).items())
        product = f"{len(compositions):,} compositions x {self.n_processings:,} ways of making = {self.size:,}"
        lines = [
            f"{self.name}: {self.count()} candidates",
            f"  {product} before the constraints between fields; {self.stated_size:,} as stated",
            f"  systems: {systems}",
        ]
        stated = [
            axis for axis in self.axes.fields if len(axis) > 1 or next(iter(axis.cells.values()))[0] is not None
        ]
        lines += [f"  {axis.label}: {_axis_words(axis)}" for axis in stated]
        if self.removed:
            lines.append("constraints that shortened an axis before anything was enumerated:")
            lines += [f"  {line}" for line in self.removed]
        if self.checks:
            lines.append("constraints asked of every candidate:")
            lines += [f"  {check.rule}" for check in self.checks]
        if self.warnings:
            lines.append("doubtful:")
            lines += [f"  {line}" for line in self.warnings]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return what the space holds as plain dictionaries and lists."""
        count = self.count()
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "stated": self.stated,
            "stated_size": self.stated_size,
            "size": self.size,
            "candidates": {"count": count.candidates, "exact": count.exact, "standard_error": count.error},
            "compositions": len(self.axes.compositions),
            "systems": dict(as_mapping(self.axes.compositions)),
            "values": {
                str(column): list(cells) for axis in self.axes.fields for column, cells in axis.cells.items()
            },
            "shortened": list(self.removed),
            "checks": [str(check.rule) for check in self.checks],
            "warnings": list(self.warnings),
        }


def _distinct(digits: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the different numbers, rising, and which of them each is; without sorting where they lie close."""
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


def _read(node: SpecNode) -> SearchSpace:
    parts = node.fields(SPACE_KEYS, ("compositions",))
    balance = parts["charge_balance"].value if "charge_balance" in parts else CHARGE_BALANCE[0]
    if balance not in CHARGE_BALANCE:
        raise parts["charge_balance"].error(" or ".join(CHARGE_BALANCE))
    compositions = read_compositions(parts["compositions"], any_charge=balance == CHARGE_BALANCE[1])
    warnings: list[str] = []
    fields = field_axes(parts.get("processing"), warnings)
    axes = Axes(compositions, (additive_axis(parts.get("additives")), *fields))
    size = len(compositions) * math.prod(len(axis) for axis in axes.fields)
    if size > MOST_CANDIDATES:
        raise node.error(f"at most {MOST_CANDIDATES:.3g} candidates", "Take larger steps.", value=f"{size:.3g}")
    rules = read_rules(parts.get("constraints"), warnings)
    warnings += never_applied(axes, rules)
    axes, checks, removed = prune(axes, rules)
    name = parts["name"].text("a name") if "name" in parts else "search space"
    space = SearchSpace(name, axes, checks, size, removed, tuple(warnings), node.value)
    if space.count() == Count(0, exact=True):
        hint = "Together they forbid every candidate; each alone leaves some."
        raise parts["constraints"].error("constraints that some candidate satisfies", hint)
    return space


#: Values of an axis that a description shows.
_MOST_SHOWN = 8


def _axis_words(axis: Axis) -> str:
    columns = list(axis.cells)
    shown = [_value_words(axis, columns, at) for at in range(len(axis))]
    if len(shown) > _MOST_SHOWN:
        shown = [*shown[: _MOST_SHOWN - 2], "...", shown[-1]]
    unit = columns[0].unit
    return f"{len(axis)}: {', '.join(shown)}{f' {unit}' if unit else ''}"


def _value_words(axis: Axis, columns: list[Column], at: int) -> str:
    cells = [axis.cells[column][at] for column in columns]
    if all(cell is None for cell in cells):
        return "not given"
    return " ".join(f"{cell:g}" if isinstance(cell, float) else str(cell) for cell in cells if cell is not None)


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
    def usual_chunk(self) -> int:
        """Positions that are scored in one call: few, as candidates share little; then no thread waits long."""
        return 16_384

    @property
    def fingerprint(self) -> str:
        """What decides the candidates: the space and the draw."""
        return f"{self.space.fingerprint}:{self.method}:{self.budget}:{self.seed}"

    def chunk(self, start: int, stop: int) -> Candidates:
        """Return the candidates from the `start`-th to the `stop`-th of the sample."""
        return self.at(np.arange(max(start, 0), min(stop, self.size), dtype=np.int64))

    def at(self, positions: Ints) -> Candidates:
        """Return candidates by their numbers, which are positions in the sample."""
        return replace(self.space.at(self.chosen[positions]), numbers=positions)

    def count(self) -> Count:
        """Return how many there are."""
        return Count(self.size, exact=True)

    def describe(self) -> str:
        """Return in words what the space holds and what was drawn of it."""
        how = "at random" if self.method == "random" else "by Sobol's sequence, scrambled"
        short = "" if self.size == self.budget else f" (fewer than the {self.budget:,} asked for)"
        drawn = f"sample: {self.size:,} of them{short}, {how}, seed {self.seed}"
        return f"{self.space.describe()}\n{drawn}"

    def to_json(self) -> dict[str, Any]:
        """Return the space, and how the sample was drawn, as plain dictionaries."""
        drawn = {"method": self.method, "budget": self.budget, "seed": self.seed, "size": self.size}
        return {**self.space.to_json(), "sample": drawn}


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
    check_whole("budget", plain(budget), 1, MOST_SAMPLED)
    check_whole("seed", plain(seed), 0, 2**63 - 1)
    if space.size <= _SHUFFLED and (method == "random" or budget >= space.size):
        chosen = _shuffled(space, budget, seed)
    else:
        batch = 2 ** min(max(int(budget).bit_length(), _SMALLEST_BATCH), _LARGEST_BATCH)
        stream = _random if method == "random" else _sobol
        chosen = _gathered(space, budget, stream(space, batch, seed))
    return SampledSpace(space, np.sort(chosen), int(budget), method, int(seed))


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
