import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.columns import Column
from nasicon_ml.data.load import load_pellets
from nasicon_ml.estimators.targets import TARGETS, TargetName, shift_log10_conductivity, training_rows

BOLTZMANN_EV_PER_K = 8.617333262e-5


@given(st.floats(-12, 0), st.floats(0.1, 1.0), st.floats(-50, 500), st.floats(-50, 500))
def test_temperature_shift_follows_the_arrhenius_equation(log10_sigma, energy, start, end):
    """The equation is sigma T = A exp(-Ea/kT)."""
    shifted = shift_log10_conductivity(np.array([log10_sigma]), np.array([energy]), start, end)[0]
    start_kelvin, end_kelvin = start + 273.15, end + 273.15
    prefactor = 10**log10_sigma * start_kelvin * np.exp(energy / (BOLTZMANN_EV_PER_K * start_kelvin))
    assert shifted == pytest.approx(
        np.log10(prefactor / end_kelvin * np.exp(-energy / (BOLTZMANN_EV_PER_K * end_kelvin))), abs=1e-9
    )
    back = shift_log10_conductivity(np.array([shifted]), np.array([energy]), end, start)[0]
    assert back == pytest.approx(log10_sigma, abs=1e-9)


@given(st.floats(20, 100))
def test_density_round_trip_through_the_porosity_scale(density):
    target = TARGETS[TargetName.RELATIVE_DENSITY]
    assert target.inverse(target.forward(np.array([density])))[0] == pytest.approx(density, abs=1e-9)


def test_inverse_transforms_clip_to_possible_values():
    inverse = TARGETS[TargetName.RELATIVE_DENSITY].inverse
    np.testing.assert_array_equal(inverse(np.array([-9.0, 9.0])), [100.0, 20.0])
    conductivity = TARGETS[TargetName.CONDUCTIVITY].inverse
    np.testing.assert_allclose(conductivity(np.array([-99.0, -4.0, 2.0])), [-14.0, -4.0, 0.0])


def test_conductivity_bounds_are_not_training_rows():
    pellets = load_pellets()
    rows = training_rows(pellets, TargetName.CONDUCTIVITY).rows
    bounded = np.flatnonzero(pellets[Column.CONDUCTIVITY_BOUND].notna())
    assert len(bounded) > 0
    assert not set(bounded) & set(rows)


def test_measurements_far_from_25_c_without_activation_energy_weigh_less():
    pellets = load_pellets().head(4).copy()
    pellets[Column.CONDUCTIVITY_TOTAL_S_CM] = 1e-4
    pellets[Column.CONDUCTIVITY_BOUND] = None
    pellets[Column.MEASUREMENT_TEMPERATURE_C] = [25.0, 300.0, 300.0, np.nan]
    pellets[Column.ACTIVATION_ENERGY_EV] = [np.nan, np.nan, 0.35, np.nan]
    weight = training_rows(pellets, TargetName.CONDUCTIVITY).weight
    assert weight[1] < weight[0] == weight[2] == weight[3]
    assert weight.mean() == pytest.approx(1.0)


def test_measured_purity_is_zero_or_one():
    pellets = load_pellets()
    rows = training_rows(pellets, TargetName.PHASE_PURITY)
    assert set(rows.y) == {0.0, 1.0}
    assert len(rows.rows) == pd.notna(pellets[Column.PHASE_PURE]).sum()
