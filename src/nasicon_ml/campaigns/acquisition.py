"""Which recipes to make next: batches by expected improvement or Thompson sampling, over draws of a posterior.

The expected improvement of a batch is the mean, over draws of what all candidates come to, of how far its best
pellet that counts lies above the best one made so far (parallel expected improvement: Ginsbourger et al.,
10.1007/978-3-642-10701-6_6). The batch is built greedily, each member given those before it, over the same draws
(sample average approximation: Wilson et al., 10.48550/arXiv.1805.10196): what a member would improve that an
earlier one improves already counts once, which makes members differ. Conditions enter as the share of draws in
which a pellet satisfies them (Gardner et al., 10.48550/arXiv.1403.5607). Thompson sampling takes the best
candidate of one draw for each member (Kandasamy et al., 10.48550/arXiv.1705.09236).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.campaigns.goal import Goal
from nasicon_ml.campaigns.posterior import Posterior
from nasicon_ml.errors import FieldError, nearest

Floats = NDArray[np.float64]

METHODS = ("expected-improvement", "thompson")
#: Draws over which expectations are taken: standard errors are below a twentieth of a standard deviation.
DRAWS = 1024
#: Recipes whose errors correlate more than this teach the same, and do not stand in one batch.
SAME_LESSON = 0.97


@dataclass(frozen=True)
class Pick:
    """A recipe of a batch.

    Attributes
    ----------
    row
        Position among the candidates.
    better
        Probability that one pellet of it counts and is better than the best pellet made so far; NaN without one.
    improvement
        By how much it is expected to be better, decades or desirability, 0 where it is not; NaN without one.
    learned
        Share of what is open about the conductivity of all candidates, as variance, that a pellet of it would
        settle, after those that stand before it in the batch.
    """

    row: int
    better: float
    improvement: float
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
    """Choose a batch of recipes.

    Parameters
    ----------
    posterior
        What the candidates may come to.
    goal
        What is wanted.
    best
        Value of the best pellet made so far, as `Goal.values` gives it; None without one.
    batch
        How many; fewer where fewer candidates may be chosen.
    method
        One of `METHODS`.
    draws, seed
        Of what the candidates come to; the same seed gives the same batch.

    Returns
    -------
    list of Pick
        In the order in which they are chosen; none of a recipe whose value is not known (NaN).

    Raises
    ------
    FieldError
        If there is no such method.
    """
    if method not in METHODS:
        raise FieldError("method", method, ", ".join(METHODS), nearest(method, METHODS))
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


def _gain(values: Floats, is_made: NDArray[np.bool_], above: Floats) -> Floats:
    """Return by how much each candidate is above something, on average over draws; shape (n,)."""
    return np.asarray(np.where(is_made, np.maximum(values - above[:, None], 0.0), 0.0).mean(axis=0))
