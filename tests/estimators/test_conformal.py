import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.data.load import load_pellets
from nasicon_ml.errors import FieldError
from nasicon_ml.estimators.conformal import _NEARER_BY_SILENCE, ConformalScores, Spread, fit_spread
from nasicon_ml.features.processing import PROCESSING_FIELDS, unknown_share
from nasicon_ml.features.similarity import distances, recipe_space


def test_quantile_agrees_with_mapie():
    """Constant spread is plain cross-conformal prediction, MAPIE's method "base"."""
    from mapie.regression import CrossConformalRegressor
    from sklearn.linear_model import LinearRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict

    random = np.random.default_rng(3)
    X = random.normal(size=(150, 3))
    groups = random.integers(0, 25, 150)
    y = X @ [1.0, -2.0, 0.5] + random.standard_t(4, size=150)
    splitter = GroupKFold(5)
    # MAPIE asks at several levels, ours has to agree at each.
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


def test_promised_coverage_holds_on_new_rows():
    """Simulate the guarantee: fit on some rows, cover the stated share of others, whatever the true spread."""
    random = np.random.default_rng(0)
    covered = []
    for _ in range(200):
        unknown, distance = random.uniform(size=(2, 200))
        scale = np.exp(-1 + 0.8 * unknown + 0.5 * distance)
        residuals = random.standard_t(3, size=200) * scale
        spread, _ = fit_spread(residuals[:100], unknown[:100], distance[:100])
        fitted = spread.scale(unknown, distance)
        scores = ConformalScores.from_residuals(residuals[:100], fitted[:100])
        covered.append(np.mean(np.abs(residuals[100:]) <= scores.quantile(0.9) * fitted[100:]))
    assert np.mean(covered) == pytest.approx(0.9, abs=0.01)


def test_spread_recovers_what_widens_errors():
    random = np.random.default_rng(1)
    unknown, distance = random.uniform(size=(2, 20000))
    residuals = random.laplace(scale=np.exp(-1.0 + 0.7 * unknown + 0.3 * distance))
    spread, _ = fit_spread(residuals, unknown, distance)
    assert (spread.intercept, spread.unknown, spread.distance) == pytest.approx((-1.0, 0.7, 0.3), abs=0.1)
    assert spread.unknown >= _NEARER_BY_SILENCE * spread.distance


def test_knowing_less_never_narrows():
    """Errors that shrink with ignorance, as luck can have it, leave the spread flat."""
    random = np.random.default_rng(2)
    unknown, distance = random.uniform(size=(2, 500))
    residuals = random.laplace(scale=np.exp(-1.0 - 2.0 * unknown))
    spread, _ = fit_spread(residuals, unknown, distance)
    assert spread.unknown == 0.0
    assert spread.distance >= 0.0


@pytest.mark.parametrize("field", PROCESSING_FIELDS)
def test_silence_brings_a_recipe_no_nearer_than_the_spread_makes_up_for(field):
    """Leave one field out of every pellet: distances shrink by no more than the growth of the unknown share."""
    said = load_pellets()
    said = said[said[field].notna()].head(60).reset_index(drop=True)
    silent = said.copy()
    silent.loc[:, str(field)] = None if field.choices else np.nan
    space = recipe_space(said)
    nearer = (distances(space, space) - distances(recipe_space(silent), space)).max(axis=1)
    gained = unknown_share(silent) - unknown_share(said)
    told = gained > 0  # a pressure is no part of the recipe where nothing presses
    assert told.any()
    assert (nearer[told] <= _NEARER_BY_SILENCE * gained[told] + 1e-9).all()


def test_spread_refuses_a_handful():
    with pytest.raises(ValueError, match="at least 20 out-of-fold residuals, got 5"):
        fit_spread(np.ones(5), np.zeros(5), np.zeros(5))


@pytest.mark.parametrize("level", [0.0, -0.1, 1.0, 0.999])
def test_levels_beyond_the_data_are_refused(level):
    scores = ConformalScores(np.arange(99.0))
    with pytest.raises(
        FieldError, match=r"level: .* up to 0\.9900, which is all that 99 measured pellets support"
    ):
        scores.quantile(level)


@given(st.integers(1, 400), st.floats(0.01, 0.99))
def test_quantile_is_the_finite_sample_rank(count, level):
    scores = ConformalScores(np.arange(1.0, count + 1))
    if level <= count / (count + 1):
        value = scores.quantile(level)
        assert value / (count + 1) >= level - 1e-9
        assert (value - 1) / (count + 1) < level
    else:
        with pytest.raises(FieldError):
            scores.quantile(level)


def test_scale_is_positive_and_grows():
    spread = Spread(-1.0, 0.5, 0.2)
    scale = spread.scale(np.array([0.0, 1.0, 1.0]), np.array([0.0, 0.0, 2.0]))
    assert (np.diff(scale) > 0).all()
    assert scale[0] == pytest.approx(np.exp(-1))


@given(st.integers(2, 60), st.integers(0, 1000), st.floats(0.02, 0.97))
def test_the_level_needed_tells_which_intervals_hold(count, seed, level):
    random = np.random.default_rng(seed)
    scores = ConformalScores(np.sort(random.exponential(size=count).round(1)))
    asked = random.exponential(size=20).round(1)
    if level <= count / (count + 1) and abs((count + 1) * level % 1 - 0.5) < 0.49:
        inside = asked <= scores.quantile(level)
        np.testing.assert_array_equal(scores.level_needed(asked) < level, inside)


def test_errors_that_jump_where_a_recipe_is_incomplete_are_seen():
    random = np.random.default_rng(4)
    unknown, distance = random.uniform(size=(2, 20000))
    residuals = random.laplace(scale=np.exp(-1.0 + 0.5 * (unknown > 1 / 3)))
    spread, _ = fit_spread(residuals, unknown, distance)
    assert spread.incomplete == pytest.approx(0.5, abs=0.08)
    assert spread.unknown == pytest.approx(0.0, abs=0.08)


def test_a_group_is_drawn_to_the_rest_the_more_the_smaller_it_is():
    random = np.random.default_rng(5)
    large, small = np.arange(6000) < 2000, np.arange(6000) >= 5990
    residuals = random.laplace(scale=0.2, size=6000) * np.where(large, 3.0, 1.0)
    residuals[small] = 0.6 * np.where(np.arange(10) % 2, 1, -1)
    spread, factors = fit_spread(residuals, np.zeros(6000), np.zeros(6000), groups=[large, small])
    assert factors[0] == pytest.approx(3.0, rel=0.05)
    assert 1.2 < factors[1] < 2.8, "ten rows three times as wrong say less"
    assert spread.scale(np.zeros(1), np.zeros(1))[0] == pytest.approx(0.2, rel=0.05)
