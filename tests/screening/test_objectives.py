"""Objectives of a screening: conductivity, lower bound, probability of success, desirability."""

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
# Quantiles of |error| for errors with a Laplace distribution.
ERRORS = ConformalScores(-np.log1p(-np.arange(1, 1000) / 1000))
LEVEL = 0.8


def predictions_of(log10_conductivity: np.ndarray, scale: np.ndarray, **more: np.ndarray) -> Predictions:
    half = ERRORS.quantile(LEVEL) * scale
    numbers = {
        Column.PREDICTED_CONDUCTIVITY_S_CM: 10.0**log10_conductivity,
        Column.PREDICTED_CONDUCTIVITY_LOWER_S_CM: 10.0 ** (log10_conductivity - half),
        Column.PREDICTED_CONDUCTIVITY_UPPER_S_CM: 10.0 ** (log10_conductivity + half),
        Column.PREDICTED_PHASE_PURITY: more.get("purity", np.full(len(half), 0.5)),
        Column.PREDICTED_RELATIVE_DENSITY_PCT: more.get("density", np.full(len(half), 90.0)),
    }
    return Predictions(numbers, more.get("firing_c", np.full(len(half), 900.0)), ERRORS, LEVEL)


def test_exceedance_probability_is_calibrated_for_laplace_errors() -> None:
    """Of the recipes with a probability p, a share p exceeds the threshold."""
    point, scale = RNG.uniform(-6, -2, 1_000_000), RNG.uniform(0.2, 1.0, 1_000_000)
    probability = exceedance_probability(predictions_of(point, scale), 1e-4)
    exceeds = point + scale * RNG.laplace(size=len(point)) > -4
    for low in np.arange(0.0, 1.0, 0.1):
        group = (probability >= low) & (probability < low + 0.1)
        assert exceeds[group].mean() == pytest.approx(probability[group].mean(), abs=0.01)


def test_exceedance_probability_agrees_with_interval() -> None:
    predictions = predictions_of(np.array([-4.0]), np.array([0.7]))
    lower = float(predictions.columns[Column.PREDICTED_CONDUCTIVITY_LOWER_S_CM][0])
    upper = float(predictions.columns[Column.PREDICTED_CONDUCTIVITY_UPPER_S_CM][0])
    assert exceedance_probability(predictions, lower)[0] == pytest.approx((1 + LEVEL) / 2, abs=2e-3)
    assert exceedance_probability(predictions, upper)[0] == pytest.approx((1 - LEVEL) / 2, abs=2e-3)
    assert exceedance_probability(predictions, 1e-4)[0] == pytest.approx(0.5, abs=2e-3)


def test_exceedance_probability_is_never_0_or_1() -> None:
    probability = exceedance_probability(predictions_of(np.array([-12.0, -0.1]), np.array([0.01, 0.01])), 1e-4)
    assert probability.tolist() == [pytest.approx(0.5 / 1000), pytest.approx(1 - 0.5 / 1000)]


def test_success_is_product_of_exceedance_probability_and_purity() -> None:
    predictions = predictions_of(np.array([-3.0, -3.0]), np.array([0.5, 0.5]), purity=np.array([0.2, 0.8]))
    objective = objective_named("success", threshold_s_cm=1e-4)
    np.testing.assert_allclose(
        objective.values(predictions), exceedance_probability(predictions, 1e-4) * [0.2, 0.8], rtol=0
    )


def test_conductivity_and_lower_bound_equal_predicted_columns() -> None:
    predictions = predictions_of(np.array([-3.0, -5.0]), np.array([0.5, 0.1]))
    np.testing.assert_allclose(objective_named("conductivity").values(predictions), [1e-3, 1e-5], rtol=1e-12)
    np.testing.assert_array_equal(
        objective_named("lower-bound").values(predictions),
        predictions.columns[Column.PREDICTED_CONDUCTIVITY_LOWER_S_CM],
    )


def test_desirability_is_weighted_geometric_mean() -> None:
    predictions = predictions_of(
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
    desirability = Desirability(wishes).values(predictions)
    np.testing.assert_allclose(
        desirability, [(0.5**2 * 0.5 * 0.5) ** 0.25, (0.5**2) ** 0.25, 0.0, np.nan], rtol=1e-12
    )


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objective_has_description_and_can_be_written_as_json(name: str) -> None:
    objective = objective_named(
        name,
        threshold_s_cm=3e-4 if name == "success" else None,
        wishes={"density": Wish(80.5, 98.0, 0.3)} if name == "desirability" else None,
    )
    assert json.loads(json.dumps(objective.to_json()))["name"] == name
    assert objective.describe()


@pytest.mark.parametrize(
    ("settings", "message"),
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
def test_invalid_objective_raises_field_error(settings: dict[str, object], message: str) -> None:
    with pytest.raises(FieldError, match=message):
        objective_named(**settings)  # type: ignore[arg-type]
