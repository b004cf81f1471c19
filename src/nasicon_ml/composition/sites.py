"""From element amounts to the sites of A1+xM2(TO4)3, normalised to three T cations.

Rules, in this order:

1. Si and P are tetrahedral (T). S, As, V and B join them only as far as Si and P fall short of one T per four
   oxygens. Sulfur for which there is not room enough is an anion.
2. Everything is scaled to three T cations and rounded to a millionth.
3. Li, Na, K, Rb, Cs and Ag are on A. Octahedral cations are on M, however many there are.
4. Large cations (Ca, Sr, Ba, Pb, La, Nd, ...) go to M if they fit there, up to 2.02 per formula; otherwise
   they fill M to 2 and the rest is on A.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nasicon_ml.composition.elements import (
    ALKALI_LETTERS,
    ANIONS,
    LARGE,
    PLACED,
    TETRAHEDRAL,
    TETRAHEDRAL_IF_ROOM,
)
from nasicon_ml.composition.text import refusal

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
    """Put each element on its site.

    Parameters
    ----------
    amounts
        Element symbol to amount, in any multiple of the formula.
    text
        The formula as given, for error messages.

    Returns
    -------
    Sites
        Per three T cations.

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
        _to_amounts(a_units),
        _to_amounts(m_units),
        _to_amounts(t_units),
        oxygen / RESOLUTION,
        _to_amounts(anions),
    )
    _check_proportions(sites, text)
    return sites


def _tetrahedral(amounts: Mapping[str, float]) -> dict[str, float]:
    """Fill the tetrahedra: Si and P first, then what else may go there, up to O/4."""
    filled = {element: amounts[element] for element in TETRAHEDRAL if element in amounts}
    room = amounts.get("O", 0.0) / 4 - sum(filled.values())
    for element in TETRAHEDRAL_IF_ROOM:
        amount = amounts.get(element, 0.0)
        if element in ANIONS and amount > room + _ROUNDING * sum(filled.values()):
            continue  # sulfur is sulfate or sulfide, not both
        taken = min(amount, max(room, 0.0))
        if taken > 0:
            filled[element] = taken
            room -= taken
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
        ("A site", a_total, _A_RANGE),
        ("M site", m_total, _M_RANGE),
        ("oxygen", sites.oxygen, _O_RANGE),
    ):
        if not lower <= amount <= upper:
            raise refusal(
                text,
                f"a composition near A1+xM2(TO4)3, with {lower:g} to {upper:g} on the {what} per three P and Si"
                if what != "oxygen"
                else f"a composition near A1+xM2(TO4)3, with {lower:g} to {upper:g} O per three P and Si",
                f"This has {amount:.4g}.",
            )
