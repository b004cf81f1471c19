"""Features of recipes with perturbed sintering temperatures."""

import numpy as np
import pytest

from nasicon_ml.composition import occupancies
from nasicon_ml.features.build import build_features, feature_names, perturbed_features
from nasicon_ml.recipe import Recipe, recipe_table

TEMPERATURE = feature_names().index("given_sintering_temperature_c")


@pytest.fixture(scope="module")
def table():
    recipes = [Recipe(formula="LATP x=0.3", sintering_temperature_c=t) for t in [900.0] * 2000 + [150.0, None]]
    return recipe_table(recipes)


def perturbed(table, **options):
    return perturbed_features(
        table, occupancies(table["formula"].to_list()), **{"spread_c": 25.0, "seed": 0} | options
    )


def test_first_copy_is_unperturbed_and_others_spread_around_stated_temperature(table):
    stated, *copies = perturbed(table)
    np.testing.assert_array_equal(stated, build_features(table).values)
    assert len(copies) == 5
    for features in copies:
        shift = features[:2000, TEMPERATURE] - 900.0
        assert abs(shift.mean()) < 2.5
        assert shift.std() == pytest.approx(25.0, rel=0.1)
        others = [name not in {"given_sintering_temperature_c"} for name in feature_names()]
        assert (features[:2000, others] != stated[:2000, others]).any(), "derived features do not change"


def test_cold_pressing_and_unknown_temperatures_are_not_perturbed(table):
    for features in perturbed(table):
        assert features[2000, TEMPERATURE] == 150.0
        assert np.isnan(features[2001, TEMPERATURE])


def test_perturbation_is_determined_by_seed(table):
    first, repeated, other = (perturbed(table, seed=seed)[1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, repeated)
    assert (first[:2000] != other[:2000]).any()
