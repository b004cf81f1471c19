"""Built as for a release and installed, without the source tree and with the libraries that it declares alone."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import time
import urllib.request
import venv
from collections import Counter
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.programs import free_port, running

ROOT = Path(__file__).resolve().parents[2]
PARTS = (
    "CHANGELOG.md",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "LICENSE",
    "MANIFEST.in",
    "README.md",
    "pyproject.toml",
)
#: Left out of the lock: requirements/excluded.txt says why.
EXCLUDED = {line for line in (ROOT / "requirements" / "excluded.txt").read_text().split() if "nvidia" in line}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of source archive and wheel, which is built from the archive."""
    folder = tmp_path_factory.mktemp("dist")
    tree = folder / "tree"
    shutil.copytree(ROOT / "src", tree / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for name in ("models", "datasets"):
        shutil.copytree(ROOT / name, tree / name)
    for name in PARTS:
        shutil.copy(ROOT / name, tree)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(tree)]
    subprocess.run(command, check=True, capture_output=True)
    shutil.rmtree(tree)
    return folder


@pytest.fixture(scope="module")
def plain(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the programs of an environment that holds the wheel and what it declares."""
    return install(dist, tmp_path_factory.mktemp("plain"), extras=set())


@pytest.fixture(scope="module")
def with_app(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return those of one with the extra ``app``."""
    return install(dist, tmp_path_factory.mktemp("app"), extras={"app"})


def install(dist: Path, environment: Path, extras: set[str]) -> Path:
    """Return the programs of a new environment; its libraries are links to those of this one."""
    venv.create(environment, with_pip=False, symlinks=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    (wheel,) = dist.glob("*.whl")
    python = str(environment / "bin" / "python")
    installer = [sys.executable, "-m", "pip", "--python", python, "install"]
    if shutil.which("uv"):
        installer = ["uv", "pip", "install", "--python", python]
    subprocess.run([*installer, "--no-deps", "--no-index", str(wheel)], check=True, capture_output=True)
    link([distribution(name) for name in declared("nasicon-ml", extras)], packages)
    return environment / "bin"


def declared(root: str, extras: set[str]) -> set[str]:
    """Return the packages that one needs, and those that they need: names as in the lock."""
    wanted, known = [(root, frozenset(extras))], set()
    while wanted:
        name, asked = wanted.pop()
        if (name, asked) in known or name in EXCLUDED:
            continue
        known.add((name, asked))
        for text in distribution(name).requires or ():
            needed = Requirement(text)
            if needed.marker is None or any(needed.marker.evaluate({"extra": e}) for e in asked or {""}):
                wanted.append((canonicalize_name(needed.name), frozenset(needed.extras)))
    return {name for name, _ in known} - {root}


def link(libraries: list[Distribution], packages: Path) -> None:
    """Put libraries of this environment into another one: whole folders, but file by file where they share one."""
    tops = {library: {file.parts[0] for file in library.files or ()} - {".."} for library in libraries}
    owners = Counter(top for names in tops.values() for top in names)
    for library, names in tops.items():
        alone = {top for top in names if owners[top] == 1}
        for name in [*alone, *(file for file in library.files or () if file.parts[0] in names - alone)]:
            target = packages / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():  # mlflow and mlflow-skinny hold the same files
                target.symlink_to(str(library.locate_file(name)))


@pytest.fixture
def clean(tmp_path: Path) -> dict[str, str]:
    """The settings of a user who knows nothing of this source tree."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "NASICON", "MLFLOW"))
    }
    return kept | {"HOME": str(tmp_path)}


def run(programs: Path, folder: Path, settings: dict[str, str], command: str) -> str:
    """Return what a command writes to its standard output."""
    name, *words = shlex.split(command)
    done = subprocess.run(
        [programs / name, *words], cwd=folder, env=settings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_archives_hold_what_they_should(dist: Path) -> None:
    (archive,), (wheel,) = dist.glob("*.tar.gz"), dist.glob("*.whl")
    checked = [sys.executable, "-m", "twine", "check", "--strict", str(archive), str(wheel)]
    done = subprocess.run(checked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with tarfile.open(archive) as opened:
        names = {Path(*Path(name).parts[1:]) for name in opened.getnames()}
    modules = {path.relative_to(ROOT) for path in (ROOT / "src").rglob("*.py")}
    data = {path.relative_to(ROOT) for folder in ("models", "datasets") for path in (ROOT / folder).rglob("*")}
    assert {*modules, *data, *map(Path, PARTS)} <= names
    assert not [name for name in names if name.parts[:1] in {("tests",), ("benchmarks",)}]


def test_predicts_and_finds_without_the_source_tree(plain: Path, tmp_path: Path, clean: dict[str, str]) -> None:
    code = "import nasicon_ml; print(nasicon_ml.__file__, nasicon_ml.__version__)"
    module, version = run(plain, tmp_path, clean, f"python -c '{code}'").split()
    assert Path(module).is_relative_to(plain.parent)
    assert f'version = "{version}"' in (ROOT / "pyproject.toml").read_text()
    answer = run(plain, tmp_path, clean, "nasicon-ml predict 'LATP x=0.3' --sintering-temperature 900")
    assert "Li1.3Al0.3Ti1.7(PO4)3" in answer
    assert "S/cm" in answer
    found = run(plain, tmp_path, clean, "nasicon-ml data find --system LATP --sintering-temperature 900 --json")
    assert {pellet["sintering_temperature_c"] for pellet in json.loads(found)["pellets"]} == {900}
    assert list(tmp_path.iterdir()) == []


def test_a_package_that_is_not_declared_is_missing(plain: Path, tmp_path: Path, clean: dict[str, str]) -> None:
    with pytest.raises(AssertionError, match="No module named 'streamlit'"):
        run(plain, tmp_path, clean, "python -c 'import streamlit'")
    with pytest.raises(AssertionError, match=r"nasicon-ml\[app\]"):
        run(plain, tmp_path, clean, "nasicon-ml app --no-browser")


@pytest.mark.slow
def test_the_app_starts_without_the_source_tree(with_app: Path, tmp_path: Path, clean: dict[str, str]) -> None:
    port = free_port()
    command, log = (with_app / "nasicon-ml", "app", "--no-browser", "--port", port), tmp_path / "said.txt"
    with log.open("w") as said, running(*command, cwd=tmp_path, env=clean, stdout=said, stderr=said) as app:
        while True:
            assert app.poll() is None, log.read_text()
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health") as answer:
                    assert answer.read() == b"ok"
                break
            except OSError:
                time.sleep(0.2)
    code = (
        "from pathlib import Path; import nasicon_ml.app; from streamlit.testing.v1 import AppTest; "
        'page = AppTest.from_file(Path(nasicon_ml.app.__file__).with_name("main.py"), default_timeout=600).run(); '
        "print(page.title[0].value, [*page.exception])"
    )
    assert run(with_app, tmp_path, clean, f"python -c '{code}'").strip().endswith(" []")
