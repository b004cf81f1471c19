"""Distances by layers are the distances, whatever else stands in the table."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasicon_ml.columns import MODEL_INPUT, Column
from nasicon_ml.composition import occupancies
from nasicon_ml.data.load import load_pellets
from nasicon_ml.estimators.domain import source_distances
from nasicon_ml.features import distances, neighbours
from nasicon_ml.features.distances import (
    RecipeSpace,
    composition_distance,
    nearest_neighbours,
    processing_distance,
    recipe_space,
)
from nasicon_ml.features.neighbours import DistinctPoints, MeasuredPellets, distinct_points

PELLETS = load_pellets()
KNOWN = PELLETS.sample(300, random_state=0).reset_index(drop=True)
SOURCES = KNOWN[Column.SOURCE].to_numpy(dtype=object)
SPACE = recipe_space(KNOWN)


def points_of(table: pd.DataFrame):
    sites = occupancies(table[Column.FORMULA].to_list())
    space = recipe_space(table, sites=sites)
    return space, distinct_points(space, sites)


@given(st.lists(st.integers(0, len(PELLETS) - 1), min_size=1, max_size=40))
@settings(max_examples=30)
def test_they_are_those_of_every_pair(rows) -> None:
    space, recipes = points_of(PELLETS.iloc[rows].reset_index(drop=True))
    found = MeasuredPellets.from_sources(SPACE, SOURCES).nearest_distances(recipes, 3, 8)
    np.testing.assert_allclose(found.pellets, nearest_neighbours(space, SPACE, 3).distances, atol=1e-6)
    expected = np.sort(source_distances(space, SPACE, SOURCES).distances, axis=1)[:, :8]
    np.testing.assert_allclose(found.sources, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("_MAX_COMPOSITIONS", 0),
        ("_RECIPE_BLOCK", 7),
        ("_PROCESSING_BLOCK", 3),
        ("_MIN_PROCESSINGS", 1),
        ("_MAX_SORTED", 0),
    ],
)
def test_the_same_to_the_last_bit_however_the_table_is_divided(name, value, monkeypatch) -> None:
    table = PELLETS.sample(120, random_state=1).reset_index(drop=True)
    measured = MeasuredPellets.from_sources(SPACE, SOURCES)
    whole = measured.nearest_distances(points_of(table)[1], 3, 8)
    parts = [
        measured.nearest_distances(points_of(table.iloc[[row]].reset_index(drop=True))[1], 3, 8)
        for row in range(20)
    ]
    assert np.array_equal(whole.pellets[:20], np.vstack([part.pellets for part in parts]))
    assert np.array_equal(whole.sources[:20], np.vstack([part.sources for part in parts]))
    monkeypatch.setattr(neighbours, name, value)
    again = measured.nearest_distances(points_of(table)[1], 3, 8)
    assert np.array_equal(whole.pellets, again.pellets)
    assert np.array_equal(whole.sources, again.sources)


def test_each_recipe_has_its_own_composition_and_way() -> None:
    table = pd.concat([KNOWN.head(30), KNOWN.head(30), KNOWN.tail(10)], ignore_index=True)
    space, recipes = points_of(table)
    assert np.array_equal(recipes.compositions.sites[recipes.composition_index], space.sites)
    for kept, given_ in ((recipes.processing.numbers, space.numbers), (recipes.processing.codes, space.codes)):
        assert np.array_equal(kept[recipes.processing_index], given_, equal_nan=True)
    assert np.array_equal(recipes.processing.additive[recipes.processing_index], space.additive)
    assert len(recipes.processing) <= 40


def test_layers_hold_every_pellet_once_and_every_source_first() -> None:
    measured = MeasuredPellets.from_sources(SPACE, SOURCES)
    assert sum(measured.layers) == len(SPACE)
    assert measured.layers[0] == len(set(SOURCES))
    assert list(measured.layers) == sorted(measured.layers, reverse=True)


def test_fewer_pellets_and_sources_than_asked_for() -> None:
    one = KNOWN.head(2).reset_index(drop=True)
    measured = MeasuredPellets.from_sources(recipe_space(one), np.array(["a", "a"], dtype=object))
    found = measured.nearest_distances(points_of(KNOWN.head(5)[[str(c) for c in MODEL_INPUT]])[1], 3, 8)
    assert (found.pellets.shape, found.sources.shape) == ((5, 2), (5, 1))
    assert np.array_equal(found.sources[:, 0], found.pellets[:, 0])


def test_no_recipes_are_no_trouble() -> None:
    sites = occupancies(["LTP"])
    empty = recipe_space(KNOWN.head(1)).take(slice(0, 0))
    found = MeasuredPellets.from_sources(SPACE, SOURCES).nearest_distances(
        distinct_points(empty, type(sites)(**{**vars(sites), "index": np.empty(0, dtype=np.intp)})), 3, 8
    )
    assert found.pellets.shape == (0, 3)


def points(draw, n: int) -> RecipeSpace:
    """Draw points with few different values, so that many distances are equal; some fields are not given."""
    seed = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    grid = draw(st.sampled_from([1, 2, 10, 1000]))
    shapes = (SPACE.numbers.shape[1], SPACE.codes.shape[1], SPACE.additive.shape[1], SPACE.preparation.shape[1])
    rare = draw(st.sampled_from([0.3, 1.0]))  # of what is not stated
    numbers = seed.integers(0, grid + 1, (n, shapes[0])) / grid
    return RecipeSpace(
        seed.integers(0, grid + 1, (n, 12)) / grid,
        np.where(seed.random(numbers.shape) < 0.2, np.nan, numbers),
        seed.integers(-1, 3, (n, shapes[1])).astype(np.int8),
        seed.integers(0, 2, (n, shapes[2])).astype(np.float64),
        np.where(seed.random((n, shapes[3])) < rare, np.nan, seed.integers(0, 3, (n, shapes[3])).astype(float)),
    )


@st.composite
def questions(draw):
    """Draw measured pellets with their sources, and recipes of few compositions made in few or many ways."""
    pellets = points(draw, draw(st.integers(1, 40)))
    names = draw(st.sampled_from(["a", "ab", "abcdefgh"]))
    sources = draw(st.lists(st.sampled_from(names), min_size=len(pellets), max_size=len(pellets)))
    compositions, ways = points(draw, draw(st.integers(1, 6))), points(draw, draw(st.integers(1, 60)))
    seed = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, 150))
    index = seed.integers(0, len(compositions), n), seed.integers(0, len(ways), n)
    return pellets, np.array(sources, dtype=object), DistinctPoints(compositions, ways, *index)


def distances_one_by_one(recipes: DistinctPoints, pellets: RecipeSpace):
    """Measure as the definition says: half of all amounts that differ, twice; and the processing."""
    made_of = recipes.compositions.sites[recipes.composition_index]
    exchanged = np.array(
        [[0.5 * sum(abs(amounts - reference)) for reference in pellets.sites] for amounts in made_of]
    )
    return 2.0 * exchanged + processing_distance(recipes.processing.take(recipes.processing_index), pellets)


@given(questions(), st.integers(1, 45), st.integers(1, 10), st.sampled_from([1, 5, 32]))
@settings(max_examples=60, deadline=None)
def test_pellets_are_ruled_out_only_where_they_do_not_matter(question, k, j, many) -> None:
    pellets, sources, recipes = question
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "_MIN_PROCESSINGS", many)
        found = MeasuredPellets.from_sources(pellets, sources).nearest_distances(recipes, k, j)
    every = distances_one_by_one(recipes, pellets)
    by_source = np.column_stack([every[:, sources == name].min(axis=1) for name in sorted(set(sources))])
    np.testing.assert_allclose(found.pellets, np.sort(every, axis=1)[:, :k], atol=3e-6)
    np.testing.assert_allclose(found.sources, np.sort(by_source, axis=1)[:, :j], atol=3e-6)


@given(questions(), st.integers(1, 45), st.integers(1, 10), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_ruling_out_changes_no_bit_in_any_order_and_chunk(question, k, j, random) -> None:
    pellets, sources, recipes = question
    measured = MeasuredPellets.from_sources(pellets, sources)
    rows = np.array(random.sample(range(len(recipes)), len(recipes)))
    cuts = sorted({0, random.randint(0, len(recipes)), len(recipes)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "_MIN_PROCESSINGS", len(recipes) + 1)
        plain = measured.nearest_distances(recipes, k, j)
        patch.setattr(neighbours, "_MIN_PROCESSINGS", random.randint(1, 40))
        patch.setattr(neighbours, "_PROCESSING_BLOCK", random.choice([4, 512]))
        for start, stop in pairwise(cuts):
            some = rows[start:stop]
            part = DistinctPoints(
                recipes.compositions,
                recipes.processing,
                recipes.composition_index[some],
                recipes.processing_index[some],
            )
            found = measured.nearest_distances(part, k, j)
            assert np.array_equal(found.pellets, plain.pellets[some])
            assert np.array_equal(found.sources, plain.sources[some])


def made_of_one(table: pd.DataFrame) -> DistinctPoints:
    same = table.assign(**{Column.FORMULA: table[Column.FORMULA].iloc[0]})
    return points_of(same)[1]


def test_far_pellets_are_ruled_out_where_one_composition_is_made_in_many_ways() -> None:
    """Otherwise nothing is gained: the distances handed on must be to fewer pellets than there are."""
    recipes = made_of_one(KNOWN)
    widths = [
        total.shape[1] for _, total, _ in MeasuredPellets.from_sources(SPACE, SOURCES)._distances(recipes, 3, 8)
    ]
    assert len(recipes.compositions) == 1
    assert len(recipes) > neighbours._MIN_PROCESSINGS
    assert max(widths) < len(SPACE) / 2


@given(st.data())
@settings(max_examples=20, deadline=None)
def test_exchanged_cations_are_the_same_bits_in_a_table_of_any_shape(data) -> None:
    queries, references = (
        points(data.draw, data.draw(st.integers(1, 9))),
        points(data.draw, data.draw(st.integers(1, 9))),
    )
    whole = composition_distance(queries, references)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distances, "_COMPOSITION_BLOCK", 1)
        assert np.array_equal(composition_distance(queries, references), whole)
    for row in range(len(queries)):
        one = queries.take(slice(row, row + 1))
        assert np.array_equal(composition_distance(one, references)[0], whole[row])
        assert composition_distance(one, references.take(slice(0, 1)))[0, 0] == whole[row, 0]
        expected = [sum(abs(queries.sites[row] - other)) / 2 for other in references.sites]
        np.testing.assert_allclose(whole[row], expected, rtol=1e-12)
