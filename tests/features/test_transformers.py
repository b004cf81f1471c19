"""`RecipeFeaturizer` as a scikit-learn transformer."""

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
_NUMERIC_INPUT = "feeds a numeric matrix without formulas; tested with NumericRecipeFeaturizer"
_NUMERIC_CHECKS = (
    "check_fit_score_takes_y", "check_dont_overwrite_parameters", "check_n_features_in_after_fitting",
    "check_estimators_dtypes", "check_dtype_object", "check_pipeline_consistency", "check_estimators_pickle",
    "check_f_contiguous_array_estimator", "check_transformer_data_not_an_array", "check_transformer_general",
    "check_transformer_preserve_dtypes", "check_transformers_unfitted_stateless",
    "check_methods_sample_order_invariance", "check_methods_subset_invariance", "check_fit2d_1sample",
    "check_fit2d_1feature", "check_dict_unchanged", "check_fit_idempotent", "check_n_features_in",
    "check_fit2d_predict1d", "check_complex_data", "check_estimators_empty_data_messages",
    "check_estimator_sparse_tag", "check_estimator_sparse_array",
)  # fmt: skip
EXPECTED_FAILURES = dict.fromkeys(_NUMERIC_CHECKS, _NUMERIC_INPUT) | {
    "check_fit1d": "a list of formulas is one-dimensional"
}


class NumericRecipeFeaturizer(RecipeFeaturizer):
    """`RecipeFeaturizer` that converts the numeric input of scikit-learn's checks to formulas."""

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
    [RecipeFeaturizer(), NumericRecipeFeaturizer("composition")],
    expected_failed_checks=lambda model: {} if isinstance(model, NumericRecipeFeaturizer) else EXPECTED_FAILURES,
)
def test_scikit_learn_estimator_checks(estimator, check):
    check(estimator)


def test_features_equal_array_path_for_any_column_order(pellets):
    sample = pellets.head(40)
    expected = build_features(read_batch(sample[[str(column) for column in RECIPE]]).table)
    shuffled = sample[list(sample.columns[::-1])].assign(furnace="old")
    found = RecipeFeaturizer().fit_transform(shuffled)
    np.testing.assert_array_equal(found, expected.values)
    assert RecipeFeaturizer().fit(sample).get_feature_names_out().tolist() == list(expected.names)
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
def test_formulas_in_any_container_are_accepted_as_recipes(formulas):
    found = RecipeFeaturizer("composition").transform(formulas)
    expected = build_features(read_batch(pd.DataFrame({"formula": FORMULAS})).table, "composition").values
    np.testing.assert_array_equal(found, expected)


def test_pymatgen_compositions_are_accepted_as_formulas():
    found = RecipeFeaturizer("composition").transform([Composition("Li1.3Al0.3Ti1.7P3O12")])
    np.testing.assert_allclose(found, RecipeFeaturizer("composition").transform(["LATP x=0.3"]), atol=1e-12)


def test_pandas_output_has_feature_names_and_index_of_the_input():
    featurizer = RecipeFeaturizer().set_output(transform="pandas")
    found = featurizer.fit_transform(pd.Series(FORMULAS, index=["a", "b", "c"]))
    assert found.columns.tolist() == list(feature_names())
    assert found.index.tolist() == ["a", "b", "c"]


def test_invalid_row_raises_error_naming_it_or_becomes_nan():
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


def test_invalid_tables_and_parameters_are_refused():
    table = pd.DataFrame({"formula": FORMULAS, "sintering_temp": 900.0})
    with pytest.raises(FieldError, match="sintering_temp"):
        RecipeFeaturizer(other_columns="error").fit(table)
    with pytest.raises(FieldError, match="temperature"):
        RecipeFeaturizer().fit(pd.DataFrame({"temperature": [900.0]}))
    for invalid in ("LATP x=0.3", np.array([["LATP x=0.3", "LAGP x=0.5"]]), np.eye(3)):
        with pytest.raises(ValueError, match="a list of formulas"):
            RecipeFeaturizer().transform(invalid)
    for parameter in ({"feature_set": "all"}, {"other_columns": "drop"}, {"on_error": "skip"}):
        with pytest.raises(ValueError, match=f"{next(iter(parameter))} must be one of"):
            RecipeFeaturizer(**parameter).fit(FORMULAS)


def test_featurizer_works_in_pipeline_and_column_transformer(pellets):
    sample = pellets[pellets["relative_density_pct"].notna()].head(60)
    y = sample["relative_density_pct"].astype(float)
    trees = HistGradientBoostingRegressor(max_iter=5, random_state=0)
    pipeline = make_pipeline(RecipeFeaturizer("composition"), trees).fit(sample, y)
    assert pipeline.predict(sample).shape == (60,)
    transformer = ColumnTransformer(
        [
            ("composition", RecipeFeaturizer("composition"), ["formula"]),
            ("names", RecipeFeaturizer("composition"), "formula"),
            ("temperature", StandardScaler(), ["sintering_temperature_c"]),
        ]
    ).set_output(transform="pandas")
    found = transformer.fit_transform(sample)
    assert "composition__x" in found.columns
    assert found.shape == (60, 2 * len(feature_names("composition")) + 1)
    assert found.index.equals(sample.index)


def test_importing_array_features_does_not_import_sklearn():
    program = "import sys, nasicon_ml.features as f; f.feature_names(); print('sklearn' in sys.modules)"
    completed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert completed.stdout == "False\n"
