"""Everything that is shown: lines on standard error, tables, a progress bar, and answers and results as text."""

from __future__ import annotations

import json
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from nasicon_ml.cli.formatting import (
    NOTHING,
    conditions,
    duration,
    fixed,
    ion,
    level_words,
    measured,
    origin,
    percent,
    plural,
    recipe_line,
    scientific,
)
from nasicon_ml.columns import Column, is_missing
from nasicon_ml.errors import plain_line

if TYPE_CHECKING:
    import pandas as pd

    from nasicon_ml.cli.answers import Answer, Interval, OwnShift
    from nasicon_ml.composition import Composition
    from nasicon_ml.screening.result import ScreeningResult
    from nasicon_ml.workflows.train import TrainingResult


def plain(message: str) -> str:
    """Replace what could steer the terminal, or fill it, in a message with names of files or arguments."""
    return "\n".join(plain_line(line) for line in message.split("\n"))


def say(message: str) -> None:
    """Write a message to standard error."""
    click.echo(plain(message), err=True)


def print_text(text: str) -> None:
    """Write text to standard output in which others may have had a say, such as tags of a version."""
    click.echo("\n".join(plain_line(line, len(line)) for line in text.split("\n")))


def print_json(content: Any) -> None:
    """Write JSON to standard output."""
    click.echo(json.dumps(content, indent=2, ensure_ascii=False))


def aligned(rows: Sequence[Sequence[str]], right: Sequence[bool] | None = None) -> list[str]:
    """Write rows of cells as lines, two spaces between the columns.

    `right` says which columns are set to the right; by default none.
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    sides = right or [False] * len(widths)
    return [
        "  ".join(
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, sides, strict=True)
        ).rstrip()
        for row in rows
    ]


def cell_text(value: Any) -> str:
    """Write one value for a person: nothing for what is missing, four digits for numbers, words for flags."""
    if is_missing(value) and not isinstance(value, str):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) < 1e6 else f"{value:.4g}"
    return str(value)


def print_table(frame: pd.DataFrame, title: str = "") -> None:
    """Print a table to standard output, numbers to the right, below a title if it has one."""
    heads = [str(name) for name in frame.columns]
    rows = [[cell_text(value) for value in row] for row in frame.itertuples(index=False, name=None)]
    right = [frame.iloc[:, position].dtype.kind in "iuf" for position in range(frame.shape[1])]
    if sys.stdout.isatty():
        _print_rich(heads, rows, right, title)
    else:
        click.echo("\n".join([*([title] if title else []), *aligned([heads, *rows], right)]))


def _print_rich(heads: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool], title: str) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title) or None, title_justify="left")
    for head, is_right in zip(heads, right, strict=True):
        table.add_column(escape(head), justify="right" if is_right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    Console(highlight=False).print(table)


#: Takes what is being done, and how much of the whole is done (0 to 1).
Step = Callable[[str, float], None]


@contextmanager
def progress(label: str, *, line_every_s: float | None = None) -> Iterator[Step]:
    """Show on standard error how far the work is: a bar on a terminal, elsewhere lines or nothing.

    Yields the function that moves the bar. Beside it stands `label` until the first step; where there is no
    terminal, a line comes every `line_every_s` seconds, if that is given.
    """
    if not sys.stderr.isatty():
        yield (lambda _message, _done: None) if line_every_s is None else _line_now_and_then(line_every_s)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=1.0)
        yield lambda message, fraction: bar.update(task, description=message, completed=fraction)


def _line_now_and_then(every_s: float) -> Step:
    last = time.monotonic() - every_s

    def step(message: str, fraction: float) -> None:
        nonlocal last
        if time.monotonic() - last >= every_s:
            last = time.monotonic()
            click.echo(f"{100 * fraction:3.0f} %  {message}", err=True)

    return step


# ----------------------------------------------------------------------------------------------- predictions


_LABEL_WIDTH = 22
_SMALLEST_WIDTH = 72
#: Rules of the literature named that the model breaks.
_SHOWN_RULES = 2
#: Parts of an explanation shown; the others are added up.
_SHOWN_PARTS = 7
#: Amounts that differ from a whole charge or lithium by less are rounding.
_VISIBLE = 0.0005


def panel(answer: Answer, level: float, width: int) -> str:
    """Return the whole answer for one recipe as text, lines broken between words at the width of the terminal."""
    width = max(width, _SMALLEST_WIDTH)
    lines = [*_head(answer, width), "", *_predicted(answer, level, width), "", *_domain(answer, width)]
    lines += _entries("measured like this", measured_words(answer), width)
    lines += _broken_rules(answer, width)
    lines += _why(answer)
    if answer.neighbours:
        lines += ["", *_nearest(answer, width)]
    return "\n".join(lines) + "\n"


def _head(answer: Answer, width: int) -> list[str]:
    composition = answer.composition
    name = f"{answer.pellet_id}: " if answer.pellet_id else ""
    title = f"{name}{composition.formula}   {composition.system}, x = {composition.x:.4g}"
    lines = [click.style(title, bold=True)]
    lines += _entry("sites", sites_words(composition), width)
    lines += _entry("charge", charge_words(composition), width)
    lines += _entry("made", conditions(answer.recipe) or "nothing given", width)
    if answer.not_given:
        missing = ", ".join(column.label for column in answer.not_given)
        lines += _entry("not given", f"{missing} (unknown to the model: widens the intervals)", width)
    return lines


def sites_words(composition: Composition) -> str:
    """Return which ions are on which site."""
    states = composition.oxidation_states
    sites = (("A", composition.a_site), ("M", composition.m_site), ("T", composition.t_site))
    parts = [
        f"{name}: " + " ".join(f"{ion(element, states.get(element))} {n:.4g}" for element, n in cations.items())
        for name, cations in sites
    ]
    anions = {"O": composition.oxygen, **composition.other_anions}
    parts.append("anions: " + " ".join(f"{element} {n:.4g}" for element, n in anions.items()))
    return ";  ".join(parts)


def charge_words(composition: Composition) -> str:
    """Return whether the charges add up."""
    from nasicon_ml.composition import CHARGE_TOLERANCE

    imbalance, excess = composition.charge_imbalance, composition.alkali_excess
    if abs(imbalance) > CHARGE_TOLERANCE:
        text = f"NOT BALANCED: {imbalance:+.3g} e per formula unit with these oxidation states; check the formula"
        return click.style(text, fg="yellow")
    text = "balanced" if abs(imbalance) < _VISIBLE else f"balanced within {abs(imbalance):.2g} e"
    if abs(excess) > _VISIBLE:
        text += f"; {composition.alkali} {'excess' if excess > 0 else 'deficit'} {abs(excess):.3g}"
    return text


def _predicted(answer: Answer, level: float, width: int) -> list[str]:
    at = f"conductivity, {answer.temperature_c:g} °C"
    sigma, density = answer.conductivity_s_cm, answer.relative_density_pct
    between = f"{scientific(sigma.lower)} to {scientific(sigma.upper)} S/cm"
    rows = [
        ("", "predicted", f"{level_words(level)} interval"),
        (at, f"{scientific(sigma.value)} S/cm", between),
        ("activation energy", f"{fixed(answer.activation_energy_ev, 2)} eV", ""),
        ("relative density", f"{fixed(density.value)} %", f"{fixed(density.lower)} to {fixed(density.upper)} %"),
        ("phase purity", percent(answer.phase_purity), "that XRD shows no secondary phase"),
    ]
    lines = [f"  {label:<{_LABEL_WIDTH}}{value:<15}{more}".rstrip() for label, value, more in rows]
    lines[0] = click.style(lines[0], dim=True)
    phases = ", ".join(answer.secondary_phases) or "none named by the nearest pellets"
    lines += _entry("if not pure, likely", phases, width)
    return lines if answer.own is None else lines + _entry(_own_label(answer.own), _own_words(answer.own), width)


def _domain(answer: Answer, width: int) -> list[str]:
    if answer.inside_domain:
        return _entry("known domain", click.style("inside", fg="green"), width)
    lines = _entry("known domain", click.style("OUTSIDE: trust the numbers less", fg="yellow"), width)
    for note in answer.domain_notes:
        lines += _wrapped(f"- {note}", width, " " * (_LABEL_WIDTH + 2), " " * (_LABEL_WIDTH + 4))
    return lines


def measured_words(answer: Answer) -> list[str]:
    """Return what was measured on pellets like this, and whether the answer disagrees with it."""
    from nasicon_ml.workflows.similar_pellets import side_of_interval

    texts: list[str] = []
    shown: dict[str, tuple[str, Callable[[float], str], Interval | None]] = {
        "conductivity": ("S/cm", scientific, answer.conductivity_s_cm),
        "relative_density": ("% dense", fixed, answer.relative_density_pct),
        "phase_purity": ("", percent, None),
    }
    for name, (unit, written, interval) in shown.items():
        if name not in answer.measured_alike:
            continue
        found = answer.measured_alike[name]
        whose = f"{plural(found.pellets, 'pellet')} of {plural(found.papers, 'paper')}, {found.made}"
        if interval is None:
            text = f"{whose}: {percent(found.middle)} of them pure"
        elif found.pellets == 1:
            text = f"{whose}: {written(found.middle)} {unit}"
        else:
            text = (
                f"{whose}: {written(found.lowest)} to {written(found.highest)} {unit}, middle"
                f" {written(found.middle)}"
            )
        if found.carried:
            text += f" ({found.carried} carried to {answer.temperature_c:g} °C with the pellet's own energy)"
        side = "" if interval is None else side_of_interval(found, interval.lower, interval.upper)
        if side:
            text += f"; that lies {side} the interval of the prediction: trust what was measured"
        texts.append(text)
    return texts


def _broken_rules(answer: Answer, width: int) -> list[str]:
    """Return what the literature states of recipes like this and the model does not see, the closest of it."""
    statements = list(answer.broken_rules.values())
    more = len(statements) - _SHOWN_RULES
    shown = statements[:_SHOWN_RULES] + ([f"and {more} more (--json)"] if more > 0 else [])
    return _entries("model does not see", shown, width)


def _why(answer: Answer) -> list[str]:
    """Return what moved each property, the strongest parts of it."""
    if answer.explanation is None:
        return []
    lines = ["", click.style("What moved the answers", bold=True) + " (in the model; the average pellet first)"]
    for target, one in answer.explanation.items():
        if target == "conductivity":
            ends = f"{scientific(10.0**one.base)} to {scientific(10.0**one.predicted)} S/cm"
        else:
            ends = f"{fixed(one.base)} to {fixed(one.predicted)} %"
        lines.append(f"  {target.replace('_', ' ')}, {one.unit}: {ends}")
        shown, rest = one.parts[:_SHOWN_PARTS], one.parts[_SHOWN_PARTS:]
        parts = [*shown, (f"everything else ({len(rest)})", sum(size for _, size in rest))] if rest else shown
        digits = 2 if target == "conductivity" else 1
        lines += [f"{size:>+9.{digits}f}  {part}" for part, size in parts]
    return lines


def _nearest(answer: Answer, width: int) -> list[str]:
    lines = [click.style("Nearest measured pellets", bold=True) + " (0: same composition, made alike)"]
    for place, neighbour in enumerate(answer.neighbours, start=1):
        cells = neighbour.cells
        first = f"{cells[Column.FORMULA]}   distance {neighbour.distance:.2f}   {cells[Column.PELLET_ID]}"
        lines += _wrapped(f"{place:>3}. {first}", width, "", " " * 5)
        made = conditions(cells) or "nothing reported about how it was made"
        for text in (made, measured(cells), origin(cells)):
            lines += _wrapped(text, width, " " * 5, " " * 5)
    return lines


def _entry(label: str, text: str, width: int) -> list[str]:
    return _wrapped(text, width, f"  {label:<{_LABEL_WIDTH}}", " " * (_LABEL_WIDTH + 2))


def _entries(label: str, texts: Sequence[str], width: int) -> list[str]:
    """Return entries one below the other, of which the first alone has the label."""
    return [line for place, text in enumerate(texts) for line in _entry("" if place else label, text, width)]


def _wrapped(text: str, width: int, first: str, others: str) -> list[str]:
    """Break a text between words; a link or number is never cut."""
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=others, break_long_words=False, break_on_hyphens=False
    ) or [first.rstrip()]


def table(answers: Sequence[Answer], level: float, width: int | None, *, with_nearest: bool = False) -> str:
    """Return a table with one line a recipe, and below it why recipes lie outside the domain.

    The column that names the recipe is fitted to the width of the terminal: with its conditions, the formula
    alone, or system and x. None is for a file or a pipe: everything is written out. With `with_nearest`, an
    indented line says what was measured on the pellet nearest to the recipe, and where.
    """
    rows = [("#", *answer_heads(answers, level))]
    rows += [(str(answer.number), *answer_cells(answer)) for answer in answers]
    others = sum(max(map(len, column)) + 2 for column in zip(*rows, strict=True))
    names = ["recipe", *_fitting_names(answers, None if width is None else width - others)]
    rows = [(number, name, *cells) for (number, *cells), name in zip(rows, names, strict=True)]
    # The name of the recipe and "inside" or "OUTSIDE" stand left, numbers right.
    head_line, *recipe_lines = aligned(rows, [column not in {1, 7} for column in range(len(rows[0]))])
    body_lines = [
        line
        for first, answer in zip(recipe_lines, answers, strict=True)
        for line in (first, *(_nearest_in_brief(answer, width) if with_nearest else ()))
    ]
    moved = own_summary(answers)
    body_lines += ["", *_wrapped(moved, _line_width(width), "", "  ")] if moved else []
    return "\n".join([click.style(head_line, bold=True), *body_lines, *_outside(answers, width)]) + "\n"


def _line_width(width: int | None) -> int:
    """Return the longest line: without a terminal, lines are not broken."""
    return 1_000_000 if width is None else max(width, _SMALLEST_WIDTH)


def _nearest_in_brief(answer: Answer, width: int | None) -> list[str]:
    """Return a line about what was measured on the nearest pellet and where it was published."""
    if not answer.neighbours:
        return []
    cells = answer.neighbours[0].cells
    text = f"nearest: {cells[Column.PELLET_ID]}, {cells[Column.FORMULA]}, {measured(cells)}; {origin(cells)}"
    return _wrapped(text, _line_width(width), " " * 5, " " * 7)


def answer_heads(answers: Sequence[Answer], level: float) -> tuple[str, ...]:
    """Return the heads of `answer_cells`."""
    interval = level_words(level)
    temperatures = {answer.temperature_c for answer in answers}
    at = f", {temperatures.pop():g} °C" if len(temperatures) == 1 else ""
    return f"S/cm{at}", f"{interval} interval", "dense", interval, "pure", "domain"


def answer_cells(answer: Answer) -> tuple[str, ...]:
    """Return an answer as cells of a row: conductivity, density and their intervals, purity, domain."""
    sigma, density = answer.conductivity_s_cm, answer.relative_density_pct
    return (
        scientific(sigma.value),
        f"{scientific(sigma.lower)} to {scientific(sigma.upper)}",
        f"{fixed(density.value)} %",
        f"{fixed(density.lower, 0)} to {fixed(density.upper, 0)}",
        percent(answer.phase_purity),
        "inside" if answer.inside_domain else "OUTSIDE",
    )


def _fitting_names(answers: Sequence[Answer], width: int | None) -> list[str]:
    """Name the recipes as fully as the width allows."""
    choices = [[recipe_name(answer, detail) for answer in answers] for detail in ("conditions", "full", "short")]
    return next((names for names in choices if width is None or max(map(len, names)) <= width), choices[-1])


def recipe_name(answer: Answer, detail: str) -> str:
    """Return what a recipe is called: with its "conditions", by its formula alone ("full"), or "short"."""
    composition = answer.composition
    if detail == "short":
        return answer.pellet_id or f"{composition.system} x={composition.x:.3g}"
    name = f"{answer.pellet_id}: {composition.formula}" if answer.pellet_id else composition.formula
    made = conditions(answer.recipe) if detail == "conditions" else ""
    return f"{name}, {made}" if made else name


def _outside(answers: Sequence[Answer], width: int | None) -> list[str]:
    lines = []
    for answer in answers:
        if not answer.inside_domain:
            reasons = "; ".join(answer.domain_notes) or "outside the known domain"
            lines += _wrapped(f"{answer.number}: {reasons}", _line_width(width), "  ", "     ")
    if lines:
        lines = ["", click.style("Outside the known domain (trust these numbers less):", fg="yellow"), *lines]
    return lines


def _own_words(shift: OwnShift) -> str:
    """Return how far own pellets moved one answer."""
    return (
        f"moved conductivity by {shift.decades:+.2f} decades (times {10.0**shift.decades:.2g}), density by"
        f" {shift.points:+.1f} points, purity by {100 * shift.purity:+.0f} points"
        + "".join(
            f"; {one.target.replace('_', ' ')} mostly by {one.pellet_id} alone ({one.change:+.2g} {one.unit})"
            for one in shift.dominant
        )
    )


def own_summary(answers: Sequence[Answer]) -> str:
    """Return how far own pellets moved many answers; empty where none were given."""
    shifts = [answer.own for answer in answers if answer.own is not None]
    if not shifts:
        return ""
    decades = _span([shift.decades for shift in shifts], "+.2f")
    points = _span([shift.points for shift in shifts], "+.1f")
    purity = _span([100 * shift.purity for shift in shifts], "+.0f")
    return (
        f"{_own_label(shifts[0])} moved conductivity by {decades} decades, density by {points} points,"
        f" purity by {purity} points"
    )


def _own_label(shift: OwnShift) -> str:
    return f"your {plural(shift.pellets, 'pellet')}"


def _span(values: Sequence[float], form: str) -> str:
    low, high = (format(end, form) for end in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


# -------------------------------------------------------------------------------------------------- training


_SCORED_MODELS = {"full": "whole recipe", "composition only": "composition", "median": "median"}
#: The subsets shown, and how each is headed.
_SCORED_SUBSETS = {
    "all": "{target}",
    "sintering temperature given": "{target}, sintering temperature given",
    "away from room temperature": "Conductivity away from room temperature",
}
_TARGET_NAMES = {
    "conductivity": "Conductivity near room temperature",
    "relative_density": "Relative density",
    "phase_purity": "Phase purity",
    "activation_energy": "Activation energy",
}
#: How a score is written: words, unit, decimals.
_METRICS = {
    "r2": ("R²", "", 3),
    "auroc": ("area under the ROC curve", "", 3),
    "brier": ("Brier score (0 is best)", "", 3),
    "brier_skill": ("Brier skill (above 0 beats the base rate)", "", 3),
    "ece": ("calibration error", "", 3),
    "ece_by_chance": ("what chance alone makes of it", "", 3),
}
for _unit, _decimals in (("decades", 3), ("points", 2), ("eV", 3)):
    for _metric, _words in (("mae", "mean |error|"), ("median_ae", "median |error|")):
        _METRICS[f"{_metric}_{_unit.lower()}"] = (_words, _unit, _decimals)
for _level in (50, 80, 90):
    _METRICS |= {
        f"coverage_{_level}": (f"inside their {_level} % interval", "%", 1),
        f"width_{_level}_decades": (f"mean width of the {_level} % interval", "decades", 2),
        f"width_{_level}_points": (f"mean width of the {_level} % interval", "points", 1),
    }
_LABEL_CHARACTERS, _CELL_CHARACTERS = 52, 14


def score_report(result: TrainingResult) -> str:
    """Return the scores by target: the model, the same without processing, and the median, side by side."""
    options = result.options
    times = f", dealt {options.repeats} times" if options.repeats > 1 else ""
    lines = [
        click.style("Scores on sources that the models have not seen", bold=True)
        + f" ({options.folds}-fold cross-validation{times}, seed {options.seed})",
        "",
    ]
    for target in dict.fromkeys(result.scores["target"]):
        for subset, heading in _SCORED_SUBSETS.items():
            chosen = result.scores[(result.scores["target"] == target) & (result.scores["subset"] == subset)]
            if not chosen.empty:
                name = heading.format(target=_TARGET_NAMES.get(target, target))
                lines += [*_score_block(chosen, name), ""]
    lines.append(f"Scores by system: nasicon-ml train --json. Trained in {_minutes(result.seconds)}.")
    return "\n".join(lines) + "\n"


def _score_block(scores: pd.DataFrame, name: str) -> list[str]:
    counts = f"{scores['n_rows'].max():,} pellets of {scores['n_sources'].max():,} sources"
    models = [model for model in _SCORED_MODELS if model in set(scores["model"])]
    is_probability = "brier" in set(scores["metric"])
    heads = ["base rate" if is_probability and model == "median" else _SCORED_MODELS[model] for model in models]
    lines = [click.style(name, bold=True) + f": {counts}", _score_line("", heads)]
    for metric, rows in scores.groupby("metric", sort=False):
        values = dict(zip(rows["model"], rows["value"], strict=True))
        if metric == "auroc":
            values.pop("median", None)  # one rate for all ranks nothing
        words, unit, decimals = _METRICS.get(str(metric), (str(metric), "", 3))
        factor = 100 if unit == "%" else 1
        cells = [f"{factor * values[model]:.{decimals}f}" if model in values else "" for model in models]
        lines.append(_score_line(f"  {words}{f' ({unit})' if unit else ''}", cells))
    return lines


def _score_line(first: str, others: Sequence[str]) -> str:
    return f"{first:<{_LABEL_CHARACTERS}}{''.join(f'{other:>{_CELL_CHARACTERS}}' for other in others)}".rstrip()


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


# ------------------------------------------------------------------------------------------------- screening


#: Recipes and systems shown; the files hold all.
_SHOWN = 10
_BEST_HEADS = ("#", "objective", "S/cm", "interval", "dense", "pure", "domain", "alike", "recipe")


def screening_report(found: ScreeningResult) -> str:
    """Return the summary of a screening: the question, the counts, the best recipes, systems and the front."""
    parts = [_question(found), _counts(found), _best(found), _systems(found), _front(found)]
    return "\n\n".join(part for part in parts if part)


def _question(found: ScreeningResult) -> str:
    question = found.question
    limits = [
        "inside the known domain" if question.inside_only else "inside the known domain or not",
        "with balanced charges" if question.balanced_only else "with any charge",
    ]
    at = "at the temperatures of the space" if question.at_c is None else f"at {question.at_c:g} °C"
    return (
        f"looked for: {question.objective.describe()}\n"
        f"among: recipes {' and '.join(limits)}; conductivity {at}; intervals of {level_words(question.level)}"
    )


def _counts(found: ScreeningResult) -> str:
    counts, size = found.aggregate.counts, found.space.size
    partial = "" if found.is_complete else " (PARTIAL: stopped)"
    rate = f", {counts.balanced / found.seconds:,.0f} scored a second" if found.seconds > 0 else ""
    lines = [f"looked through: {counts.positions:,} of {size:,}{partial} in {duration(found.seconds)}{rate}"]
    if counts.candidates < counts.positions:
        lines.append(f"  {counts.candidates:,} satisfy the constraints")
    if counts.balanced < counts.candidates:
        lines.append(f"  {counts.balanced:,} of them have balanced charges")
    share = f" ({100 * counts.inside / counts.balanced:.0f} %)" if counts.balanced else ""
    lines.append(f"  {counts.inside:,} of {counts.balanced:,} scored lie inside the known domain{share}")
    return "\n".join(lines)


def _best(found: ScreeningResult) -> str:
    kept, best = found.kept, found.best
    if kept.empty:
        return "best: none; no recipe fulfils what is asked"
    rows = [_BEST_HEADS, *(_row(place, row) for place, row in enumerate(best.head(_SHOWN).to_dict("records"), 1))]
    differing = "one of each composition and way of making; alike: kept ones that differ in numbers alone"
    return "\n".join([f"best {min(_SHOWN, len(best))} of {len(kept)} kept ({differing}):", *aligned(rows)])


def _row(place: int, row: dict[Any, Any]) -> tuple[str, ...]:
    lower, upper = (
        scientific(row[column])
        for column in (Column.PREDICTED_CONDUCTIVITY_LOWER_S_CM, Column.PREDICTED_CONDUCTIVITY_UPPER_S_CM)
    )
    inside = "inside" if row[Column.INSIDE_DOMAIN] else "OUTSIDE"
    return (
        str(place),
        f"{row[Column.OBJECTIVE]:.3g}",
        scientific(row[Column.PREDICTED_CONDUCTIVITY_S_CM]),
        f"{lower} to {upper}",
        f"{fixed(row[Column.PREDICTED_RELATIVE_DENSITY_PCT])} %",
        percent(row[Column.PREDICTED_PHASE_PURITY]),
        f"{inside} {row[Column.DOMAIN_SCORE]:.2f}",
        f"{row['kept_alike'] - 1:,}",
        recipe_line(row),
    )


def _systems(found: ScreeningResult) -> str:
    systems = sorted(
        found.aggregate.systems.items(), key=lambda one: (one[1].number < 0, -one[1].value, one[1].number)
    )
    if not systems:
        return ""
    rows: list[tuple[str, ...]] = [(Column.SYSTEM.value, "scored", "inside", "best objective")]
    for name, one in systems[:_SHOWN]:
        best = NOTHING if one.number < 0 else f"{one.value:.3g}"
        rows.append((name, f"{one.candidates:,}", f"{one.inside:,}", best))
    more = [f"... and {len(systems) - _SHOWN} more systems"] if len(systems) > _SHOWN else []
    return "\n".join(["by system:", *aligned(rows), *more])


def _front(found: ScreeningResult) -> str:
    front = found.aggregate.front
    if front.given_up:
        return "front: too many recipes are in it; it is left out"
    return (
        f"front: {len(front.numbers):,} recipes that no other beats in conductivity, density, purity and low "
        "sintering temperature at once"
    )
