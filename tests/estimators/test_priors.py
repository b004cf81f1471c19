"""Priors that the trees start from: terms fitted robustly with bounded coefficients, and laws."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasicon_ml.data.load import load_pellets
from nasicon_ml.estimators.boosting import DEFAULT_SETTINGS, TrainingMatrix
from nasicon_ml.estimators.fitting import FitContext, fit_target
from nasicon_ml.estimators.priors import (
    BEST_X,
    GREEN_DENSITY_PCT,
    TERMS,
    Prior,
    available_terms,
    fit_prior,
    term_features,
)
from nasicon_ml.estimators.targets import TARGETS, TargetName, training_rows
from nasicon_ml.features.build import FeatureMatrix, FeatureSet, build_features, feature_names
from nasicon_ml.recipe import Recipe, recipe_table

SIGMA, DENSITY = TargetName.CONDUCTIVITY, TargetName.RELATIVE_DENSITY
CONDUCTIVITY = DEFAULT_SETTINGS[SIGMA]
#: The terms of the composition.
COMPOSITION_TERMS = tuple(TERMS[SIGMA])[:9]
INPUTS = term_features(SIGMA, COMPOSITION_TERMS)
#: Other features are in between, and no input has the position that it has in `INPUTS`.
NAMES = ("noise_a", "a_sodium", "t_silicon", "x", "noise_b", "m_Sn", "m_Hf", "m_Zr", "m_Ge")
TRUE_COEFFICIENTS = {
    "x up to the best": 2.5,
    "x beyond the best": -3.0,
    "undoped": -1.2,
    "germanium": 0.4,
    "zirconium": -1.5,
    "hafnium": -0.8,
    "tin": -1.0,
    "silicon": 0.6,
    "sodium": 0.9,
}
INTERCEPT = -4.0
TRUE_PRIOR = Prior(
    SIGMA,
    INTERCEPT,
    COMPOSITION_TERMS,
    tuple(TRUE_COEFFICIENTS.values()),
    (0.1,) * len(COMPOSITION_TERMS),
    tuple(NAMES.index(name) for name in INPUTS),
)


@pytest.fixture(scope="module")
def pellets():
    table = load_pellets()
    return table[table["formula"].notna()].reset_index(drop=True)


def compositions(count, seed):
    """Return features of random compositions and noise, in the order of `NAMES`."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(count, len(NAMES)))
    X[:, NAMES.index("x")] = np.where(rng.uniform(size=count) < 0.2, 0.0, rng.uniform(-0.3, 1.0, count))
    host = rng.integers(0, 5, count)  # the fifth is titanium
    for number, name in enumerate(("m_Ge", "m_Zr", "m_Hf", "m_Sn")):
        X[:, NAMES.index(name)] = np.where(host == number, rng.uniform(0.5, 2.0, count), 0.0)
    X[:, NAMES.index("t_silicon")] = np.where(rng.uniform(size=count) < 0.3, rng.uniform(0, 3, count), 0)
    X[:, NAMES.index("a_sodium")] = rng.choice([0.0, 0.05, 1.0, 3.0], count)
    return X


def expected(X, *, intercept=INTERCEPT, coefficients=TRUE_COEFFICIENTS):
    """Return the prior by the formulas of docs/method.md, computed row by row."""
    margins = []
    for row in X:
        value = dict(zip(NAMES, row, strict=True))
        terms = {
            "x up to the best": max(-0.5, min(value["x"], 0.4)),
            "x beyond the best": max(value["x"] - 0.4, 0.0),
            "undoped": np.exp(-max(value["x"], 0.0) / 0.1),
            "germanium": value["m_Ge"] / 2,
            "zirconium": value["m_Zr"] / 2,
            "hafnium": value["m_Hf"] / 2,
            "tin": value["m_Sn"] / 2,
            "silicon": value["t_silicon"] / 3,
            "sodium": float(value["a_sodium"] > 0.1),
        }
        margins.append(intercept + sum(coefficients[name] * term for name, term in terms.items()))
    return np.array(margins)


def matrix(X, y, sources, weight=None):
    weight = np.ones(len(y)) if weight is None else weight
    return TrainingMatrix(X, NAMES, y, weight, np.array([f"paper{number}" for number in sources], dtype=object))


def rows_of_many_papers(seed=0):
    """Return 800 pellets of 160 papers with an offset each; one pellet in twelve is four decades too low."""
    rng = np.random.default_rng(seed)
    X, sources = compositions(800, seed), np.repeat(np.arange(160), 5)
    outlier = rng.uniform(size=800) < 1 / 12
    y = expected(X) + rng.normal(0, 0.5, 160)[sources] + rng.normal(0, 0.1, 800) - 4.0 * outlier
    return matrix(X, y, sources)


# ------------------------------------------------------------------ fitting


def test_terms_match_the_formulas_of_the_method_page():
    X = compositions(200, 1)
    np.testing.assert_allclose(TRUE_PRIOR.margin(X), expected(X), rtol=1e-12)


def test_coefficients_are_recovered_despite_offsets_of_sources_and_outliers():
    rows = rows_of_many_papers()
    prior = fit_prior(SIGMA, rows, CONDUCTIVITY)
    result = dict(zip(COMPOSITION_TERMS, prior.coefficients, strict=True))
    # The first and the third term are correlated, and all coefficients are shrunk a little towards zero.
    assert result == {name: pytest.approx(value, rel=0.2, abs=0.15) for name, value in TRUE_COEFFICIENTS.items()}
    X = compositions(300, 99)
    error = prior.margin(X) - expected(X)
    assert abs(error).mean() < 0.12
    columns = [
        expected(rows.X, intercept=0.0, coefficients=dict.fromkeys(TRUE_COEFFICIENTS, 0.0) | {name: 1.0})
        for name in TRUE_COEFFICIENTS
    ]
    intercept, *slopes = np.linalg.lstsq(np.column_stack([np.ones(800), *columns]), rows.y, rcond=None)[0]
    least_squares_error = expected(
        X, intercept=intercept, coefficients=dict(zip(TRUE_COEFFICIENTS, slopes, strict=True))
    ) - expected(X)
    assert abs(error).mean() < 0.5 * abs(least_squares_error).mean(), "plain least squares have much larger errors"


def test_offset_of_a_paper_with_many_pellets_does_not_bias_coefficients():
    """All pellets of one paper, most of them with zirconium, are a decade too low: no effect of zirconium."""
    rng = np.random.default_rng(3)
    X = np.zeros((140, len(NAMES)))
    X[:, NAMES.index("x")] = 0.3
    sources = np.concatenate([np.arange(100), np.full(40, 100)])
    biased = sources == 100
    X[rng.permutation(100)[:50], NAMES.index("m_Zr")] = 2.0
    X[np.flatnonzero(biased)[:36], NAMES.index("m_Zr")] = 2.0
    y = expected(X) - 1.0 * biased + rng.normal(0, 0.05, 140)
    prior = fit_prior(SIGMA, matrix(X, y, sources), CONDUCTIVITY)
    assert dict(zip(COMPOSITION_TERMS, prior.coefficients, strict=True))["zirconium"] == pytest.approx(
        -1.5, abs=0.1
    )


def test_rows_of_weight_0_have_no_effect():
    rows = rows_of_many_papers(2)
    weight = np.ones(800)
    weight[400:] = 0.0
    numbers = np.repeat(np.arange(160), 5)
    first, second = (
        fit_prior(SIGMA, matrix(rows.X, np.where(weight > 0, rows.y, outlier), numbers, weight), CONDUCTIVITY)
        for outlier in (50.0, -20.0)
    )
    # The reweighting starts from the median of all rows, but its result does not depend on that.
    assert first.coefficients == pytest.approx(second.coefficients, abs=0.02)
    assert first.intercept == pytest.approx(second.intercept, abs=0.02)


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.floats(-6, 6), st.floats(-6, 6), st.floats(-6, 6))
def test_bounds_of_coefficients_are_respected(seed, carriers, beyond, undoped):
    """More carriers never lower the conductivity; second phases or too few carriers never raise it."""
    rng = np.random.default_rng(seed)
    X = compositions(40, seed)
    coefficients = TRUE_COEFFICIENTS | {
        "x up to the best": carriers,
        "x beyond the best": beyond,
        "undoped": undoped,
    }
    y = expected(X, coefficients=coefficients) + rng.normal(0, 0.3, 40)
    prior = fit_prior(SIGMA, matrix(X, y, rng.integers(0, 12, 40)), CONDUCTIVITY)
    result = dict(zip(COMPOSITION_TERMS, prior.coefficients, strict=True))
    assert result["x up to the best"] >= 0.0
    assert result["x beyond the best"] <= 0.0
    assert result["undoped"] <= 0.0
    series = np.zeros((30, len(NAMES)))
    series[:, NAMES.index("x")] = np.linspace(-0.6, BEST_X, 30)
    assert (np.diff(prior.margin(series)) >= -1e-12).all(), "the prior never falls up to the best x"


def test_coefficients_are_zero_if_data_contradict_their_bounds():
    X = compositions(400, 8)
    contradicting = TRUE_COEFFICIENTS | {"x up to the best": -3.0, "x beyond the best": 3.0, "undoped": 2.0}
    prior = fit_prior(SIGMA, matrix(X, expected(X, coefficients=contradicting), np.arange(400) // 4), CONDUCTIVITY)
    result = dict(zip(COMPOSITION_TERMS, prior.coefficients, strict=True))
    assert result["x up to the best"] == pytest.approx(0.0, abs=0.02)
    assert result["undoped"] == pytest.approx(0.0, abs=0.02)


# ------------------------------------------------------------------ predictions


@given(st.floats(0, 1), st.integers(0, 10_000))
def test_weighting_scales_all_terms_except_laws(share, seed):
    X = compositions(20, seed)
    weighted = TRUE_PRIOR.weighted(share)
    np.testing.assert_allclose(weighted.margin(X), share * TRUE_PRIOR.margin(X), atol=1e-12)
    np.testing.assert_array_equal(TRUE_PRIOR.laws().margin(X), 0.0)


@pytest.fixture(scope="module")
def conductivity_prior(pellets):
    features = build_features(pellets)
    rows = training_rows(pellets, SIGMA)
    sources = pellets["source"].to_numpy(dtype=object)[rows.rows]
    learned = TrainingMatrix(features.values[rows.rows], features.names, rows.y, rows.weight, sources)
    return fit_prior(SIGMA, learned, CONDUCTIVITY)


def lagp_features(**fields):
    return build_features(recipe_table([Recipe(formula="Li1.5Al0.5Ge1.5(PO4)3", **fields)])).values


def coefficient(prior, term):
    return dict(zip(prior.terms, prior.coefficients, strict=True))[term]


@pytest.mark.parametrize("technique", ["sputtering", "pulsed_laser_deposition", "aerosol"])
@pytest.mark.parametrize(("annealed_c", "term"), [(None, "film as deposited"), (700, "annealed film")])
def test_laws_of_films_have_full_weight(conductivity_prior, technique, annealed_c, term):
    film, pellet = (
        lagp_features(densification=made, sintering_temperature_c=annealed_c)
        for made in (technique, "conventional")
    )
    penalty = coefficient(conductivity_prior, term)
    assert -2.5 < penalty < -0.3, "films conduct less than pellets"
    laws = conductivity_prior.laws()
    sintered = laws.margin(pellet)  # without a penalty for overfiring at 700 °C
    assert (laws.margin(film) - sintered).item() == pytest.approx(penalty)
    if annealed_c is None:
        for weighted in conductivity_prior, conductivity_prior.weighted(0.3):
            assert (weighted.margin(film) - weighted.margin(pellet)).item() == pytest.approx(penalty)


def test_films_heated_below_crystallisation_equal_as_deposited_ones(conductivity_prior):
    as_deposited, warmed, annealed = (
        conductivity_prior.laws()
        .margin(lagp_features(densification="sputtering", sintering_temperature_c=heated))
        .item()
        for heated in (None, 499, 500)
    )
    assert as_deposited == warmed
    assert annealed > warmed + 0.5


def test_conductivity_falls_only_far_above_the_usual_sintering_temperature(conductivity_prior):
    temperatures = [850, 900, 950, 1000, 1050]
    margins = [
        conductivity_prior.laws().margin(lagp_features(sintering_temperature_c=fired)).item()
        for fired in temperatures
    ]
    per_100_c = coefficient(conductivity_prior, "far overfired")
    assert -0.6 < per_100_c < -0.1
    np.testing.assert_allclose(np.diff(margins), [0.0, 0.0, per_100_c / 2, per_100_c / 2], atol=1e-9)


def test_density_prior_rises_from_the_green_density_with_firing(pellets):
    features = build_features(pellets)
    rows = training_rows(pellets, DENSITY)
    sources = pellets["source"].to_numpy(dtype=object)[rows.rows]
    y = TARGETS[DENSITY].forward(rows.y)
    learned = TrainingMatrix(features.values[rows.rows], features.names, y, rows.weight, sources)
    prior = fit_prior(DENSITY, learned, DEFAULT_SETTINGS[DENSITY])
    assert prior.is_law
    assert prior.laws() == prior.weighted(0.5) == prior
    recipes = [
        Recipe(
            formula="Li1.3Al0.3Ti1.7(PO4)3",
            densification="conventional",
            sintering_temperature_c=t,
            sintering_time_h=6,
        )
        for t in (25, 600, 900)
    ]
    green, cold, usual = TARGETS[DENSITY].inverse(prior.margin(build_features(recipe_table(recipes)).values))
    assert green == pytest.approx(GREEN_DENSITY_PCT, abs=0.1)
    assert cold < 75
    assert usual > 88


def test_order_of_features_has_no_effect():
    rows = rows_of_many_papers()
    order = np.random.default_rng(5).permutation(len(NAMES))
    shuffled = TrainingMatrix(
        rows.X[:, order], tuple(NAMES[at] for at in order), rows.y, rows.weight, rows.sources
    )
    first, second = fit_prior(SIGMA, rows, CONDUCTIVITY), fit_prior(SIGMA, shuffled, CONDUCTIVITY)
    assert first.columns != second.columns
    X = compositions(50, 6)
    np.testing.assert_array_equal(second.margin(X[:, order]), first.margin(X))


def test_composition_only_model_has_the_composition_terms(pellets):
    """It has fewer features, which may be in another order."""
    rows = training_rows(pellets, TargetName.CONDUCTIVITY)
    chosen = np.ones(len(rows.rows), dtype=bool)
    quick_settings = {name: each.changed(rounds=1) for name, each in DEFAULT_SETTINGS.items()}
    result = {}
    for feature_set in FeatureSet.FULL, FeatureSet.COMPOSITION:
        features = build_features(pellets, feature_set)
        names = feature_names(feature_set)[::-1] if feature_set is FeatureSet.COMPOSITION else features.names
        order = [features.names.index(name) for name in names]
        reordered = FeatureMatrix(tuple(names), features.values[:, order])
        fitted = fit_target(
            FitContext(pellets, reordered, quick_settings, 0, 1), TargetName.CONDUCTIVITY, rows, chosen
        )
        assert set(INPUTS) <= {names[at] for at in fitted.prior.columns}
        result[feature_set] = dict(zip(fitted.prior.terms, fitted.prior.coefficients, strict=True))
    assert tuple(result[FeatureSet.COMPOSITION]) == COMPOSITION_TERMS
    assert tuple(result[FeatureSet.FULL]) == tuple(name for name in TERMS[SIGMA] if TERMS[SIGMA][name].is_fitted)
    # The coefficients differ slightly, because the full model also has terms of the firing.
    full = np.array([result[FeatureSet.FULL][name] for name in COMPOSITION_TERMS])
    np.testing.assert_allclose(full, list(result[FeatureSet.COMPOSITION].values()), atol=0.3)


# ------------------------------------------------------------------ serialization


def test_round_trip_through_json():
    prior = fit_prior(SIGMA, rows_of_many_papers(), CONDUCTIVITY)
    assert Prior.from_json(SIGMA, json.loads(json.dumps(prior.to_json(), allow_nan=False))) == prior


def test_prior_of_version_0_2_without_names_of_terms_is_read():
    data = TRUE_PRIOR.to_json() | {"share": 0.5}
    del data["terms"]
    X = compositions(30, 4)
    np.testing.assert_allclose(Prior.from_json(SIGMA, data).margin(X), 0.5 * TRUE_PRIOR.margin(X), atol=1e-12)


@pytest.mark.parametrize("name", ["coefficients", "means", "columns"])
@pytest.mark.parametrize(
    "change", [lambda values: values[:-1], lambda values: [*values, 1]], ids=["one missing", "one too many"]
)
def test_prior_with_a_wrong_number_of_values_is_refused(name, change):
    data = TRUE_PRIOR.to_json()
    with pytest.raises(ValueError, match=rf"has {len(COMPOSITION_TERMS)} terms of {len(INPUTS)} features"):
        Prior.from_json(SIGMA, data | {name: change(data[name])})


def test_prior_with_an_unknown_term_is_refused():
    data = TRUE_PRIOR.to_json() | {"terms": [*COMPOSITION_TERMS[:-1], "phase of the moon"]}
    with pytest.raises(ValueError, match=r"no term 'phase of the moon'"):
        Prior.from_json(SIGMA, data)


@pytest.mark.parametrize("target", TERMS)
def test_features_of_terms_exist(target):
    fitted = tuple(name for name, term in TERMS[target].items() if term.is_fitted)
    assert available_terms(target, feature_names()) == fitted
    assert set(feature_names()).issuperset(term_features(target, tuple(TERMS[target])))
    assert available_terms(target, ("noise",)) == ()


@pytest.mark.parametrize("target", TERMS)
def test_terms_of_a_recipe_without_processing_are_finite(target):
    X = build_features(recipe_table([Recipe(formula="LiTi2(PO4)3")])).values
    columns = [feature_names().index(name) for name in term_features(target, tuple(TERMS[target]))]
    prior = Prior(target, 0.0, tuple(TERMS[target]), (1.0,) * len(TERMS[target]), (), tuple(columns))
    assert np.isfinite(prior.margin(X)).all()
