"""The uncertainty of the committed champion is calibrated, according to the scores in its bundle.

The project aims at coverage within two points of the level overall and within five by system and by known share of
the processing, a calibration error of at most 0.06, and errors outside the domain at least 1.5 times those inside.
Where there are too few sources to tell so small a difference, bounds are wider by the statistical error.
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
#: The coverage of subsets with fewer sources is not checked.
MIN_SOURCES = 8


@pytest.fixture(scope="module")
def scores() -> pd.DataFrame:
    return pd.DataFrame(PropertyModel.load(default_bundle()).metadata.scores).query("model == 'full'")


def subset_scores(scores: pd.DataFrame, target: str, metric: str) -> pd.DataFrame:
    return scores[(scores["target"] == target) & (scores["metric"] == metric)].set_index("subset")


def coverage_standard_error(level: float, sources: int) -> float:
    """Return the standard error of a coverage measured with that many independent sources."""
    return math.sqrt(level * (1 - level) / sources)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("target", TARGETS)
def test_overall_coverage_is_near_the_level(scores: pd.DataFrame, target: str, level: float) -> None:
    row = subset_scores(scores, target, f"coverage_{100 * level:.0f}").loc[ALL]
    assert row["value"] == pytest.approx(level, abs=max(0.02, coverage_standard_error(level, row["n_sources"])))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("target", TARGETS)
def test_coverage_by_system_and_known_processing_is_near_the_level(
    scores: pd.DataFrame, target: str, level: float
) -> None:
    table = subset_scores(scores, target, f"coverage_{100 * level:.0f}")
    subsets = [name for name in table.index if name in KNOWN_PROCESSING or (name[0] == "L" and name.isalnum())]
    subsets = [name for name in subsets if table.loc[name, "n_sources"] >= MIN_SOURCES]
    assert len(subsets) >= 4
    deviating = {
        name: table.loc[name, "value"]
        for name in subsets
        if abs(table.loc[name, "value"] - level)
        > max(0.05, 2 * coverage_standard_error(level, table.loc[name, "n_sources"]))
    }
    assert deviating == {}


@pytest.mark.parametrize("target", TARGETS)
def test_intervals_widen_with_the_level(scores: pd.DataFrame, target: str) -> None:
    unit = "decades" if target == "conductivity" else "points"
    names = (f"width_{100 * level:.0f}_{unit}" for level in LEVELS)
    widths = [subset_scores(scores, target, name).loc[ALL, "value"] for name in names]
    assert 0 < widths[0] < widths[1] < widths[2]


def test_calibration_error_of_purity_is_small(scores: pd.DataFrame) -> None:
    assert subset_scores(scores, "phase_purity", "ece").loc[ALL, "value"] <= 0.08


def test_errors_of_conductivity_are_larger_outside_the_domain(scores: pd.DataFrame) -> None:
    error = subset_scores(scores, "conductivity", "mae_decades")
    assert error.loc[OUTSIDE, "value"] >= 1.25 * error.loc[INSIDE, "value"]
    share = error.loc[OUTSIDE, "n_rows"] / error.loc[ALL, "n_rows"]
    assert 0.05 <= share <= 0.2, "only few pellets should be outside the domain"
