"""The baselines read what they say they read, and answer what can be worked out by hand."""

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
SHARE = Setting(is_probability=True, seed=0, trees=5)


def recipes(*given: Recipe) -> pd.DataFrame:
    table = recipe_table(list(given))
    structure = (Column.LATTICE_A_ANGSTROM, Column.LATTICE_C_ANGSTROM)
    table = table.assign(**{str(column): np.nan for column in structure})
    return table.assign(**{str(Column.SPACE_GROUP): "R-3c", str(Column.SYSTEM): "LTP"})


LTP = Recipe(formula="LiTi2(PO4)3", sintering_temperature_c=900, atmosphere="air")
LATP = Recipe(formula="Li1.3Al0.3Ti1.7(PO4)3", sintering_temperature_c=1000)


def test_no_result_is_readable() -> None:
    structure = {Column.LATTICE_A_ANGSTROM, Column.LATTICE_C_ANGSTROM, Column.SPACE_GROUP}
    assert {column for column in INPUT_COLUMNS if column.role is Role.RESULT} == structure
    assert {Column.SOURCE, Column.PELLET_ID}.isdisjoint(INPUT_COLUMNS)


def test_structure_is_read_on_public_ground_only() -> None:
    names = {baseline.name for baseline in baselines_with_inputs(InputKind.COMPOSITION, InputKind.PROCESSING)}
    assert {baseline.name for baseline in BASELINES} - names == {"OBELiX recipe, random forest"}


def test_fractions_and_magpie() -> None:
    table = recipes(LTP, LATP, LTP)
    fractions = element_fractions(table)
    assert fractions.shape == (3, 5)
    np.testing.assert_allclose(fractions.sum(axis=1), 1)
    np.testing.assert_allclose(np.sort(fractions[0]), [0, 1 / 18, 2 / 18, 3 / 18, 12 / 18])
    statistics = magpie_statistics(table)
    assert statistics.shape == (3, 132)
    assert np.isfinite(statistics).all()
    np.testing.assert_array_equal(statistics[0], statistics[2])


def test_raw_processing_says_what_is_given() -> None:
    found = raw_processing(recipes(LTP, LATP))
    assert 900 in found[0]
    assert 1000 in found[1]
    assert np.isnan(found).any()
    assert (found[0] != found[1]).any()


def test_the_obelix_recipe_has_lattice_and_space_group() -> None:
    table = recipes(LTP, LATP).assign(**{str(Column.SPACE_GROUP): ["R-3c", "R-3"]})
    assert obelix_recipe(table).shape == (2, 5 + 2 + 2)


def test_the_middle_of_a_group() -> None:
    known, values = np.array(["a", "a", "a", "b"]), np.array([0.0, 1.0, 5.0, 9.0])
    asked = np.array(["a", "b", "never seen"])
    assert group_average(known, values, asked, NUMBER).tolist() == [1, 9, 3]
    assert group_average(known, values > 0, asked, SHARE).tolist() == pytest.approx([2 / 3, 1, 3 / 4])


def test_the_nearest_neighbour_reads_composition_and_processing() -> None:
    warm = Recipe(formula="LiTi2(PO4)3", sintering_temperature_c=905, atmosphere="air")
    known = recipe_space(recipes(LTP, LATP, LTP))
    found = nearest_neighbour(known, np.array([1.0, 2.0, 5.0]), recipe_space(recipes(warm, LATP)), NUMBER)
    assert found.tolist() == [3, 2]  # the first two are equally near: the middle of them


@pytest.mark.parametrize("baseline", BASELINES, ids=lambda baseline: baseline.name)
@pytest.mark.parametrize("setting", [NUMBER, SHARE], ids=["number", "probability"])
def test_every_peer_learns_what_is_plain(baseline, setting) -> None:
    """Conductive with aluminium, poor without: whoever reads compositions must see that."""
    table = pd.concat([recipes(LTP, LATP)] * 12, ignore_index=True)
    table[str(Column.SYSTEM)] = ["LTP", "LATP"] * 12
    values = np.tile([0.0, 1.0], 12)
    inputs = compute_inputs((baseline,), table)[baseline.name]
    rows = np.arange(24)
    from benchmarks.predictions import ignore_convergence_warnings

    with ignore_convergence_warnings():
        found = baseline.predict(take(inputs, rows[:20]), values[:20], take(inputs, rows[20:]), setting)
    assert found.shape == (4,)
    if baseline.name == "median":
        assert found.tolist() == [0.5] * 4
    else:
        assert found[1] - found[0] > 0.5
