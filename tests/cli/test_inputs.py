"""Recipe options and files: parsed values, error messages and the location of each recipe."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from nasicon_ml.cli.inputs import (
    ColumnValue,
    Number,
    SectionedCommand,
    expand_recipe,
    option,
    parse_substitutes,
    recipe_options,
    recipes_from_file,
)
from nasicon_ml.columns import MODEL_INPUT, RECIPE, Column, Role
from nasicon_ml.errors import FieldError, FormulaError, UnreadableFileError


@click.command(cls=SectionedCommand)
@recipe_options
@option("--level", section="Answer", type=Number(0, 1, percent_hint=True))
@click.option("--substitute", multiple=True, callback=parse_substitutes)
def echo(**values: object) -> None:
    click.echo(repr({name: value for name, value in values.items() if value}))


def output_of(*arguments: str) -> str:
    return CliRunner().invoke(echo, arguments).output


def test_every_field_has_an_option_with_unit_and_limits() -> None:
    options = {parameter.name: parameter for parameter in echo.params}
    for column in RECIPE:
        if column is Column.FORMULA:
            continue
        recipe_option = options[column.value]
        assert isinstance(recipe_option, click.Option)
        assert recipe_option.opts == [column.option]
        help_text = recipe_option.help or ""
        assert column.unit in help_text
        assert all(choice in help_text for choice in column.choices)
        if column.role is Role.PROCESSING and not column.choices:
            assert f"{column.minimum:g} to {column.maximum:g}" in help_text


def test_option_values_are_parsed_as_in_a_table() -> None:
    out = output_of("--sintering-temperature", "800", "--atmosphere", "argon", "--densification", "SPS")
    assert out == ("{'sintering_temperature_c': 800.0, 'atmosphere': 'Ar', 'densification': 'spark_plasma'}\n")


@pytest.mark.parametrize("word", ["", "unknown", "n/a"])
def test_word_for_unknown_counts_as_not_given(word: str) -> None:
    assert output_of("--atmosphere", word, "--pressure", word) == "{}\n"


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("--sintering-temperature", "2073", "Temperatures are in °C; 2073 K is 1799.85 °C."),
        ("--sintering-temperature", "1073 K", "Write it in °C: 799.85."),
        ("--sintering-temperature", "1123,15K", "Write it in °C: 850."),
        ("--sintering-temperature", "15K", "Write the number alone, in °C."),
        ("--sintering-temperature", "850°C", "Write the number alone: 850."),
        ("--sintering-time", "2,5 h", "Write the number alone: 2.5."),
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
def test_invalid_option_value_names_option_value_and_correction(name: str, value: str, hint: str) -> None:
    outcome = CliRunner().invoke(echo, [name, value])
    assert outcome.exit_code == 2
    assert f"Invalid value for '{name}': '{value}' is not accepted" in outcome.output
    assert hint in outcome.output


def test_substitutes_map_placeholders_to_elements() -> None:
    assert output_of("--substitute", "M=Sc", "--substitute", "Ln = La, Y") == (
        "{'substitute': {'M': ('Sc',), 'Ln': ('La', 'Y')}}\n"
    )


def test_placeholder_given_twice_is_rejected() -> None:
    assert "'M' is given twice" in output_of("--substitute", "M=Sc", "--substitute", "M=Y")


def test_several_values_are_parsed_as_tuple() -> None:
    out = output_of("--sintering-temperature", "800:900:50", "--atmosphere", "argon, air", "--precursors", "a,b")
    assert out == (
        "{'sintering_temperature_c': (800.0, 850.0, 900.0), 'atmosphere': ('Ar', 'air'), 'precursors': 'a,b'}\n"
    )


def test_help_has_sections_in_order() -> None:
    lines = output_of("--help").splitlines()
    headings = [line.split()[0].rstrip(":") for line in lines if line and not line.startswith(" ")]
    assert headings == ["Usage", "Composition", "Processing", "Preparation", "Answer", "Other"]


def test_column_value_type_is_named_number_or_text() -> None:
    assert ColumnValue(Column.PRESSURE_MPA).name == "number"
    assert ColumnValue(Column.ATMOSPHERE).name == "text"


def write(folder: Path, text: str, name: str = "recipes.csv") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_options_make_one_recipe() -> None:
    fields = {"sintering_temperature_c": 800.0, "atmosphere": None}
    inputs = expand_recipe("Li1+xMxTi2-x(PO4)3", 0.3, {"M": "Sc"}, fields)
    assert list(inputs.table.columns) == list(MODEL_INPUT)
    assert inputs.table[Column.FORMULA].tolist() == ["Li1.3Sc0.3Ti1.7(PO4)3"]
    assert inputs.table[Column.SINTERING_TEMPERATURE_C].tolist() == [800.0]
    assert (inputs.recipe_numbers, inputs.lines, inputs.bad_rows, len(inputs)) == ((1,), (None,), 0, 1)


def test_options_with_several_values_make_every_combination(capsys: pytest.CaptureFixture[str]) -> None:
    inputs = expand_recipe("LATP", (0.1, 0.3), {}, {"sintering_temperature_c": (800.0, 1073.0)})
    assert inputs.recipe_numbers == (1, 2, 3, 4)
    assert capsys.readouterr().err == "4 recipes: x 0.1, 0.3 x sintering temperature 800, 1073 °C\n"
    assert [inputs.location(finding) for finding in inputs.warnings] == ["recipe 2", "recipe 4"]


def test_contradicting_options_are_rejected() -> None:
    with pytest.raises(FieldError, match="not in both"):
        expand_recipe("LATP x=0.3 + 2 wt% LiF", None, {}, {"additive": "Al2O3"})
    with pytest.raises(FormulaError, match="one value of x"):
        expand_recipe("LATP x=0.3", 0.4, {}, {})


def test_valid_rows_keep_line_numbers_and_invalid_rows_are_located(tmp_path: Path) -> None:
    text = "pellet_id,formula,sintering_temperature_c\na,LATP x=0.3,800\nb,LATPP x=0.3,800\n\n ,LAGP x=0.5,\n"
    inputs = recipes_from_file(write(tmp_path, text), None)
    assert inputs.recipe_numbers == (1, 3)
    assert inputs.lines == (2, 5)
    assert inputs.pellet_ids == ("a", None)
    assert inputs.bad_rows == 1
    (finding,) = inputs.findings
    assert inputs.location(finding) == f"{tmp_path / 'recipes.csv'}, line 3"
    assert "Did you mean 'LATP'?" in finding.message


def test_findings_in_json_are_located_by_recipe_number(tmp_path: Path) -> None:
    path = write(tmp_path, '[{"formula": "LATP x=0.3"}, {"formula": "nonsense"}]', "recipes.json")
    inputs = recipes_from_file(path, None)
    assert (inputs.recipe_numbers, inputs.lines, inputs.pellet_ids) == ((1,), (None,), None)
    assert inputs.location(inputs.findings[0]) == f"{path}, recipe 2"


def test_row_with_several_invalid_cells_counts_as_one_bad_row(tmp_path: Path) -> None:
    text = "formula,sintering_temperature_c,atmosphere\nLATP x=0.3,hot,argn\n"
    inputs = recipes_from_file(write(tmp_path, text), None)
    assert (len(inputs.findings), inputs.bad_rows, len(inputs)) == (2, 1, 0)


def test_recipe_with_unbalanced_charges_is_kept_with_a_warning(tmp_path: Path) -> None:
    inputs = recipes_from_file(write(tmp_path, "formula\nLi1.3Al0.5Ti1.7(PO4)3\n"), None)
    assert len(inputs) == 1
    (warning,) = inputs.warnings
    assert "charges" in warning.message
    assert inputs.location(warning).endswith("line 2")


def test_unknown_column_raises_error_with_file_and_suggestion(tmp_path: Path) -> None:
    path = write(tmp_path, "formula,sintring_temperature\nLATP x=0.3,800\n")
    with pytest.raises(
        UnreadableFileError, match=r"recipes\.csv: column: .*Did you mean 'sintering_temperature_c'"
    ):
        recipes_from_file(path, None)


def test_rows_with_invalid_pellet_id_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "recipes.json"
    file.write_text(
        '[{"formula": "LTP", "pellet_id": "\\ud800"}, {"formula": "LGP", "pellet_id": 7}, {"formula": "NZSP"},'
        ' {"formula": "LTP", "pellet_id": ["a"]}, {"formula": "LTP x", "pellet_id": "\\u001b[2J"}]',
        encoding="utf-8",
    )
    inputs = recipes_from_file(str(file), None)
    assert inputs.recipe_numbers == (2, 3)
    assert inputs.pellet_ids == ("7", None)
    assert [(finding.row, finding.column) for finding in inputs.findings] == [
        (0, "pellet_id"), (3, "pellet_id"), (4, "formula"), (4, "pellet_id"),
    ]  # fmt: skip
    assert inputs.bad_rows == 3
