"""Count the pellets of the dataset by system, field, choice and source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from nasicon_ml.columns import PELLET, Column, Kind, Role
from nasicon_ml.data.citing import citation
from nasicon_ml.data.load import without_doubtful_results

#: The results that the models predict.
TARGETS = (Column.CONDUCTIVITY_TOTAL_S_CM, Column.RELATIVE_DENSITY_PCT, Column.PHASE_PURE)
#: System of rows without a valid formula.
NO_SYSTEM = "(none)"
#: Columns with the number of all pellets, and of those that are not suspect.
PELLETS = "pellets"
USABLE = "usable"
#: Column with the number of usable pellets with doubtful results.
DOUBTED = "doubted"
_ALKALIS = {"L": "lithium", "N": "sodium"}


@dataclass(frozen=True)
class Summary:
    """Counts of a table of pellets.

    Fields are counted in usable pellets, which are not suspect, and without doubtful results.

    Attributes
    ----------
    totals
        One row: pellets, usable pellets, sources, and usable pellets by target.
    alkalis, systems
        The same counts by alkali and by system, the largest first.
    fields
        One row per field: number and percentage of usable pellets with a value, and the smallest, median and
        largest number.
    choices
        Number of usable pellets by field and choice.
    sources
        One row per source, the largest first: pellets, usable pellets, and the citation if known.
    reasons
        Numbers of suspect pellets and of usable pellets with doubtful results, by their first reason.
    """

    totals: pd.DataFrame
    alkalis: pd.DataFrame
    systems: pd.DataFrame
    fields: pd.DataFrame
    choices: pd.DataFrame
    sources: pd.DataFrame
    reasons: pd.DataFrame


def summarise(pellets: pd.DataFrame, sources: pd.DataFrame | None = None) -> Summary:
    """Count the pellets of a table.

    Parameters
    ----------
    pellets
        Table as returned by `load_pellets`, including suspect rows and doubtful results if they are to be counted.
    sources
        Table as returned by `load_sources`, for the citations.
    """
    usable = ~pellets[Column.SUSPECT].astype(bool)
    system = pellets[Column.SYSTEM].fillna(NO_SYSTEM)
    alkali = system.str[0].map(_ALKALIS).where(system != NO_SYSTEM, NO_SYSTEM).fillna("other")
    everything = pd.Series("all", index=pellets.index)
    trusted = without_doubtful_results(pellets)
    return Summary(
        totals=_counts(trusted, usable, everything, "rows"),
        alkalis=_counts(trusted, usable, alkali, "alkali"),
        systems=_counts(trusted, usable, system, Column.SYSTEM.value),
        fields=_fields(trusted[usable]),
        choices=_choices(trusted[usable]),
        sources=_sources(pellets, usable, sources),
        reasons=_reasons(pellets, usable),
    )


def _counts(pellets: pd.DataFrame, usable: pd.Series, by: pd.Series, name: str) -> pd.DataFrame:
    """Count rows, sources and targets by the values of `by`."""
    given = pd.DataFrame({target.value: pellets[target].notna() & usable for target in TARGETS})
    counted = pd.DataFrame({PELLETS: 1, USABLE: usable.astype(int)}, index=pellets.index)
    table = pd.concat([counted, given.astype(int)], axis=1).groupby(by).sum()
    table.insert(2, "sources", pellets.groupby(by)[Column.SOURCE].nunique())
    table = table.sort_values(PELLETS, ascending=False, kind="stable")
    return table.rename_axis(name).reset_index()


def _fields(pellets: pd.DataFrame) -> pd.DataFrame:
    """Return the number of values of each field, and the range of its numbers."""
    skipped = {Role.KEY, Role.PROVENANCE, Role.STATUS}
    columns = [column for column in PELLET if column.role not in skipped]
    numbers = [column for column in columns if column.kind is Kind.NUMBER]
    given = pellets[columns].notna().sum()
    spread = pellets[numbers].quantile([0, 0.5, 1])
    table = pd.DataFrame(
        {
            "field": [column.value for column in columns],
            "unit": [column.unit for column in columns],
            "given": given.to_numpy(),
            "share_pct": (100 * given / max(len(pellets), 1)).round(1).to_numpy(),
        }
    )
    for name, level in (("smallest", 0.0), ("middle", 0.5), ("largest", 1.0)):
        table[name] = spread.loc[level].reindex(columns).to_numpy(dtype="float64")
    return table


def _choices(pellets: pd.DataFrame) -> pd.DataFrame:
    """Count the pellets by field and choice."""
    columns = [column for column in PELLET if column.kind is Kind.CATEGORY or column is Column.PHASE_PURE]
    long = pellets[columns].melt(var_name="field", value_name="choice").dropna()
    long["choice"] = long["choice"].map(lambda choice: str(choice).lower() if isinstance(choice, bool) else choice)
    counts = long.value_counts(["field", "choice"], sort=True).rename(PELLETS).reset_index()
    order = {column.value: position for position, column in enumerate(columns)}
    return counts.sort_values("field", key=lambda names: names.map(order), kind="stable").reset_index(drop=True)


def _sources(pellets: pd.DataFrame, usable: pd.Series, sources: pd.DataFrame | None) -> pd.DataFrame:
    name = Column.SOURCE.value
    table = _counts(pellets, usable, pellets[name], name)[[name, PELLETS, USABLE]]
    if sources is None:
        return table
    by_source = {str(key): group.to_dict("records") for key, group in pellets.groupby(name)}
    rows: list[dict[str, Any]] = sources.to_dict("records")  # type: ignore[assignment]
    citations = {row[name]: citation(row, by_source.get(row[name], ())) for row in rows}
    return table.assign(citation=table[name].map(citations).fillna(""))


def _reasons(pellets: pd.DataFrame, usable: pd.Series) -> pd.DataFrame:
    """Count reasons by their text up to a colon, a bracket or the name of another pellet."""
    first = pellets[Column.SUSPECT_REASON].fillna("(no reason)").str.split(r"[;:(]", regex=True).str[0]
    kind = first.str.strip().str.replace(r"^duplicate of .*", "duplicate of another row", regex=True)
    doubtful = usable & pellets[Column.DOUBTFUL_COLUMNS].notna()
    is_counted = ~usable | doubtful
    counts = pd.DataFrame({PELLETS: ~usable, DOUBTED: doubtful})[is_counted].astype(int).groupby(kind).sum()
    order = counts.sum(axis=1).sort_values(ascending=False, kind="stable").index
    return counts.loc[order].rename_axis("reason").reset_index()
