"""Explanations add up to what was predicted, and say it in the words of the recipe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasicon_ml.estimators.boosting import raw_prediction
from nasicon_ml.estimators.targets import ANSWERS, TargetName
from nasicon_ml.evaluation.importance import COMPOSITION_GROUPS, GROUPS
from nasicon_ml.features.build import build_features
from nasicon_ml.model import PropertyModel
from nasicon_ml.recipe import Recipe, recipe_table
from nasicon_ml.workflows import explain as module
from nasicon_ml.workflows.explain import COLUMNS, explain, mean_strength, tree_contributions
from nasicon_ml.workflows.predict import predict

CHAMPION = Path(__file__).resolve().parents[2] / "models" / "champion"
RECIPES = [
    Recipe(
        formula="LATP x=0.4",
        particle_size_um=0.31,
        sintering_temperature_c=800,
        sintering_time_h=2,
        heating_rate_c_min=1,
        atmosphere="Ar",
        densification="conventional",
    ),
    Recipe(formula="LAGP x=0.5", synthesis_route="melt_quench", densification="glass_ceramic_crystallization"),
    Recipe(formula="LiZr2(PO4)3"),
]


@pytest.fixture(scope="module")
def champion() -> PropertyModel:
    return PropertyModel.load(CHAMPION)


@pytest.fixture(scope="module")
def explained(champion: PropertyModel) -> pd.DataFrame:
    return explain(RECIPES, champion)


def test_every_part_of_every_answer_is_there_once(explained: pd.DataFrame) -> None:
    assert tuple(explained.columns) == COLUMNS
    assert len(explained) == len(RECIPES) * len(ANSWERS) * len(GROUPS)
    assert not explained.duplicated(["row", "target", "group"]).any()
    assert set(explained["group"]) == set(GROUPS)


def test_recipes_and_answers_stand_in_order_the_strongest_part_first(explained: pd.DataFrame) -> None:
    blocks = explained.drop_duplicates(["row", "target"])[["row", "target"]]
    expected = [(row, str(name)) for row in range(len(RECIPES)) for name in ANSWERS]
    assert list(blocks.itertuples(index=False, name=None)) == expected
    falling = explained.groupby(["row", "target"])["contribution"].apply(lambda part: part.abs().diff().max())
    assert (falling <= 0).all()


def test_contributions_lead_from_the_base_to_the_prediction(
    explained: pd.DataFrame, champion: PropertyModel
) -> None:
    answers = predict(RECIPES, champion).results
    probability = answers["predicted_phase_purity"]
    reported = {
        "conductivity": np.log10(answers["predicted_conductivity_s_cm"]),
        "relative_density": answers["predicted_relative_density_pct"],
        "phase_purity": np.log(probability / (1 - probability)),
    }
    for (row, target), part in explained.groupby(["row", "target"]):
        end = part["base"].iloc[0] + part["contribution"].sum()
        assert end == pytest.approx(part["predicted"].iloc[0], abs=1e-9)
        assert end == pytest.approx(reported[target][row], abs=2e-5 if target != "relative_density" else 2e-3)


@pytest.mark.parametrize("target", ANSWERS)
def test_on_the_learned_scale_they_are_those_of_the_trees(champion: PropertyModel, target: TargetName) -> None:
    table = champion.pellets.head(40)
    X = build_features(table, champion.feature_set).values
    contributions, base = tree_contributions(champion, target, X)
    assert contributions.shape == X.shape
    raw = raw_prediction(champion.boosters[target], X)
    if target in champion.priors:  # what the trees go on from has its own part in each contribution
        raw = raw + champion.priors[target].margin(X)
    np.testing.assert_allclose(base + contributions.sum(axis=1), raw, rtol=0, atol=1e-5)
    learned = explain(table, champion).query("target == @target").groupby("row")["learned"].sum()
    np.testing.assert_allclose(base + learned, raw, rtol=0, atol=1e-5)


def test_the_base_is_one_for_all_recipes(explained: pd.DataFrame) -> None:
    assert len(explained[["target", "base"]].drop_duplicates()) == len(ANSWERS)


def test_the_temperature_of_measurement_has_no_part_in_it(
    explained: pd.DataFrame, champion: PropertyModel
) -> None:
    table = recipe_table(RECIPES).assign(measurement_temperature_c=200.0)
    pd.testing.assert_frame_equal(explain(table, champion), explained)


def test_a_recipe_is_explained_alike_alone_and_among_others(
    explained: pd.DataFrame, champion: PropertyModel
) -> None:
    alone = explain(RECIPES[1], champion).drop(columns="row")
    among = explained[explained["row"] == 1].drop(columns="row").reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, among)


def test_a_prediction_at_the_base_is_explained_by_nothing(
    champion: PropertyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "tree_contributions", lambda *given: (np.zeros(given[-1].shape), 0.3))
    found = explain(RECIPES, champion)
    assert (found["contribution"] == 0).all()
    assert found["predicted"].to_numpy() == pytest.approx(found["base"].to_numpy())


def test_the_way_to_points_and_log_odds_is_divided_in_proportion(explained: pd.DataFrame) -> None:
    for _, part in explained[explained["learned"].abs() > 1e-9].groupby(["row", "target"]):
        ratio = part["contribution"] / part["learned"]
        assert ratio.max() == pytest.approx(ratio.min(), rel=1e-6)
    density = explained[(explained["target"] == "relative_density") & (explained["learned"].abs() > 1e-9)]
    assert (density["contribution"] / density["learned"] < 0).all()  # what lowers porosity raises density


def test_no_recipe_has_no_explanation(champion: PropertyModel) -> None:
    assert explain(recipe_table([]), champion).empty


def test_mean_strength_averages_sizes() -> None:
    frame = pd.DataFrame(
        {
            "target": ["phase_purity", "phase_purity", "conductivity", "conductivity", "conductivity"],
            "group": ["a", "a", "a", "b", "b"],
            "contribution": [-1.0, 2.0, 0.1, 0.5, -0.7],
            "unit": ["log-odds", "log-odds", "decades", "decades", "decades"],
        }
    )
    found = mean_strength(frame)
    assert found.to_dict("list") == {
        "target": ["conductivity", "conductivity", "phase_purity"],
        "group": ["b", "a", "a"],
        "strength": pytest.approx([0.6, 0.1, 1.5]),
        "unit": ["decades", "decades", "log-odds"],
    }


def test_composition_moves_conductivity_more_than_any_field_of_the_processing(champion: PropertyModel) -> None:
    strength = mean_strength(explain(champion.pellets.head(200), champion))
    conductivity = strength[strength["target"] == "conductivity"]
    assert conductivity["group"].iloc[0] in COMPOSITION_GROUPS
