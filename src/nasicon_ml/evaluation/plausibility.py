"""Whether a model agrees with what the literature states: every rule asked at once, in one table.

A rule that is violated is a finding about the model, or about the literature. It is reported with its size and
never loosened. `nasicon_ml.evaluation.physical_rules` holds the rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.columns import Column
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.evaluation.physical_rules import PhysicalRule, physical_rules
from nasicon_ml.recipe import recipe_table

Floats = NDArray[np.float64]

#: Names of the report's columns.
COLUMNS = (
    "rule", "statement", str(Column.SOURCE), "target", "effect", "required", "margin", "unit", "holds", "note",
)  # fmt: skip


class Predicts(Protocol):
    """Anything that answers a table of recipes as `nasicon_ml.estimators.model.PropertyModel` does."""

    def predict(self, table: pd.DataFrame, *, level: float = 0.9) -> pd.DataFrame:
        """Give columns `nasicon_ml.columns.PREDICTION`, one row a recipe."""
        ...


def check_plausibility(model: Predicts, rules: Sequence[PhysicalRule] | None = None) -> pd.DataFrame:
    """Hold a model to the rules of the literature.

    Parameters
    ----------
    model
        What answers; it is called once, with the recipes of all rules.
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
        stop = start + len(rule.check.recipes)
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
    table = recipe_table(recipe for rule in rules for recipe in rule.check.recipes)
    celsius = [rule.check.at_c or (np.nan,) * len(rule.check.recipes) for rule in rules]
    table[str(Column.MEASUREMENT_TEMPERATURE_C)] = np.array(
        [value for values in celsius for value in values], dtype=np.float64
    )
    predicted = model.predict(table)
    conductivity = predicted[Column.PREDICTED_CONDUCTIVITY_S_CM].to_numpy(dtype=np.float64)
    return {
        TargetName.CONDUCTIVITY: np.log10(conductivity),
        TargetName.RELATIVE_DENSITY: predicted[Column.PREDICTED_RELATIVE_DENSITY_PCT].to_numpy(dtype=np.float64),
        TargetName.PHASE_PURITY: predicted[Column.PREDICTED_PHASE_PURITY].to_numpy(dtype=np.float64),
        TargetName.ACTIVATION_ENERGY: predicted[Column.PREDICTED_ACTIVATION_ENERGY_EV].to_numpy(dtype=np.float64),
    }


def plausibility_report(model: Predicts) -> str:
    """Write what holds and what does not as Markdown: the violated rules first, the farthest off on top.

    Parameters
    ----------
    model
        What is held to the rules.
    """
    checked = check_plausibility(model)
    violated = checked[~checked["holds"]]
    lines = [
        f"{len(checked) - len(violated)} of {len(checked)} rules of the literature hold.",
        "",
        "Effect: the size of what the statement says, as the model has it; it has to reach what is required.",
        "Where nothing but a direction is stated, 0 is required.",
        "",
        "## Violated",
        "",
        *(_table(violated, notes=True) if len(violated) else ["None."]),
        "",
        "## Held",
        "",
        *_table(checked[checked["holds"]], notes=False),
    ]
    return "\n".join(lines) + "\n"


def _table(checked: pd.DataFrame, *, notes: bool) -> list[str]:
    ordered = checked.sort_values(["unit", "margin"], kind="stable")
    lines = [
        "| rule | what the literature says | effect | required | unit | source |",
        "|---|---|--:|--:|---|---|",
    ]
    for row in ordered.to_dict("records"):
        said = f"{row['statement']} *{row['note']}*" if notes and row["note"] else row["statement"]
        effect = f"{float(row['effect']):+.{_digits(row['unit'])}f}"
        lines.append(
            f"| `{row['rule']}` | {said} | {effect} | {row['required']:g} | {row['unit']} | {row[Column.SOURCE]} |"
        )
    return lines


def _digits(unit: str) -> int:
    return {"points": 2, "°C": 0}.get(unit, 3)
