"""Says in plain words what is wrong with a store: MLflow, its database and the disk each have their own way."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from nasicon_ml.errors import NasiconError, TrackingError

#: What a disk, not a program, is to blame for.
OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
#: Words of a database or of a connection, and what they mean to a person.
_MEANINGS = (
    ("database is locked", "another program has held it locked for 20 s; try again when it is done"),
    ("database or disk is full", "the disk is full"),
    ("disk I/O error", "the disk cannot be written or read (full, a limit on the size of files, or damaged)"),
    ("attempt to write a readonly database", "it is read-only"),
    ("unable to open database file", "it cannot be opened, or its folder cannot be written"),
    (
        r"malformed|file is not a database|database corruption",
        "the database is damaged; bring back a copy of it, or name another store",
    ),
    (r"too many 5\d\d error responses", "the server answers with an error again and again; ask who runs it"),
    (r"Read timed out|timeout exception", "the server does not answer in time; ask who runs it"),
    (
        "Max retries exceeded|Connection refused|Connection aborted|RemoteDisconnected",
        "the server cannot be reached any more; is it still running?",
    ),
    ("not in a valid JSON format|was not valid JSON", "what answers there is not an MLflow server"),
)


def is_server(uri: str) -> bool:
    """Whether a store is asked over HTTP."""
    return uri.startswith(("http://", "https://"))


@contextmanager
def explained(uri: str) -> Iterator[None]:
    """Turn what MLflow, its database and the disk raise into one sentence that names the store.

    Raises
    ------
    TrackingError
        Instead of theirs; any other error passes unchanged.
    """
    try:
        yield
    except NasiconError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and (isinstance(error, shutil.Error) or error.errno in OF_THE_DISK):
            raise TrackingError(f"{uri}: {_of_the_disk(error)}") from error
        if type(error).__module__.partition(".")[0] not in {"mlflow", "sqlalchemy", "sqlite3", "requests"}:
            raise
        raise TrackingError(f"{uri}: {_first_sentence(error)}") from error


def _of_the_disk(error: OSError) -> str:
    """Say what the system said, and of which file."""
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):
        # Several files of a folder were not copied: (from, to, why) for each.
        _, target, reason = error.args[0][0]
        return f"{re.sub(r'^.Errno [0-9]+. ', '', str(reason))}".partition(":")[0] + f" ({target})"
    place = error.filename2 or error.filename  # of a copy, where to
    return f"{error.strerror or error}" + (f" ({place})" if place else "")


def meaning(message: str) -> str:
    """Say what words of a database or of a connection mean to a person; empty where that is not known."""
    return next((known for words, known in _MEANINGS if re.search(words, message)), "")


def _first_sentence(error: Exception) -> str:
    """Take the part of a message that a person can use: no SQL, no background links, no traces."""
    code = getattr(error, "error_code", "")
    if code in {"UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"}:
        return _who_was_refused()
    if code == "PERMISSION_DENIED":
        return "you have no permission for this; ask whoever runs the server"
    message = str(getattr(error, "message", "") or getattr(error, "orig", "") or error)
    if known := meaning(message):
        return known
    message = re.split(r"\n\[SQL|\n\(Background| \(Background|\nTraceback", message)[0]
    return " ".join(message.split())[:500]


def _who_was_refused() -> str:
    """Say which user a server did not let in; never with what password."""
    from mlflow.utils.credentials import read_mlflow_creds

    user = read_mlflow_creds().username
    if not user:
        return "the server wants a user and a password: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    return (
        f"the server does not know the user {user!r} with this password (MLFLOW_TRACKING_USERNAME and _PASSWORD)"
    )
