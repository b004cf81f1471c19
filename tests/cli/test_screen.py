"""``nasicon-ml screen``: what it says, writes and refuses; Ctrl-C and resuming with real signals."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pandas as pd
import pytest

from nasicon_ml.cli import screen as command
from nasicon_ml.cli.formatting import format_duration
from nasicon_ml.cli.screen import parse_wishes
from nasicon_ml.errors import FieldError
from nasicon_ml.screening.objectives import Wish
from nasicon_ml.screening.result import read_state
from tests.cli.conftest import Run
from tests.programs import PATIENCE_S, running

ROOT = Path(__file__).parents[2]
MODEL = str(ROOT / "models" / "champion")
SPACE = """\
name: tiny
compositions:
  - system: LATP
    x: [0.2, 0.3, 0.4]
  - system: LAGP
    x: [0.4, 0.5]
processing:
  sintering_temperature_c: [700, 800, 900]
  sintering_time_h: [2, 6]
  atmosphere: [air, Ar]
constraints:
  - when: {atmosphere: Ar}
    then: {sintering_temperature_c: {max: 800}}
    because: of the binder
"""


@pytest.fixture
def screen(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `nasicon-ml screen` in a folder with a space in it, with the committed model."""
    monkeypatch.setenv("NASICON_ML_MODEL", MODEL)
    (tmp_path / "space.yaml").write_text(SPACE, encoding="utf-8")
    return lambda *arguments: run("screen", *arguments)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_own_pellets_move_what_is_found_and_stay_here(screen: Run, tmp_path: Path) -> None:
    (tmp_path / "lab.csv").write_text(
        "Composition;sigma (mS/cm)\nLATP x=0,3;3\nLATP x=0,4;2,5\n", encoding="utf-8"
    )
    plain, moved = screen("space.yaml", "--json"), screen("space.yaml", "--json", "--own", "lab.csv")
    assert moved.code == 0, moved.err
    assert "note: lab.csv: column 'sigma (mS/cm)' read as conductivity_total_s_cm, divided by 1000" in moved.err
    best = [json.loads(outcome.out)["best"][0]["predicted_conductivity_s_cm"] for outcome in (plain, moved)]
    assert best[1] > 1.5 * best[0]
    refused = screen("space.yaml", "--own", "lab.csv", "--engine", "dask")
    assert refused.code == 2
    assert "own pellets stay on this machine" in refused.err


def test_a_summary_says_what_was_asked_and_found(screen: Run, tmp_path: Path) -> None:
    outcome = screen("space.yaml")
    assert outcome.code == 0, outcome.err
    assert "looked for: predicted conductivity in S/cm" in outcome.out
    assert "looked through: 60 of 60 in " in outcome.out
    assert "  50 satisfy the constraints" in outcome.out
    assert re.search(r"best 10 of \d+ kept \(one of each composition and way of making", outcome.out)
    assert "LAGP" in outcome.out
    assert "50 to score at " in outcome.err
    assert names(tmp_path) == {"space.yaml"}


def test_size_and_time_are_told_before_the_summary(screen: Run) -> None:
    errors = screen("space.yaml").err.splitlines()
    assert any("tiny: 50 candidates" in line for line in errors)
    assert any(line.startswith("model: ") and "trained 20" in line for line in errors)


def test_what_takes_long_is_done_in_processes(screen: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    few = screen("space.yaml", "--threads", "2", "--json")
    assert "2 threads" in few.err
    monkeypatch.setattr(command, "WORTH_PROCESSES_S", 0)
    many = screen("space.yaml", "--threads", "2", "--json")
    assert ("2 processes" in many.err, "1 thread" in screen("space.yaml", "--threads", "1").err) == (True, True)
    assert json.loads(many.out)["best"] == json.loads(few.out)["best"]


def test_everything_is_written_into_the_folder(screen: Run, tmp_path: Path) -> None:
    outcome = screen("space.yaml", "--output", "out", "--keep", "7", "--scored", "--json")
    assert outcome.code == 0, outcome.err
    out = tmp_path / "out"
    assert names(out) == {"kept.csv", "front.csv", "summary.json", "map.png", "front.png", "state.json", "scored"}
    printed, written = json.loads(outcome.out), json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert printed["complete"] is True
    assert printed["model"]["name"] == MODEL
    assert printed["counts"] == written["counts"]
    assert printed["counts"]["positions"] == 60
    kept = pd.read_csv(out / "kept.csv")["space_position"].tolist()
    assert [place for place in kept if place in {row["space_position"] for row in printed["best"]}] == [
        row["space_position"] for row in printed["best"]
    ]
    assert sum(row["kept_alike"] for row in printed["best"]) == len(kept) == 7
    assert len(pd.read_parquet(out / "scored")) == 50
    assert str(Path("out") / "kept.csv") in outcome.err


def test_what_was_kept_can_be_predicted_again(screen: Run, tmp_path: Path) -> None:
    from nasicon_ml.io import read_table
    from nasicon_ml.recipe import read_batch

    assert screen("space.yaml", "--output", "out", "--keep", "5").code == 0
    again = read_batch(read_table(tmp_path / "out" / "kept.csv"))
    assert len(again.table) == 5
    assert not again.findings


def test_tables_can_be_parquet(screen: Run, tmp_path: Path) -> None:
    assert screen("space.yaml", "--output", "out", "--format", "parquet", "--keep", "5").code == 0
    kept = pd.read_parquet(tmp_path / "out" / "kept.parquet")
    assert len(kept) == 5
    assert kept["inside_domain"].dtype == bool


def test_options_reach_the_question(screen: Run) -> None:
    outcome = screen(
        "space.yaml", "--objective", "success", "--threshold", "1e-4", "--keep", "3", "--level", "0.8", "--at-c",
        "60", "--outside", "--json",
    )  # fmt: skip
    asked = json.loads(outcome.out)["question"]
    assert asked == {
        "objective": {"name": "success", "threshold_s_cm": 1e-4},
        "keep": 3, "level": 0.8, "at_c": 60.0, "inside_only": False, "balanced_only": True,
    }  # fmt: skip
    assert json.loads(outcome.out)["best"][0]["measurement_temperature_c"] == 60.0


def test_a_budget_draws_a_sample(screen: Run) -> None:
    first, same, other = (
        json.loads(screen("space.yaml", "--budget", "20", "--method", "random", "--seed", seed, "--json").out)
        for seed in ("1", "1", "2")
    )
    assert first["counts"]["positions"] == 20
    assert first["best"] == same["best"]
    assert first["best"] != other["best"]


def test_many_candidates_need_a_yes(screen: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(command, "MOST_WITHOUT_YES", 49)
    refused = screen("space.yaml", "--output", "out")
    assert refused.code == 2
    assert "50 to score at" in refused.err
    assert "--yes begins nevertheless" in refused.err
    assert names(tmp_path) == {"space.yaml"}
    assert screen("space.yaml", "--yes").code == 0
    assert screen("space.yaml", "--budget", "49").code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "no search space"),
        (("nowhere.yaml",), "nowhere.yaml"),
        (("space.yaml", "--objective", "conductivty"), "Did you mean 'conductivity'"),
        (("space.yaml", "--objective", "success"), "threshold"),
        (("space.yaml", "--threshold", "1e-4"), "success alone"),
        (("space.yaml", "--objective", "desirability", "--desire", "density=80"), "density=85:98:2"),
        (("space.yaml", "--keep", "0"), "keep: 0 is not accepted"),
        (("space.yaml", "--level", "0.99999"), "level"),
        (("space.yaml", "--level", "90"), "90 % is written 0.9"),
        (("space.yaml", "--threads", "0"), "threads: 0"),
        (("space.yaml", "--chunk", "0"), "chunk: 0"),
        (("space.yaml", "--engine", "spark"), "engine: 'spark' is not accepted; allowed: local, processes, dask"),
        (("space.yaml", "--engine", "dask"), "scheduler: None is not accepted"),
        (("space.yaml", "--scheduler", "tcp://127.0.0.1:9"), "with the engine dask alone"),
        (
            ("space.yaml", "--engine", "dask", "--scheduler", "tcp://127.0.0.1:9", "--output", "out"),
            r"nasicon-ml\[dask\]|cannot be reached",
        ),
        (("space.yaml", "--at-c", "5000"), "measurement|--at"),
        (("space.yaml", "--method", "random"), "--method says how --budget is drawn"),
        (("space.yaml", "--budget", "10", "--method", "halton"), "sobol"),
        (("space.yaml", "--budget", "0"), "budget: 0"),
        (("space.yaml", "--scored"), "--scored needs --output"),
        (("space.yaml", "--output", "space.yaml"), "is a file"),
        (("space.yaml", "--output", "."), "is not empty"),
        (("space.yaml", "--output", ""), "is not empty"),
        (("space.yaml", "--output", "a/b"), "there is no folder a"),
        (("space.yaml", "--model", "nowhere"), "there is no such folder"),
        (("--resume", "nowhere"), "there is no screening to resume"),
        (("space.yaml", "--resume", "out", "--output", "out"), "leave --output out"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_written(
    screen: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.setattr("nasicon_ml.screening.cluster._CONNECT_S", 1)
    outcome = screen(*arguments)
    assert outcome.code == 2
    assert re.search(words, outcome.err), outcome.err
    assert "Traceback" not in outcome.err
    assert not outcome.out
    assert names(tmp_path) == {"space.yaml"}


def test_a_space_of_nothing_is_refused(screen: Run, tmp_path: Path) -> None:
    text = SPACE.replace(
        "constraints:", "constraints:\n  - require: {sintering_temperature_c: {max: 100}}\n    because: x"
    )
    (tmp_path / "space.yaml").write_text(text, encoding="utf-8")
    outcome = screen("space.yaml", "--output", "out")
    assert outcome.code == 2
    assert names(tmp_path) == {"space.yaml"}


def test_wishes_are_read() -> None:
    assert parse_wishes(["conductivity=1e-6:1e-3:2", "sintering_temperature=1200:700"]) == {
        "conductivity": Wish(1e-6, 1e-3, 2.0),
        "sintering-temperature": Wish(1200.0, 700.0),
    }
    for bad in ("density", "density=80", "density=a:b", "density=1:2:3:4"):
        with pytest.raises(FieldError, match="--desire"):
            parse_wishes([bad])
    with pytest.raises(FieldError, match="each property once"):
        parse_wishes(["density=80:90", "density=80:95"])


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (119, "119 s"), (600, "10 min"), (7200, "2.0 h"), (3e5, "3.5 d")]
)
def test_a_time_is_written_in_a_fitting_unit(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


class StopsAfter:
    """Stands for a person who presses Ctrl-C once so many chunks are done."""

    def __init__(self, chunks: int) -> None:
        self.left = chunks

    def __call__(self, *_: Any) -> None:
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)


@pytest.fixture
def stopped(screen: Run, monkeypatch: pytest.MonkeyPatch) -> str:
    """The folder of a screening that Ctrl-C has stopped."""
    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr("nasicon_ml.cli.screen._ProgressLines", lambda: StopsAfter(2))
        outcome = screen("space.yaml", "--output", "out", "--keep", "6", "--chunk", "5", "--threads", "1")
    assert outcome.code == 130
    assert "PARTIAL" in outcome.out
    assert "partial result" in outcome.err
    assert "--resume out" in outcome.err
    assert signal.getsignal(signal.SIGINT) is before
    return "out"


def test_a_stopped_one_goes_on_with_its_own_options(screen: Run, stopped: str, tmp_path: Path) -> None:
    assert 10 <= read_state(tmp_path / stopped).position < 60
    assert json.loads((tmp_path / stopped / "summary.json").read_text(encoding="utf-8"))["complete"] is False
    (tmp_path / "space.yaml").rename(tmp_path / "moved.yaml")
    assert screen("--resume", stopped).code == 0
    assert screen("moved.yaml", "--output", "whole", "--keep", "6").code == 0
    for name in ("kept.csv", "front.csv"):
        assert (tmp_path / stopped / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_stopped_one_is_not_mixed_with_another(screen: Run, stopped: str, tmp_path: Path) -> None:
    refused = screen("--resume", stopped, "--keep", "7")
    assert (refused.code, "with keep 6, not 7" in refused.err) == (2, True)
    (tmp_path / "space.yaml").write_text(SPACE.replace("[2, 6]", "[2, 12]"), encoding="utf-8")
    refused = screen("space.yaml", "--resume", stopped)
    assert (refused.code, "another space" in refused.err) == (2, True)
    assert screen("space.yaml", "--output", stopped).code == 2


PROGRAM = (Path(sys.executable).parent / "nasicon-ml", "screen", "--model", MODEL)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "processes"])
def test_a_real_ctrl_c_loses_nothing(screen: Run, tmp_path: Path, engine: str) -> None:
    """Stopped in the middle by a signal that reaches all processes of the terminal, and resumed: as in one run."""
    text = SPACE.replace("[2, 6]", "{from: 1, to: 12, step: 1}")
    (tmp_path / "space.yaml").write_text(text, encoding="utf-8")
    options = ("--scored", "--chunk", "6", "--keep", "30")
    words = ("--output", "out", "--threads", "2", "--engine", engine, *options)
    with running(*PROGRAM, "space.yaml", *words, cwd=tmp_path, stdout=PIPE, stderr=PIPE, text=True) as process:
        _wait_for_parts(tmp_path / "out" / "scored", 3, process)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "PARTIAL" in out
    done = read_state(tmp_path / "out").position
    assert pd.read_parquet(tmp_path / "out" / "scored")["space_position"].max() < done < 360
    assert screen("--resume", "out").code == 0
    assert screen("space.yaml", "--output", "whole", *options).code == 0
    for path in (tmp_path / "whole").rglob("*"):
        if path.is_file() and path.name not in {"state.json", "summary.json"}:
            there = tmp_path / "out" / path.relative_to(tmp_path / "whole")
            assert there.read_bytes() == path.read_bytes(), path.name
    assert names(tmp_path / "out" / "scored") == names(tmp_path / "whole" / "scored")


def _wait_for_parts(folder: Path, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not folder.is_dir() or len(list(folder.glob("part-*"))) < count:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_nothing_is_written_into_the_folder_of_the_model(screen: Run, tmp_path: Path) -> None:
    model = shutil.copytree(MODEL, tmp_path / "model")
    before = names(model)
    outcome = screen("space.yaml", "--model", str(model), "--output", str(model / "found"))
    assert (outcome.code, "this is within the model's folder" in outcome.err) == (2, True)
    assert names(model) == before
