"""Processes score as threads do, and leave nothing behind: whatever happens to them, or to who started them."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import sys
import time
import types
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pandas as pd
import pytest

from nasicon_ml.data.own_pellets import own_pellets
from nasicon_ml.errors import FieldError, NasiconError
from nasicon_ml.model import OwnModel, PropertyModel
from nasicon_ml.screening.engine import screen
from nasicon_ml.screening.objectives import Question
from nasicon_ml.screening.processes import PackedScorer, ScoringProcess
from nasicon_ml.screening.result import OutputFolder
from nasicon_ml.screening.scoring import Effort, Scorer
from nasicon_ml.screening.space import Candidates, SearchSpace
from tests.contracts.source import ROOT
from tests.programs import PATIENCE_S, running
from tests.screening.spaces import SmallSpace

SPACE = SmallSpace()
QUESTION = Question(keep=25)
TWO = Effort(threads=2, chunk=41, engine="processes")


@pytest.mark.filterwarnings("ignore::nasicon_ml.errors.TableNote")
@pytest.mark.parametrize("what", ["a space", "a sample with own pellets"])
def test_processes_find_what_a_thread_finds(champion: PropertyModel, tmp_path: Path, what: str) -> None:
    space: Any = SPACE
    if what != "a space":
        space = SearchSpace.from_yaml(ROOT / "examples" / "screening" / "small.yaml").sample(300, seed=2)
        champion = OwnModel.of(champion, own_pellets(ROOT / "examples" / "my_pellets.csv"))
    folders = [OutputFolder(tmp_path / name, scored=True) for name in ("one", "two")]
    efforts = [Effort(threads=1, chunk=41), TWO]
    one, two = (
        screen(space, champion, QUESTION, effort, output=folder)
        for effort, folder in zip(efforts, folders, strict=True)
    )
    assert two.aggregate.to_json() == one.aggregate.to_json()
    scored = [pd.read_parquet(folder.folder / "scored") for folder in folders]
    pd.testing.assert_frame_equal(*scored, check_exact=True)
    assert not multiprocessing.active_children()


class Forbidden(SmallSpace):
    """A space of which another process cannot make the recipes."""

    def chunk(self, start: int, stop: int) -> Candidates:
        if multiprocessing.parent_process() is not None:
            raise FieldError("x", start, "positions of another space", place="space.yaml, line 3")
        return super().chunk(start, stop)


def test_the_program_that_screens_is_not_run_again(
    champion: PropertyModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = types.ModuleType("__main__")  # what Streamlit leaves there, for one
    app.__file__ = str(tmp_path / "app.py")
    Path(app.__file__).write_text("raise SystemExit('an app that cannot be run twice')", encoding="utf-8")
    monkeypatch.setitem(sys.modules, "__main__", app)
    assert screen(SPACE, champion, QUESTION, TWO).is_complete
    assert sys.modules["__main__"] is app


def test_an_error_in_a_process_is_raised_as_it_is(champion: PropertyModel) -> None:
    with pytest.raises(FieldError, match=r"space\.yaml, line 3: x: .* positions of another space"):
        screen(Forbidden(), champion, QUESTION, TWO)
    assert not multiprocessing.active_children()


class Faulty(SmallSpace):
    """A space that is not as it should be, in another process alone."""

    def chunk(self, start: int, stop: int) -> Candidates:
        if multiprocessing.parent_process() is not None:
            raise ZeroDivisionError("deep inside")
        return super().chunk(start, stop)


def test_a_fault_in_a_process_says_where_it_was(champion: PropertyModel) -> None:
    with pytest.raises(ZeroDivisionError, match="deep inside") as caught:
        screen(Faulty(), champion, QUESTION, TWO)
    (note,) = caught.value.__notes__
    assert "Traceback" in note
    assert "test_processes.py" in note


def test_a_process_that_ends_is_reported(champion: PropertyModel) -> None:
    scorer = Scorer(SPACE, champion, QUESTION)
    process = ScoringProcess(PackedScorer.pack(scorer))
    try:
        assert process.aggregate(0, 50).to_json() == scorer.aggregate(0, 50).to_json()
        (child,) = multiprocessing.active_children()
        assert child.pid is not None
        os.kill(child.pid, signal.SIGINT)  # as Ctrl-C does: without effect
        assert process.aggregate(50, 60).to_json() == scorer.aggregate(50, 60).to_json()
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(NasiconError, match=r"a process of the screening ended \(exit code -9\)"):
            process.aggregate(60, 70)
    finally:
        process.close()


class Endless(SmallSpace):
    """A space that is never done."""

    size = 10**9

    def chunk(self, start: int, stop: int) -> Candidates:
        return super().chunk(0, stop - start)


#: No `if __name__ == "__main__":` protects it, and a part of it cannot be run twice.
SCRIPT = """
import os
from pathlib import Path
from nasicon_ml.errors import NasiconError
from nasicon_ml.model import PropertyModel
from nasicon_ml.screening.engine import screen
from nasicon_ml.screening.result import OutputFolder
from nasicon_ml.screening.scoring import Effort
from nasicon_ml.workflows.predict import default_bundle
from tests.screening.test_processes import Endless

class Mine(Endless):
    pass

def say(progress):
    print(progress.done, flush=True)

os.mkdir("once")
model, effort = PropertyModel.load(default_bundle()), Effort(2, 50, "processes")
try:
    screen(Mine(), model, effort=effort, output=OutputFolder(Path("found")))
except NasiconError as error:
    print(error, flush=True)
screen(Endless(), model, effort=effort, progress=say)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_processes_end_with_the_one_that_started_them(tmp_path: Path, number: signal.Signals) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    with running(sys.executable, script, env=env, cwd=tmp_path, stdout=PIPE, stderr=PIPE, text=True) as program:
        assert "Mine: other processes know no class of your own script" in program.stdout.readline()
        assert not (tmp_path / "found").exists()
        for _ in range(20):  # more chunks than are handed out before the other process has begun
            assert program.stdout.readline()
        started = {pid for pid in _members(program.pid) if pid != program.pid}
        assert started
        program.send_signal(number)
        program.wait(PATIENCE_S)
        deadline = time.monotonic() + PATIENCE_S
        while started & _members(program.pid):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def _members(group: int) -> set[int]:
    """Return the processes of a group that have not ended."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, pgrp = (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[:3]
            except OSError:
                continue  # it has just ended
            if int(pgrp) == group and state != "Z":
                found.add(int(entry.name))
    return found


@pytest.mark.parametrize("settings", [{"threads": 1}, {"threads": 8, "chunk": SPACE.size}])
def test_no_more_processes_are_started_than_are_needed(
    champion: PropertyModel, monkeypatch: pytest.MonkeyPatch, settings: dict[str, int]
) -> None:
    monkeypatch.setattr("nasicon_ml.screening.engine.ScoringProcess", None)
    assert screen(SPACE, champion, QUESTION, dataclasses.replace(TWO, **settings)).is_complete
