"""One writer at a time: a lock beside an SQLite store.

SQLite orders single writes by itself, and MLflow waits 20 s for its turn. This lock is for what takes several
writes and must not be mixed with another program's: making a store, registering a version, moving an alias. The
kernel lets go of it when its holder ends, however that happens; on a system without such locks none is taken.
"""

from __future__ import annotations

import importlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nasicon_ml.errors import TrackingError

#: Seconds to wait for another program; what the lock is held for takes seconds at most.
PATIENCE_S = 60.0
_EVERY_S = 0.05
#: What this thread holds already.
_held = threading.local()


def lock_file(database: Path) -> Path:
    """Name the lock of an SQLite store; it stays when nobody holds it, as removing it would be a race."""
    return database.with_name(f"{database.name}.lock")


@contextmanager
def locked(database: Path | None, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Hold the lock of a store; a thread that holds it already goes on at once.

    Parameters
    ----------
    database
        The SQLite file; None for a server, which keeps its own order.
    patience_s
        How long to wait for whoever holds it.

    Raises
    ------
    TrackingError
        If somebody else still holds it after that time, or the folder cannot be written.
    """
    path = None if database is None else lock_file(database.absolute())
    mine: set[Path] = _held.__dict__.setdefault("paths", set())
    locks = _flock()
    if path is None or path in mine or locks is None:
        yield
        return
    descriptor = _open(path)
    try:
        _wait(descriptor, path, locks, patience_s)
        mine.add(path)
        try:
            yield
        finally:
            mine.discard(path)
    finally:
        os.close(descriptor)  # lets go of it, too


def _flock() -> Any:
    """Give the module of these locks; None where the system has none (Windows)."""
    try:
        return importlib.import_module("fcntl")
    except ImportError:
        return None


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:
        if path.exists():  # another user's: reading is enough to lock it
            return os.open(path, os.O_RDONLY)
        raise TrackingError(f"{path.parent} cannot be written, so the store there cannot be changed") from None
    except OSError as error:
        raise TrackingError(f"{path}: the store cannot be changed ({error.strerror})") from error


def _wait(descriptor: int, path: Path, locks: Any, patience_s: float) -> None:
    started = time.monotonic()
    while True:
        try:
            locks.flock(descriptor, locks.LOCK_EX | locks.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() - started > patience_s:
                raise TrackingError(
                    f"another program has been changing the store beside {path} for {patience_s:g} s: "
                    f"{_holder(descriptor)}; try again when it is done"
                ) from None
            time.sleep(_EVERY_S)
        except OSError:  # a file system without such locks: SQLite's own order has to do
            return
        else:
            _sign(descriptor)
            return


def _sign(descriptor: int) -> None:
    """Write into the lock who holds it, for whoever waits too long."""
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
    except OSError:  # opened for reading only, or the disk is full: it is held all the same
        return


def _holder(descriptor: int) -> str:
    return os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip() or "it has not said which"
