"""The roof of the package: what is promised there is there, and costs nothing until it is used."""

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

PROMISED = {
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


@pytest.mark.parametrize(("name", "home"), PROMISED.items())
def test_the_promised_name_is_the_thing_itself(name: str, home: str) -> None:
    assert getattr(nasicon_ml, name) is getattr(importlib.import_module(home), name)


def test_all_names_what_is_promised() -> None:
    assert set(nasicon_ml.__all__) == {*PROMISED, "__version__"}
    assert set(nasicon_ml.__all__) <= set(dir(nasicon_ml))


def test_type_checkers_see_the_same_names() -> None:
    """What is loaded on demand stands in a stub, which type checkers read as well."""
    tree = ast.parse((ROOT / "src" / "nasicon_ml" / "__init__.pyi").read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert {alias.asname: f"nasicon_ml.{node.module}" for node in imports for alias in node.names} == PROMISED


@pytest.mark.parametrize("stub", sorted((ROOT / "src").rglob("__init__.pyi")), ids=lambda stub: stub.parent.name)
def test_every_name_of_a_package_is_there(stub: Path) -> None:
    package = importlib.import_module(".".join(stub.parent.relative_to(ROOT / "src").parts))
    assert len(package.__all__) > 2
    assert all(getattr(package, name) is not None for name in package.__all__)


def test_the_version_is_the_installed_one() -> None:
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert nasicon_ml.__version__ == version("nasicon-ml") == stated, "run make setup"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="No nasicon_ml attribute predictt"):
        nasicon_ml.__getattr__("predictt")


def test_star_import_gives_what_is_promised() -> None:
    names: dict[str, object] = {}
    exec("from nasicon_ml import *", names)  # noqa: S102 -- a star import is allowed at module level only
    assert set(nasicon_ml.__all__) <= set(names)


def test_the_import_loads_no_other_module_of_the_package() -> None:
    code = "import sys, nasicon_ml\nprint([name for name in sys.modules if name.startswith('nasicon_ml.')])"
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert outcome.stdout.strip() == "[]"
