"""The progress bar: on a terminal only, and never on standard output."""

from __future__ import annotations

import io
import sys

import pytest

from nasicon_ml.cli.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_nothing_is_written_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("predicting") as step:
        step("half", 0.5)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_a_terminal_sees_the_bar_on_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress("predicting") as step:
        step("halfway there", 0.5)
    assert "halfway there" in terminal.getvalue()
    assert capsys.readouterr().out == ""
