"""Print messages, tables and a progress bar, and render answers, scores and screening results as text."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from nasicon_ml.cli.formatting import (
    NOT_AVAILABLE,
    describe_conditions,
    describe_origin,
    describe_recipe,
    describe_results,
    fixed,
    format_duration,
    format_ion,
    format_level,
    percent,
    plural,
    scientific,
    scientific_range,
)
from nasicon_ml.columns import CONDUCTIVITY_INTERVAL, Column, is_missing
from nasicon_ml.errors import plain_line

if TYPE_CHECKING:
    import pandas as pd

    from nasicon_ml.cli.answers import Answer, Interval, OwnShift
    from nasicon_ml.composition import Composition
    from nasicon_ml.screening.result import ScreeningResult
    from nasicon_ml.workflows.train import TrainingResult


def printable(message: str) -> str:
    """Escape control characters and shorten long lines of a message that quotes file names or arguments."""
    return "\n".join(plain_line(line) for line in message.split("\n"))


def notify(message: str) -> None:
    """Write a message to standard error."""
    click.echo(printable(message), err=True)


def print_text(text: str) -> None:
    """Write text of unknown origin, such as the tags of a model version, to standard output."""
    click.echo("\n".join(plain_line(line, len(line)) for line in text.split("\n")))


def print_json(content: Any) -> None:
    """Write JSON to standard output."""
    click.echo(json.dumps(content, indent=2, ensure_ascii=False))


def align_columns(rows: Sequence[Sequence[str]], right: Sequence[bool] | None = None) -> list[str]:
    """Return rows of cells as lines, with two spaces between the columns.

    `right` tells which columns are right-aligned; by default none.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    pads = [str.rjust if is_right else str.ljust for is_right in right or [False] * len(widths)]
    return [
        "  ".join(pad(cell, width) for pad, cell, width in zip(pads, row, widths, strict=True)).rstrip()
        for row in rows
    ]


def terminal_width() -> int | None:
    """Return the width of the terminal, or None if standard output is a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def format_value(value: Any) -> str:
    """Format one value: empty if missing, four digits for numbers, yes or no for flags."""
    if is_missing(value) and not isinstance(value, str):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) < 1e6 else f"{value:.4g}"
    return str(value)


def print_table(frame: pd.DataFrame, title: str = "") -> None:
    """Print a table with right-aligned numbers and an optional title to standard output.

    Control characters in its cells, which may come from a file, are escaped.
    """
    headers = list(map(str, frame.columns))
    rows = [[plain_line(format_value(value)) for value in row] for row in frame.itertuples(index=False, name=None)]
    right = [dtype.kind in "iuf" for dtype in frame.dtypes]
    if not sys.stdout.isatty():
        click.echo("\n".join([*([title] if title else []), *align_columns([headers, *rows], right)]))
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title) or None, title_justify="left")
    for header, is_right in zip(headers, right, strict=True):
        table.add_column(escape(header), justify="right" if is_right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    Console(highlight=False).print(table)


#: Called with a description of the current work and the completed fraction (0 to 1).
ProgressCallback = Callable[[str, float], None]


@contextmanager
def progress_bar(label: str, *, line_every_s: float | None = None) -> Iterator[ProgressCallback]:
    """Show the progress on standard error: as a bar on a terminal, otherwise as lines or not at all.

    Yields the function that advances the bar, which is labelled `label` until the first call. Without a terminal,
    a line is written every `line_every_s` seconds if that is given.
    """
    if not sys.stderr.isatty():
        yield (lambda _message, _done: None) if line_every_s is None else _line_progress(line_every_s)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=1.0)
        yield lambda message, fraction: bar.update(task, description=message, completed=fraction)


def _line_progress(every_s: float) -> ProgressCallback:
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
#: Number of broken rules of the literature that are shown.
_SHOWN_RULES = 2
#: Number of contributions in an explanation that are shown; the remaining ones are summed.
_SHOWN_PARTS = 7
#: Charge imbalances and alkali excesses below this are rounding errors.
_VISIBLE = 0.0005


def answer_text(answer: Answer, level: float, width: int) -> str:
    """Return the full answer to one recipe as text wrapped at `width` characters."""
    width = max(width, _SMALLEST_WIDTH)
    lines = [*_recipe_lines(answer, width), "", *_prediction_lines(answer, level, width), ""]
    lines += _domain_lines(answer, width)
    lines += _labelled(width, "measured like this", *describe_measured_alike(answer))
    lines += _broken_rule_lines(answer, width)
    lines += _explanation_lines(answer)
    if answer.neighbours:
        lines += ["", *_neighbour_lines(answer, width)]
    return "\n".join(lines) + "\n"


def _recipe_lines(answer: Answer, width: int) -> list[str]:
    composition = answer.composition
    name = f"{answer.pellet_id}: " if answer.pellet_id else ""
    title = f"{name}{composition.formula}   {composition.system}, x = {composition.x:.4g}"
    lines = [click.style(title, bold=True)]
    lines += _labelled(width, "sites", describe_sites(composition))
    lines += _labelled(width, "charge", describe_charge(composition))
    lines += _labelled(width, "made", describe_conditions(answer.recipe) or "nothing given")
    if answer.not_given:
        missing = ", ".join(column.label for column in answer.not_given)
        lines += _labelled(width, "not given", f"{missing} (unknown to the model: widens the intervals)")
    return lines


def describe_sites(composition: Composition) -> str:
    """Return the ions on each site."""
    states = composition.oxidation_states
    sites = (("A", composition.a_site), ("M", composition.m_site), ("T", composition.t_site))
    parts = [
        f"{name}: "
        + " ".join(f"{format_ion(element, states.get(element))} {n:.4g}" for element, n in cations.items())
        for name, cations in sites
    ]
    anions = {"O": composition.oxygen, **composition.other_anions}
    parts.append("anions: " + " ".join(f"{element} {n:.4g}" for element, n in anions.items()))
    return ";  ".join(parts)


def describe_charge(composition: Composition) -> str:
    """Return whether the charges are balanced, and the excess or deficit of alkali."""
    from nasicon_ml.composition import CHARGE_TOLERANCE

    imbalance, excess = composition.charge_imbalance, composition.alkali_excess
    if abs(imbalance) > CHARGE_TOLERANCE:
        text = f"NOT BALANCED: {imbalance:+.3g} e per formula unit with these oxidation states; check the formula"
        return click.style(text, fg="yellow")
    text = "balanced" if abs(imbalance) < _VISIBLE else f"balanced within {abs(imbalance):.2g} e"
    if abs(excess) > _VISIBLE:
        text += f"; {composition.alkali} {'excess' if excess > 0 else 'deficit'} {abs(excess):.3g}"
    return text


def _prediction_lines(answer: Answer, level: float, width: int) -> list[str]:
    sigma, density = answer.conductivity_s_cm, answer.relative_density_pct
    sigma_label = f"conductivity, {answer.temperature_c:g} °C"
    rows = [
        ("", "predicted", f"{format_level(level)} interval"),
        (sigma_label, f"{scientific(sigma.value)} S/cm", f"{scientific_range(sigma.lower, sigma.upper)} S/cm"),
        ("activation energy", f"{fixed(answer.activation_energy_ev, 2)} eV", ""),
        ("relative density", f"{fixed(density.value)} %", f"{fixed(density.lower)} to {fixed(density.upper)} %"),
        ("phase purity", percent(answer.phase_purity), "that XRD shows no secondary phase"),
    ]
    lines = [f"  {label:<{_LABEL_WIDTH}}{value:<15}{more}".rstrip() for label, value, more in rows]
    lines[0] = click.style(lines[0], dim=True)
    phases = ", ".join(answer.secondary_phases) or "none named by the nearest pellets"
    lines += _labelled(width, "if not pure, likely", phases)
    if answer.own is not None:
        lines += _labelled(width, _own_pellets_label(answer.own), describe_own_shift(answer.own))
    return lines


def _domain_lines(answer: Answer, width: int) -> list[str]:
    if answer.inside_domain:
        return _labelled(width, "known domain", click.style("inside", fg="green"))
    lines = _labelled(width, "known domain", click.style("OUTSIDE: trust the numbers less", fg="yellow"))
    for note in answer.domain_notes:
        lines += _wrap(f"- {note}", width, " " * (_LABEL_WIDTH + 2), " " * (_LABEL_WIDTH + 4))
    return lines


def describe_measured_alike(answer: Answer) -> list[str]:
    """Return what was measured on similarly made pellets, with a warning where the answer disagrees."""
    from nasicon_ml.workflows.similar_pellets import side_of_interval

    texts: list[str] = []
    properties: dict[str, tuple[str, Callable[[float], str], Interval | None]] = {
        "conductivity": ("S/cm", scientific, answer.conductivity_s_cm),
        "relative_density": ("% dense", fixed, answer.relative_density_pct),
        "phase_purity": ("", percent, None),
    }
    for name, (unit, write, interval) in properties.items():
        alike = answer.measured_alike.get(name)
        if alike is None:
            continue
        text = f"{plural(alike.pellets, 'pellet')} of {plural(alike.papers, 'paper')}, {alike.made}: "
        if interval is None:
            text += f"{percent(alike.middle)} of them pure"
        elif alike.pellets == 1:
            text += f"{write(alike.middle)} {unit}"
        else:
            text += f"{write(alike.lowest)} to {write(alike.highest)} {unit}, middle {write(alike.middle)}"
        if alike.carried:
            text += f" ({alike.carried} carried to {answer.temperature_c:g} °C with the pellet's own energy)"
        side = "" if interval is None else side_of_interval(alike, interval.lower, interval.upper)
        if side:
            text += f"; that lies {side} the interval of the prediction: trust what was measured"
        texts.append(text)
    return texts


def _broken_rule_lines(answer: Answer, width: int) -> list[str]:
    """Return the statements of the literature about similar recipes that the model contradicts."""
    statements = list(answer.broken_rules.values())
    more = len(statements) - _SHOWN_RULES
    shown = statements[:_SHOWN_RULES] + ([f"and {more} more (--json)"] if more > 0 else [])
    return _labelled(width, "model does not see", *shown)


def _explanation_lines(answer: Answer) -> list[str]:
    """Return the strongest contributions to each property."""
    if answer.explanation is None:
        return []
    lines = ["", click.style("What moved the answers", bold=True) + " (in the model; the average pellet first)"]
    for target, explanation in answer.explanation.items():
        base, predicted = explanation.base, explanation.predicted
        if target == "conductivity":
            change, digits = f"{scientific_range(10.0**base, 10.0**predicted)} S/cm", 2
        else:
            change, digits = f"{fixed(base)} to {fixed(predicted)} %", 1
        lines.append(f"  {target.replace('_', ' ')}, {explanation.unit}: {change}")
        parts, rest = list(explanation.parts[:_SHOWN_PARTS]), explanation.parts[_SHOWN_PARTS:]
        if rest:
            parts.append((f"everything else ({len(rest)})", sum(size for _, size in rest)))
        lines += [f"{size:>+9.{digits}f}  {part}" for part, size in parts]
    return lines


def _neighbour_lines(answer: Answer, width: int) -> list[str]:
    lines = [click.style("Nearest measured pellets", bold=True) + " (0: same composition, made alike)"]
    for rank, neighbour in enumerate(answer.neighbours, start=1):
        cells = neighbour.cells
        title = f"{cells[Column.FORMULA]}   distance {neighbour.distance:.2f}   {cells[Column.PELLET_ID]}"
        lines += _wrap(f"{rank:>3}. {title}", width, "", " " * 5)
        conditions = describe_conditions(cells) or "nothing reported about how it was made"
        for text in (conditions, describe_results(cells), describe_origin(cells)):
            lines += _wrap(text, width, " " * 5, " " * 5)
    return lines


def _labelled(width: int, label: str, *texts: str) -> list[str]:
    """Return texts below each other, of which only the first has the label."""
    labels = [label, *[""] * len(texts)]
    return [
        line
        for label, text in zip(labels, texts, strict=False)
        for line in _wrap(text, width, f"  {label:<{_LABEL_WIDTH}}", " " * (_LABEL_WIDTH + 2))
    ]


def _wrap(text: str, width: int, first: str, others: str) -> list[str]:
    """Wrap a text between words without splitting links or numbers."""
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=others, break_long_words=False, break_on_hyphens=False
    ) or [first.rstrip()]


def answers_table(
    answers: Sequence[Answer], level: float, width: int | None, *, with_nearest: bool = False
) -> str:
    """Return a table with one line per recipe, followed by the reasons why recipes lie outside the domain.

    The recipe column is fitted to the width of the terminal: formula with conditions, formula alone, or system and
    x. A width of None (file or pipe) means no limit. With `with_nearest`, each recipe is followed by an indented
    line about its nearest measured pellet.
    """
    rows = [("#", *answer_headers(answers, level))]
    rows += [(str(answer.number), *answer_cells(answer)) for answer in answers]
    other_width = sum(max(map(len, column)) + 2 for column in zip(*rows, strict=True))
    names = ["recipe", *_names_within(answers, None if width is None else width - other_width)]
    rows = [(number, name, *cells) for (number, *cells), name in zip(rows, names, strict=True)]
    # Only the recipe and the domain are left-aligned.
    header, *recipe_lines = align_columns(rows, [column not in {1, 7} for column in range(len(rows[0]))])
    lines = [click.style(header, bold=True)]
    for recipe_line, answer in zip(recipe_lines, answers, strict=True):
        lines += [recipe_line, *(_nearest_line(answer, width) if with_nearest else ())]
    shift = summarise_own_shifts(answers)
    lines += ["", *_wrap(shift, _line_width(width), "", "  ")] if shift else []
    return "\n".join([*lines, *_outside_lines(answers, width)]) + "\n"


def _line_width(width: int | None) -> int:
    """Return the maximum line length; without a terminal, lines are not wrapped."""
    return 1_000_000 if width is None else max(width, _SMALLEST_WIDTH)


def _nearest_line(answer: Answer, width: int | None) -> list[str]:
    """Return the results of the nearest measured pellet and where it was published."""
    if not answer.neighbours:
        return []
    cells = answer.neighbours[0].cells
    name = f"{cells[Column.PELLET_ID]}, {cells[Column.FORMULA]}"
    text = f"nearest: {name}, {describe_results(cells)}; {describe_origin(cells)}"
    return _wrap(text, _line_width(width), " " * 5, " " * 7)


def answer_headers(answers: Sequence[Answer], level: float) -> tuple[str, ...]:
    """Return the column headers of `answer_cells`."""
    interval = format_level(level)
    temperatures = {answer.temperature_c for answer in answers}
    suffix = f", {temperatures.pop():g} °C" if len(temperatures) == 1 else ""
    return f"S/cm{suffix}", f"{interval} interval", "dense", interval, "pure", "domain"


def answer_cells(answer: Answer) -> tuple[str, ...]:
    """Return an answer as table cells: conductivity and density with their intervals, purity, domain."""
    sigma, density = answer.conductivity_s_cm, answer.relative_density_pct
    return (
        scientific(sigma.value),
        scientific_range(sigma.lower, sigma.upper),
        f"{fixed(density.value)} %",
        f"{fixed(density.lower, 0)} to {fixed(density.upper, 0)}",
        percent(answer.phase_purity),
        "inside" if answer.inside_domain else "OUTSIDE",
    )


def _names_within(answers: Sequence[Answer], width: int | None) -> list[str]:
    """Return the most detailed names of the recipes that fit into the width."""
    choices = [[recipe_name(answer, detail) for answer in answers] for detail in NAME_DETAILS]
    return next((names for names in choices if width is None or max(map(len, names)) <= width), choices[-1])


#: Levels of detail of `recipe_name`: formula and conditions; the formula; pellet id, or system and x.
NAME_DETAILS = ("conditions", "full", "short")


def recipe_name(answer: Answer, detail: str = "conditions") -> str:
    """Return the name of a recipe at one of `NAME_DETAILS`."""
    composition = answer.composition
    if detail == "short":
        return answer.pellet_id or f"{composition.system} x={composition.x:.3g}"
    name = f"{answer.pellet_id}: {composition.formula}" if answer.pellet_id else composition.formula
    conditions = describe_conditions(answer.recipe) if detail == "conditions" else ""
    return f"{name}, {conditions}" if conditions else name


def _outside_lines(answers: Sequence[Answer], width: int | None) -> list[str]:
    lines = []
    for answer in answers:
        if not answer.inside_domain:
            reasons = "; ".join(answer.domain_notes) or "outside the known domain"
            lines += _wrap(f"{answer.number}: {reasons}", _line_width(width), "  ", "     ")
    if lines:
        lines = ["", click.style("Outside the known domain (trust these numbers less):", fg="yellow"), *lines]
    return lines


def describe_own_shift(shift: OwnShift) -> str:
    """Return how far the own pellets moved one answer."""
    return (
        f"moved conductivity by {shift.decades:+.2f} decades (times {10.0**shift.decades:.2g}), density by"
        f" {shift.points:+.1f} points, purity by {100 * shift.purity:+.0f} points"
        + "".join(
            f"; {pellet.target.replace('_', ' ')} mostly by {pellet.pellet_id} alone"
            f" ({pellet.change:+.2g} {pellet.unit})"
            for pellet in shift.dominant
        )
    )


def summarise_own_shifts(answers: Sequence[Answer]) -> str:
    """Return the range by which the own pellets moved the answers; empty without own pellets."""
    shifts = [answer.own for answer in answers if answer.own is not None]
    if not shifts:
        return ""
    decades = _format_range([shift.decades for shift in shifts], "+.2f")
    points = _format_range([shift.points for shift in shifts], "+.1f")
    purity = _format_range([100 * shift.purity for shift in shifts], "+.0f")
    return (
        f"{_own_pellets_label(shifts[0])} moved conductivity by {decades} decades, density by {points} points,"
        f" purity by {purity} points"
    )


def _own_pellets_label(shift: OwnShift) -> str:
    return f"your {plural(shift.pellets, 'pellet')}"


def _format_range(values: Sequence[float], format_spec: str) -> str:
    low, high = format(min(values), format_spec), format(max(values), format_spec)
    return low if low == high else f"{low} to {high}"


# -------------------------------------------------------------------------------------------------- training


_SCORED_MODELS = {"full": "whole recipe", "composition only": "composition", "median": "median"}
#: The subsets of pellets that are shown, with their headings.
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
#: Label, unit and decimals of each score.
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
    """Return the scores of each target for the full model, the composition-only model and the median."""
    options = result.options
    repeats = f", dealt {options.repeats} times" if options.repeats > 1 else ""
    lines = [
        click.style("Scores on sources that the models have not seen", bold=True)
        + f" ({options.folds}-fold cross-validation{repeats}, seed {options.seed})",
        "",
    ]
    for target in dict.fromkeys(result.scores["target"]):
        for subset, heading in _SCORED_SUBSETS.items():
            chosen = result.scores[(result.scores["target"] == target) & (result.scores["subset"] == subset)]
            if not chosen.empty:
                name = heading.format(target=_TARGET_NAMES.get(target, target))
                lines += [*_score_block(chosen, name), ""]
    lines.append(f"Scores by system: nasicon-ml train --json. Trained in {_format_minutes(result.seconds)}.")
    return "\n".join(lines) + "\n"


def _score_block(scores: pd.DataFrame, name: str) -> list[str]:
    counts = f"{scores['n_rows'].max():,} pellets of {scores['n_sources'].max():,} sources"
    models = [model for model in _SCORED_MODELS if model in set(scores["model"])]
    is_probability = "brier" in set(scores["metric"])
    headers = ["base rate" if is_probability and model == "median" else _SCORED_MODELS[model] for model in models]
    lines = [click.style(name, bold=True) + f": {counts}", _score_line("", headers)]
    for metric, rows in scores.groupby("metric", sort=False):
        values = dict(zip(rows["model"], rows["value"], strict=True))
        if metric == "auroc":
            values.pop("median", None)  # a constant prediction has no ranking
        label, unit, decimals = _METRICS.get(str(metric), (str(metric), "", 3))
        factor = 100 if unit == "%" else 1
        cells = [f"{factor * values[model]:.{decimals}f}" if model in values else "" for model in models]
        lines.append(_score_line(f"  {label}{f' ({unit})' if unit else ''}", cells))
    return lines


def _score_line(label: str, cells: Sequence[str]) -> str:
    return f"{label:<{_LABEL_CHARACTERS}}{''.join(f'{cell:>{_CELL_CHARACTERS}}' for cell in cells)}".rstrip()


def _format_minutes(seconds: float) -> str:
    minutes, remainder = divmod(round(seconds), 60)
    return f"{minutes} min {remainder} s" if minutes else f"{remainder} s"


# ------------------------------------------------------------------------------------------------- screening


#: Number of recipes and systems that are shown; the files contain all.
_SHOWN = 10
_BEST_HEADERS = ("#", "objective", "S/cm", "interval", "dense", "pure", "domain", "alike", "recipe")


def screening_report(result: ScreeningResult) -> str:
    """Return the summary of a screening: question, counts, best recipes, systems and Pareto front."""
    sections = (_describe_question, _describe_counts, _best_recipes_text, _systems_text, _front_text)
    return "\n\n".join(text for section in sections if (text := section(result)))


def _describe_question(result: ScreeningResult) -> str:
    question = result.question
    domain = "inside the known domain" if question.inside_only else "inside the known domain or not"
    charges = "with balanced charges" if question.balanced_only else "with any charge"
    temperature = "at the temperatures of the space" if question.at_c is None else f"at {question.at_c:g} °C"
    return (
        f"looked for: {question.objective.describe()}\n"
        f"among: recipes {domain} and {charges}; conductivity {temperature};"
        f" intervals of {format_level(question.level)}"
    )


def _describe_counts(result: ScreeningResult) -> str:
    counts, size = result.aggregate.counts, result.space.size
    partial = "" if result.is_complete else " (PARTIAL: stopped)"
    rate = f", {counts.balanced / result.seconds:,.0f} scored a second" if result.seconds > 0 else ""
    duration = format_duration(result.seconds)
    lines = [f"looked through: {counts.positions:,} of {size:,}{partial} in {duration}{rate}"]
    if counts.candidates < counts.positions:
        lines.append(f"  {counts.candidates:,} satisfy the constraints")
    if counts.balanced < counts.candidates:
        lines.append(f"  {counts.balanced:,} of them have balanced charges")
    share = f" ({100 * counts.inside / counts.balanced:.0f} %)" if counts.balanced else ""
    lines.append(f"  {counts.inside:,} of {counts.balanced:,} scored lie inside the known domain{share}")
    return "\n".join(lines)


def _best_recipes_text(result: ScreeningResult) -> str:
    kept, best = result.kept, result.best
    if kept.empty:
        return "best: none; no recipe fulfils what is asked"
    shown = best.head(_SHOWN).to_dict("records")
    rows = [_BEST_HEADERS, *(_best_recipe_cells(rank, row) for rank, row in enumerate(shown, start=1))]
    differing = "one of each composition and way of making; alike: kept ones that differ in numbers alone"
    title = f"best {len(shown)} of {len(kept)} kept ({differing}):"
    return "\n".join([title, *align_columns(rows)])


def _best_recipe_cells(rank: int, row: dict[Any, Any]) -> tuple[str, ...]:
    value, lower, upper = (row[column] for column in CONDUCTIVITY_INTERVAL)
    domain = "inside" if row[Column.INSIDE_DOMAIN] else "OUTSIDE"
    return (
        str(rank),
        f"{row[Column.OBJECTIVE]:.3g}",
        scientific(value),
        scientific_range(lower, upper),
        f"{fixed(row[Column.PREDICTED_RELATIVE_DENSITY_PCT])} %",
        percent(row[Column.PREDICTED_PHASE_PURITY]),
        f"{domain} {row[Column.DOMAIN_SCORE]:.2f}",
        f"{row['kept_alike'] - 1:,}",
        describe_recipe(row),
    )


def _systems_text(result: ScreeningResult) -> str:
    systems = sorted(
        result.aggregate.systems.items(),
        key=lambda item: (item[1].best_position < 0, -item[1].best_value, item[1].best_position),
    )
    if not systems:
        return ""
    rows: list[tuple[str, ...]] = [(Column.SYSTEM.value, "scored", "inside", "best objective")]
    for name, system in systems[:_SHOWN]:
        best = NOT_AVAILABLE if system.best_position < 0 else f"{system.best_value:.3g}"
        rows.append((name, f"{system.n_candidates:,}", f"{system.n_inside:,}", best))
    more = [f"... and {len(systems) - _SHOWN} more systems"] if len(systems) > _SHOWN else []
    return "\n".join(["by system:", *align_columns(rows), *more])


def _front_text(result: ScreeningResult) -> str:
    front = result.aggregate.front
    if front.given_up:
        return "front: too many recipes are in it; it is left out"
    return (
        f"front: {len(front.positions):,} recipes that no other beats in conductivity, density, purity and low "
        "sintering temperature at once"
    )
