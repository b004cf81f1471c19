"""The page that compares recipes: a table to fill in, the answers, and which recipe beats which."""

from __future__ import annotations

import json

import pandas as pd
import streamlit as st

from nasicon_ml.app.session import escaped, model, own
from nasicon_ml.cli.formatting import DIFFERENCES, describe_recipe, fixed, format_difference, percent, scientific
from nasicon_ml.columns import MODEL_INPUT, Column, Kind
from nasicon_ml.errors import NasiconError
from nasicon_ml.io import table_records
from nasicon_ml.recipe import read_batch
from nasicon_ml.workflows.differences import differences
from nasicon_ml.workflows.predict import Prediction, predict

_EXAMPLES = (
    {Column.FORMULA.value: "LATP x=0.3", Column.SINTERING_TEMPERATURE_C.value: 900.0},
    {Column.FORMULA.value: "LAGP x=0.5", Column.SINTERING_TEMPERATURE_C.value: 850.0},
)
#: What stands first in the table.
_FIRST = (Column.FORMULA, Column.SINTERING_TEMPERATURE_C, Column.SINTERING_TIME_H, Column.ATMOSPHERE)
_ADDRESS, _START = "recipes", "recipes at first"


def show() -> None:
    """Show the page."""
    st.markdown("One recipe a row; what is left empty is unknown. The address holds the table.")
    if _START not in st.session_state:
        st.session_state[_START] = _at_first()
    configured = {column.value: _cells(column) for column in MODEL_INPUT}
    table = st.data_editor(
        st.session_state[_START],
        num_rows="dynamic",
        column_config=configured,
        hide_index=True,
        key="table",
        placeholder="",
    )
    table = table.dropna(how="all").reset_index(drop=True)
    rows = [{name: cell for name, cell in row.items() if cell is not None} for row in table_records(table)]
    st.query_params[_ADDRESS] = json.dumps(rows, separators=(",", ":"), ensure_ascii=False)
    if table.empty:
        raise NasiconError("no recipe: write two into the table")
    batch = read_batch(table)
    for found in [*batch.findings, *batch.warnings]:
        tell = st.error if found in batch.findings else st.warning
        tell(escaped(f"recipe {found.row + 1}: {found.message}"))
    if len(batch.table) < 2:
        st.info("A comparison needs at least two recipes.")
        return
    names = [f"{batch.rows[at] + 1}. {describe_recipe(row)}" for at, row in enumerate(table_records(batch.table))]
    reference = st.selectbox("Compared with", range(len(names)), format_func=names.__getitem__, key="reference")
    _compared(predict(batch.table, model(), own=own()), names, reference)


def _compared(prediction: Prediction, names: list[str], reference: int) -> None:
    """Show the answers, and the differences to one of them."""
    found = differences(prediction, reference)
    numbers = prediction.answers.numbers
    shown = pd.DataFrame(
        {
            "recipe": names,
            "S/cm": [scientific(one) for one in numbers[Column.PREDICTED_CONDUCTIVITY_S_CM]],
            "dense, %": [fixed(one) for one in numbers[Column.PREDICTED_RELATIVE_DENSITY_PCT]],
            "pure": [percent(one) for one in numbers[Column.PREDICTED_PHASE_PURITY]],
        }
    )
    for target, each in found.items():
        label, unit = str(target).replace("_", " "), DIFFERENCES[str(target)][2]
        ends = zip(each.value, each.lower, each.upper, strict=True)
        shown[f"{label}, {unit}"] = [format_difference(str(target), *one, unit=False) for one in ends]
        shown[f"higher {label}"] = [percent(one) for one in each.better]
        shown.loc[reference, [f"{label}, {unit}", f"higher {label}"]] = ["compared with", ""]
    st.dataframe(shown, hide_index=True)
    st.caption(
        "Differences between a pellet of each, made in one laboratory, with 90 % intervals. Higher: the"
        " probability that it beats the one it is compared with; of purity, that it is the pure one of two."
    )


def _at_first() -> pd.DataFrame:
    """Return the recipes of the address; without them, examples."""
    rows: list[dict[str, object]] = list(_EXAMPLES)
    try:
        held = json.loads(st.query_params.get(_ADDRESS, "null"))
        if isinstance(held, list) and all(isinstance(row, dict) for row in held):
            rows = held
    except (ValueError, RecursionError):
        st.error("The recipes in the address cannot be read.")
    names = [str(column) for column in (*_FIRST, *(column for column in MODEL_INPUT if column not in _FIRST))]
    table = pd.DataFrame(rows).reindex(columns=names)
    for column in MODEL_INPUT:
        if column.kind is Kind.NUMBER:
            table[column.value] = pd.to_numeric(table[column.value], errors="coerce")
        else:
            cells = [str(cell) if isinstance(cell, (str, bool)) else None for cell in table[column.value]]
            table[column.value] = pd.Series(cells, dtype="object")
    return table


def _cells(column: Column) -> object:
    """Return how cells of a column are filled in."""
    label = column.axis_label
    if column.kind is Kind.NUMBER:
        return st.column_config.NumberColumn(label, min_value=column.minimum, max_value=column.maximum)
    if column.choices or column.kind is Kind.FLAG:
        return st.column_config.SelectboxColumn(label, options=list(column.choices or ("true", "false")))
    return st.column_config.TextColumn(label, max_chars=500)
