"""``nasicon-ml profile``: one recipe with one or two fields varied, and what the best of it is worth."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from nasicon_ml.cli.answers import Answer, answers, json_text
from nasicon_ml.cli.formatting import conditions, difference_words, fixed, level_words, percent, plural, scientific
from nasicon_ml.cli.inputs import (
    ANSWER,
    Inputs,
    SectionedCommand,
    answer_options,
    composition_options,
    option,
    recipe_options,
    recipes_from_options,
)
from nasicon_ml.cli.predict import check_files, predict_together, report
from nasicon_ml.cli.render import aligned, answer_cells, answer_heads, own_summary, print_text, say
from nasicon_ml.columns import Column
from nasicon_ml.estimators.targets import ANSWERS, TargetName

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from nasicon_ml.recipe.combinations import Varied
    from nasicon_ml.workflows.profile import Best, Profile

SCHEMA = "nasicon-ml/profile/1"
#: So many values that are not told apart from the best are named one by one.
_MOST_NAMED = 6

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
@option("--json", "as_json", is_flag=True, section=ANSWER, help="Write JSON to standard output.")
@option("--output", section=ANSWER, metavar="FILE",
        help="Write recipes and answers to a file, too: .csv, .json or .parquet.")  # fmt: skip
@option("--figure", section=ANSWER, metavar="FILE",
        help="Draw line, band, measured pellets and the best: .png, .pdf or .svg.")  # fmt: skip
@click.pass_context
def profile(ctx: click.Context, /, **values: Any) -> None:
    """Predict one recipe with one or two fields varied.

    Says which value is best for each answer, and whether it can be told apart from the others: the difference
    between two pellets of one laboratory is known better than each of them.
    """
    check_files(values)
    inputs = recipes_from_options(values)
    found = _profile(inputs, values)
    report(inputs)
    given = answers(inputs, found.prediction, 0, full=False)
    notes = []
    if values["output"] is not None:
        from nasicon_ml.io import write_table

        write_table(found.frame(), values["output"])
        notes.append(f"{plural(len(given), 'prediction')} written to {values['output']}")
    if values["figure"] is not None:
        from nasicon_ml.plots import save

        save(figure(found, _title(found, given, values)), values["figure"])
        notes.append(f"figure written to {values['figure']}; {_measured_words(found)}")
    if values["as_json"]:
        click.echo(json_text(SCHEMA, found.prediction, given, _more(found)), nl=False)
    else:
        print_text("\n".join([_title(found, given, values), "", *_table(found, given), "", *_best(found, given)]))
    for note in notes:
        say(note)
    ctx.exit(0)


def _profile(inputs: Inputs, values: dict[str, Any]) -> Profile:
    from nasicon_ml.workflows.profile import Profile, check_varied

    check_varied(inputs.varied)
    return Profile(predict_together(inputs, values), inputs.varied)


def _title(found: Profile, given: list[Answer], values: dict[str, Any]) -> str:
    """Return what is the same in all recipes."""
    varied = {one.name for one in found.varied}
    formulas = {answer.composition.formula for answer in given}
    stated = values[Column.FORMULA] or (values[Column.SYSTEM],)
    name = formulas.pop() if len(formulas) == 1 else ", ".join(stated)
    cells = {key: cell for key, cell in given[0].recipe.items() if key not in varied}
    return f"{name}, {how}" if (how := conditions(cells)) else name


def _table(found: Profile, given: list[Answer]) -> list[str]:
    heads = [f"{one.label}{f', {one.unit}' if one.unit else ''}" for one in found.varied]
    rows = [(*heads, *answer_heads(given, found.prediction.level))]
    rows += [
        (*(one.written(row) for one in found.varied), *answer_cells(answer)) for row, answer in enumerate(given)
    ]
    lines = aligned(rows, [*([True] * (len(rows[0]) - 1)), False])
    return lines + ([moved] if (moved := own_summary(given)) else [])


_NAMES = {
    TargetName.CONDUCTIVITY: "conductivity",
    TargetName.RELATIVE_DENSITY: "density",
    TargetName.PHASE_PURITY: "purity",
}


def _best(found: Profile, given: list[Answer]) -> list[str]:
    """Say which is best, and what that is worth."""
    lines = []
    for name, best in found.best.items():
        value = {
            TargetName.CONDUCTIVITY: f"{scientific(given[best.row].conductivity_s_cm.value)} S/cm",
            TargetName.RELATIVE_DENSITY: f"{fixed(given[best.row].relative_density_pct.value)} %",
            TargetName.PHASE_PURITY: percent(given[best.row].phase_purity),
        }[name]
        if best.lowest == best.row:
            lines.append(f"{_NAMES[name]}: {value} throughout")
            continue
        lines.append(f"highest {_NAMES[name]}: {_at(found, best.row)}, {value}{_at_the_end(found, best)}")
        lines.append(f"  not told apart from it: {_alike(found, best)}")
        there = best.differences
        worth = difference_words(
            str(name), -there.value[best.lowest], -there.upper[best.lowest], -there.lower[best.lowest]
        )
        surely = percent(1.0 - float(there.better[best.lowest]))
        lines.append(f"  above the lowest, {_at(found, best.lowest)}: {worth}, higher with {surely}")
    pair = found.best[TargetName.CONDUCTIVITY]
    half = pair.differences.upper[pair.row]
    level = level_words(found.prediction.level)
    lines.append(
        f"Differences are those between two pellets of one laboratory, intervals {level}; two made by one recipe"
        f" differ by up to {half:.1f} decades."
    )
    return lines


def _at(found: Profile, row: int) -> str:
    return ", ".join(
        f"{'' if one.unit else f'{one.label} = '}{one.written(row)} {one.unit}".rstrip() for one in found.varied
    )


def _at_the_end(found: Profile, best: Best) -> str:
    """Say so where the best lies at the end of a range: there may be better beyond."""
    ends = [
        one.label
        for one in found.varied
        if one.is_number and one.values[best.row] in (min(one.values), max(one.values))
    ]
    return f" (at the end of the range of {' and '.join(ends)})" if ends else ""


def _alike(found: Profile, best: Best) -> str:
    """Name the values that are not told apart from the best."""
    alike = ~best.is_told_apart
    alike[best.row] = False
    others = len(alike) - 1
    if not alike.any():
        return "none of the others"
    if alike.sum() == others:
        return f"all {others} others" if others > 1 else "the other one"
    only = found.varied[0]
    rows = np.flatnonzero(alike)
    if len(found.varied) == 1 and only.is_number:
        numbers = sorted(only.values[row] for row in rows)
        between = sum(numbers[0] <= value <= numbers[-1] for value in only.values) - (
            numbers[0] <= only.values[best.row] <= numbers[-1]
        )
        if between == len(numbers):
            return f"{numbers[0]:g} to {numbers[-1]:g} {only.unit}".rstrip()
    if len(rows) <= _MOST_NAMED:
        return "; ".join(_at(found, row) for row in rows.tolist())
    return f"{len(rows)} of {others} others"


def _more(found: Profile) -> dict[str, Any]:
    """Return what the JSON says beside the predictions."""
    best = {}
    for name, one in found.best.items():
        to_best = {field: numbers.tolist() for field, numbers in asdict(one.differences).items()}
        best[str(name)] = {
            "row": one.row, "lowest": one.lowest, "is_told_apart": one.is_told_apart.tolist(),
            "differences": to_best,
        }  # fmt: skip
    return {
        "varied": [
            {"name": one.name, "label": one.label, "unit": one.unit, "values": list(one.values)}
            for one in found.varied
        ],
        "best": best,
        "measured": _records(found.literature),
        "measured_own": _records(found.own),
    }


def _records(points: pd.DataFrame) -> list[dict[str, Any]]:
    from nasicon_ml.io import table_records

    return table_records(points.drop(columns="pellet"))


def _measured_words(found: Profile) -> str:
    """Say which measured pellets a figure shows."""
    literature = found.literature
    if literature.empty:
        return "no measured pellet of this composition states what is varied"
    shown = literature[literature["target"] == str(ANSWERS[0])]
    shown = literature if shown.empty else shown
    made = shown["made"].iloc[0]
    return (
        f"it shows {plural(shown['pellet'].nunique(), 'pellet')} of"
        f" {plural(shown[Column.SOURCE].nunique(), 'paper')}, {made}"
    )


def figure(found: Profile, title: str) -> Figure:
    """Draw a profile: a field of numbers is the axis, and of two the one with more values."""
    from nasicon_ml.plots import Axis
    from nasicon_ml.plots import profile as draw

    along, *others = sorted(found.varied, key=lambda one: (-one.is_number, -len(one.different)))
    axes = [
        Axis(
            one.values if one.is_number else [one.written(row) for row in range(len(one.values))],
            f"{one.label} ({one.unit})" if one.unit else one.label,
        )
        for one in (along, *others)
    ]
    measured = {}
    for whose, points in (("literature", found.literature), ("your pellets", found.own)):
        if not points.empty:
            place = [value if along.is_number else along.text(value) for value in points[along.name]]
            curve = [_curve(others[0], value) for value in points[others[0].name]] if others else None
            measured[whose] = points.assign(place=place, curve=curve)
    best = {str(name): one.row for name, one in found.best.items()}
    curves = axes[1] if others else None
    return draw(found.frame(), axes[0], curves, measured, title=title, level=found.prediction.level, best=best)


def _curve(one: Varied, value: Any) -> Any:
    """Return which curve a measured pellet belongs to: of numbers, the nearest."""
    return min(one.different, key=lambda other: abs(other - value)) if one.is_number else one.text(value)
