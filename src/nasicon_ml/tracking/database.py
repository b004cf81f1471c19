"""The file of an SQLite store: looked at before MLflow opens it, and made whole or not at all."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

from nasicon_ml.errors import TrackingError
from nasicon_ml.tracking.locking import locked
from nasicon_ml.tracking.trouble import meaning

SQLITE = "sqlite:///"
ARTIFACTS = "mlartifacts"

_HEADER = b"SQLite format 3\0"
#: Seconds to wait for a program that holds the database; as long as MLflow waits for each write.
_PATIENCE_S = 20.0


def sqlite_uri(path: Path) -> str:
    """Give the address of an SQLite file."""
    return SQLITE + path.as_posix().replace("%", "%25").replace(
        "?", "%3F"
    )  # SQLAlchemy takes these two as its own


def sqlite_path(uri: str) -> Path | None:
    """Give the file of an SQLite URI as an absolute path; None for any other store."""
    if not uri.startswith(SQLITE) or uri == SQLITE or ":memory:" in uri:
        return None
    return Path(unquote(uri.removeprefix(SQLITE).partition("?")[0])).absolute()


def prepare(path: Path, *, must_exist: bool) -> None:
    """See to it that there is a database to open: MLflow would try a hopeless one for minutes.

    Parameters
    ----------
    path
        The file.
    must_exist
        Refuse a file that is not there, rather than make one; one that cannot be written is good enough.

    Raises
    ------
    TrackingError
        If there is none and none may be made, or it is no database, is damaged or cannot be written.
    """
    try:
        if must_exist and not path.exists():
            raise TrackingError(
                f"there is no store at {path}: run 'nasicon-ml train' here, or name one with --tracking-uri "
                f"or MLFLOW_TRACKING_URI"
            )
        _check_kind(path)
        if not must_exist and path.exists() and not os.access(path, os.W_OK):
            raise TrackingError(f"{path} is read-only, so no run can be recorded in it")
        if _is_made(path):
            return
        if must_exist:
            raise TrackingError(f"{path} holds nothing yet: run 'nasicon-ml train' here, or name another store")
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK):
            raise TrackingError(f"{path.parent} cannot be written, so no store can be made there")
        with locked(path):
            if not _is_made(path):
                _make(path)
    except OSError as error:
        raise TrackingError(f"{path}: the store cannot be opened ({error.strerror})") from error


def _check_kind(path: Path) -> None:
    """Refuse a file that does not begin as a database does."""
    if not path.exists():
        return
    with path.open("rb") as file:
        head = file.read(len(_HEADER))
    if head and head != _HEADER:
        raise TrackingError(f"{path} is not an SQLite database; move it away, or name another store")


def _is_made(path: Path) -> bool:
    """Whether there is a database with MLflow's tables, complete: its first experiment is written last."""
    if not path.exists() or not path.stat().st_size:
        return False
    try:
        with closing(sqlite3.connect(path, timeout=_PATIENCE_S)) as connection:
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            named = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'experiments'").fetchone()
            found = named and connection.execute("SELECT 1 FROM experiments LIMIT 1").fetchone()
    except sqlite3.DatabaseError as error:
        raise TrackingError(_damage(path, error)) from error
    if tables and not found:
        raise TrackingError(
            f"{path} was left half made and holds no run: try again if another program is just making it, else "
            "remove it, or name another store"
        )
    return bool(found)


def _damage(path: Path, error: sqlite3.DatabaseError) -> str:
    """Say what is wrong with a database, and what can be done."""
    if "locked" in str(error):
        return f"another program has held {path} locked for {_PATIENCE_S:g} s; try again when it is done"
    if any(words in str(error) for words in ("unable to open", "readonly", "full", "I/O")):
        return f"{path}: {meaning(str(error)) or error}"
    return (
        f"{path} is damaged ({error}): bring back a copy of it, or move it away; bundles in {ARTIFACTS} beside "
        "it, and exported ones, can be used as folders with --model"
    )


def _make(path: Path) -> None:
    """Make the tables in a draft, and put it into its place when it is complete: no store is left half made."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    prefix = f".{path.name}-"
    for left in path.parent.glob(f"{prefix}*"):  # of programs that were killed; the lock is ours
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=prefix) as folder:
        draft = Path(folder) / path.name
        store = SqlAlchemyStore(sqlite_uri(draft), (path.parent / ARTIFACTS).as_uri())
        store.engine.dispose()
        draft.replace(path)
