"""What is held out has no say in what is predicted for it, by ours or by any peer."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.ground import Ground, Options, load_ground, obelix_pellets
from benchmarks.peers import PEERS, Reads, peers_reading, read
from benchmarks.predictions import (
    FLOOR,
    held_out,
    out_of_fold,
    peers_asked,
    peers_out_of_fold,
    unconverged_is_fine,
)
from benchmarks.protocols import from_all_pellets

from nasicon_ml.columns import Column
from nasicon_ml.estimators.targets import ANSWERS, TARGETS, TargetName, TrainingRows, training_rows
from nasicon_ml.evaluation.cross_validation import grouped_folds

OPTIONS = Options(folds=3, repeats=1, draws=50, trees=5, threads=1)


@pytest.fixture(scope="module")
def ground() -> Ground:
    return load_ground(OPTIONS)


@pytest.fixture(scope="module")
def inputs(ground):
    return read(PEERS, ground.pellets)


def spoil(pellets, rows):
    """Replace the results of some pellets by nonsense, where there are any."""
    nonsense = {
        Column.CONDUCTIVITY_TOTAL_S_CM: 1e-9, Column.RELATIVE_DENSITY_PCT: 31.0, Column.ACTIVATION_ENERGY_EV: 1.7,
    }  # fmt: skip
    kept = {column: pellets[column].isna() | ~rows for column in nonsense}
    return pellets.assign(
        **{str(column): pellets[column].where(kept[column], nonsense[column]) for column in kept}
    )


def folds_of(ground, rows):
    return grouped_folds(ground.pellets[Column.SOURCE].to_numpy()[rows.rows], OPTIONS.folds, OPTIONS.seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", ANSWERS)
def test_no_peer_hears_of_the_rows_it_is_asked_for(ground, inputs, name):
    rows = training_rows(ground.pellets, name)
    asked = folds_of(ground, rows) == 0
    wrong = 1 - rows.y if TARGETS[name].is_probability else rows.y[::-1] * 0.5
    spoiled = TrainingRows(rows.rows, np.where(asked, wrong, rows.y), rows.weight)
    taught = TrainingRows(rows.rows, np.where(asked, rows.y, wrong), rows.weight)
    with unconverged_is_fine():
        before, after, other = (
            peers_asked(name, which, ~asked, asked, PEERS, inputs, OPTIONS) for which in (rows, spoiled, taught)
        )
    assert set(before) == {peer.name for peer in PEERS}
    for peer in before:
        np.testing.assert_array_equal(after[peer], before[peer], err_msg=peer)
        assert (other[peer] != before[peer]).any(), f"{peer} does not listen to its training rows either"


def test_the_folds_are_dealt_so_in_the_whole_run(ground, inputs):
    name = TargetName.RELATIVE_DENSITY
    peers = tuple(peer for peer in PEERS if peer.name in {"median", "nearest neighbour", "median of the system"})
    rows = training_rows(ground.pellets, name)
    fold = folds_of(ground, rows)
    spoiled = TrainingRows(rows.rows, np.where(fold == 1, 31.0, rows.y), rows.weight)
    before, after = (
        peers_out_of_fold(ground, name, which, fold, peers, inputs, OPTIONS) for which in (rows, spoiled)
    )
    for peer in peers:
        np.testing.assert_array_equal(after[peer.name][fold == 1], before[peer.name][fold == 1])
        assert (after[peer.name][fold != 1] != before[peer.name][fold != 1]).any()


@pytest.mark.slow
@pytest.mark.parametrize("name", [TargetName.CONDUCTIVITY, TargetName.RELATIVE_DENSITY])
def test_a_paper_left_out_says_nothing(ground, inputs, name):
    def asked(pellets):
        return (pellets[Column.SOURCE] == "raj2023").to_numpy()

    peers = peers_reading(Reads.COMPOSITION, Reads.PROCESSING)
    spoiled = Ground.of(spoil(ground.pellets, asked(ground.pellets)), OPTIONS)
    before, after = (held_out(which, name, asked, peers, inputs, OPTIONS) for which in (ground, spoiled))
    assert (before.frame["measured"] != after.frame["measured"]).all()
    for model in (*before.models, FLOOR):
        np.testing.assert_array_equal(after.frame[model], before.frame[model], err_msg=model)


@pytest.mark.slow
def test_obelix_rows_are_predicted_by_models_of_other_sources(ground):
    there = Ground.of(obelix_pellets(), OPTIONS)
    rows = training_rows(there.pellets, TargetName.CONDUCTIVITY)
    asked = there.pellets[Column.SOURCE].to_numpy()[rows.rows]
    fold = grouped_folds(asked, 2, 0)
    sources = set(asked[fold == 0])
    spoiled = Ground.of(spoil(ground.pellets, ground.pellets[Column.SOURCE].isin(sources)), OPTIONS)
    found = [from_all_pellets(which, there, rows, fold) for which in (ground, spoiled)]
    assert len(found[0]) == 2
    for model, before in found[0].items():
        np.testing.assert_array_equal(found[1][model][fold == 0], before[fold == 0])
        assert (found[1][model][fold == 1] != before[fold == 1]).any()


def test_obelix_rows_are_what_the_protocol_says(ground):
    there = obelix_pellets()
    linked = ground.pellets.set_index(Column.PELLET_ID).loc[there[Column.PELLET_ID]]
    assert len(there) > 80
    assert (there[Column.SOURCE].to_numpy() == linked[Column.SOURCE].to_numpy()).all()
    assert there[Column.SINTERING_TEMPERATURE_C].isna().all()
    assert (there[Column.SYSTEM].to_numpy() == linked[Column.SYSTEM].to_numpy()).all()
    listed = obelix_pellets(as_listed=True)
    assert set(there[Column.PELLET_ID]) < set(listed[Column.PELLET_ID])
    assert listed[Column.CONDUCTIVITY_BOUND].isna().all()


@pytest.mark.slow
def test_only_lithium_near_room_temperature_is_scored(ground, inputs):
    peers = peers_reading(Reads.COMPOSITION)[:1]
    found = out_of_fold(ground, TargetName.CONDUCTIVITY, peers, inputs, OPTIONS).frame
    assert found[Column.SYSTEM].str.startswith("L").all()
    temperature = found[Column.MEASUREMENT_TEMPERATURE_C]
    assert (temperature.isna() | temperature.between(15, 40)).all()
    assert found.groupby(Column.SOURCE)["fold"].nunique().max() == 1
    assert not found[Column.PELLET_ID].duplicated().any()
