"""Gradient-boosted trees with a level for every source.

Pellets of one paper share powder, furnace, electrodes and habits, so that the whole paper lies above or below
what its recipes explain. Trees that are shown such rows as if they were independent learn the paper: its odd
calcination time comes to mean its level. Here each source has a random intercept; before every round of boosting
the intercepts are estimated from the errors so far, shrunk towards zero, and the new tree is fitted to what they
leave. A new source has the intercept zero, so predictions are the sum of the trees alone. The gradient of the
marginal loss with respect to the trees is that of the loss at the best intercepts (Sigrist,
10.48550/arXiv.2004.02653, for Gaussian errors; here the loss is robust or logistic, and the intercepts are its
mode).
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

    #: Trees as XGBoost grew them, or as a bundle holds them.
    Trees: TypeAlias = xgboost.Booster | TreeEnsemble


#: What XGBoost wants of an objective: predictions and data in, gradient and curvature of each row out.
Objective = Callable[[Floats, object], tuple[Floats, Floats]]

#: Reweighting steps for the intercepts in a round; they start where the last round ended.
_STEPS = 3
#: No row's curvature may vanish, or a leaf of certain rows would have no size.
_SMALLEST_CURVATURE = 1e-3
#: Objectives of this package: with an intercept for every source.
MIXED_ROBUST, MIXED_LOGISTIC = "mixed:pseudohuber", "mixed:logistic"


@dataclass(frozen=True)
class BoosterSettings:
    """Settings of one booster, under XGBoost's own names where it has them.

    `rounds` is the number of boosting rounds; each grows `num_parallel_tree` trees, which averages the noise
    of subsampling at the same depth. There is no early stopping: with some hundred rows the best round of one
    fold is luck.

    `source_shrinkage` and `tolerance` belong to the mixed objectives (see there). A row weighs its source's number
    of rows to the power of minus `source_weight`: 0 counts pellets, 1 counts sources. `monotone` names features
    whose effect has one known direction, +1 or -1. Trees never split on `ignored` features: a constraint on one
    side of a temperature says nothing while the temperature itself is there to split on.

    `prior_share` is the weight of the prior (`nasicon_ml.estimators.priors`) in the average with the trees, 0 for
    no prior; one whose terms are all laws counts in full. `forest_share` is the weight of extremely randomised
    trees (`nasicon_ml.estimators.fitting`). With a `temperature_spread_c` the trees learn from each pellet several
    times, at sintering temperatures that differ by so much (standard deviation): furnaces do, and answers become
    smooth.
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
        """Return XGBoost's parameters; constraints on features that are not there fall away."""
        own = {name: value for name, value in asdict(self).items() if name not in _OURS}
        if self.objective in (MIXED_ROBUST, MIXED_LOGISTIC):
            del own["objective"]
        directions = dict(self.monotone)
        constraints = tuple(directions.get(name, 0) for name in feature_names)
        if any(constraints):
            own["monotone_constraints"] = constraints
        return own | {"seed": seed, "nthread": 1, "tree_method": "hist", "verbosity": 1}

    def changed(self, **changes: Any) -> BoosterSettings:
        """Return a copy with some settings changed."""
        return replace(self, **changes)


_OURS = (
    "rounds", "source_shrinkage", "tolerance", "source_weight", "monotone", "ignored", "prior_share",
    "forest_share", "temperature_spread_c",
)  # fmt: skip

#: Too hot costs lithium, too cold leaves pores: neither makes a better conductor.
_FIRING_AND_CONDUCTIVITY = (("underfired_c", -1), ("overfired_c", -1), ("lithia_loss_c_log_h", -1))
#: What has lost lithium is a mixture.
_FIRING_AND_PURITY = (("overfired_c", -1), ("lithia_loss_c_log_h", -1))
#: It leaves pores (density is learned as porosity).
_FIRING_AND_POROSITY = (("overfired_c", 1),)
#: The temperature itself, which the two sides of the usual one stand for.
_TEMPERATURE = ("given_sintering_temperature_c", "sintering_minus_calcination_c", "firing_excess_c")
#: What the sintering law of density stands for: the trees would fill the pores of a green body again.
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
    copies
        How many rows stand for one pellet.
    """

    X: Floats
    feature_names: tuple[str, ...]
    y: Floats
    weight: Floats
    sources: NDArray[np.object_]
    copies: int = 1


@contextmanager
def without_autologging() -> Iterator[None]:
    """Keep ``mlflow.autolog()`` of the calling program from making a run of every booster that is fitted."""
    logging = sys.modules.get("mlflow.utils.autologging_utils")  # not imported: nothing is logged by itself
    with nullcontext() if logging is None else logging.disable_autologging():
        yield


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

    weight = row_weights(rows, settings)
    ignored = np.isin(rows.feature_names, settings.ignored)
    matrix = xgb.DMatrix(np.where(ignored, np.nan, rows.X), label=rows.y, weight=weight, missing=np.nan, nthread=1)
    parameters = settings.parameters(seed, rows.feature_names)
    objective, start = _objective(rows, weight, settings)
    if objective is not None:
        parameters |= {"base_score": start, "disable_default_eval_metric": True}
    return xgb.train(parameters, matrix, num_boost_round=settings.rounds, obj=objective)


def _objective(rows: TrainingMatrix, weight: Floats, settings: BoosterSettings) -> tuple[Objective | None, float]:
    """Return the objective with source levels and where the trees start; None for one of XGBoost's."""
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


def row_weights(rows: TrainingMatrix, settings: BoosterSettings) -> Floats:
    """Return the weights of rows, the size of their source considered; shape (n,), mean 1 a pellet."""
    _, codes, counts = np.unique(rows.sources.astype(str), return_inverse=True, return_counts=True)
    weight = rows.weight * counts[codes].astype(np.float64) ** -settings.source_weight
    return np.asarray(weight / weight.mean() / rows.copies)


def raw_prediction(trees: Trees, X: Floats | PairedRecipes) -> Floats:
    """Return the sum of the trees, shape (n,), on the scale the model learns (log-odds for probabilities).

    Trees that XGBoost has just grown answer with its own single-precision sums, those of a bundle with exact ones.
    """
    if isinstance(trees, TreeEnsemble):
        return trees.margin(X)
    if isinstance(X, PairedRecipes):
        raise TypeError("recipes as pairs are answered by a TreeEnsemble alone")
    if len(X) == 0:
        return np.empty(0)
    return np.asarray(trees.inplace_predict(X, predict_type="margin", missing=np.nan), dtype=np.float64)


def as_booster(trees: Trees) -> xgboost.Booster:
    """Return XGBoost's own model of trees."""
    return trees.to_xgboost() if isinstance(trees, TreeEnsemble) else trees


class _Intercepts:
    """The level of each source, on the scale the model learns."""

    def __init__(self, sources: ArrayLike) -> None:
        names, self._codes = np.unique(np.asarray(sources, dtype=str), return_inverse=True)
        self._levels = np.zeros(len(names))

    def per_row(self) -> Floats:
        return np.asarray(self._levels[self._codes])

    def step(self, gradient: Floats, curvature: Floats, shrinkage: float) -> None:
        """Take one Newton step on the loss of all rows plus the penalty on the levels."""
        count = len(self._levels)
        slope = np.bincount(self._codes, gradient, count) + shrinkage * self._levels
        self._levels = self._levels - slope / (np.bincount(self._codes, curvature, count) + shrinkage)


def robust_objective(
    y: Floats, weight: Floats, sources: ArrayLike, *, tolerance: float, shrinkage: float
) -> Objective:
    """Return the pseudo-Huber objective of trees plus the source's intercept.

    Parameters
    ----------
    y, weight, sources
        Target on the scale the model learns, weight and source key of each row; shape (n,).
    tolerance
        Errors much smaller than this count squared, much larger ones by their size.
    shrinkage
        Variance within a source over that between sources: as many pellets as speak for an intercept of zero.

    Returns
    -------
    callable
        For `xgboost.train(obj=...)`. The curvature is that of the reweighted least squares (Charbonnier et al.,
        10.1109/83.551699), which does not vanish for outliers as the second derivative does.
    """
    intercepts = _Intercepts(sources)

    def objective(predicted: Floats, _data: object) -> tuple[Floats, Floats]:
        for _ in range(_STEPS):
            error = predicted + intercepts.per_row() - y
            reweighted = weight / np.sqrt(1.0 + (error / tolerance) ** 2)
            intercepts.step(reweighted * error, reweighted, shrinkage)
        error = predicted + intercepts.per_row() - y
        reweighted = weight / np.sqrt(1.0 + (error / tolerance) ** 2)
        return reweighted * error, reweighted

    return objective


def logistic_objective(y: Floats, weight: Floats, sources: ArrayLike, *, shrinkage: float) -> Objective:
    """Return the logistic objective of trees plus the source's intercept.

    Parameters
    ----------
    y
        Outcomes, 0 or 1, shape (n,).
    weight, sources
        Weight and source key of each row; shape (n,).
    shrinkage
        One over the variance of the intercepts, in log-odds.

    Returns
    -------
    callable
        For `xgboost.train(obj=...)`.
    """
    intercepts = _Intercepts(sources)

    def slopes(predicted: Floats) -> tuple[Floats, Floats]:
        probability = 1.0 / (1.0 + np.exp(-(predicted + intercepts.per_row())))
        return weight * (probability - y), weight * probability * (1.0 - probability)

    def objective(predicted: Floats, _data: object) -> tuple[Floats, Floats]:
        for _ in range(_STEPS):
            intercepts.step(*slopes(predicted), shrinkage)
        gradient, curvature = slopes(predicted)
        return gradient, np.maximum(curvature, _SMALLEST_CURVATURE)

    return objective
