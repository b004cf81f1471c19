"""Lost and changed files, and a database of noise: said plainly, left alone, and the champion goes on."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from contextlib import closing

import pytest

from tests.faults.conftest import PREDICT
from tests.faults.test_disk import predicts, refused, versions
from tests.faults.workers import PROMOTE, json_in
from tests.stores import copy_store

pytestmark = pytest.mark.slow

IN_VAIN = ["registry", "promote", "2"]


@pytest.fixture
def pair(two, tmp_path):
    """A copy of the store with a champion and a challenger."""
    return copy_store(two, tmp_path / "lab")


def bundles_of(lab, version):
    """The folders in which the bundle of a version lies: that of its model, and that of its run."""
    with closing(sqlite3.connect(lab / "mlflow.db")) as database:
        run, model = database.execute(
            "SELECT run_id, model_id FROM model_versions JOIN logged_models ON run_id = source_run_id "
            "WHERE version = ?",
            (version,),
        ).fetchone()
    folders = {path.parent for path in (lab / "mlartifacts").rglob("manifest.json")}
    mine = [folder for folder in folders if run in str(folder) or model in str(folder)]
    assert len(mine) == 2
    return sorted(mine, key=lambda folder: run in str(folder))


def truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path):
    path.write_bytes(b"")


def flipped(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (truncated, "conductivity.npz"),
        (emptied, "model.json"),
        (os.remove, "manifest.json"),
        (flipped, "pellets.csv"),
    ],
)
def test_a_damaged_version_is_refused_and_the_champion_stays(damage, name, shop, pair, as_before):
    damage(bundles_of(pair, 2)[0] / name)
    listed = versions(shop, pair)
    # One changed bit can only be seen by reading everything, which a list does not do.
    assert listed == [("2", damage is flipped, ["challenger"]), ("1", True, ["champion"])]
    words = ("SHA-256", "cannot be used", "missing", "cannot be read", "changed", "not whole", "manifest")
    refused(shop.run(pair, IN_VAIN), words)
    refused(shop.run(pair, [*IN_VAIN, "--force", "--reason", "I insist"]), words)
    refused(shop.run(pair, ["registry", "export", "2", pair / "bundle"]), words)
    refused(shop.run(pair, [*PREDICT, "--model", "models:/nasicon-recipe/2"]), words)
    assert not (pair / "bundle").exists()
    assert versions(shop, pair)[1] == ("1", True, ["champion"])
    predicts(shop, pair, as_before)


def test_vanished_files_of_one_version_and_of_all(shop, pair, train, as_before):
    shutil.rmtree(bundles_of(pair, 2)[0].parents[1])
    assert versions(shop, pair) == [("2", False, ["challenger"]), ("1", True, ["champion"])]
    refused(shop.run(pair, IN_VAIN), ("files are gone", "cannot be used"))
    predicts(shop, pair, as_before)
    shutil.rmtree(pair / "mlartifacts")
    assert [usable for _, usable, _ in versions(shop, pair)] == [False, False]
    refused(shop.run(pair, PREDICT), ("its files are missing", "files are gone"))
    refused(shop.run(pair, IN_VAIN), ("files are gone", "cannot be used"))
    refused(shop.run(pair, ["registry", "promote", "1"]), ("files are gone", "cannot be used"))
    code, text = shop.run(pair, train, PROMOTE, ready=train[2])
    assert code == 0, text  # there is a way back to a good champion
    predicts(shop, pair, as_before)


def noise(path):
    path.write_bytes(random.Random(1).randbytes(path.stat().st_size))  # noqa: S311


def noise_behind_the_header(path):
    path.write_bytes(b"SQLite format 3\0" + random.Random(1).randbytes(path.stat().st_size - 16))  # noqa: S311


def noise_behind_the_first_page(path):
    head = path.read_bytes()[:4096]
    path.write_bytes(head + random.Random(1).randbytes(path.stat().st_size - len(head)))  # noqa: S311


def noise_in_every_second_page(path):
    data = bytearray(path.read_bytes())
    for start in range(2 * 4096, len(data), 2 * 4096):
        data[start : start + 4096] = random.Random(start).randbytes(4096)  # noqa: S311
    path.write_bytes(bytes(data))


def text(path):
    path.write_text("not a database\n" * 100)


DAMAGES = [noise, noise_behind_the_header, noise_behind_the_first_page, noise_in_every_second_page, truncated,
           emptied, text]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_database_of_noise(damage, shop, pair, train, as_before, tmp_path):
    champion = bundles_of(pair, 1)[1]
    database = pair / "mlflow.db"
    damage(database)
    before = database.read_bytes()
    words = ("damaged", "not an SQLite database", "holds nothing yet", "half made")
    commands = [PREDICT, ["registry", "list"], PROMOTE]
    if damage is noise_behind_the_first_page:
        export = ["registry", "export", "1", tmp_path / "out"]
        commands += [["registry", "show"], ["registry", "rollback"], export, ["registry", "import", champion]]
    if damage is not emptied:  # a training makes a store of an empty file
        commands.append(train)
    for command in commands:
        refused(shop.run(pair, command, ready=train[2]), words)
    assert database.read_bytes() == before
    assert not (tmp_path / "out").exists()
    # The bundle of the last good champion is a folder that needs no database.
    code, said = shop.run(pair, [*PREDICT, "--model", champion])
    assert (code, json_in(said)["predictions"]) == (0, as_before)
    database.rename(pair / "noise.db")
    code, said = shop.run(pair, ["registry", "import", champion], PROMOTE)
    assert code == 0, said
    predicts(shop, pair, as_before)
