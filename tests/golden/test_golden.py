"""The committed champion answers as it always did; `make golden` renews the answers after a new champion."""

import json
from pathlib import Path

import pytest

from nasicon_ml.columns import PREDICTION
from nasicon_ml.recipe import Recipe
from nasicon_ml.workflows.predict import default_bundle, predict

GOLDEN = json.loads(Path(__file__).with_name("predictions.json").read_text(encoding="utf-8"))
CHAMPION = Path(__file__).resolve().parents[2] / "models" / "champion"


@pytest.fixture(scope="module")
def champion():
    from nasicon_ml.estimators.model import PropertyModel

    return PropertyModel.load(CHAMPION)


@pytest.mark.parametrize("entry", GOLDEN, ids=[entry["recipe"]["formula"] for entry in GOLDEN])
def test_champion_answers_as_recorded(champion, entry):
    recipe = Recipe.from_dict(entry["recipe"])
    answer = predict(recipe, champion, at_c=entry["at_c"], level=entry["level"]).results.iloc[0].to_dict()
    assert set(answer) == set(entry["answer"]) == {str(column) for column in PREDICTION}
    for column, value in entry["answer"].items():
        expected = pytest.approx(value, rel=1e-6) if isinstance(value, float) else value
        assert answer[column] == expected, column


def test_golden_recipes_are_inside_and_outside_the_domain():
    assert {entry["answer"]["inside_domain"] for entry in GOLDEN} == {True, False}


def test_the_champion_is_the_default_and_was_trained_on_the_committed_dataset(champion):
    from nasicon_ml.data.files import dataset_checksum, datasets_folder

    assert default_bundle() == CHAMPION
    assert champion.metadata.dataset_sha256 == dataset_checksum(datasets_folder() / "pellets.csv")


def test_the_champion_is_small_enough_to_commit():
    assert sum(path.stat().st_size for path in CHAMPION.iterdir()) < 5_000_000
