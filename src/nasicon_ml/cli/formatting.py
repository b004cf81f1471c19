"""Numbers, recipes and measured pellets in words, as they stand in a table or a panel."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nasicon_ml.columns import Column, Kind, is_missing

if TYPE_CHECKING:
    from nasicon_ml.bundle.parts import ModelMetadata

#: What stands where there is no number.
NOTHING = "n/a"
_BOUND_SIGNS = {"upper": "< ", "lower": "> "}

#: How a field reads in a line of conditions, sintering first: it is what recipes differ in. Fields that stand for
#: themselves need no word.
_PHRASES: dict[Column, str] = {
    Column.SINTERING_TEMPERATURE_C: "{}",
    Column.SINTERING_TIME_H: "{}",
    Column.HEATING_RATE_C_MIN: "{}",
    Column.ATMOSPHERE: "in {}",
    Column.PRESSURE_MPA: "{}",
    Column.DENSIFICATION: "{}",
    Column.PARTICLE_SIZE_UM: "powder of {}",
    Column.CALCINATION_TEMPERATURE_C: "calcined at {}",
    Column.CALCINATION_TIME_H: "calcined for {}",
    Column.SYNTHESIS_ROUTE: "{}",
    Column.ADDITIVE: "with {}",
    Column.LITHIUM_EXCESS_PCT: "{} of lithium in excess",
    Column.GREEN_PRESSURE_MPA: "pressed at {}",
    Column.PRECURSORS: "from {}",
    Column.POWDER_BED: "{}",
}


def scientific(value: float | None, digits: int = 2) -> str:
    """Write a conductivity: 5.1e-4."""
    if value is None or not math.isfinite(value):
        return NOTHING
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def fixed(value: float | None, decimals: int = 1) -> str:
    """Write a number with so many decimals."""
    return NOTHING if value is None or not math.isfinite(value) else f"{value:.{decimals}f}"


def percent(share: float | None) -> str:
    """Write a probability in per cent."""
    return NOTHING if share is None or not math.isfinite(share) else f"{100 * share:.0f} %"


#: How differences of an answer are written: what they are multiplied with, decimals, and their unit.
DIFFERENCES: Mapping[str, tuple[float, int, str]] = {
    "conductivity": (1.0, 2, "decades"),
    "relative_density": (1.0, 1, "points"),
    "phase_purity": (100.0, 0, "percentage points"),
}


def difference_words(target: str, value: float, lower: float, upper: float, *, unit: bool = True) -> str:
    """Write a difference with its interval: +0.21 decades (-0.90 to +1.32)."""
    scale, decimals, name = DIFFERENCES[target]
    texts = [f"{scale * each:+.{decimals}f}" for each in (value, lower, upper)]
    return f"{texts[0]}{f' {name}' if unit else ''} ({texts[1]} to {texts[2]})"


def level_words(level: float) -> str:
    """Write the level of an interval: 90 %."""
    return f"{100 * level:.6g} %"


def duration(seconds: float) -> str:
    """Write a time that a person waits: 40 s, 12 min, 3.4 h, 2.1 d."""
    for unit, length in (("d", 86_400.0), ("h", 3_600.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


def plural(count: int, word: str) -> str:
    """Write a number of things: 1 row, 2 rows, 2 processes."""
    ending = "es" if word.endswith("s") else "s"
    return f"{count} {word}" if count == 1 else f"{count} {word}{ending}"


def model_line(name: str, metadata: ModelMetadata) -> str:
    """Return which model answers: its name and its time of training."""
    return f"model: {name}, trained {metadata.created[:16].replace('T', ' ')} UTC"


def conditions(cells: Mapping[str, Any]) -> str:
    """Return how a pellet is made, sintering first: cells by column name, None or absent where not known."""
    phrases = []
    for column, phrase in _PHRASES.items():
        value = cells.get(column.value)
        if value is not None:
            text = _additive(cells) if column is Column.ADDITIVE else amount(column, value)
            phrases.append(phrase.format(text))
    return ", ".join(phrases)


def recipe_line(row: Mapping[Any, Any]) -> str:
    """Write a recipe in one line."""
    how = conditions({name: cell for name, cell in row.items() if not is_missing(cell)})
    return f"{row[Column.FORMULA]}, {how}" if how else str(row[Column.FORMULA])


def amount(column: Column, value: Any) -> str:
    """Write a cell with its unit, a choice in words."""
    if column.kind is Kind.NUMBER:
        return f"{value:g} {column.unit}".rstrip()
    if column.kind is Kind.FLAG:
        return f"{'in' if value else 'no'} {column.label}"
    return str(value).replace("_", " ")


def _additive(cells: Mapping[str, Any]) -> str:
    name, quantity, unit = (
        cells.get(column) for column in (Column.ADDITIVE, Column.ADDITIVE_AMOUNT, Column.ADDITIVE_UNIT)
    )
    if quantity is None:
        return str(name)
    if unit is not None and unit.endswith("%"):
        return f"{quantity:g} {unit} {name}"
    return f"{quantity:g} {name} per formula unit"


def measured(cells: Mapping[str, Any]) -> str:
    """Return what was measured on a pellet."""
    found = []
    conductivity = cells.get(Column.CONDUCTIVITY_TOTAL_S_CM)
    if conductivity is not None:
        sign = _BOUND_SIGNS.get(cells.get(Column.CONDUCTIVITY_BOUND) or "", "")
        temperature = cells.get(Column.MEASUREMENT_TEMPERATURE_C)
        where = "" if temperature is None else f" at {temperature:g} °C"
        found.append(f"{sign}{scientific(conductivity, 3)} S/cm{where}")
    density = cells.get(Column.RELATIVE_DENSITY_PCT)
    if density is not None:
        found.append(f"{_BOUND_SIGNS.get(cells.get(Column.DENSITY_BOUND) or '', '')}{density:g} % dense")
    pure, phases = cells.get(Column.PHASE_PURE), cells.get(Column.SECONDARY_PHASES)
    if pure is not None:
        found.append("phase pure" if pure else f"with {', '.join(split(phases))}" if phases else "not phase pure")
    return ", ".join(found) or "no conductivity, density or purity reported"


def split(cell: str | None) -> tuple[str, ...]:
    """Return the words of a cell that holds several."""
    return tuple(part.strip() for part in (cell or "").split(";") if part.strip())


#: Of a neighbour: whether it is a pellet of one's own.
OWN = "own"


def origin(cells: Mapping[str, Any]) -> str:
    """Return where a pellet was published."""
    if cells.get(OWN):
        return "your own pellet"
    link, through = cells.get(Column.DOI), cells.get(Column.CITED_IN)
    if link:
        name = "" if cells[Column.SOURCE] == link else f"{cells[Column.SOURCE]}, "
        return f"{name}https://doi.org/{link}"
    from nasicon_ml.data.citing import search_words

    words = search_words([cells])
    return (
        f"{cells[Column.SOURCE]}, DOI not known{f' (read in {through})' if through else ''}"
        f"{f'; to find it, search for: {words}' if words else ''}"
    )


def ion(element: str, state: float | None) -> str:
    """Write an element with its oxidation state: Ti4+."""
    if state is None or not math.isfinite(state):
        return element
    return f"{element}{abs(state):g}{'+' if state > 0 else '-'}"
