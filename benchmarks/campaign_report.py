"""The page and the figure of the campaigns."""

from __future__ import annotations

import importlib.metadata
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmarks.campaign_runs import BAYBE, EARLY, FOLLOWED, GREEDY, NEAR, NOTHING, ONE, OURS, PROCESS, RANDOM
from benchmarks.campaign_synthetic import MOST, MOST_COST, NONE, REVERSED, RIGHT
from benchmarks.campaign_synthetic import NEAR as NEAR_MADE_UP
from benchmarks.plausibility import champion_checksum
from nasicon_ml.data.files import PELLETS_FILE, dataset_checksum, datasets_folder
from nasicon_ml.estimators.targets import TARGETS, TargetName
from nasicon_ml.plots.style import BLUE, GREEN, GREY, INK, ORANGE, VERMILION, drawing, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODELS = {OURS: BLUE, GREEDY: GREEN, PROCESS: ORANGE, BAYBE: VERMILION, RANDOM: GREY}
WORDS = {"conductivity": "Conductivity", "relative_density": "Relative density"}
STARTS = {NOTHING: "from nothing", ONE: "from one random pellet"}
_HEADS = {
    "third": "regret after a third of the recipes",
    "early": f"mean regret over {EARLY} experiments",
    "to_near": "pellets until nearly the best",
    "to_best": "until the best",
}
NOTES = f"""\
- Series: every lithium source with at least five different recipes, pellets of one recipe as one, with their
  mean. The models that predict them never saw the source (out-of-fold predictions of the committed model, three
  repeats), and the covariance of their errors is fitted to the other folds, as in P8 of the
  [accuracy benchmark](accuracy.md). The next recipe is chosen by the code of `nasicon-ml recommend` (expected
  improvement).
- Regret: by how much the best pellet so far falls short of the best recipe of the series. A random pellet to
  start from counts as a pellet made; the {EARLY} experiments are those after it. Nearly the best: within
  {NEAR[TargetName.CONDUCTIVITY]} decades, or {NEAR[TargetName.RELATIVE_DENSITY]:.0f} point of density.
- The random pellet is the first of 50 random orders, the same for all. Random order, the Gaussian process
  (scikit-learn: Matern 5/2 with a length for each field, noise, expected improvement) and BayBE at its defaults
  know nothing before a pellet: from nothing they begin with the random one, and their two curves are the same.
  They see amounts of the elements and all fields that differ in the series. {GREEDY}: best prediction first.
- BayBE is slow, and was run from the first pellets of 10 of the 50 orders; ours and BayBE are compared on the
  orders that both have (which is why its first pellets differ from the others' in the figure).
- Means over sources; intervals are the middle 95 % of a bootstrap that draws sources with replacement.
- The candidates are what somebody thought worth making: where no such choice was made before, a campaign has more
  to gain, and more to get wrong. Series are short, most of five to sixteen recipes.
"""


def page(table: pd.DataFrame, against: pd.DataFrame, synthetic: pd.DataFrame, versions: dict[str, str]) -> str:
    """Return the page of results, in Markdown."""
    lines = [
        "# Campaigns: would they have found the best recipes sooner?", "",
        made_with(versions), "",
        "![Regret after each pellet](campaigns.png)",
    ]  # fmt: skip
    for (target, start), part in table.groupby(["target", "start"], sort=False):
        unit, digits = TARGETS[TargetName(str(target))].unit, 3 if target == "conductivity" else 2
        count, of_series = part["source"].nunique(), part.drop_duplicates("source")["n"]
        lines += ["", f"## {WORDS[str(target)]}, {STARTS[str(start)]}", ""]
        lines += [
            f"{count} series of {of_series.min():.0f} to {of_series.max():.0f} recipes; regrets in {unit}.",
            "",
        ]
        lines += [f"| | {' | '.join(_HEADS.values())} |", f"|---|{'---:|' * len(_HEADS)}"]
        means = part.groupby("model")[list(_HEADS)].mean()
        for model in (model for model in MODELS if model in means.index):
            row = means.loc[model]
            cells = [f"{row[metric]:.{digits if metric in ('third', 'early') else 1}f}" for metric in _HEADS]
            lines.append(f"| {model} | {' | '.join(cells)} |")
        chosen = against[(against["target"] == target) & (against["start"] == start)]
        lines += ["", f"| ours minus | {' | '.join(list(_HEADS.values())[:2])} |", "|---|---:|---:|"]
        for peer in (model for model in MODELS if model in set(chosen["peer"])):
            rows = chosen[chosen["peer"] == peer].set_index("metric").loc[["third", "early"]]
            cells = [
                f"{row['difference']:+.{digits}f} ({row['lower']:+.{digits}f} to {row['upper']:+.{digits}f}),"
                f" {row['verdict']}"
                for _, row in rows.iterrows()
            ]
            lines.append(f"| {peer} | {' | '.join(cells)} |")
    lines += ["", "## Held against the aims", "", *aims(table, against)]
    lines += ["", "## Made-up laboratories", "", *made_up(synthetic)]
    return "\n".join([*lines, "", "## Notes", "", NOTES])


def made_with(versions: dict[str, str]) -> str:
    """Return when, and of what, the page was made."""
    others = ", ".join(f"{name} {number}" for name, number in versions.items())
    return (
        f"Written by `make benchmark-campaigns` on {datetime.now(UTC):%Y-%m-%d}; nasicon-ml"
        f" {importlib.metadata.version('nasicon-ml')}, model {champion_checksum()[:12]}, pellets"
        f" {dataset_checksum(datasets_folder() / PELLETS_FILE)[:12]}; {others}."
    )


def aims(table: pd.DataFrame, against: pd.DataFrame) -> list[str]:
    """Return for each aim whether it is reached, in Markdown."""
    lines = ["| aim | | reached |", "|---|---|---|"]
    for (target, start), part in table.groupby(["target", "start"], sort=False):
        where = f"{WORDS[str(target)].lower()}, {STARTS[str(start)]}"
        means = part.groupby("model")["third"].mean()
        share = means[OURS] / means[RANDOM]
        told = "yes" if share <= 0.5 else "no"
        lines.append(f"| at most half the regret of random after a third: {where} | {share:.0%} of it | {told} |")
        rows = against[
            (against["target"] == target) & (against["start"] == start) & (against["metric"] == "early")
        ].set_index("peer")
        for peer in (peer for peer in (PROCESS, BAYBE) if peer in rows.index):
            verdict = str(rows["verdict"][peer])
            told = "yes" if verdict == "better" else "no"
            lines.append(f"| better than {peer} in the first {EARLY} experiments: {where} | {verdict} | {told} |")
    return lines


def made_up(synthetic: pd.DataFrame) -> list[str]:
    """Return what campaigns on made-up laboratories took, in Markdown."""
    wide = synthetic.pivot_table(index="laboratory", columns="prior", values="pellets")
    random = np.random.default_rng(0)
    drawn = wide.to_numpy()[random.integers(len(wide), size=(2000, len(wide)))].mean(axis=1)
    none = list(wide.columns).index(NONE)
    what = (
        f"{len(wide)} laboratories of 60 recipes, LATP by composition, temperature and atmosphere, each with a"
        f" best recipe of its own; pellets until one of a recipe within {NEAR_MADE_UP} decades of the best is"
        f" made, {MOST} at most. Aim: with the sign of the prior reversed at most {MOST_COST:.1f} times the"
        " pellets that none takes."
    )
    lines = [
        what, "",
        "| prior | pellets, mean | median | found | pellets over those without a prior (95 %) |",
        "|---|---:|---:|---:|---:|",
    ]  # fmt: skip
    for prior in (RIGHT, NONE, REVERSED):
        part, at = synthetic[synthetic["prior"] == prior], list(wide.columns).index(prior)
        low, high = np.quantile(drawn[:, at] / drawn[:, none], (0.025, 0.975))
        ratio = wide[prior].mean() / wide[NONE].mean()
        cell = "" if prior == NONE else f"{ratio:.2f} ({low:.2f} to {high:.2f})"
        pellets = part["pellets"]
        lines.append(
            f"| {prior} | {pellets.mean():.1f} | {pellets.median():.0f} | {part['found'].mean():.0%} | {cell} |"
        )
    return lines


@drawing
def regrets_by_pellets(table: pd.DataFrame) -> Figure:
    """Draw the mean regret over the pellets made, a line a method, a panel a target and start."""
    targets, starts = list(dict.fromkeys(table["target"])), list(STARTS)
    figure = new_figure(8.4, 3.1 * len(targets))
    panels = figure.subplots(len(targets), len(starts), sharex=True, sharey="row", squeeze=False)
    columns = [f"regret_{at + 1}" for at in range(FOLLOWED)]
    for row, target in enumerate(targets):
        for axes, start in zip(panels[row], starts, strict=True):
            part = table[(table["target"] == target) & (table["start"] == start)]
            means = part.groupby("model")[columns].mean()
            for model, color in MODELS.items():
                if model in means.index:
                    axes.plot(
                        range(1, FOLLOWED + 1), means.loc[model], "o-", color=color, label=model, markersize=3.5
                    )
            axes.set_title(f"{WORDS[target]}, {STARTS[start]}", color=INK)
            axes.set_ylim(bottom=0)
            axes.grid(visible=True)
        panels[row][0].set_ylabel(f"regret, {TARGETS[TargetName(target)].unit}")
    for axes in panels[-1]:
        axes.set_xlabel("pellets made")
    panels[0][-1].legend()
    return figure
