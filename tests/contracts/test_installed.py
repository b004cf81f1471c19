"""The package as released: built, and installed with its declared dependencies only, without the source tree."""

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
RELEASE_FILES = (
    "CHANGELOG.md",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "LICENSE",
    "MANIFEST.in",
    "README.md",
    "pyproject.toml",
)
#: Dependencies that are not locked; requirements/excluded.txt gives the reason.
EXCLUDED = {line for line in (ROOT / "requirements" / "excluded.txt").read_text().split() if "nvidia" in line}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the source archive, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    tree = folder / "tree"
    shutil.copytree(ROOT / "src", tree / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for name in ("models", "datasets"):
        shutil.copytree(ROOT / name, tree / name)
    for name in RELEASE_FILES:
        shutil.copy(ROOT / name, tree)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(tree)]
    subprocess.run(command, check=True, capture_output=True)
    shutil.rmtree(tree)
    return folder


@pytest.fixture(scope="module")
def base_programs(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bin folder of an environment with the wheel and its dependencies."""
    return install(dist, tmp_path_factory.mktemp("plain"), extras=set())


@pytest.fixture(scope="module")
def app_programs(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bin folder of an environment with the wheel and the extra ``app``."""
    return install(dist, tmp_path_factory.mktemp("app"), extras={"app"})


def install(dist: Path, environment: Path, extras: set[str]) -> Path:
    """Return the bin folder of a new environment, whose libraries are links to those of this one."""
    venv.create(environment, with_pip=False, symlinks=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    (wheel,) = dist.glob("*.whl")
    python = str(environment / "bin" / "python")
    installer = [sys.executable, "-m", "pip", "--python", python, "install"]
    if shutil.which("uv"):
        installer = ["uv", "pip", "install", "--python", python]
    subprocess.run([*installer, "--no-deps", "--no-index", str(wheel)], check=True, capture_output=True)
    link_libraries([distribution(name) for name in required_distributions("nasicon-ml", extras)], packages)
    return environment / "bin"


def required_distributions(root: str, extras: set[str]) -> set[str]:
    """Return the names of all direct and indirect dependencies of a distribution, normalized as in the lock."""
    pending, known = [(root, frozenset(extras))], set()
    while pending:
        name, requested_extras = pending.pop()
        if (name, requested_extras) in known or name in EXCLUDED:
            continue
        known.add((name, requested_extras))
        for text in distribution(name).requires or ():
            needed = Requirement(text)
            if needed.marker is None or any(
                needed.marker.evaluate({"extra": e}) for e in requested_extras or {""}
            ):
                pending.append((canonicalize_name(needed.name), frozenset(needed.extras)))
    return {name for name, _ in known} - {root}


def link_libraries(libraries: list[Distribution], packages: Path) -> None:
    """Link libraries into another environment: whole folders, or single files of folders that libraries share."""
    top_level_names = {library: {file.parts[0] for file in library.files or ()} - {".."} for library in libraries}
    owners = Counter(top for names in top_level_names.values() for top in names)
    for library, names in top_level_names.items():
        not_shared = {top for top in names if owners[top] == 1}
        for name in [*not_shared, *(file for file in library.files or () if file.parts[0] in names - not_shared)]:
            target = packages / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():  # mlflow and mlflow-skinny have the same files
                target.symlink_to(str(library.locate_file(name)))


@pytest.fixture
def clean_env(tmp_path: Path) -> dict[str, str]:
    """Environment variables without those that could point to this source tree."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "NASICON", "MLFLOW"))
    }
    return inherited | {"HOME": str(tmp_path)}


def run(programs: Path, folder: Path, settings: dict[str, str], command: str) -> str:
    """Return the standard output of a command, which must succeed."""
    name, *arguments = shlex.split(command)
    process = subprocess.run(
        [programs / name, *arguments], cwd=folder, env=settings, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def test_archives_pass_twine_and_sdist_is_complete_without_tests(dist: Path) -> None:
    (archive,), (wheel,) = dist.glob("*.tar.gz"), dist.glob("*.whl")
    command = [sys.executable, "-m", "twine", "check", "--strict", str(archive), str(wheel)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
    with tarfile.open(archive) as opened:
        names = {Path(*Path(name).parts[1:]) for name in opened.getnames()}
    modules = {path.relative_to(ROOT) for path in (ROOT / "src").rglob("*.py")}
    data = {path.relative_to(ROOT) for folder in ("models", "datasets") for path in (ROOT / folder).rglob("*")}
    assert {*modules, *data, *map(Path, RELEASE_FILES)} <= names
    assert not [name for name in names if name.parts[:1] in {("tests",), ("benchmarks",)}]


def test_installed_package_predicts_and_finds_pellets(
    base_programs: Path, tmp_path: Path, clean_env: dict[str, str]
) -> None:
    code = "import nasicon_ml; print(nasicon_ml.__file__, nasicon_ml.__version__)"
    module, version = run(base_programs, tmp_path, clean_env, f"python -c '{code}'").split()
    assert Path(module).is_relative_to(base_programs.parent)
    assert f'version = "{version}"' in (ROOT / "pyproject.toml").read_text()
    answer = run(base_programs, tmp_path, clean_env, "nasicon-ml predict 'LATP x=0.3' --sintering-temperature 900")
    assert "Li1.3Al0.3Ti1.7(PO4)3" in answer
    assert "S/cm" in answer
    pellets = run(
        base_programs, tmp_path, clean_env, "nasicon-ml data find --system LATP --sintering-temperature 900 --json"
    )
    assert {pellet["sintering_temperature_c"] for pellet in json.loads(pellets)["pellets"]} == {900}
    assert list(tmp_path.iterdir()) == []


def test_app_without_extra_names_the_extra(base_programs: Path, tmp_path: Path, clean_env: dict[str, str]) -> None:
    with pytest.raises(AssertionError, match="No module named 'streamlit'"):
        run(base_programs, tmp_path, clean_env, "python -c 'import streamlit'")
    with pytest.raises(AssertionError, match=r"nasicon-ml\[app\]"):
        run(base_programs, tmp_path, clean_env, "nasicon-ml app --no-browser")


@pytest.mark.slow
def test_installed_app_starts_and_shows_page_without_exceptions(
    app_programs: Path, tmp_path: Path, clean_env: dict[str, str]
) -> None:
    port = free_port()
    command, log = (app_programs / "nasicon-ml", "app", "--no-browser", "--port", port), tmp_path / "app.log"
    with (
        log.open("w") as output,
        running(*command, cwd=tmp_path, env=clean_env, stdout=output, stderr=output) as app,
    ):
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
    assert run(app_programs, tmp_path, clean_env, f"python -c '{code}'").strip().endswith(" []")
