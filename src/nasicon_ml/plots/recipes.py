"""Figures of predictions, of the map and Pareto front of a screening, and of campaigns."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from nasicon_ml.columns import CONDUCTIVITY_INTERVAL, DENSITY_INTERVAL, ROOM_TEMPERATURE_C, Column, is_missing
from nasicon_ml.errors import DatasetError
from nasicon_ml.plots.style import (
    BLUE,
    DENSITY_MAP,
    GREY,
    INK,
    ORANGE,
    PALE,
    VERMILION,
    Flags,
    Floats,
    decade_ticks,
    drawing,
    headline,
    new_figure,
    percent,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Most rows that are legible on a page.
MOST_RECIPES = 30
_CONDITIONS = (
    Column.SINTERING_TEMPERATURE_C, Column.SINTERING_TIME_H, Column.HEATING_RATE_C_MIN,
    Column.PARTICLE_SIZE_UM, Column.PRESSURE_MPA,
)  # fmt: skip
_CHOICES = (Column.ATMOSPHERE, Column.DENSIFICATION, Column.SYNTHESIS_ROUTE)
#: Characters in a line of a label.
_LABEL_WIDTH = 46


@drawing
def recipe_predictions(
    predictions: pd.DataFrame, *, level: float | None = None, most: int = MOST_RECIPES
) -> Figure:
    """Draw predicted conductivity, density and phase purity of recipes.

    Parameters
    ----------
    predictions
        Recipes with their predictions (`Prediction.frame`): columns `nasicon_ml.columns.MODEL_INPUT` and
        `nasicon_ml.columns.PREDICTION`.
    level
        Level of the intervals, for the labels of the axes.
    most
        Number of recipes to show, from the first.

    Returns
    -------
    matplotlib.figure.Figure
        One row per recipe: conductivity and density with their intervals, phase purity as a bar. Hollow markers
        are outside the domain.
    """
    if predictions.empty:
        raise DatasetError("there is no recipe to draw")
    shown = predictions.head(most).reset_index(drop=True)
    labels = [_recipe_label(row) for row in shown.to_dict("records")]
    n_lines = max(label.count("\n") + 1 for label in labels)
    figure = new_figure(9.6, 1.6 + (0.1 + 0.18 * max(2, n_lines)) * len(shown))
    first, second, third = figure.subplots(1, 3, sharey=True, width_ratios=[1.3, 1, 0.8])
    inside = shown[Column.INSIDE_DOMAIN].astype(bool).to_numpy()
    _draw_intervals(first, shown, inside, CONDUCTIVITY_INTERVAL)
    first.set_xscale("log")
    interval = f"\nwith {percent(level)} interval" if level is not None else ""
    first.set_xlabel(f"{Column.PREDICTED_CONDUCTIVITY_S_CM.axis_label}{_temperature(shown)}{interval}")
    _draw_intervals(second, shown, inside, DENSITY_INTERVAL)
    second.set_xlim(right=101)
    second.set_xlabel(f"{Column.PREDICTED_RELATIVE_DENSITY_PCT.axis_label}{interval}")
    _draw_purity(third, shown, inside)
    first.set_yticks(range(len(shown)), labels)
    first.set_ylim(len(shown) - 0.4, -0.6)
    for axes in (first, second, third):
        axes.grid(visible=True, axis="x")
        axes.tick_params(axis="y", length=0)
    _write_title(figure, len(shown), len(predictions), int((~inside).sum()))
    return figure


def _draw_intervals(
    axes: Axes, shown: pd.DataFrame, inside: Flags, columns: tuple[Column, Column, Column]
) -> None:
    point, lower, upper = (shown[column].to_numpy(float) for column in columns)
    y = np.arange(len(shown))
    axes.hlines(y, lower, upper, color=BLUE, linewidth=2.4, alpha=0.45)
    axes.scatter(point[inside], y[inside], s=34, color=BLUE, zorder=3)
    axes.scatter(point[~inside], y[~inside], s=34, facecolor="white", edgecolor=BLUE, linewidth=1.4, zorder=3)


def _draw_purity(axes: Axes, shown: pd.DataFrame, inside: Flags) -> None:
    probability = shown[Column.PREDICTED_PHASE_PURITY].to_numpy(float)
    rows = range(len(shown))
    bars = axes.barh(rows, probability, height=0.5, color=ORANGE, edgecolor=ORANGE, linewidth=1.2, zorder=2)
    for bar, is_inside in zip(bars, inside, strict=True):
        bar.set_facecolor(ORANGE if is_inside else "white")
    for row, value in zip(rows, probability, strict=True):
        if np.isfinite(value):
            axes.text(value + 0.03, row, percent(value), va="center", fontsize=8)
    axes.axvline(0.5, color=PALE, linewidth=1.0, zorder=0)
    axes.set_xlim(0, 1.18)
    axes.set_xticks([0, 0.5, 1])
    axes.xaxis.set_major_formatter(percent)
    # In two lines, because the axes are narrow.
    axes.set_xlabel(Column.PREDICTED_PHASE_PURITY.axis_label.replace(" of ", "\nof "))


def _temperature(shown: pd.DataFrame) -> str:
    """Return the part of a label for the temperature of the conductivities."""
    if Column.MEASUREMENT_TEMPERATURE_C not in shown.columns:
        return ""
    given = pd.to_numeric(shown[Column.MEASUREMENT_TEMPERATURE_C]).fillna(ROOM_TEMPERATURE_C).unique()
    return f" at {given[0]:g} °C" if len(given) == 1 else ", each at its own temperature"


def _write_title(figure: Figure, shown: int, total: int, outside: int) -> None:
    count = f"{total} recipes" if shown == total else f"the first {shown} of {total} recipes"
    if total == 1:
        count = "1 recipe"
    figure.suptitle(f"Predictions for {count}", x=0.01, ha="left", fontsize=10.5, fontweight="bold", color=INK)
    if outside:
        verb = "lies" if outside == 1 else "lie"
        figure.supxlabel(
            f"hollow: {outside} of {shown} {verb} outside what the model has seen", fontsize=8.5, color=GREY
        )


def _recipe_label(row: Mapping[Hashable, Any]) -> str:
    """Return the formula with subscripts, followed by lines with the known processing fields."""
    parts = [_with_unit(column, row.get(column)) for column in _CONDITIONS]
    parts += [str(row[column]).replace("_", " ") for column in _CHOICES if not is_missing(row.get(column))]
    text = ", ".join(part.replace(" ", "\u00a0") for part in parts if part)  # breaks lines only between parts
    conditions = [line.replace("\u00a0", " ") for line in textwrap.wrap(text, _LABEL_WIDTH)]
    return "\n".join([subscripted(f"{row[Column.FORMULA]}{_additive(row)}"), *conditions])


def _additive(row: Mapping[Hashable, Any]) -> str:
    """Return " + 2 wt% LiF" for a recipe with an additive, else an empty text."""
    name, amount = row.get(Column.ADDITIVE), row.get(Column.ADDITIVE_AMOUNT)
    if is_missing(name):
        return ""
    return f" + {name}" if is_missing(amount) else f" + {amount:g} {row.get(Column.ADDITIVE_UNIT)} {name}"


def _with_unit(column: Column, value: object) -> str:
    return "" if is_missing(value) else f"{float(str(value)):g} {column.unit}"


def subscripted(formula: str) -> str:
    """Return a formula with its amounts as subscripts, as matplotlib math text."""
    return re.sub(r"(?<=[A-Za-z)\]])(\d+(?:\.\d+)?)", r"$_{\1}$", formula)


#: Name of the column of the substitution.
SUBSTITUTION = "x"
#: Labels of the axes of the map, by column.
_MAP_AXES = {
    SUBSTITUTION: "net substitution x per three T cations",
    Column.SINTERING_TEMPERATURE_C.value: Column.SINTERING_TEMPERATURE_C.axis_label,
}
_CROSS: dict[str, Any] = {"marker": "x", "color": VERMILION, "markersize": 9, "markeredgewidth": 2}
#: Marker areas in points squared of the least and the most dense recipe of the front.
_MIN_AREA, _MAX_AREA = 12.0, 90.0


@drawing
def screening_map(cells: pd.DataFrame) -> Figure:
    """Draw the highest predicted conductivity at every substitution and sintering temperature.

    Parameters
    ----------
    cells
        Columns ``x``, sintering temperature (°C) and predicted conductivity (S/cm), one row per pair.

    Returns
    -------
    matplotlib.figure.Figure
        A heat map, white where no recipe is allowed, with a cross at the highest conductivity. If all have the
        same x, or the same temperature, a line along the other one.

    Raises
    ------
    DatasetError
        If there is no row.
    """
    if cells.empty:
        raise DatasetError("there is no recipe with a sintering temperature to map")
    if min(cells[name].nunique() for name in _MAP_AXES) == 1:
        return _best_line(cells)
    grid = cells.pivot_table(
        index=Column.SINTERING_TEMPERATURE_C,
        columns=SUBSTITUTION,
        values=Column.PREDICTED_CONDUCTIVITY_S_CM,
        aggfunc="max",
    )
    figure = new_figure(7.2, 4.8)
    axes = figure.subplots()
    x, y = grid.columns.to_numpy(float), grid.index.to_numpy(float)
    field = axes.pcolormesh(_edges(x), _edges(y), np.log10(grid.to_numpy(float)), cmap=DENSITY_MAP)
    best = cells.iloc[int(cells[Column.PREDICTED_CONDUCTIVITY_S_CM].to_numpy(float).argmax())]
    axes.plot(best[SUBSTITUTION], best[Column.SINTERING_TEMPERATURE_C], **_CROSS)
    bar = figure.colorbar(field, ax=axes)
    bar.set_label(f"log10 of the highest {Column.PREDICTED_CONDUCTIVITY_S_CM.axis_label}")
    axes.set_xlabel(_MAP_AXES[SUBSTITUTION])
    axes.set_ylabel(Column.SINTERING_TEMPERATURE_C.axis_label)
    headline(
        axes,
        "Best predicted conductivity",
        f"each field: the best of all other choices; cross: {best[Column.PREDICTED_CONDUCTIVITY_S_CM]:.1e} S/cm",
    )
    return figure


def _best_line(cells: pd.DataFrame) -> Figure:
    """Draw the highest conductivity along x or sintering temperature, whichever varies."""
    fixed, along = sorted(_MAP_AXES, key=lambda name: cells[name].nunique())
    line = cells.groupby(along)[Column.PREDICTED_CONDUCTIVITY_S_CM.value].max()
    positions, values = line.index.to_numpy(float), line.to_numpy(float)
    best = values.argmax()
    figure = new_figure(7.2, 4.2)
    axes = figure.subplots()
    axes.plot(positions, values, color=BLUE, marker="o", markersize=4)
    axes.plot(positions[best], values[best], **_CROSS)
    axes.set_yscale("log")
    axes.grid(visible=True, which="both", color=PALE)
    axes.set_xlabel(_MAP_AXES[along])
    axes.set_ylabel(f"highest {Column.PREDICTED_CONDUCTIVITY_S_CM.axis_label}")
    headline(
        axes,
        "Best predicted conductivity",
        f"{'x = {:g}' if fixed == SUBSTITUTION else '{:g} °C'}".format(cells[fixed].iloc[0])
        + f"; each point: the best of all other choices; cross: {values[best]:.1e} S/cm",
    )
    return figure


@drawing
def screening_front(front: pd.DataFrame) -> Figure:
    """Draw the Pareto front of conductivity, density, purity and sintering temperature.

    Parameters
    ----------
    front
        Recipes and predictions, as returned by `nasicon_ml.screening`.

    Returns
    -------
    matplotlib.figure.Figure
        Conductivity against sintering temperature; colour is the probability of purity, size the density. Numbers
        mark the knee (nearest to the best of all four properties, each scaled to its range) and the best recipe in
        each property.

    Raises
    ------
    DatasetError
        If no recipe gives a sintering temperature.
    """
    shown = front[front[Column.SINTERING_TEMPERATURE_C].notna()]
    if shown.empty:
        raise DatasetError("no recipe of the front gives a sintering temperature")
    figure = new_figure(7.2, 4.8)
    axes = figure.subplots()
    density = shown[Column.PREDICTED_RELATIVE_DENSITY_PCT].to_numpy(float)
    marks = axes.scatter(
        shown[Column.SINTERING_TEMPERATURE_C].to_numpy(float),
        shown[Column.PREDICTED_CONDUCTIVITY_S_CM].to_numpy(float),
        s=_sizes(density),
        c=shown[Column.PREDICTED_PHASE_PURITY].to_numpy(float),
        cmap=DENSITY_MAP, edgecolor=INK, linewidth=0.3, alpha=0.85,
    )  # fmt: skip
    _number_notable(figure, axes, shown)
    axes.set_yscale("log")
    axes.grid(visible=True, color=PALE)
    axes.set_xlabel(Column.SINTERING_TEMPERATURE_C.axis_label)
    axes.set_ylabel(Column.PREDICTED_CONDUCTIVITY_S_CM.axis_label)
    bar = figure.colorbar(marks, ax=axes, format=percent)
    bar.set_label(Column.PREDICTED_PHASE_PURITY.axis_label)
    omitted = len(front) - len(shown)
    without = f"; {omitted} without a sintering temperature are not shown" if omitted else ""
    headline(
        axes,
        f"Pareto front: {len(front):,} recipes",
        f"size: relative density, {density.min():.0f} to {density.max():.0f} %{without}",
    )
    return figure


def _number_notable(figure: Figure, axes: Axes, front: pd.DataFrame) -> None:
    """Mark the knee and the best recipe in each property by numbers, and describe them below the axes."""
    lines = []
    for number, (position, names) in enumerate(notable_recipes(front).items(), 1):
        row = front.iloc[position]
        point = row[Column.SINTERING_TEMPERATURE_C], row[Column.PREDICTED_CONDUCTIVITY_S_CM]
        axes.plot(*point, marker="o", markersize=11, markerfacecolor="none", markeredgecolor=VERMILION)
        axes.annotate(
            str(number), point, xytext=(7, 5), textcoords="offset points", color=VERMILION, fontweight="bold"
        )
        lines.append(
            f"{number}  {', '.join(names)}: {subscripted(f'{row[Column.FORMULA]}{_additive(row.to_dict())}')}, "
            f"{point[0]:g} °C: {point[1]:.1e} S/cm, {row[Column.PREDICTED_RELATIVE_DENSITY_PCT]:.0f} % dense, "
            f"{percent(row[Column.PREDICTED_PHASE_PURITY])} pure"
        )
    figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=7.5, linespacing=1.5)


def notable_recipes(front: pd.DataFrame) -> dict[int, list[str]]:
    """Return the knee and the best recipes of a front: their descriptions, by position.

    The knee is nearest to the best of all properties, each scaled to its range on the front (conductivity in
    decades).
    """
    properties = {
        "best conductor": np.log10(front[Column.PREDICTED_CONDUCTIVITY_S_CM].to_numpy(float)),
        "densest": front[Column.PREDICTED_RELATIVE_DENSITY_PCT].to_numpy(float),
        "purest": front[Column.PREDICTED_PHASE_PURITY].to_numpy(float),
        "coolest": -front[Column.SINTERING_TEMPERATURE_C].to_numpy(float),
    }
    scaled = [(values.max() - values) / (np.ptp(values) or 1.0) for values in properties.values()]
    distance = np.square(scaled).sum(axis=0)
    notable: dict[int, list[str]] = {int(distance.argmin()): ["knee"]}
    for name, values in properties.items():  # ties go to the recipe nearest to the best
        best = np.flatnonzero(values == values.max())
        notable.setdefault(int(best[distance[best].argmin()]), []).append(name)
    return notable


def _edges(centres: Floats) -> Floats:
    """Return cell edges halfway between ascending centres, shape (n + 1,)."""
    if len(centres) == 1:
        return centres[0] + np.array([-0.5, 0.5]) * max(abs(centres[0]) * 0.1, 0.05)
    inner = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - inner[0]], inner, [2 * centres[-1] - inner[-1]]])


def _sizes(density: Floats) -> Floats:
    span = density.max() - density.min()
    share = (density - density.min()) / span if span > 0 else np.ones(len(density))
    return _MIN_AREA + (_MAX_AREA - _MIN_AREA) * share


#: Kinds of rows in the table of `batch_map`.
CANDIDATE, OWN, PROPOSED = "candidate", "own", "proposed"


@drawing
def batch_map(points: pd.DataFrame, labels: Sequence[str], value: str) -> Figure:
    """Draw a proposed batch among its candidates and the own pellets.

    Parameters
    ----------
    points
        One row per recipe: columns ``first`` and ``second`` (coordinates, as numbers or texts; may be missing),
        ``value`` (expected or, for own pellets, measured; may be NaN) and ``kind`` (candidate, own or proposed,
        the last in order).
    labels
        Labels of the two axes.
    value
        Label of the colours.

    Returns
    -------
    matplotlib.figure.Figure
        Candidates as circles coloured by the highest value at each point, own pellets as squares coloured by their
        measured value, the batch as numbered stars.

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
    coordinates = {name: _coordinates(axes, points[name], name == "second") for name in ("first", "second")}
    best = candidates.assign(**coordinates).groupby(["first", "second"], as_index=False)["value"].max()
    known = points["value"].dropna()
    scale = {"cmap": DENSITY_MAP, "vmin": known.min(), "vmax": known.max()}
    marks = axes.scatter(best["first"], best["second"], c=best["value"], s=46, marker="o", alpha=0.75, **scale)
    own = points.assign(**coordinates)[points["kind"] == OWN]
    axes.scatter(
        own["first"], own["second"], c=own["value"], s=95, marker="s", edgecolor=INK, linewidth=1.4, zorder=3,
        plotnonfinite=True, **scale,
    )  # fmt: skip
    proposed = points.assign(**coordinates)[points["kind"] == PROPOSED]
    numbers_at: dict[tuple[float, float], list[int]] = {}
    for number, (x, y) in enumerate(zip(proposed["first"], proposed["second"], strict=True), start=1):
        numbers_at.setdefault((x, y), []).append(number)
    for (x, y), numbers in numbers_at.items():
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


def _coordinates(axes: Axes, cells: pd.Series, is_vertical: bool) -> pd.Series:
    """Return coordinates of cells and set ticks: numbers unchanged, texts by rank, missing numbers below all."""
    numbers = pd.to_numeric(cells, errors="coerce")
    set_ticks = axes.set_yticks if is_vertical else axes.set_xticks
    if (numbers.notna() != cells.notna()).any():
        texts = cells.fillna("not given").astype(str)
        names = sorted(texts.unique())
        set_ticks(range(len(names)), names)
        return texts.map({name: rank for rank, name in enumerate(names)}).astype(float)
    if cells.notna().all():
        return numbers
    low, high = numbers.min(), numbers.max()
    missing = low - 0.15 * max(high - low, abs(low) * 0.1, 1e-6)
    ticks = np.unique(numbers.dropna())
    if len(ticks) <= 8:
        set_ticks([missing, *ticks], ["not given", *(f"{tick:g}" for tick in ticks)])
    return numbers.fillna(missing)


@drawing
def campaign_progress(history: pd.DataFrame) -> Figure:
    """Draw the progress of a campaign.

    Parameters
    ----------
    history
        As returned by `nasicon_ml.workflows.recommend.campaign_history`.

    Returns
    -------
    matplotlib.figure.Figure
        Top: conductivity of each pellet, its prediction beforehand, and the highest conductivity so far. Bottom:
        errors of the predictions, with the earlier own pellets and without any.

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
    for name, color, label in (
        ("predicted_without", ORANGE, "without own pellets"),
        ("predicted", BLUE, "with the pellets before"),
    ):
        error = (shown["measured"] - shown[name]).abs()
        below.plot(number, error, marker="o", markersize=4, color=color, label=f"{label}: mean {error.mean():.2f}")
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
