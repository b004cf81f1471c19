"""Explanations add up to the prediction, name the recipe's fields and equal the effect of leaving fields out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.estimators.targets import ANSWERS
from nasicon_ml.model import PropertyModel
from nasicon_ml.recipe import Recipe, recipe_table
from nasicon_ml.workflows.explain import (
    COLUMNS,
    COMPOSITION,
    OWN,
    explain,
    explain_prediction,
    mean_strength,
    shapley_taylor_index,
)
from nasicon_ml.workflows.predict import predict

CHAMPION = Path(__file__).resolve().parents[2] / "models" / "champion"
ARGON = Recipe(formula="LATP x=0.4", particle_size_um=0.31, sintering_temperature_c=800, atmosphere="Ar")
RECIPES = [
    ARGON,
    Recipe(formula="LAGP x=0.5", additive="B2O3", additive_amount=2, additive_unit="wt%"),
    Recipe(formula="LiZr2(PO4)3"),
]


@pytest.fixture(scope="module")
def champion() -> PropertyModel:
    return PropertyModel.load(CHAMPION)


@pytest.fixture(scope="module")
def explanation(champion: PropertyModel) -> pd.DataFrame:
    return explain(RECIPES, champion)


def predicted_values(results: pd.DataFrame) -> dict[str, np.ndarray]:
    return {
        "conductivity": np.log10(results["predicted_conductivity_s_cm"].to_numpy()),
        "relative_density": results["predicted_relative_density_pct"].to_numpy(),
        "phase_purity": 100 * results["predicted_phase_purity"].to_numpy(),
    }


def test_explanation_has_each_field_and_pair_once(explanation: pd.DataFrame) -> None:
    assert tuple(explanation.columns) == COLUMNS
    counts = explanation.groupby("row").size() / len(ANSWERS)
    assert counts.tolist() == [1 + 3 + 3, 1 + 1, 1]
    assert not explanation.duplicated(["row", "target", "group"]).any()


def test_parts_are_described_by_field_names_and_values(explanation: pd.DataFrame) -> None:
    parts = dict(zip(explanation["group"], explanation["part"], strict=True))
    assert parts["sintering temperature"] == "sintering_temperature_c = 800"
    assert parts["sintering temperature with atmosphere"] == "sintering_temperature_c = 800 with atmosphere = Ar"
    assert parts["additive"] == "additive = B2O3, 2 wt%"
    assert parts[COMPOSITION].startswith("formula = Li")


def test_explanation_is_sorted_by_recipe_property_and_decreasing_strength(explanation: pd.DataFrame) -> None:
    blocks = explanation.drop_duplicates(["row", "target"])[["row", "target"]]
    expected = [(row, str(name)) for row in range(len(RECIPES)) for name in ANSWERS]
    assert list(blocks.itertuples(index=False, name=None)) == expected
    largest_increase = explanation.groupby(["row", "target"])["contribution"].apply(
        lambda part: part.abs().diff().max()
    )
    assert (largest_increase.dropna() <= 0).all()


def test_base_and_contributions_add_up_to_the_prediction(
    explanation: pd.DataFrame, champion: PropertyModel
) -> None:
    predicted = predicted_values(predict(RECIPES, champion).results)
    for (row, target), part in explanation.groupby(["row", "target"]):
        total = part["base"].iloc[0] + part["contribution"].sum()
        assert total == pytest.approx(part["predicted"].iloc[0], abs=1e-9)
        assert total == pytest.approx(predicted[target][row], abs=1e-6)
    assert len(explanation[["target", "base"]].drop_duplicates()) == len(ANSWERS)


def test_contribution_of_one_field_equals_difference_of_predictions(
    explanation: pd.DataFrame, champion: PropertyModel
) -> None:
    """Of a recipe with this field only, compared with the composition alone."""
    bare, fired = Recipe(formula="LATP x=0.4"), Recipe(formula="LATP x=0.4", sintering_temperature_c=800)
    predicted = predicted_values(predict([bare, fired], champion).results)
    of_argon = explanation[explanation["row"] == 0].set_index(["target", "group"])["contribution"]
    for target, values in predicted.items():
        assert of_argon[target, "sintering temperature"] == pytest.approx(values[1] - values[0], abs=1e-9)
    base = explanation.groupby("target")["base"].first()
    for target, values in predicted.items():
        assert of_argon[target, COMPOSITION] == pytest.approx(values[0] - base[target], abs=1e-9)


def test_conductivity_is_explained_at_the_requested_temperature(champion: PropertyModel) -> None:
    hot = explain_prediction(predict(ARGON, champion, at_c=200.0))
    sigma = hot[hot["target"] == "conductivity"]
    assert sigma["predicted"].iloc[0] > -3
    assert sigma["base"].iloc[0] > -4
    cold = explain_prediction(predict(ARGON, champion))
    others = [frame[frame["target"] != "conductivity"].reset_index(drop=True) for frame in (hot, cold)]
    pd.testing.assert_frame_equal(*others)


def test_own_pellets_are_a_separate_part_equal_to_their_shift(champion: PropertyModel) -> None:
    own = pd.DataFrame(
        {"formula": ["LATP x=0.4"], "sintering_temperature_c": [800], "conductivity_total_s_cm": [1e-2]}
    )
    prediction = predict(ARGON, champion, own=own)
    parts = explain_prediction(prediction)
    own_part = parts[(parts["group"] == OWN) & (parts["target"] == "conductivity")]
    assert own_part["contribution"].iloc[0] == pytest.approx(prediction.results["own_shift_decades"][0])
    assert own_part["contribution"].iloc[0] > 0.3


def test_explanation_of_a_recipe_does_not_depend_on_other_recipes(
    explanation: pd.DataFrame, champion: PropertyModel
) -> None:
    single = explain(RECIPES[1], champion).drop(columns="row")
    in_batch = explanation[explanation["row"] == 1].drop(columns="row").reset_index(drop=True)
    pd.testing.assert_frame_equal(single, in_batch)


def test_explanation_of_zero_recipes_is_empty(champion: PropertyModel) -> None:
    assert explain(recipe_table([]), champion).empty


@given(st.integers(0, 6), st.integers(0, 10_000))
def test_shapley_taylor_index_adds_up_to_the_total_change(count: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=2**count)
    shares = shapley_taylor_index(values)
    assert len(shares) == count + count * (count - 1) // 2
    assert sum(shares.values()) == pytest.approx(values[-1] - values[0])


def test_shapley_taylor_index_of_pairs_without_interaction_is_zero() -> None:
    position = np.arange(16)
    main_effects = [1.0, -2.0, 0.5, 0.0]
    values = sum(size * ((position >> at) & 1) for at, size in enumerate(main_effects))
    values = values + 3.0 * ((position & 3) == 3)
    shares = shapley_taylor_index(values)
    for at, size in enumerate(main_effects):
        assert shares[at,] == pytest.approx(size)
    assert shares[0, 1] == pytest.approx(3.0)
    assert [shares[pair] for pair in ((0, 2), (0, 3), (1, 2), (1, 3), (2, 3))] == pytest.approx([0.0] * 5)


def test_mean_strength_is_mean_absolute_contribution_over_all_recipes() -> None:
    frame = pd.DataFrame(
        {
            "row": [0, 1, 0, 0, 1],
            "target": ["phase_purity", "phase_purity", "conductivity", "conductivity", "conductivity"],
            "group": ["a", "a", "a", "b", "b"],
            "contribution": [-1.0, 2.0, 0.1, 0.5, -0.7],
            "unit": ["percentage points", "percentage points", "decades", "decades", "decades"],
        }
    )
    assert mean_strength(frame).to_dict("list") == {
        "target": ["conductivity", "conductivity", "phase_purity"],
        "group": ["b", "a", "a"],
        "strength": pytest.approx([0.6, 0.05, 1.5]),
        "unit": ["decades", "decades", "percentage points"],
    }


def test_composition_affects_conductivity_more_than_any_processing_field(champion: PropertyModel) -> None:
    strength = mean_strength(explain(champion.pellets.head(60), champion))
    conductivity = strength[strength["target"] == "conductivity"]
    assert conductivity["group"].iloc[0] == COMPOSITION
