"""The page that compares recipes: an editable table, the answers and their differences."""

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
#: The first columns of the table.
_FIRST_COLUMNS = (Column.FORMULA, Column.SINTERING_TEMPERATURE_C, Column.SINTERING_TIME_H, Column.ATMOSPHERE)
_QUERY_PARAMETER, _INITIAL = "recipes", "recipes at first"


def show() -> None:
    """Show the page."""
    st.markdown("One recipe a row; what is left empty is unknown. The address holds the table.")
    if _INITIAL not in st.session_state:
        st.session_state[_INITIAL] = _initial_table()
    table = st.data_editor(
        st.session_state[_INITIAL],
        num_rows="dynamic",
        column_config={column.value: _column_config(column) for column in MODEL_INPUT},
        hide_index=True,
        key="table",
        placeholder="",
    )
    table = table.dropna(how="all").reset_index(drop=True)
    rows = [{name: cell for name, cell in row.items() if cell is not None} for row in table_records(table)]
    st.query_params[_QUERY_PARAMETER] = json.dumps(rows, separators=(",", ":"), ensure_ascii=False)
    if table.empty:
        raise NasiconError("no recipe: write two into the table")
    batch = read_batch(table)
    for findings, show_message in ((batch.findings, st.error), (batch.warnings, st.warning)):
        for finding in findings:
            show_message(escaped(f"recipe {finding.row + 1}: {finding.message}"))
    if len(batch.table) < 2:
        st.info("A comparison needs at least two recipes.")
        return
    recipes = zip(batch.rows, table_records(batch.table), strict=True)
    names = [f"{row + 1}. {describe_recipe(recipe)}" for row, recipe in recipes]
    reference = st.selectbox("Compared with", range(len(names)), format_func=names.__getitem__, key="reference")
    _show_differences(predict(batch.table, model(), own=own()), names, reference)


def _show_differences(prediction: Prediction, names: list[str], reference: int) -> None:
    """Show the answers and their differences to the reference."""
    numbers = prediction.answers.numbers
    shown = pd.DataFrame(
        {
            "recipe": names,
            "S/cm": list(map(scientific, numbers[Column.PREDICTED_CONDUCTIVITY_S_CM])),
            "dense, %": list(map(fixed, numbers[Column.PREDICTED_RELATIVE_DENSITY_PCT])),
            "pure": list(map(percent, numbers[Column.PREDICTED_PHASE_PURITY])),
        }
    )
    for target, difference in differences(prediction, reference).items():
        label, unit = target.replace("_", " "), DIFFERENCES[target][2]
        intervals = zip(difference.value, difference.lower, difference.upper, strict=True)
        shown[f"{label}, {unit}"] = [format_difference(target, *interval, unit=False) for interval in intervals]
        shown[f"higher {label}"] = list(map(percent, difference.better))
        shown.loc[reference, [f"{label}, {unit}", f"higher {label}"]] = ["compared with", ""]
    st.dataframe(shown, hide_index=True)
    st.caption(
        "Differences between a pellet of each, made in one laboratory, with 90 % intervals. Higher: the"
        " probability that it beats the one it is compared with; of purity, that it is the pure one of two."
    )


def _initial_table() -> pd.DataFrame:
    """Return the recipes in the address of the page, or examples."""
    rows: list[dict[str, object]] = list(_EXAMPLES)
    try:
        parsed = json.loads(st.query_params.get(_QUERY_PARAMETER, "null"))
        if isinstance(parsed, list) and all(isinstance(row, dict) for row in parsed):
            rows = parsed
    except (ValueError, RecursionError):
        st.error("The recipes in the address cannot be read.")
    columns = list(dict.fromkeys([*_FIRST_COLUMNS, *MODEL_INPUT]))
    table = pd.DataFrame(rows).reindex(columns=list(map(str, columns)))
    for column in MODEL_INPUT:
        if column.kind is Kind.NUMBER:
            table[column.value] = pd.to_numeric(table[column.value], errors="coerce")
        else:
            cells = [str(cell) if isinstance(cell, (str, bool)) else None for cell in table[column.value]]
            table[column.value] = pd.Series(cells, dtype="object")
    return table


def _column_config(column: Column) -> object:
    """Return the configuration of the input cells of a column."""
    label = column.axis_label
    if column.kind is Kind.NUMBER:
        return st.column_config.NumberColumn(label, min_value=column.minimum, max_value=column.maximum)
    if column.choices or column.kind is Kind.FLAG:
        return st.column_config.SelectboxColumn(label, options=list(column.choices or ("true", "false")))
    return st.column_config.TextColumn(label, max_chars=500)
