"""Hypothesis strategies for recipes: valid fields, and valid and invalid cells as people write them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from nasicon_ml.columns import RECIPE, Column, Kind
from nasicon_ml.errors import FieldError

FORMULAS = [
    "LATP x=0.3", "Li1.3Al0.3Ti1.7(PO4)3", "LAGP x=0.5", "NZSP", "Li1+xAlxTi2-x(PO4)3, x=0.4",
    "LATP x=0.3 + 2 wt% LiF", "Li1.5Al0.5Ge1.5(PO4)3-0.05Li2O", "Li1.6Al0.5Ge1.5(PO4)3",
]  # fmt: skip
INVALID_FORMULAS = [
    "LATB x=0.3", "LATP", "LATP x=2.3", "LiFePO4", "Lii", "x", "", None, float("nan"), 5, "unknown",
]  # fmt: skip
ADDITIVES = ["LiF", "B2O3;Bi2O3", "borosilicate glass", "20Li2O-72V2O5-8P2O5 glass"]

_PRINTABLE = st.characters(exclude_categories=["C", "Z"])


def valid_values(column: Column) -> st.SearchStrategy[Any]:
    """Return a strategy for valid, standardized values of a processing column."""
    if column.kind is Kind.NUMBER:
        return st.floats(column.minimum, column.maximum)
    if column.kind is Kind.FLAG:
        return st.booleans()
    return st.sampled_from(column.choices or ["Li2CO3;TiO2;NH4H2PO4", "commercial", "sodium citrate; ZrO(NO3)2"])


def _is_valid_additive(text: str) -> bool:
    """Return whether a text is accepted as an additive: "-" means no additive, "1%0" is refused as an amount."""
    try:
        return Column.ADDITIVE.parse(text) is not None
    except FieldError:
        return False


@st.composite
def recipe_fields(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the fields of a valid recipe; any field but the formula may be absent."""
    fields: dict[str, Any] = {Column.FORMULA.value: draw(st.sampled_from(FORMULAS[:5]))}
    additive = draw(st.sampled_from(["none", "name", "all"]))
    if additive != "none":
        names = st.one_of(st.sampled_from(ADDITIVES), st.text(_PRINTABLE, min_size=3, max_size=12))
        fields[Column.ADDITIVE.value] = draw(names.filter(_is_valid_additive))
    if additive == "all":
        fields[Column.ADDITIVE_AMOUNT.value] = draw(valid_values(Column.ADDITIVE_AMOUNT))
        fields[Column.ADDITIVE_UNIT.value] = draw(valid_values(Column.ADDITIVE_UNIT))
    for column in RECIPE[4:]:
        if draw(st.booleans()):
            fields[column.value] = draw(valid_values(column))
    return fields


def cells(column: Column) -> st.SearchStrategy[Any]:
    """Return a strategy for cells as people write them: valid, invalid or empty."""
    empty = st.sampled_from([None, "", " ", "nan", "-", float("nan")])
    if column is Column.FORMULA:
        return st.sampled_from([*FORMULAS * 4, *INVALID_FORMULAS])
    if column is Column.ADDITIVE:
        return st.one_of(empty, empty, st.sampled_from([*ADDITIVES, " LiF  glass ", 5, True]))
    if column.kind is Kind.FLAG:
        return st.one_of(empty, st.sampled_from(["yes", "No", True, False, 1, 0.0, "perhaps", 5]))
    if column.kind is Kind.NUMBER:
        numbers = st.sampled_from(
            [
                5,
                5.0,
                "5",
                " 5 ",
                "5e1",
                "900",
                900,
                "0",
                "1_0",
                "5,5",
                "x",
                "-1",
                "1e308",
                "inf",
                True,
                "0x10",
                "٣",
            ]
        )
        return st.one_of(empty, empty, numbers)
    words = [*column.choices, *(choice.upper() for choice in column.choices), "argon", "SPS", "no", 3, True]
    return st.one_of(empty, empty, st.sampled_from(words))


#: Strategy for rows of a table as people write them.
any_rows = st.fixed_dictionaries({column.value: cells(column) for column in RECIPE})
