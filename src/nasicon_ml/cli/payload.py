"""The answers as JSON: the structure described in docs/cli.md, the same for one recipe and for many."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from nasicon_ml.cli.own import own_json
from nasicon_ml.columns import RECIPE, Column, Role, columns_of, is_missing

if TYPE_CHECKING:
    from nasicon_ml.checks import Finding
    from nasicon_ml.cli.answers import Answer, Interval, Neighbour
    from nasicon_ml.composition import Composition
    from nasicon_ml.workflows.predict import Prediction

#: Changes when a key changes its place or its meaning; new keys may come without a change.
SCHEMA = "nasicon-ml/predictions/1"
#: More predictions than this nobody reads: without line breaks they are a third as long.
_INDENTED = 200
_MEASURED = columns_of(Role.CONDITION, Role.RESULT)
_IDENTITY = (Column.PELLET_ID, Column.SOURCE, Column.DOI, Column.CITED_IN)


def as_json(prediction: Prediction, found: Iterable[Answer], findings: Iterable[Finding]) -> str:
    """Give predictions and refused cells as JSON text, numbers with all their digits, null for what is missing."""
    metadata = prediction.model.metadata
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "level": prediction.level,
        "model": {
            "created": metadata.created,
            "dataset_sha256": metadata.dataset_sha256,
            "dataset_rows": metadata.dataset_rows,
        },
        "predictions": [_answer(answer) for answer in found],
        "rejected": [_finding(finding) for finding in findings],
    }
    indent = 2 if len(content["predictions"]) <= _INDENTED else None
    return json.dumps(_without_nan(content), indent=indent, ensure_ascii=False, allow_nan=False) + "\n"


def _answer(answer: Answer) -> dict[str, Any]:
    return {
        Column.INPUT_ROW.value: answer.number,
        "line": answer.line,
        Column.PELLET_ID.value: answer.pellet_id,
        "recipe": {column.value: answer.recipe.get(column.value) for column in RECIPE},
        "not_given": [column.value for column in answer.not_given],
        "composition": _composition(answer.composition),
        "conductivity": _interval(answer.conductivity_s_cm, "S/cm") | {"temperature_c": answer.temperature_c},
        "activation_energy": {"value": answer.activation_energy_ev, "unit": "eV"},
        "relative_density": _interval(answer.relative_density_pct, "%"),
        "phase_purity": {"probability": answer.phase_purity},
        Column.LIKELY_SECONDARY_PHASES.value: list(answer.secondary_phases),
        "domain": {
            "inside": answer.inside_domain,
            "score": answer.domain_score,
            "reasons": list(answer.domain_notes),
        },
        Column.OWN_PELLETS.value: own_json(answer.own),
        Column.NEAREST_PELLETS.value: [_neighbour(neighbour) for neighbour in answer.neighbours],
    }


def _composition(composition: Composition) -> dict[str, Any]:
    return {
        Column.FORMULA.value: composition.formula,
        Column.SYSTEM.value: composition.system,
        "x": composition.x,
        "sites": {
            "A": dict(composition.a_site),
            "M": dict(composition.m_site),
            "T": dict(composition.t_site),
        },
        "oxygen": composition.oxygen,
        "other_anions": dict(composition.other_anions),
        "oxidation_states": dict(composition.oxidation_states),
        "alkali_excess": composition.alkali_excess,
        "charge_imbalance": composition.charge_imbalance,
    }


def _interval(interval: Interval, unit: str) -> dict[str, Any]:
    return {"value": interval.value, "lower": interval.lower, "upper": interval.upper, "unit": unit}


def _neighbour(neighbour: Neighbour) -> dict[str, Any]:
    cells = neighbour.cells
    return {
        **{column.value: cells[column] for column in _IDENTITY},
        "distance": neighbour.distance,
        Column.SYSTEM.value: cells[Column.SYSTEM],
        "recipe": {column.value: cells[column] for column in RECIPE},
        "results": {column.value: cells[column] for column in _MEASURED},
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        Column.INPUT_ROW.value: finding.row + 1,
        "line": finding.line,
        "column": finding.column,
        "value": None if is_missing(finding.value) else str(finding.value),
        "rule": finding.rule,
        "message": finding.message,
    }


def _without_nan(content: Any) -> Any:
    """JSON has no NaN and no infinity: both become null."""
    if isinstance(content, Mapping):
        return {key: _without_nan(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_without_nan(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content
