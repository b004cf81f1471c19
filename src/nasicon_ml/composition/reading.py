"""`parse`: any accepted text to a `Composition`."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Mapping
from functools import lru_cache

from nasicon_ml.columns import Column
from nasicon_ml.composition import clauses, shorthand
from nasicon_ml.composition.formula import NUMBER, read_amounts
from nasicon_ml.composition.general import PLACEHOLDERS, VARIABLES, Scanner
from nasicon_ml.composition.model import Composition, SecondPhase
from nasicon_ml.composition.oxidation import StateOverride
from nasicon_ml.composition.oxidation import oxidation_states as find_states
from nasicon_ml.composition.sites import assign_sites
from nasicon_ml.composition.text import clean, refusal
from nasicon_ml.errors import FieldError, shown

_SHORTHAND = re.compile(r"(?P<name>[A-Za-z]+)\s*(?:[+·-]\s*(?P<rest>.*))?")
_BARE_AMOUNT = re.compile(rf"(?P<name>[A-Za-z]+)[\s,:_-]*\(?(?P<number>{NUMBER})\)?")
_ZERO_FOR_OXYGEN = re.compile(r"(P|Si)0([0-9]+)")
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
    text: str,
    x: float | None,
    substitute: Mapping[str, str] | None,
    overrides: StateOverride | None,
) -> Composition:
    body, values = clauses.take_values(clean(text), text)
    _add_arguments(values, x, substitute, text)
    body, percent = clauses.take_percent(body, text)
    formula, second = _read_body(body, values, text)
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


def _add_arguments(values: clauses.Values, x: object, substitute: Mapping[str, str] | None, text: str) -> None:
    """Join the values given as arguments with those in the text."""
    if x is not None:
        number = _finite(x)
        if number is None:
            raise refusal(text, "a number for x", f"It is {shown(x)} here.")
        if values.numbers.setdefault("x", clauses.check_value("x", number, text)) != number:
            raise refusal(text, "one value of x", f"The text says {values.numbers['x']:g}, x is {number:g}.")
    for name, element in (substitute or {}).items():
        if name not in PLACEHOLDERS:
            raise refusal(text, f"place holders {', '.join(PLACEHOLDERS)}", f"{name!r} is none of them.")
        checked = clauses.check_substitute(name, element, text)
        if values.substitutes.setdefault(name, checked) != checked:
            raise refusal(text, f"one element for {name}", f"It is {values.substitutes[name]} in the text.")


def _finite(x: object) -> float | None:
    """Give a number as float; None if it is none, or too large for one."""
    if isinstance(x, bool) or not isinstance(x, numbers.Real):
        return None
    try:
        number = float(x)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _read_body(body: str, values: clauses.Values, text: str) -> tuple[str, SecondPhase | None]:
    """Read what is left of the text: a shorthand or a formula, perhaps with a second phase in formula units."""
    if not body:
        raise refusal(text, hint="There is no formula in it.")
    _check_zero(body, text)
    _check_bare_amount(body, values, text)
    match = _SHORTHAND.fullmatch(body)
    short = shorthand.find(match["name"]) if match else None
    if match and short:
        formula = shorthand.expand(short, values.numbers, values.substitutes, text)
        return formula, _formula_units(match["rest"], values, text) if match["rest"] is not None else None
    if match and (hint := shorthand.hint(match["name"])):
        raise refusal(text, hint=f"{match['name']!r} is no shorthand. {hint}")
    scanner = Scanner(body, text, values.numbers, values.substitutes)
    scanned = scanner.scan()
    second = None
    if scanned.rest:
        coefficient = _UNITS_OF.fullmatch(scanned.rest[1:].strip())
        if coefficient and coefficient["variable"]:
            scanner.used.add(coefficient["variable"])
        second = _formula_units(scanned.rest[1:], values, text)
    _check_all_used(values, scanner.used, text)
    return scanned.formula, second


def _check_zero(body: str, text: str) -> None:
    """Refuse ``P04``: the sign between is a zero."""
    if match := _ZERO_FOR_OXYGEN.search(body):
        raise refusal(text, hint=f"Did you mean {match[1]}O{match[2]} with the letter O?")


def _check_bare_amount(body: str, values: clauses.Values, text: str) -> None:
    """Refuse ``LATP 0.3``, and say how it is written."""
    match = _BARE_AMOUNT.fullmatch(body)
    short = shorthand.find(match["name"]) if match else None
    if match and short and (short.dopant or short.silicon) and not values.numbers:
        raise refusal(text, hint=f"The number has no name: write {short.name} x={match['number']}.")


def _check_all_used(values: clauses.Values, used: set[str], text: str) -> None:
    for name in (*values.numbers, *values.substitutes):
        if name not in used:
            known = sorted(used & {*VARIABLES, *PLACEHOLDERS})
            has = f"it has {', '.join(known)}" if known else "all its amounts are numbers"
            raise refusal(text, hint=f"{name} is given, but the formula has no {name}: {has}.")


def _formula_units(rest: str, values: clauses.Values, text: str) -> SecondPhase:
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


def _second_phase(formula: str, amount: float, unit: str, text: str) -> SecondPhase:
    """Check a second phase: a formula of known elements, and an amount that can be weighed."""
    formula = formula.replace(" ", "")
    try:
        read_amounts(formula)
        Column.ADDITIVE_AMOUNT.parse(amount)
    except FieldError as error:
        reason = error.hint or f"its amount must be {error.allowed}."
        raise refusal(text, "a second phase such as '+ 2 wt% Al2O3'", f"In {formula!r}: {reason}") from None
    if amount < 1e-6:
        raise refusal(text, "an amount of the second phase above 0", f"It is {amount:g} {formula}.")
    return SecondPhase(formula, round(amount, 6), unit)
