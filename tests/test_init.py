"""The top-level package: its public names exist, and their modules are imported only when used."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import nasicon_ml
from tests.contracts.source import ROOT

PUBLIC_NAMES = {
    "ConductivityRegressor": "nasicon_ml.estimators.regressors",
    "DensityRegressor": "nasicon_ml.estimators.regressors",
    "PhasePurityClassifier": "nasicon_ml.estimators.regressors",
    "PropertyModel": "nasicon_ml.model",
    "Recipe": "nasicon_ml.recipe.recipe",
    "RecipeFeaturizer": "nasicon_ml.features.transformers",
    "TrainingOptions": "nasicon_ml.workflows.train",
    "find_pellets": "nasicon_ml.data.find",
    "load_pellets": "nasicon_ml.data.load",
    "parse": "nasicon_ml.composition.reading",
    "predict": "nasicon_ml.workflows.predict",
    "profile": "nasicon_ml.workflows.profile",
    "recommend": "nasicon_ml.workflows.recommend",
    "train": "nasicon_ml.workflows.train",
}


@pytest.mark.parametrize(("name", "module"), PUBLIC_NAMES.items())
def test_public_name_is_the_object_of_its_module(name: str, module: str) -> None:
    assert getattr(nasicon_ml, name) is getattr(importlib.import_module(module), name)


def test_all_and_dir_list_the_public_names() -> None:
    assert set(nasicon_ml.__all__) == {*PUBLIC_NAMES, "__version__"}
    assert set(nasicon_ml.__all__) <= set(dir(nasicon_ml))


def test_stub_imports_the_public_names() -> None:
    """The names are imported lazily, so type checkers read them from the stub."""
    tree = ast.parse((ROOT / "src" / "nasicon_ml" / "__init__.pyi").read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert {alias.asname: f"nasicon_ml.{node.module}" for node in imports for alias in node.names} == PUBLIC_NAMES


@pytest.mark.parametrize("stub", sorted((ROOT / "src").rglob("__init__.pyi")), ids=lambda stub: stub.parent.name)
def test_every_name_in_all_of_a_package_exists(stub: Path) -> None:
    package = importlib.import_module(".".join(stub.parent.relative_to(ROOT / "src").parts))
    assert len(package.__all__) > 2
    assert all(getattr(package, name) is not None for name in package.__all__)


def test_version_equals_pyproject_and_installed_version() -> None:
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert nasicon_ml.__version__ == version("nasicon-ml") == stated, "run make setup"


def test_unknown_name_raises_attribute_error() -> None:
    with pytest.raises(AttributeError, match="No nasicon_ml attribute predictt"):
        nasicon_ml.__getattr__("predictt")


def test_star_import_imports_all_public_names() -> None:
    names: dict[str, object] = {}
    exec("from nasicon_ml import *", names)  # noqa: S102 -- a star import is allowed at module level only
    assert set(nasicon_ml.__all__) <= set(names)


def test_importing_the_package_loads_no_submodule() -> None:
    code = "import sys, nasicon_ml\nprint([name for name in sys.modules if name.startswith('nasicon_ml.')])"
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert outcome.stdout.strip() == "[]"
