"""The same features behind matminer's `BaseFeaturizer`, for `featurize_dataframe` and `MultipleFeaturizer`.

>>> from nasicon_ml.features.matminer_api import NasiconComposition
>>> len(NasiconComposition().featurize("Li1.3Al0.3Ti1.7(PO4)3")) == len(NasiconComposition().feature_labels())
True
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from matminer.featurizers.base import BaseFeaturizer

from nasicon_ml.columns import RECIPE, Column
from nasicon_ml.features.build import FeatureSet, build_features, feature_names
from nasicon_ml.recipe.batch import formula_text, read_recipes, recipe_frame

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
    """Runs a feature set of this package; whole tables go through it at once, not row by row."""

    feature_set: FeatureSet

    def featurize(self, *entry: Any) -> list[float]:
        """Featurize one entry; matminer's contract."""
        values: list[float] = build_features(self._table([entry]), self.feature_set).values[0].tolist()
        return values

    def featurize_many(
        self, entries: Iterable[Any], ignore_errors: bool = False, return_errors: bool = False, pbar: bool = True
    ) -> list[list[Any]]:
        """Featurize many entries in arrays; row by row only where matminer is asked to swallow errors."""
        if ignore_errors:
            rows: list[list[Any]] = super().featurize_many(
                entries, ignore_errors=True, return_errors=return_errors, pbar=pbar
            )
            return rows
        wrapped = [entry if isinstance(entry, (tuple, list, np.ndarray)) else (entry,) for entry in entries]
        table = self._table(wrapped)
        return build_features(table, self.feature_set).values.tolist() if len(table) else []

    def feature_labels(self) -> list[str]:
        """Give the frozen column order of the feature set."""
        return list(feature_names(self.feature_set))

    def citations(self) -> list[str]:
        """Give BibTeX of what the features rest on."""
        return [_SHANNON, _MAGPIE]

    def implementors(self) -> list[str]:
        """Give who to ask."""
        return ["the nasicon-ml developers"]

    def _table(self, entries: Sequence[Any]) -> pd.DataFrame:
        raise NotImplementedError


class NasiconComposition(_ArrayFeaturizer):
    """Who sits on which site of A1+xM2(TO4)3, and what that does to charge, size and disorder.

    Takes a formula as text or a pymatgen Composition, so it stands beside matminer's own composition
    featurizers in a MultipleFeaturizer.

    Features: amounts of alkali, of each M cation and of Si per formula unit; substitution x, alkali excess and
    charge imbalance; amounts of M cations by valence; mean, mean deviation and range of Shannon radii on M;
    Magpie statistics of the M site and of the whole formula; mixing entropy on M in units of R.
    """

    feature_set = FeatureSet.COMPOSITION

    def _table(self, entries: Sequence[Any]) -> pd.DataFrame:
        formulas = [formula_text(entry[0]) for entry in entries]
        return pd.DataFrame({str(Column.FORMULA): formulas})


class NasiconRecipe(_ArrayFeaturizer):
    """Everything a recipe says: composition, additive and processing.

    `featurize` takes the values of `columns`, in that order; in a data frame give
    ``col_id=NasiconRecipe.columns``.
    """

    feature_set = FeatureSet.FULL
    columns: ClassVar[list[str]] = [str(column) for column in RECIPE]

    def citations(self) -> list[str]:
        """Give BibTeX of what the features rest on."""
        return [_SHANNON, _MAGPIE, _SINTERING]

    def _table(self, entries: Sequence[Any]) -> pd.DataFrame:
        frame = pd.DataFrame([list(entry) for entry in entries], columns=self.columns)
        return read_recipes(recipe_frame(frame, RECIPE)).table
