"""The trees of one target, evaluated as arrays and converted to an XGBoost model on request.

Importing XGBoost takes longer than the rest of a prediction, and its evaluation longer than the rest of a
screening.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.arrays import Floats
from nasicon_ml.trees.arrays import PER_NODE, TreeArrays, from_json, to_json
from nasicon_ml.trees.prediction import PairedRecipes, PairEvaluator, TableEvaluator

if TYPE_CHECKING:
    import xgboost


@dataclass(frozen=True, eq=False)
class TreeEnsemble:
    """The trees of one target."""

    arrays: TreeArrays = field(repr=False)  # the trees, checked
    # the booster from which the trees were read, with its settings; None for trees from a bundle
    grown: xgboost.Booster | None = field(default=None, repr=False)

    @classmethod
    def from_xgboost(cls, booster: xgboost.Booster, n_features: int) -> TreeEnsemble:
        """Convert an XGBoost model to the form saved in a bundle, so that saving changes no prediction."""
        arrays = from_json(bytes(booster.save_raw("json")))
        arrays.check(n_features)
        return cls(arrays, booster)

    def scaled(self, factor: float) -> TreeEnsemble:
        """Return the trees with their sum multiplied by a factor."""
        if factor == 1.0:
            return self
        arrays = self.arrays
        value = np.where(arrays.is_leaf, np.float32(factor) * arrays.value, arrays.value)
        base_score = float(np.float32(factor * arrays.base_score))
        return TreeEnsemble(replace(arrays, value=value, base_score=base_score))

    def joined(self, other: TreeEnsemble) -> TreeEnsemble:
        """Return the trees of both ensembles; their predictions add up."""
        first, second = self.arrays, other.arrays
        columns = {
            name: np.concatenate([getattr(first, name), getattr(second, name)])
            for name in (*PER_NODE, "tree_sizes")
        }
        base_score = float(np.float32(first.base_score + second.base_score))
        return TreeEnsemble(TreeArrays(first.n_features, 1, base_score, **columns))

    def to_xgboost(self) -> xgboost.Booster:
        """Return the trees as an XGBoost model; its method `save_model` writes a file."""
        return self._booster

    @cached_property
    def _booster(self) -> xgboost.Booster:
        if self.grown is not None:
            return self.grown
        import xgboost as xgb

        return xgb.Booster(model_file=bytearray(to_json(self.arrays)))

    def margin(self, X: NDArray[Any] | PairedRecipes) -> Floats:
        """Evaluate the trees for features, shape (n, n_features), or for recipes as pairs, which is faster.

        Return the sum of the leaves that XGBoost reaches, shape (n,), on the scale the model learns, with an error
        of a billionth. XGBoost adds them up in single precision, with an error of some millionths.
        """
        if isinstance(X, PairedRecipes):
            return X.per_recipe(self.pair_evaluator.margin(X.single_columns, X.shape))
        return self.table_evaluator.margin(np.asarray(X, dtype=np.float32))

    def prepare(self) -> None:
        """Build the tables needed for an evaluation, before threads share them."""
        self.table_evaluator.prepare()
        self.pair_evaluator.prepare()

    @cached_property
    def table_evaluator(self) -> TableEvaluator:
        """Evaluator for any recipes."""
        return TableEvaluator(self.arrays)

    @cached_property
    def pair_evaluator(self) -> PairEvaluator:
        """Evaluator for all pairs of some compositions and processings: the same numbers, faster."""
        return PairEvaluator(self.table_evaluator)
