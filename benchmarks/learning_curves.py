"""Learning curves over the number of training sources."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd

from benchmarks.dataset import BenchmarkData, Options
from benchmarks.predictions import OURS, OURS_COMPOSITION, scored
from benchmarks.scoring import weighted_auroc
from nasicon_ml.arrays import Floats, Ints, Mask, Strings
from nasicon_ml.columns import Column
from nasicon_ml.estimators.fitting import FitContext, fit_target
from nasicon_ml.estimators.targets import TARGETS, TargetName, measurement_temperature, training_rows
from nasicon_ml.estimators.uncertainty import OWN_TRUST
from nasicon_ml.evaluation.cross_validation import assert_disjoint, grouped_folds, out_of_fold_probabilities
from nasicon_ml.evaluation.scores import source_weights, weighted_mean

SHARES = (0.25, 0.5, 0.75, 1.0)


def sources_kept(sources: Strings, share: float, seed: int) -> Mask:
    """Return the rows of a share of the sources, shape (n,); larger shares include smaller ones."""
    names = np.unique(sources.astype(str))
    order = np.random.default_rng(seed).permutation(names)
    return np.isin(sources.astype(str), order[: max(1, round(share * len(names)))])


def learning_curve(
    data: BenchmarkData, name: TargetName, options: Options, say: Callable[[str], None]
) -> pd.DataFrame:
    """Score models of increasing shares of the training sources on fixed test folds.

    Returns
    -------
    pandas.DataFrame
        target, model, share, sources (mean number trained on), metric, score (mean over repeats), low and high
        (95 % of a bootstrap over the sources scored).
    """
    rows = training_rows(data.pellets, name)
    keep = scored(data, name, rows)
    sources = data.pellets[Column.SOURCE].to_numpy()[rows.rows]
    temperature = measurement_temperature(data.pellets)[rows.rows]
    weights = source_weights(sources[keep], options.draws, options.seed)
    records = []

    def predict(context: FitContext, fold: Ints, share: float, seed: int) -> tuple[Floats, float]:
        predicted, counts = np.empty(len(fold)), []

        def predict_fold(test_fold: int) -> tuple[Mask, Floats, int]:
            test = fold == test_fold
            training = ~test
            training[training] = sources_kept(sources[~test], share, seed)
            assert_disjoint(sources[training], sources[test])
            model = fit_target(context, name, rows, training)
            answer = model.reported(context.features.values[rows.rows[test]], temperature[test])
            return test, answer, len(np.unique(sources[training].astype(str)))

        with ThreadPoolExecutor(options.threads) as pool:
            for test, answer, count in pool.map(predict_fold, range(options.folds)):
                predicted[test] = answer
                counts.append(count)
        if TARGETS[name].is_probability:
            predicted = out_of_fold_probabilities(rows.y, predicted, fold, trust=OWN_TRUST)
        return predicted, float(np.mean(counts))

    for share in SHARES:
        say(f"learning from {share:.0%} of the sources: {name.replace('_', ' ')}")
        for model, context in ((OURS, data.full), (OURS_COMPOSITION, data.composition_only)):
            drawn, scores_of_repeats, counts = [], [], []
            for repeat in range(options.repeats):
                fold = grouped_folds(sources, options.folds, options.seed + repeat)
                predicted, count = predict(context, fold, share, options.seed + repeat)
                drawn.append(_score(name, rows.y[keep], predicted[keep], weights))
                scores_of_repeats.append(
                    _score(name, rows.y[keep], predicted[keep], np.ones((1, int(keep.sum()))))[0]
                )
                counts.append(count)
            low, high = np.nanpercentile(np.mean(drawn, axis=0), [2.5, 97.5])
            records.append(
                {"target": str(name), "model": model, "share": share, "sources": float(np.mean(counts))}
                | {"metric": _metric(name), "score": float(np.mean(scores_of_repeats)), "low": low, "high": high}
            )
    return pd.DataFrame(records)


def _metric(name: TargetName) -> str:
    return "auroc" if TARGETS[name].is_probability else f"mae_{TARGETS[name].unit}"


def _score(name: TargetName, measured: Floats, predicted: Floats, weights: Floats) -> Floats:
    if TARGETS[name].is_probability:
        return weighted_auroc(measured, predicted, weights)
    return weighted_mean(np.abs(measured - predicted), weights)
