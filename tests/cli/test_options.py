"""The options of a recipe are the vocabulary's, and refuse what a table would refuse."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from nasicon_ml.cli.options import (
    ColumnValue,
    Number,
    SectionedCommand,
    SectionedOption,
    read_substitutes,
    recipe_options,
)
from nasicon_ml.columns import RECIPE, Column, Role


@click.command(cls=SectionedCommand)
@recipe_options
@click.option("--level", cls=SectionedOption, section="Answer", type=Number(0, 1, percent_hint=True))
@click.option("--substitute", multiple=True, callback=read_substitutes)
def echo(**values: object) -> None:
    click.echo(repr({name: value for name, value in values.items() if value}))


def call(*arguments: str) -> str:
    return CliRunner().invoke(echo, arguments).output


@pytest.mark.parametrize("column", [column for column in RECIPE if column is not Column.FORMULA])
def test_every_field_has_an_option_with_unit_and_limits(column: Column) -> None:
    (option,) = (parameter for parameter in echo.params if parameter.name == column.value)
    assert isinstance(option, click.Option)
    assert option.opts == [column.option]
    text = option.help or ""
    assert column.unit in text
    assert all(choice in text for choice in column.choices)
    if column.role is Role.PROCESSING and not column.choices:
        assert f"{column.minimum:g} to {column.maximum:g}" in text


def test_values_are_read_as_in_a_table() -> None:
    out = call("--sintering-temperature", "800", "--atmosphere", "argon", "--densification", "SPS")
    assert out == ("{'sintering_temperature_c': 800.0, 'atmosphere': 'Ar', 'densification': 'spark_plasma'}\n")


@pytest.mark.parametrize("word", ["", "unknown", "n/a"])
def test_a_word_for_not_known_is_not_given(word: str) -> None:
    assert call("--atmosphere", word, "--pressure", word) == "{}\n"


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--sintering-temperature", "2073", "Temperatures are in °C; 2073 K is 1799.85 °C."),
        ("--sintering-temperature", "1073 K", "Write it in °C: 799.85."),
        ("--sintering-temperature", "850°C", "Write the number alone: 850."),
        ("--sintering-temperature", "850 C", "Write the number alone: 850."),
        ("--sintering-time", "2,5", "Write decimals with a point."),
        ("--sintering-time", "30 min", "Write it in h: 0.5."),
        ("--sintering-time", "2 weeks", "Write the number alone, in h."),
        ("--particle-size", "300 nm", "Write it in µm: 0.3."),
        ("--particle-size", "3 um", "Write the number alone: 3."),
        ("--pressure", "0.05 GPa", "Write it in MPa: 50."),
        ("--heating-rate", "0", "a number from 0.01 to 20000 °C/min"),
        ("--heating-rate", "fast", "a number from 0.01 to 20000 °C/min"),
        ("--atmosphere", "argn", "Did you mean 'argon'?"),
        ("--synthesis-route", "sol-jel", "Did you mean 'sol_gel'?"),
        ("--level", "90", "90 % is written 0.9."),
        ("--level", "0,9", "Write decimals with a point."),
        ("--level", "1", "a number between 0 and 1"),
        ("--level", "nan", "a number between 0 and 1"),
        ("--substitute", "M:Sc", "such as M=Sc"),
    ],
)
def test_a_refusal_names_the_option_the_value_and_what_to_write(option: str, value: str, words: str) -> None:
    outcome = CliRunner().invoke(echo, [option, value])
    assert outcome.exit_code == 2
    assert f"Invalid value for '{option}': '{value}' is not accepted" in outcome.output
    assert words in outcome.output


def test_substitutes_are_pairs() -> None:
    assert call("--substitute", "M=Sc", "--substitute", "Ln = La") == ("{'substitute': {'M': 'Sc', 'Ln': 'La'}}\n")


def test_a_place_holder_stands_for_one_element() -> None:
    assert "'M' is given twice" in call("--substitute", "M=Sc", "--substitute", "M=Y")


def test_help_has_sections_in_order() -> None:
    lines = call("--help").splitlines()
    heads = [line.split()[0].rstrip(":") for line in lines if line and not line.startswith(" ")]
    assert heads == ["Usage", "Composition", "Processing", "Answer", "Other"]


def test_a_column_shows_what_kind_of_value_it_takes() -> None:
    assert ColumnValue(Column.PRESSURE_MPA).name == "number"
    assert ColumnValue(Column.ATMOSPHERE).name == "text"
