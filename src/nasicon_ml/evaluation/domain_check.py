"""Whether errors are larger outside the domain, and how they grow with the distance from it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nasicon_ml.columns import Column
from nasicon_ml.evaluation.bootstrap import Difference, interval, source_weights, weighted_mean
from nasicon_ml.evaluation.metrics import Floats
from nasicon_ml.evaluation.scores import ALL, SODIUM, scored_subsets

#: Targets that are predicted for a recipe.
_TARGETS = ("conductivity", "relative_density", "phase_purity")
_DRAWS, _SEED = 1000, 0


def row_errors(rows: pd.DataFrame, target: str) -> Floats:
    """Give the error of each out-of-fold row: absolute, or, of a probability, squared (its part of Brier)."""
    error = (rows["predicted"] - rows["measured"]).to_numpy(dtype=np.float64)
    return error**2 if target == "phase_purity" else np.abs(error)


def judged_rows(out_of_fold: pd.DataFrame, target: str) -> pd.DataFrame:
    """Take the rows of a target by which its domain is judged: those of "all" and sodium."""
    subsets = scored_subsets(out_of_fold, target)
    return pd.concat([subsets[name] for name in (ALL, SODIUM) if name in subsets])


def domain_table(out_of_fold: pd.DataFrame) -> pd.DataFrame:
    """Compare the errors of held-out rows outside the domain of the other folds with those inside.

    Parameters
    ----------
    out_of_fold
        As in `nasicon_ml.workflows.train.TrainingResult.out_of_fold`.

    Returns
    -------
    pandas.DataFrame
        target, subset ("all", or "all and sodium"), share_outside, error_inside, error_outside (mean absolute in
        decades or points, mean squared of a probability), ratio of the two with its ratio_lower and ratio_upper
        (middle 95 % of drawing sources again), n_outside, sources_outside.
    """
    rows = []
    for target in _TARGETS:
        lithium = scored_subsets(out_of_fold, target)[ALL]
        for subset, part in ((ALL, lithium), (f"{ALL} and {SODIUM}", judged_rows(out_of_fold, target))):
            outside = part[Column.DOMAIN_SCORE].to_numpy(dtype=np.float64) >= 1
            if not 0 < outside.sum() < len(outside):
                continue
            error = row_errors(part, target)
            ratio = _ratio(error, outside, part[Column.SOURCE].to_numpy())
            strangers = part[outside]
            rows.append(
                {"target": target, "subset": subset, "share_outside": float(outside.mean())}
                | {"error_inside": float(error[~outside].mean()), "error_outside": float(error[outside].mean())}
                | {"ratio": ratio.value, "ratio_lower": ratio.lower, "ratio_upper": ratio.upper}
                | {"n_outside": strangers[Column.PELLET_ID].nunique()}
                | {"sources_outside": strangers[Column.SOURCE].nunique()}
            )
    return pd.DataFrame(rows)


def domain_curve(out_of_fold: pd.DataFrame, target: str, groups: int = 8) -> pd.DataFrame:
    """Give the error in groups, from amid the domain outwards: equal counts inside, and all that lies outside.

    Returns
    -------
    pandas.DataFrame
        score (median of the group), score_from, score_to, error (as in `domain_table`), error_se (by drawing
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
        drawn = weighted_mean(error[part], source_weights(sources, _DRAWS, _SEED))
        found.append(
            {"score": float(np.median(score[part])), "score_from": float(score[part].min())}
            | {"score_to": float(score[part].max()), "error": float(error[part].mean())}
            | {"error_se": float(np.nanstd(drawn)), "n_rows": len(part), "n_sources": len(set(sources))}
        )
    return pd.DataFrame(found)


def _ratio(error: Floats, outside: np.ndarray, sources: np.ndarray) -> Difference:
    weights = source_weights(sources, _DRAWS, _SEED)
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = weighted_mean(error[outside], weights[:, outside]) / weighted_mean(
            error[~outside], weights[:, ~outside]
        )
    return interval(float(error[outside].mean() / error[~outside].mean()), drawn)
