"""Figures of one recipe: curves over a condition, and what its answer is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.columns import CONDUCTIVITY_INTERVAL, DENSITY_INTERVAL, Column
from nasicon_ml.errors import DatasetError
from nasicon_ml.plots.recipes import subscripted
from nasicon_ml.plots.style import (
    BLUE,
    DENSITY_MAP,
    GREEN,
    GREY,
    INK,
    ORANGE,
    VERMILION,
    Floats,
    drawing,
    headline,
    label_rows,
    load_matplotlib,
    new_figure,
    percent,
    target_style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: With more curves than this, bands would hide each other; with more than the second, not each has a name.
_MOST_BANDS, _MOST_NAMED = 2, 6
#: From this ratio of the largest to the smallest on, an axis is logarithmic.
_DECADES = 20.0
#: More points along a curve than this are a line alone.
_MOST_MARKS = 30
_COLOURS = (BLUE, ORANGE, GREEN, VERMILION)
#: Answers with the ends of their intervals, by property.
_PANELS: Mapping[str, tuple[Column, ...]] = {
    "conductivity": CONDUCTIVITY_INTERVAL,
    "relative_density": DENSITY_INTERVAL,
    "phase_purity": (Column.PREDICTED_PHASE_PURITY,),
}  # fmt: skip


@dataclass(frozen=True)
class Axis:
    """A varied field as a figure shows it.

    Attributes
    ----------
    values
        Its value in each row of the answers: numbers, or words in the order in which they are to stand.
    label
        With its unit.
    """

    values: Sequence[Any]
    label: str

    @property
    def is_number(self) -> bool:
        """Whether it is an axis of numbers."""
        return all(isinstance(value, float) for value in self.values)

    @property
    def different(self) -> list[Any]:
        """Every value once."""
        return list(dict.fromkeys(self.values))

    def places(self, values: Sequence[Any]) -> Floats:
        """Return where values stand."""
        if self.is_number:
            return np.asarray(values, dtype=np.float64)
        order = {value: place for place, value in enumerate(self.different)}
        return np.array([order[value] for value in values], dtype=np.float64)


@drawing
def profile(
    answers: pd.DataFrame,
    along: Axis,
    curves: Axis | None,
    measured: Mapping[str, pd.DataFrame],
    *,
    title: str,
    level: float,
    best: Mapping[str, int],
) -> Figure:
    """Draw answers along a field, a curve for each value of another one.

    Parameters
    ----------
    answers
        Recipes and answers side by side (`Prediction.frame`), n rows.
    along, curves
        The field on the axis, and the one with a curve for each of its values, if there is one.
    measured
        What was measured, by whose it is: columns target, value, ``place`` (a value of `along`) and, with curves,
        ``curve`` (one of `curves`).
    title
        What is drawn.
    level
        Of the intervals.
    best
        The row of the highest answer, by property.

    Returns
    -------
    matplotlib.figure.Figure
        Conductivity, density and purity below each other: lines with the band of their intervals, small marks
        where pellets were measured, and a ring around the best answer. Hollow marks lie outside the known domain.
    """
    figure = new_figure(7.4, 8.6)
    panels = figure.subplots(3, 1, sharex=True, height_ratios=[1.35, 1.15, 0.9])
    parts = _parts(curves, len(answers))
    bands = len(parts) <= _MOST_BANDS
    for axes, (target, columns) in zip(panels, _PANELS.items(), strict=True):
        _draw_measured(axes, target, along, {part.name: part.colour for part in parts}, measured)
        for part in parts:
            _draw_curve(axes, along, answers, columns if bands else columns[:1], part)
        at = best[target]
        axes.scatter(
            along.places([along.values[at]]), [float(answers[columns[0]].iloc[at])], s=130, facecolor="none",
            edgecolor=INK, linewidth=1.3, zorder=6, label="highest" if target == "conductivity" else None,
        )  # fmt: skip
        axes.grid(visible=True)
    _label(panels, along, answers, f"\n(band: {percent(level)})" if bands else "")
    figure.suptitle(subscripted(title), x=0.01, ha="left", fontsize=10.5, fontweight="bold", color=INK)
    _legend(figure, panels[0], curves)
    return figure


@dataclass(frozen=True)
class _Part:
    """One curve: its name, its colour and the rows of the answers that it is made of."""

    name: str
    colour: Any
    rows: NDArray[np.intp]


def _parts(curves: Axis | None, count: int) -> list[_Part]:
    if curves is None:
        return [_Part("predicted", BLUE, np.arange(count))]
    different = curves.different
    if len(different) <= len(_COLOURS) and not curves.is_number:
        colours: Sequence[Any] = _COLOURS
    else:
        colours = load_matplotlib().colormaps[DENSITY_MAP](np.linspace(0.0, 0.9, len(different)))
    places = curves.places(curves.values)
    return [
        _Part(_word(value), colour, np.flatnonzero(places == curves.places([value])))
        for value, colour in zip(different, colours, strict=False)
    ]


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else subscripted(str(value).replace("_", " "))


def _draw_curve(axes: Axes, along: Axis, answers: pd.DataFrame, columns: tuple[Column, ...], part: _Part) -> None:
    """Draw one curve, with its band if there are columns of its ends."""
    place = along.places([along.values[row] for row in part.rows])
    order = np.argsort(place)
    place, shown = place[order], answers.iloc[part.rows[order]]
    value = shown[columns[0]].to_numpy(float)
    if along.is_number:
        axes.plot(place, value, color=part.colour, linewidth=1.8, zorder=4, label=part.name)
    if len(columns) > 1:
        lower, upper = (shown[column].to_numpy(float) for column in columns[1:])
        if along.is_number:
            axes.fill_between(place, lower, upper, color=part.colour, alpha=0.15, linewidth=0, zorder=1)
        else:
            axes.vlines(place, lower, upper, color=part.colour, linewidth=6, alpha=0.2, zorder=1)
    if len(place) <= _MOST_MARKS or not along.is_number:
        inside = shown[Column.INSIDE_DOMAIN].astype(bool).to_numpy()
        axes.scatter(
            place, value, s=22, facecolor=[part.colour if known else "white" for known in inside],
            edgecolor=[part.colour] * len(place), linewidth=1.2, zorder=5,
            label=None if along.is_number else part.name,
        )  # fmt: skip


#: How whose pellets are drawn: mark, colour, size.
_MARKS = (("o", GREY, 16), ("D", VERMILION, 34))


def _draw_measured(
    axes: Axes, target: str, along: Axis, colours: Mapping[str, Any], measured: Mapping[str, pd.DataFrame]
) -> None:
    for at, (whose, points) in enumerate(measured.items()):
        here = points[points["target"] == target]
        if here.empty:
            continue
        mark, colour, size = _MARKS[at]
        place, value = along.places(here["place"].tolist()), here["value"].to_numpy(float)
        spread, aside = np.random.default_rng(0).uniform(0.0, 1.0, (2, len(value)))  # many lie on each other
        if target == "phase_purity":
            value = np.where(value > 0.5, 1.0 - 0.05 * spread, 0.05 * spread)
        if not along.is_number:
            place = place + 0.1 + 0.15 * aside
        own = [colours[_word(curve)] for curve in here["curve"]] if len(colours) > 1 else colour
        axes.scatter(
            place, value, s=size, marker=mark, color=own, alpha=0.9 if at else 0.6, linewidth=float(at),
            edgecolor=INK, zorder=3 + 3 * at,
            label=whose if target == "conductivity" else None,
        )  # fmt: skip


def _label(panels: Sequence[Axes], along: Axis, answers: pd.DataFrame, interval: str) -> None:
    first, second, third = panels
    first.set_yscale("log")
    given = answers[Column.MEASUREMENT_TEMPERATURE_C].iloc[0]
    at = "25 °C" if pd.isna(given) else f"{given:g} °C"
    first.set_ylabel(f"{Column.PREDICTED_CONDUCTIVITY_S_CM.axis_label}, {at}{interval}")
    second.set_ylabel(f"{Column.PREDICTED_RELATIVE_DENSITY_PCT.axis_label}{interval}")
    second.set_ylim(top=101)
    third.set_ylabel("probability of\nphase purity")
    third.set_ylim(-0.03, 1.03)
    third.yaxis.set_major_formatter(percent)
    third.set_xlabel(along.label)
    if not along.is_number:
        third.set_xticks(range(len(along.different)), [_word(value) for value in along.different])
        third.set_xlim(-0.5, len(along.different) - 0.5)
        return
    low, high = min(along.different), max(along.different)
    if low > 0 and high / low >= _DECADES:
        third.set_xscale("log")
        third.xaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _legend(figure: Figure, axes: Axes, curves: Axis | None) -> None:
    handles, names = axes.get_legend_handles_labels()
    pairs = list(zip(handles, names, strict=True))
    lines = [pair for pair in pairs if curves is not None and pair[1] in {_word(v) for v in curves.different}]
    if len(lines) > _MOST_NAMED:
        kept = {round(at) for at in np.linspace(0, len(lines) - 1, _MOST_NAMED)}
        dropped = [lines[at] for at in range(len(lines)) if at not in kept]
        pairs = [pair for pair in pairs if pair not in dropped]
    head = curves.label if curves is not None else None
    figure.legend(
        [handle for handle, _ in pairs], [name for _, name in pairs], loc="outside lower center",
        ncols=min(4, len(pairs)), title=head,
    )  # fmt: skip


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
        right = max(start, end) + 0.012 * reach
        axes.text(right, y, f"{size:+.2f}", va="center", fontsize=8, color=INK, zorder=4, bbox=_PAPER)
    axes.set_xlim(low - 0.05 * reach, high + 0.12 * reach)
    label_rows(axes, [fill(name, _LINE) for name in names])


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
    label_rows(axes, rows["feature"].astype(str).tolist())
    loss = f"mean |error| ({style.error_unit})" if style.error_unit else "the loss of the probability"
    axes.set_xlabel(f"increase of {loss}\nwhen the feature is shuffled; line: spread")
    shown = f"the first {len(rows)} of {total}" if total > len(rows) else f"all {total}"
    headline(axes, f"{style.name}: what it rests on", f"permutation on held-out sources: {shown} features")
    return figure
