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


def line_distances(at, others):
    """Return distances of points on a line that differ in composition only."""
    distance = np.abs(np.asarray(at, dtype=float)[:, None] - np.asarray(others, dtype=float)[None, :])
    return LaboratoryDistances(distance, np.zeros_like(distance), np.zeros_like(distance))


def corrected(own, errors, queries, kernel=KERNEL, differences=None, extra_variance=0.0):
    queries, own, errors = (np.atleast_1d(np.asarray(values, dtype=float)) for values in (queries, own, errors))
    differences = np.zeros((len(queries), len(own))) if differences is None else differences
    return error_correction(
        kernel, line_distances(own, own), line_distances(queries, own), errors, differences, extra_variance
    )


def test_correction_by_two_pellets_matches_the_closed_form():
    scaled = math.sqrt(3.0)  # the distance of one length scale of the composition
    covariance = 0.4**2 + 0.8**2 * (1 + scaled) * math.exp(-scaled)
    variance = 0.4**2 + 0.8**2
    # Known pellets at 0 and 1, the query at 0: the inverse of a 2 x 2 matrix, written out.
    a, b = variance + 0.3**2, covariance
    weights = np.array([a * variance - b * covariance, a * covariance - b * variance]) / (a * a - b * b)
    result = corrected([0, 1], [0.5, -0.2], [0])
    assert result.shift == pytest.approx(weights @ [0.5, -0.2], abs=1e-5)
    remaining_variance = (variance + 0.3**2 - weights @ [variance, covariance]) / (variance + 0.3**2)
    assert result.width_factor == pytest.approx(math.sqrt(remaining_variance), abs=1e-5)


def test_predictions_are_unchanged_without_own_pellets():
    result = error_correction(
        KERNEL, line_distances([], []), line_distances([1, 2], []), np.empty(0), np.empty((2, 0))
    )
    np.testing.assert_array_equal(result.shift, [0.0, 0.0])
    np.testing.assert_array_equal(result.width_factor, [1.0, 1.0])
    probability = np.array([0.2, 0.9])
    same = condition_probability(
        KERNEL, line_distances([], []), line_distances([1, 2], []), np.empty(0), np.empty(0), probability
    )
    np.testing.assert_array_equal(same, probability)


def test_similar_recipes_are_corrected_more_and_have_narrower_intervals():
    result = corrected([0], [1.0], [0, 0.5, 1, 3, 50])
    assert (np.diff(result.shift) < 0).all()
    assert (np.diff(result.width_factor) > 0).all()
    # The level that all pellets of a laboratory share is corrected at any distance.
    assert result.shift[-1] == pytest.approx(0.4**2 / (0.4**2 + 0.8**2 + 0.3**2), rel=1e-4)


def test_noise_and_extra_variance_reduce_the_weight_of_a_pellet():
    plain = corrected([0], [1.0], [0]).shift[0]
    assert corrected([0], [1.0], [0], kernel=replace(KERNEL, noise=1.0)).shift[0] < plain
    assert corrected([0], [1.0], [0], extra_variance=np.array([0.5])).shift[0] < plain


def test_trust_scales_predicted_differences():
    differences = np.array([[0.6]])  # the query is predicted 0.6 higher than the known pellet
    full, half = (
        corrected([0], [0.0], [0], kernel=replace(KERNEL, trust=trust), differences=differences).shift[0]
        for trust in (1.0, 0.5)
    )
    assert full == 0.0
    weight = (0.4**2 + 0.8**2) / (0.4**2 + 0.8**2 + 0.3**2)
    assert half == pytest.approx(-0.5 * 0.6 * weight, rel=1e-4)


def test_intervals_keep_their_width_with_narrowing_0():
    assert corrected([0], [1.0], [0], kernel=replace(KERNEL, narrowing=0.0)).width_factor[0] == 1.0


error_values = st.floats(-5, 5)
positions = st.floats(0, 10)


@given(
    st.lists(st.tuples(positions, error_values), min_size=1, max_size=6),
    st.lists(positions, min_size=1, max_size=4),
    st.data(),
)
def test_correction_is_finite_independent_of_order_and_never_widens_intervals(own, queries, data):
    at, errors = (np.array(column) for column in zip(*own, strict=True))
    result = corrected(at, errors, queries)
    assert np.isfinite(result.shift).all()
    assert ((result.width_factor > 0) & (result.width_factor <= 1)).all()
    order = np.array(data.draw(st.permutations(range(len(at)))))
    reordered = corrected(at[order], errors[order], queries)
    np.testing.assert_allclose(reordered.shift, result.shift, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(reordered.width_factor, result.width_factor, rtol=1e-6, atol=1e-6)


PURITY = OwnKernel(0.0, 2.0, 2.0, 1.0, 2.0, 2.0)


def conditioned(own, outcome, known_probability, query_positions, probability, kernel=PURITY):
    own, outcome, known_probability, probability = (
        np.asarray(values, dtype=float) for values in (own, outcome, known_probability, probability)
    )
    return condition_probability(
        kernel,
        line_distances(own, own),
        line_distances(query_positions, own),
        outcome,
        known_probability,
        probability,
    )


def test_pure_pellet_raises_the_probability_and_impure_one_lowers_it():
    for outcome, sign in ((1.0, 1), (0.0, -1)):
        near, far = sign * (conditioned([0], [outcome], [0.5], [0, 5], [0.5, 0.5]) - 0.5)
        assert near > far > 0.02


def test_uncorrelated_pellets_do_not_change_the_probability():
    uncorrelated = replace(PURITY, level=0.0)
    result = conditioned([0], [1], [0.3], [1e4, 1e4, 1e4], [0.003, 0.6, 1.0], kernel=uncorrelated)
    np.testing.assert_allclose(result, [0.003, 0.6, 1.0], atol=1e-12)


def test_expected_outcome_has_less_effect_than_an_unexpected_one():
    expected = conditioned([0], [1], [0.95], [0], [0.5])[0]
    surprise = conditioned([0], [1], [0.05], [0], [0.5])[0]
    assert 0.5 < expected < surprise


@given(
    st.lists(st.tuples(positions, st.booleans(), st.floats(0, 1)), min_size=1, max_size=6),
    st.lists(st.tuples(positions, st.floats(0, 1)), min_size=1, max_size=4),
)
def test_conditioned_probabilities_are_valid(own, queries):
    at, outcome, known_probability = (np.array(column, dtype=float) for column in zip(*own, strict=True))
    query_positions, before = (np.array(column, dtype=float) for column in zip(*queries, strict=True))
    result = conditioned(at, outcome, known_probability, query_positions, before)
    assert ((result >= 0) & (result <= 1)).all()
    if outcome.all():
        # Known outcomes reduce the variance of the log-odds, which moves probabilities away from 1/2: low ones may
        # fall slightly where the outcome was expected.
        assert (result >= np.where(before < 0.5, before - 0.02, before - 1e-9)).all()


def test_gradient_vanishes_at_the_mode():
    """At the mode, K^-1 (f - m) = y - expit(f)."""
    distances = line_distances([0, 0.5, 3], [0, 0.5, 3])
    covariance = PURITY.covariance(distances) + 1e-6 * np.eye(3)
    centre, outcome = np.array([[-1.0, 0.5, 4.0]]), np.array([[1.0, 1.0, 0.0]])
    mode, evidence = laplace_mode(covariance[None], centre, outcome)
    gradient = np.linalg.solve(covariance, (mode - centre)[0]) - (outcome - 1 / (1 + np.exp(-mode)))[0]
    np.testing.assert_allclose(gradient, 0.0, atol=1e-5)
    assert evidence[0] < 0


N_SOURCES, PELLETS_PER_SOURCE = 40, 4


def simulated(level, noise, *, name=TargetName.CONDUCTIVITY, seed=0):
    """Return errors of sources with four recipes each, whose errors share a level."""
    rng = np.random.default_rng(seed)
    recipes = [
        Recipe(formula="LATP x=0.3", sintering_temperature_c=700 + 100 * n) for n in range(PELLETS_PER_SOURCE)
    ]
    space = recipe_space(recipe_table(recipes * N_SOURCES))
    error = np.repeat(rng.normal(0, level, N_SOURCES), PELLETS_PER_SOURCE) + rng.normal(
        0, noise, N_SOURCES * PELLETS_PER_SOURCE
    )
    predicted = rng.normal(-4.0, 0.5, N_SOURCES * PELLETS_PER_SOURCE)
    half = np.full(len(error), 1.645 * np.hypot(level, noise))
    sources = np.repeat([f"s{number}" for number in range(N_SOURCES)], PELLETS_PER_SOURCE).astype(object)
    if name is TargetName.PHASE_PURITY:
        return OutOfFoldErrors(
            name, (error > 0).astype(float), np.full(len(error), 0.5), half * np.nan, sources, space
        )
    return OutOfFoldErrors(name, predicted + error, predicted, half, sources, space)


def correlation(errors):
    """Return the fitted correlation of the errors of two pellets of a source that were sintered 200 °C apart."""
    kernel = fit_own_kernel(errors)
    rows = np.arange(PELLETS_PER_SOURCE)
    shares = kernel.covariance(errors.distances(rows, rows))
    return shares[0, 2] / (kernel.variance + kernel.noise**2)


def test_fitted_kernel_recovers_the_correlation_of_errors():
    assert correlation(simulated(1.0, 0.2)) > 0.85
    assert correlation(simulated(0.7, 0.7)) == pytest.approx(0.5, abs=0.2)
    assert abs(correlation(simulated(0.05, 1.0))) < 0.15


def test_conditioning_reduces_errors_of_unseen_sources_with_nominal_coverage():
    errors, unseen = simulated(1.0, 0.3), simulated(1.0, 0.3, seed=1)
    kernel = fit_own_kernel(errors)
    before, after, is_covered, width = [], [], [], []
    for known_rows, query_rows, _ in draw_known_pellets(unseen.groups(), (2,), 4, 5, 0):
        result = unseen.correction(kernel, known_rows, query_rows)
        error = unseen.measured[query_rows] - unseen.predicted[query_rows]
        before.extend(np.abs(error))
        after.extend(np.abs(error - result.shift))
        is_covered.extend(np.abs(error - result.shift) <= unseen.half[query_rows] * result.width_factor)
        width.extend(result.width_factor)
    assert np.mean(after) < 0.5 * np.mean(before)
    assert np.mean(is_covered) == pytest.approx(0.9, abs=0.06)
    assert max(width) < 0.7


def test_conditioning_improves_purity_of_sources_that_are_pure_or_impure_throughout():
    errors = simulated(1.0, 0.05, name=TargetName.PHASE_PURITY)
    kernel = fit_own_kernel(errors)
    groups = errors.groups()
    for rows in list(groups.values())[:5]:
        result = errors.probability(kernel, rows[:2], rows[2:])
        assert (np.abs(result - errors.measured[rows[2:]]) < np.abs(0.5 - errors.measured[rows[2:]])).mean() > 0.4


def test_fitted_kernel_does_not_depend_on_the_order_of_sources():
    errors = simulated(0.6, 0.4)
    order = np.random.default_rng(3).permutation(N_SOURCES)
    rows = np.concatenate([np.arange(PELLETS_PER_SOURCE) + PELLETS_PER_SOURCE * source for source in order])
    one, other = (asdict(fit_own_kernel(table)) for table in (errors, errors.take(rows)))
    assert one == pytest.approx(other, rel=0.02)


def test_drawn_weights_of_a_source_sum_to_its_number_of_pellets():
    groups = {"a": np.arange(5), "b": np.arange(5, 9), "few": np.arange(9, 11)}
    weights = {k: np.zeros(11) for k in (1, 3)}
    for known_rows, query_rows, weight in draw_known_pellets(groups, (1, 3), 4, 7, 0):
        assert not set(known_rows) & set(query_rows)
        weights[len(known_rows)][query_rows] += weight
    for total in weights.values():
        assert total[:5].sum() == pytest.approx(5)
        assert total[5:9].sum() == pytest.approx(4)
        assert total[9:].sum() == 0


def test_draws_of_a_source_do_not_depend_on_other_sources():
    groups = {"a": np.arange(5), "b": np.arange(5, 9)}
    single = [rows.tolist() for rows, _, _ in draw_known_pellets({"b": groups["b"]}, (2,), 4, 3, 0)]
    both = [rows.tolist() for rows, _, _ in draw_known_pellets(groups, (2,), 4, 3, 0) if rows[0] >= 5]
    assert single == both
