"""Trees as a bundle holds them: a few recipes are answered from their arrays, many by XGBoost.

Importing XGBoost takes longer than all the rest of a single prediction, and a few hundred small trees need little:
one comparison a level. So a bundle's trees stay arrays until there are enough recipes, or somebody asks for the
booster itself.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.errors import BundleError
from nasicon_ml.estimators.tree_layout import TreeTable

if TYPE_CHECKING:
    import xgboost

Floats = NDArray[np.float64]

#: From so many recipes on XGBoost is worth its import, and what it takes once it is there.
WORTH_IMPORTING, WORTH_CALLING = 2_000, 50
#: So many cells (recipes times trees) are walked at once: what fits into a processor's cache.
_CELLS = 200_000


@dataclass(frozen=True)
class StoredTrees:
    """The trees of one target, read from a bundle.

    Attributes
    ----------
    raw
        XGBoost's own binary JSON, as it was saved.
    table
        The trees in it, checked by `nasicon_ml.estimators.forest.check_forest`.
    base_score
        Where the sum over the trees starts, on the scale of the trees.
    """

    raw: bytes
    table: TreeTable = field(repr=False)
    base_score: float

    @cached_property
    def booster(self) -> xgboost.Booster:
        """XGBoost's own model of them."""
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
            Shape (n,), on the scale the model learns; equal to XGBoost's to the last bit, however many recipes
            (both add single-precision leaves in the order of the trees).
        """
        enough = WORTH_CALLING if "xgboost" in sys.modules else WORTH_IMPORTING
        if len(X) >= enough:
            return inplace_margin(self.booster, X)
        found = np.empty(len(X))
        step = max(1, _CELLS // len(self.table.sizes))
        for start in range(0, len(X), step):
            found[start : start + step] = self._walk(np.asarray(X[start : start + step], dtype=np.float32))
        return found

    def _walk(self, X: NDArray[np.float32]) -> Floats:
        nodes = self._nodes
        rows = np.arange(len(X))[:, None]
        at = np.broadcast_to(self.table.starts, (len(X), len(self.table.starts)))
        for _ in range(nodes.depth):
            values = X[rows, nodes.feature[at]]
            goes_left = np.where(np.isnan(values), nodes.default_left[at], values < nodes.threshold[at])
            at = np.where(goes_left, nodes.left[at], nodes.right[at])
        leaves = np.concatenate(
            [np.full((len(X), 1), self.base_score, dtype=np.float32), nodes.threshold[at]], axis=1
        )
        # One after another and in single precision, as XGBoost adds them.
        return np.cumsum(leaves, axis=1, dtype=np.float32)[:, -1].astype(np.float64)

    @cached_property
    def _nodes(self) -> _Nodes:
        return _Nodes.of(self.table)


@dataclass(frozen=True)
class _Nodes:
    """All nodes of all trees by their place in the table; a leaf is its own child, and its threshold its value."""

    feature: NDArray[np.intp]
    threshold: NDArray[np.float32]
    default_left: NDArray[np.bool_]
    left: NDArray[np.intp]
    right: NDArray[np.intp]
    depth: int

    @classmethod
    def of(cls, table: TreeTable) -> _Nodes:
        columns = table.columns
        root = np.repeat(table.starts, table.sizes)
        own = np.arange(len(root))
        leaf = columns["left_children"] < 0
        left = np.where(leaf, own, root + columns["left_children"])
        right = np.where(leaf, own, root + columns["right_children"])
        depth, level = 0, table.starts[~leaf[table.starts]]
        while len(level):
            depth += 1
            level = np.concatenate([left[level], right[level]])
            level = level[~leaf[level]]
        return cls(
            columns["split_indices"].astype(np.intp),
            columns["split_conditions"].astype(np.float32),
            columns["default_left"].astype(np.bool_),
            left.astype(np.intp),
            right.astype(np.intp),
            depth,
        )


def read_base_score(text: str) -> float:
    """Read how XGBoost writes the base score: a number, in brackets since version 3.1."""
    return float(re.sub(r"[\[\]]", "", text))


def inplace_margin(booster: xgboost.Booster, X: NDArray[Any]) -> Floats:
    """Let XGBoost evaluate its trees; shape (n,), on the scale the model learns."""
    return np.asarray(booster.inplace_predict(X, predict_type="margin", missing=np.nan), dtype=np.float64)
