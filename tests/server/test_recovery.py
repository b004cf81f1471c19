"""Backup while the server runs, loss of everything, restore: the champion predicts as before."""

import shutil
import subprocess
from types import SimpleNamespace

import pytest

from tests.server.site import DATABASE, DEPLOY
from tests.server.test_life import predicted

pytestmark = pytest.mark.slow


def script(site, name, *arguments, environment=None, **changed):
    command = [DEPLOY / f"{name}.sh", *map(str, arguments)]
    settings = (environment or site.tools()) | changed
    return subprocess.run(command, cwd=site.folder, env=settings, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def backup(site, champion, tmp_path_factory):
    folder = tmp_path_factory.mktemp("backups") / "today"
    done = script(site, "backup", folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"backed up to {folder}: ")
    return folder


@pytest.fixture
def elsewhere(site, tmp_path):
    """An empty database and a folder that is not there, to restore into."""
    name = "elsewhere"
    site.cluster.sql(f"create database {name}")
    yield SimpleNamespace(name=name, artifacts=tmp_path / "artifacts")
    site.cluster.sql(f"drop database {name} with (force)")


def restored(site, backup, elsewhere, **changed):
    return script(site, "restore", backup, environment=site.tools(elsewhere.name, elsewhere.artifacts), **changed)


def is_empty(site, elsewhere):
    tables = site.cluster.sql("select count(*) from pg_tables where schemaname = 'public'", elsewhere.name)
    return tables == "0" and not elsewhere.artifacts.exists()


def test_a_backup_holds_both_with_their_sums_and_for_its_owner_alone(backup):
    assert {path.name for path in backup.iterdir()} == {"SHA256SUMS", "artifacts.tar", "database.dump"}
    assert backup.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in backup.iterdir()} == {0o600}


def test_after_the_loss_of_everything_the_champion_predicts_as_before(site, champion, backup):
    uri = "models:/nasicon-recipe@champion"
    before = predicted(site, uri), site.model(), site.version(champion), site.access("list").stdout
    site.stop()
    site.cluster.sql(f"drop database {DATABASE}")
    shutil.rmtree(site.artifacts)
    site.cluster.sql(f"create database {DATABASE}")
    done = script(site, "restore", backup)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", f"restored from {backup}\n")
    site.start()
    assert (predicted(site, uri), site.model(), site.version(champion), site.access("list").stdout) == before
    listed = site.nasicon("registry", "list", "--json", user="reader")
    assert listed.returncode == 0
    assert '"usable": false' not in listed.stdout


def test_a_backup_is_never_overwritten(site, backup):
    before = {path: path.read_bytes() for path in backup.iterdir()}
    done = script(site, "backup", backup)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is there already" in done.stderr
    assert {path: path.read_bytes() for path in backup.iterdir()} == before


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"PGPASSWORD": "wrong"}, "the database could not be dumped; nothing was kept"),
        ({"MLFLOW_ARTIFACTS_DESTINATION": "/nowhere"}, "there is no such folder of artifacts"),
        ({"MLFLOW_ARTIFACTS_DESTINATION": ""}, "MLFLOW_ARTIFACTS_DESTINATION is not set"),
        ({"MLFLOW_BACKEND_STORE_URI": "sqlite:///mlflow.db"}, "has to be postgresql://"),
        ({"MLFLOW_BACKEND_STORE_URI": "postgresql://a:S3cret@127.0.0.1/b"}, "holds a password"),
    ],
)
def test_a_backup_that_fails_leaves_nothing(site, champion, tmp_path, changed, message):
    done = script(site, "backup", tmp_path / "new", **changed)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "S3cret" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["artifacts.tar", "database.dump"])
def test_a_damaged_backup_is_not_restored(site, backup, elsewhere, tmp_path, name):
    damaged = shutil.copytree(backup, tmp_path / "damaged")
    content = bytearray((damaged / name).read_bytes())
    content[len(content) // 2] ^= 1
    (damaged / name).write_bytes(content)
    done = restored(site, damaged, elsewhere)
    assert (done.returncode, done.stdout.replace(f"{name}: FAILED\n", "")) == (2, "")
    assert "is damaged" in done.stderr
    assert is_empty(site, elsewhere)


@pytest.mark.parametrize("left", ["artifacts.tar", "database.dump", "SHA256SUMS"])
def test_half_a_backup_is_not_restored(site, backup, elsewhere, tmp_path, left):
    half = shutil.copytree(backup, tmp_path / "half")
    (half / left).unlink()
    done = restored(site, half, elsewhere)
    assert done.returncode == 2
    assert "is damaged" in done.stderr or "is no backup" in done.stderr
    assert is_empty(site, elsewhere)


def test_a_database_with_anything_in_it_is_not_overwritten(site, backup, elsewhere):
    site.cluster.sql("create table mine (a int)", elsewhere.name)
    done = restored(site, backup, elsewhere)
    assert (done.returncode, done.stdout) == (2, "")
    assert "the database is not empty" in done.stderr
    assert site.cluster.sql("select count(*) from mine", elsewhere.name) == "0"
    assert not elsewhere.artifacts.exists()


def test_a_folder_with_anything_in_it_is_not_overwritten(site, backup, elsewhere):
    elsewhere.artifacts.mkdir()
    (elsewhere.artifacts / ".mine").write_text("mine")
    done = restored(site, backup, elsewhere)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not empty" in done.stderr
    assert [path.name for path in elsewhere.artifacts.iterdir()] == [".mine"]
    assert site.cluster.sql("select count(*) from pg_tables where schemaname = 'public'", elsewhere.name) == "0"


@pytest.mark.parametrize("name", ["artifacts.tar", "database.dump"])
def test_a_restore_that_fails_half_way_leaves_nothing(site, backup, elsewhere, tmp_path, name):
    """A backup that was cut short before its sums were taken: they agree, and unpacking fails."""
    short = shutil.copytree(backup, tmp_path / "short")
    content = (short / name).read_bytes()
    (short / name).write_bytes(content[: len(content) * 9 // 10])
    sums = subprocess.run(
        ["sha256sum", "artifacts.tar", "database.dump"], cwd=short, capture_output=True, text=True, check=True
    ).stdout
    (short / "SHA256SUMS").write_text(sums)
    done = restored(site, short, elsewhere)
    assert (done.returncode, done.stdout) == (2, "")
    assert "nothing was restored" in done.stderr
    assert is_empty(site, elsewhere)
