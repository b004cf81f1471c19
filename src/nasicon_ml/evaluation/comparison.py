"""Two models on the same pellets: paired differences, with intervals from a bootstrap over sources.

Both models predicted each pellet without having seen its source. Differences are paired, so that what both find
hard cancels out. Then whole sources are drawn again with replacement, for pellets of one paper are alike; a draw
is kept as a weight of each row, how often its source was drawn, so that one matrix product scores all draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from nasicon_ml.columns import Column
from nasicon_ml.errors import DatasetError
from nasicon_ml.estimators.targets import ANSWERS, TARGETS, TargetName
from nasicon_ml.evaluation.scores import ALL, row_errors, scored_subsets

Floats = NDArray[np.float64]

#: How often the sources are drawn anew, and the seed of it.
DRAWS, SEED = 2000, 0
_KEYS = ["repeat", str(Column.PELLET_ID)]


@dataclass(frozen=True)
class Difference:
    """A difference of two scores, with the middle 95 % of what other papers might have shown.

    Attributes
    ----------
    value
        On the rows at hand.
    lower, upper
        2.5 and 97.5 % of the draws.
    """

    value: float
    lower: float
    upper: float

    @property
    def told_apart(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.lower > 0 or self.upper < 0


def source_weights(sources: ArrayLike, draws: int, seed: int) -> Floats:
    """Draw as many sources as there are, with replacement, many times.

    Parameters
    ----------
    sources
        Source of each row, shape (n,).
    draws, seed
        How many times; same seed and sources: same draws.

    Returns
    -------
    ndarray
        Shape (draws, n): how often each row counts in each draw, a whole number from 0.
    """
    names, codes = np.unique(np.asarray(sources, dtype=str), return_inverse=True)
    counts = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    return np.asarray(counts[:, codes], dtype=np.float64)


def interval(at_hand: float, drawn: Floats) -> Difference:
    """Return a difference with the interval of its draws, shape (draws,); draws without a number are left out."""
    usable = drawn[np.isfinite(drawn)]
    if len(usable) == 0:
        return Difference(at_hand, float("nan"), float("nan"))
    lower, upper = np.percentile(usable, [2.5, 97.5])
    return Difference(at_hand, float(lower), float(upper))


def weighted_mean(values: Floats, weights: Floats) -> Floats:
    """Return the mean of values, shape (n,), by draw, for weights of shape (draws, n); NaN for an empty draw."""
    with np.errstate(invalid="ignore"):
        return np.asarray(weights @ values / weights.sum(axis=1))


@dataclass(frozen=True)
class PairedScore:
    """One target, two models, the same rows.

    Attributes
    ----------
    target, metric
        What is scored, and how; of the metric, less is better.
    reference, candidate
        The two scores on the common rows.
    difference
        candidate - reference, with its bootstrap interval over sources: above 0 the candidate is worse.
    n_rows, n_sources
        Common pellets and their sources.
    share
        Part of the reference's pellets that are common, 0 to 1.
    same_folds
        Whether the sources of these rows were dealt into the same folds.
    """

    target: TargetName
    metric: str
    reference: float
    candidate: float
    difference: Difference
    n_rows: int
    n_sources: int
    share: float
    same_folds: bool


def compare(reference: pd.DataFrame, candidate: pd.DataFrame) -> tuple[PairedScore, ...]:
    """Compare two trainings by their out-of-fold predictions, target by target.

    Parameters
    ----------
    reference, candidate
        Tables as `nasicon_ml.workflows.train.TrainingResult.out_of_fold`. Compared are lithium pellets,
        conductivities near room temperature, that both predicted, in the repeats that both have; a pellet whose
        measured value differs between the two is left out.

    Raises
    ------
    DatasetError
        If they have no pellet of a target in common, or one of them has no out-of-fold predictions.
    """
    return tuple(_paired(name, _scored(reference, name), _scored(candidate, name)) for name in ANSWERS)


def compare_with_baseline(candidate: pd.DataFrame) -> tuple[PairedScore, ...]:
    """Compare a training with the median (of phase purity: the base rate) of the other folds."""
    found = []
    for name in ANSWERS:
        rows = _scored(candidate, name)
        found.append(_paired(name, rows.assign(predicted=rows["median"]), rows))
    return tuple(found)


def _scored(out_of_fold: pd.DataFrame, name: TargetName) -> pd.DataFrame:
    """Return the rows that a target is scored on."""
    if out_of_fold.empty:
        raise DatasetError("a model without out-of-fold predictions cannot be compared: train it again")
    rows = scored_subsets(out_of_fold, name).get(ALL)
    if rows is None or rows.empty:
        raise DatasetError(f"there are no out-of-fold predictions of {name.replace('_', ' ')} to compare")
    return rows


def _paired(name: TargetName, reference: pd.DataFrame, candidate: pd.DataFrame) -> PairedScore:
    kept = [*_KEYS, str(Column.SOURCE), "fold", "measured", "predicted"]
    both = reference[kept].merge(candidate[kept], on=_KEYS, suffixes=("", "_candidate"), validate="one_to_one")
    both = both[np.isclose(both["measured"], both["measured_candidate"])]
    if both.empty:
        raise DatasetError(f"the two models have no pellet with {name.replace('_', ' ')} in common")
    pellets = both.assign(
        reference=row_errors(both, name),
        candidate=row_errors(both.assign(predicted=both["predicted_candidate"]), name),
    ).groupby(str(Column.PELLET_ID), sort=True)
    losses = pellets[["reference", "candidate"]].mean()
    sources = pellets[str(Column.SOURCE)].first()
    worse_by = (losses["candidate"] - losses["reference"]).to_numpy(dtype=np.float64)
    drawn = weighted_mean(worse_by, source_weights(sources, DRAWS, SEED))
    return PairedScore(
        target=name,
        metric=TARGETS[name].metric,
        reference=float(losses["reference"].mean()),
        candidate=float(losses["candidate"].mean()),
        difference=interval(float(worse_by.mean()), drawn),
        n_rows=len(losses),
        n_sources=int(sources.nunique()),
        share=len(losses) / reference[str(Column.PELLET_ID)].nunique(),
        same_folds=_same_folds(both),
    )


def _same_folds(both: pd.DataFrame) -> bool:
    """Whether the two deals part the rows alike, whatever the folds are called."""
    for _, rows in both.groupby("repeat"):
        pairs = rows[["fold", "fold_candidate"]].drop_duplicates()
        if len(pairs) != rows["fold"].nunique() or len(pairs) != rows["fold_candidate"].nunique():
            return False
    return True
