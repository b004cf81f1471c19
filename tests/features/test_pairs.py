"""Recipes split into distinct compositions and processings, and features of all pairs of these."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasicon_ml.columns import MODEL_INPUT, Column, Kind
from nasicon_ml.composition import occupancies
from nasicon_ml.data.load import load_pellets
from nasicon_ml.features.build import FeatureSet, build_features, pair_features
from nasicon_ml.features.distances import RecipePairs, recipe_space
from nasicon_ml.features.neighbours import MeasuredPellets, distinct_points, pair_points

PELLETS = load_pellets()
RECIPES = PELLETS[[str(column) for column in MODEL_INPUT]]


def pairs_of(table: pd.DataFrame) -> RecipePairs:
    return RecipePairs.from_table(table, occupancies(table[Column.FORMULA].to_list()))


@pytest.fixture(scope="module")
def recipes() -> pd.DataFrame:
    return RECIPES.reset_index(drop=True)


@given(st.lists(st.integers(0, len(RECIPES) - 1), min_size=1, max_size=40))
@settings(max_examples=30)
def test_recipe_pairs_reproduce_each_recipe(rows) -> None:
    table = RECIPES.iloc[rows].reset_index(drop=True)
    sites = occupancies(table[Column.FORMULA].to_list())
    found = RecipePairs.from_table(table, sites)
    assert np.array_equal(found.sites.m[found.composition_index], sites.per_row(sites.m))
    processing = found.processing.iloc[found.processing_index].reset_index(drop=True)
    pd.testing.assert_frame_equal(processing, table.drop(columns=str(Column.FORMULA)))
    distinct = table.drop(columns=str(Column.FORMULA)).drop_duplicates()
    assert len(found.processing) == len(distinct)
    assert len(found.sites.systems) == len(set(found.composition_index.tolist()))


def test_unused_compositions_are_dropped(recipes) -> None:
    table = recipes.head(50)
    sites = occupancies(recipes[Column.FORMULA].to_list())
    used_sites = type(sites)(
        sites.a, sites.m, sites.t, sites.valence, sites.oxygen, sites.other_anions, sites.systems, sites.index[:50]
    )
    found = RecipePairs.from_table(table, used_sites)
    assert len(found.sites.systems) == table[Column.FORMULA].nunique() < len(sites.systems)
    assert np.array_equal(found.sites.a[found.composition_index], used_sites.per_row(used_sites.a))


@pytest.mark.parametrize("feature_set", list(FeatureSet))
def test_pair_features_equal_features_of_the_same_recipes(recipes, feature_set) -> None:
    """On all pellets of the dataset, with additives, missing values and every choice."""
    found = pairs_of(recipes)
    features = pair_features(found.processing, feature_set, found.sites)
    rows = build_features(recipes, feature_set)
    assert features.names == rows.names
    shape = (len(found.sites.systems), len(found.processing))
    for name, column, values in zip(features.names, features.columns, rows.values.T, strict=True):
        of_recipes = np.broadcast_to(column, shape)[found.composition_index, found.processing_index]
        assert np.array_equal(of_recipes, values, equal_nan=True), name


def test_pair_features_of_only_one_part_are_not_broadcast(recipes) -> None:
    found = pairs_of(recipes[recipes[Column.ADDITIVE].isna()].head(100))
    features = pair_features(found.processing, FeatureSet.FULL, found.sites)
    by_name = dict(zip(features.names, features.columns, strict=True))
    m, n = len(found.sites.systems), len(found.processing)
    assert by_name["m_Ti"].shape == (m, 1)
    assert by_name["given_sintering_time_h"].shape == (n,)
    joint = {name for name, column in by_name.items() if column.shape == (m, n)}
    assert joint == {
        "reduction_drive", "reduction_drive_log_rate", "firing_excess_c", "underfired_c", "overfired_c",
        "sintered_share",
    }  # fmt: skip


@pytest.mark.parametrize("additives", [False, True])
def test_nearest_distances_of_pairs_equal_those_of_recipes(recipes, additives) -> None:
    table = recipes if additives else recipes[recipes[Column.ADDITIVE].isna()].reset_index(drop=True)
    found = pairs_of(table)
    space = recipe_space(table)
    sources = np.array([f"s{row % 50}" for row in range(len(table))], dtype=object)
    measured = MeasuredPellets.from_sources(space, sources)
    of_recipes = measured.nearest_distances(
        distinct_points(space, occupancies(table[Column.FORMULA].to_list())), 3, 3
    )
    of_pairs = measured.nearest_distances(pair_points(found), 3, 3)
    assert np.array_equal(of_pairs.pellets, of_recipes.pellets)
    assert np.array_equal(of_pairs.sources, of_recipes.sources)


def test_categorical_columns_give_the_same_pairs_as_strings(recipes) -> None:
    categorical = recipes.assign(
        **{
            str(column): pd.Categorical(recipes[column], categories=list(column.choices))
            for column in MODEL_INPUT
            if column.kind is Kind.CATEGORY
        }
    )
    assert np.array_equal(pairs_of(categorical).processing_index, pairs_of(recipes).processing_index)
