import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.features.distances import laboratory_distances, recipe_space
from nasicon_ml.recipe import Recipe, recipe_table


def distances_between(first, second, predicted=(0.0, 0.0)):
    """Distances of two recipes in composition, processing and prediction."""
    space = recipe_space(recipe_table([first, second]))
    one, other = space.take(np.array([0])), space.take(np.array([1]))
    distances = laboratory_distances(one, other, *(np.array([value]) for value in predicted))
    return distances.composition[0, 0], distances.processing[0, 0], distances.prediction[0, 0]


LATP = Recipe(formula="LATP x=0.3", sintering_temperature_c=900, atmosphere="air")


def test_distances_of_identical_recipes_are_zero_even_with_unstated_fields():
    assert distances_between(LATP, LATP) == (0.0, 0.0, 0.0)


def test_field_stated_by_only_one_recipe_counts_half_of_its_maximum():
    with_time = Recipe(formula="LATP x=0.3", sintering_temperature_c=900, atmosphere="air", sintering_time_h=2)
    without_atmosphere = Recipe(formula="LATP x=0.3", sintering_temperature_c=900)
    # Half of 2, the maximum of a number, and half of 1, the maximum of a choice.
    assert distances_between(LATP, with_time)[1] == pytest.approx(1.0)
    assert distances_between(LATP, without_atmosphere)[1] == pytest.approx(0.5)


def test_numeric_differences_are_scaled_and_capped():
    warmer = Recipe(formula="LATP x=0.3", sintering_temperature_c=975, atmosphere="air")
    hottest = Recipe(formula="LATP x=0.3", sintering_temperature_c=1700, atmosphere="air")
    assert distances_between(LATP, warmer)[1] == pytest.approx(0.5)  # 75 of 150 °C
    assert distances_between(LATP, hottest)[1] == pytest.approx(2.0)


def test_other_dopant_is_farther_than_more_of_the_same_dopant():
    little, more, other = (
        Recipe(formula=f"Li1.{n}{m}0.{n}Hf1.{10 - n}(PO4)3") for n, m in ((1, "Cr"), (2, "Cr"), (1, "Fe"))
    )
    assert distances_between(little, other)[0] > 2 * distances_between(little, more)[0]


def test_prediction_distance_is_the_absolute_difference():
    assert distances_between(LATP, LATP, predicted=(-4.0, -3.2))[2] == pytest.approx(0.8)


numbers = st.one_of(st.none(), st.floats(500, 1200))
choices = st.sampled_from([None, "air", "Ar", "vacuum"])


@given(st.lists(st.tuples(numbers, choices, st.floats(0, 1), st.floats(-6, -3)), min_size=2, max_size=12))
def test_exponential_kernel_of_distances_is_positive_semidefinite(rows):
    recipes = [
        Recipe(formula=f"LATP x={x:.3f}", sintering_temperature_c=temperature, atmosphere=atmosphere)
        for temperature, atmosphere, x, _ in rows
    ]
    predicted = np.array([row[-1] for row in rows])
    space = recipe_space(recipe_table(recipes))
    distances = laboratory_distances(space, space, predicted, predicted)
    kernel = np.exp(-distances.processing / 2.0)
    np.testing.assert_allclose(kernel, kernel.T)
    assert np.linalg.eigvalsh(kernel).min() > -1e-9
