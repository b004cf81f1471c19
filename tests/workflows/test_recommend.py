"""Batches recommended by the committed model, with and without own pellets."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nasicon_ml.campaigns.acquisition import PROMISING, SPREAD, already_made, outside_space
from nasicon_ml.campaigns.goal import Goal
from nasicon_ml.data.own_pellets import own_pellets
from nasicon_ml.errors import FieldError, NasiconError
from nasicon_ml.screening.objectives import Wish
from nasicon_ml.screening.space import SearchSpace
from nasicon_ml.workflows.predict import default_bundle, loaded_model
from nasicon_ml.workflows.recommend import BatchOptions, campaign_history, recommend

TEMPERATURES = [750, 800, 850, 900, 950, 1000]
SPACE = {
    "name": "LATP in air",
    "compositions": [{"system": "LATP", "x": [0.2, 0.3, 0.4]}],
    "processing": {
        "sintering_temperature_c": TEMPERATURES,
        "sintering_time_h": 6,
        "atmosphere": "air",
        "synthesis_route": "solid_state",
    },
}


def search_space(**processing):
    return SearchSpace.from_dict(SPACE | {"processing": SPACE["processing"] | processing})


def own_table(*rows, **fields):
    table = pd.DataFrame(rows, columns=["formula", "sintering_temperature_c", "conductivity_total_s_cm"])
    same = {"sintering_time_h": 6, "atmosphere": "air", "synthesis_route": "solid_state"}
    return table.assign(**(same | fields))


OWN_PELLETS = own_table(("LATP x=0.3", 900, 3e-4), ("LATP x=0.3", 950, 1e-4))


def test_batch_has_distinct_recipes_that_were_not_made_already():
    recommendation = recommend(search_space(), OWN_PELLETS)
    table = recommendation.frame()
    assert len(table) == 3
    assert not table.duplicated(["formula", "sintering_temperature_c"]).any()
    assert recommendation.made == 2
    assert len(recommendation.candidates.recipes) == 3 * len(TEMPERATURES) - 2
    assert not already_made(table, own_pellets(OWN_PELLETS)).any()
    assert recommendation.best == pytest.approx(np.log10(3e-4))
    assert recommendation.best_pellet == "own-1"
    assert table["probability_better"].between(0, 1).all()
    assert (table["expected_improvement"] > 0).all()
    assert table["learned_share"].sum() < 1
    assert all(recommendation.reasons)
    assert set(recommendation.outside) == {""}


def test_own_pellets_shift_the_recommended_temperature():
    cold = recommend(
        search_space(), own_table(("LATP x=0.3", 750, 2e-3), ("LATP x=0.3", 1000, 1e-6)), BatchOptions(size=1)
    )
    hot = recommend(
        search_space(), own_table(("LATP x=0.3", 750, 1e-6), ("LATP x=0.3", 1000, 2e-3)), BatchOptions(size=1)
    )
    assert cold.frame()["sintering_temperature_c"].iloc[0] < hot.frame()["sintering_temperature_c"].iloc[0]


def test_predictions_of_the_batch_equal_those_of_predict():
    model = loaded_model(default_bundle())
    recommendation = recommend(search_space(), OWN_PELLETS, model=model)
    table = recommendation.batch.recipes
    same = model.predict(table, own=own_pellets(OWN_PELLETS))
    pd.testing.assert_frame_equal(recommendation.batch.results, same)


def test_technique_that_own_pellets_used_is_no_longer_explored():
    microwave_space = search_space(densification="microwave")
    reason_text = "explores densification microwave"
    assert all(reason_text in reason for reason in recommend(microwave_space, OWN_PELLETS).reasons)
    microwaved_pellets = own_table(("LATP x=0.3", 900, 3e-4), ("LATP x=0.3", 950, 1e-4), densification="microwave")
    assert not any(reason_text in reason for reason in recommend(microwave_space, microwaved_pellets).reasons)


def test_own_pellet_below_minimum_density_is_not_the_best():
    pellets = own_table(("LATP x=0.3", 900, 3e-4), ("LATP x=0.3", 950, 1e-4), relative_density_pct=[70, 95])
    recommendation = recommend(search_space(), pellets, BatchOptions(Goal(min_density_pct=90)))
    assert recommendation.best_pellet == "own-2"
    unreachable = recommend(search_space(), pellets, BatchOptions(Goal(min_density_pct=99)))
    assert unreachable.best is None
    assert unreachable.frame()["probability_better"].isna().all()


def test_desirability_is_optimised_instead_of_conductivity():
    wishes = {"conductivity": Wish(1e-6, 1e-3), "sintering-temperature": Wish(1100, 700, 3)}
    recommendation = recommend(search_space(), OWN_PELLETS, BatchOptions(Goal(wishes=wishes)))
    assert 0 < recommendation.best < 1
    assert recommendation.frame()["sintering_temperature_c"].min() == 750


@pytest.mark.slow
def test_large_space_is_reduced_to_promising_and_spread_candidates():
    large = search_space(
        sintering_temperature_c={"from": 700, "to": 1100, "step": 10},
        sintering_time_h=[1, 2, 4, 6, 8, 12],
        particle_size_um=["not given", 0.3, 3],
        heating_rate_c_min=[1, 2, 5],
    )
    recommendation = recommend(large, OWN_PELLETS)
    assert large.size > 5000
    assert PROMISING <= len(recommendation.candidates.recipes) <= PROMISING + SPREAD
    temperatures = recommendation.candidates.recipes["sintering_temperature_c"]
    assert temperatures.min() < 750
    assert temperatures.max() > 1050
    predicted = recommendation.frame()["predicted_conductivity_s_cm"]
    assert predicted.max() > np.quantile(
        recommendation.candidates.answers.numbers["predicted_conductivity_s_cm"], 0.9
    )


def test_own_pellets_outside_the_space_are_reported_and_still_used():
    pellets = own_table(
        ("LATP x=0.3", 900, 3e-4), ("LATP x=0.5", 900, 3e-4), ("LATP x=0.3", 950, 3e-4),
        atmosphere=["air", "air", "Ar"],
    )  # fmt: skip
    assert outside_space(own_pellets(pellets), search_space()) == ["", "formula", "atmosphere"]
    recommendation = recommend(search_space(), pellets)
    assert recommendation.outside == ("", "formula", "atmosphere")
    assert len(recommendation.own) == 3


def test_space_without_remaining_candidates_is_refused_with_the_reason():
    small = search_space(sintering_temperature_c=[900, 950])
    pellets = own_table(*((f"LATP x={x}", t, 1e-4) for x in (0.2, 0.3, 0.4) for t in (900, 950)))
    with pytest.raises(NasiconError, match=r"own pellets have made every recipe of it \(6\)"):
        recommend(small, pellets)
    outside = search_space(densification="aerosol")
    with pytest.raises(NasiconError, match="no recipe inside the known domain"):
        recommend(outside)
    with pytest.raises(NasiconError, match=r"at least 99 % likely to be phase pure, the likeliest \d+ %"):
        recommend(search_space(), OWN_PELLETS, BatchOptions(Goal(min_purity=0.99)))


@pytest.mark.parametrize(
    ("options", "field"),
    [({"size": 0}, "batch"), ({"size": 1.5}, "batch"), ({"size": 51}, "batch"), ({"method": "ei"}, "method")],
)
def test_invalid_batch_options_are_refused(options, field):
    with pytest.raises(FieldError, match=field):
        BatchOptions(**options)


def test_recipe_with_unknown_desirability_is_not_recommended():
    options = BatchOptions(Goal(wishes={"sintering-temperature": Wish(1000, 700)}), 10)
    recommendation = recommend(search_space(sintering_temperature_c=["not given", 800, 900]), options=options)
    assert recommendation.batch.recipes["sintering_temperature_c"].notna().all()
    recommendation.map_points()
    with pytest.raises(NasiconError, match="no recipe states its sintering temperature"):
        recommend(search_space(sintering_temperature_c=["not given"]), options=options)


def test_campaign_history_equals_prediction_before_each_pellet():
    model = loaded_model(default_bundle())
    pellets = own_pellets(
        own_table(*(("LATP x=0.3", t, s) for t, s in ((850, 2e-4), (900, 4e-4), (950, 9e-5), (1000, 6e-5))))
    )
    table = campaign_history(pellets, Goal(), model)
    columns = [
        "predicted_conductivity_s_cm",
        "predicted_conductivity_lower_s_cm",
        "predicted_conductivity_upper_s_cm",
    ]
    for row in range(4):
        answer = model.predict(pellets.iloc[[row]], own=pellets.iloc[:row] if row else None)[columns].iloc[0]
        np.testing.assert_allclose(
            10.0 ** table.loc[row, ["predicted", "lower", "upper"]].astype(float), answer, rtol=1e-6
        )
    np.testing.assert_allclose(table["predicted_without"], np.log10(model.predict(pellets)[columns[0]]))
    np.testing.assert_allclose(10.0 ** table["best"], [2e-4, 4e-4, 4e-4, 4e-4])


def test_own_pellets_with_only_density_do_not_change_conductivity():
    dense = own_table(("LATP x=0.3", 900, None), relative_density_pct=93)
    without, with_density = (recommend(search_space(), pellets).candidates for pellets in (None, dense))
    remaining = ~already_made(without.recipes, own_pellets(dense))
    np.testing.assert_allclose(with_density.conductivity.mean, without.conductivity.mean[remaining])
    np.testing.assert_allclose(
        with_density.conductivity.covariance, without.conductivity.covariance[np.ix_(remaining, remaining)]
    )
