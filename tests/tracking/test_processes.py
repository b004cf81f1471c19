import functools
import os
import subprocess
import sys

import pytest

from nasicon_ml.tracking.runs import PROCESS_TAG, end_orphaned_runs, find_running_run, has_ended, process_name
from nasicon_ml.tracking.store import open_store

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="start times of processes are known on Linux only")
PRINT_PROCESS_NAME = "import nasicon_ml.tracking.runs as p; print(p.process_name())"


@functools.cache
def ended_process_name():
    """Return the name of a process that has ended."""
    return subprocess.run(
        [sys.executable, "-c", PRINT_PROCESS_NAME], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_running_process_has_not_ended():
    assert not has_ended(process_name())
    assert not has_ended(f"{process_name()}/0af3")


@linux_only
def test_terminated_process_has_ended():
    assert has_ended(ended_process_name())


@linux_only
def test_process_whose_pid_was_reused_has_ended():
    parts = process_name().split("/")
    assert has_ended("/".join([*parts[:4], "1"]))


@linux_only
def test_process_from_before_a_reboot_has_ended():
    parts = process_name().split("/")
    assert has_ended("/".join([parts[0], "another-boot", *parts[2:]]))


@pytest.mark.parametrize("index", [0, 2], ids=["host", "PID namespace"])
def test_process_of_another_host_or_namespace_is_not_taken_as_ended(index):
    parts = ended_process_name().split("/")
    parts[index] = "elsewhere"
    assert not has_ended("/".join(parts))


@pytest.mark.parametrize("name", ["", "x", "a/b/c/d/e", "a/b/c/-1/e"])
def test_process_with_malformed_name_is_not_taken_as_ended(name):
    assert not has_ended(name)


@pytest.mark.slow
@linux_only
def test_only_orphaned_runs_are_ended(store_folder):
    with open_store() as store:
        experiment = store.experiment_id("lab")
        names = {"orphaned": ended_process_name(), "own": process_name(), "elsewhere": "other/b/c/1/2"}
        runs = {
            key: store.client.create_run(experiment, tags={PROCESS_TAG: name}).info.run_id
            for key, name in names.items()
        }
        run_without_process = store.client.create_run(experiment).info.run_id
        pending = store.client.create_logged_model(experiment, name="model", source_run_id=runs["orphaned"])
        assert find_running_run(store, names["own"]) == runs["own"]
        assert end_orphaned_runs(store) == [runs["orphaned"]]
        assert end_orphaned_runs(store) == []
        orphaned = store.client.get_run(runs["orphaned"])
        assert orphaned.info.status == "FAILED"
        assert orphaned.data.tags["ended_by"].startswith("the process ended without a word")
        assert str(store.client.get_logged_model(pending.model_id).status) == "FAILED"
        for run_id in (runs["own"], runs["elsewhere"], run_without_process):
            assert store.client.get_run(run_id).info.status == "RUNNING"
        assert find_running_run(store, names["orphaned"]) == ""


def test_process_name_contains_the_pid():
    assert process_name().split("/")[3] == str(os.getpid())
