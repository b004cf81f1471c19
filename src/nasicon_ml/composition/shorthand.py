"""Expand shorthand names of systems, such as ``LATP x=0.3`` or ``NZSP``, and diagnose misspelt formulas.

A shorthand lists the mobile ion, the dopant (A for aluminium, M for one to be specified, or a symbol), one or two
hosts, S if there is silicon, and P. All dopants are trivalent, so that x dopants add x mobile ions.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from nasicon_ml.columns import Column
from nasicon_ml.composition.formula import (
    ALKALI_LETTERS,
    ANION_CHARGES,
    ELEMENT_INDEX,
    HOST_LETTERS,
    NUMBER,
    SUPPORTED_ELEMENTS,
    format_amount,
    formula_error,
    read_amounts,
)
from nasicon_ml.composition.sites import T_CATIONS, USUAL_STATES
from nasicon_ml.errors import FormulaError, nearest

#: Common names, which misspelt ones are compared with.
COMMON_NAMES = (
    "LATP", "LAGP", "LTP", "LGP", "LZP", "LHP", "LSnP", "LATGP", "LAZP", "LAHP", "LMTP", "LMGP", "LMZP",
    "LScTP", "LYTP", "LYZP", "LCrTP", "LGaTP", "LInTP", "LFeTP", "LATSP", "NZSP", "NZP", "NTP", "NATP", "NAGP",
)  # fmt: skip
_TRIVALENT = ("Sc", "Cr", "Fe", "Ga", "Y", "In", "La", "Lu")
_NZSP_SILICON = 2.0  # the composition first called NASICON
_M_CATIONS = 2.0


@dataclass(frozen=True)
class Shorthand:
    """System that a shorthand name stands for."""

    name: str
    alkali: str
    dopant: str  # a symbol, "M", or empty
    hosts: tuple[str, ...]
    silicon: bool


@cache
def _shorthands() -> dict[str, Shorthand]:
    """Return every possible shorthand by its name in lower case."""
    dopants = {"": "", "A": "Al", "M": "M", **{symbol: symbol for symbol in _TRIVALENT}}
    hosts = [*((host,) for host in HOST_LETTERS), *itertools.combinations(HOST_LETTERS, 2)]
    shorthands: dict[str, Shorthand] = {}
    for (letter, alkali), (dopant_letters, dopant), pair, silicon in itertools.product(
        (("L", "Li"), ("N", "Na")), dopants.items(), hosts, (False, True)
    ):
        host_letters = "".join(HOST_LETTERS[host] for host in pair)
        name = f"{letter}{dopant_letters}{host_letters}{'S' if silicon else ''}P"
        shorthands[name.lower()] = Shorthand(name, alkali, dopant, pair, silicon)
    return shorthands


def find_shorthand(word: str) -> Shorthand | None:
    """Return the shorthand of a name in any case; None if there is none."""
    return _shorthands().get(word.lower())


def nearest_shorthand(word: str) -> str:
    """Return a sentence that suggests the common name closest to a word; empty if none is close."""
    return nearest(word, COMMON_NAMES)


def expand_shorthand(
    system: Shorthand, numbers: Mapping[str, float], substitutes: Mapping[str, str], text: str
) -> str:
    """Return the formula that a shorthand stands for.

    `numbers` contains x (the amount of dopant, or of silicon if there is no dopant) and the amounts of hosts and
    silicon by symbol; `substitutes` contains the element for M. Error messages quote `text`, the user's input.

    Raises
    ------
    FormulaError
        If an amount is missing, out of range, or not applicable to this name.
    """
    _check_names(system, numbers, substitutes, text)
    dopant_amount = _required_amount(system, numbers, "x", _M_CATIONS, text) if system.dopant else 0.0
    silicon_amount = _silicon_amount(system, numbers, text)
    dopant = _dopant_element(system, substitutes, text)
    host_amounts = _host_amounts(system, numbers, _M_CATIONS - dopant_amount, text)
    amounts = {
        system.alkali: 1 + dopant_amount + silicon_amount,
        dopant: dopant_amount,
        **host_amounts,
        "Si": silicon_amount,
        "P": T_CATIONS - silicon_amount,
        "O": 12.0,
    }
    return "".join(f"{symbol}{format_amount(amount)}" for symbol, amount in amounts.items() if symbol)


def _check_names(
    system: Shorthand, numbers: Mapping[str, float], substitutes: Mapping[str, str], text: str
) -> None:
    known = {"x"} if system.dopant or system.silicon else set()
    if len(system.hosts) > 1:
        known.update(system.hosts)
    if system.silicon:
        known.add("Si")
    unknown_names = [name for name in numbers if name not in known]
    if unknown_names:
        allowed = f"{system.name} with {', '.join(sorted(known))}" if known else f"{system.name} alone"
        doped = f"{system.name[0]}A{system.name[1:]}"
        extra = f" With aluminium it is {doped} x=0.3." if unknown_names == ["x"] else ""
        raise formula_error(text, allowed, f"{system.name} has no {unknown_names[0]}.{extra}")
    if substitutes and system.dopant != "M":
        name = next(iter(substitutes))
        raise formula_error(text, f"{system.name} without {name}=", f"{system.name} has no {name} to replace.")


def _required_amount(system: Shorthand, numbers: Mapping[str, float], name: str, upper: float, text: str) -> float:
    allowed = f"{system.name} with {name} from 0 to {upper:g}"
    if name not in numbers:
        raise formula_error(text, allowed, f"Say how much: {system.name} {name}=0.3.")
    if not 0 <= numbers[name] <= upper + 1e-9:
        raise formula_error(text, allowed, f"{name} is {numbers[name]:g} here.")
    return numbers[name]


def _silicon_amount(system: Shorthand, numbers: Mapping[str, float], text: str) -> float:
    """Return the amount of Si: the value of Si or, if there is no dopant, of x."""
    if not system.silicon:
        return 0.0
    if system.dopant or ("Si" in numbers and "x" not in numbers):
        return _required_amount(system, numbers, "Si", T_CATIONS, text)
    if not numbers and system.name == "NZSP":
        return _NZSP_SILICON
    if "Si" in numbers:
        raise formula_error(text, f"{system.name} with x or with Si", "Both are the amount of silicon here.")
    return _required_amount(system, numbers, "x", T_CATIONS, text)


def _dopant_element(system: Shorthand, substitutes: Mapping[str, str], text: str) -> str:
    if system.dopant != "M":
        return system.dopant
    if "M" not in substitutes:
        raise formula_error(text, f"{system.name} with M", f"Say which element M is: {system.name} x=0.3, M=Sc.")
    dopant = substitutes["M"]
    if dopant == "Al" or USUAL_STATES.get(dopant, (0,))[0] == 3:
        return dopant
    hint = f"{dopant} is not: write the formula out, as in Li1.2Mg0.1Ti1.9(PO4)3."
    raise formula_error(text, f"{system.name} with an M of valence 3", hint)


def _host_amounts(system: Shorthand, numbers: Mapping[str, float], total: float, text: str) -> dict[str, float]:
    """Divide the total amount of host cations between the hosts."""
    if len(system.hosts) == 1:
        return {system.hosts[0]: total}
    first, second = system.hosts
    given = [host for host in system.hosts if host in numbers]
    example = f"{system.name} x=0.4 {second}=0.2" if system.dopant else f"{system.name} {second}=0.2"
    if len(given) != 1:
        raise formula_error(text, f"{system.name} with the amount of {first} or of {second}", f"As in {example}.")
    amount = _required_amount(system, numbers, given[0], total, text)
    return {host: max(amount if host == given[0] else total - amount, 0.0) for host in system.hosts}


_PHASE_HINT = "write a second phase as '+ 2 wt% {0}', '+ 5 mol% {0}' or '+ 0.1{0}' (formula units)"
_ZERO_FOR_OXYGEN = re.compile(r"(?<![A-Z])(P|Si|C|N|S|B)0([0-9]+)")
# Only in a formula without any oxygen, because an amount of phosphorus may also end in 012.
_ZERO_FOR_LAST_OXYGEN = re.compile(r"(?<!\S)(?!\S*O(?![a-z]))\S*?(P(?:[0-9](?:\.[0-9]+)?)?)012(?![0-9.])")
_CRYSTAL_WATER = re.compile(rf"[·*.]\s*(?:{NUMBER}|[nxyz])?\s*H2O(?![0-9])")
_SLASH = re.compile(r"O[0-9.]*(?:[)\]}][0-9.]*)?\s*/\s*([0-9.]*)\s*([A-Z(]?.*)")
_POINT = re.compile(r"(?:[)\]}]|O)\s*(?:3|6|12|24)\s*(?:\.0)?\s*\.([0-9]*)\s*([A-Z][A-Za-z0-9().]*)$")
_PERCENTAGE_FOR_AMOUNT = re.compile(rf"\b([A-Za-z]+)\s*=\s*({NUMBER})\s*%")
_EXCESS = re.compile(r"\b(?:excess|surplus)\b", re.IGNORECASE)
_REMARK = re.compile(r"\s[(\[][^()\[\]]*[a-z]{3}[^()\[\]]*[)\]]$")
_NAME_AFTER_FORMULA = re.compile(
    r"^(?P<main>.*\S)\s*(?:[(\[]\s*|[,;:=]\s*(?=[A-Za-z]+$))(?P<name>[A-Za-z]+)(?:[-_ ]?[0-9.]*\s*[)\]])?$"
)
_NAME_BEFORE_FORMULA = re.compile(r"^(?P<name>[A-Za-z]+)\s*(?:[:,;=]|\s(?=[(\[]))\s*(?P<main>\S.*)$")


def check_notation(body: str, text: str) -> None:
    """Raise an error for a misread or ambiguous character, with a hint at what is probably meant.

    Raises
    ------
    FormulaError
        For a zero in place of oxygen, crystal water, a remark, or a slash or point before a second phase.
    """
    if match := _ZERO_FOR_OXYGEN.search(body):
        raise formula_error(text, hint=f"Did you mean {match[1]}O{match[2]} with the letter O?")
    if match := _ZERO_FOR_LAST_OXYGEN.search(body):
        raise formula_error(text, hint=f"Did you mean {match[1]}O12 with the letter O?")
    if match := _CRYSTAL_WATER.search(body):
        raise formula_error(text, hint=f"Water leaves long before sintering: leave {match.group().strip()!r} out.")
    if match := _REMARK.search(body):
        raise formula_error(text, hint=f"Leave {match.group().strip()!r} out: it is not part of a formula.")
    if (match := _SLASH.search(body)) and not _is_cation(match[2]):
        phase = (re.findall(r"[A-Z][A-Za-z0-9()]*", match[2]) or ["LiF"])[-1]
        raise formula_error(text, hint=f"A slash does not state an amount: {_PHASE_HINT.format(phase)}.")
    if (match := _POINT.search(body)) and _is_compound(match[2]):
        hint = f"Is the point a decimal point or does {match[2]} follow? Then {_PHASE_HINT.format(match[2])}."
        raise formula_error(text, hint=hint)


def check_clauses(plain: str, text: str) -> None:
    """Raise an error for statements that do not belong into a formula.

    Raises
    ------
    FormulaError
        For ``x=30%``, charges, and an excess of lithium.
    """
    if match := _PERCENTAGE_FOR_AMOUNT.search(plain):
        value = float(match[2]) / 100
        hint = f"{match[1]} is an amount per formula unit: {match[2]} % of one is {match[1]}={value:g}."
        raise formula_error(text, hint=hint)
    if "^" in plain or "<sup" in plain:
        raise formula_error(text, hint="Charges are not written in a formula: Fe, not Fe3+.")
    if _EXCESS.search(plain):
        column = Column.LITHIUM_EXCESS_PCT
        hint = f"An excess of lithium (of sodium) belongs in {column} ({column.option}), in %, not in the formula."
        raise formula_error(text, hint=hint)


def _is_compound(formula: str) -> bool:
    """Return whether a text is a compound of a cation and an anion, such as Li2O."""
    try:
        amounts = read_amounts(formula)
    except FormulaError:
        return False
    return next(iter(amounts)) not in {*ANION_CHARGES, "O"} and bool({*ANION_CHARGES, "O"} & amounts.keys())


def _is_cation(formula: str) -> bool:
    """Return whether a text continues the main formula, as after the slash of Li4/3, with a cation."""
    match = re.match(r"[A-Z][a-z]?", formula)
    return (
        match is not None
        and match.group() in SUPPORTED_ELEMENTS
        and not _is_compound(formula.split("/", maxsplit=1)[0])
    )


def capitalisation_hint(symbol: str, rest: str) -> str:
    """Return a hint if a one-letter symbol and the capital after it are probably one symbol; else empty."""
    second = re.match(r"[A-Z](?![a-z])", rest)
    if second is None or symbol + second.group().lower() not in SUPPORTED_ELEMENTS:
        return ""
    letter = second.group()
    separate = f" {symbol} and {letter} are written {symbol}1{letter}." if letter in ELEMENT_INDEX else ""
    return f"{symbol + letter!r} is not an element. Did you mean {symbol + letter.lower()!r}?{separate}"


def remove_system_name(body: str, text: str) -> str:
    """Remove the name of the system from a formula such as ``Li1.3Al0.3Ti1.7(PO4)3 (LATP)``.

    Raises
    ------
    FormulaError
        If the formula lacks the mobile ion or a host of the named system.
    """
    match = _NAME_AFTER_FORMULA.match(body) or _NAME_BEFORE_FORMULA.match(body)
    system = find_shorthand(match["name"]) if match else None
    if match is None or system is None or not re.search(r"O\s*[0-9]", match["main"]):
        return body
    formula = match["main"].strip()
    if formula[0] in "([" and formula[-1] in ")]" and _encloses(formula):
        formula = formula[1:-1]
    symbols = {*re.findall(r"[A-Z][a-z]?", formula)} & ELEMENT_INDEX.keys()
    absent = [element for element in (system.alkali, *system.hosts) if element not in symbols]
    if absent and symbols & ALKALI_LETTERS.keys():
        raise formula_error(text, hint=f"{system.name} has {' and '.join(absent)}, which the formula lacks.")
    return formula


def _encloses(formula: str) -> bool:
    """Return whether the last bracket closes the first one."""
    depth = 0
    for position, char in enumerate(formula):
        depth += (char in "([") - (char in ")]")
        if depth == 0:
            return position == len(formula) - 1
    return False
