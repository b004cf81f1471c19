"""Says what a search space holds, in words and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nasicon_ml.columns import Column
from nasicon_ml.screening.compositions import as_mapping

if TYPE_CHECKING:
    from nasicon_ml.screening.axes import Axis
    from nasicon_ml.screening.space import SearchSpace

_MOST_SHOWN = 8


def describe(space: SearchSpace) -> str:
    """Write a description: sizes, axes, what constraints took away, what they still ask."""
    compositions = space.axes.compositions
    systems = ", ".join(f"{name} {count}" for name, count in as_mapping(compositions).items())
    product = f"{len(compositions):,} compositions x {space.ways:,} ways of making = {space.size:,}"
    lines = [
        f"{space.name}: {space.count()} candidates",
        f"  {product} before the constraints between fields; {space.stated_size:,} as stated",
        f"  systems: {systems}",
    ]
    stated = [
        axis for axis in space.axes.fields if len(axis) > 1 or next(iter(axis.cells.values()))[0] is not None
    ]
    lines += [f"  {axis.label}: {_values(axis)}" for axis in stated]
    if space.removed:
        lines.append("constraints that shortened an axis before anything was enumerated:")
        lines += [f"  {line}" for line in space.removed]
    if space.checks:
        lines.append("constraints asked of every candidate:")
        lines += [f"  {check.rule}" for check in space.checks]
    if space.warnings:
        lines.append("doubtful:")
        lines += [f"  {line}" for line in space.warnings]
    return "\n".join(lines)


def to_json(space: SearchSpace) -> dict[str, Any]:
    """Give what a space holds as plain dictionaries and lists."""
    count = space.count()
    return {
        "name": space.name,
        "fingerprint": space.fingerprint,
        "stated": space.stated,
        "stated_size": space.stated_size,
        "size": space.size,
        "candidates": {"count": count.candidates, "exact": count.exact, "standard_error": count.error},
        "compositions": len(space.axes.compositions),
        "systems": dict(as_mapping(space.axes.compositions)),
        "values": {str(column): list(cells) for axis in space.axes.fields for column, cells in axis.cells.items()},
        "shortened": list(space.removed),
        "checks": [str(check.rule) for check in space.checks],
        "warnings": list(space.warnings),
    }


def _values(axis: Axis) -> str:
    columns = list(axis.cells)
    shown = [_words(axis, columns, at) for at in range(len(axis))]
    if len(shown) > _MOST_SHOWN:
        shown = [*shown[: _MOST_SHOWN - 2], "...", shown[-1]]
    unit = columns[0].unit
    return f"{len(axis)}: {', '.join(shown)}{f' {unit}' if unit else ''}"


def _words(axis: Axis, columns: list[Column], at: int) -> str:
    cells = [axis.cells[column][at] for column in columns]
    if all(cell is None for cell in cells):
        return "not given"
    return " ".join(f"{cell:g}" if isinstance(cell, float) else str(cell) for cell in cells if cell is not None)
