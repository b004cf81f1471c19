"""One recipe with one or two fields varied: the answers of predict, the best, and measured points beside."""

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


def test_a_curve_is_what_predict_says_of_each_recipe(curve: Profile, model: PropertyModel) -> None:
    recipes = [Recipe(formula="LATP x=0.3", sintering_temperature_c=t, atmosphere="air") for t in TEMPERATURES]
    pd.testing.assert_frame_equal(curve.prediction.results, predict(recipes, model).results)
    assert [one.name for one in curve.varied] == ["sintering_temperature_c"]


def test_the_best_is_the_highest_and_nothing_is_above_it(curve: Profile) -> None:
    for name, best in curve.best.items():
        values = curve.frame()[PREDICTED[name]].to_numpy()
        assert values[best.row] == values.max()
        assert values[best.lowest] == values.min()
        assert (best.differences.value <= 0).all()
        assert (best.differences.better <= 0.5).all()
        assert not best.is_told_apart[best.row]


def test_far_apart_recipes_are_told_apart(model: PropertyModel) -> None:
    found = profile(["LATP x=0.3", "LiZr2(PO4)3", "LTP"], model, sintering_temperature_c=900)  # type: ignore[arg-type]
    best = found.best[TargetName.CONDUCTIVITY]
    assert best.row == 0
    assert best.differences.better[1] < 0.15


def test_measured_points_have_the_composition_and_state_what_is_varied(curve: Profile) -> None:
    points = curve.literature
    assert set(points["target"]) == {str(name) for name in ANSWERS}
    assert points["sintering_temperature_c"].between(750, 1050).all()
    pellets = curve.prediction.model.pellets.iloc[points["pellet"]]
    assert set(pellets["system"]) == {"LATP"}
    assert pellets["additive"].isna().all()
    conductivity = points[points["target"] == "conductivity"]
    assert conductivity["value"].between(1e-12, 1).all()
    assert set(points[points["target"] == "phase_purity"]["value"]) <= {0.0, 1.0}


def test_points_of_several_compositions_belong_to_the_nearest(model: PropertyModel) -> None:
    found = profile("Li1.3M0.3Ti1.7(PO4)3", model, M=["Al", "Sc"], sintering_temperature_c=[900, 1000])
    points = found.literature
    pellets = model.pellets.iloc[points["pellet"]].reset_index(drop=True)
    assert pellets["formula"][points["M"] == "Sc"].str.contains("Sc").all()
    assert pellets["formula"][points["M"] == "Al"].str.contains("Al").all()
    assert list(found.frame().columns[:2]) == ["M", "formula"]


def test_a_pellet_without_additive_is_a_point_where_none_is_one_of_them(model: PropertyModel) -> None:
    found = profile("LATP x=0.3", model, additive=[None, "SiO2"], additive_amount=2, additive_unit="wt%")
    places = found.literature["additive"]
    assert places.isna().sum() > 10
    assert set(places.dropna()) <= {"SiO2"}
    stated = profile("LATP x=0.3", model, atmosphere=[None, "air"])
    assert stated.literature["atmosphere"].notna().all()


def test_own_pellets_are_points_of_their_own_and_move_the_curve(model: PropertyModel, curve: Profile) -> None:
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
    raised = found.frame()[PREDICTED[TargetName.CONDUCTIVITY]] / curve.frame()[PREDICTED[TargetName.CONDUCTIVITY]]
    assert (raised > 1).all()
    narrower = differences(found.prediction, 3)[TargetName.CONDUCTIVITY]
    before = differences(curve.prediction, 3)[TargetName.CONDUCTIVITY]
    assert (narrower.upper - narrower.lower <= before.upper - before.lower + 1e-9).all()


def test_a_recipe_brings_its_fields(model: PropertyModel) -> None:
    recipe = Recipe(formula="LATP x=0.3", atmosphere="Ar", sintering_temperature_c=800)
    found = profile(recipe, model, sintering_temperature_c=[800, 900])
    assert found.frame()["atmosphere"].tolist() == ["Ar", "Ar"]
    same = profile(recipe.to_dict() | {"sintering_temperature_c": [800, 900]}, model)
    pd.testing.assert_frame_equal(same.frame(), found.frame())
    with pytest.raises(FieldError, match="formula"):
        profile({"sintering_temperature_c": [800, 900]}, model)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"sintering_temperature_c": 900}, "one or two fields with several values"),
        ({"sintering_temperature_c": [1, 2]}, "20 to 1700"),
        ({"sintering_time_h": [1, 2], "heating_rate_c_min": [1, 2], "atmosphere": ["air", "Ar"]}, "one or two"),
        ({"temperature": [800, 900]}, "temperature"),
    ],
)
def test_what_is_no_curve_is_refused(model: PropertyModel, fields: dict, words: str) -> None:
    with pytest.raises(FieldError, match=words):
        profile("LATP x=0.3", model, **fields)


def test_a_model_that_does_not_know_how_errors_go_together_compares_nothing(model: PropertyModel) -> None:
    found = profile("LATP x=0.3", dataclasses.replace(model, own={}), sintering_temperature_c=[800, 900])
    with pytest.raises(BundleError, match="cannot compare recipes"):
        _ = found.best


def test_a_comparison_is_a_table_of_every_recipe_and_answer(curve: Profile) -> None:
    table = compare(curve.prediction, 2)
    assert len(table) == len(TEMPERATURES) * len(ANSWERS)
    own = table[table["row"] == 2]
    np.testing.assert_allclose(own["difference"], 0.0)
    assert table["unit"].unique().tolist() == ["decades", "points", "probability"]
    sigma = np.log10(curve.frame()[PREDICTED[TargetName.CONDUCTIVITY]].to_numpy())
    found = table[table["target"] == "conductivity"]["difference"].to_numpy()
    np.testing.assert_allclose(found, sigma - sigma[2], atol=1e-12)
    with pytest.raises(FieldError, match="a recipe from 0 to 6"):
        compare(curve.prediction, 7)
