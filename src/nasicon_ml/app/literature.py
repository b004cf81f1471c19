"""The page of the dataset: search, plot and cite the pellets of the literature."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from nasicon_ml.app.charts import scatter
from nasicon_ml.app.session import escaped
from nasicon_ml.app.tables import with_column_labels
from nasicon_ml.cli.formatting import plural
from nasicon_ml.columns import PELLET, Column, Kind
from nasicon_ml.data.citing import bibtex, citation
from nasicon_ml.data.find import NUMBERS_ALLOWED, find_pellets
from nasicon_ml.data.load import load_pellets, load_sources
from nasicon_ml.io import table_as_csv, table_records

_SEARCHED = {column.axis_label: column for column in (Column.SYSTEM, *PELLET)}
_NUMBERS = {label: column.value for label, column in _SEARCHED.items() if column.kind is Kind.NUMBER}
_LINK = "paper"
#: The first columns of the table.
_FIRST = (
    Column.FORMULA, Column.SYSTEM, Column.CONDUCTIVITY_TOTAL_S_CM, Column.RELATIVE_DENSITY_PCT, Column.PHASE_PURE,
    Column.SINTERING_TEMPERATURE_C, Column.SINTERING_TIME_H, Column.ATMOSPHERE, Column.SYNTHESIS_ROUTE,
)  # fmt: skip


@st.cache_data(show_spinner=False)  # type: ignore[untyped-decorator]
def _tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return pellets and sources of the literature, which all sessions share."""
    return load_pellets(), load_sources()


def show() -> None:
    """Show the page."""
    pellets, sources = _tables()
    first, second, third, fourth = st.columns(4)
    text = first.text_input(
        "Words", help="In notes, phases, source, DOI, authors or title.", key="words", bind="query-params"
    )
    system = second.text_input("System", help="LATP, LAGP, NZSP ...", key=Column.SYSTEM.value, bind="query-params")
    elements = third.text_input("With elements", help="Symbols, such as Al Y", key="with", bind="query-params")
    without = fourth.text_input("Without elements", key="without", bind="query-params")
    labels = st.multiselect("More columns to filter by", list(_SEARCHED), key="filters", bind="query-params")
    where = {}
    for label in labels:
        column = _SEARCHED[label]
        allowed = NUMBERS_ALLOWED if column.kind is Kind.NUMBER else f"{column.allowed}; given or unknown"
        where[column.value] = st.text_input(label, help=allowed, key=f"filter {column.value}", bind="query-params")
    if system:
        where[Column.SYSTEM.value] = system
    found = find_pellets(
        pellets, elements=elements.replace(",", " ").split(), without=without.replace(",", " ").split(), text=text,
        **where,
    )  # fmt: skip
    st.markdown(f"{plural(len(found), 'pellet')} of {plural(found[Column.SOURCE].nunique(), Column.SOURCE.label)}")
    if found.empty:
        return
    _show_plot(found)
    _show_pellets(found, sources)


def _show_plot(found: pd.DataFrame) -> None:
    first, second = st.columns(2)
    labels = list(_NUMBERS)
    at = [labels.index(c.axis_label) for c in (Column.SINTERING_TEMPERATURE_C, Column.CONDUCTIVITY_TOTAL_S_CM)]
    across = first.selectbox("Across", labels, at[0], key="across", bind="query-params")
    up = second.selectbox("Up", labels, at[1], key="up", bind="query-params")
    if across == up:
        st.info("Choose two different columns to draw.")
        return
    shown = found.dropna(subset=[_NUMBERS[across], _NUMBERS[up]])
    st.altair_chart(scatter(shown, (_NUMBERS[across], across), (_NUMBERS[up], up)), alt=f"{up} against {across}")
    st.caption(f"{plural(len(shown), 'pellet')} report both.")


def _show_pellets(found: pd.DataFrame, sources: pd.DataFrame) -> None:
    """Show the pellets, the selected one with its source, and the downloads."""
    table = found.dropna(axis=1, how="all")
    if Column.DOI in table:
        links = "https://doi.org/" + table[Column.DOI].str.split(";").str[0]
        table.insert(1, _LINK, links)
    table, config = with_column_labels(table)
    config[_LINK] = st.column_config.LinkColumn(_LINK, display_text=r"https://doi\.org/(.*)")
    first = [_LINK, *(str(column) for column in _FIRST)]
    order = [*(name for name in first if name in table), *(name for name in table if name not in first)]
    chosen = st.dataframe(
        table, hide_index=True, placeholder="", column_config=config, column_order=order, on_select="rerun",
        selection_mode="single-row", key="pellets found",
    )  # fmt: skip
    rows = chosen["selection"]["rows"]
    cited = sources[sources[Column.SOURCE].isin(found[Column.SOURCE])]
    members = dict(tuple(found.groupby(Column.SOURCE.value)))
    entries = {
        row[Column.SOURCE]: (row, table_records(members[row[Column.SOURCE]])) for row in table_records(cited)
    }
    if rows and rows[0] < len(found):
        cells = table_records(found.iloc[[rows[0]]].dropna(axis=1))[0]
        st.header(escaped(str(cells[Column.PELLET_ID])))
        st.markdown(escaped(citation(*entries[cells[Column.SOURCE]])))
        st.dataframe(_fields_table(cells), hide_index=True)
    else:
        st.caption("Choose a row to see the pellet with its source. A click on a head sorts.")
    left, right = st.columns(2)
    left.download_button("Pellets as CSV", table_as_csv(found), "pellets.csv", "text/csv")
    entry = "\n\n".join(bibtex(*each) for each in entries.values())
    right.download_button("Sources as BibTeX", f"{entry}\n", "pellets.bib", "application/x-bibtex")


def _fields_table(cells: dict[str, object]) -> pd.DataFrame:
    labels = {column.value: column.axis_label for column in Column}
    return pd.DataFrame({"field": [labels[name] for name in cells], "value": [str(one) for one in cells.values()]})
