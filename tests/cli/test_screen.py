"""``nasicon-ml screen``: output, files, messages and exit codes; Ctrl-C and resuming with real signals."""

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

from nasicon_ml.cli import screen as screen_module
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


def file_names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_own_pellets_change_results_and_are_rejected_with_dask(screen: Run, tmp_path: Path) -> None:
    (tmp_path / "lab.csv").write_text(
        "Composition;sigma (mS/cm)\nLATP x=0,3;3\nLATP x=0,4;2,5\n", encoding="utf-8"
    )
    without_own, with_own = screen("space.yaml", "--json"), screen("space.yaml", "--json", "--own", "lab.csv")
    assert with_own.code == 0, with_own.err
    assert "note: lab.csv: column 'sigma (mS/cm)' read as conductivity_total_s_cm, divided by 1000" in with_own.err
    best = [
        json.loads(outcome.out)["best"][0]["predicted_conductivity_s_cm"] for outcome in (without_own, with_own)
    ]
    assert best[1] > 1.5 * best[0]
    refused = screen("space.yaml", "--own", "lab.csv", "--engine", "dask")
    assert refused.code == 2
    assert "own pellets stay on this machine" in refused.err


def test_summary_contains_question_counts_and_best_recipes(screen: Run, tmp_path: Path) -> None:
    outcome = screen("space.yaml")
    assert outcome.code == 0, outcome.err
    assert "looked for: predicted conductivity in S/cm" in outcome.out
    assert "looked through: 60 of 60 in " in outcome.out
    assert "  50 satisfy the constraints" in outcome.out
    assert re.search(r"best 10 of \d+ kept \(one of each composition and way of making", outcome.out)
    assert "LAGP" in outcome.out
    assert "50 to score at " in outcome.err
    assert file_names(tmp_path) == {"space.yaml"}


def test_number_of_candidates_and_model_are_printed_to_standard_error(screen: Run) -> None:
    errors = screen("space.yaml").err.splitlines()
    assert any("tiny: 50 candidates" in line for line in errors)
    assert any(line.startswith("model: ") and "trained 20" in line for line in errors)


def test_long_screening_uses_processes_with_equal_results(screen: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = screen("space.yaml", "--threads", "2", "--json")
    assert "2 threads" in threads.err
    monkeypatch.setattr(screen_module, "WORTH_PROCESSES_S", 0)
    processes = screen("space.yaml", "--threads", "2", "--json")
    assert "2 processes" in processes.err
    assert "1 thread" in screen("space.yaml", "--threads", "1").err
    assert json.loads(processes.out)["best"] == json.loads(threads.out)["best"]


def test_output_folder_contains_all_files(screen: Run, tmp_path: Path) -> None:
    outcome = screen("space.yaml", "--output", "out", "--keep", "7", "--scored", "--json")
    assert outcome.code == 0, outcome.err
    out = tmp_path / "out"
    assert file_names(out) == {
        "kept.csv",
        "front.csv",
        "summary.json",
        "map.png",
        "front.png",
        "state.json",
        "scored",
    }
    printed, written = json.loads(outcome.out), json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert printed["complete"] is True
    assert printed["model"]["name"] == MODEL
    assert printed["counts"] == written["counts"]
    assert printed["counts"]["positions"] == 60
    kept = pd.read_csv(out / "kept.csv")["space_position"].tolist()
    assert [position for position in kept if position in {row["space_position"] for row in printed["best"]}] == [
        row["space_position"] for row in printed["best"]
    ]
    assert sum(row["kept_alike"] for row in printed["best"]) == len(kept) == 7
    assert len(pd.read_parquet(out / "scored")) == 50
    assert str(Path("out") / "kept.csv") in outcome.err


def test_kept_recipes_can_be_read_as_a_batch(screen: Run, tmp_path: Path) -> None:
    from nasicon_ml.io import read_table
    from nasicon_ml.recipe import read_batch

    assert screen("space.yaml", "--output", "out", "--keep", "5").code == 0
    again = read_batch(read_table(tmp_path / "out" / "kept.csv"))
    assert len(again.table) == 5
    assert not again.findings


def test_tables_are_written_as_parquet(screen: Run, tmp_path: Path) -> None:
    assert screen("space.yaml", "--output", "out", "--format", "parquet", "--keep", "5").code == 0
    kept = pd.read_parquet(tmp_path / "out" / "kept.parquet")
    assert len(kept) == 5
    assert kept["inside_domain"].dtype == bool


def test_options_are_passed_to_the_question(screen: Run) -> None:
    outcome = screen(
        "space.yaml", "--objective", "success", "--threshold", "1e-4", "--keep", "3", "--level", "0.8", "--at-c",
        "60", "--outside", "--json",
    )  # fmt: skip
    question = json.loads(outcome.out)["question"]
    assert question == {
        "objective": {"name": "success", "threshold_s_cm": 1e-4},
        "keep": 3, "level": 0.8, "at_c": 60.0, "inside_only": False, "balanced_only": True,
    }  # fmt: skip
    assert json.loads(outcome.out)["best"][0]["measurement_temperature_c"] == 60.0


def test_budget_draws_a_sample_determined_by_the_seed(screen: Run) -> None:
    first, same, other = (
        json.loads(screen("space.yaml", "--budget", "20", "--method", "random", "--seed", seed, "--json").out)
        for seed in ("1", "1", "2")
    )
    assert first["counts"]["positions"] == 20
    assert first["best"] == same["best"]
    assert first["best"] != other["best"]


def test_many_candidates_require_the_yes_option(
    screen: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(screen_module, "MOST_WITHOUT_YES", 49)
    refused = screen("space.yaml", "--output", "out")
    assert refused.code == 2
    assert "50 to score at" in refused.err
    assert "--yes begins nevertheless" in refused.err
    assert file_names(tmp_path) == {"space.yaml"}
    assert screen("space.yaml", "--yes").code == 0
    assert screen("space.yaml", "--budget", "49").code == 0


@pytest.mark.parametrize(
    ("arguments", "pattern"),
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
def test_invalid_arguments_exit_with_code_2_and_write_nothing(
    screen: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], pattern: str
) -> None:
    monkeypatch.setattr("nasicon_ml.screening.cluster._CONNECT_S", 1)
    outcome = screen(*arguments)
    assert outcome.code == 2
    assert re.search(pattern, outcome.err), outcome.err
    assert "Traceback" not in outcome.err
    assert not outcome.out
    assert file_names(tmp_path) == {"space.yaml"}


def test_space_without_candidates_exits_with_code_2(screen: Run, tmp_path: Path) -> None:
    text = SPACE.replace(
        "constraints:", "constraints:\n  - require: {sintering_temperature_c: {max: 100}}\n    because: x"
    )
    (tmp_path / "space.yaml").write_text(text, encoding="utf-8")
    outcome = screen("space.yaml", "--output", "out")
    assert outcome.code == 2
    assert file_names(tmp_path) == {"space.yaml"}


def test_parse_wishes() -> None:
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
def test_format_duration(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


class InterruptAfter:
    """A progress callback that raises SIGINT, as Ctrl-C does, after a number of chunks."""

    def __init__(self, chunks: int) -> None:
        self.remaining = chunks

    def __call__(self, *_: Any) -> None:
        self.remaining -= 1
        if self.remaining == 0:
            signal.raise_signal(signal.SIGINT)


@pytest.fixture
def interrupted(screen: Run, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the output folder of a screening that was interrupted by Ctrl-C."""
    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr("nasicon_ml.cli.screen._ProgressLines", lambda: InterruptAfter(2))
        outcome = screen("space.yaml", "--output", "out", "--keep", "6", "--chunk", "5", "--threads", "1")
    assert outcome.code == 130
    assert "PARTIAL" in outcome.out
    assert "partial result" in outcome.err
    assert "--resume out" in outcome.err
    assert signal.getsignal(signal.SIGINT) is before
    return "out"


def test_resumed_screening_restores_options_and_writes_equal_files(
    screen: Run, interrupted: str, tmp_path: Path
) -> None:
    assert 10 <= read_state(tmp_path / interrupted).position < 60
    assert json.loads((tmp_path / interrupted / "summary.json").read_text(encoding="utf-8"))["complete"] is False
    (tmp_path / "space.yaml").rename(tmp_path / "moved.yaml")
    assert screen("--resume", interrupted).code == 0
    assert screen("moved.yaml", "--output", "whole", "--keep", "6").code == 0
    for name in ("kept.csv", "front.csv"):
        assert (tmp_path / interrupted / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_resuming_with_other_options_or_space_exits_with_code_2(
    screen: Run, interrupted: str, tmp_path: Path
) -> None:
    refused = screen("--resume", interrupted, "--keep", "7")
    assert (refused.code, "with keep 6, not 7" in refused.err) == (2, True)
    (tmp_path / "space.yaml").write_text(SPACE.replace("[2, 6]", "[2, 12]"), encoding="utf-8")
    refused = screen("space.yaml", "--resume", interrupted)
    assert (refused.code, "another space" in refused.err) == (2, True)
    assert screen("space.yaml", "--output", interrupted).code == 2


SCREEN_COMMAND = (Path(sys.executable).parent / "nasicon-ml", "screen", "--model", MODEL)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "processes"])
def test_screening_interrupted_by_sigint_can_be_resumed_without_loss(
    screen: Run, tmp_path: Path, engine: str
) -> None:
    """The signal reaches all processes; after resuming, the files are equal to those of an uninterrupted run."""
    text = SPACE.replace("[2, 6]", "{from: 1, to: 12, step: 1}")
    (tmp_path / "space.yaml").write_text(text, encoding="utf-8")
    options = ("--scored", "--chunk", "6", "--keep", "30")
    arguments = ("--output", "out", "--threads", "2", "--engine", engine, *options)
    with running(
        *SCREEN_COMMAND, "space.yaml", *arguments, cwd=tmp_path, stdout=PIPE, stderr=PIPE, text=True
    ) as process:
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
            resumed = tmp_path / "out" / path.relative_to(tmp_path / "whole")
            assert resumed.read_bytes() == path.read_bytes(), path.name
    assert file_names(tmp_path / "out" / "scored") == file_names(tmp_path / "whole" / "scored")


def _wait_for_parts(folder: Path, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not folder.is_dir() or len(list(folder.glob("part-*"))) < count:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_output_inside_model_folder_is_rejected(screen: Run, tmp_path: Path) -> None:
    model = shutil.copytree(MODEL, tmp_path / "model")
    before = file_names(model)
    outcome = screen("space.yaml", "--model", str(model), "--output", str(model / "found"))
    assert (outcome.code, "this is within the model's folder" in outcome.err) == (2, True)
    assert file_names(model) == before
