"""Text output: panels, tables and progress bars."""

from __future__ import annotations

import io
import math
import re
import sys
from dataclasses import replace

import click
import pandas as pd
import pytest

from nasicon_ml.cli.answers import Answer, build_answers
from nasicon_ml.cli.inputs import expand_recipe
from nasicon_ml.cli.render import answer_text, answers_table, format_value, print_table, progress_bar
from tests.cli.fakes import fake_predict


def build_answer(formula: str = "LATP x=0.4", **fields: object) -> Answer:
    inputs = expand_recipe(formula, None, {}, fields)
    (answer,) = build_answers(inputs, fake_predict(inputs.table), 3)
    return answer


def panel_text(answer: Answer, width: int = 100, level: float = 0.9) -> str:
    return click.unstyle(answer_text(answer, level, width))


def test_panel_contains_all_parts() -> None:
    text = panel_text(build_answer(sintering_temperature_c=800.0, atmosphere="Ar"))
    for expected in (
        "Li1.4Al0.4Ti1.6(PO4)3   LATP, x = 0.4",
        "A: Li1+ 1.4;  M: Al3+ 0.4 Ti4+ 1.6;  T: P5+ 3;  anions: O 12",
        "charge                balanced\n",
        "made                  800 °C, in Ar",
        "not given             synthesis route, calcination temperature",
        "predicted      90 % interval",
        "conductivity, 25 °C   8.0e-5 S/cm    8.0e-6 to 8.0e-4 S/cm",
        "activation energy     0.36 eV",
        "relative density      95.2 %         88.0 to 99.5 %",
        "phase purity          45 %",
        "if not pure, likely   AlPO4, LiTiOPO4",
        "known domain          inside",
        "1. Li1.4Al0.4Ti1.6(PO4)3   distance 0.00   p1",
        "800 °C, 2 h, 1 °C/min, in Ar, conventional, powder of 0.31 µm",
        "8.77e-4 S/cm at 25 °C, 98.1 % dense, phase pure",
        "raj2023, https://doi.org/10.1021/acsaem.2c02464",
        "nothing reported about how it was made",
    ):
        assert expected in text


def test_panel_shows_at_most_two_broken_rules() -> None:
    answer = build_answer()
    assert "does not see" not in panel_text(answer)
    rules = {f"rule_{number}": f"Statement {number}." for number in range(4)}
    text = panel_text(replace(answer, broken_rules=rules))
    assert "\n  model does not see    Statement 0.\n                        Statement 1.\n" in text
    assert "and 2 more (--json)" in text
    assert "more" not in panel_text(replace(answer, broken_rules={"rule_0": "Statement 0."}))


def test_panel_gives_reasons_for_recipe_outside_domain() -> None:
    text = panel_text(build_answer(sintering_temperature_c=1300.0))
    assert "OUTSIDE" in text
    assert "- sintering temperature is above that of any pellet\n" in text
    assert "- far away\n" in text


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("Li1.3Al0.3Ti1.7(PO4)3", "balanced\n"),
        ("Li1.31Al0.3Ti1.7(PO4)3", "balanced within 0.01 e; Li excess 0.01"),
        ("Li1.28Al0.3Ti1.7(PO4)3", "balanced within 0.02 e; Li deficit 0.02"),
        ("Li1.3Al0.5Ti1.7(PO4)3", "NOT BALANCED: +0.6 e per formula unit"),
    ],
)
def test_panel_shows_charge_balance(formula: str, expected: str) -> None:
    assert expected in panel_text(build_answer(formula))


@pytest.mark.parametrize("width", [72, 80, 120])
def test_panel_fits_width(width: int) -> None:
    fields = {"additive": "B2O3", "synthesis_route": "melt_quench", "sintering_temperature_c": 1300.0}
    text = panel_text(build_answer("LAGP x=0.5", **fields), width)
    assert max(map(len, text.splitlines())) <= width


def test_narrow_panel_does_not_break_numbers_or_urls() -> None:
    text = panel_text(build_answer(sintering_temperature_c=800.0), 20)
    assert "8.0e-6 to 8.0e-4 S/cm" in text
    assert "https://doi.org/10.1021/acsaem.2c02464" in text


def test_panel_and_table_show_pellet_id() -> None:
    inputs = expand_recipe("LATP x=0.4", None, {}, {})
    named = type(inputs)(inputs.table, (1,), (2,), ("slow",))
    (answer,) = build_answers(named, fake_predict(inputs.table), 0)
    assert click.unstyle(answer_text(answer, 0.9, 80)).startswith("slow: Li1.4")
    assert "slow: Li1.4" in answers_table([answer], 0.9, None)
    assert " slow " in answers_table([answer], 0.9, 20)


def three_answers() -> list[Answer]:
    return [
        build_answer(sintering_temperature_c=800.0, synthesis_route="sol_gel", atmosphere="Ar"),
        build_answer("LAGP x=0.5", sintering_temperature_c=1300.0),
        build_answer("NZSP"),
    ]


def test_table_has_one_line_per_recipe_and_domain_notes_below() -> None:
    header, *lines = click.unstyle(answers_table(three_answers(), 0.9, None)).splitlines()
    assert re.split(r"\s{2,}", header) == [
        "#", "recipe", "S/cm, 25 °C", "90 % interval", "dense", "90 %", "pure", "domain",
    ]  # fmt: skip
    assert re.split(r"\s{2,}", lines[0]) == [
        "1", "Li1.4Al0.4Ti1.6(PO4)3, 800 °C, in Ar, sol gel", "8.0e-5", "8.0e-6 to 8.0e-4", "95.2 %",
        "88 to 100", "45 %", "inside",
    ]  # fmt: skip
    assert lines[1].endswith("OUTSIDE")
    assert "n/a to n/a" in lines[2]
    assert lines[3:] == [
        "",
        "Outside the known domain (trust these numbers less):",
        "  1: sintering temperature is above that of any pellet; far away",
    ]


@pytest.mark.parametrize(
    ("width", "name"),
    [
        (200, "Li1.4Al0.4Ti1.6(PO4)3, 800 °C, in Ar, sol gel"),
        (110, "Li1.4Al0.4Ti1.6(PO4)3  "),
        (70, "LATP x=0.4  "),
    ],
)
def test_table_shortens_recipes_to_fit_width(width: int, name: str) -> None:
    text = click.unstyle(answers_table(three_answers(), 0.9, width))
    assert f"1  {name}" in text
    assert "8.0e-6 to 8.0e-4" in text, "numbers are never truncated"


def test_table_fits_width() -> None:
    lines = click.unstyle(answers_table(three_answers(), 0.9, 96)).splitlines()
    assert max(map(len, lines[:4])) <= 96


def test_header_has_temperature_only_if_equal_for_all_recipes() -> None:
    inputs = expand_recipe("LATP x=0.4", None, {}, {})
    (cold,) = build_answers(inputs, fake_predict(inputs.table, at_c=-20.0), 0)
    assert "S/cm, -20 °C" in answers_table([cold], 0.9, None)
    assert "S/cm, " not in answers_table([cold, build_answer()], 0.9, None)


FRAME = pd.DataFrame(
    {"name": ["a", "a [bold] name"], "count": [5, 12], "value": [1.23456e-7, math.nan], "note": [None, "x" * 300]}
)


class Terminal(io.StringIO):
    """A stream that reports to be a terminal."""

    def isatty(self) -> bool:
        return True


def test_plain_table_is_aligned_and_not_truncated(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(FRAME, "Title")
    assert capsys.readouterr().out.splitlines() == [
        "Title",
        "name           count      value  note",
        "a                  5  1.235e-07",
        f"a [bold] name     12             {'x' * 300}",
    ]


def test_table_on_terminal_wraps_long_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "60")
    print_table(FRAME, "A [title]")
    text = terminal.getvalue()
    assert "A [title]" in text
    assert "a [bold]" in text
    assert text.count("x") == 300
    assert all(len(line) < 200 for line in text.splitlines())


def test_empty_table_prints_header(capsys: pytest.CaptureFixture[str]) -> None:
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
def test_format_value(value: object, text: str) -> None:
    assert format_value(value) == text


def test_progress_bar_writes_nothing_without_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("predicting") as step:
        step("half", 0.5)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_progress_bar_is_written_to_standard_error_of_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress_bar("predicting") as step:
        step("halfway there", 0.5)
    assert "halfway there" in terminal.getvalue()
    assert capsys.readouterr().out == ""
