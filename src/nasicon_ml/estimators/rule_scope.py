"""Which recipes a rule of the literature is about, read off the recipes that put it to a model.

A rule is about a recipe of one of its systems that contradicts nothing its own recipes share and states what the
rule varies. What a rule says about argon is no news to who fires in air: of choices the unusual ones alone count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.columns import Column, Kind
from nasicon_ml.composition import OccupancyTable
from nasicon_ml.estimators.domain import step_beyond
from nasicon_ml.features.processing import PROCESSING_FIELDS

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Strings = NDArray[np.str_]

#: What is taken as done where a recipe does not say; "" stands for a choice that is not stated.
USUAL = ("", "conventional", "air", "solid_state", "commercial")
SCOPE_NUMBERS = ("x", *(str(column) for column in PROCESSING_FIELDS if column.kind is Kind.NUMBER))
SCOPE_CHOICES = (
    *(str(column) for column in PROCESSING_FIELDS if column.kind is Kind.CATEGORY),
    str(Column.ADDITIVE),
)
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
    choices: Mapping[str, Strings]

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
