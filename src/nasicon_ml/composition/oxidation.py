"""Oxidation states: the stated table, overrides, and the choice for elements that have several.

The states are those for which Shannon lists a six-fold radius [1]_ and that NASICON phosphates and silicates
are known to hold [2]_; the first of each is the default, the one found after firing in air. Where the default
leaves a charge beyond `CHARGE_TOLERANCE`, the usual states that come nearest to neutrality are taken.

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
from typing import Any

from nasicon_ml.composition.elements import ALKALI_LETTERS, ANIONS, ELEMENT_INDEX, nearest_element
from nasicon_ml.composition.sites import Sites
from nasicon_ml.composition.text import refusal

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

StateOverride = Mapping[str, float | Mapping[int, float]]


def oxidation_states(sites: Sites, overrides: StateOverride | None = None, text: str = "") -> dict[str, float]:
    """Give every element of a composition its (mean) oxidation state.

    Parameters
    ----------
    sites
        Where the elements are.
    overrides
        States the person knows better: a number, or for mixed valence a mapping from state to share.
    text
        The formula as given, for error messages.

    Returns
    -------
    dict
        Symbol to state, oxygen (-2) and other anions included.

    Raises
    ------
    FormulaError
        If an override names an element that is absent or is not a state.
    """
    amounts = sites.element_amounts()
    fixed = {element: _mean_state(element, given, text) for element, given in (overrides or {}).items()}
    for element in fixed:
        if element not in amounts:
            raise refusal(text, "oxidation states of elements in the formula", _absent(element))
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


def _absent(element: str) -> str:
    hint = "" if element in ELEMENT_INDEX else nearest_element(element)
    return f"{element!r} is not in it. {hint}".rstrip()
