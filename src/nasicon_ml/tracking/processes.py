"""Which process a run belongs to: so a run whose process was killed can be told from one that still runs."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nasicon_ml.tracking.store import Store

#: The tag of a run that says which process of which machine made it.
PROCESS_TAG = "process"
#: Runs that were left are looked for among so many.
_AT_MOST = 200
_LOST = "the process ended without a word (killed, or the machine went down)"
_PROC = Path("/proc")
_log = logging.getLogger(__name__)


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
    """Give the start of a process in clock ticks; empty if there is none, or only its exit code is left."""
    try:
        # The name before the last parenthesis may hold anything.
        fields = (_PROC / str(number) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in {"Z", "X"} else fields[19]


def end_left_runs(store: Store) -> list[str]:
    """Mark runs as FAILED whose process is gone (kill -9, power cut), and give their ids.

    Nothing else is done to them, and it is no error if one cannot be changed.
    """
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
