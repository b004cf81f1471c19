"""Profiles of one or two varied fields: predictions, the best recipe, and measured points to compare with."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasicon_ml import Recipe, predict, profile
from nasicon_ml.errors import BundleError, FieldError
from nasicon_ml.estimators.targets import ANSWERS, PREDICTED, TargetName
from nasicon_ml.model import PropertyModel
from nasicon_ml.workflows.differences import compare, differences
from nasicon_ml.workflows.profile import Profile

CHAMPION = Path(__file__).resolve().parents[2] / "models" / "champion"
TEMPERATURES = range(750, 1051, 50)


@pytest.fixture(scope="module")
def model() -> PropertyModel:
    return PropertyModel.load(CHAMPION)


@pytest.fixture(scope="module")
def curve(model: PropertyModel) -> Profile:
    return profile("LATP x=0.3", model, sintering_temperature_c=TEMPERATURES, atmosphere="air")


def test_profile_equals_prediction_of_each_recipe(curve: Profile, model: PropertyModel) -> None:
    recipes = [Recipe(formula="LATP x=0.3", sintering_temperature_c=t, atmosphere="air") for t in TEMPERATURES]
    pd.testing.assert_frame_equal(curve.prediction.results, predict(recipes, model).results)
    assert [field.name for field in curve.varied] == ["sintering_temperature_c"]


def test_best_recipe_has_the_highest_prediction(curve: Profile) -> None:
    for name, best in curve.best.items():
        values = curve.frame()[PREDICTED[name]].to_numpy()
        assert values[best.row] == values.max()
        assert values[best.lowest] == values.min()
        assert (best.differences.value <= 0).all()
        assert (best.differences.better <= 0.5).all()
        assert not best.is_told_apart[best.row]


def test_much_worse_recipe_is_unlikely_to_be_better_than_the_best(model: PropertyModel) -> None:
    found = profile(["LATP x=0.3", "LiZr2(PO4)3", "LTP"], model, sintering_temperature_c=900)  # type: ignore[arg-type]
    best = found.best[TargetName.CONDUCTIVITY]
    assert best.row == 0
    assert best.differences.better[1] < 0.15


def test_measured_points_match_composition_and_state_the_varied_field(curve: Profile) -> None:
    points = curve.literature
    assert set(points["target"]) == {str(name) for name in ANSWERS}
    assert points["sintering_temperature_c"].between(750, 1050).all()
    pellets = curve.prediction.model.pellets.iloc[points["pellet"]]
    assert set(pellets["system"]) == {"LATP"}
    assert pellets["additive"].isna().all()
    conductivity = points[points["target"] == "conductivity"]
    assert conductivity["value"].between(1e-12, 1).all()
    assert set(points[points["target"] == "phase_purity"]["value"]) <= {0.0, 1.0}


def test_measured_points_are_assigned_to_the_nearest_composition(model: PropertyModel) -> None:
    found = profile("Li1.3M0.3Ti1.7(PO4)3", model, M=["Al", "Sc"], sintering_temperature_c=[900, 1000])
    points = found.literature
    pellets = model.pellets.iloc[points["pellet"]].reset_index(drop=True)
    assert pellets["formula"][points["M"] == "Sc"].str.contains("Sc").all()
    assert pellets["formula"][points["M"] == "Al"].str.contains("Al").all()
    assert list(found.frame().columns[:2]) == ["M", "formula"]


def test_pellets_without_additive_are_points_if_no_additive_is_a_varied_value(model: PropertyModel) -> None:
    found = profile("LATP x=0.3", model, additive=[None, "SiO2"], additive_amount=2, additive_unit="wt%")
    additives = found.literature["additive"]
    assert additives.isna().sum() > 10
    assert set(additives.dropna()) <= {"SiO2"}
    stated = profile("LATP x=0.3", model, atmosphere=[None, "air"])
    assert stated.literature["atmosphere"].notna().all()


def test_own_pellets_are_separate_points_and_shift_the_profile(model: PropertyModel, curve: Profile) -> None:
    own = pd.DataFrame(
        {
            "formula": ["LATP x=0.3", "LATP x=0.3", "LAGP x=0.5"],
            "sintering_temperature_c": [900, 1300, 900],
            "conductivity_total_s_cm": [1e-3, 1e-3, 1e-3],
        }
    )
    found = profile("LATP x=0.3", model, own=own, sintering_temperature_c=TEMPERATURES, atmosphere="air")
    assert found.own["sintering_temperature_c"].tolist() == [900]
    assert curve.own.empty
    ratio = found.frame()[PREDICTED[TargetName.CONDUCTIVITY]] / curve.frame()[PREDICTED[TargetName.CONDUCTIVITY]]
    assert (ratio > 1).all()
    with_own = differences(found.prediction, 3)[TargetName.CONDUCTIVITY]
    without_own = differences(curve.prediction, 3)[TargetName.CONDUCTIVITY]
    assert (with_own.upper - with_own.lower <= without_own.upper - without_own.lower + 1e-9).all()


def test_profile_keeps_the_other_fields_of_a_recipe_or_dict(model: PropertyModel) -> None:
    recipe = Recipe(formula="LATP x=0.3", atmosphere="Ar", sintering_temperature_c=800)
    found = profile(recipe, model, sintering_temperature_c=[800, 900])
    assert found.frame()["atmosphere"].tolist() == ["Ar", "Ar"]
    same = profile(recipe.to_dict() | {"sintering_temperature_c": [800, 900]}, model)
    pd.testing.assert_frame_equal(same.frame(), found.frame())
    with pytest.raises(FieldError, match="formula"):
        profile({"sintering_temperature_c": [800, 900]}, model)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sintering_temperature_c": 900}, "one or two fields with several values"),
        ({"sintering_temperature_c": 900}, "a list, as 850,900,950, or a range, as 750:1050:25"),
        ({"sintering_temperature_c": [1, 2]}, "20 to 1700"),
        ({"sintering_time_h": [1, 2], "heating_rate_c_min": [1, 2], "atmosphere": ["air", "Ar"]}, "one or two"),
        ({"temperature": [800, 900]}, "temperature"),
    ],
)
def test_invalid_profile_fields_are_refused(model: PropertyModel, fields: dict, message: str) -> None:
    with pytest.raises(FieldError, match=message):
        profile("LATP x=0.3", model, **fields)


def test_best_raises_bundle_error_if_model_has_no_own_kernel(model: PropertyModel) -> None:
    found = profile("LATP x=0.3", dataclasses.replace(model, own={}), sintering_temperature_c=[800, 900])
    with pytest.raises(BundleError, match="cannot compare recipes"):
        _ = found.best


def test_compare_returns_a_row_per_recipe_and_property(curve: Profile) -> None:
    table = compare(curve.prediction, 2)
    assert len(table) == len(TEMPERATURES) * len(ANSWERS)
    itself = table[table["row"] == 2]
    np.testing.assert_allclose(itself["difference"], 0.0)
    assert table["unit"].unique().tolist() == ["decades", "points", "probability"]
    sigma = np.log10(curve.frame()[PREDICTED[TargetName.CONDUCTIVITY]].to_numpy())
    found = table[table["target"] == "conductivity"]["difference"].to_numpy()
    np.testing.assert_allclose(found, sigma - sigma[2], atol=1e-12)
    with pytest.raises(FieldError, match="a recipe from 0 to 6"):
        compare(curve.prediction, 7)
