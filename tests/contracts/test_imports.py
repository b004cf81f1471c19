"""Imports go one way, heavy libraries are loaded only when they are needed, and all are declared."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

import pytest

from tests.contracts.source import PACKAGE, ROOT, Module, imports, modules

# Each may import what stands before it, and itself.
ORDER = (
    "arrays", "errors", "signals", "processors", "columns", "checks", "io", "composition",
    "recipe", "data", "features", "trees", "estimators", "bundle", "model", "evaluation", "plots", "screening",
    "campaigns", "workflows", "tracking", "cli", "app",
)  # fmt: skip
# Closer bounds than the order.
ONLY_THESE = {
    "errors": set(),
    "columns": {"errors"},
    "plots": {"errors", "columns", "io"},
}
# A library that one part alone may import; the names of its types are free.
OWNERS = {
    "mlflow": {"tracking"}, "matplotlib": {"plots"}, "optuna": {"estimators", "evaluation", "workflows"},
    "streamlit": {"app", "cli"}, "altair": {"app"},
}  # fmt: skip
# Loaded by nobody who only asks for help.
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
# Tests compare with these; no module may need them.
TESTS_ONLY = {"mapie"}

KNOWN = frozenset(module.name for module in modules())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def wrong_directions(module: Module, known: frozenset[str] = KNOWN) -> list[str]:
    """Return which imports of the module go against `ORDER`."""
    found = []
    for item in imports(module, known):
        if item.target.split(".")[0] != PACKAGE:
            continue
        layer = Module(item.target, "").layer
        if not module.layer or layer == module.layer:
            continue  # the roof re-exports what it likes
        if not layer:
            found.append(f"{module.name}:{item.line} imports the package's roof")
        elif layer not in ORDER or module.layer not in ORDER:
            found.append(f"{module.name}:{item.line} imports {item.target}: not in the order at all")
        elif ORDER.index(layer) > ORDER.index(module.layer) or layer not in ONLY_THESE.get(module.layer, {layer}):
            found.append(f"{module.name}:{item.line} imports {item.target}")
    return found


def wrong_owners(module: Module) -> list[str]:
    """Return which libraries the module imports although they belong to another part."""
    return [
        f"{module.name}:{item.line} imports {item.target}"
        for item in imports(module)
        if not item.for_types_only and module.layer not in OWNERS.get(item.target.split(".")[0], {module.layer})
    ]


def undeclared(module: Module, declared: set[str]) -> list[str]:
    """Return which third-party libraries the module imports that pyproject.toml does not name."""
    found = []
    for item in imports(module):
        library = item.target.split(".")[0]
        if library in sys.stdlib_module_names or library == PACKAGE:
            continue
        if DISTRIBUTIONS.get(library, library).lower() not in declared:
            found.append(f"{module.name}:{item.line} imports {library}")
    return found


def circles(among: tuple[Module, ...]) -> list[list[str]]:
    """Return the groups of modules that import each other, also inside functions; imports for types are free."""
    known = frozenset(module.name for module in among)
    left = {
        module.name: {item.target for item in imports(module, known) if not item.for_types_only} & known
        for module in among
    }
    while ends := {name for name, targets in left.items() if not targets & left.keys() - {name}}:
        left = {name: targets for name, targets in left.items() if name not in ends}

    def reached(start: str) -> set[str]:
        found, waiting = set[str](), [start]
        while waiting:
            for target in (left.get(waiting.pop(), set()) & left.keys()) - found:
                found.add(target)
                waiting.append(target)
        return found

    reach = {name: reached(name) for name in left}
    groups = {tuple(sorted(other for other in reach[name] if name in reach[other])) for name in reach}
    return sorted(list(group) for group in groups if group)


def requirement_names(requirements: list[str]) -> set[str]:
    """The distributions' names of a list of requirements, lower case."""
    matches = (re.match(r"[A-Za-z0-9._-]+", requirement) for requirement in requirements)
    return {match.group().lower() for match in matches if match} - {"nasicon-ml"}


EXTRAS = {name: requirement_names(listed) for name, listed in PROJECT["optional-dependencies"].items()}
BASE = requirement_names(PROJECT["dependencies"])
# What runs the shared server is imported by MLflow, not by this package.
RUN_TIME = BASE.union(*(names for extra, names in EXTRAS.items() if extra not in {"dev", "docs", "server"}))


def test_every_part_has_a_place_in_the_order() -> None:
    assert {module.layer for module in modules()} - {""} <= set(ORDER)


def test_imports_go_one_way() -> None:
    assert [line for module in modules() for line in wrong_directions(module)] == []


def test_no_circles() -> None:
    assert circles(modules()) == []


def test_a_circle_is_seen() -> None:
    name = "nasicon_ml.data.{}".format
    found = circles(
        (
            Module(name("a"), "from nasicon_ml.data import b"),
            Module(name("b"), "def f():\n    import nasicon_ml.data.c"),
            Module(name("c"), "from nasicon_ml.data.a import x\nfrom nasicon_ml.data.d import y"),
            Module(name("d"), "if TYPE_CHECKING:\n    from nasicon_ml.data.a import x"),
            Module(name("e"), "from nasicon_ml.data.a import x"),
        )
    )
    assert found == [[name("a"), name("b"), name("c")]]


def test_libraries_stay_with_their_owners() -> None:
    assert [line for module in modules() for line in wrong_owners(module)] == []


def test_what_is_imported_is_declared() -> None:
    assert [line for module in modules() for line in undeclared(module, RUN_TIME)] == []


def test_what_is_declared_is_imported() -> None:
    used = {item.target.split(".")[0] for module in modules() for item in imports(module)}
    used_distributions = {DISTRIBUTIONS.get(library, library).lower() for library in used}
    assert RUN_TIME - used_distributions == set()
    assert not TESTS_ONLY & used_distributions


def test_the_build_backend_is_locked_as_it_is_required() -> None:
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
def test_a_wrong_direction_is_seen(name: str, text: str) -> None:
    known = KNOWN | {"nasicon_ml.workflows", "nasicon_ml.estimators.targets"}
    assert len(wrong_directions(Module(name, text), known)) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nasicon_ml.data.load", "from nasicon_ml.recipe.recipe import Recipe\nfrom nasicon_ml import columns"),
        ("nasicon_ml.data.load", "from .sources import load_sources\nfrom ..errors import DatasetError"),
        ("nasicon_ml.cli.main", "from nasicon_ml.tracking.store import default_uri"),
    ],
)
def test_a_right_direction_passes(name: str, text: str) -> None:
    assert wrong_directions(Module(name, text), KNOWN | {"nasicon_ml.columns"}) == []


def test_a_wrong_owner_and_an_undeclared_library_are_seen() -> None:
    module = Module("nasicon_ml.workflows.train", "def run():\n    import mlflow.pyfunc\n    from torch import nn")
    assert wrong_owners(module) == ["nasicon_ml.workflows.train:2 imports mlflow.pyfunc"]
    assert undeclared(module, {"mlflow"}) == ["nasicon_ml.workflows.train:3 imports torch"]


def _loaded(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after running the code."""
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
def test_heavy_libraries_wait_until_they_are_needed(code: str, forbidden: set[str]) -> None:
    assert _loaded(code) & forbidden == set()


def test_help_loads_nothing_heavy() -> None:
    code = (
        "from nasicon_ml.cli.main import main\n"
        "import sys\n"
        "sys.argv = ['nasicon-ml', '--help']\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code"
    )
    assert _loaded(code) & {*HEAVY, "pandas"} == set()


def test_a_heavy_import_is_seen() -> None:
    assert "pandas" in _loaded("import nasicon_ml.checks")


def test_everything_but_tracking_is_there_without_the_extras() -> None:
    """Who installs no extra can import every module except those that belong to one."""
    owned = {"tracking", "plots", "app"}
    names = [module.name for module in modules() if module.layer not in owned]
    blocked = sorted({library for extra in ("app", "plots", "tracking", "tune") for library in EXTRAS[extra]})
    code = f"import sys\nsys.modules.update(dict.fromkeys({blocked!r}))\nimport " + "\nimport ".join(names)
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
