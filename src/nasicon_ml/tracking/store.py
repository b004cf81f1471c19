"""Where runs are kept: opening a store, a file or a server.

Without further instruction the store is ``mlflow.db`` in the working directory, with artifacts beside it in
``mlartifacts``: what ``mlflow ui`` opens when it is started there without arguments.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
import socket
import sqlite3
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from nasicon_ml.errors import MissingExtraError, NasiconError, TrackingError
from nasicon_ml.signals import Stop, stoppable

#: What a disk, not a program, is to blame for.
OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
#: Words of a database or of a connection, and what they mean to a person.
_MEANINGS = (
    ("database is locked", "another program has held it locked for 20 s; try again when it is done"),
    ("database or disk is full", "the disk is full"),
    ("disk I/O error", "the disk cannot be written or read (full, a limit on the size of files, or damaged)"),
    ("attempt to write a readonly database", "it is read-only"),
    ("unable to open database file", "it cannot be opened, or its folder cannot be written"),
    (
        r"malformed|file is not a database|database corruption",
        "the database is damaged; bring back a copy of it, or name another store",
    ),
    (r"too many 5\d\d error responses", "the server answers with an error again and again; ask who runs it"),
    (r"Read timed out|timeout exception", "the server does not answer in time; ask who runs it"),
    (
        "Max retries exceeded|Connection refused|Connection aborted|RemoteDisconnected",
        "the server cannot be reached any more; is it still running?",
    ),
    ("not in a valid JSON format|was not valid JSON", "what answers there is not an MLflow server"),
)


def is_server(uri: str) -> bool:
    """Whether a store is asked over HTTP."""
    return uri.startswith(("http://", "https://"))


@contextmanager
def explained(uri: str) -> Iterator[None]:
    """Turn what MLflow, its database and the disk raise into one sentence that names the store.

    Raises
    ------
    TrackingError
        Instead of theirs; any other error passes unchanged.
    """
    try:
        yield
    except NasiconError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and (isinstance(error, shutil.Error) or error.errno in OF_THE_DISK):
            raise TrackingError(f"{uri}: {_of_the_disk(error)}") from error
        for variable in re.findall(r"MLFLOW_[A-Z_]+", str(error)):
            if isinstance(error, ValueError) and variable in os.environ:
                raise _wrong_setting(variable) from error
        if type(error).__module__.partition(".")[0] not in {"mlflow", "sqlalchemy", "sqlite3", "requests"}:
            raise
        raise TrackingError(f"{uri}: {_first_sentence(error)}") from error


def _wrong_setting(variable: str) -> TrackingError:
    """Return the error for a variable of the environment that MLflow cannot read."""
    return TrackingError(
        f"MLflow does not accept the variable {variable}={os.environ[variable]!r}; mend or unset it"
    )


def _of_the_disk(error: OSError) -> str:
    """Return what the system said, and of which file."""
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):
        # Several files of a folder were not copied: (from, to, why) for each.
        _, target, reason = error.args[0][0]
        return f"{re.sub(r'^.Errno [0-9]+. ', '', str(reason))}".partition(":")[0] + f" ({target})"
    place = error.filename2 or error.filename  # of a copy, where to
    return f"{error.strerror or error}" + (f" ({place})" if place else "")


def meaning(message: str) -> str:
    """Return what words of a database or of a connection mean to a person; empty where that is not known."""
    return next((known for words, known in _MEANINGS if re.search(words, message)), "")


def _first_sentence(error: Exception) -> str:
    """Return the part of a message that a person can use: no SQL, no background links, no traces."""
    code = getattr(error, "error_code", "")
    if code in {"UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"}:
        return _who_was_refused()
    if code == "PERMISSION_DENIED":
        return "you have no permission for this; ask whoever runs the server"
    message = str(getattr(error, "message", "") or getattr(error, "orig", "") or error)
    if known := meaning(message):
        return known
    message = re.split(r"\n\[SQL|\n\(Background| \(Background|\nTraceback", message)[0]
    return " ".join(message.split())[:500]


def _who_was_refused() -> str:
    """Return which user a server did not let in; never with what password."""
    from mlflow.utils.credentials import read_mlflow_creds

    user = read_mlflow_creds().username
    if not user:
        return "the server wants a user and a password: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    return (
        f"the server does not know the user {user!r} with this password (MLFLOW_TRACKING_USERNAME and _PASSWORD)"
    )


#: Seconds to wait for another program; what the lock is held for takes seconds at most.
PATIENCE_S = 60.0
#: A file system without locks: SQLite's own order has to do.
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}


def lock_file(database: Path) -> Path:
    """Return the lock of an SQLite store; it stays when nobody holds it, as removing it would be a race."""
    return database.with_name(f"{database.name}.lock")


@contextmanager
def locked(database: Path | None, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Hold the lock of a store; a thread that holds it already goes on at once.

    SQLite orders single writes by itself, and MLflow waits 20 s for its turn. This lock is for what takes several
    writes and must not be mixed with another program's: making a store, naming a dataset, registering a version,
    moving an alias. A server, which has no file, keeps its own order.

    Raises
    ------
    TrackingError
        If somebody else still holds it after that time, or the folder cannot be written.
    """
    if database is None:
        yield
        return
    from filelock import FileLock, Timeout

    path = lock_file(database.absolute())
    # Of the same file in the same thread it is the same lock, and can be taken again. Every user may take it.
    lock = FileLock(path, mode=0o666, is_singleton=True, fallback_to_soft=False)
    try:
        path.parent.stat()  # or the folder would be made
        lock.acquire(timeout=patience_s)
    except Timeout:
        holder = path.read_text("utf-8", "replace").strip() or "it has not said which"
        raise TrackingError(
            f"another program has been changing the store beside {path} for {patience_s:g} s: {holder}; "
            "try again when it is done"
        ) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise TrackingError(f"{path}: the store cannot be changed ({error.strerror})") from error
    try:
        with suppress(OSError):  # the disk is full: it is held all the same
            path.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", "utf-8")
        yield
    finally:
        if lock.is_locked:
            lock.release()


SQLITE = "sqlite:///"
ARTIFACTS = "mlartifacts"

_HEADER = b"SQLite format 3\0"
#: Seconds to wait for a program that holds the database; as long as MLflow waits for each write.
_PATIENCE_S = 20.0


def sqlite_uri(path: Path) -> str:
    """Return the address of an SQLite file."""
    # SQLAlchemy takes these two as its own.
    return SQLITE + path.as_posix().replace("%", "%25").replace("?", "%3F")


def sqlite_path(uri: str) -> Path | None:
    """Return the file of an SQLite URI as an absolute path; None for any other store."""
    if not uri.startswith(SQLITE) or uri == SQLITE or ":memory:" in uri:
        return None
    return Path(unquote(uri.removeprefix(SQLITE).partition("?")[0])).absolute()


def prepare_database(path: Path, *, must_exist: bool) -> None:
    """See to it that there is a database to open: MLflow would try a hopeless one for minutes.

    With `must_exist` none is made, and one that cannot be written is good enough.

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
    """Return what is wrong with a database, and what can be done."""
    if "locked" in str(error):
        return f"another program has held {path} locked for {_PATIENCE_S:g} s; try again when it is done"
    if any(words in str(error) for words in ("unable to open", "readonly", "full", "I/O")):
        return f"{path}: {meaning(str(error)) or error}"
    return (
        f"{path} is damaged ({error}): bring back a copy of it, or move it away; bundles in {ARTIFACTS} beside "
        "it, and exported ones, can be used as folders with --model"
    )


def _make(path: Path) -> None:
    """Create the tables in a draft, and move it into place when it is complete: no store is left half made."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    prefix = f".{path.name}-"
    for left in path.parent.glob(f"{prefix}*"):  # of programs that were killed; the lock is ours
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=prefix) as folder:
        draft = Path(folder) / path.name
        store = SqlAlchemyStore(sqlite_uri(draft), (path.parent / ARTIFACTS).as_uri())
        store.engine.dispose()
        draft.replace(path)


DATABASE = "mlflow.db"
EXPERIMENT = "nasicon-ml"
#: What the pages of MLflow open a new experiment with: runs and models of machine learning, and a description.
_EXPERIMENT_TAGS = {
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.note.content": "Trainings of nasicon-ml: each run scores models of conductivity, relative density and "
    "phase purity on papers they have not seen. Charts show a dozen scores; tables, figures and the model are "
    "among the artifacts of a run.",
}
URI_VARIABLE, REGISTRY_VARIABLE = "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"
EXPERIMENT_VARIABLE = "MLFLOW_EXPERIMENT_NAME"

#: Seconds that a server has for its first answer, before hours of training are begun.
FIRST_ANSWER_S = 10
_LEVEL = "MLFLOW_LOGGING_LEVEL"
#: MLflow's own settings, unless the user has chosen: a server has 30 s for each answer, not 120, and four
#: repetitions wait half a minute in all, not four minutes; lines that merely tell what is going on stay off the
#: terminal, and the addresses of runs off the standard output, which may have to be JSON; a lock file that happens
#: to lie in the working directory is not taken for the model's environment.
_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "4",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    _LEVEL: "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_UV_AUTO_DETECT": "false",
    "MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


@dataclass(frozen=True)
class Store:
    """An opened store."""

    uri: str  # its tracking URI
    client: Any  # the `mlflow.MlflowClient` of it
    stop: Stop = field(default_factory=Stop)  # whether the program was told to stop while the store is open

    @property
    def database(self) -> Path | None:
        """The SQLite file, if the store is one."""
        return sqlite_path(self.uri)

    def alone(self) -> AbstractContextManager[None]:
        """Keep other programs from changing the registry meanwhile; a server keeps its own order."""
        return locked(self.database)

    def experiment_id(self, name: str) -> str:
        """Find an experiment, or make it.

        Raises
        ------
        TrackingError
            If it was deleted, and so can neither be used nor made anew.
        """
        found = self.client.get_experiment_by_name(name) or self._make_experiment(name)
        if found.lifecycle_stage != "active":
            raise TrackingError(
                f"the experiment {name!r} in {self.uri} was deleted: choose another with --experiment, or bring "
                f"it back with 'mlflow experiments restore --experiment-id {found.experiment_id}'"
            )
        if name == EXPERIMENT and not set(_EXPERIMENT_TAGS) & set(found.tags):  # made by an earlier version
            self._describe(str(found.experiment_id))
        return str(found.experiment_id)

    def _describe(self, experiment_id: str) -> None:
        """Describe an experiment; that it stays without harms nobody."""
        from mlflow.exceptions import MlflowException

        with suppress(MlflowException):
            for key, value in _EXPERIMENT_TAGS.items():
                self.client.set_experiment_tag(experiment_id, key, value)

    def _make_experiment(self, name: str) -> Any:
        from mlflow.exceptions import MlflowException

        location = None
        if self.database is not None:
            # Beside the database, so that the two can be found, kept and moved together.
            folder = self.database.parent / ARTIFACTS / re.sub(r"[^\w.-]+", "-", name)
            location = folder.as_uri()
        try:
            self.client.create_experiment(name, artifact_location=location, tags=_EXPERIMENT_TAGS)
        except MlflowException:
            # Somebody else may have made it in the meantime.
            if self.client.get_experiment_by_name(name) is None:
                raise
        return self.client.get_experiment_by_name(name)


def resolve_experiment(name: str | None = None) -> str:
    """Return which experiment is meant: the one given, that of MLFLOW_EXPERIMENT_NAME, or nasicon-ml."""
    return name or os.environ.get(EXPERIMENT_VARIABLE) or EXPERIMENT


def resolve_uri(tracking_uri: str | None = None) -> str:
    """Return which store is meant: the one given, that of MLFLOW_TRACKING_URI, or the file in this directory."""
    return tracking_uri or os.environ.get(URI_VARIABLE) or sqlite_uri(Path.cwd() / DATABASE)


def load_mlflow() -> Any:
    """Import MLflow, with telemetry off and without its chatter.

    Raises
    ------
    MissingExtraError
        If MLflow is not installed.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    if os.environ[_LEVEL].upper() not in logging.getLevelNamesMapping():
        raise _wrong_setting(_LEVEL)
    try:
        import mlflow
        from mlflow import telemetry
    except ImportError:
        raise MissingExtraError("mlflow", "tracking", "recording runs and loading registered models") from None
    if telemetry.get_telemetry_client() is not None:  # MLflow was imported before the variable was set
        telemetry.set_telemetry_client()
    return mlflow


@contextmanager
def opened(tracking_uri: str | None = None, *, must_exist: bool = False) -> Iterator[Store]:
    """Open a store, and leave MLflow's global settings afterwards as they were.

    While it is open, SIGTERM unwinds the program as Ctrl-C does.

    Parameters
    ----------
    tracking_uri
        As for `resolve_uri`.
    must_exist
        Refuse an SQLite file that is not there, rather than make an empty one.

    Raises
    ------
    TrackingError
        If the store cannot be opened, the server does not answer, or it refuses what is asked of it inside
        the ``with`` block.
    MissingExtraError
        If MLflow is not installed.
    """
    uri = resolve_uri(tracking_uri)
    _refuse_password(uri)
    _refuse_two_stores(uri)
    mlflow = load_mlflow()
    # MLflow says what is in effect; what was set in the program shows without the variable.
    before_env = os.environ.pop(URI_VARIABLE, None)
    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    if before_env is not None:
        os.environ[URI_VARIABLE] = before_env
    with stoppable() as stop, quiet(), explained(uri):
        path = sqlite_path(uri)
        if path is not None:
            prepare_database(path, must_exist=must_exist)
        _check_server(uri)
        mlflow.set_tracking_uri(uri)
        try:
            yield Store(uri, mlflow.MlflowClient(uri, uri), stop)
        finally:
            mlflow.set_tracking_uri(before)
            if before_env is not None:
                os.environ[URI_VARIABLE] = before_env


@contextmanager
def hurried(seconds: int) -> Iterator[None]:
    """Wait so long for each answer of a server, and ask nothing twice."""
    settings = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": str(seconds)}
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _refuse_two_stores(uri: str) -> None:
    """Refuse a registry elsewhere, which MLflow would take without a word, and a store that keeps nothing."""
    registry = os.environ.get(REGISTRY_VARIABLE)
    if registry and registry != uri:
        raise TrackingError(
            f"{REGISTRY_VARIABLE} names {registry}, and the runs are in {uri}: runs and versions are kept in one "
            f"store here; unset {REGISTRY_VARIABLE}"
        )
    if re.search(r"\.(?:db|sqlite3?)$", uri) and ":/" not in uri:
        raise TrackingError(f"{uri} is a file, and no address of a store: write {SQLITE}{uri}")
    if uri.startswith("sqlite") and sqlite_path(uri) is None:
        raise TrackingError(f"{uri} names no file, so nothing would be kept; write {SQLITE}mlflow.db")


def _refuse_password(uri: str) -> None:
    """Refuse an address with a password in it: it would get into messages, JSON and records of runs."""
    with suppress(ValueError):  # no address at all; MLflow will say so
        parts = urlsplit(uri)
        if parts.password is not None:
            raise TrackingError(
                f"the address of the store at {parts.hostname} holds a password, which would get into messages "
                "and records: use MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD (a database: PGPASSWORD)"
            )


def _check_server(uri: str) -> None:
    """Ask a server something small, once and without patience: is it there, is it MLflow, does it work."""
    if not is_server(uri):
        return
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    try:
        answer = http_request(
            get_default_host_creds(uri), "/api/2.0/mlflow/experiments/search", "GET", max_retries=0,
            timeout=FIRST_ANSWER_S, raise_on_status=False, params={"max_results": 1},
        )  # fmt: skip
    except Exception as error:
        if "timed out" in str(error) or "timeout" in str(error):
            raise TrackingError(f"the MLflow server at {uri} did not answer within {FIRST_ANSWER_S} s") from error
        raise TrackingError(
            f"the MLflow server at {uri} cannot be reached: is it running, and is the address right?"
        ) from error
    if answer.status_code >= 500:
        raise TrackingError(f"the MLflow server at {uri} answers with error {answer.status_code}; ask who runs it")
    if answer.status_code in {401, 403, 429}:
        return  # MLflow's, or of a gate before it; what is asked of it next will say what is missing
    try:
        is_mlflow = answer.status_code == 200 and isinstance(answer.json(), dict)
    except ValueError:
        is_mlflow = False
    if not is_mlflow:
        raise TrackingError(f"what answers at {uri} is not an MLflow server: is the address right?")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep MLflow's notes and Python warnings off the terminal; its own warnings and errors stay."""
    least = {
        "mlflow": logging.WARNING,
        "alembic": logging.WARNING,
        # It warns where pip is not installed, as in environments made by uv; the requirements logged with a model
        # are our own and need no pip.
        "mlflow.utils.environment": logging.ERROR,
        # What goes wrong in a database or on the way to a server is said once, by `explained`.
        "mlflow.store.db.utils": logging.CRITICAL + 1,
        "urllib3.connectionpool": logging.ERROR,
        "sqlalchemy.pool": logging.CRITICAL + 1,
    }
    loggers = [logging.getLogger(name) for name in least]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        # Warnings about how MLflow's own parts use each other; nothing a user of this package could act on.
        warnings.filterwarnings("ignore", module=r"mlflow\.|alembic\.|sqlalchemy\.")
        for logger in loggers:
            logger.setLevel(max(logger.level, least[logger.name]))
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
