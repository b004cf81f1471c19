import numpy as np
import pytest

from nasicon_ml.estimators.own_fitting import Errors, fit_own_kernel, known_and_asked
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.features.similarity import recipe_space
from nasicon_ml.recipe import Recipe, recipe_table

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
        return Errors(name, (error > 0).astype(float), np.full(len(error), 0.5), half * np.nan, sources, space)
    return Errors(name, predicted + error, predicted, half, sources, space)


def correlation(errors):
    """How much of the error of one pellet the fit expects in another of its source, made 200 °C apart."""
    kernel = fit_own_kernel(errors)
    rows = np.arange(EACH)
    shares = kernel.covariance(errors.gaps(rows, rows))
    return shares[0, 2] / (kernel.variance + kernel.noise**2)


def test_shared_and_lonely_errors_are_told_apart():
    assert correlation(simulated(1.0, 0.2)) > 0.85
    assert correlation(simulated(0.7, 0.7)) == pytest.approx(0.5, abs=0.2)
    assert abs(correlation(simulated(0.05, 1.0))) < 0.15


def test_the_fit_predicts_the_others_of_a_source_and_its_intervals_hold():
    errors, fresh = simulated(1.0, 0.3), simulated(1.0, 0.3, seed=1)
    kernel = fit_own_kernel(errors)
    before, after, inside, width = [], [], [], []
    for known, asked, _ in known_and_asked(fresh.groups(), (2,), 4, 5, 0):
        found = fresh.conditioned(kernel, known, asked)
        off = fresh.measured[asked] - fresh.predicted[asked]
        before.extend(np.abs(off))
        after.extend(np.abs(off - found.shift))
        inside.extend(np.abs(off - found.shift) <= fresh.half[asked] * found.width)
        width.extend(found.width)
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


def test_the_fit_knows_no_order_of_sources():
    errors = simulated(0.6, 0.4)
    order = np.random.default_rng(3).permutation(SOURCES)
    rows = np.concatenate([np.arange(EACH) + EACH * source for source in order])
    one, other = fit_own_kernel(errors).to_json(), fit_own_kernel(errors.take(rows)).to_json()
    assert one == pytest.approx(other, rel=0.02)


def test_every_pellet_counts_once_for_each_number_of_known_ones():
    groups = {"a": np.arange(5), "b": np.arange(5, 9), "few": np.arange(9, 11)}
    weights = {k: np.zeros(11) for k in (1, 3)}
    for known, asked, weight in known_and_asked(groups, (1, 3), 4, 7, 0):
        assert not set(known) & set(asked)
        weights[len(known)][asked] += weight
    for total in weights.values():
        assert total[:5].sum() == pytest.approx(5)
        assert total[5:9].sum() == pytest.approx(4)
        assert total[9:].sum() == 0


def test_draws_of_a_source_do_not_depend_on_the_others():
    groups = {"a": np.arange(5), "b": np.arange(5, 9)}
    alone = [known.tolist() for known, _, _ in known_and_asked({"b": groups["b"]}, (2,), 4, 3, 0)]
    both = [known.tolist() for known, _, _ in known_and_asked(groups, (2,), 4, 3, 0) if known[0] >= 5]
    assert alone == both
