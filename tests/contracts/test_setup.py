"""`tools/setup_venv.sh` with missing or old programs: its messages, exit codes and commands."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("sh", "dirname", "grep", "cat", "touch", "env")


def _program(path: Path, body: str) -> None:
    path.write_text(f"#!{shutil.which('sh')}\n{body}\n", encoding="utf-8")
    path.chmod(0o755)


def _fake_python(path: Path, version: str, *, has_ensurepip: bool = True) -> None:
    """Write a fake Python of this version that records how venv is called, which then fails with 7."""
    new_enough = tuple(int(part) for part in version.split(".")[:2]) >= (3, 11)
    _program(
        path,
        f"""
case "$*" in
    *sys.exit*) exit {0 if new_enough else 1} ;;
    *print*) echo {version} ;;
    *ensurepip*) exit {0 if has_ensurepip else 1} ;;
    "-m venv --clear "*) echo "$0 $*" >>calls; exit 7 ;;
    *) exit 1 ;;
esac""",
    )


@pytest.fixture
def clone_and_path(tmp_path: Path) -> Path:
    """A folder with a clone (only the script and the locks) and a `bin` folder with a few tools for PATH."""
    for folder in ("tools", "requirements"):
        shutil.copytree(ROOT / folder, tmp_path / "clone" / folder)
    programs = tmp_path / "bin"
    programs.mkdir()
    for tool in TOOLS:
        path_of_tool = shutil.which(tool)
        assert path_of_tool
        (programs / tool).symlink_to(path_of_tool)
    return tmp_path


def _set_up(clone_and_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [clone_and_path / "clone" / "tools" / "setup_venv.sh"],
        env={"PATH": str(clone_and_path / "bin"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_python_error_says_what_to_install(clone_and_path: Path) -> None:
    process = _set_up(clone_and_path)
    assert process.returncode == 2
    assert "Python 3.11 or newer is needed, but no Python was found" in process.stderr
    assert "apt install python3" in process.stderr


def test_old_python_is_refused_with_its_version(clone_and_path: Path) -> None:
    _fake_python(clone_and_path / "bin" / "python3", "3.9.18")
    process = _set_up(clone_and_path)
    assert process.returncode == 2
    assert "python3 is 3.9.18" in process.stderr
    assert not (clone_and_path / "clone" / "calls").exists()


def test_newer_python_is_preferred_to_old_python3(clone_and_path: Path) -> None:
    _fake_python(clone_and_path / "bin" / "python3", "3.9.18")
    _fake_python(clone_and_path / "bin" / "python3.12", "3.12.4")
    process = _set_up(clone_and_path)
    assert "making .venv with python3.12 (3.12.4)" in process.stderr
    assert (
        (clone_and_path / "clone" / "calls")
        .read_text(encoding="utf-8")
        .strip()
        .endswith("python3.12 -m venv --clear .venv")
    )


def test_python3_is_used_if_it_is_new_enough(clone_and_path: Path) -> None:
    _fake_python(clone_and_path / "bin" / "python3", "3.11.2")
    assert "making .venv with python3 (3.11.2)" in _set_up(clone_and_path).stderr


@pytest.mark.parametrize(
    ("python", "message"),
    [
        ("python9", "PYTHON=python9: no such program"),
        ("python3.8", "PYTHON=python3.8 is 3.8.1; Python 3.11 or newer"),
    ],
)
def test_invalid_python_variable_is_refused_without_fallback(
    clone_and_path: Path, python: str, message: str
) -> None:
    _fake_python(clone_and_path / "bin" / "python3", "3.12.1")
    _fake_python(clone_and_path / "bin" / "python3.8", "3.8.1")
    process = _set_up(clone_and_path, PYTHON=python)
    assert process.returncode == 2
    assert message in process.stderr


def test_missing_ensurepip_error_names_debian_package(clone_and_path: Path) -> None:
    _fake_python(clone_and_path / "bin" / "python3", "3.11.2", has_ensurepip=False)
    process = _set_up(clone_and_path)
    assert process.returncode == 2
    assert "apt install python3.11-venv" in process.stderr


def test_failing_venv_ends_script_with_its_exit_code(clone_and_path: Path) -> None:
    _fake_python(clone_and_path / "bin" / "python3", "3.12.1")  # its venv exits with 7
    process = _set_up(clone_and_path)
    assert process.returncode == 7
    assert "installed" not in process.stderr


def test_uv_is_used_if_it_is_installed(clone_and_path: Path) -> None:
    _fake_python(clone_and_path / "bin" / "python3", "3.12.1")
    _program(clone_and_path / "bin" / "uv", 'echo "$@" >>calls')
    process = _set_up(clone_and_path)
    assert process.returncode == 0
    venv, *installs = (
        (clone_and_path / "clone" / "calls").read_text(encoding="utf-8").replace("--version\n", "").splitlines()
    )
    assert venv == "venv --quiet --clear --python python3 .venv"
    assert len(installs) == 3
    assert all("--no-deps --no-build-isolation" in line for line in installs)
    assert [line.rpartition("isolation ")[2] for line in installs] == [
        "--require-hashes -r requirements/build.lock",
        "--require-hashes -r requirements/all.lock",
        "--no-index --editable .",
    ]


@pytest.mark.parametrize(("uv_fails", "by_pip"), [(False, ["build"]), (True, ["build", "all", "--editable ."])])
def test_pip_installs_uv_and_takes_over_if_uv_fails(
    clone_and_path: Path, uv_fails: bool, by_pip: list[str]
) -> None:
    python = clone_and_path / "bin" / "python3.12"
    _program(
        python,
        f"""
case "$*" in
    "-m venv --clear "*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
    *build.lock) echo "pip $*" >>calls; cp "{clone_and_path}/uv" .venv/bin/uv ;;
    *" install "*) echo "pip $*" >>calls ;;
    *print*) echo 3.12.1 ;;
esac""",
    )
    _program(clone_and_path / "uv", f'echo "uv $*" >>calls; exit {int(uv_fails)}')
    for tool in ("mkdir", "cp"):
        (clone_and_path / "bin" / tool).symlink_to(str(shutil.which(tool)))
    process = _set_up(clone_and_path)
    assert process.returncode == 0, process.stderr
    assert ("pip tries it with its own settings" in process.stderr) == uv_fails
    calls = (clone_and_path / "clone" / "calls").read_text(encoding="utf-8").splitlines()
    pip, uv = ([line for line in calls if line.startswith(name)] for name in ("pip", "uv"))
    assert len(uv) == 2
    assert len(pip) == len(by_pip)
    for line, what in zip(pip, by_pip, strict=True):
        assert line.endswith(what if what.startswith("--") else f"--require-hashes -r requirements/{what}.lock")
