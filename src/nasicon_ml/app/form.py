"""The form of a recipe, made from the vocabulary; what it holds stands in the address, too."""

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
    """Show the form; return the fields that are given, by column name, or None where one of them is wrong."""
    st.text_input(
        "Composition", EXAMPLE, key=Column.FORMULA.value, bind="query-params",
        help="A formula such as Li1.4Al0.4Ti1.6(PO4)3, or a shorthand: LATP x=0.4, LAGP x=0.5 + 2 wt% Li2O.",
    )  # fmt: skip
    processing = [column for column in MODEL_INPUT if column.role is Role.PROCESSING]
    first = [column for column in processing if column.value.startswith("sintering")]
    wrong = [
        *_pairs([*first, Column.ATMOSPHERE, *(c for c in processing if c not in {*first, Column.ATMOSPHERE})])
    ]
    with st.expander("Additive and preparation"):
        wrong += _pairs([*ADDITIVE, *(column for column in MODEL_INPUT if column.role is Role.PREPARATION)])
    with st.expander("Measurement and intervals"):
        wrong += _pairs([Column.MEASUREMENT_TEMPERATURE_C])
        st.selectbox("Level of the intervals", LEVELS, 3, key="level", format_func="{:.0%}".format)
    if any(wrong):
        return None
    given = {column.value: _value(column) for column in MODEL_INPUT}
    return {name: value for name, value in given.items() if value is not None}


def _value(column: Column) -> Any:
    cell = st.session_state.get(column.value)
    return cell if column is Column.FORMULA else column.parse(cell)


def _pairs(columns: list[Column]) -> list[bool]:
    """Show fields two by two; return which are wrong."""
    wrong = []
    for start in range(0, len(columns), 2):
        for place, column in zip(st.columns(2), columns[start : start + 2], strict=False):
            with place:
                wrong.append(_field(column))
    return wrong


def _field(column: Column) -> bool:
    """Show a field, and below it what is wrong with it, if anything is."""
    label = column.axis_label[0].upper() + column.axis_label[1:]
    words = column.allowed[0].upper() + column.allowed[1:] + "."
    if column.choices or column.kind is Kind.FLAG:
        st.selectbox(
            label, column.choices or FLAGS, None, key=column.value, bind="query-params", placeholder=UNKNOWN,
            help=words,
        )  # fmt: skip
        return False
    st.text_input(
        label, key=column.value, bind="query-params", placeholder=UNKNOWN,
        help="Formulas separated by semicolons, or commercial." if column is Column.PRECURSORS else words,
    )  # fmt: skip
    try:
        column.parse(st.session_state.get(column.value))
    except FieldError as error:
        st.error(escaped(short_message(error)))
        return True
    return False
