"""Sintered share as a function of host, powder, flux, temperature, time and technique."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.columns import DENSIFICATIONS
from nasicon_ml.features.build import build_features
from nasicon_ml.recipe import Recipe, recipe_table

LATP, LZP = "Li1.3Al0.3Ti1.7(PO4)3", "LiZr2(PO4)3"


def sintered_share(formula=LATP, **fields):
    """Sintered share of one recipe."""
    features = build_features(recipe_table([Recipe(formula=formula, **fields)]))
    return features.values[0, features.names.index("sintered_share")]


def test_sintered_share_of_latp_at_700_and_800_degrees_matches_raj2023():
    """The measured densities are 76.7 and 94.8 %; the logarithm of porosity falls in proportion to the share."""
    fields = {"densification": "conventional", "particle_size_um": 3.1, "sintering_time_h": 2}
    assert sintered_share(sintering_temperature_c=700, **fields) == pytest.approx(0.3, abs=0.05)
    assert sintered_share(sintering_temperature_c=800, **fields) == pytest.approx(0.75, abs=0.05)
    assert sintered_share(sintering_temperature_c=25, **fields) < 1e-4


@pytest.mark.parametrize(
    ("more", "less"),
    [
        ({"sintering_time_h": 20}, {"sintering_time_h": 0.5}),
        ({"particle_size_um": 0.3}, {"particle_size_um": 10}),
        ({"additive": "LiF", "additive_amount": 1, "additive_unit": "wt%"}, {}),
        ({"densification": "spark_plasma"}, {"densification": "conventional"}),
        ({"densification": "hot_isostatic_press"}, {}),
        ({"densification": "glass_ceramic_crystallization"}, {}),
        ({"formula": LATP}, {"formula": LZP}),
    ],
)
def test_sintered_share_increases_under_favourable_conditions(more, less):
    assert (
        sintered_share(sintering_temperature_c=720, **more)
        > sintered_share(sintering_temperature_c=720, **less) + 0.05
    )


def test_sintered_share_of_cold_sintering_cold_pressing_and_sputtering():
    assert sintered_share(densification="cold_sintering", sintering_temperature_c=150) > 0.9
    assert sintered_share(densification="cold_sintering", sintering_temperature_c=25) < 0.1
    assert sintered_share(densification="cold_pressing") == 0.0
    assert sintered_share(densification="sputtering", sintering_temperature_c=25) == 1.0
    assert np.isnan(sintered_share(densification="conventional"))


@given(st.sampled_from(DENSIFICATIONS), st.floats(20, 1690), st.floats(0, 10))
def test_sintered_share_never_decreases_with_temperature(technique, temperature, step):
    cold, hot = (
        sintered_share(densification=technique, sintering_temperature_c=t)
        for t in (temperature, temperature + step)
    )
    assert 0.0 <= cold <= hot <= 1.0
