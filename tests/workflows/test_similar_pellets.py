"""What was measured on pellets like a recipe, and what counts as like it."""

import numpy as np
import pytest

from nasicon_ml.columns import PELLET
from nasicon_ml.data.load import load_pellets
from nasicon_ml.estimators.targets import TargetName, shift_log10_conductivity
from nasicon_ml.recipe import Recipe, recipe_table
from nasicon_ml.workflows.predict import default_bundle, loaded_model, predict
from nasicon_ml.workflows.similar_pellets import SimilarPellets, find_similar_pellets, side_of_interval

LATP = "Li1.3Al0.3Ti1.7(PO4)3"
SIGMA, DENSITY, PURITY = TargetName.CONDUCTIVITY, TargetName.RELATIVE_DENSITY, TargetName.PHASE_PURITY


@pytest.fixture(scope="module")
def champion():
    return loaded_model(default_bundle())


def pellets(*rows):
    table = load_pellets().iloc[: len(rows)].copy()
    table[[str(column) for column in PELLET]] = np.nan
    for number, row in enumerate(rows):
        cells = {"pellet_id": f"p{number}", "source": f"s{number}", "formula": LATP} | row
        for name, value in cells.items():
            table[name] = table[name].astype(object)
            table.loc[number, name] = value
    return table.astype({name: float for name in table if name.endswith(("_c", "_ev", "_pct", "s_cm"))})


def found(table, at_c=25.0, **fields):
    return find_similar_pellets(recipe_table([Recipe(formula=LATP, **fields)]), table, at_c=np.array([at_c]))[0]


def test_values_of_pellets_made_alike():
    table = pellets(
        {"relative_density_pct": 90, "sintering_temperature_c": 900, "source": "a"},
        {"relative_density_pct": 94, "sintering_temperature_c": 950, "source": "a"},
        {"relative_density_pct": 99, "sintering_temperature_c": 880, "source": "b"},
        {"relative_density_pct": 60, "sintering_temperature_c": 700},
        {"relative_density_pct": 50, "sintering_temperature_c": 900, "formula": "Li1.5Al0.5Ti1.5(PO4)3"},
        {"relative_density_pct": 40, "sintering_temperature_c": 900, "additive": "LiF"},
    )
    assert found(table, sintering_temperature_c=900) == {
        DENSITY: SimilarPellets("made alike", 3, 2, 90.0, 94.0, 99.0)
    }


def test_less_alike_pellets_where_there_are_no_others_and_it_is_said():
    table = pellets(
        {"phase_pure": True, "synthesis_route": "sol_gel", "sintering_temperature_c": 900},
        {"phase_pure": False, "synthesis_route": "sol_gel", "sintering_temperature_c": 900},
        {"relative_density_pct": 80, "sintering_temperature_c": 1100},
    )
    alike = found(table, sintering_temperature_c=900, synthesis_route="solid_state")
    assert alike[PURITY] == SimilarPellets("sintered alike", 2, 2, 0.0, 0.5, 1.0)
    assert alike[DENSITY] == SimilarPellets("made in any way", 1, 1, 80.0, 80.0, 80.0)
    assert SIGMA not in alike


def test_a_recipe_that_says_nothing_of_its_making_is_made_like_none():
    table = pellets({"relative_density_pct": 90, "sintering_temperature_c": 900}, {"relative_density_pct": 70})
    assert found(table)[DENSITY] == SimilarPellets("made in any way", 2, 2, 70.0, 80.0, 90.0)


def test_pellets_with_an_additive_come_last():
    table = pellets({"relative_density_pct": 90, "additive": "LiF"}, {"phase_pure": True})
    assert found(table)[DENSITY].made == "with or without additives"
    assert found(table)[PURITY].made == "made in any way"


@pytest.mark.parametrize(
    ("formula", "same"),
    [
        ("Li1.34Al0.34Ti1.66(PO4)3", True),
        ("Li1.36Al0.36Ti1.64(PO4)3", False),
        ("Li1.3Ga0.3Ti1.7(PO4)3", False),
        ("Li1.3Al0.27Y0.03Ti1.7(PO4)3", False),
    ],
)
def test_the_same_composition(formula, same):
    assert bool(found(pellets({"relative_density_pct": 90, "formula": formula}))) is same


def test_conductivities_are_carried_by_the_pellets_own_energy_or_left_out():
    table = pellets(
        {"conductivity_total_s_cm": 1e-4, "measurement_temperature_c": 27},
        {"conductivity_total_s_cm": 1e-2, "measurement_temperature_c": 200, "activation_energy_ev": 0.35},
        {"conductivity_total_s_cm": 1e-1, "measurement_temperature_c": 200},
        {"conductivity_total_s_cm": 1e-9, "conductivity_bound": "upper"},
    )
    alike = found(table)[SIGMA]
    carried = 10.0 ** float(shift_log10_conductivity(np.array(-2.0), np.array(0.35), 200.0, 25.0))
    assert (alike.pellets, alike.carried) == (2, 1)
    assert (alike.lowest, alike.highest) == pytest.approx(tuple(sorted((1e-4, carried))))


def test_where_the_middle_lies_to_an_interval():
    alike = SimilarPellets("made alike", 3, 2, 70.0, 80.0, 90.0)
    assert side_of_interval(alike, 75, 85) == ""
    assert side_of_interval(alike, 85, 95) == "below"
    assert side_of_interval(alike, 60, 75) == "above"


def test_a_pellet_that_reports_nothing_is_no_neighbour(champion):
    reported = (
        champion.pellets[["conductivity_total_s_cm", "relative_density_pct", "phase_pure"]].notna().any(axis=1)
    )
    assert not reported.all()
    silent = champion.pellets[~reported].head(20)
    near = champion.nearest(silent, 2)
    assert reported.to_numpy()[near.positions].all()
    assert reported.to_numpy()[champion.answer(silent).nearest.positions].all()


def test_answers_hold_what_was_measured(champion):
    answered = predict(Recipe(formula="LAGP x=0.5", densification="aerosol"), champion)
    (alike,) = answered.similar_pellets
    assert alike[SIGMA].highest == pytest.approx(5e-6), "the aerosol film of inada2015"
    assert answered.results["predicted_conductivity_s_cm"].item() < 2e-5
