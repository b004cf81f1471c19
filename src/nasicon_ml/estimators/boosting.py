"""Gradient-boosted trees, with the settings each target gets when nobody tunes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.estimators.crossed_recipes import CrossedRecipes
from nasicon_ml.estimators.mixed_effects import Objective, logistic_objective, robust_objective
from nasicon_ml.estimators.stored_trees import StoredTrees, inplace_margin
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.features.processing import SINTERING_ENERGIES_KJ_MOL

if TYPE_CHECKING:
    import xgboost

    #: Trees as XGBoost grew them, or as a bundle holds them.
    Trees: TypeAlias = xgboost.Booster | StoredTrees

Floats = NDArray[np.float64]


#: Objectives of this package's own (`nasicon_ml.estimators.mixed_effects`): with an intercept for every source.
MIXED_ROBUST, MIXED_LOGISTIC = "mixed:pseudohuber", "mixed:logistic"


@dataclass(frozen=True)
class BoosterSettings:
    """Settings of one booster, under XGBoost's own names where it has them.

    `rounds` is the number of boosting rounds; each grows `num_parallel_tree` trees, which averages the noise
    of subsampling at the same depth. There is no early stopping: with some hundred rows the best round of one
    fold is luck.

    `source_shrinkage` and `tolerance` belong to the mixed objectives (see there). A row weighs its source's number
    of rows to the power of minus `source_weight`: 0 counts pellets, 1 counts sources. `monotone` names features
    whose effect has one known direction, +1 or -1. `prior_share` is how much of the composition's prior the trees
    start from (`nasicon_ml.estimators.prior`); 0 is none. Trees never split on `ignored` features: a constraint on
    one side of a temperature says nothing while the temperature itself is there to split on.
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
    source_shrinkage: float = 1.0
    tolerance: float = 1.0
    source_weight: float = 0.0
    monotone: tuple[tuple[str, int], ...] = ()
    prior_share: float = 0.0
    ignored: tuple[str, ...] = ()

    def parameters(self, seed: int, feature_names: Sequence[str] = ()) -> dict[str, Any]:
        """Give XGBoost's parameter dictionary; constraints on features that are not there fall away."""
        own = {name: value for name, value in asdict(self).items() if name not in _OURS}
        if self.objective in (MIXED_ROBUST, MIXED_LOGISTIC):
            del own["objective"]
        directions = dict(self.monotone)
        constraints = tuple(directions.get(name, 0) for name in feature_names)
        if any(constraints):
            own["monotone_constraints"] = constraints
        return own | {"seed": seed, "nthread": 1, "tree_method": "hist", "verbosity": 1}

    def changed(self, **changes: Any) -> BoosterSettings:
        """Give a copy with some settings changed."""
        return replace(self, **changes)


_OURS = ("rounds", "source_shrinkage", "tolerance", "source_weight", "monotone", "prior_share", "ignored")

#: Too hot costs lithium, too cold leaves pores: neither makes a better conductor.
_FIRING_AND_CONDUCTIVITY = (("underfired_c", -1), ("overfired_c", -1), ("lithia_loss_c_log_h", -1))
#: What has lost lithium is a mixture.
_FIRING_AND_PURITY = (("overfired_c", -1), ("lithia_loss_c_log_h", -1))
#: Both leave pores (density is learned as porosity).
_FIRING_AND_POROSITY = (("underfired_c", 1), ("overfired_c", 1))
#: The temperature itself, which the two sides of the usual one stand for.
_TEMPERATURE = ("given_sintering_temperature_c", "sintering_minus_calcination_c", "firing_excess_c")
_SINTERING_WORK = tuple(f"log10_sintering_work_{energy:.0f}_kj_mol" for energy in SINTERING_ENERGIES_KJ_MOL)
#: Fixed settings, chosen by grouped cross-validation on the committed dataset (docs/what-we-tried.md).
DEFAULT_SETTINGS: dict[TargetName, BoosterSettings] = {
    TargetName.CONDUCTIVITY: BoosterSettings(
        MIXED_ROBUST, 250, 0.06, 5, 3.0, 0.7, 0.3, 3.0, 4,
        source_shrinkage=2.0, tolerance=0.3, monotone=_FIRING_AND_CONDUCTIVITY, prior_share=0.5,
    ),
    TargetName.RELATIVE_DENSITY: BoosterSettings(
        "reg:absoluteerror", 60, 0.1, 4, 1.0, 0.7, 0.2, 1.0, 6,
        source_weight=0.5, monotone=_FIRING_AND_POROSITY, ignored=(*_TEMPERATURE, *_SINTERING_WORK),
    ),
    TargetName.PHASE_PURITY: BoosterSettings(
        MIXED_LOGISTIC, 200, 0.04, 2, 3.0, 0.7, 0.3, 5.0, 4,
        source_shrinkage=0.7, monotone=_FIRING_AND_PURITY,
    ),
    TargetName.ACTIVATION_ENERGY: BoosterSettings(
        MIXED_ROBUST, 200, 0.05, 2, 4.0, 0.7, 0.3, 5.0, 2, source_shrinkage=2.0, tolerance=0.05,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class TrainingMatrix:
    """Rows to learn from.

    Attributes
    ----------
    X
        Features, shape (n, n_features), NaN where not given.
    feature_names
        Of the columns.
    y, weight
        Target on the scale the model learns, and weight of each row; shape (n,).
    sources
        Source key of each row, shape (n,).
    """

    X: Floats
    feature_names: tuple[str, ...]
    y: Floats
    weight: Floats
    sources: NDArray[np.object_]


def fit_booster(rows: TrainingMatrix, settings: BoosterSettings, *, seed: int) -> xgboost.Booster:
    """Fit one booster.

    Parameters
    ----------
    rows
        What to learn from.
    settings
        What to fit.
    seed
        Same data, seed and versions give the same trees.
    """
    import xgboost as xgb

    weight = rows.weight * _source_size(rows.sources) ** -settings.source_weight
    weight = weight / weight.mean()
    ignored = np.isin(rows.feature_names, settings.ignored)
    matrix = xgb.DMatrix(np.where(ignored, np.nan, rows.X), label=rows.y, weight=weight, missing=np.nan, nthread=1)
    parameters = settings.parameters(seed, rows.feature_names)
    objective, start = _objective(rows, weight, settings)
    if objective is not None:
        parameters |= {"base_score": start, "disable_default_eval_metric": True}
    return xgb.train(parameters, matrix, num_boost_round=settings.rounds, obj=objective)


def _objective(rows: TrainingMatrix, weight: Floats, settings: BoosterSettings) -> tuple[Objective | None, float]:
    """Give our own objective and where the trees start; None for one of XGBoost's."""
    shrinkage = settings.source_shrinkage
    if settings.objective == MIXED_ROBUST:
        objective = robust_objective(
            rows.y, weight, rows.sources, tolerance=settings.tolerance, shrinkage=shrinkage
        )
        return objective, float(np.median(rows.y))
    if settings.objective == MIXED_LOGISTIC:
        # Half a success and half a failure more keep the odds finite where all pellets are alike.
        share = (rows.y.sum() + 0.5) / (len(rows.y) + 1.0)
        return logistic_objective(rows.y, weight, rows.sources, shrinkage=shrinkage), float(
            np.log(share / (1.0 - share))
        )
    return None, float("nan")


def _source_size(sources: NDArray[np.object_]) -> Floats:
    _, codes, counts = np.unique(sources.astype(str), return_inverse=True, return_counts=True)
    return np.asarray(counts[codes], dtype=np.float64)


def raw_prediction(trees: Trees, X: Floats | CrossedRecipes) -> Floats:
    """Evaluate trees; shape (n,), on the scale the model learns (log-odds for probabilities).

    Trees that XGBoost has just grown answer with its own single-precision sums, those of a bundle with exact ones.
    """
    if isinstance(X, CrossedRecipes):
        if not isinstance(trees, StoredTrees):
            raise TypeError("crossed recipes are answered by stored trees (nasicon_ml.estimators.forest.stored)")
        return X.margin(trees)
    if len(X) == 0:
        return np.empty(0)
    return trees.margin(X) if isinstance(trees, StoredTrees) else inplace_margin(trees, X)


def as_booster(trees: Trees) -> xgboost.Booster:
    """Give XGBoost's own model of trees."""
    return trees.booster if isinstance(trees, StoredTrees) else trees
