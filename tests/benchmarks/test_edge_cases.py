"""Counting the turning points of a curve."""

import numpy as np
import pytest
from benchmarks.edge_cases import COMPOSITIONS, count_turning_points


@pytest.mark.parametrize(
    ("curve", "turns"),
    [
        ([0, 1, 2, 3], 0),
        ([0, 1, 2, 1], 1),
        ([2, 1, 0, 1], 1),
        ([0, 1, 0.95, 1.5], 0),
        ([0, 1, 0, 1, 0], 3),
        ([0, 1, 0.5, 0.2, 0.6], 2),
        ([1, 1, 1], 0),
    ],
)
def test_turning_points_ignore_changes_below_the_tolerance(curve, turns):
    assert count_turning_points(np.array(curve, dtype=float), 0.1) == turns


def test_there_are_30_distinct_compositions():
    assert len(set(COMPOSITIONS)) == 30
