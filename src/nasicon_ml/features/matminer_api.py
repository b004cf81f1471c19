"""The feature sets as matminer featurizers, for `featurize_dataframe` and `MultipleFeaturizer`.

>>> from nasicon_ml.features.matminer_api import NasiconComposition
>>> len(NasiconComposition().featurize("Li1.3Al0.3Ti1.7(PO4)3")) == len(NasiconComposition().feature_labels())
True
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from matminer.featurizers.base import BaseFeaturizer

from nasicon_ml.columns import RECIPE, Column
from nasicon_ml.errors import FieldError
from nasicon_ml.features.build import FeatureSet, build_features, feature_names
from nasicon_ml.recipe.batch import read_recipes, recipe_frame

#: Name of a temporary column for the fields that a table does not have.
_NOT_GIVEN = "not given to NasiconRecipe"
_SHANNON = """@article{shannon1976,
  author={Shannon, R. D.},
  title={Revised effective ionic radii and systematic studies of interatomic distances in halides and
         chalcogenides},
  journal={Acta Cryst. A}, volume={32}, pages={751-767}, year={1976}, doi={10.1107/S0567739476001551}}"""
_MAGPIE = """@article{ward2016,
  author={Ward, L. and Agrawal, A. and Choudhary, A. and Wolverton, C.},
  title={A general-purpose machine learning framework for predicting properties of inorganic materials},
  journal={npj Comput. Mater.}, volume={2}, pages={16028}, year={2016}, doi={10.1038/npjcompumats.2016.28}}"""
_SINTERING = """@article{su1996,
  author={Su, H. and Johnson, D. L.},
  title={Master Sintering Curve: A Practical Approach to Sintering},
  journal={J. Am. Ceram. Soc.}, volume={79}, pages={3211-3217}, year={1996},
  doi={10.1111/j.1151-2916.1996.tb08097.x}}"""


class _ArrayFeaturizer(BaseFeaturizer):  # type: ignore[misc]
    """Compute a feature set of this package, for all rows of a table at once."""

    feature_set: ClassVar[FeatureSet]
    columns: ClassVar[list[str]]

    def featurize(self, *entry: Any) -> list[float]:
        """Return the features of one entry.

        Raises
        ------
        FieldError
            If it does not have one value for each of `columns`, or cannot be read.
        """
        self._check_lengths([entry])
        batch = read_recipes(self._frame([entry]))
        values: list[float] = build_features(batch.table, self.feature_set).values[0].tolist()
        return values

    def featurize_wrapper(self, x: Any, return_errors: bool = False, ignore_errors: bool = False) -> list[Any]:
        """Return the features of one entry; an error that is not ignored is raised unchanged."""
        if ignore_errors:
            return list(super().featurize_wrapper(x, return_errors, ignore_errors))
        return [*self.featurize(*x), *([np.nan] if return_errors else [])]

    def featurize_many(
        self,
        entries: Any,
        ignore_errors: bool = False,
        return_errors: bool = False,
        pbar: Any = True,  # noqa: ARG002
    ) -> list[list[Any]]:
        """Return the features of many entries, computed together; errors are those of `featurize`.

        Raises
        ------
        FieldError
            If an entry cannot be read and errors are not ignored.
        ValueError
            If errors are to be returned but not ignored.
        """
        if return_errors and not ignore_errors:
            raise ValueError("return_errors needs ignore_errors")
        if isinstance(entries, pd.DataFrame) and Column.FORMULA in entries.columns:
            cells = entries.reindex(columns=self.columns).astype(object)
            entries = cells.where(cells.notna(), None)
        entries = entries.to_numpy() if isinstance(entries, (pd.Series, pd.DataFrame)) else list(entries)
        rows = [entry if isinstance(entry, (tuple, list, np.ndarray)) else (entry,) for entry in entries]
        if not ignore_errors:
            self._check_lengths(rows)
        complete = [i for i, row in enumerate(rows) if len(row) == len(self.columns)]
        features, reason = {}, f"not one value for each of {', '.join(self.columns)}"
        if complete:
            batch = read_recipes(self._frame([rows[i] for i in complete]), raise_errors=not ignore_errors)
            values = build_features(batch.table, self.feature_set).values.tolist()
            features = {complete[i]: row for i, row in zip(batch.rows.tolist(), values, strict=True)}
            reason = batch.findings[0].message if batch.findings else reason
        if len(features) < len(rows) and not return_errors:
            unreadable = f"{len(rows) - len(features)} of {len(rows)} entries cannot be read and are NaN"
            warnings.warn(f"{unreadable}; the first: {reason}", stacklevel=2)
        no_error = [np.nan] if return_errors else []
        return [
            features[i] + no_error if i in features else self.featurize_wrapper(row, return_errors, ignore_errors)
            for i, row in enumerate(rows)
        ]

    def featurize_dataframe(self, df: pd.DataFrame, col_id: Any, *arguments: Any, **settings: Any) -> Any:
        """Add the features to a table, as in matminer; recipe columns are matched by name.

        They may be in any order; those that `col_id` omits are not given.
        """
        names = [col_id] if isinstance(col_id, str) else list(col_id)
        if Column.FORMULA not in names or not set(names) <= set(self.columns):
            return super().featurize_dataframe(df, col_id, *arguments, **settings)
        ordered = [name if name in names else _NOT_GIVEN for name in self.columns]
        table = df.assign(**{_NOT_GIVEN: None}) if _NOT_GIVEN in ordered else df.copy()
        inplace = settings.pop("inplace", False)
        featurized = super().featurize_dataframe(table, ordered, *arguments, **settings)
        kept = [_NOT_GIVEN not in (name if isinstance(name, tuple) else (name,)) for name in featurized.columns]
        featurized = featurized.loc[:, kept]
        if not inplace:
            return featurized
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pd.errors.PerformanceWarning)  # columns are added one by one
            for name in featurized.columns.difference(df.columns, sort=False):
                df[name] = featurized[name]
        return None

    def feature_labels(self) -> list[str]:
        """Return the frozen column order of the feature set."""
        return list(feature_names(self.feature_set))

    def citations(self) -> list[str]:
        """Return the sources of the features as BibTeX."""
        return [_SHANNON, _MAGPIE]

    def implementors(self) -> list[str]:
        """Return the authors."""
        return ["the nasicon-ml developers"]

    def _check_lengths(self, rows: Sequence[Any]) -> None:
        for i, row in enumerate(rows):
            if len(row) != len(self.columns):
                place = f"row {i}" if len(rows) > 1 else ""
                raise FieldError(
                    "entry", tuple(row), f"a value for each of {', '.join(self.columns)}", place=place
                )

    def _frame(self, rows: Sequence[Any]) -> pd.DataFrame:
        """Return the entries as a table for `read_recipes`."""
        return recipe_frame(pd.DataFrame([list(row) for row in rows], columns=self.columns), RECIPE)


class NasiconComposition(_ArrayFeaturizer):
    """Compute site occupancies of A1+xM2(TO4)3, and statistics of charge, size and disorder.

    Takes a formula as text or a pymatgen Composition, so it works next to matminer's own composition
    featurizers in a MultipleFeaturizer.

    Features: amounts of alkali, of each M cation and of Si per formula unit; substitution x, alkali excess and
    charge imbalance; amounts of M cations by valence; mean, mean deviation and range of Shannon radii on M;
    Magpie statistics of the M site and of the whole formula; mixing entropy on M in units of R.
    """

    feature_set = FeatureSet.COMPOSITION
    columns: ClassVar[list[str]] = [str(Column.FORMULA)]


class NasiconRecipe(_ArrayFeaturizer):
    """Compute the features of a whole recipe: composition, additive and processing.

    `featurize` takes the values of `columns`, in that order. For a data frame, ``col_id`` lists the columns that
    it has, in any order; `featurize_dataframe` and `transform` match them by name.
    """

    feature_set = FeatureSet.FULL
    columns: ClassVar[list[str]] = [str(column) for column in RECIPE]

    def citations(self) -> list[str]:
        """Return the sources of the features as BibTeX."""
        return [_SHANNON, _MAGPIE, _SINTERING]
