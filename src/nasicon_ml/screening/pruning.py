"""Applies rules: those about one axis alone shorten it beforehand; the others are asked of every candidate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.columns import Column
from nasicon_ml.screening.axes import Axis
from nasicon_ml.screening.compositions import Compositions
from nasicon_ml.screening.constraints import Condition, Rule, X

Mask = NDArray[np.bool_]
Ints = NDArray[np.intp]

#: The axis of compositions; fields have positions from 0 on.
COMPOSITION = -1


@dataclass(frozen=True)
class Axes:
    """All axes of a space: compositions, and those of processing, additives and measurement.

    Attributes
    ----------
    compositions
        Which vary fastest.
    fields
        The first varies slowest.
    """

    compositions: Compositions
    fields: tuple[Axis, ...]

    def length(self, at: int) -> int:
        """Give the number of values on an axis."""
        return len(self.compositions) if at == COMPOSITION else len(self.fields[at])

    def axis_of(self, name: str) -> int:
        """Say on which axis a quantity lies."""
        for at, axis in enumerate(self.fields):
            if name in axis.cells:
                return at
        return COMPOSITION

    def holds(self, condition: Condition) -> Mask:
        """Say for which values of its axis a condition holds."""
        at, name = self.axis_of(condition.name), condition.name
        if at != COMPOSITION:
            return condition.holds(self.cells(at, name))
        if name == X:
            return condition.holds(self.compositions.x)
        if name == Column.SYSTEM:
            return condition.holds(list(self.compositions.names))[self.compositions.name_of]
        return condition.holds(self.compositions.amount(name))

    def cells(self, at: int, name: str) -> Sequence[object]:
        """Give the values of one column of an axis of fields."""
        return next(cells for column, cells in self.fields[at].cells.items() if column == name)

    def take(self, at: int, mask: Mask) -> Axes:
        """Keep some values of one axis."""
        if at == COMPOSITION:
            return Axes(self.compositions.take(mask), self.fields)
        fields = (*self.fields[:at], self.fields[at].take(mask), *self.fields[at + 1 :])
        return Axes(self.compositions, fields)


@dataclass(frozen=True)
class Check:
    """A rule that concerns several axes: what it forbids has `when` on all axes, and not `then`.

    Attributes
    ----------
    when
        Axis -> where the conditions on it hold.
    then_axis, then
        Where it must hold then.
    rule
        In words.
    """

    when: Mapping[int, Mask]
    then_axis: int
    then: Mask
    rule: Rule

    @property
    def axes(self) -> set[int]:
        """The axes it concerns."""
        return {*self.when, self.then_axis}

    def allows(self, digits: Mapping[int, Ints]) -> Mask:
        """Say which candidates it allows, given their positions on the axes, shape (n,)."""
        forbidden = ~self.then[digits[self.then_axis]]
        for at, mask in self.when.items():
            forbidden &= mask[digits[at]]
        return ~forbidden


@dataclass(frozen=True)
class Pruned:
    """Axes as far as rules on single axes leave them, and the checks that remain.

    Attributes
    ----------
    axes
        Shortened.
    checks
        For every candidate.
    removed
        What each rule took away, in words.
    """

    axes: Axes
    checks: tuple[Check, ...]
    removed: tuple[str, ...]


def prune(axes: Axes, rules: Sequence[Rule]) -> Pruned:
    """Shorten axes by the rules that concern one of them alone, until none does.

    A condition on a field with a single value is true or false for all candidates, so that "argon implies slow
    heating" shortens the axis of the heating rate where argon is the only atmosphere.

    Raises
    ------
    SpaceError
        If nothing is left.
    """
    removed: list[str] = []
    while True:
        checks: list[Check] = []
        for rule in rules:
            check = _check(axes, rule)
            if check is None:
                continue
            if len(check.axes) == 1:
                axes = _shortened(axes, check, removed)
                break
            checks.append(check)
        else:
            return Pruned(axes, tuple(checks), tuple(removed))


def _check(axes: Axes, rule: Rule) -> Check | None:
    """Bring a rule to its axes, without the conditions that hold for all values; None if it forbids nothing."""
    when: dict[int, Mask] = {}
    for condition in rule.when:
        at = axes.axis_of(condition.name)
        when[at] = when[at] & axes.holds(condition) if at in when else axes.holds(condition)
    if not all(mask.any() for mask in when.values()):
        return None
    then_axis, then = axes.axis_of(rule.then.name), axes.holds(rule.then)
    if then.all():
        return None
    when = {at: mask for at, mask in when.items() if not mask.all()}
    if when and not then.any() and then_axis not in when:
        # Nothing can satisfy it: what asks for it is forbidden.
        then_axis, then = next(iter(when)), ~next(iter(when.values()))
    if then_axis in when and not (when[then_axis] & ~then).any():
        return None
    return Check(when, then_axis, then, rule)


def _held(axes: Axes, at: int, name: str) -> list[object]:
    """Give the values that a quantity has in the space, for a message."""
    if at == COMPOSITION:
        return list(axes.compositions.names)
    return ["not given" if cell is None else cell for cell in axes.cells(at, name)]


def _shortened(axes: Axes, check: Check, removed: list[str]) -> Axes:
    at = check.then_axis
    kept = check.then | ~check.when[at] if at in check.when else check.then
    name, count = check.rule.then.name, axes.length(at)
    if not kept.any():
        raise check.rule.stated.renamed(name).error(
            f"values that leave some candidate: {check.rule}", "The space has none.", value=_held(axes, at, name)
        )
    label = "compositions" if at == COMPOSITION else axes.fields[at].label
    removed.append(f"{label}: {int(kept.sum())} of {count} values left: {check.rule}")
    return axes.take(at, kept)
