"""docs/search-spaces.md lists exactly the keys of the code, and its examples work."""

from __future__ import annotations

import doctest
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from nasicon_ml.columns import Kind
from nasicon_ml.screening import SearchSpace, specification
from nasicon_ml.screening.compositions import FAMILY_KEYS, MIX_KEYS, read_dopant, read_mixtures
from nasicon_ml.screening.constraints import CONDITION_KEYS, CONSTRAINT_KEYS, read_rules
from nasicon_ml.screening.space import METHODS, SPACE_KEYS
from nasicon_ml.screening.specification import ADDITIVE_KEYS, FIELDS, SpecNode
from tests.contracts.source import ROOT

PAGE = (ROOT / "docs" / "search-spaces.md").read_text(encoding="utf-8")
EXAMPLES = sorted((ROOT / "examples" / "screening").glob("*.yaml"))
TABLES: list[tuple[str, Iterable[str]]] = [
    ("key", SPACE_KEYS),
    ("key of a range", specification.RANGE_KEYS),
    ("key of a family", FAMILY_KEYS),
    ("key of an additive", ADDITIVE_KEYS),
    ("field", [column.value for column in FIELDS]),
    ("key of a constraint", CONSTRAINT_KEYS),
    ("method", METHODS),
]


def table_rows(head: str) -> list[list[str]]:
    """Return the cells of the table whose first column has this head."""
    table = PAGE.split(f"\n| {head} | ")[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def yaml_rows(head: str) -> list[tuple[Any, str]]:
    """Return the rows of a table with two columns, the first read as YAML."""
    return [(yaml.safe_load(cell.strip("`")), text) for cell, text in table_rows(head)]


@pytest.mark.parametrize(("head", "keys"), TABLES, ids=[head for head, _ in TABLES])
def test_tables_list_all_keys_of_code(head: str, keys: Iterable[str]) -> None:
    assert [cell.strip("`") for cell, _ in table_rows(head)] == list(keys)


def test_bounds_of_fields_agree_with_columns() -> None:
    bounds = dict(zip(FIELDS, (text for _, text in table_rows("field")), strict=True))
    for column, text in bounds.items():
        if column.kind is Kind.NUMBER:
            assert text == f"{column.minimum:g} to {column.maximum:g} {column.unit}"


def test_examples_of_values_are_read_as_stated() -> None:
    for value, text in yaml_rows("written"):
        items = value if isinstance(value, list) else [value]
        spec = SpecNode([item for item in items if item != "not given"])
        values = ["not given"] * ("not given" in items) + [
            f"{number:g}" for number in specification.read_numbers(spec, 0, 1e4)
        ]
        assert ", ".join(values) == text


def test_examples_of_mixtures_are_read() -> None:
    table = PAGE.split("| written | meaning |")[1].split("\n\n")[0].splitlines()[2:]
    mixtures = [yaml.safe_load(line.split("|")[1].strip(" `")) for line in table]
    assert [len(read_mixtures(SpecNode(mixture), read_dopant)) for mixture in mixtures] == [1, 2, 1, 5]
    assert list(mixtures[-1]) == list(MIX_KEYS)


def test_examples_of_conditions_are_read() -> None:
    names = {"A": "atmosphere", "[": "atmosphere", "{": "sintering_temperature_c"}
    conditions = yaml_rows("condition")
    assert len(conditions) == 8
    assert {key for condition, _ in conditions if isinstance(condition, dict) for key in condition} == set(
        CONDITION_KEYS
    )
    for condition, _ in conditions:
        name = "atmosphere" if "not" in condition else names[str(condition)[0]]
        read_rules(SpecNode([{"require": {name: condition}, "because": "so"}]), [])


def test_example_spaces_of_page_have_stated_sizes() -> None:
    spaces = [
        SearchSpace.from_dict(yaml.safe_load(block)) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
    ]
    # 5 x 2 x 7; 5 x 5 and 2 x 3 x 2 x 2 and 9 compositions; 1 + 2 + 2 additives; 5 temperatures, 3 rates in
    # air and 2 in argon, for LATP by one route and for LAGP by two
    assert [space.count().candidates for space in spaces] == [70, 25 + 24 + 9, 5, 5 * (3 + 2) * (1 + 2)]


def test_python_examples_give_output_shown() -> None:
    without_fences = re.sub(r"^```.*$", "", PAGE, flags=re.MULTILINE)
    example = doctest.DocTestParser().get_doctest(without_fences, {}, "search-spaces.md", None, 0)
    runner = doctest.DocTestRunner()
    runner.run(example)
    assert runner.tries >= 8
    assert runner.failures == 0


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example_files_are_read_without_warnings_and_mentioned(path: Path) -> None:
    space = SearchSpace.from_yaml(path)
    assert space.warnings == ()
    assert path.name in PAGE


def test_example_files_have_stated_sizes() -> None:
    small, argon = (
        SearchSpace.from_yaml(ROOT / "examples" / "screening" / name).count()
        for name in ("small.yaml", "argon_cosintering.yaml")
    )
    assert 1000 < small.candidates < 10_000
    assert 5_500_000 < argon.candidates < 6_500_000  # "some six million"


def test_candidates_of_argon_example_satisfy_its_constraints() -> None:
    space = SearchSpace.from_yaml(ROOT / "examples" / "screening" / "argon_cosintering.yaml")
    table = space.sample(2000, "sobol").chunk(0, 2000).table
    assert table["sintering_temperature_c"].max() == 800
    assert table["heating_rate_c_min"].max() == 1.5
    assert set(table["atmosphere"]) == {"Ar"}
    pressed = table["densification"] == "hot_press"
    assert (table["pressure_mpa"].notna() == pressed).all()
