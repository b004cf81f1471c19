"""Parse chemical formulas, and list the elements that can occupy each site of a NASICON."""

from __future__ import annotations

import html
import math
import re

from nasicon_ml.columns import Column
from nasicon_ml.errors import FormulaError, nearest

#: Symbols from hydrogen to lawrencium; the index plus one is the atomic number.
ELEMENTS: tuple[str, ...] = (
    "H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "Ar",
    "K", "Ca", "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Se", "Br", "Kr",
    "Rb", "Sr", "Y", "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd", "In", "Sn", "Sb", "Te", "I", "Xe",
    "Cs", "Ba", "La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu",
    "Hf", "Ta", "W", "Re", "Os", "Ir", "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po", "At", "Rn", "Fr", "Ra",
    "Ac", "Th", "Pa", "U", "Np", "Pu", "Am", "Cm", "Bk", "Cf", "Es", "Fm", "Md", "No", "Lr",
)  # fmt: skip
ELEMENT_INDEX: dict[str, int] = {symbol: index for index, symbol in enumerate(ELEMENTS)}

#: Mobile ions, which always occupy A, with the letters that the name of a system begins with.
ALKALI_LETTERS: dict[str, str] = {"Li": "L", "Na": "N", "K": "K", "Rb": "Rb", "Cs": "Cs", "Ag": "Ag"}

#: Host cations (4+) with their letters, in the order in which the name of a system lists them.
HOST_LETTERS: dict[str, str] = {"Ti": "T", "Ge": "G", "Zr": "Z", "Hf": "H", "Sn": "Sn"}

#: Cations that occupy only the octahedral site M (six-fold Shannon radius up to 0.905 Å).
OCTAHEDRAL_CATIONS: frozenset[str] = frozenset({
    "Mg", "Al", "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Y", "Zr", "Nb",
    "Mo", "Ru", "Rh", "In", "Sn", "Sb", "Te", "Ho", "Er", "Tm", "Yb", "Lu", "Hf", "Ta", "W", "Ir", "U",
    "B",
})  # fmt: skip

#: Cations above 0.905 Å (Shannon, six-fold, default state, cerium as 3+), smallest first. In this order they
#: fill M; the remainder occupies A.
LARGE_CATIONS: tuple[str, ...] = (
    "Dy", "Tb", "Gd", "Th", "Eu", "Cd", "Sm", "Nd", "Pr", "Ca", "Ce", "Bi", "La", "Sr", "Pb", "Ba",
)  # fmt: skip

#: Cations that are always tetrahedral.
TETRAHEDRAL_CATIONS: tuple[str, ...] = ("Si", "P")
#: Cations that, in this order, occupy the tetrahedra which Si and P leave vacant.
OPTIONAL_TETRAHEDRAL_CATIONS: tuple[str, ...] = ("S", "As", "V", "B")

#: Charges of the anions other than oxygen. Sulfur is an anion only if no tetrahedron is left for it.
ANION_CHARGES: dict[str, int] = {"F": -1, "Cl": -1, "Br": -1, "I": -1, "N": -3, "S": -2}

#: Every element that can be assigned to a site.
SUPPORTED_ELEMENTS: frozenset[str] = frozenset(
    {
        *ALKALI_LETTERS,
        *OCTAHEDRAL_CATIONS,
        *LARGE_CATIONS,
        *TETRAHEDRAL_CATIONS,
        *OPTIONAL_TETRAHEDRAL_CATIONS,
        *ANION_CHARGES,
        "O",
    }
)


def nearest_element(word: str) -> str:
    """Return a sentence that suggests the symbol closest to a misspelt one; empty if none is close."""
    for prefix in (word, word[:2], word[:1]):  # difflib may miss the "Li" at the start of "Lii"
        if prefix.capitalize() in ELEMENT_INDEX:
            return f"Did you mean {prefix.capitalize()!r}?"
    return nearest(word, ELEMENTS) if len(word) > 1 else ""


MAX_CHARACTERS = 200
ALLOWED_FORMULAS = "a formula such as Li1.3Al0.3Ti1.7(PO4)3, or a shorthand such as LATP x=0.3"

# Plain equivalents of the characters that word processors, journals and PDF readers substitute.
_PLAIN_CHARACTERS = str.maketrans({
    **dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True)),
    "₊": "+", "₋": "-", "₌": "=", "₍": "(", "₎": ")", "ₓ": "x", "\uff0e": ".",
    **dict.fromkeys("‐‑‒–—−﹣－", "-"),  # noqa: RUF001 - the ambiguous dashes are intended
    **dict.fromkeys("•∙⋅・‧●", "·"),
    **dict.fromkeys("\u00a0\u2002\u2003\u2007\u2008\u2009\u200a\u202f\t\n\r\f\v", " "),
    **dict.fromkeys("\u200b\u200c\u200d\ufeff\u00ad", ""),
})  # fmt: skip

_HTML_TAG = re.compile(r"</?(?:sub|i|b|em|strong|span|font|p)\b[^<>]*>", re.IGNORECASE)
_LATEX_SIGNS = {
    r"\cdot": "·", r"\bullet": "·", r"\times": "*", r"\,": "", r"\;": "", r"\!": "", r"\ ": " ", "~": " ",
}  # fmt: skip
_LATEX_COMMAND = re.compile(r"\\[A-Za-z]+\*?\s*")
_SUBSCRIPT = re.compile(r"_\s*(?:\{([^{}]*)\}|(?=[0-9xyz.]))")


def _without_markup(text: str) -> str:
    """Remove HTML and LaTeX markup, as in ``Li<sub>1.3</sub>`` and ``Li$_{1.3}$``."""
    if "<" in text or "&" in text:
        text = html.unescape(_HTML_TAG.sub("", text))
    is_latex = "\\" in text or "$" in text
    if is_latex:
        for sign, plain in _LATEX_SIGNS.items():
            text = text.replace(sign, plain)
        text = _LATEX_COMMAND.sub("", text).replace("$", "")
    text = _SUBSCRIPT.sub(r"\1", text)
    return text.replace("{", "").replace("}", "") if is_latex else text


#: A capital I typed for the l of aluminium; no symbol consists of A and a capital letter.
_CAPITAL_I = re.compile(r"AI(?![a-z])")


def formula_error(text: object, allowed: str = ALLOWED_FORMULAS, hint: str = "") -> FormulaError:
    """Return a `FormulaError` about a text, with what is allowed and a hint."""
    return FormulaError(Column.FORMULA.value, text, allowed, hint)


def clean_formula(text: object) -> str:
    """Return a pasted formula in plain ASCII (plus the middle dot), without HTML and LaTeX markup.

    Raises
    ------
    FormulaError
        If it is not text, is empty, is longer than `MAX_CHARACTERS`, or contains an unsupported character.
    """
    if not isinstance(text, str):
        raise formula_error(text)
    unmarked = _without_markup(text) if len(text) <= 5 * MAX_CHARACTERS else text
    if len(unmarked) > MAX_CHARACTERS:
        raise formula_error(text, f"at most {MAX_CHARACTERS} characters", f"This has {len(unmarked)}.")
    plain = _CAPITAL_I.sub("Al", " ".join(unmarked.translate(_PLAIN_CHARACTERS).split()))
    if not plain:
        raise formula_error(text, hint="It is empty.")
    for char in plain:
        if not (char.isascii() and char.isprintable()) and char != "·":
            raise formula_error(text, hint=f"The character {char!r} (U+{ord(char):04X}) has no meaning here.")
    return plain


#: Amounts as people write them or as programs print them (``1.1179999999999999``, ``5e-05``), without thousands
#: separators.
NUMBER = r"(?:(?:[0-9]{1,6}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})(?:e-[0-9]{1,2})?)"

_TOKEN = re.compile(rf"[A-Z][a-z]?|{NUMBER}|[()\[\]{{}}]")
_CLOSING = {")": "(", "]": "[", "}": "{"}
MAX_BRACKET_DEPTH = 6
_MAX_TOTAL_AMOUNT = 1e6


def format_amount(value: float) -> str:
    """Write an amount without exponent and trailing zeros."""
    return f"{value:.9f}".rstrip("0").rstrip(".")


def read_amounts(formula: str, text: str = "") -> dict[str, float]:
    """Return the nonzero amount of each element in a plain formula such as ``Li1.3(Al0.3Ti1.7)(PO4)3``.

    Error messages quote `text`, the user's input, which defaults to the formula.

    Raises
    ------
    FormulaError
        If the formula cannot be read.
    """
    text = text or formula
    formula = formula.replace(" ", "")
    _check_tokens(formula, text)
    from pymatgen.core import Composition as PymatgenComposition

    try:
        amounts = PymatgenComposition(formula).get_el_amt_dict()
    except (ValueError, OverflowError) as error:
        raise formula_error(text, hint=f"{formula!r} cannot be read as a formula.") from error
    total = math.fsum(amounts.values())
    if not 0 < total < _MAX_TOTAL_AMOUNT:
        raise formula_error(text, hint="Its amounts are too large, too small, or all zero.")
    return {element: float(amount) for element, amount in amounts.items() if amount > 0}


def _check_tokens(formula: str, text: str) -> None:
    """Raise an error in chemical terms for a malformed formula, before pymatgen raises one in its own."""
    position, previous = 0, "("  # a number may begin neither a formula nor the content of a bracket
    open_brackets: list[str] = []
    while position < len(formula):
        match = _TOKEN.match(formula, position)
        if match is None:
            raise formula_error(text, hint=f"{_excerpt(formula, position)!r} is not part of a formula.")
        token = match.group()
        if token[0] in ".0123456789":
            if previous[0] in ".0123456789([{":
                raise formula_error(text, hint=f"The number {token!r} follows no element or bracket.")
        elif token[0].isalpha():
            _check_symbol(token, text)
        else:
            _check_bracket(token, previous, open_brackets, text)
        position, previous = match.end(), token
    if open_brackets:
        raise formula_error(text, hint=f"A {open_brackets[-1]!r} is never closed.")


def _excerpt(formula: str, position: int) -> str:
    """Return the word or the characters around a position that cannot be read."""
    start = position
    while start and formula[position : position + 1].isalpha() and formula[start - 1].isalpha():
        start -= 1
    return formula[start : max(position, start) + 8]


def _check_symbol(symbol: str, text: str) -> None:
    if symbol in ELEMENT_INDEX:
        return
    if symbol[0] in ELEMENT_INDEX:
        raise formula_error(text, hint=f"{symbol[1]!r} after {symbol[0]!r} is not an element or number.")
    raise formula_error(text, hint=f"{symbol!r} is not an element. {nearest_element(symbol)}".rstrip())


def _check_bracket(bracket: str, previous: str, open_brackets: list[str], text: str) -> None:
    """Update the stack of open brackets; raise an error if brackets do not match, are empty or nest too deeply."""
    if bracket not in _CLOSING:
        open_brackets.append(bracket)
        if len(open_brackets) > MAX_BRACKET_DEPTH:
            raise formula_error(text, hint=f"Brackets are nested more than {MAX_BRACKET_DEPTH} deep.")
        return
    if not open_brackets or open_brackets.pop() != _CLOSING[bracket]:
        raise formula_error(text, hint=f"A {bracket!r} closes no bracket.")
    if previous in _CLOSING.values():
        raise formula_error(text, hint="A bracket is empty.")
