"""Predictions of ours and of every peer for pellets whose source, or system, no model has seen."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.baselines import Baseline, Inputs, Setting, take
from benchmarks.dataset import BenchmarkData, Options, lithium, near_room_temperature
from nasicon_ml.columns import MODEL_INPUT, Column
from nasicon_ml.data.agreement import median_of_others
from nasicon_ml.estimators.fitting import fit_target
from nasicon_ml.estimators.targets import TARGETS, TargetName, TrainingRows, measurement_temperature, training_rows
from nasicon_ml.estimators.uncertainty import OWN_TRUST
from nasicon_ml.evaluation.cross_validation import assert_disjoint, cross_validate, out_of_fold_probabilities

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Flags = NDArray[np.bool_]

OURS = "ours"
OURS_COMPOSITION = "ours, composition only"
FLOOR = "floor: same composition"
FLOOR_ALIKE = "floor: same composition, sintered alike"
#: Pellets of one composition are called sintered alike up to this difference.
ALIKE_C = 25.0
#: Predictions are kept to this many digits: differences below are noise of the arithmetic, and must rank nothing.
_DIGITS = 6
#: Log-odds of a peer's probability are computed from this far off 0 and 1.
_SURE = 0.01
_KEPT = (
    Column.PELLET_ID, Column.SOURCE, Column.SYSTEM, *MODEL_INPUT, Column.READINGS, Column.YEAR,
)  # fmt: skip


@dataclass(frozen=True)
class Predictions:
    """What was predicted for the rows that are scored.

    Attributes
    ----------
    target
        What is predicted.
    frame
        repeat, fold, the recipe, measured, and one column a model, on the scale of reports; the same pellets in
        the same order in each repeat.
    models
        Names of the columns that are models.
    ours
        Which of them are ours.
    """

    target: TargetName
    frame: pd.DataFrame
    models: tuple[str, ...]
    ours: tuple[str, ...]


@contextmanager
def ignore_convergence_warnings() -> Iterator[None]:
    """Keep scikit-learn quiet about optimisers of kernels that stop at a bound."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def usable(data: BenchmarkData, name: TargetName, rows: TrainingRows) -> Flags:
    """Return from which rows a peer learns: conductivities near room temperature, anything else wherever."""
    if name is not TargetName.CONDUCTIVITY:
        return np.ones(len(rows.rows), dtype=bool)
    return near_room_temperature(data.pellets)[rows.rows]


def scored(data: BenchmarkData, name: TargetName, rows: TrainingRows) -> Flags:
    """Return which rows are scored: lithium, near room temperature."""
    return usable(data, name, rows) & lithium(data.pellets)[rows.rows]


def out_of_fold(
    data: BenchmarkData, name: TargetName, peers: tuple[Baseline, ...], inputs: dict[str, Inputs], options: Options
) -> Predictions:
    """Predict every pellet by models of other sources: ours by `cross_validate`, the peers on the same folds."""
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
        columns |= baselines_out_of_fold(data, name, rows, found.fold, peers, inputs, options)
        frames.append(_frame(data, rows, columns).assign(repeat=repeat, fold=found.fold))
    models = (OURS, OURS_COMPOSITION, *(peer.name for peer in peers))
    frame = pd.concat([frame[scored(data, name, rows)] for frame in frames], ignore_index=True)
    return Predictions(name, with_floors(data, name, frame), models, (OURS,))


def baselines_out_of_fold(
    data: BenchmarkData,
    name: TargetName,
    rows: TrainingRows,
    fold: Ints,
    peers: tuple[Baseline, ...],
    inputs: dict[str, Inputs],
    options: Options,
) -> dict[str, Floats]:
    """Predict all rows by peers that learned from the other folds; calibrated like ours, but more freely."""
    learned = usable(data, name, rows)
    sources = data.pellets[Column.SOURCE].to_numpy()[rows.rows]

    def answers(held_out: int) -> tuple[Flags, dict[str, Floats]]:
        test, training = fold == held_out, (fold != held_out) & learned
        assert_disjoint(sources[training], sources[test])
        return test, predict_baselines(name, rows, training, test, peers, inputs, options)

    found = {peer.name: np.empty(len(fold)) for peer in peers}
    with ignore_convergence_warnings(), ThreadPoolExecutor(options.threads) as pool:
        for test, of_fold in pool.map(answers, range(int(fold.max()) + 1)):
            for peer_name, values in of_fold.items():
                found[peer_name][test] = values
    if TARGETS[name].is_probability:
        for peer in peers[1:]:  # the base rate is no forecast that could be too sure of itself
            share = np.clip(found[peer.name], _SURE, 1 - _SURE)
            found[peer.name] = out_of_fold_probabilities(rows.y, np.log(share / (1 - share)), fold)
    return found


def predict_baselines(
    name: TargetName,
    rows: TrainingRows,
    training: Flags,
    asked: Flags,
    peers: tuple[Baseline, ...],
    inputs: dict[str, Inputs],
    options: Options,
) -> dict[str, Floats]:
    """Let every peer learn from some of the rows and answer for others."""
    setting = Setting(TARGETS[name].is_probability, options.seed, options.trees)
    known, wanted = rows.rows[training], rows.rows[asked]
    return {
        peer.name: peer.answer(
            take(inputs[peer.name], known), rows.y[training], take(inputs[peer.name], wanted), setting
        )
        for peer in peers
    }


def held_out(
    data: BenchmarkData,
    name: TargetName,
    asked: Callable[[pd.DataFrame], Flags],
    peers: tuple[Baseline, ...],
    inputs: dict[str, Inputs],
    options: Options,
) -> Predictions | None:
    """Predict chosen pellets by models that saw none of their sources; repeats differ in the models' seed.

    Probabilities are not calibrated. None where no chosen pellet has a value.
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
        seeded = _seeded(options, repeat)
        columns = _predict_own_models(data, name, rows, training, wanted, seeded.seed)
        with ignore_convergence_warnings():
            learned = training & usable(data, name, rows)
            columns |= predict_baselines(name, rows, learned, wanted, peers, inputs, seeded)
        part = TrainingRows(rows.rows[wanted], rows.y[wanted], rows.weight[wanted])
        frames.append(_frame(data, part, columns).assign(repeat=repeat, fold=0))
    models = (OURS, OURS_COMPOSITION, *(peer.name for peer in peers))
    frame = with_floors(data, name, pd.concat(frames, ignore_index=True))
    return Predictions(name, frame, models, (OURS,))


def _predict_own_models(
    data: BenchmarkData, name: TargetName, rows: TrainingRows, training: Flags, wanted: Flags, seed: int
) -> dict[str, Floats]:
    at = rows.rows[wanted]
    temperature = measurement_temperature(data.pellets)[at]
    found = {}
    for key, context in ((OURS, data.full), (OURS_COMPOSITION, data.composition_only)):
        model = fit_target(replace(context, seed=seed), name, rows, training)
        found[key] = model.reported(context.features.values[at], temperature)
    return found


def _seeded(options: Options, repeat: int) -> Options:
    return replace(options, seed=options.seed + repeat)


def _frame(data: BenchmarkData, rows: TrainingRows, columns: dict[str, Floats]) -> pd.DataFrame:
    kept = [column for column in _KEPT if column in data.pellets]
    rounded = {key: values.round(_DIGITS) for key, values in columns.items()}
    return data.pellets.iloc[rows.rows][kept].reset_index(drop=True).assign(measured=rows.y, **rounded)


def with_floors(data: BenchmarkData, name: TargetName, frame: pd.DataFrame) -> pd.DataFrame:
    """Add what the other sources found at the same composition, as if it were a prediction; NaN where none did."""
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
