"""Check of a model against rules of the literature.

The rules are defined in `plausibility.yaml` next to this module, which also documents their format. A violated
rule is a finding about the model or the literature. It is reported with its size, and rules are never loosened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from itertools import chain, product
from typing import Any, Protocol

import numpy as np
import pandas as pd

from nasicon_ml.arrays import Floats
from nasicon_ml.columns import Column
from nasicon_ml.composition import occupancies
from nasicon_ml.estimators.rule_scope import RuleScope
from nasicon_ml.estimators.targets import PREDICTED, TARGETS, TargetName
from nasicon_ml.io.structured import load_yaml
from nasicon_ml.recipe import Recipe, recipe_table

#: Predictions by target, each of shape (n_recipes,): log10(S/cm), %, probability, eV.
Answers = Mapping[TargetName, Floats]
#: Recipes at each point of a curve; a curve of means has the same number at each point.
Points = list[list[Recipe]]

#: Unit of effects that are differences of temperatures.
DEGREES = "°C"

#: Column names of the report.
COLUMNS = (
    "rule", "statement", str(Column.SOURCE), "target", "effect", "required", "margin", "unit", "holds", "note",
)  # fmt: skip


@dataclass(frozen=True)
class PhysicalRule:
    """A statement of the literature, with the recipes whose predictions test it.

    Attributes
    ----------
    name
        Unique name in lower case with underscores.
    statement
        The statement in words.
    source
        Its source, with DOI.
    target
        The target that is predicted.
    recipes
        The n recipes that are predicted.
    effect
        Function of their predictions that returns the size of the effect, positive in the stated direction.
    sides
        Index of the side of the comparison, or of the point of the curve, of each recipe.
    measured_at_c
        Measurement temperature of each recipe in °C, or empty for 25 °C.
    required
        Least size of the effect, in `unit`; 0 if the literature states only a direction.
    may_be_equal
        Whether the effect may equal `required` ("not below") or has to exceed it ("higher").
    unit
        Unit of effect, requirement and margin.
    note
        Remark on statements or data that disagree.
    """

    name: str
    statement: str
    source: str
    target: TargetName
    recipes: tuple[Recipe, ...] = field(repr=False)
    effect: Callable[[Answers], float] = field(repr=False)
    sides: tuple[int, ...] = field(default=(), repr=False)
    measured_at_c: tuple[float, ...] = field(default=(), repr=False)
    required: float = 0.0
    may_be_equal: bool = False
    unit: str = ""
    note: str = ""

    def margin(self, answers: Answers) -> float:
        """Return effect - required, in `unit`; the rule is violated below 0."""
        return float(self.effect(answers)) - self.required

    @property
    def scope(self) -> RuleScope:
        """The recipes to which the rule applies."""
        table = recipe_table(self.recipes)
        return RuleScope.from_recipes(table, occupancies(table[Column.FORMULA].to_list()), np.array(self.sides))

    def holds(self, margin: float) -> bool:
        """Return whether a margin satisfies the rule, with a tolerance of 1e-12 for rounding; False for NaN."""
        return margin >= -1e-12 if self.may_be_equal else margin > 1e-12


@cache
def physical_rules() -> tuple[PhysicalRule, ...]:
    """Return all rules, ordered by subject: composition, firing, powder and gas, techniques and additives."""
    name = "plausibility.yaml"
    return read_rules(load_yaml(files(__package__).joinpath(name).read_bytes(), name, "a list of rules")[1])


def read_rules(content: Mapping[str, Any]) -> tuple[PhysicalRule, ...]:
    """Return the rules in the content of a file: a mapping with sources, recipes and rules.

    `plausibility.yaml` documents the format.
    """
    named_recipes: dict[str, list[Recipe]] = {}
    for name, stated in content["recipes"].items():
        named_recipes[name] = _flatten(_recipe_points(stated, named_recipes))
    return tuple(_rule(entry, content["sources"], named_recipes) for entry in content["rules"])


def _rule(
    entry: Mapping[str, Any], sources: Mapping[str, str], named_recipes: Mapping[str, list[Recipe]]
) -> PhysicalRule:
    target = TargetName(entry["target"])
    degrees = "no_hotter" in entry or "peaks_with" in entry.get("shape", ())
    kind = next((kind for kind in _RULE_BUILDERS if kind in entry), None)
    if kind is None:
        raise ValueError(f"rule {entry['name']}: one of {', '.join(_RULE_BUILDERS)} is required")
    return PhysicalRule(
        name=entry["name"],
        statement=entry["statement"],
        source=entry[Column.SOURCE].format_map(sources),
        target=target,
        required=entry.get("required", 0.0),
        may_be_equal=entry.get("may_be_equal", False),
        unit=DEGREES if degrees else TARGETS[target].unit,
        note=entry.get("note", "").format_map(sources),
        **_RULE_BUILDERS[kind](entry, target, named_recipes),
    )


def _recipe_points(stated: Any, named_recipes: Mapping[str, list[Recipe]]) -> Points:
    """Return the recipes that a part of the file describes, by point."""
    if isinstance(stated, str):
        return [named_recipes[stated]]
    if isinstance(stated, list):
        return [point for part in stated for point in _recipe_points(part, named_recipes)]
    changes = {key: value for key, value in stated.items() if key != "of"}
    recipes = _flatten(_recipe_points(stated["of"], named_recipes)) if "of" in stated else None
    choices = [value if isinstance(value, list) else [value] for value in changes.values()]
    points = []
    for values in product(*choices):
        fields = dict(zip(changes, values, strict=True))
        points.append([Recipe(**fields)] if recipes is None else [replace(recipe, **fields) for recipe in recipes])
    return points


def _flatten(points: Iterable[Iterable[Recipe]]) -> list[Recipe]:
    return list(chain.from_iterable(points))


def _point_indices(points: Sequence[Sequence[Recipe]]) -> tuple[int, ...]:
    """Return the index of the point (or side) of each recipe of the flattened points."""
    return tuple(index for index, recipes in enumerate(points) for _ in recipes)


def _difference_of_means(
    entry: Mapping[str, Any], target: TargetName, named_recipes: Mapping[str, Any]
) -> dict[str, Any]:
    higher, lower = (_flatten(_recipe_points(entry[side], named_recipes)) for side in ("higher", "lower"))
    count = len(higher)

    def effect(answers: Answers) -> float:
        values = answers[target]
        return float(values[:count].mean() - values[count:].mean())

    return {"recipes": (*higher, *lower), "effect": effect, "sides": _point_indices([higher, lower])}


def _curve(entry: Mapping[str, Any], target: TargetName, named_recipes: Mapping[str, Any]) -> dict[str, Any]:
    points, shape = _recipe_points(entry["curve"], named_recipes), entry["shape"]
    kind, value = (shape, "") if isinstance(shape, str) else next(iter(shape.items()))

    def means(answers: Answers, name: TargetName) -> Floats:
        return answers[name].reshape(len(points), len(points[0])).mean(axis=1)

    recipes = {"recipes": tuple(_flatten(points)), "sides": _point_indices(points)}
    if kind in SHAPES:
        measure = SHAPES[kind]
        return recipes | {"effect": lambda answers: measure(means(answers, target), value)}
    compare, other, celsius = _COMPARISONS[kind], TargetName(value), _sintering_temperatures(points)
    return recipes | {"effect": lambda answers: compare(means(answers, target), means(answers, other), celsius)}


def _no_hotter(entry: Mapping[str, Any], target: TargetName, named_recipes: Mapping[str, Any]) -> dict[str, Any]:
    """Compare the lowest temperatures at which two curves are within one point of their highest value."""
    first, second = (_recipe_points(entry[side], named_recipes) for side in ("no_hotter", "than"))

    def needed_temperature(values: Floats, points: Points) -> float:
        curve = values.reshape(len(points), len(points[0])).mean(axis=1)
        return float(_sintering_temperatures(points)[np.argmax(curve >= curve.max() - 1.0)])

    split = sum(map(len, first))

    def effect(answers: Answers) -> float:
        values = answers[target]
        return needed_temperature(values[split:], second) - needed_temperature(values[:split], first)

    points = [*first, *second]
    return {"recipes": tuple(_flatten(points)), "effect": effect, "sides": _point_indices(points)}


def _every_recipe(
    entry: Mapping[str, Any], target: TargetName, named_recipes: Mapping[str, Any]
) -> dict[str, Any]:
    recipes, celsius = _flatten(_recipe_points(entry["every"], named_recipes)), entry.get("rises_at_c")
    if celsius is None:
        return {
            "recipes": tuple(recipes),
            "sides": _point_indices([recipes]),
            "effect": lambda answers: SHAPES["at_most"](answers[target], entry["at_most"]),
        }
    return {
        "recipes": tuple(recipe for recipe in recipes for _ in celsius),
        "sides": _point_indices([recipes]) * len(celsius),
        "measured_at_c": tuple(map(float, celsius)) * len(recipes),
        "effect": lambda answers: SHAPES["rises"](answers[target].reshape(len(recipes), len(celsius)), None),
    }


_RULE_BUILDERS: Mapping[str, Callable[[Mapping[str, Any], TargetName, Mapping[str, Any]], dict[str, Any]]] = {
    "higher": _difference_of_means,
    "curve": _curve,
    "no_hotter": _no_hotter,
    "every": _every_recipe,
}


def _sintering_temperatures(points: Points) -> Floats:
    """Return the sintering temperature of each point in °C."""
    return np.array([point[0].sintering_temperature_c for point in points], dtype=np.float64)


def _best_points(curve: Floats, which: Sequence[int]) -> float:
    inside = np.zeros(len(curve), dtype=bool)
    inside[which[0] - 1 : which[1]] = True
    return float(curve[inside].max() - curve[~inside].max())


def _lowest_at_best(curve: Floats, other: Floats, _celsius: Floats) -> float:
    best = int(np.argmax(other))
    return float(np.delete(curve, best).min() - curve[best])


#: Measures of the shape of a curve, shape (..., n_points), as functions of the curve and the stated value.
SHAPES: Mapping[str, Callable[[Floats, Any], float]] = {
    "rises": lambda curve, _: float(np.diff(curve).min()),
    "inner_maximum": lambda curve, _: float(curve[1:-1].max() - max(curve[0], curve[-1])),
    "best_points": _best_points,
    "first_lead": lambda curve, count: float(curve[:count].min() - curve[count:].max()),
    "at_least": lambda curve, floor: float(curve.min() - floor),
    "at_most": lambda curve, ceiling: float(ceiling - curve.max()),
}
#: Measures of the agreement of the curves of two targets over temperature.
_COMPARISONS: Mapping[str, Callable[[Floats, Floats, Floats], float]] = {
    "peaks_with": lambda curve, other, celsius: -abs(celsius[np.argmax(curve)] - celsius[np.argmax(other)]),
    "follows": lambda curve, other, _: float(curve[np.argmax(other)] - curve[np.argmin(other)]),
    "lowest_at_best": _lowest_at_best,
}


class Predictor(Protocol):
    """Anything that predicts a table of recipes like `nasicon_ml.model.PropertyModel`."""

    def predict(self, table: pd.DataFrame, *, level: float = 0.9) -> pd.DataFrame:
        """Return columns `nasicon_ml.columns.PREDICTION`, one row per recipe."""
        ...


def check_plausibility(model: Predictor, rules: Sequence[PhysicalRule] | None = None) -> pd.DataFrame:
    """Compare a model with the rules of the literature.

    Parameters
    ----------
    model
        The model; it is called once, with the recipes of all rules.
    rules
        Rules to check; all of `physical_rules` if None.

    Returns
    -------
    pandas.DataFrame
        One row per rule: rule, statement, source, target, effect (its predicted size, positive in the stated
        direction), required (least size), margin (effect - required), unit of these three (decades, points,
        probability, eV or °C), holds (bool), note.
    """
    rules = physical_rules() if rules is None else rules
    answers = _predict_recipes(model, rules)
    rows, start = [], 0
    for rule in rules:
        stop = start + len(rule.recipes)
        margin = rule.margin({name: values[start:stop] for name, values in answers.items()})
        rows.append(
            (
                rule.name, rule.statement, rule.source, str(rule.target), margin + rule.required, rule.required,
                margin, rule.unit, rule.holds(margin), rule.note,
            )
        )  # fmt: skip
        start = stop
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _predict_recipes(model: Predictor, rules: Sequence[PhysicalRule]) -> dict[TargetName, Floats]:
    table = recipe_table(recipe for rule in rules for recipe in rule.recipes)
    celsius = [rule.measured_at_c or (np.nan,) * len(rule.recipes) for rule in rules]
    table[str(Column.MEASUREMENT_TEMPERATURE_C)] = np.concatenate(
        [np.asarray(values, float) for values in celsius]
    )
    predicted = model.predict(table)
    answers = {name: predicted[column].to_numpy(dtype=np.float64) for name, column in PREDICTED.items()}
    return answers | {TargetName.CONDUCTIVITY: np.log10(answers[TargetName.CONDUCTIVITY])}
