"""Nearest distances computed in blocks and layers equal those over all pairs, whatever the other recipes are."""

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


def space_and_points(table: pd.DataFrame):
    sites = occupancies(table[Column.FORMULA].to_list())
    space = recipe_space(table, sites=sites)
    return space, distinct_points(space, sites)


@given(st.lists(st.integers(0, len(PELLETS) - 1), min_size=1, max_size=40))
@settings(max_examples=30)
def test_nearest_distances_equal_those_over_all_pairs(rows) -> None:
    space, recipes = space_and_points(PELLETS.iloc[rows].reset_index(drop=True))
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
def test_distances_are_bitwise_equal_for_single_rows_and_any_block_size(name, value, monkeypatch) -> None:
    table = PELLETS.sample(120, random_state=1).reset_index(drop=True)
    measured = MeasuredPellets.from_sources(SPACE, SOURCES)
    whole = measured.nearest_distances(space_and_points(table)[1], 3, 8)
    parts = [
        measured.nearest_distances(space_and_points(table.iloc[[row]].reset_index(drop=True))[1], 3, 8)
        for row in range(20)
    ]
    assert np.array_equal(whole.pellets[:20], np.vstack([part.pellets for part in parts]))
    assert np.array_equal(whole.sources[:20], np.vstack([part.sources for part in parts]))
    monkeypatch.setattr(neighbours, name, value)
    divided = measured.nearest_distances(space_and_points(table)[1], 3, 8)
    assert np.array_equal(whole.pellets, divided.pellets)
    assert np.array_equal(whole.sources, divided.sources)


def test_distinct_points_reproduce_composition_and_processing_of_each_recipe() -> None:
    table = pd.concat([KNOWN.head(30), KNOWN.head(30), KNOWN.tail(10)], ignore_index=True)
    space, recipes = space_and_points(table)
    assert np.array_equal(recipes.compositions.sites[recipes.composition_index], space.sites)
    for kept, expected in ((recipes.processing.numbers, space.numbers), (recipes.processing.codes, space.codes)):
        assert np.array_equal(kept[recipes.processing_index], expected, equal_nan=True)
    assert np.array_equal(recipes.processing.additive[recipes.processing_index], space.additive)
    assert len(recipes.processing) <= 40


def test_layers_contain_each_pellet_once_and_the_first_one_per_source() -> None:
    measured = MeasuredPellets.from_sources(SPACE, SOURCES)
    assert sum(measured.layers) == len(SPACE)
    assert measured.layers[0] == len(set(SOURCES))
    assert list(measured.layers) == sorted(measured.layers, reverse=True)


def test_fewer_pellets_and_sources_than_requested_give_fewer_columns() -> None:
    two_pellets = KNOWN.head(2).reset_index(drop=True)
    measured = MeasuredPellets.from_sources(recipe_space(two_pellets), np.array(["a", "a"], dtype=object))
    found = measured.nearest_distances(space_and_points(KNOWN.head(5)[[str(c) for c in MODEL_INPUT]])[1], 3, 8)
    assert (found.pellets.shape, found.sources.shape) == ((5, 2), (5, 1))
    assert np.array_equal(found.sources[:, 0], found.pellets[:, 0])


def test_nearest_distances_of_zero_recipes_are_empty() -> None:
    sites = occupancies(["LTP"])
    empty = recipe_space(KNOWN.head(1)).take(slice(0, 0))
    found = MeasuredPellets.from_sources(SPACE, SOURCES).nearest_distances(
        distinct_points(empty, type(sites)(**{**vars(sites), "index": np.empty(0, dtype=np.intp)})), 3, 8
    )
    assert found.pellets.shape == (0, 3)


def draw_points(draw, n: int) -> RecipeSpace:
    """Draw points with few different values, so that many distances are equal; some fields are unstated."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    steps = draw(st.sampled_from([1, 2, 10, 1000]))
    shapes = (SPACE.numbers.shape[1], SPACE.codes.shape[1], SPACE.additive.shape[1], SPACE.preparation.shape[1])
    unstated_share = draw(st.sampled_from([0.3, 1.0]))
    numbers = rng.integers(0, steps + 1, (n, shapes[0])) / steps
    return RecipeSpace(
        rng.integers(0, steps + 1, (n, 12)) / steps,
        np.where(rng.random(numbers.shape) < 0.2, np.nan, numbers),
        rng.integers(-1, 3, (n, shapes[1])).astype(np.int8),
        rng.integers(0, 2, (n, shapes[2])).astype(np.float64),
        np.where(
            rng.random((n, shapes[3])) < unstated_share, np.nan, rng.integers(0, 3, (n, shapes[3])).astype(float)
        ),
    )


@st.composite
def searches(draw):
    """Draw measured pellets with their sources, and recipes of few compositions and few or many processings."""
    pellets = draw_points(draw, draw(st.integers(1, 40)))
    names = draw(st.sampled_from(["a", "ab", "abcdefgh"]))
    sources = draw(st.lists(st.sampled_from(names), min_size=len(pellets), max_size=len(pellets)))
    compositions, processings = (
        draw_points(draw, draw(st.integers(1, 6))),
        draw_points(draw, draw(st.integers(1, 60))),
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, 150))
    index = rng.integers(0, len(compositions), n), rng.integers(0, len(processings), n)
    return pellets, np.array(sources, dtype=object), DistinctPoints(compositions, processings, *index)


def brute_force_distances(recipes: DistinctPoints, pellets: RecipeSpace):
    """Compute distances by definition: twice half the sum of differing amounts, plus the processing distance."""
    sites = recipes.compositions.sites[recipes.composition_index]
    exchanged = np.array(
        [[0.5 * sum(abs(amounts - reference)) for reference in pellets.sites] for amounts in sites]
    )
    return 2.0 * exchanged + processing_distance(recipes.processing.take(recipes.processing_index), pellets)


@given(searches(), st.integers(1, 45), st.integers(1, 10), st.sampled_from([1, 5, 32]))
@settings(max_examples=60, deadline=None)
def test_nearest_distances_with_excluded_pellets_equal_brute_force(search, k, j, many) -> None:
    pellets, sources, recipes = search
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "_MIN_PROCESSINGS", many)
        found = MeasuredPellets.from_sources(pellets, sources).nearest_distances(recipes, k, j)
    all_distances = brute_force_distances(recipes, pellets)
    by_source = np.column_stack([all_distances[:, sources == name].min(axis=1) for name in sorted(set(sources))])
    np.testing.assert_allclose(found.pellets, np.sort(all_distances, axis=1)[:, :k], atol=3e-6)
    np.testing.assert_allclose(found.sources, np.sort(by_source, axis=1)[:, :j], atol=3e-6)


@given(searches(), st.integers(1, 45), st.integers(1, 10), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_excluding_pellets_is_bitwise_exact_for_any_row_order_and_chunks(search, k, j, random) -> None:
    pellets, sources, recipes = search
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


def points_of_one_composition(table: pd.DataFrame) -> DistinctPoints:
    same = table.assign(**{Column.FORMULA: table[Column.FORMULA].iloc[0]})
    return space_and_points(same)[1]


def test_far_pellets_are_excluded_for_many_processings_of_one_composition() -> None:
    """Without that, excluding pellets would save no time."""
    recipes = points_of_one_composition(KNOWN)
    widths = [
        total.shape[1] for _, total, _ in MeasuredPellets.from_sources(SPACE, SOURCES)._distances(recipes, 3, 8)
    ]
    assert len(recipes.compositions) == 1
    assert len(recipes) > neighbours._MIN_PROCESSINGS
    assert max(widths) < len(SPACE) / 2


@given(st.data())
@settings(max_examples=20, deadline=None)
def test_composition_distance_is_bitwise_independent_of_table_shape(data) -> None:
    queries, references = (
        draw_points(data.draw, data.draw(st.integers(1, 9))),
        draw_points(data.draw, data.draw(st.integers(1, 9))),
    )
    whole = composition_distance(queries, references)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distances, "_COMPOSITION_BLOCK", 1)
        assert np.array_equal(composition_distance(queries, references), whole)
    for row in range(len(queries)):
        query = queries.take(slice(row, row + 1))
        assert np.array_equal(composition_distance(query, references)[0], whole[row])
        assert composition_distance(query, references.take(slice(0, 1)))[0, 0] == whole[row, 0]
        expected = [sum(abs(queries.sites[row] - other)) / 2 for other in references.sites]
        np.testing.assert_allclose(whole[row], expected, rtol=1e-12)
