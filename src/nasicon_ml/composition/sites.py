"""Assign the elements of a composition to the sites of A1+xM2(TO4)3, and find their oxidation states.

Sites are assigned by these rules, in this order:

1. Si and P are tetrahedral (T). S, As, V and B are tetrahedral only if Si and P fall short of one T per four
   oxygens (three for boron, which forms BO3). Sulfur that does not fit into the tetrahedra is an anion.
2. All amounts are scaled to three T cations and rounded to a millionth.
3. Li, Na, K, Rb, Cs and Ag occupy A. Octahedral cations occupy M, in any amount.
4. Large cations (Ca, Sr, Ba, Pb, La, Nd, ...) occupy M if M then has at most 2.02 cations per formula unit;
   otherwise they fill M to 2 and the remainder occupies A.

The oxidation states are those for which Shannon lists a six-fold radius [1]_ and which occur in NASICON phosphates
and silicates [2]_. The first state listed is the default, found after firing in air. If the net charge of the
defaults exceeds `CHARGE_TOLERANCE`, the combination of usual states closest to neutrality is taken.

References
----------
.. [1] R. D. Shannon, Acta Crystallogr. A 32 (1976) 751, doi:10.1107/S0567739476001551
.. [2] N. Anantharamulu et al., J. Mater. Sci. 46 (2011) 2821, doi:10.1007/s10853-011-5302-5
"""

from __future__ import annotations

import itertools
import math
import numbers
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nasicon_ml.composition.formula import (
    ALKALI_LETTERS,
    ANION_CHARGES,
    ELEMENT_INDEX,
    HOST_LETTERS,
    LARGE_CATIONS,
    OPTIONAL_TETRAHEDRAL_CATIONS,
    SUPPORTED_ELEMENTS,
    TETRAHEDRAL_CATIONS,
    format_amount,
    formula_error,
    nearest_element,
)

if TYPE_CHECKING:
    from pymatgen.core import Composition as PymatgenComposition


T_CATIONS = 3
#: Amounts are integer multiples of 1 / RESOLUTION, so that a printed formula equals the parsed one.
RESOLUTION = 1_000_000

_M_FULL = 2 * RESOLUTION
_M_LIMIT = 2_020_000  # 2, plus the rounding of a printed formula
_RELATIVE_ROUNDING = 1e-6  # error of a sum of amounts rounded to the resolution
# Accepted amounts on the sites of A1-4 M2 (TO4)3.
_A_RANGE = (0, 5)
_M_RANGE = (1, 2.5)
_O_RANGE = (10.5, 13)
#: The name of a system lists dopants above this amount.
NAMED_DOPANT = 0.005
#: The name of a system lists hosts from this fraction of M.
NAMED_HOST_SHARE = 0.1

_DECIMALS = 9  # rounding sums of millionths to 9 decimals removes floating-point noise


@dataclass(frozen=True)
class SiteAmounts:
    """Amounts of the elements on each site, per three T cations."""

    a_site: Mapping[str, float]
    m_site: Mapping[str, float]
    t_site: Mapping[str, float]
    oxygen: float
    other_anions: Mapping[str, float]

    def element_amounts(self) -> dict[str, float]:
        """Return the total amount of each element, including oxygen but not the second phase."""
        totals: dict[str, float] = {}
        for site in (self.a_site, self.m_site, self.t_site, {"O": self.oxygen}, self.other_anions):
            for element, amount in site.items():
                totals[element] = round(totals.get(element, 0.0) + amount, 6)
        return totals


def assign_sites(amounts: Mapping[str, float], text: str) -> SiteAmounts:
    """Assign each element to its site, and scale the amounts to three T cations.

    Raises
    ------
    FormulaError
        If an element has no site in a NASICON, or the amount on a site is out of range.
    """
    unsupported = [element for element in amounts if element not in SUPPORTED_ELEMENTS]
    if unsupported:
        raise formula_error(
            text, "elements that a NASICON can hold", f"No site is known for {', '.join(unsupported)}."
        )
    tetrahedral = _tetrahedral_amounts(amounts)
    if not any(tetrahedral.get(element) for element in TETRAHEDRAL_CATIONS):
        raise formula_error(text, hint="It has neither P nor Si, so it is not a NASICON phosphate or silicate.")
    factor = T_CATIONS / sum(tetrahedral.values())
    t_units = _to_units(tetrahedral, factor)
    largest = max(t_units, key=lambda element: t_units[element])
    t_units[largest] += T_CATIONS * RESOLUTION - sum(t_units.values())
    remainder = {
        el: amount - tetrahedral.get(el, 0.0) for el, amount in amounts.items() if el not in TETRAHEDRAL_CATIONS
    }
    units = _to_units(remainder, factor)

    oxygen = units.pop("O", 0)
    anions = {el: units.pop(el) for el in ANION_CHARGES if el in units}
    a_units = {el: units.pop(el) for el in ALKALI_LETTERS if el in units}
    large = {el: units.pop(el) for el in LARGE_CATIONS if el in units}
    m_units = units
    for element, amount in large.items():
        filled = sum(m_units.values())
        on_m = amount if filled + amount <= _M_LIMIT else min(amount, max(0, _M_FULL - filled))
        m_units[element], a_units[element] = on_m, amount - on_m
    a_site, m_site, t_site, other_anions = map(_to_amounts, (a_units, m_units, t_units, anions))
    sites = SiteAmounts(a_site, m_site, t_site, oxygen / RESOLUTION, other_anions)
    _check_proportions(sites, text)
    return sites


#: Oxygens per tetrahedral group, where not four: BO3.
_OXYGENS_PER_GROUP = {"B": 3}


def _tetrahedral_amounts(amounts: Mapping[str, float]) -> dict[str, float]:
    """Return the amounts on T: Si and P first, then the optional cations as far as oxygen suffices."""
    filled = {element: amounts[element] for element in TETRAHEDRAL_CATIONS if element in amounts}
    oxygen = amounts.get("O", 0.0) - 4 * sum(filled.values())
    for element in OPTIONAL_TETRAHEDRAL_CATIONS:
        amount, oxygens_per_cation = amounts.get(element, 0.0), _OXYGENS_PER_GROUP.get(element, 4)
        room = oxygen / oxygens_per_cation
        if element in ANION_CHARGES and amount > room + _RELATIVE_ROUNDING * sum(filled.values()):
            continue  # all sulfur is either sulfate or sulfide
        taken = min(amount, max(room, 0.0))
        if taken > 0:
            filled[element] = taken
            oxygen -= oxygens_per_cation * taken
    return filled


def _to_units(amounts: Mapping[str, float], factor: float) -> dict[str, int]:
    return {element: round(amount * factor * RESOLUTION) for element, amount in amounts.items()}


def _to_amounts(units: Mapping[str, int]) -> dict[str, float]:
    """Convert integer units to amounts; drop the elements without any."""
    return {element: count / RESOLUTION for element, count in units.items() if count > 0}


def _check_proportions(sites: SiteAmounts, text: str) -> None:
    """Raise an error if the amounts are not those of an A1+xM2(TO4)3."""
    if not any(element in ALKALI_LETTERS for element in sites.a_site):
        raise formula_error(text, hint="It has no mobile ion: Li, Na, K, Rb, Cs or Ag.")
    a_total, m_total = sum(sites.a_site.values()), sum(sites.m_site.values())
    for name, amount, (lower, upper) in (
        ("on the A site", a_total, _A_RANGE),
        ("on the M site", m_total, _M_RANGE),
        ("O", sites.oxygen, _O_RANGE),
    ):
        if not lower <= amount <= upper:
            allowed = f"a composition near A1+xM2(TO4)3, with {lower:g} to {upper:g} {name} per three P and Si"
            raise formula_error(text, allowed, f"This has {amount:.4g}.")


#: Elementary charges per three T cations within which a formula counts as neutral.
CHARGE_TOLERANCE = 0.05

OXYGEN_CHARGE = -2
#: Usual states on M (and on A, for large cations); the default is first.
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
#: States on T, which are unambiguous.
TETRAHEDRAL_STATES: dict[str, int] = {"Si": 4, "P": 5, "S": 6, "As": 5, "V": 5, "B": 3}

# Only this many elements of several states, the most abundant, are varied; no real ceramic has more.
_MAX_MIXED_VALENCE = 6
# Net charges closer than this count as equal, so that the last digit of a printed formula does not matter.
_CHARGE_RESOLUTION = 0.005


def total_charge(amounts: Mapping[Any, Any], states: Mapping[Any, Any]) -> Any:
    """Return the total charge of the elements; amounts are numbers or, for many compositions, arrays."""
    return sum(states[element] * amount for element, amount in amounts.items())


def net_substitution(
    m_site: Mapping[Any, Any], t_site: Mapping[Any, Any], states: Mapping[Any, Any], m_vacancies: Any
) -> Any:
    """Return the net substitution, not rounded: the mobile charge beyond 1 that balances M and T with 12 oxygens.

    It is the sum over M of (4 - z) n, plus 4 per vacancy on M (negative if M has more than two cations), plus the
    sum over T of (5 - z) n. Amounts are numbers or arrays, as in `total_charge`.
    """
    on_m = sum((4 - states[element]) * amount for element, amount in m_site.items())
    on_t = sum((5 - states[element]) * amount for element, amount in t_site.items())
    return on_m + 4 * m_vacancies + on_t


StateOverride = Mapping[str, float | Mapping[int, float]]


def oxidation_states(
    sites: SiteAmounts, overrides: StateOverride | None = None, text: str = ""
) -> dict[str, float]:
    """Return the (mean) oxidation state of every element of a composition, including oxygen and other anions.

    `overrides` are states given by the user: a number or, for mixed valence, a mapping from state to share.

    Raises
    ------
    FormulaError
        If an override names an absent element or is not a valid state.
    """
    amounts = sites.element_amounts()
    fixed = {element: _mean_state(element, given, text) for element, given in (overrides or {}).items()}
    for element in fixed:
        if element not in amounts:
            hint = "" if element in ELEMENT_INDEX else nearest_element(element)
            hint = f"{element!r} is not in it. {hint}".rstrip()
            raise formula_error(text, "oxidation states of elements in the formula", hint)
    states = {element: float(_candidates(element, sites)[0]) for element in amounts}
    states |= fixed
    multivalent = [el for el in amounts if el not in fixed and len(_candidates(el, sites)) > 1]
    charge = math.fsum(amounts[el] * states[el] for el in amounts)
    if multivalent and round(abs(charge), 9) > CHARGE_TOLERANCE:
        states |= _most_neutral_states(amounts, states, multivalent, sites)
    return states


def _candidates(element: str, sites: SiteAmounts) -> tuple[int, ...]:
    """Return the possible states of an element on its site, the default first."""
    if element == "O":
        return (OXYGEN_CHARGE,)
    if element in sites.other_anions:
        return (ANION_CHARGES[element],)
    if element in sites.t_site:
        return (TETRAHEDRAL_STATES[element],)
    return USUAL_STATES[element]


def _most_neutral_states(
    amounts: Mapping[str, float], states: Mapping[str, float], multivalent: list[str], sites: SiteAmounts
) -> dict[str, float]:
    """Return the usual states closest to neutrality; of equally close ones those with the fewest changes."""
    multivalent = sorted(multivalent, key=lambda el: (-amounts[el], el))[:_MAX_MIXED_VALENCE]
    fixed_charge = math.fsum(amounts[el] * states[el] for el in amounts if el not in multivalent)
    options = [_candidates(element, sites) for element in multivalent]

    def rank(choice: tuple[int, ...]) -> tuple[int, int]:
        charge = fixed_charge + math.fsum(
            amounts[el] * state for el, state in zip(multivalent, choice, strict=True)
        )
        changes = sum(state != option[0] for state, option in zip(choice, options, strict=True))
        return round(round(abs(charge), 9) / _CHARGE_RESOLUTION), changes

    best = min(itertools.product(*options), key=rank)
    return {element: float(state) for element, state in zip(multivalent, best, strict=True)}


def _mean_state(element: str, given: object, text: str) -> float:
    """Return the mean state of a valid override; otherwise raise an error."""
    allowed = f"an oxidation state of {element} from -4 to 8, or a mapping of states to shares"
    shares: dict[Any, Any] = dict(given) if isinstance(given, Mapping) else {given: 1.0}
    numeric = all(_is_number(state) and _is_number(share) for state, share in shares.items())
    if numeric and shares and min(shares.values()) >= 0 and (total := math.fsum(shares.values())) > 0:
        mean = math.fsum(float(state) * float(share) for state, share in shares.items()) / total
        if -4 <= mean <= 8:
            return mean
    raise formula_error(text, allowed, f"{element} was given as {given!r}.")


def _is_number(value: object) -> bool:
    try:
        return type(value) is not bool and isinstance(value, numbers.Real) and math.isfinite(value)
    except OverflowError:  # an integer that no float can hold
        return False


@dataclass(frozen=True)
class SecondPhase:
    """A second phase in the batch.

    Parameters
    ----------
    formula
        As written.
    amount
        In `unit`; formula units are per formula unit of the main phase as written.
    unit
        One of `nasicon_ml.columns.ADDITIVE_UNITS`.
    """

    formula: str
    amount: float
    unit: str

    def __str__(self) -> str:
        unit = "" if self.unit == "formula_unit" else f" {self.unit}"
        return f"{format_amount(self.amount)}{unit} {self.formula}"


@dataclass(frozen=True)
class Composition(SiteAmounts):
    """Amounts on the sites of A1+xM2(TO4)3, per three T cations, as returned by `nasicon_ml.composition.parse`.

    The mappings from element symbol to amount are read-only.

    Parameters
    ----------
    a_site, m_site, t_site
        Cations by site.
    oxygen
        Oxygens (12 when there are no vacancies).
    other_anions
        F, Cl, Br, I, N and S that replace oxygen.
    oxidation_states
        Mean state of every element, including anions.
    second_phase
        Second phase of the batch.
    """

    oxidation_states: Mapping[str, float]
    second_phase: SecondPhase | None = None

    def __post_init__(self) -> None:
        for name in ("a_site", "m_site", "t_site", "other_anions", "oxidation_states"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def __hash__(self) -> int:
        return hash(self.formula)

    def __reduce__(self) -> tuple[type[Composition], tuple[object, ...]]:
        """Copy and pickle with plain dicts, because mapping proxies support neither."""
        values = (getattr(self, field.name) for field in fields(self))
        return type(self), tuple(dict(value) if isinstance(value, Mapping) else value for value in values)

    def __str__(self) -> str:
        return self.formula

    @cached_property
    def formula(self) -> str:
        """Canonical formula, with the second phase if there is one; `parse` reads it back."""
        main_phase = _format_formula(self)
        return f"{main_phase} + {self.second_phase}" if self.second_phase else main_phase

    @property
    def main_phase(self) -> Composition:
        """The same composition without the second phase."""
        return replace(self, second_phase=None) if self.second_phase else self

    @property
    def alkali(self) -> str:
        """Mobile ion: the most abundant of Li, Na, K, Rb, Cs and Ag."""
        return max((el for el in ALKALI_LETTERS if el in self.a_site), key=lambda el: self.a_site[el])

    @property
    def m_total(self) -> float:
        """Cations on M; 2 if it is full."""
        return round(sum(self.m_site.values()), _DECIMALS)

    @property
    def x(self) -> float:
        """Net substitution (`net_substitution`)."""
        x = net_substitution(self.m_site, self.t_site, self.oxidation_states, 2 - self.m_total)
        return float(round(x, _DECIMALS) + 0.0)

    @property
    def substitution_by_valence(self) -> dict[int, float]:
        """Dopants on M by valence, without 4+ hosts; mixed valence is split between the adjacent integers."""
        sums: dict[int, float] = {}
        for element, amount in self.m_site.items():
            state = self.oxidation_states[element]
            if element in HOST_LETTERS and state == 4:
                continue
            lower = int(state // 1)
            upper_share = state - lower
            for valence, share in ((lower, 1 - upper_share), (lower + 1, upper_share)):
                if share:
                    sums[valence] = round(sums.get(valence, 0.0) + amount * share, _DECIMALS)
        return dict(sorted(sums.items()))

    @property
    def alkali_excess(self) -> float:
        """Charge on A minus (1 + x): an excess of the mobile ion, or a deficit if negative."""
        charge = total_charge(self.a_site, self.oxidation_states)
        return float(round(charge - 1 - self.x, _DECIMALS) + 0.0)

    @cached_property
    def charge_imbalance(self) -> float:
        """Cation charge minus anion charge, in elementary charges per three T cations."""
        return float(round(total_charge(self.element_amounts(), self.oxidation_states), _DECIMALS) + 0.0)

    @cached_property
    def system(self) -> str:
        """Name of the system, such as LATP, LAGP, LATGP, LScTP or NZSP.

        It lists the mobile ion, A for Al, the symbol of one further dopant (M for several), the hosts that occupy
        at least a tenth of M, S for Si on T, and P.
        """
        on_m, on_t = (
            [el for el, amount in site.items() if is_in_system_name(el, amount, self.m_total)]
            for site in (self.m_site, self.t_site)
        )
        dopants = [el for el in on_m if el not in HOST_LETTERS and el != "Al"]
        aluminium = "A" if "Al" in on_m else ""
        dopant = dopants[0] if len(dopants) == 1 else "M" if dopants else ""
        hosts = "".join(letters for el, letters in HOST_LETTERS.items() if el in on_m)
        silicon, phosphorus = ("S" if "Si" in on_t else ""), ("P" if "P" in on_t else "")
        return f"{ALKALI_LETTERS[self.alkali]}{aluminium}{dopant}{hosts}{silicon}{phosphorus}"

    def to_pymatgen(self) -> PymatgenComposition:
        """Return the main phase as pymatgen's Composition."""
        from pymatgen.core import Composition as PymatgenComposition

        return PymatgenComposition(self.element_amounts())


def is_in_system_name(element: str, amount: Any, m_total: Any) -> Any:
    """Return whether the name of a system lists an element; the amount and the cations on M may be arrays."""
    if element in HOST_LETTERS:
        return amount >= NAMED_HOST_SHARE * m_total - 1e-6
    return amount > (0.0 if element in ALKALI_LETTERS else NAMED_DOPANT)


def _format_formula(sites: SiteAmounts) -> str:
    """Return the formula in the order A, M (dopants before hosts), T (Si before P), O, other anions."""
    site_amounts = [dict(site) for site in (sites.a_site, sites.m_site, sites.t_site)]
    for element, total in sites.element_amounts().items():  # an element on two sites is listed on the fuller one
        shares = [site.pop(element, 0.0) for site in site_amounts]
        if any(shares):
            site_amounts[shares.index(max(shares))][element] = total
    a_site, m_site, t_site = site_amounts
    cations = sorted(a_site.items(), key=lambda pair: (pair[0] not in ALKALI_LETTERS, -pair[1], pair[0]))
    cations += sorted((el, n) for el, n in m_site.items() if el not in HOST_LETTERS)
    cations += [(el, m_site[el]) for el in HOST_LETTERS if el in m_site]
    anions = _join_elements(sorted(sites.other_anions.items()))
    if t_site == {"P": 3} and sites.oxygen == 12:
        return f"{_join_elements(cations)}(PO4)3{anions}"
    cations += [(el, t_site[el]) for el in TETRAHEDRAL_CATIONS if el in t_site]
    cations += sorted((el, n) for el, n in t_site.items() if el not in TETRAHEDRAL_CATIONS)
    return _join_elements([*cations, ("O", sites.oxygen)]) + anions


def _join_elements(amounts: Iterable[tuple[str, float]]) -> str:
    return "".join(el if amount == 1 else f"{el}{format_amount(amount)}" for el, amount in amounts)
