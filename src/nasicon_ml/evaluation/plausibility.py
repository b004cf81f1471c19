"""Whether a model agrees with what the literature states: every rule asked at once, in one table.

A rule that is violated is a finding about the model, or about the literature. It is reported with its size and
never loosened. `nasicon_ml.evaluation.physical_rules` holds the rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.columns import Column
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.evaluation.physical_rules import PhysicalRule, physical_rules
from nasicon_ml.evaluation.physical_rules.model import DEGREES
from nasicon_ml.recipe import recipe_table

Floats = NDArray[np.float64]

#: Names of the report's columns.
COLUMNS = (
    "rule", "statement", str(Column.SOURCE), "target", "effect", "required", "margin", "unit", "holds", "note",
)  # fmt: skip

#: Decimals of an effect by its unit, three where it is not named.
_DIGITS = {"points": 2, DEGREES: 0}


class Predicts(Protocol):
    """Anything that answers a table of recipes as `nasicon_ml.model.PropertyModel` does."""

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


def plausibility_report(model: Predicts, reasons: Mapping[str, str] | None = None) -> str:
    """Check a model and write what holds and what does not as Markdown; see `plausibility_table`."""
    return plausibility_table(check_plausibility(model), reasons)


def plausibility_table(checked: pd.DataFrame, reasons: Mapping[str, str] | None = None) -> str:
    """Write what holds and what does not as Markdown, the violated rules first.

    Parameters
    ----------
    checked
        What `check_plausibility` gives.
    reasons
        Why a rule is violated, by its name, where that is known.
    """
    violated, held = checked[~checked["holds"]], checked[checked["holds"]]
    lines = [
        f"{len(held)} of {len(checked)} rules of the literature hold.",
        "",
        "Effect: the size of what is stated, as the model has it, positive in the stated direction. It has to",
        "exceed what is required, or to reach it where a statement says no more than *not below*. Required is 0",
        "where the literature states a direction alone.",
        "",
        "## Violated",
        "",
        *(_table(violated, reasons or {}, notes=True) if len(violated) else ["None."]),
        "",
        "## Held",
        "",
        *(_table(held, {}, notes=False) if len(held) else ["None."]),
    ]
    return "\n".join(lines) + "\n"


def _table(checked: pd.DataFrame, reasons: Mapping[str, str], *, notes: bool) -> list[str]:
    heads = ("rule", "what the literature says", "effect", "required", "unit", Column.SOURCE.label)
    lines = [f"| {' | '.join(heads)} |", "|---|---|--:|--:|---|---|"]
    for row in checked.sort_values(["target", "unit", "margin"], kind="stable").to_dict("records"):
        said = [row["statement"]]
        if notes:
            said += [f"*{row['note']}*" if row["note"] else "", reasons.get(row["rule"], "")]
        cells = (
            f"`{row['rule']}`", " ".join(part for part in said if part),
            f"{float(row['effect']):+.{_DIGITS.get(row['unit'], 3)}f}", f"{row['required']:g}", row["unit"],
            row[str(Column.SOURCE)],
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines
