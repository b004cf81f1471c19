"""Start programs in tests; they are always killed with their child processes, and their pipes closed."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

#: Seconds after which a program is considered to hang; long enough for a busy machine.
PATIENCE_S = 240
#: Ports outside the range from which the system assigns them automatically.
_PORTS = range(20_000, 32_000)


@contextmanager
def running(*command: Any, **settings: Any) -> Iterator[subprocess.Popen[Any]]:
    """Start a program in a new session, and kill its process group when the block ends.

    Parameters
    ----------
    *command
        The program and its arguments.
    **settings
        As for `subprocess.Popen`.
    """
    settings = {"stdin": subprocess.DEVNULL, "start_new_session": True} | settings
    program = subprocess.Popen([str(word) for word in command], **settings)
    try:
        yield program
    finally:
        with suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
        program.wait()
        for pipe in (program.stdin, program.stdout, program.stderr):
            if pipe is not None:
                with suppress(OSError):  # buffered output, and the reader has exited
                    pipe.close()


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port on which no program listens.

    It is chosen at random, so that tests running in parallel do not get the same port before they use it.
    """
    rng = random.SystemRandom()
    while True:
        port = rng.choice(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((host, port))
            return port
