"""Pellets of one's own on the command line: the option, the file, and words for how far they moved an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from nasicon_ml.cli.options import Function, SectionedOption
from nasicon_ml.columns import Column

if TYPE_CHECKING:
    from nasicon_ml.cli.answers import Answer


@dataclass(frozen=True)
class OwnShift:
    """How far own pellets moved an answer: their number, and decades, points and probability."""

    pellets: int
    decades: float
    points: float
    purity: float


def own_option(section: str) -> Callable[[Function], Function]:
    """Add ``--own`` to a command."""
    return click.option(
        "--own",
        cls=SectionedOption,
        section=section,
        metavar="FILE",
        callback=_file,
        help="Your own measured pellets, in the dataset's columns (formula and one result suffice): they move the"
        " answers and intervals. Nothing of them is kept or sent.",
    )


def own_given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Read the file of ``--own``; what to hand on to the prediction.

    Raises
    ------
    DatasetError
        If rows are bad.
    """
    if values["own"] is None:
        return {}
    from nasicon_ml.data.own import own_pellets

    return {"own": own_pellets(values["own"])}


def _file(ctx: click.Context, param: click.Parameter, name: str | None) -> str | None:
    if name == "-":
        raise click.BadParameter("give the name of a file; standard input is for recipes", ctx, param)
    return name


def own_shift(result: Mapping[str, Any]) -> OwnShift | None:
    """Find in a result how far own pellets moved it; None where none were given."""
    if result.get(Column.OWN_PELLETS) is None:
        return None
    return OwnShift(
        int(result[Column.OWN_PELLETS]),
        float(result[Column.OWN_SHIFT_DECADES]),
        float(result[Column.OWN_SHIFT_POINTS]),
        float(result[Column.OWN_SHIFT_PURITY]),
    )


def own_json(shift: OwnShift | None) -> dict[str, Any] | None:
    """Give the shift as JSON would have it."""
    if shift is None:
        return None
    return {
        "used": shift.pellets,
        Column.OWN_SHIFT_DECADES.value: shift.decades,
        Column.OWN_SHIFT_POINTS.value: shift.points,
        Column.OWN_SHIFT_PURITY.value: shift.purity,
    }


def own_words(shift: OwnShift) -> str:
    """Say what own pellets did to one answer."""
    return (
        f"moved conductivity by {shift.decades:+.2f} decades (times {10.0**shift.decades:.2g}), density by"
        f" {shift.points:+.1f} points, purity by {100 * shift.purity:+.0f} points"
    )


def own_summary(answers: Sequence[Answer]) -> str:
    """Say what own pellets did to many answers; empty where none were given."""
    shifts = [answer.own for answer in answers if answer.own is not None]
    if not shifts:
        return ""
    decades = _span([shift.decades for shift in shifts], "+.2f")
    points = _span([shift.points for shift in shifts], "+.1f")
    purity = _span([100 * shift.purity for shift in shifts], "+.0f")
    return (
        f"{own_label(shifts[0])} moved conductivity by {decades} decades, density by {points} points,"
        f" purity by {purity} points"
    )


def own_label(shift: OwnShift) -> str:
    """Name the own pellets."""
    return f"your {shift.pellets} pellet{'' if shift.pellets == 1 else 's'}"


def _span(values: Sequence[float], form: str) -> str:
    low, high = (format(end, form) for end in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"
