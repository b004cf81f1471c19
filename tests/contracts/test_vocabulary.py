"""Names of columns are string literals only in `nasicon_ml.columns`."""

from __future__ import annotations

import ast

import pytest

from nasicon_ml.columns import Column
from tests.contracts.source import Module, docstrings, modules

# Literals that equal a column name but mean something else: (module, literal) and the meaning.
ALLOWED_LITERALS = {
    ("nasicon_ml.plots.evaluation", "source"): "the word, in a label that counts sources",
}

NAMES = frozenset(column.value for column in Column)


def hardcoded_column_names(module: Module) -> list[tuple[str, int]]:
    """Every string literal of the module that is a column name, with its line, except docstrings."""
    tree = module.tree
    skipped = docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            skipped.update(id(part) for part in node.values)
    return [
        (node.value, node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value in NAMES
        and id(node) not in skipped
    ]


def test_column_names_are_not_hardcoded() -> None:
    findings = [
        f"{module.name}:{line} has the literal {name!r}: use Column.{name.upper()}"
        for module in modules()
        if module.name != "nasicon_ml.columns"
        for name, line in hardcoded_column_names(module)
        if (module.name, name) not in ALLOWED_LITERALS
    ]
    assert findings == []


def test_allowed_literals_are_all_used() -> None:
    hardcoded = {(module.name, name) for module in modules() for name, _ in hardcoded_column_names(module)}
    assert set(ALLOWED_LITERALS) - hardcoded == set()


@pytest.mark.parametrize(
    "text",
    [
        "frame['sintering_temperature_c']",
        "frame.groupby('source')",
        "def pick(row, key='formula'): ...",
        "match key:\n    case 'system': ...",
        "NAMES = {'doi': 1}",
    ],
)
def test_hardcoded_column_names_finds_literal(text: str) -> None:
    assert len(hardcoded_column_names(Module("nasicon_ml.data.load", text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "'''source'''",
        "def source():\n    'formula'",
        "frame[Column.SOURCE]",
        "raise ValueError('a source is missing')",
        "source = f'{source}'",
    ],
)
def test_hardcoded_column_names_ignores_docstrings_and_other_texts(text: str) -> None:
    assert hardcoded_column_names(Module("nasicon_ml.data.load", text)) == []
