"""Numbers as people write them into tables: 1,2E-4, powers of ten, ~850, 850±10, >95, 850 °C, 2 wt%."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from nasicon_ml.columns import ADDITIVE_UNITS, Column
from nasicon_ml.io.headers import POWERS, conversion, plain_unit

#: The columns whose numbers may be bounds, and those that say so.
BOUND_OF = {
    Column.CONDUCTIVITY_TOTAL_S_CM: Column.CONDUCTIVITY_BOUND,
    Column.RELATIVE_DENSITY_PCT: Column.DENSITY_BOUND,
}
_DIGITS = r"[+-]?(?:\d+(?:[.,]\d+)?|[.,]\d+)"
_POWER = r"(?:\s*[x×·*⋅]\s*10\s*\^?\s*\(?\s*([+-]?\d+)\s*\)?|[eE]\s*([+-]?\d+))?"  # noqa: RUF001
_NUMBER = re.compile(
    rf"(?P<about>~|≈|∼|ca\.?|approx\.?|about)?\s*(?P<bound><=?|>=?|≤|≥)?\s*(?P<open>\()?\s*(?P<digits>{_DIGITS})"  # noqa: RUF001
    rf"\s*(?P<spread>(?:±|\+/-|\+-)\s*[\d.,]+|\(\d+\))?\s*(?(open)\))\s*(?P<power>{_POWER})"
    rf"\s*(?P<late>(?:±|\+/-|\+-)\s*[\d.,]+(?:[eE][+-]?\d+)?)?\s*(?P<unit>[^\d\s].*)?",
    re.IGNORECASE,
)  # fmt: skip
_EXPONENT = r"[+-]?\d+(?=\s*\)?\s*$)"
_BARE_POWER = re.compile(r"10\s*\^\s*\(?\s*([+-]?\d+)\s*\)?")
#: 1,234 is 1.234 here and 1234 there.
_COMMA = re.compile(r"(?<![\d.,])(\d+),(\d+)(?![\d.,])")
_THOUSANDS = re.compile(r"[1-9]\d{0,2},\d{3}")


@dataclass(frozen=True)
class Read:
    """A number in the column's unit, and what was made of it.

    Attributes
    ----------
    value
        The number.
    causes
        What there is to say about it: "about", "spread", "bound", "unit" (converted), "own unit" (the column's).
    bound
        "upper" or "lower" where the number is one.
    amount_unit
        The unit of an amount of additive.
    """

    value: float
    causes: tuple[str, ...] = ()
    bound: str = ""
    amount_unit: str = ""


def has_decimal_comma(text: str) -> bool:
    """Whether a text holds a comma that separates decimals and cannot separate thousands."""
    found = _COMMA.search(text)
    return found is not None and not _THOUSANDS.fullmatch(found[0])


def read_number(text: str, column: Column, *, commas: bool) -> Read | None:
    """Read a number that is not written plainly.

    Parameters
    ----------
    text
        The cell.
    column
        Whose it is.
    commas
        Whether commas separate decimals in this table; without knowing, 1,234 is not read.

    Returns
    -------
    Read or None
        None if it is a plain number, or nothing that can be read without doubt.
    """
    plain = text.translate(_SPACES).strip()
    plain = re.sub(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+", lambda found: f"^{found[0]}", plain).translate(POWERS)
    if bare := _BARE_POWER.fullmatch(plain):
        return Read(float(f"1e{bare[1]}"))
    match = _NUMBER.fullmatch(plain)
    if match is None or len(plain) > 60:
        return None
    digits = match["digits"]
    if "," in digits and not commas and _THOUSANDS.fullmatch(digits.lstrip("+-")):
        return None
    value = float(f"{digits.replace(',', '.')}e{(re.findall(_EXPONENT, match['power']) or [0])[-1]}")
    if not math.isfinite(value):
        return None
    causes = [name for name in ("about", "bound") if match[name]]
    causes += ["spread"] if match["spread"] or match["late"] else []
    bound = {"<": "upper", "≤": "upper", ">": "lower", "≥": "lower"}.get((match["bound"] or " ")[0], "")
    if bound and column not in BOUND_OF:
        return None
    return _with_unit(Read(value, tuple(causes), bound), (match["unit"] or "").strip(), column)


def _with_unit(read: Read, unit: str, column: Column) -> Read | None:
    """Return a number that has a unit of its own in the column's; None if it is none of the column's."""
    if not unit:
        return read
    if column is Column.ADDITIVE_AMOUNT:
        return replace(read, amount_unit=plain_unit(unit)) if plain_unit(unit) in ADDITIVE_UNITS else None
    step = conversion(column, unit) if re.search(r"[^\W\d_]|%", unit) else None
    if step is None:
        return None
    factor, shift = step
    if shift == -273.15 and read.value == int(read.value):
        shift = -273.0  # people take 1123 K for 850 °C
    cause = "own unit" if step == (1.0, 0.0) else "unit"
    return replace(read, value=rounded(read.value * factor + shift), causes=(*read.causes, cause))


def rounded(value: float) -> float:
    """Return a converted number without the dust of binary fractions."""
    return float(f"{value:.12g}")


_SPACES = dict.fromkeys(map(ord, "\u00a0\u2009\u202f\u2007"), " ")
