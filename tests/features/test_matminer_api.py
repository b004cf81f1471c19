import numpy as np
import pandas as pd
import pytest
from matminer.featurizers.base import MultipleFeaturizer
from matminer.featurizers.composition import ElementProperty
from pymatgen.core import Composition

from nasicon_ml.columns import Column
from nasicon_ml.data.load import load_pellets
from nasicon_ml.errors import FieldError
from nasicon_ml.features.build import FeatureSet, build_features
from nasicon_ml.features.matminer_api import NasiconComposition, NasiconRecipe


@pytest.fixture(scope="module")
def sample():
    return load_pellets().sample(30, random_state=1).reset_index(drop=True)


def test_featurize_equals_array_features_for_each_row(sample):
    recipe = NasiconRecipe()
    rows = [recipe.featurize(*row) for row in sample[recipe.columns].to_numpy(dtype=object)]
    np.testing.assert_allclose(rows, build_features(sample).values, rtol=1e-9, atol=1e-9)
    composition = NasiconComposition()
    rows = [composition.featurize(Composition(formula)) for formula in sample[Column.FORMULA]]
    np.testing.assert_allclose(rows, build_features(sample, FeatureSet.COMPOSITION).values, rtol=1e-9, atol=1e-9)


def test_featurize_dataframe_equals_array_features(sample):
    recipe = NasiconRecipe()
    plain = sample[recipe.columns]
    out = recipe.featurize_dataframe(plain, recipe.columns, pbar=False)
    assert list(out.columns) == [*recipe.columns, *recipe.feature_labels()]
    expected = build_features(sample)
    for name in ("x", "m_Al", "log10_sintering_work_250_kj_mol"):
        np.testing.assert_allclose(
            out[name].to_numpy(dtype=float), expected.values[:, expected.names.index(name)], rtol=1e-9
        )


def test_composition_featurizer_works_in_multiple_featurizer(sample):
    combined = MultipleFeaturizer([ElementProperty.from_preset("magpie", impute_nan=True), NasiconComposition()])
    combined.set_n_jobs(1)
    frame = pd.DataFrame({"composition": [Composition(formula) for formula in sample[Column.FORMULA].head(5)]})
    out = combined.featurize_dataframe(frame, "composition", pbar=False)
    assert "MagpieData mean MeltingT" in out.columns
    expected = build_features(sample.head(5), FeatureSet.COMPOSITION)
    np.testing.assert_allclose(out["m_Ti"], expected.values[:, expected.names.index("m_Ti")], atol=1e-9)


@pytest.mark.parametrize("featurizer", [NasiconComposition(), NasiconRecipe()])
def test_featurizer_has_unique_labels_citations_and_implementors(featurizer):
    assert len(featurizer.feature_labels()) == len(set(featurizer.feature_labels()))
    assert all("doi=" in citation for citation in featurizer.citations())
    assert featurizer.implementors()


def test_invalid_value_raises_error_that_names_the_field(sample):
    recipe = NasiconRecipe()
    row = sample.loc[0, recipe.columns].to_numpy(dtype=object)
    row[recipe.columns.index(Column.ATMOSPHERE)] = "argn"
    with pytest.raises(FieldError, match=r"atmosphere: 'argn' is not accepted.*Did you mean"):
        recipe.featurize(*row)


def test_transform_uses_array_path_and_reports_unreadable_rows(sample, monkeypatch):
    recipe, composition = NasiconRecipe(), NasiconComposition()
    table = sample[recipe.columns].astype(object)
    np.testing.assert_array_equal(recipe.transform(table), build_features(sample).values)
    formulas = [*sample[Column.FORMULA].head(3), "Qq2O3", None]
    calls = []
    monkeypatch.setattr(NasiconComposition, "featurize", lambda _, *entry: calls.append(entry) or 1 / 0)
    with pytest.warns(UserWarning, match="2 of 5 entries cannot be read and are NaN; the first: formula: 'Qq"):
        found = np.array(composition.transform(formulas))
    assert calls == [("Qq2O3",), (None,)]
    np.testing.assert_array_equal(found[:3], build_features(sample.head(3), FeatureSet.COMPOSITION).values)
    assert np.isnan(found[3:]).all()
    with_errors = composition.featurize_many(formulas, ignore_errors=True, return_errors=True, pbar=False)
    assert {len(row) for row in with_errors} == {found.shape[1] + 1}
    assert np.isnan(with_errors[0][-1])
    assert "ZeroDivisionError" in with_errors[3][-1]
    with pytest.raises(FieldError, match="row 3: formula: 'Qq2O3'"):
        composition.featurize_many(formulas, pbar=False)
    assert composition.featurize_many([], pbar=False) == []
    assert recipe.featurize_many([], pbar=False) == []
    with pytest.warns(
        UserWarning, match="1 of 1 entries cannot be read and are NaN; the first: not one value for"
    ):
        found = recipe.featurize_many([("LATP x=0.3",)], ignore_errors=True, pbar=False)
    assert np.isnan(found).all()


@pytest.mark.parametrize("keep", [None, ["atmosphere", "formula", "sintering_temperature_c"]])
def test_columns_are_matched_by_name_in_any_order(sample, keep):
    recipe = NasiconRecipe()
    columns = keep or recipe.columns[::-1]
    table = sample[columns].astype(object).assign(other=1)
    expected = build_features(sample[columns].reindex(columns=recipe.columns)).values
    np.testing.assert_array_equal(np.array(recipe.transform(table), dtype=float), expected)
    labels = recipe.feature_labels()
    found = recipe.featurize_dataframe(table, columns, pbar=False)
    np.testing.assert_array_equal(found[labels].to_numpy(dtype=float), expected)
    assert list(found.columns) == [*table.columns, *labels]
    assert recipe.featurize_dataframe(table, columns, inplace=True, pbar=False) is None
    np.testing.assert_array_equal(table[labels].to_numpy(dtype=float), expected)


def test_entry_with_too_few_values_raises_or_becomes_a_row_of_nan(sample):
    recipe = NasiconRecipe()
    whole = tuple(sample.loc[0, recipe.columns])
    short = ("LATP x=0.3", 900)
    with pytest.raises(FieldError, match=r"^entry: \('LATP x=0.3', 900\) is not accepted.*formula, additive, "):
        recipe.featurize(*short)
    with pytest.raises(FieldError, match="row 1: entry: "):
        recipe.featurize_many([whole, short], pbar=False)
    with pytest.warns(UserWarning, match="1 of 2 entries"):
        found = np.array(recipe.featurize_many([short, whole], ignore_errors=True, pbar=False))
    np.testing.assert_array_equal(found, [[np.nan] * found.shape[1], recipe.featurize(*whole)])
    with pytest.raises(ValueError, match="return_errors needs ignore_errors"):
        recipe.featurize_many([whole], return_errors=True, pbar=False)


@pytest.mark.parametrize("jobs", [1, 2])
def test_invalid_entry_raises_field_error_with_iterate_over_entries(jobs):
    combined = MultipleFeaturizer([NasiconComposition()], iterate_over_entries=True)
    combined.set_n_jobs(jobs)
    for featurize_many in (combined.featurize_many, NasiconComposition().featurize_many):
        with pytest.raises(FieldError, match="formula: 'Qq2O3' is not accepted") as raised:
            featurize_many([("LATP x=0.3",), ("Qq2O3",)], pbar=False)
        assert (raised.value.field, raised.value.value) == ("formula", "Qq2O3")
    found = np.array(combined.featurize_many([("LATP x=0.3",), ("Qq2O3",)], ignore_errors=True, pbar=False))
    assert np.isnan(found).all(axis=1).tolist() == [False, True]
