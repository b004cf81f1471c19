"""Measurements on pellets similar to a recipe, and the levels of similarity."""

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


def pellet_table(*rows):
    table = load_pellets().iloc[: len(rows)].copy()
    table[[str(column) for column in PELLET]] = np.nan
    for number, row in enumerate(rows):
        cells = {"pellet_id": f"p{number}", "source": f"s{number}", "formula": LATP} | row
        for name, value in cells.items():
            table[name] = table[name].astype(object)
            table.loc[number, name] = value
    return table.astype({name: float for name in table if name.endswith(("_c", "_ev", "_pct", "s_cm"))})


def similar(table, at_c=25.0, **fields):
    return find_similar_pellets(recipe_table([Recipe(formula=LATP, **fields)]), table, at_c=np.array([at_c]))[0]


def test_values_of_pellets_made_alike_are_summarised():
    table = pellet_table(
        {"relative_density_pct": 90, "sintering_temperature_c": 900, "source": "a"},
        {"relative_density_pct": 94, "sintering_temperature_c": 950, "source": "a"},
        {"relative_density_pct": 99, "sintering_temperature_c": 880, "source": "b"},
        {"relative_density_pct": 60, "sintering_temperature_c": 700},
        {"relative_density_pct": 50, "sintering_temperature_c": 900, "formula": "Li1.5Al0.5Ti1.5(PO4)3"},
        {"relative_density_pct": 40, "sintering_temperature_c": 900, "additive": "LiF"},
    )
    assert similar(table, sintering_temperature_c=900) == {
        DENSITY: SimilarPellets("made alike", 3, 2, 90.0, 94.0, 99.0)
    }


def test_less_similar_pellets_are_used_and_labelled_if_there_are_no_others():
    table = pellet_table(
        {"phase_pure": True, "synthesis_route": "sol_gel", "sintering_temperature_c": 900},
        {"phase_pure": False, "synthesis_route": "sol_gel", "sintering_temperature_c": 900},
        {"relative_density_pct": 80, "sintering_temperature_c": 1100},
    )
    result = similar(table, sintering_temperature_c=900, synthesis_route="solid_state")
    assert result[PURITY] == SimilarPellets("sintered alike", 2, 2, 0.0, 0.5, 1.0)
    assert result[DENSITY] == SimilarPellets("made in any way", 1, 1, 80.0, 80.0, 80.0)
    assert SIGMA not in result


def test_recipe_without_processing_matches_pellets_made_in_any_way():
    table = pellet_table(
        {"relative_density_pct": 90, "sintering_temperature_c": 900}, {"relative_density_pct": 70}
    )
    assert similar(table)[DENSITY] == SimilarPellets("made in any way", 2, 2, 70.0, 80.0, 90.0)


def test_pellets_with_an_additive_are_used_only_if_there_are_no_others():
    table = pellet_table({"relative_density_pct": 90, "additive": "LiF"}, {"phase_pure": True})
    assert similar(table)[DENSITY].made == "with or without additives"
    assert similar(table)[PURITY].made == "made in any way"


@pytest.mark.parametrize(
    ("formula", "same"),
    [
        ("Li1.34Al0.34Ti1.66(PO4)3", True),
        ("Li1.36Al0.36Ti1.64(PO4)3", False),
        ("Li1.3Ga0.3Ti1.7(PO4)3", False),
        ("Li1.3Al0.27Y0.03Ti1.7(PO4)3", False),
    ],
)
def test_composition_is_the_same_if_amounts_agree_within_tolerance(formula, same):
    assert bool(similar(pellet_table({"relative_density_pct": 90, "formula": formula}))) is same


def test_conductivity_is_converted_with_energy_of_same_pellet_or_left_out():
    table = pellet_table(
        {"conductivity_total_s_cm": 1e-4, "measurement_temperature_c": 27},
        {"conductivity_total_s_cm": 1e-2, "measurement_temperature_c": 200, "activation_energy_ev": 0.35},
        {"conductivity_total_s_cm": 1e-1, "measurement_temperature_c": 200},
        {"conductivity_total_s_cm": 1e-9, "conductivity_bound": "upper"},
    )
    result = similar(table)[SIGMA]
    carried = 10.0 ** float(shift_log10_conductivity(np.array(-2.0), np.array(0.35), 200.0, 25.0))
    assert (result.pellets, result.carried) == (2, 1)
    assert (result.lowest, result.highest) == pytest.approx(tuple(sorted((1e-4, carried))))


def test_side_of_interval_of_the_median():
    result = SimilarPellets("made alike", 3, 2, 70.0, 80.0, 90.0)
    assert side_of_interval(result, 75, 85) == ""
    assert side_of_interval(result, 85, 95) == "below"
    assert side_of_interval(result, 60, 75) == "above"


def test_pellets_that_report_no_property_are_never_neighbours(champion):
    reported = (
        champion.pellets[["conductivity_total_s_cm", "relative_density_pct", "phase_pure"]].notna().any(axis=1)
    )
    assert not reported.all()
    without_results = champion.pellets[~reported].head(20)
    neighbours = champion.nearest(without_results, 2)
    assert reported.to_numpy()[neighbours.positions].all()
    assert reported.to_numpy()[champion.answer(without_results).nearest.positions].all()


def test_prediction_includes_measurements_on_similar_pellets(champion):
    prediction = predict(Recipe(formula="LAGP x=0.5", densification="aerosol"), champion)
    (result,) = prediction.similar_pellets
    assert result[SIGMA].highest == pytest.approx(5e-6), "the aerosol film of inada2015"
    assert prediction.results["predicted_conductivity_s_cm"].item() < 2e-5
