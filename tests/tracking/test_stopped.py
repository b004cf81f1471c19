"""Stopped at the k-th step: whatever the registry was doing, it is as before, or it is done."""

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

    def __init__(self, k, number):
        self.k, self.number, self.count = k, number, 0

    def step(self, *_):
        self.count += 1
        if self.count == self.k:
            signal.raise_signal(self.number)

    def followed(self, function):
        def wrapper(*args, **kwargs):
            answer = function(*args, **kwargs)
            self.step()
            return answer

        return wrapper


@contextlib.contextmanager
def stopped_at(k, number):
    """Send a signal at the k-th step of the block; yields the steps."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    steps = Steps(k, number)
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    event.listen(Engine, "commit", steps.step)
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("close", "replace", "rename", "unlink", "rmdir"):
                patch.setattr(os, name, steps.followed(getattr(os, name)))
            yield steps
    finally:
        event.remove(Engine, "commit", steps.step)
        for one, handler in before.items():
            signal.signal(one, handler)


def state(folder):
    """All aliases, and the tags of all versions but the moments of writing."""
    with closing(sqlite3.connect(folder / stores.DATABASE)) as database:
        aliases = database.execute("SELECT alias, version FROM registered_model_aliases ORDER BY alias").fetchall()
        tags = database.execute("SELECT version, key, value FROM model_version_tags ORDER BY 1, 2").fetchall()
    return aliases, [tag for tag in tags if not tag[1].endswith("_at")]


def endings(folder, action, first, stride):
    """Stop an action at every step, from the first, on a copy of the store each; yields what came of it."""
    original = (folder / stores.DATABASE).read_bytes()
    for k in itertools.count(first, stride):
        (folder / stores.DATABASE).write_bytes(original)
        number = (signal.SIGTERM, signal.SIGINT)[k // stride % 2]
        error = None
        with stopped_at(k, number) as steps:
            try:
                action()
            except BaseException as raised:  # noqa: BLE001 -- whatever it is, it is to be looked at
                error = raised
        yield number, error, state(folder)
        if steps.count < k:
            return


# Half of the steps take half a minute; some of them a few seconds.
STRIDES = [(3, 13), pytest.param(1, 2, marks=pytest.mark.slow)]


@pytest.mark.parametrize(("first", "stride"), STRIDES)
@pytest.mark.parametrize("action", [promote, rollback], ids=["promote", "rollback"])
def test_a_change_of_champion_that_is_stopped_is_as_before_or_done(action, first, stride, two_versions):
    if action is rollback:
        promote()
    before = state(two_versions)
    seen = set()
    for number, error, after in endings(two_versions, action, first, stride):
        if error is None:
            done = after
        else:
            assert isinstance(error, SystemExit if number == signal.SIGTERM else KeyboardInterrupt), repr(error)
            assert number != signal.SIGTERM or error.code == TERMINATED
        seen.add((error is None, repr(after)))
    # A stop in the last clean-up comes too late to change what is done.
    assert seen <= {(False, repr(before)), (True, repr(done)), (False, repr(done))}
    assert (False, repr(before)) in seen
    assert dict(done[0])["champion"] == (2 if action is promote else 1)


@pytest.mark.parametrize(("first", "stride"), STRIDES)
def test_an_export_that_is_stopped_leaves_a_whole_bundle_or_none(first, stride, two_versions):
    out = two_versions / "out"
    for _number, error, _state in endings(two_versions, lambda: export_version("1", out), first, stride):
        assert error is None or isinstance(error, (SystemExit, KeyboardInterrupt)), repr(error)
        if out.exists():
            PropertyModel.load(out)
            shutil.rmtree(out)
        else:
            assert error is not None


@pytest.mark.slow
def test_an_import_that_is_stopped_registers_a_usable_version_or_none(two_versions):
    export_version("1", two_versions / "bundle")
    for _number, error, _state in endings(two_versions, lambda: import_bundle(two_versions / "bundle"), 5, 73):
        assert error is None or isinstance(error, (SystemExit, KeyboardInterrupt)), repr(error)
        versions = list_versions()
        assert all(version.usable for version in versions)
        assert len(versions) == 3 if error is None else len(versions) in {2, 3}
        with stores.open_store() as store:
            experiments = [found.experiment_id for found in store.client.search_experiments()]
            runs = [run.info.status for run in store.client.search_runs(experiments)]
        assert "RUNNING" not in runs
