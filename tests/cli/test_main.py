"""``nasicon-ml``: exit codes, error messages, help and lazy import of the verbs."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from nasicon_ml.cli import main as module
from nasicon_ml.cli.main import VERBS, cli, main
from nasicon_ml.errors import NasiconError


@pytest.fixture
def clean_monkeypatch(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Return monkeypatch after unsetting NASICON_ML_DEBUG."""
    monkeypatch.delenv("NASICON_ML_DEBUG", raising=False)
    return monkeypatch


def _patch_verbs(monkeypatch: pytest.MonkeyPatch, error: BaseException | None, code: int = 0) -> None:
    """Replace every verb by one that raises an error or exits with a code."""

    @click.command()
    @click.pass_context
    def verb(ctx: click.Context) -> None:
        if error is not None:
            raise error
        ctx.exit(code)

    monkeypatch.setattr(module.LazyGroup, "get_command", lambda *_: verb)


@pytest.mark.parametrize(
    ("error", "code", "message"),
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
def test_error_exits_with_code_and_message_without_traceback(
    clean_monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    message: str,
) -> None:
    _patch_verbs(clean_monkeypatch, error)
    clean_monkeypatch.setattr(module, "silence_stdout", lambda: None)  # would also silence pytest
    assert main(["predict"]) == code
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""
    assert "Traceback" not in captured.err


def test_internal_error_message_mentions_debug_option(
    clean_monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _patch_verbs(clean_monkeypatch, ZeroDivisionError())
    main(["predict"])
    assert "nasicon-ml --debug predict" in capsys.readouterr().err


@pytest.mark.parametrize("enabled_by", ["option", "variable"])
def test_debug_shows_the_traceback(
    clean_monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], enabled_by: str
) -> None:
    _patch_verbs(clean_monkeypatch, NasiconError("odd"))
    if enabled_by == "variable":
        clean_monkeypatch.setenv("NASICON_ML_DEBUG", "1")
    assert main(["--debug", "predict"] if enabled_by == "option" else ["predict"]) == 2
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.endswith("error: odd\n")


@pytest.mark.parametrize("code", [0, 1])
def test_exit_code_of_verb_is_returned(clean_monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    _patch_verbs(clean_monkeypatch, None, code)
    assert main(["predict"]) == code


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for name, summary in VERBS.items():
        assert f"  {name}" in out
        assert summary.split()[0] in out


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_can_be_imported_and_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.get_command(click.Context(cli), name) is not None
    assert main([name, "--help"]) == 0
    assert f"nasicon-ml {name}" in capsys.readouterr().out


def test_misspelt_verb_exits_with_code_2_and_suggests_similar_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predit"]) == 2
    assert "Did you mean 'predict'?" in capsys.readouterr().err


def test_unknown_global_option_exits_with_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--nonsense"]) == 2
    assert "--nonsense" in capsys.readouterr().err


def test_version_option_prints_package_version(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"nasicon-ml, version {version('nasicon-ml')}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["predict", "--help"]])
def test_help_and_version_do_not_import_pandas_or_numpy(arguments: list[str]) -> None:
    script = (
        "import sys\nfrom nasicon_ml.cli.main import main\n"
        f"assert main({arguments!r}) == 0\n"
        "print('loaded', *({'pandas', 'numpy', 'rich', 'xgboost'} & set(sys.modules)))"
    )
    outcome = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert outcome.stdout.splitlines()[-1].split() == ["loaded"]


def test_character_missing_in_output_encoding_becomes_question_mark() -> None:
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
def test_control_characters_in_arguments_are_escaped_in_messages(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert "\\x1b[2J" in error
    assert "\x1b" not in error


def test_long_argument_is_truncated_in_messages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "--formula", "LTP", "--model", "a" * 1_000_000]) == 2
    assert len(capsys.readouterr().err) < 3_000


def test_unicode_encode_error_exits_with_code_2(
    clean_monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """SQLite raises this error under LC_ALL=C in a folder `\u00fc`."""
    error = UnicodeEncodeError("utf-8", "\udcc3", 0, 1, "surrogates not allowed")
    _patch_verbs(clean_monkeypatch, error)
    assert main(["predict"]) == 2
    assert "is not text in" in capsys.readouterr().err
