"""Gradient-boosted trees, with the settings each target gets when nobody tunes them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.estimators.targets import TargetName

if TYPE_CHECKING:
    import xgboost

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BoosterSettings:
    """Settings of one booster, under XGBoost's own names.

    `rounds` is the number of boosting rounds; each grows `num_parallel_tree` trees, which averages the noise
    of subsampling at the same depth. There is no early stopping: with some hundred rows the best round of one
    fold is luck.
    """

    objective: str
    rounds: int
    learning_rate: float
    max_depth: int
    min_child_weight: float
    subsample: float
    colsample_bynode: float
    reg_lambda: float
    num_parallel_tree: int = 1

    def parameters(self, seed: int) -> dict[str, Any]:
        """Give XGBoost's parameter dictionary."""
        own = {key: value for key, value in asdict(self).items() if key != "rounds"}
        return own | {"seed": seed, "nthread": 1, "tree_method": "hist", "verbosity": 1}

    def changed(self, **changes: Any) -> BoosterSettings:
        """Give a copy with some settings changed."""
        return replace(self, **changes)


#: Fixed settings, chosen by grouped cross-validation on the committed dataset (docs/method.md).
DEFAULT_SETTINGS: dict[TargetName, BoosterSettings] = {
    TargetName.CONDUCTIVITY: BoosterSettings("reg:absoluteerror", 250, 0.06, 5, 3.0, 0.7, 0.3, 3.0, 2),
    TargetName.RELATIVE_DENSITY: BoosterSettings("reg:absoluteerror", 60, 0.1, 5, 3.0, 0.7, 0.2, 1.0, 6),
    TargetName.PHASE_PURITY: BoosterSettings("binary:logistic", 100, 0.04, 3, 3.0, 0.7, 0.3, 5.0, 2),
    TargetName.ACTIVATION_ENERGY: BoosterSettings("reg:squarederror", 100, 0.05, 3, 4.0, 0.7, 0.3, 5.0, 2),
}


def fit_booster(X: Floats, y: Floats, weight: Floats, settings: BoosterSettings, *, seed: int) -> xgboost.Booster:
    """Fit one booster.

    Parameters
    ----------
    X
        Features, shape (n, n_features), NaN where not given.
    y, weight
        Target on the scale the model learns, and weight of each row; shape (n,).
    settings
        What to fit.
    seed
        Same data, seed and versions give the same trees.
    """
    import xgboost as xgb

    matrix = xgb.DMatrix(X, label=y, weight=weight, missing=np.nan, nthread=1)
    return xgb.train(settings.parameters(seed), matrix, num_boost_round=settings.rounds)


def raw_prediction(booster: xgboost.Booster, X: Floats) -> Floats:
    """Evaluate a booster; shape (n,), on the scale the model learns (log-odds for probabilities)."""
    if len(X) == 0:
        return np.empty(0)
    return np.asarray(booster.inplace_predict(X, predict_type="margin", missing=np.nan), dtype=np.float64)
