"""What measuring a recipe promises: the candidates of a space, their joint answers, and the batch that gains most.

A space holds up to millions of recipes, and a covariance of all with all would not fit into memory. All are
scored in numbers (`nasicon_ml.screening`); the most promising are kept, and an evenly spread sample beside them,
so that what own pellets say of other parts of the space can be heard.

The expected improvement of a batch is the mean, over draws of what all candidates come to, of how far its best
pellet that counts lies above the best one made so far (parallel expected improvement: Ginsbourger et al.,
10.1007/978-3-642-10701-6_6). The batch is built greedily, each member given those before it, over the same draws
(sample average approximation: Wilson et al., 10.48550/arXiv.1805.10196): what a member would improve that an
earlier one improves already counts once, which makes members differ. Conditions enter as the share of draws in
which a pellet satisfies them (Gardner et al., 10.48550/arXiv.1403.5607). Thompson sampling takes the best
candidate of one draw for each member (Kandasamy et al., 10.48550/arXiv.1705.09236).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.linalg import cholesky
from scipy.stats import norm

from nasicon_ml.arrays import Floats, Mask
from nasicon_ml.campaigns.goal import Goal, Outcomes
from nasicon_ml.columns import ROOM_TEMPERATURE_C, Column, Kind, is_missing
from nasicon_ml.composition import CHARGE_TOLERANCE, occupancies
from nasicon_ml.errors import BundleError
from nasicon_ml.estimators.joint import RecipePoints, error_covariance
from nasicon_ml.estimators.own_pellets import KnownPellets, OwnKernel, attenuation, bounded_log_odds
from nasicon_ml.estimators.targets import ANSWERS, TARGETS, TargetName, on_learned_scale
from nasicon_ml.features.distances import laboratory_distances, recipe_space, site_amounts
from nasicon_ml.model import Answers, PropertyModel
from nasicon_ml.screening import objectives
from nasicon_ml.screening.engine import Progress, screen
from nasicon_ml.screening.objectives import Desirability, Objective, Question
from nasicon_ml.screening.result import recipes_at
from nasicon_ml.screening.scoring import Effort
from nasicon_ml.screening.space import SearchSpace

#: So many of the most promising recipes, and so many from everywhere.
PROMISING = 700
SPREAD = 300
#: Distances below this are rounding.
_SAME = 1e-4
#: Level of the intervals from whose width the spread of each answer is taken.
_LEVEL = 0.9
_JITTER = 1e-6


@dataclass(frozen=True)
class Promise(Objective):
    """How much a recipe may improve on a conductivity, its conditions considered, each recipe by itself."""

    goal: Goal  # what is wanted
    # What is to be improved on, in log10(S/cm); None: the upper end of the interval is what counts.
    log10_s_cm: float | None
    name: str = field(default="promise", init=False)

    def values(self, answers: objectives.Predictions) -> Floats:
        """Return expected improvement in decades or desirability, times the chance to count; shape (n,)."""
        numbers, goal = answers.columns, self.goal
        found = Desirability(goal.wishes).values(answers) if goal.wishes else self._improvement(answers)
        if goal.min_density_pct is not None:
            reaches = numbers[Column.PREDICTED_RELATIVE_DENSITY_UPPER_PCT] >= goal.min_density_pct
            found = np.where(reaches, found, 0.0)
        if goal.min_purity is not None:
            purity = numbers[Column.PREDICTED_PHASE_PURITY]
            found = np.where(purity < goal.min_purity, 0.0, found * purity)
        return np.asarray(found, dtype=np.float64)

    def _improvement(self, answers: objectives.Predictions) -> Floats:
        upper_s_cm = np.asarray(answers.columns[Column.PREDICTED_CONDUCTIVITY_UPPER_S_CM], dtype=np.float64)
        if self.log10_s_cm is None:
            return upper_s_cm
        point = np.log10(answers.columns[Column.PREDICTED_CONDUCTIVITY_S_CM])
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
            numbers = self.space.chunk(0, self.space.size).positions
        else:
            found = screen(self.space, self.model, question, effort, progress=progress)
            spread = self.space.sample(SPREAD, seed=self.seed).chosen
            numbers = np.union1d(found.aggregate.kept.positions, spread)
        candidates = self.space.at(numbers)
        sites = candidates.sites
        is_balanced = sites.per_row(np.abs(sites.charge_imbalance) <= CHARGE_TOLERANCE)
        recipes = recipes_at(self.space, question, candidates.positions[is_balanced])
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
    theirs = site_amounts(compositions.occupancies(every, every))
    known = [np.abs(theirs - one).max(axis=1).min() < _SAME for one in site_amounts(sites)]
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


#: How far a laboratory may contradict predicted differences
#: (`nasicon_ml.estimators.own_pellets.KnownPellets.trust_deviation`).
#: For the out-of-fold errors of the sources of the dataset the marginal likelihood is highest at 0.4 to 0.5 for
#: conductivity and at 0 for density. It keeps a campaign from being led by a model that is wrong about its
#: laboratory (docs/campaigns.md#does-it-help); predictions hardly change with it, and do without.
SLOPES = {TargetName.CONDUCTIVITY: 0.4}


@dataclass(frozen=True)
class Normal:
    """One property of n recipes, on the scale the model learns (log-odds of purity)."""

    mean: Floats  # shape (n,)
    shared: Floats  # covariance of what a recipe comes to however often it is made, shape (n, n)
    alone: Floats  # variance of a pellet beside its recipe, shape (n,)

    def draws(self, count: int, random: np.random.Generator) -> Floats:
        """Draw what the recipes come to; shape (count, n)."""
        jitter = _JITTER * float(np.mean(np.diagonal(self.shared)) + _JITTER)
        factor = cholesky(self.shared + jitter * np.eye(len(self.mean)), lower=True)
        return np.asarray(self.mean + random.standard_normal((count, len(self.mean))) @ factor.T)

    def correlation(self, row: int) -> Floats:
        """Return the correlation of every recipe with one of them, shape (n,)."""
        deviation = np.sqrt(np.maximum(np.diagonal(self.shared), _JITTER**2))
        return np.asarray(self.shared[row] / deviation / deviation[row])

    def settled(self) -> Floats:
        """Return how much variance of all recipes together a pellet of each would take away, shape (n,)."""
        own = np.diagonal(self.shared) + self.alone + _JITTER**2
        return np.asarray((self.shared**2).sum(axis=0) / own)

    def after(self, row: int) -> Normal:
        """Return what is left open once a pellet of one recipe is measured; means stay."""
        column = self.shared[:, row]
        told = np.outer(column, column) / (self.shared[row, row] + self.alone[row] + _JITTER**2)
        return Normal(self.mean, self.shared - told, self.alone)


@dataclass(frozen=True)
class Posterior:
    """What n recipes may come to in one laboratory."""

    recipes: pd.DataFrame  # columns `nasicon_ml.columns.MODEL_INPUT`, n rows
    # What the model answers without own pellets, but for the phase purity, which takes them into account.
    answers: Answers
    properties: Mapping[TargetName, Normal]  # conductivity, density and phase purity

    @property
    def conductivity(self) -> Normal:
        """Of the conductivity at 25 °C, in decades."""
        return self.properties[TargetName.CONDUCTIVITY]

    def draws(self, count: int, random: np.random.Generator, needed: Collection[TargetName] = ANSWERS) -> Outcomes:
        """Draw what the recipes come to, however often each is made: arrays of shape (count, n).

        Properties that are not needed are as the model expects them.
        """
        drawn = {
            name: normal.draws(count, random)
            if name in needed
            else np.broadcast_to(normal.mean, (count, len(normal.mean)))
            for name, normal in self.properties.items()
        }
        purity = 0.5 * (1.0 + np.tanh(drawn[TargetName.PHASE_PURITY] / 2.0))
        density = TARGETS[TargetName.RELATIVE_DENSITY].inverse(drawn[TargetName.RELATIVE_DENSITY])
        return Outcomes(drawn[TargetName.CONDUCTIVITY], density, purity, self._fired_c)

    def single_pellets(self, recipes: Outcomes, random: np.random.Generator) -> Outcomes:
        """Return what one pellet of each drawn recipe comes to: it scatters about its recipe."""
        density = TARGETS[TargetName.RELATIVE_DENSITY]
        scatter = {
            name: random.standard_normal(recipes.purity.shape) * np.sqrt(self.properties[name].alone)
            for name in (TargetName.CONDUCTIVITY, TargetName.RELATIVE_DENSITY)
        }
        return replace(
            recipes,
            log10_conductivity=recipes.log10_conductivity + scatter[TargetName.CONDUCTIVITY],
            density_pct=density.inverse(
                density.forward(recipes.density_pct) + scatter[TargetName.RELATIVE_DENSITY]
            ),
        )

    def expected(self) -> Outcomes:
        """Return what is expected of the recipes, as outcomes of shape (n,)."""
        density = self.properties[TargetName.RELATIVE_DENSITY].mean
        return Outcomes(
            self.conductivity.mean,
            TARGETS[TargetName.RELATIVE_DENSITY].inverse(density),
            self.answers.numbers[Column.PREDICTED_PHASE_PURITY],
            self._fired_c,
        )

    @property
    def _fired_c(self) -> Floats:
        return self.recipes[Column.SINTERING_TEMPERATURE_C].to_numpy(dtype=np.float64)


def posterior(model: PropertyModel, recipes: pd.DataFrame, own: pd.DataFrame | None) -> Posterior:
    """Return what pellets of some recipes may come to together, own ones considered; conductivity at 25 °C.

    The covariance is that of own pellets (`nasicon_ml.estimators.own_pellets`), scaled so that every recipe keeps
    the width of its own interval.

    Raises
    ------
    BundleError
        If the model does not know how errors on pellets of one laboratory go together.
    """
    if not model.own:
        raise BundleError(
            "this model cannot recommend pellets: the version that trained it did not estimate how errors on"
            " pellets of one laboratory go together; train again with this one"
        )
    recipes = recipes.assign(**{Column.MEASUREMENT_TEMPERATURE_C.value: ROOM_TEMPERATURE_C})
    answers = model.answer(recipes, level=_LEVEL)
    known, learned, space = model.known(own), model.learned(recipes), recipe_space(recipes)
    found = {}
    for name in ANSWERS:
        kernel, points = model.own[name], RecipePoints.from_learned(name, space, learned[name])
        if TARGETS[name].is_probability:
            purity = learned[name]
            if name in known:
                purity = known[name].probability(space, purity)
            shared = _shared(name, kernel, points, known.get(name))
            mean = attenuation(np.maximum(np.diagonal(shared), _JITTER)) * bounded_log_odds(purity)
            found[name] = Normal(mean, shared, np.full(len(recipes), kernel.noise**2))
            answers = replace(answers, numbers={**answers.numbers, Column.PREDICTED_PHASE_PURITY: purity})
        else:
            found[name] = normal_after(
                name, kernel, points, on_learned_scale(name, answers.numbers), known.get(name)
            )
    return Posterior(recipes, answers, found)


def normal_after(
    name: TargetName,
    kernel: OwnKernel,
    points: RecipePoints,
    interval: tuple[Floats, Floats],
    known: KnownPellets | None,
) -> Normal:
    """Return what n recipes may come to together; conductivity or density.

    `interval` is middle and half-width at 90 % of what one pellet of each comes to, on the scale the model learns,
    without own pellets. The covariance is scaled so that every recipe keeps its width.
    """
    mean, half = interval
    if known is not None:
        known = replace(known, trust_deviation=SLOPES.get(name, 0.0))
        change = known.correction(points.space, points.predicted)
        mean, half = mean + change.shift, half * change.width_factor
    shared = _shared(name, kernel, points, known)
    variance = np.maximum(np.diagonal(shared), _JITTER)
    scale = half / norm.ppf((1.0 + _LEVEL) / 2.0) / np.sqrt(variance + kernel.noise**2)
    return Normal(mean, shared * np.outer(scale, scale), (kernel.noise * scale) ** 2)


def _shared(name: TargetName, kernel: OwnKernel, points: RecipePoints, known: KnownPellets | None) -> Floats:
    shared = error_covariance(name, kernel, points, points, known)
    return np.asarray((shared + shared.T) / 2.0)


METHODS = ("expected-improvement", "thompson")
#: Draws over which expectations are taken: standard errors are below a twentieth of a standard deviation.
DRAWS = 1024
#: Recipes whose errors correlate more than this teach the same, and do not stand in one batch.
SAME_LESSON = 0.97


@dataclass(frozen=True)
class Pick:
    """A recipe of a batch."""

    row: int  # position among the candidates
    # Probability that one pellet of it counts and is better than the best pellet made so far; NaN without one.
    better: float
    # By how much it is expected to be better, decades or desirability, 0 where it is not; NaN without one.
    improvement: float
    # Share of what is open about the conductivity of all candidates, as variance, that a pellet of it would
    # settle, after those that stand before it in the batch.
    learned: float


def choose(
    posterior: Posterior,
    goal: Goal,
    best: float | None,
    batch: int,
    *,
    method: str = METHODS[0],
    draws: int = DRAWS,
    seed: int = 0,
) -> list[Pick]:
    """Choose a batch of recipes, or fewer where fewer may be chosen; none of a recipe whose value is NaN.

    `best` is the value of the best pellet made so far, as `Goal.values` gives it, None without one; `method` one
    of `METHODS`; the same seed gives the same batch.
    """
    random = np.random.default_rng(seed)
    drawn = posterior.draws(draws, random, goal.needed)
    values, counts = goal.values(drawn), goal.counts(drawn)
    is_made = random.random(counts.shape) < counts
    expected = posterior.expected()
    is_known = np.isfinite(goal.values(expected))
    if not is_known.any():
        return []
    # Without a pellet that counts any is better than none: by how far it is above the least of the candidates.
    start = np.full(draws, goal.values(expected)[is_known].min() if best is None else best)
    better, improvement = np.full((2, len(expected.purity)), np.nan)
    if best is not None:
        pellet = goal.values(posterior.single_pellets(drawn, random))
        better = (is_made & (pellet > best)).mean(axis=0)
        improvement = _gain(values, is_made, start)
    may = is_known if goal.min_purity is None else is_known & (expected.purity >= goal.min_purity)
    open_, whole = posterior.conductivity, float(np.trace(posterior.conductivity.shared))
    picks: list[Pick] = []
    best_so_far = start
    while len(picks) < batch and may.any():
        if method == METHODS[0]:
            score = _gain(values, is_made, best_so_far)
        else:
            score = np.where(is_made, values - start[:, None], 0.0)[len(picks) % draws]
        settled = open_.settled()
        if not score[may].max() > 0.0:  # nothing is gained in any draw: then what teaches most
            score = settled
        row = int(np.argmax(np.where(may, score, -np.inf)))
        picks.append(Pick(row, float(better[row]), float(improvement[row]), float(settled[row]) / whole))
        best_so_far = np.where(is_made[:, row], np.maximum(best_so_far, values[:, row]), best_so_far)
        may = may & (posterior.conductivity.correlation(row) < SAME_LESSON)
        may[row] = False
        open_ = open_.after(row)
    return picks


def _gain(values: Floats, is_made: Mask, above: Floats) -> Floats:
    """Return by how much each candidate is above something, on average over draws; shape (n,)."""
    return np.asarray(np.where(is_made, np.maximum(values - above[:, None], 0.0), 0.0).mean(axis=0))
