"""General formulas: amounts such as ``2-x``, place holders such as ``M``, and where a second phase begins.

Amounts are read by a small recursive reader that knows numbers, x, y, z, plus, minus and brackets, and
nothing else; no text is ever evaluated as code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from nasicon_ml.composition.elements import ELEMENT_INDEX, nearest_element
from nasicon_ml.composition.formula import NUMBER, format_amount
from nasicon_ml.composition.text import refusal

VARIABLES = ("x", "y", "z")
PLACEHOLDERS = ("M", "Me", "Ln")

_NUMBER = re.compile(NUMBER)
_WORD = re.compile(r"[A-Za-z]+")
_LAST_SYMBOL = re.compile(r"[A-Z][a-z]?$")
_DEEPEST = 6


@dataclass(frozen=True)
class Scanned:
    """A general formula with everything filled in, and what followed it."""

    formula: str
    rest: str  # the second phase in formula units, as written; empty if there is none


@dataclass
class Scanner:
    """Reads a formula from left to right.

    Parameters
    ----------
    body
        The formula, without the clauses that give values.
    text
        What the person wrote, for error messages.
    numbers
        Values of x, y and z.
    substitutes
        Elements that stand for M, Me or Ln.
    """

    body: str
    text: str
    numbers: Mapping[str, float]
    substitutes: Mapping[str, str]
    used: set[str] = field(default_factory=set)
    position: int = 0
    _parts: list[str] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)
    _depth: int = 0

    def scan(self) -> Scanned:
        """Read the whole text.

        Raises
        ------
        FormulaError
            If a symbol is unknown, a value is missing, or an amount is negative.
        """
        while (char := self._peek()) and not self._second_phase_begins(char):
            self._item(char)
        rest = self.body[self.position :].strip()
        return Scanned("".join(self._parts), rest)

    def _item(self, char: str) -> None:
        if char in "([{":
            self._depth += 1
            self.position += 1
            self._parts.append(char)
        elif char in ")]}":
            self._depth -= 1
            self.position += 1
            self._parts.append(char + self._amount())
        elif char.isalpha():
            self._parts.append(self._symbol() + self._amount())
        elif char.isdigit() and not self._parts:
            raise refusal(self.text, hint="A formula begins with an element, not with a number.")
        elif re.match(r",\d", self.body[self.position :]):
            raise refusal(self.text, hint="Write decimals with a point, as in Li1.3.")
        else:
            raise refusal(self.text, hint=f"{self._excerpt()} was not expected.")

    def _peek(self) -> str:
        """Skip spaces; return the next character, or an empty text at the end."""
        while self.position < len(self.body) and self.body[self.position] == " ":
            self.position += 1
        return self.body[self.position : self.position + 1]

    def _excerpt(self) -> str:
        return repr(self.body[self.position : self.position + 10])

    def _symbol(self) -> str:
        for length in (2, 1):
            symbol = self.body[self.position : self.position + length]
            if symbol in PLACEHOLDERS or symbol in ELEMENT_INDEX:
                self.position += len(symbol)
                if symbol in ELEMENT_INDEX:
                    self._seen.add(symbol)
                    return symbol
                return self._substitute(symbol)
        match = _WORD.match(self.body, self.position)
        word = match.group() if match else ""
        before = _LAST_SYMBOL.search(self.body[: self.position])
        if word[0].islower() and before:
            word = before.group() + word  # "Lii", not "i"
        elif word[0].islower():
            raise refusal(self.text, hint="Element symbols begin with a capital letter.")
        raise refusal(self.text, hint=f"{word!r} is no element. {nearest_element(word)}".rstrip())

    def _substitute(self, symbol: str) -> str:
        self.used.add(symbol)
        if symbol not in self.substitutes:
            raise refusal(self.text, hint=f"{symbol} stands for a dopant: say which, as in ', {symbol}=Sc'.")
        self._seen.add(self.substitutes[symbol])
        return self.substitutes[symbol]

    def _amount(self) -> str:
        """Read the amount after a symbol or bracket; empty if there is none (which means one)."""
        char = self._peek()
        if not (char.isdigit() or char == "." or self._at_variable()):
            return ""
        start = self.position
        value = self._expression()
        if value < -1e-9:
            written = self.body[start : self.position].strip()
            raise refusal(self.text, "amounts of zero or more", f"{written!r} is {value:.4g} here.")
        return format_amount(max(value, 0.0))

    def _expression(self, depth: int = 0) -> float:
        if depth > _DEEPEST:
            raise refusal(self.text, hint=f"Brackets are nested more than {_DEEPEST} deep.")
        value = self._term(depth)
        while (sign := self._peek()) in ("+", "-"):
            if not depth and self._second_phase_begins(sign):
                break
            self.position += 1
            term = self._term(depth)
            value += term if sign == "+" else -term
        return value

    def _term(self, depth: int) -> float:
        """Read ``2``, ``x``, ``2x``, ``2*x``, ``x/2`` or a sum in brackets."""
        char = self._peek()
        if char == "(":
            self.position += 1
            value = self._expression(depth + 1)
            if self._peek() != ")":
                raise refusal(self.text, hint="A bracket inside an amount is never closed.")
            self.position += 1
            return value
        number = _NUMBER.match(self.body, self.position)
        if number:
            self.position = number.end()
            star = self._peek() == "*"
            self.position += star
            value = float(number.group())
            value *= self._variable() if star or self._at_variable() else 1.0
        elif self._at_variable():
            value = self._variable()
        else:
            raise refusal(self.text, hint=f"An amount was expected at {self._excerpt()}.")
        if self._peek() == "/":
            self.position += 1
            value /= self._divisor()
        return value

    def _at_variable(self) -> bool:
        return self._peek() in VARIABLES

    def _variable(self) -> float:
        name = self._peek()
        if name not in VARIABLES:
            raise refusal(self.text, hint=f"x, y or z was expected at {self._excerpt()}.")
        self.position += 1
        self.used.add(name)
        if name not in self.numbers:
            raise refusal(self.text, hint=f"The formula has {name}: say its value, as in ', {name}=0.4'.")
        return self.numbers[name]

    def _divisor(self) -> float:
        self._peek()
        number = _NUMBER.match(self.body, self.position)
        if not number or float(number.group()) == 0:
            raise refusal(self.text, hint=f"A number was expected at {self._excerpt()}.")
        self.position = number.end()
        return float(number.group())

    def _second_phase_begins(self, char: str) -> bool:
        """Whether a sign starts a second phase and is not part of an amount.

        It does once the tetrahedra have been read (P or Si, and O), as in ``(PO4)3-0.05Li2O``; but in
        ``(PO4)3-x(SiO4)x`` what follows depends on x itself, so the sign belongs to the amount.
        """
        if char not in ("+", "-", "·") or self._depth:
            return False
        if char == "·":
            return True
        if "O" not in self._seen or not self._seen & {"P", "Si"}:
            return False
        after = self.body[self.position + 1 :].lstrip()
        coefficient = re.match(rf"(?:{NUMBER})?\s*\*?\s*[xyz]", after)
        if coefficient is None:
            return True
        remainder = after[coefficient.end() :]
        return bool(remainder.strip()) and not _has_variable(remainder)


def _has_variable(formula: str) -> bool:
    """Whether x, y or z stands in it as an amount, rather than as part of a symbol such as Dy."""
    position = 0
    while position < len(formula):
        if formula[position : position + 2] in ELEMENT_INDEX:
            position += 2
        elif formula[position] in VARIABLES:
            return True
        else:
            position += 1
    return False
