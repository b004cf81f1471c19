"""Full disks, limits on the size of files, and stores that cannot be written."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from nasicon_ml.data.files import datasets_folder
from tests.faults.conftest import PREDICT
from tests.faults.disks import folder_size, leave_free, remount, small_disk
from tests.faults.workers import PROMOTE, json_in
from tests.stores import copy_store

pytestmark = pytest.mark.slow

FULL = ("disk is full", "No space left", "limit on the size of files", "File too large")
DENIED = ("read-only", "Read-only", "cannot be written", "may be written", "Permission denied", "be changed")


def assert_refused(result, expected_words):
    """Check that the exit code is 2 and that one error line has one of the expected words; return that line."""
    code, output = result
    assert code == 2, output
    (message,) = [line for line in output.splitlines() if line.startswith(("error:", "Error:"))]
    assert any(word in message for word in expected_words), output
    assert "Traceback" not in output
    assert "a fault of" not in output
    print("\n", message)  # noqa: T201
    return message


def list_versions(runner, store):
    code, output = runner.run(store, ["registry", "list", "--json"])
    assert code == 0, output
    return [(version["version"], version["usable"], version["aliases"]) for version in json_in(output)]


def assert_predictions(runner, store, expected_predictions):
    code, output = runner.run(store, PREDICT)
    assert code == 0, output
    assert json_in(output)["predictions"] == expected_predictions


@pytest.fixture(scope="session")
def training_size(runner, champion_store, train_command, tmp_path_factory):
    """Number of bytes that a training adds to a store."""
    folder = copy_store(champion_store, tmp_path_factory.mktemp("size") / "store")
    before = folder_size(folder)
    code, output = runner.run(folder, train_command, pretrained_on=train_command[2])
    assert code == 0, output
    return folder_size(folder) - before


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
def test_training_fails_on_full_disk_and_succeeds_when_space_is_free(
    share, runner, champion_store, train_command, training_size, expected_predictions, tmp_path
):
    options = {"pretrained_on": train_command[2]}
    with small_disk(tmp_path / "disk", 64 * 2**20) as disk:
        store = copy_store(champion_store, disk / "store")
        leave_free(disk, int(share * training_size))
        assert_refused(runner.run(store, train_command, **options), FULL)
        assert_predictions(runner, store, expected_predictions)
        assert list_versions(runner, store) == [("1", True, ["champion"])]
        leave_free(disk, 3 * training_size)
        code, output = runner.run(store, train_command, **options)
        assert code == 0, output
        assert list_versions(runner, store) == [("2", True, ["challenger"]), ("1", True, ["champion"])]
        with closing(sqlite3.connect(store / "mlflow.db")) as database:
            assert dict(database.execute("SELECT status, count(*) FROM runs GROUP BY status")) in (
                {"FINISHED": 2}, {"FINISHED": 2, "FAILED": 1},
            )  # fmt: skip


def test_creating_store_on_full_disk_leaves_no_database(runner, train_command, tmp_path):
    with small_disk(tmp_path / "disk", 300_000) as disk:
        assert_refused(runner.run(disk, train_command, pretrained_on=train_command[2]), FULL)
        assert {path.name for path in disk.iterdir()} <= {"mlflow.db.lock"}


def test_promote_and_rollback_on_full_disk_keep_champion(
    runner, champion_store, train_command, expected_predictions, tmp_path
):
    with small_disk(tmp_path / "disk", 64 * 2**20) as disk:
        store = copy_store(champion_store, disk / "store")
        code, output = runner.run(store, train_command, pretrained_on=train_command[2])
        assert code == 0, output
        leave_free(disk, 0)
        assert_refused(runner.run(store, PROMOTE), FULL)
        assert list_versions(runner, store) == [("2", True, ["challenger"]), ("1", True, ["champion"])]
        assert_predictions(runner, store, expected_predictions)
        leave_free(disk, 2**20)
        assert runner.run(store, PROMOTE)[0] == 0
        leave_free(disk, 0)
        assert_refused(runner.run(store, ["registry", "rollback"]), FULL)
        assert list_versions(runner, store)[0] == ("2", True, ["champion"])


@pytest.mark.parametrize("option", ["--output p.csv", "--output p.json", "--output p.parquet", "--plot p.png",
                                    "--plot p.pdf", "--plot p.svg"])  # fmt: skip
def test_failed_output_keeps_old_file_and_leaves_no_partial_file(option, runner, champion_store, tmp_path):
    name, file = option.split()
    command = [*PREDICT[:-1], name]
    with small_disk(tmp_path / "disk", 2**20) as disk:
        leave_free(disk, 0)
        assert_refused(runner.run(champion_store, [*command, disk / file]), FULL)
        assert [path.name for path in disk.iterdir()] == ["filler"]
        (disk / "filler").unlink()
        (disk / file).write_text("old content")
        leave_free(disk, 0)
        assert_refused(runner.run(champion_store, [*command, disk / file]), FULL)
        assert (disk / file).read_text() == "old content"
        remount(disk, "ro")
        assert_refused(runner.run(champion_store, [*command, disk / file]), DENIED)
        assert (disk / file).read_text() == "old content"


def test_full_disk_leaves_no_partial_bundle(runner, store, train_command, tmp_path, expected_predictions):
    with small_disk(tmp_path / "disk", 2**20) as disk:
        leave_free(disk, 150_000)
        message = assert_refused(
            runner.run(store, [*train_command, "--bundle", disk / "bundle"], pretrained_on=train_command[2]), FULL
        )
        assert "version 2" in message  # the error names the version that was registered
        assert_refused(runner.run(store, ["registry", "export", "champion", disk / "bundle"]), FULL)
        assert [path.name for path in disk.iterdir()] == ["filler"]
        leave_free(disk, 2**20)
    assert list_versions(runner, store)[0] == ("2", True, ["challenger"])
    assert_predictions(runner, store, expected_predictions)


def test_existing_bundle_survives_failed_export_to_full_disk(runner, store, tmp_path, expected_predictions):
    with small_disk(tmp_path / "disk", 2**21) as disk:
        assert runner.run(store, ["registry", "export", "champion", disk / "bundle"])[0] == 0
        leave_free(disk, 150_000)
        assert_refused(runner.run(store, ["registry", "export", "champion", disk / "bundle"]), FULL)
        code, output = runner.run(store, [*PREDICT, "--model", disk / "bundle"])
        assert (code, json_in(output)["predictions"]) == (0, expected_predictions)


def test_file_size_limit_is_reported_and_leaves_store_unchanged(
    runner, store, train_command, tmp_path, expected_predictions
):
    limit = {"file_size": 40_000}
    assert runner.run(store, train_command, pretrained_on=train_command[2])[0] == 0
    before = list_versions(runner, store)
    assert_refused(runner.run(store, train_command, pretrained_on=train_command[2], **limit), FULL)
    assert_refused(runner.run(store, PROMOTE, **limit), FULL)
    assert_refused(runner.run(store, ["registry", "export", "champion", tmp_path / "bundle"], **limit), FULL)
    assert_refused(runner.run(store, ["registry", "import", _champion_bundle(store)], **limit), FULL)
    assert_refused(runner.run(tmp_path, train_command, pretrained_on=train_command[2], **limit), FULL)
    assert {path.name for path in tmp_path.iterdir()} <= {"store", "mlflow.db.lock"}
    assert list_versions(runner, store) == before
    assert_predictions(runner, store, expected_predictions)


def _champion_bundle(store):
    """Return the folder of the bundle in the champion's run."""
    return next((store / "mlartifacts").rglob("bundle/manifest.json")).parent


def test_read_only_store_refuses_writes_and_allows_reads(
    runner, champion_store, train_command, expected_predictions, tmp_path
):
    with small_disk(tmp_path / "disk", 64 * 2**20) as disk:
        store = copy_store(champion_store, disk / "store")
        assert runner.run(store, train_command, pretrained_on=train_command[2])[0] == 0
        remount(disk, "ro")
        for command in (
            train_command, PROMOTE, ["registry", "rollback"], ["registry", "import", _champion_bundle(store)],
            ["registry", "export", "champion", disk / "bundle"],
            [*train_command, "--no-track", "--bundle", disk / "b"],
        ):  # fmt: skip
            assert_refused(runner.run(store, command, pretrained_on=train_command[2]), DENIED)
        assert_refused(runner.run(disk, train_command, pretrained_on=train_command[2]), DENIED)
        assert runner.run(store, ["registry", "export", "champion", tmp_path / "bundle"])[0] == 0
        assert len(list_versions(runner, store)) == 2
        assert_predictions(runner, store, expected_predictions)
        remount(disk, "rw")
        assert runner.run(store, train_command, pretrained_on=train_command[2])[0] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser can become another user")
def test_store_of_other_user_refuses_writes_and_allows_reads(
    runner, challenger_store, train_command, expected_predictions
):
    if not _is_readable_by_all(Path(__file__)) or not _is_readable_by_all(datasets_folder()):
        pytest.skip("other users cannot read this checkout")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        store = copy_store(challenger_store, Path(folder) / "store")
        store.chmod(0o755)
        shutil.copy(train_command[2], Path(folder) / "small.csv")
        command = [*train_command[:2], str(Path(folder) / "small.csv"), *train_command[3:]]
        for refused_command in (command, PROMOTE, ["registry", "export", "1", store / "bundle"]):
            assert_refused(runner.run(store, refused_command, pretrained_on=train_command[2], user=65534), DENIED)
        code, output = runner.run(store, PREDICT, user=65534)
        assert (code, json_in(output)["predictions"]) == (0, expected_predictions)
        assert list_versions(runner, store) == [("2", True, ["challenger"]), ("1", True, ["champion"])]


def _is_readable_by_all(path):
    return all(folder.stat().st_mode & 0o005 == 0o005 for folder in path.resolve().parents)
