"""Format numbers, recipes and measured pellets as text for tables and reports."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nasicon_ml.columns import Column, Kind, is_missing

if TYPE_CHECKING:
    from nasicon_ml.bundle.parts import ModelMetadata

#: Text for a missing number.
NOT_AVAILABLE = "n/a"
_BOUND_SIGNS = {"upper": "< ", "lower": "> "}

#: Phrases of the processing conditions. Sintering comes first because recipes differ in it most.
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
    """Format a conductivity: 5.1e-4."""
    if value is None or not math.isfinite(value):
        return NOT_AVAILABLE
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def fixed(value: float | None, decimals: int = 1) -> str:
    """Format a number with a fixed number of decimals."""
    return NOT_AVAILABLE if value is None or not math.isfinite(value) else f"{value:.{decimals}f}"


def percent(share: float | None) -> str:
    """Format a probability in per cent."""
    return NOT_AVAILABLE if share is None or not math.isfinite(share) else f"{100 * share:.0f} %"


def scientific_range(lower: float, upper: float) -> str:
    """Format a range of conductivities: 5.1e-4 to 2.0e-3."""
    return f"{scientific(lower)} to {scientific(upper)}"


#: Scale factor, decimals and unit of the differences of each property.
DIFFERENCES: Mapping[str, tuple[float, int, str]] = {
    "conductivity": (1.0, 2, "decades"),
    "relative_density": (1.0, 1, "points"),
    "phase_purity": (100.0, 0, "percentage points"),
}


def format_difference(target: str, value: float, lower: float, upper: float, *, unit: bool = True) -> str:
    """Format a difference with its interval: +0.21 decades (-0.90 to +1.32)."""
    scale, decimals, unit_name = DIFFERENCES[target]
    texts = [f"{scale * number:+.{decimals}f}" for number in (value, lower, upper)]
    return f"{texts[0]}{f' {unit_name}' if unit else ''} ({texts[1]} to {texts[2]})"


def short_target(target: str) -> str:
    """Return the short name of a property: conductivity, density or purity."""
    return target.rsplit("_", maxsplit=1)[-1]


def format_level(level: float) -> str:
    """Format the level of an interval: 90 %."""
    return f"{100 * level:.6g} %"


def format_duration(seconds: float) -> str:
    """Format a waiting time: 40 s, 12 min, 3.4 h, 2.1 d."""
    for unit, length in (("d", 86_400.0), ("h", 3_600.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


def plural(count: int, word: str) -> str:
    """Format a count with its noun: 1 row, 2 rows, 2 processes."""
    ending = "es" if word.endswith("s") else "s"
    return f"{count} {word}" if count == 1 else f"{count} {word}{ending}"


def describe_model(name: str, metadata: ModelMetadata) -> str:
    """Return the name of a model and the time of its training."""
    return f"model: {name}, trained {metadata.created[:16].replace('T', ' ')} UTC"


def describe_conditions(cells: Mapping[str, Any]) -> str:
    """Return the processing conditions of a pellet, sintering first.

    `cells` maps column names to values, None or absent where not known.
    """
    phrases = []
    for column, phrase in _PHRASES.items():
        value = cells.get(column.value)
        if value is not None:
            text = _describe_additive(cells) if column is Column.ADDITIVE else format_quantity(column, value)
            phrases.append(phrase.format(text))
    return ", ".join(phrases)


def describe_recipe(row: Mapping[Any, Any]) -> str:
    """Return a recipe on one line."""
    conditions = describe_conditions({name: cell for name, cell in row.items() if not is_missing(cell)})
    return f"{row[Column.FORMULA]}, {conditions}" if conditions else str(row[Column.FORMULA])


def format_quantity(column: Column, value: Any) -> str:
    """Format a cell with its unit, or a choice as words."""
    if column.kind is Kind.NUMBER:
        return f"{value:g} {column.unit}".rstrip()
    if column.kind is Kind.FLAG:
        return f"{'in' if value else 'no'} {column.label}"
    return str(value).replace("_", " ")


def _describe_additive(cells: Mapping[str, Any]) -> str:
    name, quantity, unit = (
        cells.get(column) for column in (Column.ADDITIVE, Column.ADDITIVE_AMOUNT, Column.ADDITIVE_UNIT)
    )
    if quantity is None:
        return str(name)
    if unit is not None and unit.endswith("%"):
        return f"{quantity:g} {unit} {name}"
    return f"{quantity:g} {name} per formula unit"


def describe_results(cells: Mapping[str, Any]) -> str:
    """Return the measured properties of a pellet."""
    results = []
    conductivity = cells.get(Column.CONDUCTIVITY_TOTAL_S_CM)
    if conductivity is not None:
        sign = _BOUND_SIGNS.get(cells.get(Column.CONDUCTIVITY_BOUND) or "", "")
        temperature = cells.get(Column.MEASUREMENT_TEMPERATURE_C)
        suffix = "" if temperature is None else f" at {temperature:g} °C"
        results.append(f"{sign}{scientific(conductivity, 3)} S/cm{suffix}")
    density = cells.get(Column.RELATIVE_DENSITY_PCT)
    if density is not None:
        results.append(f"{_BOUND_SIGNS.get(cells.get(Column.DENSITY_BOUND) or '', '')}{density:g} % dense")
    if cells.get(Column.PHASE_PURE) is not None:
        phases = cells.get(Column.SECONDARY_PHASES)
        impure = f"with {', '.join(split_list(phases))}" if phases else "not phase pure"
        results.append("phase pure" if cells[Column.PHASE_PURE] else impure)
    return ", ".join(results) or "no conductivity, density or purity reported"


def split_list(cell: str | None) -> tuple[str, ...]:
    """Return the parts of a cell that are separated by semicolons."""
    return tuple(part.strip() for part in (cell or "").split(";") if part.strip())


#: Cell of a neighbour: whether it is one of the user's own pellets.
OWN_KEY = "own"


def describe_origin(cells: Mapping[str, Any]) -> str:
    """Return where a pellet was published."""
    if cells.get(OWN_KEY):
        return "your own pellet"
    doi, cited_in = cells.get(Column.DOI), cells.get(Column.CITED_IN)
    if doi:
        source = "" if cells[Column.SOURCE] == doi else f"{cells[Column.SOURCE]}, "
        return f"{source}https://doi.org/{doi}"
    from nasicon_ml.data.citing import search_words

    words = search_words([cells])
    return (
        f"{cells[Column.SOURCE]}, DOI not known{f' (read in {cited_in})' if cited_in else ''}"
        f"{f'; to find it, search for: {words}' if words else ''}"
    )


def format_ion(element: str, state: float | None) -> str:
    """Format an element with its oxidation state: Ti4+."""
    if state is None or not math.isfinite(state):
        return element
    return f"{element}{abs(state):g}{'+' if state > 0 else '-'}"
