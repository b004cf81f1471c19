import errno
import subprocess
import sys
import threading

import pytest

from nasicon_ml.errors import TrackingError
from nasicon_ml.tracking.store import lock_file, store_lock

HOLD_LOCK = """
import sys
from pathlib import Path
from nasicon_ml.tracking.store import store_lock
with store_lock(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def lock_holder(tmp_path):
    """A program that holds the lock of a store."""
    program = subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, str(tmp_path / "lab.db")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert program.stdout.readline() == "locked\n"
    yield program
    program.kill()
    program.communicate()


def test_timeout_error_names_the_process_that_holds_the_lock(lock_holder, tmp_path):
    with pytest.raises(TrackingError, match=f"lab.db.lock for 0.2 s: process {lock_holder.pid} on"):  # noqa: SIM117
        with store_lock(tmp_path / "lab.db", timeout_s=0.2):
            pass


def test_lock_of_a_killed_program_is_released(lock_holder, tmp_path):
    lock_holder.kill()
    lock_holder.wait()
    with store_lock(tmp_path / "lab.db", timeout_s=5):
        assert lock_file(tmp_path / "lab.db").read_text().startswith("process ")


def test_lock_is_reentrant_in_its_thread_and_blocks_other_threads(tmp_path):
    order, inside = [], threading.Event()

    def wait_for_lock():
        inside.wait(5)
        with store_lock(tmp_path / "lab.db", timeout_s=5):
            order.append("other thread")

    thread = threading.Thread(target=wait_for_lock)
    thread.start()
    with store_lock(tmp_path / "lab.db"), store_lock(tmp_path / "lab.db", timeout_s=0):
        inside.set()
        thread.join(0.3)
        order.append("main thread")
    thread.join(5)
    assert order == ["main thread", "other thread"]


def test_lock_does_not_block_other_stores_or_servers(lock_holder, tmp_path):
    with store_lock(tmp_path / "other.db", timeout_s=0), store_lock(None, timeout_s=0):
        pass


def test_store_lock_tolerates_file_system_without_locks(lock_holder, tmp_path, monkeypatch):
    def unsupported_flock(descriptor, operation):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr("fcntl.flock", unsupported_flock)
    with store_lock(tmp_path / "lab.db", timeout_s=0):
        pass


def test_read_only_folder_is_named_in_the_error(tmp_path, monkeypatch):
    def failing_open(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("os.open", failing_open)
    with pytest.raises(TrackingError, match=r"lab.db.lock: .*Permission denied"), store_lock(tmp_path / "lab.db"):
        pass


def test_missing_folder_is_named_in_the_error(tmp_path):
    with (
        pytest.raises(TrackingError, match=r"nowhere.*cannot be changed"),
        store_lock(tmp_path / "nowhere" / "lab.db"),
    ):
        pass
