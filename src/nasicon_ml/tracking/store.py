"""Open a tracking store, which is an SQLite file or an MLflow server.

By default the store is ``mlflow.db`` in the working directory, with its artifacts in ``mlartifacts`` next to it.
``mlflow ui`` opens the same store when it is started there without arguments.
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
from nasicon_ml.signals import StopState, stoppable

#: Error numbers that the disk causes, not the program.
DISK_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
#: Patterns of messages of a database or a connection, and explanations for the user.
_EXPLANATIONS = (
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
    """Return whether a store is a server."""
    return uri.startswith(("http://", "https://"))


@contextmanager
def translate_errors(uri: str) -> Iterator[None]:
    """Replace errors of MLflow, its database and the disk by one sentence that names the store.

    Raises
    ------
    TrackingError
        In place of these errors; all other errors are raised unchanged.
    """
    try:
        yield
    except NasiconError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and (isinstance(error, shutil.Error) or error.errno in DISK_ERRNOS):
            raise TrackingError(f"{uri}: {_disk_error_message(error)}") from error
        for variable in re.findall(r"MLFLOW_[A-Z_]+", str(error)):
            if isinstance(error, ValueError) and variable in os.environ:
                raise _setting_error(variable) from error
        if type(error).__module__.partition(".")[0] not in {"mlflow", "sqlalchemy", "sqlite3", "requests"}:
            raise
        raise TrackingError(f"{uri}: {_short_message(error)}") from error


def _setting_error(variable: str) -> TrackingError:
    """Return the error for an environment variable with a value that MLflow does not accept."""
    return TrackingError(
        f"MLflow does not accept the variable {variable}={os.environ[variable]!r}; mend or unset it"
    )


def _disk_error_message(error: OSError) -> str:
    """Return the system's message and the file it refers to."""
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):
        # shutil lists (source, target, reason) of each file that was not copied.
        _, target, reason = error.args[0][0]
        return re.sub(r"^.Errno [0-9]+. ", "", str(reason)).partition(":")[0] + f" ({target})"
    path = error.filename2 or error.filename  # the target of a copy is filename2
    return f"{error.strerror or error}" + (f" ({path})" if path else "")


def explain_message(message: str) -> str:
    """Return the explanation of a message of a database or a connection; empty if there is none."""
    return next((explanation for pattern, explanation in _EXPLANATIONS if re.search(pattern, message)), "")


def _short_message(error: Exception) -> str:
    """Return the part of an error's message that helps the user, without SQL, links and stack traces."""
    code = getattr(error, "error_code", "")
    if code in {"UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"}:
        return _login_error_message()
    if code == "PERMISSION_DENIED":
        return "you have no permission for this; ask whoever runs the server"
    message = str(getattr(error, "message", "") or getattr(error, "orig", "") or error)
    if explanation := explain_message(message):
        return explanation
    message = re.split(r"\n\[SQL|\n\(Background| \(Background|\nTraceback", message)[0]
    return " ".join(message.split())[:500]


def _login_error_message() -> str:
    """Return which user a server refused, without the password."""
    from mlflow.utils.credentials import read_mlflow_creds

    user = read_mlflow_creds().username
    if not user:
        return "the server wants a user and a password: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    return (
        f"the server does not know the user {user!r} with this password (MLFLOW_TRACKING_USERNAME and _PASSWORD)"
    )


#: Timeout of the lock, which other programs hold for seconds at most.
LOCK_TIMEOUT_S = 60.0
#: Errors of a file system that does not support locks; SQLite's own locking then has to suffice.
_LOCKING_UNSUPPORTED = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}


def lock_file(database: Path) -> Path:
    """Return the lock file of an SQLite store. It is never removed, since that would be a race condition."""
    return database.with_name(f"{database.name}.lock")


@contextmanager
def store_lock(database: Path | None, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
    """Hold the lock of a store; a thread that holds it already may enter again.

    SQLite serializes single writes. This lock protects operations of several writes from those of other programs:
    creating a store, logging a dataset, registering a version, moving an alias. A server (`database` is None) is
    not locked.

    Raises
    ------
    TrackingError
        If another program still holds the lock after `timeout_s`, or the folder cannot be written.
    """
    if database is None:
        yield
        return
    from filelock import FileLock, Timeout

    path = lock_file(database.absolute())
    # As a singleton the lock can be taken again in the same thread; the mode lets every user take it.
    lock = FileLock(path, mode=0o666, is_singleton=True, fallback_to_soft=False)
    try:
        path.parent.stat()  # FileLock would create a missing folder
        lock.acquire(timeout=timeout_s)
    except Timeout:
        holder = path.read_text("utf-8", "replace").strip() or "it has not said which"
        raise TrackingError(
            f"another program has been changing the store beside {path} for {timeout_s:g} s: {holder}; "
            "try again when it is done"
        ) from None
    except OSError as error:
        if error.errno not in _LOCKING_UNSUPPORTED:
            raise TrackingError(f"{path}: the store cannot be changed ({error.strerror})") from error
    try:
        with suppress(OSError):  # on a full disk the lock is held without the name of the process
            path.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", "utf-8")
        yield
    finally:
        if lock.is_locked:
            lock.release()


SQLITE = "sqlite:///"
ARTIFACTS = "mlartifacts"

_HEADER = b"SQLite format 3\0"
#: Timeout for a locked database, the same as MLflow's for each write.
_DATABASE_TIMEOUT_S = 20.0


def sqlite_uri(path: Path) -> str:
    """Return the SQLAlchemy URI of an SQLite file, in which two characters have a special meaning."""
    return SQLITE + path.as_posix().replace("%", "%25").replace("?", "%3F")


def sqlite_path(uri: str) -> Path | None:
    """Return the file of an SQLite URI as an absolute path; None for any other store."""
    if not uri.startswith(SQLITE) or uri == SQLITE or ":memory:" in uri:
        return None
    return Path(unquote(uri.removeprefix(SQLITE).partition("?")[0])).absolute()


def prepare_database(path: Path, *, must_exist: bool) -> None:
    """Check a database and create it if it is missing, since MLflow retries an unusable one for minutes.

    With `must_exist` no database is created, and a read-only one is accepted.

    Raises
    ------
    TrackingError
        If the file is missing and may not be created, is not a database, is damaged or cannot be written.
    """
    try:
        if must_exist and not path.exists():
            raise TrackingError(
                f"there is no store at {path}: run 'nasicon-ml train' here, or name one with --tracking-uri "
                f"or MLFLOW_TRACKING_URI"
            )
        _check_file_header(path)
        if not must_exist and path.exists() and not os.access(path, os.W_OK):
            raise TrackingError(f"{path} is read-only, so no run can be recorded in it")
        if _is_complete(path):
            return
        if must_exist:
            raise TrackingError(f"{path} holds nothing yet: run 'nasicon-ml train' here, or name another store")
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK):
            raise TrackingError(f"{path.parent} cannot be written, so no store can be made there")
        with store_lock(path):
            if not _is_complete(path):
                _create_database(path)
    except OSError as error:
        raise TrackingError(f"{path}: the store cannot be opened ({error.strerror})") from error


def _check_file_header(path: Path) -> None:
    """Refuse a file that does not start with the header of an SQLite database."""
    if not path.exists():
        return
    with path.open("rb") as file:
        head = file.read(len(_HEADER))
    if head and head != _HEADER:
        raise TrackingError(f"{path} is not an SQLite database; move it away, or name another store")


def _is_complete(path: Path) -> bool:
    """Return whether a database has all of MLflow's tables; its first experiment is written last."""
    if not path.exists() or not path.stat().st_size:
        return False
    try:
        with closing(sqlite3.connect(path, timeout=_DATABASE_TIMEOUT_S)) as connection:
            n_tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            has_table = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'experiments'").fetchone()
            has_experiment = has_table and connection.execute("SELECT 1 FROM experiments LIMIT 1").fetchone()
    except sqlite3.DatabaseError as error:
        raise TrackingError(_database_error_message(path, error)) from error
    if n_tables and not has_experiment:
        raise TrackingError(
            f"{path} was left half made and holds no run: try again if another program is just making it, else "
            "remove it, or name another store"
        )
    return bool(has_experiment)


def _database_error_message(path: Path, error: sqlite3.DatabaseError) -> str:
    """Return what is wrong with a database and what the user can do."""
    if "locked" in str(error):
        return f"another program has held {path} locked for {_DATABASE_TIMEOUT_S:g} s; try again when it is done"
    if any(phrase in str(error) for phrase in ("unable to open", "readonly", "full", "I/O")):
        return f"{path}: {explain_message(str(error)) or error}"
    return (
        f"{path} is damaged ({error}): bring back a copy of it, or move it away; bundles in {ARTIFACTS} beside "
        "it, and exported ones, can be used as folders with --model"
    )


def _create_database(path: Path) -> None:
    """Create a database with MLflow's tables in a temporary folder, and move it into place when complete."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    prefix = f".{path.name}-"
    for leftover in path.parent.glob(f"{prefix}*"):  # from killed programs, since this one holds the lock
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=prefix) as folder:
        database = Path(folder) / path.name
        store = SqlAlchemyStore(sqlite_uri(database), (path.parent / ARTIFACTS).as_uri())
        store.engine.dispose()
        database.replace(path)


DATABASE = "mlflow.db"
EXPERIMENT = "nasicon-ml"
#: Tags of a new experiment: the view that MLflow's page opens it in, and a description.
_EXPERIMENT_TAGS = {
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.note.content": "Trainings of nasicon-ml: each run scores models of conductivity, relative density and "
    "phase purity on papers they have not seen. Charts show a dozen scores; tables, figures and the model are "
    "among the artifacts of a run.",
}
URI_VARIABLE, REGISTRY_VARIABLE = "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"
EXPERIMENT_VARIABLE = "MLFLOW_EXPERIMENT_NAME"

#: Timeout of the first request to a server in s, before hours of training are started.
FIRST_RESPONSE_TIMEOUT_S = 10
_LOG_LEVEL_VARIABLE = "MLFLOW_LOGGING_LEVEL"
#: Settings of MLflow that the user has not set: a request times out after 30 s instead of 120 s, and four retries
#: take half a minute instead of four minutes; informational messages stay off the terminal, and the addresses of
#: runs off the standard output, which may have to be JSON; a lock file in the working directory is not taken for
#: the model's environment.
_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "4",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    _LOG_LEVEL_VARIABLE: "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_UV_AUTO_DETECT": "false",
    "MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


@dataclass(frozen=True)
class Store:
    """An opened store."""

    uri: str  # tracking URI
    client: Any  # mlflow.MlflowClient
    #: Whether the program was told to stop while the store is open.
    stop: StopState = field(default_factory=StopState)

    @property
    def database(self) -> Path | None:
        """The SQLite file; None for a server."""
        return sqlite_path(self.uri)

    def exclusive(self) -> AbstractContextManager[None]:
        """Return a context that keeps other programs from changing the registry; on a server it does nothing."""
        return store_lock(self.database)

    def experiment_id(self, name: str) -> str:
        """Return the id of an experiment, which is created if missing.

        Raises
        ------
        TrackingError
            If the experiment was deleted, so that it can neither be used nor created.
        """
        experiment = self.client.get_experiment_by_name(name) or self._create_experiment(name)
        if experiment.lifecycle_stage != "active":
            raise TrackingError(
                f"the experiment {name!r} in {self.uri} was deleted: choose another with --experiment, or bring "
                f"it back with 'mlflow experiments restore --experiment-id {experiment.experiment_id}'"
            )
        if name == EXPERIMENT and not set(_EXPERIMENT_TAGS) & set(experiment.tags):  # from an earlier version
            self._set_experiment_tags(str(experiment.experiment_id))
        return str(experiment.experiment_id)

    def _set_experiment_tags(self, experiment_id: str) -> None:
        from mlflow.exceptions import MlflowException

        with suppress(MlflowException):  # an experiment without description can be used
            for key, value in _EXPERIMENT_TAGS.items():
                self.client.set_experiment_tag(experiment_id, key, value)

    def _create_experiment(self, name: str) -> Any:
        from mlflow.exceptions import MlflowException

        location = None
        if self.database is not None:
            # Next to the database, so that both can be moved and backed up together.
            folder = self.database.parent / ARTIFACTS / re.sub(r"[^\w.-]+", "-", name)
            location = folder.as_uri()
        try:
            self.client.create_experiment(name, artifact_location=location, tags=_EXPERIMENT_TAGS)
        except MlflowException:
            # Another program may have created it in the meantime.
            if self.client.get_experiment_by_name(name) is None:
                raise
        return self.client.get_experiment_by_name(name)


def resolve_experiment(name: str | None = None) -> str:
    """Return the given experiment, else that of MLFLOW_EXPERIMENT_NAME, else nasicon-ml."""
    return name or os.environ.get(EXPERIMENT_VARIABLE) or EXPERIMENT


def resolve_uri(tracking_uri: str | None = None) -> str:
    """Return the given URI, else that of MLFLOW_TRACKING_URI, else that of the file in the working directory."""
    return tracking_uri or os.environ.get(URI_VARIABLE) or sqlite_uri(Path.cwd() / DATABASE)


def load_mlflow() -> Any:
    """Import MLflow without telemetry and informational messages.

    Raises
    ------
    MissingExtraError
        If MLflow is not installed.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    if os.environ[_LOG_LEVEL_VARIABLE].upper() not in logging.getLevelNamesMapping():
        raise _setting_error(_LOG_LEVEL_VARIABLE)
    try:
        import mlflow
        from mlflow import telemetry
    except ImportError:
        raise MissingExtraError("mlflow", "tracking", "recording runs and loading registered models") from None
    if telemetry.get_telemetry_client() is not None:  # MLflow had been imported before the variable was set
        telemetry.set_telemetry_client()
    return mlflow


@contextmanager
def open_store(tracking_uri: str | None = None, *, must_exist: bool = False) -> Iterator[Store]:
    """Open a store, and restore MLflow's global settings afterwards.

    While the store is open, SIGTERM raises an exception as Ctrl-C does.

    Parameters
    ----------
    tracking_uri
        As for `resolve_uri`.
    must_exist
        Whether to refuse a missing SQLite file instead of creating an empty store.

    Raises
    ------
    TrackingError
        If the store cannot be opened, the server does not answer, or an operation inside the ``with`` block fails.
    MissingExtraError
        If MLflow is not installed.
    """
    uri = resolve_uri(tracking_uri)
    _refuse_password(uri)
    _refuse_unusable_uri(uri)
    mlflow = load_mlflow()
    # Without the variable, MLflow returns the URI that was set in the program.
    previous_variable = os.environ.pop(URI_VARIABLE, None)
    previous_uri = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    if previous_variable is not None:
        os.environ[URI_VARIABLE] = previous_variable
    with stoppable() as stop, quiet_logging(), translate_errors(uri):
        path = sqlite_path(uri)
        if path is not None:
            prepare_database(path, must_exist=must_exist)
        _check_server(uri)
        mlflow.set_tracking_uri(uri)
        try:
            yield Store(uri, mlflow.MlflowClient(uri, uri), stop)
        finally:
            mlflow.set_tracking_uri(previous_uri)
            if previous_variable is not None:
                os.environ[URI_VARIABLE] = previous_variable


@contextmanager
def short_timeouts(seconds: int) -> Iterator[None]:
    """Set the timeout of requests to a server, without retries."""
    settings = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": str(seconds)}
    previous = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in previous.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _refuse_unusable_uri(uri: str) -> None:
    """Refuse a registry in another store, a file name instead of a URI, and an SQLite store in memory."""
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
    """Refuse a URI with a password, which would get into messages, JSON and records of runs."""
    with suppress(ValueError):  # MLflow reports an invalid URI
        parts = urlsplit(uri)
        if parts.password is not None:
            raise TrackingError(
                f"the address of the store at {parts.hostname} holds a password, which would get into messages "
                "and records: use MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD (a database: PGPASSWORD)"
            )


def _check_server(uri: str) -> None:
    """Check with one short request that a server can be reached, is MLflow and works."""
    if not is_server(uri):
        return
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    try:
        answer = http_request(
            get_default_host_creds(uri), "/api/2.0/mlflow/experiments/search", "GET", max_retries=0,
            timeout=FIRST_RESPONSE_TIMEOUT_S, raise_on_status=False, params={"max_results": 1},
        )  # fmt: skip
    except Exception as error:
        if "timed out" in str(error) or "timeout" in str(error):
            raise TrackingError(
                f"the MLflow server at {uri} did not answer within {FIRST_RESPONSE_TIMEOUT_S} s"
            ) from error
        raise TrackingError(
            f"the MLflow server at {uri} cannot be reached: is it running, and is the address right?"
        ) from error
    if answer.status_code >= 500:
        raise TrackingError(f"the MLflow server at {uri} answers with error {answer.status_code}; ask who runs it")
    if answer.status_code in {401, 403, 429}:
        return  # refused by MLflow or a proxy; the next request will report why
    try:
        is_mlflow = answer.status_code == 200 and isinstance(answer.json(), dict)
    except ValueError:
        is_mlflow = False
    if not is_mlflow:
        raise TrackingError(f"what answers at {uri} is not an MLflow server: is the address right?")


@contextmanager
def quiet_logging() -> Iterator[None]:
    """Keep MLflow's informational messages and Python warnings off the terminal."""
    minimum_levels = {
        "mlflow": logging.WARNING,
        "alembic": logging.WARNING,
        # It warns if pip is missing, as in environments made by uv; this package's requirements need no pip.
        "mlflow.utils.environment": logging.ERROR,
        # Errors of databases and connections are reported once, by `translate_errors`.
        "mlflow.store.db.utils": logging.CRITICAL + 1,
        "urllib3.connectionpool": logging.ERROR,
        "sqlalchemy.pool": logging.CRITICAL + 1,
    }
    loggers = [logging.getLogger(name) for name in minimum_levels]
    previous_levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        # These concern the internals of MLflow; a user of this package cannot act on them.
        warnings.filterwarnings("ignore", module=r"mlflow\.|alembic\.|sqlalchemy\.")
        for logger in loggers:
            logger.setLevel(max(logger.level, minimum_levels[logger.name]))
        try:
            yield
        finally:
            for logger, level in zip(loggers, previous_levels, strict=True):
                logger.setLevel(level)
