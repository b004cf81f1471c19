"""Sites of A1+xM2(TO4)3, normalised to three T cations, the oxidation states of what is on them, and what follows.

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
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nasicon_ml.composition.formula import (
    ALKALI_LETTERS,
    ANIONS,
    ELEMENT_INDEX,
    HOST_LETTERS,
    LARGE,
    PLACED,
    TETRAHEDRAL,
    TETRAHEDRAL_IF_ROOM,
    format_amount,
    nearest_element,
    refusal,
)

if TYPE_CHECKING:
    from pymatgen.core import Composition as PymatgenComposition


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
#: An element on M counts in the system's name above this amount ...
NAMED_DOPANT = 0.005
#: ... and a host from this share of the M site.
NAMED_HOST_SHARE = 0.1

_DIGITS = 9  # sums of millionths are exact to here; more would show the binary fractions


@dataclass(frozen=True)
class Sites:
    """Amounts by site, per three T cations."""

    a_site: Mapping[str, float]
    m_site: Mapping[str, float]
    t_site: Mapping[str, float]
    oxygen: float
    other_anions: Mapping[str, float]

    def element_amounts(self) -> dict[str, float]:
        """Total of each element over all sites, oxygen included, second phase left out."""
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
class Composition(Sites):
    """Amounts on the sites of A1+xM2(TO4)3, per three T cations.

    Made by `nasicon_ml.composition.parse`. Mappings go from element symbol to amount and cannot be changed.

    Parameters
    ----------
    a_site, m_site, t_site
        Cations by site.
    oxygen
        Oxygens (12 when there are no vacancies).
    other_anions
        F, Cl, Br, I, N and S that take the place of oxygen.
    oxidation_states
        Mean state of every element, anions included.
    second_phase
        What else is in the batch.
    """

    oxidation_states: Mapping[str, float]
    second_phase: SecondPhase | None = None

    def __post_init__(self) -> None:
        for name in ("a_site", "m_site", "t_site", "other_anions", "oxidation_states"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def __hash__(self) -> int:
        return hash(self.formula)

    def __reduce__(self) -> tuple[type[Composition], tuple[object, ...]]:
        """Copy and send to other processes as plain dicts, which mapping proxies cannot do themselves."""
        mappings = (self.a_site, self.m_site, self.t_site, self.other_anions, self.oxidation_states)
        a, m, t, anions, states = (dict(mapping) for mapping in mappings)
        return type(self), (a, m, t, self.oxygen, anions, states, self.second_phase)

    def __str__(self) -> str:
        return self.formula

    @cached_property
    def formula(self) -> str:
        """The canonical formula, with the second phase if there is one: `parse` reads it back."""
        main = _write(self)
        return f"{main} + {self.second_phase}" if self.second_phase else main

    @property
    def main_phase(self) -> Composition:
        """The same composition without the second phase."""
        return replace(self, second_phase=None) if self.second_phase else self

    @property
    def alkali(self) -> str:
        """The mobile ion: the most abundant of Li, Na, K, Rb, Cs and Ag."""
        return max((el for el in ALKALI_LETTERS if el in self.a_site), key=lambda el: self.a_site[el])

    @property
    def m_total(self) -> float:
        """Cations on M; 2 when it is full."""
        return round(sum(self.m_site.values()), _DIGITS)

    @property
    def x(self) -> float:
        """Net substitution (`net_substitution`)."""
        x = net_substitution(self.m_site, self.t_site, self.oxidation_states, 2 - self.m_total)
        return float(round(x, _DIGITS) + 0.0)

    @property
    def substitution_by_valence(self) -> dict[int, float]:
        """Dopants on M, summed by valence; 4+ hosts are left out, mixed valence is split between neighbours."""
        sums: dict[int, float] = {}
        for element, amount in self.m_site.items():
            state = self.oxidation_states[element]
            if element in HOST_LETTERS and state == 4:
                continue
            lower = int(state // 1)
            upper_share = state - lower
            for valence, share in ((lower, 1 - upper_share), (lower + 1, upper_share)):
                if share:
                    sums[valence] = round(sums.get(valence, 0.0) + amount * share, _DIGITS)
        return dict(sorted(sums.items()))

    @property
    def alkali_excess(self) -> float:
        """Charge on A beyond 1 + x: lithium excess, or deficit if negative."""
        charge = total_charge(self.a_site, self.oxidation_states)
        return float(round(charge - 1 - self.x, _DIGITS) + 0.0)

    @cached_property
    def charge_imbalance(self) -> float:
        """Cation charge minus anion charge, in elementary charges per three T cations."""
        return float(round(total_charge(self.element_amounts(), self.oxidation_states), _DIGITS) + 0.0)

    @cached_property
    def system(self) -> str:
        """The name of the system, such as LATP, LAGP, LATGP, LScTP or NZSP.

        Mobile ion; A for Al; the symbol of one further dopant, or M for several; the hosts that hold at least
        a tenth of M; S if there is Si on T; P.
        """
        on_m = [el for el, n in self.m_site.items() if counts_in_name(el, n, self.m_total)]
        on_t = [el for el, n in self.t_site.items() if counts_in_name(el, n, self.m_total)]
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


def counts_in_name(element: str, amount: Any, m_total: Any) -> Any:
    """Whether the name of a system tells of an element; amount and cations on M may be arrays."""
    if element in HOST_LETTERS:
        return amount >= NAMED_HOST_SHARE * m_total - 1e-6
    return amount > (0.0 if element in ALKALI_LETTERS else NAMED_DOPANT)


def _write(sites: Sites) -> str:
    """Write A, M (dopants before hosts), T (Si before P), O, other anions."""
    groups = [dict(group) for group in (sites.a_site, sites.m_site, sites.t_site)]
    for element, total in sites.element_amounts().items():  # one on two sites is written where more of it is
        shares = [group.pop(element, 0.0) for group in groups]
        if any(shares):
            groups[shares.index(max(shares))][element] = total
    a_site, m_site, t_site = groups
    written = sorted(a_site.items(), key=lambda pair: (pair[0] not in ALKALI_LETTERS, -pair[1], pair[0]))
    written += sorted((el, n) for el, n in m_site.items() if el not in HOST_LETTERS)
    written += [(el, m_site[el]) for el in HOST_LETTERS if el in m_site]
    if t_site == {"P": 3} and sites.oxygen == 12:
        return "".join(_one(el, n) for el, n in written) + "(PO4)3" + _anions(sites)
    written += [(el, t_site[el]) for el in TETRAHEDRAL if el in t_site]
    written += sorted((el, n) for el, n in t_site.items() if el not in TETRAHEDRAL)
    return "".join(_one(el, n) for el, n in (*written, ("O", sites.oxygen))) + _anions(sites)


def _anions(sites: Sites) -> str:
    return "".join(_one(el, n) for el, n in sorted(sites.other_anions.items()))


def _one(element: str, amount: float) -> str:
    return element if amount == 1 else f"{element}{format_amount(amount)}"
