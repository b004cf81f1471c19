"""No source is in both training and test rows, and predictions of a fold do not depend on its own pellets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.columns import Column
from nasicon_ml.composition import occupancies
from nasicon_ml.data.load import load_pellets
from nasicon_ml.errors import LeakageError
from nasicon_ml.estimators.boosting import DEFAULT_SETTINGS
from nasicon_ml.estimators.domain import source_distances
from nasicon_ml.estimators.fitting import FitContext
from nasicon_ml.estimators.targets import ANSWERS, TargetName, TrainingRows, training_rows
from nasicon_ml.estimators.uncertainty import Circumstances
from nasicon_ml.evaluation.cross_validation import (
    OutOfFoldPredictions,
    assert_disjoint,
    cross_validate,
    grouped_folds,
    out_of_fold_domain,
    out_of_fold_intervals,
    out_of_fold_probabilities,
)
from nasicon_ml.evaluation.scores import ImportanceCollector, score_table
from nasicon_ml.features.build import FeatureSet, build_features
from nasicon_ml.features.distances import recipe_space

FOLDS = 4
QUICK = {name: settings.changed(rounds=6) for name, settings in DEFAULT_SETTINGS.items()}


@pytest.fixture(scope="module")
def contexts():
    pellets = load_pellets()
    full = FitContext(pellets, build_features(pellets), QUICK, seed=0, threads=1)
    return full, replace(full, features=build_features(pellets, FeatureSet.COMPOSITION))


def cross_validated(contexts, name, rows):
    return cross_validate(*contexts, name, rows, folds=FOLDS, seed=0)


@pytest.mark.parametrize("name", ANSWERS)
def test_predictions_of_a_fold_do_not_depend_on_its_values(contexts, name):
    rows = training_rows(contexts[0].pellets, name)
    before = cross_validated(contexts, name, rows)
    is_held_out = before.fold == 1
    wrong = 1 - rows.y if name is TargetName.PHASE_PURITY else rows.y[::-1] * 0.5
    altered = TrainingRows(rows.rows, np.where(is_held_out, wrong, rows.y), rows.weight)
    after = cross_validated(contexts, name, altered)
    for kind in ("full", "composition_only", "median"):
        np.testing.assert_array_equal(getattr(after, kind)[is_held_out], getattr(before, kind)[is_held_out])
        assert (getattr(after, kind)[~is_held_out] != getattr(before, kind)[~is_held_out]).any()


def test_predictions_of_a_fold_do_not_depend_on_its_activation_energies(contexts):
    name = TargetName.CONDUCTIVITY
    pellets = contexts[0].pellets
    rows = training_rows(pellets, name)
    before = cross_validated(contexts, name, rows)
    sources = pellets[Column.SOURCE].to_numpy()
    is_held_out = np.isin(sources, np.unique(sources[rows.rows[before.fold == 1]]))
    energy = pellets[Column.ACTIVATION_ENERGY_EV]
    altered = pellets.assign(**{str(Column.ACTIVATION_ENERGY_EV): energy.where(~is_held_out, 1.9 - energy)})
    after = cross_validated([replace(context, pellets=altered) for context in contexts], name, rows)
    np.testing.assert_array_equal(after.full[before.fold == 1], before.full[before.fold == 1])
    assert (after.full[before.fold != 1] != before.full[before.fold != 1]).any()


@pytest.mark.slow
def test_intervals_of_a_fold_do_not_depend_on_its_errors():
    rng = np.random.default_rng(0)
    n, fold = 300, np.arange(300) % 5
    reported = np.full(n, -4.0)
    y = reported + rng.laplace(scale=0.4, size=n)
    circumstances = Circumstances(
        rng.uniform(size=n), rng.uniform(size=n), np.full(n, 25.0), np.full(n, "LATP", object)
    )
    sources = np.array([f"s{number % 60}" for number in range(n)], dtype=object)

    def ends(measured):
        predictions = OutOfFoldPredictions(
            TrainingRows(np.arange(n), measured, np.ones(n)), fold, reported, reported, reported
        )
        intervals = out_of_fold_intervals(TargetName.CONDUCTIVITY, predictions, sources, circumstances)
        return np.array([end for ends in intervals.ends.values() for end in ends])

    before, after = ends(y), ends(np.where(fold == 2, y * 3.0, y))
    assert before.shape == (6, n)
    np.testing.assert_array_equal(after[:, fold == 2], before[:, fold == 2])
    assert (after[:, fold != 2] != before[:, fold != 2]).all()


def test_calibration_of_a_fold_does_not_depend_on_its_outcomes():
    rng = np.random.default_rng(0)
    fold, margin = np.arange(200) % 5, rng.normal(size=200)
    outcome = (rng.uniform(size=200) < 1 / (1 + np.exp(-margin))).astype(float)
    before = out_of_fold_probabilities(outcome, margin, fold)
    after = out_of_fold_probabilities(np.where(fold == 2, 1 - outcome, outcome), margin, fold)
    np.testing.assert_array_equal(after[fold == 2], before[fold == 2])
    assert (after[fold != 2] != before[fold != 2]).all()


def test_domain_scores_of_a_fold_use_a_domain_of_the_other_folds(contexts):
    """If only pellets of one fold contain an element, they are outside the domain of that fold."""
    pellets = contexts[0].pellets
    rows = training_rows(pellets, TargetName.RELATIVE_DENSITY).rows
    fold = grouped_folds(pellets[Column.SOURCE].to_numpy()[rows], FOLDS, 0)
    is_held_out = np.isin(pellets[Column.SOURCE], pellets[Column.SOURCE].to_numpy()[rows[fold == 1]])

    def scores(table):
        sites = occupancies(table[Column.FORMULA].to_list())
        space = recipe_space(table, sites=sites)
        distances = source_distances(space, space, table[Column.SOURCE].to_numpy(dtype=object))
        return out_of_fold_domain(table, sites, distances, rows, fold)

    altered = pellets.copy()
    altered.loc[is_held_out, Column.FORMULA.value] = "Li1.3V0.3Ti1.7(PO4)3"
    altered.loc[is_held_out, Column.SINTERING_TEMPERATURE_C.value] = 1690.0
    before, after = scores(pellets), scores(altered)
    assert (after[fold == 1] >= 1).all()
    assert np.mean(before[fold == 1] >= 1) < 0.4
    # The altered pellets are training rows of the other folds, whose domain changes.
    assert (after[fold != 1] != before[fold != 1]).any()


def test_only_fields_that_the_model_uses_have_permutation_importance(contexts):
    """The fake model predicts the sintering temperature, which is also its target."""
    pellets, name = contexts[0].pellets, TargetName.RELATIVE_DENSITY
    rows = training_rows(pellets, name)
    position = build_features(pellets.head(1)).names.index(f"given_{Column.SINTERING_TEMPERATURE_C}")

    class PredictsSinteringTemperature:
        def reported(self, features, _temperature):
            return np.nan_to_num(features[:, position])

    target_rows = TrainingRows(
        rows.rows, np.nan_to_num(contexts[0].features.values[rows.rows, position]), rows.weight
    )
    collector = ImportanceCollector(pellets, name, target_rows, FeatureSet.FULL, seed=0)
    collector.inspect(PredictsSinteringTemperature(), np.arange(len(rows.rows)))
    importance = collector.frame().set_index("feature")["importance"]
    assert importance.pop(Column.SINTERING_TEMPERATURE_C.label) > 50
    assert (importance == 0).all()


def test_room_temperature_scores_exclude_other_measurement_temperatures(trained):
    frame = trained.out_of_fold
    part = frame[(frame["target"] == "conductivity") & frame["system"].str.startswith("L")]
    error = (part["measured"] - part["predicted"]).abs()
    is_hot = part["measurement_temperature_c"].notna() & ~part["measurement_temperature_c"].between(15, 40)
    scores = score_table(frame).set_index(["target", "subset", "model", "metric"])["value"]
    assert scores["conductivity", "all", "full", "mae_decades"] == pytest.approx(error[~is_hot].mean())
    away = scores["conductivity", "away from room temperature", "full", "mae_decades"]
    assert away == pytest.approx(error[is_hot].mean())
    assert is_hot.sum() > 15


@given(
    st.lists(st.integers(0, 30), min_size=8, max_size=200).filter(lambda keys: len(set(keys)) >= 5),
    st.integers(2, 5),
    st.integers(0, 1000),
)
def test_no_source_is_in_two_folds(keys, folds, seed):
    sources = np.array([f"s{key}" for key in keys])
    fold = grouped_folds(sources, folds, seed)
    assert set(fold) == set(range(folds))
    for source in np.unique(sources):
        assert len(np.unique(fold[sources == source])) == 1


@given(st.integers(0, 50))
def test_folds_do_not_depend_on_the_order_of_rows(seed):
    sources = np.array([f"s{number % 17}" for number in range(60)])
    order = np.random.default_rng(seed).permutation(60)
    np.testing.assert_array_equal(grouped_folds(sources, 5, 3)[order], grouped_folds(sources[order], 5, 3))


def test_folds_are_even_and_differ_by_seed():
    sources = np.repeat([f"s{number}" for number in range(40)], 5)
    fold = grouped_folds(sources, 10, 0)
    assert np.bincount(fold).tolist() == [20] * 10
    assert (fold != grouped_folds(sources, 10, 1)).any()


@pytest.mark.parametrize("folds", [1, 4])
def test_impossible_numbers_of_folds_are_refused(folds):
    with pytest.raises(ValueError, match="cannot be made of 3 sources"):
        grouped_folds(["a", "b", "c"], folds, 0)


def test_leakage_error_names_the_source_on_both_sides():
    assert_disjoint(["a", "b"], ["c"])
    with pytest.raises(LeakageError, match="1 sources are on both sides of a split: b"):
        assert_disjoint(["a", "b"], ["b", "c"])
