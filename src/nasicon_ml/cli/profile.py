"""The command ``nasicon-ml profile``: predictions of one recipe with one or two varied fields."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from nasicon_ml.cli.answers import Answer, build_answers, json_text
from nasicon_ml.cli.formatting import (
    describe_conditions,
    fixed,
    format_difference,
    format_level,
    percent,
    plural,
    scientific,
    short_target,
)
from nasicon_ml.cli.inputs import (
    SectionedCommand,
    answer_options,
    composition_options,
    figure_option,
    json_option,
    output_option,
    recipe_options,
    recipes_from_options,
)
from nasicon_ml.cli.predict import check_output_files, predict_all, report_findings
from nasicon_ml.cli.render import (
    align_columns,
    answer_cells,
    answer_headers,
    notify,
    print_text,
    summarise_own_shifts,
)
from nasicon_ml.columns import Column
from nasicon_ml.estimators.targets import ANSWERS, TargetName

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from nasicon_ml.recipe.combinations import VariedField
    from nasicon_ml.workflows.profile import Best, Profile

SCHEMA = "nasicon-ml/profile/1"
#: Maximum number of values indistinguishable from the best that are listed.
_MAX_LISTED = 6

_EPILOG = """\b
Examples:
  nasicon-ml profile --formula "LATP x=0.3" --sintering-temperature 750:1050:25 --figure latp.png
  nasicon-ml profile --system LATP --x 0:0.6:0.05 --sintering-temperature 900 --atmosphere air
  nasicon-ml profile --formula "Li1.3M0.3Ti1.7(PO4)3" --substitute M=Al,Y,Sc,Ga
  nasicon-ml profile --system LAGP --x 0.5 --sintering-temperature 700:900:20 --sintering-time 2,6,12 --own lab.csv

One or two options take several values, as a list or a range first:last:step; the others hold for all."""


@click.command(cls=SectionedCommand, epilog=_EPILOG)
@composition_options
@recipe_options
@answer_options
@json_option
@output_option("recipes and answers to a file, too")
@figure_option("line, band, measured pellets and the best")
@click.pass_context
def profile(ctx: click.Context, /, **values: Any) -> None:
    """Predict one recipe with one or two fields varied.

    Says which value is best for each answer, and whether it can be told apart from the others: the difference
    between two pellets of one laboratory is known better than each of them.
    """
    check_output_files(values)
    inputs = recipes_from_options(values)
    from nasicon_ml.workflows.profile import Profile, check_varied

    check_varied(inputs.varied)
    result = Profile(predict_all(inputs, values), inputs.varied)
    report_findings(inputs)
    answers = build_answers(inputs, result.prediction, 0, full=False)
    title = _title(result, answers, values)
    notes = []
    if values["output"] is not None:
        from nasicon_ml.io import write_table

        write_table(result.frame(), values["output"])
        notes.append(f"{plural(len(answers), 'prediction')} written to {values['output']}")
    if values["figure"] is not None:
        from nasicon_ml.plots import save

        save(figure(result, title), values["figure"])
        notes.append(f"figure written to {values['figure']}; {_describe_measured(result)}")
    if values["as_json"]:
        click.echo(json_text(SCHEMA, result.prediction, answers, _profile_json(result)), nl=False)
    else:
        print_text("\n".join([title, "", *_table(result, answers), "", *_best_lines(result, answers)]))
    for note in notes:
        notify(note)
    ctx.exit(0)


def _title(profile: Profile, answers: list[Answer], values: dict[str, Any]) -> str:
    """Return the name and the conditions that all recipes share."""
    varied = {field.name for field in profile.varied}
    formulas = {answer.composition.formula for answer in answers}
    given = values[Column.FORMULA] or (values[Column.SYSTEM],)
    name = formulas.pop() if len(formulas) == 1 else ", ".join(given)
    conditions = describe_conditions({key: cell for key, cell in answers[0].recipe.items() if key not in varied})
    return f"{name}, {conditions}" if conditions else name


def _table(profile: Profile, answers: list[Answer]) -> list[str]:
    headers = [f"{field.label}{f', {field.unit}' if field.unit else ''}" for field in profile.varied]
    rows = [(*headers, *answer_headers(answers, profile.prediction.level))]
    for row, answer in enumerate(answers):
        rows.append((*(field.written(row) for field in profile.varied), *answer_cells(answer)))
    lines = align_columns(rows, [*([True] * (len(rows[0]) - 1)), False])
    shift = summarise_own_shifts(answers)
    return [*lines, shift] if shift else lines


def _best_lines(profile: Profile, answers: list[Answer]) -> list[str]:
    """Describe the best value of each property and its advantage over the lowest."""
    lines = []
    for target, best in profile.best.items():
        answer, name = answers[best.row], short_target(target)
        value = {
            TargetName.CONDUCTIVITY: f"{scientific(answer.conductivity_s_cm.value)} S/cm",
            TargetName.RELATIVE_DENSITY: f"{fixed(answer.relative_density_pct.value)} %",
            TargetName.PHASE_PURITY: percent(answer.phase_purity),
        }[target]
        if best.lowest == best.row:
            lines.append(f"{name}: {value} throughout")
            continue
        lines.append(f"highest {name}: {_describe_row(profile, best.row)}, {value}{_at_range_end(profile, best)}")
        lines.append(f"  not told apart from it: {_describe_indistinguishable(profile, best)}")
        # The differences are those of the lowest to the best, so the sign and the ends of the interval swap.
        to_best, lowest = best.differences, best.lowest
        advantage = format_difference(
            target, -to_best.value[lowest], -to_best.upper[lowest], -to_best.lower[lowest]
        )
        probability = percent(1.0 - float(to_best.better[lowest]))
        lines.append(
            f"  above the lowest, {_describe_row(profile, lowest)}: {advantage}, higher with {probability}"
        )
    conductivity = profile.best[TargetName.CONDUCTIVITY]
    half_width = conductivity.differences.upper[conductivity.row]
    level = format_level(profile.prediction.level)
    lines.append(
        f"Differences are those between two pellets of one laboratory, intervals {level}; two made by one recipe"
        f" differ by up to {half_width:.1f} decades."
    )
    return lines


def _describe_row(profile: Profile, row: int) -> str:
    """Return the values of the varied fields in one recipe."""
    return ", ".join(
        f"{'' if field.unit else f'{field.label} = '}{field.written(row)} {field.unit}".rstrip()
        for field in profile.varied
    )


def _at_range_end(profile: Profile, best: Best) -> str:
    """Return a remark if the best is at the end of a range, because better values may lie beyond."""
    labels = [
        field.label
        for field in profile.varied
        if field.is_number and field.values[best.row] in (min(field.values), max(field.values))
    ]
    return f" (at the end of the range of {' and '.join(labels)})" if labels else ""


def _describe_indistinguishable(profile: Profile, best: Best) -> str:
    """Return the values that do not differ significantly from the best."""
    mask = ~best.is_told_apart
    mask[best.row] = False
    others = len(mask) - 1
    rows = np.flatnonzero(mask).tolist()
    if not rows:
        return "none of the others"
    if len(rows) == others:
        return f"all {others} others" if others > 1 else "the other one"
    field = profile.varied[0]
    if len(profile.varied) == 1 and field.is_number:
        numbers = sorted(field.values[row] for row in rows)
        between = sum(numbers[0] <= value <= numbers[-1] for value in field.values) - (
            numbers[0] <= field.values[best.row] <= numbers[-1]
        )
        if between == len(numbers):
            return f"{numbers[0]:g} to {numbers[-1]:g} {field.unit}".rstrip()
    if len(rows) <= _MAX_LISTED:
        return "; ".join(_describe_row(profile, row) for row in rows)
    return f"{len(rows)} of {others} others"


def _profile_json(profile: Profile) -> dict[str, Any]:
    """Return the JSON content beyond the predictions."""
    best_json = {}
    for target, best in profile.best.items():
        to_best = {field: numbers.tolist() for field, numbers in asdict(best.differences).items()}
        best_json[str(target)] = {
            "row": best.row, "lowest": best.lowest, "is_told_apart": best.is_told_apart.tolist(),
            "differences": to_best,
        }  # fmt: skip
    return {
        "varied": [
            {"name": field.name, "label": field.label, "unit": field.unit, "values": list(field.values)}
            for field in profile.varied
        ],
        "best": best_json,
        "measured": _points_json(profile.literature),
        "measured_own": _points_json(profile.own),
    }


def _points_json(points: pd.DataFrame) -> list[dict[str, Any]]:
    from nasicon_ml.io import table_records

    return table_records(points.drop(columns="pellet"))


def _describe_measured(profile: Profile) -> str:
    """Return the number of measured pellets in a figure and how they were made."""
    literature = profile.literature
    if literature.empty:
        return "no measured pellet of this composition states what is varied"
    shown = literature[literature["target"] == str(ANSWERS[0])]
    shown = literature if shown.empty else shown
    pellets, papers = shown["pellet"].nunique(), shown[Column.SOURCE].nunique()
    return f"it shows {plural(pellets, 'pellet')} of {plural(papers, 'paper')}, {shown['made'].iloc[0]}"


def figure(profile: Profile, title: str) -> Figure:
    """Draw a profile, preferably over a field of numbers, and over the field with more values of two."""
    from nasicon_ml.plots import Axis
    from nasicon_ml.plots import profile as draw

    first, *others = sorted(profile.varied, key=lambda field: (-field.is_number, -len(field.unique_values)))
    axes = [
        Axis(
            field.values if field.is_number else [field.written(row) for row in range(len(field.values))],
            f"{field.label} ({field.unit})" if field.unit else field.label,
        )
        for field in (first, *others)
    ]
    measured = {}
    for label, points in (("literature", profile.literature), ("your pellets", profile.own)):
        if not points.empty:
            place = [value if first.is_number else first.text(value) for value in points[first.name]]
            curve = [_curve(others[0], value) for value in points[others[0].name]] if others else None
            measured[label] = points.assign(place=place, curve=curve)
    best = {str(target): best.row for target, best in profile.best.items()}
    curves = axes[1] if others else None
    level = profile.prediction.level
    return draw(profile.frame(), axes[0], curves, measured, title=title, level=level, best=best)


def _curve(field: VariedField, value: Any) -> Any:
    """Return the curve to which a measured pellet belongs; for numbers, the nearest."""
    return min(field.unique_values, key=lambda other: abs(other - value)) if field.is_number else field.text(value)
