"""What a recipe says of powder and green pellet, as numbers."""

import numpy as np
import pytest

from nasicon_ml.features.build import FeatureSet, build_features, feature_names
from nasicon_ml.features.processing import LATER_CHOICES
from nasicon_ml.recipe import Recipe, recipe_table

NEW = [
    name
    for name in feature_names(FeatureSet.FULL)
    if name not in feature_names(FeatureSet.FULL_2) and not name.startswith(("densification", "synthesis_route"))
]


def features(feature_set=FeatureSet.FULL, **fields):
    found = build_features(recipe_table([Recipe(formula="LATP x=0.3", **fields)]), feature_set)
    return dict(zip(found.names, found.values[0].tolist(), strict=True))


def stated(**fields):
    """What a recipe says of its preparation: 0 of the powder bed is what nothing said is, too."""
    found = features(**fields)
    assert found["given_powder_bed"] in {0, 1}
    told = {name: value for name, value in found.items() if name in NEW and not np.isnan(value)}
    return {name: value for name, value in told.items() if name != "given_powder_bed" or value}


def test_nothing_is_known_of_what_is_not_given():
    assert stated() == {}
    later = {f"densification={choice}" for choice in LATER_CHOICES} | {"synthesis_route=solution_combustion"}
    assert set(features()) - set(NEW) - later == set(feature_names(FeatureSet.FULL_2))


@pytest.mark.parametrize("field", ["densification", "synthesis_route", "atmosphere"])
def test_a_choice_that_is_not_given_is_none_of_them(field):
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
def test_what_is_given_is_told(fields, expected):
    assert stated(**fields) == expected


@pytest.mark.parametrize("choice", sorted(LATER_CHOICES))
def test_sets_of_before_do_not_know_later_choices(choice):
    """Their columns are what models were trained on: a technique without one is unknown to them."""
    name = "synthesis_route" if choice == "solution_combustion" else "densification"
    assert features(**{name: choice})[f"{name}={choice}"] == 1
    for old in (FeatureSet.FULL_2, FeatureSet.FULL_1):
        found = features(old, **{name: choice})
        columns = [value for column, value in found.items() if column.startswith(f"{name}=")]
        assert len(columns) > 10
        assert np.isnan(columns).all()
