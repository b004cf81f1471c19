import dataclasses
import json
import shutil

import numpy as np
import pandas as pd
import pytest

from nasicon_ml.columns import PREDICTION, Column, Role, columns_of
from nasicon_ml.data.own_pellets import OwnPelletsError
from nasicon_ml.errors import BundleError, DatasetError
from nasicon_ml.model import PropertyModel
from nasicon_ml.recipe import Recipe
from nasicon_ml.workflows.predict import predict
from nasicon_ml.workflows.train import TrainingOptions, train

RECIPES = [
    Recipe(formula="LATP x=0.3", sintering_temperature_c=900, densification="conventional"),
    Recipe(formula="LATP x=0.4", sintering_temperature_c=1000, densification="conventional"),
    Recipe(formula="LZP", sintering_temperature_c=1200, densification="spark_plasma"),
]


def table(**columns):
    recipe = {"formula": "LATP x=0.3", "sintering_temperature_c": 900.0, "densification": "conventional"}
    count = max(len(values) for values in columns.values())
    return pd.DataFrame({name: [value] * count for name, value in recipe.items()} | columns)


@pytest.fixture(scope="module")
def plain(trained):
    return predict(RECIPES, trained.model).results


def logs(results):
    names = ("", "lower_", "upper_")
    return [np.log10(results[f"predicted_conductivity_{name}s_cm"].to_numpy()) for name in names]


def test_without_own_pellets_the_columns_are_those_of_ever(plain):
    assert list(plain.columns) == [str(column) for column in plain.columns]
    assert set(plain.columns) == {str(column) for column in PREDICTION}


def test_a_well_conducting_pellet_raises_what_is_like_it_most(trained, plain):
    moved = predict(RECIPES, trained.model, own=table(conductivity_total_s_cm=[0.1])).results
    assert set(moved.columns) - set(plain.columns) == {str(column) for column in columns_of(Role.OWN)}
    shift = moved[Column.OWN_SHIFT_DECADES].to_numpy()
    np.testing.assert_allclose(shift, logs(moved)[0] - logs(plain)[0])
    assert shift[0] > shift[1] > shift[2] > 0
    assert shift[0] > 1
    (point, lower, upper), (_, lower_before, upper_before) = logs(moved), logs(plain)
    assert ((lower <= point) & (point <= upper)).all()
    assert (upper - lower <= upper_before - lower_before + 1e-9).all()
    assert (upper - lower)[0] < 0.95 * (upper_before - lower_before)[0]
    # Nothing was said about density and purity.
    for column in (Column.PREDICTED_RELATIVE_DENSITY_PCT, Column.PREDICTED_PHASE_PURITY):
        np.testing.assert_allclose(moved[column], plain[column])
    assert (moved[[Column.OWN_SHIFT_POINTS, Column.OWN_SHIFT_PURITY]].abs() < 1e-9).all().all()
    assert (moved[Column.OWN_PELLETS] == 1).all()


def test_density_and_purity_follow_their_pellets(trained, plain):
    moved = predict(RECIPES, trained.model, own=table(relative_density_pct=[62.0], phase_pure=[True])).results
    assert moved.loc[0, Column.OWN_SHIFT_POINTS] < -3
    assert moved.loc[0, Column.OWN_SHIFT_PURITY] > 0.1
    for name in ("relative_density_pct",):
        assert (moved["predicted_relative_density_lower_pct"] <= moved[f"predicted_{name}"]).all()
        assert (moved[f"predicted_{name}"] <= moved["predicted_relative_density_upper_pct"]).all()
    np.testing.assert_allclose(
        moved[Column.PREDICTED_CONDUCTIVITY_S_CM], plain[Column.PREDICTED_CONDUCTIVITY_S_CM]
    )


def test_pellets_that_were_as_expected_narrow_the_interval_and_move_little(trained, plain):
    expected = plain.loc[0, Column.PREDICTED_CONDUCTIVITY_S_CM]
    moved = predict(RECIPES, trained.model, own=table(conductivity_total_s_cm=[expected])).results
    assert moved.loc[0, Column.OWN_SHIFT_DECADES] == pytest.approx(0.0, abs=1e-6)
    (_, lower, upper), (_, lower_before, upper_before) = logs(moved), logs(plain)
    assert (upper - lower)[0] < (upper_before - lower_before)[0]


def test_a_measurement_at_another_temperature_tells_about_room_temperature(trained):
    warm = trained.model
    hot = predict(RECIPES[:1], warm, at_c=60.0).results.loc[0, Column.PREDICTED_CONDUCTIVITY_S_CM]
    own = table(conductivity_total_s_cm=[10 * hot], measurement_temperature_c=[60.0])
    at_25, at_60 = (predict(RECIPES[:1], warm, own=own, at_c=at).results.loc[0] for at in (25.0, 60.0))
    assert at_25[Column.OWN_SHIFT_DECADES] == pytest.approx(at_60[Column.OWN_SHIFT_DECADES])
    assert 0.3 < at_25[Column.OWN_SHIFT_DECADES] < 1.0
    # The carrying costs something: the same surprise at 25 °C moves more.
    cool = predict(RECIPES[:1], warm).results.loc[0, Column.PREDICTED_CONDUCTIVITY_S_CM]
    direct = predict(RECIPES[:1], warm, own=table(conductivity_total_s_cm=[10 * cool])).results.loc[0]
    assert direct[Column.OWN_SHIFT_DECADES] > at_25[Column.OWN_SHIFT_DECADES]


def test_order_and_form_of_the_pellets_do_not_matter(trained, tmp_path):
    own = table(conductivity_total_s_cm=[1e-3, 2e-4, 5e-4], relative_density_pct=[95.0, 80.0, 91.0])
    own.to_csv(tmp_path / "mine.csv", index=False)
    given = (own, own.iloc[::-1], tmp_path / "mine.csv", str(tmp_path / "mine.csv"))
    found = [predict(RECIPES, trained.model, own=mine).results for mine in given]
    for other in found[1:]:
        pd.testing.assert_frame_equal(found[0], other)


def test_a_bound_says_nothing(trained, plain):
    own = table(conductivity_total_s_cm=[1e-9], conductivity_bound=["upper"])
    moved = predict(RECIPES, trained.model, own=own).results
    pd.testing.assert_frame_equal(moved[list(plain.columns)], plain)
    assert (moved[Column.OWN_PELLETS] == 0).all()


def test_bad_pellets_are_refused(trained):
    with pytest.raises(OwnPelletsError, match=r"row 1: relative_density_pct: 0\.93 is not accepted"):
        predict(RECIPES, trained.model, own=table(relative_density_pct=[0.93]))


def test_the_covariance_comes_back_out_of_a_bundle(trained, tmp_path):
    folder = trained.model.save(tmp_path / "bundle")
    own = table(conductivity_total_s_cm=[1e-3])
    pd.testing.assert_frame_equal(
        predict(RECIPES, folder, own=own).results, predict(RECIPES, trained.model, own=own).results
    )


def test_a_bundle_from_before_says_that_it_cannot_take_own_pellets(trained, tmp_path):
    old = dataclasses.replace(trained.model, own={}).save(tmp_path / "old")
    content = json.loads((old / "model.json").read_text(encoding="utf-8"))
    assert content["own"] == {}
    with pytest.raises(BundleError, match=r"this model cannot take own pellets.*train again"):
        predict(RECIPES, old, own=table(conductivity_total_s_cm=[1e-3]))
    assert len(predict(RECIPES, old).results) == len(RECIPES)
    shutil.rmtree(old)


MINE = table(
    conductivity_total_s_cm=[1.2345e-3, 2.3456e-3], relative_density_pct=[91.357862, 93.579214],
    phase_pure=[True, True], particle_size_um=[0.75318642, 0.75318642], pellet_id=["bench-a", "bench-b"],
    notes=["secret furnace", ""],
)  # fmt: skip


@pytest.mark.slow
def test_training_with_own_pellets_learns_from_them_and_lets_none_of_them_out(small, small_dataset, tmp_path):
    MINE.to_csv(tmp_path / "mine.csv", index=False)
    result = train(TrainingOptions(folds=2), dataset=small_dataset, add=tmp_path / "mine.csv")
    # Learned from: other trees, and two rows more of each answer.
    assert {name: count + 2 for name, count in small.rows_used.items()} == result.rows_used
    before, after = (predict(RECIPES[:1], each.model).results for each in (small, result))
    assert before.loc[0, Column.PREDICTED_CONDUCTIVITY_S_CM] != after.loc[0, Column.PREDICTED_CONDUCTIVITY_S_CM]
    # Not let out: neither in tables nor in any file of the bundle.
    tables = (result.out_of_fold, result.folds, result.model.pellets)
    assert all("own" not in set(shown[Column.SOURCE]) for shown in tables)
    pd.testing.assert_series_equal(result.model.pellets[Column.PELLET_ID], small.model.pellets[Column.PELLET_ID])
    assert len(result.out_of_fold) == len(small.out_of_fold)
    assert result.model.domain == small.model.domain
    folder = result.model.save(tmp_path / "bundle")
    for path in folder.iterdir():
        data = path.read_bytes()
        for trace in (b"bench-a", b"secret furnace", b"0.0012345", b"91.357862", b"0.75318642", b"mine.csv"):
            assert trace not in data, (path.name, trace)
    options = PropertyModel.load(folder).metadata.options
    assert options["added_pellets"] == 2
    assert len(options["added_sha256"]) == 64
    assert "added_pellets" not in small.model.metadata.options
    # Trained with, they say nothing more.
    with pytest.raises(BundleError, match="this model was trained with these own pellets"):
        predict(RECIPES, result.model, own=tmp_path / "mine.csv")
    assert len(predict(RECIPES, result.model, own=MINE.iloc[:1]).results) == len(RECIPES)


def test_training_refuses_bad_pellets_and_sources_of_the_dataset_before_any_work():
    with pytest.raises(OwnPelletsError, match="relative_density_pct"):
        train(add=table(relative_density_pct=[0.9]))
    with pytest.raises(DatasetError, match="'raj2023' of pellet 'own-1' is a source of the dataset"):
        train(add=table(relative_density_pct=[90.0], source=["raj2023"]))
