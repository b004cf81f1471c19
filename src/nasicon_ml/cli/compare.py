"""The command ``nasicon-ml compare``: differences between recipes and a reference, with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from nasicon_ml.cli.answers import Answer, build_answers, json_text
from nasicon_ml.cli.formatting import (
    DIFFERENCES,
    fixed,
    format_difference,
    format_level,
    percent,
    plural,
    scientific,
    short_target,
)
from nasicon_ml.cli.inputs import (
    ANSWER,
    SectionedCommand,
    WholeNumber,
    answer_options,
    composition_options,
    file_argument,
    file_options,
    json_option,
    option,
    output_option,
    recipe_options,
)
from nasicon_ml.cli.predict import (
    check_output_files,
    check_recipe_options,
    predict_all,
    read_inputs,
    report_findings,
)
from nasicon_ml.cli.render import (
    NAME_DETAILS,
    align_columns,
    notify,
    print_text,
    recipe_name,
    summarise_own_shifts,
    terminal_width,
)
from nasicon_ml.columns import Column

if TYPE_CHECKING:
    from nasicon_ml.estimators.joint import Differences

SCHEMA = "nasicon-ml/comparison/1"
#: The differences of each property.
Compared = dict[str, "Differences"]

_EPILOG = """\b
Examples:
  nasicon-ml compare --formula "LATP x=0.3" --formula "LAGP x=0.5" --sintering-temperature 900
  nasicon-ml compare --system LATP --x 0.3 --sintering-temperature 850,900,950 --atmosphere air
  nasicon-ml compare recipes.csv --reference 3 --own my_pellets.csv

The first recipe, or that of --reference, is what the others are compared with. Exit code: 0 done; 1 some rows are
bad, the others are compared; 2 nothing could be compared."""


@click.command(cls=SectionedCommand, epilog=_EPILOG)
@file_argument
@composition_options
@recipe_options
@option("--reference", section=ANSWER, type=WholeNumber(1), default=1, show_default=True, metavar="NUMBER",
        help="Number of the recipe with which the others are compared.")  # fmt: skip
@answer_options
@file_options
@json_option
@output_option("the differences to a file, too")
@click.pass_context
def compare(ctx: click.Context, /, **values: Any) -> None:
    """Compare recipes with one of them.

    A difference is that between a pellet of each, made in one laboratory: what both share cancels, the more the
    more alike they are, so that it is known better than either answer.
    """
    check_recipe_options(ctx, values)
    check_output_files(values)
    inputs = read_inputs(values)
    if len(inputs) < 2:
        report_findings(inputs)
        raise click.UsageError(
            "a comparison needs at least two recipes: repeat --formula, give several values, or a FILE"
        )
    if values["reference"] not in inputs.recipe_numbers:
        raise click.UsageError(
            f"--reference {values['reference']}: there is no such recipe among those that can be read"
        )
    from nasicon_ml.workflows.differences import compare as compare_as_table
    from nasicon_ml.workflows.differences import differences

    prediction = predict_all(inputs, values)
    reference = inputs.recipe_numbers.index(values["reference"])
    compared = {str(target): difference for target, difference in differences(prediction, reference).items()}
    answers = build_answers(inputs, prediction, 0, full=False)
    if values["output"] is not None:
        from nasicon_ml.io import write_table

        table = compare_as_table(prediction, reference)
        rows = table.pop("row")
        table.insert(0, Column.INPUT_ROW.value, [inputs.recipe_numbers[row] for row in rows])
        table.insert(1, "recipe", [recipe_name(answers[row]) for row in rows])
        write_table(table, values["output"])
        notify(f"{plural(len(inputs) - 1, 'comparison')} written to {values['output']}")
    if values["as_json"]:
        more = {"reference": values["reference"], "differences": _differences_json(compared, answers)}
        click.echo(json_text(SCHEMA, prediction, answers, more), nl=False)
    else:
        print_text("\n".join(_comparison_lines(compared, answers, reference, prediction.level)))
    report_findings(inputs)
    ctx.exit(1 if inputs.bad_rows else 0)


def _comparison_lines(compared: Compared, answers: list[Answer], reference: int, level: float) -> list[str]:
    first = answers[reference]
    results = (
        f"  {scientific(first.conductivity_s_cm.value)} S/cm at {first.temperature_c:g} °C,"
        f" {fixed(first.relative_density_pct.value)} % dense, {percent(first.phase_purity)} phase pure"
    )
    lines = [f"compared with {first.number}: {recipe_name(first)}", results, ""]
    width = terminal_width()
    for detail in NAME_DETAILS:
        table = _differences_table(compared, answers, reference, detail)
        if width is None or len(max(table, key=len)) <= width:
            break
    shift = summarise_own_shifts(answers)
    return [*lines, *table, *([shift] if shift else []), "", *_summary_lines(compared, answers, reference, level)]


def _differences_table(compared: Compared, answers: list[Answer], reference: int, detail: str) -> list[str]:
    """Return a line for each recipe except the reference."""
    headers = ["#", "recipe"]
    for target, (_, _, unit) in DIFFERENCES.items():
        headers += [f"{short_target(target)}, {unit}", "higher"]
    rows = [headers]
    for row, answer in enumerate(answers):
        if row != reference:
            cells = [str(answer.number), recipe_name(answer, detail)]
            for target in DIFFERENCES:
                difference = compared[target]
                numbers = difference.value[row], difference.lower[row], difference.upper[row]
                cells += [format_difference(target, *numbers, unit=False), percent(difference.better[row])]
            rows.append(cells)
    return align_columns(rows, [True, False, *[True] * (len(headers) - 2)])


def _summary_lines(compared: Compared, answers: list[Answer], reference: int, level: float) -> list[str]:
    """List the recipes that differ significantly from the reference, and explain the numbers."""
    significant = [
        f"{answer.number} in {' and '.join(names)}"
        for row, answer in enumerate(answers)
        if row != reference
        and (names := [short_target(target) for target, each in compared.items() if each.is_told_apart[row]])
    ]
    level_text = format_level(level)
    explanation = (
        f"Differences between a pellet of each, made in one laboratory, with {level_text} intervals; of purity,"
        " between the two probabilities there. higher: the probability that it has the higher value; of purity,"
        " that it is the pure one if only one is."
    )
    number = answers[reference].number
    return [f"told apart from {number} at {level_text}: {'; '.join(significant) or 'none'}", explanation]


def _differences_json(compared: Compared, answers: list[Answer]) -> list[dict[str, Any]]:
    from nasicon_ml.estimators.targets import TARGETS, TargetName

    return [
        {Column.INPUT_ROW.value: answer.number}
        | {
            target: {
                "difference": float(each.value[row]), "lower": float(each.lower[row]),
                "upper": float(each.upper[row]), "unit": TARGETS[TargetName(target)].unit,
                "better": float(each.better[row]), "is_told_apart": bool(each.is_told_apart[row]),
            }
            for target, each in compared.items()
        }
        for row, answer in enumerate(answers)
    ]  # fmt: skip
