"""Objectives say what they promise: bounds, probabilities, desirability."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nasicon_ml.columns import Column
from nasicon_ml.errors import FieldError
from nasicon_ml.estimators.uncertainty import ConformalScores
from nasicon_ml.screening.objectives import (
    OBJECTIVES,
    Desirability,
    Predictions,
    Wish,
    exceedance_probability,
    objective_named,
)

RNG = np.random.default_rng(3)
# The quantiles of |error| where errors follow a Laplace distribution.
ERRORS = ConformalScores(-np.log1p(-np.arange(1, 1000) / 1000))
LEVEL = 0.8


def answers(log10_conductivity: np.ndarray, scale: np.ndarray, **more: np.ndarray) -> Predictions:
    half = ERRORS.quantile(LEVEL) * scale
    numbers = {
        Column.PREDICTED_CONDUCTIVITY_S_CM: 10.0**log10_conductivity,
        Column.PREDICTED_CONDUCTIVITY_LOWER_S_CM: 10.0 ** (log10_conductivity - half),
        Column.PREDICTED_CONDUCTIVITY_UPPER_S_CM: 10.0 ** (log10_conductivity + half),
        Column.PREDICTED_PHASE_PURITY: more.get("purity", np.full(len(half), 0.5)),
        Column.PREDICTED_RELATIVE_DENSITY_PCT: more.get("density", np.full(len(half), 90.0)),
    }
    return Predictions(numbers, more.get("firing_c", np.full(len(half), 900.0)), ERRORS, LEVEL)


def test_the_probability_is_how_often_the_threshold_is_exceeded() -> None:
    """Errors like those the model made: of all recipes said to exceed with probability p, a share p does."""
    point, scale = RNG.uniform(-6, -2, 1_000_000), RNG.uniform(0.2, 1.0, 1_000_000)
    said = exceedance_probability(answers(point, scale), 1e-4)
    does = point + scale * RNG.laplace(size=len(point)) > -4
    for low in np.arange(0.0, 1.0, 0.1):
        group = (said >= low) & (said < low + 0.1)
        assert does[group].mean() == pytest.approx(said[group].mean(), abs=0.01)


def test_the_probability_agrees_with_the_interval() -> None:
    given = answers(np.array([-4.0]), np.array([0.7]))
    lower = float(given.columns[Column.PREDICTED_CONDUCTIVITY_LOWER_S_CM][0])
    upper = float(given.columns[Column.PREDICTED_CONDUCTIVITY_UPPER_S_CM][0])
    assert exceedance_probability(given, lower)[0] == pytest.approx((1 + LEVEL) / 2, abs=2e-3)
    assert exceedance_probability(given, upper)[0] == pytest.approx((1 - LEVEL) / 2, abs=2e-3)
    assert exceedance_probability(given, 1e-4)[0] == pytest.approx(0.5, abs=2e-3)


def test_no_probability_is_0_or_1() -> None:
    said = exceedance_probability(answers(np.array([-12.0, -0.1]), np.array([0.01, 0.01])), 1e-4)
    assert said.tolist() == [pytest.approx(0.5 / 1000), pytest.approx(1 - 0.5 / 1000)]


def test_success_is_the_product_with_purity() -> None:
    given = answers(np.array([-3.0, -3.0]), np.array([0.5, 0.5]), purity=np.array([0.2, 0.8]))
    objective = objective_named("success", threshold_s_cm=1e-4)
    np.testing.assert_allclose(objective.values(given), exceedance_probability(given, 1e-4) * [0.2, 0.8], rtol=0)


def test_conductivity_and_bound_are_the_columns() -> None:
    given = answers(np.array([-3.0, -5.0]), np.array([0.5, 0.1]))
    np.testing.assert_allclose(objective_named("conductivity").values(given), [1e-3, 1e-5], rtol=1e-12)
    np.testing.assert_array_equal(
        objective_named("lower-bound").values(given), given.columns[Column.PREDICTED_CONDUCTIVITY_LOWER_S_CM]
    )


def test_desirability_is_the_weighted_geometric_mean() -> None:
    given = answers(
        np.array([-4.5, -4.5, -7.0, -4.5]),
        np.full(4, 0.5),
        density=np.array([89.0, 99.0, 99.0, 89.0]),
        firing_c=np.array([950.0, 700.0, 700.0, np.nan]),
    )
    wishes = {
        "conductivity": Wish(1e-6, 1e-3, 2.0),
        "density": Wish(80.0, 98.0),
        "sintering-temperature": Wish(1200.0, 700.0),
    }
    found = Desirability(wishes).values(given)
    np.testing.assert_allclose(found, [(0.5**2 * 0.5 * 0.5) ** 0.25, (0.5**2) ** 0.25, 0.0, np.nan], rtol=1e-12)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_is_told_in_words_and_in_json(name: str) -> None:
    objective = objective_named(
        name,
        threshold_s_cm=3e-4 if name == "success" else None,
        wishes={"density": Wish(80.5, 98.0, 0.3)} if name == "desirability" else None,
    )
    assert json.loads(json.dumps(objective.to_json()))["name"] == name
    assert objective.describe()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"name": "conductivty"}, "Did you mean 'conductivity'"),
        ({"name": "success"}, "threshold: None is not accepted"),
        ({"name": "success", "threshold_s_cm": 0.0}, "above 0"),
        ({"name": "conductivity", "threshold_s_cm": 1e-4}, "success alone"),
        ({"name": "lower-bound", "wishes": {"density": Wish(80, 90)}}, "desirability alone"),
        ({"name": "desirability", "wishes": {"densty": Wish(80, 90)}}, "Did you mean 'density'"),
        ({"name": "desirability", "wishes": {"density": Wish(80, 80)}}, "two different numbers"),
        ({"name": "desirability", "wishes": {"density": Wish(80, 90, 0)}}, "weight of density: 0"),
        ({"name": "desirability", "wishes": {"conductivity": Wish(0, 1e-3)}}, "S/cm above 0"),
    ],
)
def test_what_is_none_is_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(FieldError, match=words):
        objective_named(**settings)  # type: ignore[arg-type]
