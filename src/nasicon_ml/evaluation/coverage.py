"""Whether intervals hold what they promise, and whether errors are larger outside the domain.

Pellets of one source err alike, so that the coverage of some hundred pellets is known no better than their
number of sources allows: beside each stands its standard error from drawing sources again.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from nasicon_ml.columns import Column
from nasicon_ml.evaluation.cross_validation import LEVEL_NEEDED
from nasicon_ml.evaluation.gate import source_weights, weighted_mean
from nasicon_ml.evaluation.scores import ALL, SODIUM, row_errors, scored_subsets

#: How often sources are drawn again, and the seed of it.
DRAWS, SEED = 1000, 0


def coverage_curve(out_of_fold: pd.DataFrame, levels: np.ndarray) -> pd.DataFrame:
    """Return the coverage of out-of-fold rows at any levels.

    Parameters
    ----------
    out_of_fold
        Rows of one target.
    levels
        Each above 0 and below 1, shape (k,).

    Returns
    -------
    pandas.DataFrame
        level, coverage, and coverage_se (its standard error by drawing sources with replacement); k rows.
    """
    needed = out_of_fold[LEVEL_NEEDED].to_numpy(dtype=np.float64)
    weights = source_weights(out_of_fold[Column.SOURCE].to_numpy(), DRAWS, SEED)
    inside = (needed[:, None] < levels[None, :]).astype(np.float64)
    drawn = np.stack([weighted_mean(column, weights) for column in inside.T])
    return pd.DataFrame(
        {"level": levels, "coverage": inside.mean(axis=0), "coverage_se": np.nanstd(drawn, axis=1)}
    )


def coverage_curves(out_of_fold: pd.DataFrame, target: str) -> dict[str, pd.DataFrame]:
    """Return the coverage curves of all lithium pellets, of LATP, LAGP and sodium compounds, by label."""
    subsets = scored_subsets(out_of_fold, target)
    levels = np.linspace(0.05, 0.95, 37)
    shown = {ALL: "all lithium pellets", "LATP": "LATP", "LAGP": "LAGP", SODIUM: "sodium compounds"}
    return {
        f"{words} ({subsets[name][Column.SOURCE].nunique()} sources)": coverage_curve(subsets[name], levels)
        for name, words in shown.items()
        if name in subsets
    }


def judged_rows(out_of_fold: pd.DataFrame, target: str) -> pd.DataFrame:
    """Return the rows of a target by which its domain is judged: those of "all" and sodium."""
    subsets = scored_subsets(out_of_fold, target)
    return pd.concat([subsets[name] for name in (ALL, SODIUM) if name in subsets])


def domain_curve(out_of_fold: pd.DataFrame, target: str, groups: int = 8) -> pd.DataFrame:
    """Return the error in groups by domain score: equal counts inside the domain, and all that lies outside.

    Returns
    -------
    pandas.DataFrame
        score (median of the group), score_from, score_to, error (as in `row_errors`, mean), error_se (by drawing
        sources again), n_rows, n_sources; one row a group. Repeats count as rows of their own.
    """
    rows = judged_rows(out_of_fold, target)
    score = rows[Column.DOMAIN_SCORE].to_numpy(dtype=np.float64)
    error = row_errors(rows, target)
    found = []
    order = np.argsort(score, kind="stable")
    inside = int((score < 1).sum())
    for part in (*np.array_split(order[:inside], groups - 1), order[inside:]):
        if len(part) == 0:
            continue
        sources = rows[Column.SOURCE].to_numpy()[part]
        drawn = weighted_mean(error[part], source_weights(sources, DRAWS, SEED))
        found.append(
            {"score": float(np.median(score[part])), "score_from": float(score[part].min())}
            | {"score_to": float(score[part].max()), "error": float(error[part].mean())}
            | {"error_se": float(np.nanstd(drawn)), "n_rows": len(part), "n_sources": len(set(sources))}
        )
    return pd.DataFrame(found)
