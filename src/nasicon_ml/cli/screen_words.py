"""The summary of a screening in words."""

from __future__ import annotations

from typing import Any

from nasicon_ml.cli.words import NOTHING, conditions, fixed, level_words, percent, scientific
from nasicon_ml.columns import Column, is_missing
from nasicon_ml.screening.result import ScreeningResult

#: Recipes and systems shown; the files hold all.
_SHOWN = 10
_HEADS = ("#", "objective", "S/cm", "interval", "dense", "pure", "domain", "recipe")


def duration(seconds: float) -> str:
    """Write a time that a person waits: 40 s, 12 min, 3.4 h, 2.1 d."""
    for unit, length in (("d", 86_400.0), ("h", 3_600.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


def summary_text(found: ScreeningResult) -> str:
    """Say what was asked, how many recipes came how far, what is best, and what each system has."""
    parts = [_asked(found), _counted(found), _best(found), _systems(found), _front(found)]
    return "\n\n".join(part for part in parts if part)


def _asked(found: ScreeningResult) -> str:
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


def _counted(found: ScreeningResult) -> str:
    counts, size = found.tally.counts, found.space.size
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
    kept = found.kept
    if kept.empty:
        return "best: none; no recipe fulfils what is asked"
    rows = [_HEADS, *(_row(place, row) for place, row in enumerate(kept.head(_SHOWN).to_dict("records"), 1))]
    return f"best {min(_SHOWN, len(kept))} of {len(kept)} kept:\n{_table(rows)}"


def _row(place: int, row: dict[Any, Any]) -> tuple[str, ...]:
    lower, upper = (
        scientific(row[column])
        for column in (Column.PREDICTED_CONDUCTIVITY_LOWER_S_CM, Column.PREDICTED_CONDUCTIVITY_UPPER_S_CM)
    )
    how = conditions({name: cell for name, cell in row.items() if not is_missing(cell)})
    inside = "inside" if row[Column.INSIDE_DOMAIN] else "OUTSIDE"
    return (
        str(place),
        f"{row[Column.OBJECTIVE]:.3g}",
        scientific(row[Column.PREDICTED_CONDUCTIVITY_S_CM]),
        f"{lower} to {upper}",
        f"{fixed(row[Column.PREDICTED_RELATIVE_DENSITY_PCT])} %",
        percent(row[Column.PREDICTED_PHASE_PURITY]),
        f"{inside} {row[Column.DOMAIN_SCORE]:.2f}",
        f"{row[Column.FORMULA]}, {how}" if how else str(row[Column.FORMULA]),
    )


def _systems(found: ScreeningResult) -> str:
    systems = sorted(
        found.tally.systems.items(), key=lambda one: (one[1].number < 0, -one[1].value, one[1].number)
    )
    if not systems:
        return ""
    rows: list[tuple[str, ...]] = [(Column.SYSTEM.value, "scored", "inside", "best objective")]
    for name, one in systems[:_SHOWN]:
        best = NOTHING if one.number < 0 else f"{one.value:.3g}"
        rows.append((name, f"{one.candidates:,}", f"{one.inside:,}", best))
    more = f"\n... and {len(systems) - _SHOWN} more systems" if len(systems) > _SHOWN else ""
    return f"by system:\n{_table(rows)}{more}"


def _front(found: ScreeningResult) -> str:
    front = found.tally.front
    if front.given_up:
        return "front: too many recipes are in it; it is left out"
    return (
        f"front: {len(front.numbers):,} recipes that no other beats in conductivity, density, purity and low "
        "sintering temperature at once"
    )


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
