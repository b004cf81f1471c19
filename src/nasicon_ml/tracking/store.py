"""Where runs are kept: opening a store, a file or a server.

Without further instruction the store is ``mlflow.db`` in the working directory, with artifacts beside it in
``mlartifacts``: what ``mlflow ui`` opens when it is started there without arguments.
"""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nasicon_ml.errors import MissingExtraError, TrackingError
from nasicon_ml.signals import Stop, stoppable
from nasicon_ml.tracking import database
from nasicon_ml.tracking.database import ARTIFACTS as ARTIFACTS  # noqa: PLC0414 -- belongs to what a store is
from nasicon_ml.tracking.database import sqlite_path as sqlite_path  # noqa: PLC0414
from nasicon_ml.tracking.locking import locked
from nasicon_ml.tracking.trouble import explained, is_server

DATABASE = "mlflow.db"
EXPERIMENT = "nasicon-ml"
URI_VARIABLE = "MLFLOW_TRACKING_URI"

#: Seconds that a server has for its first answer, before hours of training are begun.
FIRST_ANSWER_S = 10
#: MLflow's own settings, unless the user has chosen: a server has 30 s for each answer, not 120, and four
#: repetitions wait half a minute in all, not four minutes; lines that merely tell what is going on stay off the
#: terminal, and the addresses of runs off the standard output, which may have to be JSON; a lock file that happens
#: to lie in the working directory is not taken for the model's environment.
_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "4",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
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
    stop
        Whether the program was told to stop while the store is open.
    """

    uri: str
    client: Any
    stop: Stop = field(default_factory=Stop)

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
    return database.sqlite_uri(Path.cwd() / DATABASE)


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
    mlflow = load_mlflow()
    # MLflow says what is in effect; what was set in the program shows without the variable.
    before_env = os.environ.pop(URI_VARIABLE, None)
    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    if before_env is not None:
        os.environ[URI_VARIABLE] = before_env
    with stoppable() as stop, quiet(), explained(uri):
        path = sqlite_path(uri)
        if path is not None:
            database.prepare(path, must_exist=must_exist)
        _check_server(uri)
        mlflow.set_tracking_uri(uri)
        try:
            yield Store(uri, mlflow.MlflowClient(uri), stop)
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
