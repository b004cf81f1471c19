import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.features.distances import laboratory_distances, recipe_space
from nasicon_ml.recipe import Recipe, recipe_table


def between(first, second, predicted=(0.0, 0.0)):
    """The three distances of one recipe to another."""
    space = recipe_space(recipe_table([first, second]))
    one, other = space.take(np.array([0])), space.take(np.array([1]))
    found = laboratory_distances(one, other, *(np.array([value]) for value in predicted))
    return found.composition[0, 0], found.processing[0, 0], found.prediction[0, 0]


LATP = Recipe(formula="LATP x=0.3", sintering_temperature_c=900, atmosphere="air")


def test_the_same_recipe_is_at_no_distance_even_where_much_is_not_stated():
    assert between(LATP, LATP) == (0.0, 0.0, 0.0)


def test_what_only_one_of_two_states_counts_half_of_the_most_it_can():
    timed = Recipe(formula="LATP x=0.3", sintering_temperature_c=900, atmosphere="air", sintering_time_h=2)
    nowhere = Recipe(formula="LATP x=0.3", sintering_temperature_c=900)
    assert between(LATP, timed)[1] == pytest.approx(1.0)  # half of 2, the most a number can count
    assert between(LATP, nowhere)[1] == pytest.approx(0.5)  # half of 1, the most a choice can


def test_numbers_count_by_their_scale_and_up_to_a_limit():
    warmer = Recipe(formula="LATP x=0.3", sintering_temperature_c=975, atmosphere="air")
    hottest = Recipe(formula="LATP x=0.3", sintering_temperature_c=1700, atmosphere="air")
    assert between(LATP, warmer)[1] == pytest.approx(0.5)  # 75 of 150 °C
    assert between(LATP, hottest)[1] == pytest.approx(2.0)


def test_another_dopant_is_further_than_more_of_the_same():
    little, more, other = (
        Recipe(formula=f"Li1.{n}{m}0.{n}Hf1.{10 - n}(PO4)3") for n, m in ((1, "Cr"), (2, "Cr"), (1, "Fe"))
    )
    assert between(little, other)[0] > 2 * between(little, more)[0]


def test_predictions_differ_by_their_amount():
    assert between(LATP, LATP, predicted=(-4.0, -3.2))[2] == pytest.approx(0.8)


numbers = st.one_of(st.none(), st.floats(500, 1200))
choices = st.sampled_from([None, "air", "Ar", "vacuum"])


@given(st.lists(st.tuples(numbers, choices, st.floats(0, 1), st.floats(-6, -3)), min_size=2, max_size=12))
def test_a_covariance_made_of_the_distances_is_one_whatever_is_left_unstated(rows):
    recipes = [
        Recipe(formula=f"LATP x={x:.3f}", sintering_temperature_c=temperature, atmosphere=atmosphere)
        for temperature, atmosphere, x, _ in rows
    ]
    predicted = np.array([row[-1] for row in rows])
    space = recipe_space(recipe_table(recipes))
    found = laboratory_distances(space, space, predicted, predicted)
    alike = np.exp(-found.processing / 2.0)
    np.testing.assert_allclose(alike, alike.T)
    assert np.linalg.eigvalsh(alike).min() > -1e-9
