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
def some():
    return load_pellets().sample(30, random_state=1).reset_index(drop=True)


def test_row_by_row_equals_arrays(some):
    """matminer's own way, one `featurize` call a row, gives the array path's numbers."""
    recipe = NasiconRecipe()
    rows = [recipe.featurize(*row) for row in some[recipe.columns].to_numpy(dtype=object)]
    np.testing.assert_allclose(rows, build_features(some).values, rtol=1e-9, atol=1e-9)
    composition = NasiconComposition()
    rows = [composition.featurize(Composition(formula)) for formula in some[Column.FORMULA]]
    np.testing.assert_allclose(rows, build_features(some, FeatureSet.COMPOSITION).values, rtol=1e-9, atol=1e-9)


def test_featurize_dataframe(some):
    recipe = NasiconRecipe()
    plain = some[recipe.columns]
    out = recipe.featurize_dataframe(plain, recipe.columns, pbar=False)
    assert list(out.columns) == [*recipe.columns, *recipe.feature_labels()] or set(out.columns) >= set(
        recipe.columns
    )
    expected = build_features(some)
    for name in ("x", "m_Al", "log10_sintering_work_250_kj_mol"):
        np.testing.assert_allclose(
            out[name].to_numpy(dtype=float), expected.values[:, expected.names.index(name)], rtol=1e-9
        )


def test_stands_beside_matminers_own_featurizers(some):
    both = MultipleFeaturizer([ElementProperty.from_preset("magpie", impute_nan=True), NasiconComposition()])
    both.set_n_jobs(1)
    frame = pd.DataFrame({"composition": [Composition(formula) for formula in some[Column.FORMULA].head(5)]})
    out = both.featurize_dataframe(frame, "composition", pbar=False)
    assert "MagpieData mean MeltingT" in out.columns
    expected = build_features(some.head(5), FeatureSet.COMPOSITION)
    np.testing.assert_allclose(out["m_Ti"], expected.values[:, expected.names.index("m_Ti")], atol=1e-9)


@pytest.mark.parametrize("featurizer", [NasiconComposition(), NasiconRecipe()])
def test_contract(featurizer):
    assert len(featurizer.feature_labels()) == len(set(featurizer.feature_labels()))
    assert all("doi=" in citation for citation in featurizer.citations())
    assert featurizer.implementors()


def test_a_bad_value_names_its_field(some):
    recipe = NasiconRecipe()
    row = some.loc[0, recipe.columns].to_numpy(dtype=object)
    row[recipe.columns.index(Column.ATMOSPHERE)] = "argn"
    with pytest.raises(FieldError, match=r"atmosphere: 'argn' is not accepted.*Did you mean"):
        recipe.featurize(*row)


def test_tables_go_through_the_arrays_and_bad_rows_are_explained(some, monkeypatch):
    recipe, composition = NasiconRecipe(), NasiconComposition()
    table = some[recipe.columns].astype(object)
    np.testing.assert_array_equal(recipe.transform(table), build_features(some).values)
    formulas = [*some[Column.FORMULA].head(3), "Qq2O3", None]
    calls = []
    monkeypatch.setattr(NasiconComposition, "featurize", lambda _, *entry: calls.append(entry) or 1 / 0)
    with pytest.warns(UserWarning, match="2 of 5 entries cannot be read and are NaN; the first: formula: 'Qq"):
        found = np.array(composition.transform(formulas))
    assert calls == [("Qq2O3",), (None,)]
    np.testing.assert_array_equal(found[:3], build_features(some.head(3), FeatureSet.COMPOSITION).values)
    assert np.isnan(found[3:]).all()
    explained = composition.featurize_many(formulas, ignore_errors=True, return_errors=True, pbar=False)
    assert {len(row) for row in explained} == {found.shape[1] + 1}
    assert np.isnan(explained[0][-1])
    assert "ZeroDivisionError" in explained[3][-1]
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
def test_columns_are_matched_by_name_in_any_order(some, keep):
    recipe = NasiconRecipe()
    columns = keep or recipe.columns[::-1]
    table = some[columns].astype(object).assign(other=1)
    expected = build_features(some[columns].reindex(columns=recipe.columns)).values
    np.testing.assert_array_equal(np.array(recipe.transform(table), dtype=float), expected)
    labels = recipe.feature_labels()
    found = recipe.featurize_dataframe(table, columns, pbar=False)
    np.testing.assert_array_equal(found[labels].to_numpy(dtype=float), expected)
    assert list(found.columns) == [*table.columns, *labels]
    assert recipe.featurize_dataframe(table, columns, inplace=True, pbar=False) is None
    np.testing.assert_array_equal(table[labels].to_numpy(dtype=float), expected)


def test_an_entry_with_too_few_values_is_explained_or_a_row_of_nan(some):
    recipe = NasiconRecipe()
    whole = tuple(some.loc[0, recipe.columns])
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
def test_one_entry_after_another_a_bad_one_raises_what_featurize_does(jobs):
    both = MultipleFeaturizer([NasiconComposition()], iterate_over_entries=True)
    both.set_n_jobs(jobs)
    for ask in (both.featurize_many, NasiconComposition().featurize_many):
        with pytest.raises(FieldError, match="formula: 'Qq2O3' is not accepted") as raised:
            ask([("LATP x=0.3",), ("Qq2O3",)], pbar=False)
        assert (raised.value.field, raised.value.value) == ("formula", "Qq2O3")
    found = np.array(both.featurize_many([("LATP x=0.3",), ("Qq2O3",)], ignore_errors=True, pbar=False))
    assert np.isnan(found).all(axis=1).tolist() == [False, True]
