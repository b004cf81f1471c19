"""The figures of the results: errors of all models with the floor, and the order within series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmarks.scoring import REPLICATES
from nasicon_ml.plots.style import BLUE, GREY, INK, ORANGE, PALE, VERMILION, drawing, headline, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Panels of the first figure: protocol, subset, metric, words.
PANELS = (
    ("P1", "OBELiX", "mae_decades", "P1: composition only\nmean abs. error, decades"),
    ("P2", "all", "mae_decades", "P2: conductivity, all\nmean abs. error, decades"),
    ("P2", "sintering temperature given", "mae_decades", "P2: sintering temp. given\nmean abs. error, decades"),
    (
        "P2", "LATP, LAGP, LATGP; sintering temperature given", "mae_decades",
        "P2: LATP, LAGP, LATGP\nmean abs. error, decades",
    ),
    ("P3", "all", "mae_points", "P3: density\nmean abs. error, points"),
    ("P4", "all", "auroc", "P4: phase purity\nAUROC"),
)  # fmt: skip
SERIES_PANELS = (
    ("conductivity", "tau", "Conductivity: tau"),
    ("conductivity", "regret_decades", "Conductivity: regret, decades"),
    ("relative_density", "tau", "Density: tau"),
    ("relative_density", "regret_points", "Density: regret, points"),
)


@drawing
def models_by_protocol(scores: pd.DataFrame) -> Figure:
    """Draw each model as a dot with its spread over repeats, a panel per protocol; floors are dashed lines."""
    panels = [panel for panel in PANELS if not _part(scores, *panel[:3]).empty]
    names = _names(scores, [panel[:3] for panel in panels])
    figure = new_figure(3.0 + 2.1 * max(len(panels), 1), 1.4 + 0.27 * len(names))
    all_axes = figure.subplots(1, max(len(panels), 1), sharey=True, squeeze=False)[0]
    for axes, (protocol, subset, metric, words) in zip(all_axes, panels, strict=False):
        part = _part(scores, protocol, subset, metric)
        _dots(axes, part, names)
        for (floor, told), style in zip(REPLICATES.items(), ((0, (4, 3)), (0, (1, 2))), strict=True):
            row = _part(scores, protocol, f"{subset}; {told}", metric)
            row = row[row["model"] == floor]
            if len(row):
                axes.axvline(row["mean"].iloc[0], color=VERMILION, linewidth=1.1, linestyle=style, label=floor)
        axes.set_xlabel(words)
    _lines_below(figure, list(all_axes))
    return figure


def has_panels(scores: pd.DataFrame) -> bool:
    """Return whether `models_by_protocol` has anything to draw."""
    return any(not _part(scores, *panel[:3]).empty for panel in PANELS)


@drawing
def order_in_series(scores: pd.DataFrame) -> Figure:
    """Draw tau and regret of every model: protocol P6."""
    part = scores[scores["protocol"] == "P6"]
    names = list(dict.fromkeys(part["model"]))
    figure = new_figure(3.0 + 2.1 * len(SERIES_PANELS), 1.4 + 0.27 * len(names))
    all_axes = figure.subplots(1, len(SERIES_PANELS), sharey=True, squeeze=False)[0]
    for axes, (target, metric, words) in zip(all_axes, SERIES_PANELS, strict=True):
        rows = part[(part["target"] == target) & (part["metric"] == metric)]
        _dots(axes, rows, names)
        if len(rows):
            first = rows.iloc[0]
            axes.set_xlabel(f"{words}\n{first['n_sources']} series, {first['n_rows']} recipes")
    return figure


@drawing
def curve(
    table: pd.DataFrame, x: str, y: str, *, group: str, labels: tuple[str, str], words: tuple[str, str]
) -> Figure:
    """Draw a line of y over x per group, with `low` and `high` as a band if the table has them."""
    figure = new_figure(6.4, 4.0)
    axes = figure.add_subplot()
    for (name, rows), color in zip(
        table.groupby(group, sort=False), (BLUE, ORANGE, GREY, VERMILION), strict=False
    ):
        axes.plot(rows[x], rows[y], "o-", color=color, label=str(name), markersize=4.5)
        if {"low", "high"} <= set(rows):
            axes.fill_between(rows[x], rows["low"], rows["high"], color=color, alpha=0.15, linewidth=0)
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    axes.grid(visible=True)
    axes.legend()
    headline(axes, *words)
    return figure


def _part(scores: pd.DataFrame, protocol: str, subset: str, metric: str) -> pd.DataFrame:
    chosen = (scores["protocol"] == protocol) & (scores["subset"] == subset) & (scores["metric"] == metric)
    return scores[chosen]


def _names(scores: pd.DataFrame, panels: list[tuple[str, str, str]]) -> list[str]:
    parts = [_part(scores, *panel)["model"] for panel in panels]
    names = list(dict.fromkeys(pd.concat(parts))) if parts else []
    return sorted(names, key=lambda name: not str(name).startswith("ours"))


def _dots(axes: Axes, part: pd.DataFrame, names: list[str]) -> None:
    place = {name: at for at, name in enumerate(names)}
    y = part["model"].map(place).to_numpy()
    own = part["model"].str.startswith("ours").to_numpy()
    spread = np.nan_to_num(part["spread"].to_numpy(np.float64))
    for chosen, color in ((own, BLUE), (~own, INK)):
        axes.errorbar(
            part["mean"].to_numpy()[chosen], y[chosen], xerr=spread[chosen], fmt="o", color=color, markersize=5,
            elinewidth=1.2,
        )  # fmt: skip
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=True)
    axes.axhspan(-0.6, sum(name.startswith("ours") for name in names) - 0.5, color=PALE, alpha=0.4, linewidth=0)


def _lines_below(figure: Figure, all_axes: list[Axes]) -> None:
    """Add one legend for the dashed lines."""
    found: dict[str, Any] = {}
    for axes in all_axes:
        lines, words = axes.get_legend_handles_labels()
        found |= {word: line for line, word in zip(lines, words, strict=True) if word in REPLICATES}
    if found:
        figure.legend(list(found.values()), list(found), loc="outside lower center", ncols=2)
