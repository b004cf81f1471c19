"""Figures of a screening show what is in the tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection, QuadMesh

from nasicon_ml import plots
from nasicon_ml.columns import Column
from nasicon_ml.errors import DatasetError

FIRING, CONDUCTIVITY = Column.SINTERING_TEMPERATURE_C.value, Column.PREDICTED_CONDUCTIVITY_S_CM.value
CELLS = pd.DataFrame(
    {"x": [0.2, 0.2, 0.4, 0.5], FIRING: [700.0, 800.0, 800.0, 900.0], CONDUCTIVITY: [1e-5, 1e-4, 1e-3, 1e-4]}
)
FRONT = pd.DataFrame(
    {
        FIRING: [700.0, 800.0, np.nan],
        CONDUCTIVITY: [1e-4, 5e-4, 1e-3],
        Column.PREDICTED_RELATIVE_DENSITY_PCT.value: [90.0, 95.0, 99.0],
        Column.PREDICTED_PHASE_PURITY.value: [0.9, 0.5, 0.2],
    }
)


def test_the_map_has_a_field_for_each_pair_and_marks_the_best() -> None:
    axes = plots.screening_map(CELLS).axes[0]
    (field,) = [one for one in axes.collections if isinstance(one, QuadMesh)]
    shown = np.ma.filled(field.get_array(), np.nan)
    expected = [[-5, np.nan, np.nan], [-4, -3, np.nan], [np.nan, np.nan, -4]]
    np.testing.assert_allclose(shown, expected)
    (cross,) = axes.get_lines()
    assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (0.4, 800.0)
    assert axes.get_xlim() == pytest.approx((0.1, 0.55))


def test_a_map_of_one_field_is_drawn() -> None:
    axes = plots.screening_map(CELLS.head(1)).axes[0]
    assert axes.get_xlim()[0] < 0.2 < axes.get_xlim()[1]


def test_the_front_shows_what_gives_a_temperature_and_says_what_does_not() -> None:
    axes = plots.screening_front(FRONT).axes[0]
    (marks,) = [one for one in axes.collections if isinstance(one, PathCollection)]
    np.testing.assert_array_equal(marks.get_offsets(), [[700.0, 1e-4], [800.0, 5e-4]])
    np.testing.assert_array_equal(marks.get_array(), [0.9, 0.5])
    assert marks.get_sizes()[0] < marks.get_sizes()[1]
    assert "1 without a sintering temperature" in " ".join(text.get_text() for text in axes.texts)
    assert axes.get_title(loc="left") == "Pareto front: 3 recipes"


def test_there_has_to_be_something_to_show() -> None:
    with pytest.raises(DatasetError, match="no recipe"):
        plots.screening_map(CELLS.head(0))
    with pytest.raises(DatasetError, match="no recipe"):
        plots.screening_front(FRONT.tail(1))
