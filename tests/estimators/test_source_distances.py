import numpy as np
import pytest

from nasicon_ml.estimators.domain import NEAR_SOURCES, SourceDistances, source_distances
from nasicon_ml.features.distances import recipe_distances, recipe_space
from nasicon_ml.recipe import Recipe, recipe_table


@pytest.fixture(scope="module")
def space():
    return recipe_space(recipe_table([Recipe(formula=f"LATP x={0.1 + 0.05 * n:.2f}") for n in range(12)]))


def test_each_source_counts_by_its_nearest_pellet(space):
    sources = np.array(["b", "a", "c"] * 4, dtype=object)
    found = source_distances(space, space, sources)
    assert found.names.tolist() == ["a", "b", "c"]
    everything = recipe_distances(space, space)
    expected = np.column_stack([everything[:, sources == name].min(axis=1) for name in "abc"])
    np.testing.assert_array_equal(found.distances, expected)


def test_all_pellets_of_a_source_count_as_one():
    found = SourceDistances(np.array(["a", "b"], dtype=object), np.array([[0.1, 2.1]]))
    assert found.mean_of_nearest()[0] == pytest.approx(1.1), "the mean over sources, however many pellets a has"


def test_the_nearest_other_sources_count():
    names = np.array([f"s{n:02}" for n in range(20)], dtype=object)
    found = SourceDistances(names, np.arange(20.0)[None, ::-1])
    assert found.mean_of_nearest()[0] == pytest.approx(np.mean(np.arange(NEAR_SOURCES)))
    own = np.array(["s19"], dtype=object)
    assert found.mean_of_nearest(own)[0] == pytest.approx(np.mean(np.arange(1, NEAR_SOURCES + 1)))
    assert found.mean_of_nearest(own, names < "s03")[0] == pytest.approx(18.0)


def test_the_distance_is_infinite_without_other_sources():
    found = SourceDistances(np.array(["a"], dtype=object), np.array([[0.5]]))
    assert found.mean_of_nearest(np.array(["a"], dtype=object))[0] == np.inf


def test_chunks_do_not_change_distances(space, monkeypatch):
    sources = np.array(["a", "b"] * 6, dtype=object)
    whole = source_distances(space, space, sources).distances
    monkeypatch.setattr("nasicon_ml.estimators.domain._CHUNK_ROWS", 5)
    np.testing.assert_array_equal(source_distances(space, space, sources).distances, whole)
