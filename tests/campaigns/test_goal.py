"""Goals of a campaign."""

from __future__ import annotations

import numpy as np
import pytest

from nasicon_ml.campaigns.goal import Goal, Outcomes
from nasicon_ml.errors import FieldError
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.screening.objectives import Wish


def outcomes(log10=(-4.0, -3.0), density=(80.0, 95.0), purity=(0.9, 0.2), sintering_c=(800.0, 1000.0)):
    return Outcomes(*(np.array(values, dtype=float) for values in (log10, density, purity, sintering_c)))


def test_default_goal_is_conductivity_without_conditions():
    goal = Goal()
    np.testing.assert_array_equal(goal.values(outcomes()), [-4.0, -3.0])
    np.testing.assert_array_equal(goal.acceptance(outcomes()), [1.0, 1.0])
    assert goal.needed == {TargetName.CONDUCTIVITY}


def test_acceptance_is_probability_of_satisfying_the_conditions():
    goal = Goal(min_density_pct=90, min_purity=0.5)
    np.testing.assert_allclose(goal.acceptance(outcomes()), [0.0, 0.2])
    np.testing.assert_allclose(goal.acceptance(outcomes(density=(np.nan, 95), purity=(np.nan, 1.0))), [1.0, 1.0])
    assert goal.needed == set(TargetName) - {TargetName.ACTIVATION_ENERGY}


def test_values_with_wishes_are_the_desirability():
    goal = Goal(wishes={"conductivity": Wish(1e-5, 1e-3), "density": Wish(80, 100)})
    desirability = goal.values(outcomes(density=(90, 100)))
    np.testing.assert_allclose(desirability, [np.sqrt(0.5 * 0.5), 1.0])
    draws = outcomes(log10=[(-4.0, -3.0)] * 3, density=[(90, 100)] * 3, purity=[(0.5, 0.5)] * 3)
    np.testing.assert_allclose(goal.values(draws), [desirability] * 3)
    temperature_desirability = Goal(wishes={"sintering-temperature": Wish(1200, 700)}).values(draws)
    np.testing.assert_allclose(temperature_desirability, [[0.8, 0.4]] * 3)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"min_density_pct": 0}, "min_density"),
        ({"min_density_pct": 101}, "min_density"),
        ({"min_purity": 1}, "min_purity"),
        ({"min_purity": 50}, "min_purity"),
        ({"wishes": {"colour": Wish(0, 1)}}, "desirability"),
    ],
)
def test_invalid_goal_raises_field_error(settings, field):
    with pytest.raises(FieldError, match=field):
        Goal(**settings)
