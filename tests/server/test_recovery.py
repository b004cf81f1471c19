"""Backup of the running server, loss of all data, and restore, after which the champion predicts as before."""

import shutil
import subprocess
from types import SimpleNamespace

import pytest

from tests.server.site import DATABASE, DEPLOY
from tests.server.test_life import predictions

pytestmark = pytest.mark.slow


def run_script(server, name, *arguments, environment=None, **overrides):
    command = [DEPLOY / f"{name}.sh", *map(str, arguments)]
    settings = (environment or server.script_environment()) | overrides
    return subprocess.run(command, cwd=server.folder, env=settings, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def backup(server, champion, tmp_path_factory):
    folder = tmp_path_factory.mktemp("backups") / "today"
    completed = run_script(server, "backup", folder)
    assert (completed.returncode, completed.stderr) == (0, "")
    assert completed.stdout.startswith(f"backed up to {folder}: ")
    return folder


@pytest.fixture
def target(server, tmp_path):
    """An empty database and the path of a missing folder, to restore into."""
    name = "target"
    server.cluster.sql(f"create database {name}")
    yield SimpleNamespace(name=name, artifacts=tmp_path / "artifacts")
    server.cluster.sql(f"drop database {name} with (force)")


def restore(server, backup, target, **overrides):
    return run_script(
        server,
        "restore",
        backup,
        environment=server.script_environment(target.name, target.artifacts),
        **overrides,
    )


def is_empty(server, target):
    tables = server.cluster.sql("select count(*) from pg_tables where schemaname = 'public'", target.name)
    return tables == "0" and not target.artifacts.exists()


def test_backup_has_database_artifacts_and_checksums_only_for_its_owner(backup):
    assert {path.name for path in backup.iterdir()} == {"SHA256SUMS", "artifacts.tar", "database.dump"}
    assert backup.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in backup.iterdir()} == {0o600}


def test_restored_server_predicts_as_before(server, champion, backup):
    uri = "models:/nasicon-recipe@champion"
    before = (
        predictions(server, uri),
        server.registered_model(),
        server.model_version(champion),
        server.access("list").stdout,
    )
    server.stop()
    server.cluster.sql(f"drop database {DATABASE}")
    shutil.rmtree(server.artifacts)
    server.cluster.sql(f"create database {DATABASE}")
    completed = run_script(server, "restore", backup)
    assert (completed.returncode, completed.stderr, completed.stdout) == (0, "", f"restored from {backup}\n")
    server.start()
    assert (
        predictions(server, uri),
        server.registered_model(),
        server.model_version(champion),
        server.access("list").stdout,
    ) == before
    listed = server.nasicon_ml("registry", "list", "--json", user="reader")
    assert listed.returncode == 0
    assert '"usable": false' not in listed.stdout


def test_existing_backup_is_not_overwritten(server, backup):
    before = {path: path.read_bytes() for path in backup.iterdir()}
    completed = run_script(server, "backup", backup)
    assert (completed.returncode, completed.stdout) == (2, "")
    assert "is there already" in completed.stderr
    assert {path: path.read_bytes() for path in backup.iterdir()} == before


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"PGPASSWORD": "wrong"}, "the database could not be dumped; nothing was kept"),
        ({"MLFLOW_ARTIFACTS_DESTINATION": "/nowhere"}, "there is no such folder of artifacts"),
        ({"MLFLOW_ARTIFACTS_DESTINATION": ""}, "MLFLOW_ARTIFACTS_DESTINATION is not set"),
        ({"MLFLOW_BACKEND_STORE_URI": "sqlite:///mlflow.db"}, "has to be postgresql://"),
        ({"MLFLOW_BACKEND_STORE_URI": "postgresql://a:S3cret@127.0.0.1/b"}, "holds a password"),
    ],
)
def test_failed_backup_leaves_no_files(server, champion, tmp_path, overrides, message):
    completed = run_script(server, "backup", tmp_path / "new", **overrides)
    assert (completed.returncode, completed.stdout) == (2, "")
    assert message in completed.stderr
    assert "S3cret" not in completed.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["artifacts.tar", "database.dump"])
def test_damaged_backup_is_not_restored(server, backup, target, tmp_path, name):
    damaged = shutil.copytree(backup, tmp_path / "damaged")
    content = bytearray((damaged / name).read_bytes())
    content[len(content) // 2] ^= 1
    (damaged / name).write_bytes(content)
    completed = restore(server, damaged, target)
    assert (completed.returncode, completed.stdout.replace(f"{name}: FAILED\n", "")) == (2, "")
    assert "is damaged" in completed.stderr
    assert is_empty(server, target)


@pytest.mark.parametrize("missing", ["artifacts.tar", "database.dump", "SHA256SUMS"])
def test_incomplete_backup_is_not_restored(server, backup, target, tmp_path, missing):
    incomplete = shutil.copytree(backup, tmp_path / "incomplete")
    (incomplete / missing).unlink()
    completed = restore(server, incomplete, target)
    assert completed.returncode == 2
    assert "is damaged" in completed.stderr or "is no backup" in completed.stderr
    assert is_empty(server, target)


def test_restore_refuses_a_database_that_is_not_empty(server, backup, target):
    server.cluster.sql("create table mine (a int)", target.name)
    completed = restore(server, backup, target)
    assert (completed.returncode, completed.stdout) == (2, "")
    assert "the database is not empty" in completed.stderr
    assert server.cluster.sql("select count(*) from mine", target.name) == "0"
    assert not target.artifacts.exists()


def test_restore_refuses_an_artifact_folder_that_is_not_empty(server, backup, target):
    target.artifacts.mkdir()
    (target.artifacts / ".mine").write_text("mine")
    completed = restore(server, backup, target)
    assert (completed.returncode, completed.stdout) == (2, "")
    assert "is not empty" in completed.stderr
    assert [path.name for path in target.artifacts.iterdir()] == [".mine"]
    assert server.cluster.sql("select count(*) from pg_tables where schemaname = 'public'", target.name) == "0"


@pytest.mark.parametrize("name", ["artifacts.tar", "database.dump"])
def test_failed_restore_leaves_no_data(server, backup, target, tmp_path, name):
    """A file is truncated but its checksum is correct, so that unpacking fails."""
    truncated = shutil.copytree(backup, tmp_path / "truncated")
    content = (truncated / name).read_bytes()
    (truncated / name).write_bytes(content[: len(content) * 9 // 10])
    checksums = subprocess.run(
        ["sha256sum", "artifacts.tar", "database.dump"], cwd=truncated, capture_output=True, text=True, check=True
    ).stdout
    (truncated / "SHA256SUMS").write_text(checksums)
    completed = restore(server, truncated, target)
    assert (completed.returncode, completed.stdout) == (2, "")
    assert "nothing was restored" in completed.stderr
    assert is_empty(server, target)
