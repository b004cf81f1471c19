"""Predictions and trainings with own pellets."""

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


def own_table(**columns):
    recipe = {"formula": "LATP x=0.3", "sintering_temperature_c": 900.0, "densification": "conventional"}
    count = max(len(values) for values in columns.values())
    return pd.DataFrame({name: [value] * count for name, value in recipe.items()} | columns)


@pytest.fixture(scope="module")
def without_own(trained):
    return predict(RECIPES, trained.model).results


def log10_conductivities(results):
    names = ("", "lower_", "upper_")
    return [np.log10(results[f"predicted_conductivity_{name}s_cm"].to_numpy()) for name in names]


def test_results_without_own_pellets_have_only_the_prediction_columns(without_own):
    assert set(without_own.columns) == {str(column) for column in PREDICTION}


def test_highly_conductive_own_pellet_raises_similar_recipes_most(trained, without_own):
    with_own = predict(RECIPES, trained.model, own=own_table(conductivity_total_s_cm=[0.1])).results
    assert set(with_own.columns) - set(without_own.columns) == {str(column) for column in columns_of(Role.OWN)}
    shift = with_own[Column.OWN_SHIFT_DECADES].to_numpy()
    np.testing.assert_allclose(shift, log10_conductivities(with_own)[0] - log10_conductivities(without_own)[0])
    assert shift[0] > shift[1] > shift[2] > 0
    assert shift[0] > 1
    point, lower, upper = log10_conductivities(with_own)
    _, lower_before, upper_before = log10_conductivities(without_own)
    assert ((lower <= point) & (point <= upper)).all()
    assert (upper - lower <= upper_before - lower_before + 1e-9).all()
    assert (upper - lower)[0] < 0.95 * (upper_before - lower_before)[0]
    # The pellet reports neither density nor purity.
    for column in (Column.PREDICTED_RELATIVE_DENSITY_PCT, Column.PREDICTED_PHASE_PURITY):
        np.testing.assert_allclose(with_own[column], without_own[column])
    assert (with_own[[Column.OWN_SHIFT_POINTS, Column.OWN_SHIFT_PURITY]].abs() < 1e-9).all().all()
    assert (with_own[Column.OWN_PELLETS] == 1).all()


def test_own_density_and_purity_shift_only_their_predictions(trained, without_own):
    with_own = predict(
        RECIPES, trained.model, own=own_table(relative_density_pct=[62.0], phase_pure=[True])
    ).results
    assert with_own.loc[0, Column.OWN_SHIFT_POINTS] < -3
    assert with_own.loc[0, Column.OWN_SHIFT_PURITY] > 0.1
    density = with_own["predicted_relative_density_pct"]
    assert (with_own["predicted_relative_density_lower_pct"] <= density).all()
    assert (density <= with_own["predicted_relative_density_upper_pct"]).all()
    np.testing.assert_allclose(
        with_own[Column.PREDICTED_CONDUCTIVITY_S_CM], without_own[Column.PREDICTED_CONDUCTIVITY_S_CM]
    )


def test_own_pellet_equal_to_prediction_narrows_interval_without_shift(trained, without_own):
    expected = without_own.loc[0, Column.PREDICTED_CONDUCTIVITY_S_CM]
    with_own = predict(RECIPES, trained.model, own=own_table(conductivity_total_s_cm=[expected])).results
    assert with_own.loc[0, Column.OWN_SHIFT_DECADES] == pytest.approx(0.0, abs=1e-6)
    _, lower, upper = log10_conductivities(with_own)
    _, lower_before, upper_before = log10_conductivities(without_own)
    assert (upper - lower)[0] < (upper_before - lower_before)[0]


def test_own_conductivity_at_60_degrees_shifts_prediction_at_25_degrees(trained):
    model = trained.model
    hot = predict(RECIPES[:1], model, at_c=60.0).results.loc[0, Column.PREDICTED_CONDUCTIVITY_S_CM]
    own = own_table(conductivity_total_s_cm=[10 * hot], measurement_temperature_c=[60.0])
    at_25, at_60 = (predict(RECIPES[:1], model, own=own, at_c=at).results.loc[0] for at in (25.0, 60.0))
    assert at_25[Column.OWN_SHIFT_DECADES] == pytest.approx(at_60[Column.OWN_SHIFT_DECADES])
    assert 0.3 < at_25[Column.OWN_SHIFT_DECADES] < 1.0
    # Converting the temperature adds uncertainty: the same deviation measured at 25 °C shifts more.
    cool = predict(RECIPES[:1], model).results.loc[0, Column.PREDICTED_CONDUCTIVITY_S_CM]
    direct = predict(RECIPES[:1], model, own=own_table(conductivity_total_s_cm=[10 * cool])).results.loc[0]
    assert direct[Column.OWN_SHIFT_DECADES] > at_25[Column.OWN_SHIFT_DECADES]


def test_results_do_not_depend_on_order_or_input_type_of_own_pellets(trained, tmp_path):
    own = own_table(conductivity_total_s_cm=[1e-3, 2e-4, 5e-4], relative_density_pct=[95.0, 80.0, 91.0])
    own.to_csv(tmp_path / "my_pellets.csv", index=False)
    inputs = (own, own.iloc[::-1], tmp_path / "my_pellets.csv", str(tmp_path / "my_pellets.csv"))
    results = [predict(RECIPES, trained.model, own=pellets).results for pellets in inputs]
    for other in results[1:]:
        pd.testing.assert_frame_equal(results[0], other)


def test_own_conductivity_that_is_a_bound_is_ignored(trained, without_own):
    own = own_table(conductivity_total_s_cm=[1e-9], conductivity_bound=["upper"])
    with_own = predict(RECIPES, trained.model, own=own).results
    pd.testing.assert_frame_equal(with_own[list(without_own.columns)], without_own)
    assert (with_own[Column.OWN_PELLETS] == 0).all()


def test_invalid_own_pellet_is_refused_with_its_row(trained):
    with pytest.raises(OwnPelletsError, match=r"row 1: relative_density_pct: 0\.93 is not accepted"):
        predict(RECIPES, trained.model, own=own_table(relative_density_pct=[0.93]))


def test_loaded_bundle_predicts_with_own_pellets_as_before_saving(trained, tmp_path):
    folder = trained.model.save(tmp_path / "bundle")
    own = own_table(conductivity_total_s_cm=[1e-3])
    pd.testing.assert_frame_equal(
        predict(RECIPES, folder, own=own).results, predict(RECIPES, trained.model, own=own).results
    )


def test_bundle_without_own_kernel_refuses_own_pellets(trained, tmp_path):
    bundle = dataclasses.replace(trained.model, own={}).save(tmp_path / "bundle")
    content = json.loads((bundle / "model.json").read_text(encoding="utf-8"))
    assert content["own"] == {}
    with pytest.raises(BundleError, match=r"this model cannot take own pellets.*train again"):
        predict(RECIPES, bundle, own=own_table(conductivity_total_s_cm=[1e-3]))
    assert len(predict(RECIPES, bundle).results) == len(RECIPES)
    shutil.rmtree(bundle)


OWN_PELLETS = own_table(
    conductivity_total_s_cm=[1.2345e-3, 2.3456e-3], relative_density_pct=[91.357862, 93.579214],
    phase_pure=[True, True], particle_size_um=[0.75318642, 0.75318642], pellet_id=["bench-a", "bench-b"],
    notes=["secret furnace", ""],
)  # fmt: skip


@pytest.mark.slow
def test_training_uses_own_pellets_without_revealing_them_in_tables_or_bundle(
    small_training, small_dataset, tmp_path
):
    OWN_PELLETS.to_csv(tmp_path / "my_pellets.csv", index=False)
    result = train(TrainingOptions(folds=2), dataset=small_dataset, add=tmp_path / "my_pellets.csv")
    # They are used: two more rows of each property and other predictions.
    assert {name: count + 2 for name, count in small_training.rows_used.items()} == result.rows_used
    before, after = (predict(RECIPES[:1], training.model).results for training in (small_training, result))
    assert before.loc[0, Column.PREDICTED_CONDUCTIVITY_S_CM] != after.loc[0, Column.PREDICTED_CONDUCTIVITY_S_CM]
    # They are not revealed, neither in tables nor in any file of the bundle.
    tables = (result.out_of_fold, result.folds, result.model.pellets)
    assert all("own" not in set(frame[Column.SOURCE]) for frame in tables)
    pd.testing.assert_series_equal(
        result.model.pellets[Column.PELLET_ID], small_training.model.pellets[Column.PELLET_ID]
    )
    assert len(result.out_of_fold) == len(small_training.out_of_fold)
    assert result.model.domain == small_training.model.domain
    folder = result.model.save(tmp_path / "bundle")
    for path in folder.iterdir():
        data = path.read_bytes()
        for trace in (b"bench-a", b"secret furnace", b"0.0012345", b"91.357862", b"0.75318642", b"my_pellets.csv"):
            assert trace not in data, (path.name, trace)
    options = PropertyModel.load(folder).metadata.options
    assert options["added_pellets"] == 2
    assert len(options["added_sha256"]) == 64
    assert "added_pellets" not in small_training.model.metadata.options
    # The same pellets cannot be used again as own pellets of a prediction.
    with pytest.raises(BundleError, match="this model was trained with these own pellets"):
        predict(RECIPES, result.model, own=tmp_path / "my_pellets.csv")
    assert len(predict(RECIPES, result.model, own=OWN_PELLETS.iloc[:1]).results) == len(RECIPES)


def test_training_refuses_invalid_own_pellets_and_sources_of_the_dataset():
    with pytest.raises(OwnPelletsError, match="relative_density_pct"):
        train(add=own_table(relative_density_pct=[0.9]))
    with pytest.raises(DatasetError, match="'raj2023' of pellet 'own-1' is a source of the dataset"):
        train(add=own_table(relative_density_pct=[90.0], source=["raj2023"]))
