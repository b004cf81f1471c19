import errno
import subprocess
import sys
import threading

import pytest

from nasicon_ml.errors import TrackingError
from nasicon_ml.tracking.store import lock_file, store_lock

HOLD = """
import sys
from pathlib import Path
from nasicon_ml.tracking.store import store_lock
with store_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def held(tmp_path):
    """A program that holds the lock of a store."""
    program = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "lab.db")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert program.stdout.readline() == "held\n"
    yield program
    program.kill()
    program.communicate()


def test_whoever_waits_too_long_is_told_for_whom(held, tmp_path):
    with pytest.raises(TrackingError, match=f"lab.db.lock for 0.2 s: process {held.pid} on"):  # noqa: SIM117
        with store_lock(tmp_path / "lab.db", timeout_s=0.2):
            pass


def test_a_killed_program_lets_go(held, tmp_path):
    held.kill()
    held.wait()
    with store_lock(tmp_path / "lab.db", timeout_s=5):
        assert lock_file(tmp_path / "lab.db").read_text().startswith("process ")


def test_the_same_thread_goes_on_at_once_and_another_waits(tmp_path):
    order, inside = [], threading.Event()

    def other():
        inside.wait(5)
        with store_lock(tmp_path / "lab.db", timeout_s=5):
            order.append("other")

    thread = threading.Thread(target=other)
    thread.start()
    with store_lock(tmp_path / "lab.db"), store_lock(tmp_path / "lab.db", timeout_s=0):
        inside.set()
        thread.join(0.3)
        order.append("first")
    thread.join(5)
    assert order == ["first", "other"]


def test_two_stores_have_two_locks_and_a_server_none(held, tmp_path):
    with store_lock(tmp_path / "other.db", timeout_s=0), store_lock(None, timeout_s=0):
        pass


def test_a_file_system_without_locks_goes_on(held, tmp_path, monkeypatch):
    def no_locks(descriptor, how):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with store_lock(tmp_path / "lab.db", timeout_s=0):
        pass


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    def refused(*arguments, **named):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("os.open", refused)
    with pytest.raises(TrackingError, match=r"lab.db.lock: .*Permission denied"), store_lock(tmp_path / "lab.db"):
        pass


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with (
        pytest.raises(TrackingError, match=r"nowhere.*cannot be changed"),
        store_lock(tmp_path / "nowhere" / "lab.db"),
    ):
        pass
