import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from nasicon_ml.columns import Column
from nasicon_ml.features.processing import given_columns, physics_columns, sintering_work, unknown_share
from nasicon_ml.recipe import Recipe, recipe_table

R = 8.314462618e-3


def table(**fields):
    return recipe_table([Recipe(formula="LATP x=0.4", **fields)])


@pytest.mark.parametrize("energy", [250.0, 500.0])
@pytest.mark.parametrize("rate", [0.5, 5.0, 100.0])
def test_sintering_work_agrees_with_numerical_integral(energy, rate):
    top = 850.0 + 273.15
    ramp, _ = quad(
        lambda t: np.exp(-energy / (R * (t * rate / 60))) / (t * rate / 60), 1.0, top / rate * 60, limit=500
    )
    hold = 2 * 3600 * np.exp(-energy / (R * top)) / top
    result = sintering_work(np.array([850.0]), np.array([2.0]), np.array([rate]), energy)[0]
    # The closed form drops terms of the order R T / Q, a few per cent of the ramp.
    assert result == pytest.approx(np.log10(ramp + hold), abs=0.05)


@given(st.floats(600, 1200), st.floats(0.5, 24), st.floats(0.5, 50))
def test_sintering_work_increases_with_temperature_time_and_slower_heating(temperature, hours, rate):
    def work(t, h, r):
        return sintering_work(np.array([t]), np.array([h]), np.array([r]), 500.0)[0]

    reference = work(temperature, hours, rate)
    assert work(temperature + 20, hours, rate) > reference
    assert work(temperature, hours * 1.5, rate) > reference
    assert work(temperature, hours, rate * 1.5) < reference
    assert work(temperature, hours, np.nan) < reference


def test_sintering_work_is_nan_without_temperature_or_time():
    assert np.isnan(sintering_work(np.array([np.nan]), np.array([2.0]), np.array([1.0]), 250.0)[0])
    assert np.isnan(sintering_work(np.array([800.0]), np.array([np.nan]), np.array([1.0]), 250.0)[0])


def test_choice_columns_are_one_zero_or_nan():
    columns = given_columns(table(atmosphere="Ar"))
    assert columns["atmosphere=Ar"][0] == 1.0
    assert columns["atmosphere=air"][0] == 0.0
    assert np.isnan(columns["densification=conventional"][0])


def test_reduction_drive_depends_on_atmosphere_and_heating_rate():
    reducible = np.array([1.6])
    argon = physics_columns(table(atmosphere="Ar", heating_rate_c_min=2.5), reducible)
    air = physics_columns(table(atmosphere="air", heating_rate_c_min=2.5), reducible)
    slow = physics_columns(table(atmosphere="Ar", heating_rate_c_min=1.0), reducible)
    assert argon["reduction_drive"][0] == pytest.approx(5 * 1.6)
    assert air["reduction_drive"][0] == pytest.approx(0.68 * 1.6)
    assert 0.0 < slow["reduction_drive_log_rate"][0] < argon["reduction_drive_log_rate"][0]


def test_unknown_share_counts_fields_except_pressure_if_none_is_applied():
    assert unknown_share(table())[0] == 1.0
    some = unknown_share(table(sintering_temperature_c=800, sintering_time_h=2))[0]
    conventional = unknown_share(
        table(sintering_temperature_c=800, sintering_time_h=2, densification="conventional")
    )[0]
    glass = unknown_share(
        table(sintering_temperature_c=800, sintering_time_h=2, densification="glass_ceramic_crystallization")
    )[0]
    assert glass == conventional
    pressed = unknown_share(table(sintering_temperature_c=800, sintering_time_h=2, densification="hot_press"))[0]
    assert 1.0 > some > pressed > conventional > 0.0
    all_fields = {
        "synthesis_route": "sol_gel",
        "calcination_temperature_c": 700,
        "calcination_time_h": 2,
        "particle_size_um": 0.3,
        "sintering_temperature_c": 800,
        "sintering_time_h": 2,
        "heating_rate_c_min": 1,
        "atmosphere": "air",
        "densification": "conventional",
    }
    assert unknown_share(table(**all_fields))[0] == 0.0


def test_unstated_numbers_give_nan():
    columns = given_columns(table())
    assert np.isnan(columns[f"given_{Column.SINTERING_TEMPERATURE_C}"][0])
    assert np.isnan(columns[f"log10_{Column.PARTICLE_SIZE_UM}"][0])
