import numpy as np
import pytest

from nasicon_ml.estimators.remoteness import NEAR_SOURCES, SourceGaps, source_gaps
from nasicon_ml.features.similarity import distances, recipe_space
from nasicon_ml.recipe import Recipe, recipe_table


@pytest.fixture(scope="module")
def space():
    return recipe_space(recipe_table([Recipe(formula=f"LATP x={0.1 + 0.05 * n:.2f}") for n in range(12)]))


def test_each_source_counts_by_its_nearest_pellet(space):
    sources = np.array(["b", "a", "c"] * 4, dtype=object)
    found = source_gaps(space, space, sources)
    assert found.names.tolist() == ["a", "b", "c"]
    everything = distances(space, space)
    expected = np.column_stack([everything[:, sources == name].min(axis=1) for name in "abc"])
    np.testing.assert_array_equal(found.gaps, expected)


def test_many_pellets_of_one_source_are_one_witness():
    gaps = SourceGaps(np.array(["a", "b"], dtype=object), np.array([[0.1, 2.1]]))
    assert gaps.remoteness()[0] == pytest.approx(1.1), "the mean over sources, however many pellets a has"


def test_the_nearest_sources_count_and_the_own_does_not():
    names = np.array([f"s{n:02}" for n in range(20)], dtype=object)
    gaps = SourceGaps(names, np.arange(20.0)[None, ::-1])
    assert gaps.remoteness()[0] == pytest.approx(np.mean(np.arange(NEAR_SOURCES)))
    own = np.array(["s19"], dtype=object)
    assert gaps.remoteness(own)[0] == pytest.approx(np.mean(np.arange(1, NEAR_SOURCES + 1)))
    assert gaps.remoteness(own, names < "s03")[0] == pytest.approx(18.0)


def test_nothing_left_is_infinitely_far():
    gaps = SourceGaps(np.array(["a"], dtype=object), np.array([[0.5]]))
    assert gaps.remoteness(np.array(["a"], dtype=object))[0] == np.inf


def test_large_tables_are_cut_and_put_together_again(space, monkeypatch):
    sources = np.array(["a", "b"] * 6, dtype=object)
    whole = source_gaps(space, space, sources).gaps
    monkeypatch.setattr("nasicon_ml.estimators.remoteness._CHUNK_ROWS", 5)
    np.testing.assert_array_equal(source_gaps(space, space, sources).gaps, whole)
