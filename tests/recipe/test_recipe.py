import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given

from nasicon_ml.columns import RECIPE, Column
from nasicon_ml.composition import parse
from nasicon_ml.errors import FieldError, FormulaError, NasiconError, UnreadableFileError
from nasicon_ml.recipe import Recipe, read_batch
from tests.recipe.strategies import recipe_fields


def test_fields_are_the_recipe_columns_in_order() -> None:
    assert [field.name for field in dataclasses.fields(Recipe)] == [column.value for column in RECIPE]


def test_all_fields_but_formula_are_optional() -> None:
    recipe = Recipe(formula="LATP x=0.4")
    assert recipe.to_dict() == {"formula": "Li1.4Al0.4Ti1.6(PO4)3"}
    assert recipe.sintering_temperature_c is None


def test_text_empty_cells_and_synonyms_are_standardized() -> None:
    recipe = Recipe(
        formula="Li1.4Al0.4Ti1.6(PO4)3",
        sintering_temperature_c=" 800 ",  # type: ignore[arg-type]
        heating_rate_c_min="",  # type: ignore[arg-type]
        atmosphere="argon",
        densification="Spark-Plasma",
        synthesis_route="unknown",
    )
    assert recipe.sintering_temperature_c == 800.0
    assert (recipe.heating_rate_c_min, recipe.synthesis_route) == (None, None)
    assert (recipe.atmosphere, recipe.densification) == ("Ar", "spark_plasma")


def test_recipe_is_frozen_hashable_and_keyword_only() -> None:
    recipe = Recipe(formula="LTP")
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.formula = "LGP"  # type: ignore[misc]
    with pytest.raises(TypeError):
        Recipe("LTP")  # type: ignore[misc]
    assert len({recipe, Recipe(formula="LiTi2(PO4)3")}) == 1


def test_replaced_field_is_validated() -> None:
    recipe = Recipe(formula="LTP", sintering_temperature_c=900)
    assert dataclasses.replace(recipe, sintering_temperature_c="950").sintering_temperature_c == 950
    with pytest.raises(FieldError, match="sintering_temperature_c: 9500"):
        dataclasses.replace(recipe, sintering_temperature_c=9500)


def test_second_phase_of_formula_moves_to_additive_fields() -> None:
    recipe = Recipe(formula="Li1.5Al0.5Ge1.5(PO4)3-0.05Li2O")
    assert recipe == Recipe(
        formula="LAGP x=0.5", additive="Li2O", additive_amount=0.05, additive_unit="formula_unit"
    )
    assert recipe.composition == parse("LAGP x=0.5")


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"formula": None}, "formula", "None is not accepted; allowed: a formula such as"),
        ({"formula": " "}, "formula", "Only the formula is obligatory"),
        ({"formula": math.nan}, "formula", "a formula such as"),
        ({"formula": 5}, "formula", "5 is not accepted; allowed: text"),
        ({"formula": "LATB x=0.3"}, "formula", "Did you mean 'LATP'?"),
        ({"formula": "Lii1.3Al0.3Ti1.7(PO4)3"}, "formula", "Did you mean 'Li'?"),
        ({"formula": "LATP"}, "formula", "Say how much: LATP x=0.3"),
        ({"formula": "LATP x=2.5"}, "formula", "LATP with x from 0 to 2. x is 2.5 here"),
        ({"formula": "Li1+xAlxTi2-x(PO4)3"}, "formula", "The formula has x: say its value"),
        ({"formula": "LiTi2(PO4)3, x=0.4"}, "formula", "x is given, but the formula has no x"),
        ({"sintering_temperature_c": 2000}, "sintering_temperature_c", "a number from 20 to 1700 °C"),
        ({"sintering_temperature_c": "hot"}, "sintering_temperature_c", "'hot' is not accepted"),
        ({"sintering_time_h": "1:30"}, "sintering_time_h", "'1:30' is not accepted"),
        ({"sintering_time_h": "1,5"}, "sintering_time_h", "Write decimals with a point"),
        ({"pressure_mpa": True}, "pressure_mpa", "True is not accepted"),
        ({"atmosphere": "argn"}, "atmosphere", "air, O2, N2, Ar, Ar/H2, vacuum. Did you mean 'argon'?"),
        ({"densification": "sparkplasma"}, "densification", "Did you mean 'spark_plasma'?"),
        ({"additive_amount": 3}, "additive_amount", "Say in additive what was added"),
        ({"additive_amount": 3, "additive_unit": "wt%"}, "additive_amount", "Say in additive what was added"),
        ({"additive": "LiF", "additive_amount": 3}, "additive_amount", "Say the unit in additive_unit"),
        ({"additive": "LiF", "additive_unit": "wt%"}, "additive_unit", "Say how much in additive_amount"),
        ({"additive_unit": "wt%"}, "additive_unit", "Say how much in additive_amount"),
        ({"additive": "LiF", "additive_amount": 101, "additive_unit": "wt%"}, "additive_amount", "from 0 to 100"),
        (
            {"formula": "LTP + 2 wt% LiF", "additive": "B2O3"},
            "formula",
            "in the formula or in additive, not in both",
        ),
    ],
)
def test_invalid_field_raises_error_with_field_value_and_hint(
    fields: dict[str, object], field: str, message: str
) -> None:
    with pytest.raises(FieldError) as caught:
        Recipe(**{"formula": "LTP", **fields})  # type: ignore[arg-type]
    assert caught.value.field == field
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sintering_temprature_c": 800}, "Did you mean 'sintering_temperature_c'?"),
        ({"Sintering Temperature": 800}, "Did you mean 'sintering_temperature_c'?"),
        ({"colour": "blue"}, "colour: 'blue' is not accepted; allowed: the fields formula, additive"),
        ({"conductivity_total_s_cm": 1e-4}, "It is a column of measured pellets, and no part of a recipe"),
        ({5: 1}, "field: 5 is not accepted"),
    ],
)
def test_from_dict_refuses_unknown_field(fields: dict[str, object], message: str) -> None:
    with pytest.raises(FieldError) as caught:
        Recipe.from_dict({"formula": "LTP", **fields})
    assert message in str(caught.value)


def test_from_dict_without_formula_raises_field_error() -> None:
    with pytest.raises(FieldError, match="Only the formula is obligatory"):
        Recipe.from_dict({"atmosphere": "air"})


@given(recipe_fields())
def test_dict_json_yaml_and_row_round_trips(fields: dict[str, object]) -> None:
    recipe = Recipe.from_dict(fields)
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe
    assert Recipe.from_row(recipe.to_row()) == recipe
    assert Recipe.from_row(pd.Series(recipe.to_row())) == recipe
    assert Recipe.from_row(pd.DataFrame([recipe.to_row()]).iloc[0]) == recipe
    assert None not in recipe.to_dict().values()
    assert list(recipe.to_row()) == [column.value for column in RECIPE]


def test_from_row_ignores_missing_cells_and_columns_of_measurements() -> None:
    row = pd.Series(
        {
            "pellet_id": "p1",
            "formula": "LTP",
            "additive": pd.NA,
            "sintering_temperature_c": np.float64(900),
            "sintering_time_h": np.int64(2),
            "heating_rate_c_min": np.nan,
            "atmosphere": None,
            "conductivity_total_s_cm": 1e-4,
        }
    )
    assert Recipe.from_row(row) == Recipe(formula="LTP", sintering_temperature_c=900, sintering_time_h=2)


def test_from_row_refuses_unknown_column() -> None:
    with pytest.raises(FieldError, match="Did you mean 'atmosphere'"):
        Recipe.from_row({"formula": "LTP", "atmosfere": "air"})


def test_given_oxidation_states_balance_charge_of_mixed_valence() -> None:
    recipe = Recipe(formula="Li2.5V2(PO4)3")
    assert recipe.composition.charge_imbalance == -0.5
    assert parse(recipe.formula, oxidation_states={"V": {3: 0.75, 4: 0.25}}).charge_imbalance == 0


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("{", UnreadableFileError, "this is not JSON: .*line 1 column"),
        ("", UnreadableFileError, "this is not JSON"),
        ('[{"formula": "LTP"}]', UnreadableFileError, "this is a list; needed: one recipe"),
        ('"LTP"', UnreadableFileError, "this is a single value"),
        ('{"formula": ["LTP"]}', UnreadableFileError, "'formula' holds a list or an object"),
        ('{"formula": "LTP", "pressure_mpa": {"a": 1}}', UnreadableFileError, "'pressure_mpa' holds a list"),
        ('{"formula": "LTP", "pressure_mpa": NaN}', UnreadableFileError, "NaN is not a number"),
        ('{"formula": "LTP", "pressure_mpa": -Infinity}', UnreadableFileError, "-Infinity is not a number"),
        ('{"formula": "LTP", "formula": "LGP"}', FieldError, "every field once. It is given twice"),
        ('{"formula": "LTP", "presure": 5}', FieldError, "Did you mean 'pressure_mpa'"),
        ('{"formula": "LTP", "pressure_mpa": 1' + "0" * 400 + "}", FieldError, "pressure_mpa: "),
        ('{"formula": "LTP", "pressure_mpa": 1' + "0" * 9000 + "}", UnreadableFileError, "this is not JSON"),
        ('{"formula": "LATB"}', FormulaError, "Did you mean 'LATP'"),
        ("[" * 15_000, UnreadableFileError, "nested too deeply"),
        (" " * 20_001, UnreadableFileError, "20001 characters are too many"),
    ],
)
def test_invalid_json_raises_error(text: str, error: type[NasiconError], message: str) -> None:
    with pytest.raises(error, match=message):
        Recipe.from_json(text)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("formula: {", UnreadableFileError, "this is not YAML: (.|\n)*line 1"),
        ("", UnreadableFileError, "this is empty"),
        ("- formula: LTP", UnreadableFileError, "this is a list; needed: one recipe"),
        ("LTP", UnreadableFileError, "this is a single value"),
        ("formula: LTP\n---\nformula: LGP", UnreadableFileError, "this is not YAML"),
        ("formula: [LTP]", UnreadableFileError, "'formula' holds a list or an object"),
        ("a: &a [x, x]\nformula: *a", UnreadableFileError, "line 2: YAML aliases"),
        ("[1]: 2", UnreadableFileError, "a field's name is not plain text"),
        ("formula: !!python/object/apply:os.abort []", UnreadableFileError, "'formula' holds a list"),
        ("formula: LTP\nformula: LGP", FieldError, "every field once. It is given twice"),
        ("formula: LTP\nsintering_time_h: 1:30", FieldError, "sintering_time_h: '1:30' is not accepted"),
        ("formula: LTP\nadditive: yes", FieldError, "additive: True is not accepted; allowed: the formula of an"),
        ("formula: LTP\nadditive: 2020-01-01", FieldError, "additive: datetime.date"),
        ("formula: 5", FieldError, "formula: 5 is not accepted"),
        ("formula: LTP\natmosfere: air", FieldError, "Did you mean 'atmosphere'"),
        ("[" * 15_000, UnreadableFileError, "nested too deeply"),
    ],
)
def test_invalid_yaml_raises_error(text: str, error: type[NasiconError], message: str) -> None:
    with pytest.raises(error, match=message):
        Recipe.from_yaml(text)


def test_wrong_yaml_tag_is_ignored() -> None:
    assert Recipe.from_yaml("formula: LTP\nadditive: !!int LiF").additive == "LiF"


def test_yaml_with_comment_exponent_and_null_is_read() -> None:
    text = """
    formula: LATP x=0.4   # nominal
    sintering_temperature_c: 8e2
    sintering_time_h: 2
    heating_rate_c_min: ~
    atmosphere: O2
    """
    assert Recipe.from_yaml(text) == Recipe(
        formula="LATP x=0.4", sintering_temperature_c=800, sintering_time_h=2, atmosphere="O2"
    )


def test_additive_that_is_not_a_formula_gives_warning() -> None:
    names = ["LiF", "B2O3;Bi2O3", "60Na2O-30P2O5", "Li2SO4-LiPO3 glass", "alumina", "(Li2SO4)0.6(LiPO3)0.4",
             "binder", "frit 7", "none"]  # fmt: skip
    batch = read_batch(pd.DataFrame({"formula": "LTP", "additive": names}))
    values = [finding.value for finding in batch.warnings if finding.rule == "additive_no_formula"]
    assert values == ["binder", "frit 7"]


@pytest.mark.parametrize("additive", ["LiF", "none", "no"])
def test_additive_with_amount_zero_is_removed(additive: str) -> None:
    fields = {"formula": "LTP", "additive": additive, "additive_amount": 0, "additive_unit": "wt%"}
    assert Recipe.from_dict(fields) == Recipe(formula="LTP")
    batch = read_batch(pd.DataFrame([fields, {**fields, "additive": "LiF", "additive_amount": 1}]))
    assert not batch.findings
    assert batch.table[Column.ADDITIVE].tolist() == [None, "LiF"]
    assert batch.table[Column.ADDITIVE_UNIT].tolist() == [None, "wt%"]
