"""What a model's scores rest on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from nasicon_ml.errors import DatasetError
from nasicon_ml.plots.style import BLUE, GREY, INK, drawing, headline, new_figure, target_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 20


@drawing
def importance(frame: pd.DataFrame, target: str, *, most: int = MOST) -> Figure:
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
