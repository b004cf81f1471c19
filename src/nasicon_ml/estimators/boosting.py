"""Gradient-boosted trees with a level for every source, and the composition prior they start from.

Pellets of one paper share powder, furnace, electrodes and habits, so that the whole paper lies above or below
what its recipes explain. Trees that are shown such rows as if they were independent learn the paper: its odd
calcination time comes to mean its level. Here each source has a random intercept; before every round of boosting
the intercepts are estimated from the errors so far, shrunk towards zero, and the new tree is fitted to what they
leave. A new source has the intercept zero, so predictions are the sum of the trees alone. The gradient of the
marginal loss with respect to the trees is that of the loss at the best intercepts (Sigrist,
10.48550/arXiv.2004.02653, for Gaussian errors; here the loss is robust or logistic, and the intercepts are its
mode).

The composition prior is a handful of terms, fitted robustly. Trees answer between the pellets they know and stay
flat beyond; a few coefficients say the same of aluminium in germanium as in titanium, and are hard to mislead. The
trees learn what the terms leave, so that an answer falls back to the terms where no pellet is near.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.features.processing import SINTERING_ENERGIES_KJ_MOL
from nasicon_ml.trees.ensemble import TreeEnsemble
from nasicon_ml.trees.grids import PairedRecipes

if TYPE_CHECKING:
    import xgboost

    #: Trees as XGBoost grew them, or as a bundle holds them.
    Trees: TypeAlias = xgboost.Booster | TreeEnsemble


Floats = NDArray[np.float64]

#: What XGBoost wants of an objective: predictions and data in, gradient and curvature of each row out.
Objective = Callable[[Floats, object], tuple[Floats, Floats]]

#: Reweighting steps for the intercepts in a round; they start where the last round ended.
_STEPS = 3
#: No row's curvature may vanish, or a leaf of certain rows would have no size.
_SMALLEST_CURVATURE = 1e-3
#: Features the terms are made of.
INPUTS = ("x", "m_Ge", "m_Zr", "m_Hf", "m_Sn", "t_silicon", "a_sodium")
#: Up to this substitution conductivity rises with x, beyond it second phases form (DeWees and Wang, ChemSusChem
#: 2019, 12, 3713: 0.4 to 0.5).
BEST_X = 0.4
#: Substitution below which a pellet behaves as undoped: its carriers are few, and it sinters badly.
UNDOPED_X = 0.1
_LOWEST_X = -0.5
_SODIUM = 0.1
#: Term -> the feature it belongs to. The intercept stands for LiTi2(PO4)3 at x = 0.
TERMS = {
    "x up to the best": "x",
    "x beyond the best": "x",
    "undoped": "x",
    "germanium": "m_Ge",
    "zirconium": "m_Zr",
    "hafnium": "m_Hf",
    "tin": "m_Sn",
    "silicon": "t_silicon",
    "sodium": "a_sodium",
}
#: Pellets that speak for a coefficient of zero, by term; the intercept is free.
_PENALTIES = (0.3, 0.3, 0.3, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
_FREE = 1e-6
#: Certain directions: carriers conduct, second phases and the want of carriers do not; the data say the rest.
_LOWEST = (-np.inf, 0.0, -np.inf, -np.inf, -np.inf, -np.inf, -np.inf, -np.inf, -np.inf, -np.inf)
_HIGHEST = (np.inf, np.inf, 0.0, 0.0, np.inf, np.inf, np.inf, np.inf, np.inf, np.inf)
_ITERATIONS = 30

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
    whose effect has one known direction, +1 or -1. `prior_share` is how much of the composition's prior the trees
    start from (`CompositionPrior`); 0 is none. Trees never split on `ignored` features: a constraint on
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
    """Return the weights of rows, the size of their source considered; shape (n,), mean 1."""
    _, codes, counts = np.unique(rows.sources.astype(str), return_inverse=True, return_counts=True)
    weight = rows.weight * counts[codes].astype(np.float64) ** -settings.source_weight
    return np.asarray(weight / weight.mean())


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


@dataclass(frozen=True)
class CompositionPrior:
    """A fitted prior of the composition, from which the trees start.

    Attributes
    ----------
    share
        Part of the terms' answer that the trees start from, 0 to 1; they learn the rest along with what the terms
        leave.
    intercept
        On the scale the model learns.
    coefficients, means
        By term, in the order of `TERMS`: effect, and mean over the pellets learned from.
    columns
        Where `INPUTS` stand among the features.
    """

    share: float
    intercept: float
    coefficients: tuple[float, ...]
    means: tuple[float, ...]
    columns: tuple[int, ...]

    def margin(self, X: Floats) -> Floats:
        """Return the start of the trees for features of shape (n, n_features); shape (n,)."""
        return self.start([X[:, at] for at in self.columns])

    def start(self, inputs: Sequence[Floats]) -> Floats:
        """Return the start of the trees, shape (n,), for the features at `columns`, each of shape (n,)."""
        found = np.full(len(inputs[0]), self.intercept)
        # Term by term: a product of matrices would depend, in the last bit, on how many recipes there are.
        for coefficient, term in zip(self.coefficients, _terms(inputs), strict=True):
            found += coefficient * term
        return self.share * found

    def contributions(self, X: Floats) -> tuple[Floats, float]:
        """Return Shapley values, shape (n, n_features), and the margin of the mean pellet.

        Shapley values of a sum of terms are coefficient times distance from the mean (Lundberg and Lee,
        10.48550/arXiv.1705.07874).
        """
        coefficients, means = np.array(self.coefficients), np.array(self.means)
        by_term = self.share * coefficients * (np.column_stack(_terms([X[:, at] for at in self.columns])) - means)
        found = np.zeros(X.shape)
        for at, feature in enumerate(TERMS.values()):
            found[:, self.columns[INPUTS.index(feature)]] += by_term[:, at]
        return found, float(self.share * (self.intercept + coefficients @ means))

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers and lists."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CompositionPrior:
        """Read what `to_json` returned.

        Raises
        ------
        ValueError
            If the number of terms or inputs is not that of this version.
        """
        prior = cls(
            float(data["share"]),
            float(data["intercept"]),
            tuple(float(value) for value in data["coefficients"]),
            tuple(float(value) for value in data["means"]),
            tuple(int(at) for at in data["columns"]),
        )
        found = (len(prior.coefficients), len(prior.means), len(prior.columns))
        if found != (len(TERMS), len(TERMS), len(INPUTS)):
            raise ValueError(f"a prior of this version has {len(TERMS)} terms of {len(INPUTS)} features")
        return prior


def fit_prior(rows: TrainingMatrix, settings: BoosterSettings) -> CompositionPrior:
    """Fit the terms by ridge regression with robust weights and a level for every source.

    Parameters
    ----------
    rows
        What to learn from; `INPUTS` are among its features.
    settings
        Of the booster that learns the rest: share of the prior, tolerance and shrinkage mean the same for terms as
        for trees (`robust_objective`).
    """
    from scipy.optimize import lsq_linear

    columns = tuple(rows.feature_names.index(name) for name in INPUTS)
    terms = np.column_stack(_terms([rows.X[:, at] for at in columns]))
    design = np.column_stack([np.ones(len(terms)), terms])
    penalty = np.diag(np.sqrt([_FREE, *_PENALTIES]))
    sources, codes = np.unique(rows.sources.astype(str), return_inverse=True)
    levels = np.zeros(len(sources))
    solution = np.zeros(design.shape[1])
    solution[0] = np.median(rows.y)
    for _ in range(_ITERATIONS):
        unexplained = rows.y - design @ solution
        robust = rows.weight / np.sqrt(1.0 + ((unexplained - levels[codes]) / settings.tolerance) ** 2)
        total = np.bincount(codes, robust, len(sources)) + settings.source_shrinkage
        levels = np.bincount(codes, robust * unexplained, len(sources)) / total
        root = np.sqrt(robust)
        left = np.vstack([design * root[:, None], penalty])
        right = np.concatenate([root * (rows.y - levels[codes]), np.zeros(len(penalty))])
        solution = lsq_linear(left, right, bounds=(_LOWEST, _HIGHEST)).x
    intercept, *coefficients = (float(value) for value in solution)
    means = tuple(float(mean) for mean in terms.mean(axis=0))
    return CompositionPrior(settings.prior_share, intercept, tuple(coefficients), means, columns)


def _terms(inputs: Sequence[Floats]) -> list[Floats]:
    """Return the terms of n recipes from their `INPUTS`; each of shape (n,)."""
    x, germanium, zirconium, hafnium, tin, silicon, sodium = inputs
    return [
        np.clip(x, _LOWEST_X, BEST_X),
        np.maximum(x - BEST_X, 0.0),
        np.exp(-np.maximum(x, 0.0) / UNDOPED_X),
        *(host / 2.0 for host in (germanium, zirconium, hafnium, tin)),
        silicon / 3.0,
        (sodium > _SODIUM).astype(np.float64),
    ]
