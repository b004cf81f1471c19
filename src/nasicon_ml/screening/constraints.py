"""Constraints between fields, as data: conditions on values, never text that is evaluated.

A constraint says "require ..." or "when ... then ...", and why. It is taken apart into rules with one condition
behind the arrow. Rules about one axis alone shorten it beforehand; the others are asked of every candidate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.arrays import Ints, Mask
from nasicon_ml.columns import ADDITIVE, Column, Kind
from nasicon_ml.composition.formula import ELEMENT_INDEX
from nasicon_ml.errors import format_value, nearest
from nasicon_ml.screening.compositions import Compositions
from nasicon_ml.screening.reading import FIELDS, Axis, SpecNode, read_cell

Cells = Sequence[Any] | NDArray[Any]

#: The net substitution of a composition, as a name in conditions.
X = "x"
CONSTRAINT_KEYS = ("require", "when", "then", "because")
#: Each is asked of every candidate.
MOST_CONSTRAINTS = 200
CONDITION_KEYS = ("min", "max", "not", "given")
_SAME = 1e-9
_FIELD_NAMES: Mapping[str, Column] = {column.value: column for column in (*ADDITIVE, *FIELDS)}
_ALLOWED = "a value, a list of values, or a mapping with min, max, not, given"


@dataclass(frozen=True)
class Condition:
    """What is asked of one quantity."""

    name: str  # a field, `x`, the system, or an element (its amount per formula unit)
    # Values of which it must have one, None standing for "not given"; no list where any will do.
    wanted: tuple[object, ...] | None = None
    unwanted: tuple[object, ...] = ()  # values that it must not have
    # minimum, maximum: bounds, themselves allowed
    minimum: float = -math.inf
    maximum: float = math.inf
    given: bool | None = None  # whether it must be given, or must not; None where that is not said

    def holds(self, cells: Cells) -> Mask:
        """Return for which values it holds, shape (n,); of what is not given nothing holds but that it is not."""
        series = pd.Series(cells)
        is_given, values = series.notna().to_numpy(), series.to_numpy()
        is_number = values.dtype.kind == "f"

        def any_of(asked: tuple[Any, ...]) -> Mask:
            same = [abs(values - value) <= _SAME if is_number else values == value for value in asked]
            return np.logical_or.reduce(same, axis=0) if same else np.zeros(len(values), dtype=np.bool_)

        found = is_given & (self.given is not False) & ~any_of(self.unwanted)
        if self.wanted is not None:
            found &= any_of(tuple(value for value in self.wanted if value is not None))
        if is_number:
            found &= (values >= self.minimum - _SAME) & (values <= self.maximum + _SAME)
        absent = None in self.wanted if self.wanted is not None and self.given is None else self.given is False
        return np.asarray(found | (~is_given & absent))

    def __str__(self) -> str:
        parts = []
        if self.wanted is not None:
            parts.append(
                "is " + " or ".join("not given" if value is None else _word(value) for value in self.wanted)
            )
        if self.unwanted:
            parts.append("is not " + " or ".join(map(_word, self.unwanted)))
        if self.minimum > -math.inf:
            parts.append(f"at least {self.minimum:g}")
        if self.maximum < math.inf:
            parts.append(f"at most {self.maximum:g}")
        if self.given is not None:
            parts.append("is given" if self.given else "is not given")
        return f"{self.name} {' and '.join(parts)}"


def _word(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Rule:
    """When all of `when` hold, `then` holds."""

    when: tuple[Condition, ...]  # may be empty: then `then` is required always
    then: Condition  # one condition
    because: str  # why
    node: SpecNode  # where it stands

    def __str__(self) -> str:
        condition = f"when {' and '.join(map(str, self.when))}: " if self.when else ""
        return f"{condition}{self.then} (because {self.because})"


def read_rules(node: SpecNode | None, warnings: list[str]) -> list[Rule]:
    """Read the constraints of a space, a list of them; what is doubtful is added to `warnings`.

    Raises
    ------
    SpaceError
        If one has no reason, or names something that is no quantity of a recipe, or asks for a value that the
        quantity cannot have.
    """
    if node is None:
        return []
    rules = []
    listed = node.items("a list of constraints", empty=True)
    if len(listed) > MOST_CONSTRAINTS:
        raise node.error(f"at most {MOST_CONSTRAINTS} constraints", value=len(listed))
    for item in listed:
        parts = item.fields(CONSTRAINT_KEYS, ("because",))
        because = parts["because"].text("the reason, in words")
        shape = {key for key in parts if key != "because"}
        when: tuple[Condition, ...] = ()
        if shape == {"require"}:
            then = _conditions(parts["require"], warnings)
        elif shape == {"when", "then"}:
            when, then = _conditions(parts["when"], warnings), _conditions(parts["then"], warnings)
        else:
            raise item.error("require and because, or when, then and because")
        rules += [Rule(when, condition, because, item) for condition in then]
    return rules


def _conditions(node: SpecNode, warnings: list[str]) -> tuple[Condition, ...]:
    allowed = "names of fields, x, system or elements, each with a condition"
    found = node.any_fields(allowed)
    if not found:
        raise node.error(allowed, "It is empty.")
    return tuple(_condition(name, part, warnings) for name, part in found.items())


def _condition(name: str, node: SpecNode, warnings: list[str]) -> Condition:
    if not (name in _FIELD_NAMES or name in (X, Column.SYSTEM) or name in ELEMENT_INDEX):
        names = [*_FIELD_NAMES, X, Column.SYSTEM.value]
        raise node.error(f"{', '.join(names)}, or the symbol of an element", nearest(name, names))
    if not isinstance(node.value, dict):
        values = tuple(_value(name, item, warnings) for item in node.one_or_more(_ALLOWED))
        return Condition(name, wanted=values)
    parts = node.fields(CONDITION_KEYS)
    if not parts:
        raise node.error(_ALLOWED)
    bounds = {key: _bound(name, parts[key], warnings) for key in ("min", "max") if key in parts}
    minimum, maximum = bounds.get("min", -math.inf), bounds.get("max", math.inf)
    if minimum > maximum:
        raise node.error("min at most max")
    unwanted = (
        tuple(_value(name, item, warnings) for item in parts["not"].one_or_more(_ALLOWED))
        if "not" in parts
        else ()
    )
    if None in unwanted:
        raise parts["not"].error("values", "For what must be given write given: true.")
    given = parts["given"].flag() if "given" in parts else None
    if given is False and len(parts) > 1:
        raise node.error("given: false alone, or conditions on the value")
    return Condition(name, None, unwanted, minimum, maximum, given)


def _bound(name: str, node: SpecNode, warnings: list[str]) -> float:
    named, column = node.renamed(name), _FIELD_NAMES.get(name)
    if name == Column.SYSTEM or (column is not None and column.kind is not Kind.NUMBER):
        raise named.error("values, as it is no number", f"Write {name}: [one, or, another].")
    value = _value(name, named, warnings)
    if value is None:
        raise named.error("a number")
    return float(value)  # type: ignore[arg-type]


def _value(name: str, node: SpecNode, warnings: list[str]) -> object:
    """Read one value of a quantity; None for "not given"."""
    node = node.renamed(name)
    if name in _FIELD_NAMES:
        return read_cell(_FIELD_NAMES[name], node, warnings)
    if name == Column.SYSTEM:
        return node.text("the name of a system, such as LATP")
    return node.number(-10, 20)


#: The axis of compositions; fields have positions from 0 on.
COMPOSITION = -1


@dataclass(frozen=True)
class Axes:
    """All axes of a space: compositions, and those of processing, additives and measurement."""

    compositions: Compositions  # which vary fastest
    fields: tuple[Axis, ...]  # the first varies slowest

    def length(self, at: int) -> int:
        """Return the number of values on an axis."""
        return len(self.compositions) if at == COMPOSITION else len(self.fields[at])

    def axis_of(self, name: str) -> int:
        """Return on which axis a quantity lies."""
        for at, axis in enumerate(self.fields):
            if name in axis.cells:
                return at
        return COMPOSITION

    def holds(self, condition: Condition) -> Mask:
        """Return for which values of its axis a condition holds."""
        at, name = self.axis_of(condition.name), condition.name
        if at != COMPOSITION:
            return condition.holds(self.cells(at, name))
        if name == X:
            return condition.holds(self.compositions.x)
        if name == Column.SYSTEM:
            return condition.holds(list(self.compositions.names))[self.compositions.name_of]
        return condition.holds(self.compositions.amount(name))

    def cells(self, at: int, name: str) -> Sequence[object]:
        """Return the values of one column of an axis of fields."""
        return next(cells for column, cells in self.fields[at].cells.items() if column == name)

    def take(self, at: int, mask: Mask) -> Axes:
        """Return the axes with some values of one."""
        if at == COMPOSITION:
            return Axes(self.compositions.take(mask), self.fields)
        fields = (*self.fields[:at], self.fields[at].take(mask), *self.fields[at + 1 :])
        return Axes(self.compositions, fields)


@dataclass(frozen=True)
class Check:
    """A rule that concerns several axes: what it forbids has `when` on all axes, and not `then`."""

    when: Mapping[int, Mask]  # axis -> where the conditions on it hold
    # then_axis, then: where it must hold then
    then_axis: int
    then: Mask
    rule: Rule  # in words

    @property
    def axes(self) -> set[int]:
        """The axes it concerns."""
        return {*self.when, self.then_axis}

    def allows(self, digits: Mapping[int, Ints]) -> Mask:
        """Return which candidates it allows, given their positions on the axes, shape (n,)."""
        forbidden = ~self.then[digits[self.then_axis]]
        for at, mask in self.when.items():
            forbidden &= mask[digits[at]]
        return ~forbidden


def never_applied(axes: Axes, rules: Sequence[Rule]) -> list[str]:
    """Return, in words, the conditions that no candidate of a space meets, so that their rules say nothing."""
    found: dict[str, None] = {}
    for rule in rules:
        for condition in rule.when:
            at = axes.axis_of(condition.name)
            if not axes.holds(condition).any():
                cells = [] if at == COMPOSITION else list(dict.fromkeys(_held(axes, at, condition.name)))
                held = f"; the space has {format_value(cells)}" if cells else ""
                place = f"{rule.node.place}: " if rule.node.place else ""
                found[f"{place}this constraint never applies: {condition} holds for no candidate{held}"] = None
    return list(found)


def prune(axes: Axes, rules: Sequence[Rule]) -> tuple[Axes, tuple[Check, ...], tuple[str, ...]]:
    """Shorten axes by the rules that concern one of them alone, until none does; refuse what leaves nothing.

    A condition on a field with a single value is true or false for all candidates, so that "argon implies slow
    heating" shortens the axis of the heating rate where argon is the only atmosphere.

    Returned are the axes, the checks that remain for every candidate, and what each rule took away, in words.
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
            return axes, tuple(checks), tuple(removed)


def _check(axes: Axes, rule: Rule) -> Check | None:
    """Return a rule as masks of its axes, less conditions that always hold; None if it forbids nothing."""
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
    """Return the values that a quantity has in the space, for a message."""
    if at == COMPOSITION:
        return list(axes.compositions.names)
    return ["not given" if cell is None else cell for cell in axes.cells(at, name)]


def _shortened(axes: Axes, check: Check, removed: list[str]) -> Axes:
    at = check.then_axis
    kept = check.then | ~check.when[at] if at in check.when else check.then
    name, count = check.rule.then.name, axes.length(at)
    if not kept.any():
        raise check.rule.node.renamed(name).error(
            f"values that leave some candidate: {check.rule}", "The space has none.", value=_held(axes, at, name)
        )
    label = "compositions" if at == COMPOSITION else axes.fields[at].label
    removed.append(f"{label}: {int(kept.sum())} of {count} values left: {check.rule}")
    return axes.take(at, kept)
