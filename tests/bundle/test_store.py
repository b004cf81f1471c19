import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasicon_ml.bundle.store import FILES, FORMAT_VERSION, MANIFEST, save_bundle
from nasicon_ml.columns import NEW_IN_0_2, PREDICTION
from nasicon_ml.data.files import shipped_folder
from nasicon_ml.errors import BundleError
from nasicon_ml.estimators.boosting import DEFAULT_SETTINGS
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.features.build import build_features
from nasicon_ml.model import PropertyModel
from nasicon_ml.recipe import Recipe, recipe_table


@pytest.fixture(scope="module")
def bundle(trained, tmp_path_factory):
    return trained.model.save(tmp_path_factory.mktemp("models") / "bundle")


@pytest.fixture
def copy(bundle, tmp_path):
    return shutil.copytree(bundle, tmp_path / "copy")


@pytest.fixture(scope="module")
def table():
    return recipe_table(
        [
            Recipe(formula="LATP x=0.4", sintering_temperature_c=800, sintering_time_h=2, atmosphere="Ar"),
            Recipe(formula="LAGP x=0.5"),
            Recipe(formula="Li1.2Sc0.2Hf1.8(PO4)3", additive="LiF", additive_amount=1, additive_unit="wt%"),
        ]
    )


def test_loaded_model_predicts_like_the_saved_one(trained, bundle, table):
    loaded = PropertyModel.load(bundle)
    pd.testing.assert_frame_equal(loaded.predict(table), trained.model.predict(table))
    assert loaded.metadata == trained.model.metadata
    assert loaded.domain == trained.model.domain
    pd.testing.assert_frame_equal(loaded.out_of_fold, trained.model.out_of_fold, check_exact=True)
    assert set(loaded.predict(table).columns) == {str(column) for column in PREDICTION}


def with_valid_checksum(folder, name, data):
    """Replace a file of a bundle and update its checksum in the manifest, as anybody could."""
    (folder / name).write_bytes(data)
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest["files"][name] = hashlib.sha256(data).hexdigest()
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def with_edited_model_json(folder, change):
    """Edit the content of model.json and update its checksum in the manifest."""
    content = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    change(content)
    return with_valid_checksum(folder, "model.json", json.dumps(content).encode("utf-8"))


FORMAT_2 = Path(__file__).parent / "format_2"


@pytest.fixture
def format_2_bundle(tmp_path):
    """A copy of a small bundle of format 2, with trees in a file format of XGBoost."""
    return shutil.copytree(FORMAT_2, tmp_path / "old")


def as_format_1(folder):
    """Change a bundle of format 2 to what version 0.1 would have written."""
    names = ("validation", "rules_checked", "broken_rules", "broken_statements", "broken_scopes")
    with_edited_model_json(folder, lambda content: [content["metadata"].pop(name, None) for name in names])
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    for name in ("out_of_fold.csv", "card.json"):
        (folder / name).unlink()
        del manifest["files"][name]
    (folder / MANIFEST).write_text(json.dumps(manifest | {"format_version": 1}), encoding="utf-8")
    return folder


def test_priors_are_saved_and_added_to_predictions(trained, bundle, table):
    saved, loaded = trained.model, PropertyModel.load(bundle)
    expected = {name for name, settings in DEFAULT_SETTINGS.items() if settings.prior_share}
    assert set(saved.priors) == expected != set()
    assert loaded.priors == saved.priors
    predictions_without_priors = replace(saved, priors={}).predict(table)["predicted_conductivity_s_cm"]
    predictions = loaded.predict(table)["predicted_conductivity_s_cm"]
    margins = saved.priors[TargetName.CONDUCTIVITY].margin(build_features(table, saved.feature_set).values)
    np.testing.assert_allclose(np.log10(predictions / predictions_without_priors), margins, atol=1e-9)
    assert (abs(margins) > 0.5).all(), "the priors matter for these recipes"


def test_bundle_without_priors_loads(trained, copy, table):
    model = PropertyModel.load(with_edited_model_json(copy, lambda content: content.pop("priors")))
    assert model.priors == {}
    pd.testing.assert_frame_equal(model.predict(table), replace(trained.model, priors={}).predict(table))


def test_prior_with_missing_coefficient_is_refused(copy):
    with_edited_model_json(copy, lambda content: content["priors"]["conductivity"]["coefficients"].pop())
    with pytest.raises(
        BundleError, match=r"model\.json does not hold what a bundle holds: the prior of conductivity"
    ):
        PropertyModel.load(copy)


def test_error_for_invalid_older_bundle_recommends_training_again(format_2_bundle):
    with_edited_model_json(format_2_bundle, lambda content: content["intervals"]["conductivity"].pop("by_system"))
    with pytest.raises(
        BundleError, match=r"by_system is missing; it has the older format 2: .* train its model again"
    ):
        PropertyModel.load(format_2_bundle)


def test_saving_twice_gives_the_same_bytes(trained, bundle, tmp_path):
    again = trained.model.save(tmp_path / "again")
    for path in bundle.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name


def test_saving_a_loaded_model_gives_the_same_bytes(bundle, tmp_path):
    again = PropertyModel.load(bundle).save(tmp_path / "again")
    assert {path.name for path in again.iterdir()} == {*FILES[FORMAT_VERSION], MANIFEST}
    for path in bundle.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name


def assert_recorded_predictions(predictions):
    for name, expected in json.loads(
        (FORMAT_2.parent / "format_2_answers.json").read_text(encoding="utf-8")
    ).items():
        # The last bit of an exponential depends on the processor.
        assert predictions[name].tolist() == pytest.approx(expected, rel=1e-14, abs=0), name


def format_2_recipes():
    return recipe_table(
        [
            Recipe(formula="LATP x=0.4", sintering_temperature_c=850, atmosphere="air"),
            Recipe(formula="LAGP x=0.5"),
            Recipe(formula="Na3Zr2Si2PO12", sintering_temperature_c=1200),
        ]
    )


@pytest.mark.slow
def test_format_2_bundle_keeps_its_predictions_and_is_saved_as_format_3(format_2_bundle, tmp_path):
    model = PropertyModel.load(format_2_bundle)
    again = PropertyModel.load(model.save(tmp_path / "again"))
    assert json.loads((tmp_path / "again" / MANIFEST).read_bytes())["format_version"] == FORMAT_VERSION == 3
    for loaded in (model, again):
        predictions = loaded.predict(format_2_recipes())
        assert_recorded_predictions(predictions)
    for name in ("pellets.csv", "out_of_fold.csv", "card.json", "card.md"):
        assert (tmp_path / "again" / name).read_bytes() == (FORMAT_2 / name).read_bytes(), name
    first, second = (json.loads((folder / "model.json").read_bytes()) for folder in (FORMAT_2, tmp_path / "again"))
    # In format 3 the terms of a prior have names, and its share is part of the coefficients.
    assert len(second["priors"]["conductivity"].pop("terms")) == len(first["priors"]["conductivity"]["means"])
    assert first.pop("priors").keys() == second.pop("priors").keys()
    assert first == second


@pytest.mark.slow
def test_format_1_bundle_keeps_its_predictions_and_is_saved_as_format_3(trained, format_2_bundle, tmp_path):
    model = PropertyModel.load(as_format_1(format_2_bundle))
    predictions = model.predict(format_2_recipes())
    assert_recorded_predictions(predictions)
    assert model.out_of_fold.empty
    assert list(model.out_of_fold.columns) == list(trained.out_of_fold.columns)
    metadata = model.metadata
    assert (metadata.validation, metadata.broken_rules, metadata.rules_checked) == ({}, (), 0)
    # It is saved as format 3, and a model loaded from that is saved with the same bytes.
    first, second = model.save(tmp_path / "first"), PropertyModel.load(model.save(tmp_path / "second"))
    second.save(tmp_path / "third")
    for path in first.iterdir():
        assert path.read_bytes() == (tmp_path / "third" / path.name).read_bytes(), path.name


@pytest.mark.slow
def test_malformed_xgboost_trees_of_format_2_are_refused(format_2_bundle):
    """XGBoost follows indices of children without a check, so such a file could crash the process."""
    data = bytearray((format_2_bundle / "conductivity.ubj").read_bytes())
    name = b"left_children[$l#L"
    position = data.index(name) + len(name) + 8
    for invalid in (data[:position] + (2**30).to_bytes(4, "big") + data[position + 4 :], data[:-100], b"", b"{}"):
        with pytest.raises(BundleError, match=r"conductivity\.ubj .*does not hold what a bundle holds"):
            PropertyModel.load(with_valid_checksum(format_2_bundle, "conductivity.ubj", bytes(invalid)))


def test_committed_model_loads_and_is_small():
    folder = shipped_folder("models", "champion")
    assert PropertyModel.load(folder).metadata.dataset_rows > 1000
    assert sum(path.stat().st_size for path in folder.iterdir()) < 3_000_000


def test_only_the_manifest_contains_the_time_of_training(trained, bundle):
    created = trained.model.metadata.created.encode()
    assert [path.name for path in bundle.iterdir() if created in path.read_bytes()] == [MANIFEST]


def test_bundle_has_only_text_and_array_files(bundle):
    names = {path.name for path in bundle.iterdir()}
    assert {path for path in names if not path.endswith((".json", ".csv", ".md", ".npz"))} == set()
    for path in bundle.iterdir():
        if path.suffix != ".npz":
            path.read_text(encoding="utf-8")


def test_saving_over_a_bundle_replaces_all_its_files(trained, copy):
    (copy / "model.json").write_text("{}")
    trained.model.save(copy)
    PropertyModel.load(copy)
    assert [path.name for path in copy.parent.iterdir()] == [copy.name], "a draft was left behind"


def test_older_bundle_is_kept_if_it_cannot_be_replaced(trained, copy, monkeypatch):
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    original_replace = Path.replace

    def failing_replace(self, target):
        if self.name == "bundle":
            raise OSError(28, "No space left on device")
        return original_replace(self, target)

    monkeypatch.setattr(Path, "replace", failing_replace)
    with pytest.raises(BundleError, match=r"copy cannot be written: No space left on device"):
        trained.model.save(copy)
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == before
    assert [path.name for path in copy.parent.iterdir()] == [copy.name], "a draft was left behind"


def test_folder_that_is_not_a_bundle_is_not_overwritten(trained, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(BundleError, match="is not a model bundle; choose another folder"):
        save_bundle(trained.model, tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("name", FILES[FORMAT_VERSION])
def test_changed_and_missing_files_are_refused_by_name(copy, name):
    original = (copy / name).read_bytes()
    (copy / name).write_bytes(original[:-1] + b"x")
    with pytest.raises(BundleError, match=rf"{name} was changed"):
        PropertyModel.load(copy)
    (copy / name).unlink()
    with pytest.raises(BundleError, match=rf"missing or additional: \['{name}'\]"):
        PropertyModel.load(copy)


def test_additional_files_are_refused(copy):
    (copy / "weights.pkl").write_bytes(b"")
    with pytest.raises(BundleError, match=r"missing or additional: \['weights\.pkl'\]"):
        PropertyModel.load(copy)


def test_newer_format_malformed_manifest_and_missing_folder_are_refused(copy, tmp_path):
    manifest = json.loads((copy / MANIFEST).read_text())
    (copy / MANIFEST).write_text(json.dumps(manifest | {"format_version": 99}))
    with pytest.raises(BundleError, match="has format 99; this version of nasicon-ml reads 1 and 2 and 3"):
        PropertyModel.load(copy)
    (copy / MANIFEST).write_text("not json")
    with pytest.raises(BundleError, match="cannot be read"):
        PropertyModel.load(copy)
    with pytest.raises(BundleError, match="is not a model bundle: it has no manifest"):
        PropertyModel.load(tmp_path / "nowhere")


def test_model_with_other_features_is_refused(trained, table):
    renamed = replace(trained.model, feature_names=("oxygen_mood", *trained.model.feature_names[1:]))
    with pytest.raises(BundleError, match="trained on other features than this version computes"):
        renamed.predict(table)


def test_intervals_contain_the_prediction_and_are_wider_for_partial_recipes(trained):
    full = Recipe(
        formula="LATP x=0.4", synthesis_route="sol_gel", sintering_temperature_c=850, sintering_time_h=6,
        heating_rate_c_min=2, particle_size_um=0.5, atmosphere="air", densification="conventional",
        calcination_temperature_c=700, calcination_time_h=4,
    )  # fmt: skip
    predictions = trained.model.predict(recipe_table([full, Recipe(formula="LATP x=0.4")]))
    lower, point, upper = (
        np.log10(predictions[f"predicted_conductivity{part}_s_cm"]) for part in ("_lower", "", "_upper")
    )
    assert (lower < point).all()
    assert (point < upper).all()
    assert (upper - lower)[1] > (upper - lower)[0]
    assert predictions["predicted_phase_purity"].between(0, 1).all()


def test_conductivity_rises_with_measurement_temperature(trained, table):
    warm = trained.model.predict(table.assign(measurement_temperature_c=60.0))
    cold = trained.model.predict(table)
    assert (warm["predicted_conductivity_s_cm"] > cold["predicted_conductivity_s_cm"]).all()
    pd.testing.assert_series_equal(warm["predicted_relative_density_pct"], cold["predicted_relative_density_pct"])


def test_model_with_other_target_scale_is_refused(bundle, monkeypatch):
    from nasicon_ml.estimators import targets

    name = targets.TargetName.RELATIVE_DENSITY
    monkeypatch.setitem(targets.TARGETS, name, replace(targets.TARGETS[name], scale="%"))
    with pytest.raises(BundleError, match=r"learned on other scales .*log10\(100 \+ 0\.5 - %\)"):
        PropertyModel.load(bundle)


def test_bundle_with_additional_files_is_not_replaced(trained, copy):
    (copy / "my_pellets.csv").write_text("formula\nLTP\n", encoding="utf-8")
    with pytest.raises(
        BundleError, match=r"holds, beside an older bundle, 'my_pellets\.csv', which would be lost"
    ):
        trained.model.save(copy)
    assert (copy / "my_pellets.csv").read_text(encoding="utf-8") == "formula\nLTP\n"


def test_old_drafts_of_killed_programs_are_removed(trained, tmp_path):
    old, with_content, young = (tmp_path / f".lab-draft-{name}" for name in ("old", "with_content", "young"))
    for draft in (old, with_content / "old", young):
        draft.mkdir(parents=True)
        (draft / "card.md").write_text("half a card", encoding="utf-8")
    for draft in (old, with_content):
        os.utime(draft, (0, 0))
    trained.model.save(tmp_path / "lab")
    assert {path.name for path in tmp_path.iterdir()} == {"lab", with_content.name, young.name}


@pytest.mark.parametrize("leaf", [1e29, -1e29, 100.0])
def test_impossible_activation_energy_is_refused(trained, table, leaf):
    name = TargetName.ACTIVATION_ENERGY
    trees = trained.model.boosters[name]
    arrays = replace(trees.arrays, value=np.where(trees.arrays.is_leaf, leaf, trees.arrays.value))
    model = replace(trained.model, boosters=trained.model.boosters | {name: type(trees)(arrays)})
    with pytest.raises(BundleError, match=r"an activation energy of \S+ eV, which no pellet can have"):
        model.predict(table)


def test_columns_new_in_0_2_are_saved_only_if_they_have_values(trained, tmp_path):
    new_columns = [str(column) for column in NEW_IN_0_2]
    pellets_with_values = trained.model.pellets
    assert pellets_with_values[new_columns].notna().any(axis=None)
    pellets_without_values = pellets_with_values.drop(columns=new_columns).reindex(
        columns=pellets_with_values.columns
    )
    for pellets, expected in ((pellets_with_values, set(new_columns)), (pellets_without_values, set())):
        folder = replace(trained.model, pellets=pellets).save(tmp_path / f"with_{len(expected)}")
        header = (folder / "pellets.csv").read_text(encoding="utf-8").split("\n", 1)[0].split(",")
        assert set(new_columns) & set(header) == expected
        loaded = PropertyModel.load(folder).pellets
        assert loaded[new_columns].notna().sum().tolist() == pellets[new_columns].notna().sum().tolist()
