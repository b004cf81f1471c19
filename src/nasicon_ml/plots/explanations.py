"""What an answer rests on: the parts of one prediction, and the importance of features."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.errors import DatasetError
from nasicon_ml.plots.style import BLUE, GREY, INK, VERMILION, drawing, headline, new_figure, target_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PARTS = 9
_AXIS = {
    "decades": "log$_{10}$ of total conductivity (S/cm)",
    "points": "relative density (%)",
    "percentage points": "probability of phase purity (%)",
}
_REST = "everything else"
#: Characters of a part in one line.
_LINE = 44
#: Behind a number, so that a line does not run through it.
_PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}


@drawing
def contributions(
    explained: pd.DataFrame, target: str | None = None, *, row: int = 0, most: int = MOST_PARTS
) -> Figure:
    """Draw how the parts of one recipe lead from the average to its predictions.

    Parameters
    ----------
    explained
        As `nasicon_ml.workflows.explain.explain` gives it.
    target
        ``conductivity``, ``relative_density`` or ``phase_purity``; None for all three, below each other.
    row
        Which recipe.
    most
        How many parts to show of each; the others are added up in one bar.

    Returns
    -------
    matplotlib.figure.Figure
        One bar a part, the strongest on top, each beginning where the one above it ends: blue raises the answer,
        red lowers it.
    """
    targets = [target] if target is not None else list(dict.fromkeys(explained["target"]))
    drawn = {name: _strongest(explained, name, row, most) for name in targets}
    heights = [1.5 + 0.3 * len(names) for names, _, _ in drawn.values()]
    figure = new_figure(8.4, sum(heights))
    panels = figure.subplots(len(drawn), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (name, (names, sizes, ends)) in zip(panels, drawn.items(), strict=True):
        unit, base, predicted = ends
        _draw_steps(axes, names, sizes, base)
        axes.set_xlabel(_AXIS[unit])
        below = f"from {base:.4g}, the average of training, to {predicted:.4g}; numbers: {unit}"
        headline(axes, f"{target_style(name).name}: why", below)
    return figure


def _strongest(
    explained: pd.DataFrame, target: str, row: int, most: int
) -> tuple[list[str], NDArray[np.float64], tuple[str, float, float]]:
    """Return the names and sizes of the strongest parts, and unit, base and prediction."""
    target_style(target)
    parts = explained[(explained["target"] == target) & (explained["row"] == row)]
    if parts.empty:
        raise DatasetError(f"there is no explanation of {target} for recipe {row} to draw")
    parts = parts.reindex(parts["contribution"].abs().sort_values(ascending=False, kind="stable").index)
    names, sizes = parts["part"].astype(str).tolist(), parts["contribution"].to_numpy(float)
    if len(names) > most:
        names = [*names[: most - 1], f"{_REST} ({len(names) - most + 1})"]
        sizes = np.append(sizes[: most - 1], sizes[most - 1 :].sum())
    first = parts.iloc[0]
    return names, sizes, (str(first["unit"]), float(first["base"]), float(first["predicted"]))


def _draw_steps(axes: Axes, names: list[str], sizes: np.ndarray, base: float) -> None:
    place = np.arange(len(names))
    ends = base + np.cumsum(sizes)
    starts = ends - sizes
    colours = [BLUE if size >= 0 else VERMILION for size in sizes]
    axes.barh(place, sizes, left=starts, color=colours, height=0.62, zorder=2)
    axes.vlines(ends[:-1], place[:-1], place[1:], color=GREY, linewidth=0.8, zorder=1)
    axes.axvline(base, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    axes.axvline(ends[-1], color=INK, linewidth=1.0, zorder=1)
    low, high = min(starts.min(), ends.min()), max(starts.max(), ends.max())
    reach = max(high - low, 1e-6)
    for y, start, end, size in zip(place.tolist(), starts, ends, sizes, strict=True):
        axes.text(
            max(start, end) + 0.012 * reach,
            y,
            f"{size:+.2f}",
            va="center",
            fontsize=8,
            color=INK,
            zorder=4,
            bbox=_PAPER,
        )
    axes.set_xlim(low - 0.05 * reach, high + 0.12 * reach)
    axes.set_yticks(place, [fill(name, _LINE) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=True, axis="x")


MOST_FEATURES = 20


@drawing
def importance(frame: pd.DataFrame, target: str, *, most: int = MOST_FEATURES) -> Figure:
    """Draw how much worse a target is predicted when a feature is shuffled among held-out pellets.

    Parameters
    ----------
    frame
        As in `TrainingResult.importance`.
    target
        ``conductivity``, ``relative_density`` or ``phase_purity``.
    most
        How many features to show.

    Returns
    -------
    matplotlib.figure.Figure
        One bar a feature, the strongest on top, with its spread.
    """
    style = target_style(target)
    rows = frame[frame["target"] == target]
    if rows.empty:
        raise DatasetError(f"there is no importance of features for {target} to draw")
    total = len(rows)
    rows = rows.sort_values("importance", ascending=False, kind="stable").head(most)
    figure = new_figure(6.6, 1.3 + 0.25 * len(rows))
    axes = figure.add_subplot()
    place = range(len(rows))
    axes.barh(place, rows["importance"], color=BLUE, height=0.68, zorder=2)
    axes.errorbar(
        rows["importance"], place, xerr=rows["spread"], fmt="none", ecolor=INK, elinewidth=1.0, capsize=2,
        zorder=3,
    )  # fmt: skip
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set_yticks(place, rows["feature"].astype(str))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=True, axis="x")
    loss = f"mean |error| ({style.error_unit})" if style.error_unit else "the loss of the probability"
    axes.set_xlabel(f"increase of {loss}\nwhen the feature is shuffled; line: spread")
    shown = f"the first {len(rows)} of {total}" if total > len(rows) else f"all {total}"
    headline(axes, f"{style.name}: what it rests on", f"permutation on held-out sources: {shown} features")
    return figure
