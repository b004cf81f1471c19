"""Numbers that are possible but unlike all that was measured, with what was probably meant.

0.12 S/cm is a conductivity, but nobody measured such a one on a NASICON at room temperature: it is 0.12 mS/cm.
Each number is held against what other works report: conductivity, density and temperatures against the same system
(all systems where these are few), a conductivity against those measured at about the same temperature.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.arrays import Floats, Mask
from nasicon_ml.checks import STEPS, Finding, Severity, fraction_findings, looks_like_kelvin
from nasicon_ml.columns import CONDUCTIVITIES, OTHER_UNITS, ROOM_TEMPERATURE_C, SPELLED_UNITS, Column
from nasicon_ml.data.load import clean_pellets, systems_of, with_lines, without_doubted
from nasicon_ml.io import RawTable

RULE = "unlike_all_measured"
#: Held against pellets of the same system.
BY_SYSTEM = (
    *CONDUCTIVITIES, Column.RELATIVE_DENSITY_PCT, Column.CALCINATION_TEMPERATURE_C, Column.SINTERING_TEMPERATURE_C,
)  # fmt: skip
#: Held against all pellets.
OVER_ALL = (
    Column.CALCINATION_TIME_H, Column.SINTERING_TIME_H, Column.PARTICLE_SIZE_UM, Column.HEATING_RATE_C_MIN,
    Column.PRESSURE_MPA, Column.LITHIUM_EXCESS_PCT, Column.GREEN_PRESSURE_MPA, Column.ACTIVATION_ENERGY_EV,
    Column.GRAIN_SIZE_UM,
)  # fmt: skip
#: These are said also where no other unit explains them: what is new about a recipe is no mistake, but a result
#: that nobody found before is worth a second look.
RESULTS = (*CONDUCTIVITIES, Column.RELATIVE_DENSITY_PCT)
#: How far beyond all others a number has to lie. Any pellet may conduct badly, none conducts much better.
CONDUCTIVITY_FACTORS = (100.0, 3.0)
DENSITY_POINTS, TEMPERATURE_C, OTHER_FACTOR = 10.0, 50.0, 2.0
#: Pellets of other works that make a range.
ENOUGH = 10
#: Conductivities measured at temperatures no further apart than this are compared, in °C.
SAME_TEMPERATURE_C = 10.0


@dataclass(frozen=True)
class _Range:
    """What other works report of one column: smallest and largest, of how many pellets, and whose."""

    low: float
    high: float
    count: int
    whose: str


def unusual_findings(pellets: pd.DataFrame, reference: pd.DataFrame) -> list[Finding]:
    """Find numbers that are unlike all that was measured: warnings, by column and row.

    Both tables are as `nasicon_ml.data.load.load_pellets` gives them, `pellets` with index 0 to n - 1. Rows marked
    suspect and results that are doubted are passed over, and temperatures that look like kelvin anyway
    (`nasicon_ml.checks.kelvin_findings`). Reference pellets of a pellet's own source do not count.
    """
    asked = without_doubted(pellets)
    used = ~asked[Column.SUSPECT].eq(True).to_numpy()
    systems, sources = (reference[name].to_numpy(dtype=object) for name in (Column.SYSTEM, Column.SOURCE))
    found = fraction_findings(asked[used])
    for column in (*BY_SYSTEM, *OVER_ALL):
        values = asked[column].to_numpy(dtype=np.float64)
        open_to_doubt = used & ~np.isnan(values)
        if column in STEPS:
            open_to_doubt &= ~np.logical_or(*looks_like_kelvin(values, column))
        keys = zip(asked[Column.SYSTEM], asked[Column.SOURCE], _temperatures(asked, column), strict=True)
        measured, at_c = reference[column].to_numpy(dtype=np.float64), _temperatures(reference, column)
        ranges: dict[tuple[object, object, float], _Range | None] = {}
        for row, key in enumerate(keys):
            if not open_to_doubt[row]:
                continue
            if key not in ranges:
                there = ~np.isnan(measured) & (sources != key[1]) & (np.abs(at_c - key[2]) <= SAME_TEMPERATURE_C)
                ranges[key] = _range(measured, there, systems, key[0] if column in BY_SYSTEM else None)
            words = _words(column, float(values[row]), ranges[key], key[2])
            if words:
                message = f"{column}: {values[row]:g} {column.unit} {words}"
                found.append(Finding(row, column.value, float(values[row]), RULE, Severity.WARNING, message))
    return found


def unusual_in_file(raw: RawTable, reference: pd.DataFrame) -> list[Finding]:
    """Find such numbers in a table as it stands in its file; with lines, by row and column."""
    clean, _ = clean_pellets(raw)
    clean[Column.SYSTEM] = systems_of(clean[Column.FORMULA])
    return with_lines(unusual_findings(clean, reference), raw)


def _temperatures(pellets: pd.DataFrame, column: Column) -> Floats:
    """Return the temperature at which each value was measured, in °C; 25 for what does not depend on it."""
    if column not in CONDUCTIVITIES:
        return np.full(len(pellets), ROOM_TEMPERATURE_C)
    return pellets[Column.MEASUREMENT_TEMPERATURE_C].fillna(ROOM_TEMPERATURE_C).to_numpy(dtype=np.float64)


def _range(values: Floats, there: Mask, systems: NDArray[np.object_], system: object) -> _Range | None:
    own = there & (systems == system)
    some, whose = (own, f"{system} ") if own.sum() >= ENOUGH else (there, "")
    if some.sum() < ENOUGH:
        return None
    return _Range(float(values[some].min()), float(values[some].max()), int(some.sum()), whose)


def _words(column: Column, value: float, known: _Range | None, temperature_c: float) -> str:
    """Return what is unusual about a value, and what was probably meant; nothing if it is as others are."""
    if known is None:
        return ""
    below, above = _bounds(column, known)
    meant = [
        f"{value:g} {SPELLED_UNITS.get(unit, unit)} is {value * factor + shift:.4g} {column.unit}"
        for (ours, unit), (factor, shift) in OTHER_UNITS.items()
        if ours == column.unit and known.low <= value * factor + shift <= known.high
    ]
    if below <= value <= above or not (meant or column in RESULTS):
        return ""
    side, limit = ("below", known.low) if value < below else ("above", known.high)
    where = f" near {temperature_c:g} °C" if column in CONDUCTIVITIES else ""
    words = f"is far {side} the {known.count} {known.whose}pellets of other works{where} ({limit:g})"
    return "; ".join([words, *meant])


def _bounds(column: Column, known: _Range) -> tuple[float, float]:
    if column in CONDUCTIVITIES:
        down, up = CONDUCTIVITY_FACTORS
        return known.low / down, known.high * up
    if column is Column.RELATIVE_DENSITY_PCT:
        return known.low - DENSITY_POINTS, known.high + DENSITY_POINTS
    if column in STEPS:
        return known.low - TEMPERATURE_C, known.high + TEMPERATURE_C
    return known.low / OTHER_FACTOR, known.high * OTHER_FACTOR
