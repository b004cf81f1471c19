"""No source stands on both sides, and what a fold tests has no say in what is said about it."""

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


def validated(contexts, name, rows):
    return cross_validate(*contexts, name, rows, folds=FOLDS, seed=0)


@pytest.mark.parametrize("name", ANSWERS)
def test_a_fold_is_predicted_without_its_own_values(contexts, name):
    rows = training_rows(contexts[0].pellets, name)
    before = validated(contexts, name, rows)
    held_out = before.fold == 1
    wrong = 1 - rows.y if name is TargetName.PHASE_PURITY else rows.y[::-1] * 0.5
    spoiled = TrainingRows(rows.rows, np.where(held_out, wrong, rows.y), rows.weight)
    after = validated(contexts, name, spoiled)
    for kind in ("full", "composition_only", "median"):
        np.testing.assert_array_equal(getattr(after, kind)[held_out], getattr(before, kind)[held_out])
        assert (getattr(after, kind)[~held_out] != getattr(before, kind)[~held_out]).any()


def test_energies_of_held_out_sources_carry_nothing_to_their_own_fold(contexts):
    name = TargetName.CONDUCTIVITY
    pellets = contexts[0].pellets
    rows = training_rows(pellets, name)
    before = validated(contexts, name, rows)
    sources = pellets[Column.SOURCE].to_numpy()
    held_out = np.isin(sources, np.unique(sources[rows.rows[before.fold == 1]]))
    energy = pellets[Column.ACTIVATION_ENERGY_EV]
    spoiled = pellets.assign(**{str(Column.ACTIVATION_ENERGY_EV): energy.where(~held_out, 1.9 - energy)})
    after = validated([replace(context, pellets=spoiled) for context in contexts], name, rows)
    np.testing.assert_array_equal(after.full[before.fold == 1], before.full[before.fold == 1])
    assert (after.full[before.fold != 1] != before.full[before.fold != 1]).any()


@pytest.mark.slow
def test_an_interval_is_not_made_from_its_own_error():
    random = np.random.default_rng(0)
    n, fold = 300, np.arange(300) % 5
    reported = np.full(n, -4.0)
    y = reported + random.laplace(scale=0.4, size=n)
    around = Circumstances(
        random.uniform(size=n), random.uniform(size=n), np.full(n, 25.0), np.full(n, "LATP", object)
    )
    sources = np.array([f"s{number % 60}" for number in range(n)], dtype=object)

    def ends(measured):
        found = OutOfFoldPredictions(
            TrainingRows(np.arange(n), measured, np.ones(n)), fold, reported, reported, reported
        )
        said = out_of_fold_intervals(TargetName.CONDUCTIVITY, found, sources, around)
        return np.array([end for ends in said.ends.values() for end in ends])

    before, after = ends(y), ends(np.where(fold == 2, y * 3.0, y))
    assert before.shape == (6, n)
    np.testing.assert_array_equal(after[:, fold == 2], before[:, fold == 2])
    assert (after[:, fold != 2] != before[:, fold != 2]).all()


def test_a_probability_is_not_calibrated_on_its_own_outcome():
    random = np.random.default_rng(0)
    fold, margin = np.arange(200) % 5, random.normal(size=200)
    outcome = (random.uniform(size=200) < 1 / (1 + np.exp(-margin))).astype(float)
    before = out_of_fold_probabilities(outcome, margin, fold)
    after = out_of_fold_probabilities(np.where(fold == 2, 1 - outcome, outcome), margin, fold)
    np.testing.assert_array_equal(after[fold == 2], before[fold == 2])
    assert (after[fold != 2] != before[fold != 2]).all()


def test_a_domain_is_not_made_from_the_pellets_it_judges(contexts):
    """Give the pellets of one fold an element that none else has: to their own fold it stays strange."""
    pellets = contexts[0].pellets
    rows = training_rows(pellets, TargetName.RELATIVE_DENSITY).rows
    fold = grouped_folds(pellets[Column.SOURCE].to_numpy()[rows], FOLDS, 0)
    moved = np.isin(pellets[Column.SOURCE], pellets[Column.SOURCE].to_numpy()[rows[fold == 1]])

    def scores(table):
        sites = occupancies(table[Column.FORMULA].to_list())
        space = recipe_space(table, sites=sites)
        gaps = source_distances(space, space, table[Column.SOURCE].to_numpy(dtype=object))
        return out_of_fold_domain(table, sites, gaps, rows, fold)

    strange = pellets.copy()
    strange.loc[moved, Column.FORMULA.value] = "Li1.3V0.3Ti1.7(PO4)3"
    strange.loc[moved, Column.SINTERING_TEMPERATURE_C.value] = 1690.0
    before, after = scores(pellets), scores(strange)
    assert (after[fold == 1] >= 1).all()
    assert np.mean(before[fold == 1] >= 1) < 0.4
    # The other folds have seen them, so their own domain may only have grown or moved.
    assert (after[fold != 1] != before[fold != 1]).any()


def test_shuffling_what_a_model_rests_on_costs_and_what_it_ignores_costs_nothing(contexts):
    """A stand-in that answers the truth as long as the sintering temperature is the pellet's own."""
    pellets, name = contexts[0].pellets, TargetName.RELATIVE_DENSITY
    rows = training_rows(pellets, name)
    at = build_features(pellets.head(1)).names.index(f"given_{Column.SINTERING_TEMPERATURE_C}")

    class RestsOnHeat:
        def reported(self, features, _temperature):
            return np.nan_to_num(features[:, at])

    heat = TrainingRows(rows.rows, np.nan_to_num(contexts[0].features.values[rows.rows, at]), rows.weight)
    collector = ImportanceCollector(pellets, name, heat, FeatureSet.FULL, seed=0)
    collector.inspect(RestsOnHeat(), np.arange(len(rows.rows)))
    importance = collector.frame().set_index("feature")["importance"]
    assert importance.pop(Column.SINTERING_TEMPERATURE_C.label) > 50
    assert (importance == 0).all()


def test_room_temperature_scores_leave_out_what_was_measured_hot(trained):
    frame = trained.out_of_fold
    part = frame[(frame["target"] == "conductivity") & frame["system"].str.startswith("L")]
    error = (part["measured"] - part["predicted"]).abs()
    hot = part["measurement_temperature_c"].notna() & ~part["measurement_temperature_c"].between(15, 40)
    scores = score_table(frame).set_index(["target", "subset", "model", "metric"])["value"]
    assert scores["conductivity", "all", "full", "mae_decades"] == pytest.approx(error[~hot].mean())
    away = scores["conductivity", "away from room temperature", "full", "mae_decades"]
    assert away == pytest.approx(error[hot].mean())
    assert hot.sum() > 15


@given(
    st.lists(st.integers(0, 30), min_size=8, max_size=200).filter(lambda keys: len(set(keys)) >= 5),
    st.integers(2, 5),
    st.integers(0, 1000),
)
def test_no_source_stands_in_two_folds(keys, folds, seed):
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
def test_too_few_sources_are_refused(folds):
    with pytest.raises(ValueError, match="cannot be made of 3 sources"):
        grouped_folds(["a", "b", "c"], folds, 0)


def test_a_source_on_both_sides_is_named():
    assert_disjoint(["a", "b"], ["c"])
    with pytest.raises(LeakageError, match="1 sources are on both sides of a split: b"):
        assert_disjoint(["a", "b"], ["b", "c"])
