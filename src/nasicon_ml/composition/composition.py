"""The composition of a NASICON, site by site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nasicon_ml.composition.formula import ALKALI_LETTERS, HOST_LETTERS, TETRAHEDRAL, format_amount
from nasicon_ml.composition.sites import Sites, net_substitution, total_charge

if TYPE_CHECKING:
    from pymatgen.core import Composition as PymatgenComposition

#: An element on M counts in the system's name above this amount ...
NAMED_DOPANT = 0.005
#: ... and a host from this share of the M site.
NAMED_HOST_SHARE = 0.1

_DIGITS = 9  # sums of millionths are exact to here; more would show the binary fractions


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
class Composition:
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

    a_site: Mapping[str, float]
    m_site: Mapping[str, float]
    t_site: Mapping[str, float]
    oxygen: float
    other_anions: Mapping[str, float]
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

    @property
    def sites(self) -> Sites:
        """The sites alone, without states and second phase."""
        return Sites(self.a_site, self.m_site, self.t_site, self.oxygen, self.other_anions)

    @cached_property
    def formula(self) -> str:
        """The canonical formula, with the second phase if there is one: `parse` reads it back."""
        main = _write(self.sites)
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
        """Net substitution (`nasicon_ml.composition.sites.net_substitution`)."""
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

    def element_amounts(self) -> dict[str, float]:
        """Total of each element over all sites, oxygen included, second phase left out."""
        return self.sites.element_amounts()

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
