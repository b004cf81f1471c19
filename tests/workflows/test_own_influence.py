"""Influence of single own pellets: outliers, pellets that dominate the shift, and nearest pellets."""

import numpy as np
import pandas as pd
import pytest

from nasicon_ml.columns import Column
from nasicon_ml.data.own_pellets import own_pellets
from nasicon_ml.recipe import Recipe
from nasicon_ml.workflows.explain import describe_outliers, dominant_pellets
from nasicon_ml.workflows.predict import DISTANCE, predict

RECIPE = Recipe(formula="LATP x=0.3", sintering_temperature_c=900, densification="conventional")


def own_table(conductivities: list[float]) -> pd.DataFrame:
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
def predicted(trained) -> float:
    """Predicted conductivity of the recipe in S/cm, which the clean own pellets confirm."""
    return float(predict(RECIPE, trained.model).results[Column.PREDICTED_CONDUCTIVITY_S_CM].iloc[0])


def test_outlier_among_five_own_pellets_has_little_effect_and_is_reported(trained, predicted) -> None:
    clean = own_table([predicted * factor for factor in (1.1, 0.9, 1.0, 1.2, 0.8)])
    with_outlier = clean.assign(conductivity_total_s_cm=clean["conductivity_total_s_cm"] * [1, 1, 1000, 1, 1])
    shifts = [
        predict(RECIPE, trained.model, own=own).results[Column.OWN_SHIFT_DECADES][0]
        for own in (clean, with_outlier)
    ]
    assert abs(shifts[1] - shifts[0]) < 0.1
    assert describe_outliers(trained.model, clean) == []
    ((pellet_id, message),) = describe_outliers(trained.model, with_outlier)
    assert pellet_id == "MK2"
    assert message.startswith("total conductivity: ")
    assert message.endswith("it counts less")


def test_own_pellet_that_dominates_the_shift_is_reported(trained, predicted) -> None:
    one_sided = own_table([predicted, predicted, predicted * 8])
    (dominant,) = dominant_pellets(predict(RECIPE, trained.model, own=one_sided))
    (pellet,) = (pellet for pellet in dominant if pellet.target == "conductivity")
    assert (pellet.pellet_id, pellet.unit) == ("MK2", "decades")
    assert pellet.change > 0.1
    consistent = own_table([predicted * 3] * 5)
    assert dominant_pellets(predict(RECIPE, trained.model, own=consistent)) == [()]
    assert dominant_pellets(predict(RECIPE, trained.model)) == [()]


def test_own_pellets_are_listed_among_the_nearest_pellets(trained, predicted) -> None:
    prediction = predict(RECIPE, trained.model, own=own_table([predicted] * 3))
    near = prediction.nearest(0, k=4)
    assert near[Column.PELLET_ID].iloc[0] == "MK2"  # 900 °C, as in the recipe
    assert near[DISTANCE].is_monotonic_increasing
    assert len(near) == 4
    without = predict(RECIPE, trained.model).nearest(0, k=4)
    literature = near[~near[Column.SOURCE].eq("own")]
    assert literature[Column.PELLET_ID].tolist() == without[Column.PELLET_ID].tolist()[: len(literature)]
    assert np.isfinite(near[DISTANCE]).all()
    shown = prediction.measured.iloc[prediction.neighbours.positions[0]]
    assert shown[Column.PELLET_ID].iloc[0] == "MK2"
