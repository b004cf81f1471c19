"""Priors: linear models with a few terms of the recipe, fitted robustly for each target.

Trees interpolate between the training pellets and extrapolate as constants; a linear model transfers effects from
one system or technique to others. There are two kinds of terms. *Laws* have full weight, and the trees are fitted
to the remaining errors: the sintering law, and techniques with too few pellets for trees to learn. The other terms
form a second model of the target, which is averaged with the trees.

A coefficient is shrunk towards the value stated by the literature, with the weight of a given number of pellets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, reduce
from typing import Any

import numpy as np

from nasicon_ml.arrays import Floats
from nasicon_ml.estimators.boosting import BoosterSettings, TrainingMatrix, row_weights
from nasicon_ml.estimators.targets import POROSITY_FLOOR_POINTS, TargetName
from nasicon_ml.features.processing import LONGEST_H, SHORTEST_H, USUAL_TIME_H

#: Up to this substitution conductivity rises with x, beyond it second phases form (DeWees and Wang, ChemSusChem
#: 2019, 12, 3713: 0.4 to 0.5).
BEST_X = 0.4
#: Substitution below which a pellet behaves as undoped: it has few carriers and sinters badly.
UNDOPED_X = 0.1
#: Relative density of a green body in per cent, chosen within the 50 to 65 % of dry-pressed powders.
GREEN_DENSITY_PCT = 58.0
_LOWEST_X = -0.5
_SODIUM = 0.1
#: Number of pellets with which a coefficient is shrunk that is practically free.
_FREE = 1e-6
_ITERATIONS = 30


@dataclass(frozen=True)
class Term:
    """One term: a function of features times a coefficient.

    Attributes
    ----------
    features
        The features; explanations attribute the contribution of the term to the first one.
    compute
        Function from these features, each of shape (n,), to the term, shape (n,), never NaN.
    stated, pellets
        Value of the coefficient stated by the literature, and its weight as a number of pellets.
    lowest, highest
        Bounds of the coefficient.
    is_law
        Whether the term has full weight instead of being averaged with the trees.
    is_fitted
        Whether new models fit the term; the others are kept for older models.
    """

    features: tuple[str, ...]
    compute: Callable[..., Floats]
    stated: float = 0.0
    pellets: float = 1.0
    lowest: float = -np.inf
    highest: float = np.inf
    is_law: bool = False
    is_fitted: bool = True


def _filled(values: Floats, fill_value: float = 0.0) -> Floats:
    return np.where(np.isnan(values), fill_value, values)


def _any(*flags: Floats) -> Floats:
    return reduce(np.maximum, map(_filled, flags))


def _sintered(share: Floats) -> Floats:
    return _filled(share, 1.0)


def _times_sintered(compute: Callable[..., Floats]) -> Callable[..., Floats]:
    """Return a term multiplied by the sintered share, which is its last feature."""
    return lambda *inputs: compute(*inputs[:-1]) * _sintered(inputs[-1])


def _as_deposited(*inputs: Floats) -> Floats:
    """Return 1 for films that were not annealed; the last input is their temperature."""
    return _any(*inputs[:-1]) * (_filled(inputs[-1]) < _ANNEALED_C)


def _annealed(*inputs: Floats) -> Floats:
    """Return 1 for annealed films; inputs as in `_as_deposited`."""
    return _any(*inputs[:-1]) * (_filled(inputs[-1]) >= _ANNEALED_C)


def _techniques(*names: str) -> tuple[str, ...]:
    return tuple(f"densification={name}" for name in names)


_SINTERED_SHARE, _SINTERING_C = "sintered_share", "given_sintering_temperature_c"
#: Films deposited from vapour or aerosol, but not those grown or spun from solutions.
_FILMS = _techniques("sputtering", "pulsed_laser_deposition", "aerosol")
_HOT_PRESSED = _techniques("spark_plasma", "field_assisted", "hot_press", "hot_isostatic_press", "high_pressure")
#: Unit of terms of overfiring.
_OVERFIRING_UNIT_C = 100.0
#: Temperature from which films crystallise and densify: amorphous sputtered LATP does at 500 °C (ly1376).
_ANNEALED_C = 500.0

#: Films as deposited conduct 1.5 to 2.5 decades less than pellets (sputtered 1.3e-6, aerosol 5e-6 S/cm where
#: pellets of LAGP have 1e-4), cold sintering about 0.7 less (review of LAGP, 10.1002/adfm.202300973); an annealed
#: film of LATP reaches 1.2e-5 S/cm (ly1376). Pressed powder that is not sintered has no necks between its grains:
#: LATP 4e-8 S/cm (ly1417). LATP overfired by 100 °C lost up to half (raj2023, 10.1021/acsaem.2c02464); few works
#: exceed that, and trees extrapolate as constants.
_CONDUCTIVITY: dict[str, Term] = {
    "x up to the best": Term(("x",), lambda x: np.clip(x, _LOWEST_X, BEST_X), pellets=0.3, lowest=0.0),
    "x beyond the best": Term(("x",), lambda x: np.maximum(x - BEST_X, 0.0), pellets=0.3, highest=0.0),
    "undoped": Term(("x",), lambda x: np.exp(-np.maximum(x, 0.0) / UNDOPED_X), pellets=0.3, highest=0.0),
    "germanium": Term(("m_Ge",), lambda amount: amount / 2.0),
    "zirconium": Term(("m_Zr",), lambda amount: amount / 2.0),
    "hafnium": Term(("m_Hf",), lambda amount: amount / 2.0),
    "tin": Term(("m_Sn",), lambda amount: amount / 2.0),
    "silicon": Term(("t_silicon",), lambda amount: amount / 3.0),
    "sodium": Term(("a_sodium",), lambda amount: (amount > _SODIUM).astype(np.float64)),
    "not sintered": Term((_SINTERED_SHARE,), lambda share: 1.0 - _sintered(share), -1.0, 1.0, highest=0.0),
    "far overfired": Term(
        ("overfired_c",),
        lambda excess: np.maximum(_filled(excess) - _OVERFIRING_UNIT_C, 0.0) / _OVERFIRING_UNIT_C,
        -0.3,
        20.0,
        highest=0.0,
        is_law=True,
    ),
    "film as deposited": Term((*_FILMS, _SINTERING_C), _as_deposited, -1.75, 4.0, highest=0.0, is_law=True),
    "annealed film": Term((*_FILMS, _SINTERING_C), _annealed, -0.75, 4.0, highest=0.0, is_law=True),
    "cold sintering": Term(_techniques("cold_sintering"), _any, -0.7, 2.0, highest=0.0),
    "pressed, not sintered": Term(_techniques("cold_pressing"), _any, -1.0, 3.0, highest=0.0, is_law=True),
    "other film": Term(_techniques("thin_film"), _any, pellets=2.0),
    "cast": Term(_techniques("tape_cast", "screen_printing"), _any, pellets=2.0),
    "pressed while hot": Term(_HOT_PRESSED, _any, pellets=2.0),
    "crystallised glass": Term(_techniques("glass_ceramic_crystallization"), _any, pellets=2.0),
    "fluxing additive": Term(("additive_fluxing",), _any, pellets=2.0),
    "liquid of cold sintering": Term(("additive_process_liquid",), _any, pellets=2.0),
    "mixing of the route": Term(("mixing_quality",), lambda quality: _filled(quality) / 3.0, pellets=2.0),
    "overfired": Term(("overfired_c",), lambda excess: _filled(excess) / _OVERFIRING_UNIT_C, is_fitted=False),
    "film": Term(_FILMS, _any, is_law=True, is_fitted=False),
}


def _density_term(features: tuple[str, ...], compute: Callable[..., Floats], lowest: float = -np.inf) -> Term:
    return Term((*features, _SINTERED_SHARE), _times_sintered(compute), lowest=lowest, is_law=True)


#: Terms of the logarithm of the porosity, relative to that of the green body.
_DENSITY: dict[str, Term] = {
    "sintered": Term((_SINTERED_SHARE,), _sintered, -0.7, _FREE, is_law=True),
    "overfired": _density_term(("overfired_c",), lambda excess: _filled(excess) / _OVERFIRING_UNIT_C, lowest=0.0),
    "film": _density_term(_FILMS, _any),
    "cold sintering": _density_term(_techniques("cold_sintering"), _any),
    "cast": _density_term(_techniques("tape_cast", "screen_printing"), _any),
    "pressed while hot": _density_term(_HOT_PRESSED, _any),
    "crystallised glass": _density_term(_techniques("glass_ceramic_crystallization"), _any),
    "microwaves": _density_term(_techniques("microwave"), _any),
    "fluxing additive": _density_term(("additive_fluxing",), _any),
    "time": _density_term(
        ("given_sintering_time_h",),
        lambda hours: _filled(np.log10(np.clip(hours, SHORTEST_H, LONGEST_H) / USUAL_TIME_H)),
    ),
    "particle size": _density_term(("log10_particle_size_um",), lambda size: _filled(size, 0.5) - 0.5),
    "mixing of the route": _density_term(("mixing_quality",), lambda quality: _filled(quality) / 3.0),
    "undoped": _density_term(("x",), lambda x: np.exp(-np.maximum(x, 0.0) / UNDOPED_X)),
    "germanium": _density_term(("m_Ge",), lambda amount: amount / 2.0),
    "zirconium": _density_term(("m_Zr",), lambda amount: amount / 2.0),
    "hafnium": _density_term(("m_Hf",), lambda amount: amount / 2.0),
    "sodium": _density_term(("a_sodium",), lambda amount: (amount > _SODIUM).astype(np.float64)),
}
#: Target -> name -> term, in a fixed order; a target has no prior if the first term cannot be computed.
TERMS: Mapping[TargetName, Mapping[str, Term]] = {
    TargetName.CONDUCTIVITY: _CONDUCTIVITY,
    TargetName.RELATIVE_DENSITY: _DENSITY,
}
#: Fixed intercepts; the others are fitted.
_FIXED_INTERCEPTS = {
    TargetName.RELATIVE_DENSITY: float(np.log10(100.0 + POROSITY_FLOOR_POINTS - GREEN_DENSITY_PCT))
}


@dataclass(frozen=True)
class Prior:
    """Fitted terms of one target.

    Attributes
    ----------
    target
        The target.
    intercept
        On the scale the model learns.
    terms
        Names of the terms, keys of `TERMS`.
    coefficients, means
        Coefficient of each term, and its mean over the training pellets.
    columns
        Positions of the features of the terms (`term_features`) among all features.
    """

    target: TargetName
    intercept: float
    terms: tuple[str, ...]
    coefficients: tuple[float, ...]
    means: tuple[float, ...]
    columns: tuple[int, ...]

    def margin(self, X: Floats) -> Floats:
        """Return the prediction for features of shape (n, n_features); shape (n,)."""
        return self.margin_of_inputs([X[:, at] for at in self.columns])

    def margin_of_inputs(self, inputs: Sequence[Floats]) -> Floats:
        """Return the prediction, shape (n,), for the features at `columns`, each of shape (n,)."""
        margin = np.full(len(inputs[0]), self.intercept)
        # A matrix product is not used because its last bit depends on the number of recipes.
        for coefficient, term in zip(self.coefficients, self.term_values(inputs), strict=True):
            margin += coefficient * term
        return margin

    def laws(self) -> Prior:
        """Return the prior with laws only."""
        return self.weighted(0.0)

    def weighted(self, share: float) -> Prior:
        """Return the prior with all terms except laws multiplied by a share."""
        terms = TERMS[self.target]
        coefficients = tuple(
            value if terms[name].is_law else share * value
            for name, value in zip(self.terms, self.coefficients, strict=True)
        )
        intercept = self.intercept if self.target in _FIXED_INTERCEPTS else share * self.intercept
        return replace(self, coefficients=coefficients, intercept=intercept)

    @property
    def is_law(self) -> bool:
        """Whether all terms are laws."""
        return all(TERMS[self.target][name].is_law for name in self.terms)

    def term_values(self, inputs: Sequence[Floats]) -> list[Floats]:
        """Return the terms for the features at `columns`; each of shape (n,)."""
        return [term.compute(*(inputs[at] for at in positions)) for term, positions in self._terms_and_inputs]

    @cached_property
    def _terms_and_inputs(self) -> list[tuple[Term, tuple[int, ...]]]:
        """Each term and the positions of its features among the inputs."""
        names = term_features(self.target, self.terms)
        terms = [TERMS[self.target][name] for name in self.terms]
        return [(term, tuple(names.index(feature) for feature in term.features)) for term in terms]

    def to_json(self) -> dict[str, Any]:
        """Return all fields except the target."""
        return {name: value for name, value in asdict(self).items() if name != "target"}

    @classmethod
    def from_json(cls, target: TargetName, data: Mapping[str, Any]) -> Prior:
        """Read the output of `to_json`, or a prior of version 0.2, whose terms are not named.

        Raises
        ------
        ValueError
            If this version does not know a term, or the number of coefficients is wrong.
        """
        known = TERMS.get(target, {})
        terms = tuple(data.get("terms", tuple(known)[:_TERMS_OF_VERSION_0_2]))
        unknown = [name for name in terms if name not in known]
        if unknown:
            raise ValueError(f"this version knows no term {unknown[0]!r:.60} of {target}")
        share = float(data.get("share", 1.0))
        coefficients = tuple(share * float(value) for value in data["coefficients"])
        means, columns = tuple(map(float, data["means"])), tuple(map(int, data["columns"]))
        expected = (len(terms), len(terms), len(term_features(target, terms)))
        if (len(coefficients), len(means), len(columns)) != expected:
            raise ValueError(f"the prior of {target} has {expected[0]} terms of {expected[2]} features")
        return cls(target, share * float(data["intercept"]), terms, coefficients, means, columns)


#: Number of terms of a prior of version 0.2.
_TERMS_OF_VERSION_0_2 = 9


def term_features(target: TargetName, terms: Sequence[str]) -> tuple[str, ...]:
    """Return the features of some terms without repetition."""
    return tuple(dict.fromkeys(name for term in terms for name in TERMS[target][term].features))


def available_terms(target: TargetName, feature_names: Sequence[str]) -> tuple[str, ...]:
    """Return the terms that can be fitted with some features; none if the first one of the target cannot."""
    available = set(feature_names)
    terms = tuple(
        name
        for name, term in TERMS.get(target, {}).items()
        if term.is_fitted and available.issuperset(term.features)
    )
    return terms if terms and terms[0] == next(iter(TERMS[target])) else ()


def fit_prior(target: TargetName, rows: TrainingMatrix, settings: BoosterSettings) -> Prior:
    """Fit the terms by ridge regression with robust weights and an intercept for every source.

    Parameters
    ----------
    target
        The target.
    rows
        Training data; `available_terms` selects the terms by its features.
    settings
        Settings of the booster of the target: tolerance, shrinkage and weights of sources are used as in
        `nasicon_ml.estimators.boosting.robust_objective`.
    """
    from scipy.optimize import lsq_linear

    names = available_terms(target, rows.feature_names)
    columns = tuple(rows.feature_names.index(name) for name in term_features(target, names))
    fixed_intercept, zeros = _FIXED_INTERCEPTS.get(target, 0.0), (0.0,) * len(names)
    prior = Prior(target, fixed_intercept, names, zeros, zeros, columns)
    values = np.column_stack(prior.term_values([rows.X[:, at] for at in columns]))
    terms = [TERMS[target][name] for name in names]
    is_free = target not in _FIXED_INTERCEPTS
    design = np.column_stack([np.full(len(values), float(is_free)), values])
    y = rows.y - fixed_intercept
    stated = np.array([0.0, *(term.stated for term in terms)])
    root_pellets = np.sqrt([_FREE, *(term.pellets for term in terms)])
    bounds = ([-np.inf, *(term.lowest for term in terms)], [np.inf, *(term.highest for term in terms)])
    sources, codes = np.unique(rows.sources.astype(str), return_inverse=True)
    weight = row_weights(rows, settings)
    levels, solution = np.zeros(len(sources)), stated.copy()
    solution[0] = np.median(y) * is_free
    for _ in range(_ITERATIONS):
        unexplained = y - design @ solution
        robust = weight / np.sqrt(1.0 + ((unexplained - levels[codes]) / settings.tolerance) ** 2)
        total = np.bincount(codes, robust, len(sources)) + settings.source_shrinkage
        levels = np.bincount(codes, robust * unexplained, len(sources)) / total
        root = np.sqrt(robust)
        left = np.vstack([design * root[:, None], np.diag(root_pellets)])
        right = np.concatenate([root * (y - levels[codes]), root_pellets * stated])
        solution = lsq_linear(left, right, bounds=bounds).x
    intercept, *coefficients = (float(value) for value in solution)
    means = tuple(float(mean) for mean in values.mean(axis=0))
    return replace(
        prior, intercept=fixed_intercept + intercept * is_free, coefficients=tuple(coefficients), means=means
    )
