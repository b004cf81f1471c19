"""Whether intervals hold at every level, and whether errors grow with the distance from the domain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from nasicon_ml.errors import DatasetError
from nasicon_ml.plots.style import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PALE,
    VERMILION,
    drawing,
    headline,
    new_figure,
    percent,
    target_style,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: z of a 95 % normal interval.
_Z95 = 1.959964
_OTHERS = (VERMILION, GREEN, ORANGE)


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
    reach = _Z95 * main["coverage_se"].to_numpy(float)
    band = np.clip(coverage - reach, 0, 1), np.clip(coverage + reach, 0, 1)
    axes.fill_between(level, *band, color=BLUE, alpha=0.18, linewidth=0, label="95 %, drawing sources again")
    for (name, curve), colour in zip(others, _OTHERS, strict=False):
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
    reach = _Z95 * curve["error_se"].to_numpy(float)
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
