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

PROCESSING = {
    "synthesis_route": "sol_gel", "calcination_temperature_c": 700, "calcination_time_h": 2,
    "particle_size_um": 0.3,
    "sintering_temperature_c": 800, "sintering_time_h": 2, "heating_rate_c_min": 1, "atmosphere": "air",
    "densification": "conventional", "pressure_mpa": 1,
}  # fmt: skip


def distance(first, second):
    return recipe_distances(
        recipe_space(recipe_table([Recipe(**first)])), recipe_space(recipe_table([Recipe(**second)]))
    )[0, 0]


def test_distance_of_identical_recipes_is_zero():
    full = {"formula": "LATP x=0.3"} | PROCESSING
    assert distance(full, full) == 0.0


def test_composition_distance_is_twice_the_exchanged_amount():
    """LATP x = 0.3 with Sc instead of Al: 0.3 cations per formula unit are exchanged."""
    first, second = {"formula": "LATP x=0.3"} | PROCESSING, {"formula": "Li1.3Sc0.3Ti1.7(PO4)3"} | PROCESSING
    assert distance(first, second) == pytest.approx(2.0 * 0.3)


def test_unknown_field_counts_half_of_its_maximum_distance():
    full, bare = {"formula": "LATP x=0.3"} | PROCESSING, {"formula": "LATP x=0.3"}
    other = full | {
        "synthesis_route": "solid_state", "calcination_temperature_c": 1200, "calcination_time_h": 200,
        "particle_size_um": 30, "sintering_temperature_c": 1200, "sintering_time_h": 100,
        "heating_rate_c_min": 100,
        "atmosphere": "Ar", "densification": "spark_plasma", "pressure_mpa": 100,
    }  # fmt: skip
    assert distance(full, bare) == pytest.approx(distance(full, other) / 2)
    assert distance(full, bare) == pytest.approx(distance(bare, full))


def test_distance_is_symmetric_and_independent_of_chunk_size(monkeypatch):
    space = recipe_space(load_pellets().sample(60, random_state=0))
    whole = recipe_distances(space, space)
    np.testing.assert_allclose(whole, whole.T, atol=1e-12)
    found = nearest_neighbours(space, space, 5)
    monkeypatch.setattr(distances, "_CHUNK_CELLS", 1)
    np.testing.assert_array_equal(recipe_distances(space, space), whole)
    chunked = nearest_neighbours(space, space, 5)
    np.testing.assert_array_equal(chunked.positions, found.positions)
    np.testing.assert_array_equal(chunked.distances, found.distances)


def test_neighbours_from_the_same_source_are_excluded():
    pellets = load_pellets().sample(80, random_state=0).reset_index(drop=True)
    space, sources = recipe_space(pellets), pellets["source"].to_numpy(dtype=object)
    found = nearest_neighbours(space, space, 3, query_sources=sources, reference_sources=sources)
    assert (sources[found.positions] != sources[:, None]).all()
    assert (nearest_neighbours(space, space, 1).distances[:, 0] <= found.distances[:, 0]).all()


def test_nearest_neighbours_among_equal_stably_sorted_distances_of_each_subset():
    space = recipe_space(load_pellets().head(120))  # with equal recipes, so with ties
    queries, subset = space.take(slice(0, 50)), np.arange(0, 120, 3)
    of_all, of_some, of_none = nearest_neighbours_among(
        queries, space, [(np.arange(120), 7), (subset, 200), (subset[:0], 3)]
    )
    all_distances = recipe_distances(queries, space)
    for found, chosen, k in ((of_all, np.arange(120), 7), (of_some, subset, len(subset))):
        expected = np.argsort(all_distances[:, chosen].round(9), axis=1, kind="stable")[:, :k]
        np.testing.assert_array_equal(found.positions, expected)
        np.testing.assert_array_equal(
            found.distances, np.take_along_axis(all_distances[:, chosen], expected, axis=1)
        )
    assert of_none.positions.shape == (50, 0)
    assert nearest_neighbours(space.take(slice(0, 0)), space, 3).distances.shape == (0, 3)


PREPARATION = {
    "lithium_excess_pct": 10, "precursors": "Li2CO3;Al2O3;TiO2;NH4H2PO4", "green_pressure_mpa": 200,
    "powder_bed": True,
}  # fmt: skip
#: Weight of one processing field: eight fields count once, two count twice, and the additive counts two.
FIELD_WEIGHT = 1 / 14


@pytest.mark.parametrize("preparation", [{}, PREPARATION])
@pytest.mark.parametrize("processing", [{}, PROCESSING])
def test_preparation_counts_only_if_both_recipes_state_it(preparation, processing):
    bare = {"formula": "LATP x=0.3"} | processing
    assert distance(bare | preparation, bare) == distance(bare, bare | preparation) == distance(bare, bare)
    assert distance(bare | PREPARATION, bare | PREPARATION) == distance(bare, bare)


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
def test_preparation_difference_adds_expected_number_of_fields(change, fields):
    full = {"formula": "LATP x=0.3"} | PROCESSING | PREPARATION
    assert distance(full, full | change) == pytest.approx(fields * FIELD_WEIGHT)


def test_table_without_preparation_columns_equals_unstated_preparation():
    table = recipe_table([Recipe(formula="LATP x=0.3", **PROCESSING)])
    short = recipe_space(table.drop(columns=list(PREPARATION)))
    assert np.isnan(short.preparation).all()
    assert np.array_equal(short.preparation, recipe_space(table).preparation, equal_nan=True)
    assert recipe_distances(short, recipe_space(table))[0, 0] == 0.0


def test_laboratory_distance_of_preparation_gives_positive_semidefinite_kernel():
    """A field that only one of two recipes states counts half, as in the other fields."""
    random = np.random.default_rng(0)
    recipes = [
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
    space = recipe_space(recipe_table([Recipe(**fields) for fields in recipes]))
    processing = distances.laboratory_distances(space, space, np.zeros(80), np.zeros(80)).processing
    assert (np.diag(processing) == 0).all()
    assert np.array_equal(processing, processing.T)
    for scale in (0.3, 1.0, 3.0):
        assert np.linalg.eigvalsh(np.exp(-processing / scale)).min() > -1e-9
    pair = recipe_space(
        recipe_table([Recipe(formula="LATP x=0.3"), Recipe(formula="LATP x=0.3", powder_bed=True)])
    )
    processing = distances.laboratory_distances(pair, pair, np.zeros(2), np.zeros(2)).processing
    assert processing.tolist() == [[0.0, 0.5], [0.5, 0.0]]
