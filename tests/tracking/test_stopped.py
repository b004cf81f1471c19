"""Changes of the registry that a signal interrupts at their k-th step are undone or complete."""

import contextlib
import itertools
import os
import shutil
import signal
import sqlite3
from contextlib import closing

import pytest

from nasicon_ml.model import PropertyModel
from nasicon_ml.signals import TERMINATED
from nasicon_ml.tracking import export_version, import_bundle, list_versions, promote, rollback
from nasicon_ml.tracking import store as stores


class Steps:
    """Counts commits, renames, removals and closed files, and sends this process a signal at the k-th."""

    def __init__(self, k, signal_number):
        self.k, self.signal_number, self.count = k, signal_number, 0

    def step(self, *_):
        self.count += 1
        if self.count == self.k:
            signal.raise_signal(self.signal_number)

    def counted(self, function):
        def wrapper(*args, **kwargs):
            result = function(*args, **kwargs)
            self.step()
            return result

        return wrapper


@contextlib.contextmanager
def signal_at(k, signal_number):
    """Send a signal at the k-th step of the block; yield the counter of steps."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    steps = Steps(k, signal_number)
    handlers = {handled: signal.getsignal(handled) for handled in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    event.listen(Engine, "commit", steps.step)
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("close", "replace", "rename", "unlink", "rmdir"):
                patch.setattr(os, name, steps.counted(getattr(os, name)))
            yield steps
    finally:
        event.remove(Engine, "commit", steps.step)
        for handled, handler in handlers.items():
            signal.signal(handled, handler)


def registry_state(folder):
    """Return all aliases, and the tags of all versions except times."""
    with closing(sqlite3.connect(folder / stores.DATABASE)) as database:
        aliases = database.execute("SELECT alias, version FROM registered_model_aliases ORDER BY alias").fetchall()
        tags = database.execute("SELECT version, key, value FROM model_version_tags ORDER BY 1, 2").fetchall()
    return aliases, [tag for tag in tags if not tag[1].endswith("_at")]


def interrupt_at_each_step(folder, action, first, stride):
    """Repeat an action on the original database, interrupted at its k-th step for k = first, first + stride, ...

    Yield the signal, the error raised and the state of the registry; end with the first run of fewer than k steps.
    """
    original = (folder / stores.DATABASE).read_bytes()
    for k in itertools.count(first, stride):
        (folder / stores.DATABASE).write_bytes(original)
        signal_number = (signal.SIGTERM, signal.SIGINT)[k // stride % 2]
        error = None
        with signal_at(k, signal_number) as steps:
            try:
                action()
            except BaseException as raised:  # noqa: BLE001 -- the caller checks its type
                error = raised
        yield signal_number, error, registry_state(folder)
        if steps.count < k:
            return


# Every 2nd step takes half a minute, every 13th a few seconds.
STRIDES = [(3, 13), pytest.param(1, 2, marks=pytest.mark.slow)]


@pytest.mark.parametrize(("first", "stride"), STRIDES)
@pytest.mark.parametrize("action", [promote, rollback], ids=["promote", "rollback"])
def test_interrupted_change_of_champion_is_undone_or_complete(action, first, stride, two_versions):
    if action is rollback:
        promote()
    before = registry_state(two_versions)
    outcomes = set()
    for signal_number, error, after in interrupt_at_each_step(two_versions, action, first, stride):
        if error is None:
            completed = after
        else:
            assert isinstance(error, SystemExit if signal_number == signal.SIGTERM else KeyboardInterrupt), repr(
                error
            )
            assert signal_number != signal.SIGTERM or error.code == TERMINATED
        outcomes.add((error is None, repr(after)))
    # A signal during the final clean-up raises although the change is complete.
    assert outcomes <= {(False, repr(before)), (True, repr(completed)), (False, repr(completed))}
    assert (False, repr(before)) in outcomes
    assert dict(completed[0])["champion"] == (2 if action is promote else 1)


@pytest.mark.parametrize(("first", "stride"), STRIDES)
def test_interrupted_export_leaves_a_complete_bundle_or_none(first, stride, two_versions):
    out = two_versions / "out"
    for _signal, error, _after in interrupt_at_each_step(
        two_versions, lambda: export_version("1", out), first, stride
    ):
        assert error is None or isinstance(error, (SystemExit, KeyboardInterrupt)), repr(error)
        if out.exists():
            PropertyModel.load(out)
            shutil.rmtree(out)
        else:
            assert error is not None


@pytest.mark.slow
def test_interrupted_import_registers_a_usable_version_or_none(two_versions):
    export_version("1", two_versions / "bundle")
    for _signal, error, _after in interrupt_at_each_step(
        two_versions, lambda: import_bundle(two_versions / "bundle"), 5, 73
    ):
        assert error is None or isinstance(error, (SystemExit, KeyboardInterrupt)), repr(error)
        versions = list_versions()
        assert all(version.usable for version in versions)
        assert len(versions) == 3 if error is None else len(versions) in {2, 3}
        with stores.open_store() as store:
            experiments = [experiment.experiment_id for experiment in store.client.search_experiments()]
            runs = [run.info.status for run in store.client.search_runs(experiments)]
        assert "RUNNING" not in runs
