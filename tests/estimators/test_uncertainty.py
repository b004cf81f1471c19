import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def test_sodium_systems_of_few_sources_share_a_factor_and_lithium_ones_another():
    random = np.random.default_rng(6)
    system = np.array([f"{ion}X{number}P" for number in range(150) for ion in "LN"], dtype=object)
    predicted = np.full(300, -4.0)
    measured = predicted + random.laplace(scale=np.where(np.char.startswith(system.astype(str), "N"), 0.2, 0.8))
    around = Circumstances(np.full(300, 0.5), np.full(300, 1.0), np.full(300, 25.0), system)
    fitted = fit_intervals(TargetName.CONDUCTIVITY, measured, predicted, sources(300), around)
    assert set(fitted.by_system) == {"L", "N"}
    assert width(fitted, system="NZSP") < 0.4 * width(fitted, system="LATP")
    assert width(fitted, system="KTP") > 0, "of an ion never seen the spread is the common one"


@pytest.mark.parametrize("tail", [1.5, 3.0, 30.0])
def test_coverage_is_nominal_at_every_level_whatever_the_tail(tail):
    """Errors alike in kind but not in size, sources each with a shift of their own: as a new source would be."""
    random = np.random.default_rng(7)
    levels, covered = (0.5, 0.8, 0.9), []
    for _ in range(20):
        group = np.repeat(np.arange(120), 5)
        unknown = random.uniform(size=120)[group]
        error = random.standard_t(tail, size=600) + random.normal(scale=0.5, size=120)[group]
        measured = -4.0 + error * np.exp(-1 + 0.8 * unknown)
        around = Circumstances(unknown, np.ones(600), np.full(600, 25.0), np.full(600, "LATP", dtype=object))
        old, predicted = group < 80, np.full(600, -4.0)
        names = np.array([f"s{number}" for number in group], dtype=object)
        name = TargetName.CONDUCTIVITY
        fitted = fit_intervals(name, measured[old], predicted[old], names[old], around.take(old))
        needed = fitted.level_needed(measured[~old], predicted[~old], around.take(~old))
        covered.append([np.mean(needed < level) for level in levels])
    assert np.mean(covered, axis=0) == pytest.approx(levels, abs=0.03)


@given(st.floats(-8, -2), st.floats(0, 1), st.floats(0, 6), st.floats(-100, 600), st.floats(0.05, 0.97))
def test_an_interval_is_never_empty_and_lies_within_any_wider_one(
    intervals, point, unknown, distance, temperature, level
):
    around = circumstances(1, unknown=unknown, distance=distance, temperature=temperature)
    lower, upper = intervals.interval(np.array([point]), around, level)
    wider = intervals.interval(np.array([point]), around, level + 0.02)
    assert wider[0] <= lower <= point <= upper <= wider[1]


def test_a_source_is_scored_by_a_spread_that_has_not_seen_it():
    """One wild source of its own system would widen the spread it is scored by, and look tame."""
    random = np.random.default_rng(3)
    names = np.repeat(np.array([f"s{number:02d}" for number in range(12)], dtype=object), 10)
    unknown, distance = random.uniform(size=(2, 120))
    system = np.where(names < "s06", "LATP", "LAGP").astype(object)
    around = Circumstances(unknown, distance, np.full(120, 25.0), system)
    predicted = np.full(120, -4.0)
    measured = predicted + random.laplace(scale=0.3, size=120) * np.where(names == "s00", 8.0, 1.0)

    def fitted(rows):
        return fit_intervals(
            TargetName.CONDUCTIVITY, measured[rows], predicted[rows], names[rows], around.take(rows)
        )

    by_others = [
        np.abs(measured - predicted)[names == name] / fitted(names != name).scale(around.take(names == name))
        for name in np.unique(names)
    ]
    everything = fitted(np.ones(120, dtype=bool))
    np.testing.assert_allclose(everything.scores.scores, np.sort(np.concatenate(by_others)), rtol=1e-6)
    seen = np.sort(np.abs(measured - predicted) / everything.scale(around))
    assert (everything.scores.scores[-10:] > seen[-10:]).all()
