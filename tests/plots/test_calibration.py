"""Figures of interval coverage and of errors against the domain score."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import FillBetweenPolyCollection

from nasicon_ml import plots
from nasicon_ml.errors import DatasetError, FieldError

LEVELS = np.linspace(0.05, 0.95, 19)


def coverage(shift=0.0):
    return pd.DataFrame({"level": LEVELS, "coverage": np.clip(LEVELS + shift, 0, 1), "coverage_se": 0.02})


def errors(n=6):
    return pd.DataFrame(
        {
            "score": np.geomspace(0.1, 5, n), "score_from": np.geomspace(0.1, 5, n),
            "score_to": np.geomspace(0.1, 5, n), "error": np.linspace(0.4, 1.1, n), "error_se": 0.05,
            "n_rows": 80, "n_sources": np.arange(20, 20 + n),
        }
    )  # fmt: skip


def test_coverage_curves_draw_a_band_only_for_the_first_curve(tmp_path):
    figure = plots.coverage_curves({"all": coverage(), "LATP": coverage(0.1)}, "conductivity")
    axes = figure.axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    assert set(lines) == {"as promised", "all", "LATP"}
    np.testing.assert_allclose(lines["LATP"].get_ydata(), coverage(0.1)["coverage"])
    (band,) = (item for item in axes.collections if isinstance(item, FillBetweenPolyCollection))
    height = np.ptp(band.get_paths()[0].vertices[:, 1])
    assert height == pytest.approx(0.9 + 2 * 1.96 * 0.02, abs=1e-3)
    assert plots.save(figure, tmp_path / "coverage.png").stat().st_size > 10_000


def test_coverage_band_is_clipped_to_0_and_1():
    figure = plots.coverage_curves({"all": coverage(0.5).assign(coverage_se=0.5)}, "relative_density")
    low, high = figure.axes[0].collections[0].get_paths()[0].vertices[:, 1][[0, -1]]
    vertices = figure.axes[0].collections[0].get_paths()[0].vertices
    assert vertices[:, 1].min() >= 0
    assert vertices[:, 1].max() <= 1
    assert low <= high


@pytest.mark.parametrize(
    ("target", "label"),
    [
        ("conductivity", "mean |error| (decades)"),
        ("relative_density", "mean |error| (points)"),
        ("phase_purity", "mean squared error of the probability"),
    ],
)
def test_error_by_domain_draws_errors_and_domain_border(target, label, tmp_path):
    figure = plots.error_by_domain(errors(), target)
    axes = figure.axes[0]
    assert axes.get_ylabel() == label
    points = next(line for line in axes.lines if len(line.get_xdata()) == 6)
    np.testing.assert_allclose(points.get_xdata(), errors()["score"])
    np.testing.assert_allclose(points.get_ydata(), errors()["error"])
    assert [line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 2] == [1]
    assert "80 or more predictions of 20 or more sources" in " ".join(text.get_text() for text in axes.texts)
    assert plots.save(figure, tmp_path / "domain.png").stat().st_size > 10_000


def test_empty_input_and_unknown_target_raise():
    with pytest.raises(DatasetError, match="no coverage of conductivity"):
        plots.coverage_curves({}, "conductivity")
    with pytest.raises(DatasetError, match="no error of phase_purity"):
        plots.error_by_domain(errors().iloc[:0], "phase_purity")
    with pytest.raises(FieldError, match="Did you mean 'conductivity'"):
        plots.error_by_domain(errors(), "conductivty")
