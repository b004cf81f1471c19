import functools
import os
import subprocess
import sys

import pytest

from nasicon_ml.tracking.runs import PROCESS_TAG, end_orphaned_runs, find_running_run, has_ended, process_name
from nasicon_ml.tracking.store import open_store

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say")
NAME = "import nasicon_ml.tracking.runs as p; print(p.process_name())"


@functools.cache
def ended():
    """Return the name of a process that has ended."""
    return subprocess.run([sys.executable, "-c", NAME], capture_output=True, text=True, check=True).stdout.strip()


def test_this_process_is_not_gone():
    assert not has_ended(process_name())
    assert not has_ended(f"{process_name()}/0af3")


@linux_only
def test_a_process_that_has_ended_is_gone():
    assert has_ended(ended())


@linux_only
def test_a_number_that_was_given_out_again_is_another_process():
    parts = process_name().split("/")
    assert has_ended("/".join([*parts[:4], "1"]))


@linux_only
def test_everything_before_the_machine_was_started_is_gone():
    parts = process_name().split("/")
    assert has_ended("/".join([parts[0], "another-boot", *parts[2:]]))


@pytest.mark.parametrize("place", [0, 2])
def test_of_another_machine_or_container_nothing_is_known(place):
    parts = ended().split("/")
    parts[place] = "elsewhere"
    assert not has_ended("/".join(parts))


@pytest.mark.parametrize("name", ["", "x", "a/b/c/d/e", "a/b/c/-1/e"])
def test_a_name_of_other_make_says_nothing(name):
    assert not has_ended(name)


@pytest.mark.slow
@linux_only
def test_only_runs_that_were_left_are_ended(workplace):
    with open_store() as store:
        experiment = store.experiment_id("lab")
        names = {"left": ended(), "mine": process_name(), "elsewhere": "other/b/c/1/2"}
        runs = {
            key: store.client.create_run(experiment, tags={PROCESS_TAG: name}).info.run_id
            for key, name in names.items()
        }
        unnamed = store.client.create_run(experiment).info.run_id
        pending = store.client.create_logged_model(experiment, name="model", source_run_id=runs["left"])
        assert find_running_run(store, names["mine"]) == runs["mine"]
        assert end_orphaned_runs(store) == [runs["left"]]
        assert end_orphaned_runs(store) == []
        left = store.client.get_run(runs["left"])
        assert (left.info.status, left.data.tags["ended_by"][:31]) == ("FAILED", "the process ended without a wor")
        assert str(store.client.get_logged_model(pending.model_id).status) == "FAILED"
        for run_id in (runs["mine"], runs["elsewhere"], unnamed):
            assert store.client.get_run(run_id).info.status == "RUNNING"
        assert find_running_run(store, names["left"]) == ""


def test_this_process_names_its_number():
    assert process_name().split("/")[3] == str(os.getpid())
