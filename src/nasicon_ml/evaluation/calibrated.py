"""Intervals, probabilities and domain of out-of-fold predictions, each from the other folds alone.

What is said about a held-out row must not be made from its own error, or the scores would flatter: spread,
quantiles, calibration and domain of each fold are fitted to the sources of all other folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.columns import MODEL_INPUT, Column
from nasicon_ml.composition import OccupancyTable
from nasicon_ml.estimators.calibration import fit_calibration
from nasicon_ml.estimators.domain import fit_domain
from nasicon_ml.estimators.remoteness import SourceGaps
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.estimators.uncertainty import Circumstances, fit_intervals
from nasicon_ml.evaluation.crossval import OutOfFold

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Strings = NDArray[np.object_]

#: Levels of the intervals in an out-of-fold table; its columns lower and upper are those of the last.
LEVELS = (0.5, 0.8, 0.9)
#: Columns of an out-of-fold table: the highest level whose interval misses the measured value, and the share of
#: the processing that is not known.
LEVEL_NEEDED, UNKNOWN_SHARE = "level_needed", "unknown_share"


def end_columns(level: float) -> tuple[str, str]:
    """Name the columns of an out-of-fold table that hold the lower and upper ends of intervals at a level."""
    suffix = "" if level == LEVELS[-1] else f"_{100 * level:.0f}"
    return f"lower{suffix}", f"upper{suffix}"


@dataclass(frozen=True)
class HeldOutIntervals:
    """Intervals of n held-out rows at several levels.

    Attributes
    ----------
    ends
        Level -> lower and upper end, each of shape (n,), on the scale of reports.
    level_needed
        The highest level whose interval misses the measured value, shape (n,): the share of rows below a level
        is the coverage at that level, whatever the level.
    """

    ends: dict[float, tuple[Floats, Floats]]
    level_needed: Floats

    @classmethod
    def none(cls, count: int) -> HeldOutIntervals:
        """Give the intervals of a target that has none, NaN for each of `count` rows."""
        nothing = np.full(count, np.nan)
        return cls(dict.fromkeys(LEVELS, (nothing, nothing)), nothing)

    def columns(self) -> dict[str, Floats]:
        """Give the columns of an out-of-fold table: lower and upper at each level, and `LEVEL_NEEDED`."""
        named = {
            name: end
            for level, ends in self.ends.items()
            for name, end in zip(end_columns(level), ends, strict=True)
        }
        return named | {LEVEL_NEEDED: self.level_needed}


def held_out_intervals(
    name: TargetName,
    found: OutOfFold,
    sources: Strings,
    circumstances: Circumstances,
    *,
    levels: Sequence[float] = LEVELS,
    energy_error_ev: float = 0.0,
) -> HeldOutIntervals:
    """Give each row intervals fitted on the other folds.

    Parameters
    ----------
    name, found
        Target and its out-of-fold predictions, n rows.
    sources, circumstances
        Of each row.
    levels
        Of the intervals, each above 0 and below 1.
    energy_error_ev
        As in `fit_intervals`.
    """
    measured, reported = found.rows.y, found.full
    ends = {level: (np.empty(len(measured)), np.empty(len(measured))) for level in levels}
    needed = np.empty(len(measured))
    for held_out in np.unique(found.fold):
        test = found.fold == held_out
        model = fit_intervals(
            name, measured[~test], reported[~test], sources[~test], circumstances.take(~test), energy_error_ev
        )
        here = circumstances.take(test)
        needed[test] = model.level_needed(measured[test], reported[test], here)
        for level, (lower, upper) in ends.items():
            lower[test], upper[test] = model.interval(reported[test], here, level)
    return HeldOutIntervals(ends, needed)


def held_out_probabilities(outcome: Floats, margin: Floats, fold: Ints, *, trust: float = 0.0) -> Floats:
    """Calibrate each row's log-odds by what the other folds say (`fit_calibration`); shape (n,)."""
    probability = np.empty(len(outcome))
    for held_out in np.unique(fold):
        test = fold == held_out
        probability[test] = fit_calibration(margin[~test], outcome[~test], trust=trust).probability(margin[test])
    return probability


def held_out_domain(
    pellets: pd.DataFrame, sites: OccupancyTable, gaps: SourceGaps, rows: Ints, fold: Ints
) -> Floats:
    """Say how far outside the domain of the other folds' sources each row lies; shape (n,), from 1 on outside.

    Parameters
    ----------
    pellets
        All pellets, those without a value of the target, too: the domain is that of the recipes.
    sites
        Their occupancies.
    gaps
        Distances of all pellets to all sources among them.
    rows, fold
        Which pellets are judged, and the fold in which each was held out, shape (n,).
    """
    table = pellets[[str(column) for column in MODEL_INPUT]]
    sources = pellets[Column.SOURCE].to_numpy(dtype=object)
    score = np.empty(len(rows))
    for held_out in np.unique(fold):
        test = rows[fold == held_out]
        kept = ~np.isin(gaps.names.astype(str), np.unique(sources[test].astype(str)))
        training = np.flatnonzero(np.isin(sources.astype(str), gaps.names[kept].astype(str)))
        domain = fit_domain(
            table.iloc[training],
            replace(sites, index=sites.index[training]),
            replace(gaps, gaps=gaps.gaps[training]).remoteness(sources[training], kept),
        )
        remoteness = replace(gaps, gaps=gaps.gaps[test]).remoteness(among=kept)
        judged = domain.judge(table.iloc[test], replace(sites, index=sites.index[test]), remoteness)
        score[fold == held_out] = judged.score
    return score
