"""Which rules of the literature apply to a recipe.

A rule applies to recipes of its systems that contradict nothing its own recipes have in common and that state
what the rule varies. If the rule varies a choice, the recipe has to make one of the unusual choices: what a rule
states about argon is irrelevant to a recipe fired in air.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.arrays import Floats, Ints
from nasicon_ml.columns import Column
from nasicon_ml.composition import OccupancyTable
from nasicon_ml.estimators.domain import steps_outside
from nasicon_ml.features.processing import PROCESSING_CHOICES, PROCESSING_NUMBERS

#: Choices that are assumed where a recipe states none; "" stands for a choice that is not stated.
USUAL_CHOICES = ("", "conventional", "air", "solid_state", "commercial")
SCOPE_NUMBERS = ("x", *map(str, PROCESSING_NUMBERS))
SCOPE_CHOICES = (*map(str, PROCESSING_CHOICES), str(Column.ADDITIVE))
#: Tolerance in x where a rule varies x: laboratories call such compositions the same.
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
    def from_recipes(cls, table: pd.DataFrame, sites: OccupancyTable, sides: Ints) -> RuleScope:
        """Return the scope of a rule, given its recipes.

        Parameters
        ----------
        table, sites
            The recipes, n rows, and their occupancies.
        sides
            Side of the comparison, or point of the curve, that each recipe belongs to; shape (n,).
        """
        recipes = RecipeFields.from_table(table, sites)
        numbers = {name: np.nan_to_num(values, nan=-np.inf) for name, values in recipes.numbers.items()}
        compared = {**numbers, **recipes.choices, "x": sites.index}
        by_side = [
            {name: set(np.unique(values[sides == side]).tolist()) for name, values in compared.items()}
            for side in np.unique(sides)
        ]
        return cls(
            {str(name): _range(recipes.x[recipes.systems == name]) for name in dict.fromkeys(recipes.systems)},
            {name: _range(values) for name, values in recipes.numbers.items() if not np.isnan(values).all()},
            {name: tuple(np.unique(values).tolist()) for name, values in recipes.choices.items()},
            tuple(name for name in by_side[0] if any(side[name] != by_side[0][name] for side in by_side)),
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RuleScope:
        """Read the scope from a bundle."""
        systems, numbers = (
            {name: (float(low), float(high)) for name, (low, high) in data[part].items()}
            for part in ("systems", "numbers")
        )
        choices = {name: tuple(values) for name, values in data["choices"].items()}
        return cls(systems, numbers, choices, tuple(data["varied"]))

    def matching_fields(self, recipes: RecipeFields) -> Ints:
        """Return in how many fields each recipe agrees, shape (n,); -1 if the rule does not apply."""
        low, high = (
            np.array([self.systems.get(system, (np.nan, np.nan)) for system in recipes.systems]).reshape(-1, 2).T
        )
        if "x" in self.varied:
            applies = (recipes.x >= low - _SAME_X) & (recipes.x <= high + _SAME_X)
        else:
            applies = steps_outside("x", recipes.x, low, high) < 1
        matching = np.zeros(len(applies), dtype=np.intp)
        varied_choices = [name for name in self.choices if name in self.varied]
        for name, (lowest, highest) in self.numbers.items():
            values = recipes.numbers[name]
            is_within = (values >= lowest) & (values <= highest)
            matching += is_within
            if name in self.varied and not varied_choices:
                applies &= is_within
            else:
                applies &= np.isnan(values) | (steps_outside(name, values, lowest, highest) < 1)
        makes_varied_choice = np.full(len(applies), not varied_choices)
        for name, allowed in self.choices.items():
            stated = recipes.choices[name]
            is_allowed, is_unusual = np.isin(stated, allowed), ~np.isin(stated, USUAL_CHOICES)
            matching += is_allowed & is_unusual
            # A recipe that states no choice is taken to make a usual one, or another of the varied choices.
            may_be_unstated = name in varied_choices or not set(USUAL_CHOICES).isdisjoint(allowed)
            applies &= is_allowed | ((stated == "") & may_be_unstated)
            if name in varied_choices:
                makes_varied_choice |= is_allowed & is_unusual
        return np.where(applies & makes_varied_choice, matching, -1)


@dataclass(frozen=True)
class RecipeFields:
    """The fields of n recipes that are compared with the scopes of rules.

    Attributes
    ----------
    x, systems
        Substitution and system of each recipe, shape (n,).
    numbers, choices
        By field, shape (n,): NaN and "" where nothing is stated.
    """

    x: Floats
    systems: NDArray[np.object_]
    numbers: Mapping[str, Floats]
    choices: Mapping[str, NDArray[np.str_]]

    @classmethod
    def from_table(cls, table: pd.DataFrame, sites: OccupancyTable) -> RecipeFields:
        """Return the fields of a table of recipes with the occupancies `sites`."""
        return cls(
            sites.per_row(sites.x),
            sites.per_row(sites.systems),
            {name: table[name].to_numpy(dtype=np.float64) for name in SCOPE_NUMBERS[1:]},
            {name: table[name].astype(object).fillna("").to_numpy(dtype=np.str_) for name in SCOPE_CHOICES},
        )


def applicable_rules(
    scopes: Mapping[str, RuleScope], table: pd.DataFrame, sites: OccupancyTable
) -> list[tuple[str, ...]]:
    """Return the names of the rules that apply to each recipe, those that agree in most fields first.

    Parameters
    ----------
    scopes
        Scope of each rule by its name.
    table, sites
        The recipes, n rows, and their occupancies.
    """
    if not scopes:
        return [()] * len(table)
    recipes = RecipeFields.from_table(table, sites)
    matching = np.column_stack([scope.matching_fields(recipes) for scope in scopes.values()])
    names = np.array(list(scopes), dtype=object)
    order = np.argsort(-matching, axis=1, kind="stable")
    return [tuple(names[row[counts[row] >= 0]]) for row, counts in zip(order, matching, strict=True)]


def _range(values: Floats) -> tuple[float, float]:
    return float(np.nanmin(values)), float(np.nanmax(values))
