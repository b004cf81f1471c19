"""`make benchmark-accuracy`: ours beside what others would use, on the same folds, with the floor of the data."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from benchmarks.accuracy_figures import has_panels, models_by_protocol, order_in_series
from benchmarks.accuracy_report import RunInfo, page
from benchmarks.dataset import Options
from benchmarks.error_report import write_limits
from benchmarks.protocols import PROTOCOLS, Run
from benchmarks.scoring import Results
from nasicon_ml.errors import FieldError, NasiconError, nearest
from nasicon_ml.io.tables import write_table, write_text
from nasicon_ml.plots.style import save

QUICK = Options(folds=2, repeats=1, draws=200, trees=10)
#: Digits of the written numbers: beyond what a repeat could reproduce on another machine's arithmetic.
DIGITS = 6


def read_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    default = Options()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("--protocols", default=",".join(PROTOCOLS), help="with commas (default: %(default)s)")
    parser.add_argument("--repeats", type=int, help=f"deal the sources anew so often (default: {default.repeats})")
    parser.add_argument("--folds", type=int, help=f"grouped folds (default: {default.folds})")
    parser.add_argument("--seed", type=int, default=default.seed, help="of folds, models and draws (default: 0)")
    parser.add_argument("--threads", type=int, default=default.threads, help="folds side by side (default: 2)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="folder of results")
    parser.add_argument("--quick", action="store_true", help="few folds, draws and trees: to see that it runs")
    parser.add_argument("--limits", action="store_true", help="what limits the scores, instead of the scores")
    return parser.parse_args(arguments)


def options_of(arguments: argparse.Namespace) -> Options:
    """Turn the command line into options of a run."""
    options = QUICK if arguments.quick else Options()
    options = replace(options, seed=arguments.seed, threads=arguments.threads)
    for name, smallest in (("folds", 2), ("repeats", 1)):
        value = getattr(arguments, name)
        if value is not None:
            if value < smallest:
                raise FieldError(name, value, f"a whole number from {smallest}")
            options = replace(options, **{name: value})
    return options


def protocols_of(text: str) -> tuple[str, ...]:
    """Read the protocols to run, in their own order."""
    wanted = [word.strip().upper() for word in text.split(",") if word.strip()]
    for word in wanted:
        if word not in PROTOCOLS:
            raise FieldError("protocols", word, ", ".join(PROTOCOLS), nearest(word, PROTOCOLS))
    return tuple(protocol for protocol in PROTOCOLS if protocol in wanted)


def run_protocols(run: Run, protocols: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Run protocols one after the other; give the tables of scores and of differences."""
    found = Results()
    for at, protocol in enumerate(protocols, start=1):
        run.say(f"{protocol} ({at} of {len(protocols)})")
        found.extend(PROTOCOLS[protocol](run))
    scores, differences = (pd.DataFrame(rows).round(DIGITS) for rows in (found.scores, found.differences))
    order = ["protocol", "target", "subset", "model", "metric", "mean", "spread", "n_rows", "n_sources"]
    return scores[order], differences


def write_results(scores: pd.DataFrame, differences: pd.DataFrame, made: RunInfo, folder: Path) -> None:
    """Write tables, figures and page, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    write_table(scores, folder / "accuracy.csv")
    write_table(differences, folder / "differences.csv")
    if has_panels(scores):
        save(models_by_protocol(scores), folder / "accuracy.png")
    if "P6" in set(scores["protocol"]):
        save(order_in_series(scores), folder / "series.png")
    write_text(page(scores, differences, made), folder / "accuracy.md")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0, or 2 for a mistake in the command or the data."""
    started = time.perf_counter()

    def say(message: str) -> None:
        print(f"{time.perf_counter() - started:7.1f} s  {message}", file=sys.stderr, flush=True)

    given = read_arguments(arguments)
    command = " ".join(["python -m benchmarks.accuracy", *(sys.argv[1:] if arguments is None else arguments)])
    try:
        run = Run(options_of(given), say)
        if given.limits:
            write_limits(run, command, given.out)
            say(f"done: {given.out / 'limits.md'}")
            return 0
        scores, differences = run_protocols(run, protocols_of(given.protocols))
        made = RunInfo(command, run.options, time.perf_counter() - started)
        write_results(scores, differences, made, given.out)
    except NasiconError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    say(f"done: {given.out / 'accuracy.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
