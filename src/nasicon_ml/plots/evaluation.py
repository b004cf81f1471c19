"""Figures of out-of-fold predictions: calibration and errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from nasicon_ml.columns import Column
from nasicon_ml.errors import DatasetError
from nasicon_ml.plots.style import (
    BLUE,
    DASHED,
    DENSITY_MAP,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PALE,
    VERMILION,
    Z95,
    Flags,
    Floats,
    TargetStyle,
    decade_ticks,
    drawing,
    first_repeat,
    headline,
    label_rows,
    new_figure,
    percent,
    target_style,
    title,
    wilson,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Level of the intervals in `TrainingResult.out_of_fold`.
LEVEL = 0.9
#: Number of groups of intervals by width.
GROUPS = 8
#: Style of points with error bars.
_BARS: dict[str, Any] = {"color": BLUE, "ecolor": BLUE, "elinewidth": 1.2, "capsize": 3}


def _arrays(rows: pd.DataFrame, *names: str) -> list[Floats]:
    return [rows[name].to_numpy(float) for name in names]


@drawing
def interval_calibration(out_of_fold: pd.DataFrame, target: str, *, subset: str = "") -> Figure:
    """Draw errors against interval widths, and the coverage of intervals by width.

    Parameters
    ----------
    out_of_fold
        As in `TrainingResult.out_of_fold`; its intervals are at 90 %.
    target
        ``conductivity`` or ``relative_density``.
    subset
        Description of the pellets, for the title.

    Returns
    -------
    matplotlib.figure.Figure
        Left: ``|error|`` of each pellet against the half-width of its interval on the side of the measured value;
        points above the line are outside. Right: the share inside, for eight groups from narrow to wide, with 95 %
        Wilson intervals.
    """
    style = target_style(target)
    rows = first_repeat(out_of_fold, target)
    rows = rows[rows["lower"].notna() & rows["upper"].notna()]
    measured, predicted, lower, upper = _arrays(rows, "measured", "predicted", "lower", "upper")
    inside = (measured >= lower) & (measured <= upper)
    figure = new_figure(9.4, 4.6)
    left, right = figure.subplots(1, 2)
    # Intervals can be asymmetric: the half-width on the side of the measured value counts.
    reach = np.where(measured >= predicted, upper - predicted, predicted - lower)
    _draw_reach(left, reach, np.abs(measured - predicted), inside, style)
    _draw_coverage(right, upper - lower, inside, style)
    title(left, f"{style.name}: are the 90 % intervals right?", rows, subset)
    return figure


def _draw_reach(axes: Axes, reach: Floats, error: Floats, inside: Flags, style: TargetStyle) -> None:
    top = 1.04 * float(max(reach.max(), error.max()))
    axes.plot([0, top], [0, top], color=INK, linewidth=1.0, zorder=3)
    for name, chosen, colour, marker in (("inside", inside, BLUE, "o"), ("outside", ~inside, VERMILION, "^")):
        axes.scatter(
            reach[chosen], error[chosen], s=12, color=colour, alpha=0.5, linewidth=0, marker=marker,
            label=f"{name}: {int(chosen.sum()):,}",
        )  # fmt: skip
    axes.set_xlim(0, 1.04 * float(reach.max()))
    axes.set_ylim(0, 1.04 * float(error.max()))
    axes.grid(visible=True)
    axes.set_xlabel(f"reach of the interval ({style.error_unit})")
    axes.set_ylabel(f"|measured - predicted| ({style.error_unit})")
    axes.legend(loc="upper left", handletextpad=0.2)


def _draw_coverage(axes: Axes, width: Floats, inside: Flags, style: TargetStyle) -> None:
    groups = [part for part in np.array_split(np.argsort(width, kind="stable"), GROUPS) if len(part)]
    total = np.array([len(part) for part in groups], dtype=float)
    covered = np.array([inside[part].sum() for part in groups], dtype=float)
    low, high = wilson(covered, total)
    share, x = covered / total, np.arange(len(groups))
    axes.axhline(LEVEL, color=INK, linewidth=1.0, linestyle=DASHED, label=f"promised: {percent(LEVEL)}")
    axes.axhline(inside.mean(), color=ORANGE, linewidth=1.4, label=f"over all: {percent(inside.mean(), digits=1)}")
    axes.errorbar(x, share, yerr=[share - low, high - share], fmt="o", markersize=6, **_BARS)
    axes.set_xticks(x, [f"{np.median(width[part]):.2g}" for part in groups])
    axes.set_ylim(min(0.6, float(low.min()) - 0.03), 1.02)
    axes.yaxis.set_major_formatter(percent)
    axes.grid(visible=True, axis="y")
    axes.set_xlabel(
        f"median width of the interval ({style.error_unit})\nin groups of {total.min():.0f} or more pellets"
    )
    axes.set_ylabel("measured values inside their interval")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)


@drawing
def reliability(out_of_fold: pd.DataFrame, *, subset: str = "") -> Figure:
    """Draw the observed share of phase-pure pellets against the predicted probability.

    Parameters
    ----------
    out_of_fold
        As in `TrainingResult.out_of_fold`.
    subset
        Description of the pellets, for the title.

    Returns
    -------
    matplotlib.figure.Figure
        Top: observed share in bins of equal width, with 95 % Wilson intervals and counts. Bottom: histograms of
        the predicted probability of pure and impure pellets.
    """
    style = target_style("phase_purity")
    rows = first_repeat(out_of_fold, "phase_purity")
    outcome, probability, base_rates = _arrays(rows, "measured", "predicted", "median")
    figure = new_figure(5.4, 6.2)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1.2])
    edges = np.linspace(0, 1, 11)
    _draw_bins(above, outcome, probability, edges)
    base = outcome.mean()
    # The reference predicts the base rate of the sources it was fitted to.
    reference = float(np.mean((base_rates - outcome) ** 2))
    score = float(np.mean((probability - outcome) ** 2))
    skill = 1 - score / reference if reference > 0 else float("nan")
    above.axhline(base, color=ORANGE, linewidth=1.2, label=f"share of pure pellets: {percent(base)}")
    above.plot([], [], " ", label=f"Brier score {score:.3f}, skill {skill:.2f}")
    above.legend(loc="upper left")
    counts = [probability[outcome > 0.5], probability[outcome <= 0.5]]
    below.hist(
        counts, bins=list(edges), stacked=True, color=[BLUE, VERMILION], edgecolor="white", linewidth=0.6,
        label=[f"pure: {len(counts[0]):,}", f"impure: {len(counts[1]):,}"],
    )  # fmt: skip
    below.set_ylabel("pellets")
    below.set_xlabel(f"predicted {style.column.label}")
    below.grid(visible=True, axis="y")
    below.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
    title(above, "Phase purity: do the probabilities hold?", rows, subset)
    return figure


def _draw_bins(axes: Axes, outcome: Floats, probability: Floats, edges: Floats) -> None:
    bins = np.clip(np.digitize(probability, edges) - 1, 0, len(edges) - 2)
    sums = [np.bincount(bins, weights).astype(float) for weights in (np.ones(len(bins)), outcome, probability)]
    total, pure, predicted = (numbers[sums[0] > 0] for numbers in sums)
    low, high = wilson(pure, total)
    share = pure / total
    axes.plot([0, 1], [0, 1], color=INK, linewidth=1.0, linestyle=DASHED)
    bars = [share - low, high - share]
    axes.errorbar(predicted / total, share, yerr=bars, fmt="o-", linewidth=1.0, markersize=5, **_BARS)
    for x, count in zip(predicted / total, total, strict=True):
        axes.text(x, -0.06, f"{count:.0f}", ha="center", va="center", fontsize=7.5, color=GREY)
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.1, 1.02)
    axes.yaxis.set_major_formatter(percent)
    axes.grid(visible=True, color=PALE)
    axes.set_ylabel("share found phase pure (counts below)")


_CURVE_COLOURS = (VERMILION, GREEN, ORANGE)


@drawing
def coverage_curves(curves: Mapping[str, pd.DataFrame], target: str) -> Figure:
    """Draw the share of held-out values inside their intervals against the nominal level.

    Parameters
    ----------
    curves
        Level, coverage and coverage_se by description of the pellets, as returned by
        `nasicon_ml.evaluation.scores.coverage_curve`. The first is drawn with a 95 % band, up to three others as
        lines.
    target
        ``conductivity`` or ``relative_density``.

    Raises
    ------
    DatasetError
        If there is no curve.
    """
    style = target_style(target)
    if not curves:
        raise DatasetError(f"there is no coverage of {target} to draw")
    figure = new_figure(5.6, 5.4)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=INK, linewidth=1.0, linestyle=DASHED, label="as promised")
    (first, main), *others = curves.items()
    level, coverage, standard_error = _arrays(main, "level", "coverage", "coverage_se")
    half_width = Z95 * standard_error
    band = np.clip(coverage - half_width, 0, 1), np.clip(coverage + half_width, 0, 1)
    axes.fill_between(level, *band, color=BLUE, alpha=0.18, linewidth=0, label="95 %, drawing sources again")
    for (name, curve), colour in zip(others, _CURVE_COLOURS, strict=False):
        axes.plot(curve["level"], curve["coverage"], color=colour, linewidth=1.1, label=name)
    axes.plot(level, coverage, color=BLUE, linewidth=2.0, label=first)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_aspect("equal")
    axes.grid(visible=True, color=PALE)
    axes.xaxis.set_major_formatter(percent)
    axes.yaxis.set_major_formatter(percent)
    axes.set_xlabel("level of the interval")
    axes.set_ylabel("measured values inside")
    axes.legend(loc="upper left")
    headline(axes, f"{style.name}: do intervals hold at every level?", "on sources that no fold had seen")
    return figure


@drawing
def error_by_domain(curve: pd.DataFrame, target: str) -> Figure:
    """Draw the error against the domain score.

    Parameters
    ----------
    curve
        Columns score, score_from, score_to, error, error_se, n_rows, n_sources, one row per group, as returned by
        `nasicon_ml.evaluation.scores.domain_curve`.
    target
        ``conductivity``, ``relative_density`` or ``phase_purity`` (squared error).

    Raises
    ------
    DatasetError
        If there is no group.
    """
    style = target_style(target)
    if curve.empty:
        raise DatasetError(f"there is no error of {target} to draw")
    figure = new_figure(6.6, 4.4)
    axes = figure.add_subplot()
    error, score, standard_error = _arrays(curve, "error", "score", "error_se")
    half_width = Z95 * standard_error
    axes.axvspan(1, 100, color=PALE, alpha=0.45, linewidth=0)
    axes.axvline(1, color=INK, linewidth=1.0, linestyle=DASHED)
    bars = [np.minimum(half_width, error), half_width]
    axes.errorbar(score, error, yerr=bars, fmt="o-", linewidth=1.0, markersize=6, **_BARS)
    axes.set_xscale("log")
    axes.set_xlim(0.7 * max(float(score.min()), 1e-3), 1.5 * max(float(score.max()), 1.2))
    axes.set_ylim(0, 1.15 * float((error + half_width).max()))
    axes.grid(visible=True, axis="y")
    axes.annotate("outside", (1, 1), (5, -12), xycoords=("data", "axes fraction"), textcoords="offset points")
    left, right = axes.get_xlim()
    ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if left <= tick <= right]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("domain score (1: the border of what was measured)")
    unit = f" ({style.error_unit})" if style.error_unit else ""
    axes.set_ylabel("mean squared error of the probability" if not unit else f"mean |error|{unit}")
    counts = (
        f"{int(curve['n_rows'].min()):,} or more predictions of {int(curve['n_sources'].min()):,} or more sources"
    )
    headline(axes, f"{style.name}: error against distance", f"out of fold; each point {counts}; bars: 95 %")
    return figure


#: Systems with fewer pellets are drawn together: their medians are not meaningful.
FEWEST_PELLETS = 8
_OTHERS = " others"


@drawing
def parity(out_of_fold: pd.DataFrame, target: str, *, subset: str = "") -> Figure:
    """Draw predictions, with their 90 % intervals, against measured values.

    Parameters
    ----------
    out_of_fold
        As in `TrainingResult.out_of_fold`.
    target
        ``conductivity`` or ``relative_density`` (a probability has a reliability diagram instead).
    subset
        Description of the pellets, for the title.

    Returns
    -------
    matplotlib.figure.Figure
        Points coloured by their density; grey lines are intervals; dashed lines mark an error of one decade, or of
        five points.
    """
    style = target_style(target)
    rows = first_repeat(out_of_fold, target)
    measured, predicted, lower, upper = _arrays(rows, "measured", "predicted", "lower", "upper")
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(7.2, 5.6)
    figure.set_layout_engine("none")  # square axes and a column for text are placed by hand
    axes = figure.add_axes((0.125, 0.105, 4.4 / 7.2, 4.4 / 5.6))
    ends = _square_limits(axes, np.concatenate([measured, predicted]), style)
    axes.plot(ends, ends, color=INK, linewidth=1.0, zorder=4)
    for shift in (-style.band, style.band):
        axes.plot(ends, ends + shift, color=INK, linewidth=0.8, linestyle=DASHED, zorder=4)
    axes.vlines(measured, lower, upper, color=GREY, alpha=0.16, linewidth=0.9, zorder=1)
    density = crowding(measured, predicted)
    order = np.argsort(density)
    points = axes.scatter(
        measured[order], predicted[order], c=density[order], cmap=DENSITY_MAP, s=13, linewidth=0.25,
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
    """Set both axes to the same range, slightly wider than the values, and return its two ends."""
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
    """Count the points in the grid cell of each point, shape (n,)."""
    counts, x_edges, y_edges = np.histogram2d(x, y, bins=cells)
    column = np.clip(np.searchsorted(x_edges, x, side="right") - 1, 0, cells - 1)
    row = np.clip(np.searchsorted(y_edges, y, side="right") - 1, 0, cells - 1)
    return np.asarray(counts[column, row], dtype=np.float64)


@drawing
def residuals_by_system(out_of_fold: pd.DataFrame, target: str, *, subset: str = "") -> Figure:
    """Draw predicted minus measured by system, the most accurate on top.

    Parameters
    ----------
    out_of_fold
        As in `TrainingResult.out_of_fold`.
    target
        ``conductivity`` or ``relative_density``.
    subset
        Description of the pellets, for the title.

    Returns
    -------
    matplotlib.figure.Figure
        One row per system, ordered by mean ``|error|``, labelled with the number of pellets and sources; systems
        of fewer than eight pellets are drawn together, at the bottom.
    """
    style = target_style(target)
    rows = first_repeat(out_of_fold, target)
    rows = rows.assign(residual=rows["predicted"] - rows["measured"], group=_groups(rows))
    mean_errors = rows["residual"].abs().groupby(rows["group"]).mean().sort_values(kind="stable")
    names = sorted((str(name) for name in mean_errors.index), key=lambda name: name.endswith(_OTHERS))
    figure = new_figure(8.0, 1.7 + 0.36 * len(names))
    axes = figure.add_subplot()
    axes.axvline(0, color=INK, linewidth=1.0, zorder=1)
    axes.axvspan(-style.band, style.band, color=PALE, alpha=0.45, linewidth=0, zorder=0)
    jitter = np.random.default_rng(0)
    for y, name in enumerate(names):
        _draw_system(axes, y, rows.loc[rows["group"] == name, "residual"].to_numpy(float), jitter)
        text = f"{mean_errors[name]:.2f}"
        axes.text(1.015, y, text, transform=axes.get_yaxis_transform(), va="center", fontsize=8.5)
    axes.annotate(
        f"mean |error|\n({style.error_unit})", (1.015, 1), (0, 7), xycoords="axes fraction",
        textcoords="offset points", fontsize=8, color=GREY,
    )  # fmt: skip
    label_rows(axes, [_label(rows, name) for name in names])
    axes.set_xlabel(
        f"predicted - measured {style.column.label} ({style.error_unit})\n"
        f"dot: median; bar: middle half; grey: within {style.band:g} {style.error_unit.removesuffix('s')}"
        f"{'' if style.band == 1 else 's'}"
    )
    title(axes, f"{style.name}: residuals by system", rows, subset)
    return figure


def _groups(rows: pd.DataFrame) -> pd.Series[str]:
    system = rows[Column.SYSTEM].fillna("unknown").astype(str)
    is_small = system.map(system.value_counts()) < FEWEST_PELLETS
    return system.where(~is_small, f"{system[is_small].nunique()}{_OTHERS}")


def _label(rows: pd.DataFrame, name: str) -> str:
    chosen = rows[rows["group"] == name]
    sources = chosen[Column.SOURCE].nunique()
    return f"{name}   n = {len(chosen):,}, {sources:,} {'source' if sources == 1 else 'sources'}"


def _draw_system(axes: Axes, y: int, residual: Floats, jitter: np.random.Generator) -> None:
    height = y + jitter.uniform(-0.26, 0.26, len(residual))
    alpha = float(np.clip(6.0 / np.sqrt(len(residual)), 0.25, 0.8))
    axes.scatter(residual, height, s=9, color=BLUE, alpha=alpha, linewidth=0, zorder=2)
    low, middle, high = np.percentile(residual, [25, 50, 75])
    axes.plot([low, high], [y, y], color=INK, linewidth=3.0, solid_capstyle="butt", zorder=3)
    axes.scatter([middle], [y], s=30, color=ORANGE, edgecolor=INK, linewidth=0.9, zorder=4)
