"""A plain installation predicts at once, without the source tree: champion and dataset come along in the wheel."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = "import setuptools.build_meta as b, sys; print(b.build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """Install the wheel into an environment of its own that borrows only the libraries of this one."""
    folder = tmp_path_factory.mktemp("installed")
    tree = folder / "tree"
    shutil.copytree(ROOT / "src", tree / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for name in ("models", "datasets"):
        shutil.copytree(ROOT / name, tree / name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    subprocess.run([sys.executable, "-c", BUILD, str(folder)], cwd=tree, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    shutil.rmtree(tree)
    environment = folder / "environment"
    venv.create(environment, with_pip=False)
    (packages,) = environment.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    for data in packages.glob("*.data/data/share"):
        shutil.move(data, environment / "share")
    # Path files inside a folder that a path file names are not read: the editable install stays out.
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return environment / "bin" / "python"


def run(python, code, cwd):
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "NASICON_ML"))}
    return subprocess.run([python, "-c", code], cwd=cwd, env=clean, capture_output=True, text=True, check=False)


def test_predicts_and_reads_the_dataset_without_the_source_tree(python, tmp_path):
    code = (
        "import nasicon_ml, sys; from nasicon_ml.recipe import Recipe; "
        "from nasicon_ml.workflows.predict import default_bundle, predict; "
        "from nasicon_ml.data.load import load_pellets; "
        "answer = predict(Recipe(formula='LATP x=0.3')).results.iloc[0]; "
        "print(nasicon_ml.__file__); print(default_bundle()); print(len(load_pellets())); print(answer['system'])"
    )
    done = run(python, code, tmp_path)
    assert done.returncode == 0, done.stderr
    module, bundle, pellets, system = done.stdout.splitlines()
    assert Path(module).is_relative_to(python.parents[1])
    assert Path(bundle) == python.parents[1] / "share" / "nasicon-ml" / "models" / "champion"
    assert int(pellets) > 1000
    assert system == "LATP"
