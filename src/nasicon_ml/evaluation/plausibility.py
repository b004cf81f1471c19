"""Whether a model agrees with what the literature states: every rule asked at once, in one table.

The rules are data: `plausibility.yaml` beside this module, which says how they are written. A violated rule is a
finding about the model, or about the literature. It is reported with its size and never loosened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from itertools import product
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
#: Recipes by point of a curve: the same number at each point of a curve of means.
Points = list[list[Recipe]]

#: The unit in which temperatures are compared.
DEGREES = "°C"

#: Names of the report's columns.
COLUMNS = (
    "rule", "statement", str(Column.SOURCE), "target", "effect", "required", "margin", "unit", "holds", "note",
)  # fmt: skip


@dataclass(frozen=True)
class PhysicalRule:
    """One statement of the literature, and the recipes that put it to a model.

    Attributes
    ----------
    name
        Unique, in lower case with underscores.
    statement
        What the literature says, in our words.
    source
        Who says it, with DOI.
    target
        What is predicted for it.
    recipes
        What is predicted, n of them.
    effect
        From their predictions to the size of the effect, positive in the direction of the statement.
    sides
        Which side of the comparison, or point of the curve, each recipe stands on.
    measured_at_c
        Temperature of measurement in °C of each recipe, or empty for 25 °C throughout.
    required
        Least size of the effect, in `unit`; 0 where the literature states a direction alone.
    may_be_equal
        Whether the effect may be just `required` ("not below"), or has to exceed it ("higher").
    unit
        Of effect, requirement and margin.
    note
        Where other statements or the data disagree.
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
        """Return by how much the effect exceeds what is required, in `unit`; below 0 the rule is violated."""
        return float(self.effect(answers)) - self.required

    @property
    def scope(self) -> RuleScope:
        """Which recipes the rule is about."""
        table = recipe_table(self.recipes)
        return RuleScope.from_recipes(table, occupancies(table[Column.FORMULA].to_list()), np.array(self.sides))

    def holds(self, margin: float) -> bool:
        """Return whether a margin is enough. A trillionth is rounding; NaN is not enough."""
        return margin >= -1e-12 if self.may_be_equal else margin > 1e-12


@cache
def physical_rules() -> tuple[PhysicalRule, ...]:
    """Return all rules, by subject: composition, firing, powder and gas, techniques and additives."""
    name = "plausibility.yaml"
    return read_rules(load_yaml(files(__package__).joinpath(name).read_bytes(), name, "a list of rules")[1])


def read_rules(content: Mapping[str, Any]) -> tuple[PhysicalRule, ...]:
    """Return the rules that a file states; `plausibility.yaml` documents its form.

    Parameters
    ----------
    content
        Mapping with sources, recipes and rules.
    """
    sources: Mapping[str, str] = content["sources"]
    named: dict[str, list[Recipe]] = {}
    for name, stated in content["recipes"].items():
        named[name] = _flat(_points(stated, named))
    return tuple(_rule(entry, sources, named) for entry in content["rules"])


def _rule(entry: Mapping[str, Any], sources: Mapping[str, str], named: Mapping[str, list[Recipe]]) -> PhysicalRule:
    target = TargetName(entry["target"])
    degrees = "no_hotter" in entry or "peaks_with" in entry.get("shape", ())
    rule = PhysicalRule(
        name=entry["name"],
        statement=entry["statement"],
        source=entry[Column.SOURCE].format_map(sources),
        target=target,
        recipes=(),
        effect=lambda _: np.nan,
        required=entry.get("required", 0.0),
        may_be_equal=entry.get("may_be_equal", False),
        unit=DEGREES if degrees else TARGETS[target].unit,
        note=entry.get("note", "").format_map(sources),
    )
    for kind, build in _KINDS.items():
        if kind in entry:
            return replace(rule, **build(entry, target, named))
    raise ValueError(f"rule {rule.name}: one of {', '.join(_KINDS)} is required")


def _points(stated: Any, named: Mapping[str, list[Recipe]]) -> Points:
    """Return the recipes that a part of the file stands for, by point."""
    if isinstance(stated, str):
        return [named[stated]]
    if isinstance(stated, list):
        return [point for part in stated for point in _points(part, named)]
    changes = {key: value for key, value in stated.items() if key != "of"}
    recipes = _flat(_points(stated["of"], named)) if "of" in stated else None
    choices = [value if isinstance(value, list) else [value] for value in changes.values()]
    points = []
    for values in product(*choices):
        fields = dict(zip(changes, values, strict=True))
        points.append([Recipe(**fields)] if recipes is None else [replace(recipe, **fields) for recipe in recipes])
    return points


def _flat(points: Iterable[Iterable[Recipe]]) -> list[Recipe]:
    return [recipe for point in points for recipe in point]


def _sides(points: Sequence[Sequence[Recipe]]) -> tuple[int, ...]:
    return tuple(side for side, recipes in enumerate(points) for _ in recipes)


def _difference_of_means(entry: Mapping[str, Any], target: TargetName, named: Mapping[str, Any]) -> dict[str, Any]:
    higher, lower = (_flat(_points(entry[side], named)) for side in ("higher", "lower"))
    count = len(higher)

    def effect(answers: Answers) -> float:
        values = answers[target]
        return float(values[:count].mean() - values[count:].mean())

    return {"recipes": (*higher, *lower), "effect": effect, "sides": _sides([higher, lower])}


def _curve(entry: Mapping[str, Any], target: TargetName, named: Mapping[str, Any]) -> dict[str, Any]:
    points, shape = _points(entry["curve"], named), entry["shape"]
    kind, value = (shape, "") if isinstance(shape, str) else next(iter(shape.items()))

    def means(answers: Answers, name: TargetName) -> Floats:
        return answers[name].reshape(len(points), len(points[0])).mean(axis=1)

    asked = {"recipes": tuple(_flat(points)), "sides": _sides(points)}
    if kind in SHAPES:
        measure = SHAPES[kind]
        return asked | {"effect": lambda answers: measure(means(answers, target), value)}
    compare, other, celsius = _COMPARISONS[kind], TargetName(value), _celsius(points)
    return asked | {"effect": lambda answers: compare(means(answers, target), means(answers, other), celsius)}


def _no_hotter(entry: Mapping[str, Any], target: TargetName, named: Mapping[str, Any]) -> dict[str, Any]:
    """Compare the lowest temperatures at which two curves come within one point of their highest value."""
    first, second = (_points(entry[side], named) for side in ("no_hotter", "than"))

    def needed(values: Floats, points: Points) -> float:
        curve = values.reshape(len(points), len(points[0])).mean(axis=1)
        return float(_celsius(points)[np.argmax(curve >= curve.max() - 1.0)])

    split = sum(map(len, first))

    def effect(answers: Answers) -> float:
        return needed(answers[target][split:], second) - needed(answers[target][:split], first)

    points = [*first, *second]
    return {"recipes": tuple(_flat(points)), "effect": effect, "sides": _sides(points)}


def _every_recipe(entry: Mapping[str, Any], target: TargetName, named: Mapping[str, Any]) -> dict[str, Any]:
    recipes, celsius = _flat(_points(entry["every"], named)), entry.get("rises_at_c")
    if celsius is None:
        return {
            "recipes": tuple(recipes),
            "sides": _sides([recipes]),
            "effect": lambda answers: SHAPES["at_most"](answers[target], entry["at_most"]),
        }
    return {
        "recipes": tuple(recipe for recipe in recipes for _ in celsius),
        "sides": _sides([recipes]) * len(celsius),
        "measured_at_c": tuple(map(float, celsius)) * len(recipes),
        "effect": lambda answers: SHAPES["rises"](answers[target].reshape(len(recipes), len(celsius)), None),
    }


_KINDS: Mapping[str, Callable[[Mapping[str, Any], TargetName, Mapping[str, Any]], dict[str, Any]]] = {
    "higher": _difference_of_means,
    "curve": _curve,
    "no_hotter": _no_hotter,
    "every": _every_recipe,
}


def _celsius(points: Points) -> Floats:
    """Return the sintering temperature of each point in °C."""
    return np.array([point[0].sintering_temperature_c for point in points], dtype=np.float64)


def _best_points(curve: Floats, which: Sequence[int]) -> float:
    inside = np.zeros(len(curve), dtype=bool)
    inside[which[0] - 1 : which[1]] = True
    return float(curve[inside].max() - curve[~inside].max())


def _lowest_at_best(curve: Floats, other: Floats, _celsius: Floats) -> float:
    best = int(np.argmax(other))
    return float(np.delete(curve, best).min() - curve[best])


#: How far a curve, shape (..., n_points), has a shape: by name, of the curve and the value stated for the shape.
SHAPES: Mapping[str, Callable[[Floats, Any], float]] = {
    "rises": lambda curve, _: float(np.diff(curve).min()),
    "inner_maximum": lambda curve, _: float(curve[1:-1].max() - max(curve[0], curve[-1])),
    "best_points": _best_points,
    "first_lead": lambda curve, count: float(curve[:count].min() - curve[count:].max()),
    "at_least": lambda curve, floor: float(curve.min() - floor),
    "at_most": lambda curve, ceiling: float(ceiling - curve.max()),
}
#: How far two targets go together along a curve of temperatures.
_COMPARISONS: Mapping[str, Callable[[Floats, Floats, Floats], float]] = {
    "peaks_with": lambda curve, other, celsius: -abs(celsius[np.argmax(curve)] - celsius[np.argmax(other)]),
    "follows": lambda curve, other, _: float(curve[np.argmax(other)] - curve[np.argmin(other)]),
    "lowest_at_best": _lowest_at_best,
}


class Predicts(Protocol):
    """Anything that answers a table of recipes as `nasicon_ml.model.PropertyModel` does."""

    def predict(self, table: pd.DataFrame, *, level: float = 0.9) -> pd.DataFrame:
        """Return columns `nasicon_ml.columns.PREDICTION`, one row a recipe."""
        ...


def check_plausibility(model: Predicts, rules: Sequence[PhysicalRule] | None = None) -> pd.DataFrame:
    """Compare a model with the rules of the literature.

    Parameters
    ----------
    model
        What predicts; it is called once, with the recipes of all rules.
    rules
        Which rules; all of `physical_rules` if None.

    Returns
    -------
    pandas.DataFrame
        One row a rule: rule, statement, source, target, effect (its size as the model has it, positive in the
        direction of the statement), required (least size), margin (effect - required), unit (of these three:
        decades, points, probability, eV or °C), holds (bool), note.
    """
    rules = physical_rules() if rules is None else rules
    answers = _answers(model, rules)
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


def _answers(model: Predicts, rules: Sequence[PhysicalRule]) -> dict[TargetName, Floats]:
    table = recipe_table(recipe for rule in rules for recipe in rule.recipes)
    celsius = [rule.measured_at_c or (np.nan,) * len(rule.recipes) for rule in rules]
    table[str(Column.MEASUREMENT_TEMPERATURE_C)] = np.concatenate(
        [np.asarray(values, float) for values in celsius]
    )
    predicted = model.predict(table)
    answers = {name: predicted[column].to_numpy(dtype=np.float64) for name, column in PREDICTED.items()}
    return answers | {TargetName.CONDUCTIVITY: np.log10(answers[TargetName.CONDUCTIVITY])}
