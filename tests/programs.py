"""Programs that tests start: ended with all that they started, their pipes closed, whatever happens."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

#: Seconds after which a program is taken to hang, on a machine that does other things as well.
PATIENCE_S = 240
#: Ports that the system gives to nobody by itself.
_PORTS = range(20_000, 32_000)


@contextmanager
def running(*command: Any, **settings: Any) -> Iterator[subprocess.Popen[Any]]:
    """Start a program in a session of its own, and kill what is left of it when the block ends.

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
                with suppress(OSError):  # what was still to be written has no reader
                    pipe.close()


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port on which nobody listens.

    It is drawn, so that tests that run at the same time do not choose the same one before they use it.
    """
    dice = random.SystemRandom()
    while True:
        port = dice.choice(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((host, port))
            return port
