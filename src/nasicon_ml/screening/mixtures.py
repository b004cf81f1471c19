"""What a site holds: one element, or several in stated shares, or all mixtures of some in steps."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nasicon_ml.composition.elements import ELEMENT_INDEX, HOST_LETTERS, LARGE, OCTAHEDRAL, nearest_element
from nasicon_ml.composition.oxidation import USUAL_STATES
from nasicon_ml.errors import SpaceError
from nasicon_ml.screening.reading import Stated

MIX_KEYS = ("mix", "step")
#: More mixtures than this from one list are a typing error.
MOST_MIXTURES = 20_000
_SHARE_ROUNDING = 1e-6
_LEAST_STEP = 1e-3
_ION = re.compile(r"([A-Z][a-z]?)(?:(\d)\+|\+(\d))?")
#: Elements that can stand on M as dopants.
DOPANTS = tuple(element for element in ELEMENT_INDEX if element in OCTAHEDRAL or element in LARGE)


@dataclass(frozen=True, order=True)
class Ion:
    """An element with the charge it brings to the balance."""

    element: str
    charge: int

    def __str__(self) -> str:
        usual = USUAL_STATES[self.element][0] == self.charge
        return self.element if usual else f"{self.element}{self.charge}+"


Mixture = tuple[tuple[Ion, float], ...]


def host_mixtures(stated: Stated) -> list[Mixture]:
    """Read the 4+ hosts of a family: symbols, shares such as ``{Ti: 0.75, Ge: 0.25}``, or mixtures in steps."""
    return _mixtures(stated, _host)


def dopant_mixtures(stated: Stated) -> list[Mixture]:
    """Read the dopants of a family, as hosts are read; charges may be stated, as in ``Fe2+``."""
    return _mixtures(stated, _dopant)


def _mixtures(stated: Stated, read: Callable[[str, Stated], Ion]) -> list[Mixture]:
    allowed = "an element, shares of elements, or mix with step; one of them or a list"
    found: list[Mixture] = []
    for item in stated.one_or_more(allowed):
        if isinstance(item.value, str):
            found.append(((read(item.value, item), 1.0),))
        elif isinstance(item.value, Mapping) and "mix" in item.value:
            found += _in_steps(item, read)
        elif isinstance(item.value, Mapping) and item.value:
            found.append(_shares(item, read))
        else:
            raise item.error(allowed)
        if len(found) > MOST_MIXTURES:
            raise item.error(f"at most {MOST_MIXTURES} mixtures", "Take larger steps, or fewer elements.")
    return found


def _shares(item: Stated, read: Callable[[str, Stated], Ion]) -> Mixture:
    parts = item.any_fields("elements with their shares")
    shares = {read(key, part): part.number(0, 1) for key, part in parts.items()}
    if len({ion.element for ion in shares}) < len(parts):
        raise item.error("every element once")
    total = math.fsum(shares.values())
    if abs(total - 1) > _SHARE_ROUNDING:
        raise item.error("shares that add up to 1", f"These add up to {total:g}.")
    return tuple((ion, share) for ion, share in shares.items() if share)


def _in_steps(item: Stated, read: Callable[[str, Stated], Ion]) -> list[Mixture]:
    """Make all mixtures of some elements whose shares are whole numbers of steps; pure elements among them."""
    parts = item.fields(MIX_KEYS, MIX_KEYS)
    ions = [read(part.value, part) for part in parts["mix"].items("a list of elements")]
    if len({ion.element for ion in ions}) < len(ions):
        raise parts["mix"].error("every element once")
    step = parts["step"].number(_LEAST_STEP, 1)
    whole = round(1 / step)
    if abs(whole * step - 1) > _SHARE_ROUNDING:
        raise parts["step"].error("a step that divides 1, such as 0.25")
    count = math.comb(whole + len(ions) - 1, len(ions) - 1)
    if count > MOST_MIXTURES:
        raise item.error(f"at most {MOST_MIXTURES} mixtures", f"These would be {count}.")
    bars = itertools.combinations(range(whole + len(ions) - 1), len(ions) - 1)
    found = []
    for cut in bars:
        edges = (-1, *cut, whole + len(ions) - 1)
        parts_of_whole = [high - low - 1 for low, high in itertools.pairwise(edges)]
        found.append(tuple((ion, n / whole) for ion, n in zip(ions, parts_of_whole, strict=True) if n))
    return found[::-1]  # the first element first


def _host(symbol: object, stated: Stated) -> Ion:
    if symbol not in HOST_LETTERS:
        raise stated.error(f"hosts {', '.join(HOST_LETTERS)}", value=symbol)
    return Ion(str(symbol), 4)


def _dopant(symbol: object, stated: Stated) -> Ion:
    match = _ION.fullmatch(symbol.strip()) if isinstance(symbol, str) else None
    element = match[1] if match else ""
    if match is None or element not in DOPANTS:
        raise _strange(symbol, stated)
    states = USUAL_STATES[element]
    charge = int(match[2] or match[3] or states[0])
    if charge not in states:
        usual = ", ".join(f"{element}{state}+" for state in states)
        raise stated.error(f"a usual charge of {element}: {usual}", value=symbol)
    return Ion(element, charge)


def _strange(symbol: object, stated: Stated) -> SpaceError:
    hint = nearest_element(symbol) if isinstance(symbol, str) and symbol not in ELEMENT_INDEX else ""
    return stated.error(f"elements that can stand on M: {', '.join(DOPANTS)}", hint, value=symbol)
