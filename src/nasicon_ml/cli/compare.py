"""``nasicon-ml compare``: recipes against one of them, with intervals of the differences."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any

import click

from nasicon_ml.cli.answers import Answer, answers, json_text
from nasicon_ml.cli.formatting import (
    DIFFERENCES,
    difference_words,
    fixed,
    level_words,
    percent,
    plural,
    scientific,
)
from nasicon_ml.cli.inputs import (
    ANSWER,
    SectionedCommand,
    Whole,
    answer_options,
    complete,
    composition_options,
    file_options,
    option,
    recipe_options,
)
from nasicon_ml.cli.predict import check_files, check_usage, predict_together, read_inputs, report
from nasicon_ml.cli.render import aligned, own_summary, print_text, recipe_name, say
from nasicon_ml.columns import Column

if TYPE_CHECKING:
    import pandas as pd

    from nasicon_ml.estimators.joint import Differences

SCHEMA = "nasicon-ml/comparison/1"
Found = dict[str, "Differences"]

_EPILOG = """\b
Examples:
  nasicon-ml compare --formula "LATP x=0.3" --formula "LAGP x=0.5" --sintering-temperature 900
  nasicon-ml compare --system LATP --x 0.3 --sintering-temperature 850,900,950 --atmosphere air
  nasicon-ml compare recipes.csv --reference 3 --own my_pellets.csv

The first recipe, or that of --reference, is what the others are compared with. Exit code: 0 done; 1 some rows are
bad, the others are compared; 2 nothing could be compared."""


@click.command(cls=SectionedCommand, epilog=_EPILOG)
@click.argument("file", required=False, metavar="[FILE]", shell_complete=complete)
@composition_options
@recipe_options
@option("--reference", section=ANSWER, type=Whole(1), default=1, show_default=True, metavar="NUMBER",
        help="Number of the recipe with which the others are compared.")  # fmt: skip
@answer_options
@file_options
@option("--json", "as_json", is_flag=True, section=ANSWER, help="Write JSON to standard output.")
@option("--output", section=ANSWER, metavar="FILE",
        help="Write the differences to a file, too: .csv, .json or .parquet.")  # fmt: skip
@click.pass_context
def compare(ctx: click.Context, /, **values: Any) -> None:
    """Compare recipes with one of them.

    A difference is that between a pellet of each, made in one laboratory: what both share cancels, the more the
    more alike they are, so that it is known better than either answer.
    """
    check_usage(ctx, values)
    check_files(values)
    inputs = read_inputs(values)
    if len(inputs) < 2:
        report(inputs)
        raise click.UsageError(
            "a comparison needs at least two recipes: repeat --formula, give several values, or a FILE"
        )
    if values["reference"] not in inputs.numbers:
        raise click.UsageError(
            f"--reference {values['reference']}: there is no such recipe among those that can be read"
        )
    from nasicon_ml.workflows.differences import compare as as_table
    from nasicon_ml.workflows.differences import differences

    prediction = predict_together(inputs, values)
    reference = inputs.numbers.index(values["reference"])
    found = {str(name): each for name, each in differences(prediction, reference).items()}
    given = answers(inputs, prediction, 0, full=False)
    if values["output"] is not None:
        from nasicon_ml.io import write_table

        table = as_table(prediction, reference)
        table.insert(0, Column.INPUT_ROW.value, [inputs.numbers[row] for row in table.pop("row")])
        write_table(_named(table, given), values["output"])
        say(f"{plural(len(inputs) - 1, 'comparison')} written to {values['output']}")
    if values["as_json"]:
        more = {"reference": values["reference"], "differences": _json(found, given)}
        click.echo(json_text(SCHEMA, prediction, given, more), nl=False)
    else:
        print_text("\n".join(_text(found, given, reference, prediction.level)))
    report(inputs)
    ctx.exit(1 if inputs.bad_rows else 0)


def _named(table: pd.DataFrame, given: list[Answer]) -> pd.DataFrame:
    """Put what the recipes are called into a table of differences."""
    names = {answer.number: recipe_name(answer, "conditions") for answer in given}
    table.insert(1, "recipe", table[Column.INPUT_ROW].map(names))
    return table


def _text(found: Found, given: list[Answer], reference: int, level: float) -> list[str]:
    first = given[reference]
    answer = (
        f"  {scientific(first.conductivity_s_cm.value)} S/cm at {first.temperature_c:g} °C,"
        f" {fixed(first.relative_density_pct.value)} % dense, {percent(first.phase_purity)} phase pure"
    )
    lines = [f"compared with {first.number}: {recipe_name(first, 'conditions')}", answer, ""]
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for detail in ("conditions", "full", "short"):
        table = _table(found, given, reference, detail)
        if width is None or len(max(table, key=len)) <= width:
            break
    moved = own_summary(given)
    return [*lines, *table, *([moved] if moved else []), "", *_told_apart(found, given, reference, level)]


def _table(found: Found, given: list[Answer], reference: int, detail: str) -> list[str]:
    """Return a line for each recipe but the reference, named in more or less detail."""
    heads = ["#", "recipe"]
    for target, (_, _, unit) in DIFFERENCES.items():
        heads += [f"{_short(target)}, {unit}", "higher"]
    rows = [tuple(heads)]
    for row, answer in enumerate(given):
        if row != reference:
            cells = [str(answer.number), recipe_name(answer, detail)]
            for target in DIFFERENCES:
                numbers = [getattr(found[target], part)[row] for part in ("value", "lower", "upper")]
                cells += [difference_words(target, *numbers, unit=False), percent(found[target].better[row])]
            rows.append(tuple(cells))
    return aligned(rows, [True, False, *[True] * (len(heads) - 2)])


def _short(target: str) -> str:
    """Return conductivity, density or purity."""
    return target.rsplit("_", maxsplit=1)[-1]


def _told_apart(found: Found, given: list[Answer], reference: int, level: float) -> list[str]:
    """Say which recipes are told apart from the reference, and what the numbers mean."""
    told = [
        f"{answer.number} in {' and '.join(names)}"
        for row, answer in enumerate(given)
        if row != reference
        and (names := [_short(name) for name, each in found.items() if each.is_told_apart[row]])
    ]
    sure = level_words(level)
    meaning = (
        f"Differences between a pellet of each, made in one laboratory, with {sure} intervals; of purity, between"
        " the two probabilities there. higher: the probability that it has the higher value; of purity, that it is"
        " the pure one if only one is."
    )
    return [f"told apart from {given[reference].number} at {sure}: {'; '.join(told) or 'none'}", meaning]


def _json(found: Found, given: list[Answer]) -> list[dict[str, Any]]:
    units = {"conductivity": "decades", "relative_density": "points", "phase_purity": "probability"}
    return [
        {Column.INPUT_ROW.value: answer.number}
        | {
            target: {
                "difference": float(each.value[row]), "lower": float(each.lower[row]),
                "upper": float(each.upper[row]), "unit": units[target], "better": float(each.better[row]),
                "is_told_apart": bool(each.is_told_apart[row]),
            }
            for target, each in found.items()
        }
        for row, answer in enumerate(given)
    ]  # fmt: skip
