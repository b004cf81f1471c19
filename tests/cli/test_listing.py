"""Tables for people: with lines on a terminal, plain text elsewhere; nothing is cut."""

import io
import math
import sys

import pandas as pd
import pytest

from nasicon_ml.cli.listing import cell_text, print_table

FRAME = pd.DataFrame(
    {"name": ["a", "a [bold] name"], "count": [5, 12], "value": [1.23456e-7, math.nan], "note": [None, "x" * 300]}
)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_plain_text_is_aligned_and_whole(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(FRAME, "Title")
    assert capsys.readouterr().out.splitlines() == [
        "Title",
        "name           count      value  note",
        "a                  5  1.235e-07",
        f"a [bold] name     12             {'x' * 300}",
    ]


def test_a_terminal_gets_lines_and_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "60")
    print_table(FRAME, "A [title]")
    text = terminal.getvalue()
    assert "A [title]" in text
    assert "a [bold]" in text
    assert text.count("x") == 300
    assert all(len(line) < 200 for line in text.splitlines())


def test_an_empty_table_has_its_head(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(FRAME.iloc[:0])
    assert capsys.readouterr().out == "name  count  value  note\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (math.nan, ""),
        (pd.NA, ""),
        (True, "yes"),
        (False, "no"),
        (900.0, "900"),
        (0.000877, "0.000877"),
        (8.77e-12, "8.77e-12"),
        (90.894, "90.89"),
        (math.inf, "inf"),
        (5, "5"),
        ("text", "text"),
    ],
)
def test_values_are_written_for_a_person(value: object, text: str) -> None:
    assert cell_text(value) == text
