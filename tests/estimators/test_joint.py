"""Differences between recipes: shared errors cancel, and similar recipes share more of them."""

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
    """Four recipes, each less similar to the first than the one before."""
    table = recipe_table(
        (
            *combinations("LATP x=0.3", {"sintering_temperature_c": [900, 920, 1050]}).recipes,
            *combinations("LAGP x=0.5", {"sintering_temperature_c": 800}).recipes,
        )
    )
    return RecipePoints.from_learned(name, recipe_space(table), np.full(4, learned))


def one_known_pellet(kernel: OwnKernel, name: TargetName, predicted: float, measured: float) -> KnownPellets:
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


def test_covariance_is_positive_semidefinite_with_the_variance_on_its_diagonal() -> None:
    for own in (None, one_known_pellet(KERNEL, CONDUCTIVITY, -4.0, -3.0)):
        full = error_covariance(CONDUCTIVITY, KERNEL, points(), points(), own)
        np.testing.assert_allclose(full, full.T, atol=1e-12)
        assert np.linalg.eigvalsh(full).min() > -1e-9
        np.testing.assert_allclose(np.diag(full), error_variance(CONDUCTIVITY, KERNEL, points(), own), atol=1e-12)


def test_known_pellet_reduces_the_variance_of_similar_recipes_most() -> None:
    before = error_variance(CONDUCTIVITY, KERNEL, points())
    after = error_variance(CONDUCTIVITY, KERNEL, points(), one_known_pellet(KERNEL, CONDUCTIVITY, -4.0, -3.0))
    assert (after < before).all()
    assert (np.diff(after) > 0).all()


def test_variance_of_log_odds_agrees_with_conditioning() -> None:
    four, own = points(PURITY, 0.4), one_known_pellet(LOG_ODDS, PURITY, 0.4, 1.0)
    remaining = error_variance(PURITY, LOG_ODDS, four, own)
    first = four.take(np.array([0]))
    known_distances = laboratory_distances(first.space, first.space, first.predicted, first.predicted)
    query_distances = laboratory_distances(four.space, first.space, four.predicted, first.predicted)
    result = condition_probability(
        LOG_ODDS, known_distances, query_distances, own.measured, own.predicted, np.full(4, 0.4)
    )
    assert (np.diff(result) < 0).all()
    assert (np.diff(remaining) > 0).all()
    assert (remaining < LOG_ODDS.variance).all()


def differences(
    name: TargetName, learned: list[float], half: float = 1.0, reference: ReferenceCorrelation | None = None
):
    numbers = np.array(learned)
    return differences_of_values(
        name, KERNEL, reference or correlation(), (numbers, numbers[0]), (np.full(4, half), half), SCORES, LEVEL
    )


def test_differences_between_similar_recipes_have_narrow_intervals() -> None:
    result = differences(CONDUCTIVITY, [-4.0, -4.0, -4.0, -4.0])
    width = result.upper - result.lower
    assert (np.diff(width) > 0).all()
    assert width[-1] < 2 * np.hypot(1.0, 1.0)
    np.testing.assert_allclose(result.value, 0.0)
    np.testing.assert_allclose(result.better, 0.5)
    assert not result.is_told_apart.any()


def test_large_differences_are_told_apart_with_high_probability() -> None:
    result = differences(CONDUCTIVITY, [-4.0, -3.5, -2.0, -6.5])
    np.testing.assert_allclose(result.value, [0.0, 0.5, 2.0, -2.5])
    assert result.is_told_apart.tolist() == [False, False, True, True]
    assert 0.5 < result.better[1] < 0.95 < result.better[2]
    assert result.better[3] < 0.05


def test_probability_agrees_with_the_level_of_an_interval_that_ends_at_zero() -> None:
    result = differences(CONDUCTIVITY, [-4.0, -4.0, -4.0, -4.0])
    half = (result.upper - result.lower)[2] / 2
    touching_zero = differences(CONDUCTIVITY, [-4.0, -4.0, -4.0 + half, -4.0])
    assert touching_zero.lower[2] == pytest.approx(0.0, abs=1e-12)
    assert touching_zero.better[2] == pytest.approx((1 + LEVEL) / 2, abs=0.01)


def test_differences_of_density_have_the_right_sign_and_bounds() -> None:
    porosity = np.log10(100.0 - np.array([90.0, 95.0, 80.0, 99.0]))
    result = differences(DENSITY, porosity.tolist(), 0.5, correlation(DENSITY, learned=1.0))
    np.testing.assert_allclose(result.value, [0.0, 5.0, -10.0, 9.0], atol=1e-9)
    assert (result.lower <= result.value).all()
    assert (result.value <= result.upper).all()
    assert result.better[1] > 0.5 > result.better[2]
    assert (result.upper < 80).all()


@given(st.lists(st.floats(0.0, 1.0), min_size=4, max_size=4))
def test_differences_of_probabilities_are_valid_and_inside_their_intervals(pure: list[float]) -> None:
    reference = correlation(PURITY, LOG_ODDS, 0.4)
    result = differences_of_probabilities(reference, np.array(pure), pure[0], LEVEL)
    assert ((result.lower <= result.value) & (result.value <= result.upper)).all()
    assert (result.lower >= -1.0).all()
    assert (result.upper <= 1.0).all()
    assert result.better[0] == pytest.approx(0.5)
    higher = np.array(pure) > pure[0] + 0.01
    assert (result.better[higher] > 0.5).all()


def test_recipe_of_higher_probability_is_more_often_the_pure_one_if_similar() -> None:
    result = differences_of_probabilities(
        correlation(PURITY, LOG_ODDS, 0.4), np.array([0.2, 0.9, 0.9, 0.9]), 0.2, LEVEL
    )
    assert (result.better[1:] > 0.9).all()
    assert (np.diff(result.better[1:]) < 0).all(), "a difference between similar recipes is more certain"


def test_swapping_recipe_and_reference_changes_the_sign() -> None:
    four = points(PURITY, 0.4)
    pure = np.array([0.2, 0.6, 0.5, 0.9])
    forward = differences_of_probabilities(
        ReferenceCorrelation.compute(PURITY, LOG_ODDS, four, four.take(np.array([0]))), pure, 0.2, LEVEL
    )
    backward = differences_of_probabilities(
        ReferenceCorrelation.compute(PURITY, LOG_ODDS, four, four.take(np.array([3]))), pure, 0.9, LEVEL
    )
    assert forward.value[3] == pytest.approx(-backward.value[0])
    assert forward.better[3] == pytest.approx(1 - backward.better[0], abs=0.01)
    assert forward.lower[3] == pytest.approx(-backward.upper[0], abs=0.02)


def test_differences_between_pellets_of_one_source_have_nominal_coverage(champion: PropertyModel) -> None:
    from benchmarks.held_out_works import HELD_OUT
    from tools.difference_tables import pairs

    table = champion.out_of_fold
    density = table[~table["source"].isin(HELD_OUT) & (table["target"] == str(DENSITY))]
    result = pairs(density, champion.pellets, DENSITY)
    inside = (result["measured"] >= result["lower"]) & (result["measured"] <= result["upper"])
    assert np.average(inside, weights=result["weight"]) == pytest.approx(0.9, abs=0.05)
    confidence = pd.Series(np.maximum(result["better"], 1 - result["better"]))
    is_correct = ((result["better"] > 0.5) == (result["measured"] > 0)) & (result["measured"] != 0)
    assert is_correct[confidence > 0.75].mean() > 0.65 > is_correct[confidence < 0.6].mean()


@pytest.fixture(scope="module")
def champion() -> PropertyModel:
    return PropertyModel.load(Path(__file__).resolve().parents[2] / "models" / "champion")
