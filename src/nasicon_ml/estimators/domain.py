"""How far a recipe lies outside what a model learned from, and which rules of the literature are about it.

How far outside a recipe lies is one number, the largest of its reasons, each in units of what puts a recipe
outside: 0 is amid the training pellets, 1 the border.

A rule of the literature is about a recipe of one of its systems that contradicts nothing its own recipes share
and states what the rule varies. What a rule says about argon is no news to who fires in air: of choices the
unusual ones alone count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.arrays import Floats, Ints, Mask, Strings
from nasicon_ml.columns import COLUMNS, Column
from nasicon_ml.composition import ELEMENTS, OccupancyTable
from nasicon_ml.features.distances import COMPOSITION_WEIGHT, SCALES, RecipeSpace, recipe_distances
from nasicon_ml.features.processing import LOGARITHMIC, PROCESSING_CHOICES, PROCESSING_NUMBERS, is_one_of

#: A system needs this many pellets that state a field before its own range counts; below, all systems' does.
ENOUGH_PELLETS = 8
#: How far a recipe is from what was measured is its mean distance to this many sources, the nearest.
NEAR_SOURCES = 8
#: A choice or an anion that fewer sources measured is outside: what one laboratory got says little of another.
FEW_SOURCES = 3
#: Under this name the domain counts the sources of anions, beside those of the choices.
ANION = "anion"
#: Share of the training pellets, each measured against other sources only, that count as near.
NEAR_SHARE = 0.9
#: A number of the firing counts as outside when it lies this share of what is wholly different (`SCALES`) beyond
#: the range, one of the powder when it lies a whole one beyond: errors on unseen sources grow with the first.
FIRING_STEP, POWDER_STEP = 0.5, 1.0
_POWDER = (Column.CALCINATION_TEMPERATURE_C, Column.CALCINATION_TIME_H, Column.PARTICLE_SIZE_UM)
_SMALLEST = 1e-2
#: Numbers of which all systems together have a range; bundles of version 0.1 know the temperature's only.
_EVERYWHERE = (Column.MEASUREMENT_TEMPERATURE_C, Column.LITHIUM_EXCESS_PCT, Column.GREEN_PRESSURE_MPA)
#: The fields that have a range.
RANGED = ("x", *map(str, (*PROCESSING_NUMBERS, *_EVERYWHERE)))
_CHUNK_ROWS = 1000


@dataclass(frozen=True)
class SourceDistances:
    """Distances of n recipes to sources: the many pellets of one paper are one witness.

    Attributes
    ----------
    names
        The sources, sorted, shape (n_sources,).
    distances
        Distance of each recipe to the nearest pellet of each source, shape (n, n_sources).
    """

    names: Strings
    distances: Floats

    def take(self, rows: Ints) -> SourceDistances:
        """Return those of some recipes."""
        return SourceDistances(self.names, self.distances[rows])

    def mean_of_nearest(self, own: Strings | None = None, among: Mask | None = None) -> Floats:
        """Return the mean distance to the nearest `NEAR_SOURCES` sources, or to all where there are fewer.

        Parameters
        ----------
        own
            The source of each recipe, which is passed over, shape (n,); None for recipes of no source.
        among
            Which of the sources count, shape (n_sources,); all by default.

        Returns
        -------
        ndarray
            Shape (n,); infinite where no source is left.
        """
        distances = self.distances if among is None else self.distances[:, among]
        names = self.names if among is None else self.names[among]
        if own is not None:
            distances = np.where(own[:, None] == names[None, :], np.inf, distances)
        nearest = np.sort(distances, axis=1)[:, :NEAR_SOURCES]
        there = np.isfinite(nearest)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(there, nearest, 0.0).sum(axis=1) / there.sum(axis=1)
        return np.where(there.any(axis=1), mean, np.inf)


def source_distances(queries: RecipeSpace, references: RecipeSpace, sources: Strings) -> SourceDistances:
    """Return how far recipes are from each source.

    Parameters
    ----------
    queries, references
        Points of one recipe space; n and m of them.
    sources
        Source of each reference, shape (m,).
    """
    names, code = np.unique(sources.astype(str), return_inverse=True)
    order = np.argsort(code, kind="stable")
    starts = np.searchsorted(code[order], np.arange(len(names)))
    distances = np.empty((len(queries), len(names)))
    for start in range(0, len(queries), _CHUNK_ROWS):
        rows = slice(start, start + _CHUNK_ROWS)
        distances[rows] = np.minimum.reduceat(
            recipe_distances(queries.take(rows), references)[:, order], starts, axis=1
        )
    return SourceDistances(names.astype(object), distances)


@dataclass(frozen=True)
class Domain:
    """What the training pellets cover.

    Attributes
    ----------
    ranges
        system -> field -> (lowest, highest); the key "" holds all systems together. The substitution x is
        one of the fields, under the name "x". The temperature of measurement stands under "" only: Arrhenius'
        law carries every system's conductivity as far as any was measured. So do lithium excess and green
        pressure, of which few papers speak.
    choices
        field -> choices that occur.
    elements
        site (A, M, T) -> elements that occur on it.
    near
        Distance to sources (`SourceDistances.mean_of_nearest`) below which a recipe counts as near.
    sources
        field, or `ANION`, -> choice -> how many sources measured it; empty in bundles from before that.
    """

    ranges: Mapping[str, Mapping[str, tuple[float, float]]]
    choices: Mapping[str, tuple[str, ...]]
    elements: Mapping[str, tuple[str, ...]]
    near: float = field(default=np.inf)
    sources: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain dictionaries and lists."""
        content = asdict(self)
        if not self.sources:
            del content["sources"]  # of a bundle from before that
        return content

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Domain:
        """Read what `to_json` gave."""
        ranges = {
            system: {name: (float(low), float(high)) for name, (low, high) in fields.items()}
            for system, fields in data["ranges"].items()
        }
        choices = {name: tuple(values) for name, values in data["choices"].items()}
        elements = {site: tuple(values) for site, values in data["elements"].items()}
        return cls(ranges, choices, elements, float(data["near"]), data.get("sources", {}))

    def with_anions(self, sites: OccupancyTable, sources: Strings) -> Domain:
        """Return the domain with the sources of anions counted; pellets as of `fit_domain`."""
        return replace(self, sources={**self.sources, ANION: _anion_sources(sites, sources)})

    def few(self, name: str) -> dict[str, int]:
        """Return the choices of a field, or the anions, that fewer than `FEW_SOURCES` measured; how many did."""
        return {choice: n for choice, n in self.sources.get(name, {}).items() if n < FEW_SOURCES}

    def judge(self, table: pd.DataFrame, sites: OccupancyTable, to_sources: Floats) -> Verdict:
        """Return how far outside each recipe lies, and why.

        Parameters
        ----------
        table
            Recipe columns, n rows.
        sites
            Their occupancies.
        to_sources
            Mean distance to the nearest sources, shape (n,), as `SourceDistances.mean_of_nearest` gives it.
        """
        compared = self.compare(table, sites)
        return Verdict(compared.score(to_sources), compared.reasons(to_sources))

    def compare(self, table: pd.DataFrame, sites: OccupancyTable) -> Compared:
        """Hold recipes against what the training pellets cover; parameters as of `judge`."""
        strange = {
            column: table[column].notna().to_numpy() & ~is_one_of(table[column], self.choices[column])
            for column in PROCESSING_CHOICES
        }
        rare = {column: is_one_of(table[column], self.few(column)) for column in PROCESSING_CHOICES}
        return Compared(self, table, sites, strange, rare, tuple(self._beyond(table, sites)))

    def _beyond(self, table: pd.DataFrame, sites: OccupancyTable) -> Iterator[_Beyond]:
        fields = {column.value: table[column].to_numpy(dtype=np.float64) for column in PROCESSING_NUMBERS}
        for column in _EVERYWHERE:
            if column in self.ranges[""] and column in table.columns:
                fields[column.value] = table[column].to_numpy(dtype=np.float64)
        fields["x"] = sites.per_row(sites.x)
        for name, values in fields.items():
            own = {system: limits[name] for system, limits in self.ranges.items() if system and name in limits}
            everywhere = self.ranges[""].get(name, (-np.inf, np.inf))
            limits = np.array([own.get(system, everywhere) for system in sites.systems]).reshape(-1, 2)
            whose = np.array([f"{system} " if system in own else "" for system in sites.systems], dtype=object)
            yield _Beyond.of(name, values, limits, whose, sites.index)


@dataclass(frozen=True)
class Compared:
    """n recipes held against a domain.

    Attributes
    ----------
    domain, table, sites
        The two.
    strange
        Choices that never occurred, by field, shape (n,).
    rare
        Choices that few sources measured, likewise.
    beyond
        Numbers outside the range of their system, by field.
    """

    domain: Domain
    table: pd.DataFrame
    sites: OccupancyTable
    strange: Mapping[Column, Mask]
    rare: Mapping[Column, Mask]
    beyond: tuple[_Beyond, ...]

    @property
    def blank(self) -> dict[Column, Mask]:
        """The processing fields about which the training pellets say nothing, by field, shape (n,)."""
        fields = {COLUMNS[beyond.name]: beyond.outside for beyond in self.beyond if beyond.name != "x"}
        return dict(self.strange) | {column: outside for column, outside in fields.items() if outside.any()}

    def score(self, to_sources: Floats) -> Floats:
        """Return how far outside each recipe lies, shape (n,): 0 amid the training pellets, from 1 on outside."""
        near = self.domain.near
        score = to_sources / near if near > 0 else np.where(to_sources > 0, np.inf, 0.0)
        strange = np.zeros(len(self.sites.systems))
        for site, amounts in _by_site(self.sites):
            amount = np.where(self._never_seen[site], amounts, 0.0).sum(axis=1)
            strange = np.maximum(strange, np.where(amount > 0, 1.0 + amount, 0.0))
        strange = np.maximum(strange, self._few_anions.any(axis=1))
        score = np.maximum(score, self.sites.per_row(strange))
        for choice in (*self.strange.values(), *self.rare.values()):
            score = np.maximum(score, choice)
        for beyond in self.beyond:
            score[beyond.rows] = np.maximum(score[beyond.rows], beyond.steps)
        return np.asarray(score)

    def reasons(self, to_sources: Floats) -> list[tuple[str, ...]]:
        """Return why each recipe is outside; nothing for a recipe inside."""
        found: list[list[str]] = [[] for _ in range(len(self.table))]
        strange_elements = [*self._never_seen.values(), self._few_anions]
        for row in np.flatnonzero(self.sites.per_row(np.any(np.hstack(strange_elements), axis=1))):
            found[row] += self._strange_elements(int(self.sites.index[row]))
        for column, strange in self.strange.items():
            given = self.table[column]
            for row in np.flatnonzero(strange):
                found[row].append(f"{column.label} {given.iloc[row]!r} never seen")
        for column, rare in self.rare.items():
            given, sources = self.table[column], self.domain.few(column)
            for row in np.flatnonzero(rare):
                choice = given.iloc[row]
                found[row].append(f"{column.label} {choice!r} was {_measured_in(sources[choice])}")
        for beyond in self.beyond:
            for at in np.flatnonzero(beyond.steps >= 1).tolist():
                found[beyond.rows[at]].append(beyond.reason(at))
        for row in np.flatnonzero(to_sources >= self.domain.near):
            found[row].append(
                f"far from what was measured (mean distance to the nearest {NEAR_SOURCES} sources "
                f"{to_sources[row]:.2f}, for {NEAR_SHARE:.0%} of known pellets below {self.domain.near:.2f})"
            )
        return [tuple(reasons) for reasons in found]

    @cached_property
    def _few_anions(self) -> Mask:
        """Which anions of each composition few sources measured; shape (n_unique, n_elements)."""
        sources = self.domain.sources.get(ANION)
        if sources is None:
            return np.zeros(self.sites.other_anions.shape, dtype=np.bool_)
        many = [anion for anion, count in sources.items() if count >= FEW_SOURCES]
        return np.asarray((self.sites.other_anions > 0) & ~np.isin(ELEMENTS, many))

    @cached_property
    def _never_seen(self) -> dict[str, Mask]:
        """Which elements of each composition were never seen on a site; by site, shape (n_unique, n_elements)."""
        known = self.domain.elements
        return {site: (amounts > 0) & ~np.isin(ELEMENTS, known[site]) for site, amounts in _by_site(self.sites)}

    def _strange_elements(self, composition: int) -> list[str]:
        """Name the elements of a composition that were never seen on their site, and the anions of few sources."""
        found = [
            f"{', '.join(np.array(ELEMENTS)[strange[composition]])} never seen on the {site} site"
            for site, strange in self._never_seen.items()
            if strange[composition].any()
        ]
        few = self.domain.few(ANION)
        return found + [
            f"{anion} on the anion site {_measured_in(few.get(anion, 0))}"
            for anion in np.array(ELEMENTS)[self._few_anions[composition]].tolist()
        ]


@dataclass(frozen=True)
class Verdict:
    """How n recipes lie to the domain.

    Attributes
    ----------
    score
        0 amid the training pellets, from 1 on outside, shape (n,).
    reasons
        Why outside, for each recipe; nothing for a recipe inside.
    """

    score: Floats
    reasons: list[tuple[str, ...]]

    @property
    def inside(self) -> Mask:
        """Whether each recipe lies inside, shape (n,)."""
        return np.asarray(self.score < 1)


@dataclass(frozen=True)
class _Beyond:
    """One field of n recipes against the range of their systems, as far as it lies outside, in k of them."""

    name: str
    outside: Mask  # shape (n,)
    rows: Ints  # positions of the k
    values: Floats
    limits: Floats  # the ranges, shape (k, 2)
    whose: Strings  # and whose they are

    @classmethod
    def of(cls, name: str, values: Floats, limits: Floats, whose: Strings, index: Ints) -> _Beyond:
        """Compare values of shape (n,) with the ranges of their compositions, shape (n_unique, 2)."""
        low, high = limits.T
        lowest, highest = low - _slack(low), high + _slack(high)
        # First against the narrowest range: few are left to be compared with their own.
        some = np.flatnonzero((values < lowest.max(initial=-np.inf)) | (values > highest.min(initial=np.inf)))
        own = index[some]
        rows = some[(values[some] < lowest[own]) | (values[some] > highest[own])]
        outside = np.zeros(len(values), dtype=np.bool_)
        outside[rows] = True
        return cls(name, outside, rows, values[rows], limits[index[rows]], whose[index[rows]])

    @cached_property
    def steps(self) -> Floats:
        """How far outside the range, in steps that put a recipe outside the domain; shape (k,)."""
        return step_beyond(self.name, self.values, *self.limits.T)

    def reason(self, at: int) -> str:
        """Return the reason that is said of one of them."""
        value, (low, high) = self.values[at], self.limits[at]
        side, limit = ("below", low) if value < low else ("above", high)
        return f"{field_label(self.name)} {value:g} is {side} that of any {self.whose[at]}pellet ({limit:g})"


def _slack(limits: Floats) -> Floats:
    """Return what rounding may move: it is no step out of the domain."""
    return 1e-6 + 0.01 * np.abs(limits)


def step_beyond(name: str, values: Floats, low: Floats | float, high: Floats | float) -> Floats:
    """Return how far values of a field, or of x, lie outside a range, in steps that put a recipe outside.

    Below 0 inside the range; NaN where the value, or the range, is.
    """
    size, scaled = _step(name)
    value = scaled(values)
    return np.asarray(np.maximum(scaled(np.asarray(low)) - value, value - scaled(np.asarray(high))) / size)


def _step(name: str) -> tuple[float, Callable[[Floats], Floats]]:
    """Return the step of a field that puts a recipe outside, and the scale on which it is measured."""
    if name == "x":
        return FIRING_STEP / COMPOSITION_WEIGHT, np.asarray
    column = COLUMNS[name]
    # Measurement has no scale of its own: that of sintering serves.
    size, logarithmic = SCALES.get(column, SCALES[Column.SINTERING_TEMPERATURE_C])
    size *= POWDER_STEP if column in _POWDER else FIRING_STEP
    smallest = LOGARITHMIC.get(column, _SMALLEST)
    return size, (lambda values: np.log10(np.maximum(values, smallest))) if logarithmic else np.asarray


def field_label(name: str) -> str:
    """Return what a field that has a range is called, with its unit."""
    return "substitution x" if name == "x" else COLUMNS[name].axis_label


def _by_site(sites: OccupancyTable) -> Iterator[tuple[str, Floats]]:
    return zip("AMT", (sites.a, sites.m, sites.t), strict=True)


def _measured_in(works: int) -> str:
    return f"measured in {works} work{'' if works == 1 else 's'} only" if works else "never measured"


def fit_domain(table: pd.DataFrame, sites: OccupancyTable, to_sources: Floats, sources: Strings) -> Domain:
    """Read off what training pellets cover.

    Parameters
    ----------
    table
        Training pellets, n rows.
    sites
        Their occupancies.
    to_sources
        Of each from the other sources, shape (n,).
    sources
        Of each, shape (n,).
    """
    systems = sites.per_row(sites.systems)
    numbers = table[list(PROCESSING_NUMBERS)].astype("float64").assign(x=sites.per_row(sites.x))
    everywhere = table[list(_EVERYWHERE)].astype("float64")
    ranges = {"": _limits(numbers, 1) | _limits(everywhere, 1)}
    for system, rows in numbers.groupby(systems):
        ranges[str(system)] = _limits(rows, ENOUGH_PELLETS)
    by_choice = {column.value: _choice_sources(table[column], sources) for column in PROCESSING_CHOICES}
    elements = {
        site: tuple(ELEMENTS[at] for at in np.flatnonzero((sites.per_row(amounts) > 0).any(axis=0)))
        for site, amounts in _by_site(sites)
    }
    choices = {name: tuple(counts) for name, counts in by_choice.items()}
    counted = by_choice | {ANION: _anion_sources(sites, sources)}
    return Domain(ranges, choices, elements, float(np.quantile(to_sources, NEAR_SHARE)), counted)


def _choice_sources(given: pd.Series[str], sources: Strings) -> dict[str, int]:
    """Return how many sources measured each choice of a field."""
    counts = pd.Series(sources, given.index).groupby(given.astype(object)).nunique()
    return {str(choice): int(count) for choice, count in counts.items()}


def _anion_sources(sites: OccupancyTable, sources: Strings) -> dict[str, int]:
    """Return how many sources measured each anion; `sources` of n pellets, `sites` their occupancies."""
    there = {ELEMENTS[at]: sites.other_anions[:, at] > 0 for at in np.flatnonzero(sites.other_anions.any(axis=0))}
    there = {"O": sites.oxygen > 0} | there
    return {anion: len(set(sources[sites.per_row(has)])) for anion, has in there.items()}


def _limits(numbers: pd.DataFrame, at_least: int) -> dict[str, tuple[float, float]]:
    counts = numbers.notna().sum()
    return {
        str(name): (float(numbers[name].min()), float(numbers[name].max()))
        for name in numbers.columns
        if counts[name] >= at_least
    }


#: What is taken as done where a recipe does not say; "" stands for a choice that is not stated.
USUAL = ("", "conventional", "air", "solid_state", "commercial")
SCOPE_NUMBERS = ("x", *map(str, PROCESSING_NUMBERS))
SCOPE_CHOICES = (*map(str, PROCESSING_CHOICES), str(Column.ADDITIVE))
#: How much further x may lie where a rule varies it: what two laboratories call the same composition.
_SAME_X = 0.05


@dataclass(frozen=True)
class RuleScope:
    """What the recipes of a rule have in common, and what differs between the sides that it compares.

    Attributes
    ----------
    systems
        system -> lowest and highest x.
    numbers
        field -> lowest and highest value, of fields that any of the recipes states.
    choices
        field -> the choices that occur, "" among them where a recipe states none.
    varied
        The fields whose values differ between the sides, "x" for the composition.
    """

    systems: Mapping[str, tuple[float, float]]
    numbers: Mapping[str, tuple[float, float]]
    choices: Mapping[str, tuple[str, ...]]
    varied: tuple[str, ...]

    @classmethod
    def of(cls, table: pd.DataFrame, sites: OccupancyTable, sides: Ints) -> RuleScope:
        """Read the scope off the recipes of a rule.

        Parameters
        ----------
        table, sites
            The recipes, n rows, and their occupancies.
        sides
            Which side of the comparison, or point of the curve, each stands on; shape (n,).
        """
        asked = AskedFields.of(table, sites)
        numbers = {name: np.nan_to_num(values, nan=-np.inf) for name, values in asked.numbers.items()}
        compared = {**numbers, **asked.choices, "x": sites.index}
        by_side = [
            {name: set(np.unique(values[sides == side]).tolist()) for name, values in compared.items()}
            for side in np.unique(sides)
        ]
        return cls(
            {str(name): _range(asked.x[asked.systems == name]) for name in dict.fromkeys(asked.systems)},
            {name: _range(values) for name, values in asked.numbers.items() if not np.isnan(values).all()},
            {name: tuple(np.unique(values).tolist()) for name, values in asked.choices.items()},
            tuple(name for name in by_side[0] if any(side[name] != by_side[0][name] for side in by_side)),
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RuleScope:
        """Read what a bundle holds."""
        systems, numbers = (
            {name: (float(low), float(high)) for name, (low, high) in data[part].items()}
            for part in ("systems", "numbers")
        )
        choices = {name: tuple(values) for name, values in data["choices"].items()}
        return cls(systems, numbers, choices, tuple(data["varied"]))

    def closeness(self, asked: AskedFields) -> Ints:
        """Return how closely the rule is about each recipe, shape (n,): how many fields agree; -1 if it is not."""
        low, high = (
            np.array([self.systems.get(system, (np.nan, np.nan)) for system in asked.systems]).reshape(-1, 2).T
        )
        if "x" in self.varied:
            about = (asked.x >= low - _SAME_X) & (asked.x <= high + _SAME_X)
        else:
            about = step_beyond("x", asked.x, low, high) < 1
        agreeing = np.zeros(len(about), dtype=np.intp)
        by_choice = [name for name in self.choices if name in self.varied]
        for name, (lowest, highest) in self.numbers.items():
            values = asked.numbers[name]
            within = (values >= lowest) & (values <= highest)
            agreeing += within
            if name in self.varied and not by_choice:
                about &= within
            else:
                about &= np.isnan(values) | (step_beyond(name, values, lowest, highest) < 1)
        varied = np.full(len(about), not by_choice)
        for name, allowed in self.choices.items():
            stated = asked.choices[name]
            matches, unusual = np.isin(stated, allowed), ~np.isin(stated, USUAL)
            agreeing += matches & unusual
            # Who does not say does what is usual, or, of a choice that is varied, another of these.
            about &= matches | ((stated == "") & (name in by_choice or not set(USUAL).isdisjoint(allowed)))
            if name in by_choice:
                varied |= matches & unusual
        return np.where(about & varied, agreeing, -1)


@dataclass(frozen=True)
class AskedFields:
    """n recipes by field, as rules are held against them.

    Attributes
    ----------
    x, systems
        Of each recipe, shape (n,).
    numbers, choices
        By field, shape (n,): NaN and "" where nothing is stated.
    """

    x: Floats
    systems: NDArray[np.object_]
    numbers: Mapping[str, Floats]
    choices: Mapping[str, NDArray[np.str_]]

    @classmethod
    def of(cls, table: pd.DataFrame, sites: OccupancyTable) -> AskedFields:
        """Take a table of recipes apart; `sites` are their occupancies."""
        return cls(
            sites.per_row(sites.x),
            sites.per_row(sites.systems),
            {name: table[name].to_numpy(dtype=np.float64) for name in SCOPE_NUMBERS[1:]},
            {name: table[name].astype(object).fillna("").to_numpy(dtype=np.str_) for name in SCOPE_CHOICES},
        )


def rules_about(
    scopes: Mapping[str, RuleScope], table: pd.DataFrame, sites: OccupancyTable
) -> list[tuple[str, ...]]:
    """Return the names of the rules that are about each recipe, those that agree in most fields first.

    Parameters
    ----------
    scopes
        By name of the rule.
    table, sites
        The recipes, n rows, and their occupancies.
    """
    if not scopes:
        return [()] * len(table)
    asked = AskedFields.of(table, sites)
    close = np.column_stack([scope.closeness(asked) for scope in scopes.values()])
    names = np.array(list(scopes), dtype=object)
    order = np.argsort(-close, axis=1, kind="stable")
    return [tuple(names[row[of[row] >= 0]]) for row, of in zip(order, close, strict=True)]


def _range(values: Floats) -> tuple[float, float]:
    return float(np.nanmin(values)), float(np.nanmax(values))
