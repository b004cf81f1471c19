"""The answers as text: a panel for one recipe, a table for many. Frame in, text out; nothing is printed here."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from nasicon_ml.cli.own import own_label, own_summary, own_words
from nasicon_ml.cli.words import (
    conditions,
    fixed,
    ion,
    level_words,
    measured,
    origin,
    percent,
    scientific,
)
from nasicon_ml.columns import Column

if TYPE_CHECKING:
    from nasicon_ml.cli.answers import Answer
    from nasicon_ml.composition import Composition

_LABEL_WIDTH = 22
_SMALLEST_WIDTH = 72
#: Amounts that differ from a whole charge or lithium by less are rounding.
_VISIBLE = 0.0005


def panel(answer: Answer, level: float, width: int) -> str:
    """Give the whole answer for one recipe.

    Parameters
    ----------
    answer
        What is known about it.
    level
        Of the intervals.
    width
        Columns of the terminal: longer lines are broken between words.
    """
    width = max(width, _SMALLEST_WIDTH)
    lines = [*_head(answer, width), "", *_predicted(answer, level, width), "", *_domain(answer, width)]
    if answer.neighbours:
        lines += ["", *_nearest(answer, width)]
    return "\n".join(lines) + "\n"


def _head(answer: Answer, width: int) -> list[str]:
    composition = answer.composition
    name = f"{answer.pellet_id}: " if answer.pellet_id else ""
    title = f"{name}{composition.formula}   {composition.system}, x = {composition.x:.4g}"
    lines = [click.style(title, bold=True)]
    lines += _entry("sites", _sites(composition), width)
    lines += _entry("charge", _charge(composition), width)
    lines += _entry("made", conditions(answer.recipe) or "nothing given", width)
    if answer.not_given:
        missing = ", ".join(column.label for column in answer.not_given)
        lines += _entry("not given", f"{missing} (unknown to the model: widens the intervals)", width)
    return lines


def _sites(composition: Composition) -> str:
    states = composition.oxidation_states
    sites = (("A", composition.a_site), ("M", composition.m_site), ("T", composition.t_site))
    parts = [
        f"{name}: " + " ".join(f"{ion(element, states.get(element))} {n:.4g}" for element, n in cations.items())
        for name, cations in sites
    ]
    anions = {"O": composition.oxygen, **composition.other_anions}
    parts.append("anions: " + " ".join(f"{element} {n:.4g}" for element, n in anions.items()))
    return ";  ".join(parts)


def _charge(composition: Composition) -> str:
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
        (
            "relative density",
            f"{fixed(density.value)} %",
            f"{fixed(density.lower)} to {fixed(density.upper)} %",
        ),
        ("phase purity", percent(answer.phase_purity), "that XRD shows no secondary phase"),
    ]
    lines = [f"  {label:<{_LABEL_WIDTH}}{value:<15}{more}".rstrip() for label, value, more in rows]
    lines[0] = click.style(lines[0], dim=True)
    phases = ", ".join(answer.secondary_phases) or "none named by the nearest pellets"
    lines += _entry("if not pure, likely", phases, width)
    return lines if answer.own is None else lines + _entry(own_label(answer.own), own_words(answer.own), width)


def _domain(answer: Answer, width: int) -> list[str]:
    if answer.inside_domain:
        return _entry("known domain", click.style("inside", fg="green"), width)
    lines = _entry("known domain", click.style("OUTSIDE: trust the numbers less", fg="yellow"), width)
    for note in answer.domain_notes:
        lines += _wrapped(f"- {note}", width, " " * (_LABEL_WIDTH + 2), " " * (_LABEL_WIDTH + 4))
    return lines


def _nearest(answer: Answer, width: int) -> list[str]:
    lines = [click.style("Nearest measured pellets", bold=True) + " (0: same composition, made alike)"]
    for place, neighbour in enumerate(answer.neighbours, start=1):
        cells = neighbour.cells
        first = f"{cells[Column.FORMULA]}   distance {neighbour.distance:.2f}"
        lines += _wrapped(f"{place:>3}. {first}", width, "", " " * 5)
        made = conditions(cells) or "nothing reported about how it was made"
        for text in (made, measured(cells), origin(cells)):
            lines += _wrapped(text, width, " " * 5, " " * 5)
    return lines


def _entry(label: str, text: str, width: int) -> list[str]:
    return _wrapped(text, width, f"  {label:<{_LABEL_WIDTH}}", " " * (_LABEL_WIDTH + 2))


def _wrapped(text: str, width: int, first: str, others: str) -> list[str]:
    """Break a text between words; a link or number is never cut."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [first.rstrip()]


# --------------------------------------------------------------------------------------------- many


def table(answers: Sequence[Answer], level: float, width: int | None, *, with_nearest: bool = False) -> str:
    """Give one line a recipe, and below them why recipes lie outside the domain.

    Parameters
    ----------
    answers
        One or more.
    level
        Of the intervals.
    width
        Columns of the terminal, to which the column that names the recipe is fitted: with its conditions,
        the formula alone, or system and x. None for a file or a pipe: everything is written out.
    with_nearest
        Whether an indented line says what was measured on the pellet nearest to the recipe, and where.
    """
    interval = level_words(level)
    temperatures = {answer.temperature_c for answer in answers}
    at = f", {temperatures.pop():g} °C" if len(temperatures) == 1 else ""
    head = ("#", "", f"S/cm{at}", f"{interval} interval", "dense", interval, "pure", "domain")
    body = [
        (
            str(answer.number),
            "",
            scientific(answer.conductivity_s_cm.value),
            f"{scientific(answer.conductivity_s_cm.lower)} to {scientific(answer.conductivity_s_cm.upper)}",
            f"{fixed(answer.relative_density_pct.value)} %",
            f"{fixed(answer.relative_density_pct.lower, 0)} to {fixed(answer.relative_density_pct.upper, 0)}",
            percent(answer.phase_purity),
            "inside" if answer.inside_domain else "OUTSIDE",
        )
        for answer in answers
    ]
    rows = _with_names([head, *body], answers, width)
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    # Names and words stand left, numbers right.
    lines = [
        "  ".join(
            cell.ljust(size) if column in {1, 7} else cell.rjust(size)
            for column, (cell, size) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    head_line, *recipe_lines = lines
    body_lines = [
        line
        for recipe_line, answer in zip(recipe_lines, answers, strict=True)
        for line in (recipe_line, *(_nearest_in_brief(answer, width) if with_nearest else ()))
    ]
    moved = own_summary(answers)
    body_lines += ["", *_wrapped(moved, max(width or 1_000_000, _SMALLEST_WIDTH), "", "  ")] if moved else []
    return "\n".join([click.style(head_line, bold=True), *body_lines, *_outside(answers, width)]) + "\n"


def _nearest_in_brief(answer: Answer, width: int | None) -> list[str]:
    """Say what was measured on the nearest pellet and where it was published."""
    if not answer.neighbours:
        return []
    cells = answer.neighbours[0].cells
    text = f"nearest: {cells[Column.FORMULA]}, {measured(cells)}; {origin(cells)}"
    return _wrapped(text, max(width or 1_000_000, _SMALLEST_WIDTH), " " * 5, " " * 7)


def _with_names(
    rows: list[tuple[str, ...]], answers: Sequence[Answer], width: int | None
) -> list[tuple[str, ...]]:
    """Name the recipes as fully as the width allows; numbers are never cut."""
    others = sum(max(len(row[column]) for row in rows) + 2 for column in range(len(rows[0])) if column != 1)
    choices = [[_name(answer, detail) for answer in answers] for detail in ("conditions", "full", "short")]
    names = next((names for names in choices if width is None or others + _longest(names) <= width), choices[-1])
    head, *body = rows
    named = [(row[0], name, *row[2:]) for row, name in zip(body, names, strict=True)]
    return [(head[0], "recipe", *head[2:]), *named]


def _longest(names: Iterable[str]) -> int:
    return max(len(name) for name in names)


def _name(answer: Answer, detail: str) -> str:
    composition = answer.composition
    if detail == "short":
        return answer.pellet_id or f"{composition.system} x={composition.x:.3g}"
    name = f"{answer.pellet_id}: {composition.formula}" if answer.pellet_id else composition.formula
    made = conditions(answer.recipe) if detail == "conditions" else ""
    return f"{name}, {made}" if made else name


def _outside(answers: Sequence[Answer], width: int | None) -> list[str]:
    lines = []
    width = max(width or 1_000_000, _SMALLEST_WIDTH)
    for answer in answers:
        if not answer.inside_domain:
            reasons = "; ".join(answer.domain_notes) or "outside the known domain"
            lines += _wrapped(
                f"{answer.number}: {reasons}", max(width or 1_000_000, _SMALLEST_WIDTH), "  ", "     "
            )
    if lines:
        lines = ["", click.style("Outside the known domain (trust these numbers less):", fg="yellow"), *lines]
    return lines
