"""Whether intervals hold what they promise: overall, by system, and by how much of the processing is known.

Pellets of one source err alike, so that the coverage of some hundred pellets is known no better than their
number of sources allows: beside each stands its standard error from drawing sources again.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from nasicon_ml.columns import Column
from nasicon_ml.evaluation.bootstrap import source_weights, weighted_mean
from nasicon_ml.evaluation.calibrated import LEVEL_NEEDED, LEVELS, end_columns
from nasicon_ml.evaluation.scores import ALL, SODIUM, scored_subsets

#: Targets with intervals.
_TARGETS = ("conductivity", "relative_density")
_DRAWS, _SEED = 1000, 0


def coverage_table(out_of_fold: pd.DataFrame) -> pd.DataFrame:
    """Compare the share of held-out values inside their intervals with the level of these.

    Parameters
    ----------
    out_of_fold
        As in `nasicon_ml.workflows.train.TrainingResult.out_of_fold`.

    Returns
    -------
    pandas.DataFrame
        target, level, subset (those of `score_table`), coverage (mean over repeats), coverage_se (its standard
        error by drawing sources with replacement), width (mean, in decades or points), n_rows, n_sources.
    """
    rows = []
    for target in _TARGETS:
        for subset, part in scored_subsets(out_of_fold, target).items():
            once = part[part["repeat"] == part["repeat"].min()]
            counts = {"n_rows": len(once), "n_sources": once[Column.SOURCE].nunique()}
            weights = source_weights(part[Column.SOURCE].to_numpy(), _DRAWS, _SEED)
            for level in LEVELS:
                lower, upper = (part[column].to_numpy(dtype=np.float64) for column in end_columns(level))
                measured = part["measured"].to_numpy(dtype=np.float64)
                inside = ((measured >= lower) & (measured <= upper)).astype(np.float64)
                drawn = weighted_mean(inside, weights)
                rows.append(
                    {"target": target, "level": level, "subset": subset, "coverage": float(inside.mean())}
                    | {"coverage_se": float(np.nanstd(drawn)), "width": float(np.mean(upper - lower))}
                    | counts
                )
    return pd.DataFrame(rows)


def coverage_curve(out_of_fold: pd.DataFrame, levels: np.ndarray) -> pd.DataFrame:
    """Give the coverage of out-of-fold rows at any levels.

    Parameters
    ----------
    out_of_fold
        Rows of one target.
    levels
        Each above 0 and below 1, shape (k,).

    Returns
    -------
    pandas.DataFrame
        level, coverage, and coverage_se as in `coverage_table`; k rows.
    """
    needed = out_of_fold[LEVEL_NEEDED].to_numpy(dtype=np.float64)
    weights = source_weights(out_of_fold[Column.SOURCE].to_numpy(), _DRAWS, _SEED)
    inside = (needed[:, None] < levels[None, :]).astype(np.float64)
    drawn = np.stack([weighted_mean(column, weights) for column in inside.T])
    return pd.DataFrame(
        {"level": levels, "coverage": inside.mean(axis=0), "coverage_se": np.nanstd(drawn, axis=1)}
    )


def coverage_curves(out_of_fold: pd.DataFrame, target: str) -> dict[str, pd.DataFrame]:
    """Give the coverage curves of a target worth a line of their own: all lithium pellets, LATP, LAGP, sodium."""
    subsets = scored_subsets(out_of_fold, target)
    levels = np.linspace(0.05, 0.95, 37)
    shown = {ALL: "all lithium pellets", "LATP": "LATP", "LAGP": "LAGP", SODIUM: "sodium compounds"}
    return {
        f"{words} ({subsets[name][Column.SOURCE].nunique()} sources)": coverage_curve(subsets[name], levels)
        for name, words in shown.items()
        if name in subsets
    }
