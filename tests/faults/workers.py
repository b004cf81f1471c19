"""How tests start, stop and kill command lines: as real processes, on a small dataset."""

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
    """A command line, or several, in a process."""

    pid: int
    log: Path
    shop: Any
    started: float = field(default_factory=time.monotonic)

    def text(self) -> str:
        """Return what it wrote to both streams."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def message(self) -> str:
        """Return what a person would take for the answer: no progress, none of our marks."""
        lines = [line for line in self.text().splitlines() if not line.startswith("---") and " %  " not in line]
        return "\n".join(lines)

    def wait_for(self, words: str) -> bool:
        """Wait until it has written the words; False if it has ended before."""
        while words not in self.text():
            if not self.is_running():
                return words in self.text()
            assert time.monotonic() - self.started < PATIENCE_S, self.text()
            time.sleep(0.002)
        return True

    def is_running(self) -> bool:
        stat = Path(f"/proc/{self.pid}/stat")
        try:
            return stat.read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
        except (FileNotFoundError, ProcessLookupError):
            return False

    def end(self) -> int:
        """Wait for its end and return its exit code; a negative one is the signal that killed it."""
        while self.is_running():
            if time.monotonic() - self.started > PATIENCE_S:
                os.kill(self.pid, 9)
                raise AssertionError(f"it hangs: {self.text()}")
            time.sleep(0.005)
        return int(self.shop.ask({"wait": self.pid})["code"])


class Shop:
    """The warm program of `tests.faults.warm`, and the children it makes."""

    def __init__(self, folder: Path) -> None:
        source = str(Path(nasicon_ml.__file__).parents[1])
        root = str(Path(__file__).parents[2])
        env = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
        env |= {"PYTHONPATH": os.pathsep.join([source, root]), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        env.pop("PYTEST_CURRENT_TEST", None)
        self.count, self.folder = 0, folder
        self.program = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.warm"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=folder, env=env,
        )  # fmt: skip
        self._answer()

    def ask(self, wanted: dict[str, Any]) -> dict[str, Any]:
        print(json.dumps(wanted), file=self.program.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        line = self.program.stdout.readline()
        assert line, "the warm program has ended"
        return json.loads(line)

    def start(self, folder: Path, *steps: list[str], **settings: Any) -> Worker:
        """Start command lines, one after the other, in a folder."""
        self.count += 1
        log = self.folder / f"{self.count}.log"
        wanted = {"steps": [list(map(str, step)) for step in steps], "folder": str(folder), "log": str(log)}
        return Worker(self.ask(wanted | settings)["pid"], log, self)

    def run(self, folder: Path, *steps: list[str], **settings: Any) -> tuple[int, str]:
        """Run command lines to the end; return the exit code and what was written."""
        worker = self.start(folder, *steps, **settings)
        return worker.end(), worker.message()

    def close(self) -> None:
        """End the warm program; its children have ended."""
        self.program.stdin.close()
        try:
            self.program.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.program.kill()
            self.program.wait()
        self.program.stdout.close()


def json_in(text: str) -> Any:
    """Read the JSON object or list in what a command line wrote to both streams."""
    lines = text.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(("{", "[")))
    return json.JSONDecoder().raw_decode("\n".join(lines[first:]))[0]
