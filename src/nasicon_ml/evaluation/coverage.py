"""Whether intervals hold what they promise, and whether errors are larger outside the domain.

Pellets of one source err alike, so that the coverage of some hundred pellets is known no better than their
number of sources allows: beside each stands its standard error from drawing sources again.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from nasicon_ml.columns import Column
from nasicon_ml.evaluation.comparison import Difference, interval, source_weights, weighted_mean
from nasicon_ml.evaluation.cross_validation import LEVEL_NEEDED, LEVELS, end_columns
from nasicon_ml.evaluation.scores import ALL, SODIUM, Floats, scored_subsets

#: Targets that are predicted for a recipe, and those of them with intervals.
_TARGETS = ("conductivity", "relative_density", "phase_purity")
_WITH_INTERVALS = _TARGETS[:2]
_DRAWS, _SEED = 1000, 0


def coverage_table(out_of_fold: pd.DataFrame) -> pd.DataFrame:
    """Return the share of out-of-fold values inside their intervals, beside the level of these.

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
    for target in _WITH_INTERVALS:
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
    """Return the coverage curves of all lithium pellets, of LATP, LAGP and sodium compounds, by label."""
    subsets = scored_subsets(out_of_fold, target)
    levels = np.linspace(0.05, 0.95, 37)
    shown = {ALL: "all lithium pellets", "LATP": "LATP", "LAGP": "LAGP", SODIUM: "sodium compounds"}
    return {
        f"{words} ({subsets[name][Column.SOURCE].nunique()} sources)": coverage_curve(subsets[name], levels)
        for name, words in shown.items()
        if name in subsets
    }


def row_errors(rows: pd.DataFrame, target: str) -> Floats:
    """Return the error of each out-of-fold row: absolute, or, of a probability, squared (its part of Brier)."""
    error = (rows["predicted"] - rows["measured"]).to_numpy(dtype=np.float64)
    return error**2 if target == "phase_purity" else np.abs(error)


def judged_rows(out_of_fold: pd.DataFrame, target: str) -> pd.DataFrame:
    """Return the rows of a target by which its domain is judged: those of "all" and sodium."""
    subsets = scored_subsets(out_of_fold, target)
    return pd.concat([subsets[name] for name in (ALL, SODIUM) if name in subsets])


def domain_table(out_of_fold: pd.DataFrame) -> pd.DataFrame:
    """Return the errors of out-of-fold rows outside the domain of the other folds beside those inside.

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
            beyond = part[outside]
            rows.append(
                {"target": target, "subset": subset, "share_outside": float(outside.mean())}
                | {"error_inside": float(error[~outside].mean()), "error_outside": float(error[outside].mean())}
                | {"ratio": ratio.value, "ratio_lower": ratio.lower, "ratio_upper": ratio.upper}
                | {"n_outside": beyond[Column.PELLET_ID].nunique()}
                | {"sources_outside": beyond[Column.SOURCE].nunique()}
            )
    return pd.DataFrame(rows)


def domain_curve(out_of_fold: pd.DataFrame, target: str, groups: int = 8) -> pd.DataFrame:
    """Return the error in groups by domain score: equal counts inside the domain, and all that lies outside.

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
