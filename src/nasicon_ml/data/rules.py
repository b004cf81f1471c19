"""The rules that need more than one cell: between columns, between rows, and against the list of sources.

Each rule takes the clean table and gives the rows it does not like as an array; words are made for those few.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from nasicon_ml.checks import Finding, Severity
from nasicon_ml.columns import RECIPE, Column, Kind, Role, columns_of
from nasicon_ml.composition import occupancies
from nasicon_ml.errors import nearest

#: Above this the formula is wrong as printed, in elementary charges per three T cations.
CHARGE_LIMIT = 0.25
#: Numbers and words that make a row a measurement; two rows that share one may be the same.
_MEASURED = (Column.CONDUCTIVITY_TOTAL_S_CM, Column.CONDUCTIVITY_BULK_S_CM, Column.RELATIVE_DENSITY_PCT)

Mask = npt.NDArray[np.bool_]
Texts = Callable[[int], str]


def _report(clean: pd.DataFrame, mask: Mask, column: Column, rule: str, words: str | Texts) -> list[Finding]:
    """Make one error per row of the mask."""
    cells = clean[column].to_numpy(dtype=object)
    return [
        Finding(
            row,
            column.value,
            cells[row],
            rule,
            Severity.ERROR,
            f"{column.value}: {words if isinstance(words, str) else words(row)}",
        )
        for row in np.flatnonzero(mask).tolist()
    ]


def _as_warning(findings: list[Finding]) -> list[Finding]:
    return [replace(found, severity=Severity.WARNING) for found in findings]


def escalate_charges(findings: Sequence[Finding], clean: pd.DataFrame) -> list[Finding]:
    """Make errors of the warnings about formulas whose charges are off by more than `CHARGE_LIMIT`."""
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


def total_above_bulk(clean: pd.DataFrame) -> list[Finding]:
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


def additives(clean: pd.DataFrame) -> list[Finding]:
    """Find amounts without a unit or a name, and units without an amount."""
    name = clean[Column.ADDITIVE].notna().to_numpy()
    amount = clean[Column.ADDITIVE_AMOUNT].notna().to_numpy()
    unit = clean[Column.ADDITIVE_UNIT].notna().to_numpy()
    allowed = Column.ADDITIVE_UNIT.allowed
    return [
        *_report(
            clean, amount & ~unit, Column.ADDITIVE_UNIT, "amount_without_unit", f"is missing; allowed: {allowed}"
        ),
        *_report(
            clean, unit & ~amount, Column.ADDITIVE_AMOUNT, "unit_without_amount", "is missing beside its unit"
        ),
        *_report(
            clean, amount & ~name, Column.ADDITIVE, "amount_without_additive", "is missing beside its amount"
        ),
    ]


def bounds(clean: pd.DataFrame) -> list[Finding]:
    """Find bounds that belong to no number."""
    pairs = (
        (Column.CONDUCTIVITY_BOUND, Column.CONDUCTIVITY_TOTAL_S_CM),
        (Column.DENSITY_BOUND, Column.RELATIVE_DENSITY_PCT),
    )
    return [
        finding
        for bound, number in pairs
        for finding in _report(
            clean,
            (clean[bound].notna() & clean[number].isna()).to_numpy(),
            number,
            "bound_without_value",
            f"is missing beside {bound.value}",
        )
    ]


def purity(clean: pd.DataFrame) -> list[Finding]:
    """Find pellets that are called pure and have secondary phases."""
    mask = (clean[Column.PHASE_PURE].eq(True) & clean[Column.SECONDARY_PHASES].notna()).to_numpy()
    words = "secondary phases are named, yet the pellet is called pure"
    return _report(clean, mask, Column.PHASE_PURE, "pure_with_secondary_phases", words)


def suspicion(clean: pd.DataFrame) -> list[Finding]:
    """Find suspect rows without a reason, and reasons of rows that are not suspect."""
    suspect = clean[Column.SUSPECT].eq(True).to_numpy()
    reason = clean[Column.SUSPECT_REASON].notna().to_numpy()
    return [
        *_report(clean, suspect & ~reason, Column.SUSPECT_REASON, "suspect_without_reason", "is missing; say why"),
        *_as_warning(
            _report(
                clean, reason & ~suspect, Column.SUSPECT, "reason_without_suspect", "false, yet a reason is given"
            )
        ),
    ]


def keys(clean: pd.DataFrame, places: Texts) -> list[Finding]:
    """Find missing and repeated keys of pellets; `places` names a row in words."""
    ids = clean[Column.PELLET_ID]
    first = ids.map(pd.Series(ids.index, index=ids).groupby(level=0).first()).to_numpy()
    repeated = (ids.notna() & ids.duplicated()).to_numpy()
    return [
        *_report(clean, ids.isna().to_numpy(), Column.PELLET_ID, "missing_key", "is missing"),
        *_report(
            clean,
            repeated,
            Column.PELLET_ID,
            "duplicate_key",
            lambda row: f"{ids[row]!r} already stands in {places(int(first[row]))}",
        ),
    ]


def source_known(clean: pd.DataFrame, known: Collection[str] | None) -> list[Finding]:
    """Find rows without a source, and (where a list is given) sources that are not in it."""
    sources = clean[Column.SOURCE]
    findings = _report(
        clean,
        sources.isna().to_numpy(),
        Column.SOURCE,
        "missing_source",
        "is missing; every split of the data is by source",
    )
    if known is None:
        return findings
    unknown = (sources.notna() & ~sources.isin(list(known))).to_numpy()
    hints = {name: nearest(name, known) for name in sources[unknown].unique()}
    return findings + _report(
        clean,
        unknown,
        Column.SOURCE,
        "unknown_source",
        lambda row: f"{sources[row]!r} is not in the list of sources. {hints[sources[row]]}".strip(),
    )


def duplicates(clean: pd.DataFrame, places: Texts) -> list[Finding]:
    """Find rows of one source that give the same measurement twice.

    Rows with the same composition and the same conductivity, bulk conductivity or density to the digit are
    candidates unless some field of recipe, condition or result tells them apart; rows without such a number are
    candidates if they agree in every field. Where the notes differ too, a person has to judge: a warning;
    otherwise an error. Suspect rows are left alone.
    """
    compared = [
        column
        for column in (*RECIPE, *columns_of(Role.CONDITION, Role.RESULT))
        if column.kind is not Kind.TEXT or column is Column.ADDITIVE
    ]
    usable = ~clean[Column.SUSPECT].eq(True) & clean[[Column.FORMULA, Column.SOURCE]].notna().all(axis=1)
    rows = clean[usable]
    first = np.full(len(clean), -1)
    for measured in _MEASURED:
        some = rows[rows[measured].notna()]
        groups = some.groupby([Column.SOURCE, Column.FORMULA, measured], sort=False)
        same = (groups[compared].transform("nunique") <= 1).all(axis=1)
        _note_leaders(first, some[same], groups.ngroup()[same])
    bare = rows[rows[list(_MEASURED)].isna().all(axis=1)]
    fields = [Column.SOURCE, *compared, Column.SECONDARY_PHASES]
    _note_leaders(first, bare, bare.groupby(fields, dropna=False, sort=False).ngroup())
    notes = clean[Column.NOTES].fillna("").to_numpy()
    found = first >= 0
    told = found & (notes != notes[first])

    def words(row: int) -> str:
        return f"the same measurement as {places(int(first[row]))} by every field that both give"

    return [
        *_report(clean, found & ~told, Column.PELLET_ID, "duplicate_measurement", words),
        *_as_warning(_report(clean, told, Column.PELLET_ID, "possible_duplicate", words)),
    ]


def _note_leaders(first: npt.NDArray[np.int_], rows: pd.DataFrame, groups: pd.Series) -> None:
    """Write down, for every row that is not the first of its group, which row is."""
    positions = pd.Series(rows.index, index=rows.index)
    leaders = positions.groupby(groups).transform("first")
    later = positions[leaders != positions].to_numpy()
    first[later] = leaders[later].to_numpy()
