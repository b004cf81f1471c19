from __future__ import annotations

import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.estimators.own_pellets import (
    OutOfFoldErrors,
    OwnKernel,
    condition_probability,
    draw_known_pellets,
    error_correction,
    fit_own_kernel,
    laplace_mode,
)
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.features.distances import LaboratoryDistances, recipe_space
from nasicon_ml.recipe import Recipe, recipe_table

KERNEL = OwnKernel(noise=0.3, level=0.4, recipe=0.8, composition=1.0, processing=2.0, prediction=2.0)
NOTHING = np.empty((0, 0))


def apart(at, others):
    """LaboratoryDistances of points on a line, in composition alone."""
    distance = np.abs(np.asarray(at, dtype=float)[:, None] - np.asarray(others, dtype=float)[None, :])
    return LaboratoryDistances(distance, np.zeros_like(distance), np.zeros_like(distance))


def moved(own, errors, asked, kernel=KERNEL, ahead=None, extra=0.0):
    asked, own, errors = (np.atleast_1d(np.asarray(values, dtype=float)) for values in (asked, own, errors))
    ahead = np.zeros((len(asked), len(own))) if ahead is None else ahead
    return error_correction(kernel, apart(own, own), apart(asked, own), errors, ahead, extra)


def test_two_pellets_agree_with_a_calculation_by_hand():
    far = math.sqrt(3.0)  # one length of composition away
    alike = 0.4**2 + 0.8**2 * (1 + far) * math.exp(-far)
    whole = 0.4**2 + 0.8**2
    # Known at 0 and 1, asked at 0: the inverse of a two by two matrix, written out.
    a, b = whole + 0.3**2, alike
    weights = np.array([a * whole - b * alike, a * alike - b * whole]) / (a * a - b * b)
    found = moved([0, 1], [0.5, -0.2], [0])
    assert found.shift == pytest.approx(weights @ [0.5, -0.2], abs=1e-5)
    left = (whole + 0.3**2 - weights @ [whole, alike]) / (whole + 0.3**2)
    assert found.width_factor == pytest.approx(math.sqrt(left), abs=1e-5)


def test_without_own_pellets_nothing_changes():
    found = error_correction(KERNEL, apart([], []), apart([1, 2], []), np.empty(0), np.empty((2, 0)))
    np.testing.assert_array_equal(found.shift, [0.0, 0.0])
    np.testing.assert_array_equal(found.width_factor, [1.0, 1.0])
    probability = np.array([0.2, 0.9])
    same = condition_probability(KERNEL, apart([], []), apart([1, 2], []), np.empty(0), np.empty(0), probability)
    np.testing.assert_array_equal(same, probability)


def test_similar_recipes_are_corrected_more_and_have_narrower_intervals():
    found = moved([0], [1.0], [0, 0.5, 1, 3, 50])
    assert (np.diff(found.shift) < 0).all()
    assert (np.diff(found.width_factor) > 0).all()
    # What all pellets of a laboratory share is left however far the recipe.
    assert found.shift[-1] == pytest.approx(0.4**2 / (0.4**2 + 0.8**2 + 0.3**2), rel=1e-4)


def test_noise_and_extra_variance_reduce_the_weight_of_a_pellet():
    plain = moved([0], [1.0], [0]).shift[0]
    assert moved([0], [1.0], [0], kernel=replace(KERNEL, noise=1.0)).shift[0] < plain
    assert moved([0], [1.0], [0], extra=np.array([0.5])).shift[0] < plain


def test_trust_scales_predicted_differences():
    ahead = np.array([[0.6]])  # the asked pellet is predicted 0.6 higher than the known one
    full, half = (
        moved([0], [0.0], [0], kernel=replace(KERNEL, trust=t), ahead=ahead).shift[0] for t in (1.0, 0.5)
    )
    assert full == 0.0
    weight = (0.4**2 + 0.8**2) / (0.4**2 + 0.8**2 + 0.3**2)
    assert half == pytest.approx(-0.5 * 0.6 * weight, rel=1e-4)


def test_without_narrowing_intervals_keep_their_width():
    assert moved([0], [1.0], [0], kernel=replace(KERNEL, narrowing=0.0)).width_factor[0] == 1.0


errors = st.floats(-5, 5)
places = st.floats(0, 10)


@given(
    st.lists(st.tuples(places, errors), min_size=1, max_size=6),
    st.lists(places, min_size=1, max_size=4),
    st.data(),
)
def test_conditioning_is_finite_and_independent_of_order_and_never_widens(own, asked, data):
    at, sizes = (np.array(column) for column in zip(*own, strict=True))
    found = moved(at, sizes, asked)
    assert np.isfinite(found.shift).all()
    assert ((found.width_factor > 0) & (found.width_factor <= 1)).all()
    order = np.array(data.draw(st.permutations(range(len(at)))))
    again = moved(at[order], sizes[order], asked)
    np.testing.assert_allclose(again.shift, found.shift, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(again.width_factor, found.width_factor, rtol=1e-6, atol=1e-6)


PURITY = OwnKernel(0.0, 2.0, 2.0, 1.0, 2.0, 2.0)


def brought(own, outcome, known, asked_at, asked, kernel=PURITY):
    own, outcome, known, asked = (np.asarray(values, dtype=float) for values in (own, outcome, known, asked))
    return condition_probability(kernel, apart(own, own), apart(asked_at, own), outcome, known, asked)


def test_a_pure_pellet_raises_the_probability_and_an_impure_one_lowers_it():
    for outcome, sign in ((1.0, 1), (0.0, -1)):
        near, far = sign * (brought([0], [outcome], [0.5], [0, 5], [0.5, 0.5]) - 0.5)
        assert near > far > 0.02


def test_uncorrelated_pellets_do_not_change_the_probability():
    alone = replace(PURITY, level=0.0)
    found = brought([0], [1], [0.3], [1e4, 1e4, 1e4], [0.003, 0.6, 1.0], kernel=alone)
    np.testing.assert_allclose(found, [0.003, 0.6, 1.0], atol=1e-12)


def test_an_expected_outcome_has_less_effect_than_an_unexpected_one():
    expected = brought([0], [1], [0.95], [0], [0.5])[0]
    surprise = brought([0], [1], [0.05], [0], [0.5])[0]
    assert 0.5 < expected < surprise


@given(
    st.lists(st.tuples(places, st.booleans(), st.floats(0, 1)), min_size=1, max_size=6),
    st.lists(st.tuples(places, st.floats(0, 1)), min_size=1, max_size=4),
)
def test_conditioned_probabilities_are_valid(own, asked):
    at, outcome, known = (np.array(column, dtype=float) for column in zip(*own, strict=True))
    asked_at, before = (np.array(column, dtype=float) for column in zip(*asked, strict=True))
    found = brought(at, outcome, known, asked_at, before)
    assert ((found >= 0) & (found <= 1)).all()
    if outcome.all():
        # What is known leaves less open, which draws probabilities away from 1/2: low ones can fall by a little
        # where the outcome was expected anyway.
        assert (found >= np.where(before < 0.5, before - 0.02, before - 1e-9)).all()


def test_the_gradient_vanishes_at_the_mode():
    """At the mode, K^-1 (f - m) = y - expit(f): the gradient is zero."""
    gaps = apart([0, 0.5, 3], [0, 0.5, 3])
    covariance = PURITY.covariance(gaps) + 1e-6 * np.eye(3)
    centre, outcome = np.array([[-1.0, 0.5, 4.0]]), np.array([[1.0, 1.0, 0.0]])
    mode, evidence = laplace_mode(covariance[None], centre, outcome)
    slope = np.linalg.solve(covariance, (mode - centre)[0]) - (outcome - 1 / (1 + np.exp(-mode)))[0]
    np.testing.assert_allclose(slope, 0.0, atol=1e-5)
    assert evidence[0] < 0


SOURCES, EACH = 40, 4


def simulated(level, noise, *, name=TargetName.CONDUCTIVITY, seed=0):
    """Sources whose errors share a level; four recipes each."""
    rng = np.random.default_rng(seed)
    recipes = [Recipe(formula="LATP x=0.3", sintering_temperature_c=700 + 100 * n) for n in range(EACH)]
    space = recipe_space(recipe_table(recipes * SOURCES))
    error = np.repeat(rng.normal(0, level, SOURCES), EACH) + rng.normal(0, noise, SOURCES * EACH)
    predicted = rng.normal(-4.0, 0.5, SOURCES * EACH)
    half = np.full(len(error), 1.645 * np.hypot(level, noise))
    sources = np.repeat([f"s{number}" for number in range(SOURCES)], EACH).astype(object)
    if name is TargetName.PHASE_PURITY:
        return OutOfFoldErrors(
            name, (error > 0).astype(float), np.full(len(error), 0.5), half * np.nan, sources, space
        )
    return OutOfFoldErrors(name, predicted + error, predicted, half, sources, space)


def correlation(errors):
    """How much of the error of one pellet the fit expects in another of its source, made 200 °C apart."""
    kernel = fit_own_kernel(errors)
    rows = np.arange(EACH)
    shares = kernel.covariance(errors.distances(rows, rows))
    return shares[0, 2] / (kernel.variance + kernel.noise**2)


def test_the_fit_recovers_the_correlation_of_errors():
    assert correlation(simulated(1.0, 0.2)) > 0.85
    assert correlation(simulated(0.7, 0.7)) == pytest.approx(0.5, abs=0.2)
    assert abs(correlation(simulated(0.05, 1.0))) < 0.15


def test_conditioning_on_fitted_kernels_reduces_errors_with_right_coverage():
    errors, fresh = simulated(1.0, 0.3), simulated(1.0, 0.3, seed=1)
    kernel = fit_own_kernel(errors)
    before, after, inside, width = [], [], [], []
    for known, asked, _ in draw_known_pellets(fresh.groups(), (2,), 4, 5, 0):
        found = fresh.correction(kernel, known, asked)
        off = fresh.measured[asked] - fresh.predicted[asked]
        before.extend(np.abs(off))
        after.extend(np.abs(off - found.shift))
        inside.extend(np.abs(off - found.shift) <= fresh.half[asked] * found.width_factor)
        width.extend(found.width_factor)
    assert np.mean(after) < 0.5 * np.mean(before)
    assert np.mean(inside) == pytest.approx(0.9, abs=0.06)
    assert max(width) < 0.7


def test_purity_of_a_source_that_is_pure_or_impure_throughout():
    errors = simulated(1.0, 0.05, name=TargetName.PHASE_PURITY)
    kernel = fit_own_kernel(errors)
    groups = errors.groups()
    for rows in list(groups.values())[:5]:
        found = errors.probability(kernel, rows[:2], rows[2:])
        assert (np.abs(found - errors.measured[rows[2:]]) < np.abs(0.5 - errors.measured[rows[2:]])).mean() > 0.4


def test_the_fit_does_not_depend_on_the_order_of_sources():
    errors = simulated(0.6, 0.4)
    order = np.random.default_rng(3).permutation(SOURCES)
    rows = np.concatenate([np.arange(EACH) + EACH * source for source in order])
    one, other = (asdict(fit_own_kernel(of)) for of in (errors, errors.take(rows)))
    assert one == pytest.approx(other, rel=0.02)


def test_every_pellet_counts_once_for_each_number_of_known_ones():
    groups = {"a": np.arange(5), "b": np.arange(5, 9), "few": np.arange(9, 11)}
    weights = {k: np.zeros(11) for k in (1, 3)}
    for known, asked, weight in draw_known_pellets(groups, (1, 3), 4, 7, 0):
        assert not set(known) & set(asked)
        weights[len(known)][asked] += weight
    for total in weights.values():
        assert total[:5].sum() == pytest.approx(5)
        assert total[5:9].sum() == pytest.approx(4)
        assert total[9:].sum() == 0


def test_draws_of_a_source_do_not_depend_on_the_others():
    groups = {"a": np.arange(5), "b": np.arange(5, 9)}
    alone = [known.tolist() for known, _, _ in draw_known_pellets({"b": groups["b"]}, (2,), 4, 3, 0)]
    both = [known.tolist() for known, _, _ in draw_known_pellets(groups, (2,), 4, 3, 0) if known[0] >= 5]
    assert alone == both
