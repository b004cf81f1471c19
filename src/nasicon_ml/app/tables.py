"""Tables: columns in the words and units of the vocabulary, numbers rounded."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from nasicon_ml.cli.formatting import fixed, scientific
from nasicon_ml.columns import Column, Kind


def worded(table: pd.DataFrame, *order: str) -> tuple[pd.DataFrame, dict[str, object]]:
    """Return a table with numbers as numbers, and how its columns are shown: title and rounding."""
    shown, configured = table.copy(), {}
    for column in Column:
        name = column.value
        if name not in table:
            continue
        if column.kind is Kind.NUMBER:
            shown[name] = pd.to_numeric(table[name], errors="coerce")
            purity = column is Column.PREDICTED_PHASE_PURITY
            rounding = "%.2e" if name.endswith("s_cm") else "%.2g" if purity else "%.4g"
            configured[name] = st.column_config.NumberColumn(column.axis_label, format=rounding)
        else:
            configured[name] = st.column_config.Column(column.axis_label)
    names = [*(name for name in order if name in shown), *(name for name in shown if name not in order)]
    return shown[names], configured


def show_history(found: pd.DataFrame) -> None:
    """Show how pellets were predicted before they were known (what `campaign_history` returns)."""
    rows = [
        {
            "pellet": row[Column.PELLET_ID],
            "S/cm at 25 °C": scientific(10.0 ** row["measured"]),
            "predicted before": scientific(10.0 ** row["predicted"]),
            "90 % interval": f"{scientific(10.0 ** row['lower'])} to {scientific(10.0 ** row['upper'])}",
            "predicted without any": scientific(10.0 ** row["predicted_without"]),
            "off by, decades": fixed(abs(row["measured"] - row["predicted"]), 2),
        }
        for row in found.to_dict("records")
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True)
    st.caption("Each pellet predicted from those above it, and without any of them.")
