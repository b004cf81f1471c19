"""Selection of batches from a posterior, compared with analytical results."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from nasicon_ml.campaigns.acquisition import METHODS, JointNormal, Posterior, Promise, choose
from nasicon_ml.campaigns.goal import Goal
from nasicon_ml.columns import Column
from nasicon_ml.estimators.targets import TARGETS, TargetName
from nasicon_ml.model import Answers
from nasicon_ml.screening.objectives import Question


def independent(mean, variance, pellet_variance=0.0):
    mean = np.asarray(mean, dtype=float)
    return JointNormal(
        mean, np.diag(np.broadcast_to(variance, mean.shape).astype(float)), np.full(len(mean), pellet_variance)
    )


def make_posterior(conductivity, density_pct=95.0, purity=0.5, density_spread=0.05):
    """Return a posterior with given log10 conductivities, and constant or given densities and purities."""
    n = len(conductivity.mean)
    density_pct, purity = np.broadcast_to(density_pct, n), np.broadcast_to(purity, n)
    porosity = TARGETS[TargetName.RELATIVE_DENSITY].forward(density_pct)
    numbers = {
        Column.PREDICTED_CONDUCTIVITY_S_CM: 10.0**conductivity.mean,
        Column.PREDICTED_RELATIVE_DENSITY_PCT: density_pct,
        Column.PREDICTED_PHASE_PURITY: purity,
    }
    properties = {
        TargetName.CONDUCTIVITY: conductivity,
        TargetName.RELATIVE_DENSITY: independent(porosity, density_spread**2),
        TargetName.PHASE_PURITY: independent(np.log(purity / (1 - purity)), 0.01),
    }
    recipes = pd.DataFrame({str(Column.SINTERING_TEMPERATURE_C): np.full(n, 900.0)})
    return Posterior(recipes, Answers(numbers, (), (), None, np.array([])), properties)


def rows(picks):
    return [pick.row for pick in picks]


def test_expected_improvement_agrees_with_closed_form():
    """Jones, Schonlau and Welch, 10.1023/A:1008306431147, equation 15."""
    mean, deviation, best = np.array([-4.0, -3.5, -4.5]), np.array([0.3, 0.1, 1.0]), -3.6
    z = (mean - best) / deviation
    expected = (mean - best) * norm.cdf(z) + deviation * norm.pdf(z)
    picks = choose(make_posterior(independent(mean, deviation**2)), Goal(), best, 3, draws=40_000)
    pick_by_row = {pick.row: pick for pick in picks}
    for row in range(3):
        assert pick_by_row[row].expected_improvement == pytest.approx(expected[row], abs=0.01)
        assert pick_by_row[row].probability_better == pytest.approx(norm.cdf(z[row]), abs=0.01)
    assert picks[0].row == int(np.argmax(expected))


def test_pellet_scatter_affects_probability_but_not_expected_improvement():
    posterior = make_posterior(independent([-4.0], 1e-6, pellet_variance=0.25))
    pick = choose(posterior, Goal(), -4.5, 1, draws=40_000)[0]
    assert pick.probability_better == pytest.approx(norm.cdf(1.0), abs=0.01)
    assert pick.expected_improvement == pytest.approx(0.5, abs=0.01), (
        "the scatter of single pellets is no improvement"
    )


def test_strongly_correlated_recipes_are_not_in_one_batch():
    covariance = np.array([[1.0, 0.99, 0.0], [0.99, 1.0, 0.0], [0.0, 0.0, 0.5]])
    posterior = make_posterior(JointNormal(np.array([-3.0, -3.01, -3.6]), covariance, np.zeros(3)))
    assert rows(choose(posterior, Goal(), -3.5, 3)) == [0, 2]


def test_second_recipe_is_chosen_by_improvement_beyond_the_first():
    # Recipe 1 is correlated with recipe 0 (0.9, below the limit). Recipe 2 has a slightly lower mean, but improves
    # more on recipe 0 because it is independent of it.
    covariance = np.array([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]])
    posterior = make_posterior(JointNormal(np.array([-3.0, -3.05, -3.1]), covariance, np.zeros(3)))
    assert rows(choose(posterior, Goal(), -3.0, 2, draws=20_000)) == [0, 2]


def test_density_and_purity_conditions_change_the_choice():
    posterior = make_posterior(
        independent([-3.0, -3.4, -3.4], 0.04), density_pct=[80, 95, 95], purity=[0.9, 0.1, 0.8]
    )
    assert choose(posterior, Goal(), -4.0, 1)[0].row == 0
    assert choose(posterior, Goal(min_density_pct=90, min_purity=0.05), -4.0, 1)[0].row == 2
    dense_and_pure = choose(posterior, Goal(min_density_pct=90, min_purity=0.5), -4.0, 3)
    assert set(rows(dense_and_pure)) == {0, 2}, "recipe 1 is probably not pure"
    assert dense_and_pure[0].probability_better == pytest.approx(0.8, abs=0.05), (
        "almost certainly better if it is pure"
    )
    assert choose(posterior, Goal(min_purity=0.95), -4.0, 3) == []


def test_without_best_pellet_highest_is_chosen_and_improvement_is_nan():
    picks = choose(make_posterior(independent([-4.0, -3.0, -3.5], 0.09)), Goal(), None, 2)
    assert rows(picks) == [1, 2]
    assert np.isnan([pick.probability_better for pick in picks]).all()
    assert np.isnan([pick.expected_improvement for pick in picks]).all()


def test_most_informative_recipe_is_chosen_if_no_improvement_is_possible():
    posterior = make_posterior(independent([-8.0, -8.0], [1e-6, 0.01]))
    pick = choose(posterior, Goal(), -3.0, 1)[0]
    assert pick.row == 1
    assert pick.expected_improvement == 0.0


def test_variance_shares_of_a_batch_sum_to_less_than_one():
    random = np.random.default_rng(0)
    factor = random.standard_normal((6, 6))
    posterior = make_posterior(JointNormal(np.full(6, -4.0), factor @ factor.T, np.full(6, 0.1)))
    picks = choose(posterior, Goal(), -4.0, 6)
    shares = [pick.variance_share for pick in picks]
    assert min(shares) >= 0
    assert 0.8 < sum(shares) < 1.0, "the scatter of pellets leaves some variance"


@given(st.integers(1, 8), st.integers(1, 8), st.sampled_from(METHODS), st.integers(0, 1000))
def test_batch_has_distinct_recipes_and_is_deterministic_for_a_seed(count, size, method, seed):
    posterior = make_posterior(independent(np.linspace(-5, -3, count), 0.2))
    picks = choose(posterior, Goal(), -4.0, size, method=method, seed=seed, draws=64)
    assert len(set(rows(picks))) == len(picks) == min(count, size)
    assert picks == choose(posterior, Goal(), -4.0, size, method=method, seed=seed, draws=64)


def test_thompson_sampling_follows_probability_of_being_best():
    posterior = make_posterior(independent([-4.0, -4.0, -4.6], 0.09))
    first = [
        choose(posterior, Goal(), -5.5, 1, method="thompson", seed=seed, draws=1)[0].row for seed in range(300)
    ]
    frequencies = np.bincount(first, minlength=3) / 300
    assert frequencies[0] == pytest.approx(frequencies[1], abs=0.12)
    assert frequencies[2] < 0.15


def test_promise_settings_are_json_serializable() -> None:
    goal = Goal(min_density_pct=90.0)
    settings = json.loads(json.dumps(Question(Promise(goal, -3.5)).to_json()))
    assert settings["objective"] == {"name": "promise", "goal": goal.to_json(), "log10_s_cm": -3.5}
