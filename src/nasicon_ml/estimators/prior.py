"""What a chemist expects of a composition before any tree is grown: a handful of terms, fitted robustly.

Trees answer between the pellets they know and stay flat beyond. A few coefficients cannot follow the data as
closely, but they say the same of aluminium in germanium as in titanium, and they are hard to mislead. The trees
then learn what the terms leave, so that an answer falls back to the terms where no pellet is near.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.estimators.boosting import BoosterSettings, TrainingMatrix

Floats = NDArray[np.float64]

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


@dataclass(frozen=True)
class CompositionPrior:
    """A fitted prior; what it answers is the start the trees go on from.

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
        """Give the start of the trees for features of shape (n, n_features); shape (n,)."""
        return self.start([X[:, at] for at in self.columns])

    def start(self, inputs: Sequence[Floats]) -> Floats:
        """Give the start of the trees for the features that stand at `columns`, each of shape (n,); shape (n,)."""
        found = np.full(len(inputs[0]), self.intercept)
        # Term by term: a product of matrices would depend, in the last bit, on how many recipes there are.
        for coefficient, term in zip(self.coefficients, _terms(inputs), strict=True):
            found += coefficient * term
        return self.share * found

    def contributions(self, X: Floats) -> tuple[Floats, float]:
        """Divide the margin among features, shape (n, n_features), around that of the mean pellet.

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
        """Give plain numbers and lists."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CompositionPrior:
        """Read what `to_json` gave.

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
        for trees (`nasicon_ml.estimators.mixed_effects.robust_objective`).
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
    """Give the terms of n recipes from their `INPUTS`; each of shape (n,)."""
    x, germanium, zirconium, hafnium, tin, silicon, sodium = inputs
    return [
        np.clip(x, _LOWEST_X, BEST_X),
        np.maximum(x - BEST_X, 0.0),
        np.exp(-np.maximum(x, 0.0) / UNDOPED_X),
        *(host / 2.0 for host in (germanium, zirconium, hafnium, tin)),
        silicon / 3.0,
        (sodium > _SODIUM).astype(np.float64),
    ]
