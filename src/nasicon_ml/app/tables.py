"""Tables with the labels and units of the vocabulary and rounded numbers."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from nasicon_ml.cli.formatting import fixed, scientific, scientific_range
from nasicon_ml.columns import Column, Kind


def with_column_labels(table: pd.DataFrame, *order: str) -> tuple[pd.DataFrame, dict[str, object]]:
    """Return a table with the columns in `order` first, and the labels and number formats of its columns."""
    shown, config = table.copy(), {}
    for column in Column:
        name = column.value
        if name not in table:
            continue
        if column.kind is Kind.NUMBER:
            shown[name] = pd.to_numeric(table[name], errors="coerce")
            is_purity = column is Column.PREDICTED_PHASE_PURITY
            number_format = "%.2e" if name.endswith("s_cm") else "%.2g" if is_purity else "%.4g"
            config[name] = st.column_config.NumberColumn(column.axis_label, format=number_format)
        else:
            config[name] = st.column_config.Column(column.axis_label)
    names = [*(name for name in order if name in shown), *(name for name in shown if name not in order)]
    return shown[names], config


def show_history(history: pd.DataFrame) -> None:
    """Show the predictions of pellets before they were measured, a table of `campaign_history`."""
    rows = [
        {
            "pellet": row[Column.PELLET_ID],
            "S/cm at 25 °C": scientific(10.0 ** row["measured"]),
            "predicted before": scientific(10.0 ** row["predicted"]),
            "90 % interval": scientific_range(10.0 ** row["lower"], 10.0 ** row["upper"]),
            "predicted without any": scientific(10.0 ** row["predicted_without"]),
            "off by, decades": fixed(abs(row["measured"] - row["predicted"]), 2),
        }
        for row in history.to_dict("records")
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True)
    st.caption("Each pellet predicted from those above it, and without any of them.")
