import sqlite3
from contextlib import closing
from urllib.parse import unquote

import pytest

from nasicon_ml.errors import TrackingError
from nasicon_ml.tracking import store as stores
from nasicon_ml.tracking.store import open_store


@pytest.mark.parametrize("name", ["lab.db", "50 %.db", "a?b.db", "with a space.db"])
def test_sqlite_uri_round_trip(name, tmp_path):
    assert stores.sqlite_path(stores.sqlite_uri(tmp_path / name)) == tmp_path / name
    assert unquote(stores.sqlite_uri(tmp_path / "lab.db")) == f"sqlite:///{tmp_path}/lab.db"


@pytest.mark.slow
@pytest.mark.parametrize("has_empty_file", [True, False])
def test_new_store_is_complete_and_leftovers_of_killed_programs_are_removed(has_empty_file, tmp_path):
    path = tmp_path / "lab.db"
    if has_empty_file:
        path.touch()
    (tmp_path / ".lab.db-left").mkdir()
    (tmp_path / ".lab.db-left" / "lab.db").write_text("half")
    with open_store(f"sqlite:///{path}") as store:
        (experiment,) = store.client.search_experiments()
    assert experiment.artifact_location == (tmp_path / "mlartifacts" / "0").as_uri()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["lab.db", "lab.db.lock"]


@pytest.mark.slow
def test_interrupted_creation_leaves_no_database(tmp_path, monkeypatch):
    from mlflow.store.tracking import sqlalchemy_store

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(sqlalchemy_store.SqlAlchemyStore, "_create_default_experiment", interrupted)
    with pytest.raises(KeyboardInterrupt), open_store(f"sqlite:///{tmp_path}/lab.db"):
        pass
    assert [file.name for file in tmp_path.iterdir()] == ["lab.db.lock"]


def test_incomplete_database_is_refused(tmp_path):
    with closing(sqlite3.connect(tmp_path / "lab.db")) as connection:
        connection.execute("CREATE TABLE experiments (experiment_id INTEGER)")
        connection.commit()
    with pytest.raises(TrackingError, match="half made"), open_store(f"sqlite:///{tmp_path}/lab.db"):
        pass


def test_empty_file_is_refused_if_the_store_must_exist(tmp_path):
    (tmp_path / "lab.db").touch()
    with (
        pytest.raises(TrackingError, match="holds nothing yet"),
        open_store(f"sqlite:///{tmp_path}/lab.db", must_exist=True),
    ):
        pass
    assert (tmp_path / "lab.db").stat().st_size == 0


@pytest.mark.slow
def test_locked_database_raises(store_folder, monkeypatch):
    monkeypatch.setattr(stores, "_DATABASE_TIMEOUT_S", 0.1)
    with closing(sqlite3.connect("mlflow.db", isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(TrackingError, match=r"locked for 0\.1 s; try again"), open_store():
            pass
