"""Parse compositions as chemists write them."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from nasicon_ml.columns import Column
from nasicon_ml.composition.formula import (
    ELEMENT_INDEX,
    MAX_BRACKET_DEPTH,
    NUMBER,
    clean_formula,
    format_amount,
    formula_error,
    nearest_element,
    read_amounts,
)
from nasicon_ml.composition.shorthand import (
    capitalisation_hint,
    check_clauses,
    check_notation,
    expand_shorthand,
    find_shorthand,
    nearest_shorthand,
    remove_system_name,
)
from nasicon_ml.composition.sites import Composition, SecondPhase, StateOverride, assign_sites
from nasicon_ml.composition.sites import oxidation_states as find_oxidation_states
from nasicon_ml.errors import FieldError, format_value, nearest

VARIABLES = ("x", "y", "z")
PLACEHOLDERS = ("M", "Me", "Ln")

_NUMBER = re.compile(NUMBER)
_WORD = re.compile(r"[A-Za-z]+")
#: ``Li(1+x)``, ``Al(x)``, ``Li(1.3)``; and the bracket of ``Ti2(1-x)``.
_AMOUNT_IN_BRACKET = re.compile(r"\([-+*/0-9xyz. ()]*[0-9xyz][ )]*(?<=\))")
_SUM_IN_BRACKET = re.compile(r"\([0-9xyz. ]*[-+*/xyz][-+*/0-9xyz. ]*\)")
_LAST_SYMBOL = re.compile(r"[A-Z][a-z]?$")
_VARIABLE = re.compile(r"[xz]|(?<!D)y")  # Dy is the only element symbol with x, y or z


@dataclass
class FormulaScanner:
    """Scanner that reads a formula from left to right and evaluates its amounts."""

    body: str  # the formula, without assignments such as x=0.4
    text: str  # the user's input, for error messages
    numbers: Mapping[str, float]  # values of x, y and z
    substitutes: Mapping[str, str]  # elements for M, Me and Ln
    used: set[str] = field(default_factory=set)  # variables and place holders in the formula
    position: int = 0
    _parts: list[str] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)
    _depth: int = 0

    def scan(self) -> tuple[str, str]:
        """Return the formula with numeric amounts, and the text of a second phase in formula units after it.

        Raises
        ------
        FormulaError
            If a symbol is unknown, a value is missing, or an amount is negative.
        """
        while (char := self._peek()) and not self._second_phase_begins(char):
            self._scan_item(char)
        return "".join(self._parts), self.body[self.position :].strip()

    def _scan_item(self, char: str) -> None:
        if char in "([{":
            self._depth += 1
            self.position += 1
            self._parts.append(char)
        elif char in ")]}":
            self._depth -= 1
            self.position += 1
            self._parts.append(char + self._scan_amount())
        elif char.isalpha():
            self._parts.append(self._scan_symbol() + self._scan_amount())
        elif char.isdigit() and not self._parts:
            raise formula_error(self.text, hint="A formula begins with an element, not with a number.")
        elif re.match(r",\d", self.body[self.position :]):
            raise formula_error(self.text, hint="Write decimals with a point, as in Li1.3.")
        else:
            raise formula_error(self.text, hint=f"{self._excerpt()} was not expected.")

    def _peek(self) -> str:
        """Skip spaces; return the next character, or an empty string at the end."""
        while self.position < len(self.body) and self.body[self.position] == " ":
            self.position += 1
        return self.body[self.position : self.position + 1]

    def _excerpt(self) -> str:
        return repr(self.body[self.position : self.position + 10])

    def _scan_symbol(self) -> str:
        for length in (2, 1):
            symbol = self.body[self.position : self.position + length]
            if symbol in PLACEHOLDERS or symbol in ELEMENT_INDEX:
                self.position += len(symbol)
                if symbol in ELEMENT_INDEX:
                    if length == 1 and (hint := capitalisation_hint(symbol, self.body[self.position :])):
                        raise formula_error(self.text, hint=hint)
                    self._seen.add(symbol)
                    return symbol
                return self._substitute(symbol)
        match = _WORD.match(self.body, self.position)
        word = match.group() if match else ""
        previous = _LAST_SYMBOL.search(self.body[: self.position])
        if word[0].islower() and previous:
            word = previous.group() + word  # "Lii", not "i"
        elif word[0].islower():
            raise formula_error(self.text, hint="Element symbols begin with a capital letter.")
        raise formula_error(self.text, hint=f"{word!r} is not an element. {nearest_element(word)}".rstrip())

    def _substitute(self, symbol: str) -> str:
        self.used.add(symbol)
        if symbol not in self.substitutes:
            raise formula_error(self.text, hint=f"{symbol} stands for a dopant: say which, as in ', {symbol}=Sc'.")
        self._seen.add(self.substitutes[symbol])
        return self.substitutes[symbol]

    def _scan_amount(self) -> str:
        """Return the amount after a symbol or bracket; empty if there is none, which means one."""
        char = self._peek()
        in_bracket = _AMOUNT_IN_BRACKET.match(self.body, self.position)
        if not (char.isdigit() or char == "." or self._at_variable() or in_bracket):
            return ""
        start = self.position
        value = self._scan_sum()
        if value < -1e-9:
            written = self.body[start : self.position].strip()
            raise formula_error(self.text, "amounts of zero or more", f"{written!r} is {value:.4g} here.")
        return format_amount(max(value, 0.0))

    def _scan_sum(self, depth: int = 0) -> float:
        if depth > MAX_BRACKET_DEPTH:
            raise formula_error(self.text, hint=f"Brackets are nested more than {MAX_BRACKET_DEPTH} deep.")
        value = self._scan_term(depth)
        while (sign := self._peek()) in ("+", "-"):
            if not depth and self._second_phase_begins(sign):
                break
            self.position += 1
            term = self._scan_term(depth)
            value += term if sign == "+" else -term
        return value

    def _scan_term(self, depth: int) -> float:
        """Evaluate ``2``, ``x``, ``2x``, ``2*x``, ``x/2`` or a sum in brackets."""
        char = self._peek()
        if char == "(":
            self.position += 1
            value = self._scan_sum(depth + 1)
            if self._peek() != ")":
                raise formula_error(self.text, hint="A bracket inside an amount is never closed.")
            self.position += 1
            return value
        number = _NUMBER.match(self.body, self.position)
        if number:
            self.position = number.end()
            has_star = self._peek() == "*"
            self.position += has_star
            value = float(number.group())
            if _SUM_IN_BRACKET.match(self.body, self.position):
                value *= self._scan_term(depth + 1)
            else:
                value *= self._scan_variable() if has_star or self._at_variable() else 1.0
        elif self._at_variable():
            value = self._scan_variable()
        else:
            raise formula_error(self.text, hint=f"An amount was expected at {self._excerpt()}.")
        if self._peek() == "/":
            self.position += 1
            value /= self._scan_divisor()
        return value

    def _at_variable(self) -> bool:
        return self._peek() in VARIABLES

    def _scan_variable(self) -> float:
        name = self._peek()
        if name not in VARIABLES:
            raise formula_error(self.text, hint=f"x, y or z was expected at {self._excerpt()}.")
        self.position += 1
        self.used.add(name)
        if name not in self.numbers:
            raise formula_error(self.text, hint=f"The formula has {name}: say its value, as in ', {name}=0.4'.")
        return self.numbers[name]

    def _scan_divisor(self) -> float:
        self._peek()
        number = _NUMBER.match(self.body, self.position)
        if not number or float(number.group()) == 0:
            raise formula_error(self.text, hint=f"A number was expected at {self._excerpt()}.")
        self.position = number.end()
        return float(number.group())

    def _second_phase_begins(self, char: str) -> bool:
        """Return whether a sign starts a second phase rather than being part of an amount.

        It does after the tetrahedra (P or Si, and O), as in ``(PO4)3-0.05Li2O``, unless the text after it contains
        x again, as in ``(PO4)3-x(SiO4)x``.
        """
        if char not in ("+", "-", "·") or self._depth:
            return False
        if char == "·":
            return True
        if "O" not in self._seen or not self._seen & {"P", "Si"}:
            return False
        rest = self.body[self.position + 1 :].lstrip()
        coefficient = re.match(rf"(?:{NUMBER})?\s*\*?\s*[xyz]", rest)
        if coefficient is None:
            return True
        remainder = rest[coefficient.end() :]
        return bool(remainder.strip()) and not _VARIABLE.search(remainder)


_ASSIGNMENT = re.compile(
    rf"(?<![A-Za-z0-9.])(?P<name>[A-Za-z]+)\s*=\s*(?P<value>[+-]?{NUMBER}(?:\s*/\s*{NUMBER})?|[A-Za-z]+)"
)
_DECIMAL_COMMA = re.compile(r"=\s*\d+,\d")
_SEPARATOR_BEFORE_BRACKET = re.compile(r"(?<=[^\s,;(\[])[\s,;]+(?=[)\]])")
_EMPTY_BRACKET = re.compile(r"[(\[]\s*(?:[,;]\s*)*[)\]]")
_TRAILING_SEPARATOR = re.compile(r"(?:[\s,;:]|(?<![A-Za-z0-9])(?:with|where|for|and|at)(?![A-Za-z0-9]))+$")
_PERCENTAGE = re.compile(
    rf"^(?P<main>.*?\S)(?:\s*[+·,;-]\s*|\s+(?:with\s+|and\s+|plus\s+)?)(?P<amount>{NUMBER})\s*"
    r"(?P<unit>[A-Za-z]*)[\s.-]*%\s*(?:of\s+)?(?P<phase>.*)$"
)
_MAX_VALUE = 10.0


@dataclass(frozen=True)
class AssignedValues:
    """Values assigned in the text or as arguments."""

    numbers: dict[str, float]  # of x, y and z, and amounts by element symbol
    substitutes: dict[str, str]  # elements for M, Me and Ln


def extract_values(plain: str, text: str) -> tuple[str, AssignedValues]:
    """Return a text without assignments such as ``x=0.4``, and their values.

    Raises
    ------
    FormulaError
        If a name is unknown or assigned twice, or its value is of the wrong kind.
    """
    if _DECIMAL_COMMA.search(plain):
        raise formula_error(text, hint="Write decimals with a point, as in x=0.4.")
    values = AssignedValues({}, {})
    for match in _ASSIGNMENT.finditer(plain):
        _add_value(match["name"], match["value"], values, text)
    rest = _SEPARATOR_BEFORE_BRACKET.sub("", _ASSIGNMENT.sub(" ", plain))
    if "=" in rest:
        raise formula_error(text, hint="Values are written after the formula, as in 'Li1+xAlxTi2-x(PO4)3, x=0.4'.")
    if rest != plain:
        rest = _EMPTY_BRACKET.sub(" ", rest)
    return strip_separators(rest), values


def strip_separators(body: str) -> str:
    """Strip the separators that removed assignments leave behind."""
    body = re.sub(r"[\s,;]+(?=[+\-·])", " ", body)
    return _TRAILING_SEPARATOR.sub("", body).strip(" ,;")


def _add_value(name: str, value: str, values: AssignedValues, text: str) -> None:
    name = "x" if name == "X" else name
    if name in values.numbers or name in values.substitutes:
        raise formula_error(text, hint=f"{name} is given twice.")
    if name in PLACEHOLDERS:
        values.substitutes[name] = check_substitute(name, value, text)
    elif name in VARIABLES or name in ELEMENT_INDEX:
        if value[0].isalpha():
            raise formula_error(text, f"a number for {name}", f"It is {value!r} here.")
        values.numbers[name] = check_value(name, _parse_fraction(value, text), text)
    else:
        known = (*VARIABLES, *PLACEHOLDERS)
        raise formula_error(
            text, f"values for {', '.join(known)}", f"{name!r} is none of them. {nearest(name, known)}"
        )


def _parse_fraction(value: str, text: str) -> float:
    numerator, _, denominator = value.replace(" ", "").partition("/")
    if denominator and float(denominator) == 0:
        raise formula_error(text, hint=f"{value!r} divides by zero.")
    return float(numerator) / float(denominator or 1)


def check_value(name: str, value: float, text: str) -> float:
    """Return a value; raise an error if it is too large for an amount in a formula."""
    if not abs(value) <= _MAX_VALUE:
        raise formula_error(text, f"{name} from {-_MAX_VALUE:g} to {_MAX_VALUE:g}", f"It is {value:g} here.")
    return value


def check_substitute(name: str, value: object, text: str) -> str:
    """Return the value of a place holder; raise an error if it is not an element."""
    if isinstance(value, str) and value in ELEMENT_INDEX:
        return value
    hint = nearest_element(value) if isinstance(value, str) and value else ""
    raise formula_error(text, f"one element symbol for {name}", f"It is {value!r} here. {hint}".rstrip())


def extract_percentage(body: str, text: str) -> tuple[str, tuple[str, float, str] | None]:
    """Split ``+ 2 wt% Al2O3`` off a text; return the rest, and the formula, amount and unit of the second phase.

    Raises
    ------
    FormulaError
        If the unit is not wt% or mol%, or the phase is missing.
    """
    if "%" not in body:
        return body, None
    match = _PERCENTAGE.match(body)
    allowed = "a second phase such as '+ 2 wt% Al2O3', '+ 5 mol% LiF' or '-0.05Li2O'"
    if body.count("%") > 1:
        raise formula_error(text, allowed, "Only one second phase can be given.")
    if match is None:
        raise formula_error(text, allowed, "The per cent in it cannot be understood.")
    unit = Column.ADDITIVE_UNIT.spellings.get(f"{match['unit'].lower()}%")
    if unit is None:
        hint = f"{match['unit']}% is not read." if match["unit"] else "Say whether wt% or mol%."
        raise formula_error(text, allowed, hint)
    if not match["phase"].strip():
        raise formula_error(text, allowed, f"It does not name the phase: {match['amount']} {unit} ...")
    return strip_separators(match["main"]), (match["phase"].strip(), float(match["amount"]), unit)


_NAME_AND_PHASE = re.compile(r"(?P<name>[A-Za-z]+)\s*(?:[+·-]\s*(?P<rest>.*))?")
_NAME_AND_AMOUNT = re.compile(rf"(?P<name>[A-Za-z]+)[\s,:_-]*(?:\bx\s*)?\(?(?P<number>{NUMBER})\)?")
_FORMULA_UNITS = re.compile(rf"(?P<number>{NUMBER})?\s*\*?\s*(?P<variable>[xyz])?\s*(?P<phase>.*)")


def parse(
    text: str,
    *,
    x: float | None = None,
    substitute: Mapping[str, str] | None = None,
    oxidation_states: StateOverride | None = None,
) -> Composition:
    """Parse a composition as chemists write it.

    Parameters
    ----------
    text
        A formula (``Li1.3Al0.3Ti1.7(PO4)3``), a general formula with its values
        (``Li1+xAlxTi2-x(PO4)3, x=0.4``; ``Li1.3M0.3Ti1.7(PO4)3, M=Sc``), a shorthand (``LATP x=0.3``), any of
        them with a second phase (``LAGP x=0.5 + 2 wt% B2O3``; ``Li1.5Al0.5Ge1.5(PO4)3-0.05Li2O``).
    x
        Value of x, if the text does not assign it.
    substitute
        Elements for M, Me or Ln, if the text does not assign them.
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
        return _parse_cached(text)
    return _parse(text, x, substitute, oxidation_states)


def _parse(
    text: str,
    x: float | None = None,
    substitute: Mapping[str, str] | None = None,
    overrides: StateOverride | None = None,
) -> Composition:
    plain = clean_formula(text)
    check_clauses(plain, text)
    body, values = extract_values(plain, text)
    _merge_arguments(values, x, substitute, text)
    check_notation(body, text)
    body, percent = extract_percentage(body, text)
    formula, second = _parse_body(remove_system_name(body, text), values, text)
    if percent and second:
        raise formula_error(text, "one second phase", "Only one second phase can be given.")
    sites = assign_sites(read_amounts(formula, text), text)
    states = find_oxidation_states(sites, overrides, text)
    phase = _checked_second_phase(*percent, text) if percent else second
    return Composition(**vars(sites), oxidation_states=states, second_phase=phase)


_parse_cached = lru_cache(maxsize=8192)(_parse)


def _merge_arguments(values: AssignedValues, x: object, substitute: Mapping[str, str] | None, text: str) -> None:
    """Add the values given as arguments to those in the text."""
    if x is not None:
        number = _finite_number(x)
        if number is None:
            raise formula_error(text, "a number for x", f"It is {format_value(x)} here.")
        if values.numbers.setdefault("x", check_value("x", number, text)) != number:
            raise formula_error(text, "one value of x", f"The text says {values.numbers['x']:g}, x is {number:g}.")
    for name, element in (substitute or {}).items():
        if name not in PLACEHOLDERS:
            raise formula_error(text, f"place holders {', '.join(PLACEHOLDERS)}", f"{name!r} is none of them.")
        checked = check_substitute(name, element, text)
        if values.substitutes.setdefault(name, checked) != checked:
            raise formula_error(text, f"one element for {name}", f"It is {values.substitutes[name]} in the text.")


def _finite_number(x: object) -> float | None:
    """Return a finite number as a float, and None for anything else."""
    if isinstance(x, bool) or not isinstance(x, numbers.Real):
        return None
    try:
        number = float(x)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _parse_body(body: str, values: AssignedValues, text: str) -> tuple[str, SecondPhase | None]:
    """Return the formula of a shorthand or formula, and its second phase if one is given in formula units."""
    if not body:
        raise formula_error(text, hint="There is no formula in it.")
    _check_bare_amount(body, values, text)
    match = _NAME_AND_PHASE.fullmatch(body)
    system = find_shorthand(match["name"]) if match else None
    if match and system:
        formula = expand_shorthand(system, values.numbers, values.substitutes, text)
        return formula, _parse_formula_units(match["rest"], values, text) if match["rest"] is not None else None
    if match and (hint := nearest_shorthand(match["name"])):
        raise formula_error(text, hint=f"{match['name']!r} is not a shorthand. {hint}")
    scanner = FormulaScanner(body, text, values.numbers, values.substitutes)
    formula, rest = scanner.scan()
    second = None
    if rest:
        coefficient = _FORMULA_UNITS.fullmatch(rest[1:].strip())
        if coefficient and coefficient["variable"]:
            scanner.used.add(coefficient["variable"])
        second = _parse_formula_units(rest[1:], values, text)
    _check_all_used(values, scanner.used, text)
    return formula, second


def _check_bare_amount(body: str, values: AssignedValues, text: str) -> None:
    """Raise an error for an amount without a name, as in ``LATP 0.3``."""
    match = _NAME_AND_AMOUNT.fullmatch(body)
    system = find_shorthand(match["name"]) if match else None
    if match and system and (system.dopant or system.silicon) and not values.numbers:
        amount = float(re.sub(r"^0(?=[0-9]+$)", "0.", match["number"]))  # LATP03 lacks the decimal point
        raise formula_error(
            text, hint=f"The number has no name: write {system.name} x={amount if amount <= 2 else 0.3:g}."
        )


def _check_all_used(values: AssignedValues, used: set[str], text: str) -> None:
    for name in (*values.numbers, *values.substitutes):
        if name not in used:
            known = sorted(used & {*VARIABLES, *PLACEHOLDERS})
            has = f"it has {', '.join(known)}" if known else "all its amounts are numbers"
            raise formula_error(text, hint=f"{name} is given, but the formula has no {name}: {has}.")


def _parse_formula_units(rest: str, values: AssignedValues, text: str) -> SecondPhase | None:
    """Parse a second phase in formula units, such as ``0.05Li2O`` or ``xLi2O``."""
    match = _FORMULA_UNITS.fullmatch(rest.strip())
    if match is None or not match["phase"] or not (match["number"] or match["variable"]):
        example = "a second phase with its amount, such as '+ 2 wt% Al2O3' or '-0.05Li2O'"
        raise formula_error(text, example, f"How much is {rest.strip()!r}?")
    amount = float(match["number"] or 1)
    if match["variable"]:
        if match["variable"] not in values.numbers:
            name = match["variable"]
            raise formula_error(text, hint=f"The formula has {name}: say its value, as in ', {name}=0.05'.")
        amount *= values.numbers[match["variable"]]
    return _checked_second_phase(match["phase"], amount, "formula_unit", text)


def _checked_second_phase(formula: str, amount: float, unit: str, text: str) -> SecondPhase | None:
    """Return a second phase; raise an error if its formula or its amount is invalid, and None if that is 0."""
    formula = formula.replace(" ", "")
    try:
        read_amounts(formula)
        Column.ADDITIVE_AMOUNT.parse(amount)
    except FieldError as error:
        reason = error.hint or f"its amount must be {error.allowed}."
        raise formula_error(text, "a second phase such as '+ 2 wt% Al2O3'", f"In {formula!r}: {reason}") from None
    if amount == 0:
        return None
    if amount < 1e-6:
        raise formula_error(text, "an amount of the second phase above 0", f"It is {amount:g} {formula}.")
    return SecondPhase(formula, round(amount, 6), unit)
