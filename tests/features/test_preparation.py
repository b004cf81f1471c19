"""Features of the preparation: precursors, lithium excess, green body and powder bed."""

import numpy as np
import pytest

from nasicon_ml.features.build import FeatureSet, build_features, feature_names
from nasicon_ml.features.processing import LATER_CHOICES
from nasicon_ml.recipe import Recipe, recipe_table

PREPARATION_FEATURES = [
    name
    for name in feature_names(FeatureSet.FULL)
    if name not in feature_names(FeatureSet.FULL_2) and not name.startswith(("densification", "synthesis_route"))
]


def features(feature_set=FeatureSet.FULL, **fields):
    found = build_features(recipe_table([Recipe(formula="LATP x=0.3", **fields)]), feature_set)
    return dict(zip(found.names, found.values[0].tolist(), strict=True))


def known_preparation(**fields):
    """Preparation features that are known, except a powder bed of 0, which also means "not stated"."""
    found = features(**fields)
    assert found["given_powder_bed"] in {0, 1}
    known = {name: value for name, value in found.items() if name in PREPARATION_FEATURES and not np.isnan(value)}
    return {name: value for name, value in known.items() if name != "given_powder_bed" or value}


def test_unstated_preparation_gives_nan_features():
    assert known_preparation() == {}
    later = {f"densification={choice}" for choice in LATER_CHOICES} | {"synthesis_route=solution_combustion"}
    assert set(features()) - set(PREPARATION_FEATURES) - later == set(feature_names(FeatureSet.FULL_2))


@pytest.mark.parametrize("field", ["densification", "synthesis_route", "atmosphere"])
def test_unstated_choice_is_all_zero_in_full_set_and_nan_in_full_2(field):
    found = [value for name, value in features().items() if name.startswith(f"{field}=")]
    assert set(found) == {0.0}
    assert np.isnan(
        [value for name, value in features(FeatureSet.FULL_2).items() if name.startswith(f"{field}=")]
    ).all()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"lithium_excess_pct": 0}, {"given_lithium_excess_pct": 0}),
        ({"green_pressure_mpa": 100}, {"log10_green_pressure_mpa": 2}),
        ({"green_pressure_mpa": 0}, {"log10_green_pressure_mpa": 0}),
        ({"powder_bed": True}, {"given_powder_bed": 1}),
        ({"powder_bed": False}, {}),
        ({"precursors": "commercial"}, {"precursors_commercial": 1}),
        ({"precursors": "sodium citrate"}, {"precursors_commercial": 0}),
        (
            {"precursors": "LiNO3;Al(NO3)3;Ti(OC3H7)4;H3PO4"},
            {
                "host_source=alkoxide": 1, "host_source=chloride": 0, "host_source=oxide": 0,
                "trivalent_source=nitrate": 1, "trivalent_source=alkoxide": 0, "trivalent_source=oxide": 0,
                "phosphorus_source=ammonium": 0, "phosphorus_source=acid": 1, "precursors_commercial": 0,
            },
        ),
        (
            {"precursors": "Li2CO3;ZrOCl2"},
            {
                "host_source=alkoxide": 0, "host_source=chloride": 1, "host_source=oxide": 0,
                "precursors_commercial": 0,
            },
        ),
    ],
)  # fmt: skip
def test_stated_preparation_gives_expected_features(fields, expected):
    assert known_preparation(**fields) == expected


@pytest.mark.parametrize("choice", sorted(LATER_CHOICES))
def test_later_choices_are_nan_in_older_feature_sets(choice):
    """Saved models rely on the columns of these sets; a choice that has no column there is unknown."""
    name = "synthesis_route" if choice == "solution_combustion" else "densification"
    assert features(**{name: choice})[f"{name}={choice}"] == 1
    for older_set in (FeatureSet.FULL_2, FeatureSet.FULL_1):
        found = features(older_set, **{name: choice})
        columns = [value for column, value in found.items() if column.startswith(f"{name}=")]
        assert len(columns) > 10
        assert np.isnan(columns).all()
