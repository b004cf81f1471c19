"""`make benchmark-campaigns`: would campaigns have found the best recipes of published series sooner.

Ours are run with the committed model: its out-of-fold predictions and the code of `nasicon-ml recommend`. Paths
of methods that know nothing of it are kept (`benchmarks/results/campaign_paths.json`) for as long as the series
stay the same: a new model needs some minutes, and no BayBE. `make benchmark-baybe` renews those of BayBE.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from benchmarks.campaign_baselines import key_of, read_paths, write_for_baybe, write_paths
from benchmarks.campaign_report import page, regrets_by_pellets
from benchmarks.campaign_runs import BAYBE, OURS, PROCESS, paths_of, scored
from benchmarks.campaign_series import Series, find_series
from benchmarks.campaign_synthetic import simulate_campaigns
from benchmarks.plausibility import CHAMPION
from benchmarks.scoring import differences
from nasicon_ml.errors import NasiconError
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.evaluation.scores import source_weights
from nasicon_ml.io.tables import write_table, write_text
from nasicon_ml.model import PropertyModel
from nasicon_ml.plots.style import save

RESULTS = Path("benchmarks/results")
PATHS = "campaign_paths.json"
#: Orders of the recipes of each series; for BayBE so many, since a path takes it a minute.
ORDERS, ORDERS_BAYBE = 50, 10
LABORATORIES = 100
DRAWS = 2000
DIGITS = 4
_SCORES = ("third", "early", "to_near", "to_best")


def read_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.campaigns", description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of results (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="few orders and laboratories: to see that it runs")
    parser.add_argument("--for-baybe", type=Path, metavar="FILE", help="write the series for BayBE, and stop")
    parser.add_argument("--from-baybe", type=Path, metavar="FILE", help="take over its paths first")
    return parser.parse_args(arguments)


def run_series(
    every: Sequence[Series], paths: dict[str, dict[str, dict[int, list[int]]]], orders: int
) -> pd.DataFrame:
    """Score all methods on all series, and add the paths of the Gaussian process to `paths`."""
    found = []
    for series in every:
        key = key_of(series)
        known = {method: paths.setdefault(method, {}).setdefault(key, {}) for method in (PROCESS, BAYBE)}
        found.append(scored(series, paths_of(series, series.orders(orders), known)))
    return pd.concat(found, ignore_index=True)


def by_source(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the means over orders: one row per target, start, method and source."""
    keys = ["target", "start", "model", "source"]
    groups = scores.groupby(keys, sort=False)
    return groups.mean().assign(n_orders=groups.size()).drop(columns="order").reset_index()


def compared(scores: pd.DataFrame, *, draws: int = DRAWS, seed: int = 0) -> pd.DataFrame:
    """Compare ours with each other method on the orders both have, sources drawn again with replacement.

    Returns
    -------
    pandas.DataFrame
        One row per target, start, score and method: difference to it, with the 95 % bootstrap interval.
    """
    rows = []
    for (target, start), part in scores.groupby(["target", "start"], sort=False):
        ours = part[part["model"] == OURS]
        for peer, theirs in part[part["model"] != OURS].groupby("model", sort=False):
            both = ours.merge(theirs, on=["source", "order"], suffixes=("", "_peer"))
            means = both.groupby("source", sort=True).mean(numeric_only=True)
            weights = source_weights(means.index, draws, seed)
            for metric in _SCORES:
                values = {OURS: means[metric].to_numpy(), str(peer): means[f"{metric}_peer"].to_numpy()}
                at_hand = {model: float(value.mean()) for model, value in values.items()}
                drawn = {model: weights @ value / weights.sum(axis=1) for model, value in values.items()}
                (row,) = differences((OURS,), at_hand, drawn, lower_is_better=True)
                head = {"target": target, "start": start, "metric": metric}
                rows.append(head | row | {"n_sources": len(means), "n_orders": len(both) // len(means)})
    return pd.DataFrame(rows)


def write_results(scores: pd.DataFrame, synthetic: pd.DataFrame, made: dict[str, str], folder: Path) -> None:
    """Write tables, figure and page."""
    folder.mkdir(parents=True, exist_ok=True)
    table, against = by_source(scores).round(DIGITS), compared(scores).round(DIGITS)
    write_table(table, folder / "campaigns.csv")
    write_table(against, folder / "campaign_differences.csv")
    write_table(synthetic, folder / "campaigns_synthetic.csv")
    save(regrets_by_pellets(table), folder / "campaigns.png")
    write_text(page(table, against, synthetic, made), folder / "campaigns.md")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0, or 2 for a mistake in the command or the data."""
    started = time.perf_counter()

    def say(message: str) -> None:
        print(f"{time.perf_counter() - started:7.1f} s  {message}", file=sys.stderr, flush=True)

    given = read_arguments(arguments)
    try:
        model = PropertyModel.load(CHAMPION)
        say("fitting how errors of the other folds go together")
        out_of_fold = model.out_of_fold[model.out_of_fold["repeat"] == 0] if given.quick else model.out_of_fold
        every = list(find_series(out_of_fold, model.pellets))
        if given.for_baybe:
            write_for_baybe(every, given.for_baybe, starts=ORDERS_BAYBE, seed=0)
            return 0
        versions, paths = read_paths(RESULTS / PATHS)
        if given.from_baybe:
            content = json.loads(given.from_baybe.read_text(encoding="utf-8"))
            versions |= content["versions"]
            paths[BAYBE] = {
                key: {int(first): rows for first, rows in found.items()} for key, found in content["paths"].items()
            }
        say(f"campaigns on {len(every)} series")
        scores = run_series(every, paths, 3 if given.quick else ORDERS)
        versions |= {name: version(name) for name in ("scikit-learn",)}
        say("made-up laboratories")
        kernel = model.own[TargetName.CONDUCTIVITY]
        synthetic = simulate_campaigns(kernel, 3 if given.quick else LABORATORIES)
        write_results(scores, synthetic, versions, given.out)
        keys = {key_of(series) for series in every}
        kept = {method: {key: found[key] for key in sorted(keys & set(found))} for method, found in paths.items()}
        write_paths(versions, kept, given.out / PATHS)
    except NasiconError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    say(f"done: {given.out / 'campaigns.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
