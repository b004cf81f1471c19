import errno
import shutil
import sqlite3

import pytest

from nasicon_ml.errors import FieldError, TrackingError
from nasicon_ml.tracking.store import translate_errors

URI = "sqlite:///lab.db"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (sqlite3.OperationalError("database is locked"), "another program has held it locked for 20 s"),
        (sqlite3.OperationalError("database or disk is full"), "the disk is full"),
        (sqlite3.DatabaseError("database disk image is malformed"), "is damaged; bring back a copy"),
        (OSError(errno.ENOSPC, "No space left on device", "a/b"), r"No space left on device \(a/b\)"),
        (OSError(errno.ENOSPC, "No space left on device", "from", None, "to"), r"device \(to\)"),
        (OSError(errno.EFBIG, "File too large"), "File too large$"),
        (
            shutil.Error([("from", "to", "[Errno 28] No space left on device: 'to'")]),
            r"No space left on device \(to\)",
        ),
    ],
)
def test_database_and_disk_errors_are_translated(error, message):
    with pytest.raises(TrackingError, match=f"^{URI}: .*{message}"), translate_errors(URI):
        raise error


@pytest.mark.parametrize(
    "message", ["too many 500 error responses", "Read timed out. (read timeout=2)", "Max retries exceeded"]
)
def test_server_errors_are_translated(message):
    from mlflow.exceptions import MlflowException

    with (
        pytest.raises(TrackingError, match=r"the server (answers|does not|cannot)"),
        translate_errors("http://lab"),
    ):
        raise MlflowException(f"API request to http://lab failed with exception {message}")


@pytest.mark.parametrize(
    "error", [FieldError("x", 1, "2"), FileNotFoundError(2, "No such file", "x"), KeyError("x")]
)
def test_other_errors_are_raised_unchanged(error):
    with pytest.raises(type(error)) as raised, translate_errors(URI):
        raise error
    assert raised.value is error
