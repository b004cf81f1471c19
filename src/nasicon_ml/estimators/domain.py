"""Where the model knows what it is talking about: distance to sources, ranges by system, elements by site.

How far outside a recipe lies is one number, the largest of its reasons, each in units of what puts a recipe
outside: 0 is amid the training pellets, 1 the border.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.columns import Column, Kind
from nasicon_ml.composition import ELEMENTS, OccupancyTable
from nasicon_ml.estimators.remoteness import NEAR_SOURCES
from nasicon_ml.features.processing import LOGARITHMIC, PROCESSING_FIELDS
from nasicon_ml.features.similarity import COMPOSITION_WEIGHT, SCALES

Floats = NDArray[np.float64]
Strings = NDArray[np.object_]
Mask = NDArray[np.bool_]

#: A system needs this many pellets that state a field before its own range counts; below, all systems' does.
ENOUGH_PELLETS = 8
#: Share of the training pellets, each measured against other sources only, that count as near.
NEAR_SHARE = 0.9
#: A number of the firing counts as outside when it lies this share of what is wholly different (`SCALES`) beyond
#: the range, one of the powder when it lies a whole one beyond: errors on unseen sources grow with the first.
FIRING_STEP, POWDER_STEP = 0.5, 1.0
_POWDER = (Column.CALCINATION_TEMPERATURE_C, Column.CALCINATION_TIME_H, Column.PARTICLE_SIZE_UM)
_SMALLEST = 1e-2
_NUMBERS = tuple(column for column in PROCESSING_FIELDS if column.kind is Kind.NUMBER)
_CHOICES = tuple(column for column in PROCESSING_FIELDS if column.kind is Kind.CATEGORY)
_TEMPERATURE = Column.MEASUREMENT_TEMPERATURE_C.value
_RANGED = {column.value: column for column in (*_NUMBERS, Column.MEASUREMENT_TEMPERATURE_C)}
_SITES = ("A", "M", "T")


@dataclass(frozen=True)
class Domain:
    """What the training pellets cover.

    Attributes
    ----------
    ranges
        system -> field -> (lowest, highest); the key "" holds all systems together. The substitution x is
        one of the fields, under the name "x". The temperature of measurement stands under "" only: Arrhenius'
        law carries every system's conductivity as far as any was measured.
    choices
        field -> choices that occur.
    elements
        site (A, M, T) -> elements that occur on it.
    near
        Remoteness (`SourceGaps.remoteness`) below which a recipe counts as near.
    """

    ranges: Mapping[str, Mapping[str, tuple[float, float]]]
    choices: Mapping[str, tuple[str, ...]]
    elements: Mapping[str, tuple[str, ...]]
    near: float = field(default=np.inf)

    def to_json(self) -> dict[str, Any]:
        """Give plain dictionaries and lists."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Domain:
        """Read what `to_json` gave."""
        ranges = {
            system: {name: (float(low), float(high)) for name, (low, high) in fields.items()}
            for system, fields in data["ranges"].items()
        }
        choices = {name: tuple(values) for name, values in data["choices"].items()}
        elements = {site: tuple(values) for site, values in data["elements"].items()}
        return cls(ranges, choices, elements, float(data["near"]))

    def judge(self, table: pd.DataFrame, sites: OccupancyTable, remoteness: Floats) -> Verdict:
        """Say how far outside each recipe lies, and why.

        Parameters
        ----------
        table
            Recipe columns, n rows.
        sites
            Their occupancies.
        remoteness
            Mean distance to the nearest sources, shape (n,), as `SourceGaps.remoteness` gives it.
        """
        found: list[list[str]] = [[] for _ in range(len(table))]
        score = remoteness / self.near if self.near > 0 else np.where(remoteness > 0, np.inf, 0.0)
        score = np.maximum(score, self._elements(sites, found))
        for column, strange in self._strange_choices(table).items():
            given = table[column]
            for row in np.flatnonzero(strange):
                found[row].append(f"{column.label} {given.iloc[row]!r} never seen")
            score = np.maximum(score, strange)
        for beyond in self._beyond(table, sites):
            steps = beyond.steps
            for at in np.flatnonzero(steps >= 1).tolist():
                found[at].append(beyond.reason(at))
            score = np.maximum(score, steps)
        for row in np.flatnonzero(remoteness >= self.near):
            found[row].append(
                f"far from what was measured (mean distance to the nearest {NEAR_SOURCES} sources "
                f"{remoteness[row]:.2f}, for {NEAR_SHARE:.0%} of known pellets below {self.near:.2f})"
            )
        return Verdict(score, np.array(["; ".join(reasons) for reasons in found], dtype=object))

    def _elements(self, sites: OccupancyTable, found: list[list[str]]) -> Floats:
        """Note elements never seen on a site; 1 and their amount, or 0 where there are none, shape (n,)."""
        score = np.zeros(len(found))
        for site, amounts in zip(_SITES, (sites.a, sites.m, sites.t), strict=True):
            strange = (amounts > 0) & ~np.isin(ELEMENTS, self.elements[site])
            amount = sites.per_row((amounts * strange).sum(axis=1))
            for row in np.flatnonzero(amount > 0):
                names = ", ".join(np.array(ELEMENTS)[strange[sites.index[row]]])
                found[row].append(f"{names} never seen on the {site} site")
            score = np.maximum(score, np.where(amount > 0, 1.0 + amount, 0.0))
        return score

    def known_part(self, table: pd.DataFrame, sites: OccupancyTable) -> pd.DataFrame:
        """Blank the processing fields about which the training pellets say nothing.

        A sintering temperature beyond all data tells the model no more than none does, so it must not narrow
        an interval.
        """
        known = table.copy()
        for column, strange in self._strange_choices(table).items():
            known.loc[strange, str(column)] = None
        for beyond in self._beyond(table, sites):
            if beyond.name in known.columns:
                known.loc[beyond.outside, beyond.name] = np.nan
        return known

    def _strange_choices(self, table: pd.DataFrame) -> dict[Column, Mask]:
        return {
            column: (table[column].notna() & ~table[column].isin(self.choices[column])).to_numpy()
            for column in _CHOICES
        }

    def _beyond(self, table: pd.DataFrame, sites: OccupancyTable) -> list[_Beyond]:
        fields = {column.value: table[column].to_numpy(dtype=np.float64) for column in _NUMBERS}
        fields[_TEMPERATURE] = table[_TEMPERATURE].to_numpy(dtype=np.float64)
        fields["x"] = sites.per_row(sites.x)
        found = []
        for name, values in fields.items():
            own = {system: limits[name] for system, limits in self.ranges.items() if system and name in limits}
            everywhere = self.ranges[""].get(name, (-np.inf, np.inf))
            limits = np.array([own.get(system, everywhere) for system in sites.systems]).reshape(-1, 2)[
                sites.index
            ]
            whose = np.array([f"{system} " if system in own else "" for system in sites.systems], dtype=object)
            found.append(_Beyond(name, values, limits, whose[sites.index]))
        return found


@dataclass(frozen=True)
class Verdict:
    """How n recipes lie to the domain.

    Attributes
    ----------
    score
        0 amid the training pellets, from 1 on outside, shape (n,).
    reasons
        Why outside, shape (n,); empty text for a recipe inside.
    """

    score: Floats
    reasons: Strings

    @property
    def inside(self) -> Mask:
        """Whether each recipe lies inside, shape (n,)."""
        return np.asarray(self.score < 1)


@dataclass(frozen=True)
class _Beyond:
    """One field of n recipes against the range of their systems: values (n,), limits (n, 2), whose (n,)."""

    name: str
    values: Floats
    limits: Floats
    whose: Strings

    @property
    def outside(self) -> Mask:
        low, high = self.limits.T
        return (self.values < low - _slack(low)) | (self.values > high + _slack(high))

    @property
    def steps(self) -> Floats:
        """How far outside the range, in steps that put a recipe outside the domain; 0 within, shape (n,)."""
        size, scaled = _step(self.name)
        low, high = scaled(self.limits[:, 0]), scaled(self.limits[:, 1])
        value = scaled(self.values)
        return np.where(self.outside, np.maximum(low - value, value - high) / size, 0.0)

    def reason(self, row: int) -> str:
        value, (low, high) = self.values[row], self.limits[row]
        side, limit = ("below", low) if value < low else ("above", high)
        return f"{_label(self.name)} {value:g} is {side} that of any {self.whose[row]}pellet ({limit:g})"


def _slack(limits: Floats) -> Floats:
    """Give what rounding may move: it is no step out of the domain."""
    return 1e-6 + 0.01 * np.abs(limits)


def _step(name: str) -> tuple[float, Callable[[Floats], Floats]]:
    """Give the step of a field that puts a recipe outside, and the scale on which it is measured."""
    if name == "x":
        return FIRING_STEP / COMPOSITION_WEIGHT, np.asarray
    column = _RANGED[name]
    # Measurement has no scale of its own: that of sintering serves.
    size, logarithmic = SCALES.get(column, SCALES[Column.SINTERING_TEMPERATURE_C])
    size *= POWDER_STEP if column in _POWDER else FIRING_STEP
    smallest = LOGARITHMIC.get(column, _SMALLEST)
    return size, (lambda values: np.log10(np.maximum(values, smallest))) if logarithmic else np.asarray


def _label(name: str) -> str:
    return "substitution x" if name == "x" else _RANGED[name].axis_label


def fit_domain(table: pd.DataFrame, sites: OccupancyTable, remoteness: Floats) -> Domain:
    """Read off what training pellets cover.

    Parameters
    ----------
    table
        Training pellets, n rows.
    sites
        Their occupancies.
    remoteness
        Of each from the other sources, shape (n,).
    """
    systems = sites.per_row(sites.systems)
    numbers = table[list(_NUMBERS)].astype("float64").assign(x=sites.per_row(sites.x))
    measured = table[[_TEMPERATURE]].astype("float64")
    ranges = {"": _limits(numbers, 1) | _limits(measured, 1)}
    for system, rows in numbers.groupby(systems):
        ranges[str(system)] = _limits(rows, ENOUGH_PELLETS)
    choices = {column.value: tuple(sorted(table[column].dropna().unique())) for column in _CHOICES}
    elements = {
        site: tuple(ELEMENTS[at] for at in np.flatnonzero((sites.per_row(amounts) > 0).any(axis=0)))
        for site, amounts in zip(_SITES, (sites.a, sites.m, sites.t), strict=True)
    }
    return Domain(ranges, choices, elements, float(np.quantile(remoteness, NEAR_SHARE)))


def _limits(numbers: pd.DataFrame, at_least: int) -> dict[str, tuple[float, float]]:
    counts = numbers.notna().sum()
    return {
        str(name): (float(numbers[name].min()), float(numbers[name].max()))
        for name in numbers.columns
        if counts[name] >= at_least
    }
