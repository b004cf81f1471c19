"""Read compositions as chemists write them: `parse`."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from nasicon_ml.columns import Column
from nasicon_ml.composition import shorthand
from nasicon_ml.composition.formula import (
    ELEMENT_INDEX,
    NUMBER,
    clean,
    format_amount,
    nearest_element,
    read_amounts,
    refusal,
)
from nasicon_ml.composition.shorthand import check_clauses, check_signs, misspelt, take_name
from nasicon_ml.composition.sites import Composition, SecondPhase, StateOverride, assign_sites
from nasicon_ml.composition.sites import oxidation_states as find_states
from nasicon_ml.errors import FieldError, nearest, shown

VARIABLES = ("x", "y", "z")
PLACEHOLDERS = ("M", "Me", "Ln")

_NUMBER = re.compile(NUMBER)
_WORD = re.compile(r"[A-Za-z]+")
#: ``Li(1+x)``, ``Al(x)``, ``Li(1.3)``; and the bracket of ``Ti2(1-x)``.
_AMOUNT_IN_BRACKET = re.compile(r"\([-+*/0-9xyz. ()]*[0-9xyz][ )]*(?<=\))")
_SUM_IN_BRACKET = re.compile(r"\([0-9xyz. ]*[-+*/xyz][-+*/0-9xyz. ]*\)")
_LAST_SYMBOL = re.compile(r"[A-Z][a-z]?$")
_DEEPEST = 6


@dataclass
class Scanner:
    """Reads a formula from left to right."""

    body: str  # the formula, without the clauses that give values
    text: str  # what the person wrote, for error messages
    numbers: Mapping[str, float]  # values of x, y and z
    substitutes: Mapping[str, str]  # elements that stand for M, Me or Ln
    used: set[str] = field(default_factory=set)
    position: int = 0
    _parts: list[str] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)
    _depth: int = 0

    def scan(self) -> tuple[str, str]:
        """Return the formula with everything filled in, and the second phase, in formula units, that follows it.

        Raises
        ------
        FormulaError
            If a symbol is unknown, a value is missing, or an amount is negative.
        """
        while (char := self._peek()) and not self._second_phase_begins(char):
            self._item(char)
        return "".join(self._parts), self.body[self.position :].strip()

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
                    if length == 1 and (hint := misspelt(symbol, self.body[self.position :])):
                        raise refusal(self.text, hint=hint)
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
        in_bracket = _AMOUNT_IN_BRACKET.match(self.body, self.position)
        if not (char.isdigit() or char == "." or self._at_variable() or in_bracket):
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
            if _SUM_IN_BRACKET.match(self.body, self.position):
                value *= self._term(depth + 1)
            else:
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


_ASSIGNMENT = re.compile(
    rf"(?<![A-Za-z0-9.])(?P<name>[A-Za-z]+)\s*=\s*(?P<value>[+-]?{NUMBER}(?:\s*/\s*{NUMBER})?|[A-Za-z]+)"
)
_DECIMAL_COMMA = re.compile(r"=\s*\d+,\d")
_BEFORE_END = re.compile(r"(?<=[^\s,;(\[])[\s,;]+(?=[)\]])")
_EMPTY_BRACKET = re.compile(r"[(\[]\s*(?:[,;]\s*)*[)\]]")
_LOOSE_END = re.compile(r"(?:[\s,;:]|(?<![A-Za-z0-9])(?:with|where|for|and|at)(?![A-Za-z0-9]))+$")
_PERCENT = re.compile(
    rf"^(?P<main>.*?\S)(?:\s*[+·,;-]\s*|\s+(?:with\s+|and\s+|plus\s+)?)(?P<amount>{NUMBER})\s*"
    r"(?P<unit>[A-Za-z]*)[\s.-]*%\s*(?:of\s+)?(?P<phase>.*)$"
)
_LARGEST_VALUE = 10.0


@dataclass(frozen=True)
class Values:
    """The values given for x, y, z, amounts by symbol, and place holders."""

    numbers: dict[str, float]
    substitutes: dict[str, str]


def take_values(plain: str, text: str) -> tuple[str, Values]:
    """Return a text without ``x=0.4`` and the like, and their values.

    Raises
    ------
    FormulaError
        If a name is unknown or given twice, or its value is of the wrong kind.
    """
    if _DECIMAL_COMMA.search(plain):
        raise refusal(text, hint="Write decimals with a point, as in x=0.4.")
    values = Values({}, {})
    for match in _ASSIGNMENT.finditer(plain):
        _take(match["name"], match["value"], values, text)
    rest = _BEFORE_END.sub("", _ASSIGNMENT.sub(" ", plain))
    if "=" in rest:
        hint = "Values are written after the formula, as in 'Li1+xAlxTi2-x(PO4)3, x=0.4'."
        raise refusal(text, hint=hint)
    if rest != plain:
        rest = _EMPTY_BRACKET.sub(" ", rest)
    return tidy(rest), values


def tidy(body: str) -> str:
    """Strip what taking clauses out has left behind."""
    body = re.sub(r"[\s,;]+(?=[+\-·])", " ", body)
    return _LOOSE_END.sub("", body).strip(" ,;")


def _take(name: str, value: str, values: Values, text: str) -> None:
    name = "x" if name == "X" else name
    given: dict[str, object] = {**values.numbers, **values.substitutes}
    if name in given:
        raise refusal(text, hint=f"{name} is given twice.")
    if name in PLACEHOLDERS:
        values.substitutes[name] = check_substitute(name, value, text)
    elif name in VARIABLES or name in ELEMENT_INDEX:
        if value[0].isalpha():
            raise refusal(text, f"a number for {name}", f"It is {value!r} here.")
        values.numbers[name] = check_value(name, _fraction(value, text), text)
    else:
        known = (*VARIABLES, *PLACEHOLDERS)
        raise refusal(text, f"values for {', '.join(known)}", f"{name!r} is none of them. {nearest(name, known)}")


def _fraction(value: str, text: str) -> float:
    top, _, bottom = value.replace(" ", "").partition("/")
    if bottom and float(bottom) == 0:
        raise refusal(text, hint=f"{value!r} divides by zero.")
    return float(top) / float(bottom or 1)


def check_value(name: str, value: float, text: str) -> float:
    """Refuse values that no amount in a formula can have."""
    if not abs(value) <= _LARGEST_VALUE:
        raise refusal(text, f"{name} from {-_LARGEST_VALUE:g} to {_LARGEST_VALUE:g}", f"It is {value:g} here.")
    return value


def check_substitute(name: str, value: object, text: str) -> str:
    """Refuse a place holder's value that is no element."""
    if isinstance(value, str) and value in ELEMENT_INDEX:
        return value
    hint = nearest_element(value) if isinstance(value, str) and value else ""
    raise refusal(text, f"one element symbol for {name}", f"It is {value!r} here. {hint}".rstrip())


def take_percent(body: str, text: str) -> tuple[str, tuple[str, float, str] | None]:
    """Return a text without ``+ 2 wt% Al2O3``, and what it said: formula as written, amount and unit.

    Raises
    ------
    FormulaError
        If the unit is not wt% or mol%, or the phase is missing.
    """
    if "%" not in body:
        return body, None
    match = _PERCENT.match(body)
    allowed = "a second phase such as '+ 2 wt% Al2O3', '+ 5 mol% LiF' or '-0.05Li2O'"
    if body.count("%") > 1:
        raise refusal(text, allowed, "Only one second phase can be given.")
    if match is None:
        raise refusal(text, allowed, "The per cent in it cannot be understood.")
    unit = Column.ADDITIVE_UNIT.spellings.get(f"{match['unit'].lower()}%")
    unit = unit or {"weight%": "wt%", "mass%": "wt%", "mole%": "mol%"}.get(f"{match['unit'].lower()}%")
    if unit is None:
        hint = f"{match['unit']}% is not read." if match["unit"] else "Say whether wt% or mol%."
        raise refusal(text, allowed, hint)
    if not match["phase"].strip():
        raise refusal(text, allowed, f"It does not say of what: {match['amount']} {unit} ...")
    return tidy(match["main"]), (match["phase"].strip(), float(match["amount"]), unit)


_SHORTHAND = re.compile(r"(?P<name>[A-Za-z]+)\s*(?:[+·-]\s*(?P<rest>.*))?")
_BARE_AMOUNT = re.compile(rf"(?P<name>[A-Za-z]+)[\s,:_-]*(?:\bx\s*)?\(?(?P<number>{NUMBER})\)?")
_UNITS_OF = re.compile(rf"(?P<number>{NUMBER})?\s*\*?\s*(?P<variable>[xyz])?\s*(?P<phase>.*)")


def parse(
    text: str,
    *,
    x: float | None = None,
    substitute: Mapping[str, str] | None = None,
    oxidation_states: StateOverride | None = None,
) -> Composition:
    """Read a composition as chemists write it.

    Parameters
    ----------
    text
        A formula (``Li1.3Al0.3Ti1.7(PO4)3``), a general formula with its values
        (``Li1+xAlxTi2-x(PO4)3, x=0.4``; ``Li1.3M0.3Ti1.7(PO4)3, M=Sc``), a shorthand (``LATP x=0.3``), any of
        them with a second phase (``LAGP x=0.5 + 2 wt% B2O3``; ``Li1.5Al0.5Ge1.5(PO4)3-0.05Li2O``).
    x
        The value of x, if the text does not say it.
    substitute
        Elements for M, Me or Ln, if the text does not say them.
    oxidation_states
        States that differ from the usual ones, such as ``{"Ti": 3}`` or ``{"V": {3: 0.5, 4: 0.5}}``.

    Returns
    -------
    Composition
        Normalised to three T cations.

    Raises
    ------
    FormulaError
        If the text cannot be read or is no NASICON composition.
    """
    if type(text) is str and x is None and not substitute and not oxidation_states:
        return _parse_plain(text)
    return _parse(text, x, substitute, oxidation_states)


@lru_cache(maxsize=8192)
def _parse_plain(text: str) -> Composition:
    return _parse(text, None, None, None)


def _parse(
    text: str, x: float | None, substitute: Mapping[str, str] | None, overrides: StateOverride | None
) -> Composition:
    plain = clean(text)
    check_clauses(plain, text)
    body, values = take_values(plain, text)
    _add_arguments(values, x, substitute, text)
    check_signs(body, text)
    body, percent = take_percent(body, text)
    formula, second = _read_body(take_name(body, text), values, text)
    if percent and second:
        raise refusal(text, "one second phase", "Only one second phase can be given.")
    sites = assign_sites(read_amounts(formula, text), text)
    states = find_states(sites, overrides, text)
    return Composition(
        sites.a_site,
        sites.m_site,
        sites.t_site,
        sites.oxygen,
        sites.other_anions,
        states,
        _second_phase(*percent, text) if percent else second,
    )


def _add_arguments(values: Values, x: object, substitute: Mapping[str, str] | None, text: str) -> None:
    """Join the values given as arguments with those in the text."""
    if x is not None:
        number = _finite(x)
        if number is None:
            raise refusal(text, "a number for x", f"It is {shown(x)} here.")
        if values.numbers.setdefault("x", check_value("x", number, text)) != number:
            raise refusal(text, "one value of x", f"The text says {values.numbers['x']:g}, x is {number:g}.")
    for name, element in (substitute or {}).items():
        if name not in PLACEHOLDERS:
            raise refusal(text, f"place holders {', '.join(PLACEHOLDERS)}", f"{name!r} is none of them.")
        checked = check_substitute(name, element, text)
        if values.substitutes.setdefault(name, checked) != checked:
            raise refusal(text, f"one element for {name}", f"It is {values.substitutes[name]} in the text.")


def _finite(x: object) -> float | None:
    """Return a number as float; None if it is none, or too large for one."""
    if isinstance(x, bool) or not isinstance(x, numbers.Real):
        return None
    try:
        number = float(x)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _read_body(body: str, values: Values, text: str) -> tuple[str, SecondPhase | None]:
    """Read what is left of the text: a shorthand or a formula, perhaps with a second phase in formula units."""
    if not body:
        raise refusal(text, hint="There is no formula in it.")
    _check_bare_amount(body, values, text)
    match = _SHORTHAND.fullmatch(body)
    short = shorthand.find(match["name"]) if match else None
    if match and short:
        formula = shorthand.expand(short, values.numbers, values.substitutes, text)
        return formula, _formula_units(match["rest"], values, text) if match["rest"] is not None else None
    if match and (hint := shorthand.hint(match["name"])):
        raise refusal(text, hint=f"{match['name']!r} is no shorthand. {hint}")
    scanner = Scanner(body, text, values.numbers, values.substitutes)
    formula, rest = scanner.scan()
    second = None
    if rest:
        coefficient = _UNITS_OF.fullmatch(rest[1:].strip())
        if coefficient and coefficient["variable"]:
            scanner.used.add(coefficient["variable"])
        second = _formula_units(rest[1:], values, text)
    _check_all_used(values, scanner.used, text)
    return formula, second


def _check_bare_amount(body: str, values: Values, text: str) -> None:
    """Refuse ``LATP 0.3``, and say how it is written."""
    match = _BARE_AMOUNT.fullmatch(body)
    short = shorthand.find(match["name"]) if match else None
    if match and short and (short.dopant or short.silicon) and not values.numbers:
        number = re.sub(r"^0(?=[0-9])", "0.", match["number"])  # LATP03 has lost its point
        value = number if float(number) <= 2 else "0.3"
        raise refusal(text, hint=f"The number has no name: write {short.name} x={value}.")


def _check_all_used(values: Values, used: set[str], text: str) -> None:
    for name in (*values.numbers, *values.substitutes):
        if name not in used:
            known = sorted(used & {*VARIABLES, *PLACEHOLDERS})
            has = f"it has {', '.join(known)}" if known else "all its amounts are numbers"
            raise refusal(text, hint=f"{name} is given, but the formula has no {name}: {has}.")


def _formula_units(rest: str, values: Values, text: str) -> SecondPhase | None:
    """Read ``0.05Li2O`` or ``xLi2O``."""
    match = _UNITS_OF.fullmatch(rest.strip())
    if match is None or not match["phase"] or not (match["number"] or match["variable"]):
        example = "a second phase with its amount, such as '+ 2 wt% Al2O3' or '-0.05Li2O'"
        raise refusal(text, example, f"How much is {rest.strip()!r}?")
    amount = float(match["number"] or 1)
    if match["variable"]:
        if match["variable"] not in values.numbers:
            name = match["variable"]
            raise refusal(text, hint=f"The formula has {name}: say its value, as in ', {name}=0.05'.")
        amount *= values.numbers[match["variable"]]
    return _second_phase(match["phase"], amount, "formula_unit", text)


def _second_phase(formula: str, amount: float, unit: str, text: str) -> SecondPhase | None:
    """Check a second phase: a formula of known elements, and an amount that can be weighed."""
    formula = formula.replace(" ", "")
    try:
        read_amounts(formula)
        Column.ADDITIVE_AMOUNT.parse(amount)
    except FieldError as error:
        reason = error.hint or f"its amount must be {error.allowed}."
        raise refusal(text, "a second phase such as '+ 2 wt% Al2O3'", f"In {formula!r}: {reason}") from None
    if amount == 0:
        return None  # nothing of it is no second phase
    if amount < 1e-6:
        raise refusal(text, "an amount of the second phase above 0", f"It is {amount:g} {formula}.")
    return SecondPhase(formula, round(amount, 6), unit)
