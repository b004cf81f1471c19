"""A temporary PostgreSQL cluster for tests, on a free port of this machine."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.programs import PATIENCE_S, free_port

REQUIRED = "NASICON_ML_REQUIRE_POSTGRES"
#: A short path that every account can enter: the path of a socket is limited to about 100 characters.
TEMPORARY_FOLDER = "/tmp"  # noqa: S108
DEBIAN = Path("/usr/lib/postgresql")
USER = "mlflow"


@dataclass(frozen=True)
class Cluster:
    """A running cluster; `programs` is the folder of psql and the other PostgreSQL programs."""

    port: int
    password: str
    programs: Path

    def uri(self, database):
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    @property
    def environment(self):
        return {"PGPASSWORD": self.password, "PATH": f"{self.programs}:{os.environ['PATH']}"}

    def sql(self, statement, database="postgres"):
        options = ("-X", "-t", "-A", "-v", "ON_ERROR_STOP=1")
        return subprocess.run(
            [self.programs / "psql", *options, self.uri(database), "-c", statement],
            env=os.environ | self.environment, capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip


def programs():
    """Return the programs of Debian's newest PostgreSQL or those on the PATH; else skip, or fail if required."""
    installed = sorted(DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    if installed or on_path:
        return (installed[-1] if installed else Path(on_path)).parent
    message = "PostgreSQL is not installed (Debian: apt-get install postgresql)"
    if os.environ.get(REQUIRED):
        pytest.fail(f"{message}, and {REQUIRED} is set")
    pytest.skip(message)


def unprivileged_account():
    """Return an account to run PostgreSQL, which refuses to run as root; None if no other account is needed."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    pytest.fail("PostgreSQL does not run as root, and there is no other account")


@contextmanager
def running_cluster():
    """Create and start a cluster; stop and remove it afterwards, also after a failure."""
    binaries = programs()
    folder = Path(tempfile.mkdtemp(prefix="nasicon-pg-", dir=TEMPORARY_FOLDER))
    account = unprivileged_account()
    as_account = {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    password = secrets.token_urlsafe(16)
    server = None
    try:
        (folder / "password").write_text(password)
        if account is not None:
            for path in (folder, folder / "password"):
                os.chown(path, account.pw_uid, account.pw_gid)
        subprocess.run(
            [binaries / "initdb", "-D", folder / "data", "--username", USER, f"--pwfile={folder / 'password'}",
             "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync"],
            cwd=folder, capture_output=True, check=True, **as_account,
        )  # fmt: skip
        port = free_port()
        log = folder / "log"
        log.touch()
        with log.open("w") as output:
            server = subprocess.Popen(
                [binaries / "postgres", "-D", folder / "data", "-p", str(port), "-c", "listen_addresses=127.0.0.1",
                 "-c", f"unix_socket_directories={folder}", "-c", "fsync=off"],
                cwd=folder, stdout=output, stderr=subprocess.STDOUT, **as_account,
            )  # fmt: skip
        cluster = Cluster(port, password, binaries)
        _wait(cluster, server, log)
        yield cluster
    finally:
        if server is not None:
            _stop(server)
        shutil.rmtree(folder)


def _wait(cluster, server, log):
    started = time.monotonic()
    while True:
        ready = subprocess.run(
            [cluster.programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(cluster.port)],
            check=False,
        )
        if ready.returncode == 0:
            return
        assert server.poll() is None, log.read_text()
        assert time.monotonic() - started < PATIENCE_S, log.read_text()
        time.sleep(0.1)


def _stop(server):
    """Stop the server as `pg_ctl stop -m fast` does."""
    server.send_signal(signal.SIGINT)
    try:
        server.wait(60)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait(60)
