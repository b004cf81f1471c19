"""Recipes of all combinations of several values of the fields."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.columns import Column
from nasicon_ml.errors import FieldError, FormulaError
from nasicon_ml.recipe.combinations import MOST_RECIPES, combinations, read_values

TEMPERATURE = Column.SINTERING_TEMPERATURE_C.parse


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("850", [850]),
        ("750:850:25", [750, 775, 800, 825, 850]),
        ("750:840:25", [750, 775, 800, 825]),
        ("800, 850 ,900", [800, 850, 900]),
        ("800,850", [800, 850]),
        ("800:900:50,1000", [800, 850, 900, 1000]),
        ("900:900:5", [900]),
    ],
)
def test_read_values_parses_lists_and_ranges(text: str, values: list[float]) -> None:
    assert read_values(text, TEMPERATURE) == values


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("850,5", "Write decimals with a point. For two values write '850, 5'."),
        ("750-1050", "For a range write 750:1050:10"),
        ("750:1050", "Say the step."),
        ("750:1050:fast", "The step is 'fast' here."),
        ("1050:750:25", "a range first:last:step that rises"),
        ("750:1050:0", "a range first:last:step that rises"),
        ("750:1050:1e-9", "at most 10000 values"),
        ("750:1050:25:5", "a range first:last:step that rises"),
        ("750:2050:25", "Temperatures are in °C"),
        ("800,hot", "a number from 20 to 1700 °C"),
    ],
)
def test_read_values_of_invalid_list_raises_error_with_hint(text: str, hint: str) -> None:
    with pytest.raises(FieldError, match=hint.replace(".", r"\.")):
        read_values(text, TEMPERATURE)


@given(st.integers(20, 800), st.integers(0, 300), st.integers(1, 100))
def test_range_includes_both_ends_and_all_steps(first: int, steps: int, tenths: int) -> None:
    step = tenths / 10
    values = read_values(f"{first}:{first + steps * step:.10g}:{step}", float)
    assert len(values) == steps + 1
    np.testing.assert_allclose(values, first + step * np.arange(steps + 1), atol=1e-9)


def test_combinations_are_all_products_with_first_field_slowest() -> None:
    result = combinations("LATP", {"x": (0.1, 0.3), "sintering_temperature_c": range(800, 901, 50)})
    assert [recipe.formula for recipe in result.recipes[2:4]] == ["Li1.1Al0.1Ti1.9(PO4)3", "Li1.3Al0.3Ti1.7(PO4)3"]
    assert [recipe.sintering_temperature_c for recipe in result.recipes] == [800, 850, 900] * 2
    x, temperature = result.varied
    assert (x.name, x.values, x.unique_values) == ("x", (0.1,) * 3 + (0.3,) * 3, (0.1, 0.3))
    assert (temperature.label, temperature.unit, temperature.is_number) == ("sintering temperature", "°C", True)
    assert str(temperature) == "sintering temperature 800, 850, 900 °C"


def test_elements_choices_and_formulas_can_be_varied() -> None:
    result = combinations("Li1.3M0.3Ti1.7(PO4)3", {"M": ["Al", "Sc"], "atmosphere": ["argon", "air"]})
    assert [recipe.formula for recipe in result.recipes[1:3]] == ["Li1.3Al0.3Ti1.7(PO4)3", "Li1.3Sc0.3Ti1.7(PO4)3"]
    assert [recipe.atmosphere for recipe in result.recipes] == ["Ar", "air"] * 2
    assert not any(field.is_number for field in result.varied)
    assert [field.name for field in combinations(["LTP", "LGP"], {"sintering_time_h": 2}).varied] == ["formula"]


def test_amount_and_unit_are_dropped_without_additive() -> None:
    fields = {"additive": [None, "LiF"], "additive_amount": 2, "additive_unit": "wt%"}
    plain, doped = combinations("LATP x=0.3", fields).recipes
    assert (plain.additive, plain.additive_amount) == (None, None)
    assert (doped.additive, doped.additive_amount) == ("LiF", 2)


def test_field_with_one_value_is_not_varied() -> None:
    result = combinations("LATP x=0.3", {"sintering_temperature_c": [900]})
    assert (len(result.recipes), result.varied) == (1, ())


@pytest.mark.parametrize(
    ("formula", "fields", "error", "message"),
    [
        ("LATP", {"x": [0.3, 3.0]}, FormulaError, "x is 3 here"),
        ("LATP x=0.3", {"sintering_temperature_c": [900, 900.0]}, FieldError, "every value once"),
        ("LATP x=0.3", {"sintering_temperature_c": []}, FieldError, "at least one value"),
        ("LATP x=0.3", {"sintring_temperature_c": 900}, FieldError, "sintering_temperature_c"),
        ("LATP x=0.3", {"sintering_temperature_c": [900, 9000]}, FieldError, "9000"),
        ("LATP", {"x": np.linspace(0, 0.5, MOST_RECIPES + 1)}, FieldError, "at most 10000"),
    ],
)
def test_invalid_combinations_raise_error(formula: str, fields: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        combinations(formula, fields)


def test_numpy_numbers_become_python_floats() -> None:
    (varied,) = combinations("LATP", {"x": np.array([0.1, 0.2])}).varied
    assert all(type(value) is float for value in varied.values)
    assert math.isclose(varied.values[1], 0.2)
