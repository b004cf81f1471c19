"""The examples and the table of fields of docs/recipes.md are correct."""

import doctest
import re

from nasicon_ml.columns import RECIPE, Kind
from tests.contracts.source import ROOT

PAGE = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")


def test_examples_give_output_shown() -> None:
    without_fences = re.sub(r"^```.*$", "", PAGE, flags=re.MULTILINE)
    example = doctest.DocTestParser().get_doctest(without_fences, {}, "recipes.md", None, 0)
    runner = doctest.DocTestRunner()
    runner.run(example)
    assert runner.tries >= 10
    assert runner.failures == 0


def test_table_of_fields_agrees_with_columns() -> None:
    rows = [line.strip("|").split("|") for line in PAGE.splitlines() if line.startswith("| `")]
    assert [row[0].strip(" `") for row in rows] == [column.value for column in RECIPE]
    for row, column in zip(rows, RECIPE, strict=True):
        if column.choices:
            assert row[2].strip() == ", ".join(column.choices)
        elif column.kind is Kind.NUMBER:
            assert row[2].strip().startswith(f"{column.minimum:g} to {column.maximum:g}")
            assert column.unit in row[1]
