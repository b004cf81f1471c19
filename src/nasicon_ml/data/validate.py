"""Validate a file of pellets against the vocabulary and the rules, and return all findings at once.

Rules about several cells compute a mask of rows from the clean table; messages are made only for these rows. Rules
that compare measurements consider pairs of usable rows of the same composition without a difference in any field
of recipe or condition (a missing value is no difference), and return warnings, because a person has to decide.

Numbers that are possible but far from all measured values are reported together with what was probably meant:
nobody measured 0.12 S/cm on a NASICON at room temperature, so it is probably 0.12 mS/cm. Each number is compared
with other works: conductivity, density and temperatures with the same system (with all systems if it has too few
pellets), and a conductivity with those measured at about the same temperature.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.arrays import Floats, Ints, Mask
from nasicon_ml.checks import (
    TEMPERATURE_STEPS_C,
    Finding,
    Severity,
    fraction_findings,
    kelvin_findings,
    looks_like_kelvin,
)
from nasicon_ml.columns import (
    ADDITIVE,
    BOUND_OF,
    CONDUCTIVITIES,
    OTHER_UNITS,
    RECIPE,
    ROOM_TEMPERATURE_C,
    SPELLED_UNITS,
    Column,
    Kind,
    Role,
    columns_of,
)
from nasicon_ml.composition import occupancies
from nasicon_ml.composition.precursors import precursor_findings
from nasicon_ml.data.files import SOURCES_FILE
from nasicon_ml.data.load import (
    HEADER_ROW,
    add_lines,
    clean_pellets,
    downgrade_suspect_errors,
    load_sources,
    systems_of,
    without_doubtful_results,
)
from nasicon_ml.errors import NasiconError, nearest
from nasicon_ml.io import RawTable, read_table

#: Charge imbalance above which a formula is an error, in elementary charges per three T cations.
CHARGE_LIMIT = 0.25
#: Difference above which two total (or bulk) conductivities of one sample contradict each other, in decades.
CONTRADICTION_DECADES = 1.5
#: Difference up to which measurement temperatures count as equal, in °C; room temperature is 20 to 30.
SAME_TEMPERATURE_C = 10.0
#: Source key of author, year and an optional suffix: fu1997b, yi2014film.
_AUTHOR_YEAR = r"^([^\W\d_]+)(?:19|20)\d\d[^\W\d_]*$"
#: Prefixes of numbered collections: ly2018 is paper number 2018, not a work of 2018.
_NUMBERED_COLLECTIONS = ("ly",)

UNUSUAL_VALUE_RULE = "unlike_all_measured"
#: Columns compared with pellets of the same system.
COMPARED_BY_SYSTEM = (
    *CONDUCTIVITIES, Column.RELATIVE_DENSITY_PCT, Column.CALCINATION_TEMPERATURE_C, Column.SINTERING_TEMPERATURE_C,
)  # fmt: skip
#: Columns compared with all pellets.
COMPARED_OVERALL = (
    Column.CALCINATION_TIME_H, Column.SINTERING_TIME_H, Column.PARTICLE_SIZE_UM, Column.HEATING_RATE_C_MIN,
    Column.PRESSURE_MPA, Column.LITHIUM_EXCESS_PCT, Column.GREEN_PRESSURE_MPA, Column.ACTIVATION_ENERGY_EV,
    Column.GRAIN_SIZE_UM,
)  # fmt: skip
#: Results that identify a measurement: rows with an equal value may be duplicates. Unusual values are reported
#: even if no other unit explains them, because unlike a new recipe, an unprecedented result is probably a mistake.
MEASURED_RESULTS = (*CONDUCTIVITIES, Column.RELATIVE_DENSITY_PCT)
#: Distance of an unusual value from the range of all others. The limit is lower for high conductivities.
CONDUCTIVITY_FACTORS = (100.0, 3.0)
DENSITY_POINTS, TEMPERATURE_C, OTHER_FACTOR = 10.0, 50.0, 2.0
#: Minimum number of pellets of other works for a range.
MIN_REFERENCE_PELLETS = 10

#: Function that returns the label of a row in messages.
RowLabel = Callable[[int], str]
Pairs = tuple[Ints, Ints]


def find_problems(raw: RawTable, sources: Collection[str] | None = None) -> list[Finding]:
    """Return all findings about a table of pellets by row and column; row -1 is the header.

    `sources` are the keys of the known sources, or None to skip this check. Errors in values of suspect rows with
    a reason are reported as warnings.
    """
    clean, findings = clean_pellets(raw)

    def row_label(row: int) -> str:
        key = clean[Column.PELLET_ID][row]
        where = f"line {raw.lines[row]}" if raw.lines is not None else f"row {row + 1}"
        return f"{where} ({key})" if key else where

    trusted = without_doubtful_results(clean)
    rule_findings = [
        *_total_above_bulk_findings(clean),
        *kelvin_findings(clean),
        *precursor_findings(clean),
        *_field_conflict_findings(clean),
        *_key_findings(clean, row_label),
        *_source_findings(clean, sources),
        *_duplicate_findings(trusted, row_label),
        *_contradiction_findings(trusted, row_label),
        *_shared_author_findings(trusted, row_label),
    ]
    # An unreadable cell is missing in the clean table; this is not reported as a second error.
    unreadable = {(finding.row, finding.column) for finding in findings}
    findings = _escalate_charges(findings, clean)
    findings += [finding for finding in rule_findings if (finding.row, finding.column) not in unreadable]
    return add_lines(downgrade_suspect_errors(_as_written(findings, raw), clean), raw)


def count_problems(path: str | Path) -> dict[str, int]:
    """Count the findings about a file of pellets, using the list of sources in its folder if there is one.

    Returns
    -------
    dict
        Numbers of "errors" and "warnings". An invalid list of sources counts as one error.

    Raises
    ------
    UnreadableFileError
        If the file is not a table.
    """
    sources_file = Path(path).parent / SOURCES_FILE
    source_errors, known = 0, None
    if sources_file.is_file():
        try:
            known = set(load_sources(sources_file)[Column.SOURCE])
        except NasiconError:
            source_errors = 1
    findings = find_problems(read_table(path), known)
    errors = sum(finding.severity is Severity.ERROR for finding in findings)
    return {"errors": errors + source_errors, "warnings": len(findings) - errors}


def _as_written(findings: Sequence[Finding], raw: RawTable) -> list[Finding]:
    """Replace the clean values in findings by the cells of the file."""
    cells = {str(name): raw.frame[name].to_numpy(dtype=object) for name in raw.frame.columns}
    return [
        replace(finding, value=cells[finding.column][finding.row])
        if finding.row != HEADER_ROW and finding.column in cells
        else finding
        for finding in findings
    ]


def _findings(
    clean: pd.DataFrame,
    mask: Mask | pd.Series,
    column: Column,
    rule: str,
    message: str | Callable[[int], str],
    severity: Severity = Severity.ERROR,
) -> list[Finding]:
    """Return one finding per row of the mask; `message` is a text or a function of the row."""
    cells = clean[column].to_numpy(dtype=object)
    messages = {
        row: message if isinstance(message, str) else message(row) for row in np.flatnonzero(mask).tolist()
    }
    return [
        Finding(row, column.value, cells[row], rule, severity, f"{column.value}: {text}")
        for row, text in messages.items()
    ]


def _escalate_charges(findings: Sequence[Finding], clean: pd.DataFrame) -> list[Finding]:
    """Turn warnings about charge imbalances above `CHARGE_LIMIT` into errors."""
    formulas = clean[Column.FORMULA].dropna()
    if formulas.empty:
        return list(findings)
    table = occupancies(formulas.tolist())
    imbalanced = set(formulas.index[np.abs(table.per_row(table.charge_imbalance)) > CHARGE_LIMIT])
    return [
        replace(finding, severity=Severity.ERROR)
        if finding.rule == "charge_imbalance" and finding.row in imbalanced
        else finding
        for finding in findings
    ]


def _total_above_bulk_findings(clean: pd.DataFrame) -> list[Finding]:
    """Find total conductivities above the bulk value, which grain boundaries cannot cause."""
    total = clean[Column.CONDUCTIVITY_TOTAL_S_CM].to_numpy()
    bulk = clean[Column.CONDUCTIVITY_BULK_S_CM].to_numpy()
    upper = clean[Column.CONDUCTIVITY_BOUND].eq("upper").to_numpy()
    return _findings(
        clean,
        (total > bulk * (1 + 1e-9)) & ~upper,
        Column.CONDUCTIVITY_TOTAL_S_CM,
        "total_above_bulk",
        lambda row: f"total {total[row]:g} S/cm is above the bulk value {bulk[row]:g} S/cm; are they swapped?",
    )


def _field_conflict_findings(clean: pd.DataFrame) -> list[Finding]:
    """Find fields that contradict another field of the row or lack a field that they require."""
    given = clean.notna()
    additive, amount, unit = (given[column] for column in ADDITIVE)
    pure, suspect = (clean[column].eq(True) for column in (Column.PHASE_PURE, Column.SUSPECT))
    reason = given[Column.SUSPECT_REASON]
    unused_reason = reason & ~suspect & ~given[Column.DOUBTFUL_COLUMNS]
    rules = [
        (amount & ~unit, Column.ADDITIVE_UNIT, "amount_without_unit",
         f"is missing; allowed: {Column.ADDITIVE_UNIT.allowed}"),
        (unit & ~amount, Column.ADDITIVE_AMOUNT, "unit_without_amount", "is missing, but its unit is given"),
        (amount & ~additive, Column.ADDITIVE, "amount_without_additive", "is missing, but its amount is given"),
        (pure & given[Column.SECONDARY_PHASES], Column.PHASE_PURE, "pure_with_secondary_phases",
         "secondary phases are named, yet the pellet is called pure"),
        (suspect & ~reason, Column.SUSPECT_REASON, "suspect_without_reason", "is missing; say why"),
        *((given[bound] & ~given[number], number, "bound_without_value", f"is missing beside {bound.value}")
          for number, bound in BOUND_OF.items()),
    ]  # fmt: skip
    findings = [finding for rule in rules for finding in _findings(clean, *rule)]
    message = "false, yet a reason is given"
    return findings + _findings(
        clean, unused_reason, Column.SUSPECT, "reason_without_suspect", message, Severity.WARNING
    )


def _key_findings(clean: pd.DataFrame, row_label: RowLabel) -> list[Finding]:
    """Find missing and repeated keys of pellets."""
    ids = clean[Column.PELLET_ID]
    first = ids.map(pd.Series(ids.index, index=ids).groupby(level=0).first()).to_numpy()

    def message(row: int) -> str:
        return f"{ids[row]!r} is already in {row_label(int(first[row]))}"

    return [
        *_findings(clean, ids.isna(), Column.PELLET_ID, "missing_key", "is missing"),
        *_findings(clean, ids.notna() & ids.duplicated(), Column.PELLET_ID, "duplicate_key", message),
    ]


def _source_findings(clean: pd.DataFrame, known: Collection[str] | None) -> list[Finding]:
    """Find rows without a source and, if a list is given, sources that are not in it."""
    sources = clean[Column.SOURCE]
    missing = "is missing; every split of the data is by source"
    findings = _findings(clean, sources.isna(), Column.SOURCE, "missing_source", missing)
    if known is None:
        return findings
    unknown = sources.notna() & ~sources.isin(list(known))
    hints = {name: nearest(name, known) for name in sources[unknown].unique()}

    def message(row: int) -> str:
        return f"{sources[row]!r} is not in the list of sources. {hints[sources[row]]}".strip()

    return findings + _findings(clean, unknown, Column.SOURCE, "unknown_source", message)


def _duplicate_findings(clean: pd.DataFrame, row_label: RowLabel) -> list[Finding]:
    """Find rows of one source that report the same measurement twice.

    These are usable rows with the same composition and exactly the same conductivity, bulk conductivity or density
    and without a difference in any field of recipe, condition or result, and rows with other results only that
    agree in every field. They are errors, or warnings if the notes differ.
    """
    compared = [
        column
        for column in (*RECIPE, *columns_of(Role.CONDITION, Role.RESULT))
        if column.kind is not Kind.TEXT or column in (Column.ADDITIVE, Column.PRECURSORS)
    ]
    rows = clean[_is_usable(clean)]
    first = np.full(len(clean), -1)
    for measured in MEASURED_RESULTS:
        same = [Column.SOURCE, Column.FORMULA, measured]
        measured_rows = rows[rows[measured].notna() & rows.duplicated(same, keep=False)]
        groups = measured_rows.groupby(same, sort=False)
        is_same = (groups[compared].transform("nunique") <= 1).all(axis=1)
        _set_first_rows(first, measured_rows[is_same], groups.ngroup()[is_same])
    has_result = rows[list(columns_of(Role.RESULT))].notna().any(axis=1)
    other_rows = rows[rows[list(MEASURED_RESULTS)].isna().all(axis=1) & has_result]
    every = [Column.SOURCE, *compared, Column.SECONDARY_PHASES]
    _set_first_rows(first, other_rows, other_rows.groupby(every, dropna=False, sort=False).ngroup())
    notes = clean[Column.NOTES].fillna("").to_numpy()
    is_duplicate = first >= 0
    differs_in_notes = is_duplicate & (notes != notes[first])

    def message(row: int) -> str:
        return f"the same measurement as {row_label(int(first[row]))} by every field that both give"

    return [
        *_findings(clean, is_duplicate & ~differs_in_notes, Column.PELLET_ID, "duplicate_measurement", message),
        *_findings(clean, differs_in_notes, Column.PELLET_ID, "possible_duplicate", message, Severity.WARNING),
    ]


def _set_first_rows(first: Ints, rows: pd.DataFrame, groups: pd.Series) -> None:
    """Set `first`, for every row that is not the first of its group, to the first row of the group."""
    positions = pd.Series(rows.index, index=rows.index)
    first_rows = positions.groupby(groups).transform("first")
    later = positions[first_rows != positions].to_numpy()
    first[later] = first_rows[later].to_numpy()


def _contradiction_findings(clean: pd.DataFrame, row_label: RowLabel) -> list[Finding]:
    """Find conductivities of one source and composition that are far apart without any difference in the rows.

    Numbers that are only bounds are ignored.
    """
    exact = _is_usable(clean) & clean[Column.CONDUCTIVITY_BOUND].isna()
    findings: list[Finding] = []
    for column in CONDUCTIVITIES:
        rows = clean[exact & (clean[column] > 0)]
        logs = np.log10(clean[column].where(clean[column] > 0).to_numpy(dtype=np.float64))
        messages: dict[int, str] = {}
        for first, second in _similar_pairs(rows, [Column.SOURCE, Column.FORMULA]):
            far = np.abs(logs[first] - logs[second]) > CONTRADICTION_DECADES
            for earlier, later in zip(first[far].tolist(), second[far].tolist(), strict=True):
                if later not in messages:
                    messages[later] = (
                        f"{clean[column][later]:g} S/cm is {abs(logs[earlier] - logs[later]):.1f} decades from "
                        f"{clean[column][earlier]:g} S/cm in {row_label(earlier)}, of the same source and "
                        "composition, and no field tells the two apart"
                    )
        mask = clean.index.isin(list(messages))
        findings += _findings(clean, mask, column, "contradicting_values", messages.__getitem__, Severity.WARNING)
    return findings


def _shared_author_findings(clean: pd.DataFrame, row_label: RowLabel) -> list[Finding]:
    """Find equal values of one composition under two source keys of one author.

    Such keys may be one work, which would then be on both sides of a split.
    """
    rows = clean[_is_usable(clean)]
    author = rows[Column.SOURCE].str.extract(_AUTHOR_YEAR, expand=False)
    rows = rows[author.notna() & ~author.isin(_NUMBERED_COLLECTIONS)]
    sources = clean[Column.SOURCE].to_numpy(dtype=object)
    earlier_row: dict[int, int] = {}
    for column in MEASURED_RESULTS:
        given = rows[rows[column].notna()]
        for first, second in _similar_pairs(given, [author.loc[given.index], Column.FORMULA, column]):
            differs = sources[first] != sources[second]
            for earlier, later in zip(first[differs].tolist(), second[differs].tolist(), strict=True):
                earlier_row.setdefault(later, earlier)

    def message(row: int) -> str:
        return (
            f"{sources[row]!r} gives the value that {sources[earlier_row[row]]!r} gives in "
            f"{row_label(earlier_row[row])} for the same composition; if they are one work, join them"
        )

    mask = clean.index.isin(list(earlier_row))
    return _findings(clean, mask, Column.SOURCE, "same_author_same_value", message, Severity.WARNING)


def _is_usable(clean: pd.DataFrame) -> pd.Series:
    """Return which rows are not suspect and have a formula and a source."""
    return ~clean[Column.SUSPECT].eq(True) & clean[[Column.FORMULA, Column.SOURCE]].notna().all(axis=1)


def _similar_pairs(rows: pd.DataFrame, by: list[Column | pd.Series]) -> Iterator[Pairs]:
    """Yield, for each group, the pairs of rows (earlier, later) without a difference in recipe or condition."""
    if rows.empty:
        return
    groups = rows.groupby(by, sort=False)
    for indices in groups.indices.values():
        if len(indices) > 1:
            group = rows.iloc[indices]
            first, second = np.triu_indices(len(group), k=1)
            is_similar = ~_differs(group, first, second)
            positions = group.index.to_numpy(dtype=np.intp)
            yield positions[first[is_similar]], positions[second[is_similar]]


def _differs(group: pd.DataFrame, first: Ints, second: Ints) -> Mask:
    """Return which pairs differ in a field given in both rows, or in whether there is an additive."""
    differs = np.zeros(len(first), dtype=bool)
    for column in (*RECIPE, *columns_of(Role.CONDITION)):
        values = group[column].to_numpy()
        in_both = pd.notna(values)[first] & pd.notna(values)[second]
        if column is Column.MEASUREMENT_TEMPERATURE_C:
            is_unequal = np.abs(values[first] - values[second]) > SAME_TEMPERATURE_C
        else:
            is_unequal = values[first] != values[second]
        differs |= in_both & is_unequal
    has_additive = group[Column.ADDITIVE].notna().to_numpy()
    return np.asarray(differs | (has_additive[first] != has_additive[second]), dtype=bool)


@dataclass(frozen=True)
class _ReferenceRange:
    """Range of one column in other works, with the number of pellets and, in messages, their system."""

    low: float
    high: float
    count: int
    system_prefix: str


def unusual_findings(pellets: pd.DataFrame, reference: pd.DataFrame) -> list[Finding]:
    """Return warnings about numbers that are far from all measured ones, by column and row.

    Both tables are like those of `nasicon_ml.data.load.load_pellets`, `pellets` with index 0 to n - 1. Suspect
    rows, doubtful results and temperatures that look like kelvin (`nasicon_ml.checks.kelvin_findings`) are
    ignored.
    Each pellet is compared with reference pellets of other sources only.
    """
    trusted = without_doubtful_results(pellets)
    usable = ~trusted[Column.SUSPECT].eq(True).to_numpy()
    systems, sources = (reference[name].to_numpy(dtype=object) for name in (Column.SYSTEM, Column.SOURCE))
    findings = fraction_findings(trusted[usable])
    for column in (*COMPARED_BY_SYSTEM, *COMPARED_OVERALL):
        values = trusted[column].to_numpy(dtype=np.float64)
        is_checked = usable & ~np.isnan(values)
        if column in TEMPERATURE_STEPS_C:
            is_checked &= ~np.logical_or(*looks_like_kelvin(values, column))
        keys = zip(trusted[Column.SYSTEM], trusted[Column.SOURCE], _temperatures(trusted, column), strict=True)
        measured, temperatures = reference[column].to_numpy(dtype=np.float64), _temperatures(reference, column)
        ranges: dict[tuple[object, object, float], _ReferenceRange | None] = {}
        for row, key in enumerate(keys):
            if not is_checked[row]:
                continue
            system, source, temperature = key
            if key not in ranges:
                mask = ~np.isnan(measured) & (sources != source)
                mask &= np.abs(temperatures - temperature) <= SAME_TEMPERATURE_C
                ranges[key] = _reference_range(
                    measured, mask, systems, system if column in COMPARED_BY_SYSTEM else None
                )
            value = float(values[row])
            problem = _unusual_message(column, value, ranges[key], temperature)
            if problem:
                message = f"{column}: {value:g} {column.unit} {problem}"
                findings.append(Finding(row, column.value, value, UNUSUAL_VALUE_RULE, Severity.WARNING, message))
    return findings


def unusual_in_file(raw: RawTable, reference: pd.DataFrame) -> list[Finding]:
    """Return the findings of `unusual_findings` about a table as read from its file, by row and column."""
    clean, _ = clean_pellets(raw)
    clean[Column.SYSTEM] = systems_of(clean[Column.FORMULA])
    return add_lines(unusual_findings(clean, reference), raw)


def _temperatures(pellets: pd.DataFrame, column: Column) -> Floats:
    """Return the measurement temperature of each value, in °C; 25 for results other than conductivities."""
    if column not in CONDUCTIVITIES:
        return np.full(len(pellets), ROOM_TEMPERATURE_C)
    return pellets[Column.MEASUREMENT_TEMPERATURE_C].fillna(ROOM_TEMPERATURE_C).to_numpy(dtype=np.float64)


def _reference_range(
    values: Floats, mask: Mask, systems: NDArray[np.object_], system: object
) -> _ReferenceRange | None:
    """Return the range of the masked pellets of a system or, if these are too few, of all masked pellets."""
    selected, prefix = values[mask & (systems == system)], f"{system} "
    if system is None or len(selected) < MIN_REFERENCE_PELLETS:
        selected, prefix = values[mask], ""
    if len(selected) < MIN_REFERENCE_PELLETS:
        return None
    return _ReferenceRange(float(selected.min()), float(selected.max()), len(selected), prefix)


def _unusual_message(column: Column, value: float, known: _ReferenceRange | None, temperature_c: float) -> str:
    """Return what is unusual about a value, and what was probably meant; empty if the value is usual."""
    if known is None:
        return ""
    lower, upper = _usual_bounds(column, known)
    alternatives = [
        f"{value:g} {SPELLED_UNITS.get(unit, unit)} is {value * factor + shift:.4g} {column.unit}"
        for (own_unit, unit), (factor, shift) in OTHER_UNITS.items()
        if own_unit == column.unit and known.low <= value * factor + shift <= known.high
    ]
    if lower <= value <= upper or not (alternatives or column in MEASURED_RESULTS):
        return ""
    side, limit = ("below", known.low) if value < lower else ("above", known.high)
    where = f" near {temperature_c:g} °C" if column in CONDUCTIVITIES else ""
    problem = f"is far {side} the {known.count} {known.system_prefix}pellets of other works{where} ({limit:g})"
    return "; ".join([problem, *alternatives])


def _usual_bounds(column: Column, known: _ReferenceRange) -> tuple[float, float]:
    if column in CONDUCTIVITIES:
        down, up = CONDUCTIVITY_FACTORS
        return known.low / down, known.high * up
    if column is Column.RELATIVE_DENSITY_PCT:
        return known.low - DENSITY_POINTS, known.high + DENSITY_POINTS
    if column in TEMPERATURE_STEPS_C:
        return known.low - TEMPERATURE_C, known.high + TEMPERATURE_C
    return known.low / OTHER_FACTOR, known.high * OTHER_FACTOR
