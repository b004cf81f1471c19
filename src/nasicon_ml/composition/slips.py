"""Slips in formulas: signs misread, elements misspelt, and names and clauses that do not belong there."""

from __future__ import annotations

import re

from nasicon_ml.columns import Column
from nasicon_ml.composition import shorthand
from nasicon_ml.composition.elements import ALKALI_LETTERS, ANIONS, ELEMENT_INDEX, PLACED
from nasicon_ml.composition.formula import NUMBER, read_amounts, refusal
from nasicon_ml.errors import FormulaError

_SECOND_PHASE = "write a second phase as '+ 2 wt% {0}', '+ 5 mol% {0}' or '+ 0.1{0}' (formula units)"
_ZERO_FOR_OXYGEN = re.compile(r"(?<![A-Z])(P|Si|C|N|S|B)0([0-9]+)")
_LOST_OXYGEN = re.compile(r"(P(?:[0-9](?:\.[0-9]+)?)?)012(?![0-9.])")
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
    """Return what two capital letters in a row probably mean, as a hint; empty if each is an element of its own.

    Parameters
    ----------
    symbol
        An element of one letter.
    rest
        What follows it.
    """
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
    short = shorthand.find(match["name"]) if match else None
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
