"""Baselines use only their declared inputs, and simple cases agree with hand-computed values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from benchmarks.baselines import (
    BASELINES,
    INPUT_COLUMNS,
    InputKind,
    Setting,
    baselines_with_inputs,
    compute_inputs,
    element_fractions,
    group_average,
    magpie_statistics,
    nearest_neighbour,
    obelix_recipe,
    raw_processing,
    take,
)

from nasicon_ml.columns import Column, Role
from nasicon_ml.features.distances import recipe_space
from nasicon_ml.recipe import Recipe, recipe_table

NUMBER = Setting(is_probability=False, seed=0, trees=5)
PROBABILITY = Setting(is_probability=True, seed=0, trees=5)


def recipes(*given: Recipe) -> pd.DataFrame:
    table = recipe_table(list(given))
    structure = (Column.LATTICE_A_ANGSTROM, Column.LATTICE_C_ANGSTROM)
    table = table.assign(**{str(column): np.nan for column in structure})
    return table.assign(**{str(Column.SPACE_GROUP): "R-3c", str(Column.SYSTEM): "LTP"})


LTP = Recipe(formula="LiTi2(PO4)3", sintering_temperature_c=900, atmosphere="air")
LATP = Recipe(formula="Li1.3Al0.3Ti1.7(PO4)3", sintering_temperature_c=1000)


def test_baseline_inputs_contain_no_results_except_crystal_structure() -> None:
    structure = {Column.LATTICE_A_ANGSTROM, Column.LATTICE_C_ANGSTROM, Column.SPACE_GROUP}
    assert {column for column in INPUT_COLUMNS if column.role is Role.RESULT} == structure
    assert {Column.SOURCE, Column.PELLET_ID}.isdisjoint(INPUT_COLUMNS)


def test_only_the_obelix_baseline_uses_the_crystal_structure() -> None:
    names = {baseline.name for baseline in baselines_with_inputs(InputKind.COMPOSITION, InputKind.PROCESSING)}
    assert {baseline.name for baseline in BASELINES} - names == {"OBELiX recipe, random forest"}


def test_element_fractions_and_magpie_statistics_of_each_recipe() -> None:
    table = recipes(LTP, LATP, LTP)
    fractions = element_fractions(table)
    assert fractions.shape == (3, 5)
    np.testing.assert_allclose(fractions.sum(axis=1), 1)
    np.testing.assert_allclose(np.sort(fractions[0]), [0, 1 / 18, 2 / 18, 3 / 18, 12 / 18])
    statistics = magpie_statistics(table)
    assert statistics.shape == (3, 132)
    assert np.isfinite(statistics).all()
    np.testing.assert_array_equal(statistics[0], statistics[2])


def test_raw_processing_has_stated_values_and_nan() -> None:
    values = raw_processing(recipes(LTP, LATP))
    assert 900 in values[0]
    assert 1000 in values[1]
    assert np.isnan(values).any()
    assert (values[0] != values[1]).any()


def test_obelix_recipe_has_elements_lattice_and_space_groups() -> None:
    table = recipes(LTP, LATP).assign(**{str(Column.SPACE_GROUP): ["R-3c", "R-3"]})
    assert obelix_recipe(table).shape == (2, 5 + 2 + 2)


def test_group_average_uses_all_rows_for_unseen_groups() -> None:
    known, values = np.array(["a", "a", "a", "b"]), np.array([0.0, 1.0, 5.0, 9.0])
    queries = np.array(["a", "b", "never seen"])
    assert group_average(known, values, queries, NUMBER).tolist() == [1, 9, 3]
    assert group_average(known, values > 0, queries, PROBABILITY).tolist() == pytest.approx([2 / 3, 1, 3 / 4])


def test_nearest_neighbour_uses_composition_and_processing() -> None:
    query = Recipe(formula="LiTi2(PO4)3", sintering_temperature_c=905, atmosphere="air")
    known = recipe_space(recipes(LTP, LATP, LTP))
    predicted = nearest_neighbour(known, np.array([1.0, 2.0, 5.0]), recipe_space(recipes(query, LATP)), NUMBER)
    assert predicted.tolist() == [3, 2]  # the median of two equally near recipes


@pytest.mark.parametrize("baseline", BASELINES, ids=lambda baseline: baseline.name)
@pytest.mark.parametrize("setting", [NUMBER, PROBABILITY], ids=["number", "probability"])
def test_every_baseline_learns_an_obvious_dependence_on_composition(baseline, setting) -> None:
    """Pellets with aluminium conduct well and those without do not; only the median baseline may miss that."""
    table = pd.concat([recipes(LTP, LATP)] * 12, ignore_index=True)
    table[str(Column.SYSTEM)] = ["LTP", "LATP"] * 12
    values = np.tile([0.0, 1.0], 12)
    inputs = compute_inputs((baseline,), table)[baseline.name]
    rows = np.arange(24)
    from benchmarks.predictions import ignore_convergence_warnings

    with ignore_convergence_warnings():
        predicted = baseline.predict(take(inputs, rows[:20]), values[:20], take(inputs, rows[20:]), setting)
    assert predicted.shape == (4,)
    if baseline.name == "median":
        assert predicted.tolist() == [0.5] * 4
    else:
        assert predicted[1] - predicted[0] > 0.5
