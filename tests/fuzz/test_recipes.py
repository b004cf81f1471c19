"""Odd fields of one recipe: as Python values, JSON and YAML."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.columns import RECIPE, Column, Kind
from nasicon_ml.errors import NasiconError
from nasicon_ml.recipe import Recipe
from nasicon_ml.workflows.predict import predict
from tests.fuzz.conftest import fuzz
from tests.fuzz.oracle import check_prediction_table, count_refusal
from tests.fuzz.tally import TALLY, Verdict, in_time
from tests.fuzz.texts import damaged, long_text, odd_formula, odd_name, odd_value
from tests.recipe.strategies import recipe_fields

CHANNEL = "Python Recipe"
_PREDICT_EVERY = 7  # predictions take most of the time: only every seventh valid recipe is predicted
NAMES = st.sampled_from([column.value for column in RECIPE])


def check_recipe(make: Any, count: list[int]) -> None:
    """Check that the recipe is within bounds and survives round trips, or that an error is raised."""

    def recipe_or_error() -> Any:
        try:
            return make()
        except NasiconError as error:
            return error

    result = in_time(CHANNEL, recipe_or_error)
    if isinstance(result, NasiconError):
        count_refusal(CHANNEL, result)
        return
    for column in RECIPE:
        value = getattr(result, column.value)
        if column.kind is Kind.NUMBER and value is not None:
            assert column.minimum <= value <= column.maximum
    assert Recipe.from_json(result.to_json()) == result
    assert Recipe.from_yaml(result.to_yaml()) == result
    result.to_json().encode()
    count[0] += 1
    if count[0] % _PREDICT_EVERY == 1:
        check_prediction_table(in_time("Python predict", lambda: predict(result)).results, 1)
        TALLY.add("Python predict", Verdict.ANSWERED)
    TALLY.add(CHANNEL, Verdict.ANSWERED)


#: Number of valid recipes so far.
VALID_COUNT = [0]


@fuzz(450)
@given(fields=recipe_fields(), changes=st.dictionaries(NAMES, odd_value, min_size=1, max_size=2))
def test_recipe_from_dict_with_odd_values_is_valid_or_raises(
    fields: dict[str, Any], changes: dict[str, Any]
) -> None:
    check_recipe(lambda: Recipe.from_dict(fields | changes), VALID_COUNT)


@fuzz(120)
@given(fields=recipe_fields(), name=odd_name, value=odd_value)
def test_recipe_from_dict_with_odd_field_name_is_valid_or_raises(
    fields: dict[str, Any], name: str, value: Any
) -> None:
    check_recipe(lambda: Recipe.from_dict(fields | {name: value}), VALID_COUNT)


@fuzz(40)
@given(fields=recipe_fields(), name=NAMES, value=long_text)
def test_recipe_from_dict_with_very_long_value_is_valid_or_raises(
    fields: dict[str, Any], name: str, value: str
) -> None:
    check_recipe(lambda: Recipe.from_dict(fields | {name: value}), VALID_COUNT)


@fuzz(80)
@given(row=st.dictionaries(NAMES | odd_name, odd_value, max_size=5), formula=odd_formula)
def test_recipe_from_row_with_odd_fields_is_valid_or_raises(row: dict[str, Any], formula: str) -> None:
    check_recipe(lambda: Recipe.from_row({Column.FORMULA.value: formula, **row}), VALID_COUNT)


#: Invalid JSON, or JSON that is not a recipe.
JSON_TEXTS = [
    "", " ", "null", "1", '"LTP"', "[]", "[{}]", "{}", "{", '{"formula"}', '{"formula":}', '{"formula": LTP}',
    "{'formula': 'LTP'}",
    '{"formula": "LTP",}', '{"formula": "LTP", "formula": "LGP"}', '{"formula": "LTP"} {"formula": "LTP"}',
    "[" * 10_000,
    '{"a":' * 3_000 + "1" + "}" * 3_000, '{"formula": "LTP", "sintering_time_h": NaN}',
    '{"formula": {"$ref": "#"}}',
    '{"formula": "LTP", "sintering_time_h": Infinity}', '{"formula": "LTP", "sintering_time_h": 1e400}',
    '{"formula": "LTP", "sintering_time_h": ' + "9" * 5000 + "}", '{"formula": "LTP", "additive": "\\ud800"}',
    '{"formula": "LTP", "additive": "\\u0000"}', '{"formula": "LTP", "additive": "a\\u001b[2J"}',
    '\ufeff{"formula": "LTP"}',
    '{"formula": "LTP" /* no */}', '{"formula": "LTP", "sintering_time_h": 0x10}',
    '{"formula": "LTP", "sintering_time_h": 010}',
    '{"formula": "LTP", "sintering_time_h": true}', '{"__class__": "Recipe", "formula": "LTP"}',
    '{"formula": "\\uD83E"}',
    '{"\\ud800": 1, "formula": "LTP"}', '{"formula": ["LTP"]}', '{"": "LTP"}',
    '{"formula": "LTP", "additive": "' + "a" * 30_000 + '"}',
]  # fmt: skip
#: Invalid YAML, YAML that is not a recipe, and hostile YAML.
YAML_TEXTS = [
    "", "---", "...", "LTP", "- formula: LTP", "formula LTP", "formula: LTP\nformula: LGP", "formula: [LTP]",
    "formula: {a: b}",
    "formula: &a LTP\nadditive: *a", "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]", "formula: *a",
    "&a formula: LTP",
    "<<: {formula: LTP}", "formula: LTP\n<<: {sintering_time_h: 2}", "formula: LTP\n<<: *x",
    "!!python/object/apply:os.system ['id']",
    "formula: !!python/object/apply:os.system ['id']", "formula: !!python/name:os.system",
    "formula: !!binary TFRQ",
    "formula: !!int LTP", "formula: !!float LTP", "formula: LTP\nsintering_time_h: !!timestamp 2020-13-45",
    "formula: !x LTP",
    "formula: LTP\nsintering_time_h: 1:30", "formula: LTP\nsintering_time_h: 010",
    "formula: LTP\nsintering_time_h: .nan",
    "formula: LTP\nsintering_time_h: .inf", "formula: LTP\nadditive: yes", "formula: LTP\nadditive: 2020-13-45",
    "? [a]\n: b",
    "formula: LTP\nadditive: 2020-01-01", "formula: LTP\nadditive: ~", "formula: |\n  LTP", "formula: >\n  LTP",
    "formula: 'LTP",
    'formula: "\\ud800"', 'formula: "\\x00"', "formula: LTP\n\tadditive: LiF", "formula: LTP\n---\nformula: LGP",
    "%YAML 9.9\n---\na: 1",
    "[" * 10_000, "{a: " * 4_000, "- " * 9_000, "? " * 9_000, "!" * 9_000,
    "formula: LTP\nadditive: " + "1:" * 9_000, "@", "`", "%",
    "formula: LTP\nadditive: !!set {a, b}", "formula: LTP\nadditive: !!omap [a: b]",
    "formula: LTP # " + "x" * 30_000, "a: b: c: d",
]  # fmt: skip
FIELDS = recipe_fields()


@fuzz(300)
@given(text=st.sampled_from(JSON_TEXTS) | damaged(FIELDS.map(json.dumps), '{}[]",:0\\e-\x00\ud800'))
def test_recipe_from_json_with_malformed_text_is_valid_or_raises(text: str) -> None:
    check_recipe(lambda: Recipe.from_json(text), VALID_COUNT)


@fuzz(300)
@given(
    text=st.sampled_from(YAML_TEXTS)
    | damaged(
        FIELDS.map(lambda fields: "\n".join(f"{name}: {value}" for name, value in fields.items())),
        '{}[]",:&*!|>\t\x00\ud800',
    )
)
def test_recipe_from_yaml_with_malformed_text_is_valid_or_raises(text: str) -> None:
    check_recipe(lambda: Recipe.from_yaml(text), VALID_COUNT)
