"""No column's name is spelled outside `nasicon_ml.columns`."""

from __future__ import annotations

import ast

import pytest

from nasicon_ml.columns import Column
from tests.contracts.source import Module, docstrings, modules

# Words that are a column's name and something else as well: (module, word) and what it means there.
ALLOWED = {
    ("nasicon_ml.plots.evaluation", "source"): "the word, in a label that counts sources",
}

NAMES = frozenset(column.value for column in Column)


def spelled_names(module: Module) -> list[tuple[str, int]]:
    """Every column name that stands as a text in the module, with its line; docstrings aside."""
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


def test_no_column_name_is_spelled() -> None:
    found = [
        f"{module.name}:{line} spells {name!r}: use Column.{name.upper()}"
        for module in modules()
        if module.name != "nasicon_ml.columns"
        for name, line in spelled_names(module)
        if (module.name, name) not in ALLOWED
    ]
    assert found == []


def test_every_exception_is_still_needed() -> None:
    spelled = {(module.name, name) for module in modules() for name, _ in spelled_names(module)}
    assert set(ALLOWED) - spelled == set()


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
def test_a_spelled_name_is_seen(text: str) -> None:
    assert len(spelled_names(Module("nasicon_ml.data.load", text))) == 1


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
def test_other_texts_pass(text: str) -> None:
    assert spelled_names(Module("nasicon_ml.data.load", text)) == []
