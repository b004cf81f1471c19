"""What a screening found: the best conductivity over the space, and the front among four properties."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from nasicon_ml.columns import Column
from nasicon_ml.errors import DatasetError
from nasicon_ml.plots.style import (
    DENSITY_MAP,
    INK,
    PALE,
    VERMILION,
    Floats,
    drawing,
    headline,
    new_figure,
    percent,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Name of the column of the substitution, which is no field of a recipe.
SUBSTITUTION = "x"
#: Area of the marks of the front, in points squared, from the least to the most dense.
_SMALLEST, _LARGEST = 12.0, 90.0


@drawing
def screening_map(cells: pd.DataFrame) -> Figure:
    """Draw the highest predicted conductivity at every substitution and sintering temperature.

    Parameters
    ----------
    cells
        Columns ``x``, sintering temperature (°C) and predicted conductivity (S/cm), a row for each pair that
        occurs.

    Returns
    -------
    matplotlib.figure.Figure
        A coloured field for each pair, white where no recipe may be kept; a cross at the best.

    Raises
    ------
    DatasetError
        If there is no row.
    """
    if cells.empty:
        raise DatasetError("there is no recipe with a sintering temperature to map")
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
    axes.plot(
        best[SUBSTITUTION],
        best[Column.SINTERING_TEMPERATURE_C],
        marker="x",
        color=VERMILION,
        markersize=9,
        markeredgewidth=2,
    )
    bar = figure.colorbar(field, ax=axes)
    bar.set_label(f"log10 of the highest {Column.PREDICTED_CONDUCTIVITY_S_CM.axis_label}")
    axes.set_xlabel("net substitution x per three T cations")
    axes.set_ylabel(Column.SINTERING_TEMPERATURE_C.axis_label)
    headline(
        axes,
        "Best predicted conductivity",
        f"each field: the best of all other choices; cross: {best[Column.PREDICTED_CONDUCTIVITY_S_CM]:.1e} S/cm",
    )
    return figure


@drawing
def screening_front(front: pd.DataFrame) -> Figure:
    """Draw the Pareto front of conductivity, density, purity and sintering temperature.

    Parameters
    ----------
    front
        Recipes and predictions, as `nasicon_ml.screening` gives them.

    Returns
    -------
    matplotlib.figure.Figure
        Conductivity against sintering temperature; colour is the probability of purity, size the density.

    Raises
    ------
    DatasetError
        If no recipe of it gives a sintering temperature.
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
        cmap=DENSITY_MAP, vmin=0, vmax=1, edgecolor=INK, linewidth=0.3, alpha=0.85,
    )  # fmt: skip
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


def _edges(centres: Floats) -> Floats:
    """Return the borders between rising values: halfway; shape (n + 1,)."""
    if len(centres) == 1:
        return centres[0] + np.array([-0.5, 0.5]) * max(abs(centres[0]) * 0.1, 0.05)
    middle = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]])


def _sizes(density: Floats) -> Floats:
    span = density.max() - density.min()
    share = (density - density.min()) / span if span > 0 else np.ones(len(density))
    return _SMALLEST + (_LARGEST - _SMALLEST) * share
