"""Features of recipes as a scikit-learn transformer.

>>> from nasicon_ml.features import RecipeFeaturizer
>>> RecipeFeaturizer("composition").fit_transform(["LATP x=0.3", "LAGP x=0.5"]).shape
(2, 58)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from nasicon_ml.arrays import Floats, Strings
from nasicon_ml.columns import RECIPE, Column
from nasicon_ml.features.build import FeatureSet, build_features, feature_names
from nasicon_ml.recipe.batch import read_recipes, recipe_frame


class RecipeFeaturizer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Compute features of recipes or formulas.

    The transformer is stateless: `transform` works without `fit`.

    Parameters
    ----------
    feature_set
        Name of a `nasicon_ml.features.build.FeatureSet`: "full_3" covers the whole recipe, "full_2" omits the
        preparation of powder and green pellet, "composition" covers the formula only.
    other_columns
        Whether unknown columns are ignored ("ignore") or refused ("error").
    on_error
        Whether a row that cannot be read raises an error ("raise") or becomes a row of NaN ("nan").

    Attributes
    ----------
    n_features_in_, feature_names_in_
        Columns that are read if present.
    """

    def __init__(
        self, feature_set: str = FeatureSet.FULL.value, *, other_columns: str = "ignore", on_error: str = "raise"
    ) -> None:
        self.feature_set = feature_set
        self.other_columns = other_columns
        self.on_error = on_error

    def fit(self, X: Any, y: Any = None) -> RecipeFeaturizer:  # noqa: ARG002
        """Check parameters and columns.

        Parameters
        ----------
        X
            As for `transform`.
        y
            Not used.

        Returns
        -------
        self
        """
        self._check_parameters()
        recipe_frame(X, self._columns(), refuse_others=self.other_columns == "error")
        self.feature_names_in_ = np.array([str(column) for column in self._columns()], dtype=object)
        self.n_features_in_ = len(self.feature_names_in_)
        return self

    def transform(self, X: Any) -> Floats:
        """Return the features, shape (n, n_features); NaN where a recipe does not give the fields needed.

        Parameters
        ----------
        X
            A DataFrame of n recipes with the column `formula` and any other recipe columns, in any order; or a
            list, array or Series of n formulas, as text or pymatgen Composition.

        Raises
        ------
        FieldError
            If a row cannot be read and `on_error` is "raise" (the error names the row and the value), if there are
            no formulas, or if a column is unknown and `other_columns` is "error".
        ValueError
            If a parameter or X is of the wrong kind.
        """
        self._check_parameters()
        frame = recipe_frame(X, self._columns(), refuse_others=self.other_columns == "error")
        batch = read_recipes(frame, raise_errors=self.on_error == "raise")
        features = build_features(batch.table, self.feature_set)
        values = np.full((len(frame), len(features.names)), np.nan)
        values[batch.rows] = features.values
        return values

    def get_feature_names_out(self, input_features: Any = None) -> Strings:  # noqa: ARG002
        """Return the names of the features, shape (n_features,); `input_features` is not used."""
        return np.array(feature_names(self.feature_set), dtype=object)

    def _columns(self) -> tuple[Column, ...]:
        return (Column.FORMULA,) if self.feature_set == FeatureSet.COMPOSITION else RECIPE

    def _check_parameters(self) -> None:
        allowed = {
            "feature_set": tuple(FeatureSet),
            "other_columns": ("ignore", "error"),
            "on_error": ("raise", "nan"),
        }
        for name, choices in allowed.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, not {getattr(self, name)!r}")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = tags.input_tags.one_d_array = tags.input_tags.allow_nan = True
        tags.requires_fit = False
        return tags
