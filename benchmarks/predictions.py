"""Predictions of the own models and the baselines for pellets of sources, or systems, without training data."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from benchmarks.baselines import Baseline, Inputs, Setting, take
from benchmarks.dataset import BenchmarkData, Options, lithium
from nasicon_ml.arrays import Floats, Ints, Mask
from nasicon_ml.columns import MODEL_INPUT, Column
from nasicon_ml.data.agreement import median_of_others
from nasicon_ml.estimators.fitting import fit_target
from nasicon_ml.estimators.targets import TARGETS, TargetName, TrainingRows, measurement_temperature, training_rows
from nasicon_ml.estimators.uncertainty import OWN_TRUST
from nasicon_ml.evaluation.cross_validation import (
    assert_disjoint,
    cross_validate,
    near_room_temperature,
    out_of_fold_probabilities,
)

OURS = "ours"
OURS_COMPOSITION = "ours, composition only"
FLOOR = "floor: same composition"
FLOOR_ALIKE = "floor: same composition, sintered alike"
#: Largest difference in °C of sintering temperatures that count as alike.
ALIKE_C = 25.0
#: Digits of predictions; smaller differences are rounding noise and must not affect ranks.
_DIGITS = 6
#: Probabilities of baselines are clipped to this distance from 0 and 1 before log-odds are computed.
_CLIP = 0.01
_KEPT = (
    Column.PELLET_ID, Column.SOURCE, Column.SYSTEM, *MODEL_INPUT, Column.READINGS, Column.YEAR,
)  # fmt: skip


@dataclass(frozen=True)
class Predictions:
    """Predictions for the scored rows.

    Attributes
    ----------
    target
        The predicted target.
    frame
        repeat, fold, the recipe, measured, and one column per model, on the scale of reports; each repeat has the
        same pellets in the same order.
    models
        Names of the columns of models.
    own_models
        Names of the columns of the own models.
    """

    target: TargetName
    frame: pd.DataFrame
    models: tuple[str, ...]
    own_models: tuple[str, ...]


@contextmanager
def ignore_convergence_warnings() -> Iterator[None]:
    """Ignore scikit-learn's warnings about kernel optimisers that stop at a bound."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def usable(data: BenchmarkData, name: TargetName, rows: TrainingRows) -> Mask:
    """Return the training rows of baselines: conductivities near room temperature, all rows of other targets."""
    return near_room_temperature(name, data.pellets)[rows.rows]


def scored(data: BenchmarkData, name: TargetName, rows: TrainingRows) -> Mask:
    """Return which rows are scored: lithium pellets, conductivities near room temperature."""
    return usable(data, name, rows) & lithium(data.pellets)[rows.rows]


def out_of_fold(
    data: BenchmarkData,
    name: TargetName,
    baselines: tuple[Baseline, ...],
    inputs: dict[str, Inputs],
    options: Options,
) -> Predictions:
    """Predict every pellet by models of other sources: own models and baselines on the same folds."""
    rows = training_rows(data.pellets, name)
    frames = []
    for repeat in range(options.repeats):
        seed = options.seed + repeat
        found = cross_validate(data.full, data.composition_only, name, rows, folds=options.folds, seed=seed)
        columns = {OURS: found.full, OURS_COMPOSITION: found.composition_only}
        if TARGETS[name].is_probability:
            columns = {
                key: out_of_fold_probabilities(rows.y, margin, found.fold, trust=OWN_TRUST)
                for key, margin in columns.items()
            }
        columns |= baselines_out_of_fold(data, name, rows, found.fold, baselines, inputs, options)
        frames.append(_frame(data, rows, columns).assign(repeat=repeat, fold=found.fold))
    models = (OURS, OURS_COMPOSITION, *(baseline.name for baseline in baselines))
    frame = pd.concat([frame[scored(data, name, rows)] for frame in frames], ignore_index=True)
    return Predictions(name, with_floors(data, name, frame), models, (OURS,))


def baselines_out_of_fold(
    data: BenchmarkData,
    name: TargetName,
    rows: TrainingRows,
    fold: Ints,
    baselines: tuple[Baseline, ...],
    inputs: dict[str, Inputs],
    options: Options,
) -> dict[str, Floats]:
    """Predict all rows by baselines fitted to the other folds, calibrated on the other folds without a prior."""
    learned = usable(data, name, rows)
    sources = data.pellets[Column.SOURCE].to_numpy()[rows.rows]

    def answers(held_out: int) -> tuple[Mask, dict[str, Floats]]:
        test, training = fold == held_out, (fold != held_out) & learned
        assert_disjoint(sources[training], sources[test])
        return test, predict_baselines(name, rows, training, test, baselines, inputs, options)

    found = {baseline.name: np.empty(len(fold)) for baseline in baselines}
    with ignore_convergence_warnings(), ThreadPoolExecutor(options.threads) as pool:
        for test, of_fold in pool.map(answers, range(int(fold.max()) + 1)):
            for baseline_name, values in of_fold.items():
                found[baseline_name][test] = values
    if TARGETS[name].is_probability:
        for baseline in baselines[1:]:  # the base rate needs no calibration
            share = np.clip(found[baseline.name], _CLIP, 1 - _CLIP)
            found[baseline.name] = out_of_fold_probabilities(rows.y, np.log(share / (1 - share)), fold)
    return found


def predict_baselines(
    name: TargetName,
    rows: TrainingRows,
    training: Mask,
    asked: Mask,
    baselines: tuple[Baseline, ...],
    inputs: dict[str, Inputs],
    options: Options,
) -> dict[str, Floats]:
    """Return the predictions of every baseline, fitted to the training rows, for the requested rows."""
    setting = Setting(TARGETS[name].is_probability, options.seed, options.trees)
    known, wanted = rows.rows[training], rows.rows[asked]
    return {
        baseline.name: baseline.predict(
            take(inputs[baseline.name], known), rows.y[training], take(inputs[baseline.name], wanted), setting
        )
        for baseline in baselines
    }


def held_out(
    data: BenchmarkData,
    name: TargetName,
    asked: Callable[[pd.DataFrame], Mask],
    baselines: tuple[Baseline, ...],
    inputs: dict[str, Inputs],
    options: Options,
) -> Predictions | None:
    """Predict chosen pellets by models without training data of their sources; repeats use other seeds.

    Probabilities are not calibrated. Return None if no chosen pellet has a value.
    """
    rows = training_rows(data.pellets, name)
    wanted = asked(data.pellets)[rows.rows] & scored(data, name, rows)
    if not wanted.any():
        return None
    sources = data.pellets[Column.SOURCE].to_numpy()[rows.rows]
    training = ~np.isin(sources, sources[asked(data.pellets)[rows.rows]])
    assert_disjoint(sources[training], sources[wanted])
    frames = []
    for repeat in range(options.repeats):
        seeded = replace(options, seed=options.seed + repeat)
        columns = _predict_own_models(data, name, rows, training, wanted, seeded.seed)
        with ignore_convergence_warnings():
            learned = training & usable(data, name, rows)
            columns |= predict_baselines(name, rows, learned, wanted, baselines, inputs, seeded)
        part = TrainingRows(rows.rows[wanted], rows.y[wanted], rows.weight[wanted])
        frames.append(_frame(data, part, columns).assign(repeat=repeat, fold=0))
    models = (OURS, OURS_COMPOSITION, *(baseline.name for baseline in baselines))
    frame = with_floors(data, name, pd.concat(frames, ignore_index=True))
    return Predictions(name, frame, models, (OURS,))


def _predict_own_models(
    data: BenchmarkData, name: TargetName, rows: TrainingRows, training: Mask, wanted: Mask, seed: int
) -> dict[str, Floats]:
    at = rows.rows[wanted]
    temperature = measurement_temperature(data.pellets)[at]
    found = {}
    for key, context in ((OURS, data.full), (OURS_COMPOSITION, data.composition_only)):
        model = fit_target(replace(context, seed=seed), name, rows, training)
        found[key] = model.reported(context.features.values[at], temperature)
    return found


def _frame(data: BenchmarkData, rows: TrainingRows, columns: dict[str, Floats]) -> pd.DataFrame:
    kept = [column for column in _KEPT if column in data.pellets]
    rounded = {key: values.round(_DIGITS) for key, values in columns.items()}
    return data.pellets.iloc[rows.rows][kept].reset_index(drop=True).assign(measured=rows.y, **rounded)


def with_floors(data: BenchmarkData, name: TargetName, frame: pd.DataFrame) -> pd.DataFrame:
    """Add the median of other sources at the same composition as a prediction; NaN without other sources."""
    if TARGETS[name].is_probability:
        return frame
    rows = training_rows(data.pellets, name)
    kept = scored(data, name, rows)
    measured = np.full(len(data.pellets), np.nan)
    measured[rows.rows[kept]] = rows.y[kept]
    values = pd.Series(measured, index=data.pellets.index)
    ids = data.pellets[Column.PELLET_ID]
    for column, within in ((FLOOR, None), (FLOOR_ALIKE, ALIKE_C)):
        others = median_of_others(data.pellets, values, sintered_within_c=within)
        frame[column] = frame[Column.PELLET_ID].map(pd.Series(others.to_numpy(), index=ids))
    return frame
