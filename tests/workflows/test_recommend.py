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


def space(**processing):
    return SearchSpace.from_dict(SPACE | {"processing": SPACE["processing"] | processing})


def own(*rows, **fields):
    table = pd.DataFrame(rows, columns=["formula", "sintering_temperature_c", "conductivity_total_s_cm"])
    same = {"sintering_time_h": 6, "atmosphere": "air", "synthesis_route": "solid_state"}
    return table.assign(**(same | fields))


OWN = own(("LATP x=0.3", 900, 3e-4), ("LATP x=0.3", 950, 1e-4))


def test_a_batch_of_different_recipes_none_of_them_made_already():
    found = recommend(space(), OWN)
    table = found.frame()
    assert len(table) == 3
    assert not table.duplicated(["formula", "sintering_temperature_c"]).any()
    assert found.made == 2
    assert len(found.candidates.recipes) == 3 * len(TEMPERATURES) - 2
    assert not already_made(table, own_pellets(OWN)).any()
    assert found.best == pytest.approx(np.log10(3e-4))
    assert found.best_pellet == "own-1"
    assert table["probability_better"].between(0, 1).all()
    assert (table["expected_improvement"] > 0).all()
    assert table["learned_share"].sum() < 1
    assert all(found.reasons)
    assert set(found.outside) == {""}


def test_own_pellets_move_what_is_proposed():
    cold = recommend(space(), own(("LATP x=0.3", 750, 2e-3), ("LATP x=0.3", 1000, 1e-6)), BatchOptions(size=1))
    hot = recommend(space(), own(("LATP x=0.3", 750, 1e-6), ("LATP x=0.3", 1000, 2e-3)), BatchOptions(size=1))
    assert cold.frame()["sintering_temperature_c"].iloc[0] < hot.frame()["sintering_temperature_c"].iloc[0]


def test_answers_are_those_of_predict():
    model = loaded_model(default_bundle())
    found = recommend(space(), OWN, model=model)
    table = found.batch.recipes
    same = model.predict(table, own=own_pellets(OWN))
    pd.testing.assert_frame_equal(found.batch.results, same)


def test_what_an_own_pellet_has_tried_is_not_explored_any_more():
    microwaved = space(densification="microwave")
    words = "explores densification microwave"
    assert all(words in reason for reason in recommend(microwaved, OWN).reasons)
    tried = own(("LATP x=0.3", 900, 3e-4), ("LATP x=0.3", 950, 1e-4), densification="microwave")
    assert not any(words in reason for reason in recommend(microwaved, tried).reasons)


def test_what_does_not_count_is_not_the_best():
    pellets = own(("LATP x=0.3", 900, 3e-4), ("LATP x=0.3", 950, 1e-4), relative_density_pct=[70, 95])
    found = recommend(space(), pellets, BatchOptions(Goal(min_density_pct=90)))
    assert found.best_pellet == "own-2"
    none = recommend(space(), pellets, BatchOptions(Goal(min_density_pct=99)))
    assert none.best is None
    assert none.frame()["probability_better"].isna().all()


def test_a_desirability_is_what_is_improved():
    wishes = {"conductivity": Wish(1e-6, 1e-3), "sintering-temperature": Wish(1100, 700, 3)}
    found = recommend(space(), OWN, BatchOptions(Goal(wishes=wishes)))
    assert 0 < found.best < 1
    assert found.frame()["sintering_temperature_c"].min() == 750


@pytest.mark.slow
def test_a_large_space_is_looked_through_by_the_fast_path():
    large = space(
        sintering_temperature_c={"from": 700, "to": 1100, "step": 10},
        sintering_time_h=[1, 2, 4, 6, 8, 12],
        particle_size_um=["not given", 0.3, 3],
        heating_rate_c_min=[1, 2, 5],
    )
    found = recommend(large, OWN)
    assert large.size > 5000
    assert PROMISING <= len(found.candidates.recipes) <= PROMISING + SPREAD
    everywhere = found.candidates.recipes["sintering_temperature_c"]
    assert everywhere.min() < 750
    assert everywhere.max() > 1050
    picked = found.frame()["predicted_conductivity_s_cm"]
    assert picked.max() > np.quantile(found.candidates.answers.numbers["predicted_conductivity_s_cm"], 0.9)


def test_own_pellets_outside_the_space_are_named_and_still_teach():
    pellets = own(
        ("LATP x=0.3", 900, 3e-4), ("LATP x=0.5", 900, 3e-4), ("LATP x=0.3", 950, 3e-4),
        atmosphere=["air", "air", "Ar"],
    )  # fmt: skip
    assert outside_space(own_pellets(pellets), space()) == ["", "formula", "atmosphere"]
    found = recommend(space(), pellets)
    assert found.outside == ("", "formula", "atmosphere")
    assert len(found.own) == 3


def test_a_space_that_is_made_or_empty_is_said():
    small = space(sintering_temperature_c=[900, 950])
    pellets = own(*((f"LATP x={x}", t, 1e-4) for x in (0.2, 0.3, 0.4) for t in (900, 950)))
    with pytest.raises(NasiconError, match=r"own pellets have made every recipe of it \(6\)"):
        recommend(small, pellets)
    outside = space(densification="aerosol")
    with pytest.raises(NasiconError, match="no recipe inside the known domain"):
        recommend(outside)
    with pytest.raises(NasiconError, match=r"at least 99 % likely to be phase pure, the likeliest \d+ %"):
        recommend(space(), OWN, BatchOptions(Goal(min_purity=0.99)))


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"size": 0}, "batch"), ({"size": 1.5}, "batch"), ({"size": 51}, "batch"), ({"method": "ei"}, "method")],
)
def test_bad_options_are_refused(settings, named):
    with pytest.raises(FieldError, match=named):
        BatchOptions(**settings)


def test_a_recipe_whose_desirability_is_not_known_is_not_proposed():
    options = BatchOptions(Goal(wishes={"sintering-temperature": Wish(1000, 700)}), 10)
    found = recommend(space(sintering_temperature_c=["not given", 800, 900]), options=options)
    assert found.batch.recipes["sintering_temperature_c"].notna().all()
    found.map_points()
    with pytest.raises(NasiconError, match="no recipe states its sintering temperature"):
        recommend(space(sintering_temperature_c=["not given"]), options=options)


def test_the_history_is_what_predict_would_have_said_before_each_pellet():
    model = loaded_model(default_bundle())
    pellets = own_pellets(
        own(*(("LATP x=0.3", t, s) for t, s in ((850, 2e-4), (900, 4e-4), (950, 9e-5), (1000, 6e-5))))
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


def test_pellets_that_report_a_density_alone_say_nothing_of_the_conductivity():
    dense = own(("LATP x=0.3", 900, None), relative_density_pct=93)
    without, with_density = (recommend(space(), pellets).candidates for pellets in (None, dense))
    kept = ~already_made(without.recipes, own_pellets(dense))
    np.testing.assert_allclose(with_density.conductivity.mean, without.conductivity.mean[kept])
    np.testing.assert_allclose(
        with_density.conductivity.covariance, without.conductivity.covariance[np.ix_(kept, kept)]
    )
