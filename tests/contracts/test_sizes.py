"""Small pieces: short files and functions, each of which says what it is for; no drawer for odds and ends."""

from __future__ import annotations

import ast

import pytest

from tests.contracts.source import ROOT, Module, modules, tracked_files

MAX_FILE_LINES = 700
MAX_FUNCTION_LINES = 60
DRAWERS = {"utils", "util", "helpers", "helper", "misc", "common", "tools"}


def too_long(module: Module) -> list[str]:
    """Return which functions of the module have too many lines, their docstring not counted."""
    found = []
    for node in ast.walk(module.tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0]
            has_docstring = ast.get_docstring(node) is not None and first.end_lineno is not None
            docstring = first.end_lineno - first.lineno + 1 if has_docstring and first.end_lineno else 0
            lines = (node.end_lineno or node.lineno) - node.lineno + 1 - docstring
            if lines > MAX_FUNCTION_LINES:
                found.append(f"{module.name}:{node.lineno} {node.name} has {lines} lines")
    return found


def without_docstring(module: Module) -> list[str]:
    """Return which public modules, classes and functions say nothing about themselves."""
    found = [] if ast.get_docstring(module.tree) else [f"{module.name}: the module"]
    private = any(part.startswith("_") for part in module.name.split("."))
    return [*found, *([] if private else _silent(module.tree, module.name))]


def _silent(scope: ast.AST, name: str) -> list[str]:
    found = []
    for node in ast.iter_child_nodes(scope):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) or node.name.startswith(
            "_"
        ):
            continue
        is_variant = any(
            ast.unparse(decorator).endswith(("overload", "setter")) for decorator in node.decorator_list
        )
        if not ast.get_docstring(node) and not is_variant:
            found.append(f"{name}:{node.lineno} {node.name}")
        if isinstance(node, ast.ClassDef):
            found.extend(_silent(node, name))
    return found


def row_loops(module: Module) -> list[str]:
    """Return where the module goes through a table row by row."""
    return [
        f"{module.name}:{node.lineno} {node.attr}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and node.attr == "iterrows"
    ]


def test_files_are_short() -> None:
    python = [path for path in tracked_files() if path.suffix == ".py"]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in python}
    assert {name: length for name, length in lengths.items() if length > MAX_FILE_LINES} == {}


def test_functions_are_short() -> None:
    assert [line for module in modules() for line in too_long(module)] == []


def test_public_things_say_what_they_are_for() -> None:
    assert [line for module in modules() for line in without_docstring(module)] == []


def test_tables_are_not_walked_row_by_row() -> None:
    assert [line for module in modules() for line in row_loops(module)] == []


def test_there_is_no_drawer() -> None:
    assert [module.name for module in modules() if DRAWERS.intersection(module.name.split("."))] == []


def _function(lines: int, docstring: str = "") -> Module:
    body = "\n".join(["    x = 1"] * (lines - 1))
    return Module("nasicon_ml.data.load", f"def f():\n{docstring}{body}\n")


def test_a_long_function_is_seen() -> None:
    assert too_long(_function(60)) == []
    assert len(too_long(_function(61))) == 1
    assert too_long(_function(60, "    '''One.\n\n    Two.\n    '''\n")) == []


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("def f(): ...", 2),
        ("'''Doc.'''\nclass A:\n    '''Doc.'''\n    def f(self): ...", 1),
        ("'''Doc.'''\ndef _f(): ...\nclass _A: ...", 0),
    ],
)
def test_a_silent_thing_is_seen(text: str, count: int) -> None:
    assert len(without_docstring(Module("nasicon_ml.data.load", text))) == count


def test_a_row_loop_is_seen() -> None:
    assert len(row_loops(Module("nasicon_ml.data.load", "for _, row in frame.iterrows(): ..."))) == 1
