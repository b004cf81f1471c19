import numpy as np
import pytest

from nasicon_ml.estimators.domain import NEAR_SOURCES, SourceDistances, source_distances
from nasicon_ml.features.distances import recipe_distances, recipe_space
from nasicon_ml.recipe import Recipe, recipe_table


@pytest.fixture(scope="module")
def space():
    return recipe_space(recipe_table([Recipe(formula=f"LATP x={0.1 + 0.05 * n:.2f}") for n in range(12)]))


def test_distance_to_a_source_is_that_to_its_nearest_pellet(space):
    sources = np.array(["b", "a", "c"] * 4, dtype=object)
    result = source_distances(space, space, sources)
    assert result.names.tolist() == ["a", "b", "c"]
    all_distances = recipe_distances(space, space)
    expected = np.column_stack([all_distances[:, sources == name].min(axis=1) for name in "abc"])
    np.testing.assert_array_equal(result.distances, expected)


def test_mean_of_nearest_is_the_mean_over_sources():
    result = SourceDistances(np.array(["a", "b"], dtype=object), np.array([[0.1, 2.1]]))
    assert result.mean_of_nearest()[0] == pytest.approx(1.1)


def test_mean_of_nearest_excludes_own_and_not_included_sources():
    names = np.array([f"s{n:02}" for n in range(20)], dtype=object)
    result = SourceDistances(names, np.arange(20.0)[None, ::-1])
    assert result.mean_of_nearest()[0] == pytest.approx(np.mean(np.arange(NEAR_SOURCES)))
    own = np.array(["s19"], dtype=object)
    assert result.mean_of_nearest(own)[0] == pytest.approx(np.mean(np.arange(1, NEAR_SOURCES + 1)))
    assert result.mean_of_nearest(own, names < "s03")[0] == pytest.approx(18.0)


def test_mean_of_nearest_is_infinite_without_other_sources():
    result = SourceDistances(np.array(["a"], dtype=object), np.array([[0.5]]))
    assert result.mean_of_nearest(np.array(["a"], dtype=object))[0] == np.inf


def test_distances_do_not_depend_on_the_chunk_size(space, monkeypatch):
    sources = np.array(["a", "b"] * 6, dtype=object)
    expected = source_distances(space, space, sources).distances
    monkeypatch.setattr("nasicon_ml.estimators.domain._CHUNK_ROWS", 5)
    np.testing.assert_array_equal(source_distances(space, space, sources).distances, expected)
