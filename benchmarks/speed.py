"""How fast recipes are screened, beside what a user would write and what the trees alone take.

    python -m benchmarks.speed

Everything is measured in one run on one machine, each in a process of its own, and written to
`benchmarks/results/speed.md` and `.json`. Ratios are what can be compared with another machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.serving import processor
from benchmarks.serving_server import CHAMPION, published
from benchmarks.speed_report import page
from nasicon_ml.io import write_text
from nasicon_ml.workflows.predict import default_bundle

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
COMMAND = "python -m benchmarks.speed"
#: Recipes of the screenings, by threads; from a thousand to ten million.
THREADS, SIZES = (1, 2), (10**3, 10**4, 10**5, 10**6, 10**7)
#: Processes in place of threads, for the largest of them and for recipes drawn one by one.
PROCESSES = max(THREADS)
#: Recipes drawn one by one, and as many of the limit; what is measured so often in turn, as the speed of a machine
#: may change by a third from minute to minute.
DRAWN, TURNS = 3 * 10**5, 3
#: Recipes of what a user would write, whose time grows with each alike, and of one who featurizes every different
#: formula once.
USUAL, ONCE = 2_000, 10**5
#: Rows of the table of the daily path.
DAILY = 1_000
TIMES = (1, 3, 10)
#: A command is started so many times; the median counts.
STARTS = 5


def run(name: str, first: int, second: int) -> dict[str, Any]:
    """Execute one run of `benchmarks.speed_runs` in a separate process."""
    # The module is imported rather than run as a script, so that worker processes can unpickle its classes.
    program = "from benchmarks.speed_runs import main; main()"
    command = [sys.executable, "-c", program, name, str(first), str(second)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{name} {first:,} {second}: {found['seconds']:.2f} s", file=sys.stderr)
    return found


def in_turn(*runs: tuple[str, int, int]) -> list[dict[str, Any]]:
    """Execute several runs in turn, `TURNS` times; return the median of each."""
    rounds = [[run(*each) for each in runs] for _ in range(TURNS)]
    return [
        sorted(each, key=lambda found: float(found["seconds"]))[TURNS // 2] for each in zip(*rounds, strict=True)
    ]


def cold(starts: int) -> dict[str, dict[str, float]]:
    """Return the median and shortest wall time of commands in seconds, including the start of Python."""
    program = [str(Path(sys.executable).parent / "nasicon-ml")]
    recipe = ["--formula", "Li1.3Al0.3Ti1.7(PO4)3", "--sintering-temperature", "900"]
    with tempfile.TemporaryDirectory() as folder:
        store = published(default_bundle(), Path(folder))
        asked = Path(folder) / "recipe.csv"
        asked.write_text("formula,sintering_temperature_c\nLi1.3Al0.3Ti1.7(PO4)3,900\n", encoding="utf-8")
        mlflow = [
            str(Path(sys.executable).parent / "mlflow"), "models", "predict", "-m", CHAMPION, "--env-manager",
            "local", "-t", "csv", "-i", str(asked),
        ]  # fmt: skip
        commands = {
            'python -c "import numpy"': [sys.executable, "-c", "import numpy"],
            'python -c "import pandas"': [sys.executable, "-c", "import pandas"],
            'python -c "import xgboost"': [sys.executable, "-c", "import xgboost"],
            'python -c "import nasicon_ml"': [sys.executable, "-c", "import nasicon_ml"],
            "nasicon-ml predict": [*program, "predict", *recipe],
            "mlflow models predict": mlflow,
        }
        environment = os.environ | {
            "MLFLOW_TRACKING_URI": store,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        return {name: _started(command, environment, starts) for name, command in commands.items()}


def _started(command: list[str], environment: dict[str, str], starts: int) -> dict[str, float]:
    seconds = []
    for _ in range(starts + 1):  # the first start is not counted because it reads the files from disk
        begun = time.perf_counter()
        subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, check=True)
        seconds.append(time.perf_counter() - begun)
    ordered = sorted(seconds[1:])
    return {"median": ordered[len(ordered) // 2], "shortest": ordered[0]}


def described() -> dict[str, Any]:
    """Return command, date, versions and hardware."""
    names = ("nasicon-ml", "xgboost", "matminer", "mlflow", "numpy", "pandas")
    return {
        "command": COMMAND,
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in names},
        "hardware": f"{len(os.sched_getaffinity(0))} cores of {processor()}",
        "load_before": os.getloadavg()[0],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Screening, beside what a user would write.")
    parser.add_argument("--largest", type=int, default=10**7, help="recipes of the largest screening")
    parser.add_argument(
        "--times", type=int, nargs="*", default=list(TIMES), help="trainings: the dataset so often"
    )
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for speed.md and speed.json")
    chosen = parser.parse_args(arguments)
    found = described()
    found["cold"] = cold(STARTS)
    found["daily"] = run("daily", DAILY, 11)["rows"]
    found["usual"] = run("usual", USUAL, 1)
    found["usual_once"] = run("usual_once", min(ONCE, chosen.largest), 2)
    recipes = min(DRAWN, chosen.largest)
    asked = [(name, recipes, threads) for name in ("limit", "drawn") for threads in THREADS]
    *threaded, found["drawn_in_processes"] = in_turn(*asked, ("drawn_in_processes", recipes, PROCESSES))
    found["limit"], found["drawn"] = threaded[: len(THREADS)], threaded[len(THREADS) :]
    sizes = [size for size in SIZES if size <= chosen.largest]
    screened = [run("screening", size, threads) for size in sizes for threads in THREADS]
    found["screening"] = sorted(screened, key=lambda one: int(one["threads"]))
    found["screening_in_processes"] = run("screening_in_processes", sizes[-1], PROCESSES)
    found["training"] = [run("training", times, 2) for times in chosen.times]
    found["load_after"] = os.getloadavg()[0]
    write_text(json.dumps(found, indent=2) + "\n", chosen.output / "speed.json")
    write_text(page(found), chosen.output / "speed.md")
    print(page(found))


if __name__ == "__main__":
    main()
