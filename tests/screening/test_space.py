"""A space gives the same candidates however it is cut, and refuses what no recipe may have."""

from __future__ import annotations

import copy
import itertools
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasicon_ml.columns import MODEL_INPUT, Column, Kind
from nasicon_ml.errors import FieldError, SpaceError, UnreadableFileError
from nasicon_ml.recipe import read_batch
from nasicon_ml.screening import SearchSpace, space
from nasicon_ml.screening.candidates import Candidates
from tests.screening.stated_spaces import small

SPACE = SearchSpace.from_dict(small())


def recipes(found: Candidates) -> pd.DataFrame:
    """Candidates as the recipes that a person would write."""
    table = found.table.astype("object")
    table = table.where(table.notna(), None)
    table.insert(0, Column.FORMULA.value, found.formulas(range(len(found))))
    return table


def test_sizes() -> None:
    # 5 + 2 x 2 compositions, 3 additives, 3 x 4 x 5 ways, of which 3 temperatures are left, less argon's fast ones
    assert SPACE.stated_size == 9 * 3 * 60
    assert SPACE.size == 9 * 3 * 36
    assert SPACE.count().candidates == 9 * 3 * 3 * (12 - 2)
    assert str(SPACE.count()) == "810"


def test_the_table_is_what_a_model_takes() -> None:
    table = SPACE.chunk(0, SPACE.size).table
    assert list(table) == [column.value for column in MODEL_INPUT if column is not Column.FORMULA]
    for name in table:
        assert str(table[name].dtype) == ("float64" if Column(name).kind is Kind.NUMBER else "category"), name
    assert list(table.index) == list(range(len(table)))
    assert list(table[Column.ATMOSPHERE].cat.categories) == list(Column.ATMOSPHERE.choices)


def test_every_candidate_is_a_good_recipe_and_another_one() -> None:
    made = recipes(SPACE.chunk(0, SPACE.size))
    batch = read_batch(made)
    assert batch.findings == []
    assert batch.warnings == []
    assert not made.duplicated().any()
    expected = made[list(batch.table)].where(made.notna(), np.nan)
    pd.testing.assert_frame_equal(batch.table.where(batch.table.notna(), np.nan), expected, check_dtype=False)


@given(st.lists(st.integers(0, SPACE.size), max_size=5), st.sampled_from([1, 2, 4, 1024]))
@settings(max_examples=30)
def test_the_cut_into_chunks_changes_nothing(cuts: list[int], block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(space, "BLOCK", block)
        whole = SPACE.chunk(0, SPACE.size)
        edges = [0, *sorted(cuts), SPACE.size]
        parts = [SPACE.chunk(start, stop) for start, stop in itertools.pairwise(edges)]
    assert np.array_equal(whole.numbers, np.concatenate([part.numbers for part in parts]))
    tables = pd.concat([part.table for part in parts if len(part)], ignore_index=True)
    pd.testing.assert_frame_equal(whole.table, tables)
    spread = np.concatenate([part.sites.per_row(part.sites.m) for part in parts])
    assert np.array_equal(whole.sites.per_row(whole.sites.m), spread)


@given(st.lists(st.integers(0, SPACE.size - 1), max_size=20), st.sampled_from([1, 4, 1024]))
def test_a_position_is_its_digits(positions: list[int], block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(space, "BLOCK", block)
        numbers = np.array(positions, dtype=np.int64)
        assert np.array_equal(SPACE.positions(SPACE.digits(numbers)), numbers)


def test_positions_can_be_asked_for_in_any_order() -> None:
    whole = recipes(SPACE.chunk(0, SPACE.size))
    numbers = SPACE.chunk(0, SPACE.size).numbers
    order = np.random.default_rng(0).permutation(len(numbers))[:50]
    found = SPACE.at(numbers[order])
    assert np.array_equal(found.numbers, numbers[order])
    pd.testing.assert_frame_equal(recipes(found), whole.iloc[order].reset_index(drop=True))
    for wrong in (-1, SPACE.size):
        with pytest.raises(FieldError, match="position: "):
            SPACE.at(np.array([wrong]))


def test_compositions_vary_fastest_and_a_chunk_holds_few_ways() -> None:
    found = SPACE.chunk(0, 18)
    assert len(found.sites.systems) == len(SPACE.axes.compositions) == 9
    assert found.sites.index.tolist() == [*range(9)] * 2
    assert len(found.table.drop_duplicates()) == 2


def test_an_empty_chunk() -> None:
    for found in (SPACE.chunk(5, 5), SPACE.chunk(SPACE.size, SPACE.size + 9)):
        assert (len(found), len(found.table), found.formulas([])) == (0, 0, [])


def test_a_range_of_a_chunk_may_hold_no_candidate() -> None:
    numbers = SPACE.chunk(0, SPACE.size).numbers
    gap = int(np.flatnonzero(np.diff(numbers) > 1)[0])
    found = SPACE.chunk(int(numbers[gap]) + 1, int(numbers[gap + 1]))
    assert (len(found), len(found.sites.systems)) == (0, 0)


def test_a_space_too_large_to_enumerate_costs_nothing() -> None:
    huge = {"from": 700, "to": 799.9, "step": 0.001}
    fields = small()["processing"] | {"sintering_temperature_c": huge, "calcination_temperature_c": huge}
    large = SearchSpace.from_dict(small(processing=fields))
    assert large.size > 10**12
    assert large.count().exact
    assert 0 < len(large.chunk(large.size - 1000, large.size)) <= 1000
    fields |= {"particle_size_um": {"from": 0.1, "to": 1, "count": 100_000}}
    with pytest.raises(SpaceError, match=r"allowed: at most 4.61e\+18 candidates"):
        SearchSpace.from_dict(
            small(processing=fields | {"sintering_time_h": {"from": 1, "to": 9, "count": 99_999}})
        )


def test_the_fingerprint_is_of_the_candidates() -> None:
    assert SPACE.fingerprint == SearchSpace.from_dict(small(name="other")).fingerprint
    changes: list[dict[str, Any]] = [
        {"constraints": None},
        {"additives": None},
        {"compositions": small()["compositions"][:1]},
        {"processing": small()["processing"] | {"atmosphere": ["air", "Ar", "not given"]}},
        {"constraints": [{"when": {"atmosphere": "air"}, "then": {"heating_rate_c_min": 5}, "because": "so"}]},
    ]
    prints = {SearchSpace.from_dict(small(**change)).fingerprint for change in changes}
    assert len(prints | {SPACE.fingerprint}) == len(changes) + 1


def test_json_makes_the_same_space() -> None:
    described = json.loads(json.dumps(SPACE.to_json(), allow_nan=False))
    assert SearchSpace.from_dict(described["stated"]).fingerprint == SPACE.fingerprint == described["fingerprint"]
    assert described["candidates"] == {"count": 810, "exact": True, "standard_error": 0.0}


def test_python_may_give_arrays_and_tuples() -> None:
    given_ = small()
    given_["processing"]["heating_rate_c_min"] = (np.float64(1.0), 1.5, 5, float("nan"))
    given_["processing"]["sintering_temperature_c"] = np.arange(700, 901, 50)
    made = SearchSpace.from_dict(given_)
    assert made.fingerprint == SPACE.fingerprint
    json.dumps(made.to_json(), allow_nan=False)


def test_a_copy_is_the_same_space() -> None:
    twin = copy.deepcopy(SPACE)
    assert twin.fingerprint == SPACE.fingerprint
    pd.testing.assert_frame_equal(recipes(twin.chunk(0, 99)), recipes(SPACE.chunk(0, 99)))


PROCESSING = [
    ({"sintering_temperature_c": 1073.15}, r"sintering_temperature_c: 1073.15 .*looks like kelvin"),
    ({"sintering_temperature_c": {"from": 1073.15, "to": 1100, "step": 1}}, "looks like kelvin"),
    ({"sintering_temperature_c": 2000}, "sintering_temperature_c: 2000 .*a number from 20 to 1700"),
    ({"sintering_temperature_c": {"from": 0, "to": 900, "step": 1}}, "sintering_temperature_c: 0 is not accepted"),
    ({"sintering_temperature_c": "800 °C"}, "Write the number alone: 800"),
    ({"sintering_temperature_c": [800, 800.0]}, "It stands there twice"),
    ({"atmosphere": ["Ar", "argon"]}, "atmosphere: 'Ar' is not accepted; allowed: every value once"),
    ({"atmosphere": "argn"}, r"Did you mean 'argon'\?"),
    ({"atmosphere": {"from": 1, "to": 2, "step": 1}}, "Only numbers have ranges"),
    ({"sinter_temperature": 800}, r"sinter_temperature: 800 .*Did you mean 'sintering_temperature_c'\?"),
    ({"additive": "LiF"}, "Additives stand in a list of their own"),
    ({"formula": "LTP"}, "Compositions stand in a list of their own"),
    ({"conductivity_total_s_cm": 1e-4}, "a column of measured pellets, and no part of a recipe"),
    ([], "processing: "),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "message"), PROCESSING)
def test_fields_that_no_recipe_may_have_are_refused(fields: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        SearchSpace.from_dict(small(processing=fields, constraints=None))


@pytest.mark.parametrize(
    ("additive", "message"),
    [
        ({"amount": 1, "unit": "wt%"}, "There is no 'name' in it"),
        ({"name": None, "amount": 1, "unit": "wt%"}, r"additive_amount: 1.0 .*Say in additive what was added"),
        ({"name": "LiF", "amount": 1}, r"additive_amount: 1.0 .*Say the unit in additive_unit"),
        ({"name": "LiF", "unit": "wt%"}, "additive_unit: 'wt%' .*Say how much"),
        ({"name": "LiF", "amount": 101, "unit": "wt%"}, "additive_amount: 101 is not accepted"),
        ({"name": "LiF", "amount": 1, "unit": "vol%"}, "additive_unit: 'vol%' is not accepted"),
        ({"name": "LiF", "amounts": 1}, r"amounts: 1 .*Did you mean 'amount'\?"),
        ({"name": ["LiF", "LiF"]}, "every value once"),
        ("LiF", "additives: 'LiF' is not accepted; allowed: a mapping with name, amount, unit"),
    ],
)
def test_additives_that_no_recipe_may_have_are_refused(additive: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        SearchSpace.from_dict(small(additives=["none", additive]))


def test_an_additive_without_amount_is_one() -> None:
    found = SearchSpace.from_dict(small(additives=[{"name": ["LiF", "B2O3"]}, None]))
    assert found.chunk(0, found.size).table[Column.ADDITIVE].unique().tolist()[:2] == ["LiF", "B2O3"]
    with pytest.raises(SpaceError, match="It stands there twice"):
        SearchSpace.from_dict(small(additives=["none", "not given"]))


def test_temperatures_that_may_be_kelvin_are_doubted() -> None:
    doubtful = SearchSpace.from_dict(
        small(processing={"calcination_temperature_c": [1073, 900]}, constraints=None)
    )
    assert doubtful.warnings == (
        "calcination_temperature_c: calcination temperature 1073 °C looks like kelvin: 1073 K is 800 °C.",
    )
    assert "doubtful:\n  calcination_temperature_c" in doubtful.describe()


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ([], r"space: \[\] is not accepted; allowed: a mapping with name, compositions"),
        ({}, "There is no 'compositions' in it"),
        ({"compositions": []}, "The list is empty"),
        (small(procesing={}), r"procesing: {} .*Did you mean 'processing'\?"),
        (small(name=3), "name: 3 is not accepted"),
        (small(constraints={}), "constraints: {} is not accepted; allowed: a list of constraints"),
    ],
)
def test_what_is_no_space_is_refused(stated: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        SearchSpace.from_dict(stated)


def test_what_refers_to_itself_is_refused() -> None:
    endless: dict[str, Any] = small()
    endless["compositions"].append(endless)
    with pytest.raises(SpaceError, match="never nested so deeply"):
        SearchSpace.from_dict(endless)


def _file(folder: Path, text: str) -> Path:
    path = folder / "space.yaml"
    path.write_text(text, encoding="utf-8")
    return path


YAML = """\
# a comment
compositions:
  - system: LATP
    x: {from: 0.1, to: 0.5, step: 0.2}
processing:
  atmosphere: [argon, not given]
  heating_rate_c_min:
    - 1.5
    - ~
    - 5
constraints:
  - when: {atmosphere: Ar}
    then: {heating_rate_c_min: {max: 1.5}}
    because: without oxygen
"""


def test_a_file_is_read(tmp_path: Path) -> None:
    found = SearchSpace.from_yaml(_file(tmp_path, YAML))
    assert (found.name, found.size, found.count().candidates) == ("search space", 18, 12)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("- 1.5\n", "- 1,5\n", r"space\.yaml, line 8: heating_rate_c_min: '1,5' .*decimals with"),
        ("- 1.5\n", "- 1.5\n    - 30000\n", r"line 9: heating_rate_c_min: 30000 is not accepted"),
        ("argon,", "argun,", r"line 6: atmosphere: 'argun' is not accepted"),
        ("x: {", "y: {", r"line 4: y: .* is not accepted"),
        ("step: 0.2", "step: 0", r"line 4: step: 0 is not accepted"),
        ("{max: 1.5}", "{maximum: 1.5}", r"line 13: maximum: 1.5 is not accepted"),
        ("{max: 1.5}", "{max: 0.5}", r"line 12: "),
        ("    because: without oxygen\n", "", r"line 12: constraints: .*There is no 'because'"),
        ("processing:", "processing: 3\nprocess:", r"line 5: processing: 3|line 6: process: "),
    ],
)  # fmt: skip
def test_errors_name_file_and_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in YAML
    text = YAML.replace(old, new, 1)
    if "{max: 0.5}" in new:  # a bound that nothing satisfies, and no other atmosphere
        text = text.replace("[argon, not given]", "argon")
    with pytest.raises(SpaceError, match=message):
        SearchSpace.from_yaml(_file(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("a: [", "line 1: not valid YAML"),
        ("a: &x 1\nb: *x", "line 2: YAML aliases"),
        ("a: 1\na: 2", "stands more than once"),
        ("a: !!python/object/apply:os.system [ls]", "line 1: not valid YAML"),
        ("[" * 40, "nested too deeply"),
        ("a: 2020-13-45", "not a search space"),
        ("#" * 250_001, "more than the 250000 that are read"),
    ],
)
def test_what_is_no_yaml_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UnreadableFileError, match=message):
        SearchSpace.from_yaml(_file(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="there is no such file"):
        SearchSpace.from_yaml(tmp_path / "nothing.yaml")


@given(st.text(alphabet="compositions: x-[]{}\n~#&*!'\"0123.,LATPfromtostep", max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        message = "space.yaml"
        try:
            SearchSpace.from_yaml(_file(Path(folder), text))
        except (SpaceError, UnreadableFileError) as error:
            message = str(error)
    assert "space.yaml" in message
