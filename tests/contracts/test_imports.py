"""Imports follow the order of the layers, heavy libraries are loaded lazily, and all libraries are declared."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

import pytest

from tests.contracts.source import PACKAGE, ROOT, Module, imports, modules

# The layers, lowest first. A layer may import itself and lower ones.
LAYERS = (
    "arrays", "errors", "signals", "processors", "columns", "checks", "io", "composition",
    "recipe", "data", "features", "trees", "estimators", "bundle", "model", "evaluation", "plots", "screening",
    "campaigns", "workflows", "tracking", "cli", "app",
)  # fmt: skip
# Layers with stricter limits than the order.
ALLOWED_IMPORTS = {
    "errors": set(),
    "columns": {"errors"},
    "plots": {"errors", "columns", "io"},
}
# Libraries that only these layers may import; imports for type checking are free.
LIBRARY_LAYERS = {
    "mlflow": {"tracking"}, "matplotlib": {"plots"}, "optuna": {"estimators", "evaluation", "workflows"},
    "streamlit": {"app", "cli"}, "altair": {"app"},
}  # fmt: skip
# Libraries that `import nasicon_ml` and `--help` must not load.
HEAVY = (
    "mlflow",
    "streamlit",
    "altair",
    "matplotlib",
    "matminer",
    "xgboost",
    "sklearn",
    "optuna",
    "scipy",
    "pymatgen",
    "mapie",
    "pyarrow",
    "python_calamine",
)
DISTRIBUTIONS = {
    "lazy_loader": "lazy-loader",
    "python_calamine": "python-calamine",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
# Only tests may use these, for comparison.
TESTS_ONLY = {"mapie"}

KNOWN = frozenset(module.name for module in modules())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def layer_violations(module: Module, known: frozenset[str] = KNOWN) -> list[str]:
    """Return the imports of the module that violate `LAYERS` or `ALLOWED_IMPORTS`."""
    result = []
    for item in imports(module, known):
        if item.target.split(".")[0] != PACKAGE:
            continue
        layer = Module(item.target, "").layer
        if not module.layer or layer == module.layer:
            continue  # the top-level module may re-export from any layer
        if not layer:
            result.append(f"{module.name}:{item.line} imports the top-level module")
        elif layer not in LAYERS or module.layer not in LAYERS:
            result.append(f"{module.name}:{item.line} imports {item.target}, which is not in LAYERS")
        elif LAYERS.index(layer) > LAYERS.index(module.layer) or layer not in ALLOWED_IMPORTS.get(
            module.layer, {layer}
        ):
            result.append(f"{module.name}:{item.line} imports {item.target}")
    return result


def library_violations(module: Module) -> list[str]:
    """Return the imports of libraries that belong to another layer."""
    return [
        f"{module.name}:{item.line} imports {item.target}"
        for item in imports(module)
        if not item.for_types_only
        and module.layer not in LIBRARY_LAYERS.get(item.target.split(".")[0], {module.layer})
    ]


def undeclared_libraries(module: Module, declared: set[str]) -> list[str]:
    """Return the imports of third-party libraries that are not declared in pyproject.toml."""
    result = []
    for item in imports(module):
        library = item.target.split(".")[0]
        if library in sys.stdlib_module_names or library == PACKAGE:
            continue
        if DISTRIBUTIONS.get(library, library).lower() not in declared:
            result.append(f"{module.name}:{item.line} imports {library}")
    return result


def import_cycles(modules_to_check: tuple[Module, ...]) -> list[list[str]]:
    """Return the groups of modules that import each other, also inside functions, except for type checking."""
    known = frozenset(module.name for module in modules_to_check)
    remaining = {
        module.name: {item.target for item in imports(module, known) if not item.for_types_only} & known
        for module in modules_to_check
    }
    while leaves := {name for name, targets in remaining.items() if not targets & remaining.keys() - {name}}:
        remaining = {name: targets for name, targets in remaining.items() if name not in leaves}

    def reachable_from(start: str) -> set[str]:
        result, pending = set[str](), [start]
        while pending:
            for target in (remaining.get(pending.pop(), set()) & remaining.keys()) - result:
                result.add(target)
                pending.append(target)
        return result

    reachable = {name: reachable_from(name) for name in remaining}
    groups = {tuple(sorted(other for other in reachable[name] if name in reachable[other])) for name in reachable}
    return sorted(list(group) for group in groups if group)


def requirement_names(requirements: list[str]) -> set[str]:
    """The lower-case distribution names of a list of requirements."""
    matches = (re.match(r"[A-Za-z0-9._-]+", requirement) for requirement in requirements)
    return {match.group().lower() for match in matches if match} - {"nasicon-ml"}


EXTRAS = {name: requirement_names(listed) for name, listed in PROJECT["optional-dependencies"].items()}
BASE_DEPENDENCIES = requirement_names(PROJECT["dependencies"])
# The dependencies of the shared server are imported by MLflow, not by this package.
RUNTIME_DEPENDENCIES = BASE_DEPENDENCIES.union(
    *(names for extra, names in EXTRAS.items() if extra not in {"dev", "docs", "server"})
)


def test_every_layer_is_listed_in_layers() -> None:
    assert {module.layer for module in modules()} - {""} <= set(LAYERS)


def test_modules_import_only_lower_layers() -> None:
    assert [line for module in modules() for line in layer_violations(module)] == []


def test_modules_have_no_import_cycles() -> None:
    assert import_cycles(modules()) == []


def test_import_cycles_finds_cycle_through_function_import() -> None:
    name = "nasicon_ml.data.{}".format
    result = import_cycles(
        (
            Module(name("a"), "from nasicon_ml.data import b"),
            Module(name("b"), "def f():\n    import nasicon_ml.data.c"),
            Module(name("c"), "from nasicon_ml.data.a import x\nfrom nasicon_ml.data.d import y"),
            Module(name("d"), "if TYPE_CHECKING:\n    from nasicon_ml.data.a import x"),
            Module(name("e"), "from nasicon_ml.data.a import x"),
        )
    )
    assert result == [[name("a"), name("b"), name("c")]]


def test_libraries_are_imported_only_in_their_layers() -> None:
    assert [line for module in modules() for line in library_violations(module)] == []


def test_imported_libraries_are_declared_dependencies() -> None:
    assert [line for module in modules() for line in undeclared_libraries(module, RUNTIME_DEPENDENCIES)] == []


def test_declared_dependencies_are_imported() -> None:
    used = {item.target.split(".")[0] for module in modules() for item in imports(module)}
    used_distributions = {DISTRIBUTIONS.get(library, library).lower() for library in used}
    assert RUNTIME_DEPENDENCIES - used_distributions == set()
    assert not TESTS_ONLY & used_distributions


def test_build_requirements_are_in_build_dependency_group() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(pyproject["build-system"]["requires"]) <= set(pyproject["dependency-groups"]["build"])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nasicon_ml.data.load", "from nasicon_ml.features import build"),
        ("nasicon_ml.data.load", "def load():\n    import nasicon_ml.workflows.train"),
        ("nasicon_ml.data.load", "if TYPE_CHECKING:\n    from nasicon_ml.cli.main import main"),
        (
            "nasicon_ml.data.load",
            "from importlib import import_module\nimport_module('nasicon_ml.tracking.store')",
        ),
        ("nasicon_ml.data.load", "from ..estimators import targets"),
        ("nasicon_ml.data.load", "from nasicon_ml import workflows"),
        ("nasicon_ml.data.load", "import nasicon_ml"),
        ("nasicon_ml.plots.parity", "from nasicon_ml.recipe.recipe import Recipe"),
        ("nasicon_ml.columns", "from nasicon_ml.utils import helper"),
    ],
)
def test_layer_violations_finds_import_of_higher_layer(name: str, text: str) -> None:
    known = KNOWN | {"nasicon_ml.workflows", "nasicon_ml.estimators.targets"}
    assert len(layer_violations(Module(name, text), known)) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nasicon_ml.data.load", "from nasicon_ml.recipe.recipe import Recipe\nfrom nasicon_ml import columns"),
        ("nasicon_ml.data.load", "from .sources import load_sources\nfrom ..errors import DatasetError"),
        ("nasicon_ml.cli.main", "from nasicon_ml.tracking.store import default_uri"),
    ],
)
def test_layer_violations_allows_imports_of_lower_layers(name: str, text: str) -> None:
    assert layer_violations(Module(name, text), KNOWN | {"nasicon_ml.columns"}) == []


def test_library_violations_and_undeclared_libraries_are_found() -> None:
    module = Module("nasicon_ml.workflows.train", "def run():\n    import mlflow.pyfunc\n    from torch import nn")
    assert library_violations(module) == ["nasicon_ml.workflows.train:2 imports mlflow.pyfunc"]
    assert undeclared_libraries(module, {"mlflow"}) == ["nasicon_ml.workflows.train:3 imports torch"]


def _modules_loaded_by(code: str) -> set[str]:
    """The top-level modules that a new interpreter has loaded after running the code."""
    script = f"{code}\nimport sys\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    outcome = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(outcome.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("code", "forbidden"),
    [
        ("import nasicon_ml", {*HEAVY, "pandas", "numpy"}),
        ("import nasicon_ml.cli.main", {*HEAVY, "pandas"}),
    ],
)
def test_importing_package_loads_no_heavy_library(code: str, forbidden: set[str]) -> None:
    assert _modules_loaded_by(code) & forbidden == set()


def test_help_loads_no_heavy_library() -> None:
    code = (
        "from nasicon_ml.cli.main import main\n"
        "import sys\n"
        "sys.argv = ['nasicon-ml', '--help']\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code"
    )
    assert _modules_loaded_by(code) & {*HEAVY, "pandas"} == set()


def test_modules_loaded_by_includes_pandas_for_module_that_uses_it() -> None:
    assert "pandas" in _modules_loaded_by("import nasicon_ml.checks")


def test_modules_import_without_optional_dependencies() -> None:
    """Without extras, all modules can be imported except those of the layers that need one."""
    optional_layers = {"tracking", "plots", "app"}
    names = [module.name for module in modules() if module.layer not in optional_layers]
    blocked = sorted({library for extra in ("app", "plots", "tracking", "tune") for library in EXTRAS[extra]})
    code = f"import sys\nsys.modules.update(dict.fromkeys({blocked!r}))\nimport " + "\nimport ".join(names)
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
