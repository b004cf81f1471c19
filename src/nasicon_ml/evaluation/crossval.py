"""Grouped cross-validation of one target: full model, composition-only model and baseline on the same folds."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.columns import Column
from nasicon_ml.estimators.fitting import FitContext, FittedTarget, fit_target
from nasicon_ml.estimators.targets import TARGETS, TargetName, TrainingRows, measurement_temperature
from nasicon_ml.evaluation.splits import assert_disjoint, grouped_folds

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_CONTEXTS = ("full", "composition")
#: Chooses settings from training rows only: (context, target, rows, chosen) -> context with the settings.
Tuner = Callable[[FitContext, TargetName, TrainingRows, NDArray[np.bool_]], FitContext]


@dataclass(frozen=True)
class OutOfFold:
    """Predictions of rows by models that never saw their source; each of shape (n,).

    Attributes
    ----------
    rows
        The rows, as positions in the pellet table, with measured values on the scale of reports.
    fold
        Which fold a row was held out in.
    full, composition_only, median
        Predictions on the scale of reports. Of a probability: log-odds of the trees, not yet calibrated, for
        the first two, and the training rows' base rate for the last.
    """

    rows: TrainingRows
    fold: Ints
    full: Floats
    composition_only: Floats
    median: Floats


def cross_validate(  # noqa: PLR0913 -- two contexts, one split
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
) -> OutOfFold:
    """Predict every row by models trained on other sources.

    Parameters
    ----------
    full, composition_only
        The same pellets with all features and with those of the composition alone.
    name, rows
        The target and its usable rows.
    folds, seed
        How sources are dealt.
    tuner
        Chooses settings inside each fold's training rows; None keeps those of the context.
    inspect
        Shown each fold's full model and which of `rows` it was not trained on.
    advance
        Called after each fold.

    Raises
    ------
    LeakageError
        If a source stood on both sides of a fold; checked in every fold, not assumed.
    """
    sources = full.pellets[Column.SOURCE].to_numpy()[rows.rows]
    temperature = measurement_temperature(full.pellets)[rows.rows]
    fold = grouped_folds(sources, folds, seed)
    found = {key: np.empty(len(rows.rows)) for key in (*_CONTEXTS, "median")}
    contexts = dict(zip(_CONTEXTS, (full, composition_only), strict=True))

    def fit(held_out: int) -> dict[str, FittedTarget]:
        test = fold == held_out
        assert_disjoint(sources[~test], sources[test])
        settled = {
            key: context if tuner is None else tuner(context, name, rows, ~test)
            for key, context in contexts.items()
        }
        return {key: fit_target(context, name, rows, ~test) for key, context in settled.items()}

    # Folds share the threads, one each: two threads inside one booster of some hundred rows wait for each other
    # longer than they work, above all on a busy machine.
    with ThreadPoolExecutor(full.threads) as pool:
        for held_out, fitted in enumerate(pool.map(fit, range(folds))):
            test = fold == held_out
            for key, model in fitted.items():
                features = contexts[key].features.values[rows.rows[test]]
                found[key][test] = model.reported(features, temperature[test])
            if inspect is not None:
                inspect(fitted["full"], np.flatnonzero(test))
            middle = np.mean if TARGETS[name].is_probability else np.median
            found["median"][test] = middle(rows.y[~test])
            advance()
    return OutOfFold(rows, fold, found["full"], found["composition"], found["median"])
