"""Differences between laboratories: calculated by hand for small tables, plausible for the committed dataset."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nasicon_ml.columns import Column
from nasicon_ml.data.agreement import Agreement, agreement, median_of_others
from nasicon_ml.data.load import load_pellets


def _pellets(*rows: tuple[str, str, float, str | None, float]) -> tuple[pd.DataFrame, pd.Series]:
    columns = [Column.FORMULA, Column.SOURCE, Column.SINTERING_TEMPERATURE_C, Column.DENSIFICATION, "value"]
    frame = pd.DataFrame(rows, columns=[str(column) for column in columns])
    return frame, frame.pop("value")


def test_only_pairs_of_different_sources_with_the_same_formula_count() -> None:
    frame, values = _pellets(
        ("A", "one", 800, "conventional", 0.0),
        ("A", "one", 800, "conventional", 100.0),
        ("A", "two", 800, "conventional", 1.0),
        ("B", "one", 800, "conventional", 50.0),
    )
    # |0 - 1| and |100 - 1|; B has no counterpart.
    assert agreement(frame, values) == Agreement(50.0, 3, 1)


def test_formulas_are_weighted_by_number_of_pellets() -> None:
    rows = [("A", "one", 800, None, 0.0), ("A", "two", 800, None, 3.0)]
    rows += [("B", str(source), 800, None, float(source)) for source in range(3)]
    frame, values = _pellets(*rows)
    # A: 3, from two pellets; B: (1 + 2 + 1) / 3, from three.
    assert agreement(frame, values).difference == pytest.approx((2 * 3 + 3 * 4 / 3) / 5)


@pytest.mark.parametrize(
    ("temperature", "technique", "n_pellets"),
    [(825, "conventional", 2), (826, "conventional", 0), (800, "spark_plasma", 0), (np.nan, "conventional", 0)],
)
def test_sintered_within_c_compares_only_equal_technique_and_close_temperature(
    temperature: float, technique: str, n_pellets: int
) -> None:
    frame, values = _pellets(("A", "one", 800, "conventional", 0.0), ("A", "two", temperature, technique, 1.0))
    assert agreement(frame, values, sintered_within_c=25).pellets == n_pellets
    assert agreement(frame, values).pellets == 2


def test_pellets_without_technique_are_not_compared_by_sintering() -> None:
    frame, values = _pellets(("A", "one", 800, None, 0.0), ("A", "two", 800, None, 1.0))
    assert agreement(frame, values, sintered_within_c=25).pellets == 0


def test_missing_values_are_ignored_and_no_pairs_give_nan() -> None:
    frame, values = _pellets(("A", "one", 800, None, 0.0), ("A", "two", 800, None, np.nan))
    result = agreement(frame, values)
    assert result.pellets == 0
    assert np.isnan(result.difference)
    assert np.isnan(result.floor)


def test_floor_is_mean_error_of_predicting_the_true_mean() -> None:
    """For many laboratories with normal errors, the floor is the mean absolute error."""
    random = np.random.default_rng(0)
    error = random.normal(size=400)
    rows = [("A", str(source), 800.0, None, value) for source, value in enumerate(error)]
    frame, values = _pellets(*rows)
    assert agreement(frame, values).floor == pytest.approx(np.abs(error).mean(), rel=0.05)


def test_similar_sintering_reduces_differences_in_committed_dataset() -> None:
    """Laboratories differ by some tenths of a decade, less for similar sintering (README, notebook 1)."""
    pellets = load_pellets()
    pellets = pellets[pellets[Column.SYSTEM].str.startswith("L")]
    decades = np.log10(pellets[Column.CONDUCTIVITY_TOTAL_S_CM])
    unrestricted = agreement(pellets, decades)
    similar = agreement(pellets, decades, sintered_within_c=25)
    assert 0.3 < similar.difference < unrestricted.difference < 1.5
    assert similar.pellets < unrestricted.pellets


def test_median_of_others_counts_each_source_once() -> None:
    frame, values = _pellets(
        ("A", "one", 800, "conventional", 0.0),
        ("A", "two", 800, "conventional", 1.0),
        ("A", "two", 800, "conventional", 3.0),
        ("A", "three", 800, "conventional", 10.0),
        ("B", "one", 800, "conventional", 7.0),
    )
    # The median of source "two" is 2. The others of "one" have 2 and 10, of "two" 0 and 10, of "three" 0 and 2.
    assert median_of_others(frame, values).tolist()[:4] == [6.0, 5.0, 5.0, 1.0]
    assert np.isnan(median_of_others(frame, values)[4])


def test_median_of_others_with_sintered_within_c() -> None:
    frame, values = _pellets(
        ("A", "one", 800, "conventional", 0.0),
        ("A", "two", 825, "conventional", 1.0),
        ("A", "three", 850, "conventional", 5.0),
        ("A", "four", 800, "spark_plasma", 9.0),
        ("A", "five", 800, None, 9.0),
    )
    result = median_of_others(frame, values, sintered_within_c=25)
    assert result.tolist()[:3] == [1.0, 2.5, 1.0]
    assert result[3:].isna().all()


def test_median_of_others_keeps_index_and_ignores_missing_values() -> None:
    frame, values = _pellets(
        ("A", "one", 800, None, np.nan), ("A", "two", 800, None, 1.0), ("A", "three", 800, None, 2.0)
    )
    frame.index = values.index = pd.Index([7, 5, 3])
    result = median_of_others(frame, values)
    assert result.index.tolist() == [7, 5, 3]
    assert np.isnan(result[7])
    assert (result[5], result[3]) == (2.0, 1.0)


def test_median_of_others_is_nan_without_other_sources() -> None:
    frame, values = _pellets(
        ("A", "one", 800, None, 0.0), ("A", "one", 800, None, 1.0), ("B", "two", 800, None, 1.0)
    )
    assert median_of_others(frame, values).isna().all()
