"""The columns: which cells are accepted, and the error messages for those that are not."""

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.columns import (
    ALIASES,
    MISSING_WORDS,
    MODEL_INPUT,
    PELLET,
    PREDICTION,
    RECIPE,
    SOURCES,
    Column,
    Kind,
    Role,
    columns_of,
    is_missing,
    to_number,
)
from nasicon_ml.errors import FieldError

NUMBERS = [column for column in Column if column.kind is Kind.NUMBER]
CATEGORIES = [column for column in Column if column.kind is Kind.CATEGORY]


def test_columns_are_strings_equal_to_their_names() -> None:
    assert Column.SINTERING_TEMPERATURE_C == "sintering_temperature_c"
    assert pd.DataFrame({"formula": ["LTP"]})[Column.FORMULA].tolist() == ["LTP"]
    assert Column.FORMULA.upper() == "FORMULA"  # no attribute of Column hides a str method


def test_column_names_are_unique_lower_case_identifiers() -> None:
    names = [column.value for column in Column]
    assert len(set(names)) == len(names)
    assert all(name == name.lower() and name.isidentifier() for name in names)


def test_column_groups_follow_the_roles() -> None:
    assert RECIPE[0] is Column.FORMULA
    assert {column.role for column in RECIPE} == {Role.COMPOSITION, Role.PROCESSING, Role.PREPARATION}
    assert (*RECIPE, Column.MEASUREMENT_TEMPERATURE_C) == MODEL_INPUT
    assert set(RECIPE) < set(PELLET)
    assert not set(PELLET) & set(PREDICTION)
    assert columns_of(Role.KEY) == (Column.PELLET_ID, Column.SOURCE)
    assert Column.SOURCE in SOURCES


@pytest.mark.parametrize("column", NUMBERS)
def test_numbers_at_the_bounds_are_accepted_and_beyond_raise(column: Column) -> None:
    for bound in (column.minimum, column.maximum):
        if math.isfinite(bound):
            assert column.parse(bound) == bound
            assert column.parse(str(bound)) == bound
    if math.isfinite(column.maximum):
        with pytest.raises(FieldError, match=column.value):
            column.parse(column.maximum * 1.01 + 1e-9)
    if math.isfinite(column.minimum):
        with pytest.raises(FieldError, match="allowed: a number from"):
            column.parse(column.minimum - 1e-9 - abs(column.minimum) * 0.01)


@pytest.mark.parametrize("column", CATEGORIES)
def test_every_choice_and_alias_is_accepted_in_any_case(column: Column) -> None:
    for choice in column.choices:
        assert column.parse(choice) == choice
        assert column.parse(f"  {choice.upper()} ") == choice
        assert column.parse(choice.replace("_", " ")) == choice
        assert column.parse(choice.replace("_", "-")) == choice
    for alias, meant in ALIASES.items():
        if alias not in column.choices and (expected := set(meant.split()) & set(column.choices)):
            assert {column.parse(alias)} == expected


def test_every_alias_maps_to_a_choice_of_some_column() -> None:
    meant = {choice for choices in ALIASES.values() for choice in choices.split()}
    assert meant <= {choice for column in CATEGORIES for choice in column.choices}


@pytest.mark.parametrize(
    ("column", "choice", "wordings"),
    [
        (Column.DENSIFICATION, "conventional", ("conventional sintering", "Conventional solid-state sintering",
                                                "pressureless sintering", "muffle furnace", "sintered")),
        (Column.DENSIFICATION, "spark_plasma", ("spark plasma sintering (SPS)", "SPS sintering", "FAST/SPS")),
        (Column.DENSIFICATION, "cold_sintering", ("cold sintering process", "cold-sintered", "CSP")),
        (Column.DENSIFICATION, "microwave", ("microwave-assisted sintering", "Microwave sintering")),
        (Column.DENSIFICATION, "hot_press", ("hot-pressed", "hot pressing (HP)")),
        (Column.DENSIFICATION, "high_pressure", ("high pressure sintering",)),
        (Column.DENSIFICATION, "sputtering", ("sputtered", "RF magnetron sputtering")),
        (Column.DENSIFICATION, "glass_ceramic_crystallization", ("melt quenched", "glass-ceramic")),
        (Column.SYNTHESIS_ROUTE, "melt_quench", ("melt quenched", "melt-quenching method")),
        (Column.SYNTHESIS_ROUTE, "sputtering", ("sputtered",)),
        (Column.SYNTHESIS_ROUTE, "solid_state", ("conventional solid-state reaction", "solid state route")),
        (Column.SYNTHESIS_ROUTE, "sol_gel", ("sol-gel method", "citrate sol-gel")),
        (Column.SYNTHESIS_ROUTE, "mechanochemical", ("high-energy ball milling",)),
        (Column.SYNTHESIS_ROUTE, "commercial", ("commercial powder",)),
        (Column.ATMOSPHERE, "Ar/H2", ("5% H2/Ar", "Ar + 5 vol% H\u2082", "95Ar-5H2", "4 % H2 in Ar")),
        (Column.ATMOSPHERE, "Ar/H2", ("Ar/H2 (95/5)", "forming gas")),
        (Column.ATMOSPHERE, "N2", ("N\u2082", "flowing N2", "nitrogen gas", "under N2 flow")),
        (Column.ATMOSPHERE, "Ar", ("high-purity Ar", "Ar (99.99%)", "argon atmosphere")),
        (Column.ATMOSPHERE, "O2", ("pure oxygen", "O\u2082 flow")),
        (Column.ATMOSPHERE, "air", ("in static air", "ambient", "dry air", "laboratory air")),
        (Column.ADDITIVE_UNIT, "wt%", ("wt. %", "weight %", "mass%")),
    ],
)  # fmt: skip
def test_wordings_of_papers_parse_to_choices(column: Column, choice: str, wordings: tuple[str, ...]) -> None:
    assert {column.parse(word) for word in wordings} == {choice}


@pytest.mark.parametrize("word", ["H2", "N2/O2", "Ar or N2", "argon/oxygen", "sinterer", "", "assisted", "5 %"])
def test_ambiguous_words_raise(word: str) -> None:
    if word:
        with pytest.raises(FieldError):
            Column.ATMOSPHERE.parse(word)
    with pytest.raises(FieldError):
        Column.ATMOSPHERE.parse(f"{word} of some kind")


@pytest.mark.parametrize(
    "word",
    ["no", "No", "none", "n.a.", "0", "0.0", 0, 0.0, "without", "undoped", "un-doped", "--", "\u2014", "0 wt%",
     "0 % LiF", "0.0 mol% B2O3", "no additive", "w/o sintering aid", "additive-free", "no sintering aids",
     "pristine", "not added", False],
)  # fmt: skip
def test_wordings_for_no_additive_parse_to_none(word: object) -> None:
    assert Column.ADDITIVE.parse(word) is None


@pytest.mark.parametrize(
    ("word", "name"),
    [("LiF", "LiF"), ("Al\u2082O\u2083", "Al2O3"), ("alumina", "Al2O3"), ("Boric acid", "H3BO3"), ("NaOH", "NaOH"),
     ("60Na2O-10Nb2O5-30P2O5", "60Na2O-10Nb2O5-30P2O5"), ("Li2SO4-LiPO3 glass", "Li2SO4-LiPO3 glass")],
)  # fmt: skip
def test_additive_parses_to_its_formula_or_name(word: str, name: str) -> None:
    assert Column.ADDITIVE.parse(word) == name


@pytest.mark.parametrize(
    ("column", "cell", "message_part"),
    [
        (Column.ADDITIVE, "Li2C03", "Did you mean CO3 with the letter O"),
        (Column.ADDITIVE, "Li3P04", "Did you mean PO4 with the letter O"),
        (Column.ADDITIVE, "2 wt% LiF", "Write 'LiF' here, 2 into additive_amount"),
        (Column.ADDITIVE, 5, "the formula of an additive"),
        (Column.DENSIFICATION, "conventionel sintering", "Did you mean 'conventional'"),
        (Column.ATMOSPHERE, "argonn", "Did you mean 'argon'"),
        (Column.DENSIFICATION, "spark-plazma", "Did you mean 'spark_plasma'"),
        (Column.SINTERING_TEMPERATURE_C, "900,5", "Write decimals with a point"),
        (Column.SINTERING_TEMPERATURE_C, 1973.15, "1973.15 K is 1700 °C"),
        (Column.SINTERING_TEMPERATURE_C, "hot", "a number from 20 to 1700 °C"),
        (Column.SINTERING_TEMPERATURE_C, True, "a number"),
        (Column.SINTERING_TEMPERATURE_C, [900], "a number"),
        (Column.RELATIVE_DENSITY_PCT, 0.95, "write 95"),
        (Column.RELATIVE_DENSITY_PCT, 101, "from 20 to 100 %"),
        (Column.CONDUCTIVITY_TOTAL_S_CM, math.inf, "from 1e-14 to 1 S/cm"),
        (Column.PHASE_PURE, "perhaps", "true or false"),
        (Column.ATMOSPHERE, 5, "air, O2, N2, Ar, Ar/H2, vacuum"),
        (Column.FORMULA, 5, "allowed: text"),
    ],
)
def test_rejected_cell_message_says_what_is_allowed_or_meant(
    column: Column, cell: object, message_part: str
) -> None:
    with pytest.raises(FieldError) as caught:
        column.parse(cell)
    assert message_part in str(caught.value)
    assert str(caught.value).startswith(f"{column.value}: ")


def test_long_value_is_truncated_in_message() -> None:
    with pytest.raises(FieldError) as caught:
        Column.ATMOSPHERE.parse("x" * 10_000)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("cell", "flag"),
    [
        *((cell, True) for cell in ("true", "Yes", 1, 1.0, np.True_, "pure")),
        *((cell, False) for cell in ("false", "NO", 0, False, "impure")),
    ],
)
def test_wordings_of_flags_parse_to_booleans(cell: object, flag: bool) -> None:
    assert Column.PHASE_PURE.parse(cell) is flag


@pytest.mark.parametrize("column", list(Column))
@pytest.mark.parametrize(
    "cell", [None, math.nan, np.float32("nan"), pd.NA, pd.NaT, *sorted(MISSING_WORDS), " NaN "]
)
def test_missing_values_and_words_parse_to_none_in_every_column(column: Column, cell: object) -> None:
    assert is_missing(cell)
    assert column.parse(cell) is None


@given(st.floats(-1e6, 1e6), st.sampled_from(NUMBERS))
def test_number_within_bounds_is_kept_and_outside_raises(number: float, column: Column) -> None:
    inside = column.minimum <= number <= column.maximum
    if inside:
        assert column.parse(number) == number
        assert column.parse(repr(number)) == number
    else:
        with pytest.raises(FieldError, match=column.value):
            column.parse(number)


@pytest.mark.parametrize("text", ["1_5", "1_000", "1_9e-4", "1_9.5", "1e1_0", "\u0661\u0665", "\uff11\uff15"])
def test_digit_separators_and_non_ascii_digits_are_rejected(text: str) -> None:
    """Python's `float` accepts all of these."""
    assert float(text) > 0
    with pytest.raises(FieldError, match="is not accepted; allowed: a number from 0"):
        Column.SINTERING_TIME_H.parse(text)
    with pytest.raises(ValueError, match="is not written in plain digits"):
        to_number(text)


@given(st.floats(allow_nan=False), st.sampled_from([" ", "\u00a0", "\u2009", ""]))
def test_to_number_ignores_surrounding_spaces(number: float, space: str) -> None:
    assert to_number(f"{space}{number!r}{space}") == number == to_number(number)


@given(st.text(), st.sampled_from(list(Column)))
def test_any_text_is_parsed_or_raises_field_error(text: str, column: Column) -> None:
    try:
        value = column.parse(text)
    except FieldError as error:
        value = str(error)
    assert value is None or isinstance(value, (float, str, bool))


def test_option_names_and_axis_labels_are_derived_from_column_names() -> None:
    assert Column.SINTERING_TEMPERATURE_C.option == "--sintering-temperature"
    assert Column.HEATING_RATE_C_MIN.option == "--heating-rate"
    assert Column.PARTICLE_SIZE_UM.option == "--particle-size"
    assert Column.SINTERING_TEMPERATURE_C.axis_label == "sintering temperature (°C)"
    assert Column.SYSTEM.axis_label == "system"
    options = [column.option for column in RECIPE]
    assert len(set(options)) == len(options)


def test_columns_module_does_not_import_pandas() -> None:
    source = Path(__file__).parents[1] / "src" / "nasicon_ml" / "columns.py"
    assert not re.search(r"^\s*(import|from) pandas", source.read_text(encoding="utf-8"), re.MULTILINE)
