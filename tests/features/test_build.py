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

FROZEN = Path(__file__).with_name("feature_names.json")


@pytest.fixture(scope="module")
def pellets():
    return load_pellets()


@pytest.mark.parametrize("feature_set", list(FeatureSet))
def test_column_order_is_frozen(feature_set):
    """A bundle names its features; renaming or moving one breaks every saved model, so it takes a new set."""
    assert list(feature_names(feature_set)) == json.loads(FROZEN.read_text(encoding="utf-8"))[str(feature_set)]


@pytest.mark.parametrize("feature_set", list(FeatureSet))
def test_whole_dataset_at_once(pellets, feature_set):
    features = build_features(pellets, feature_set)
    assert features.values.shape == (len(pellets), len(features.names))
    assert len(set(features.names)) == len(features.names)
    assert not np.isinf(features.values).any()
    known = [name for name in features.names if np.isfinite(features.values[:, features.names.index(name)]).any()]
    assert known == list(features.names), "a feature that is never known teaches nothing"


def test_one_recipe_is_a_table_of_one_row(pellets):
    some = pellets.sample(40, random_state=0).reset_index(drop=True)
    whole = build_features(some).values
    single = np.vstack(
        [build_features(some.iloc[[row]].reset_index(drop=True)).values for row in range(len(some))]
    )
    np.testing.assert_allclose(whole, single, rtol=1e-12)  # the order of a sum may move the last digit


numbers = st.none() | st.floats(100, 1300)
recipes = st.builds(
    Recipe,
    formula=st.sampled_from(["LATP x=0.3", "LAGP x=0.5", "Li1.3Sc0.3Ti1.7(PO4)3", "Na3Zr2Si2PO12", "LiZr2(PO4)3"]),
    sintering_temperature_c=numbers,
    sintering_time_h=st.none() | st.floats(0, 100),
    heating_rate_c_min=st.none() | st.floats(0.1, 200),
    particle_size_um=st.none() | st.floats(0.01, 50),
    atmosphere=st.none() | st.sampled_from(ATMOSPHERES),
    densification=st.none() | st.sampled_from(DENSIFICATIONS),
    synthesis_route=st.none() | st.sampled_from(SYNTHESIS_ROUTES),
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(recipes, min_size=1, max_size=6))
def test_order_of_rows_does_not_matter_and_nothing_is_infinite(batch):
    forward = build_features(recipe_table(batch)).values
    backward = build_features(recipe_table(batch[::-1])).values
    np.testing.assert_array_equal(forward, backward[::-1])
    assert not np.isinf(forward).any()


def test_amounts_on_the_sites():
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


def test_magpie_statistics_equal_matminers(pellets):
    from matminer.featurizers.composition import ElementProperty
    from pymatgen.core import Composition

    formulas = pellets[Column.FORMULA].drop_duplicates().head(60)
    features = build_features(pd.DataFrame({Column.FORMULA.value: formulas}), FeatureSet.COMPOSITION)
    for name in ("AtomicWeight", "Electronegativity", "CovalentRadius", "MeltingT"):
        featurizer = ElementProperty("magpie", [name], ["mean", "avg_dev"], impute_nan=False)
        expected = np.array([featurizer.featurize(Composition(formula)) for formula in formulas])
        columns = [features.names.index(f"magpie_{name}_{statistic}") for statistic in ("mean", "avg_dev")]
        np.testing.assert_allclose(features.values[:, columns], expected, rtol=1e-9)


def test_unreadable_formula_is_an_error():
    with pytest.raises(ValueError, match="formula"):
        build_features(pd.DataFrame({Column.FORMULA.value: ["not a formula"]}), FeatureSet.COMPOSITION)
