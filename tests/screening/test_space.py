"""Search spaces, whole and sampled: what is read, numbered, counted and described."""

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
from nasicon_ml.model import PropertyModel
from nasicon_ml.recipe import Recipe, read_batch, recipe_table
from nasicon_ml.screening import SearchSpace, space
from nasicon_ml.screening.space import Candidates
from tests.contracts.source import ROOT
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
        patch.setattr(space, "BLOCK_SIZE", block)
        whole = SPACE.chunk(0, SPACE.size)
        edges = [0, *sorted(cuts), SPACE.size]
        parts = [SPACE.chunk(start, stop) for start, stop in itertools.pairwise(edges)]
    assert np.array_equal(whole.positions, np.concatenate([part.positions for part in parts]))
    tables = pd.concat([part.table for part in parts if len(part)], ignore_index=True)
    pd.testing.assert_frame_equal(whole.table, tables)
    spread = np.concatenate([part.sites.per_row(part.sites.m) for part in parts])
    assert np.array_equal(whole.sites.per_row(whole.sites.m), spread)


@given(st.lists(st.integers(0, SPACE.size - 1), max_size=20), st.sampled_from([1, 4, 1024]))
def test_a_position_is_its_digits(positions: list[int], block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(space, "BLOCK_SIZE", block)
        numbers = np.array(positions, dtype=np.int64)
        assert np.array_equal(SPACE.positions(SPACE.axis_indices(numbers)), numbers)


def test_positions_can_be_asked_for_in_any_order() -> None:
    whole = recipes(SPACE.chunk(0, SPACE.size))
    numbers = SPACE.chunk(0, SPACE.size).positions
    order = np.random.default_rng(0).permutation(len(numbers))[:50]
    found = SPACE.at(numbers[order])
    assert np.array_equal(found.positions, numbers[order])
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
    numbers = SPACE.chunk(0, SPACE.size).positions
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
    ({"sintering_temperature_c": [800, 800.0]}, "It occurs twice"),
    ({"atmosphere": ["Ar", "argon"]}, "atmosphere: 'Ar' is not accepted; allowed: every value once"),
    ({"atmosphere": "argn"}, r"Did you mean 'argon'\?"),
    ({"atmosphere": {"from": 1, "to": 2, "step": 1}}, "Only numbers have ranges"),
    ({"sinter_temperature": 800}, r"sinter_temperature: 800 .*Did you mean 'sintering_temperature_c'\?"),
    ({"additive": "LiF"}, "Additives have a list of their own"),
    ({"formula": "LTP"}, "Compositions have a list of their own"),
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


def test_nothing_of_an_additive_is_none_and_counted_once() -> None:
    stated = [{"name": ["LiF", "B2O3"], "amount": [0, 1], "unit": "wt%"}, "none"]
    found = SearchSpace.from_dict(small(additives=stated))
    axis = next(axis for axis in found.axes.fields if Column.ADDITIVE in axis.cells)
    assert axis.cells[Column.ADDITIVE] == [None, "LiF", "B2O3"]
    assert axis.cells[Column.ADDITIVE_AMOUNT] == [None, 1, 1]
    for word in ("without", "undoped", 0):
        same = SearchSpace.from_dict(small(additives=[stated[0], word]))
        assert same.size == found.size


def test_an_additive_without_amount_is_one() -> None:
    found = SearchSpace.from_dict(small(additives=[{"name": ["LiF", "B2O3"]}, None]))
    assert found.chunk(0, found.size).table[Column.ADDITIVE].unique().tolist()[:2] == ["LiF", "B2O3"]
    with pytest.raises(SpaceError, match="It occurs twice"):
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
        ("a: 1\na: 2", "occurs more than once"),
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


MODEL = PropertyModel.load(Path(ROOT) / "models" / "champion")
SPACES = {
    "small": SearchSpace.from_dict(small()),
    "nothing but compositions": SearchSpace.from_dict({"compositions": small()["compositions"]}),
    "argon": SearchSpace.from_yaml(ROOT / "examples" / "screening" / "argon_cosintering.yaml"),
    "example": SearchSpace.from_yaml(ROOT / "examples" / "screening" / "small.yaml"),
}


@pytest.mark.parametrize("name", SPACES)
@given(seed=st.integers(0, 2**32), level=st.sampled_from([0.5, 0.9]))
@settings(max_examples=4)
def test_scores_are_the_predictions_for_the_same_fields(name: str, seed: int, level: float) -> None:
    space = SPACES[name]
    found = space.at(np.random.default_rng(seed).integers(space.size, size=60))
    made = []
    for row, formula in enumerate(found.formulas(range(len(found)))):
        fields = {key: value for key, value in found.table.iloc[row].items() if not pd.isna(value)}
        fields.pop(Column.MEASUREMENT_TEMPERATURE_C.value, None)
        made.append(Recipe.from_dict({Column.FORMULA.value: formula, **fields}))
    table = recipe_table(made)
    temperature = Column.MEASUREMENT_TEMPERATURE_C.value
    table[temperature] = found.table[temperature]
    expected = MODEL.predict(table, level=level)
    for column, values in MODEL.scores(found.table, level=level, sites=found.sites).items():
        np.testing.assert_allclose(values, expected[column].to_numpy(dtype=np.float64), rtol=1e-9, err_msg=column)
    systems = found.sites.per_row(found.sites.systems)
    assert expected[Column.SYSTEM].tolist() == systems.tolist()


SMALL = SearchSpace.from_dict(small())
FINE = {"from": 700, "to": 800, "step": 0.01}
LARGE = SearchSpace.from_dict(small(processing=small()["processing"] | {"sintering_temperature_c": FINE}))


@pytest.mark.parametrize("method", space.METHODS)
@pytest.mark.parametrize("searched", [SMALL, LARGE], ids=["small", "large"])
def test_samples_are_good_different_and_repeatable(searched: SearchSpace, method: str) -> None:
    sample = searched.sample(200, method, seed=7)
    assert sample.size == len(np.unique(sample.chosen)) == 200
    assert np.array_equal(searched.at(sample.chosen).positions, sample.chosen)  # all satisfy the constraints
    assert np.array_equal(sample.chosen, searched.sample(200, method, seed=7).chosen)
    assert not np.array_equal(sample.chosen, searched.sample(200, method, seed=8).chosen)


@pytest.mark.parametrize("method", space.METHODS)
@pytest.mark.parametrize("budget", [810, 811, 10_000])
def test_a_budget_beyond_the_space_takes_all_of_it(method: str, budget: int) -> None:
    sample = SMALL.sample(budget, method)
    assert np.array_equal(sample.chosen, SMALL.chunk(0, SMALL.size).positions)


def test_a_sample_is_cut_like_a_space() -> None:
    sample = LARGE.sample(100, "sobol")
    whole = sample.chunk(0, sample.size)
    parts = [sample.chunk(start, start + 30) for start in range(0, 120, 30)]
    assert whole.positions.tolist() == [number for part in parts for number in part.positions] == [*range(100)]
    assert whole.formulas(range(100)) == [spelled for part in parts for spelled in part.formulas(range(len(part)))]
    assert sample.at(np.array([42])).formulas([0]) == whole.formulas([42])
    assert LARGE.at(sample.chosen[[42]]).formulas([0]) == whole.formulas([42])


def test_random_samples_are_uniform(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn one by one or by shuffling, every candidate is as likely as any other."""
    for shuffled in (10**7, 0):
        monkeypatch.setattr(space, "_MAX_SHUFFLED", shuffled)
        counts = np.zeros(SMALL.size)
        for seed in range(60):
            counts[SMALL.sample(81, "random", seed).chosen] += 1
        good = SMALL.chunk(0, SMALL.size).positions
        assert counts.sum() == counts[good].sum() == 60 * 81
        # chi-squared over 810 cells of 6 expected draws each, draws without replacement: variance 0.9
        chi = ((counts[good] - 6) ** 2 / (6 * 0.9)).sum()
        assert abs(chi - 810) < 5 * np.sqrt(2 * 810)


def test_sobol_spreads_over_every_axis_better_than_chance() -> None:
    free = SearchSpace.from_dict(
        small(
            constraints=None,
            processing={"sintering_temperature_c": FINE, "sintering_time_h": {"from": 1, "to": 9, "count": 1000}},
        )
    )

    def unevenness(method: str) -> float:
        total = 0.0
        for seed in range(5):
            table = free.sample(256, method, seed).chunk(0, 256).table
            for column in ("sintering_temperature_c", "sintering_time_h"):
                counts = np.histogram(table[column], bins=64)[0]
                total += float(((counts - 4) ** 2).sum())
        return total

    assert unevenness("sobol") < 0.25 * unevenness("random")


def test_a_sample_says_what_it_is() -> None:
    sample = SMALL.sample(100, "random", 3)
    assert sample.describe().endswith("sample: 100 of them, at random, seed 3")
    assert sample.to_json()["sample"] == {"method": "random", "budget": 100, "seed": 3, "size": 100}
    assert "fewer than the 9,000 asked for" in SMALL.sample(9000, "sobol").describe()
    prints = {SMALL.sample(*asked).fingerprint for asked in [(9, "random", 1), (9, "sobol", 1), (9, "random", 2)]}
    assert len(prints) == 3
    assert str(sample.count()) == "100"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ((10, "sobel", 0), r"sample: 'sobel' is not accepted; allowed: random or sobol. Did you mean 'sobol'\?"),
        ((0, "sobol", 0), "budget: 0 is not accepted; allowed: a whole number from 1 to 50000000"),
        ((10**9, "sobol", 0), "budget: 1000000000 is not accepted"),
        ((1.5, "sobol", 0), "budget: 1.5 is not accepted"),
        ((True, "sobol", 0), "budget: True is not accepted"),
        ((10, "sobol", -1), "seed: -1 is not accepted; allowed: a whole number from 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(asked: Any, message: str) -> None:
    with pytest.raises(FieldError, match=message):
        SMALL.sample(*asked)


def test_few_candidates_among_many_are_found_or_the_search_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space, "_MAX_SHUFFLED", 0)
    sample = SMALL.sample(809, "random")
    assert 700 < sample.size <= 809
