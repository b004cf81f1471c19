"""Missing and damaged files and databases: they are reported and not changed, and an intact champion predicts."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from contextlib import closing

import pytest

from tests.faults.conftest import PREDICT
from tests.faults.test_disk import assert_predictions, assert_refused, list_versions
from tests.faults.workers import PROMOTE, json_in
from tests.stores import copy_store

pytestmark = pytest.mark.slow

PROMOTE_CHALLENGER = ["registry", "promote", "2"]


@pytest.fixture
def store_with_challenger(challenger_store, tmp_path):
    """A copy of the store with a champion and a challenger."""
    return copy_store(challenger_store, tmp_path / "store")


def bundle_folders(store, version):
    """Return the folders with the bundle of a version: that of its logged model, and that of its run."""
    with closing(sqlite3.connect(store / "mlflow.db")) as database:
        run, model = database.execute(
            "SELECT run_id, model_id FROM model_versions JOIN logged_models ON run_id = source_run_id "
            "WHERE version = ?",
            (version,),
        ).fetchone()
    folders = {path.parent for path in (store / "mlartifacts").rglob("manifest.json")}
    own = [folder for folder in folders if run in str(folder) or model in str(folder)]
    assert len(own) == 2
    return sorted(own, key=lambda folder: run in str(folder))


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def flip_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (truncate, "conductivity.npz"),
        (empty, "model.json"),
        (os.remove, "manifest.json"),
        (flip_bit, "pellets.csv"),
    ],
)
def test_damaged_challenger_is_refused_and_champion_still_predicts(
    damage, name, runner, store_with_challenger, expected_predictions
):
    damage(bundle_folders(store_with_challenger, 2)[0] / name)
    listed = list_versions(runner, store_with_challenger)
    # A changed bit is only found by reading whole files, which `registry list` does not do.
    assert listed == [("2", damage is flip_bit, ["challenger"]), ("1", True, ["champion"])]
    expected_words = ("SHA-256", "cannot be used", "missing", "cannot be read", "changed", "not whole", "manifest")
    assert_refused(runner.run(store_with_challenger, PROMOTE_CHALLENGER), expected_words)
    assert_refused(
        runner.run(store_with_challenger, [*PROMOTE_CHALLENGER, "--force", "--reason", "a test"]), expected_words
    )
    assert_refused(
        runner.run(store_with_challenger, ["registry", "export", "2", store_with_challenger / "bundle"]),
        expected_words,
    )
    assert_refused(
        runner.run(store_with_challenger, [*PREDICT, "--model", "models:/nasicon-recipe/2"]), expected_words
    )
    assert not (store_with_challenger / "bundle").exists()
    assert list_versions(runner, store_with_challenger)[1] == ("1", True, ["champion"])
    assert_predictions(runner, store_with_challenger, expected_predictions)


def test_missing_artifacts_are_reported_and_new_training_recovers(
    runner, store_with_challenger, train_command, expected_predictions
):
    shutil.rmtree(bundle_folders(store_with_challenger, 2)[0].parents[1])
    assert list_versions(runner, store_with_challenger) == [
        ("2", False, ["challenger"]),
        ("1", True, ["champion"]),
    ]
    assert_refused(runner.run(store_with_challenger, PROMOTE_CHALLENGER), ("files are gone", "cannot be used"))
    assert_predictions(runner, store_with_challenger, expected_predictions)
    shutil.rmtree(store_with_challenger / "mlartifacts")
    assert [usable for _, usable, _ in list_versions(runner, store_with_challenger)] == [False, False]
    assert_refused(runner.run(store_with_challenger, PREDICT), ("its files are missing", "files are gone"))
    assert_refused(runner.run(store_with_challenger, PROMOTE_CHALLENGER), ("files are gone", "cannot be used"))
    assert_refused(
        runner.run(store_with_challenger, ["registry", "promote", "1"]), ("files are gone", "cannot be used")
    )
    code, output = runner.run(store_with_challenger, train_command, PROMOTE, pretrained_on=train_command[2])
    assert code == 0, output  # the way back to a usable champion
    assert_predictions(runner, store_with_challenger, expected_predictions)


def overwrite_with_noise(path):
    path.write_bytes(random.Random(1).randbytes(path.stat().st_size))  # noqa: S311


def overwrite_after_header(path):
    path.write_bytes(b"SQLite format 3\0" + random.Random(1).randbytes(path.stat().st_size - 16))  # noqa: S311


def overwrite_after_first_page(path):
    head = path.read_bytes()[:4096]
    path.write_bytes(head + random.Random(1).randbytes(path.stat().st_size - len(head)))  # noqa: S311


def overwrite_every_second_page(path):
    data = bytearray(path.read_bytes())
    for start in range(2 * 4096, len(data), 2 * 4096):
        data[start : start + 4096] = random.Random(start).randbytes(4096)  # noqa: S311
    path.write_bytes(bytes(data))


def overwrite_with_text(path):
    path.write_text("not a database\n" * 100)


DAMAGES = [
    overwrite_with_noise,
    overwrite_after_header,
    overwrite_after_first_page,
    overwrite_every_second_page,
    truncate,
    empty,
    overwrite_with_text,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_database_is_refused_unchanged_and_bundle_is_usable(
    damage, runner, store_with_challenger, train_command, expected_predictions, tmp_path
):
    champion = bundle_folders(store_with_challenger, 1)[1]
    database = store_with_challenger / "mlflow.db"
    damage(database)
    before = database.read_bytes()
    expected_words = ("damaged", "not an SQLite database", "holds nothing yet", "half made")
    commands = [PREDICT, ["registry", "list"], PROMOTE]
    if damage is overwrite_after_first_page:
        export = ["registry", "export", "1", tmp_path / "out"]
        commands += [["registry", "show"], ["registry", "rollback"], export, ["registry", "import", champion]]
    if damage is not empty:  # a training makes a new store from an empty file
        commands.append(train_command)
    for command in commands:
        assert_refused(runner.run(store_with_challenger, command, pretrained_on=train_command[2]), expected_words)
    assert database.read_bytes() == before
    assert not (tmp_path / "out").exists()
    # The bundle of the champion is usable without the database.
    code, output = runner.run(store_with_challenger, [*PREDICT, "--model", champion])
    assert (code, json_in(output)["predictions"]) == (0, expected_predictions)
    database.rename(store_with_challenger / "damaged.db")
    code, output = runner.run(store_with_challenger, ["registry", "import", champion], PROMOTE)
    assert code == 0, output
    assert_predictions(runner, store_with_challenger, expected_predictions)
