"""Recipes taken apart into compositions and ways of making them, and features of all pairs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasicon_ml.columns import MODEL_INPUT, Column, Kind
from nasicon_ml.composition import occupancies
from nasicon_ml.data.load import load_pellets
from nasicon_ml.features.build import FeatureSet, build_features, cross_features
from nasicon_ml.features.crossing import Crossing, crossed_places
from nasicon_ml.features.nearness import Measured
from nasicon_ml.features.similarity import recipe_space

PELLETS = load_pellets()
RECIPES = PELLETS[[str(column) for column in MODEL_INPUT]]


def crossing_of(table: pd.DataFrame) -> Crossing:
    return Crossing.of(table, occupancies(table[Column.FORMULA].to_list()))


@pytest.fixture(scope="module")
def whole() -> pd.DataFrame:
    return RECIPES.reset_index(drop=True)


@given(st.lists(st.integers(0, len(RECIPES) - 1), min_size=1, max_size=40))
@settings(max_examples=30)
def test_a_recipe_is_its_composition_and_its_way(rows) -> None:
    table = RECIPES.iloc[rows].reset_index(drop=True)
    sites = occupancies(table[Column.FORMULA].to_list())
    found = Crossing.of(table, sites)
    assert np.array_equal(found.sites.m[found.composition_of], sites.per_row(sites.m))
    again = found.ways.iloc[found.way_of].reset_index(drop=True)
    pd.testing.assert_frame_equal(again, table.drop(columns=str(Column.FORMULA)))
    different = table.drop(columns=str(Column.FORMULA)).drop_duplicates()
    assert len(found.ways) == len(different)
    assert len(found.sites.systems) == len(set(found.composition_of.tolist()))


def test_occupancies_that_no_row_has_are_left_out(whole) -> None:
    table = whole.head(50)
    sites = occupancies(whole[Column.FORMULA].to_list())
    some = type(sites)(
        sites.a, sites.m, sites.t, sites.valence, sites.oxygen, sites.other_anions, sites.systems, sites.index[:50]
    )
    found = Crossing.of(table, some)
    assert len(found.sites.systems) == table[Column.FORMULA].nunique() < len(sites.systems)
    assert np.array_equal(found.sites.a[found.composition_of], some.per_row(some.a))


@pytest.mark.parametrize("feature_set", list(FeatureSet))
def test_features_of_pairs_are_those_of_recipes(whole, feature_set) -> None:
    """All pellets, with additives, gaps and every choice: each feature, and each pair that is a pellet."""
    found = crossing_of(whole)
    crossed = cross_features(found.ways, feature_set, found.sites)
    rows = build_features(whole, feature_set)
    assert crossed.names == rows.names
    shape = (len(found.sites.systems), len(found.ways))
    for name, column, values in zip(crossed.names, crossed.columns, rows.values.T, strict=True):
        of_recipes = np.broadcast_to(column, shape)[found.composition_of, found.way_of]
        assert np.array_equal(of_recipes, values, equal_nan=True), name


def test_what_depends_on_one_side_has_its_shape_alone(whole) -> None:
    found = crossing_of(whole[whole[Column.ADDITIVE].isna()].head(100))
    crossed = cross_features(found.ways, FeatureSet.FULL, found.sites)
    by_name = dict(zip(crossed.names, crossed.columns, strict=True))
    m, n = len(found.sites.systems), len(found.ways)
    assert by_name["m_Ti"].shape == (m, 1)
    assert by_name["given_sintering_time_h"].shape == (n,)
    joint = {name for name, column in by_name.items() if column.shape == (m, n)}
    assert joint == {
        "reduction_drive", "reduction_drive_log_rate", "firing_excess_c", "underfired_c", "overfired_c",
    }  # fmt: skip


@pytest.mark.parametrize("additives", [False, True])
def test_places_of_pairs_are_those_of_recipes(whole, additives) -> None:
    table = whole if additives else whole[whole[Column.ADDITIVE].isna()].reset_index(drop=True)
    found = crossing_of(table)
    space = recipe_space(table)
    measured = Measured.of(space, np.array([f"s{row % 50}" for row in range(len(table))], dtype=object))
    from nasicon_ml.features.nearness import places

    usual = measured.surroundings(places(space, occupancies(table[Column.FORMULA].to_list())), 3, 3)
    crossed = measured.surroundings(crossed_places(found), 3, 3)
    assert np.array_equal(crossed.pellets, usual.pellets)
    assert np.array_equal(crossed.sources, usual.sources)


def test_categories_are_told_apart_as_texts_are(whole) -> None:
    categorical = whole.assign(
        **{
            str(column): pd.Categorical(whole[column], categories=list(column.choices))
            for column in MODEL_INPUT
            if column.kind is Kind.CATEGORY
        }
    )
    assert np.array_equal(crossing_of(categorical).way_of, crossing_of(whole).way_of)
