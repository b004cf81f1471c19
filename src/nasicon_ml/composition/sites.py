"""Sites of A1+xM2(TO4)3, normalised to three T cations, and the oxidation states of what is on them.

Sites are assigned by these rules, in this order:

1. Si and P are tetrahedral (T). S, As, V and B join them only as far as Si and P fall short of one T per four
   oxygens; boron, as BO3, needs three. Sulfur for which there is not room enough is an anion.
2. Everything is scaled to three T cations and rounded to a millionth.
3. Li, Na, K, Rb, Cs and Ag are on A. Octahedral cations are on M, however many there are.
4. Large cations (Ca, Sr, Ba, Pb, La, Nd, ...) go to M if they fit there, up to 2.02 per formula; otherwise
   they fill M to 2 and the rest is on A.

The oxidation states are those for which Shannon lists a six-fold radius [1]_ and that NASICON phosphates and
silicates are known to hold [2]_; the first of each is the default, the one found after firing in air. Where the
default leaves a charge beyond `CHARGE_TOLERANCE`, the usual states that come nearest to neutrality are taken.

References
----------
.. [1] R. D. Shannon, Acta Crystallogr. A 32 (1976) 751, doi:10.1107/S0567739476001551
.. [2] N. Anantharamulu et al., J. Mater. Sci. 46 (2011) 2821, doi:10.1007/s10853-011-5302-5
"""

from __future__ import annotations

import itertools
import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nasicon_ml.composition.formula import (
    ALKALI_LETTERS,
    ANIONS,
    ELEMENT_INDEX,
    LARGE,
    PLACED,
    TETRAHEDRAL,
    TETRAHEDRAL_IF_ROOM,
    nearest_element,
    refusal,
)

T_CATIONS = 3
#: Amounts are whole numbers of this many to the unit, so that a printed formula is exactly what was read.
RESOLUTION = 1_000_000

_M_FULL = 2 * RESOLUTION
_M_BRIM = 2_020_000  # two, and what rounding in a printed formula may add
_ROUNDING = 1e-6  # relative: what rounding to the resolution may do to a sum
# How far a composition may stray from A1-4 M2 (TO4)3 and still be called one.
_A_RANGE = (0, 5)
_M_RANGE = (1, 2.5)
_O_RANGE = (10.5, 13)


@dataclass(frozen=True)
class Sites:
    """Amounts by site, per three T cations."""

    a_site: Mapping[str, float]
    m_site: Mapping[str, float]
    t_site: Mapping[str, float]
    oxygen: float
    other_anions: Mapping[str, float]

    def element_amounts(self) -> dict[str, float]:
        """Total of each element, all sites together."""
        totals: dict[str, float] = {}
        for group in (self.a_site, self.m_site, self.t_site, {"O": self.oxygen}, self.other_anions):
            for element, amount in group.items():
                totals[element] = round(totals.get(element, 0.0) + amount, 6)
        return totals


def assign_sites(amounts: Mapping[str, float], text: str) -> Sites:
    """Assign each element, given in any multiple of the formula, to its site; per three T cations.

    Raises
    ------
    FormulaError
        If an element has no place in a NASICON, or A, M, T or O are out of all proportion.
    """
    strangers = [element for element in amounts if element not in PLACED]
    if strangers:
        raise refusal(text, "elements that a NASICON can hold", f"No site is known for {', '.join(strangers)}.")
    tetrahedral = _tetrahedral(amounts)
    if not any(tetrahedral.get(element) for element in TETRAHEDRAL):
        raise refusal(text, hint="It has neither P nor Si, so it is no NASICON phosphate or silicate.")
    factor = T_CATIONS / sum(tetrahedral.values())
    t_units = _to_units(tetrahedral, factor)
    largest = max(t_units, key=lambda element: t_units[element])
    t_units[largest] += T_CATIONS * RESOLUTION - sum(t_units.values())
    rest = {el: amount - tetrahedral.get(el, 0.0) for el, amount in amounts.items() if el not in TETRAHEDRAL}
    units = _to_units(rest, factor)

    oxygen = units.pop("O", 0)
    anions = {el: units.pop(el) for el in ANIONS if el in units}
    a_units = {el: units.pop(el) for el in ALKALI_LETTERS if el in units}
    large = {el: units.pop(el) for el in LARGE if el in units}
    m_units = units
    for element, amount in large.items():
        filled = sum(m_units.values())
        on_m = amount if filled + amount <= _M_BRIM else min(amount, max(0, _M_FULL - filled))
        m_units[element], a_units[element] = on_m, amount - on_m
    sites = Sites(
        _to_amounts(a_units), _to_amounts(m_units), _to_amounts(t_units), oxygen / RESOLUTION, _to_amounts(anions)
    )
    _check_proportions(sites, text)
    return sites


#: Oxygens of a group that takes the place of PO4, where it is not four: BO3.
_OXYGENS = {"B": 3}


def _tetrahedral(amounts: Mapping[str, float]) -> dict[str, float]:
    """Fill the tetrahedra: Si and P first, then what else may go there, as far as there is oxygen for it."""
    filled = {element: amounts[element] for element in TETRAHEDRAL if element in amounts}
    oxygen = amounts.get("O", 0.0) - 4 * sum(filled.values())
    for element in TETRAHEDRAL_IF_ROOM:
        amount, each = amounts.get(element, 0.0), _OXYGENS.get(element, 4)
        room = oxygen / each
        if element in ANIONS and amount > room + _ROUNDING * sum(filled.values()):
            continue  # sulfur is sulfate or sulfide, not both
        taken = min(amount, max(room, 0.0))
        if taken > 0:
            filled[element] = taken
            oxygen -= each * taken
    return filled


def _to_units(amounts: Mapping[str, float], factor: float) -> dict[str, int]:
    return {element: round(amount * factor * RESOLUTION) for element, amount in amounts.items()}


def _to_amounts(units: Mapping[str, int]) -> dict[str, float]:
    """Back to amounts; what rounds to nothing is not there."""
    return {element: count / RESOLUTION for element, count in units.items() if count > 0}


def _check_proportions(sites: Sites, text: str) -> None:
    """Refuse what is no A1+xM2(TO4)3."""
    if not any(element in ALKALI_LETTERS for element in sites.a_site):
        raise refusal(text, hint="It has no mobile ion: Li, Na, K, Rb, Cs or Ag.")
    a_total, m_total = sum(sites.a_site.values()), sum(sites.m_site.values())
    for what, amount, (lower, upper) in (
        ("on the A site", a_total, _A_RANGE),
        ("on the M site", m_total, _M_RANGE),
        ("O", sites.oxygen, _O_RANGE),
    ):
        if not lower <= amount <= upper:
            allowed = f"a composition near A1+xM2(TO4)3, with {lower:g} to {upper:g} {what} per three P and Si"
            raise refusal(text, allowed, f"This has {amount:.4g}.")


#: Elementary charges per three T cations within which a formula counts as neutral.
CHARGE_TOLERANCE = 0.05

OXYGEN_CHARGE = -2
#: Usual states on M (and on A, for large cations); the default stands first.
USUAL_STATES: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(ALKALI_LETTERS, (1,)),
    **dict.fromkeys(("Mg", "Zn", "Cd", "Ca", "Sr", "Ba", "Ni"), (2,)),
    **dict.fromkeys(("Al", "B", "Sc", "Cr", "Ga", "Y", "In", "Rh", "La", "Nd", "Sm", "Gd", "Dy"), (3,)),
    **dict.fromkeys(("Ho", "Er", "Tm", "Lu"), (3,)),
    **dict.fromkeys(("Si", "Ti", "Ge", "Zr", "Hf", "Th", "Ru", "Ir"), (4,)),
    **dict.fromkeys(("P", "Ta"), (5,)),
    "V": (3, 4, 5),
    "Mn": (2, 3, 4),
    "Fe": (3, 2),
    "Co": (2, 3),
    "Cu": (2, 1),
    "As": (5, 3),
    "Nb": (5, 4),
    "Mo": (6, 5, 4),
    "Sn": (4, 2),
    "Sb": (5, 3),
    "Te": (4, 6),
    "Ce": (4, 3),
    "Pr": (3, 4),
    "Eu": (3, 2),
    "Tb": (3, 4),
    "Yb": (3, 2),
    "W": (6, 5),
    "Pb": (2, 4),
    "Bi": (3, 5),
    "U": (6, 5, 4),
}
#: States in the tetrahedra of T, where they are not in question.
TETRAHEDRAL_STATES: dict[str, int] = {"Si": 4, "P": 5, "S": 6, "As": 5, "V": 5, "B": 3}

# More elements of several states than this in one formula is no ceramic anyone fires; the most abundant count.
_MOST_VARIED = 6
# Charges closer than this count as the same, so that the last digit of a printed formula does not decide.
_SAME_SURPLUS = 0.005


def total_charge(amounts: Mapping[Any, Any], states: Mapping[Any, Any]) -> Any:
    """Return the charge of some elements; amounts are numbers or, for many compositions, arrays."""
    return sum(states[element] * amount for element, amount in amounts.items())


def net_substitution(
    m_site: Mapping[Any, Any], t_site: Mapping[Any, Any], states: Mapping[Any, Any], m_lacking: Any
) -> Any:
    """Return the net substitution: mobile charge beyond one that M and T ask for, with 12 oxygens; not rounded.

    The sum over M of (4 - z) n, plus 4 for each cation that is lacking on M (less, if there are more than two),
    plus the sum over T of (5 - z) n. Amounts are numbers or arrays, as in `total_charge`.
    """
    on_m = sum((4 - states[element]) * amount for element, amount in m_site.items())
    on_t = sum((5 - states[element]) * amount for element, amount in t_site.items())
    return on_m + 4 * m_lacking + on_t


StateOverride = Mapping[str, float | Mapping[int, float]]


def oxidation_states(sites: Sites, overrides: StateOverride | None = None, text: str = "") -> dict[str, float]:
    """Find for every element of a composition its (mean) oxidation state, oxygen and other anions included.

    `overrides` are states the person knows better: a number, or for mixed valence a mapping from state to share.

    Raises
    ------
    FormulaError
        If an override names an element that is absent or is not a state.
    """
    amounts = sites.element_amounts()
    fixed = {element: _mean_state(element, given, text) for element, given in (overrides or {}).items()}
    for element in fixed:
        if element not in amounts:
            hint = "" if element in ELEMENT_INDEX else nearest_element(element)
            words = f"{element!r} is not in it. {hint}".rstrip()
            raise refusal(text, "oxidation states of elements in the formula", words)
    states = {element: float(_candidates(element, sites)[0]) for element in amounts}
    states |= fixed
    varied = [el for el in amounts if el not in fixed and len(_candidates(el, sites)) > 1]
    surplus = math.fsum(amounts[el] * states[el] for el in amounts)
    if varied and round(abs(surplus), 9) > CHARGE_TOLERANCE:
        states |= _nearest_to_neutral(amounts, states, varied, sites)
    return states


def _candidates(element: str, sites: Sites) -> tuple[int, ...]:
    """Return the states an element may take where it stands, the default first."""
    if element == "O":
        return (OXYGEN_CHARGE,)
    if element in sites.other_anions:
        return (ANIONS[element],)
    if element in sites.t_site:
        return (TETRAHEDRAL_STATES[element],)
    return USUAL_STATES[element]


def _nearest_to_neutral(
    amounts: Mapping[str, float], states: Mapping[str, float], varied: list[str], sites: Sites
) -> dict[str, float]:
    """Choose the usual states nearest to neutrality; among equals those with the fewest changes."""
    varied = sorted(varied, key=lambda el: (-amounts[el], el))[:_MOST_VARIED]
    rest = math.fsum(amounts[el] * states[el] for el in amounts if el not in varied)
    options = [_candidates(element, sites) for element in varied]

    def rank(choice: tuple[int, ...]) -> tuple[int, int]:
        surplus = rest + math.fsum(amounts[el] * state for el, state in zip(varied, choice, strict=True))
        changes = sum(state != option[0] for state, option in zip(choice, options, strict=True))
        return round(round(abs(surplus), 9) / _SAME_SURPLUS), changes

    best = min(itertools.product(*options), key=rank)
    return {element: float(state) for element, state in zip(varied, best, strict=True)}


def _mean_state(element: str, given: object, text: str) -> float:
    """Check one override and reduce it to a mean."""
    allowed = f"an oxidation state of {element} from -4 to 8, or a mapping of states to shares"
    shares: dict[Any, Any] = dict(given) if isinstance(given, Mapping) else {given: 1.0}
    numeric = all(_is_number(state) and _is_number(share) for state, share in shares.items())
    if numeric and shares and min(shares.values()) >= 0 and (total := math.fsum(shares.values())) > 0:
        mean = math.fsum(float(state) * float(share) for state, share in shares.items()) / total
        if -4 <= mean <= 8:
            return mean
    raise refusal(text, allowed, f"{element} was given as {given!r}.")


def _is_number(value: object) -> bool:
    return type(value) is not bool and isinstance(value, numbers.Real) and math.isfinite(value)
