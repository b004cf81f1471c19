"""One writer at a time: a lock beside an SQLite store.

SQLite orders single writes by itself, and MLflow waits 20 s for its turn. This lock is for what takes several
writes and must not be mixed with another program's: making a store, naming a dataset, registering a version,
moving an alias.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nasicon_ml.errors import TrackingError

#: Seconds to wait for another program; what the lock is held for takes seconds at most.
PATIENCE_S = 60.0
#: A file system without locks: SQLite's own order has to do.
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}


def lock_file(database: Path) -> Path:
    """Return the lock of an SQLite store; it stays when nobody holds it, as removing it would be a race."""
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
    if database is None:
        yield
        return
    from filelock import FileLock, Timeout

    path = lock_file(database.absolute())
    # Of the same file in the same thread it is the same lock, and can be taken again. Every user may take it.
    lock = FileLock(path, mode=0o666, is_singleton=True, fallback_to_soft=False)
    try:
        path.parent.stat()  # or the folder would be made
        lock.acquire(timeout=patience_s)
    except Timeout:
        holder = path.read_text("utf-8", "replace").strip() or "it has not said which"
        raise TrackingError(
            f"another program has been changing the store beside {path} for {patience_s:g} s: {holder}; "
            "try again when it is done"
        ) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise TrackingError(f"{path}: the store cannot be changed ({error.strerror})") from error
    try:
        with suppress(OSError):  # the disk is full: it is held all the same
            path.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", "utf-8")
        yield
    finally:
        if lock.is_locked:
            lock.release()
