"""Two models on the same pellets, each predicted by models that had not seen the pellet's source.

Differences are paired: row by row, then over sources, drawn anew many times. So what both find hard cancels out,
and what is left is the difference between the models and the luck of the papers at hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.columns import Column
from nasicon_ml.errors import DatasetError
from nasicon_ml.estimators.targets import ANSWERS, TargetName
from nasicon_ml.evaluation.bootstrap import Difference, interval, source_weights, weighted_mean
from nasicon_ml.evaluation.scores import ALL, scored_subsets

Floats = NDArray[np.float64]

#: The score that decides, by target, as `nasicon_ml.evaluation.scores` calls it; lower is better in all of them.
MEASURES = {
    TargetName.CONDUCTIVITY: "mae_decades",
    TargetName.RELATIVE_DENSITY: "mae_points",
    TargetName.PHASE_PURITY: "brier",
}
#: How often the sources are drawn anew, and the seed of it.
DRAWS, SEED = 2000, 0
_KEYS = ["repeat", str(Column.PELLET_ID)]


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
    """Give the rows that the score of a target is made of."""
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
        reference=_loss(name, both["measured"], both["predicted"]),
        candidate=_loss(name, both["measured"], both["predicted_candidate"]),
    ).groupby(str(Column.PELLET_ID), sort=True)
    losses = pellets[["reference", "candidate"]].mean()
    sources = pellets[str(Column.SOURCE)].first()
    worse_by = (losses["candidate"] - losses["reference"]).to_numpy(dtype=np.float64)
    drawn = weighted_mean(worse_by, source_weights(sources, DRAWS, SEED))
    return PairedScore(
        target=name,
        metric=MEASURES[name],
        reference=float(losses["reference"].mean()),
        candidate=float(losses["candidate"].mean()),
        difference=interval(float(worse_by.mean()), drawn),
        n_rows=len(losses),
        n_sources=int(sources.nunique()),
        share=len(losses) / reference[str(Column.PELLET_ID)].nunique(),
        same_folds=_same_folds(both),
    )


def _loss(name: TargetName, measured: pd.Series[float], predicted: pd.Series[float]) -> Floats:
    error = np.abs(predicted.to_numpy(dtype=np.float64) - measured.to_numpy(dtype=np.float64))
    return np.square(error) if name is TargetName.PHASE_PURITY else error


def _same_folds(both: pd.DataFrame) -> bool:
    """Whether the two deals part the rows alike, whatever the folds are called."""
    for _, rows in both.groupby("repeat"):
        pairs = rows[["fold", "fold_candidate"]].drop_duplicates()
        if len(pairs) != rows["fold"].nunique() or len(pairs) != rows["fold_candidate"].nunique():
            return False
    return True
