"""Figures of the contributions to one prediction."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nasicon_ml import plots
from nasicon_ml.errors import DatasetError, FieldError

CONTRIBUTIONS = [0.5, -0.3, 0.2, 0.1, -0.05]


def explanation(target: str = "conductivity", unit: str = "decades", base: float = -4.0) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "row": 0,
            "target": target,
            "group": "",
            "part": ["atmosphere = Ar", "additive = LiF", "pressure_mpa = 50", "x", "y"],
            "contribution": CONTRIBUTIONS,
            "unit": unit,
            "base": base,
            "predicted": base + sum(CONTRIBUTIONS),
        }
    ).sample(frac=1, random_state=0)


def test_bars_connect_base_and_prediction() -> None:
    axes = plots.contributions(explanation(), "conductivity").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()][:2] == ["atmosphere = Ar", "additive = LiF"]
    starts = [bar.get_x() for bar in axes.patches]
    ends = [bar.get_x() + bar.get_width() for bar in axes.patches]
    assert starts[0] == pytest.approx(-4.0)
    np.testing.assert_allclose(starts[1:], ends[:-1])
    assert ends[-1] == pytest.approx(-4.0 + sum(CONTRIBUTIONS))
    colours = {bar.get_facecolor() for bar in axes.patches if bar.get_width() > 0}
    assert len(colours) == 1
    assert not colours & {bar.get_facecolor() for bar in axes.patches if bar.get_width() < 0}


def test_small_contributions_are_summed() -> None:
    axes = plots.contributions(explanation(), "conductivity", most=3).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "atmosphere = Ar",
        "additive = LiF",
        "everything else (3)",
    ]
    assert axes.patches[-1].get_width() == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("target", "unit", "label"),
    [
        ("conductivity", "decades", "conductivity"),
        ("relative_density", "points", "relative density (%)"),
        ("phase_purity", "percentage points", "phase purity (%)"),
    ],
)
def test_axis_label_names_the_target(target, unit, label, tmp_path) -> None:
    figure = plots.contributions(explanation(target, unit), target)
    assert label in figure.axes[0].get_xlabel()
    assert plots.save(figure, tmp_path / "figure.png").stat().st_size > 0


def test_each_target_is_drawn_in_its_own_panel() -> None:
    units = {"conductivity": "decades", "relative_density": "points", "phase_purity": "percentage points"}
    figure = plots.contributions(pd.concat([explanation(target, unit) for target, unit in units.items()]))
    assert len(figure.axes) == 3
    assert any("percentage points" in text.get_text() for text in figure.axes[2].texts)


def test_missing_recipe_and_unknown_target_raise() -> None:
    with pytest.raises(DatasetError, match="recipe 3"):
        plots.contributions(explanation(), "conductivity", row=3)
    with pytest.raises(FieldError, match="conductivty"):
        plots.contributions(explanation(), "conductivty")
