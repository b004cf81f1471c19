"""The trees of one target: evaluated as arrays, and XGBoost's own where somebody asks for it.

Importing XGBoost takes longer than all the rest of a prediction, and its evaluation longer than all the rest of a
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
from nasicon_ml.trees.prediction import PairedRecipes, PairSums, TableSums

if TYPE_CHECKING:
    import xgboost


@dataclass(frozen=True, eq=False)
class TreeEnsemble:
    """The trees of one target."""

    arrays: TreeArrays = field(repr=False)  # the trees, checked
    # What XGBoost has just grown, which knows its settings; None for trees from a bundle
    grown: xgboost.Booster | None = field(default=None, repr=False)

    @classmethod
    def from_xgboost(cls, booster: xgboost.Booster, n_features: int) -> TreeEnsemble:
        """Return trees that XGBoost has grown, as a bundle will hold them: saving them changes no answer."""
        arrays = from_json(bytes(booster.save_raw("json")))
        arrays.check(n_features)
        return cls(arrays, booster)

    def scaled(self, share: float) -> TreeEnsemble:
        """Return the trees with their whole sum taken by a share."""
        if share == 1.0:
            return self
        arrays = self.arrays
        value = np.where(arrays.is_leaf, np.float32(share) * arrays.value, arrays.value)
        return TreeEnsemble(replace(arrays, value=value, base_score=float(np.float32(share * arrays.base_score))))

    def joined(self, other: TreeEnsemble) -> TreeEnsemble:
        """Return the trees of both, whose sum is that of the two sums."""
        ours, theirs = self.arrays, other.arrays
        columns = {
            name: np.concatenate([getattr(ours, name), getattr(theirs, name)])
            for name in (*PER_NODE, "tree_sizes")
        }
        base_score = float(np.float32(ours.base_score + theirs.base_score))
        return TreeEnsemble(TreeArrays(ours.n_features, 1, base_score, **columns))

    def to_xgboost(self) -> xgboost.Booster:
        """Return XGBoost's own model of the trees; `save_model` writes its file."""
        return self._booster

    @cached_property
    def _booster(self) -> xgboost.Booster:
        if self.grown is not None:
            return self.grown
        import xgboost as xgb

        return xgb.Booster(model_file=bytearray(to_json(self.arrays)))

    def margin(self, X: NDArray[Any] | PairedRecipes) -> Floats:
        """Evaluate the trees for features, shape (n, n_features), or for recipes as pairs, which is faster.

        Return the sum of the leaves that XGBoost reaches, shape (n,), on the scale the model learns, to a
        billionth. XGBoost adds them one after another in single precision, and is off by some millionths.
        """
        if isinstance(X, PairedRecipes):
            return X.of_recipes(self.pairs.margin(X.singles, X.shape))
        return self.sums.margin(np.asarray(X, dtype=np.float32))

    def prepare(self) -> None:
        """Build the tables that an evaluation needs, before threads share them."""
        self.sums.prepare()
        self.pairs.prepare()

    @cached_property
    def sums(self) -> TableSums:
        """The trees, for recipes of any kind."""
        return TableSums(self.arrays)

    @cached_property
    def pairs(self) -> PairSums:
        """The trees, for all pairs of some compositions and some processings: the same numbers, faster."""
        return PairSums(self.sums)
