"""What stands around a formula: values (``x=0.4``, ``M=Sc``) and a second phase in per cent (``+ 2 wt% LiF``)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nasicon_ml.columns import Column
from nasicon_ml.composition.elements import ELEMENT_INDEX, nearest_element
from nasicon_ml.composition.formula import NUMBER
from nasicon_ml.composition.general import PLACEHOLDERS, VARIABLES
from nasicon_ml.composition.text import refusal
from nasicon_ml.errors import nearest

_ASSIGNMENT = re.compile(
    rf"(?<![A-Za-z0-9.])(?P<name>[A-Za-z]+)\s*=\s*(?P<value>[+-]?{NUMBER}(?:\s*/\s*{NUMBER})?|[A-Za-z]+)"
)
_DECIMAL_COMMA = re.compile(r"=\s*\d+,\d")
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
    """Take ``x=0.4`` and the like out of a text.

    Returns
    -------
    str
        The text without them.
    Values
        What they said.

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
    rest = _ASSIGNMENT.sub(" ", plain)
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
    """Take ``+ 2 wt% Al2O3`` out of a text.

    Returns
    -------
    str
        The text without it.
    tuple of (str, float, str), or None
        The second phase's formula as written, amount and unit.

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
