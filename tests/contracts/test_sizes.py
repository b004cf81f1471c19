"""Limits on the length of files and functions, docstrings for public objects, and no catch-all modules."""

from __future__ import annotations

import ast

import pytest

from tests.contracts.source import ROOT, Module, modules, tracked_files

MAX_FILE_LINES = 700
MAX_FUNCTION_LINES = 60
CATCH_ALL_NAMES = {"utils", "util", "helpers", "helper", "misc", "common", "tools"}


def long_functions(module: Module) -> list[str]:
    """Return the functions of the module with too many lines, not counting their docstring."""
    findings = []
    for node in ast.walk(module.tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0]
            has_docstring = ast.get_docstring(node) is not None and first.end_lineno is not None
            docstring = first.end_lineno - first.lineno + 1 if has_docstring and first.end_lineno else 0
            lines = (node.end_lineno or node.lineno) - node.lineno + 1 - docstring
            if lines > MAX_FUNCTION_LINES:
                findings.append(f"{module.name}:{node.lineno} {node.name} has {lines} lines")
    return findings


def missing_docstrings(module: Module) -> list[str]:
    """Return the public modules, classes and functions without a docstring."""
    findings = [] if ast.get_docstring(module.tree) else [f"{module.name}: the module"]
    private = any(part.startswith("_") for part in module.name.split("."))
    return [*findings, *([] if private else _missing_below(module.tree, module.name))]


def _missing_below(scope: ast.AST, name: str) -> list[str]:
    findings = []
    for node in ast.iter_child_nodes(scope):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) or node.name.startswith(
            "_"
        ):
            continue
        is_variant = any(
            ast.unparse(decorator).endswith(("overload", "setter")) for decorator in node.decorator_list
        )
        if not ast.get_docstring(node) and not is_variant:
            findings.append(f"{name}:{node.lineno} {node.name}")
        if isinstance(node, ast.ClassDef):
            findings.extend(_missing_below(node, name))
    return findings


def row_loops(module: Module) -> list[str]:
    """Return the uses of `iterrows` in the module."""
    return [
        f"{module.name}:{node.lineno} {node.attr}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and node.attr == "iterrows"
    ]


def test_python_files_are_not_too_long() -> None:
    python = [path for path in tracked_files() if path.suffix == ".py"]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in python}
    assert {name: length for name, length in lengths.items() if length > MAX_FILE_LINES} == {}


def test_functions_are_not_too_long() -> None:
    assert [line for module in modules() for line in long_functions(module)] == []


def test_public_objects_have_docstrings() -> None:
    assert [line for module in modules() for line in missing_docstrings(module)] == []


def test_no_module_uses_iterrows() -> None:
    assert [line for module in modules() for line in row_loops(module)] == []


def test_no_module_has_a_catch_all_name() -> None:
    assert [module.name for module in modules() if CATCH_ALL_NAMES.intersection(module.name.split("."))] == []


def _function(lines: int, docstring: str = "") -> Module:
    body = "\n".join(["    x = 1"] * (lines - 1))
    return Module("nasicon_ml.data.load", f"def f():\n{docstring}{body}\n")


def test_long_functions_counts_lines_without_docstring() -> None:
    assert long_functions(_function(60)) == []
    assert len(long_functions(_function(61))) == 1
    assert long_functions(_function(60, "    '''One.\n\n    Two.\n    '''\n")) == []


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("def f(): ...", 2),
        ("'''Doc.'''\nclass A:\n    '''Doc.'''\n    def f(self): ...", 1),
        ("'''Doc.'''\ndef _f(): ...\nclass _A: ...", 0),
    ],
)
def test_missing_docstrings_finds_public_objects_only(text: str, count: int) -> None:
    assert len(missing_docstrings(Module("nasicon_ml.data.load", text))) == count


def test_row_loops_finds_iterrows() -> None:
    assert len(row_loops(Module("nasicon_ml.data.load", "for _, row in frame.iterrows(): ..."))) == 1
