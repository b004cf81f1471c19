"""Export of versions as bundles, import of bundles as versions, and the list of versions."""

import shutil
from pathlib import Path

import pytest

from nasicon_ml.bundle.manifest import MANIFEST, write_manifest
from nasicon_ml.bundle.store import FORMAT_VERSION
from nasicon_ml.errors import BundleError, TrackingError
from nasicon_ml.model import PropertyModel
from nasicon_ml.tracking import export_version, import_bundle, list_versions, show_version, version_card
from nasicon_ml.tracking.store import open_store
from tests.tracking.conftest import aliases


def contents(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def test_export_equals_the_bundle_byte_for_byte(tracked, bundle, tmp_path):
    version, folder = export_version("champion", tmp_path / "out", tracking_uri=tracked.tracking_uri)
    assert (version.version, folder) == ("1", tmp_path / "out")
    assert contents(folder) == contents(bundle)


def test_export_replaces_a_bundle_but_no_other_folder(tracked, bundle, tmp_path):
    folder = tmp_path / "out"
    for _ in range(2):
        export_version("1", folder, tracking_uri=tracked.tracking_uri)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("years")
    with pytest.raises(BundleError, match="exists and is not a model bundle"):
        export_version("1", tmp_path / "other", tracking_uri=tracked.tracking_uri)
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["thesis.tex"]


def test_imported_bundle_is_challenger_with_run_scores_and_files(store_folder, bundle, result, tmp_path):
    version = import_bundle(bundle)
    assert (version.version, version.usable, version.aliases) == ("1", True, ("challenger",))
    assert aliases() == {"challenger": "1"}
    assert version.tags["imported_bundle_of"] == result.model.metadata.created
    assert version.tags["dataset_sha256"] == result.dataset_sha256
    assert version.tags["protocol"].startswith("2-fold cross-validation by source")
    errors = result.scores.query("model == 'full' and subset == 'all' and metric == 'mae_decades'")
    expected = errors[errors["target"] == "conductivity"]["value"].iloc[0]
    assert float(version.tags["conductivity.mae_decades"]) == pytest.approx(expected, rel=1e-3)
    with open_store() as store:
        run = store.client.get_run(version.run_id)
    assert (run.info.status, run.data.params["folds"]) == ("FINISHED", "2")
    _, out = export_version("1", tmp_path / "out")
    assert contents(out) == contents(bundle)


def test_changed_or_missing_bundle_is_not_registered(store_folder, bundle, tmp_path):
    changed = shutil.copytree(bundle, tmp_path / "changed")
    (changed / "pellets.csv").write_text("formula\n")
    with pytest.raises(BundleError, match=r"pellets\.csv"):
        import_bundle(changed)
    with pytest.raises(BundleError, match=r"no such folder|is not a model bundle"):
        import_bundle(tmp_path / "nowhere")
    with open_store() as store:
        assert store.client.search_model_versions("") == []
        assert store.client.search_experiments(filter_string="name = 'nasicon-ml'") == []


def test_bundle_with_invalid_out_of_fold_predictions_is_not_registered(store_folder, bundle, tmp_path):
    folder = shutil.copytree(bundle, tmp_path / "changed")
    (folder / "out_of_fold.csv").write_text("a,b\n")
    files = {name: content for name, content in contents(folder).items() if name != MANIFEST}
    write_manifest(folder, FORMAT_VERSION, "2026-01-01T00:00:00+00:00", files)
    PropertyModel.load(folder)  # predictions do not need them
    with pytest.raises(BundleError, match=r"^out_of_fold\.csv does not hold what a bundle holds: line 1"):
        import_bundle(folder)
    assert list_versions() == []


def test_interrupted_import_registers_nothing(store_folder, bundle, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("mlflow.MlflowClient.set_registered_model_alias", interrupted)
    with pytest.raises(KeyboardInterrupt):
        import_bundle(bundle)
    assert list_versions() == []


def test_export_of_unknown_version_creates_no_folder(tracked, tmp_path):
    with pytest.raises(TrackingError, match="no version '7'"):
        export_version("7", tmp_path / "out", tracking_uri=tracked.tracking_uri)
    assert not (tmp_path / "out").exists()


def test_list_versions_is_newest_first_and_gives_problems(two_imports):
    with open_store() as store:
        store.client.create_model_version("nasicon-recipe", two_imports.as_uri())  # not made by this package
        unfinished = store.client.get_model_version("nasicon-recipe", "1")
        store.client.update_run(unfinished.run_id, status="RUNNING")
    versions = list_versions()
    assert [version.version for version in versions] == ["3", "2", "1"]
    assert [version.usable for version in versions] == [False, True, False]
    assert versions[0].problem.startswith("it has no list of its files")
    assert versions[2].problem == "its run was not finished"


def test_version_with_deleted_model_is_unusable(two_imports):
    with open_store() as store:
        model_id = store.client.get_model_version("nasicon-recipe", "1").source.removeprefix("models:/")
        store.client.delete_logged_model(model_id)
    assert show_version("1").problem == "its run or its model was deleted"


def test_list_versions_is_empty_for_empty_store_and_raises_for_missing_one(store_folder, tmp_path):
    assert list_versions() == []
    with pytest.raises(TrackingError, match=r"no version of nasicon-recipe is registered.*nasicon-ml train"):
        show_version()
    with pytest.raises(TrackingError, match="there is no store at"):
        list_versions(tracking_uri=f"sqlite:///{tmp_path}/elsewhere.db")


def test_list_versions_reads_all_pages(tracked, monkeypatch):
    import mlflow

    search = mlflow.MlflowClient.search_model_versions
    numbers = iter(range(100))

    def two_pages(self, *args, page_token=None, **kwargs):
        page = search(self, *args, **kwargs)
        page.token = None if page_token else f"token {next(numbers)}"
        return page

    monkeypatch.setattr(mlflow.MlflowClient, "search_model_versions", two_pages)
    assert len(list_versions(tracking_uri=tracked.tracking_uri)) == 2  # the same page twice


def test_version_card_equals_the_card_of_its_bundle(tracked, bundle):
    text, content = version_card("champion", tracking_uri=tracked.tracking_uri)
    assert text == (bundle / "card.md").read_text(encoding="utf-8")
    assert content["schema"] == "nasicon-ml/model-card/1"
    assert PropertyModel.load(bundle).metadata.dataset_sha256 in text
