"""Differences between recipes: what their errors share cancels, the more the more alike they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.estimators.joint import (
    RecipePoints,
    ReferenceCorrelation,
    differences_of_probabilities,
    differences_of_values,
    error_covariance,
    error_variance,
)
from nasicon_ml.estimators.own_pellets import KnownPellets, OwnKernel, condition_probability
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.estimators.uncertainty import ConformalScores
from nasicon_ml.features.distances import laboratory_distances, recipe_space
from nasicon_ml.model import PropertyModel
from nasicon_ml.recipe import recipe_table
from nasicon_ml.recipe.combinations import combinations

CONDUCTIVITY, DENSITY, PURITY = TargetName.CONDUCTIVITY, TargetName.RELATIVE_DENSITY, TargetName.PHASE_PURITY
KERNEL = OwnKernel(
    noise=0.3, level=0.3, recipe=0.8, composition=1.0, processing=3.0, prediction=1.5, narrowing=0.7
)
LOG_ODDS = OwnKernel(noise=0.0, level=2.0, recipe=2.0, composition=0.7, processing=2.5, prediction=30.0)
SCORES = ConformalScores(np.linspace(0.0, 2.0, 200))
LEVEL = 0.9


def points(name: TargetName = CONDUCTIVITY, learned: float = -4.0) -> RecipePoints:
    """Four recipes, ever less like the first."""
    table = recipe_table(
        (
            *combinations("LATP x=0.3", {"sintering_temperature_c": [900, 920, 1050]}).recipes,
            *combinations("LAGP x=0.5", {"sintering_temperature_c": 800}).recipes,
        )
    )
    return RecipePoints.from_learned(name, recipe_space(table), np.full(4, learned))


def known(kernel: OwnKernel, name: TargetName, predicted: float, measured: float) -> KnownPellets:
    first = points(name, predicted).space.take(np.array([0]))
    return KnownPellets(kernel, first, np.array([predicted]), np.array([measured]), np.zeros(1))


def correlation(
    name: TargetName = CONDUCTIVITY,
    kernel: OwnKernel = KERNEL,
    learned: float = -4.0,
    own: KnownPellets | None = None,
) -> ReferenceCorrelation:
    all_four = points(name, learned)
    return ReferenceCorrelation.compute(name, kernel, all_four, all_four.take(np.array([0])), own)


def test_the_covariance_is_valid_and_has_the_variance_on_its_diagonal() -> None:
    for own in (None, known(KERNEL, CONDUCTIVITY, -4.0, -3.0)):
        full = error_covariance(CONDUCTIVITY, KERNEL, points(), points(), own)
        np.testing.assert_allclose(full, full.T, atol=1e-12)
        assert np.linalg.eigvalsh(full).min() > -1e-9
        np.testing.assert_allclose(np.diag(full), error_variance(CONDUCTIVITY, KERNEL, points(), own), atol=1e-12)


def test_a_known_pellet_reduces_the_variance_of_similar_recipes_most() -> None:
    before = error_variance(CONDUCTIVITY, KERNEL, points())
    after = error_variance(CONDUCTIVITY, KERNEL, points(), known(KERNEL, CONDUCTIVITY, -4.0, -3.0))
    assert (after < before).all()
    assert (np.diff(after) > 0).all()


def test_variance_of_log_odds_agrees_with_conditioning() -> None:
    four, own = points(PURITY, 0.4), known(LOG_ODDS, PURITY, 0.4, 1.0)
    left = error_variance(PURITY, LOG_ODDS, four, own)
    one = four.take(np.array([0]))
    among = laboratory_distances(one.space, one.space, one.predicted, one.predicted)
    towards = laboratory_distances(four.space, one.space, four.predicted, one.predicted)
    found = condition_probability(LOG_ODDS, among, towards, own.measured, own.predicted, np.full(4, 0.4))
    assert (np.diff(found) < 0).all()
    assert (np.diff(left) > 0).all()
    assert (left < LOG_ODDS.variance).all()


def values(name: TargetName, learned: list[float], half: float = 1.0, at: ReferenceCorrelation | None = None):
    numbers = np.array(learned)
    return differences_of_values(
        name, KERNEL, at or correlation(), (numbers, numbers[0]), (np.full(4, half), half), SCORES, LEVEL
    )


def test_differences_between_similar_recipes_have_narrow_intervals() -> None:
    found = values(CONDUCTIVITY, [-4.0, -4.0, -4.0, -4.0])
    width = found.upper - found.lower
    assert (np.diff(width) > 0).all()
    assert width[-1] < 2 * np.hypot(1.0, 1.0)
    np.testing.assert_allclose(found.value, 0.0)
    np.testing.assert_allclose(found.better, 0.5)
    assert not found.is_told_apart.any()


def test_large_differences_are_told_apart_with_high_probability() -> None:
    found = values(CONDUCTIVITY, [-4.0, -3.5, -2.0, -6.5])
    np.testing.assert_allclose(found.value, [0.0, 0.5, 2.0, -2.5])
    assert found.is_told_apart.tolist() == [False, False, True, True]
    assert 0.5 < found.better[1] < 0.95 < found.better[2]
    assert found.better[3] < 0.05


def test_probability_agrees_with_an_interval_that_ends_at_zero() -> None:
    found = values(CONDUCTIVITY, [-4.0, -4.0, -4.0, -4.0])
    half = (found.upper - found.lower)[2] / 2
    at_the_end = values(CONDUCTIVITY, [-4.0, -4.0, -4.0 + half, -4.0])
    assert at_the_end.lower[2] == pytest.approx(0.0, abs=1e-12)
    assert at_the_end.better[2] == pytest.approx((1 + LEVEL) / 2, abs=0.01)


def test_differences_of_density_have_the_right_sign_and_bounds() -> None:
    porosity = np.log10(100.0 - np.array([90.0, 95.0, 80.0, 99.0]))
    found = values(DENSITY, porosity.tolist(), 0.5, correlation(DENSITY, learned=1.0))
    np.testing.assert_allclose(found.value, [0.0, 5.0, -10.0, 9.0], atol=1e-9)
    assert (found.lower <= found.value).all()
    assert (found.value <= found.upper).all()
    assert found.better[1] > 0.5 > found.better[2]
    assert (found.upper < 80).all()


@given(st.lists(st.floats(0.0, 1.0), min_size=4, max_size=4))
def test_differences_of_probabilities_are_inside_their_intervals(pure: list[float]) -> None:
    at = correlation(PURITY, LOG_ODDS, 0.4)
    found = differences_of_probabilities(at, np.array(pure), pure[0], LEVEL)
    assert ((found.lower <= found.value) & (found.value <= found.upper)).all()
    assert (found.lower >= -1.0).all()
    assert (found.upper <= 1.0).all()
    assert found.better[0] == pytest.approx(0.5)
    higher = np.array(pure) > pure[0] + 0.01
    assert (found.better[higher] > 0.5).all()


def test_the_recipe_with_the_higher_probability_is_more_often_the_pure_one() -> None:
    found = differences_of_probabilities(
        correlation(PURITY, LOG_ODDS, 0.4), np.array([0.2, 0.9, 0.9, 0.9]), 0.2, LEVEL
    )
    assert (found.better[1:] > 0.9).all()
    assert (np.diff(found.better[1:]) < 0).all(), "of likes, a difference says more"


def test_swapping_two_recipes_changes_the_sign() -> None:
    four = points(PURITY, 0.4)
    pure = np.array([0.2, 0.6, 0.5, 0.9])
    there = differences_of_probabilities(
        ReferenceCorrelation.compute(PURITY, LOG_ODDS, four, four.take(np.array([0]))), pure, 0.2, LEVEL
    )
    back = differences_of_probabilities(
        ReferenceCorrelation.compute(PURITY, LOG_ODDS, four, four.take(np.array([3]))), pure, 0.9, LEVEL
    )
    assert there.value[3] == pytest.approx(-back.value[0])
    assert there.better[3] == pytest.approx(1 - back.better[0], abs=0.01)
    assert there.lower[3] == pytest.approx(-back.upper[0], abs=0.02)


def test_coverage_of_differences_between_pellets_of_one_work(champion: PropertyModel) -> None:
    from benchmarks.held_out_works import HELD_OUT
    from tools.difference_tables import pairs

    table = champion.out_of_fold
    some = table[~table["source"].isin(HELD_OUT) & (table["target"] == str(DENSITY))]
    found = pairs(some, champion.pellets, DENSITY)
    inside = (found["measured"] >= found["lower"]) & (found["measured"] <= found["upper"])
    assert np.average(inside, weights=found["weight"]) == pytest.approx(0.9, abs=0.05)
    sure = pd.Series(np.maximum(found["better"], 1 - found["better"]))
    right = ((found["better"] > 0.5) == (found["measured"] > 0)) & (found["measured"] != 0)
    assert right[sure > 0.75].mean() > 0.65 > right[sure < 0.6].mean()


@pytest.fixture(scope="module")
def champion() -> PropertyModel:
    return PropertyModel.load(Path(__file__).resolve().parents[2] / "models" / "champion")
