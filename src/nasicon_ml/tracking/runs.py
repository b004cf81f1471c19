"""A run that MLflow remembers, whatever becomes of it: a training, or the import of a bundle.

A run names its process in its tags, so that one whose process was killed can be told from one that goes on.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from nasicon_ml.bundle.card import protocol
from nasicon_ml.model import PropertyModel
from nasicon_ml.plots.style import load_matplotlib
from nasicon_ml.tracking import record, registry
from nasicon_ml.tracking.registry import BUNDLE_FILES, Version, show_version
from nasicon_ml.tracking.store import Store, hurried, opened, resolve_experiment
from nasicon_ml.workflows.train import TrainingOptions, TrainingResult, train

Progress = Callable[[str, float], None]

#: The share of the time that training takes; the rest goes into recording.
_TRAINING_SHARE = 0.9
#: Seconds a server has for each answer while a run is given up; whoever stops a program does not wait.
_LAST_WORD_S = {"KILLED": 1, "FAILED": 10}
#: The tag of a run that says which process of which machine made it.
PROCESS_TAG = "process"
#: Runs that were left are looked for among so many.
_AT_MOST = 200
_LOST = "the process ended without a word (killed, or the machine went down)"
_PROC = Path("/proc")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrackedRun:
    """A training run, and where it is kept.

    Attributes
    ----------
    run_id
        Its id in MLflow.
    result
        What the training gave.
    version
        The registered version, None if it was not to be registered.
    tracking_uri
        The store.
    experiment
        The experiment it belongs to.
    model_id
        The id of the logged model.
    artifact_uri
        Where its figures, tables and bundle are.
    experiment_id
        The experiment's number, by which MLflow's pages name it.
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
    """Train, and record in MLflow what came of it; register the model if all went well.

    The run is there from the beginning, as RUNNING. It ends as FINISHED; as FAILED if anything raises, in
    training or in recording; as KILLED on Ctrl-C or SIGTERM. Only a finished run has a registered version.

    Parameters
    ----------
    options, dataset
        As for `nasicon_ml.workflows.train.train`.
    add
        A file of one's own pellets to train with. The name of the file,
        their number and a checksum are recorded, nothing else of them.
    tracking_uri
        The store; by default that of MLFLOW_TRACKING_URI, or ``mlflow.db`` in the working directory.
    experiment
        The experiment, made if it is not there; by default that of MLFLOW_EXPERIMENT_NAME, or ``nasicon-ml``.
    register
        Whether to register the model, as a new version of ``nasicon-recipe``.
    progress
        Called with a message and the share done, 0 to 1.

    Raises
    ------
    TrackingError
        If the store cannot be used.
    NasiconError
        Whatever training raises.
    """
    options, experiment = options or TrainingOptions(), resolve_experiment(experiment)
    report = progress or (lambda _message, _share: None)
    load_matplotlib()  # missed now, not after all the training
    report("opening the store", 0.0)
    name, tags = record.run_name(options, dataset, add), record.start_tags(options)
    with opened(tracking_uri) as store, recording(store, experiment, name, tags) as run:

        def step(text: str, share: float) -> None:
            store.stop.check()
            report(text, share)

        record.log_params(store, run.run_id, record.option_params(options))
        result = train(
            options, dataset=dataset, add=add, progress=lambda text, share: step(text, _TRAINING_SHARE * share)
        )
        run.model_id = announce_model(store, run.run_id, record.option_params(options))
        record.log_result(
            store, run.run_id, run.model_id, result,
            lambda text, share: step(text, _TRAINING_SHARE + (0.98 - _TRAINING_SHARE) * share),
        )  # fmt: skip
        info = store.client.get_run(run.run_id).info
        with store.stop.delayed():  # a version of a run that was stopped could not be used
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
class Recording:
    """A run while it is being recorded: its id, and that of its model once it is announced."""

    run_id: str = ""
    model_id: str = ""
    #: How its process is named in its tags; unlike that of any other run of it.
    process: str = field(default_factory=lambda: f"{this_process()}/{secrets.token_hex(4)}")


@contextmanager
def recording(store: Store, experiment: str, name: str, tags: Mapping[str, str]) -> Iterator[Recording]:
    """Begin a run; if the block is left by an error, end it as FAILED, by Ctrl-C or SIGTERM as KILLED."""
    run = Recording()
    try:
        end_left_runs(store)
        number, tags = store.experiment_id(experiment), {**tags, PROCESS_TAG: run.process}
        run.run_id = str(store.client.create_run(number, tags=tags, run_name=name).info.run_id)
        yield run
    except BaseException as error:
        cause = store.stop.raised or error  # a library may have made something else of it
        killed = isinstance(cause, (KeyboardInterrupt, SystemExit))
        _abandon(store, run, "KILLED" if killed else "FAILED", cause)
        if cause is not error:
            raise cause from None
        raise


def announce_model(store: Store, run_id: str, params: Mapping[str, str]) -> str:
    """Create the entry of a run's model, still pending, and return its id; its files follow."""
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
    """Return what a reader of the registry wants to know of a version without opening its run."""
    kept = {
        "dataset_sha256", "git_commit", "git_changed", "nasicon_ml_version", "protocol", BUNDLE_FILES,
        record.IMPORTED,
    }  # fmt: skip
    tags = store.client.get_run(run_id).data.tags
    return {name: value for name, value in tags.items() if name in kept} | record.headline(scores)


def _abandon(store: Store, run: Recording, status: str, error: BaseException) -> None:
    """End a run that came to nothing, and say why on its page."""
    reason = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")
    _let_go(error)
    try:
        with hurried(_LAST_WORD_S[status]):
            # Struck after the run was made and before its number was known, only its tag tells which it is.
            run_id = run.run_id or find_run(store, run.process)
            if run_id:
                store.client.set_terminated(run_id, status)
                store.client.set_tag(run_id, "ended_by", reason[:500])
                end_models(store, run_id)
    except Exception as second:  # noqa: BLE001  (the first error is the one to report)
        what = next(iter(str(second).splitlines()), type(second).__name__)
        _log.warning("run %s in %s could not be marked as %s (%s)", run.run_id, store.uri, status, what)


def _let_go(error: BaseException | None) -> None:
    """Close what was open where an error struck.

    A Ctrl-C can hit the database's own code in a write. Its connection then hangs on the traceback and keeps the
    database locked, also for us.
    """
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


def import_bundle(
    folder: str | Path, *, tracking_uri: str | None = None, experiment: str | None = None
) -> Version:
    """Register a bundle as a new version with the alias ``challenger``.

    A run is recorded that holds the bundle, its options and its scores, and says that it was imported.

    Parameters
    ----------
    folder
        A bundle, as `export_version` or ``nasicon-ml train --bundle`` writes it.
    tracking_uri, experiment
        As for `run_training`.

    Raises
    ------
    BundleError
        If it is no unchanged bundle.
    TrackingError
        If the store cannot be used.
    """
    model = PropertyModel.load(folder)
    metadata = model.metadata
    tags = {
        record.IMPORTED: metadata.created,
        "dataset_sha256": metadata.dataset_sha256,
        "nasicon_ml_version": str(metadata.versions.get("nasicon-ml", "")),
        "protocol": protocol(metadata.options),
    }
    params = {name: str(value) for name, value in metadata.options.items()}
    scores = pd.DataFrame([dict(row) for row in metadata.scores])
    name = f"bundle of {metadata.created[:10]} imported"
    tags[record.NOTE] = record.note(f"{name}; {tags['protocol']}", scores)
    with opened(tracking_uri) as store, recording(store, resolve_experiment(experiment), name, tags) as run:
        record.log_params(store, run.run_id, params)
        run.model_id = announce_model(store, run.run_id, params)
        record.log_bundle(store, run.run_id, run.model_id, model)
        with store.stop.delayed():  # a version of a run that was stopped could not be used
            store.client.set_terminated(run.run_id, "FINISHED")
            number = registry.register(store, run.run_id, run.model_id, version_tags(store, run.run_id, scores))
    return show_version(number, tracking_uri=tracking_uri)


def this_process() -> str:
    """Name this process: machine, start of the machine, space of process numbers, number, start of the process.

    A number alone would do for an hour: it is given out again, and to others in a container or after a restart.
    """
    return "/".join([*_place(), str(os.getpid()), _started(os.getpid())])


def is_gone(name: str) -> bool:
    """Whether a process is known to have ended; False where that cannot be known, as on another machine."""
    parts = name.split("/")
    if len(parts) < 5 or not parts[3].isdecimal():
        return False
    host, boot, space = _place()
    if parts[0] != host or not boot:
        return False
    if parts[1] != boot:
        return True  # the machine was started again
    return parts[2] == space and _started(int(parts[3])) != parts[4]


def _place() -> tuple[str, str, str]:
    host = socket.gethostname().replace("/", "-")
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()
        space = (_PROC / "self/ns/pid").readlink().name
    except OSError:  # not Linux
        return host, "", ""
    return host, boot, space


def _started(number: int) -> str:
    """Return the start of a process in clock ticks; empty if there is none, or only its exit code is left."""
    try:
        # The name before the last parenthesis may hold anything.
        fields = (_PROC / str(number) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in {"Z", "X"} else fields[19]


def end_left_runs(store: Store) -> list[str]:
    """Mark runs as FAILED whose process is gone (kill -9, power cut), as far as they can be; return their ids."""
    from mlflow.exceptions import MlflowException

    host = _place()[0]
    ended = []
    try:
        experiments = [found.experiment_id for found in store.client.search_experiments()]
        wanted = f"attributes.status = 'RUNNING' AND tags.{PROCESS_TAG} LIKE '{host}/%'"
        for run in store.client.search_runs(experiments, wanted, max_results=_AT_MOST):
            if is_gone(run.data.tags[PROCESS_TAG]):
                store.client.set_tag(run.info.run_id, "ended_by", _LOST)
                end_models(store, run.info.run_id)
                store.client.set_terminated(run.info.run_id, "FAILED")
                ended.append(run.info.run_id)
    except MlflowException as error:
        _log.debug("runs that were left could not be ended: %s", error)
    return ended


def find_run(store: Store, process: str) -> str:
    """Find the run that is still going on under a name of a process; empty if there is none."""
    experiments = [found.experiment_id for found in store.client.search_experiments()]
    wanted = f"attributes.status = 'RUNNING' AND tags.{PROCESS_TAG} = '{process}'"
    return next((str(run.info.run_id) for run in store.client.search_runs(experiments, wanted)), "")


def end_models(store: Store, run_id: str) -> None:
    """Mark the models of a run as FAILED that were not logged to the end."""
    experiment_id = store.client.get_run(run_id).info.experiment_id
    for model in store.client.search_logged_models([experiment_id], f"source_run_id = '{run_id}'"):
        if model.status != "READY":
            store.client.finalize_logged_model(model.model_id, "FAILED")
