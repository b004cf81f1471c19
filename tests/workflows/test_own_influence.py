"""What single own pellets do: one bad among five, one that makes up the shift, and those that lie near."""

import numpy as np
import pandas as pd
import pytest

from nasicon_ml.columns import Column
from nasicon_ml.data.own_pellets import own_pellets
from nasicon_ml.recipe import Recipe
from nasicon_ml.workflows.explain import describe_outliers, dominant_pellets
from nasicon_ml.workflows.predict import DISTANCE, predict

RECIPE = Recipe(formula="LATP x=0.3", sintering_temperature_c=900, densification="conventional")


def five(conductivities: list[float]) -> pd.DataFrame:
    count = len(conductivities)
    return own_pellets(
        pd.DataFrame(
            {
                "pellet_id": [f"MK{row}" for row in range(count)],
                "formula": ["LATP x=0.3"] * count,
                "sintering_temperature_c": [850.0 + 25 * row for row in range(count)],
                "densification": ["conventional"] * count,
                "conductivity_total_s_cm": conductivities,
            }
        )
    )


@pytest.fixture(scope="module")
def usual(trained) -> float:
    """What the model says of the recipe, which the clean pellets confirm."""
    return float(predict(RECIPE, trained.model).results[Column.PREDICTED_CONDUCTIVITY_S_CM].iloc[0])


def test_one_bad_pellet_in_five_moves_the_answer_by_little_and_is_named(trained, usual) -> None:
    clean = five([usual * factor for factor in (1.1, 0.9, 1.0, 1.2, 0.8)])
    bad = clean.assign(conductivity_total_s_cm=clean["conductivity_total_s_cm"] * [1, 1, 1000, 1, 1])
    shifts = [predict(RECIPE, trained.model, own=own).results[Column.OWN_SHIFT_DECADES][0] for own in (clean, bad)]
    assert abs(shifts[1] - shifts[0]) < 0.1
    assert describe_outliers(trained.model, clean) == []
    ((key, words),) = describe_outliers(trained.model, bad)
    assert key == "MK2"
    assert words.startswith("total conductivity: ")
    assert words.endswith("it counts less")


def test_the_pellet_that_makes_up_the_shift_is_named(trained, usual) -> None:
    one_sided = five([usual, usual, usual * 8])
    (found,) = dominant_pellets(predict(RECIPE, trained.model, own=one_sided))
    (one,) = (each for each in found if each.target == "conductivity")
    assert (one.pellet_id, one.unit) == ("MK2", "decades")
    assert one.change > 0.1
    alike = five([usual * 3] * 5)
    assert dominant_pellets(predict(RECIPE, trained.model, own=alike)) == [()]
    assert dominant_pellets(predict(RECIPE, trained.model)) == [()]


def test_own_pellets_are_neighbours(trained, usual) -> None:
    prediction = predict(RECIPE, trained.model, own=five([usual] * 3))
    near = prediction.nearest(0, k=4)
    assert near[Column.PELLET_ID].iloc[0] == "MK2"  # 900 °C, as asked
    assert near[DISTANCE].is_monotonic_increasing
    assert len(near) == 4
    without = predict(RECIPE, trained.model).nearest(0, k=4)
    literature = near[~near[Column.SOURCE].eq("own")]
    assert literature[Column.PELLET_ID].tolist() == without[Column.PELLET_ID].tolist()[: len(literature)]
    assert np.isfinite(near[DISTANCE]).all()
    shown = prediction.measured.iloc[prediction.neighbours.positions[0]]
    assert shown[Column.PELLET_ID].iloc[0] == "MK2"
