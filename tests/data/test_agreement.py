"""How far laboratories differ: worked out by hand on small tables, and plausible on the committed one."""

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


def test_pairs_of_one_source_and_of_different_formulas_do_not_count() -> None:
    frame, values = _pellets(
        ("A", "one", 800, "conventional", 0.0),
        ("A", "one", 800, "conventional", 100.0),
        ("A", "two", 800, "conventional", 1.0),
        ("B", "one", 800, "conventional", 50.0),
    )
    # |0 - 1| and |100 - 1|; B has no partner.
    assert agreement(frame, values) == Agreement(50.0, 3, 1)


def test_formulas_weigh_by_their_pellets() -> None:
    rows = [("A", "one", 800, None, 0.0), ("A", "two", 800, None, 3.0)]
    rows += [("B", str(source), 800, None, float(source)) for source in range(3)]
    frame, values = _pellets(*rows)
    # A: 3, from two pellets; B: (1 + 2 + 1) / 3, from three.
    assert agreement(frame, values).difference == pytest.approx((2 * 3 + 3 * 4 / 3) / 5)


@pytest.mark.parametrize(
    ("temperature", "technique", "alike"),
    [(825, "conventional", 2), (826, "conventional", 0), (800, "spark_plasma", 0), (np.nan, "conventional", 0)],
)
def test_sintered_alike(temperature: float, technique: str, alike: int) -> None:
    frame, values = _pellets(("A", "one", 800, "conventional", 0.0), ("A", "two", temperature, technique, 1.0))
    assert agreement(frame, values, sintered_within_c=25).pellets == alike
    assert agreement(frame, values).pellets == 2


def test_an_unstated_technique_is_never_alike() -> None:
    frame, values = _pellets(("A", "one", 800, None, 0.0), ("A", "two", 800, None, 1.0))
    assert agreement(frame, values, sintered_within_c=25).pellets == 0


def test_pellets_without_a_value_are_passed_over_and_no_pair_is_no_number() -> None:
    frame, values = _pellets(("A", "one", 800, None, 0.0), ("A", "two", 800, None, np.nan))
    found = agreement(frame, values)
    assert found.pellets == 0
    assert np.isnan(found.difference)
    assert np.isnan(found.floor)


def test_the_floor_is_the_error_that_a_perfect_mean_leaves() -> None:
    """Many laboratories with normal errors: the floor is the mean distance from the true value."""
    random = np.random.default_rng(0)
    error = random.normal(size=400)
    rows = [("A", str(source), 800.0, None, value) for source, value in enumerate(error)]
    frame, values = _pellets(*rows)
    assert agreement(frame, values).floor == pytest.approx(np.abs(error).mean(), rel=0.05)


def test_the_committed_dataset() -> None:
    """Laboratories differ by some tenths of a decade, less so if they sintered alike (README, notebook 1)."""
    pellets = load_pellets()
    pellets = pellets[pellets[Column.SYSTEM].str.startswith("L")]
    decades = np.log10(pellets[Column.CONDUCTIVITY_TOTAL_S_CM])
    any_way = agreement(pellets, decades)
    alike = agreement(pellets, decades, sintered_within_c=25)
    assert 0.3 < alike.difference < any_way.difference < 1.5
    assert alike.pellets < any_way.pellets


def test_the_median_of_the_others_counts_each_source_once() -> None:
    frame, values = _pellets(
        ("A", "one", 800, "conventional", 0.0),
        ("A", "two", 800, "conventional", 1.0),
        ("A", "two", 800, "conventional", 3.0),
        ("A", "three", 800, "conventional", 10.0),
        ("B", "one", 800, "conventional", 7.0),
    )
    # Source "two" says 2; the others of "one" say 2 and 10, those of "two" 0 and 10, those of "three" 0 and 2.
    assert median_of_others(frame, values).tolist()[:4] == [6.0, 5.0, 5.0, 1.0]
    assert np.isnan(median_of_others(frame, values)[4])


def test_the_median_of_the_others_sintered_alike() -> None:
    frame, values = _pellets(
        ("A", "one", 800, "conventional", 0.0),
        ("A", "two", 825, "conventional", 1.0),
        ("A", "three", 850, "conventional", 5.0),
        ("A", "four", 800, "spark_plasma", 9.0),
        ("A", "five", 800, None, 9.0),
    )
    found = median_of_others(frame, values, sintered_within_c=25)
    assert found.tolist()[:3] == [1.0, 2.5, 1.0]
    assert found[3:].isna().all()


def test_the_median_of_a_part_keeps_the_index_and_passes_over_missing_values() -> None:
    frame, values = _pellets(
        ("A", "one", 800, None, np.nan), ("A", "two", 800, None, 1.0), ("A", "three", 800, None, 2.0)
    )
    frame.index = values.index = pd.Index([7, 5, 3])
    found = median_of_others(frame, values)
    assert found.index.tolist() == [7, 5, 3]
    assert np.isnan(found[7])
    assert (found[5], found[3]) == (2.0, 1.0)


def test_without_a_partner_there_is_no_median() -> None:
    frame, values = _pellets(
        ("A", "one", 800, None, 0.0), ("A", "one", 800, None, 1.0), ("B", "two", 800, None, 1.0)
    )
    assert median_of_others(frame, values).isna().all()
