"""Recommendation of the next pellets to make from a search space, own pellets and a goal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from nasicon_ml.arrays import Floats, Mask
from nasicon_ml.campaigns.acquisition import (
    METHODS,
    CandidateSearch,
    Pick,
    Posterior,
    already_made,
    choose,
    outside_space,
    posterior,
)
from nasicon_ml.campaigns.folder import BATCH, Campaign
from nasicon_ml.campaigns.goal import Goal, Outcomes
from nasicon_ml.columns import MODEL_INPUT, ROOM_TEMPERATURE_C, Column, Kind, Role, columns_of
from nasicon_ml.composition import occupancies
from nasicon_ml.data.own_pellets import own_pellets
from nasicon_ml.errors import FieldError, NasiconError, nearest
from nasicon_ml.estimators.own_pellets import known_pellets
from nasicon_ml.estimators.targets import TargetName, on_learned_scale, training_rows
from nasicon_ml.features.distances import recipe_space
from nasicon_ml.model import PropertyModel
from nasicon_ml.plots.recipes import CANDIDATE, OWN, PROPOSED
from nasicon_ml.screening.space import SearchSpace
from nasicon_ml.screening.specification import check_integer
from nasicon_ml.workflows.predict import Prediction, default_bundle, loaded_model

if TYPE_CHECKING:
    from nasicon_ml.screening.engine import Progress
    from nasicon_ml.screening.scoring import Effort


#: Largest size of a batch.
MOST_BATCH = 50
#: The reason of a member is its high expected value if it is in this top share of the candidates.
_HIGH_SHARE = 0.05
#: A value is unexplored if less than this share of the measured pellets of the system has a similar one.
_RARE_SHARE = 0.05
#: A system with fewer measured conductivities is unexplored as a whole.
_FEW_PELLETS = 5
#: Temperatures are similar within this many °C, other numbers within this factor.
_SIMILAR_C, _SIMILAR_FACTOR = 50.0, 2.0
_X = "x"
#: A batch with a lower probability of beating the best own pellet gets a note.
_UNLIKELY = 0.005
#: A pellet counts if it satisfies the conditions of the goal with at least this probability.
_LEAST_PROBABILITY = 0.5


@dataclass(frozen=True)
class BatchOptions:
    """Options of a recommendation.

    Attributes
    ----------
    goal
        The goal; by default the highest conductivity at 25 °C.
    size
        Number of pellets, 1 to `MOST_BATCH`.
    method
        "expected-improvement" or "thompson" (`nasicon_ml.campaigns.acquisition`).
    inside_only
        Whether recipes outside the known domain are left out.
    seed
        Seed of the draws; the same seed gives the same batch.
    """

    goal: Goal = field(default_factory=Goal)
    size: int = 3
    method: str = METHODS[0]
    inside_only: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        check_integer("batch", self.size, 1, MOST_BATCH)
        check_integer("seed", self.seed, 0, 2**32 - 1)
        if self.method not in METHODS:
            raise FieldError("method", self.method, ", ".join(METHODS), nearest(self.method, METHODS))


@dataclass(frozen=True)
class Recommendation:
    """The next pellets to make.

    Attributes
    ----------
    options
        The options of the recommendation.
    candidates
        The recipes from which the batch was chosen, with the distribution of their results.
    picks
        The batch, in order.
    own
        The own pellets as they were read; None without any.
    best
        Value of the best own pellet that counts (log10(S/cm) at 25 °C, or desirability); None without one.
    best_pellet
        Key of the best own pellet that counts; None without one.
    made
        Number of candidates that were left out because an own pellet was already made from them.
    outside
        For each own pellet the field in which it is outside the space, or "" if it is inside.
    model
        The model that predicted the candidates.
    """

    options: BatchOptions
    candidates: Posterior
    picks: tuple[Pick, ...]
    own: pd.DataFrame | None
    best: float | None
    best_pellet: str | None
    made: int
    outside: tuple[str, ...]
    model: PropertyModel

    @cached_property
    def batch(self) -> Prediction:
        """The recipes of the batch with their answers, conditioned on own pellets."""
        rows = [pick.row for pick in self.picks]
        recipes = self.candidates.recipes.iloc[rows].reset_index(drop=True)
        answers = self.model.answer(recipes, own=self.own)
        return Prediction(recipes, answers, self.model, 0.9)

    @cached_property
    def notes(self) -> list[str]:
        """Notes on the whole batch: unreachable density, unlikely improvement, fewer members than requested."""
        goal, answers, notes = self.options.goal, self.candidates.answers.numbers, []
        dense = float(np.max(answers[Column.PREDICTED_RELATIVE_DENSITY_UPPER_PCT]))
        if goal.min_density_pct is not None and dense < goal.min_density_pct:
            notes.append(
                f"no candidate is likely to reach {goal.min_density_pct:g} % density, the densest {dense:.1f} % at"
                " most (90 % interval): ask for less, or widen the space"
            )
        if self.best is not None and max(pick.probability_better for pick in self.picks) < _UNLIKELY:
            notes.append(
                f"none of the batch is likely to be better than {self.best_pellet}: it is what teaches most; is"
                f" all right with the results of {self.best_pellet}?"
            )
        if len(self.picks) < self.options.size:
            notes.append(
                f"{len(self.picks)} in place of {self.options.size}: every other candidate would teach the same as"
                " one of them, or cannot be what is wanted"
            )
        return notes

    @cached_property
    def reasons(self) -> list[str]:
        """The reason for each member of the batch, one sentence each."""
        return [self._reason(pick) for pick in self.picks]

    def frame(self) -> pd.DataFrame:
        """Return a row for each member: recipe, answers, expected improvement, information gain and reason."""
        return self.batch.frame().assign(
            probability_better=[pick.probability_better for pick in self.picks],
            expected_improvement=[pick.expected_improvement for pick in self.picks],
            learned_share=[pick.variance_share for pick in self.picks],
            reason=self.reasons,
        )

    def map_points(self) -> tuple[pd.DataFrame, tuple[str, str], str]:
        """Return the arguments of `nasicon_ml.plots.batch_map`: candidates, own pellets and batch over two fields.

        The fields are the two that individually explain most of the variance of the expected values of candidates.
        """
        expected = self.options.goal.values(self.candidates.expected())
        fields = _fields(self.candidates.recipes)
        # A field that does not vary explains no variance and comes last.
        first, second = sorted(fields, key=lambda name: -_explained_variance(expected, fields[name]))[:2]
        parts = [(CANDIDATE, fields, expected)]
        if self.own is not None:
            parts.append((OWN, _fields(self.own), self.options.goal.values(own_outcomes(self.own, self.model))))
        rows = [pick.row for pick in self.picks]
        parts.append((PROPOSED, {name: cells.iloc[rows] for name, cells in fields.items()}, expected[rows]))
        points = pd.concat(
            [
                pd.DataFrame({"first": cells[first], "second": cells[second], "value": values, "kind": kind})
                for kind, cells, values in parts
            ],
            ignore_index=True,
        )
        value = "desirability" if self.options.goal.wishes else "log10 of the conductivity in S/cm, 25 °C"
        return points, (_label(first), _label(second)), value

    def _reason(self, pick: Pick) -> str:
        values = self.options.goal.values(self.candidates.expected())
        rank = int((values > values[pick.row]).sum()) + 1
        parts = []
        if rank <= max(3, _HIGH_SHARE * len(values)):
            quantity = "desirability" if self.options.goal.wishes else "conductivity"
            parts.append(f"high expected {quantity} (number {rank} of {len(values):,})")
        if explored := self._explored_field(pick.row):
            parts.append(f"explores {explored}")
        if not parts:
            parts.append(
                f"settles {_percent(pick.variance_share)} of what is open about the candidates' conductivity"
            )
        return "; ".join(parts)

    def _explored_field(self, row: int) -> str:
        """Describe the field whose value is rarest among measured pellets of the system; "" if none is rare.

        Fields in which an own pellet is similar to the recipe are skipped.
        """
        recipe, system = self.candidates.recipes.iloc[row], self.candidates.answers.numbers[Column.SYSTEM][row]
        pellets = self.model.pellets
        measured = pellets[(pellets[Column.SYSTEM] == system) & pellets[Column.CONDUCTIVITY_TOTAL_S_CM].notna()]
        own = measured.iloc[:0] if self.own is None else self.own[self.own[Column.SYSTEM] == system]
        if len(measured) + len(own) < _FEW_PELLETS:
            return f"{system}, of which {len(measured) + len(own) or 'no'} conductivities are measured"
        least_share, text = _RARE_SHARE, ""
        for column in columns_of(Role.PROCESSING):
            value, stated = recipe[column], measured[column].dropna()
            if pd.isna(value) or column is Column.ADDITIVE or stated.empty:
                continue
            if _is_similar(own[column].dropna(), value, column).any():
                continue
            count = int(_is_similar(stated, value, column).sum())
            if count < least_share * len(stated):
                least_share = count / len(stated)
                shown = f"{value:g} {column.unit}".strip() if column.kind is Kind.NUMBER else str(value)
                text = (
                    f"{column.label} {shown}, like {count or 'none'} of the {len(stated)} measured of {system}"
                    " that state it"
                )
        return text


def _fields(recipes: pd.DataFrame) -> dict[str, pd.Series]:
    """Return substitution and system of the compositions, and the processing fields, by name."""
    sites = occupancies(recipes[Column.FORMULA].to_list())
    fields = {
        _X: pd.Series(np.round(sites.per_row(sites.x), 4)),
        str(Column.SYSTEM): pd.Series(sites.per_row(sites.systems)),
    }
    table = recipes.reset_index(drop=True)
    return fields | {str(c): table[str(c)] for c in columns_of(Role.PROCESSING) if c is not Column.ADDITIVE_UNIT}


def _percent(share: float | None) -> str:
    return f"{100 * (share or 0.0):.0f} %"


def _explained_variance(values: Floats, cells: pd.Series) -> float:
    """Return the share of the variance of values that a field explains."""
    groups, known = cells.astype(object).where(cells.notna(), "").to_numpy(), np.isfinite(values)
    means = pd.Series(values[known]).groupby(groups[known]).transform("mean").to_numpy()
    return float(np.var(means) / max(float(np.var(values[known])), 1e-12))


def _label(name: str) -> str:
    return "net substitution x" if name == _X else next(c for c in Column if c == name).axis_label


def _is_similar(stated: pd.Series, value: object, column: Column) -> pd.Series:
    """Return which stated values are similar to a value of a recipe."""
    if column.kind is not Kind.NUMBER:
        return stated == value
    numbers, number = stated.astype(float), float(str(value))
    if column.unit == "°C":
        return (numbers - number).abs() <= _SIMILAR_C
    return numbers.between(number / _SIMILAR_FACTOR, number * _SIMILAR_FACTOR)


def recommend(
    space: SearchSpace | str | Path,
    own: str | Path | pd.DataFrame | None = None,
    options: BatchOptions | None = None,
    *,
    model: PropertyModel | str | Path | None = None,
    effort: Effort | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Recommendation:
    """Recommend which pellets to make next.

    Parameters
    ----------
    space
        A search space, or its YAML file (docs/search-spaces.md).
    own
        Own measured pellets, a file or a table (`nasicon_ml.data.own_pellets.own_pellets`). Their recipes are not
        proposed again.
    options
        The goal, the number of pellets and the method.
    model
        A model, a bundle folder, or None for the default model.
    effort, progress
        Options of the screening of large spaces, as for `nasicon_ml.screening.engine.screen`.

    Raises
    ------
    NasiconError
        If the space contains no recipe that is inside the domain, not yet made, and able to satisfy the goal.
    BundleError
        If the model cannot be loaded, or does not support own pellets.
    DatasetError
        If rows of the own pellets are invalid.
    """
    options = options or BatchOptions()
    goal = options.goal
    space = space if isinstance(space, SearchSpace) else SearchSpace.from_yaml(space)
    if not isinstance(model, PropertyModel):
        model = loaded_model(default_bundle() if model is None else model)
    pellets = None if own is None else own_pellets(own)
    best, best_pellet = best_own_pellet(pellets, goal, model)
    search = CandidateSearch(space, model, goal, best, inside_only=options.inside_only, seed=options.seed)
    recipes, made = _not_made(search.shortlist(effort, progress), pellets, search)
    candidates = posterior(model, recipes, pellets)
    picks = choose(candidates, goal, best, options.size, method=options.method, seed=options.seed)
    if not picks:
        expected = candidates.expected()
        if np.isnan(goal.values(expected)).all():
            raise NasiconError(
                f"{space.name}: no recipe states its sintering temperature, by which it is to be judged; state it"
                " in the space"
            )
        raise NasiconError(
            f"{space.name}: no recipe is at least {_percent(goal.min_purity)} likely to be phase pure, the"
            f" likeliest {_percent(float(np.nanmax(expected.purity)))}: ask for less, or widen the space"
        )
    outside = () if pellets is None else tuple(outside_space(pellets, space))
    return Recommendation(options, candidates, tuple(picks), pellets, best, best_pellet, made, outside, model)


def _not_made(
    recipes: pd.DataFrame, own: pd.DataFrame | None, search: CandidateSearch
) -> tuple[pd.DataFrame, int]:
    """Return the recipes from which no own pellet was made, and the number of the others."""
    if recipes.empty:
        where = " inside the known domain; recipes outside must be requested" if search.inside_only else ""
        raise NasiconError(f"{search.space.name}: the space holds no recipe{where}")
    made: Mask = np.zeros(len(recipes), dtype=np.bool_) if own is None else already_made(recipes, own)
    if made.all():
        raise NasiconError(
            f"{search.space.name}: own pellets have made every recipe of it ({len(recipes)}); widen the space"
        )
    return recipes[~made].reset_index(drop=True), int(made.sum())


def best_own_pellet(own: pd.DataFrame | None, goal: Goal, model: PropertyModel) -> tuple[float | None, str | None]:
    """Return value and key of the best own pellet that counts (`own_outcomes`); None and None without one."""
    if own is None:
        return None, None
    outcomes = own_outcomes(own, model)
    values = np.where(goal.acceptance(outcomes) >= _LEAST_PROBABILITY, goal.values(outcomes), np.nan)
    if np.isnan(values).all():
        return None, None
    row = int(np.nanargmax(values))
    return float(values[row]), str(own[Column.PELLET_ID].iloc[row])


def own_outcomes(own: pd.DataFrame, model: PropertyModel) -> Outcomes:
    """Return the results of own pellets, arrays of shape (n,).

    Conductivities are converted to 25 °C, and are NaN where none was measured. A density or purity that a pellet
    does not report is replaced by the prediction, conditioned on the own pellets.
    """
    log10 = np.full(len(own), np.nan)
    measured = model.known(own)[TargetName.CONDUCTIVITY].measured
    log10[training_rows(own, TargetName.CONDUCTIVITY).rows] = measured
    answers = model.answer(own[[str(column) for column in MODEL_INPUT]], own=own).numbers
    density = own[Column.RELATIVE_DENSITY_PCT].to_numpy(dtype=np.float64)
    pure = own[Column.PHASE_PURE].astype("boolean").to_numpy(dtype=np.float64, na_value=np.nan)
    return Outcomes(
        log10,
        np.where(np.isnan(density), answers[Column.PREDICTED_RELATIVE_DENSITY_PCT], density),
        np.where(np.isnan(pure), answers[Column.PREDICTED_PHASE_PURITY], pure).astype(np.float64),
        own[Column.SINTERING_TEMPERATURE_C].to_numpy(dtype=np.float64),
    )


def next_batch(
    campaign: Campaign,
    *,
    model: PropertyModel | str | Path | None = None,
    effort: Effort | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Recommendation:
    """Recommend the next batch of a campaign; parameters and errors as for `recommend`."""
    settings = campaign.settings
    number = 0 if campaign.batches.empty else int(campaign.batches[BATCH].max())
    options = BatchOptions(settings.goal, settings.batch, settings.method, not settings.outside, seed=number)
    return recommend(
        campaign.space, campaign.pellets, options, model=model or settings.model, effort=effort, progress=progress
    )


def campaign_history(pellets: pd.DataFrame, goal: Goal, model: PropertyModel) -> pd.DataFrame:
    """Return the history of a campaign: each pellet, the best so far, and the prediction before it was made.

    Parameters
    ----------
    pellets
        Own pellets in the order in which they were made, as `own_pellets` reads them; n rows.
    goal
        The goal of the campaign.
    model
        The model that predicts.

    Returns
    -------
    pandas.DataFrame
        n rows: pellet_id; value (`Goal.values`) and best (the highest so far of pellets that count); for the
        conductivity, in log10(S/cm) at 25 °C: measured, predicted with the preceding pellets, lower and upper
        (90 %), and predicted_without any pellet; NaN where there is none.
    """
    recipes = pellets[[str(column) for column in MODEL_INPUT]].assign(
        **{Column.MEASUREMENT_TEMPERATURE_C.value: ROOM_TEMPERATURE_C}
    )
    without, half = on_learned_scale(TargetName.CONDUCTIVITY, model.answer(recipes).numbers)
    learned, space = model.learned(recipes), recipe_space(recipes)
    predicted, width = without.copy(), np.ones(len(pellets))
    for row in range(1, len(pellets)):
        known = known_pellets(
            model.own, pellets.iloc[:row], {name: all_rows[:row] for name, all_rows in learned.items()}
        )
        query = np.array([row])
        change = known[TargetName.CONDUCTIVITY].correction(
            space.take(query), learned[TargetName.CONDUCTIVITY][query]
        )
        predicted[row] += change.shift[0]
        width[row] = change.width_factor[0]
    outcomes = own_outcomes(pellets, model)
    values = goal.values(outcomes)
    counting = np.where(goal.acceptance(outcomes) >= _LEAST_PROBABILITY, values, np.nan)
    return pd.DataFrame(
        {
            str(Column.PELLET_ID): pellets[Column.PELLET_ID].to_numpy(dtype=object),
            "value": values,
            "best": np.fmax.accumulate(counting) if len(counting) else counting,
            "measured": outcomes.log10_conductivity,
            "predicted": predicted,
            "lower": predicted - half * width,
            "upper": predicted + half * width,
            "predicted_without": without,
        }
    )
