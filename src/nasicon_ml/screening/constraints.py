"""Constraints between fields, as conditions on values; no text is evaluated.

A constraint is "require ..." or "when ... then ...", with a reason. It is split into rules with a single
consequence. Rules about one axis shorten this axis; the others are checked for every candidate.
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
from nasicon_ml.screening.specification import FIELDS, Axis, SpecNode, read_cell

Cells = Sequence[Any] | NDArray[Any]

#: The net substitution of a composition, as a name in conditions.
X = "x"
CONSTRAINT_KEYS = ("require", "when", "then", "because")
#: Maximum number of constraints, each of which is checked for every candidate.
MAX_CONSTRAINTS = 200
CONDITION_KEYS = ("min", "max", "not", "given")
_TOLERANCE = 1e-9
_FIELD_NAMES: Mapping[str, Column] = {column.value: column for column in (*ADDITIVE, *FIELDS)}
_ALLOWED = "a value, a list of values, or a mapping with min, max, not, given"


@dataclass(frozen=True)
class Condition:
    """A condition on one quantity."""

    name: str  # a field, `x`, the system, or an element (its amount per formula unit)
    # Allowed values, None standing for "not given"; None instead of a tuple if all values are allowed.
    allowed: tuple[object, ...] | None = None
    forbidden: tuple[object, ...] = ()
    # minimum, maximum: inclusive bounds
    minimum: float = -math.inf
    maximum: float = math.inf
    given: bool | None = None  # whether a value must, or must not, be given; None if either is allowed

    def is_met(self, cells: Cells) -> Mask:
        """Return which values meet the condition, shape (n,); values that are not given meet no bound."""
        series = pd.Series(cells)
        is_given, values = series.notna().to_numpy(), series.to_numpy()
        is_number = values.dtype.kind == "f"

        def equals_any(references: tuple[Any, ...]) -> Mask:
            masks = [
                abs(values - reference) <= _TOLERANCE if is_number else values == reference
                for reference in references
            ]
            return np.logical_or.reduce(masks, axis=0) if masks else np.zeros(len(values), dtype=np.bool_)

        met = is_given & (self.given is not False) & ~equals_any(self.forbidden)
        if self.allowed is not None:
            met &= equals_any(tuple(value for value in self.allowed if value is not None))
        if is_number:
            met &= (values >= self.minimum - _TOLERANCE) & (values <= self.maximum + _TOLERANCE)
        if self.allowed is not None and self.given is None:
            may_be_missing = None in self.allowed
        else:
            may_be_missing = self.given is False
        return np.asarray(met | (~is_given & may_be_missing))

    def __str__(self) -> str:
        parts = []
        if self.allowed is not None:
            values = ("not given" if value is None else _format_value(value) for value in self.allowed)
            parts.append(f"is {' or '.join(values)}")
        if self.forbidden:
            parts.append(f"is not {' or '.join(map(_format_value, self.forbidden))}")
        if self.minimum > -math.inf:
            parts.append(f"at least {self.minimum:g}")
        if self.maximum < math.inf:
            parts.append(f"at most {self.maximum:g}")
        if self.given is not None:
            parts.append("is given" if self.given else "is not given")
        return f"{self.name} {' and '.join(parts)}"


def _format_value(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Rule:
    """A rule: if all conditions of `when` are met, `then` must be met."""

    when: tuple[Condition, ...]  # if it is empty, `then` must always be met
    then: Condition
    reason: str
    node: SpecNode  # the constraint in the description of the space

    def __str__(self) -> str:
        prefix = f"when {' and '.join(map(str, self.when))}: " if self.when else ""
        return f"{prefix}{self.then} (because {self.reason})"


def read_rules(node: SpecNode | None, warnings: list[str]) -> list[Rule]:
    """Read the list of constraints of a space; warnings about doubtful values are appended to `warnings`.

    Raises
    ------
    SpaceError
        If a constraint has no reason, or names an unknown quantity or a value that the quantity cannot have.
    """
    if node is None:
        return []
    rules = []
    items = node.items("a list of constraints", empty=True)
    if len(items) > MAX_CONSTRAINTS:
        raise node.error(f"at most {MAX_CONSTRAINTS} constraints", value=len(items))
    for item in items:
        parts = item.fields(CONSTRAINT_KEYS, ("because",))
        reason = parts.pop("because").text("the reason, in words")
        when: tuple[Condition, ...] = ()
        if parts.keys() == {"require"}:
            then = _read_conditions(parts["require"], warnings)
        elif parts.keys() == {"when", "then"}:
            when, then = _read_conditions(parts["when"], warnings), _read_conditions(parts["then"], warnings)
        else:
            raise item.error("require and because, or when, then and because")
        rules += [Rule(when, condition, reason, item) for condition in then]
    return rules


def _read_conditions(node: SpecNode, warnings: list[str]) -> tuple[Condition, ...]:
    allowed = "names of fields, x, system or elements, each with a condition"
    parts = node.any_fields(allowed)
    if not parts:
        raise node.error(allowed, "It is empty.")
    return tuple(_read_condition(name, part, warnings) for name, part in parts.items())


def _read_condition(name: str, node: SpecNode, warnings: list[str]) -> Condition:
    if not (name in _FIELD_NAMES or name in (X, Column.SYSTEM) or name in ELEMENT_INDEX):
        names = [*_FIELD_NAMES, X, Column.SYSTEM.value]
        raise node.error(f"{', '.join(names)}, or the symbol of an element", nearest(name, names))
    if not isinstance(node.value, dict):
        return Condition(name, allowed=_read_list(name, node, warnings))
    parts = node.fields(CONDITION_KEYS)
    if not parts:
        raise node.error(_ALLOWED)
    bounds = {key: _read_bound(name, parts[key], warnings) for key in ("min", "max") if key in parts}
    minimum, maximum = bounds.get("min", -math.inf), bounds.get("max", math.inf)
    if minimum > maximum:
        raise node.error("min at most max")
    forbidden = _read_list(name, parts["not"], warnings) if "not" in parts else ()
    if None in forbidden:
        raise parts["not"].error("values", "For what must be given write given: true.")
    given = parts["given"].boolean() if "given" in parts else None
    if given is False and len(parts) > 1:
        raise node.error("given: false alone, or conditions on the value")
    return Condition(name, None, forbidden, minimum, maximum, given)


def _read_bound(name: str, node: SpecNode, warnings: list[str]) -> float:
    named, column = node.renamed(name), _FIELD_NAMES.get(name)
    if name == Column.SYSTEM or (column is not None and column.kind is not Kind.NUMBER):
        raise named.error("values, as it is no number", f"Write {name}: [one, or, another].")
    value = _read_value(name, named, warnings)
    if value is None:
        raise named.error("a number")
    return float(value)  # type: ignore[arg-type]


def _read_list(name: str, node: SpecNode, warnings: list[str]) -> tuple[object, ...]:
    return tuple(_read_value(name, item, warnings) for item in node.one_or_more(_ALLOWED))


def _read_value(name: str, node: SpecNode, warnings: list[str]) -> object:
    """Read one value of a quantity; None for "not given"."""
    node = node.renamed(name)
    if name in _FIELD_NAMES:
        return read_cell(_FIELD_NAMES[name], node, warnings)
    if name == Column.SYSTEM:
        return node.text("the name of a system, such as LATP")
    return node.number(-10, 20)


#: Number of the axis of compositions; axes of fields are numbered from 0.
COMPOSITION = -1


@dataclass(frozen=True)
class Axes:
    """All axes of a space: compositions, and fields of additives, processing and measurement."""

    compositions: Compositions  # varies fastest within a block
    fields: tuple[Axis, ...]  # the first varies slowest

    @property
    def size(self) -> int:
        """Number of combinations of all values."""
        return len(self.compositions) * math.prod(len(axis) for axis in self.fields)

    def length(self, axis: int) -> int:
        """Return the number of values of an axis."""
        return len(self.compositions) if axis == COMPOSITION else len(self.fields[axis])

    def axis_of(self, name: str) -> int:
        """Return the number of the axis of a quantity."""
        return next((axis for axis, field in enumerate(self.fields) if name in field.cells), COMPOSITION)

    def is_met(self, condition: Condition) -> Mask:
        """Return which values of its axis meet a condition."""
        axis, name = self.axis_of(condition.name), condition.name
        if axis != COMPOSITION:
            return condition.is_met(self.fields[axis].cells[_FIELD_NAMES[name]])
        if name == X:
            return condition.is_met(self.compositions.x)
        if name == Column.SYSTEM:
            return condition.is_met(list(self.compositions.systems))[self.compositions.system_index]
        return condition.is_met(self.compositions.amount(name))

    def values(self, name: str) -> list[object]:
        """Return the values of a quantity for a message; the systems if it depends on the composition."""
        axis = self.axis_of(name)
        if axis == COMPOSITION:
            return list(self.compositions.systems)
        return ["not given" if cell is None else cell for cell in self.fields[axis].cells[_FIELD_NAMES[name]]]

    def select(self, axis: int, mask: Mask) -> Axes:
        """Return the axes with the masked values of one of them only."""
        if axis == COMPOSITION:
            return Axes(self.compositions.select(mask), self.fields)
        fields = (*self.fields[:axis], self.fields[axis].select(mask), *self.fields[axis + 1 :])
        return Axes(self.compositions, fields)


@dataclass(frozen=True)
class Check:
    """A rule as masks of axes: candidates that are in all masks of `when` must be in `then`."""

    when: Mapping[int, Mask]  # axis -> values that meet the conditions
    # then_axis, then: axis of the consequence, and the values that meet it
    then_axis: int
    then: Mask
    rule: Rule

    @property
    def axes(self) -> set[int]:
        """The axes that the rule is about."""
        return {*self.when, self.then_axis}

    def is_satisfied(self, indices: Mapping[int, Ints]) -> Mask:
        """Return which candidates satisfy the rule, given their indices on the axes, shape (n,)."""
        violated = ~self.then[indices[self.then_axis]]
        for axis, mask in self.when.items():
            violated &= mask[indices[axis]]
        return ~violated


def unused_condition_warnings(axes: Axes, rules: Sequence[Rule]) -> list[str]:
    """Return warnings about conditions that no candidate meets, so that their rules have no effect."""
    warnings: dict[str, None] = {}
    for rule in rules:
        for condition in rule.when:
            if not axes.is_met(condition).any():
                is_field = axes.axis_of(condition.name) != COMPOSITION
                values = list(dict.fromkeys(axes.values(condition.name))) if is_field else []
                suffix = f"; the space has {format_value(values)}" if values else ""
                place = f"{rule.node.place}: " if rule.node.place else ""
                warning = f"{place}this constraint never applies: {condition} holds for no candidate{suffix}"
                warnings[warning] = None
    return list(warnings)


def prune(axes: Axes, rules: Sequence[Rule]) -> tuple[Axes, tuple[Check, ...], tuple[str, ...]]:
    """Shorten axes by the rules that are about a single one, until there is none left.

    A condition on a field with a single value is true or false for all candidates. For example, "argon implies
    slow heating" shortens the axis of the heating rate if argon is the only atmosphere.

    Returns
    -------
    axes, checks, removed
        The axes, the checks that remain for every candidate, and descriptions of the removed values.

    Raises
    ------
    SpaceError
        If no value of an axis remains.
    """
    removed: list[str] = []
    while True:
        checks: list[Check] = []
        for rule in rules:
            check = _compile(axes, rule)
            if check is None:
                continue
            if len(check.axes) == 1:
                axes, description = _shorten(axes, check)
                removed.append(description)
                break
            checks.append(check)
        else:
            return axes, tuple(checks), tuple(removed)


def _compile(axes: Axes, rule: Rule) -> Check | None:
    """Convert a rule to masks, without conditions that are always met; None if it forbids nothing."""
    when: dict[int, Mask] = {}
    for condition in rule.when:
        axis, mask = axes.axis_of(condition.name), axes.is_met(condition)
        when[axis] = when[axis] & mask if axis in when else mask
    if not all(mask.any() for mask in when.values()):
        return None
    then_axis, then = axes.axis_of(rule.then.name), axes.is_met(rule.then)
    if then.all():
        return None
    when = {axis: mask for axis, mask in when.items() if not mask.all()}
    if when and not then.any() and then_axis not in when:
        # No candidate can meet `then`: one of the conditions must not be met.
        then_axis, then = next(iter(when)), ~next(iter(when.values()))
    if then_axis in when and not (when[then_axis] & ~then).any():
        return None
    return Check(when, then_axis, then, rule)


def _shorten(axes: Axes, check: Check) -> tuple[Axes, str]:
    """Remove the values that violate a check of a single axis; return the axes and a description."""
    axis, rule = check.then_axis, check.rule
    remaining = check.then | ~check.when[axis] if axis in check.when else check.then
    if not remaining.any():
        name = rule.then.name
        raise rule.node.renamed(name).error(
            f"values that leave some candidate: {rule}", "The space has none.", value=axes.values(name)
        )
    label = "compositions" if axis == COMPOSITION else axes.fields[axis].label
    description = f"{label}: {int(remaining.sum())} of {axes.length(axis)} values left: {rule}"
    return axes.select(axis, remaining), description
