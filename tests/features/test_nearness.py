"""Distances by layers are the distances, whatever else stands in the table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasicon_ml.columns import MODEL_INPUT, Column
from nasicon_ml.composition import occupancies
from nasicon_ml.data.load import load_pellets
from nasicon_ml.estimators.remoteness import source_gaps
from nasicon_ml.features import nearness
from nasicon_ml.features.nearness import Measured, places
from nasicon_ml.features.similarity import nearest, recipe_space

PELLETS = load_pellets()
KNOWN = PELLETS.sample(300, random_state=0).reset_index(drop=True)
SOURCES = KNOWN[Column.SOURCE].to_numpy(dtype=object)
SPACE = recipe_space(KNOWN)


def asked(table: pd.DataFrame):
    sites = occupancies(table[Column.FORMULA].to_list())
    space = recipe_space(table, sites=sites)
    return space, places(space, sites)


@given(st.lists(st.integers(0, len(PELLETS) - 1), min_size=1, max_size=40))
@settings(max_examples=30)
def test_they_are_those_of_every_pair(rows) -> None:
    space, where = asked(PELLETS.iloc[rows].reset_index(drop=True))
    found = Measured.of(SPACE, SOURCES).surroundings(where, 3, 8)
    np.testing.assert_allclose(found.pellets, nearest(space, SPACE, 3).distances, atol=1e-6)
    expected = np.sort(source_gaps(space, SPACE, SOURCES).gaps, axis=1)[:, :8]
    np.testing.assert_allclose(found.sources, expected, atol=1e-6)


@pytest.mark.parametrize(("name", "value"), [("_MOST_KEPT", 0), ("_BLOCK", 7), ("_WAYS", 3)])
def test_the_same_to_the_last_bit_however_the_table_is_divided(name, value, monkeypatch) -> None:
    table = PELLETS.sample(120, random_state=1).reset_index(drop=True)
    measured = Measured.of(SPACE, SOURCES)
    whole = measured.surroundings(asked(table)[1], 3, 8)
    parts = [measured.surroundings(asked(table.iloc[[row]].reset_index(drop=True))[1], 3, 8) for row in range(20)]
    assert np.array_equal(whole.pellets[:20], np.vstack([part.pellets for part in parts]))
    assert np.array_equal(whole.sources[:20], np.vstack([part.sources for part in parts]))
    monkeypatch.setattr(nearness, name, value)
    again = measured.surroundings(asked(table)[1], 3, 8)
    assert np.array_equal(whole.pellets, again.pellets)
    assert np.array_equal(whole.sources, again.sources)


def test_each_recipe_has_its_own_composition_and_way() -> None:
    table = pd.concat([KNOWN.head(30), KNOWN.head(30), KNOWN.tail(10)], ignore_index=True)
    space, where = asked(table)
    assert np.array_equal(where.compositions.sites[where.composition_of], space.sites)
    for kept, given_ in ((where.ways.numbers, space.numbers), (where.ways.codes, space.codes)):
        assert np.array_equal(kept[where.way_of], given_, equal_nan=True)
    assert np.array_equal(where.ways.additive[where.way_of], space.additive)
    assert len(where.ways) <= 40


def test_layers_hold_every_pellet_once_and_every_source_first() -> None:
    measured = Measured.of(SPACE, SOURCES)
    assert sum(measured.layers) == len(SPACE)
    assert measured.layers[0] == len(set(SOURCES))
    assert list(measured.layers) == sorted(measured.layers, reverse=True)


def test_fewer_pellets_and_sources_than_asked_for() -> None:
    one = KNOWN.head(2).reset_index(drop=True)
    measured = Measured.of(recipe_space(one), np.array(["a", "a"], dtype=object))
    found = measured.surroundings(asked(KNOWN.head(5)[[str(c) for c in MODEL_INPUT]])[1], 3, 8)
    assert (found.pellets.shape, found.sources.shape) == ((5, 2), (5, 1))
    assert np.array_equal(found.sources[:, 0], found.pellets[:, 0])


def test_no_recipes_are_no_trouble() -> None:
    sites = occupancies(["LTP"])
    empty = recipe_space(KNOWN.head(1)).take(slice(0, 0))
    found = Measured.of(SPACE, SOURCES).surroundings(
        places(empty, type(sites)(**{**vars(sites), "index": np.empty(0, dtype=np.intp)})), 3, 8
    )
    assert found.pellets.shape == (0, 3)
