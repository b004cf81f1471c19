"""Gradient-boosted trees with a random intercept for every source.

Pellets of one paper share powder, furnace and electrodes, so that all of them lie above or below what their
recipes explain. Trees fitted to such rows as if they were independent learn the paper, for instance from its
unusual calcination time. Here each source has a random intercept: before every round of boosting the intercepts
are estimated from the present errors, shrunk towards zero, and the new tree is fitted to the remaining errors. A
new source has the intercept zero, so that predictions are the sum of the trees. The gradient of the marginal loss
with respect to the trees is that of the loss at the best intercepts (Sigrist, 10.48550/arXiv.2004.02653, for
Gaussian errors; here the loss is robust or logistic, and the intercepts are its mode).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasicon_ml.arrays import Floats
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.features.processing import SINTERING_ENERGIES_KJ_MOL
from nasicon_ml.trees.ensemble import TreeEnsemble
from nasicon_ml.trees.prediction import PairedRecipes

if TYPE_CHECKING:
    import xgboost

    #: Trees fitted by XGBoost, or read from a bundle.
    Trees: TypeAlias = xgboost.Booster | TreeEnsemble


#: Objective of XGBoost: from predictions and data to gradient and curvature of each row.
Objective = Callable[[Floats, object], tuple[Floats, Floats]]

#: Newton steps for the intercepts in each round, starting from the intercepts of the previous round.
_NEWTON_STEPS = 3
#: Lower bound of the curvature of a row, which keeps the values of leaves finite.
_SMALLEST_CURVATURE = 1e-3
#: Objectives of this package, with an intercept for every source.
MIXED_ROBUST, MIXED_LOGISTIC = "mixed:pseudohuber", "mixed:logistic"


@dataclass(frozen=True)
class BoosterSettings:
    """Settings of one booster, with XGBoost's names where it has them.

    `rounds` is the number of boosting rounds; each grows `num_parallel_tree` trees, which averages the noise
    of subsampling at the same depth. There is no early stopping, because with a few hundred rows the best round of
    one fold is random.

    `source_shrinkage` and `tolerance` are parameters of the mixed objectives. The weight of a row is the number of
    rows of its source to the power of minus `source_weight`: 0 counts pellets, 1 counts sources. `monotone` names
    features whose effect has a known direction, +1 or -1. Trees never split on `ignored` features: a constraint on
    a deviation from a temperature has no effect if trees can split on the temperature itself.

    `prior_share` is the weight of the prior (`nasicon_ml.estimators.priors`) in the average with the trees, 0 for
    no prior; a prior that consists of laws has full weight. `forest_share` is the weight of extremely randomised
    trees (`nasicon_ml.estimators.fitting`). With a `temperature_spread_c` the trees are fitted to several copies
    of each pellet with sintering temperatures varied by this standard deviation, which is the uncertainty of
    furnaces and makes predictions smooth.
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
    ignored: tuple[str, ...] = ()
    prior_share: float = 0.0
    forest_share: float = 0.0
    temperature_spread_c: float = 0.0

    def parameters(self, seed: int, feature_names: Sequence[str] = ()) -> dict[str, Any]:
        """Return XGBoost's parameters; constraints on other than the given features are left out."""
        parameters = {name: value for name, value in asdict(self).items() if name not in _NOT_OF_XGBOOST}
        if self.objective in (MIXED_ROBUST, MIXED_LOGISTIC):
            del parameters["objective"]
        directions = dict(self.monotone)
        constraints = tuple(directions.get(name, 0) for name in feature_names)
        if any(constraints):
            parameters["monotone_constraints"] = constraints
        return parameters | {"seed": seed, "nthread": 1, "tree_method": "hist", "verbosity": 1}

    def changed(self, **changes: Any) -> BoosterSettings:
        """Return a copy with some settings changed."""
        return replace(self, **changes)


_NOT_OF_XGBOOST = (
    "rounds", "source_shrinkage", "tolerance", "source_weight", "monotone", "ignored", "prior_share",
    "forest_share", "temperature_spread_c",
)  # fmt: skip

#: Overfiring loses lithium and underfiring leaves pores: neither raises the conductivity.
_FIRING_AND_CONDUCTIVITY = (("underfired_c", -1), ("overfired_c", -1), ("lithia_loss_c_log_h", -1))
#: Loss of lithium leads to secondary phases.
_FIRING_AND_PURITY = (("overfired_c", -1), ("lithia_loss_c_log_h", -1))
#: Overfiring leaves pores (density is learned as porosity).
_FIRING_AND_POROSITY = (("overfired_c", 1),)
#: Temperatures, in place of which density uses the deviations from the usual temperature.
_TEMPERATURE = ("given_sintering_temperature_c", "sintering_minus_calcination_c", "firing_excess_c")
#: Features that the sintering law of density already describes.
_UNDERSINTERED = ("underfired_c", "sintered_share")
_SINTERING_WORK = tuple(f"log10_sintering_work_{energy:.0f}_kj_mol" for energy in SINTERING_ENERGIES_KJ_MOL)
#: Fixed settings, chosen by grouped cross-validation on the committed dataset (docs/what-we-tried.md).
DEFAULT_SETTINGS: dict[TargetName, BoosterSettings] = {
    TargetName.CONDUCTIVITY: BoosterSettings(
        MIXED_ROBUST, 250, 0.06, 5, 3.0, 0.7, 0.3, 3.0, 4,
        source_shrinkage=2.0, tolerance=0.3, monotone=_FIRING_AND_CONDUCTIVITY, prior_share=0.3,
        temperature_spread_c=25.0,
    ),
    TargetName.RELATIVE_DENSITY: BoosterSettings(
        MIXED_ROBUST, 60, 0.1, 4, 1.0, 0.7, 0.2, 1.0, 6,
        source_shrinkage=1.0, tolerance=0.15, source_weight=0.5, monotone=_FIRING_AND_POROSITY,
        ignored=(*_TEMPERATURE, *_SINTERING_WORK, *_UNDERSINTERED), prior_share=1.0,
    ),
    TargetName.PHASE_PURITY: BoosterSettings(
        MIXED_LOGISTIC, 200, 0.04, 2, 3.0, 0.7, 0.3, 5.0, 4,
        source_shrinkage=0.7, monotone=_FIRING_AND_PURITY, forest_share=0.5,
    ),
    TargetName.ACTIVATION_ENERGY: BoosterSettings(
        MIXED_ROBUST, 200, 0.05, 2, 4.0, 0.7, 0.3, 5.0, 2, source_shrinkage=2.0, tolerance=0.05,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class TrainingMatrix:
    """Training data of one target.

    Attributes
    ----------
    X
        Features, shape (n, n_features), NaN where not given.
    feature_names
        Names of the columns of X.
    y, weight
        Target on the scale the model learns, and weight of each row; shape (n,).
    sources
        Source of each row, shape (n,).
    copies
        Number of rows per pellet.
    """

    X: Floats
    feature_names: tuple[str, ...]
    y: Floats
    weight: Floats
    sources: NDArray[np.object_]
    copies: int = 1


@contextmanager
def without_autologging() -> Iterator[None]:
    """Prevent ``mlflow.autolog()`` of the calling program from creating a run for every fitted booster."""
    autologging = sys.modules.get("mlflow.utils.autologging_utils")  # None: MLflow is not in use
    with nullcontext() if autologging is None else autologging.disable_autologging():
        yield


def fit_booster(rows: TrainingMatrix, settings: BoosterSettings, *, seed: int) -> xgboost.Booster:
    """Fit one booster.

    Parameters
    ----------
    rows
        Training data.
    settings
        Settings of the booster.
    seed
        Seed of XGBoost; the same data, seed and versions give the same trees.
    """
    import xgboost as xgb

    weight = row_weights(rows, settings)
    ignored = np.isin(rows.feature_names, settings.ignored)
    matrix = xgb.DMatrix(np.where(ignored, np.nan, rows.X), label=rows.y, weight=weight, missing=np.nan, nthread=1)
    parameters = settings.parameters(seed, rows.feature_names)
    objective, start = _objective(rows, weight, settings)
    if objective is not None:
        parameters |= {"base_score": start, "disable_default_eval_metric": True}
    return xgb.train(parameters, matrix, num_boost_round=settings.rounds, obj=objective)


def _objective(rows: TrainingMatrix, weight: Floats, settings: BoosterSettings) -> tuple[Objective | None, float]:
    """Return a mixed objective and the prediction that boosting starts from; None for an objective of XGBoost."""
    data, shrinkage = (rows.y, weight, rows.sources), settings.source_shrinkage
    if settings.objective == MIXED_ROBUST:
        objective = robust_objective(*data, tolerance=settings.tolerance, shrinkage=shrinkage)
        return objective, float(np.median(rows.y))
    if settings.objective == MIXED_LOGISTIC:
        # Adding half a success and half a failure keeps the odds finite if all outcomes are equal.
        share = (rows.y.sum() + 0.5) / (len(rows.y) + 1.0)
        return logistic_objective(*data, shrinkage=shrinkage), float(np.log(share / (1.0 - share)))
    return None, float("nan")


def row_weights(rows: TrainingMatrix, settings: BoosterSettings) -> Floats:
    """Return the weights of rows, which depend on the size of their source; shape (n,), mean 1 per pellet."""
    _, codes, counts = np.unique(rows.sources.astype(str), return_inverse=True, return_counts=True)
    weight = rows.weight * counts[codes].astype(np.float64) ** -settings.source_weight
    return np.asarray(weight / weight.mean() / rows.copies)


def raw_prediction(trees: Trees, X: Floats | PairedRecipes) -> Floats:
    """Return the sum of the trees, shape (n,), on the scale the model learns (log-odds for probabilities).

    XGBoost's trees are summed in single precision, those of a bundle exactly.
    """
    if isinstance(trees, TreeEnsemble):
        return trees.margin(X)
    if isinstance(X, PairedRecipes):
        raise TypeError("recipes as pairs are answered by a TreeEnsemble alone")
    if len(X) == 0:
        return np.empty(0)
    return np.asarray(trees.inplace_predict(X, predict_type="margin", missing=np.nan), dtype=np.float64)


def as_booster(trees: Trees) -> xgboost.Booster:
    """Return trees as a model of XGBoost."""
    return trees.to_xgboost() if isinstance(trees, TreeEnsemble) else trees


def _mixed_objective(
    derivatives: Callable[[Floats], tuple[Floats, Floats]], sources: ArrayLike, shrinkage: float
) -> Objective:
    """Return an objective that updates the intercepts of the sources before it computes `derivatives`.

    `derivatives` returns gradient and curvature of the loss at predictions that include the intercepts.
    """
    names, codes = np.unique(np.asarray(sources, dtype=str), return_inverse=True)
    count = len(names)
    intercepts = np.zeros(count)

    def objective(predicted: Floats, _data: object) -> tuple[Floats, Floats]:
        nonlocal intercepts
        for _ in range(_NEWTON_STEPS):
            gradient, curvature = derivatives(predicted + intercepts[codes])
            slope = np.bincount(codes, gradient, count) + shrinkage * intercepts
            intercepts = intercepts - slope / (np.bincount(codes, curvature, count) + shrinkage)
        return derivatives(predicted + intercepts[codes])

    return objective


def robust_objective(
    y: Floats, weight: Floats, sources: ArrayLike, *, tolerance: float, shrinkage: float
) -> Objective:
    """Return the pseudo-Huber objective of trees plus the intercept of the source.

    Parameters
    ----------
    y, weight, sources
        Target on the scale the model learns, weight and source of each row; shape (n,).
    tolerance
        Errors much smaller than this are penalised quadratically, much larger ones linearly.
    shrinkage
        Variance within a source over that between sources.

    Returns
    -------
    callable
        For `xgboost.train(obj=...)`. The curvature is that of the reweighted least squares (Charbonnier et al.,
        10.1109/83.551699), which does not vanish for outliers as the second derivative does.
    """

    def derivatives(predicted: Floats) -> tuple[Floats, Floats]:
        error = predicted - y
        reweighted = weight / np.sqrt(1.0 + (error / tolerance) ** 2)
        return reweighted * error, reweighted

    return _mixed_objective(derivatives, sources, shrinkage)


def logistic_objective(y: Floats, weight: Floats, sources: ArrayLike, *, shrinkage: float) -> Objective:
    """Return the logistic objective of trees plus the intercept of the source.

    Parameters
    ----------
    y
        Outcomes, 0 or 1, shape (n,).
    weight, sources
        Weight and source of each row; shape (n,).
    shrinkage
        Inverse variance of the intercepts, in log-odds.

    Returns
    -------
    callable
        For `xgboost.train(obj=...)`.
    """

    def derivatives(predicted: Floats) -> tuple[Floats, Floats]:
        probability = 1.0 / (1.0 + np.exp(-predicted))
        return weight * (probability - y), weight * probability * (1.0 - probability)

    mixed = _mixed_objective(derivatives, sources, shrinkage)

    def objective(predicted: Floats, data: object) -> tuple[Floats, Floats]:
        gradient, curvature = mixed(predicted, data)
        return gradient, np.maximum(curvature, _SMALLEST_CURVATURE)

    return objective
