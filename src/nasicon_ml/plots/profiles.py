"""Figures of one recipe: predictions along a condition, contributions of its parts, importance of features."""

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
    DASHED,
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

#: Most curves that are drawn with bands, and most that are named in the legend.
_MOST_BANDS, _MOST_NAMED = 2, 6
#: Ratio of the largest to the smallest value from which an axis is logarithmic.
_LOG_RATIO = 20.0
#: Most points of a curve that are marked.
_MOST_MARKS = 30
_COLOURS = (BLUE, ORANGE, GREEN, VERMILION)
#: Predicted columns, with the limits of their intervals, by target.
_PANELS: Mapping[str, tuple[Column, ...]] = {
    "conductivity": CONDUCTIVITY_INTERVAL,
    "relative_density": DENSITY_INTERVAL,
    "phase_purity": (Column.PREDICTED_PHASE_PURITY,),
}


@dataclass(frozen=True)
class Axis:
    """Values and label of a varied field.

    Attributes
    ----------
    values
        Value in each row of the answers: numbers, or texts in the order of their positions.
    label
        Label with unit.
    """

    values: Sequence[Any]
    label: str

    @property
    def is_number(self) -> bool:
        """Whether the values are numbers."""
        return all(isinstance(value, float) for value in self.values)

    @property
    def distinct_values(self) -> list[Any]:
        """Values without repetitions."""
        return list(dict.fromkeys(self.values))

    def positions(self, values: Sequence[Any]) -> Floats:
        """Return the positions of values on the axis."""
        if self.is_number:
            return np.asarray(values, dtype=np.float64)
        order = {value: position for position, value in enumerate(self.distinct_values)}
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
    """Draw predictions along a field, with a curve for each value of another one.

    Parameters
    ----------
    answers
        Recipes with their predictions (`Prediction.frame`), n rows.
    along, curves
        The field on the x axis, and the field with a curve for each value, if any.
    measured
        Measured values by their origin: columns target, value, ``place`` (a value of `along`) and, with curves,
        ``curve`` (a value of `curves`).
    title
        Title of the figure.
    level
        Level of the intervals.
    best
        Row of the highest prediction, by target.

    Returns
    -------
    matplotlib.figure.Figure
        Panels of conductivity, density and purity: lines with interval bands, small markers of measured pellets,
        and a ring around the highest prediction. Hollow markers are outside the domain.
    """
    figure = new_figure(7.4, 8.6)
    panels = figure.subplots(3, 1, sharex=True, height_ratios=[1.35, 1.15, 0.9])
    lines = _split_curves(curves, len(answers))
    has_bands = len(lines) <= _MOST_BANDS
    for axes, (target, columns) in zip(panels, _PANELS.items(), strict=True):
        _draw_measured(axes, target, along, {line.name: line.colour for line in lines}, measured)
        for line in lines:
            _draw_curve(axes, along, answers, columns if has_bands else columns[:1], line)
        row = best[target]
        axes.scatter(
            along.positions([along.values[row]]), [float(answers[columns[0]].iloc[row])], s=130, facecolor="none",
            edgecolor=INK, linewidth=1.3, zorder=6, label="highest" if target == "conductivity" else None,
        )  # fmt: skip
        axes.grid(visible=True)
    _label(panels, along, answers, f"\n(band: {percent(level)})" if has_bands else "")
    figure.suptitle(subscripted(title), x=0.01, ha="left", fontsize=10.5, fontweight="bold", color=INK)
    _legend(figure, panels[0], curves)
    return figure


@dataclass(frozen=True)
class _Curve:
    """Name and colour of a curve, and its rows of the answers."""

    name: str
    colour: Any
    rows: NDArray[np.intp]


def _split_curves(curves: Axis | None, count: int) -> list[_Curve]:
    if curves is None:
        return [_Curve("predicted", BLUE, np.arange(count))]
    values = curves.distinct_values
    if len(values) <= len(_COLOURS) and not curves.is_number:
        colours: Sequence[Any] = _COLOURS
    else:
        colours = load_matplotlib().colormaps[DENSITY_MAP](np.linspace(0.0, 0.9, len(values)))
    positions = curves.positions(curves.values)
    return [
        _Curve(_text(value), colour, np.flatnonzero(positions == curves.positions([value])))
        for value, colour in zip(values, colours, strict=False)
    ]


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else subscripted(str(value).replace("_", " "))


def _draw_curve(
    axes: Axes, along: Axis, answers: pd.DataFrame, columns: tuple[Column, ...], curve: _Curve
) -> None:
    """Draw one curve, with its band if there are columns of the limits."""
    x = along.positions([along.values[row] for row in curve.rows])
    order = np.argsort(x)
    x, shown = x[order], answers.iloc[curve.rows[order]]
    value = shown[columns[0]].to_numpy(float)
    if along.is_number:
        axes.plot(x, value, color=curve.colour, linewidth=1.8, zorder=4, label=curve.name)
    if len(columns) > 1:
        lower, upper = (shown[column].to_numpy(float) for column in columns[1:])
        if along.is_number:
            axes.fill_between(x, lower, upper, color=curve.colour, alpha=0.15, linewidth=0, zorder=1)
        else:
            axes.vlines(x, lower, upper, color=curve.colour, linewidth=6, alpha=0.2, zorder=1)
    if len(x) <= _MOST_MARKS or not along.is_number:
        inside = shown[Column.INSIDE_DOMAIN].astype(bool).to_numpy()
        axes.scatter(
            x, value, s=22, facecolor=[curve.colour if is_inside else "white" for is_inside in inside],
            edgecolor=[curve.colour] * len(x), linewidth=1.2, zorder=5,
            label=None if along.is_number else curve.name,
        )  # fmt: skip


#: Marker, colour and size of the measured pellets of each origin.
_MARKS = (("o", GREY, 16), ("D", VERMILION, 34))


def _draw_measured(
    axes: Axes, target: str, along: Axis, colours: Mapping[str, Any], measured: Mapping[str, pd.DataFrame]
) -> None:
    for number, (origin, points) in enumerate(measured.items()):
        shown = points[points["target"] == target]
        if shown.empty:
            continue
        marker, colour, size = _MARKS[number]
        x, y = along.positions(shown["place"].tolist()), shown["value"].to_numpy(float)
        y_jitter, x_jitter = np.random.default_rng(0).uniform(0.0, 1.0, (2, len(y)))  # many points coincide
        if target == "phase_purity":
            y = np.where(y > 0.5, 1.0 - 0.05 * y_jitter, 0.05 * y_jitter)
        if not along.is_number:
            x = x + 0.1 + 0.15 * x_jitter
        point_colours = [colours[_text(curve)] for curve in shown["curve"]] if len(colours) > 1 else colour
        axes.scatter(
            x, y, s=size, marker=marker, color=point_colours, alpha=0.9 if number else 0.6,
            linewidth=float(number), edgecolor=INK, zorder=3 + 3 * number,
            label=origin if target == "conductivity" else None,
        )  # fmt: skip


def _label(panels: Sequence[Axes], along: Axis, answers: pd.DataFrame, interval: str) -> None:
    first, second, third = panels
    first.set_yscale("log")
    given = answers[Column.MEASUREMENT_TEMPERATURE_C].iloc[0]
    temperature = "25 °C" if pd.isna(given) else f"{given:g} °C"
    first.set_ylabel(f"{Column.PREDICTED_CONDUCTIVITY_S_CM.axis_label}, {temperature}{interval}")
    second.set_ylabel(f"{Column.PREDICTED_RELATIVE_DENSITY_PCT.axis_label}{interval}")
    second.set_ylim(top=101)
    third.set_ylabel("probability of\nphase purity")
    third.set_ylim(-0.03, 1.03)
    third.yaxis.set_major_formatter(percent)
    third.set_xlabel(along.label)
    if not along.is_number:
        third.set_xticks(range(len(along.distinct_values)), [_text(value) for value in along.distinct_values])
        third.set_xlim(-0.5, len(along.distinct_values) - 0.5)
        return
    low, high = min(along.distinct_values), max(along.distinct_values)
    if low > 0 and high / low >= _LOG_RATIO:
        third.set_xscale("log")
        third.xaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _legend(figure: Figure, axes: Axes, curves: Axis | None) -> None:
    handles, names = axes.get_legend_handles_labels()
    pairs = list(zip(handles, names, strict=True))
    curve_names = {_text(value) for value in curves.distinct_values} if curves is not None else set()
    lines = [pair for pair in pairs if pair[1] in curve_names]
    if len(lines) > _MOST_NAMED:
        kept = {round(index) for index in np.linspace(0, len(lines) - 1, _MOST_NAMED)}
        dropped = [line for index, line in enumerate(lines) if index not in kept]
        pairs = [pair for pair in pairs if pair not in dropped]
    figure.legend(
        [handle for handle, _ in pairs], [name for _, name in pairs], loc="outside lower center",
        ncols=min(4, len(pairs)), title=curves.label if curves is not None else None,
    )  # fmt: skip


MOST_PARTS = 9
_AXIS = {
    "decades": "log$_{10}$ of total conductivity (S/cm)",
    "points": "relative density (%)",
    "percentage points": "probability of phase purity (%)",
}
_REST = "everything else"
#: Characters in a line of a label.
_LABEL_WIDTH = 44
#: Background of numbers, which hides the lines behind them.
_NUMBER_BOX = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}


@drawing
def contributions(
    explained: pd.DataFrame, target: str | None = None, *, row: int = 0, most: int = MOST_PARTS
) -> Figure:
    """Draw the contributions of the parts of one recipe to its predictions as a waterfall.

    Parameters
    ----------
    explained
        As returned by `nasicon_ml.workflows.explain.explain`.
    target
        ``conductivity``, ``relative_density`` or ``phase_purity``; None for all three.
    row
        Row of the recipe.
    most
        Number of bars per target; the other parts are summed in the last.

    Returns
    -------
    matplotlib.figure.Figure
        One bar per part, the largest contribution on top, each starting where the one above it ends: blue raises
        the prediction, red lowers it.
    """
    targets = [target] if target is not None else list(dict.fromkeys(explained["target"]))
    parts = {name: _largest_parts(explained, name, row, most) for name in targets}
    heights = [1.5 + 0.3 * len(names) for names, _, _ in parts.values()]
    figure = new_figure(8.4, sum(heights))
    panels = figure.subplots(len(parts), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (name, (names, sizes, ends)) in zip(panels, parts.items(), strict=True):
        unit, base, predicted = ends
        _draw_waterfall(axes, names, sizes, base)
        axes.set_xlabel(_AXIS[unit])
        subtitle = f"from {base:.4g}, the average of training, to {predicted:.4g}; numbers: {unit}"
        headline(axes, f"{target_style(name).name}: why", subtitle)
    return figure


def _largest_parts(
    explained: pd.DataFrame, target: str, row: int, most: int
) -> tuple[list[str], NDArray[np.float64], tuple[str, float, float]]:
    """Return the names and contributions of the largest parts, and unit, base and prediction."""
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


def _draw_waterfall(axes: Axes, names: list[str], sizes: np.ndarray, base: float) -> None:
    y = np.arange(len(names))
    ends = base + np.cumsum(sizes)
    starts = ends - sizes
    colours = [BLUE if size >= 0 else VERMILION for size in sizes]
    axes.barh(y, sizes, left=starts, color=colours, height=0.62, zorder=2)
    axes.vlines(ends[:-1], y[:-1], y[1:], color=GREY, linewidth=0.8, zorder=1)
    axes.axvline(base, color=GREY, linewidth=0.8, linestyle=DASHED, zorder=1)
    axes.axvline(ends[-1], color=INK, linewidth=1.0, zorder=1)
    low, high = min(starts.min(), ends.min()), max(starts.max(), ends.max())
    span = max(high - low, 1e-6)
    for row, start, end, size in zip(y.tolist(), starts, ends, sizes, strict=True):
        right = max(start, end) + 0.012 * span
        axes.text(right, row, f"{size:+.2f}", va="center", fontsize=8, color=INK, zorder=4, bbox=_NUMBER_BOX)
    axes.set_xlim(low - 0.05 * span, high + 0.12 * span)
    label_rows(axes, [fill(name, _LABEL_WIDTH) for name in names])


MOST_FEATURES = 20


@drawing
def importance(frame: pd.DataFrame, target: str, *, most: int = MOST_FEATURES) -> Figure:
    """Draw the permutation importance of features on held-out pellets.

    Parameters
    ----------
    frame
        As in `TrainingResult.importance`.
    target
        ``conductivity``, ``relative_density`` or ``phase_purity``.
    most
        Number of features to show.

    Returns
    -------
    matplotlib.figure.Figure
        One bar per feature, the most important on top, with its spread.
    """
    style = target_style(target)
    rows = frame[frame["target"] == target]
    if rows.empty:
        raise DatasetError(f"there is no importance of features for {target} to draw")
    total = len(rows)
    rows = rows.sort_values("importance", ascending=False, kind="stable").head(most)
    figure = new_figure(6.6, 1.3 + 0.25 * len(rows))
    axes = figure.add_subplot()
    y = range(len(rows))
    axes.barh(y, rows["importance"], color=BLUE, height=0.68, zorder=2)
    axes.errorbar(
        rows["importance"], y, xerr=rows["spread"], fmt="none", ecolor=INK, elinewidth=1.0, capsize=2,
        zorder=3,
    )  # fmt: skip
    axes.axvline(0, color=GREY, linewidth=0.8)
    label_rows(axes, rows["feature"].astype(str).tolist())
    loss = f"mean |error| ({style.error_unit})" if style.error_unit else "the loss of the probability"
    axes.set_xlabel(f"increase of {loss}\nwhen the feature is shuffled; line: spread")
    shown = f"the first {len(rows)} of {total}" if total > len(rows) else f"all {total}"
    headline(axes, f"{style.name}: what it rests on", f"permutation on held-out sources: {shown} features")
    return figure
