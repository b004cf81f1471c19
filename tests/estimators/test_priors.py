"""What is known before any tree grows: terms fitted robustly, with the signs that are certain, and laws."""

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
NINE = tuple(TERMS[SIGMA])[:9]
INPUTS = term_features(SIGMA, NINE)
#: Other features stand between, and none of `INPUTS` where `INPUTS` has it.
NAMES = ("noise_a", "a_sodium", "t_silicon", "x", "noise_b", "m_Sn", "m_Hf", "m_Zr", "m_Ge")
TRUTH = {
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
SOUND = Prior(
    SIGMA, INTERCEPT, NINE, tuple(TRUTH.values()), (0.1,) * len(NINE), tuple(NAMES.index(name) for name in INPUTS)
)


@pytest.fixture(scope="module")
def pellets():
    found = load_pellets()
    return found[found["formula"].notna()].reset_index(drop=True)


def compositions(count, seed):
    """Features of made-up compositions in the order of `NAMES`, the noise included."""
    random = np.random.default_rng(seed)
    found = random.normal(size=(count, len(NAMES)))
    found[:, NAMES.index("x")] = np.where(random.uniform(size=count) < 0.2, 0.0, random.uniform(-0.3, 1.0, count))
    host = random.integers(0, 5, count)  # the fifth is titanium
    for number, name in enumerate(("m_Ge", "m_Zr", "m_Hf", "m_Sn")):
        found[:, NAMES.index(name)] = np.where(host == number, random.uniform(0.5, 2.0, count), 0.0)
    found[:, NAMES.index("t_silicon")] = np.where(random.uniform(size=count) < 0.3, random.uniform(0, 3, count), 0)
    found[:, NAMES.index("a_sodium")] = random.choice([0.0, 0.05, 1.0, 3.0], count)
    return found


def expected(X, *, intercept=INTERCEPT, coefficients=TRUTH):
    """The terms as docs/method.md writes them, one row at a time."""
    found = []
    for row in X:
        at = dict(zip(NAMES, row, strict=True))
        terms = {
            "x up to the best": max(-0.5, min(at["x"], 0.4)),
            "x beyond the best": max(at["x"] - 0.4, 0.0),
            "undoped": np.exp(-max(at["x"], 0.0) / 0.1),
            "germanium": at["m_Ge"] / 2,
            "zirconium": at["m_Zr"] / 2,
            "hafnium": at["m_Hf"] / 2,
            "tin": at["m_Sn"] / 2,
            "silicon": at["t_silicon"] / 3,
            "sodium": float(at["a_sodium"] > 0.1),
        }
        found.append(intercept + sum(coefficients[name] * value for name, value in terms.items()))
    return np.array(found)


def matrix(X, y, sources, weight=None):
    weight = np.ones(len(y)) if weight is None else weight
    return TrainingMatrix(X, NAMES, y, weight, np.array([f"paper{number}" for number in sources], dtype=object))


def of_many_laboratories(seed=0):
    """800 pellets of 160 papers: each has its offset, and one pellet in twelve is off by decades."""
    random = np.random.default_rng(seed)
    X, sources = compositions(800, seed), np.repeat(np.arange(160), 5)
    wild = random.uniform(size=800) < 1 / 12
    y = expected(X) + random.normal(0, 0.5, 160)[sources] + random.normal(0, 0.1, 800) - 4.0 * wild
    return matrix(X, y, sources)


# ------------------------------------------------------------------ what is learned


def test_the_terms_are_those_of_the_method_page():
    X = compositions(200, 1)
    np.testing.assert_allclose(SOUND.margin(X), expected(X), rtol=1e-12)


def test_coefficients_are_recovered_despite_offsets_of_sources_and_outliers():
    rows = of_many_laboratories()
    prior = fit_prior(SIGMA, rows, CONDUCTIVITY)
    found = dict(zip(NINE, prior.coefficients, strict=True))
    # The first and the third term stand for each other in part, and all are drawn to zero a little.
    assert found == {name: pytest.approx(value, rel=0.2, abs=0.15) for name, value in TRUTH.items()}
    X = compositions(300, 99)
    off = prior.margin(X) - expected(X)
    assert abs(off).mean() < 0.12
    alone = [
        expected(rows.X, intercept=0.0, coefficients=dict.fromkeys(TRUTH, 0.0) | {name: 1.0}) for name in TRUTH
    ]
    intercept, *slopes = np.linalg.lstsq(np.column_stack([np.ones(800), *alone]), rows.y, rcond=None)[0]
    plain = expected(X, intercept=intercept, coefficients=dict(zip(TRUTH, slopes, strict=True))) - expected(X)
    assert abs(off).mean() < 0.5 * abs(plain).mean(), "plain least squares do far worse"


def test_one_paper_with_many_pellets_does_not_dominate():
    """All zirconium of a careless paper is a decade low, as is its titanium: that is the paper, not zirconium."""
    random = np.random.default_rng(3)
    X = np.zeros((140, len(NAMES)))
    X[:, NAMES.index("x")] = 0.3
    sources = np.concatenate([np.arange(100), np.full(40, 100)])
    careless = sources == 100
    X[random.permutation(100)[:50], NAMES.index("m_Zr")] = 2.0
    X[np.flatnonzero(careless)[:36], NAMES.index("m_Zr")] = 2.0
    y = expected(X) - 1.0 * careless + random.normal(0, 0.05, 140)
    prior = fit_prior(SIGMA, matrix(X, y, sources), CONDUCTIVITY)
    assert dict(zip(NINE, prior.coefficients, strict=True))["zirconium"] == pytest.approx(-1.5, abs=0.1)


def test_a_row_without_weight_has_no_effect():
    rows = of_many_laboratories(2)
    weight = np.ones(800)
    weight[400:] = 0.0
    numbers = np.repeat(np.arange(160), 5)
    first, second = (
        fit_prior(SIGMA, matrix(rows.X, np.where(weight > 0, rows.y, wild), numbers, weight), CONDUCTIVITY)
        for wild in (50.0, -20.0)
    )
    # The reweighting starts from the median of all rows; where it ends does not depend on that.
    assert first.coefficients == pytest.approx(second.coefficients, abs=0.02)
    assert first.intercept == pytest.approx(second.intercept, abs=0.02)


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.floats(-6, 6), st.floats(-6, 6), st.floats(-6, 6))
def test_bounds_of_coefficients_are_respected(seed, carriers, beyond, undoped):
    """Whatever the data say: more carriers never lower, second phases and the want of carriers never raise."""
    random = np.random.default_rng(seed)
    X = compositions(40, seed)
    told = TRUTH | {"x up to the best": carriers, "x beyond the best": beyond, "undoped": undoped}
    y = expected(X, coefficients=told) + random.normal(0, 0.3, 40)
    prior = fit_prior(SIGMA, matrix(X, y, random.integers(0, 12, 40)), CONDUCTIVITY)
    found = dict(zip(NINE, prior.coefficients, strict=True))
    assert found["x up to the best"] >= 0.0
    assert found["x beyond the best"] <= 0.0
    assert found["undoped"] <= 0.0
    series = np.zeros((30, len(NAMES)))
    series[:, NAMES.index("x")] = np.linspace(-0.6, BEST_X, 30)
    assert (np.diff(prior.margin(series)) >= -1e-12).all(), "a series of x rises up to the best one"


def test_coefficients_are_zero_if_data_contradict_their_bounds():
    X = compositions(400, 8)
    against = TRUTH | {"x up to the best": -3.0, "x beyond the best": 3.0, "undoped": 2.0}
    prior = fit_prior(SIGMA, matrix(X, expected(X, coefficients=against), np.arange(400) // 4), CONDUCTIVITY)
    found = dict(zip(NINE, prior.coefficients, strict=True))
    assert found["x up to the best"] == pytest.approx(0.0, abs=0.02)
    assert found["undoped"] == pytest.approx(0.0, abs=0.02)


# ------------------------------------------------------------------ what is answered


@given(st.floats(0, 1), st.integers(0, 10_000))
def test_weighting_scales_all_terms_except_laws(share, seed):
    X = compositions(20, seed)
    part = SOUND.weighted(share)
    np.testing.assert_allclose(part.margin(X), share * SOUND.margin(X), atol=1e-12)
    np.testing.assert_array_equal(SOUND.laws().margin(X), 0.0)


@pytest.fixture(scope="module")
def of_conductivity(pellets):
    features = build_features(pellets)
    rows = training_rows(pellets, SIGMA)
    sources = pellets["source"].to_numpy(dtype=object)[rows.rows]
    learned = TrainingMatrix(features.values[rows.rows], features.names, rows.y, rows.weight, sources)
    return fit_prior(SIGMA, learned, CONDUCTIVITY)


def lagp(**fields):
    return build_features(recipe_table([Recipe(formula="Li1.5Al0.5Ge1.5(PO4)3", **fields)])).values


def coefficient(prior, term):
    return dict(zip(prior.terms, prior.coefficients, strict=True))[term]


@pytest.mark.parametrize("technique", ["sputtering", "pulsed_laser_deposition", "aerosol"])
@pytest.mark.parametrize(("annealed_c", "term"), [(None, "film as deposited"), (700, "annealed film")])
def test_laws_of_films_have_full_weight(of_conductivity, technique, annealed_c, term):
    film, pellet = (
        lagp(densification=made, sintering_temperature_c=annealed_c) for made in (technique, "conventional")
    )
    worse = coefficient(of_conductivity, term)
    assert -2.5 < worse < -0.3, "films conduct less than pellets"
    laws = of_conductivity.laws()
    sintered = laws.margin(pellet)  # less what an overfired pellet loses: none at 700 °C
    assert (laws.margin(film) - sintered).item() == pytest.approx(worse)
    if annealed_c is None:
        for part in of_conductivity, of_conductivity.weighted(0.3):
            assert (part.margin(film) - part.margin(pellet)).item() == pytest.approx(worse)


def test_films_heated_below_crystallisation_count_as_deposited(of_conductivity):
    as_deposited, warmed, annealed = (
        of_conductivity.laws().margin(lagp(densification="sputtering", sintering_temperature_c=heated)).item()
        for heated in (None, 499, 500)
    )
    assert as_deposited == warmed
    assert annealed > warmed + 0.5


def test_conductivity_falls_far_above_the_usual_temperature_and_not_before(of_conductivity):
    temperatures = [850, 900, 950, 1000, 1050]
    start = [of_conductivity.laws().margin(lagp(sintering_temperature_c=fired)).item() for fired in temperatures]
    per_100_c = coefficient(of_conductivity, "far overfired")
    assert -0.6 < per_100_c < -0.1
    np.testing.assert_allclose(np.diff(start), [0.0, 0.0, per_100_c / 2, per_100_c / 2], atol=1e-9)


def test_density_starts_from_the_green_body(pellets):
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


def test_the_order_of_features_has_no_effect():
    rows = of_many_laboratories()
    order = np.random.default_rng(5).permutation(len(NAMES))
    shuffled = TrainingMatrix(
        rows.X[:, order], tuple(NAMES[at] for at in order), rows.y, rows.weight, rows.sources
    )
    first, second = fit_prior(SIGMA, rows, CONDUCTIVITY), fit_prior(SIGMA, shuffled, CONDUCTIVITY)
    assert first.columns != second.columns
    X = compositions(50, 6)
    np.testing.assert_array_equal(second.margin(X[:, order]), first.margin(X))


def test_the_model_of_the_composition_alone_has_the_terms_of_the_composition(pellets):
    """Its features are fewer and may stand elsewhere."""
    rows = training_rows(pellets, TargetName.CONDUCTIVITY)
    chosen = np.ones(len(rows.rows), dtype=bool)
    few = {name: one.changed(rounds=1) for name, one in DEFAULT_SETTINGS.items()}
    found = {}
    for feature_set in FeatureSet.FULL, FeatureSet.COMPOSITION:
        features = build_features(pellets, feature_set)
        names = feature_names(feature_set)[::-1] if feature_set is FeatureSet.COMPOSITION else features.names
        order = [features.names.index(name) for name in names]
        turned = FeatureMatrix(tuple(names), features.values[:, order])
        fitted = fit_target(FitContext(pellets, turned, few, 0, 1), TargetName.CONDUCTIVITY, rows, chosen)
        assert set(INPUTS) <= {names[at] for at in fitted.prior.columns}
        found[feature_set] = dict(zip(fitted.prior.terms, fitted.prior.coefficients, strict=True))
    assert tuple(found[FeatureSet.COMPOSITION]) == NINE
    assert tuple(found[FeatureSet.FULL]) == tuple(name for name in TERMS[SIGMA] if TERMS[SIGMA][name].is_fitted)
    # What the firing explains is no longer looked for in the composition: equal by and large.
    whole = np.array([found[FeatureSet.FULL][name] for name in NINE])
    np.testing.assert_allclose(whole, list(found[FeatureSet.COMPOSITION].values()), atol=0.3)


# ------------------------------------------------------------------ on disk


def test_json_gives_the_same_prior():
    prior = fit_prior(SIGMA, of_many_laboratories(), CONDUCTIVITY)
    again = Prior.from_json(SIGMA, json.loads(json.dumps(prior.to_json(), allow_nan=False)))
    assert again == prior


def test_a_prior_of_version_0_2_does_not_name_its_terms():
    old = SOUND.to_json() | {"share": 0.5}
    del old["terms"]
    X = compositions(30, 4)
    np.testing.assert_allclose(Prior.from_json(SIGMA, old).margin(X), 0.5 * SOUND.margin(X), atol=1e-12)


@pytest.mark.parametrize("name", ["coefficients", "means", "columns"])
@pytest.mark.parametrize("change", [lambda values: values[:-1], lambda values: [*values, 1]])
def test_a_prior_of_other_terms_is_refused(name, change):
    data = SOUND.to_json()
    with pytest.raises(ValueError, match=rf"has {len(NINE)} terms of {len(INPUTS)} features"):
        Prior.from_json(SIGMA, data | {name: change(data[name])})


def test_a_term_that_this_version_does_not_know_is_refused():
    data = SOUND.to_json() | {"terms": [*NINE[:-1], "phase of the moon"]}
    with pytest.raises(ValueError, match=r"no term 'phase of the moon'"):
        Prior.from_json(SIGMA, data)


@pytest.mark.parametrize("target", TERMS)
def test_features_of_terms_exist(target):
    fitted = tuple(name for name, term in TERMS[target].items() if term.is_fitted)
    assert available_terms(target, feature_names()) == fitted
    assert set(feature_names()).issuperset(term_features(target, tuple(TERMS[target])))
    assert available_terms(target, ("noise",)) == ()


@pytest.mark.parametrize("target", TERMS)
def test_a_recipe_that_states_nothing_has_finite_terms(target):
    X = build_features(recipe_table([Recipe(formula="LiTi2(PO4)3")])).values
    columns = [feature_names().index(name) for name in term_features(target, tuple(TERMS[target]))]
    prior = Prior(target, 0.0, tuple(TERMS[target]), (1.0,) * len(TERMS[target]), (), tuple(columns))
    assert np.isfinite(prior.margin(X)).all()
