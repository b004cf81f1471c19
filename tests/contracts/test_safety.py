"""Nothing that is read can run code: no pickle in any form, no eval, no unsafe YAML."""

from __future__ import annotations

import ast

import pytest

from tests.contracts.source import Module, imports, modules

FORBIDDEN_IMPORTS = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
FORBIDDEN_NAMES = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_METHODS = {"eval", "to_pickle", "read_pickle", "unsafe_load", "full_load", "load_all"}


def dangers(module: Module) -> list[str]:
    """Say what in the module could run code that came from a file."""
    found = [
        f"{module.name}:{item.line} imports {item.target}"
        for item in imports(module)
        if FORBIDDEN_IMPORTS.intersection(item.target.split("."))
    ]
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        owner, _, name = called.rpartition(".")
        unsafe_numpy = any(
            keyword.arg == "allow_pickle" and not _is_false(keyword.value) for keyword in node.keywords
        )
        if (
            called in FORBIDDEN_NAMES
            or (owner and name in FORBIDDEN_METHODS)
            or (called == "yaml.load" and not _has_safe_loader(node, module.tree))
            or unsafe_numpy
        ):
            found.append(f"{module.name}:{node.lineno} calls {called}")
    return found


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def _has_safe_loader(call: ast.Call, tree: ast.AST) -> bool:
    """Whether `yaml.load` is given SafeLoader, or a class that the same module derives from it."""
    safe = {"yaml.SafeLoader", "yaml.CSafeLoader"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and safe.intersection(map(ast.unparse, node.bases)):
            safe.add(node.name)
    return any(keyword.arg == "Loader" and ast.unparse(keyword.value) in safe for keyword in call.keywords)


def test_nothing_read_can_run_code() -> None:
    assert [line for module in modules() for line in dangers(module)] == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "def save():\n    from joblib import dump",
        "import numpy.ma, cloudpickle",
        "from sklearn.externals import joblib as j\nimport sklearn.externals.joblib",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=flag)",
        "eval(text)",
        "frame.eval('a + b')",
        "pd.read_pickle(path)",
        "yaml.load(text)",
        "class Plain(yaml.Loader): ...\nyaml.load(text, Loader=Plain)",
        "__import__(name)",
    ],
)
def test_a_danger_is_seen(text: str) -> None:
    assert len(dangers(Module("nasicon_ml.data.load", text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "np.load(path, allow_pickle=False)",
        "yaml.safe_load(text)",
        "class Plain(yaml.SafeLoader): ...\nyaml.load(text, Loader=Plain)",
        "re.compile(text)",
    ],
)
def test_the_safe_form_passes(text: str) -> None:
    assert dangers(Module("nasicon_ml.data.load", text)) == []
