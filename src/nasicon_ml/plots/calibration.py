"""Whether stated uncertainty can be believed: intervals, probabilities, and the domain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from nasicon_ml.errors import DatasetError
from nasicon_ml.plots.style import (
    BLUE,
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
    drawing,
    first_repeat,
    headline,
    new_figure,
    percent,
    target_style,
    title,
    wilson,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: The level of the intervals in `TrainingResult.out_of_fold`.
LEVEL = 0.9
GROUPS = 8


@drawing
def interval_calibration(out_of_fold: pd.DataFrame, target: str, *, subset: str = "") -> Figure:
    """Draw whether wide intervals belong to large errors, and whether 90 % hold in each width.

    Parameters
    ----------
    out_of_fold
        As in `TrainingResult.out_of_fold`; its intervals are at 90 %.
    target
        ``conductivity`` or ``relative_density``.
    subset
        Which pellets these are, for the title.

    Returns
    -------
    matplotlib.figure.Figure
        Left: each pellet's ``|error|`` against the reach of its interval towards the measured value; points above
        the line lie outside. Right: the share inside, for eight groups from narrow to wide, with 95 %
        intervals of that share by Wilson.
    """
    style = target_style(target)
    rows = first_repeat(out_of_fold, target)
    rows = rows[rows["lower"].notna() & rows["upper"].notna()]
    measured, predicted = rows["measured"].to_numpy(float), rows["predicted"].to_numpy(float)
    lower, upper = rows["lower"].to_numpy(float), rows["upper"].to_numpy(float)
    inside = (measured >= lower) & (measured <= upper)
    figure = new_figure(9.4, 4.6)
    left, right = figure.subplots(1, 2)
    # An interval need not lie evenly around the prediction: what counts is how far it reaches on the side of
    # the measured value.
    reach = np.where(measured >= predicted, upper - predicted, predicted - lower)
    _draw_reach(left, reach, np.abs(measured - predicted), inside, style)
    _draw_coverage(right, upper - lower, inside, style)
    title(left, f"{style.name}: are the 90 % intervals right?", rows, subset)
    return figure


def _draw_reach(axes: Axes, reach: Floats, error: Floats, inside: Flags, style: TargetStyle) -> None:
    top = 1.04 * float(max(reach.max(), error.max()))
    axes.plot([0, top], [0, top], color=INK, linewidth=1.0, zorder=3)
    for chosen, colour, words in (
        (inside, BLUE, f"inside: {int(inside.sum()):,}"),
        (~inside, VERMILION, f"outside: {int((~inside).sum()):,}"),
    ):
        marker = "o" if colour == BLUE else "^"
        axes.scatter(
            reach[chosen], error[chosen], s=12, color=colour, alpha=0.5, linewidth=0, marker=marker, label=words
        )
    axes.set_xlim(0, 1.04 * float(reach.max()))
    axes.set_ylim(0, 1.04 * float(error.max()))
    axes.grid(visible=True)
    axes.set_xlabel(f"reach of the interval ({style.error_unit})")
    axes.set_ylabel(f"|measured - predicted| ({style.error_unit})")
    axes.legend(loc="upper left", handletextpad=0.2)


def _draw_coverage(axes: Axes, width: Floats, inside: Flags, style: TargetStyle) -> None:
    groups = [part for part in np.array_split(np.argsort(width, kind="stable"), GROUPS) if len(part)]
    total = np.array([len(part) for part in groups], dtype=float)
    held = np.array([inside[part].sum() for part in groups], dtype=float)
    low, high = wilson(held, total)
    share, place = held / total, np.arange(len(groups))
    axes.axhline(LEVEL, color=INK, linewidth=1.0, linestyle=(0, (4, 3)), label=f"promised: {percent(LEVEL)}")
    axes.axhline(inside.mean(), color=ORANGE, linewidth=1.4, label=f"over all: {percent(inside.mean(), digits=1)}")
    axes.errorbar(
        place, share, yerr=[share - low, high - share], fmt="o", color=BLUE, ecolor=BLUE, elinewidth=1.2,
        capsize=3, markersize=6,
    )  # fmt: skip
    middle = [f"{np.median(width[part]):.2g}" for part in groups]
    axes.set_xticks(place, middle)
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
    """Draw how often pellets were phase pure, against the probability they were given.

    Parameters
    ----------
    out_of_fold
        As in `TrainingResult.out_of_fold`.
    subset
        Which pellets these are, for the title.

    Returns
    -------
    matplotlib.figure.Figure
        Above: observed share in bins of equal width, with 95 % intervals by Wilson and counts. Below: how many
        pure and impure pellets were given each probability.
    """
    style = target_style("phase_purity")
    rows = first_repeat(out_of_fold, "phase_purity")
    outcome, probability = rows["measured"].to_numpy(float), rows["predicted"].to_numpy(float)
    figure = new_figure(5.4, 6.2)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1.2])
    edges = np.linspace(0, 1, 11)
    _draw_bins(above, outcome, probability, edges)
    base = outcome.mean()
    # The reference knows no more than the base rate of the sources it was fitted to.
    reference = float(np.mean((rows["median"].to_numpy(float) - outcome) ** 2))
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
    place = np.clip(np.digitize(probability, edges) - 1, 0, len(edges) - 2)
    total = np.bincount(place, minlength=len(edges) - 1).astype(float)
    pure = np.bincount(place, weights=outcome, minlength=len(edges) - 1).astype(float)
    stated = np.bincount(place, weights=probability, minlength=len(edges) - 1).astype(float)
    full = total > 0
    total, pure, stated = total[full], pure[full], stated[full]
    low, high = wilson(pure, total)
    share = pure / total
    axes.plot([0, 1], [0, 1], color=INK, linewidth=1.0, linestyle=(0, (4, 3)))
    axes.errorbar(
        stated / total, share, yerr=[share - low, high - share], fmt="o-", color=BLUE, ecolor=BLUE,
        linewidth=1.0, elinewidth=1.2, capsize=3, markersize=5,
    )  # fmt: skip
    for x, count in zip(stated / total, total, strict=True):
        axes.text(x, -0.06, f"{count:.0f}", ha="center", va="center", fontsize=7.5, color=GREY)
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.1, 1.02)
    axes.yaxis.set_major_formatter(percent)
    axes.grid(visible=True, color=PALE)
    axes.set_ylabel("share found phase pure (counts below)")


_CURVE_COLOURS = (VERMILION, GREEN, ORANGE)


@drawing
def coverage_curves(curves: Mapping[str, pd.DataFrame], target: str) -> Figure:
    """Draw the share of held-out values inside their intervals against the level that was promised.

    Parameters
    ----------
    curves
        What pellets they are of -> level, coverage, coverage_se, as
        `nasicon_ml.evaluation.coverage.coverage_curve` gives them. The first is drawn with a band of 95 %, up
        to three others as lines.
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
    axes.plot([0, 1], [0, 1], color=INK, linewidth=1.0, linestyle=(0, (4, 3)), label="as promised")
    (first, main), *others = curves.items()
    level, coverage = main["level"].to_numpy(float), main["coverage"].to_numpy(float)
    reach = Z95 * main["coverage_se"].to_numpy(float)
    band = np.clip(coverage - reach, 0, 1), np.clip(coverage + reach, 0, 1)
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
    """Draw the error against how far outside the domain a recipe lies.

    Parameters
    ----------
    curve
        score, score_from, score_to, error, error_se, n_rows, n_sources, one row a group, as
        `nasicon_ml.evaluation.coverage.domain_curve` gives it.
    target
        ``conductivity``, ``relative_density`` or ``phase_purity`` (whose error is squared).

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
    error, score = curve["error"].to_numpy(float), curve["score"].to_numpy(float)
    reach = Z95 * curve["error_se"].to_numpy(float)
    axes.axvspan(1, 100, color=PALE, alpha=0.45, linewidth=0)
    axes.axvline(1, color=INK, linewidth=1.0, linestyle=(0, (4, 3)))
    axes.errorbar(
        score, error, yerr=[np.minimum(reach, error), reach], fmt="o-", color=BLUE, ecolor=BLUE, linewidth=1.0,
        elinewidth=1.2, capsize=3, markersize=6,
    )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlim(0.7 * max(float(score.min()), 1e-3), 1.5 * max(float(score.max()), 1.2))
    axes.set_ylim(0, 1.15 * float((error + reach).max()))
    axes.grid(visible=True, axis="y")
    axes.annotate("outside", (1, 1), (5, -12), xycoords=("data", "axes fraction"), textcoords="offset points")
    ticks = [
        tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if axes.get_xlim()[0] <= tick <= axes.get_xlim()[1]
    ]
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
