"""Record a training, or the import of a bundle, as an MLflow run.

A tag of the run names its process, so that a run whose process was killed can be told from one in progress.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from nasicon_ml.bundle.card import protocol
from nasicon_ml.model import PropertyModel
from nasicon_ml.plots.style import load_matplotlib
from nasicon_ml.tracking import record, registry
from nasicon_ml.tracking.registry import BUNDLE_FILES, Version, show_version
from nasicon_ml.tracking.store import Store, open_store, resolve_experiment, short_timeouts
from nasicon_ml.workflows.train import TrainingOptions, TrainingResult, train

Progress = Callable[[str, float], None]

#: Fraction of the time that training takes; recording takes the rest.
_TRAINING_FRACTION = 0.9
#: Timeout of each request, in s, that marks a run as ended. A user who stops the program does not want to wait.
_END_TIMEOUT_S = {"KILLED": 1, "FAILED": 10}
#: Tag of a run: machine and process that made it.
PROCESS_TAG = "process"
#: How many running runs are searched for orphaned ones.
_MAX_ORPHANED_RUNS = 200
_ORPHANED_REASON = "the process ended without a word (killed, or the machine went down)"
_PROC = Path("/proc")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrackedRun:
    """A recorded training run.

    Attributes
    ----------
    run_id
        Id of the run in MLflow.
    result
        Result of the training.
    version
        Number of the registered version; None if the model was not registered.
    tracking_uri
        URI of the store.
    experiment
        Name of the experiment.
    model_id
        Id of the logged model.
    artifact_uri
        URI of the run's figures, tables and bundle.
    experiment_id
        Id of the experiment, used in the addresses of MLflow's pages.
    """

    run_id: str
    result: TrainingResult
    version: str | None
    tracking_uri: str
    experiment: str
    model_id: str
    artifact_uri: str
    experiment_id: str


def run_training(
    options: TrainingOptions | None = None,
    *,
    tracking_uri: str | None = None,
    experiment: str | None = None,
    register: bool = True,
    dataset: str | Path | None = None,
    add: str | Path | None = None,
    progress: Progress | None = None,
) -> TrackedRun:
    """Train, record the run in MLflow and register the model.

    The run is created as RUNNING. It ends as FINISHED, as FAILED if training or recording raises an error, or as
    KILLED on Ctrl-C or SIGTERM. Only a finished run has a registered version.

    Parameters
    ----------
    options, dataset
        As for `nasicon_ml.workflows.train.train`.
    add
        A file of own pellets to train with. Only the name of the file, the number of pellets and a checksum are
        recorded.
    tracking_uri
        The store; by default that of MLFLOW_TRACKING_URI, or ``mlflow.db`` in the working directory.
    experiment
        The experiment, created if missing; by default that of MLFLOW_EXPERIMENT_NAME, or ``nasicon-ml``.
    register
        Whether to register the model as a new version of ``nasicon-recipe``.
    progress
        Function called with a message and the fraction done, 0 to 1.

    Raises
    ------
    TrackingError
        If the store cannot be used.
    NasiconError
        If training fails.
    """
    options, experiment = options or TrainingOptions(), resolve_experiment(experiment)
    report = progress or (lambda _message, _fraction: None)
    load_matplotlib()  # raises before the training if Matplotlib is missing
    report("opening the store", 0.0)
    name, tags = record.run_name(options, dataset, add), record.start_tags(options)
    with open_store(tracking_uri) as store, start_run(store, experiment, name, tags) as run:

        def report_between(start: float, end: float) -> Progress:
            def report_step(message: str, fraction: float) -> None:
                store.stop.check()
                report(message, start + (end - start) * fraction)

            return report_step

        record.log_params(store, run.run_id, record.option_params(options))
        result = train(options, dataset=dataset, add=add, progress=report_between(0.0, _TRAINING_FRACTION))
        run.model_id = create_logged_model(store, run.run_id, record.option_params(options))
        record.log_result(store, run.run_id, run.model_id, result, report_between(_TRAINING_FRACTION, 0.98))
        info = store.client.get_run(run.run_id).info
        with store.stop.delayed():  # the version of a stopped run would be unusable
            store.client.set_terminated(run.run_id, "FINISHED")
            version = None
            if register:
                report("registering the model", 0.98)
                tags = version_tags(store, run.run_id, result.scores)
                version = registry.register(store, run.run_id, run.model_id, tags)
    report("done", 1.0)
    return TrackedRun(
        run_id=run.run_id,
        result=result,
        version=version,
        tracking_uri=store.uri,
        experiment=experiment,
        model_id=run.model_id,
        artifact_uri=str(info.artifact_uri),
        experiment_id=str(info.experiment_id),
    )


@dataclass
class ActiveRun:
    """Ids of a run in progress and of its logged model; empty until these are created."""

    run_id: str = ""
    model_id: str = ""
    #: Value of `PROCESS_TAG`, unique among the runs of the process.
    process: str = field(default_factory=lambda: f"{process_name()}/{secrets.token_hex(4)}")


@contextmanager
def start_run(store: Store, experiment: str, name: str, tags: Mapping[str, str]) -> Iterator[ActiveRun]:
    """Start a run, and end it as FAILED if the block raises an error, or as KILLED on Ctrl-C or SIGTERM."""
    run = ActiveRun()
    try:
        end_orphaned_runs(store)
        number, tags = store.experiment_id(experiment), {**tags, PROCESS_TAG: run.process}
        run.run_id = str(store.client.create_run(number, tags=tags, run_name=name).info.run_id)
        yield run
    except BaseException as error:
        cause = store.stop.raised or error  # a library may have replaced the signal's exception
        killed = isinstance(cause, (KeyboardInterrupt, SystemExit))
        _end_unfinished_run(store, run, "KILLED" if killed else "FAILED", cause)
        if cause is not error:
            raise cause from None
        raise


def create_logged_model(store: Store, run_id: str, params: Mapping[str, str]) -> str:
    """Create the pending logged model of a run, still without files, and return its id."""
    experiment_id = store.client.get_run(run_id).info.experiment_id
    model = store.client.create_logged_model(
        experiment_id,
        name=registry.MODEL_NAME,
        source_run_id=run_id,
        params=dict(params),
        model_type="regression and classification",
    )
    return str(model.model_id)


def version_tags(store: Store, run_id: str, scores: pd.DataFrame) -> dict[str, str]:
    """Return the tags of a version: a selection of its run's tags, and its scores."""
    names = {
        "dataset_sha256", "git_commit", "git_changed", "nasicon_ml_version", "protocol", BUNDLE_FILES,
        record.IMPORTED_TAG,
    }  # fmt: skip
    tags = store.client.get_run(run_id).data.tags
    return {name: value for name, value in tags.items() if name in names} | record.score_tags(scores)


def _end_unfinished_run(store: Store, run: ActiveRun, status: str, error: BaseException) -> None:
    """End a run with a status other than FINISHED, and record the reason as a tag."""
    reason = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")
    _clear_frames(error)
    try:
        with short_timeouts(_END_TIMEOUT_S[status]):
            # An interrupt between creating the run and receiving its id leaves only the tag to find it by.
            run_id = run.run_id or find_running_run(store, run.process)
            if run_id:
                store.client.set_terminated(run_id, status)
                store.client.set_tag(run_id, "ended_by", reason[:500])
                fail_pending_models(store, run_id)
    except Exception as second:  # noqa: BLE001  (the first error is the one to report)
        what = next(iter(str(second).splitlines()), type(second).__name__)
        _log.warning("run %s in %s could not be marked as %s (%s)", run.run_id, store.uri, status, what)


def _clear_frames(error: BaseException | None) -> None:
    """Release the objects that the tracebacks of an error and its causes refer to.

    If Ctrl-C interrupts a database write, the traceback keeps the connection alive and the database locked.
    """
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


def import_bundle(
    folder: str | Path, *, tracking_uri: str | None = None, experiment: str | None = None
) -> Version:
    """Register a bundle as a new version with the alias ``challenger``.

    The bundle, its options and its scores are recorded in a run, with a tag that marks it as an import.

    Parameters
    ----------
    folder
        A bundle written by `export_version` or ``nasicon-ml train --bundle``.
    tracking_uri, experiment
        As for `run_training`.

    Raises
    ------
    BundleError
        If the folder is not an unchanged bundle.
    TrackingError
        If the store cannot be used.
    """
    model = PropertyModel.load(folder)
    _ = model.out_of_fold  # raises if the gate could not read them
    metadata = model.metadata
    tags = {
        record.IMPORTED_TAG: metadata.created,
        "dataset_sha256": metadata.dataset_sha256,
        "nasicon_ml_version": str(metadata.versions.get("nasicon-ml", "")),
        "protocol": protocol(metadata.options),
    }
    params = {name: str(value) for name, value in metadata.options.items()}
    scores = pd.DataFrame([dict(row) for row in metadata.scores])
    name = f"bundle of {metadata.created[:10]} imported"
    tags[record.DESCRIPTION] = record.description(f"{name}; {tags['protocol']}", scores)
    with open_store(tracking_uri) as store, start_run(store, resolve_experiment(experiment), name, tags) as run:
        record.log_params(store, run.run_id, params)
        run.model_id = create_logged_model(store, run.run_id, params)
        record.log_bundle(store, run.run_id, run.model_id, model)
        with store.stop.delayed():  # the version of a stopped run would be unusable
            store.client.set_terminated(run.run_id, "FINISHED")
            number = registry.register(store, run.run_id, run.model_id, version_tags(store, run.run_id, scores))
    return show_version(number, tracking_uri=tracking_uri)


def process_name() -> str:
    """Return a unique name of this process: host, boot id, PID namespace, PID and start time.

    A PID alone is ambiguous: it is reused, and processes in containers or after a reboot may have the same one.
    """
    return "/".join([*_host_and_namespace(), str(os.getpid()), _start_time(os.getpid())])


def has_ended(name: str) -> bool:
    """Return whether a process is known to have ended; False if unknown, as for another machine."""
    parts = name.split("/")
    if len(parts) < 5 or not parts[3].isdecimal():
        return False
    host, boot_id, namespace = _host_and_namespace()
    if parts[0] != host or not boot_id:
        return False
    if parts[1] != boot_id:
        return True  # the machine was rebooted
    return parts[2] == namespace and _start_time(int(parts[3])) != parts[4]


def _host_and_namespace() -> tuple[str, str, str]:
    """Return host name, boot id and PID namespace; the last two are empty on systems other than Linux."""
    host = socket.gethostname().replace("/", "-")
    try:
        boot_id = (_PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()
        return host, boot_id, (_PROC / "self/ns/pid").readlink().name
    except OSError:
        return host, "", ""


def _start_time(pid: int) -> str:
    """Return the start time of a process in clock ticks; empty if the process has ended."""
    try:
        # The process name, in parentheses, may contain any characters.
        fields = (_PROC / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in {"Z", "X"} else fields[19]


def end_orphaned_runs(store: Store) -> list[str]:
    """Mark running runs whose process has ended (kill -9, power cut) as FAILED, and return their ids."""
    from mlflow.exceptions import MlflowException

    host = _host_and_namespace()[0]
    ended = []
    try:
        for run in _search_running_runs(store, f"LIKE '{host}/%'", _MAX_ORPHANED_RUNS):
            if has_ended(run.data.tags[PROCESS_TAG]):
                store.client.set_tag(run.info.run_id, "ended_by", _ORPHANED_REASON)
                fail_pending_models(store, run.info.run_id)
                store.client.set_terminated(run.info.run_id, "FAILED")
                ended.append(run.info.run_id)
    except MlflowException as error:
        _log.debug("runs that were left could not be ended: %s", error)
    return ended


def find_running_run(store: Store, process: str) -> str:
    """Return the id of the running run with a value of `PROCESS_TAG`; empty if there is none."""
    return next((str(run.info.run_id) for run in _search_running_runs(store, f"= '{process}'")), "")


def _search_running_runs(store: Store, process_condition: str, max_results: int = 1000) -> Iterable[Any]:
    """Return MLflow's entries of running runs whose `PROCESS_TAG` meets a condition of the search language."""
    experiments = [experiment.experiment_id for experiment in store.client.search_experiments()]
    condition = f"attributes.status = 'RUNNING' AND tags.{PROCESS_TAG} {process_condition}"
    runs: Iterable[Any] = store.client.search_runs(experiments, condition, max_results=max_results)
    return runs


def fail_pending_models(store: Store, run_id: str) -> None:
    """Mark the incompletely logged models of a run as FAILED."""
    experiment_id = store.client.get_run(run_id).info.experiment_id
    for model in store.client.search_logged_models([experiment_id], f"source_run_id = '{run_id}'"):
        if model.status != "READY":
            store.client.finalize_logged_model(model.model_id, "FAILED")
