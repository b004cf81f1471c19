"""`tools/setup_venv.sh` on machines that lack something: what it says, and that it leaves nothing half-made."""

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
    """Answer the script's questions as a Python of this version would, and record how venv is called."""
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
def machine(tmp_path: Path) -> Path:
    """A clone with nothing but the script and the locks, and a PATH with nothing but a few tools."""
    for folder in ("tools", "requirements"):
        shutil.copytree(ROOT / folder, tmp_path / "clone" / folder)
    programs = tmp_path / "bin"
    programs.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found
        (programs / tool).symlink_to(found)
    return tmp_path


def _set_up(machine: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [machine / "clone" / "tools" / "setup_venv.sh"],
        env={"PATH": str(machine / "bin"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_any_python_it_says_what_to_install(machine: Path) -> None:
    outcome = _set_up(machine)
    assert outcome.returncode == 2
    assert "Python 3.11 or newer is needed, but no Python was found" in outcome.stderr
    assert "apt install python3" in outcome.stderr


def test_an_old_python_is_named_with_its_version(machine: Path) -> None:
    _fake_python(machine / "bin" / "python3", "3.9.18")
    outcome = _set_up(machine)
    assert outcome.returncode == 2
    assert "python3 is 3.9.18" in outcome.stderr
    assert not (machine / "clone" / "calls").exists()


def test_a_newer_python_beside_an_old_python3_is_found(machine: Path) -> None:
    _fake_python(machine / "bin" / "python3", "3.9.18")
    _fake_python(machine / "bin" / "python3.12", "3.12.4")
    outcome = _set_up(machine)
    assert "making .venv with python3.12 (3.12.4)" in outcome.stderr
    assert (
        (machine / "clone" / "calls")
        .read_text(encoding="utf-8")
        .strip()
        .endswith("python3.12 -m venv --clear .venv")
    )


def test_python3_alone_is_enough(machine: Path) -> None:
    _fake_python(machine / "bin" / "python3", "3.11.2")
    assert "making .venv with python3 (3.11.2)" in _set_up(machine).stderr


@pytest.mark.parametrize(
    ("python", "message"),
    [
        ("python9", "PYTHON=python9: no such program"),
        ("python3.8", "PYTHON=python3.8 is 3.8.1; Python 3.11 or newer"),
    ],
)
def test_the_python_asked_for_is_not_replaced_by_another(machine: Path, python: str, message: str) -> None:
    _fake_python(machine / "bin" / "python3", "3.12.1")
    _fake_python(machine / "bin" / "python3.8", "3.8.1")
    outcome = _set_up(machine, PYTHON=python)
    assert outcome.returncode == 2
    assert message in outcome.stderr


def test_a_missing_ensurepip_names_the_package(machine: Path) -> None:
    _fake_python(machine / "bin" / "python3", "3.11.2", has_ensurepip=False)
    outcome = _set_up(machine)
    assert outcome.returncode == 2
    assert "apt install python3.11-venv" in outcome.stderr


def test_a_failure_ends_the_run(machine: Path) -> None:
    _fake_python(machine / "bin" / "python3", "3.12.1")  # its venv fails with 7
    outcome = _set_up(machine)
    assert outcome.returncode == 7
    assert "installed" not in outcome.stderr


def test_uv_is_used_where_it_is(machine: Path) -> None:
    _fake_python(machine / "bin" / "python3", "3.12.1")
    _program(machine / "bin" / "uv", 'echo "$@" >>calls')
    outcome = _set_up(machine)
    assert outcome.returncode == 0
    venv, *installs = (
        (machine / "clone" / "calls").read_text(encoding="utf-8").replace("--version\n", "").splitlines()
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
def test_without_uv_pip_brings_it_and_does_what_it_cannot(
    machine: Path, uv_fails: bool, by_pip: list[str]
) -> None:
    python = machine / "bin" / "python3.12"
    _program(
        python,
        f"""
case "$*" in
    "-m venv --clear "*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
    *build.lock) echo "pip $*" >>calls; cp "{machine}/uv" .venv/bin/uv ;;
    *" install "*) echo "pip $*" >>calls ;;
    *print*) echo 3.12.1 ;;
esac""",
    )
    _program(machine / "uv", f'echo "uv $*" >>calls; exit {int(uv_fails)}')
    for tool in ("mkdir", "cp"):
        (machine / "bin" / tool).symlink_to(str(shutil.which(tool)))
    outcome = _set_up(machine)
    assert outcome.returncode == 0, outcome.stderr
    assert ("pip tries it with its own settings" in outcome.stderr) == uv_fails
    calls = (machine / "clone" / "calls").read_text(encoding="utf-8").splitlines()
    pip, uv = ([line for line in calls if line.startswith(name)] for name in ("pip", "uv"))
    assert len(uv) == 2
    assert len(pip) == len(by_pip)
    for line, what in zip(pip, by_pip, strict=True):
        assert line.endswith(what if what.startswith("--") else f"--require-hashes -r requirements/{what}.lock")
