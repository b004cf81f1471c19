"""Rules that compare measurements: values that cannot both be right, and one value under two keys of an author.

Both compare pairs of usable rows of one composition that no field of recipe or condition tells apart. What is
missing tells nothing apart. All findings are warnings: a person has to look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from nasicon_ml.checks import Finding, Severity
from nasicon_ml.columns import RECIPE, Column, Role, columns_of

#: Two totals (or two bulk values) of one sample further apart than this contradict each other, in decades.
CONTRADICTION_DECADES = 1.5
#: Measured at temperatures no further apart than this is measured alike, in °C: room temperature is 20 to 30.
SAME_TEMPERATURE_C = 10.0
_CONDUCTIVITIES = (Column.CONDUCTIVITY_TOTAL_S_CM, Column.CONDUCTIVITY_BULK_S_CM)
_MEASURED = (*_CONDUCTIVITIES, Column.RELATIVE_DENSITY_PCT)
#: Author, year and what tells several works apart: fu1997b, yi2014film.
_AUTHOR_YEAR = r"^([^\W\d_]+)(?:19|20)\d\d[^\W\d_]*$"
#: ly2018 is paper number 2018 of a collection, and no work of 2018.
_NUMBERED = ("ly",)

Places = Callable[[int], str]
Pairs = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]


def contradictions(clean: pd.DataFrame, places: Places) -> list[Finding]:
    """Find conductivities of one source and composition that are far apart though nothing tells them apart.

    Numbers that are only bounds are passed over.

    Parameters
    ----------
    clean
        Clean pellets, index 0 to n - 1.
    places
        Names a row in words.
    """
    exact = _usable(clean) & clean[Column.CONDUCTIVITY_BOUND].isna()
    findings: list[Finding] = []
    for column in _CONDUCTIVITIES:
        rows = clean[exact & (clean[column] > 0)]
        logs = np.log10(clean[column].where(clean[column] > 0).to_numpy(dtype=np.float64))
        told: set[int] = set()
        for first, second in _alike(rows, [Column.SOURCE, Column.FORMULA]):
            far = np.abs(logs[first] - logs[second]) > CONTRADICTION_DECADES
            for one, other in zip(first[far].tolist(), second[far].tolist(), strict=True):
                if other in told:
                    continue
                told.add(other)
                words = (
                    f"{clean[column][other]:g} S/cm is {abs(logs[one] - logs[other]):.1f} decades from "
                    f"{clean[column][one]:g} S/cm in {places(one)}, of the same source and composition, and no "
                    "field tells the two apart"
                )
                findings.append(_warning(clean, other, column, "contradicting_values", words))
    return findings


def shared_authors(clean: pd.DataFrame, places: Places) -> list[Finding]:
    """Find one measured value of one composition under two source keys of one author.

    Such keys may be one work, which then stands on both sides of a split.

    Parameters
    ----------
    clean
        Clean pellets, index 0 to n - 1.
    places
        Names a row in words.
    """
    rows = clean[_usable(clean)]
    author = rows[Column.SOURCE].str.extract(_AUTHOR_YEAR, expand=False)
    rows = rows[author.notna() & ~author.isin(_NUMBERED)]
    sources = clean[Column.SOURCE].to_numpy(dtype=object)
    found: dict[int, int] = {}
    for column in _MEASURED:
        given = rows[rows[column].notna()]
        for first, second in _alike(given, [author.loc[given.index], Column.FORMULA, column]):
            other_key = sources[first] != sources[second]
            for one, other in zip(first[other_key].tolist(), second[other_key].tolist(), strict=True):
                found.setdefault(other, one)
    return [
        _warning(
            clean,
            row,
            Column.SOURCE,
            "same_author_same_value",
            f"{sources[row]!r} gives the value that {sources[one]!r} gives in {places(one)} for the same "
            "composition; if they are one work, join them",
        )
        for row, one in sorted(found.items())
    ]


def _usable(clean: pd.DataFrame) -> pd.Series:
    return ~clean[Column.SUSPECT].eq(True) & clean[[Column.FORMULA, Column.SOURCE]].notna().all(axis=1)


def _alike(rows: pd.DataFrame, by: list[Column | pd.Series]) -> Iterator[Pairs]:
    """Give, for each group, the pairs of rows (earlier, later) that no recipe or condition tells apart."""
    if rows.empty:
        return
    for _, group in rows.groupby(by, sort=False):
        if len(group) > 1:
            first, second = np.triu_indices(len(group), k=1)
            alike = ~_told_apart(group, first, second)
            positions = group.index.to_numpy(dtype=np.intp)
            yield positions[first[alike]], positions[second[alike]]


def _told_apart(
    group: pd.DataFrame, first: npt.NDArray[np.intp], second: npt.NDArray[np.intp]
) -> npt.NDArray[np.bool_]:
    """Say which pairs differ in a field that both give; only one having an additive is a difference too."""
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


def _warning(clean: pd.DataFrame, row: int, column: Column, rule: str, words: str) -> Finding:
    return Finding(row, column.value, clean[column][row], rule, Severity.WARNING, f"{column.value}: {words}")
