from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.data.load import load_pellets
from nasicon_ml.errors import FieldError
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.estimators.uncertainty import (
    _DISTANCE_PER_UNKNOWN,
    Circumstances,
    ConformalScores,
    Spread,
    fit_intervals,
    fit_spread,
)
from nasicon_ml.features.distances import recipe_distances, recipe_space
from nasicon_ml.features.processing import PROCESSING_FIELDS, unknown_share


def circumstances(n, unknown=0.5, distance=1.0, temperature=25.0, system="LATP"):
    return Circumstances(
        np.full(n, unknown), np.full(n, distance), np.full(n, temperature), np.full(n, system, dtype=object)
    )


def sources(n):
    return np.array([f"s{number % 40}" for number in range(n)], dtype=object)


@pytest.fixture(scope="module")
def intervals():
    rng = np.random.default_rng(0)
    unknown, distance = rng.uniform(size=(2, 2000))
    predicted = rng.uniform(-6, -3, 2000)
    measured = predicted + rng.laplace(scale=0.3 * np.exp(unknown + 0.5 * distance))
    conditions_of_rows = Circumstances(unknown, distance, np.full(2000, 25.0), np.full(2000, "LATP", dtype=object))
    return fit_intervals(
        TargetName.CONDUCTIVITY, measured, predicted, sources(2000), conditions_of_rows, energy_error_ev=0.07
    )


def width(intervals, **conditions):
    lower, upper = intervals.interval(np.array([-4.0]), circumstances(1, **conditions), 0.9)
    return (upper - lower)[0]


def test_unknown_fields_distance_and_temperature_widen_intervals(intervals):
    reference = width(intervals, unknown=0.2, distance=0.5)
    assert width(intervals, unknown=0.8, distance=0.5) > reference
    assert width(intervals, unknown=0.2, distance=2.0) > reference
    assert width(intervals, unknown=0.2, distance=0.5, temperature=200.0) > reference
    assert width(intervals, unknown=0.2, distance=0.5, temperature=-50.0) > reference


def test_intervals_widen_with_the_level(intervals):
    ends = [intervals.interval(np.array([-4.0]), circumstances(1), level) for level in (0.5, 0.8, 0.95)]
    assert ends[0][0] > ends[1][0] > ends[2][0]
    assert ends[0][1] < ends[1][1] < ends[2][1]


def test_density_intervals_stay_between_20_and_100_percent():
    rng = np.random.default_rng(1)
    predicted = rng.uniform(70, 99.9, 300)
    measured = np.clip(predicted + rng.normal(scale=8, size=300), 20, 100)
    intervals = fit_intervals(TargetName.RELATIVE_DENSITY, measured, predicted, sources(300), circumstances(300))
    lower, upper = intervals.interval(np.array([60.0, 99.9]), circumstances(2), 0.95)
    assert (lower >= 20).all()
    assert (upper <= 100).all()
    assert (lower < [60.0, 99.9]).all()
    assert (upper > [60.0, 99.9]).all()
    # Near full density the interval is asymmetric: it extends further downwards.
    assert 99.9 - lower[1] > upper[1] - 99.9


def test_systems_with_larger_errors_get_wider_intervals_given_enough_sources():
    rng = np.random.default_rng(2)
    system = np.repeat(np.array(["LATP", "LZP", "LHP"], dtype=object), [900, 90, 9])
    predicted = np.full(999, -4.0)
    measured = predicted + rng.laplace(scale=0.3, size=999) * np.where(system == "LATP", 1.0, 3.0)
    conditions_of_rows = Circumstances(np.full(999, 0.5), np.full(999, 1.0), np.full(999, 25.0), system)
    groups = np.array([f"{name}{number // 3}" for number, name in enumerate(system)], dtype=object)
    fitted = fit_intervals(TargetName.CONDUCTIVITY, measured, predicted, groups, conditions_of_rows)
    assert fitted.by_system["LZP"] > 1.8 * fitted.by_system["LATP"]
    assert "LHP" not in fitted.by_system, "three sources are too few for a factor of a system"
    lower, upper = fitted.interval(predicted, conditions_of_rows, 0.9)
    inside = (measured >= lower) & (measured <= upper)
    assert inside[system == "LATP"].mean() == pytest.approx(0.9, abs=0.03)
    assert inside[system == "LZP"].mean() == pytest.approx(0.9, abs=0.08)


def test_errors_away_from_room_temperature_widen_intervals_there():
    rng = np.random.default_rng(3)
    temperature = np.tile([25.0, 25.0, 25.0, 300.0], 250)
    predicted = np.full(1000, -4.0)
    measured = predicted + rng.laplace(scale=np.where(temperature > 40, 1.5, 0.3))
    conditions_of_rows = Circumstances(
        np.full(1000, 0.5), np.full(1000, 1.0), temperature, np.full(1000, "LATP", dtype=object)
    )
    fitted = fit_intervals(
        TargetName.CONDUCTIVITY, measured, predicted, sources(1000), conditions_of_rows, energy_error_ev=0.05
    )
    assert fitted.energy_error_ev > 0.1
    lower, upper = fitted.interval(predicted, conditions_of_rows, 0.9)
    inside = (measured >= lower) & (measured <= upper)
    assert inside[temperature > 40].mean() == pytest.approx(0.9, abs=0.05)


def test_systems_of_few_sources_share_one_factor_per_mobile_ion():
    rng = np.random.default_rng(6)
    system = np.array([f"{ion}X{number}P" for number in range(150) for ion in "LN"], dtype=object)
    predicted = np.full(300, -4.0)
    measured = predicted + rng.laplace(scale=np.where(np.char.startswith(system.astype(str), "N"), 0.2, 0.8))
    conditions_of_rows = Circumstances(np.full(300, 0.5), np.full(300, 1.0), np.full(300, 25.0), system)
    fitted = fit_intervals(TargetName.CONDUCTIVITY, measured, predicted, sources(300), conditions_of_rows)
    assert set(fitted.by_system) == {"L", "N"}
    assert width(fitted, system="NZSP") < 0.4 * width(fitted, system="LATP")
    assert width(fitted, system="KTP") > 0, "an unknown ion has the common spread"


@pytest.mark.slow
@pytest.mark.parametrize("tail", [1.5, 3.0, 30.0])
def test_coverage_is_nominal_at_all_levels_for_light_and_heavy_tails(tail):
    """Errors have a scale that depends on the recipe and an offset per source; coverage is that of new sources."""
    rng = np.random.default_rng(7)
    levels, coverages = (0.5, 0.8, 0.9), []
    for _ in range(20):
        group = np.repeat(np.arange(120), 5)
        unknown = rng.uniform(size=120)[group]
        error = rng.standard_t(tail, size=600) + rng.normal(scale=0.5, size=120)[group]
        measured = -4.0 + error * np.exp(-1 + 0.8 * unknown)
        conditions_of_rows = Circumstances(
            unknown, np.ones(600), np.full(600, 25.0), np.full(600, "LATP", dtype=object)
        )
        is_training, predicted = group < 80, np.full(600, -4.0)
        names = np.array([f"s{number}" for number in group], dtype=object)
        name = TargetName.CONDUCTIVITY
        fitted = fit_intervals(
            name,
            measured[is_training],
            predicted[is_training],
            names[is_training],
            conditions_of_rows.take(is_training),
        )
        level_needed = fitted.level_needed(
            measured[~is_training], predicted[~is_training], conditions_of_rows.take(~is_training)
        )
        coverages.append([np.mean(level_needed < level) for level in levels])
    assert np.mean(coverages, axis=0) == pytest.approx(levels, abs=0.03)


@given(st.floats(-8, -2), st.floats(0, 1), st.floats(0, 6), st.floats(-100, 600), st.floats(0.05, 0.97))
def test_interval_contains_the_prediction_and_lies_in_that_of_a_higher_level(
    intervals, point, unknown, distance, temperature, level
):
    conditions_of_rows = circumstances(1, unknown=unknown, distance=distance, temperature=temperature)
    lower, upper = intervals.interval(np.array([point]), conditions_of_rows, level)
    wider = intervals.interval(np.array([point]), conditions_of_rows, level + 0.02)
    assert wider[0] <= lower <= point <= upper <= wider[1]


def test_conformal_scores_of_a_source_use_a_spread_fitted_without_it():
    """Otherwise a source with large errors would widen the spread that divides them and get small scores."""
    rng = np.random.default_rng(3)
    names = np.repeat(np.array([f"s{number:02d}" for number in range(12)], dtype=object), 10)
    unknown, distance = rng.uniform(size=(2, 120))
    system = np.where(names < "s06", "LATP", "LAGP").astype(object)
    conditions_of_rows = Circumstances(unknown, distance, np.full(120, 25.0), system)
    predicted = np.full(120, -4.0)
    measured = predicted + rng.laplace(scale=0.3, size=120) * np.where(names == "s00", 8.0, 1.0)

    def fitted(rows):
        return fit_intervals(
            TargetName.CONDUCTIVITY, measured[rows], predicted[rows], names[rows], conditions_of_rows.take(rows)
        )

    held_out_scores = [
        np.abs(measured - predicted)[names == name]
        / fitted(names != name).scale(conditions_of_rows.take(names == name))
        for name in np.unique(names)
    ]
    fitted_to_all = fitted(np.ones(120, dtype=bool))
    np.testing.assert_allclose(fitted_to_all.scores.scores, np.sort(np.concatenate(held_out_scores)), rtol=1e-6)
    in_sample_scores = np.sort(np.abs(measured - predicted) / fitted_to_all.scale(conditions_of_rows))
    assert (fitted_to_all.scores.scores[-10:] > in_sample_scores[-10:]).all()


def test_quantile_agrees_with_mapie():
    """With a constant spread the intervals are those of cross-conformal prediction, MAPIE's method "base"."""
    from mapie.regression import CrossConformalRegressor
    from sklearn.linear_model import LinearRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict

    rng = np.random.default_rng(3)
    X = rng.normal(size=(150, 3))
    groups = rng.integers(0, 25, 150)
    y = X @ [1.0, -2.0, 0.5] + rng.standard_t(4, size=150)
    splitter = GroupKFold(5)
    for level in (0.5, 0.8, 0.9, 0.95):
        mapie = CrossConformalRegressor(
            LinearRegression(), confidence_level=level, method="base", cv=splitter, random_state=0
        )
        mapie.fit_conformalize(X, y, groups=groups)
        point, interval = mapie.predict_interval(X[:7])
        half = (interval[:, 1, 0] - interval[:, 0, 0]) / 2
        residuals = y - cross_val_predict(LinearRegression(), X, y, groups=groups, cv=splitter)
        ours = ConformalScores.from_residuals(residuals, np.ones(150)).quantile(level)
        np.testing.assert_allclose(half, ours, rtol=1e-9)
        np.testing.assert_allclose(point, LinearRegression().fit(X, y).predict(X[:7]))


def test_conformal_intervals_have_nominal_coverage_on_new_rows():
    """Simulate many datasets, fit to half of the rows and measure the coverage of the others."""
    rng = np.random.default_rng(0)
    coverages = []
    for _ in range(200):
        unknown, distance = rng.uniform(size=(2, 200))
        scale = np.exp(-1 + 0.8 * unknown + 0.5 * distance)
        residuals = rng.standard_t(3, size=200) * scale
        spread, _ = fit_spread(residuals[:100], unknown[:100], distance[:100])
        fitted = spread.scale(unknown, distance)
        scores = ConformalScores.from_residuals(residuals[:100], fitted[:100])
        coverages.append(np.mean(np.abs(residuals[100:]) <= scores.quantile(0.9) * fitted[100:]))
    assert np.mean(coverages) == pytest.approx(0.9, abs=0.01)


def test_fitted_spread_recovers_true_parameters():
    rng = np.random.default_rng(1)
    unknown, distance = rng.uniform(size=(2, 20000))
    residuals = rng.laplace(scale=np.exp(-1.0 + 0.7 * unknown + 0.3 * distance))
    spread, _ = fit_spread(residuals, unknown, distance)
    assert (spread.intercept, spread.unknown, spread.distance) == pytest.approx((-1.0, 0.7, 0.3), abs=0.1)
    assert spread.unknown >= _DISTANCE_PER_UNKNOWN * spread.distance


def test_unknown_fields_never_narrow_intervals():
    """If errors happen to be smaller for incomplete recipes, the spread is constant."""
    rng = np.random.default_rng(2)
    unknown, distance = rng.uniform(size=(2, 500))
    residuals = rng.laplace(scale=np.exp(-1.0 - 2.0 * unknown))
    spread, _ = fit_spread(residuals, unknown, distance)
    assert spread.unknown == 0.0
    assert spread.distance >= 0.0


@pytest.mark.parametrize("field", PROCESSING_FIELDS)
def test_spread_compensates_distances_reduced_by_unknown_fields(field):
    """Without one field, distances shrink by no more than the larger unknown share makes up for."""
    complete = load_pellets()
    complete = complete[complete[field].notna()].head(60).reset_index(drop=True)
    incomplete = complete.copy()
    incomplete.loc[:, str(field)] = None if field.choices else np.nan
    space = recipe_space(complete)
    reduction = (recipe_distances(space, space) - recipe_distances(recipe_space(incomplete), space)).max(axis=1)
    unknown_increase = unknown_share(incomplete) - unknown_share(complete)
    is_affected = unknown_increase > 0  # pressure is not a field of recipes without pressing
    assert is_affected.any()
    assert (reduction[is_affected] <= _DISTANCE_PER_UNKNOWN * unknown_increase[is_affected] + 1e-9).all()


def test_fit_spread_with_too_few_residuals_raises():
    with pytest.raises(ValueError, match="at least 20 out-of-fold residuals, got 5"):
        fit_spread(np.ones(5), np.zeros(5), np.zeros(5))


@pytest.mark.parametrize("level", [0.0, -0.1, 1.0, 0.999])
def test_levels_that_the_data_do_not_support_are_refused(level):
    scores = ConformalScores(np.arange(99.0))
    with pytest.raises(
        FieldError, match=r"level: .* up to 0\.9900, which is all that 99 measured pellets support"
    ):
        scores.quantile(level)


@given(st.integers(1, 400), st.floats(0.01, 0.99))
def test_quantile_is_the_score_of_the_finite_sample_rank(count, level):
    scores = ConformalScores(np.arange(1.0, count + 1))
    if level <= count / (count + 1):
        value = scores.quantile(level)
        assert value / (count + 1) >= level - 1e-9
        assert (value - 1) / (count + 1) < level
    else:
        with pytest.raises(FieldError):
            scores.quantile(level)


def test_scale_increases_with_unknown_share_and_distance():
    spread = Spread(-1.0, 0.5, 0.2)
    scale = spread.scale(np.array([0.0, 1.0, 1.0]), np.array([0.0, 0.0, 2.0]))
    assert (np.diff(scale) > 0).all()
    assert scale[0] == pytest.approx(np.exp(-1))


@given(st.integers(2, 60), st.integers(0, 1000), st.floats(0.02, 0.97))
def test_level_needed_is_below_the_levels_whose_intervals_contain_the_value(count, seed, level):
    rng = np.random.default_rng(seed)
    scores = ConformalScores(np.sort(rng.exponential(size=count).round(1)))
    errors = rng.exponential(size=20).round(1)
    if level <= count / (count + 1) and abs((count + 1) * level % 1 - 0.5) < 0.49:
        inside = errors <= scores.quantile(level)
        np.testing.assert_array_equal(scores.level_needed(errors) < level, inside)


def test_fitted_spread_has_larger_errors_for_incomplete_recipes():
    rng = np.random.default_rng(4)
    unknown, distance = rng.uniform(size=(2, 20000))
    residuals = rng.laplace(scale=np.exp(-1.0 + 0.5 * (unknown > 1 / 3)))
    spread, _ = fit_spread(residuals, unknown, distance)
    assert spread.incomplete == pytest.approx(0.5, abs=0.08)
    assert spread.unknown == pytest.approx(0.0, abs=0.08)


def test_factors_of_small_groups_are_shrunk_most():
    rng = np.random.default_rng(5)
    large, small = np.arange(6000) < 2000, np.arange(6000) >= 5990
    residuals = rng.laplace(scale=0.2, size=6000) * np.where(large, 3.0, 1.0)
    residuals[small] = 0.6 * np.where(np.arange(10) % 2, 1, -1)
    spread, factors = fit_spread(residuals, np.zeros(6000), np.zeros(6000), groups=[large, small])
    assert factors[0] == pytest.approx(3.0, rel=0.05)
    assert 1.2 < factors[1] < 2.8, "the factor of ten rows is shrunk more"
    assert spread.scale(np.zeros(1), np.zeros(1))[0] == pytest.approx(0.2, rel=0.05)
