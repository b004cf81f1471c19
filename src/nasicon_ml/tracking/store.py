"""Where runs are kept: opening a store, and saying in plain words what is wrong with one.

Without further instruction the store is ``mlflow.db`` in the working directory, with artifacts beside it in
``mlartifacts``: what ``mlflow ui`` opens when it is started there without arguments.
"""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from nasicon_ml.errors import MissingExtraError, NasiconError, TrackingError

DATABASE, ARTIFACTS = "mlflow.db", "mlartifacts"
EXPERIMENT = "nasicon-ml"
URI_VARIABLE = "MLFLOW_TRACKING_URI"

_SQLITE = "sqlite:///"
_SQLITE_HEADER = b"SQLite format 3\0"
#: Seconds that a server has for its first answer, before hours of training are begun.
_FIRST_ANSWER_S = 10
#: MLflow's own settings, unless the user has chosen: four repetitions wait half a minute in all, not four
#: minutes as by default; lines that merely tell what is going on stay off the terminal; a lock file that
#: happens to lie in the working directory is not taken for the model's environment.
_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "4",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_UV_AUTO_DETECT": "false",
    "MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


@dataclass(frozen=True)
class Store:
    """An opened store.

    Attributes
    ----------
    uri
        Its tracking URI.
    client
        The `mlflow.MlflowClient` of it.
    """

    uri: str
    client: Any

    @property
    def database(self) -> Path | None:
        """The SQLite file, if the store is one."""
        return sqlite_path(self.uri)

    def experiment_id(self, name: str) -> str:
        """Find an experiment, or make it.

        Raises
        ------
        TrackingError
            If it was deleted, and so can neither be used nor made anew.
        """
        found = self.client.get_experiment_by_name(name)
        if found is None:
            found = self._make_experiment(name)
        if found.lifecycle_stage != "active":
            raise TrackingError(
                f"the experiment {name!r} in {self.uri} was deleted: choose another with --experiment, or bring "
                f"it back with 'mlflow experiments restore --experiment-id {found.experiment_id}'"
            )
        return str(found.experiment_id)

    def _make_experiment(self, name: str) -> Any:
        from mlflow.exceptions import MlflowException

        location = None
        if self.database is not None:
            # Beside the database, so that the two can be found, kept and moved together.
            folder = self.database.parent / ARTIFACTS / re.sub(r"[^\w.-]+", "-", name)
            location = folder.as_uri()
        try:
            self.client.create_experiment(name, artifact_location=location)
        except MlflowException:
            # Somebody else may have made it in the meantime.
            if self.client.get_experiment_by_name(name) is None:
                raise
        return self.client.get_experiment_by_name(name)


def resolve_uri(tracking_uri: str | None = None) -> str:
    """Say which store is meant: the one given, that of MLFLOW_TRACKING_URI, or the file in this directory."""
    chosen = tracking_uri or os.environ.get(URI_VARIABLE)
    if chosen:
        return chosen
    path = (Path.cwd() / DATABASE).as_posix()
    return _SQLITE + path.replace("%", "%25").replace("?", "%3F")  # SQLAlchemy takes these two as its own


def sqlite_path(uri: str) -> Path | None:
    """Give the file of an SQLite URI as an absolute path; None for any other store."""
    if not uri.startswith(_SQLITE) or uri == _SQLITE or ":memory:" in uri:
        return None
    return Path(unquote(uri.removeprefix(_SQLITE).partition("?")[0])).absolute()


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
    mlflow = load_mlflow()
    _check_sqlite(uri, must_exist=must_exist)
    # MLflow has no public way to ask for the URI that was set, as opposed to the one that is in effect.
    before = getattr(mlflow.tracking._tracking_service.utils, "_tracking_uri", None)
    before_env = os.environ.get(URI_VARIABLE)
    with quiet(), explained(uri):
        _check_server(uri)
        mlflow.set_tracking_uri(uri)
        try:
            yield Store(uri, mlflow.MlflowClient(uri))
        finally:
            mlflow.set_tracking_uri(before)
            if before_env is not None:
                os.environ[URI_VARIABLE] = before_env


@contextmanager
def explained(uri: str) -> Iterator[None]:
    """Turn what MLflow and its database raise into one sentence that names the store."""
    try:
        yield
    except NasiconError:
        raise
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in {"mlflow", "sqlalchemy", "sqlite3"}:
            raise
        raise TrackingError(f"{uri}: {_first_sentence(error)}") from error


def _first_sentence(error: Exception) -> str:
    """Take the part of a message that a person can use: no SQL, no background links, no traces."""
    code = getattr(error, "error_code", "")
    if code in {"UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"}:
        return "the server wants a user and a password: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    if code == "PERMISSION_DENIED":
        return "you have no permission for this; ask whoever runs the server"
    message = str(getattr(error, "message", "") or getattr(error, "orig", "") or error)
    message = re.split(r"\n\[SQL|\n\(Background| \(Background|\nTraceback", message)[0]
    return " ".join(message.split())[:500]


def _check_sqlite(uri: str, *, must_exist: bool) -> None:
    """Look at the file first: MLflow would try a hopeless one for nearly a minute."""
    path = sqlite_path(uri)
    if path is None:
        return
    try:
        if not path.exists():
            if must_exist:
                raise TrackingError(
                    f"there is no store at {path}: run 'nasicon-ml train' here, or name one with --tracking-uri "
                    f"or {URI_VARIABLE}"
                )
            path.parent.mkdir(parents=True, exist_ok=True)
            if not os.access(path.parent, os.W_OK):
                raise TrackingError(f"{path.parent} cannot be written, so no store can be made there")
            return
        with path.open("rb") as file:
            head = file.read(len(_SQLITE_HEADER))
    except OSError as error:
        raise TrackingError(f"{path}: the store cannot be opened ({error.strerror})") from error
    if head and head != _SQLITE_HEADER:
        raise TrackingError(f"{path} is not an SQLite database; move it away, or name another store")
    if not must_exist and not os.access(path, os.W_OK):
        raise TrackingError(f"{path} is read-only, so no run can be recorded in it")


def _check_server(uri: str) -> None:
    """Ask a server whether it is there, once and without patience."""
    if not uri.startswith(("http://", "https://")):
        return
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    try:
        answer = http_request(
            get_default_host_creds(uri), "/health", "GET", max_retries=0, timeout=_FIRST_ANSWER_S,
            raise_on_status=False,
        )  # fmt: skip
    except Exception as error:
        raise TrackingError(
            f"the MLflow server at {uri} cannot be reached: is it running, and is the address right?"
        ) from error
    if answer.status_code >= 500:
        raise TrackingError(f"the MLflow server at {uri} answers with error {answer.status_code}; ask who runs it")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep MLflow's notes and Python warnings off the terminal; its own warnings and errors stay."""
    # The last one warns where pip is not installed, as in environments made by uv; the requirements logged with a
    # model are our own and need no pip.
    least = {"mlflow": logging.WARNING, "alembic": logging.WARNING, "mlflow.utils.environment": logging.ERROR}
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
