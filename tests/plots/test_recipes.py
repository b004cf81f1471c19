"""Figures of screenings: map and Pareto front."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection, QuadMesh

from nasicon_ml import plots
from nasicon_ml.columns import Column
from nasicon_ml.errors import DatasetError
from nasicon_ml.plots.recipes import _recipe_label, notable_recipes

SINTERING_C, CONDUCTIVITY = Column.SINTERING_TEMPERATURE_C.value, Column.PREDICTED_CONDUCTIVITY_S_CM.value
CELLS = pd.DataFrame(
    {"x": [0.2, 0.2, 0.4, 0.5], SINTERING_C: [700.0, 800.0, 800.0, 900.0], CONDUCTIVITY: [1e-5, 1e-4, 1e-3, 1e-4]}
)
FRONT = pd.DataFrame(
    {
        Column.FORMULA.value: ["Li1.3Al0.3Ti1.7(PO4)3", "Li1.5Al0.5Ge1.5(PO4)3", "LiTi2(PO4)3"],
        SINTERING_C: [700.0, 800.0, np.nan],
        CONDUCTIVITY: [1e-4, 5e-4, 1e-3],
        Column.PREDICTED_RELATIVE_DENSITY_PCT.value: [90.0, 95.0, 99.0],
        Column.PREDICTED_PHASE_PURITY.value: [0.9, 0.5, 0.2],
    }
)


def test_screening_map_colours_each_cell_and_marks_the_best() -> None:
    axes = plots.screening_map(CELLS).axes[0]
    (mesh,) = [item for item in axes.collections if isinstance(item, QuadMesh)]
    values = np.ma.filled(mesh.get_array(), np.nan)
    expected = [[-5, np.nan, np.nan], [-4, -3, np.nan], [np.nan, np.nan, -4]]
    np.testing.assert_allclose(values, expected)
    (cross,) = axes.get_lines()
    assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (0.4, 800.0)
    assert axes.get_xlim() == pytest.approx((0.1, 0.55))


@pytest.mark.parametrize(
    ("rows", "along", "annotation", "label"),
    [([0, 1], SINTERING_C, "x = 0.2", "sintering temperature"), ([1, 2], "x", "800 °C", "substitution")],
)
def test_screening_map_with_one_varying_axis_is_a_line(
    rows: list[int], along: str, annotation: str, label: str
) -> None:
    axes = plots.screening_map(CELLS.iloc[rows]).axes[0]
    line, cross = axes.get_lines()
    np.testing.assert_array_equal(line.get_xdata(), CELLS[along].iloc[rows])
    np.testing.assert_array_equal(line.get_ydata(), CELLS[CONDUCTIVITY].iloc[rows])
    assert cross.get_xdata()[0] == CELLS[along][rows[1]]
    assert annotation in " ".join(text.get_text() for text in axes.texts)
    assert label in axes.get_xlabel()
    assert not axes.collections


def test_screening_map_of_one_cell_is_a_point() -> None:
    (point, _) = plots.screening_map(CELLS.head(1)).axes[0].get_lines()
    assert (point.get_xdata()[0], point.get_ydata()[0]) == (700.0, 1e-5)


def test_notable_recipes_are_the_knee_and_the_best_of_each_property() -> None:
    front = pd.DataFrame(
        {
            SINTERING_C: [700.0, 750.0, 1000.0, 900.0],
            CONDUCTIVITY: [1e-6, 4e-4, 1e-3, 1e-5],
            Column.PREDICTED_RELATIVE_DENSITY_PCT.value: [80.0, 97.0, 90.0, 98.0],
            Column.PREDICTED_PHASE_PURITY.value: [0.3, 0.8, 0.1, 0.9],
        }
    )
    assert notable_recipes(front) == {
        1: ["knee"], 2: ["best conductor"], 3: ["densest", "purest"], 0: ["coolest"],
    }  # fmt: skip
    assert list(notable_recipes(front.head(1))) == [0]


def test_front_scales_colours_and_lists_notable_recipes_in_caption() -> None:
    figure = plots.screening_front(FRONT)
    (marks,) = [item for item in figure.axes[0].collections if isinstance(item, PathCollection)]
    assert marks.get_clim() == (0.5, 0.9)
    caption = figure.get_supxlabel()
    assert caption.startswith("1  knee")
    assert "700 °C: 1.0e-04 S/cm, 90 % dense, 90 % pure" in caption
    assert len(caption.splitlines()) == 2


def test_long_recipe_label_is_not_truncated() -> None:
    row = {
        Column.FORMULA: "Li1.5Al0.5Ge1.5(PO4)3", Column.ADDITIVE: "B2O3", Column.ADDITIVE_AMOUNT: 2.0,
        Column.ADDITIVE_UNIT: "wt%", Column.SINTERING_TEMPERATURE_C: 825.0, Column.SINTERING_TIME_H: 8.0,
        Column.HEATING_RATE_C_MIN: 2.5, Column.PARTICLE_SIZE_UM: 0.31, Column.ATMOSPHERE: "air",
        Column.DENSIFICATION: "glass_ceramic_crystallization", Column.SYNTHESIS_ROUTE: "melt_quench",
    }  # fmt: skip
    first, *others = _recipe_label(row).splitlines()
    assert first.endswith("+ 2 wt% B$_{2}$O$_{3}$")
    assert ", ".join(line.removesuffix(",") for line in others) == (
        "825 °C, 8 h, 2.5 °C/min, 0.31 µm, air, glass ceramic crystallization, melt quench"
    )


def test_front_draws_recipes_with_temperature_and_counts_the_others() -> None:
    axes = plots.screening_front(FRONT).axes[0]
    (marks,) = [item for item in axes.collections if isinstance(item, PathCollection)]
    np.testing.assert_array_equal(marks.get_offsets(), [[700.0, 1e-4], [800.0, 5e-4]])
    np.testing.assert_array_equal(marks.get_array(), [0.9, 0.5])
    assert marks.get_sizes()[0] < marks.get_sizes()[1]
    assert "1 without a sintering temperature" in " ".join(text.get_text() for text in axes.texts)
    assert axes.get_title(loc="left") == "Pareto front: 3 recipes"


def test_empty_map_and_front_raise_dataset_error() -> None:
    with pytest.raises(DatasetError, match="no recipe"):
        plots.screening_map(CELLS.head(0))
    with pytest.raises(DatasetError, match="no recipe"):
        plots.screening_front(FRONT.tail(1))
