import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nasicon_ml.columns import ATMOSPHERES, DENSIFICATIONS, SYNTHESIS_ROUTES, Column
from nasicon_ml.data.load import load_pellets
from nasicon_ml.features.build import FeatureSet, build_features, feature_names
from nasicon_ml.recipe import Recipe, recipe_table

FEATURE_NAMES_FILE = Path(__file__).with_name("feature_names.json")


@pytest.fixture(scope="module")
def pellets():
    return load_pellets()


@pytest.mark.parametrize("feature_set", list(FeatureSet))
def test_feature_names_and_order_match_published_list(feature_set):
    """Renaming or moving a feature would break every saved model; a change needs a new feature set."""
    published = json.loads(FEATURE_NAMES_FILE.read_text(encoding="utf-8"))
    assert list(feature_names(feature_set)) == published[str(feature_set)]


@pytest.mark.parametrize("feature_set", list(FeatureSet))
def test_dataset_features_have_unique_names_and_no_infinite_values(pellets, feature_set):
    features = build_features(pellets, feature_set)
    assert features.values.shape == (len(pellets), len(features.names))
    assert len(set(features.names)) == len(features.names)
    assert not np.isinf(features.values).any()
    known = [name for name in features.names if np.isfinite(features.values[:, features.names.index(name)]).any()]
    assert known == list(features.names), "a feature that is NaN for every pellet is useless"


def test_features_of_single_recipes_equal_those_of_the_table(pellets):
    sample = pellets.sample(40, random_state=0).reset_index(drop=True)
    whole = build_features(sample).values
    single = np.vstack(
        [build_features(sample.iloc[[row]].reset_index(drop=True)).values for row in range(len(sample))]
    )
    np.testing.assert_allclose(whole, single, rtol=1e-12)  # the order of summation may change the last digit


temperatures = st.none() | st.floats(100, 1300)
recipes = st.builds(
    Recipe,
    formula=st.sampled_from(["LATP x=0.3", "LAGP x=0.5", "Li1.3Sc0.3Ti1.7(PO4)3", "Na3Zr2Si2PO12", "LiZr2(PO4)3"]),
    sintering_temperature_c=temperatures,
    sintering_time_h=st.none() | st.floats(0, 100),
    heating_rate_c_min=st.none() | st.floats(0.1, 200),
    particle_size_um=st.none() | st.floats(0.01, 50),
    atmosphere=st.none() | st.sampled_from(ATMOSPHERES),
    densification=st.none() | st.sampled_from(DENSIFICATIONS),
    synthesis_route=st.none() | st.sampled_from(SYNTHESIS_ROUTES),
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(recipes, min_size=1, max_size=6))
def test_features_are_independent_of_row_order_and_never_infinite(batch):
    forward = build_features(recipe_table(batch)).values
    backward = build_features(recipe_table(batch[::-1])).values
    np.testing.assert_array_equal(forward, backward[::-1])
    assert not np.isinf(forward).any()


def test_site_features_match_hand_computed_values():
    features = build_features(recipe_table([Recipe(formula="LATP x=0.4")]), FeatureSet.COMPOSITION)
    value = dict(zip(features.names, features.values[0], strict=True))
    assert value["a_lithium"] == pytest.approx(1.4)
    assert value["x"] == pytest.approx(0.4)
    assert value["m_Al"] == pytest.approx(0.4)
    assert value["m_Ti"] == pytest.approx(1.6)
    assert value["m_other"] == 0.0
    assert value["m_radius_mean_angstrom"] == pytest.approx(0.2 * 0.535 + 0.8 * 0.605)
    assert value["m_radius_range_angstrom"] == pytest.approx(0.07)
    assert value["m_mixing_entropy_r"] == pytest.approx(-(0.2 * np.log(0.2) + 0.8 * np.log(0.8)))


def test_magpie_statistics_equal_those_of_matminer(pellets):
    from matminer.featurizers.composition import ElementProperty
    from pymatgen.core import Composition

    formulas = pellets[Column.FORMULA].drop_duplicates().head(60)
    features = build_features(pd.DataFrame({Column.FORMULA.value: formulas}), FeatureSet.COMPOSITION)
    for name in ("AtomicWeight", "Electronegativity", "CovalentRadius", "MeltingT"):
        featurizer = ElementProperty("magpie", [name], ["mean", "avg_dev"], impute_nan=False)
        expected = np.array([featurizer.featurize(Composition(formula)) for formula in formulas])
        columns = [features.names.index(f"magpie_{name}_{statistic}") for statistic in ("mean", "avg_dev")]
        np.testing.assert_allclose(features.values[:, columns], expected, rtol=1e-9)


def test_invalid_formula_raises_value_error():
    with pytest.raises(ValueError, match="formula"):
        build_features(pd.DataFrame({Column.FORMULA.value: ["not a formula"]}), FeatureSet.COMPOSITION)
