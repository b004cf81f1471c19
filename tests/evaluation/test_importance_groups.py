"""Every feature belongs to one part of the recipe, and to the part that decides it."""

from __future__ import annotations

import re

import numpy as np
import pytest

from nasicon_ml.columns import RECIPE, Column
from nasicon_ml.errors import FieldError
from nasicon_ml.evaluation import importance as groups
from nasicon_ml.evaluation.importance import COMPOSITION_GROUPS, GROUPS, group_of
from nasicon_ml.features.build import FeatureSet, build_features, feature_names
from nasicon_ml.recipe import Recipe, recipe_table

FULL = {
    "formula": "LATP x=0.4",
    "additive": "LiF",
    "additive_amount": 1,
    "additive_unit": "wt%",
    "synthesis_route": "sol_gel",
    "calcination_temperature_c": 700,
    "calcination_time_h": 4,
    "particle_size_um": 0.5,
    "sintering_temperature_c": 1000,
    "sintering_time_h": 6,
    "heating_rate_c_min": 2,
    "atmosphere": "air",
    "densification": "hot_press",
    "pressure_mpa": 50,
    "lithium_excess_pct": 0,
    "precursors": "Li2CO3;Al2O3;TiO2;NH4H2PO4",
    "green_pressure_mpa": 200,
    "powder_bed": True,
}
OTHER = {
    "formula": "Li1.3Sc0.2Y0.1Zr1.7Si0.1P2.9O12",
    "additive": "B2O3",
    "additive_amount": 2,
    "additive_unit": "mol%",
    "synthesis_route": "solid_state",
    "calcination_temperature_c": 900,
    "calcination_time_h": 8,
    "particle_size_um": 2,
    "sintering_temperature_c": 1100,
    "sintering_time_h": 12,
    "heating_rate_c_min": 5,
    "atmosphere": "Ar",
    "densification": "spark_plasma",
    "pressure_mpa": 100,
    "lithium_excess_pct": 10,
    "precursors": "commercial",
    "green_pressure_mpa": 20,
    "powder_bed": False,
}
#: What a change of a field may move.
MOVED = {
    Column.ADDITIVE: {groups.ADDITIVE},
    Column.ADDITIVE_AMOUNT: {groups.ADDITIVE},
    Column.ADDITIVE_UNIT: {groups.ADDITIVE},
    Column.SYNTHESIS_ROUTE: {groups.ROUTE},
    Column.CALCINATION_TEMPERATURE_C: {groups.CALCINATION, groups.BOTH_FIRINGS},
    Column.CALCINATION_TIME_H: {groups.CALCINATION},
    # A finer powder needs less heat.
    Column.PARTICLE_SIZE_UM: {groups.PARTICLE_SIZE, groups.FIRING},
    Column.SINTERING_TEMPERATURE_C: {
        groups.SINTERING_TEMPERATURE,
        groups.SINTERING,
        groups.FIRING,
        groups.BOTH_FIRINGS,
    },
    Column.SINTERING_TIME_H: {groups.SINTERING_TIME, groups.SINTERING},
    # The ramp is part of the time at temperature.
    Column.HEATING_RATE_C_MIN: {groups.HEATING_RATE, groups.SINTERING, groups.REDUCTION_IN_TIME},
    Column.ATMOSPHERE: {groups.ATMOSPHERE, groups.REDUCTION, groups.REDUCTION_IN_TIME},
    Column.DENSIFICATION: {groups.DENSIFICATION},
    Column.PRESSURE_MPA: {groups.PRESSURE},
    Column.LITHIUM_EXCESS_PCT: {groups.LITHIUM_EXCESS},
    Column.PRECURSORS: {groups.PRECURSORS},
    Column.GREEN_PRESSURE_MPA: {groups.GREEN_PRESSURE},
    Column.POWDER_BED: {groups.POWDER_BED},
}


@pytest.mark.parametrize("name", sorted({name for kind in FeatureSet for name in feature_names(kind)}))
def test_every_feature_has_one_group(name: str) -> None:
    fitting = [group for group, pattern in groups._PATTERNS if re.fullmatch(pattern, name)]
    assert fitting == [group_of(name)]


def test_every_group_has_a_feature() -> None:
    assert {group_of(name) for kind in FeatureSet for name in feature_names(kind)} == set(GROUPS)


def test_the_formula_decides_the_groups_of_composition_alone() -> None:
    assert {group_of(name) for name in feature_names(FeatureSet.COMPOSITION)} == set(COMPOSITION_GROUPS)


def test_every_field_is_tried() -> None:
    assert set(MOVED) == set(RECIPE) - {Column.FORMULA}


@pytest.mark.parametrize("field", list(MOVED))
def test_a_field_moves_its_own_groups_and_no_others(field: Column) -> None:
    table = recipe_table([Recipe(**FULL), Recipe(**{**FULL, field.value: OTHER[field.value]})])
    features = build_features(table, FeatureSet.FULL)
    before, after = features.values
    changed = ~((before == after) | (np.isnan(before) & np.isnan(after)))
    moved = {group_of(name) for name, there in zip(features.names, changed, strict=True) if there}
    assert moved
    assert moved <= MOVED[field]


def test_a_feature_nobody_knows_is_refused() -> None:
    with pytest.raises(FieldError, match="phase_of_the_moon"):
        group_of("phase_of_the_moon")
