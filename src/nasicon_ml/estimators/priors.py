"""What is known before any tree grows: a handful of terms of the recipe, fitted robustly, by target.

Trees answer between the pellets they know and stay flat beyond; a few coefficients say the same of aluminium in
germanium as in titanium, of a film as of a pellet, and are hard to mislead. Terms are of two kinds. *Laws* hold in
full, and the trees learn what they leave: the sintering law, and techniques of which there are too few pellets to
learn them. The other terms and the trees are two models of the same thing, unlike each other, and are averaged.

A coefficient is drawn to what the literature states as if some pellets spoke for that, so that few pellets leave
it there and many do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from nasicon_ml.arrays import Floats
from nasicon_ml.estimators.boosting import BoosterSettings, TrainingMatrix, row_weights
from nasicon_ml.estimators.targets import POROSITY_FLOOR_POINTS, TargetName
from nasicon_ml.features.processing import LONGEST_H, SHORTEST_H, USUAL_TIME_H

#: Up to this substitution conductivity rises with x, beyond it second phases form (DeWees and Wang, ChemSusChem
#: 2019, 12, 3713: 0.4 to 0.5).
BEST_X = 0.4
#: Substitution below which a pellet behaves as undoped: its carriers are few, and it sinters badly.
UNDOPED_X = 0.1
#: Relative density of a green body in per cent. A choice: dry-pressed powders pack to 50 to 65 %.
GREEN_DENSITY_PCT = 58.0
_LOWEST_X = -0.5
_SODIUM = 0.1
_FREE = 1e-6
_ITERATIONS = 30
_INFINITE = float("inf")


@dataclass(frozen=True)
class Term:
    """One term: a number of the recipe times a coefficient.

    Attributes
    ----------
    features
        What it is made of; the first is credited with what it contributes.
    compute
        From these features, each of shape (n,), to the term, shape (n,), never NaN.
    stated, pellets
        What the literature states for the coefficient, and how many pellets speak for it.
    lowest, highest
        Bounds of the coefficient: directions that are certain.
    is_law
        Whether it holds in full, instead of being averaged with the trees.
    is_fitted
        Whether new models learn it; others are known for the models that did.
    """

    features: tuple[str, ...]
    compute: Callable[..., Floats]
    stated: float = 0.0
    pellets: float = 1.0
    lowest: float = -_INFINITE
    highest: float = _INFINITE
    is_law: bool = False
    is_fitted: bool = True


def _known(values: Floats, otherwise: float = 0.0) -> Floats:
    return np.where(np.isnan(values), otherwise, values)


def _any(*flags: Floats) -> Floats:
    found = _known(flags[0])
    for flag in flags[1:]:
        found = np.maximum(found, _known(flag))
    return found


def _sintered(share: Floats) -> Floats:
    return _known(share, 1.0)


def _while_sintered(part: Callable[..., Floats]) -> Callable[..., Floats]:
    """Return a term that counts as far as the pellet has sintered; the share is its last feature."""
    return lambda *inputs: part(*inputs[:-1]) * _sintered(inputs[-1])


def _as_deposited(*inputs: Floats) -> Floats:
    """Return 1 for films that were not heated after deposition; their temperature is the last input."""
    return _any(*inputs[:-1]) * (_known(inputs[-1]) < _ANNEALED_C)


def _annealed(*inputs: Floats) -> Floats:
    """Return 1 for films that were; inputs as of `_as_deposited`."""
    return _any(*inputs[:-1]) * (_known(inputs[-1]) >= _ANNEALED_C)


def _techniques(*names: str) -> tuple[str, ...]:
    return tuple(f"densification={name}" for name in names)


_SHARE, _FIRED_C = "sintered_share", "given_sintering_temperature_c"
#: Deposited from vapour or aerosol. Films grown or spun from solutions are others.
_FILMS = _techniques("sputtering", "pulsed_laser_deposition", "aerosol")
_PRESSED = _techniques("spark_plasma", "field_assisted", "hot_press", "hot_isostatic_press", "high_pressure")
#: So many degrees too hot are one.
_TOO_HOT_C = 100.0
#: From here on a heated film crystallises and densifies: LATP sputtered amorphous does at 500 °C (ly1376).
_ANNEALED_C = 500.0

#: Films as deposited conduct 1.5 to 2.5 decades less than pellets (sputtered 1.3e-6, aerosol 5e-6 S/cm where
#: pellets of LAGP have 1e-4), cold sintering about 0.7 less (review of LAGP, 10.1002/adfm.202300973); an annealed
#: film of LATP reaches 1.2e-5 S/cm (ly1376). Powder that was only pressed has no necks between its grains: LATP
#: 4e-8 S/cm (ly1417). LATP fired 100 °C too hot lost up to half (raj2023, 10.1021/acsaem.2c02464); few works went
#: further, and trees answer there as at the last temperature they know.
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
    "not sintered": Term((_SHARE,), lambda share: 1.0 - _sintered(share), -1.0, 1.0, highest=0.0),
    "far overfired": Term(
        ("overfired_c",),
        lambda excess: np.maximum(_known(excess) - _TOO_HOT_C, 0.0) / _TOO_HOT_C,
        -0.3,
        20.0,
        highest=0.0,
        is_law=True,
    ),
    "film as deposited": Term((*_FILMS, _FIRED_C), _as_deposited, -1.75, 4.0, highest=0.0, is_law=True),
    "annealed film": Term((*_FILMS, _FIRED_C), _annealed, -0.75, 4.0, highest=0.0, is_law=True),
    "cold sintering": Term(_techniques("cold_sintering"), _any, -0.7, 2.0, highest=0.0),
    "pressed, not sintered": Term(_techniques("cold_pressing"), _any, -1.0, 3.0, highest=0.0, is_law=True),
    "other film": Term(_techniques("thin_film"), _any, pellets=2.0),
    "cast": Term(_techniques("tape_cast", "screen_printing"), _any, pellets=2.0),
    "pressed while hot": Term(_PRESSED, _any, pellets=2.0),
    "crystallised glass": Term(_techniques("glass_ceramic_crystallization"), _any, pellets=2.0),
    "fluxing additive": Term(("additive_fluxing",), _any, pellets=2.0),
    "liquid of cold sintering": Term(("additive_process_liquid",), _any, pellets=2.0),
    "mixing of the route": Term(("mixing_quality",), lambda quality: _known(quality) / 3.0, pellets=2.0),
    "overfired": Term(("overfired_c",), lambda excess: _known(excess) / _TOO_HOT_C, is_fitted=False),
    "film": Term(_FILMS, _any, is_law=True, is_fitted=False),
}

#: On the logarithm of the porosity, from that of the green body down.
_DENSITY: dict[str, Term] = {
    "sintered": Term((_SHARE,), _sintered, -0.7, _FREE, is_law=True),
    **{
        name: Term((*features, _SHARE), _while_sintered(part), lowest=lowest, is_law=True)
        for name, features, part, lowest in (
            ("overfired", ("overfired_c",), lambda excess: _known(excess) / _TOO_HOT_C, 0.0),
            ("film", _FILMS, _any, -_INFINITE),
            ("cold sintering", _techniques("cold_sintering"), _any, -_INFINITE),
            ("cast", _techniques("tape_cast", "screen_printing"), _any, -_INFINITE),
            ("pressed while hot", _PRESSED, _any, -_INFINITE),
            ("crystallised glass", _techniques("glass_ceramic_crystallization"), _any, -_INFINITE),
            ("microwaves", _techniques("microwave"), _any, -_INFINITE),
            ("fluxing additive", ("additive_fluxing",), _any, -_INFINITE),
            (
                "time",
                ("given_sintering_time_h",),
                lambda hours: _known(np.log10(np.clip(hours, SHORTEST_H, LONGEST_H) / USUAL_TIME_H)),
                -_INFINITE,
            ),
            ("particle size", ("log10_particle_size_um",), lambda size: _known(size, 0.5) - 0.5, -_INFINITE),
            ("mixing of the route", ("mixing_quality",), lambda quality: _known(quality) / 3.0, -_INFINITE),
            ("undoped", ("x",), lambda x: np.exp(-np.maximum(x, 0.0) / UNDOPED_X), -_INFINITE),
            ("germanium", ("m_Ge",), lambda amount: amount / 2.0, -_INFINITE),
            ("zirconium", ("m_Zr",), lambda amount: amount / 2.0, -_INFINITE),
            ("hafnium", ("m_Hf",), lambda amount: amount / 2.0, -_INFINITE),
            ("sodium", ("a_sodium",), lambda amount: (amount > _SODIUM).astype(np.float64), -_INFINITE),
        )
    },
}
#: Target -> name -> term, in a fixed order; the first of a target has to be there, or there is no prior.
TERMS: Mapping[TargetName, Mapping[str, Term]] = {
    TargetName.CONDUCTIVITY: _CONDUCTIVITY,
    TargetName.RELATIVE_DENSITY: _DENSITY,
}
#: Intercepts that are known; the others are fitted.
_INTERCEPTS = {TargetName.RELATIVE_DENSITY: float(np.log10(100.0 + POROSITY_FLOOR_POINTS - GREEN_DENSITY_PCT))}


@dataclass(frozen=True)
class Prior:
    """Fitted terms of one target.

    Attributes
    ----------
    target
        Whose.
    intercept
        On the scale the model learns.
    terms
        Names of the terms, among `TERMS`.
    coefficients, means
        By term: effect, and mean of the term over the pellets learned from.
    columns
        Where the features of the terms (`inputs_of`) stand among all.
    """

    target: TargetName
    intercept: float
    terms: tuple[str, ...]
    coefficients: tuple[float, ...]
    means: tuple[float, ...]
    columns: tuple[int, ...]

    def margin(self, X: Floats) -> Floats:
        """Return the answer of the terms for features of shape (n, n_features); shape (n,)."""
        return self.start([X[:, at] for at in self.columns])

    def start(self, inputs: Sequence[Floats]) -> Floats:
        """Return the answer of the terms, shape (n,), for the features at `columns`, each of shape (n,)."""
        found = np.full(len(inputs[0]), self.intercept)
        # Term by term: a product of matrices would depend, in the last bit, on how many recipes there are.
        for coefficient, term in zip(self.coefficients, self.values_of(inputs), strict=True):
            found += coefficient * term
        return found

    def laws(self) -> Prior:
        """Return the terms that hold in full, alone."""
        return self.averaged(0.0)

    def averaged(self, share: float) -> Prior:
        """Return the terms with those that are averaged taken by a share; laws stay."""
        known = TERMS[self.target]
        coefficients = tuple(
            value if known[name].is_law else share * value
            for name, value in zip(self.terms, self.coefficients, strict=True)
        )
        intercept = self.intercept if self.target in _INTERCEPTS else share * self.intercept
        return replace(self, coefficients=coefficients, intercept=intercept)

    @property
    def is_law(self) -> bool:
        """Whether all terms hold in full."""
        return all(TERMS[self.target][name].is_law for name in self.terms)

    def values_of(self, inputs: Sequence[Floats]) -> list[Floats]:
        """Return the terms for the features at `columns`; each of shape (n,)."""
        return [term.compute(*(inputs[at] for at in where)) for term, where in self._plan]

    @cached_property
    def _plan(self) -> list[tuple[Term, tuple[int, ...]]]:
        names = inputs_of(self.target, self.terms)
        terms = [TERMS[self.target][name] for name in self.terms]
        return [(term, tuple(names.index(feature) for feature in term.features)) for term in terms]

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers and lists."""
        return {
            "intercept": self.intercept,
            "terms": list(self.terms),
            "coefficients": list(self.coefficients),
            "means": list(self.means),
            "columns": list(self.columns),
        }

    @classmethod
    def from_json(cls, target: TargetName, data: Mapping[str, Any]) -> Prior:
        """Read what `to_json` returned, or a prior of version 0.2, whose nine terms are not named.

        Raises
        ------
        ValueError
            If this version knows a term not, or their number is not that of the coefficients.
        """
        known = TERMS.get(target, {})
        terms = tuple(data.get("terms", tuple(known)[:_NAMELESS]))
        strange = [name for name in terms if name not in known]
        if strange:
            raise ValueError(f"this version knows no term {strange[0]!r:.60} of {target}")
        share = float(data.get("share", 1.0))
        coefficients = tuple(share * float(value) for value in data["coefficients"])
        means, columns = tuple(map(float, data["means"])), tuple(map(int, data["columns"]))
        expected = (len(terms), len(terms), len(inputs_of(target, terms)))
        if (len(coefficients), len(means), len(columns)) != expected:
            raise ValueError(f"the prior of {target} has {expected[0]} terms of {expected[2]} features")
        return cls(target, share * float(data["intercept"]), terms, coefficients, means, columns)


#: How many terms a prior of version 0.2 had.
_NAMELESS = 9


def inputs_of(target: TargetName, terms: Sequence[str]) -> tuple[str, ...]:
    """Return the features that some terms are made of, each once."""
    return tuple(dict.fromkeys(name for term in terms for name in TERMS[target][term].features))


def terms_of(target: TargetName, feature_names: Sequence[str]) -> tuple[str, ...]:
    """Return the terms to fit, made of some features; none where the first of the target cannot be."""
    there = set(feature_names)
    found = tuple(
        name for name, term in TERMS.get(target, {}).items() if term.is_fitted and there.issuperset(term.features)
    )
    return found if found and found[0] == next(iter(TERMS[target])) else ()


def fit_prior(target: TargetName, rows: TrainingMatrix, settings: BoosterSettings) -> Prior:
    """Fit the terms by ridge regression with robust weights and a level for every source.

    Parameters
    ----------
    target
        Whose terms.
    rows
        What to learn from; `terms_of` finds terms among its features.
    settings
        Of the booster that learns the rest: tolerance, shrinkage and weights of sources mean the same for terms as
        for trees (`nasicon_ml.estimators.boosting.robust_objective`).
    """
    from scipy.optimize import lsq_linear

    terms = terms_of(target, rows.feature_names)
    columns = tuple(rows.feature_names.index(name) for name in inputs_of(target, terms))
    prior = Prior(target, _INTERCEPTS.get(target, 0.0), terms, (0.0,) * len(terms), (0.0,) * len(terms), columns)
    values = np.column_stack(prior.values_of([rows.X[:, at] for at in columns]))
    known = [TERMS[target][name] for name in terms]
    is_free = target not in _INTERCEPTS
    design = np.column_stack([np.full(len(values), float(is_free)), values])
    y = rows.y - prior.intercept
    stated = np.array([0.0, *(term.stated for term in known)])
    root_pellets = np.sqrt([_FREE, *(term.pellets for term in known)])
    bounds = ([-np.inf, *(term.lowest for term in known)], [np.inf, *(term.highest for term in known)])
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
        prior, intercept=prior.intercept + intercept * is_free, coefficients=tuple(coefficients), means=means
    )
