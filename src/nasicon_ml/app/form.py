"""The form of a recipe, created from the vocabulary; its values are also in the address of the page."""

from __future__ import annotations

from typing import Any

import streamlit as st

from nasicon_ml.app.session import escaped
from nasicon_ml.cli.inputs import short_message
from nasicon_ml.columns import ADDITIVE, MODEL_INPUT, Column, Kind, Role
from nasicon_ml.errors import FieldError

EXAMPLE = "Li1.3Al0.3Ti1.7(PO4)3"
UNKNOWN = "not known"
FLAGS = ("true", "false")
LEVELS = (0.5, 0.68, 0.8, 0.9, 0.95)


def recipe_form() -> dict[str, Any] | None:
    """Show the form and return the given fields by column name, or None if one of them is invalid."""
    st.text_input(
        "Composition", EXAMPLE, key=Column.FORMULA.value, bind="query-params",
        help="A formula such as Li1.4Al0.4Ti1.6(PO4)3, or a shorthand: LATP x=0.4, LAGP x=0.5 + 2 wt% Li2O.",
    )  # fmt: skip
    processing = [column for column in MODEL_INPUT if column.role is Role.PROCESSING]
    sintering = [column for column in processing if column.value.startswith("sintering")]
    is_valid = _fields_in_pairs(list(dict.fromkeys([*sintering, Column.ATMOSPHERE, *processing])))
    with st.expander("Additive and preparation"):
        is_valid += _fields_in_pairs([*ADDITIVE, *(c for c in MODEL_INPUT if c.role is Role.PREPARATION)])
    with st.expander("Measurement and intervals"):
        is_valid += _fields_in_pairs([Column.MEASUREMENT_TEMPERATURE_C])
        st.selectbox("Level of the intervals", LEVELS, 3, key="level", format_func="{:.0%}".format)
    if not all(is_valid):
        return None
    cells = {column: st.session_state.get(column.value) for column in MODEL_INPUT}
    given = {c.value: cell if c is Column.FORMULA else c.parse(cell) for c, cell in cells.items()}
    return {name: value for name, value in given.items() if value is not None}


def _fields_in_pairs(columns: list[Column]) -> list[bool]:
    """Show two fields in each row, and return which of them are valid."""
    is_valid = []
    for start in range(0, len(columns), 2):
        for container, column in zip(st.columns(2), columns[start : start + 2], strict=False):
            with container:
                is_valid.append(_show_field(column))
    return is_valid


def _show_field(column: Column) -> bool:
    """Show a field with an error message below it if it is invalid; return whether it is valid."""
    label = column.axis_label[0].upper() + column.axis_label[1:]
    help_text = column.allowed[0].upper() + column.allowed[1:] + "."
    if column.choices or column.kind is Kind.FLAG:
        st.selectbox(
            label, column.choices or FLAGS, None, key=column.value, bind="query-params", placeholder=UNKNOWN,
            help=help_text,
        )  # fmt: skip
        return True
    st.text_input(
        label, key=column.value, bind="query-params", placeholder=UNKNOWN,
        help="Formulas separated by semicolons, or commercial." if column is Column.PRECURSORS else help_text,
    )  # fmt: skip
    try:
        column.parse(st.session_state.get(column.value))
    except FieldError as error:
        st.error(escaped(short_message(error)))
        return False
    return True
