"""Trees as a bundle holds them: evaluated as arrays, and XGBoost's own only where somebody asks for the booster.

Importing XGBoost takes longer than all the rest of a prediction, and its evaluation longer than all the rest of a
screening.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.errors import BundleError
from nasicon_ml.estimators.crossed_trees import CrossedTrees
from nasicon_ml.estimators.leaf_sums import LeafSums
from nasicon_ml.estimators.tree_layout import TreeTable

if TYPE_CHECKING:
    import xgboost

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class StoredTrees:
    """The trees of one target, as they stand in a bundle.

    Attributes
    ----------
    raw
        XGBoost's own binary JSON, as it was saved.
    table
        The trees in it, checked by `nasicon_ml.estimators.forest.check_forest`.
    base_score
        Where the sum over the trees starts, on the scale of the trees.
    grown
        What XGBoost has just grown, which knows its settings; None for trees from a bundle.
    """

    raw: bytes
    table: TreeTable = field(repr=False)
    base_score: float
    grown: xgboost.Booster | None = field(default=None, repr=False, compare=False)

    @cached_property
    def booster(self) -> xgboost.Booster:
        """XGBoost's own model of them."""
        if self.grown is not None:
            return self.grown
        import xgboost as xgb

        booster = xgb.Booster()
        try:
            booster.load_model(bytearray(self.raw))
        except xgb.core.XGBoostError as error:
            reason = str(error).strip().partition("\n")[0][:200]
            raise BundleError(f"XGBoost cannot read the trees of this bundle: {reason}") from error
        return booster

    def save_raw(self, raw_format: str = "ubj") -> bytes:
        """Give the file, as `xgboost.Booster.save_raw` does; in the binary format alone."""
        if raw_format != "ubj":
            return bytes(self.booster.save_raw(raw_format))
        return self.raw

    def margin(self, X: NDArray[Any]) -> Floats:
        """Evaluate the trees.

        Parameters
        ----------
        X
            Features, shape (n, n_features), NaN where not given.

        Returns
        -------
        ndarray
            Shape (n,), on the scale the model learns: the sum of the leaves that XGBoost reaches, to a billionth.
            XGBoost adds them one after another in single precision, and is off by some millionths.
        """
        return self.sums.margin(np.asarray(X, dtype=np.float32))

    @cached_property
    def sums(self) -> LeafSums:
        """The trees, for recipes of any kind."""
        return LeafSums(self.table, float(np.float32(self.base_score)))

    @cached_property
    def crossed(self) -> CrossedTrees:
        """The trees, for all pairs of some compositions and some ways of making them: the same numbers, faster."""
        return CrossedTrees(self.sums)


def read_base_score(text: str) -> float:
    """Read how XGBoost writes the base score: a number, in brackets since version 3.1."""
    return float(re.sub(r"[\[\]]", "", text))


def inplace_margin(booster: xgboost.Booster, X: NDArray[Any]) -> Floats:
    """Let XGBoost evaluate its trees; shape (n,), on the scale the model learns."""
    return np.asarray(booster.inplace_predict(X, predict_type="margin", missing=np.nan), dtype=np.float64)
