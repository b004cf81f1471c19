"""The page for users: every key of the code is there and no other, its spaces are read, its examples run."""

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


def rows(head: str) -> list[list[str]]:
    """The rows of the table whose first column has this head."""
    table = PAGE.split(f"\n| {head} | ")[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def written(head: str) -> list[tuple[Any, str]]:
    return [(yaml.safe_load(cell.strip("`")), said) for cell, said in rows(head)]


@pytest.mark.parametrize(("head", "keys"), TABLES, ids=[head for head, _ in TABLES])
def test_every_key_stands_there(head: str, keys: Iterable[str]) -> None:
    assert [cell.strip("`") for cell, _ in rows(head)] == list(keys)


def test_bounds_of_fields() -> None:
    said = dict(zip(FIELDS, (text for _, text in rows("field")), strict=True))
    for column, text in said.items():
        if column.kind is Kind.NUMBER:
            assert text == f"{column.minimum:g} to {column.maximum:g} {column.unit}"


def test_values_are_those_that_are_written() -> None:
    for value, said in written("written"):
        items = value if isinstance(value, list) else [value]
        stated = SpecNode([item for item in items if item != "not given"])
        found = ["not given"] * ("not given" in items) + [
            f"{number:g}" for number in specification.read_numbers(stated, 0, 1e4)
        ]
        assert ", ".join(found) == said


def test_mixtures_are_read() -> None:
    table = PAGE.split("| written | meaning |")[1].split("\n\n")[0].splitlines()[2:]
    mixtures = [yaml.safe_load(line.split("|")[1].strip(" `")) for line in table]
    assert [len(read_mixtures(SpecNode(mixture), read_dopant)) for mixture in mixtures] == [1, 2, 1, 5]
    assert list(mixtures[-1]) == list(MIX_KEYS)


def test_conditions_are_read() -> None:
    names = {"A": "atmosphere", "[": "atmosphere", "{": "sintering_temperature_c"}
    conditions = written("condition")
    assert len(conditions) == 8
    assert {key for condition, _ in conditions if isinstance(condition, dict) for key in condition} == set(
        CONDITION_KEYS
    )
    for condition, _ in conditions:
        name = "atmosphere" if "not" in condition else names[str(condition)[0]]
        read_rules(SpecNode([{"require": {name: condition}, "because": "so"}]), [])


def test_spaces_of_the_page_are_read() -> None:
    spaces = [
        SearchSpace.from_dict(yaml.safe_load(block)) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
    ]
    # 5 x 2 x 7; 5 x 5 and 2 x 3 x 2 x 2 and 9 compositions; 1 + 2 + 2 additives; 5 temperatures, 3 rates in
    # air and 2 in argon, for LATP by one route and for LAGP by two
    assert [space.count().candidates for space in spaces] == [70, 25 + 24 + 9, 5, 5 * (3 + 2) * (1 + 2)]


def test_examples() -> None:
    without_fences = re.sub(r"^```.*$", "", PAGE, flags=re.MULTILINE)
    example = doctest.DocTestParser().get_doctest(without_fences, {}, "search-spaces.md", None, 0)
    runner = doctest.DocTestRunner()
    runner.run(example)
    assert runner.tries >= 8
    assert runner.failures == 0


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example_files_are_read_without_a_doubt(path: Path) -> None:
    space = SearchSpace.from_yaml(path)
    assert space.warnings == ()
    assert path.name in PAGE


def test_sizes_of_the_examples() -> None:
    small, argon = (
        SearchSpace.from_yaml(ROOT / "examples" / "screening" / name).count()
        for name in ("small.yaml", "argon_cosintering.yaml")
    )
    assert 1000 < small.candidates < 10_000
    assert 5_500_000 < argon.candidates < 6_500_000  # "some six million"


def test_all_of_the_argon_example_is_fired_slowly_and_not_too_hot() -> None:
    space = SearchSpace.from_yaml(ROOT / "examples" / "screening" / "argon_cosintering.yaml")
    table = space.sample(2000, "sobol").chunk(0, 2000).table
    assert table["sintering_temperature_c"].max() == 800
    assert table["heating_rate_c_min"].max() == 1.5
    assert set(table["atmosphere"]) == {"Ar"}
    pressed = table["densification"] == "hot_press"
    assert (table["pressure_mpa"].notna() == pressed).all()
