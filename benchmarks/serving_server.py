"""Start and stop MLflow's scoring server (`mlflow models serve`) on a free port of this machine."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

#: Seconds until the server must answer, which includes imports and loading on a possibly busy machine.
PATIENCE_S = 240
#: Seconds that one request may take.
REQUEST_S = 120
JSON, CSV = "application/json", "text/csv"
CHAMPION = "models:/nasicon-recipe@champion"


@dataclass(frozen=True)
class Answer:
    """A response of the server: status, headers (lower case), body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", errors="replace")

    def json(self) -> Any:
        """Parse the body as strict JSON; raise ValueError for ``NaN``."""
        return json.loads(self.body, parse_constant=_refused)


@dataclass(frozen=True)
class Served:
    """A running server.

    Attributes
    ----------
    url
        Such as ``http://127.0.0.1:40123``.
    group
        The process group of the server and all its children.
    log
        File with its standard output and error.
    """

    url: str
    group: int
    log: Path

    def ask(
        self, path: str, body: bytes | None = None, content_type: str | None = JSON, *, method: str = ""
    ) -> Answer:
        """Send a POST, or a GET without a body, without proxy, and return the answer, whatever its status."""
        address = urlsplit(self.url)
        connection = HTTPConnection(str(address.hostname), address.port, timeout=REQUEST_S)
        headers = {} if content_type is None else {"Content-Type": content_type}
        try:
            connection.request(method or ("GET" if body is None else "POST"), path, body, headers)
            found = connection.getresponse()
            return Answer(found.status, {name.lower(): value for name, value in found.getheaders()}, found.read())
        finally:
            connection.close()

    def invoke(self, content: Any) -> Answer:
        """Send an object as JSON to ``/invocations``."""
        return self.ask("/invocations", json.dumps(content).encode())

    def resident_bytes(self) -> int:
        """Return the resident memory (RSS) of all processes of the group, from ``/proc``."""
        return sum(_resident(pid) for pid in _members(self.group))


def published(bundle: Path, folder: Path) -> str:
    """Register a bundle as champion in a new store in a folder; return the store's URI."""
    from nasicon_ml.tracking import import_bundle, promote

    uri = f"sqlite:///{folder / 'mlflow.db'}"
    version = import_bundle(bundle, tracking_uri=uri).version
    promote(version, force=True, reason="it is the only one of this store", tracking_uri=uri)
    return uri


@contextmanager
def serving(
    model: str,
    tracking_uri: str,
    *,
    env: Mapping[str, str] | None = None,
    host: str = "127.0.0.1",
    workers: int = 1,
) -> Iterator[Served]:
    """Serve a model by ``mlflow models serve --env-manager local`` until the block ends, however it ends.

    Parameters
    ----------
    model
        Such as ``models:/nasicon-recipe@champion``.
    tracking_uri
        The store, as for ``MLFLOW_TRACKING_URI``.
    env
        Additional environment variables.
    host
        The address it listens at.
    workers
        Number of worker processes.

    Raises
    ------
    RuntimeError
        If the server exits or does not answer in time; the message contains its output.
    """
    port = _free_port(host)
    programs = Path(sys.executable).parent
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "UVICORN"))}
    settings |= {
        "MLFLOW_TRACKING_URI": tracking_uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONWARNINGS": "ignore",
        "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}",  # MLflow starts uvicorn by its name
    } | dict(env or {})
    command = [
        str(programs / "mlflow"), "models", "serve", "-m", model, "--env-manager", "local",
        "--host", host, "--port", str(port), "--workers", str(workers),
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "server.log"
        with log.open("w") as output:
            program = subprocess.Popen(
                command, cwd=folder, env=settings, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        served = Served(f"http://{host}:{port}", program.pid, log)
        try:
            _wait(served, program)
            yield served
        finally:
            _stop(program)


def _wait(served: Served, program: subprocess.Popen[bytes]) -> None:
    started = time.monotonic()
    while True:
        try:
            if served.ask("/ping").status == 200:
                return
        except (OSError, HTTPException):  # not listening yet
            pass
        if program.poll() is not None:
            raise RuntimeError(f"the server ended with {program.returncode}:\n{served.log.read_text()}")
        if time.monotonic() - started > PATIENCE_S:
            raise RuntimeError(f"no answer within {PATIENCE_S} s:\n{served.log.read_text()}")
        time.sleep(0.2)


def _stop(program: subprocess.Popen[bytes]) -> None:
    """Stop the server and all its child processes."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        started = time.monotonic()
        while _members(program.pid) and time.monotonic() - started < 20:
            try:
                os.killpg(program.pid, sign)
            except ProcessLookupError:
                break
            program.poll()
            time.sleep(0.1)
    program.wait(20)


def _free_port(host: str) -> int:
    """Return a free port outside the range that the system assigns to other programs."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as free, suppress(OSError):
            free.bind((host, port))
            return port


def _members(group: int) -> list[int]:
    """Return the running processes of a group."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            # After the command's name, which may hold anything: state, parent, group.
            state, _, its_group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
        except OSError:  # gone in the meantime
            continue
        if int(its_group) == group and state not in "ZX":
            found.append(int(entry.name))
    return found


def _resident(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")
