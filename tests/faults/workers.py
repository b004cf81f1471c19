"""Starts command lines of `nasicon-ml` as processes that tests can watch, stop and kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nasicon_ml
from tests.programs import PATIENCE_S

FORMULA = "Li1.3Al0.3Ti1.7(PO4)3"
CHAMPION = "models:/nasicon-recipe@champion"
PROMOTE = ["registry", "promote", "--force", "--reason", "a test of faults"]


@dataclass
class Worker:
    """A process that runs one or more command lines."""

    pid: int
    log: Path
    runner: Any
    started: float = field(default_factory=time.monotonic)

    def output(self) -> str:
        """Return what was written to standard output and standard error."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def message(self) -> str:
        """Return the output without progress lines and markers of the tests."""
        lines = [line for line in self.output().splitlines() if not line.startswith("---") and " %  " not in line]
        return "\n".join(lines)

    def wait_for(self, words: str) -> bool:
        """Wait until the output contains the words; return False if the process ends without them."""
        while words not in self.output():
            if not self.is_running():
                return words in self.output()
            assert time.monotonic() - self.started < PATIENCE_S, self.output()
            time.sleep(0.002)
        return True

    def is_running(self) -> bool:
        stat = Path(f"/proc/{self.pid}/stat")
        try:
            return stat.read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
        except (FileNotFoundError, ProcessLookupError):
            return False

    def wait(self) -> int:
        """Wait for the end and return the exit code; a negative one is the signal that killed the process."""
        while self.is_running():
            if time.monotonic() - self.started > PATIENCE_S:
                os.kill(self.pid, 9)
                raise AssertionError(f"hangs: {self.output()}")
            time.sleep(0.005)
        return int(self.runner.request({"wait": self.pid})["code"])


class CommandRunner:
    """Runs command lines in children of the process of `tests.faults.warm`."""

    def __init__(self, folder: Path) -> None:
        source = str(Path(nasicon_ml.__file__).parents[1])
        root = str(Path(__file__).parents[2])
        env = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
        env |= {"PYTHONPATH": os.pathsep.join([source, root]), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        env.pop("PYTEST_CURRENT_TEST", None)
        self.count, self.folder = 0, folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.warm"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=folder, env=env,
        )  # fmt: skip
        self._answer()

    def request(self, content: dict[str, Any]) -> dict[str, Any]:
        print(json.dumps(content), file=self.process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        assert line, "the process of tests.faults.warm has ended"
        return json.loads(line)

    def start(self, folder: Path, *steps: list[str], **settings: Any) -> Worker:
        """Start command lines, which run one after the other, in a folder."""
        self.count += 1
        log = self.folder / f"{self.count}.log"
        content = {"steps": [list(map(str, step)) for step in steps], "folder": str(folder), "log": str(log)}
        return Worker(self.request(content | settings)["pid"], log, self)

    def run(self, folder: Path, *steps: list[str], **settings: Any) -> tuple[int, str]:
        """Run command lines to the end; return the exit code and the output."""
        worker = self.start(folder, *steps, **settings)
        return worker.wait(), worker.message()

    def close(self) -> None:
        """End the process; its children have ended."""
        self.process.stdin.close()
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def json_in(output: str) -> Any:
    """Return the JSON object or list in the output of a command line."""
    lines = output.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(("{", "[")))
    return json.JSONDecoder().raw_decode("\n".join(lines[first:]))[0]
