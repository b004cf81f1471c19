"""What is held out has no say in what is predicted for it, by ours or by any baseline."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.baselines import BASELINES, InputKind, baselines_with_inputs, compute_inputs
from benchmarks.dataset import BenchmarkData, Options, load_benchmark_data, obelix_pellets
from benchmarks.predictions import (
    FLOOR,
    baselines_out_of_fold,
    held_out,
    ignore_convergence_warnings,
    out_of_fold,
    predict_baselines,
)
from benchmarks.protocols import from_all_pellets

from nasicon_ml.columns import Column
from nasicon_ml.estimators.targets import ANSWERS, TARGETS, TargetName, TrainingRows, training_rows
from nasicon_ml.evaluation.cross_validation import grouped_folds

OPTIONS = Options(folds=3, repeats=1, draws=50, trees=5, threads=1)


@pytest.fixture(scope="module")
def data() -> BenchmarkData:
    return load_benchmark_data(OPTIONS)


@pytest.fixture(scope="module")
def inputs(data):
    return compute_inputs(BASELINES, data.pellets)


def spoil(pellets, rows):
    """Replace the results of some pellets by nonsense, where there are any."""
    nonsense = {
        Column.CONDUCTIVITY_TOTAL_S_CM: 1e-9, Column.RELATIVE_DENSITY_PCT: 31.0, Column.ACTIVATION_ENERGY_EV: 1.7,
    }  # fmt: skip
    kept = {column: pellets[column].isna() | ~rows for column in nonsense}
    return pellets.assign(
        **{str(column): pellets[column].where(kept[column], nonsense[column]) for column in kept}
    )


def folds_of(data, rows):
    return grouped_folds(data.pellets[Column.SOURCE].to_numpy()[rows.rows], OPTIONS.folds, OPTIONS.seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", ANSWERS)
def test_no_peer_hears_of_the_rows_it_is_asked_for(data, inputs, name):
    rows = training_rows(data.pellets, name)
    asked = folds_of(data, rows) == 0
    wrong = 1 - rows.y if TARGETS[name].is_probability else rows.y[::-1] * 0.5
    spoiled = TrainingRows(rows.rows, np.where(asked, wrong, rows.y), rows.weight)
    taught = TrainingRows(rows.rows, np.where(asked, rows.y, wrong), rows.weight)
    with ignore_convergence_warnings():
        before, after, other = (
            predict_baselines(name, which, ~asked, asked, BASELINES, inputs, OPTIONS)
            for which in (rows, spoiled, taught)
        )
    assert set(before) == {baseline.name for baseline in BASELINES}
    for baseline in before:
        np.testing.assert_array_equal(after[baseline], before[baseline], err_msg=baseline)
        assert (other[baseline] != before[baseline]).any(), (
            f"{baseline} does not listen to its training rows either"
        )


def test_the_folds_are_dealt_so_in_the_whole_run(data, inputs):
    name = TargetName.RELATIVE_DENSITY
    baselines = tuple(
        baseline
        for baseline in BASELINES
        if baseline.name in {"median", "nearest neighbour", "median of the system"}
    )
    rows = training_rows(data.pellets, name)
    fold = folds_of(data, rows)
    spoiled = TrainingRows(rows.rows, np.where(fold == 1, 31.0, rows.y), rows.weight)
    before, after = (
        baselines_out_of_fold(data, name, which, fold, baselines, inputs, OPTIONS) for which in (rows, spoiled)
    )
    for baseline in baselines:
        np.testing.assert_array_equal(after[baseline.name][fold == 1], before[baseline.name][fold == 1])
        assert (after[baseline.name][fold != 1] != before[baseline.name][fold != 1]).any()


@pytest.mark.slow
@pytest.mark.parametrize("name", [TargetName.CONDUCTIVITY, TargetName.RELATIVE_DENSITY])
def test_a_paper_left_out_says_nothing(data, inputs, name):
    def asked(pellets):
        return (pellets[Column.SOURCE] == "raj2023").to_numpy()

    baselines = baselines_with_inputs(InputKind.COMPOSITION, InputKind.PROCESSING)
    spoiled = BenchmarkData.from_pellets(spoil(data.pellets, asked(data.pellets)), OPTIONS)
    before, after = (held_out(which, name, asked, baselines, inputs, OPTIONS) for which in (data, spoiled))
    assert (before.frame["measured"] != after.frame["measured"]).all()
    for model in (*before.models, FLOOR):
        np.testing.assert_array_equal(after.frame[model], before.frame[model], err_msg=model)


@pytest.mark.slow
def test_obelix_rows_are_predicted_by_models_of_other_sources(data):
    there = BenchmarkData.from_pellets(obelix_pellets(), OPTIONS)
    rows = training_rows(there.pellets, TargetName.CONDUCTIVITY)
    asked = there.pellets[Column.SOURCE].to_numpy()[rows.rows]
    fold = grouped_folds(asked, 2, 0)
    sources = set(asked[fold == 0])
    spoiled = BenchmarkData.from_pellets(spoil(data.pellets, data.pellets[Column.SOURCE].isin(sources)), OPTIONS)
    found = [from_all_pellets(which, there, rows, fold) for which in (data, spoiled)]
    assert len(found[0]) == 2
    for model, before in found[0].items():
        np.testing.assert_array_equal(found[1][model][fold == 0], before[fold == 0])
        assert (found[1][model][fold == 1] != before[fold == 1]).any()


def test_obelix_rows_are_what_the_protocol_says(data):
    there = obelix_pellets()
    linked = data.pellets.set_index(Column.PELLET_ID).loc[there[Column.PELLET_ID]]
    assert len(there) > 80
    assert (there[Column.SOURCE].to_numpy() == linked[Column.SOURCE].to_numpy()).all()
    assert there[Column.SINTERING_TEMPERATURE_C].isna().all()
    assert (there[Column.SYSTEM].to_numpy() == linked[Column.SYSTEM].to_numpy()).all()
    listed = obelix_pellets(as_listed=True)
    assert set(there[Column.PELLET_ID]) < set(listed[Column.PELLET_ID])
    assert listed[Column.CONDUCTIVITY_BOUND].isna().all()


@pytest.mark.slow
def test_only_lithium_near_room_temperature_is_scored(data, inputs):
    baselines = baselines_with_inputs(InputKind.COMPOSITION)[:1]
    found = out_of_fold(data, TargetName.CONDUCTIVITY, baselines, inputs, OPTIONS).frame
    assert found[Column.SYSTEM].str.startswith("L").all()
    temperature = found[Column.MEASUREMENT_TEMPERATURE_C]
    assert (temperature.isna() | temperature.between(15, 40)).all()
    assert found.groupby(Column.SOURCE)["fold"].nunique().max() == 1
    assert not found[Column.PELLET_ID].duplicated().any()
