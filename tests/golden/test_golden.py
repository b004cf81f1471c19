"""The committed champion predicts what is recorded; after a new champion `make golden` renews the records."""

import json
from pathlib import Path

import numpy as np
import pytest

from nasicon_ml.columns import PREDICTION
from nasicon_ml.recipe import Recipe
from nasicon_ml.workflows.predict import default_bundle, predict

GOLDEN = json.loads(Path(__file__).with_name("predictions.json").read_text(encoding="utf-8"))
CHAMPION = Path(__file__).resolve().parents[2] / "models" / "champion"


@pytest.fixture(scope="module")
def champion():
    from nasicon_ml.model import PropertyModel

    return PropertyModel.load(CHAMPION)


@pytest.mark.parametrize("entry", GOLDEN, ids=[entry["recipe"]["formula"] for entry in GOLDEN])
def test_champion_predictions_match_the_recorded_ones(champion, entry):
    recipe = Recipe.from_dict(entry["recipe"])
    answer = predict(recipe, champion, at_c=entry["at_c"], level=entry["level"]).results.iloc[0].to_dict()
    assert set(answer) == set(entry["answer"]) == {str(column) for column in PREDICTION}
    for column, value in entry["answer"].items():
        expected = pytest.approx(value, rel=1e-6) if isinstance(value, float) else value
        assert answer[column] == expected, column


def test_golden_recipes_are_inside_and_outside_the_domain():
    assert {entry["answer"]["inside_domain"] for entry in GOLDEN} == {True, False}


def test_champion_is_the_default_bundle():
    assert default_bundle() == CHAMPION


def test_champion_was_trained_on_the_committed_dataset(champion):
    from nasicon_ml.data.files import dataset_checksum, datasets_folder

    assert champion.metadata.dataset_sha256 == dataset_checksum(datasets_folder() / "pellets.csv")


def test_champion_is_small_enough_to_commit():
    assert sum(path.stat().st_size for path in CHAMPION.iterdir()) < 5_000_000


FULL_PROCESSING = {
    "synthesis_route": "sol_gel",
    "calcination_temperature_c": 750,
    "calcination_time_h": 4,
    "particle_size_um": 0.5,
    "sintering_temperature_c": 850,
    "sintering_time_h": 6,
    "heating_rate_c_min": 2,
    "atmosphere": "air",
    "densification": "conventional",
}


@pytest.mark.parametrize("formula", ["LATP x=0.3", "LAGP x=0.5", "LATP x=0.4"])
def test_omitting_a_field_never_narrows_the_conductivity_interval(champion, formula):
    def widths(fields):
        """Return the widths of both intervals in decades: of the conductivity and of the porosity."""
        answer = predict(Recipe(formula=formula, **fields), champion).results.iloc[0]
        conductivity_width = np.log10(
            answer["predicted_conductivity_upper_s_cm"] / answer["predicted_conductivity_lower_s_cm"]
        )
        dense, porous = (100.5 - answer[f"predicted_relative_density_{end}_pct"] for end in ("upper", "lower"))
        return np.array([conductivity_width, np.log10(porous / dense)])

    complete_widths = widths(FULL_PROCESSING)
    for field in FULL_PROCESSING:
        partial_widths = widths({name: value for name, value in FULL_PROCESSING.items() if name != field})
        assert partial_widths[0] >= complete_widths[0] - 1e-9, field
    formula_only_widths = widths({})
    assert formula_only_widths[0] > complete_widths[0] * 1.1
    assert formula_only_widths[1] > complete_widths[1]
