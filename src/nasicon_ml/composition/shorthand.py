"""Names that the field uses for whole systems: ``LATP x=0.3``, ``LATGP x=0.4 Ge=0.2``, ``NZSP``.

A name is made like a system's name: mobile ion, dopant (A for aluminium, M for one to be named, or a symbol),
one or two hosts, S if there is silicon, P. The dopants are those of valence 3, so that x of them brings x ions.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from nasicon_ml.composition.elements import HOST_LETTERS
from nasicon_ml.composition.formula import format_amount, refusal
from nasicon_ml.composition.sites import USUAL_STATES
from nasicon_ml.errors import nearest

#: The names people most often mean; misspellings are compared with these.
COMMON = (
    "LATP", "LAGP", "LTP", "LGP", "LZP", "LHP", "LSnP", "LATGP", "LAZP", "LAHP", "LMTP", "LMGP", "LMZP",
    "LScTP", "LYTP", "LYZP", "LCrTP", "LGaTP", "LInTP", "LFeTP", "LATSP", "NZSP", "NZP", "NTP", "NATP", "NAGP",
)  # fmt: skip
_TRIVALENT = ("Sc", "Cr", "Fe", "Ga", "Y", "In", "La", "Lu")
_NZSP_SILICON = 2.0  # the composition that the name NASICON was coined for
_M_FULL, _T_FULL = 2.0, 3.0


@dataclass(frozen=True)
class Shorthand:
    """What a name stands for."""

    name: str
    alkali: str
    dopant: str  # a symbol, "M", or empty
    hosts: tuple[str, ...]
    silicon: bool


@cache
def _table() -> dict[str, Shorthand]:
    """Every name that can be made, in lower case."""
    dopants = {"": "", "A": "Al", "M": "M", **{symbol: symbol for symbol in _TRIVALENT}}
    hosts = [*((host,) for host in HOST_LETTERS), *itertools.combinations(HOST_LETTERS, 2)]
    table: dict[str, Shorthand] = {}
    for (letter, alkali), (code, dopant), pair, silicon in itertools.product(
        (("L", "Li"), ("N", "Na")), dopants.items(), hosts, (False, True)
    ):
        host_code = "".join(HOST_LETTERS[host] for host in pair)
        name = f"{letter}{code}{host_code}{'S' if silicon else ''}P"
        table[name.lower()] = Shorthand(name, alkali, dopant, pair, silicon)
    return table


def find(word: str) -> Shorthand | None:
    """Find what a name stands for, whatever its case; None if it is no shorthand."""
    return _table().get(word.lower())


def hint(word: str) -> str:
    """Return which common name a word resembles, as a sentence; empty if none."""
    return nearest(word, COMMON)


def expand(short: Shorthand, numbers: Mapping[str, float], substitutes: Mapping[str, str], text: str) -> str:
    """Write a shorthand out as a formula.

    Parameters
    ----------
    short
        The name.
    numbers
        x (the dopant; or the silicon of a name without dopant), and amounts of hosts and silicon by symbol.
    substitutes
        The element that M stands for.
    text
        What the person wrote, for error messages.

    Returns
    -------
    str
        A plain formula.

    Raises
    ------
    FormulaError
        If an amount is missing, out of range, or means nothing for this name.
    """
    _check_names(short, numbers, substitutes, text)
    dopant_amount = _needed(short, numbers, "x", _M_FULL, text) if short.dopant else 0.0
    silicon_amount = _silicon(short, numbers, text)
    dopant = _dopant(short, substitutes, text)
    host_amounts = _hosts(short, numbers, _M_FULL - dopant_amount, text)
    amounts = {
        short.alkali: 1 + dopant_amount + silicon_amount,
        dopant: dopant_amount,
        **host_amounts,
        "Si": silicon_amount,
        "P": _T_FULL - silicon_amount,
        "O": 12.0,
    }
    return "".join(f"{symbol}{format_amount(amount)}" for symbol, amount in amounts.items() if symbol)


def _check_names(
    short: Shorthand, numbers: Mapping[str, float], substitutes: Mapping[str, str], text: str
) -> None:
    known = {"x"} if short.dopant or short.silicon else set()
    known |= set(short.hosts) if len(short.hosts) > 1 else set()
    known |= {"Si"} if short.silicon else set()
    strangers = [name for name in numbers if name not in known]
    if strangers:
        allowed = f"{short.name} with {', '.join(sorted(known))}" if known else f"{short.name} alone"
        doped = f"{short.name[0]}A{short.name[1:]}"
        extra = f" With aluminium it is {doped} x=0.3." if strangers == ["x"] else ""
        raise refusal(text, allowed, f"{short.name} has no {strangers[0]}.{extra}")
    if substitutes and short.dopant != "M":
        name = next(iter(substitutes))
        raise refusal(text, f"{short.name} without {name}=", f"{short.name} has no {name} to replace.")


def _needed(short: Shorthand, numbers: Mapping[str, float], name: str, upper: float, text: str) -> float:
    allowed = f"{short.name} with {name} from 0 to {upper:g}"
    if name not in numbers:
        raise refusal(text, allowed, f"Say how much: {short.name} {name}=0.3.")
    if not 0 <= numbers[name] <= upper + 1e-9:
        raise refusal(text, allowed, f"{name} is {numbers[name]:g} here.")
    return numbers[name]


def _silicon(short: Shorthand, numbers: Mapping[str, float], text: str) -> float:
    """Amount of Si: named, or x where there is no dopant for x to be."""
    if not short.silicon:
        return 0.0
    if "Si" in numbers and ("x" not in numbers or short.dopant):
        return _needed(short, numbers, "Si", _T_FULL, text)
    if short.dopant:
        return _needed(short, numbers, "Si", _T_FULL, text)
    if not numbers and short.name == "NZSP":
        return _NZSP_SILICON
    if "Si" in numbers:
        raise refusal(text, f"{short.name} with x or with Si", "Both are the amount of silicon here.")
    return _needed(short, numbers, "x", _T_FULL, text)


def _dopant(short: Shorthand, substitutes: Mapping[str, str], text: str) -> str:
    if short.dopant != "M":
        return short.dopant
    if "M" not in substitutes:
        raise refusal(text, f"{short.name} with M", f"Say which element M is: {short.name} x=0.3, M=Sc.")
    dopant = substitutes["M"]
    if dopant == "Al" or USUAL_STATES.get(dopant, (0,))[0] == 3:
        return dopant
    raise refusal(
        text,
        f"{short.name} with an M of valence 3",
        f"{dopant} is not: write the formula out, as in Li1.2Mg0.1Ti1.9(PO4)3.",
    )


def _hosts(short: Shorthand, numbers: Mapping[str, float], room: float, text: str) -> dict[str, float]:
    """Share the rest of the M site between the hosts."""
    if len(short.hosts) == 1:
        return {short.hosts[0]: room}
    first, second = short.hosts
    given = [host for host in short.hosts if host in numbers]
    example = f"{short.name} x=0.4 {second}=0.2" if short.dopant else f"{short.name} {second}=0.2"
    if len(given) != 1:
        raise refusal(text, f"{short.name} with the amount of {first} or of {second}", f"As in {example}.")
    amount = _needed(short, numbers, given[0], room, text)
    shares = {host: amount if host == given[0] else room - amount for host in short.hosts}
    return {host: max(share, 0.0) for host, share in shares.items()}
