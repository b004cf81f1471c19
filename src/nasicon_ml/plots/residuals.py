"""Measured against predicted: the whole target, and system by system."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from nasicon_ml.columns import Column
from nasicon_ml.plots.style import (
    BLUE,
    DENSITY_MAP,
    GREY,
    INK,
    ORANGE,
    PALE,
    Floats,
    TargetStyle,
    decade_ticks,
    drawing,
    first_repeat,
    new_figure,
    percent,
    target_style,
    title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Systems with fewer pellets are drawn together: a median of three says nothing.
FEWEST_PELLETS = 8
_OTHERS = " others"


@drawing
def parity(out_of_fold: pd.DataFrame, target: str, *, subset: str = "") -> Figure:
    """Draw measured against predicted, each with its 90 % interval.

    Parameters
    ----------
    out_of_fold
        As in `TrainingResult.out_of_fold`.
    target
        ``conductivity`` or ``relative_density`` (a probability has a reliability diagram instead).
    subset
        Which pellets these are, for the title.

    Returns
    -------
    matplotlib.figure.Figure
        Points coloured by how crowded they are; grey lines are intervals; dashed lines lie one decade, or
        five points, off.
    """
    style = target_style(target)
    rows = first_repeat(out_of_fold, target)
    measured, predicted = rows["measured"].to_numpy(float), rows["predicted"].to_numpy(float)
    lower, upper = rows["lower"].to_numpy(float), rows["upper"].to_numpy(float)
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(7.2, 5.6)
    figure.set_layout_engine("none")  # square axes and a column of their own for words: placed by hand
    axes = figure.add_axes((0.125, 0.105, 4.4 / 7.2, 4.4 / 5.6))
    ends = _square_limits(axes, np.concatenate([measured, predicted]), style)
    axes.plot(ends, ends, color=INK, linewidth=1.0, zorder=4)
    for shift in (-style.band, style.band):
        axes.plot(ends, ends + shift, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=4)
    axes.vlines(measured, lower, upper, color=GREY, alpha=0.16, linewidth=0.9, zorder=1)
    crowd = crowding(measured, predicted)
    order = np.argsort(crowd)
    points = axes.scatter(
        measured[order], predicted[order], c=crowd[order], cmap=DENSITY_MAP, s=13, linewidth=0.25,
        edgecolor="white", zorder=3,
    )  # fmt: skip
    bar = figure.colorbar(points, cax=figure.add_axes((0.785, 0.115, 0.025, 0.42)))
    bar.set_label("pellets in the same cell", fontsize=8.5)
    bar.locator = MaxNLocator(nbins=5, integer=True)
    bar.update_ticks()
    axes.set_xlabel(f"measured {style.column.axis_label}")
    axes.set_ylabel(f"predicted {style.column.axis_label}, 90 % interval")
    _write_scores(axes, style, measured, predicted, (lower, upper))
    title(axes, style.name, rows, subset)
    return figure


def _square_limits(axes: Axes, values: Floats, style: TargetStyle) -> Floats:
    """Return both axes the same range, a little wider than the points; return its two ends."""
    low, high = float(values.min()), float(values.max())
    margin = 0.04 * (high - low) or style.band
    ends = np.array([low - margin, high + margin])
    axes.set_xlim(*ends)
    axes.set_ylim(*ends)
    axes.set_aspect("equal")
    axes.grid(visible=True)
    if style.logarithmic:
        decade_ticks(axes)
    return ends


def _write_scores(
    axes: Axes, style: TargetStyle, measured: Floats, predicted: Floats, interval: tuple[Floats, Floats]
) -> None:
    error = np.abs(measured - predicted)
    lines = [f"mean |error| {error.mean():.2f} {style.error_unit}", f"median |error| {np.median(error):.2f}"]
    spread = float(np.sum((measured - measured.mean()) ** 2))
    if spread > 0:
        lines.append(f"R² {1 - float(np.sum((measured - predicted) ** 2)) / spread:.2f}")
    covered = (measured >= interval[0]) & (measured <= interval[1])
    lines.append(f"in the interval {percent(covered.mean())}")
    axes.annotate(
        "\n".join(lines), (1, 1), (10, 0), xycoords="axes fraction", textcoords="offset points", va="top",
        fontsize=8.5, linespacing=1.5,
    )  # fmt: skip


def crowding(x: Floats, y: Floats, cells: int = 45) -> Floats:
    """Count for each point how many share its cell of a grid over the data; shape (n,)."""
    counts, x_edges, y_edges = np.histogram2d(x, y, bins=cells)
    column = np.clip(np.searchsorted(x_edges, x, side="right") - 1, 0, cells - 1)
    row = np.clip(np.searchsorted(y_edges, y, side="right") - 1, 0, cells - 1)
    return np.asarray(counts[column, row], dtype=np.float64)


@drawing
def residuals_by_system(out_of_fold: pd.DataFrame, target: str, *, subset: str = "") -> Figure:
    """Draw predicted minus measured for each system, the most accurate on top.

    Parameters
    ----------
    out_of_fold
        As in `TrainingResult.out_of_fold`.
    target
        ``conductivity`` or ``relative_density``.
    subset
        Which pellets these are, for the title.

    Returns
    -------
    matplotlib.figure.Figure
        One row a system, ordered by mean ``|error|``, with pellets and sources in its label; systems of fewer
        than eight pellets are drawn as one, below.
    """
    style = target_style(target)
    rows = first_repeat(out_of_fold, target)
    rows = rows.assign(residual=rows["predicted"] - rows["measured"], group=_groups(rows))
    names = _ordered(rows)
    figure = new_figure(8.0, 1.7 + 0.36 * len(names))
    axes = figure.add_subplot()
    axes.axvline(0, color=INK, linewidth=1.0, zorder=1)
    axes.axvspan(-style.band, style.band, color=PALE, alpha=0.45, linewidth=0, zorder=0)
    jitter = np.random.default_rng(0)
    for place, name in enumerate(names):
        residual = rows.loc[rows["group"] == name, "residual"].to_numpy(float)
        _draw_system(axes, place, residual, jitter)
    axes.set_yticks(range(len(names)), [_label(rows, name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=True, axis="x")
    axes.set_xlabel(
        f"predicted - measured {style.column.label} ({style.error_unit})\n"
        f"dot: median; bar: middle half; grey: within {style.band:g} {style.error_unit.removesuffix('s')}"
        f"{'' if style.band == 1 else 's'}"
    )
    _write_errors(axes, rows, names, style)
    title(axes, f"{style.name}: residuals by system", rows, subset)
    return figure


def _groups(rows: pd.DataFrame) -> pd.Series[str]:
    system = rows[Column.SYSTEM].fillna("unknown").astype(str)
    count = system.map(system.value_counts())
    few = count < FEWEST_PELLETS
    return system.where(~few, f"{system[few].nunique()}{_OTHERS}")


def _ordered(rows: pd.DataFrame) -> list[str]:
    error = rows["residual"].abs().groupby(rows["group"]).mean()
    names = [str(name) for name in error.sort_values(kind="stable").index]
    return sorted(names, key=lambda name: name.endswith(_OTHERS))


def _label(rows: pd.DataFrame, name: str) -> str:
    chosen = rows[rows["group"] == name]
    sources = chosen[Column.SOURCE].nunique()
    return f"{name}   n = {len(chosen):,}, {sources:,} {'source' if sources == 1 else 'sources'}"


def _draw_system(axes: Axes, place: int, residual: Floats, jitter: np.random.Generator) -> None:
    height = place + jitter.uniform(-0.26, 0.26, len(residual))
    alpha = float(np.clip(6.0 / np.sqrt(len(residual)), 0.25, 0.8))
    axes.scatter(residual, height, s=9, color=BLUE, alpha=alpha, linewidth=0, zorder=2)
    low, middle, high = np.percentile(residual, [25, 50, 75])
    axes.plot([low, high], [place, place], color=INK, linewidth=3.0, solid_capstyle="butt", zorder=3)
    axes.scatter([middle], [place], s=30, color=ORANGE, edgecolor=INK, linewidth=0.9, zorder=4)


def _write_errors(axes: Axes, rows: pd.DataFrame, names: list[str], style: TargetStyle) -> None:
    error = rows["residual"].abs().groupby(rows["group"]).mean()
    for place, name in enumerate(names):
        axes.text(
            1.015, place, f"{error[name]:.2f}", transform=axes.get_yaxis_transform(), va="center", fontsize=8.5
        )
    axes.annotate(
        f"mean |error|\n({style.error_unit})", (1.015, 1), (0, 7), xycoords="axes fraction",
        textcoords="offset points", fontsize=8, color=GREY,
    )  # fmt: skip
