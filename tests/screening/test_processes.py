"""Scoring in processes gives the results of threads, and no process remains after an error or a signal."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import sys
import time
import types
from dataclasses import replace
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
TWO_PROCESSES = Effort(threads=2, chunk=41, engine="processes")


@pytest.mark.filterwarnings("ignore::nasicon_ml.errors.TableNote")
@pytest.mark.parametrize("space_kind", ["space", "sample with own pellets"])
def test_processes_give_same_result_as_one_thread(
    champion: PropertyModel, tmp_path: Path, space_kind: str
) -> None:
    space: Any = SPACE
    if space_kind != "space":
        space = SearchSpace.from_yaml(ROOT / "examples" / "screening" / "small.yaml").sample(300, seed=2)
        champion = OwnModel.of(champion, own_pellets(ROOT / "examples" / "my_pellets.csv"))
    folders = [OutputFolder(tmp_path / name, scored=True) for name in ("one", "two")]
    efforts = [Effort(threads=1, chunk=41), TWO_PROCESSES]
    by_thread, by_processes = (
        screen(space, champion, QUESTION, effort, output=folder)
        for effort, folder in zip(efforts, folders, strict=True)
    )
    assert by_processes.aggregate.to_json() == by_thread.aggregate.to_json()
    scored = [pd.read_parquet(folder.folder / "scored") for folder in folders]
    pd.testing.assert_frame_equal(*scored, check_exact=True)
    assert not multiprocessing.active_children()


class SpaceRaisingFieldError(SmallSpace):
    """A space that raises FieldError in other processes."""

    def chunk(self, start: int, stop: int) -> Candidates:
        if multiprocessing.parent_process() is not None:
            raise FieldError("x", start, "positions of another space", place="space.yaml, line 3")
        return super().chunk(start, stop)


def test_processes_do_not_run_main_module_again(
    champion: PropertyModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main_module = types.ModuleType("__main__")  # Streamlit, for example, replaces it
    main_module.__file__ = str(tmp_path / "app.py")
    Path(main_module.__file__).write_text("raise SystemExit('the main module was run again')", encoding="utf-8")
    monkeypatch.setitem(sys.modules, "__main__", main_module)
    assert screen(SPACE, champion, QUESTION, TWO_PROCESSES).is_complete
    assert sys.modules["__main__"] is main_module


def test_space_of_the_script_needs_no_other_process(
    champion: PropertyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SpaceRaisingFieldError, "__module__", "__main__")
    assert screen(SpaceRaisingFieldError(), champion, QUESTION, replace(TWO_PROCESSES, threads=1)).is_complete
    with pytest.raises(NasiconError, match="SpaceRaisingFieldError: other processes know no class"):
        screen(SpaceRaisingFieldError(), champion, QUESTION, TWO_PROCESSES)


def test_field_error_in_process_is_raised_unchanged(champion: PropertyModel) -> None:
    with pytest.raises(FieldError, match=r"space\.yaml, line 3: x: .* positions of another space"):
        screen(SpaceRaisingFieldError(), champion, QUESTION, TWO_PROCESSES)
    assert not multiprocessing.active_children()


class SpaceRaisingZeroDivisionError(SmallSpace):
    """A space that raises ZeroDivisionError in other processes."""

    def chunk(self, start: int, stop: int) -> Candidates:
        if multiprocessing.parent_process() is not None:
            raise ZeroDivisionError("deep inside")
        return super().chunk(start, stop)


def test_unexpected_error_in_process_has_traceback_as_note(champion: PropertyModel) -> None:
    with pytest.raises(ZeroDivisionError, match="deep inside") as caught:
        screen(SpaceRaisingZeroDivisionError(), champion, QUESTION, TWO_PROCESSES)
    (note,) = caught.value.__notes__
    assert "Traceback" in note
    assert "test_processes.py" in note


def test_scoring_process_ignores_sigint_and_raises_error_if_killed(champion: PropertyModel) -> None:
    scorer = Scorer(SPACE, champion, QUESTION)
    process = ScoringProcess(PackedScorer.pack(scorer))
    try:
        assert process.aggregate(0, 50).to_json() == scorer.aggregate(0, 50).to_json()
        (child,) = multiprocessing.active_children()
        assert child.pid is not None
        os.kill(child.pid, signal.SIGINT)  # as Ctrl-C does; it has no effect
        assert process.aggregate(50, 60).to_json() == scorer.aggregate(50, 60).to_json()
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(NasiconError, match=r"a process of the screening ended \(exit code -9\)"):
            process.aggregate(60, 70)
    finally:
        process.close()


class EndlessSpace(SmallSpace):
    """A space so large that its screening does not end during a test."""

    size = 10**9

    def chunk(self, start: int, stop: int) -> Candidates:
        return super().chunk(0, stop - start)


#: Script without `if __name__ == "__main__":`; `os.mkdir` fails if a process runs it again.
SCRIPT = """
import os
from pathlib import Path
from nasicon_ml.errors import NasiconError
from nasicon_ml.model import PropertyModel
from nasicon_ml.screening.engine import screen
from nasicon_ml.screening.result import OutputFolder
from nasicon_ml.screening.scoring import Effort
from nasicon_ml.workflows.predict import default_bundle
from tests.screening.test_processes import EndlessSpace

class ScriptSpace(EndlessSpace):
    pass

def print_progress(progress):
    print(progress.done, flush=True)

os.mkdir("once")
model, effort = PropertyModel.load(default_bundle()), Effort(2, 50, "processes")
try:
    screen(ScriptSpace(), model, effort=effort, output=OutputFolder(Path("out")))
except NasiconError as error:
    print(error, flush=True)
screen(EndlessSpace(), model, effort=effort, progress=print_progress)
"""


@pytest.mark.slow
@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGKILL])
def test_processes_end_when_parent_is_terminated_or_killed(tmp_path: Path, signal_number: signal.Signals) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    with running(sys.executable, script, env=env, cwd=tmp_path, stdout=PIPE, stderr=PIPE, text=True) as program:
        assert "ScriptSpace: other processes know no class of your own script" in program.stdout.readline()
        assert not (tmp_path / "out").exists()
        for _ in range(20):  # more chunks than are submitted before the other process starts
            assert program.stdout.readline()
        started_processes = {pid for pid in _running_processes(program.pid) if pid != program.pid}
        assert started_processes
        program.send_signal(signal_number)
        program.wait(PATIENCE_S)
        deadline = time.monotonic() + PATIENCE_S
        while started_processes & _running_processes(program.pid):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def _running_processes(group: int) -> set[int]:
    """Return the ids of the processes of a group that have not ended."""
    running_ids = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, pgrp = (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[:3]
            except OSError:
                continue  # the process has just ended
            if int(pgrp) == group and state != "Z":
                running_ids.add(int(entry.name))
    return running_ids


@pytest.mark.parametrize("settings", [{"threads": 1}, {"threads": 8, "chunk": SPACE.size}])
def test_one_thread_or_one_chunk_starts_no_process(
    champion: PropertyModel, monkeypatch: pytest.MonkeyPatch, settings: dict[str, int]
) -> None:
    monkeypatch.setattr("nasicon_ml.screening.engine.ScoringProcess", None)
    assert screen(SPACE, champion, QUESTION, dataclasses.replace(TWO_PROCESSES, **settings)).is_complete
