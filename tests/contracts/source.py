"""The source of the package as syntax trees, and functions that extract imports and docstrings."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "nasicon_ml"


@dataclass(frozen=True)
class Module:
    """One module of the package: its dotted name and its source code."""

    name: str
    text: str
    is_package: bool = False

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def layer(self) -> str:
        """The module or package directly below `nasicon_ml`; empty for `nasicon_ml` itself."""
        return self.name.partition(".")[2].partition(".")[0]


@dataclass(frozen=True)
class Import:
    """One imported module: its dotted name, and line and context of the statement."""

    target: str
    line: int
    at_module_level: bool
    for_types_only: bool


@cache
def modules() -> tuple[Module, ...]:
    """All modules below src/, sorted by path."""
    result = []
    for path in sorted((ROOT / "src" / PACKAGE).rglob("*.py")):
        parts = list(path.relative_to(ROOT / "src").with_suffix("").parts)
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        result.append(Module(name, path.read_text(encoding="utf-8"), is_package))
    return tuple(result)


@cache
def tracked_files() -> tuple[Path, ...]:
    """The files that git tracks or that are not ignored."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return tuple(ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file())


def imports(module: Module, known: frozenset[str] = frozenset()) -> list[Import]:
    """Everything the module imports, also inside functions.

    `from package import name` counts as an import of `package.name` where that is one of the `known` modules.
    Names that are passed as literals to `import_module` count, too.
    """
    return [
        Import(target, getattr(node, "lineno", 0), not inside, for_types)
        for node, inside, for_types in _walk(module.tree)
        for target in _targets(node, module, known)
    ]


def _walk(tree: ast.AST, inside: bool = False, for_types: bool = False) -> Iterator[tuple[ast.AST, bool, bool]]:
    for child in ast.iter_child_nodes(tree):
        yield child, inside, for_types
        in_function = inside or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        types_block = isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")
        yield from _walk(child, in_function, for_types or types_block)


def _targets(node: ast.AST, module: Module, known: frozenset[str]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = _absolute(node, module)
        names = [f"{base}.{alias.name}" for alias in node.names]
        return list(dict.fromkeys(name if name in known else base for name in names))
    if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in {"import_module", "__import__"}:
        first = node.args[0] if node.args else None
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            return [first.value]
    return []


def _absolute(node: ast.ImportFrom, module: Module) -> str:
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    above = parts[: len(parts) - node.level + module.is_package]
    return ".".join([*above, node.module] if node.module else above)


def docstrings(tree: ast.AST) -> set[int]:
    """The ids of constants that are statements: docstrings and attribute docstrings."""
    return {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
