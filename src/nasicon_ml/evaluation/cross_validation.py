"""Cross-validation by source: folds, out-of-fold predictions, and their intervals, probabilities and domain.

No source has rows in both the training and the test set of a split. The interval, probability and domain of an
out-of-fold row must not depend on its own error either: spread, quantiles, calibration and domain of each fold are
fitted to the sources of all other folds. The covariance of errors on pellets of one source is also fitted to the
out-of-fold predictions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from nasicon_ml.arrays import Floats, Ints, Mask, Strings
from nasicon_ml.columns import MODEL_INPUT, Column
from nasicon_ml.composition import OccupancyTable
from nasicon_ml.errors import LeakageError
from nasicon_ml.estimators.domain import SourceDistances, fit_domain
from nasicon_ml.estimators.fitting import FitContext, FittedTarget, fit_target
from nasicon_ml.estimators.own_pellets import OutOfFoldErrors, OwnKernel, fit_own_kernel
from nasicon_ml.estimators.targets import (
    ANSWERS,
    TARGETS,
    TargetName,
    TrainingRows,
    learned_interval,
    measurement_temperature,
)
from nasicon_ml.estimators.uncertainty import (
    Circumstances,
    fit_calibration,
    fit_intervals,
    is_near_room_temperature,
)
from nasicon_ml.features.distances import recipe_space

#: Chooses settings from training rows only: (context, target, rows, training mask) -> context with the settings.
Tuner = Callable[[FitContext, TargetName, TrainingRows, Mask], FitContext]
#: Levels of the intervals in an out-of-fold table; its columns lower and upper contain those of the last level.
LEVELS = (0.5, 0.8, 0.9)
#: Columns of an out-of-fold table: the highest level whose interval excludes the measured value, and the share of
#: the processing that is unknown.
LEVEL_NEEDED, UNKNOWN_SHARE = "level_needed", "unknown_share"


def grouped_folds(sources: ArrayLike, folds: int, seed: int) -> Ints:
    """Assign whole sources to folds of about equal numbers of rows.

    Parameters
    ----------
    sources
        Source key of each row, shape (n,).
    folds
        Number of folds, at least 2 and at most the number of sources.
    seed
        Seed of the shuffle; the folds do not depend on the order of the rows.

    Returns
    -------
    ndarray of int
        Shape (n,), fold of each row, 0 to folds - 1.

    Raises
    ------
    ValueError
        If there are fewer sources than folds, or fewer than 2 folds.
    """
    names, codes, counts = np.unique(np.asarray(sources, dtype=str), return_inverse=True, return_counts=True)
    if not 2 <= folds <= len(names):
        raise ValueError(f"{folds} folds cannot be made of {len(names)} sources: at least 2, at most one each")
    # Sources are assigned from the largest to the smallest, each to the smallest fold; the shuffle decides among
    # sources of equal size. scikit-learn's GroupKFold either balances or shuffles, not both.
    shuffled = np.random.default_rng(seed).permutation(len(names))
    order = shuffled[np.argsort(-counts[shuffled], kind="stable")]
    fold_sizes = np.zeros(folds)
    fold_of_source = np.empty(len(names), dtype=np.intp)
    for source in order:
        smallest = int(fold_sizes.argmin())
        fold_of_source[source] = smallest
        fold_sizes[smallest] += counts[source]
    return fold_of_source[codes]


def assert_disjoint(training: ArrayLike, testing: ArrayLike) -> None:
    """Raise LeakageError, naming the sources, if a source is in both the training and the test rows."""
    shared = set(np.unique(np.asarray(training, dtype=str))) & set(np.unique(np.asarray(testing, dtype=str)))
    if shared:
        shown = ", ".join(sorted(shared)[:5])
        raise LeakageError(f"{len(shared)} sources are on both sides of a split: {shown}")


def grouped_splits(sources: ArrayLike, fold: Ints) -> Iterator[tuple[Mask, Mask]]:
    """Yield the training and the test rows of each fold as masks of shape (n,).

    Raises
    ------
    LeakageError
        If a source has rows on both sides of a split.
    """
    names = np.asarray(sources, dtype=str)
    for part in np.unique(fold):
        test = fold == part
        assert_disjoint(names[~test], names[test])
        yield ~test, test


@dataclass(frozen=True)
class OutOfFoldPredictions:
    """Predictions of n rows by models that were not trained on their source.

    Attributes
    ----------
    rows
        The rows, as positions in the pellet table, with measured values on the scale of reports.
    fold
        Fold of each row, shape (n,); its models were trained on the other folds.
    full, composition_only, median
        Predictions on the scale of reports, shape (n,) each. For a probability, `full` and `composition_only` are
        uncalibrated log-odds of the trees, and `median` is the base rate of the training rows.
    """

    rows: TrainingRows
    fold: Ints
    full: Floats
    composition_only: Floats
    median: Floats


def cross_validate(  # noqa: PLR0913 -- two contexts share one split
    full: FitContext,
    composition_only: FitContext,
    name: TargetName,
    rows: TrainingRows,
    *,
    folds: int,
    seed: int,
    tuner: Tuner | None = None,
    inspect: Callable[[FittedTarget, Ints], None] | None = None,
    advance: Callable[[], None] = lambda: None,
) -> OutOfFoldPredictions:
    """Predict every row by models trained on other sources.

    Parameters
    ----------
    full, composition_only
        The same pellets with all features and with the features of the composition only.
    name, rows
        The target and its usable rows.
    folds, seed
        How sources are assigned to folds.
    tuner
        Chooses settings from the training rows of each fold; None keeps the settings of the context.
    inspect
        Called with the full model of each fold and the positions in `rows` of its test rows.
    advance
        Called after each fold.

    Raises
    ------
    LeakageError
        If a source has rows on both sides of a split.
    """
    sources = full.pellets[Column.SOURCE].to_numpy()[rows.rows]
    temperature = measurement_temperature(full.pellets)[rows.rows]
    fold = grouped_folds(sources, folds, seed)
    splits = list(grouped_splits(sources, fold))
    contexts = {"full": full, "composition": composition_only}
    predicted = {key: np.empty(len(rows.rows)) for key in (*contexts, "median")}

    def fit(split: tuple[Mask, Mask]) -> dict[str, FittedTarget]:
        train, _ = split
        return {
            key: fit_target(context if tuner is None else tuner(context, name, rows, train), name, rows, train)
            for key, context in contexts.items()
        }

    # Each fold uses one thread: on a few hundred rows, two threads inside one booster mostly wait for each other.
    with ThreadPoolExecutor(full.threads) as pool:
        for (train, test), fitted in zip(splits, pool.map(fit, splits), strict=True):
            for key, model in fitted.items():
                features = contexts[key].features.values[rows.rows[test]]
                predicted[key][test] = model.reported(features, temperature[test])
            if inspect is not None:
                inspect(fitted["full"], np.flatnonzero(test))
            average = np.mean if TARGETS[name].is_probability else np.median
            predicted["median"][test] = average(rows.y[train])
            advance()
    return OutOfFoldPredictions(rows, fold, predicted["full"], predicted["composition"], predicted["median"])


def interval_columns(level: float) -> tuple[str, str]:
    """Return the names of the columns of an out-of-fold table with the lower and upper ends at a level."""
    suffix = "" if level == LEVELS[-1] else f"_{100 * level:.0f}"
    return f"lower{suffix}", f"upper{suffix}"


@dataclass(frozen=True)
class OutOfFoldIntervals:
    """Intervals of n out-of-fold rows at several levels.

    Attributes
    ----------
    ends
        Level -> lower and upper end, each of shape (n,), on the scale of reports.
    level_needed
        The highest level whose interval excludes the measured value, shape (n,). The coverage at any level is the
        share of rows with a lower value.
    """

    ends: dict[float, tuple[Floats, Floats]]
    level_needed: Floats

    @classmethod
    def missing(cls, count: int) -> OutOfFoldIntervals:
        """Return NaN for each of `count` rows of a target without intervals."""
        missing = np.full(count, np.nan)
        return cls(dict.fromkeys(LEVELS, (missing, missing)), missing)

    def columns(self) -> dict[str, Floats]:
        """Return the columns of an out-of-fold table: lower and upper at each level, and `LEVEL_NEEDED`."""
        columns: dict[str, Floats] = {}
        for level, ends in self.ends.items():
            columns |= zip(interval_columns(level), ends, strict=True)
        return columns | {LEVEL_NEEDED: self.level_needed}


def out_of_fold_intervals(
    name: TargetName,
    predictions: OutOfFoldPredictions,
    sources: Strings,
    circumstances: Circumstances,
    *,
    levels: Sequence[float] = LEVELS,
    energy_error_ev: float = 0.0,
) -> OutOfFoldIntervals:
    """Return the intervals of each row, fitted on the other folds.

    Parameters
    ----------
    name, predictions
        Target and its out-of-fold predictions, n rows.
    sources, circumstances
        Source and circumstances of each row.
    levels
        Levels of the intervals, each above 0 and below 1.
    energy_error_ev
        As in `fit_intervals`.
    """
    measured, reported = predictions.rows.y, predictions.full
    ends = {level: (np.empty(len(measured)), np.empty(len(measured))) for level in levels}
    needed = np.empty(len(measured))
    for train, test in grouped_splits(sources, predictions.fold):
        model = fit_intervals(
            name, measured[train], reported[train], sources[train], circumstances.take(train), energy_error_ev
        )
        test_circumstances = circumstances.take(test)
        needed[test] = model.level_needed(measured[test], reported[test], test_circumstances)
        for level, (lower, upper) in ends.items():
            lower[test], upper[test] = model.interval(reported[test], test_circumstances, level)
    return OutOfFoldIntervals(ends, needed)


def out_of_fold_probabilities(outcome: Floats, margin: Floats, fold: Ints, *, trust: float = 0.0) -> Floats:
    """Return each row's probability, calibrated on the other folds (`fit_calibration`); shape (n,)."""
    probability = np.empty(len(outcome))
    for part in np.unique(fold):
        test = fold == part
        probability[test] = fit_calibration(margin[~test], outcome[~test], trust=trust).probability(margin[test])
    return probability


def out_of_fold_domain(
    pellets: pd.DataFrame, sites: OccupancyTable, by_source: SourceDistances, rows: Ints, fold: Ints
) -> Floats:
    """Return the domain score of each row for the sources of the other folds; shape (n,), 1 or more is outside.

    Parameters
    ----------
    pellets
        All pellets, including those without a value of the target, because the domain depends on recipes only.
    sites
        Occupancies of the pellets.
    by_source
        Distances of all pellets to all of their sources.
    rows, fold
        Positions of the pellets to score and the fold of each, shape (n,).
    """
    table = pellets[[str(column) for column in MODEL_INPUT]]
    sources = pellets[Column.SOURCE].to_numpy(dtype=object)
    score = np.empty(len(rows))
    for part in np.unique(fold):
        test = rows[fold == part]
        kept = ~np.isin(by_source.names.astype(str), np.unique(sources[test].astype(str)))
        training = np.flatnonzero(np.isin(sources.astype(str), by_source.names[kept].astype(str)))
        domain = fit_domain(
            table.iloc[training],
            replace(sites, index=sites.index[training]),
            by_source.take(training).mean_of_nearest(sources[training], kept),
            sources[training],
        )
        compared = domain.compare(table.iloc[test], replace(sites, index=sites.index[test]))
        score[fold == part] = compared.score(by_source.take(test).mean_of_nearest(included=kept))
    return score


def out_of_fold_errors(name: TargetName, frame: pd.DataFrame, pellets: pd.DataFrame) -> OutOfFoldErrors:
    """Prepare out-of-fold predictions of one target and one repeat for conditioning on own pellets.

    Parameters
    ----------
    name
        The target.
    frame
        Rows of one target and one repeat of `nasicon_ml.workflows.train.TrainingResult.out_of_fold`.
    pellets
        The pellets with their recipes, at least those in `frame`.

    Returns
    -------
    OutOfFoldErrors
        The same rows in the same order.
    """
    recipes = pellets.set_index(Column.PELLET_ID).loc[frame[Column.PELLET_ID]].reset_index()
    columns = ("measured", "predicted", "lower", "upper")
    measured, *reported = (frame[column].to_numpy(dtype=np.float64) for column in columns)
    predicted, half = reported[0], np.full(len(frame), np.nan)
    if not TARGETS[name].is_probability:
        measured = TARGETS[name].forward(measured)
        predicted, half = learned_interval(name, reported)
    sources = frame[Column.SOURCE].to_numpy(dtype=object)
    return OutOfFoldErrors(name, measured, predicted, half, sources, recipe_space(recipes))


def fit_own_kernels(
    out_of_fold: pd.DataFrame, pellets: pd.DataFrame, *, seed: int = 0
) -> dict[TargetName, OwnKernel]:
    """Fit the covariance of errors on pellets of one source for each answer, from the first repeat.

    Parameters
    ----------
    out_of_fold
        As in `nasicon_ml.workflows.train.TrainingResult.out_of_fold`.
    pellets
        The pellets with their recipes.
    seed
        Seed of the fit.

    Raises
    ------
    ValueError
        If an answer has no out-of-fold predictions.
    """
    kernels = {}
    for name in ANSWERS:
        rows = out_of_fold[out_of_fold["target"] == str(name)]
        if rows.empty:
            raise ValueError(f"{name}: no out-of-fold prediction of it to learn from")
        rows = rows[rows["repeat"] == rows["repeat"].min()]
        frame = rows[near_room_temperature(name, rows)].reset_index(drop=True)
        kernels[name] = fit_own_kernel(out_of_fold_errors(name, frame, pellets), seed=seed)
    return kernels


def near_room_temperature(name: TargetName, frame: pd.DataFrame) -> Mask:
    """Return which rows are scored, shape (n,): conductivities at 15 to 40 °C, all rows of other targets."""
    if name is not TargetName.CONDUCTIVITY:
        return np.ones(len(frame), dtype=bool)
    return is_near_room_temperature(measurement_temperature(frame))
