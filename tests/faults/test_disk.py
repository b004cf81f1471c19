"""A full disk, a limit on the size of files, a folder that cannot be written."""

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
from tests.faults.disks import remount, room, size_of, small_disk
from tests.faults.workers import PROMOTE, json_in
from tests.stores import copy_store

pytestmark = pytest.mark.slow

FULL = ("disk is full", "No space left", "limit on the size of files", "File too large")
DENIED = ("read-only", "Read-only", "cannot be written", "may be written", "Permission denied", "be changed")


def refused(outcome, words):
    """It ended with 2 and one sentence that says so."""
    code, text = outcome
    assert code == 2, text
    (message,) = [line for line in text.splitlines() if line.startswith(("error:", "Error:"))]
    assert any(word in message for word in words), text
    assert "Traceback" not in text
    assert "a fault of" not in text
    print("\n", message)  # noqa: T201
    return message


def versions(shop, lab):
    code, text = shop.run(lab, ["registry", "list", "--json"])
    assert code == 0, text
    return [(version["version"], version["usable"], version["aliases"]) for version in json_in(text)]


def predicts(shop, lab, as_before):
    code, text = shop.run(lab, PREDICT)
    assert code == 0, text
    assert json_in(text)["predictions"] == as_before


@pytest.fixture(scope="session")
def appetite(shop, first_lab, train, tmp_path_factory):
    """The bytes that a training adds to a store."""
    folder = copy_store(first_lab, tmp_path_factory.mktemp("appetite") / "lab")
    before = size_of(folder)
    code, text = shop.run(folder, train, ready=train[2])
    assert code == 0, text
    return size_of(folder) - before


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
def test_a_disk_that_is_full_after_a_while(share, shop, first_lab, train, appetite, as_before, tmp_path):
    ready = {"ready": train[2]}
    with small_disk(tmp_path / "disk", 64 * 2**20) as disk:
        lab = copy_store(first_lab, disk / "lab")
        room(disk, int(share * appetite))
        refused(shop.run(lab, train, **ready), FULL)
        predicts(shop, lab, as_before)
        assert versions(shop, lab) == [("1", True, ["champion"])]
        room(disk, 3 * appetite)
        code, text = shop.run(lab, train, **ready)
        assert code == 0, text
        assert versions(shop, lab) == [("2", True, ["challenger"]), ("1", True, ["champion"])]
        with closing(sqlite3.connect(lab / "mlflow.db")) as database:
            assert dict(database.execute("SELECT status, count(*) FROM runs GROUP BY status")) in (
                {"FINISHED": 2}, {"FINISHED": 2, "FAILED": 1},
            )  # fmt: skip


def test_a_full_disk_when_a_store_is_to_be_made(shop, train, tmp_path):
    with small_disk(tmp_path / "disk", 300_000) as disk:
        refused(shop.run(disk, train, ready=train[2]), FULL)
        assert {path.name for path in disk.iterdir()} <= {"mlflow.db.lock"}


def test_a_full_disk_when_a_champion_is_to_be_changed(shop, first_lab, train, as_before, tmp_path):
    with small_disk(tmp_path / "disk", 64 * 2**20) as disk:
        lab = copy_store(first_lab, disk / "lab")
        code, text = shop.run(lab, train, ready=train[2])
        assert code == 0, text
        room(disk, 0)
        refused(shop.run(lab, PROMOTE), FULL)
        assert versions(shop, lab) == [("2", True, ["challenger"]), ("1", True, ["champion"])]
        predicts(shop, lab, as_before)
        room(disk, 2**20)
        assert shop.run(lab, PROMOTE)[0] == 0
        room(disk, 0)
        refused(shop.run(lab, ["registry", "rollback"]), FULL)
        assert versions(shop, lab)[0] == ("2", True, ["champion"])


@pytest.mark.parametrize("option", ["--output p.csv", "--output p.json", "--output p.parquet", "--plot p.png",
                                    "--plot p.pdf", "--plot p.svg"])  # fmt: skip
def test_no_half_written_predictions(option, shop, first_lab, tmp_path):
    name, file = option.split()
    command = [*PREDICT[:-1], name]
    with small_disk(tmp_path / "disk", 2**20) as disk:
        room(disk, 0)
        refused(shop.run(first_lab, [*command, disk / file]), FULL)
        assert [path.name for path in disk.iterdir()] == ["filler"]
        (disk / "filler").unlink()
        (disk / file).write_text("what was there")
        room(disk, 0)
        refused(shop.run(first_lab, [*command, disk / file]), FULL)
        assert (disk / file).read_text() == "what was there"
        remount(disk, "ro")
        refused(shop.run(first_lab, [*command, disk / file]), DENIED)
        assert (disk / file).read_text() == "what was there"


def test_no_half_written_bundle(shop, lab, train, tmp_path, as_before):
    with small_disk(tmp_path / "disk", 2**20) as disk:
        room(disk, 150_000)
        message = refused(shop.run(lab, [*train, "--bundle", disk / "bundle"], ready=train[2]), FULL)
        assert "version 2" in message  # what was done all the same is said
        refused(shop.run(lab, ["registry", "export", "champion", disk / "bundle"]), FULL)
        assert [path.name for path in disk.iterdir()] == ["filler"]
        room(disk, 2**20)
    assert versions(shop, lab)[0] == ("2", True, ["challenger"])
    predicts(shop, lab, as_before)


def test_an_old_bundle_outlives_a_full_disk(shop, lab, tmp_path, as_before):
    with small_disk(tmp_path / "disk", 2**21) as disk:
        assert shop.run(lab, ["registry", "export", "champion", disk / "bundle"])[0] == 0
        room(disk, 150_000)
        refused(shop.run(lab, ["registry", "export", "champion", disk / "bundle"]), FULL)
        code, text = shop.run(lab, [*PREDICT, "--model", disk / "bundle"])
        assert (code, json_in(text)["predictions"]) == (0, as_before)


def test_a_limit_on_the_size_of_files(shop, lab, train, tmp_path, as_before):
    small = {"file_size": 40_000}
    assert shop.run(lab, train, ready=train[2])[0] == 0
    before = versions(shop, lab)
    refused(shop.run(lab, train, ready=train[2], **small), FULL)
    refused(shop.run(lab, PROMOTE, **small), FULL)
    refused(shop.run(lab, ["registry", "export", "champion", tmp_path / "bundle"], **small), FULL)
    refused(shop.run(lab, ["registry", "import", _bundle(lab)], **small), FULL)
    refused(shop.run(tmp_path, train, ready=train[2], **small), FULL)
    assert {path.name for path in tmp_path.iterdir()} <= {"lab", "mlflow.db.lock"}
    assert versions(shop, lab) == before
    predicts(shop, lab, as_before)


def _bundle(lab):
    """The bundle that the champion's run holds."""
    return next((lab / "mlartifacts").rglob("bundle/manifest.json")).parent


def test_a_store_that_cannot_be_written_can_be_read(shop, first_lab, train, as_before, tmp_path):
    with small_disk(tmp_path / "disk", 64 * 2**20) as disk:
        lab = copy_store(first_lab, disk / "lab")
        assert shop.run(lab, train, ready=train[2])[0] == 0
        remount(disk, "ro")
        for command in (
            train, PROMOTE, ["registry", "rollback"], ["registry", "import", _bundle(lab)],
            ["registry", "export", "champion", disk / "bundle"], [*train, "--no-track", "--bundle", disk / "b"],
        ):  # fmt: skip
            refused(shop.run(lab, command, ready=train[2]), DENIED)
        refused(shop.run(disk, train, ready=train[2]), DENIED)
        assert shop.run(lab, ["registry", "export", "champion", tmp_path / "bundle"])[0] == 0
        assert len(versions(shop, lab)) == 2
        predicts(shop, lab, as_before)
        remount(disk, "rw")
        assert shop.run(lab, train, ready=train[2])[0] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser can become somebody else")
def test_a_store_of_somebody_else_can_be_read(shop, two, train, as_before):
    if not _open_to_all(Path(__file__)) or not _open_to_all(datasets_folder()):
        pytest.skip("this checkout cannot be read by others")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        lab = copy_store(two, Path(folder) / "lab")
        lab.chmod(0o755)
        shutil.copy(train[2], Path(folder) / "small.csv")
        command = [*train[:2], str(Path(folder) / "small.csv"), *train[3:]]
        for wanted in (command, PROMOTE, ["registry", "export", "1", lab / "bundle"]):
            refused(shop.run(lab, wanted, ready=train[2], user=65534), DENIED)
        code, text = shop.run(lab, PREDICT, user=65534)
        assert (code, json_in(text)["predictions"]) == (0, as_before)
        assert versions(shop, lab) == [("2", True, ["challenger"]), ("1", True, ["champion"])]


def _open_to_all(path):
    return all(folder.stat().st_mode & 0o005 == 0o005 for folder in path.resolve().parents)
