"""Search spaces: possible values of each part of a recipe, constraints between them, and samples of a space.

Candidates are computed on demand, as arrays; formulas are written only for recipes that are shown.
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
from nasicon_ml.screening.compositions import read_compositions
from nasicon_ml.screening.constraints import COMPOSITION, Axes, Check, prune, read_rules, unused_condition_warnings
from nasicon_ml.screening.specification import (
    Axis,
    Cell,
    SpecNode,
    check_integer,
    read_additive_axis,
    read_field_axes,
    spec_from_yaml,
    to_plain,
)


@dataclass(frozen=True)
class Candidates:
    """n recipes of a space.

    Attributes
    ----------
    positions
        Position of each recipe in the space, int64, shape (n,); it does not depend on the chunk.
    table
        Columns `nasicon_ml.columns.MODEL_INPUT` without the formula, n rows: float64 with NaN, or categorical.
    sites
        Site occupancies, each different composition once.
    """

    positions: NDArray[np.int64]
    table: pd.DataFrame
    sites: OccupancyTable

    def __len__(self) -> int:
        return len(self.positions)

    def take(self, rows: NDArray[np.intp]) -> Candidates:
        """Return some of the recipes."""
        table = self.table.iloc[rows].reset_index(drop=True)
        return Candidates(self.positions[rows], table, replace(self.sites, index=self.sites.index[rows]))

    def formulas(self, rows: Sequence[int] | NDArray[Any]) -> list[str]:
        """Return the formulas of some rows, from which `nasicon_ml.composition.parse` reads these occupancies."""
        composition_rows = self.sites.index[np.asarray(rows, dtype=np.intp)]
        formulas = {row: self._composition(row).formula for row in np.unique(composition_rows).tolist()}
        return [formulas[row] for row in composition_rows.tolist()]

    def _composition(self, row: int) -> Composition:
        sites = self.sites
        a, m, t, anions = (
            {ELEMENTS[column]: float(amounts[row, column]) for column in np.flatnonzero(amounts[row]).tolist()}
            for amounts in (sites.a, sites.m, sites.t, sites.other_anions)
        )
        with_state = np.flatnonzero(~np.isnan(sites.valence[row])).tolist()
        states = {ELEMENTS[column]: float(sites.valence[row, column]) for column in with_state}
        return Composition(a, m, t, float(sites.oxygen[row]), anions, states)


#: Maximum number of combinations that are counted exactly.
MAX_COUNTED = 2_000_000
#: Number of candidates drawn to estimate a count.
ESTIMATE_SAMPLE_SIZE = 200_000
_ESTIMATE_SEED = 0
_COUNT_BATCH_SIZE = 65_536


@dataclass(frozen=True)
class Count:
    """Number of candidates that satisfy the constraints.

    Attributes
    ----------
    candidates
        The number.
    exact
        Whether it was counted; otherwise it is an estimate.
    error
        Standard error of the estimate; 0 if it is exact.
    """

    candidates: int
    exact: bool
    error: float = 0.0

    def __str__(self) -> str:
        if self.exact:
            return f"{self.candidates:,}"
        drawn = f"estimated from {ESTIMATE_SAMPLE_SIZE:,} drawn at random, standard error {self.error:,.0f}"
        return f"about {self.candidates:,} ({drawn})"


def count_candidates(axes: Axes, checks: Sequence[Check]) -> Count:
    """Count the candidates that satisfy the checks.

    Values of an axis that no check distinguishes are counted together, so that few combinations remain.
    """
    size = axes.size
    if not checks:
        return Count(size, exact=True)
    checked_axes = sorted(set().union(*(check.axes for check in checks)))
    groups = {axis: _group_values(axis, checks) for axis in checked_axes}
    n_combinations = math.prod(len(first) for first, _ in groups.values())
    if n_combinations > MAX_COUNTED:
        return _estimate_count(axes, checks, checked_axes)
    total = 0
    for start in range(0, n_combinations, _COUNT_BATCH_SIZE):
        combination = np.arange(start, min(start + _COUNT_BATCH_SIZE, n_combinations))
        indices, weight = {}, np.ones(len(combination), dtype=np.int64)
        for axis, (first, group_sizes) in groups.items():
            combination, group = np.divmod(combination, len(first))
            indices[axis] = first[group]
            weight = weight * group_sizes[group]
        total += int(weight[_satisfies(checks, indices)].sum())
    n_unchecked = size // math.prod(axes.length(axis) for axis in groups)
    return Count(total * n_unchecked, exact=True)


def _group_values(axis: int, checks: Sequence[Check]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Group the values of an axis that no check distinguishes; return the first and the number of each group."""
    conditions = [pair for check in checks for pair in (*check.when.items(), (check.then_axis, check.then))]
    masks = [mask for mask_axis, mask in conditions if mask_axis == axis]
    first, group = distinct_rows(len(masks[0]), masks)
    return first, np.bincount(group)


def _estimate_count(axes: Axes, checks: Sequence[Check], checked_axes: Sequence[int]) -> Count:
    rng = np.random.default_rng(_ESTIMATE_SEED)
    indices = {axis: rng.integers(axes.length(axis), size=ESTIMATE_SAMPLE_SIZE) for axis in checked_axes}
    share = float(_satisfies(checks, indices).mean())
    error = math.sqrt(share * (1 - share) / ESTIMATE_SAMPLE_SIZE)
    return Count(round(share * axes.size), exact=False, error=error * axes.size)


def _satisfies(checks: Sequence[Check], indices: Mapping[int, NDArray[np.intp]]) -> Mask:
    """Return which candidates satisfy all checks, given their indices on the axes, shape (n,)."""
    satisfied = np.ones(len(next(iter(indices.values()))), dtype=np.bool_)
    for check in checks:
        satisfied &= check.is_satisfied(indices)
    return satisfied


Ints = NDArray[np.int64]

SPACE_KEYS = ("name", "compositions", "additives", "processing", "constraints", "charge_balance")
CHARGE_BALANCE = ("required", "any")
#: Number of compositions in a block (see `SearchSpace`). The distances of so few compositions to all pellets of
#: the dataset can be kept in memory.
BLOCK_SIZE = 1024
#: Positions are 64-bit integers.
MAX_CANDIDATES = 2**62


@dataclass(frozen=True, eq=False)
class SearchSpace:
    """A search space: recipes that are computed on demand.

    Candidates are identified by their position. Within a block of `BLOCK_SIZE` compositions, the composition
    varies fastest, then the fields from the last to the first, then the block. Only the axes are in memory.

    Attributes
    ----------
    name
        Name of the space.
    axes
        Compositions and fields, without the values that constraints on a single axis remove.
    checks
        Constraints between axes, which are checked for every candidate.
    stated_size
        Number of candidates of the stated axes, before any constraint.
    removed, warnings
        Descriptions of the values removed from the axes, and of doubtful values.
    stated
        The mapping from which the space was created.
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
            If a value is not possible in a recipe, or a key is unknown; with file and line.
        """
        return _read(spec_from_yaml(path))

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> SearchSpace:
        """Create a space from the content of a YAML file.

        Raises
        ------
        SpaceError
            As `from_yaml`, without file and line.
        """
        return _read(SpecNode(to_plain(mapping)))

    @cached_property
    def n_processings(self) -> int:
        """Number of combinations of all fields, including additives."""
        return math.prod(len(axis) for axis in self.axes.fields)

    @cached_property
    def size(self) -> int:
        """Number of positions: the product of the axes, before constraints between them."""
        return self.axes.size

    @property
    def default_chunk_size(self) -> int:
        """Number of positions scored in one call: large, as common parts of the recipes are computed once."""
        return 65_536

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the axes and the checks, which determine the candidates and their positions.

        Preparation fields that are not stated are left out: this keeps the fingerprints of version 0.1.
        """
        digest = hashlib.sha256()
        compositions = self.axes.compositions
        parts: list[object] = [BLOCK_SIZE, compositions.elements, compositions.units.shape]
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
            for axis_index, mask in masks:
                digest.update(f"{axis_index}:".encode() + np.packbits(mask).tobytes())
        return digest.hexdigest()

    def count(self) -> Count:
        """Count the candidates that satisfy the constraints, exactly if that is cheap."""
        return count_candidates(self.axes, self.checks)

    def chunk(self, start: int, stop: int) -> Candidates:
        """Return the candidates at positions `start` to `stop` that satisfy the constraints.

        Parameters
        ----------
        start, stop
            Positions; those outside the space are left out.
        """
        return self.at(np.arange(max(start, 0), min(stop, self.size), dtype=np.int64))

    def at(self, positions: Ints) -> Candidates:
        """Return the candidates at the given positions, in this order, that satisfy the constraints.

        Raises
        ------
        FieldError
            If a position is outside the space.
        """
        positions = np.asarray(positions, dtype=np.int64)
        if len(positions) and not (positions.min() >= 0 and positions.max() < self.size):
            raise FieldError("position", int(positions.max()), f"positions from 0 to {self.size - 1}")
        indices = self.axis_indices(positions)
        if self.checks:
            rows = np.flatnonzero(self.satisfies_checks(indices))
            if len(rows) < len(positions):
                positions = positions[rows]
                indices = {axis: index[rows] for axis, index in indices.items()}
        columns: dict[Column, Any] = {}
        for axis, field in enumerate(self.axes.fields):
            columns |= field.series(indices[axis])
        ordered = {column.value: columns[column] for column in MODEL_INPUT if column in columns}
        table = pd.DataFrame(ordered, index=pd.RangeIndex(len(positions)), copy=False)
        composition_rows, index = _unique(indices[COMPOSITION])
        return Candidates(positions, table, self.axes.compositions.occupancies(composition_rows, index))

    def satisfies_checks(self, indices: Mapping[int, NDArray[np.intp]]) -> Mask:
        """Return which candidates satisfy the checks, given their indices on the axes, shape (n,)."""
        return _satisfies(self.checks, indices)

    def axis_indices(self, positions: Ints) -> dict[int, NDArray[np.intp]]:
        """Return the indices of candidates on each axis: axis -> shape (n,)."""
        n_compositions = len(self.axes.compositions)
        block, rest = np.divmod(positions, BLOCK_SIZE * self.n_processings)
        processing, composition = np.divmod(rest, np.minimum(BLOCK_SIZE, n_compositions - BLOCK_SIZE * block))
        indices = {COMPOSITION: composition + BLOCK_SIZE * block}
        for axis in reversed(range(len(self.axes.fields))):
            length = len(self.axes.fields[axis])
            if length == 1:
                indices[axis] = np.zeros(len(positions), dtype=np.intp)
            else:
                processing, indices[axis] = np.divmod(processing, length)
        return indices

    def positions(self, indices: Mapping[int, NDArray[np.intp]]) -> Ints:
        """Return the positions of candidates from their indices on the axes: the inverse of `axis_indices`."""
        processing = np.zeros(len(indices[COMPOSITION]), dtype=np.int64)
        for axis, field in enumerate(self.axes.fields):
            processing = processing * len(field) + indices[axis]
        block, within = np.divmod(indices[COMPOSITION].astype(np.int64), BLOCK_SIZE)
        block_length = np.minimum(BLOCK_SIZE, len(self.axes.compositions) - BLOCK_SIZE * block)
        return np.asarray(BLOCK_SIZE * block * self.n_processings + processing * block_length + within)

    def sample(self, budget: int, method: str = "sobol", seed: int = 0) -> SampledSpace:
        """Draw a sample of the candidates; see `draw`."""
        return draw(self, budget, method, seed)

    def describe(self) -> str:
        """Return a description: sizes, axes, removed values and checks."""
        compositions = self.axes.compositions
        systems = ", ".join(f"{name} {count}" for name, count in compositions.count_by_system().items())
        product = f"{len(compositions):,} compositions x {self.n_processings:,} ways of making = {self.size:,}"
        lines = [
            f"{self.name}: {self.count()} candidates",
            f"  {product} before the constraints between fields; {self.stated_size:,} as stated",
            f"  systems: {systems}",
        ]
        lines += [f"  {axis.label}: {_describe_axis(axis)}" for axis in self.axes.fields if axis.is_stated]
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
        """Return the content of the space as plain dictionaries and lists."""
        count = self.count()
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "stated": self.stated,
            "stated_size": self.stated_size,
            "size": self.size,
            "candidates": {"count": count.candidates, "exact": count.exact, "standard_error": count.error},
            "compositions": len(self.axes.compositions),
            "systems": self.axes.compositions.count_by_system(),
            "values": {
                str(column): list(cells) for axis in self.axes.fields for column, cells in axis.cells.items()
            },
            "shortened": list(self.removed),
            "checks": [str(check.rule) for check in self.checks],
            "warnings": list(self.warnings),
        }


def _unique(indices: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the unique indices and the inverse, like `np.unique`, without sorting if their range is small."""
    if not len(indices):
        return indices, indices
    lowest, highest = int(indices.min()), int(indices.max())
    if highest - lowest > 8 * len(indices):
        return np.unique(indices, return_inverse=True)
    present = np.zeros(highest - lowest + 1, dtype=np.bool_)
    present[indices - lowest] = True
    inverse = np.cumsum(present) - 1
    return np.flatnonzero(present) + lowest, inverse[indices - lowest]


def _read(node: SpecNode) -> SearchSpace:
    parts = node.fields(SPACE_KEYS, ("compositions",))
    balance = parts["charge_balance"].value if "charge_balance" in parts else CHARGE_BALANCE[0]
    if balance not in CHARGE_BALANCE:
        raise parts["charge_balance"].error(" or ".join(CHARGE_BALANCE))
    compositions = read_compositions(parts["compositions"], any_charge=balance == CHARGE_BALANCE[1])
    warnings: list[str] = []
    fields = read_field_axes(parts.get("processing"), warnings)
    axes = Axes(compositions, (read_additive_axis(parts.get("additives")), *fields))
    stated_size = axes.size
    if stated_size > MAX_CANDIDATES:
        raise node.error(
            f"at most {MAX_CANDIDATES:.3g} candidates", "Take larger steps.", value=f"{stated_size:.3g}"
        )
    rules = read_rules(parts.get("constraints"), warnings)
    warnings += unused_condition_warnings(axes, rules)
    axes, checks, removed = prune(axes, rules)
    name = parts["name"].text("a name") if "name" in parts else "search space"
    space = SearchSpace(name, axes, checks, stated_size, removed, tuple(warnings), node.value)
    if space.count() == Count(0, exact=True):
        hint = "Together they forbid every candidate; each alone leaves some."
        raise parts["constraints"].error("constraints that some candidate satisfies", hint)
    return space


#: Maximum number of values of an axis in a description.
_MAX_SHOWN = 8


def _describe_axis(axis: Axis) -> str:
    shown = [_describe_value(cells) for cells in zip(*axis.cells.values(), strict=True)]
    if len(shown) > _MAX_SHOWN:
        shown = [*shown[: _MAX_SHOWN - 2], "...", shown[-1]]
    unit = next(iter(axis.cells)).unit
    return f"{len(axis)}: {', '.join(shown)}{f' {unit}' if unit else ''}"


def _describe_value(cells: Sequence[Cell]) -> str:
    """Return one value of an axis, a cell for each of its columns, as text."""
    given = [f"{cell:g}" if isinstance(cell, float) else str(cell) for cell in cells if cell is not None]
    return " ".join(given) if given else "not given"


METHODS = ("random", "sobol")
#: Maximum size of a sample; each position takes eight bytes.
MAX_SAMPLE_SIZE = 50_000_000
#: Spaces up to this size are sampled by shuffling, which is fast even if the budget is close to the size.
_MAX_SHUFFLED = 4_000_000
#: Bounds of the number of positions drawn at once, as exponents of two.
_MIN_BATCH_EXPONENT, _MAX_BATCH_EXPONENT = 16, 20
_MIN_BATCH_SIZE = 2**_MIN_BATCH_EXPONENT
#: Maximum number of draws per candidate of the budget; then the sample remains smaller than the budget.
_MAX_DRAWS_PER_CANDIDATE = 64


@dataclass(frozen=True, eq=False)
class SampledSpace:
    """A sample of a space; position k of the sample is position `chosen[k]` of the space.

    Attributes
    ----------
    space
        The space from which the candidates were drawn.
    chosen
        Positions in the space, ascending and unique; all satisfy the constraints.
    budget, method, seed
        Parameters of `draw`.
    """

    space: SearchSpace
    chosen: Ints
    budget: int
    method: str
    seed: int

    @property
    def name(self) -> str:
        """Name of the space."""
        return self.space.name

    @property
    def size(self) -> int:
        """Number of candidates: the budget, or fewer if the space has fewer."""
        return len(self.chosen)

    @property
    def default_chunk_size(self) -> int:
        """Number of positions scored in one call: small, as the recipes have few common parts."""
        return 16_384

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the space, and parameters of the draw."""
        return f"{self.space.fingerprint}:{self.method}:{self.budget}:{self.seed}"

    def chunk(self, start: int, stop: int) -> Candidates:
        """Return the candidates at positions `start` to `stop` of the sample."""
        return self.at(np.arange(max(start, 0), min(stop, self.size), dtype=np.int64))

    def at(self, positions: Ints) -> Candidates:
        """Return the candidates at the given positions of the sample."""
        return replace(self.space.at(self.chosen[positions]), positions=positions)

    def count(self) -> Count:
        """Return the number of candidates."""
        return Count(self.size, exact=True)

    def describe(self) -> str:
        """Return a description of the space and the sample."""
        how = "at random" if self.method == "random" else "by Sobol's sequence, scrambled"
        short = "" if self.size == self.budget else f" (fewer than the {self.budget:,} asked for)"
        drawn = f"sample: {self.size:,} of them{short}, {how}, seed {self.seed}"
        return f"{self.space.describe()}\n{drawn}"

    def to_json(self) -> dict[str, Any]:
        """Return the space and the parameters of the sample as plain dictionaries."""
        drawn = {"method": self.method, "budget": self.budget, "seed": self.seed, "size": self.size}
        return {**self.space.to_json(), "sample": drawn}


def draw(space: SearchSpace, budget: int, method: str, seed: int) -> SampledSpace:
    """Draw unique candidates that satisfy the constraints, reproducibly.

    Parameters
    ----------
    space
        The space to draw from.
    budget
        Number of candidates; if the space has fewer, all of them are returned.
    method
        ``random``: uniform random sampling. ``sobol``: a scrambled Sobol sequence over the axes, of which the
        composition is one [1]_.
    seed
        Seed of the random numbers or the scrambling.

    Raises
    ------
    FieldError
        If the method is unknown, or the budget or the seed is not an integer within bounds.

    References
    ----------
    .. [1] A. B. Owen, J. Complexity 14 (1998) 466, doi:10.1006/jcom.1998.0487
    """
    if method not in METHODS:
        raise FieldError("sample", method, " or ".join(METHODS), nearest(str(method), METHODS))
    check_integer("budget", to_plain(budget), 1, MAX_SAMPLE_SIZE)
    check_integer("seed", to_plain(seed), 0, 2**63 - 1)
    if space.size <= _MAX_SHUFFLED and (method == "random" or budget >= space.size):
        chosen = _draw_by_shuffling(space, budget, seed)
    else:
        batch_size = 2 ** min(max(int(budget).bit_length(), _MIN_BATCH_EXPONENT), _MAX_BATCH_EXPONENT)
        batches = _random_batches if method == "random" else _sobol_batches
        chosen = _draw_from_batches(space, budget, batches(space, batch_size, seed))
    return SampledSpace(space, np.sort(chosen), int(budget), method, int(seed))


def _draw_by_shuffling(space: SearchSpace, budget: int, seed: int) -> Ints:
    """Shuffle all candidates that satisfy the constraints."""
    starts = range(0, space.size, _MIN_BATCH_SIZE)
    batches = [np.arange(start, min(start + _MIN_BATCH_SIZE, space.size)) for start in starts]
    valid = np.concatenate([batch[space.satisfies_checks(space.axis_indices(batch))] for batch in batches])
    return np.random.default_rng(seed).permutation(valid)[:budget]


def _draw_from_batches(space: SearchSpace, budget: int, batches: Iterator[Ints]) -> Ints:
    """Collect unique candidates that satisfy the constraints, in the order in which they are drawn."""
    chosen = np.empty(0, dtype=np.int64)
    n_drawn = 0
    while len(chosen) < budget and n_drawn < _MAX_DRAWS_PER_CANDIDATE * budget + 16 * _MIN_BATCH_SIZE:
        batch = next(batches)
        n_drawn += len(batch)
        valid = batch[space.satisfies_checks(space.axis_indices(batch))]
        joined = np.concatenate([chosen, valid])
        _, first = np.unique(joined, return_index=True)
        chosen = joined[np.sort(first)]
    return chosen[:budget]


def _random_batches(space: SearchSpace, batch_size: int, seed: int) -> Iterator[Ints]:
    rng = np.random.default_rng(seed)
    while True:
        yield rng.integers(space.size, size=batch_size, dtype=np.int64)


def _sobol_batches(space: SearchSpace, batch_size: int, seed: int) -> Iterator[Ints]:
    from scipy.stats import qmc

    lengths = {axis: space.axes.length(axis) for axis in (COMPOSITION, *range(len(space.axes.fields)))}
    varied = [axis for axis, length in lengths.items() if length > 1]
    sequence = qmc.Sobol(max(len(varied), 1), scramble=True, rng=np.random.default_rng(seed), bits=48)
    while True:
        points = sequence.random(batch_size)
        indices = {axis: np.zeros(batch_size, dtype=np.int64) for axis in lengths}
        for column, axis in enumerate(varied):
            indices[axis] = np.minimum((points[:, column] * lengths[axis]).astype(np.int64), lengths[axis] - 1)
        yield space.positions(indices)
