import numpy as np
import pytest

from nasicon_ml.data.load import load_pellets
from nasicon_ml.features import distances
from nasicon_ml.features.distances import (
    nearest_neighbours,
    nearest_neighbours_among,
    recipe_distances,
    recipe_space,
)
from nasicon_ml.recipe import Recipe, recipe_table

FULL = {
    "synthesis_route": "sol_gel", "calcination_temperature_c": 700, "calcination_time_h": 2,
    "particle_size_um": 0.3,
    "sintering_temperature_c": 800, "sintering_time_h": 2, "heating_rate_c_min": 1, "atmosphere": "air",
    "densification": "conventional", "pressure_mpa": 1,
}  # fmt: skip


def gap(first, second):
    return recipe_distances(
        recipe_space(recipe_table([Recipe(**first)])), recipe_space(recipe_table([Recipe(**second)]))
    )[0, 0]


def test_same_recipe_is_at_distance_zero():
    full = {"formula": "LATP x=0.3"} | FULL
    assert gap(full, full) == 0.0


def test_exchanged_cations_count_once_each():
    """LATP x = 0.3 against Sc in place of Al: 0.3 of a cation exchanged."""
    first, second = {"formula": "LATP x=0.3"} | FULL, {"formula": "Li1.3Sc0.3Ti1.7(PO4)3"} | FULL
    assert gap(first, second) == pytest.approx(2.0 * 0.3)


def test_unknown_fields_lie_halfway():
    full, bare = {"formula": "LATP x=0.3"} | FULL, {"formula": "LATP x=0.3"}
    other = full | {
        "synthesis_route": "solid_state", "calcination_temperature_c": 1200, "calcination_time_h": 200,
        "particle_size_um": 30, "sintering_temperature_c": 1200, "sintering_time_h": 100,
        "heating_rate_c_min": 100,
        "atmosphere": "Ar", "densification": "spark_plasma", "pressure_mpa": 100,
    }  # fmt: skip
    assert gap(full, bare) == pytest.approx(gap(full, other) / 2)
    assert gap(full, bare) == pytest.approx(gap(bare, full))


def test_distance_is_symmetric_and_chunks_do_not_show(monkeypatch):
    space = recipe_space(load_pellets().sample(60, random_state=0))
    whole = recipe_distances(space, space)
    np.testing.assert_allclose(whole, whole.T, atol=1e-12)
    found = nearest_neighbours(space, space, 5)
    monkeypatch.setattr(distances, "_CHUNK_CELLS", 1)
    np.testing.assert_array_equal(recipe_distances(space, space), whole)
    again = nearest_neighbours(space, space, 5)
    np.testing.assert_array_equal(again.positions, found.positions)
    np.testing.assert_array_equal(again.distances, found.distances)


def test_own_source_is_passed_over():
    pellets = load_pellets().sample(80, random_state=0).reset_index(drop=True)
    space, sources = recipe_space(pellets), pellets["source"].to_numpy(dtype=object)
    found = nearest_neighbours(space, space, 3, query_sources=sources, reference_sources=sources)
    assert (sources[found.positions] != sources[:, None]).all()
    assert (nearest_neighbours(space, space, 1).distances[:, 0] <= found.distances[:, 0]).all()


def test_the_nearest_of_several_choices_are_those_of_a_sorted_row():
    space = recipe_space(load_pellets().head(120))  # with equal recipes, so with ties
    queries, some = space.take(slice(0, 50)), np.arange(0, 120, 3)
    of_all, of_some, of_none = nearest_neighbours_among(
        queries, space, [(np.arange(120), 7), (some, 200), (some[:0], 3)]
    )
    gaps = recipe_distances(queries, space)
    for found, chosen, k in ((of_all, np.arange(120), 7), (of_some, some, len(some))):
        expected = np.argsort(gaps[:, chosen].round(9), axis=1, kind="stable")[:, :k]
        np.testing.assert_array_equal(found.positions, expected)
        np.testing.assert_array_equal(found.distances, np.take_along_axis(gaps[:, chosen], expected, axis=1))
    assert of_none.positions.shape == (50, 0)
    assert nearest_neighbours(space.take(slice(0, 0)), space, 3).distances.shape == (0, 3)


PREPARED = {
    "lithium_excess_pct": 10, "precursors": "Li2CO3;Al2O3;TiO2;NH4H2PO4", "green_pressure_mpa": 200,
    "powder_bed": True,
}  # fmt: skip
#: What one field of the processing is of all: eight once, two twice, and two of the additive.
ONE = 1 / 14


@pytest.mark.parametrize("first", [{}, PREPARED])
@pytest.mark.parametrize("made", [{}, FULL])
def test_preparation_counts_only_where_both_state_it(first, made):
    bare = {"formula": "LATP x=0.3"} | made
    assert gap(bare | first, bare) == gap(bare, bare | first) == gap(bare, bare)
    assert gap(bare | PREPARED, bare | PREPARED) == gap(bare, bare)


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"lithium_excess_pct": 15}, 0.5),
        ({"lithium_excess_pct": 50}, 1),
        ({"green_pressure_mpa": 20}, 1),
        ({"green_pressure_mpa": 200 * 10**0.5}, 0.5),
        ({"powder_bed": False}, 1),
        ({"precursors": "NH4H2PO4;TiO2;Al2O3;Li2CO3"}, 0),
        ({"precursors": "Li2CO3;Al(NO3)3;TiO2;NH4H2PO4"}, 0.25),
        ({"precursors": "Li2CO3;Al(NO3)3"}, 0.25),
        ({"precursors": "commercial"}, 1),
        ({"precursors": "LiNO3;Al(NO3)3;Ti(OC4H9)4;H3PO4", "powder_bed": False}, 2),
    ],
)
def test_what_differs_in_the_preparation_counts_as_fields_do(change, fields):
    full = {"formula": "LATP x=0.3"} | FULL | PREPARED
    assert gap(full, full | change) == pytest.approx(fields * ONE)


def test_tables_without_preparation_are_places_too():
    table = recipe_table([Recipe(formula="LATP x=0.3", **FULL)])
    short = recipe_space(table.drop(columns=list(PREPARED)))
    assert np.isnan(short.preparation).all()
    assert np.array_equal(short.preparation, recipe_space(table).preparation, equal_nan=True)
    assert recipe_distances(short, recipe_space(table))[0, 0] == 0.0


def test_within_a_laboratory_preparation_makes_a_covariance():
    """One that states it and one that does not are apart by half, as for the other fields."""
    random = np.random.default_rng(0)
    made = [
        {"formula": "LATP x=0.3", **{name: value for name, value in fields.items() if random.random() < 0.6}}
        for fields in (
            {
                "lithium_excess_pct": random.uniform(0, 20),
                "green_pressure_mpa": random.uniform(10, 1000),
                "powder_bed": bool(random.integers(2)),
                "precursors": str(
                    random.choice(["LiNO3;Al(NO3)3;Ti(OC3H7)4", "Li2CO3;Al2O3;TiO2", "Li2CO3;TiO2"])
                ),
                "sintering_temperature_c": random.uniform(800, 1000),
            }
            for _ in range(80)
        )
    ]
    space = recipe_space(recipe_table([Recipe(**fields) for fields in made]))
    found = distances.laboratory_distances(space, space, np.zeros(80), np.zeros(80)).processing
    assert (np.diag(found) == 0).all()
    assert np.array_equal(found, found.T)
    for scale in (0.3, 1.0, 3.0):
        assert np.linalg.eigvalsh(np.exp(-found / scale)).min() > -1e-9
    bare = recipe_space(
        recipe_table([Recipe(formula="LATP x=0.3"), Recipe(formula="LATP x=0.3", powder_bed=True)])
    )
    one = distances.laboratory_distances(bare, bare, np.zeros(2), np.zeros(2)).processing
    assert one.tolist() == [[0.0, 0.5], [0.5, 0.0]]
