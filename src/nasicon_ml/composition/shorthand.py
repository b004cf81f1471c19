"""Names that the field uses for whole systems, ``LATP x=0.3`` or ``NZSP``, and what a misspelled one meant.

A name is made like a system's name: mobile ion, dopant (A for aluminium, M for one to be named, or a symbol),
one or two hosts, S if there is silicon, P. The dopants are those of valence 3, so that x of them brings x ions.
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
    ANIONS,
    ELEMENT_INDEX,
    HOST_LETTERS,
    NUMBER,
    PLACED,
    format_amount,
    read_amounts,
    refusal,
)
from nasicon_ml.composition.sites import USUAL_STATES
from nasicon_ml.errors import FormulaError, nearest

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

    `numbers` holds x (the dopant; or the silicon of a name without dopant), and amounts of hosts and silicon by
    symbol; `substitutes` the element that M stands for; `text` is what the person wrote, for error messages.

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
    if short.dopant or ("Si" in numbers and "x" not in numbers):
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


_SECOND_PHASE = "write a second phase as '+ 2 wt% {0}', '+ 5 mol% {0}' or '+ 0.1{0}' (formula units)"
_ZERO_FOR_OXYGEN = re.compile(r"(?<![A-Z])(P|Si|C|N|S|B)0([0-9]+)")
# Of a formula without any oxygen: an amount of phosphorus may end in 012, too.
_LOST_OXYGEN = re.compile(r"(?<!\S)(?!\S*O(?![a-z]))\S*?(P(?:[0-9](?:\.[0-9]+)?)?)012(?![0-9.])")
_WATER = re.compile(rf"[·*.]\s*(?:{NUMBER}|[nxyz])?\s*H2O(?![0-9])")
_SLASH = re.compile(r"O[0-9.]*(?:[)\]}][0-9.]*)?\s*/\s*([0-9.]*)\s*([A-Z(]?.*)")
_DOT = re.compile(r"(?:[)\]}]|O)\s*(?:3|6|12|24)\s*(?:\.0)?\s*\.([0-9]*)\s*([A-Z][A-Za-z0-9().]*)$")
_PERCENT_FOR_X = re.compile(rf"\b([A-Za-z]+)\s*=\s*({NUMBER})\s*%")
_EXCESS = re.compile(r"\b(?:excess|surplus)\b", re.IGNORECASE)
_REMARK = re.compile(r"\s[(\[][^()\[\]]*[a-z]{3}[^()\[\]]*[)\]]$")
_NAME_BEHIND = re.compile(
    r"^(?P<main>.*\S)\s*(?:[(\[]\s*|[,;:=]\s*(?=[A-Za-z]+$))(?P<name>[A-Za-z]+)(?:[-_ ]?[0-9.]*\s*[)\]])?$"
)
_NAME_BEFORE = re.compile(r"^(?P<name>[A-Za-z]+)\s*(?:[:,;=]|\s(?=[(\[]))\s*(?P<main>\S.*)$")


def check_signs(body: str, text: str) -> None:
    """Refuse signs that were misread, or that say two things, and say what is probably meant.

    Raises
    ------
    FormulaError
        For a zero that is an oxygen, water of crystallisation, a remark, strokes and points before a second phase.
    """
    if match := _ZERO_FOR_OXYGEN.search(body):
        raise refusal(text, hint=f"Did you mean {match[1]}O{match[2]} with the letter O?")
    if match := _LOST_OXYGEN.search(body):
        raise refusal(text, hint=f"Did you mean {match[1]}O12 with the letter O?")
    if match := _WATER.search(body):
        raise refusal(text, hint=f"Water leaves long before sintering: leave {match.group().strip()!r} out.")
    if match := _REMARK.search(body):
        raise refusal(text, hint=f"Leave {match.group().strip()!r} out: it is no part of a formula.")
    if (match := _SLASH.search(body)) and not _is_cation(match[2]):
        phase = (re.findall(r"[A-Z][A-Za-z0-9()]*", match[2]) or ["LiF"])[-1]
        raise refusal(text, hint=f"A stroke does not say how much: {_SECOND_PHASE.format(phase)}.")
    if (match := _DOT.search(body)) and _is_compound(match[2]):
        hint = f"Is the point a decimal point or does {match[2]} follow? Then {_SECOND_PHASE.format(match[2])}."
        raise refusal(text, hint=hint)


def check_clauses(plain: str, text: str) -> None:
    """Refuse clauses about what belongs elsewhere.

    Raises
    ------
    FormulaError
        For ``x=30%``, charges, and an excess of lithium.
    """
    if match := _PERCENT_FOR_X.search(plain):
        value = float(match[2]) / 100
        hint = f"{match[1]} is an amount per formula unit: {match[2]} % of one is {match[1]}={value:g}."
        raise refusal(text, hint=hint)
    if "^" in plain or "<sup" in plain:
        raise refusal(text, hint="Charges are not written in a formula: Fe, not Fe3+.")
    if _EXCESS.search(plain):
        column = Column.LITHIUM_EXCESS_PCT
        hint = f"An excess of lithium (of sodium) stands in {column} ({column.option}), in %, not in the formula."
        raise refusal(text, hint=hint)


def _is_compound(formula: str) -> bool:
    """Whether it is a cation with its anion, such as Li2O."""
    try:
        amounts = read_amounts(formula)
    except FormulaError:
        return False
    return next(iter(amounts)) not in {*ANIONS, "O"} and bool({*ANIONS, "O"} & amounts.keys())


def _is_cation(formula: str) -> bool:
    """Whether more of the main formula follows, such as Li4/3 at its end."""
    match = re.match(r"[A-Z][a-z]?", formula)
    return match is not None and match.group() in PLACED and not _is_compound(formula.split("/", maxsplit=1)[0])


def misspelt(symbol: str, rest: str) -> str:
    """Return what an element of one letter and a capital behind it probably mean, as a hint; else empty."""
    second = re.match(r"[A-Z](?![a-z])", rest)
    if second is None or symbol + second.group().lower() not in PLACED:
        return ""
    meant = symbol + second.group().lower()
    pair = symbol + second.group()
    apart = (
        f" {symbol} and {second.group()} are written {symbol}1{second.group()}."
        if pair[1] in ELEMENT_INDEX
        else ""
    )
    return f"{pair!r} is no element. Did you mean {meant!r}?{apart}"


def take_name(body: str, text: str) -> str:
    """Return a formula without the name of its system beside it: ``Li1.3Al0.3Ti1.7(PO4)3 (LATP)``.

    Raises
    ------
    FormulaError
        If the name is that of another system: its hosts or its mobile ion are not in the formula.
    """
    match = _NAME_BEHIND.match(body) or _NAME_BEFORE.match(body)
    short = find(match["name"]) if match else None
    if match is None or short is None or not re.search(r"O\s*[0-9]", match["main"]):
        return body
    formula = match["main"].strip()
    if formula[0] in "([" and formula[-1] in ")]" and _encloses(formula):
        formula = formula[1:-1]
    symbols = {*re.findall(r"[A-Z][a-z]?", formula)} & ELEMENT_INDEX.keys()
    absent = [element for element in (short.alkali, *short.hosts) if element not in symbols]
    if absent and symbols & ALKALI_LETTERS.keys():
        raise refusal(text, hint=f"{short.name} has {' and '.join(absent)}, which the formula lacks.")
    return formula


def _encloses(formula: str) -> bool:
    """Whether the first bracket is closed by the last one."""
    depth = 0
    for place, char in enumerate(formula):
        depth += (char in "([") - (char in ")]")
        if depth == 0:
            return place == len(formula) - 1
    return False
