"""Every ending of the command has its exit code and its sentence; help loads no verb."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from nasicon_ml.cli import main as module
from nasicon_ml.cli.main import VERBS, cli, main
from nasicon_ml.errors import NasiconError


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.delenv("NASICON_ML_DEBUG", raising=False)
    return monkeypatch


def _verb_that_ends_with(monkeypatch: pytest.MonkeyPatch, error: BaseException | None, code: int = 0) -> None:
    @click.command()
    @click.pass_context
    def verb(ctx: click.Context) -> None:
        if error is not None:
            raise error
        ctx.exit(code)

    monkeypatch.setattr(module.LazyGroup, "get_command", lambda *_: verb)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (NasiconError("the formula is odd"), 2, "error: the formula is odd\n"),
        (click.UsageError("two ways"), 2, "Error: two ways\n"),
        (FileNotFoundError(2, "No such file or directory", "gone.csv"), 2, "error: gone.csv: No such file"),
        (KeyboardInterrupt(), 130, "stopped\n"),
        (ZeroDivisionError("division by zero"), 70, "fault of nasicon-ml, not of your input (ZeroDivisionError"),
        (OSError("no file is named"), 70, "(OSError: no file is named)"),
        (BrokenPipeError(), 141, ""),
    ],
)
def test_errors_end_without_a_traceback(
    ending: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    words: str,
) -> None:
    _verb_that_ends_with(ending, error)
    ending.setattr(module, "silence_stdout", lambda: None)  # keeps the test runner's own output
    assert main(["predict"]) == code
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.out == ""
    assert "Traceback" not in captured.err


def test_a_fault_says_how_to_report_it(ending: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _verb_that_ends_with(ending, ZeroDivisionError())
    main(["predict"])
    assert "nasicon-ml --debug predict" in capsys.readouterr().err


@pytest.mark.parametrize("way", ["option", "variable"])
def test_debug_shows_the_traceback(
    ending: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], way: str
) -> None:
    _verb_that_ends_with(ending, NasiconError("odd"))
    if way == "variable":
        ending.setenv("NASICON_ML_DEBUG", "1")
    assert main(["--debug", "predict"] if way == "option" else ["predict"]) == 2
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.endswith("error: odd\n")


@pytest.mark.parametrize("code", [0, 1])
def test_a_verb_chooses_its_exit_code(ending: pytest.MonkeyPatch, code: int) -> None:
    _verb_that_ends_with(ending, None, code)
    assert main(["predict"]) == code


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for name, summary in VERBS.items():
        assert f"  {name}" in out
        assert summary.split()[0] in out


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_of_the_table_is_there(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.get_command(click.Context(cli), name) is not None
    assert main([name, "--help"]) == 0
    assert f"nasicon-ml {name}" in capsys.readouterr().out


def test_a_mistyped_verb_is_recognised(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predit"]) == 2
    assert "Did you mean 'predict'?" in capsys.readouterr().err


def test_an_unknown_option_of_the_group_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--nonsense"]) == 2
    assert "--nonsense" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"nasicon-ml, version {version('nasicon-ml')}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["predict", "--help"]])
def test_asking_for_help_loads_no_tables(arguments: list[str]) -> None:
    script = (
        "import sys\nfrom nasicon_ml.cli.main import main\n"
        f"assert main({arguments!r}) == 0\n"
        "print('loaded', *({'pandas', 'numpy', 'rich', 'xgboost'} & set(sys.modules)))"
    )
    outcome = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert outcome.stdout.splitlines()[-1].split() == ["loaded"]


def test_a_terminal_that_knows_no_micro_sign_gets_a_question_mark() -> None:
    script = "import sys\nfrom nasicon_ml.cli.main import main\nsys.exit(main(['predict', '--help']))"
    outcome = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONIOENCODING": "iso8859-2", "PATH": ""},
        capture_output=True,
        check=True,
    )
    assert b"size in ?m" in b" ".join(outcome.stdout.split())


@pytest.mark.parametrize(
    "arguments", [["predict", "\x1b[2J.csv"], ["predict", "--formula", "LTP", "--plot", "\x1b[2J"]]
)
def test_no_argument_steers_the_terminal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert "\\x1b[2J" in error
    assert "\x1b" not in error


def test_no_argument_fills_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "--formula", "LTP", "--model", "a" * 1_000_000]) == 2
    assert len(capsys.readouterr().err) < 3_000


def test_a_name_that_is_no_text_in_this_locale_is_no_fault_of_ours(
    ending: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """So SQLite ends under LC_ALL=C in a folder `\u00fc`."""
    error = UnicodeEncodeError("utf-8", "\udcc3", 0, 1, "surrogates not allowed")
    _verb_that_ends_with(ending, error)
    assert main(["predict"]) == 2
    assert "is not text in" in capsys.readouterr().err
