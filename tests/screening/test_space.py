"""Search spaces and samples of them: reading, positions, counts and descriptions."""

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
from nasicon_ml.screening import SearchSpace
from nasicon_ml.screening import space as space_module
from nasicon_ml.screening.space import Candidates
from tests.contracts.source import ROOT
from tests.screening.stated_spaces import small_spec

SPACE = SearchSpace.from_dict(small_spec())


def recipes_of(candidates: Candidates) -> pd.DataFrame:
    """Return candidates as a table of recipes, as read by `read_batch`."""
    table = candidates.table.astype("object")
    table = table.where(table.notna(), None)
    table.insert(0, Column.FORMULA.value, candidates.formulas(range(len(candidates))))
    return table


def test_sizes_of_small_space() -> None:
    # 5 + 2 x 2 compositions, 3 additives, 3 x 4 x 5 combinations of processing. The constraints leave 3 of 5
    # temperatures, and remove 2 heating rates in argon.
    assert SPACE.stated_size == 9 * 3 * 60
    assert SPACE.size == 9 * 3 * 36
    assert SPACE.count().candidates == 9 * 3 * 3 * (12 - 2)
    assert str(SPACE.count()) == "810"


def test_table_has_columns_dtypes_and_index_of_model_input() -> None:
    table = SPACE.chunk(0, SPACE.size).table
    assert list(table) == [column.value for column in MODEL_INPUT if column is not Column.FORMULA]
    for name in table:
        assert str(table[name].dtype) == ("float64" if Column(name).kind is Kind.NUMBER else "category"), name
    assert list(table.index) == list(range(len(table)))
    assert list(table[Column.ATMOSPHERE].cat.categories) == list(Column.ATMOSPHERE.choices)


def test_candidates_are_valid_recipes_without_duplicates() -> None:
    table = recipes_of(SPACE.chunk(0, SPACE.size))
    batch = read_batch(table)
    assert batch.findings == []
    assert batch.warnings == []
    assert not table.duplicated().any()
    expected = table[list(batch.table)].where(table.notna(), np.nan)
    pd.testing.assert_frame_equal(batch.table.where(batch.table.notna(), np.nan), expected, check_dtype=False)


@given(st.lists(st.integers(0, SPACE.size), max_size=5), st.sampled_from([1, 2, 4, 1024]))
@settings(max_examples=30)
def test_chunks_together_equal_whole_space(cuts: list[int], block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(space_module, "BLOCK_SIZE", block)
        all_candidates = SPACE.chunk(0, SPACE.size)
        edges = [0, *sorted(cuts), SPACE.size]
        parts = [SPACE.chunk(start, stop) for start, stop in itertools.pairwise(edges)]
    assert np.array_equal(all_candidates.positions, np.concatenate([part.positions for part in parts]))
    tables = pd.concat([part.table for part in parts if len(part)], ignore_index=True)
    pd.testing.assert_frame_equal(all_candidates.table, tables)
    spread = np.concatenate([part.sites.per_row(part.sites.m) for part in parts])
    assert np.array_equal(all_candidates.sites.per_row(all_candidates.sites.m), spread)


@given(st.lists(st.integers(0, SPACE.size - 1), max_size=20), st.sampled_from([1, 4, 1024]))
def test_axis_indices_and_positions_are_inverse(positions: list[int], block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(space_module, "BLOCK_SIZE", block)
        expected = np.array(positions, dtype=np.int64)
        assert np.array_equal(SPACE.positions(SPACE.axis_indices(expected)), expected)


def test_at_returns_candidates_in_given_order() -> None:
    all_candidates = recipes_of(SPACE.chunk(0, SPACE.size))
    all_positions = SPACE.chunk(0, SPACE.size).positions
    order = np.random.default_rng(0).permutation(len(all_positions))[:50]
    candidates = SPACE.at(all_positions[order])
    assert np.array_equal(candidates.positions, all_positions[order])
    pd.testing.assert_frame_equal(recipes_of(candidates), all_candidates.iloc[order].reset_index(drop=True))
    for wrong in (-1, SPACE.size):
        with pytest.raises(FieldError, match="position: "):
            SPACE.at(np.array([wrong]))


def test_compositions_vary_fastest() -> None:
    candidates = SPACE.chunk(0, 18)
    assert len(candidates.sites.systems) == len(SPACE.axes.compositions) == 9
    assert candidates.sites.index.tolist() == [*range(9)] * 2
    assert len(candidates.table.drop_duplicates()) == 2


def test_empty_range_gives_empty_chunk() -> None:
    for candidates in (SPACE.chunk(5, 5), SPACE.chunk(SPACE.size, SPACE.size + 9)):
        assert (len(candidates), len(candidates.table), candidates.formulas([])) == (0, 0, [])


def test_chunk_without_candidate_is_empty() -> None:
    all_positions = SPACE.chunk(0, SPACE.size).positions
    gap = int(np.flatnonzero(np.diff(all_positions) > 1)[0])
    candidates = SPACE.chunk(int(all_positions[gap]) + 1, int(all_positions[gap + 1]))
    assert (len(candidates), len(candidates.sites.systems)) == (0, 0)


def test_very_large_space_is_not_enumerated_and_size_is_limited() -> None:
    huge = {"from": 700, "to": 799.9, "step": 0.001}
    fields = small_spec()["processing"] | {"sintering_temperature_c": huge, "calcination_temperature_c": huge}
    large = SearchSpace.from_dict(small_spec(processing=fields))
    assert large.size > 10**12
    assert large.count().exact
    assert 0 < len(large.chunk(large.size - 1000, large.size)) <= 1000
    fields |= {"particle_size_um": {"from": 0.1, "to": 1, "count": 100_000}}
    with pytest.raises(SpaceError, match=r"allowed: at most 4.61e\+18 candidates"):
        SearchSpace.from_dict(
            small_spec(processing=fields | {"sintering_time_h": {"from": 1, "to": 9, "count": 99_999}})
        )


def test_fingerprint_depends_on_candidates_and_not_on_name() -> None:
    assert SPACE.fingerprint == SearchSpace.from_dict(small_spec(name="other")).fingerprint
    changes: list[dict[str, Any]] = [
        {"constraints": None},
        {"additives": None},
        {"compositions": small_spec()["compositions"][:1]},
        {"processing": small_spec()["processing"] | {"atmosphere": ["air", "Ar", "not given"]}},
        {"constraints": [{"when": {"atmosphere": "air"}, "then": {"heating_rate_c_min": 5}, "because": "so"}]},
    ]
    fingerprints = {SearchSpace.from_dict(small_spec(**change)).fingerprint for change in changes}
    assert len(fingerprints | {SPACE.fingerprint}) == len(changes) + 1


def test_json_round_trip_keeps_fingerprint() -> None:
    described = json.loads(json.dumps(SPACE.to_json(), allow_nan=False))
    assert SearchSpace.from_dict(described["stated"]).fingerprint == SPACE.fingerprint == described["fingerprint"]
    assert described["candidates"] == {"count": 810, "exact": True, "standard_error": 0.0}


def test_from_dict_accepts_arrays_tuples_and_nan() -> None:
    spec = small_spec()
    spec["processing"]["heating_rate_c_min"] = (np.float64(1.0), 1.5, 5, float("nan"))
    spec["processing"]["sintering_temperature_c"] = np.arange(700, 901, 50)
    from_arrays = SearchSpace.from_dict(spec)
    assert from_arrays.fingerprint == SPACE.fingerprint
    json.dumps(from_arrays.to_json(), allow_nan=False)


def test_deep_copy_is_same_space() -> None:
    copied = copy.deepcopy(SPACE)
    assert copied.fingerprint == SPACE.fingerprint
    pd.testing.assert_frame_equal(recipes_of(copied.chunk(0, 99)), recipes_of(SPACE.chunk(0, 99)))


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
def test_invalid_processing_raises_space_error_with_hint(fields: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        SearchSpace.from_dict(small_spec(processing=fields, constraints=None))


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
def test_invalid_additive_raises_space_error_with_hint(additive: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        SearchSpace.from_dict(small_spec(additives=["none", additive]))


def test_amount_zero_and_synonyms_of_none_are_one_additive_option() -> None:
    spec = [{"name": ["LiF", "B2O3"], "amount": [0, 1], "unit": "wt%"}, "none"]
    with_zero = SearchSpace.from_dict(small_spec(additives=spec))
    axis = next(axis for axis in with_zero.axes.fields if Column.ADDITIVE in axis.cells)
    assert axis.cells[Column.ADDITIVE] == [None, "LiF", "B2O3"]
    assert axis.cells[Column.ADDITIVE_AMOUNT] == [None, 1, 1]
    for synonym in ("without", "undoped", 0):
        same = SearchSpace.from_dict(small_spec(additives=[spec[0], synonym]))
        assert same.size == with_zero.size


def test_additive_without_amount_is_accepted() -> None:
    without_amount = SearchSpace.from_dict(small_spec(additives=[{"name": ["LiF", "B2O3"]}, None]))
    assert without_amount.chunk(0, without_amount.size).table[Column.ADDITIVE].unique().tolist()[:2] == [
        "LiF",
        "B2O3",
    ]
    with pytest.raises(SpaceError, match="It occurs twice"):
        SearchSpace.from_dict(small_spec(additives=["none", "not given"]))


def test_temperature_that_looks_like_kelvin_gives_warning() -> None:
    with_warning = SearchSpace.from_dict(
        small_spec(processing={"calcination_temperature_c": [1073, 900]}, constraints=None)
    )
    assert with_warning.warnings == (
        "calcination_temperature_c: calcination temperature 1073 °C looks like kelvin: 1073 K is 800 °C.",
    )
    assert "doubtful:\n  calcination_temperature_c" in with_warning.describe()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ([], r"space: \[\] is not accepted; allowed: a mapping with name, compositions"),
        ({}, "There is no 'compositions' in it"),
        ({"compositions": []}, "The list is empty"),
        (small_spec(procesing={}), r"procesing: {} .*Did you mean 'processing'\?"),
        (small_spec(name=3), "name: 3 is not accepted"),
        (small_spec(constraints={}), "constraints: {} is not accepted; allowed: a list of constraints"),
    ],
)
def test_invalid_space_raises_space_error_with_hint(spec: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        SearchSpace.from_dict(spec)


def test_recursive_specification_raises_space_error() -> None:
    recursive_spec: dict[str, Any] = small_spec()
    recursive_spec["compositions"].append(recursive_spec)
    with pytest.raises(SpaceError, match="never nested so deeply"):
        SearchSpace.from_dict(recursive_spec)


def _write_yaml(folder: Path, text: str) -> Path:
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


def test_yaml_file_is_read(tmp_path: Path) -> None:
    read = SearchSpace.from_yaml(_write_yaml(tmp_path, YAML))
    assert (read.name, read.size, read.count().candidates) == ("search space", 18, 12)


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
def test_error_in_yaml_file_names_file_and_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in YAML
    text = YAML.replace(old, new, 1)
    if "{max: 0.5}" in new:  # no heating rate satisfies this bound, and no other atmosphere remains
        text = text.replace("[argon, not given]", "argon")
    with pytest.raises(SpaceError, match=message):
        SearchSpace.from_yaml(_write_yaml(tmp_path, text))


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
def test_invalid_yaml_raises_unreadable_file_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UnreadableFileError, match=message):
        SearchSpace.from_yaml(_write_yaml(tmp_path, text))


def test_missing_file_raises_unreadable_file_error(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="there is no such file"):
        SearchSpace.from_yaml(tmp_path / "nothing.yaml")


@given(st.text(alphabet="compositions: x-[]{}\n~#&*!'\"0123.,LATPfromtostep", max_size=80))
def test_any_text_is_read_or_raises_error_naming_file(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        message = "space.yaml"
        try:
            SearchSpace.from_yaml(_write_yaml(Path(folder), text))
        except (SpaceError, UnreadableFileError) as error:
            message = str(error)
    assert "space.yaml" in message


MODEL = PropertyModel.load(Path(ROOT) / "models" / "champion")
SPACES = {
    "small": SearchSpace.from_dict(small_spec()),
    "only compositions": SearchSpace.from_dict({"compositions": small_spec()["compositions"]}),
    "argon": SearchSpace.from_yaml(ROOT / "examples" / "screening" / "argon_cosintering.yaml"),
    "example": SearchSpace.from_yaml(ROOT / "examples" / "screening" / "small.yaml"),
}


@pytest.mark.parametrize("name", SPACES)
@given(seed=st.integers(0, 2**32), level=st.sampled_from([0.5, 0.9]))
@settings(max_examples=4)
def test_scores_of_candidates_equal_predictions_of_recipes(name: str, seed: int, level: float) -> None:
    space = SPACES[name]
    candidates = space.at(np.random.default_rng(seed).integers(space.size, size=60))
    built = []
    for row, formula in enumerate(candidates.formulas(range(len(candidates)))):
        fields = {key: value for key, value in candidates.table.iloc[row].items() if not pd.isna(value)}
        fields.pop(Column.MEASUREMENT_TEMPERATURE_C.value, None)
        built.append(Recipe.from_dict({Column.FORMULA.value: formula, **fields}))
    table = recipe_table(built)
    temperature = Column.MEASUREMENT_TEMPERATURE_C.value
    table[temperature] = candidates.table[temperature]
    expected = MODEL.predict(table, level=level)
    for column, values in MODEL.scores(candidates.table, level=level, sites=candidates.sites).items():
        np.testing.assert_allclose(values, expected[column].to_numpy(dtype=np.float64), rtol=1e-9, err_msg=column)
    systems = candidates.sites.per_row(candidates.sites.systems)
    assert expected[Column.SYSTEM].tolist() == systems.tolist()


FINE = {"from": 700, "to": 800, "step": 0.01}
LARGE = SearchSpace.from_dict(
    small_spec(processing=small_spec()["processing"] | {"sintering_temperature_c": FINE})
)


@pytest.mark.parametrize("method", space_module.METHODS)
@pytest.mark.parametrize("space", [SPACE, LARGE], ids=["small", "large"])
def test_samples_are_valid_unique_and_reproducible(space: SearchSpace, method: str) -> None:
    sample = space.sample(200, method, seed=7)
    assert sample.size == len(np.unique(sample.chosen)) == 200
    assert np.array_equal(space.at(sample.chosen).positions, sample.chosen)  # all satisfy the constraints
    assert np.array_equal(sample.chosen, space.sample(200, method, seed=7).chosen)
    assert not np.array_equal(sample.chosen, space.sample(200, method, seed=8).chosen)


@pytest.mark.parametrize("method", space_module.METHODS)
@pytest.mark.parametrize("budget", [810, 811, 10_000])
def test_sample_with_large_budget_is_whole_space(method: str, budget: int) -> None:
    sample = SPACE.sample(budget, method)
    assert np.array_equal(sample.chosen, SPACE.chunk(0, SPACE.size).positions)


def test_chunks_of_sample_together_equal_sample() -> None:
    sample = LARGE.sample(100, "sobol")
    all_candidates = sample.chunk(0, sample.size)
    parts = [sample.chunk(start, start + 30) for start in range(0, 120, 30)]
    assert (
        all_candidates.positions.tolist()
        == [number for part in parts for number in part.positions]
        == [*range(100)]
    )
    assert all_candidates.formulas(range(100)) == [
        formula for part in parts for formula in part.formulas(range(len(part)))
    ]
    assert sample.at(np.array([42])).formulas([0]) == all_candidates.formulas([42])
    assert LARGE.at(sample.chosen[[42]]).formulas([0]) == all_candidates.formulas([42])


def test_random_samples_are_uniform(monkeypatch: pytest.MonkeyPatch) -> None:
    """Candidates drawn one by one or by shuffling are all equally likely."""
    for shuffled in (10**7, 0):
        monkeypatch.setattr(space_module, "_MAX_SHUFFLED", shuffled)
        counts = np.zeros(SPACE.size)
        for seed in range(60):
            counts[SPACE.sample(81, "random", seed).chosen] += 1
        valid = SPACE.chunk(0, SPACE.size).positions
        assert counts.sum() == counts[valid].sum() == 60 * 81
        # chi-squared over 810 cells with 6 expected draws each; draws without replacement: variance 0.9
        chi = ((counts[valid] - 6) ** 2 / (6 * 0.9)).sum()
        assert abs(chi - 810) < 5 * np.sqrt(2 * 810)


def test_sobol_sample_covers_axes_more_evenly_than_random() -> None:
    free = SearchSpace.from_dict(
        small_spec(
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


def test_sample_describes_method_budget_and_seed() -> None:
    sample = SPACE.sample(100, "random", 3)
    assert sample.describe().endswith("sample: 100 of them, at random, seed 3")
    assert sample.to_json()["sample"] == {"method": "random", "budget": 100, "seed": 3, "size": 100}
    assert "fewer than the 9,000 asked for" in SPACE.sample(9000, "sobol").describe()
    fingerprints = {
        SPACE.sample(*arguments).fingerprint for arguments in [(9, "random", 1), (9, "sobol", 1), (9, "random", 2)]
    }
    assert len(fingerprints) == 3
    assert str(sample.count()) == "100"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((10, "sobel", 0), r"sample: 'sobel' is not accepted; allowed: random or sobol. Did you mean 'sobol'\?"),
        ((0, "sobol", 0), "budget: 0 is not accepted; allowed: a whole number from 1 to 50000000"),
        ((10**9, "sobol", 0), "budget: 1000000000 is not accepted"),
        ((1.5, "sobol", 0), "budget: 1.5 is not accepted"),
        ((True, "sobol", 0), "budget: True is not accepted"),
        ((10, "sobol", -1), "seed: -1 is not accepted; allowed: a whole number from 0"),
    ],
)
def test_invalid_sample_arguments_raise_field_error(arguments: Any, message: str) -> None:
    with pytest.raises(FieldError, match=message):
        SPACE.sample(*arguments)


def test_sample_of_nearly_all_candidates_without_shuffling_terminates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space_module, "_MAX_SHUFFLED", 0)
    sample = SPACE.sample(809, "random")
    assert 700 < sample.size <= 809
