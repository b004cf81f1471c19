"""Figures of profiles: curves, bands, measured pellets and best values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nasicon_ml import plots
from nasicon_ml.columns import Column

BEST = {"conductivity": 1, "relative_density": 0, "phase_purity": 2}


def answers(count: int, *, inside: bool = True) -> pd.DataFrame:
    sigma = np.geomspace(1e-5, 1e-3, count)
    return pd.DataFrame(
        {
            Column.MEASUREMENT_TEMPERATURE_C: np.nan,
            Column.PREDICTED_CONDUCTIVITY_S_CM: sigma,
            Column.PREDICTED_CONDUCTIVITY_LOWER_S_CM: sigma / 10,
            Column.PREDICTED_CONDUCTIVITY_UPPER_S_CM: sigma * 10,
            Column.PREDICTED_RELATIVE_DENSITY_PCT: 90.0,
            Column.PREDICTED_RELATIVE_DENSITY_LOWER_PCT: 80.0,
            Column.PREDICTED_RELATIVE_DENSITY_UPPER_PCT: 97.0,
            Column.PREDICTED_PHASE_PURITY: 0.5,
            Column.INSIDE_DOMAIN: inside,
        }
    )


def points(place: list[object], curve: list[object] | None = None) -> pd.DataFrame:
    frame = pd.DataFrame({"target": "conductivity", "value": 1e-4, "place": place})
    return frame.assign(curve=curve)


def draw(along: plots.Axis, curves: plots.Axis | None = None, **measured: pd.DataFrame):
    table = answers(len(along.values))
    return plots.profile(table, along, curves, measured, title="LATP x", level=0.8, best=BEST)


def test_curve_is_drawn_with_band_measured_points_and_best_value(tmp_path) -> None:
    along = plots.Axis([750.0, 850.0, 950.0], "sintering temperature (°C)")
    figure = draw(along, literature=points([800.0, 900.0]))
    first, second, third = figure.axes
    assert len(first.lines) == len(third.lines) == 1
    assert "(band: 80 %)" in first.get_ylabel()
    assert "25 °C" in first.get_ylabel()
    assert second.get_ylim()[1] == 101
    measured, *_ = [marks for marks in first.collections if len(marks.get_offsets()) == 2]
    np.testing.assert_allclose(measured.get_offsets()[:, 0], [800, 900])
    ring = [marks for marks in first.collections if len(marks.get_offsets()) == 1][-1]
    assert ring.get_offsets()[0][0] == 850
    assert third.get_xlabel() == "sintering temperature (°C)"
    assert plots.save(figure, tmp_path / "figure.png").stat().st_size > 0


def test_categories_keep_order_and_points_outside_domain_are_hollow() -> None:
    along = plots.Axis(["Y", "Al", "Sc"], "M")
    table = answers(3, inside=False)
    figure = plots.profile(table, along, None, {"literature": points(["Sc"])}, title="", level=0.9, best=BEST)
    assert [label.get_text() for label in figure.axes[2].get_xticklabels()] == ["Y", "Al", "Sc"]
    assert not figure.axes[0].lines
    predicted = [marks for marks in figure.axes[0].collections if len(marks.get_offsets()) == 3][-1]
    np.testing.assert_allclose(predicted.get_facecolor(), np.ones((3, 4)))


@pytest.mark.parametrize(("count", "bands"), [(2, True), (3, False)])
def test_more_than_two_curves_have_no_bands(count: int, bands: bool) -> None:
    values = [800.0, 900.0, 1000.0]
    along = plots.Axis(values * count, "T")
    curves = plots.Axis([float(at) for at in range(count) for _ in values], "sintering time (h)")
    figure = draw(along, curves, literature=points([850.0], [1.0]), yours=points([860.0], [0.0]))
    assert len(figure.axes[0].lines) == count
    assert ("band" in figure.axes[0].get_ylabel()) is bands
    colours = [line.get_color() for line in figure.axes[0].lines]
    measured = next(marks for marks in figure.axes[0].collections if len(marks.get_offsets()) == 1)
    np.testing.assert_allclose(measured.get_facecolor()[0][:3], np.array(colours[1])[:3])


def test_values_over_two_decades_have_a_logarithmic_axis() -> None:
    assert draw(plots.Axis([0.1, 1.0, 10.0], "h")).axes[2].get_xscale() == "log"
    assert draw(plots.Axis([1.0, 2.0, 10.0], "h")).axes[2].get_xscale() == "linear"
