"""Simulated campaigns on series: the paths of the methods, and their scores.

A path is the order in which the recipes of a series are made. The choice of all methods but random order depends
only on the set of recipes made so far, so each choice is cached.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import pandas as pd

from benchmarks.campaign_baselines import gaussian_process_choice, inputs
from benchmarks.campaign_series import Series
from nasicon_ml.arrays import Floats, Ints
from nasicon_ml.campaigns.acquisition import JointNormal, Posterior, choose, joint_normal
from nasicon_ml.campaigns.goal import Goal, Outcomes
from nasicon_ml.columns import Column
from nasicon_ml.estimators.joint import RecipePoints
from nasicon_ml.estimators.own_pellets import OutOfFoldErrors, OwnKernel
from nasicon_ml.estimators.targets import ANSWERS, TARGETS, TargetName
from nasicon_ml.features.distances import Neighbours
from nasicon_ml.model import Answers
from nasicon_ml.screening.objectives import Wish

#: Function from the rows made so far to the next one.
Pick = Callable[[tuple[int, ...]], int]

OURS, GREEDY, RANDOM = "ours", "ours, no own pellets", "random order"
PROCESS, BAYBE = "Gaussian process", "BayBE"
NOTHING, ONE = "nothing", "one pellet"
#: Largest regret that counts as nearly the best, in decades or points of density.
NEAR = {TargetName.CONDUCTIVITY: 0.1, TargetName.RELATIVE_DENSITY: 1.0}
#: Number of early experiments, and of experiments in the tables.
EARLY, FOLLOWED = 5, 12
_GOALS = {
    TargetName.CONDUCTIVITY: Goal(),
    TargetName.RELATIVE_DENSITY: Goal(wishes={"density": Wish(0.0, 100.0)}),
}


def path(n: int, start: Sequence[int], pick: Pick) -> list[int]:
    """Return the order in which n recipes are made."""
    made = list(start)
    while len(made) < n - 1:
        made.append(pick(tuple(sorted(made))))
    return [*made, *(row for row in range(n) if row not in made)]


def model_choice(errors: OutOfFoldErrors, kernel: OwnKernel) -> Pick:
    """Return the choice of `nasicon-ml recommend` among the recipes of `errors`, given the measured ones."""

    @cache
    def pick(made: tuple[int, ...]) -> int:
        left = np.setdiff1d(np.arange(len(errors.measured)), made)
        done = np.array(made, dtype=np.intp)
        goal = _GOALS[errors.name]
        best = float(goal.values(outcomes(errors.name, errors.measured[done])).max()) if made else None
        chosen = choose(candidate_posterior(errors, kernel, done, left), goal, best, 1)
        return int(left[chosen[0].row])

    return pick


def candidate_posterior(errors: OutOfFoldErrors, kernel: OwnKernel, done: Ints, left: Ints) -> Posterior:
    """Return the posterior of the remaining recipes, given the measured values of those done.

    Only the property of the errors is relevant; the others are placeholders.
    """
    points = RecipePoints.from_learned(errors.name, errors.space.take(left), errors.predicted[left])
    known = errors.known(kernel, done) if len(done) else None
    normal = joint_normal(errors.name, kernel, points, (points.predicted, errors.half[left]), known)
    n = len(left)
    alone = JointNormal(np.zeros(n), np.eye(n), np.zeros(n))
    recipes = pd.DataFrame({str(Column.SINTERING_TEMPERATURE_C): np.full(n, np.nan)})
    nearest = Neighbours(np.empty((n, 0), np.intp), np.empty((n, 0)))
    answers = Answers({Column.PREDICTED_PHASE_PURITY: np.ones(n)}, (), (), nearest, np.empty(0, object))
    return Posterior(recipes, answers, dict.fromkeys(ANSWERS, alone) | {errors.name: normal})


def outcomes(name: TargetName, learned: Floats) -> Outcomes:
    """Return values of one property, on the scale of the model, as outcomes; the others are 0."""
    nothing = np.zeros(len(learned))
    if name is TargetName.CONDUCTIVITY:
        return Outcomes(learned, nothing, nothing, nothing)
    return Outcomes(nothing, TARGETS[name].inverse(learned), nothing, nothing)


def greedy_choice(errors: OutOfFoldErrors) -> Pick:
    """Return the choice of the best prediction, without own pellets."""
    order = np.argsort(-np.asarray(TARGETS[errors.name].inverse(errors.predicted)), kind="stable")
    return lambda made: next(int(row) for row in order if row not in made)


def gaussian_process_chooser(series: Series) -> Pick:
    """Return the choice of a Gaussian process without prior data."""
    points = inputs(series.fields)
    return cache(lambda made: gaussian_process_choice(points, series.values, np.array(made, dtype=np.intp)))


def paths_of(series: Series, orders: Sequence[Ints], known: dict[str, dict[int, list[int]]]) -> pd.DataFrame:
    """Return the paths of every method on a series, from nothing and from one random pellet.

    Parameters
    ----------
    series
        The recipes.
    orders
        Random orders; their first recipe is the random pellet.
    known
        Computed paths of the Gaussian process and of BayBE, by method and first row. Missing paths of the Gaussian
        process are computed and added; those of BayBE are left out.

    Returns
    -------
    pandas.DataFrame
        Columns model, start, order, repeat, and path, an array of rows.
    """
    n, rows = len(series), []

    def keep(model: str, start: str, order: int, repeat: int, found: Sequence[int] | Ints) -> None:
        rows.append({"model": model, "start": start, "order": order, "repeat": repeat, "path": np.asarray(found)})

    of_process, of_baybe = known.setdefault(PROCESS, {}), known.get(BAYBE, {})
    from_scratch = gaussian_process_chooser(series)
    for at, order in enumerate(orders):
        first = int(order[0])
        if first not in of_process:
            of_process[first] = path(n, [first], from_scratch)
        # Without a prior these methods begin with a random pellet in both cases.
        for start in (NOTHING, ONE):
            keep(RANDOM, start, at, 0, order)
            keep(PROCESS, start, at, 0, of_process[first])
            if first in of_baybe:
                keep(BAYBE, start, at, 0, of_baybe[first])
    for repeat, (errors, kernel) in enumerate(zip(series.errors, series.kernels, strict=True)):
        for model, pick in ((OURS, model_choice(errors, kernel)), (GREEDY, greedy_choice(errors))):
            from_nothing = path(n, [], pick)
            begun = {first: path(n, [first], pick) for first in {int(order[0]) for order in orders}}
            for at, order in enumerate(orders):
                keep(model, NOTHING, at, repeat, from_nothing)
                keep(model, ONE, at, repeat, begun[int(order[0])])
    return pd.DataFrame(rows)


def regrets(values: Floats, paths: Ints) -> Floats:
    """Return the regret of the best pellet so far after each pellet; paths and result of shape (m, n)."""
    return np.asarray(values.max() - np.maximum.accumulate(values[paths], axis=1))


def scored(series: Series, paths: pd.DataFrame) -> pd.DataFrame:
    """Score paths as from `paths_of`.

    Returns
    -------
    pandas.DataFrame
        Means over repeats; model, start, order, and: `third`, the regret after a third of the recipes, rounded up;
        `early`, the mean regret after the first five experiments, not counting a random first pellet; `to_near`
        and `to_best`, the number of pellets until one is nearly as good as the best, or as good; and `regret_1`
        ..., the regret after that many pellets, 0 once all are made. Apart from `early`, a random pellet counts.
    """
    n = len(series)
    lost = regrets(series.values, np.stack(paths["path"].to_list()))
    followed = np.zeros((len(lost), FOLLOWED))
    followed[:, : min(n, FOLLOWED)] = lost[:, :FOLLOWED]
    given = (paths["start"] == ONE).to_numpy()
    table = paths.drop(columns="path").assign(
        third=lost[:, -(-n // 3) - 1],
        early=np.where(given, followed[:, 1 : EARLY + 1].mean(axis=1), followed[:, :EARLY].mean(axis=1)),
        to_near=(lost > NEAR[series.target] + 1e-9).sum(axis=1) + 1,
        to_best=(lost > 1e-9).sum(axis=1) + 1,
        **{f"regret_{at + 1}": followed[:, at] for at in range(FOLLOWED)},
    )
    found = table.groupby(["model", "start", "order"], sort=False).mean().drop(columns="repeat").reset_index()
    return found.assign(target=str(series.target), source=series.source, n=n)
