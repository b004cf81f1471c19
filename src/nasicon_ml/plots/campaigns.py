"""What is known and what is made next: a batch among its candidates, and how a campaign went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from nasicon_ml.columns import Column
from nasicon_ml.errors import DatasetError
from nasicon_ml.plots.style import (
    BLUE,
    DENSITY_MAP,
    GREY,
    INK,
    ORANGE,
    PALE,
    VERMILION,
    decade_ticks,
    drawing,
    headline,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Kinds of rows in the table of `batch_map`.
CANDIDATE, OWN, PROPOSED = "candidate", "own", "proposed"


@drawing
def batch_map(points: pd.DataFrame, labels: Sequence[str], value: str) -> Figure:
    """Draw where a batch lies among its candidates and the own pellets.

    Parameters
    ----------
    points
        One row a recipe: columns ``first`` and ``second`` (numbers or texts; missing where not given), ``value``
        (expected, or of own pellets measured; NaN where it is not) and ``kind`` (candidate, own or proposed, the
        proposed in their order).
    labels
        Of the two axes.
    value
        What the colours are, in words.

    Returns
    -------
    matplotlib.figure.Figure
        Candidates as fields coloured by the best of those that lie there, own pellets as squares coloured by what
        they came to, the batch as numbered stars.

    Raises
    ------
    DatasetError
        If there is no candidate.
    """
    candidates = points[points["kind"] == CANDIDATE]
    if candidates.empty:
        raise DatasetError("there is no candidate to draw")
    figure = new_figure(7.2, 4.8)
    axes = figure.subplots()
    place = {name: _places(axes, points[name], name == "second") for name in ("first", "second")}
    best = candidates.assign(**place).groupby(["first", "second"], as_index=False)["value"].max()
    known = points["value"].dropna()
    scale = {"cmap": DENSITY_MAP, "vmin": known.min(), "vmax": known.max()}
    marks = axes.scatter(best["first"], best["second"], c=best["value"], s=46, marker="o", alpha=0.75, **scale)
    own = points.assign(**place)[points["kind"] == OWN]
    axes.scatter(
        own["first"], own["second"], c=own["value"], s=95, marker="s", edgecolor=INK, linewidth=1.4, zorder=3,
        plotnonfinite=True, **scale,
    )  # fmt: skip
    proposed = points.assign(**place)[points["kind"] == PROPOSED]
    at_place: dict[tuple[float, float], list[int]] = {}
    for number, (x, y) in enumerate(zip(proposed["first"], proposed["second"], strict=True), start=1):
        at_place.setdefault((x, y), []).append(number)
    for (x, y), numbers in at_place.items():
        axes.plot(x, y, marker="*", markersize=17, color=VERMILION, markeredgecolor="white", zorder=4)
        axes.annotate(
            ", ".join(map(str, numbers)), (x, y), (9, 7), textcoords="offset points", weight="bold", color=INK,
            bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}, zorder=5,
        )  # fmt: skip
    axes.margins(0.08)
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    figure.colorbar(marks, ax=axes).set_label(value)
    made = f"squares: {len(own)} own pellets; " if len(own) else ""
    headline(
        axes, f"Next: {len(proposed)} of {len(candidates):,} candidates", f"{made}stars: make these, in order"
    )
    return figure


def _places(axes: Axes, cells: pd.Series, is_vertical: bool) -> pd.Series:
    """Return where cells lie on an axis: numbers as they are, texts one beside the other, missing ones apart."""
    numbers = pd.to_numeric(cells, errors="coerce")
    set_ticks = axes.set_yticks if is_vertical else axes.set_xticks
    if (numbers.notna() == cells.notna()).all():
        if cells.isna().any():
            low, high = numbers.min(), numbers.max()
            missing = low - 0.15 * max(high - low, abs(low) * 0.1, 1e-6)
            ticks = np.unique(numbers.dropna())
            if len(ticks) <= 8:
                set_ticks([missing, *ticks], ["not given", *(f"{tick:g}" for tick in ticks)])
            return numbers.fillna(missing)
        return numbers
    words = cells.fillna("not given").astype(str)
    names = sorted(words.unique())
    set_ticks(range(len(names)), names)
    return words.map({name: at for at, name in enumerate(names)}).astype(float)


@drawing
def campaign_progress(history: pd.DataFrame) -> Figure:
    """Draw how a campaign went.

    Parameters
    ----------
    history
        As `nasicon_ml.workflows.recommend.history` gives it.

    Returns
    -------
    matplotlib.figure.Figure
        Above, each pellet's conductivity, the best until then, and what was predicted of it beforehand; below, by
        how much the predictions missed, with the pellets before and without any.

    Raises
    ------
    DatasetError
        If no pellet reports a conductivity.
    """
    shown = history[history["measured"].notna()].reset_index(drop=True)
    if shown.empty:
        raise DatasetError("no own pellet reports a conductivity to draw")
    figure = new_figure(7.2, 5.6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    number = np.arange(1, len(shown) + 1)
    above.vlines(number, shown["lower"], shown["upper"], color=BLUE, alpha=0.35, linewidth=5)
    above.scatter(
        number, shown["predicted"], marker="_", s=90, color=BLUE, label="predicted before it was made (90 %)"
    )
    above.scatter(number, shown["measured"], s=34, color=INK, zorder=3, label="measured")
    above.step(
        number, np.maximum.accumulate(shown["measured"]), where="post", color=VERMILION, label="best until then"
    )
    decade_ticks(above, x=False)
    above.set_ylabel("conductivity at 25 °C in S/cm")
    above.legend(frameon=False, fontsize=8.5, loc="best")
    for name, color, words in (
        ("predicted_without", ORANGE, "without own pellets"),
        ("predicted", BLUE, "with the pellets before"),
    ):
        off = (shown["measured"] - shown[name]).abs()
        below.plot(number, off, marker="o", markersize=4, color=color, label=f"{words}: mean {off.mean():.2f}")
    below.set_ylabel("off by, decades")
    below.set_ylim(bottom=0)
    below.set_xlabel("own pellet, in the order of the file")
    below.xaxis.get_major_locator().set_params(integer=True)
    below.legend(frameon=False, fontsize=8.5)
    for axes in (above, below):
        axes.grid(visible=True, axis="y", color=PALE)
    best = shown.iloc[int(shown["measured"].to_numpy().argmax())]
    headline(
        above,
        f"Campaign of {len(history)} own pellets",
        f"best: {best[Column.PELLET_ID]}, {10 ** best['measured']:.1e} S/cm",
    )
    above.tick_params(axis="x", colors=GREY)
    return figure
