"""Series of one source: rank correlation, regret of the predicted best, and what counts as a series."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from benchmarks.series import kendall_tau, recipes_of_series, regret, regret_of_chance, series_scores
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nasicon_ml.columns import RECIPE, Column

MEASURED = np.array([1.0, 2.0, 3.0, 4.0])
VALUES = arrays(np.float64, 6, elements=st.floats(-5, 5).map(lambda value: round(value, 2)))


def test_kendall_tau_matches_hand_computed_values() -> None:
    assert kendall_tau(MEASURED, MEASURED) == 1
    assert kendall_tau(MEASURED, -MEASURED) == -1
    # One of six pairs is in the wrong order: (5 - 1) / 6.
    assert kendall_tau(MEASURED, np.array([2.0, 1.0, 3.0, 4.0])) == pytest.approx(4 / 6)
    # One pair has equal predictions: 5 / sqrt(6 * 5).
    assert kendall_tau(MEASURED, np.array([1.0, 1.0, 3.0, 4.0])) == pytest.approx(5 / np.sqrt(30))


def test_kendall_tau_is_zero_for_equal_predictions_and_nan_for_equal_values() -> None:
    assert kendall_tau(MEASURED, np.full(4, 2.0)) == 0
    assert np.isnan(kendall_tau(np.full(4, 2.0), MEASURED))


def test_regret_matches_hand_computed_values() -> None:
    assert regret(MEASURED, np.array([0.0, 9.0, 1.0, 2.0])) == 2
    # The first two are tied for the first place; their mean is 1.5.
    assert regret(MEASURED, np.array([9.0, 9.0, 1.0, 2.0])) == 2.5
    assert regret_of_chance(MEASURED) == 1.5


@given(VALUES, VALUES)
def test_regret_is_between_zero_and_the_range_of_measured_values(measured, predicted) -> None:
    assert 0 <= regret(measured, predicted) <= np.ptp(measured) + 1e-9
    assert 0 <= regret_of_chance(measured) <= np.ptp(measured) + 1e-9


@given(VALUES.filter(lambda values: len(np.unique(values)) > 1), st.floats(0.1, 10), st.floats(-3, 3))
def test_correct_order_has_tau_one_and_zero_regret_at_any_scale(measured, factor, shift) -> None:
    predicted = factor * measured + shift
    assert kendall_tau(measured, predicted) == pytest.approx(1)
    assert kendall_tau(measured, -predicted) == pytest.approx(-1)
    assert regret(measured, predicted) == pytest.approx(0)
    assert regret(measured, -predicted) == pytest.approx(np.ptp(measured))


def pellet_table(*rows: tuple[str, float | None, float]) -> pd.DataFrame:
    table = pd.DataFrame({str(column): [None] * len(rows) for column in RECIPE})
    table[str(Column.FORMULA)] = "LiTi2(PO4)3"
    table[str(Column.SOURCE)] = [source for source, _, _ in rows]
    table[str(Column.SINTERING_TEMPERATURE_C)] = pd.Series([at for _, at, _ in rows], dtype=float)
    return table.assign(measured=[value for _, _, value in rows])


def test_series_has_three_distinct_recipes_with_different_values() -> None:
    pellets = pellet_table(
        ("series", 700, 1.0), ("series", 800, 2.0), ("series", None, 4.0), ("series", 700, 3.0),
        ("pair", 700, 1.0), ("pair", 800, 2.0),
        ("twins", 700, 1.0), ("twins", 700, 2.0), ("twins", 800, 3.0),
        ("equal", 700, 1.0), ("equal", 800, 1.0), ("equal", 900, 1.0),
    )  # fmt: skip
    found = recipes_of_series(pellets, ("measured",))
    assert set(found[Column.SOURCE]) == {"series"}
    # The two pellets at 700 °C have the same recipe, so they are merged with their median.
    assert sorted(found["measured"]) == [2.0, 2.0, 4.0]


def test_scores_of_increasing_and_decreasing_series() -> None:
    pellets = pellet_table(
        ("up", 700, 1.0),
        ("up", 800, 2.0),
        ("up", 900, 3.0),
        ("down", 700, 5.0),
        ("down", 800, 4.0),
        ("down", 900, 1.0),
    )
    pellets["model"] = pellets[str(Column.SINTERING_TEMPERATURE_C)]
    found = series_scores(recipes_of_series(pellets, ("measured", "model")), "measured", "model")
    assert found.loc["up"].tolist() == [1, 0, 1, 3]
    assert found.loc["down", ["tau", "regret", "pairs"]].tolist() == [-1, 4, 3]
    assert found.loc["down", "chance"] == pytest.approx(5 - 10 / 3)
