"""Selection of the next batch: candidates of a space, their joint predictions, and acquisition functions.

A space may contain millions of recipes, whose covariance matrix would not fit into memory. All recipes are
screened (`nasicon_ml.screening`), and the most promising ones are candidates. An evenly spread sample is added, so
that own pellets can also raise the predictions in other parts of the space.

The expected improvement of a batch is the mean, over joint draws of all candidates, of the improvement of its best
acceptable pellet on the best one made so far (parallel expected improvement: Ginsbourger et al.,
10.1007/978-3-642-10701-6_6). The batch is built greedily over the same draws, each member given the earlier ones
(sample average approximation: Wilson et al., 10.48550/arXiv.1805.10196). An improvement by several members counts
only once, which makes the members diverse. Conditions enter as the share of draws in which a pellet satisfies them
(Gardner et al., 10.48550/arXiv.1403.5607). Thompson sampling takes the best candidate of one draw for each member
(Kandasamy et al., 10.48550/arXiv.1705.09236).
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

#: Number of the most promising recipes, and of evenly spread ones, among the candidates.
PROMISING = 700
SPREAD = 300
#: Smaller distances are rounding errors.
_DISTANCE_TOLERANCE = 1e-4
#: Level of the intervals from which standard deviations are computed.
_LEVEL = 0.9
_JITTER = 1e-6


@dataclass(frozen=True)
class Promise(Objective):
    """Expected improvement of each recipe by itself, with the conditions of the goal."""

    goal: Goal
    # Conductivity to improve on, in log10(S/cm); None: the objective is the upper end of the interval.
    log10_s_cm: float | None
    name: str = field(default="promise", init=False)

    def values(self, predictions: objectives.Predictions) -> Floats:
        """Return the expected improvement in decades, or desirability, times the probability to be acceptable."""
        columns, goal = predictions.columns, self.goal
        values = Desirability(goal.wishes).values(predictions) if goal.wishes else self._improvement(predictions)
        if goal.min_density_pct is not None:
            may_be_dense = columns[Column.PREDICTED_RELATIVE_DENSITY_UPPER_PCT] >= goal.min_density_pct
            values = np.where(may_be_dense, values, 0.0)
        if goal.min_purity is not None:
            purity = columns[Column.PREDICTED_PHASE_PURITY]
            values = np.where(purity < goal.min_purity, 0.0, values * purity)
        return np.asarray(values, dtype=np.float64)

    def _improvement(self, predictions: objectives.Predictions) -> Floats:
        upper_s_cm = np.asarray(predictions.columns[Column.PREDICTED_CONDUCTIVITY_UPPER_S_CM], dtype=np.float64)
        if self.log10_s_cm is None:
            return upper_s_cm
        mean = np.log10(predictions.columns[Column.PREDICTED_CONDUCTIVITY_S_CM])
        deviation = np.maximum(np.log10(upper_s_cm) - mean, 1e-6) / norm.ppf((1.0 + predictions.level) / 2.0)
        z = (mean - self.log10_s_cm) / deviation
        return np.asarray(deviation * (z * norm.cdf(z) + norm.pdf(z)))

    def describe(self) -> str:
        """Return a description for reports."""
        return f"promise of {self.goal.describe()}"

    def to_json(self) -> dict[str, Any]:
        """Return the name and the settings as plain values."""
        return {"name": self.name, "goal": self.goal.to_json(), "log10_s_cm": self.log10_s_cm}


@dataclass(frozen=True)
class CandidateSearch:
    """Selection of the candidates for a batch from a space."""

    space: SearchSpace
    model: PropertyModel  # without own pellets
    goal: Goal
    best: float | None = None  # value of the best own pellet, as returned by `Goal.values`
    inside_only: bool = True  # whether recipes outside the known domain are excluded
    seed: int = 0  # seed of the evenly spread sample

    def shortlist(self, effort: Effort | None, progress: Callable[[Progress], None]) -> pd.DataFrame:
        """Return all recipes of a small space, or up to `PROMISING` + `SPREAD` of a large one, in their order.

        Recipes whose charges do not balance are excluded. `effort` and `progress` are those of
        `nasicon_ml.screening.engine.screen`.
        """
        promise = Promise(self.goal, None if self.goal.wishes else self.best)
        question = Question(promise, PROMISING, _LEVEL, ROOM_TEMPERATURE_C, inside_only=self.inside_only)
        if self.space.size <= PROMISING + SPREAD:
            candidates = self.space.chunk(0, self.space.size)
        else:
            result = screen(self.space, self.model, question, effort, progress=progress)
            spread = self.space.sample(SPREAD, seed=self.seed).chosen
            candidates = self.space.at(np.union1d(result.aggregate.kept.positions, spread))
        sites = candidates.sites
        is_balanced = sites.per_row(np.abs(sites.charge_imbalance) <= CHARGE_TOLERANCE)
        recipes = recipes_at(self.space, question, candidates.positions[is_balanced])
        if self.inside_only and len(recipes):
            inside = np.asarray(self.model.scores(recipes)[Column.INSIDE_DOMAIN], dtype=np.bool_)
            recipes = recipes[inside].reset_index(drop=True)
        return recipes


def already_made(recipes: pd.DataFrame, own: pd.DataFrame) -> Mask:
    """Return which recipes are equal to that of an own pellet in all fields that either states, shape (n,)."""
    return np.asarray(equal_recipes(recipes, own).any(axis=1))


def equal_recipes(recipes: pd.DataFrame, others: pd.DataFrame) -> Mask:
    """Return which recipes are equal to others in all fields that either states, shape (n, n_others)."""
    if recipes.empty or others.empty:
        return np.zeros((len(recipes), len(others)), dtype=np.bool_)
    zeros = np.zeros(len(recipes)), np.zeros(len(others))
    distances = laboratory_distances(recipe_space(recipes), recipe_space(others), *zeros)
    return np.asarray((distances.composition < _DISTANCE_TOLERANCE) & (distances.processing < _DISTANCE_TOLERANCE))


def outside_space(own: pd.DataFrame, space: SearchSpace) -> list[str]:
    """Return, for each own pellet, a field in which it lies outside a space; "" if there is none.

    A number is inside the space if it is between the smallest and the largest value, a text if it is one of the
    values. Fields that the space or the pellet does not state are ignored.
    """
    sites = occupancies(own[Column.FORMULA].to_list())
    compositions = space.axes.compositions
    every = np.arange(len(compositions))
    space_points = site_amounts(compositions.occupancies(every, every))
    is_inside = [
        np.abs(space_points - point).max(axis=1).min() < _DISTANCE_TOLERANCE for point in site_amounts(sites)
    ]
    fields = ["" if is_inside[composition] else str(Column.FORMULA) for composition in sites.index]
    for axis in space.axes.fields:
        for column, cells in axis.cells.items():
            stated = [cell for cell in cells if cell is not None]
            if not stated or column not in own:
                continue
            for row, value in enumerate(own[column].tolist()):
                is_within = min(stated) <= value <= max(stated) if column.kind is Kind.NUMBER else value in stated
                if not is_missing(value) and not is_within and not fields[row]:
                    fields[row] = str(column)
    return fields


#: Values of `nasicon_ml.estimators.own_pellets.KnownPellets.trust_deviation`: how much predicted differences may
#: be wrong in a laboratory. For the out-of-fold errors of the sources of the dataset, the marginal likelihood is
#: highest at 0.4 to 0.5 for the conductivity and at 0 for the density. This makes campaigns robust against a model
#: that is wrong about their laboratory (docs/campaigns.md#does-it-help); predictions hardly change with it.
SLOPES = {TargetName.CONDUCTIVITY: 0.4}


@dataclass(frozen=True)
class JointNormal:
    """Joint normal distribution of a property of n recipes, on the scale the model learns (log-odds of purity)."""

    mean: Floats  # shape (n,)
    covariance: Floats  # covariance of the means of all pellets of each recipe, shape (n, n)
    pellet_variance: Floats  # variance of single pellets about the mean of their recipe, shape (n,)

    def draws(self, count: int, random: np.random.Generator) -> Floats:
        """Draw the means of the recipes, shape (count, n)."""
        jitter = _JITTER * float(np.mean(np.diagonal(self.covariance)) + _JITTER)
        factor = cholesky(self.covariance + jitter * np.eye(len(self.mean)), lower=True)
        return np.asarray(self.mean + random.standard_normal((count, len(self.mean))) @ factor.T)

    def correlation(self, row: int) -> Floats:
        """Return the correlation of every recipe with one of them, shape (n,)."""
        deviation = np.sqrt(np.maximum(np.diagonal(self.covariance), _JITTER**2))
        return np.asarray(self.covariance[row] / deviation / deviation[row])

    def variance_reduction(self) -> Floats:
        """Return the reduction of the total variance of all recipes by a pellet of each recipe, shape (n,)."""
        measured_variance = np.diagonal(self.covariance) + self.pellet_variance + _JITTER**2
        return np.asarray((self.covariance**2).sum(axis=0) / measured_variance)

    def condition_on(self, row: int) -> JointNormal:
        """Return the distribution after a pellet of one recipe is measured, with unchanged means."""
        column = self.covariance[:, row]
        reduction = np.outer(column, column) / (self.covariance[row, row] + self.pellet_variance[row] + _JITTER**2)
        return JointNormal(self.mean, self.covariance - reduction, self.pellet_variance)


@dataclass(frozen=True)
class Posterior:
    """Joint predictions for n recipes in one laboratory."""

    recipes: pd.DataFrame  # columns `nasicon_ml.columns.MODEL_INPUT`, n rows
    # Answers of the model without own pellets, except for the phase purity, which takes them into account.
    answers: Answers
    properties: Mapping[TargetName, JointNormal]  # conductivity, density and phase purity

    @property
    def conductivity(self) -> JointNormal:
        """Distribution of the conductivity at 25 °C, in decades."""
        return self.properties[TargetName.CONDUCTIVITY]

    def draws(self, count: int, random: np.random.Generator, needed: Collection[TargetName] = ANSWERS) -> Outcomes:
        """Draw the mean outcomes of the recipes, arrays of shape (count, n).

        Properties that are not needed have their expected values.
        """
        drawn = {
            name: normal.draws(count, random)
            if name in needed
            else np.broadcast_to(normal.mean, (count, len(normal.mean)))
            for name, normal in self.properties.items()
        }
        purity = 0.5 * (1.0 + np.tanh(drawn[TargetName.PHASE_PURITY] / 2.0))
        density = TARGETS[TargetName.RELATIVE_DENSITY].inverse(drawn[TargetName.RELATIVE_DENSITY])
        return Outcomes(drawn[TargetName.CONDUCTIVITY], density, purity, self._sintering_c)

    def draw_pellets(self, recipes: Outcomes, random: np.random.Generator) -> Outcomes:
        """Draw the outcome of a single pellet for each drawn mean outcome of a recipe."""
        density = TARGETS[TargetName.RELATIVE_DENSITY]
        scatter = {
            name: random.standard_normal(recipes.purity.shape) * np.sqrt(self.properties[name].pellet_variance)
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
        """Return the expected outcomes of the recipes, shape (n,)."""
        density = self.properties[TargetName.RELATIVE_DENSITY].mean
        return Outcomes(
            self.conductivity.mean,
            TARGETS[TargetName.RELATIVE_DENSITY].inverse(density),
            self.answers.numbers[Column.PREDICTED_PHASE_PURITY],
            self._sintering_c,
        )

    @property
    def _sintering_c(self) -> Floats:
        return self.recipes[Column.SINTERING_TEMPERATURE_C].to_numpy(dtype=np.float64)


def posterior(model: PropertyModel, recipes: pd.DataFrame, own: pd.DataFrame | None) -> Posterior:
    """Return the joint predictions for some recipes, with own pellets; conductivity at 25 °C.

    The covariance is that of own pellets (`nasicon_ml.estimators.own_pellets`), scaled so that every recipe keeps
    the width of its own interval.

    Raises
    ------
    BundleError
        If the model has no covariance of errors on pellets of one laboratory.
    """
    if not model.own:
        raise BundleError(
            "this model cannot recommend pellets: the version that trained it did not estimate how errors on"
            " pellets of one laboratory go together; train again with this one"
        )
    recipes = recipes.assign(**{Column.MEASUREMENT_TEMPERATURE_C.value: ROOM_TEMPERATURE_C})
    answers = model.answer(recipes, level=_LEVEL)
    known, learned, space = model.known(own), model.learned(recipes), recipe_space(recipes)
    properties = {}
    for name in ANSWERS:
        kernel, points = model.own[name], RecipePoints.from_learned(name, space, learned[name])
        if TARGETS[name].is_probability:
            purity = learned[name]
            if name in known:
                purity = known[name].probability(space, purity)
            covariance = _covariance(name, kernel, points, known.get(name))
            mean = attenuation(np.maximum(np.diagonal(covariance), _JITTER)) * bounded_log_odds(purity)
            properties[name] = JointNormal(mean, covariance, np.full(len(recipes), kernel.noise**2))
            answers = replace(answers, numbers={**answers.numbers, Column.PREDICTED_PHASE_PURITY: purity})
        else:
            properties[name] = joint_normal(
                name, kernel, points, on_learned_scale(name, answers.numbers), known.get(name)
            )
    return Posterior(recipes, answers, properties)


def joint_normal(
    name: TargetName,
    kernel: OwnKernel,
    points: RecipePoints,
    interval: tuple[Floats, Floats],
    known: KnownPellets | None,
) -> JointNormal:
    """Return the joint distribution of the conductivity or density of n recipes.

    `interval` is the center and half-width, at 90 %, of the prediction for one pellet of each recipe without own
    pellets, on the scale the model learns. The covariance is scaled so that every recipe keeps its width.
    """
    mean, half_width = interval
    if known is not None:
        known = replace(known, trust_deviation=SLOPES.get(name, 0.0))
        change = known.correction(points.space, points.predicted)
        mean, half_width = mean + change.shift, half_width * change.width_factor
    covariance = _covariance(name, kernel, points, known)
    variance = np.maximum(np.diagonal(covariance), _JITTER)
    scale = half_width / norm.ppf((1.0 + _LEVEL) / 2.0) / np.sqrt(variance + kernel.noise**2)
    return JointNormal(mean, covariance * np.outer(scale, scale), (kernel.noise * scale) ** 2)


def _covariance(name: TargetName, kernel: OwnKernel, points: RecipePoints, known: KnownPellets | None) -> Floats:
    covariance = error_covariance(name, kernel, points, points, known)
    return np.asarray((covariance + covariance.T) / 2.0)


METHODS = ("expected-improvement", "thompson")
#: Number of draws; the standard error of a mean is then below a twentieth of a standard deviation.
DRAWS = 1024
#: Recipes whose errors correlate more than this are not proposed in the same batch.
MAX_CORRELATION = 0.97


@dataclass(frozen=True)
class Pick:
    """A recipe of a batch."""

    row: int  # row of the candidates
    # Probability that a pellet is acceptable and better than the best pellet made so far; NaN without one.
    probability_better: float
    # Expected improvement in decades or desirability, 0 where there is none; NaN without a best pellet.
    expected_improvement: float
    # Share of the total variance of the candidates' conductivity that a pellet would remove, after the earlier
    # members of the batch.
    variance_share: float


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
    """Choose a batch of up to `batch` recipes, reproducibly; recipes whose value is NaN are not eligible.

    `best` is the value of the best pellet made so far, as returned by `Goal.values`, or None; `method` is one of
    `METHODS`.
    """
    random = np.random.default_rng(seed)
    drawn = posterior.draws(draws, random, goal.needed)
    values, probability = goal.values(drawn), goal.acceptance(drawn)
    is_accepted = random.random(probability.shape) < probability
    expected = posterior.expected()
    expected_values = goal.values(expected)
    is_eligible = np.isfinite(expected_values)
    if not is_eligible.any():
        return []
    # Without an acceptable pellet, the reference is the lowest expected value of the candidates.
    reference = np.full(draws, expected_values[is_eligible].min() if best is None else best)
    probability_better, improvement = np.full((2, len(expected.purity)), np.nan)
    if best is not None:
        pellet_values = goal.values(posterior.draw_pellets(drawn, random))
        probability_better = (is_accepted & (pellet_values > best)).mean(axis=0)
        improvement = _mean_improvement(values, is_accepted, reference)
    if goal.min_purity is not None:
        is_eligible &= expected.purity >= goal.min_purity
    conductivity, total_variance = posterior.conductivity, float(np.trace(posterior.conductivity.covariance))
    picks: list[Pick] = []
    best_so_far = reference
    while len(picks) < batch and is_eligible.any():
        if method == METHODS[0]:
            score = _mean_improvement(values, is_accepted, best_so_far)
        else:
            score = np.where(is_accepted, values - reference[:, None], 0.0)[len(picks) % draws]
        reduction = conductivity.variance_reduction()
        if not score[is_eligible].max() > 0.0:  # no improvement in any draw: the most informative recipe is taken
            score = reduction
        row = int(np.argmax(np.where(is_eligible, score, -np.inf)))
        variance_share = float(reduction[row]) / total_variance
        picks.append(Pick(row, float(probability_better[row]), float(improvement[row]), variance_share))
        best_so_far = np.where(is_accepted[:, row], np.maximum(best_so_far, values[:, row]), best_so_far)
        is_eligible &= posterior.conductivity.correlation(row) < MAX_CORRELATION
        is_eligible[row] = False
        conductivity = conductivity.condition_on(row)
    return picks


def _mean_improvement(values: Floats, is_accepted: Mask, reference: Floats) -> Floats:
    """Return the mean improvement of each candidate on a reference value for each draw, shape (n,)."""
    return np.asarray(np.where(is_accepted, np.maximum(values - reference[:, None], 0.0), 0.0).mean(axis=0))
