"""Recipes as scikit-learn's transformers take them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Composition
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted, validate_data

import nasicon_ml
from nasicon_ml.columns import RECIPE
from nasicon_ml.errors import FieldError, FormulaError
from nasicon_ml.features import RecipeFeaturizer, build_features, feature_names
from nasicon_ml.recipe import read_batch

FORMULAS = ["LATP x=0.3", "Li1.5Al0.5Ge1.5(PO4)3", "NZSP x=2"]
_NUMBERS = "it feeds a matrix of numbers, in which there are no formulas; see OfNumbers"
_NUMBER_CHECKS = (
    "check_fit_score_takes_y", "check_dont_overwrite_parameters", "check_n_features_in_after_fitting",
    "check_estimators_dtypes", "check_dtype_object", "check_pipeline_consistency", "check_estimators_pickle",
    "check_f_contiguous_array_estimator", "check_transformer_data_not_an_array", "check_transformer_general",
    "check_transformer_preserve_dtypes", "check_transformers_unfitted_stateless",
    "check_methods_sample_order_invariance", "check_methods_subset_invariance", "check_fit2d_1sample",
    "check_fit2d_1feature", "check_dict_unchanged", "check_fit_idempotent", "check_n_features_in",
    "check_fit2d_predict1d", "check_complex_data", "check_estimators_empty_data_messages",
    "check_estimator_sparse_tag", "check_estimator_sparse_array",
)  # fmt: skip
FAILED = dict.fromkeys(_NUMBER_CHECKS, _NUMBERS) | {"check_fit1d": "a list of formulas is one-dimensional"}


class OfNumbers(RecipeFeaturizer):
    """Makes formulas of the numbers that scikit-learn's checks feed; the rest is the featurizer's own."""

    def fit(self, X, y=None):  # noqa: ARG002
        validate_data(self, X)
        names = getattr(self, "feature_names_in_", None), self.n_features_in_
        super().fit([])
        self.feature_names_in_, self.n_features_in_ = names
        if names[0] is None:
            del self.feature_names_in_
        return self

    def transform(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        return super().transform([f"LATP x={value:.3f}" for value in np.abs(X[:, 0]) % 1.0])

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = tags.input_tags.allow_nan = False
        tags.requires_fit = True
        return tags


@pytest.fixture(scope="module")
def pellets():
    return nasicon_ml.load_pellets()


@parametrize_with_checks(
    [RecipeFeaturizer(), OfNumbers("composition")],
    expected_failed_checks=lambda model: {} if isinstance(model, OfNumbers) else FAILED,
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def test_it_gives_the_arrays_whatever_the_order_of_the_columns(pellets):
    few = pellets.head(40)
    expected = build_features(read_batch(few[[str(column) for column in RECIPE]]).table)
    shuffled = few[list(few.columns[::-1])].assign(furnace="old")
    found = RecipeFeaturizer().fit_transform(shuffled)
    np.testing.assert_array_equal(found, expected.values)
    assert RecipeFeaturizer().fit(few).get_feature_names_out().tolist() == list(expected.names)
    assert clone(RecipeFeaturizer("composition", on_error="nan")).get_params() == {
        "feature_set": "composition", "other_columns": "ignore", "on_error": "nan",
    }  # fmt: skip
    assert nasicon_ml.RecipeFeaturizer is RecipeFeaturizer


@pytest.mark.parametrize(
    "formulas",
    [
        FORMULAS,
        np.array(FORMULAS),
        np.array(FORMULAS)[:, None],
        pd.Series(FORMULAS, index=[7, 8, 9]),
        pd.DataFrame({"formula": FORMULAS}),
    ],
)
def test_formulas_alone_are_recipes(formulas):
    found = RecipeFeaturizer("composition").transform(formulas)
    expected = build_features(read_batch(pd.DataFrame({"formula": FORMULAS})).table, "composition").values
    np.testing.assert_array_equal(found, expected)


def test_pymatgens_compositions_are_formulas():
    found = RecipeFeaturizer("composition").transform([Composition("Li1.3Al0.3Ti1.7P3O12")])
    np.testing.assert_allclose(found, RecipeFeaturizer("composition").transform(["LATP x=0.3"]), atol=1e-12)


def test_tables_come_out_with_names_and_the_index_of_the_recipes():
    featurizer = RecipeFeaturizer().set_output(transform="pandas")
    found = featurizer.fit_transform(pd.Series(FORMULAS, index=["a", "b", "c"]))
    assert found.columns.tolist() == list(feature_names())
    assert found.index.tolist() == ["a", "b", "c"]


def test_a_bad_row_is_named_or_left_empty():
    table = pd.DataFrame({"formula": [*FORMULAS, "LATP x=0.2"]}, index=["a", "b", "c", "d"])
    with pytest.raises(FieldError, match="row c: sintering_temperature_c: 'hot' is not accepted"):
        RecipeFeaturizer().fit_transform(table.assign(sintering_temperature_c=[900, None, "hot", 800]))
    with pytest.raises(FormulaError, match="row 1: formula: 'Qq2O3' is not accepted"):
        RecipeFeaturizer().transform(["LATP x=0.3", "Qq2O3"])
    with pytest.raises(FieldError, match="row 2: formula: None is not accepted"):
        RecipeFeaturizer().transform(["LATP x=0.3", "LATP x=0.1", None])
    found = RecipeFeaturizer(on_error="nan").transform(["LATP x=0.3", "Qq2O3", None])
    assert np.isnan(found).all(axis=1).tolist() == [False, True, True]
    assert RecipeFeaturizer(on_error="nan").transform(["Qq2O3"]).shape == (1, len(feature_names()))


def test_what_is_no_table_of_recipes_is_refused():
    table = pd.DataFrame({"formula": FORMULAS, "sintering_temp": 900.0})
    with pytest.raises(FieldError, match="sintering_temp"):
        RecipeFeaturizer(other_columns="error").fit(table)
    with pytest.raises(FieldError, match="temperature"):
        RecipeFeaturizer().fit(pd.DataFrame({"temperature": [900.0]}))
    for no_list in ("LATP x=0.3", np.array([["LATP x=0.3", "LAGP x=0.5"]]), np.eye(3)):
        with pytest.raises(ValueError, match="a list of formulas"):
            RecipeFeaturizer().transform(no_list)
    for parameter in ({"feature_set": "all"}, {"other_columns": "drop"}, {"on_error": "skip"}):
        with pytest.raises(ValueError, match=f"{next(iter(parameter))} must be one of"):
            RecipeFeaturizer(**parameter).fit(FORMULAS)


def test_it_stands_in_pipelines_and_beside_other_columns(pellets):
    few = pellets[pellets["relative_density_pct"].notna()].head(60)
    y = few["relative_density_pct"].astype(float)
    trees = HistGradientBoostingRegressor(max_iter=5, random_state=0)
    alone = make_pipeline(RecipeFeaturizer("composition"), trees).fit(few, y)
    assert alone.predict(few).shape == (60,)
    beside = ColumnTransformer(
        [
            ("composition", RecipeFeaturizer("composition"), ["formula"]),
            ("names", RecipeFeaturizer("composition"), "formula"),
            ("temperature", StandardScaler(), ["sintering_temperature_c"]),
        ]
    ).set_output(transform="pandas")
    found = beside.fit_transform(few)
    assert "composition__x" in found.columns
    assert found.shape == (60, 2 * len(feature_names("composition")) + 1)
    assert found.index.equals(few.index)


def test_features_as_arrays_load_no_scikit_learn():
    program = "import sys, nasicon_ml.features as f; f.feature_names(); print('sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
