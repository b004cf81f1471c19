"""Held-out results do not influence their own predictions, by our model or by any baseline."""

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


def with_wrong_results(pellets, rows):
    """Replace the known results of some pellets with wrong values."""
    wrong_values = {
        Column.CONDUCTIVITY_TOTAL_S_CM: 1e-9, Column.RELATIVE_DENSITY_PCT: 31.0, Column.ACTIVATION_ENERGY_EV: 1.7,
    }  # fmt: skip
    unchanged = {column: pellets[column].isna() | ~rows for column in wrong_values}
    return pellets.assign(
        **{str(column): pellets[column].where(unchanged[column], wrong_values[column]) for column in unchanged}
    )


def folds_of(data, rows):
    return grouped_folds(data.pellets[Column.SOURCE].to_numpy()[rows.rows], OPTIONS.folds, OPTIONS.seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", ANSWERS)
def test_baselines_do_not_depend_on_results_of_the_rows_they_predict(data, inputs, name):
    rows = training_rows(data.pellets, name)
    is_test = folds_of(data, rows) == 0
    wrong = 1 - rows.y if TARGETS[name].is_probability else rows.y[::-1] * 0.5
    wrong_test = TrainingRows(rows.rows, np.where(is_test, wrong, rows.y), rows.weight)
    wrong_training = TrainingRows(rows.rows, np.where(is_test, rows.y, wrong), rows.weight)
    with ignore_convergence_warnings():
        before, after, other = (
            predict_baselines(name, variant, ~is_test, is_test, BASELINES, inputs, OPTIONS)
            for variant in (rows, wrong_test, wrong_training)
        )
    assert set(before) == {baseline.name for baseline in BASELINES}
    for baseline in before:
        np.testing.assert_array_equal(after[baseline], before[baseline], err_msg=baseline)
        assert (other[baseline] != before[baseline]).any(), (
            f"{baseline} does not depend on its training rows either"
        )


def test_out_of_fold_baselines_do_not_depend_on_results_of_their_own_fold(data, inputs):
    name = TargetName.RELATIVE_DENSITY
    baselines = tuple(
        baseline
        for baseline in BASELINES
        if baseline.name in {"median", "nearest neighbour", "median of the system"}
    )
    rows = training_rows(data.pellets, name)
    fold = folds_of(data, rows)
    wrong_test = TrainingRows(rows.rows, np.where(fold == 1, 31.0, rows.y), rows.weight)
    before, after = (
        baselines_out_of_fold(data, name, variant, fold, baselines, inputs, OPTIONS)
        for variant in (rows, wrong_test)
    )
    for baseline in baselines:
        np.testing.assert_array_equal(after[baseline.name][fold == 1], before[baseline.name][fold == 1])
        assert (after[baseline.name][fold != 1] != before[baseline.name][fold != 1]).any()


@pytest.mark.slow
@pytest.mark.parametrize("name", [TargetName.CONDUCTIVITY, TargetName.RELATIVE_DENSITY])
def test_predictions_of_left_out_paper_do_not_depend_on_its_results(data, inputs, name):
    def is_test(pellets):
        return (pellets[Column.SOURCE] == "raj2023").to_numpy()

    baselines = baselines_with_inputs(InputKind.COMPOSITION, InputKind.PROCESSING)
    wrong_test = BenchmarkData.from_pellets(with_wrong_results(data.pellets, is_test(data.pellets)), OPTIONS)
    before, after = (
        held_out(variant, name, is_test, baselines, inputs, OPTIONS) for variant in (data, wrong_test)
    )
    assert (before.frame["measured"] != after.frame["measured"]).all()
    for model in (*before.models, FLOOR):
        np.testing.assert_array_equal(after.frame[model], before.frame[model], err_msg=model)


@pytest.mark.slow
def test_obelix_rows_are_predicted_by_models_of_other_sources_only(data):
    obelix = BenchmarkData.from_pellets(obelix_pellets(), OPTIONS)
    rows = training_rows(obelix.pellets, TargetName.CONDUCTIVITY)
    row_sources = obelix.pellets[Column.SOURCE].to_numpy()[rows.rows]
    fold = grouped_folds(row_sources, 2, 0)
    sources = set(row_sources[fold == 0])
    wrong_test = BenchmarkData.from_pellets(
        with_wrong_results(data.pellets, data.pellets[Column.SOURCE].isin(sources)), OPTIONS
    )
    found = [from_all_pellets(variant, obelix, rows, fold) for variant in (data, wrong_test)]
    assert len(found[0]) == 2
    for model, before in found[0].items():
        np.testing.assert_array_equal(found[1][model][fold == 0], before[fold == 0])
        assert (found[1][model][fold == 1] != before[fold == 1]).any()


def test_obelix_rows_agree_with_linked_pellets_and_omit_processing(data):
    obelix = obelix_pellets()
    linked = data.pellets.set_index(Column.PELLET_ID).loc[obelix[Column.PELLET_ID]]
    assert len(obelix) > 80
    assert (obelix[Column.SOURCE].to_numpy() == linked[Column.SOURCE].to_numpy()).all()
    assert obelix[Column.SINTERING_TEMPERATURE_C].isna().all()
    assert (obelix[Column.SYSTEM].to_numpy() == linked[Column.SYSTEM].to_numpy()).all()
    listed = obelix_pellets(as_listed=True)
    assert set(obelix[Column.PELLET_ID]) < set(listed[Column.PELLET_ID])
    assert listed[Column.CONDUCTIVITY_BOUND].isna().all()


@pytest.mark.slow
def test_only_lithium_pellets_near_room_temperature_are_scored(data, inputs):
    baselines = baselines_with_inputs(InputKind.COMPOSITION)[:1]
    found = out_of_fold(data, TargetName.CONDUCTIVITY, baselines, inputs, OPTIONS).frame
    assert found[Column.SYSTEM].str.startswith("L").all()
    temperature = found[Column.MEASUREMENT_TEMPERATURE_C]
    assert (temperature.isna() | temperature.between(15, 40)).all()
    assert found.groupby(Column.SOURCE)["fold"].nunique().max() == 1
    assert not found[Column.PELLET_ID].duplicated().any()
