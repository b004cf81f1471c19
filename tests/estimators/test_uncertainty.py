import numpy as np
import pytest

from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.estimators.uncertainty import Circumstances, fit_intervals


def circumstances(n, unknown=0.5, distance=1.0, temperature=25.0, system="LATP"):
    return Circumstances(
        np.full(n, unknown), np.full(n, distance), np.full(n, temperature), np.full(n, system, dtype=object)
    )


def sources(n):
    return np.array([f"s{number % 40}" for number in range(n)], dtype=object)


@pytest.fixture(scope="module")
def intervals():
    random = np.random.default_rng(0)
    unknown, distance = random.uniform(size=(2, 2000))
    predicted = random.uniform(-6, -3, 2000)
    measured = predicted + random.laplace(scale=0.3 * np.exp(unknown + 0.5 * distance))
    around = Circumstances(unknown, distance, np.full(2000, 25.0), np.full(2000, "LATP", dtype=object))
    return fit_intervals(TargetName.CONDUCTIVITY, measured, predicted, sources(2000), around, energy_error_ev=0.07)


def width(intervals, **where):
    lower, upper = intervals.interval(np.array([-4.0]), circumstances(1, **where), 0.9)
    return (upper - lower)[0]


def test_every_kind_of_ignorance_widens(intervals):
    here = width(intervals, unknown=0.2, distance=0.5)
    assert width(intervals, unknown=0.8, distance=0.5) > here
    assert width(intervals, unknown=0.2, distance=2.0) > here
    assert width(intervals, unknown=0.2, distance=0.5, temperature=200.0) > here
    assert width(intervals, unknown=0.2, distance=0.5, temperature=-50.0) > here


def test_higher_levels_are_wider(intervals):
    ends = [intervals.interval(np.array([-4.0]), circumstances(1), level) for level in (0.5, 0.8, 0.95)]
    assert ends[0][0] > ends[1][0] > ends[2][0]
    assert ends[0][1] < ends[1][1] < ends[2][1]


def test_density_intervals_stay_between_zero_and_hundred():
    random = np.random.default_rng(1)
    predicted = random.uniform(70, 99.9, 300)
    measured = np.clip(predicted + random.normal(scale=8, size=300), 20, 100)
    intervals = fit_intervals(TargetName.RELATIVE_DENSITY, measured, predicted, sources(300), circumstances(300))
    lower, upper = intervals.interval(np.array([60.0, 99.9]), circumstances(2), 0.95)
    assert (lower >= 20).all()
    assert (upper <= 100).all()
    assert (lower < [60.0, 99.9]).all()
    assert (upper > [60.0, 99.9]).all()
    # Near full density an error of some points is a large one: the interval leans downwards.
    assert 99.9 - lower[1] > upper[1] - 99.9


def test_a_system_that_is_harder_gets_wider_intervals_the_more_sources_say_so():
    random = np.random.default_rng(2)
    system = np.repeat(np.array(["LATP", "LZP", "LHP"], dtype=object), [900, 90, 9])
    predicted = np.full(999, -4.0)
    measured = predicted + random.laplace(scale=0.3, size=999) * np.where(system == "LATP", 1.0, 3.0)
    around = Circumstances(np.full(999, 0.5), np.full(999, 1.0), np.full(999, 25.0), system)
    groups = np.array([f"{name}{number // 3}" for number, name in enumerate(system)], dtype=object)
    fitted = fit_intervals(TargetName.CONDUCTIVITY, measured, predicted, groups, around)
    assert fitted.by_system["LZP"] > 1.8 * fitted.by_system["LATP"]
    assert "LHP" not in fitted.by_system, "three sources are too few to speak for a system"
    lower, upper = fitted.interval(predicted, around, 0.9)
    inside = (measured >= lower) & (measured <= upper)
    assert inside[system == "LATP"].mean() == pytest.approx(0.9, abs=0.03)
    assert inside[system == "LZP"].mean() == pytest.approx(0.9, abs=0.08)


def test_errors_away_from_room_temperature_widen_intervals_there():
    random = np.random.default_rng(3)
    temperature = np.tile([25.0, 25.0, 25.0, 300.0], 250)
    predicted = np.full(1000, -4.0)
    measured = predicted + random.laplace(scale=np.where(temperature > 40, 1.5, 0.3))
    around = Circumstances(
        np.full(1000, 0.5), np.full(1000, 1.0), temperature, np.full(1000, "LATP", dtype=object)
    )
    fitted = fit_intervals(
        TargetName.CONDUCTIVITY, measured, predicted, sources(1000), around, energy_error_ev=0.05
    )
    assert fitted.energy_error_ev > 0.1
    lower, upper = fitted.interval(predicted, around, 0.9)
    inside = (measured >= lower) & (measured <= upper)
    assert inside[temperature > 40].mean() == pytest.approx(0.9, abs=0.05)
