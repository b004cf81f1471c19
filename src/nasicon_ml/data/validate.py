"""Checks a file of pellets against the vocabulary and the rules, and reports everything at once.

Rules that need more than one cell take the clean table and find the rows they do not like as an array; words are
made for those few. Those that compare measurements look at pairs of usable rows of one composition that no field
of recipe or condition tells apart (what is missing tells nothing apart), and warn: a person has to look.

Numbers that are possible but unlike all that was measured are told with what was probably meant. 0.12 S/cm is a
conductivity, but nobody measured such a one on a NASICON at room temperature: it is 0.12 mS/cm. Each number is
held against what other works report: conductivity, density and temperatures against the same system (all systems
where these are few), a conductivity against those measured at about the same temperature.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
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
    HEADER,
    clean_pellets,
    excuse_suspects,
    load_sources,
    systems_of,
    with_lines,
    without_doubted,
)
from nasicon_ml.errors import NasiconError, nearest
from nasicon_ml.io import RawTable, read_table

#: Above this the formula is wrong as printed, in elementary charges per three T cations.
CHARGE_LIMIT = 0.25
#: Two totals (or two bulk values) of one sample further apart than this contradict each other, in decades.
CONTRADICTION_DECADES = 1.5
#: Measured at temperatures no further apart than this is measured alike, in °C: room temperature is 20 to 30.
SAME_TEMPERATURE_C = 10.0
#: Author, year and what tells several works apart: fu1997b, yi2014film.
_AUTHOR_YEAR = r"^([^\W\d_]+)(?:19|20)\d\d[^\W\d_]*$"
#: ly2018 is paper number 2018 of a collection, and no work of 2018.
_NUMBERED = ("ly",)

UNUSUAL = "unlike_all_measured"
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
#: Numbers that make a row a measurement; two rows that share one may be the same. Unusual ones are said also where
#: no other unit explains them: what is new about a recipe is no mistake, but a result that nobody found before is
#: worth a second look.
RESULTS = (*CONDUCTIVITIES, Column.RELATIVE_DENSITY_PCT)
#: How far beyond all others a number has to lie. Any pellet may conduct badly, none conducts much better.
CONDUCTIVITY_FACTORS = (100.0, 3.0)
DENSITY_POINTS, TEMPERATURE_C, OTHER_FACTOR = 10.0, 50.0, 2.0
#: Pellets of other works that make a range.
ENOUGH = 10

#: Names a row in words.
Places = Callable[[int], str]
Pairs = tuple[Ints, Ints]


def find_problems(raw: RawTable, sources: Collection[str] | None = None) -> list[Finding]:
    """Check a table of pellets: everything that is wrong, by row and column; row -1 is the header.

    `sources` are the keys of the known sources, None if there is no list to check against. Errors about the values
    of a row that is marked suspect, with the reason, are warnings.
    """
    clean, findings = clean_pellets(raw)

    def place(row: int) -> str:
        key = clean[Column.PELLET_ID][row]
        where = f"line {raw.lines[row]}" if raw.lines is not None else f"row {row + 1}"
        return f"{where} ({key})" if key else where

    found = _total_above_bulk(clean)
    found += kelvin_findings(clean)
    found += precursor_findings(clean)
    found += _additives(clean)
    found += _bounds(clean)
    found += _purity(clean)
    found += _suspicion(clean)
    found += _keys(clean, place)
    found += _source_known(clean, sources)
    trusted = without_doubted(clean)
    found += _duplicates(trusted, place)
    found += _contradictions(trusted, place)
    found += _shared_authors(trusted, place)
    # A cell that could not be read is missing from the clean table; that it is missing is no second mistake.
    unread = {(finding.row, finding.column) for finding in findings}
    findings = _escalate_charges(findings, clean)
    findings += [finding for finding in found if (finding.row, finding.column) not in unread]
    return with_lines(excuse_suspects(_as_written(findings, raw), clean), raw)


def count_problems(path: str | Path) -> dict[str, int]:
    """Count what is wrong with a file of pellets, held against the list of sources beside it, if there is one.

    Returns
    -------
    dict
        "errors" and "warnings". A list of sources that cannot be read counts as one error.

    Raises
    ------
    UnreadableFileError
        If the file is not a table.
    """
    beside = Path(path).parent / SOURCES_FILE
    unreadable, known = 0, None
    if beside.is_file():
        try:
            known = set(load_sources(beside)[Column.SOURCE])
        except NasiconError:
            unreadable = 1
    found = find_problems(read_table(path), known)
    errors = sum(finding.severity is Severity.ERROR for finding in found)
    return {"errors": errors + unreadable, "warnings": len(found) - errors}


def _as_written(findings: Sequence[Finding], raw: RawTable) -> list[Finding]:
    """Show each cell as it stands in the file, not as it was understood."""
    cells = {str(name): raw.frame[name].to_numpy(dtype=object) for name in raw.frame.columns}
    return [
        replace(found, value=cells[found.column][found.row])
        if found.row != HEADER and found.column in cells
        else found
        for found in findings
    ]


def _report(
    clean: pd.DataFrame,
    mask: Mask | pd.Series,
    column: Column,
    rule: str,
    words: str | Callable[[int], str],
    severity: Severity = Severity.ERROR,
) -> list[Finding]:
    """Return one finding per row of the mask."""
    cells = clean[column].to_numpy(dtype=object)
    said = {row: words if isinstance(words, str) else words(row) for row in np.flatnonzero(mask).tolist()}
    return [
        Finding(row, column.value, cells[row], rule, severity, f"{column.value}: {words}")
        for row, words in said.items()
    ]


def _escalate_charges(findings: Sequence[Finding], clean: pd.DataFrame) -> list[Finding]:
    """Return the findings; charges off by more than `CHARGE_LIMIT` are errors in them and no longer warnings."""
    stated = clean[Column.FORMULA].dropna()
    if stated.empty:
        return list(findings)
    table = occupancies(stated.tolist())
    wrong = set(stated.index[np.abs(table.per_row(table.charge_imbalance)) > CHARGE_LIMIT])
    return [
        replace(found, severity=Severity.ERROR)
        if found.rule == "charge_imbalance" and found.row in wrong
        else found
        for found in findings
    ]


def _total_above_bulk(clean: pd.DataFrame) -> list[Finding]:
    """Find totals above the bulk value: grain boundaries only ever add resistance."""
    total = clean[Column.CONDUCTIVITY_TOTAL_S_CM].to_numpy()
    bulk = clean[Column.CONDUCTIVITY_BULK_S_CM].to_numpy()
    upper = clean[Column.CONDUCTIVITY_BOUND].eq("upper").to_numpy()
    return _report(
        clean,
        (total > bulk * (1 + 1e-9)) & ~upper,
        Column.CONDUCTIVITY_TOTAL_S_CM,
        "total_above_bulk",
        lambda row: f"total {total[row]:g} S/cm is above the bulk value {bulk[row]:g} S/cm; are they swapped?",
    )


def _additives(clean: pd.DataFrame) -> list[Finding]:
    """Find amounts without a unit or a name, and units without an amount."""
    name, amount, unit = (clean[column].notna() for column in ADDITIVE)
    no_unit = f"is missing; allowed: {Column.ADDITIVE_UNIT.allowed}"
    no_amount, no_name = "is missing beside its unit", "is missing beside its amount"
    return [
        *_report(clean, amount & ~unit, Column.ADDITIVE_UNIT, "amount_without_unit", no_unit),
        *_report(clean, unit & ~amount, Column.ADDITIVE_AMOUNT, "unit_without_amount", no_amount),
        *_report(clean, amount & ~name, Column.ADDITIVE, "amount_without_additive", no_name),
    ]


def _bounds(clean: pd.DataFrame) -> list[Finding]:
    """Find bounds that belong to no number."""
    found = []
    for number, bound in BOUND_OF.items():
        alone = clean[bound].notna() & clean[number].isna()
        found += _report(clean, alone, number, "bound_without_value", f"is missing beside {bound.value}")
    return found


def _purity(clean: pd.DataFrame) -> list[Finding]:
    """Find pellets that are called pure and have secondary phases."""
    mask = clean[Column.PHASE_PURE].eq(True) & clean[Column.SECONDARY_PHASES].notna()
    words = "secondary phases are named, yet the pellet is called pure"
    return _report(clean, mask, Column.PHASE_PURE, "pure_with_secondary_phases", words)


def _suspicion(clean: pd.DataFrame) -> list[Finding]:
    """Find suspect rows without a reason, and reasons of rows that are not suspect."""
    suspect, reason = clean[Column.SUSPECT].eq(True), clean[Column.SUSPECT_REASON].notna()
    idle = reason & ~suspect & clean[Column.DOUBTFUL_COLUMNS].isna()
    missing, given = "is missing; say why", "false, yet a reason is given"
    return [
        *_report(clean, suspect & ~reason, Column.SUSPECT_REASON, "suspect_without_reason", missing),
        *_report(clean, idle, Column.SUSPECT, "reason_without_suspect", given, Severity.WARNING),
    ]


def _keys(clean: pd.DataFrame, places: Places) -> list[Finding]:
    """Find missing and repeated keys of pellets; `places` names a row in words."""
    ids = clean[Column.PELLET_ID]
    first = ids.map(pd.Series(ids.index, index=ids).groupby(level=0).first()).to_numpy()

    def words(row: int) -> str:
        return f"{ids[row]!r} already stands in {places(int(first[row]))}"

    return [
        *_report(clean, ids.isna(), Column.PELLET_ID, "missing_key", "is missing"),
        *_report(clean, ids.notna() & ids.duplicated(), Column.PELLET_ID, "duplicate_key", words),
    ]


def _source_known(clean: pd.DataFrame, known: Collection[str] | None) -> list[Finding]:
    """Find rows without a source, and (where a list is given) sources that are not in it."""
    sources = clean[Column.SOURCE]
    missing = "is missing; every split of the data is by source"
    findings = _report(clean, sources.isna(), Column.SOURCE, "missing_source", missing)
    if known is None:
        return findings
    unknown = sources.notna() & ~sources.isin(list(known))
    hints = {name: nearest(name, known) for name in sources[unknown].unique()}

    def words(row: int) -> str:
        return f"{sources[row]!r} is not in the list of sources. {hints[sources[row]]}".strip()

    return findings + _report(clean, unknown, Column.SOURCE, "unknown_source", words)


def _duplicates(clean: pd.DataFrame, places: Places) -> list[Finding]:
    """Find rows of one source that give the same measurement twice.

    Rows with the same composition and the same conductivity, bulk conductivity or density to the digit are
    candidates unless some field of recipe, condition or result tells them apart; rows with other results only are
    candidates if they agree in every field. Where the notes differ too, a person has to judge: a warning;
    otherwise an error. Suspect rows are left alone.
    """
    compared = [
        column
        for column in (*RECIPE, *columns_of(Role.CONDITION, Role.RESULT))
        if column.kind is not Kind.TEXT or column in (Column.ADDITIVE, Column.PRECURSORS)
    ]
    rows = clean[_usable(clean)]
    first = np.full(len(clean), -1)
    for measured in RESULTS:
        some = rows[rows[measured].notna()]
        groups = some.groupby([Column.SOURCE, Column.FORMULA, measured], sort=False)
        same = (groups[compared].transform("nunique") <= 1).all(axis=1)
        _note_leaders(first, some[same], groups.ngroup()[same])
    reported = rows[list(columns_of(Role.RESULT))].notna().any(axis=1)
    bare = rows[rows[list(RESULTS)].isna().all(axis=1) & reported]
    every = [Column.SOURCE, *compared, Column.SECONDARY_PHASES]
    _note_leaders(first, bare, bare.groupby(every, dropna=False, sort=False).ngroup())
    notes = clean[Column.NOTES].fillna("").to_numpy()
    found = first >= 0
    told = found & (notes != notes[first])

    def words(row: int) -> str:
        return f"the same measurement as {places(int(first[row]))} by every field that both give"

    return [
        *_report(clean, found & ~told, Column.PELLET_ID, "duplicate_measurement", words),
        *_report(clean, told, Column.PELLET_ID, "possible_duplicate", words, Severity.WARNING),
    ]


def _note_leaders(first: npt.NDArray[np.int_], rows: pd.DataFrame, groups: pd.Series) -> None:
    """Write down, for every row that is not the first of its group, which row is."""
    positions = pd.Series(rows.index, index=rows.index)
    leaders = positions.groupby(groups).transform("first")
    later = positions[leaders != positions].to_numpy()
    first[later] = leaders[later].to_numpy()


def _contradictions(clean: pd.DataFrame, places: Places) -> list[Finding]:
    """Find conductivities of one source and composition that are far apart though nothing tells them apart.

    Numbers that are only bounds are passed over.
    """
    exact = _usable(clean) & clean[Column.CONDUCTIVITY_BOUND].isna()
    findings: list[Finding] = []
    for column in CONDUCTIVITIES:
        rows = clean[exact & (clean[column] > 0)]
        logs = np.log10(clean[column].where(clean[column] > 0).to_numpy(dtype=np.float64))
        told: dict[int, str] = {}
        for first, second in _alike(rows, [Column.SOURCE, Column.FORMULA]):
            far = np.abs(logs[first] - logs[second]) > CONTRADICTION_DECADES
            for one, other in zip(first[far].tolist(), second[far].tolist(), strict=True):
                if other not in told:
                    told[other] = (
                        f"{clean[column][other]:g} S/cm is {abs(logs[one] - logs[other]):.1f} decades from "
                        f"{clean[column][one]:g} S/cm in {places(one)}, of the same source and composition, and "
                        "no field tells the two apart"
                    )
        mask = clean.index.isin(list(told))
        findings += _report(clean, mask, column, "contradicting_values", told.__getitem__, Severity.WARNING)
    return findings


def _shared_authors(clean: pd.DataFrame, places: Places) -> list[Finding]:
    """Find one measured value of one composition under two source keys of one author.

    Such keys may be one work, which then stands on both sides of a split.
    """
    rows = clean[_usable(clean)]
    author = rows[Column.SOURCE].str.extract(_AUTHOR_YEAR, expand=False)
    rows = rows[author.notna() & ~author.isin(_NUMBERED)]
    sources = clean[Column.SOURCE].to_numpy(dtype=object)
    found: dict[int, int] = {}
    for column in RESULTS:
        given = rows[rows[column].notna()]
        for first, second in _alike(given, [author.loc[given.index], Column.FORMULA, column]):
            other_key = sources[first] != sources[second]
            for one, other in zip(first[other_key].tolist(), second[other_key].tolist(), strict=True):
                found.setdefault(other, one)

    def words(row: int) -> str:
        return (
            f"{sources[row]!r} gives the value that {sources[found[row]]!r} gives in {places(found[row])} for the "
            "same composition; if they are one work, join them"
        )

    mask = clean.index.isin(list(found))
    return _report(clean, mask, Column.SOURCE, "same_author_same_value", words, Severity.WARNING)


def _usable(clean: pd.DataFrame) -> pd.Series:
    """Find the rows that are not suspect and have a formula and a source."""
    return ~clean[Column.SUSPECT].eq(True) & clean[[Column.FORMULA, Column.SOURCE]].notna().all(axis=1)


def _alike(rows: pd.DataFrame, by: list[Column | pd.Series]) -> Iterator[Pairs]:
    """Yield, for each group, the pairs of rows (earlier, later) that no recipe or condition tells apart."""
    if rows.empty:
        return
    for _, group in rows.groupby(by, sort=False):
        if len(group) > 1:
            first, second = np.triu_indices(len(group), k=1)
            alike = ~_told_apart(group, first, second)
            positions = group.index.to_numpy(dtype=np.intp)
            yield positions[first[alike]], positions[second[alike]]


def _told_apart(group: pd.DataFrame, first: Ints, second: Ints) -> Mask:
    """Find the pairs that differ in a field that both give; only one having an additive is a difference too."""
    apart = np.zeros(len(first), dtype=bool)
    for column in (*RECIPE, *columns_of(Role.CONDITION)):
        values = group[column].to_numpy()
        both = pd.notna(values)[first] & pd.notna(values)[second]
        if column is Column.MEASUREMENT_TEMPERATURE_C:
            differ = np.abs(values[first] - values[second]) > SAME_TEMPERATURE_C
        else:
            differ = values[first] != values[second]
        apart |= both & differ
    has_additive = group[Column.ADDITIVE].notna().to_numpy()
    return np.asarray(apart | (has_additive[first] != has_additive[second]), dtype=bool)


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
        if column in TEMPERATURE_STEPS_C:
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
            words = _unusual_words(column, float(values[row]), ranges[key], key[2])
            if words:
                message = f"{column}: {values[row]:g} {column.unit} {words}"
                found.append(Finding(row, column.value, float(values[row]), UNUSUAL, Severity.WARNING, message))
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


def _unusual_words(column: Column, value: float, known: _Range | None, temperature_c: float) -> str:
    """Return what is unusual about a value, and what was probably meant; nothing if it is as others are."""
    if known is None:
        return ""
    below, above = _usual(column, known)
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


def _usual(column: Column, known: _Range) -> tuple[float, float]:
    if column in CONDUCTIVITIES:
        down, up = CONDUCTIVITY_FACTORS
        return known.low / down, known.high * up
    if column is Column.RELATIVE_DENSITY_PCT:
        return known.low - DENSITY_POINTS, known.high + DENSITY_POINTS
    if column in TEMPERATURE_STEPS_C:
        return known.low - TEMPERATURE_C, known.high + TEMPERATURE_C
    return known.low / OTHER_FACTOR, known.high * OTHER_FACTOR
