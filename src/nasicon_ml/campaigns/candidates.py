"""The candidates of a search space among which a batch is chosen: the most promising, and some from everywhere.

A space holds up to millions of recipes, and a covariance of all with all would not fit into memory. All are
scored in numbers (`nasicon_ml.screening`); the most promising are kept, and an evenly spread sample beside them,
so that what own pellets say of other parts of the space can be heard.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from nasicon_ml.arrays import Floats, Mask
from nasicon_ml.campaigns.goal import Goal
from nasicon_ml.columns import ROOM_TEMPERATURE_C, Column, Kind, is_missing
from nasicon_ml.composition import CHARGE_TOLERANCE, occupancies
from nasicon_ml.features.distances import composition_points, laboratory_distances, recipe_space
from nasicon_ml.model import PropertyModel
from nasicon_ml.screening.engine import Progress, screen
from nasicon_ml.screening.objectives import Answers, Desirability, Objective, Question
from nasicon_ml.screening.result import recipes_at
from nasicon_ml.screening.scoring import Effort
from nasicon_ml.screening.space import SearchSpace

#: So many of the most promising recipes, and so many from everywhere.
PROMISING = 700
SPREAD = 300
#: Distances below this are rounding.
_SAME = 1e-4
_LEVEL = 0.9


@dataclass(frozen=True)
class Promise(Objective):
    """How much a recipe may improve on a conductivity, its conditions considered, each recipe by itself."""

    goal: Goal  # what is wanted
    # What is to be improved on, in log10(S/cm); None: the upper end of the interval is what counts.
    log10_s_cm: float | None
    name: str = field(default="promise", init=False)

    def values(self, answers: Answers) -> Floats:
        """Return expected improvement in decades or desirability, times the chance to count; shape (n,)."""
        numbers, goal = answers.numbers, self.goal
        found = Desirability(goal.wishes).values(answers) if goal.wishes else self._improvement(answers)
        if goal.min_density_pct is not None:
            reaches = numbers[Column.PREDICTED_RELATIVE_DENSITY_UPPER_PCT] >= goal.min_density_pct
            found = np.where(reaches, found, 0.0)
        if goal.min_purity is not None:
            purity = numbers[Column.PREDICTED_PHASE_PURITY]
            found = np.where(purity < goal.min_purity, 0.0, found * purity)
        return np.asarray(found, dtype=np.float64)

    def _improvement(self, answers: Answers) -> Floats:
        upper_s_cm = np.asarray(answers.numbers[Column.PREDICTED_CONDUCTIVITY_UPPER_S_CM], dtype=np.float64)
        if self.log10_s_cm is None:
            return upper_s_cm
        point = np.log10(answers.numbers[Column.PREDICTED_CONDUCTIVITY_S_CM])
        spread = np.maximum(np.log10(upper_s_cm) - point, 1e-6) / norm.ppf((1.0 + answers.level) / 2.0)
        ahead = (point - self.log10_s_cm) / spread
        return np.asarray(spread * (ahead * norm.cdf(ahead) + norm.pdf(ahead)))

    def describe(self) -> str:
        """Return what it is, in words."""
        return f"promise of {self.goal.describe()}"

    def to_json(self) -> dict[str, Any]:
        """Return name and settings by name."""
        return {"name": self.name, "goal": self.goal.to_json(), "log10_s_cm": self.log10_s_cm}


@dataclass(frozen=True)
class Search:
    """Where candidates come from."""

    space: SearchSpace  # in which to look
    model: PropertyModel  # who answers; own pellets are not considered yet
    goal: Goal  # what is wanted
    best: float | None = None  # value of the best own pellet, as `Goal.values` gives it; None without one
    inside_only: bool = True  # whether recipes outside the known domain are left out
    seed: int = 0  # of the evenly spread sample

    def shortlist(self, effort: Effort | None, progress: Callable[[Progress], None]) -> pd.DataFrame:
        """Return the candidates: all recipes of a small space, at most `PROMISING` + `SPREAD` of a large one.

        They are different, in the order of the space; those whose charges do not add up are left out. Effort and
        progress are those of `nasicon_ml.screening.engine.screen`.
        """
        promise = Promise(self.goal, None if self.goal.wishes else self.best)
        question = Question(promise, PROMISING, _LEVEL, ROOM_TEMPERATURE_C, inside_only=self.inside_only)
        if self.space.size <= PROMISING + SPREAD:
            numbers = self.space.chunk(0, self.space.size).numbers
        else:
            found = screen(self.space, self.model, question, effort, progress=progress)
            spread = self.space.sample(SPREAD, seed=self.seed).chosen
            numbers = np.union1d(found.aggregate.kept.numbers, spread)
        candidates = self.space.at(numbers)
        sites = candidates.sites
        is_balanced = sites.per_row(np.abs(sites.charge_imbalance) <= CHARGE_TOLERANCE)
        recipes = recipes_at(self.space, question, candidates.numbers[is_balanced])
        if self.inside_only and len(recipes):
            inside = np.asarray(self.model.scores(recipes)[Column.INSIDE_DOMAIN], dtype=np.bool_)
            recipes = recipes[inside].reset_index(drop=True)
        return recipes


def already_made(recipes: pd.DataFrame, own: pd.DataFrame) -> Mask:
    """Return which recipes are those of own pellets in all that either states; shape (n,)."""
    return np.asarray(same_recipe(recipes, own).any(axis=1))


def same_recipe(recipes: pd.DataFrame, others: pd.DataFrame) -> Mask:
    """Return which recipes are those of others in all that either states; shape (n, n_others)."""
    if recipes.empty or others.empty:
        return np.zeros((len(recipes), len(others)), dtype=np.bool_)
    zeros = np.zeros(len(recipes)), np.zeros(len(others))
    far = laboratory_distances(recipe_space(recipes), recipe_space(others), *zeros)
    return np.asarray((far.composition < _SAME) & (far.processing < _SAME))


def outside_space(own: pd.DataFrame, space: SearchSpace) -> list[str]:
    """Return for each own pellet the field in which it lies outside a space; "" for those within.

    Numbers are within from the least to the largest of the space, texts where the space has them; what the space
    does not state, or the pellet, says nothing.
    """
    sites = occupancies(own[Column.FORMULA].to_list())
    compositions = space.axes.compositions
    every = np.arange(len(compositions))
    theirs = composition_points(compositions.occupancies(every, every))
    known = [np.abs(theirs - one).max(axis=1).min() < _SAME for one in composition_points(sites)]
    reasons = ["" if known[at] else str(Column.FORMULA) for at in sites.index]
    for axis in space.axes.fields:
        for column, cells in axis.cells.items():
            stated = [cell for cell in cells if cell is not None]
            if not stated or column not in own:
                continue
            for row, value in enumerate(own[column].tolist()):
                is_within = min(stated) <= value <= max(stated) if column.kind is Kind.NUMBER else value in stated
                if not is_missing(value) and not is_within and not reasons[row]:
                    reasons[row] = str(column)
    return reasons
