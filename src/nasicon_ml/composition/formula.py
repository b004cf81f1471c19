"""Formulas as text, and the elements in them with the valences they take in a NASICON."""

from __future__ import annotations

import html
import math
import re

from nasicon_ml.columns import Column
from nasicon_ml.errors import FormulaError, nearest

#: Symbols from hydrogen to lawrencium; the position plus one is the atomic number.
ELEMENTS: tuple[str, ...] = (
    "H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "Ar",
    "K", "Ca", "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Se", "Br", "Kr",
    "Rb", "Sr", "Y", "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd", "In", "Sn", "Sb", "Te", "I", "Xe",
    "Cs", "Ba", "La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu",
    "Hf", "Ta", "W", "Re", "Os", "Ir", "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po", "At", "Rn", "Fr", "Ra",
    "Ac", "Th", "Pa", "U", "Np", "Pu", "Am", "Cm", "Bk", "Cf", "Es", "Fm", "Md", "No", "Lr",
)  # fmt: skip
ELEMENT_INDEX: dict[str, int] = {symbol: position for position, symbol in enumerate(ELEMENTS)}

#: Mobile ions, always on A, with the letters that begin the name of a system.
ALKALI_LETTERS: dict[str, str] = {"Li": "L", "Na": "N", "K": "K", "Rb": "Rb", "Cs": "Cs", "Ag": "Ag"}

#: The 4+ cations that NASICONs are built on, with their letters, in the order a system's name has them.
HOST_LETTERS: dict[str, str] = {"Ti": "T", "Ge": "G", "Zr": "Z", "Hf": "H", "Sn": "Sn"}

#: Cations that only ever sit in the octahedra of M (six-fold Shannon radius up to 0.905 Å).
OCTAHEDRAL: frozenset[str] = frozenset({
    "Mg", "Al", "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Y", "Zr", "Nb",
    "Mo", "Ru", "Rh", "In", "Sn", "Sb", "Te", "Ho", "Er", "Tm", "Yb", "Lu", "Hf", "Ta", "W", "Ir", "U",
    "B",
})  # fmt: skip

#: Cations above 0.905 Å (Shannon, six-fold, default state, cerium as 3+), smallest first: they enter M as long
#: as it has room, in this order, and the rest goes to A.
LARGE: tuple[str, ...] = (
    "Dy", "Tb", "Gd", "Th", "Eu", "Cd", "Sm", "Nd", "Pr", "Ca", "Ce", "Bi", "La", "Sr", "Pb", "Ba",
)  # fmt: skip

#: Always tetrahedral.
TETRAHEDRAL: tuple[str, ...] = ("Si", "P")
#: Tetrahedral only as far as Si and P leave corners of the TO4 groups empty, in this order.
TETRAHEDRAL_IF_ROOM: tuple[str, ...] = ("S", "As", "V", "B")

#: Anions beside oxygen, with their charges. Sulfur counts here only when no tetrahedron is left for it.
ANIONS: dict[str, int] = {"F": -1, "Cl": -1, "Br": -1, "I": -1, "N": -3, "S": -2}

#: Every element that has a place.
PLACED: frozenset[str] = frozenset(
    {*ALKALI_LETTERS, *OCTAHEDRAL, *LARGE, *TETRAHEDRAL, *TETRAHEDRAL_IF_ROOM, *ANIONS, "O"}
)


def nearest_element(word: str) -> str:
    """Return which element symbol a misspelt one resembles most, as a sentence; empty if none."""
    if word.capitalize() in ELEMENT_INDEX:
        return f"Did you mean {word.capitalize()!r}?"
    for length in (2, 1):  # "Lii" begins with lithium's symbol, and difflib would need luck to see it
        if len(word) > length and word[:length].capitalize() in ELEMENT_INDEX:
            return f"Did you mean {word[:length].capitalize()!r}?"
    return nearest(word, ELEMENTS) if len(word) > 1 else ""


MAX_LENGTH = 200
EXAMPLES = "a formula such as Li1.3Al0.3Ti1.7(PO4)3, or a shorthand such as LATP x=0.3"

# What word processors, journals and PDF readers make of plain characters.
_PLAIN = str.maketrans({
    **dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True)),
    "₊": "+", "₋": "-", "₌": "=", "₍": "(", "₎": ")", "ₓ": "x", "\uff0e": ".",
    **dict.fromkeys("‐‑‒–—−﹣－", "-"),  # noqa: RUF001 - dashes that look like a minus are the point
    **dict.fromkeys("•∙⋅・‧●", "·"),
    **dict.fromkeys("\u00a0\u2002\u2003\u2007\u2008\u2009\u200a\u202f\t\n\r\f\v", " "),
    **dict.fromkeys("\u200b\u200c\u200d\ufeff\u00ad", ""),
})  # fmt: skip


_TAGS = re.compile(r"</?(?:sub|i|b|em|strong|span|font|p)\b[^<>]*>", re.IGNORECASE)
_LATEX_SIGNS = {
    r"\cdot": "·", r"\bullet": "·", r"\times": "*", r"\,": "", r"\;": "", r"\!": "", r"\ ": " ", "~": " ",
}  # fmt: skip
_LATEX_COMMAND = re.compile(r"\\[A-Za-z]+\*?\s*")
_INDEX = re.compile(r"_\s*(?:\{([^{}]*)\}|(?=[0-9xyz.]))")


def _without_markup(text: str) -> str:
    """Return a text without the markup of HTML and LaTeX, such as ``Li<sub>1.3</sub>`` and ``Li$_{1.3}$``."""
    if "<" in text or "&" in text:
        text = html.unescape(_TAGS.sub("", text))
    if "\\" in text or "$" in text:
        for sign, plain in _LATEX_SIGNS.items():
            text = text.replace(sign, plain)
        text = _INDEX.sub(lambda match: match[1] or "", _LATEX_COMMAND.sub("", text).replace("$", ""))
        return text.replace("{", "").replace("}", "")
    return _INDEX.sub(lambda match: match[1] or "", text)


#: A capital i where aluminium's l should be; no element begins with A and a capital letter.
_CAPITAL_I = re.compile(r"AI(?![a-z])")


def refusal(text: object, allowed: str = EXAMPLES, hint: str = "") -> FormulaError:
    """Return the error for a formula: what was given, what is allowed, what to do."""
    return FormulaError(Column.FORMULA.value, text, allowed, hint)


def clean(text: object) -> str:
    """Bring a pasted formula to plain ASCII (and the middle dot), without the markup of HTML and LaTeX.

    Raises
    ------
    FormulaError
        If it is not text, is empty or longer than `MAX_LENGTH`, or holds a character with no meaning here.
    """
    if not isinstance(text, str):
        raise refusal(text)
    bare = _without_markup(text) if len(text) <= 5 * MAX_LENGTH else text
    if len(bare) > MAX_LENGTH:
        raise refusal(text, f"at most {MAX_LENGTH} characters", f"This has {len(bare)}.")
    plain = _CAPITAL_I.sub("Al", " ".join(bare.translate(_PLAIN).split()))
    if not plain:
        raise refusal(text, hint="It is empty.")
    strange = next((char for char in plain if not (char.isascii() and char.isprintable()) and char != "·"), None)
    if strange is not None:
        raise refusal(text, hint=f"The character {strange!r} (U+{ord(strange):04X}) has no meaning here.")
    return plain


#: A number as people write amounts and as programs print them (``1.1179999999999999``, ``5e-05``); no thousands
#: separators.
NUMBER = r"(?:(?:[0-9]{1,6}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})(?:e-[0-9]{1,2})?)"

_TOKEN = re.compile(rf"[A-Z][a-z]?|{NUMBER}|[()\[\]{{}}]")
_CLOSING = {")": "(", "]": "[", "}": "{"}
_DEEPEST = 6
_LARGEST = 1e6


def format_amount(value: float) -> str:
    """Write an amount without exponent and trailing zeros."""
    return f"{value:.9f}".rstrip("0").rstrip(".")


def read_amounts(formula: str, text: str = "") -> dict[str, float]:
    """Read a plain chemical formula, ``Li1.3(Al0.3Ti1.7)(PO4)3``: amounts by element; those of zero are left out.

    `text` is what the person wrote, for error messages.

    Raises
    ------
    FormulaError
        If it is not such a formula.
    """
    text = text or formula
    formula = formula.replace(" ", "")
    _check_tokens(formula, text)
    from pymatgen.core import Composition as PymatgenComposition

    try:
        amounts = PymatgenComposition(formula).get_el_amt_dict()
    except (ValueError, OverflowError) as error:
        raise refusal(text, hint=f"{formula!r} cannot be read as a formula.") from error
    total = math.fsum(amounts.values())
    if not 0 < total < _LARGEST:
        raise refusal(text, hint="Its amounts are too large, too small, or all zero.")
    return {element: float(amount) for element, amount in amounts.items() if amount > 0}


def _check_tokens(formula: str, text: str) -> None:
    """Refuse what is wrong in a chemist's words before pymatgen says it in its own."""
    position, before = 0, "("  # a formula may not begin with a number, and neither may a bracket
    opened: list[str] = []
    while position < len(formula):
        match = _TOKEN.match(formula, position)
        if match is None:
            raise refusal(text, hint=f"{_around(formula, position)!r} is no part of a formula.")
        part = match.group()
        if part[0] in ".0123456789":
            if before[0] in ".0123456789([{":
                raise refusal(text, hint=f"The number {part!r} follows no element or bracket.")
        elif part[0].isalpha():
            _check_symbol(part, text)
        else:
            _check_bracket(part, before, opened, text)
        position, before = match.end(), part
    if opened:
        raise refusal(text, hint=f"A {opened[-1]!r} is never closed.")


def _around(formula: str, position: int) -> str:
    """Cut out the word or the characters at a place that cannot be read."""
    start = position
    while start and formula[position : position + 1].isalpha() and formula[start - 1].isalpha():
        start -= 1
    return formula[start : max(position, start) + 8]


def _check_symbol(symbol: str, text: str) -> None:
    if symbol in ELEMENT_INDEX:
        return
    if symbol[0] in ELEMENT_INDEX:
        raise refusal(text, hint=f"{symbol[1]!r} after {symbol[0]!r} is no element or number.")
    raise refusal(text, hint=f"{symbol!r} is no element. {nearest_element(symbol)}".rstrip())


def _check_bracket(bracket: str, before: str, opened: list[str], text: str) -> None:
    """Follow brackets as they open and close."""
    if bracket not in _CLOSING:
        opened.append(bracket)
        if len(opened) > _DEEPEST:
            raise refusal(text, hint=f"Brackets are nested more than {_DEEPEST} deep.")
        return
    if not opened or opened.pop() != _CLOSING[bracket]:
        raise refusal(text, hint=f"A {bracket!r} closes no bracket.")
    if before in _CLOSING.values():
        raise refusal(text, hint="A bracket is empty.")
