"""Answers as values, one for each recipe, from which text and JSON are made; and the JSON (docs/cli.md)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from nasicon_ml.cli.formatting import OWN
from nasicon_ml.columns import (
    ADDITIVE,
    CONDUCTIVITY_INTERVAL,
    DENSITY_INTERVAL,
    MODEL_INPUT,
    PELLET,
    RECIPE,
    ROOM_TEMPERATURE_C,
    Column,
    Role,
    columns_of,
    is_missing,
)

if TYPE_CHECKING:
    import pandas as pd

    from nasicon_ml.checks import Finding
    from nasicon_ml.cli.inputs import Inputs
    from nasicon_ml.composition import Composition
    from nasicon_ml.workflows.explain import DominantPellet
    from nasicon_ml.workflows.predict import Prediction
    from nasicon_ml.workflows.similar_pellets import SimilarPellets

Cells = Mapping[str, Any]

#: Changes when a key changes its place or its meaning; new keys may come without a change.
SCHEMA = "nasicon-ml/predictions/1"
#: More predictions than this nobody reads: without line breaks they are a third as long.
_INDENTED = 200
_MEASURED = columns_of(Role.CONDITION, Role.RESULT)
_IDENTITY = (Column.PELLET_ID, Column.SOURCE, Column.DOI, Column.CITED_IN)


@dataclass(frozen=True)
class Interval:
    """A predicted number with its interval; NaN where there is none."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Neighbour:
    """A measured pellet: its cells by column name (None where not reported), and how far it is."""

    cells: Cells
    distance: float


@dataclass(frozen=True)
class OwnShift:
    """How far own pellets moved an answer: their number, decades, points, probability, and who did most of it."""

    pellets: int
    decades: float
    points: float
    purity: float
    dominant: tuple[DominantPellet, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """What moved one answer: parts in the recipe's words with what each adds to the base, the strongest first."""

    unit: str
    base: float
    predicted: float
    parts: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Answer:
    """What is known about one recipe."""

    #: Where it stands in the input, and what the input calls it.
    number: int
    line: int | None
    pellet_id: str | None
    #: The fields that were given, by column name.
    recipe: Cells
    #: The fields of a recipe that were not.
    not_given: tuple[Column, ...]
    #: The formula as understood.
    composition: Composition
    #: Of the conductivity.
    temperature_c: float
    conductivity_s_cm: Interval
    activation_energy_ev: float
    relative_density_pct: Interval
    phase_purity: float
    secondary_phases: tuple[str, ...]
    inside_domain: bool
    domain_score: float
    domain_notes: tuple[str, ...]
    neighbours: tuple[Neighbour, ...]
    #: Rules of the literature about recipes like it that the model breaks, the closest first: name -> statement.
    broken_rules: Mapping[str, str]
    #: What was measured on pellets of the same composition made alike, by property.
    measured_alike: Mapping[str, SimilarPellets]
    #: How far own pellets moved it; None where none were given.
    own: OwnShift | None = None
    #: What moved each property; None where it was not asked for.
    explanation: Mapping[str, Explanation] | None = None


def answers(inputs: Inputs, prediction: Prediction, neighbours: int, *, full: bool = True) -> list[Answer]:
    """Return the answers to all recipes, each with at most that many nearest measured pellets.

    What was measured on pellets alike takes time, and is there in full answers only.
    """
    from nasicon_ml.io import table_records
    from nasicon_ml.workflows.explain import dominant_pellets

    given = prediction.answers
    recipes = table_records(prediction.recipes[[str(column) for column in MODEL_INPUT]])
    columns = [values.tolist() for values in given.numbers.values()]
    numbers = [dict(zip(given.numbers, row, strict=True)) for row in zip(*columns, strict=True)]
    ids = inputs.pellet_ids or (None,) * len(inputs)
    places = zip(inputs.numbers, inputs.lines, ids, strict=True)
    parts = {
        Column.SECONDARY_PHASES.value: given.secondary_phases,
        Column.DOMAIN_NOTES.value: given.domain_notes,
        "neighbours": _neighbours(prediction, neighbours),
        "broken_rules": prediction.broken_rules,
        "measured_alike": prediction.similar_pellets if full else [{}] * len(recipes),
    }
    dominant = dominant_pellets(prediction) if full else [()] * len(recipes)
    return [
        _answer(place, recipe, found, own=_own_shift(found, strongest), **dict(zip(parts, others, strict=True)))
        for place, recipe, found, strongest, *others in zip(
            places, recipes, numbers, dominant, *parts.values(), strict=True
        )
    ]


def _answer(place: tuple[int, int | None, str | None], recipe: Cells, result: Cells, **others: Any) -> Answer:
    from nasicon_ml.composition import parse

    given = {column.value: recipe[column] for column in RECIPE if recipe[column] is not None}
    temperature = recipe[Column.MEASUREMENT_TEMPERATURE_C]
    # Without an additive, its amount and unit are not missing: there is nothing to state.
    asked = columns_of(Role.COMPOSITION, Role.PROCESSING)
    not_given = tuple(column for column in asked if column.value not in given and column not in ADDITIVE)
    if Column.ADDITIVE in given:
        not_given += tuple(column for column in ADDITIVE if column.value not in given)
    return Answer(
        *place,
        recipe=given,
        not_given=not_given,
        composition=parse(recipe[Column.FORMULA]),
        temperature_c=ROOM_TEMPERATURE_C if temperature is None else temperature,
        conductivity_s_cm=Interval(*(result[column] for column in CONDUCTIVITY_INTERVAL)),
        activation_energy_ev=result[Column.PREDICTED_ACTIVATION_ENERGY_EV],
        relative_density_pct=Interval(*(result[column] for column in DENSITY_INTERVAL)),
        phase_purity=result[Column.PREDICTED_PHASE_PURITY],
        inside_domain=result[Column.INSIDE_DOMAIN],
        domain_score=result[Column.DOMAIN_SCORE],
        **others,
    )


def with_explanations(given: Iterable[Answer], explained: pd.DataFrame) -> list[Answer]:
    """Return answers with what moved them, as `nasicon_ml.workflows.explain.explain_prediction` has it."""
    found: dict[int, dict[str, Explanation]] = {}
    for (row, target), parts in explained.groupby(["row", "target"], sort=False):
        first = parts.iloc[0]
        pairs = zip(parts["part"].tolist(), parts["contribution"].tolist(), strict=True)
        one = Explanation(str(first["unit"]), float(first["base"]), float(first["predicted"]), tuple(pairs))
        found.setdefault(int(str(row)), {})[str(target)] = one
    return [replace(answer, explanation=found[row]) for row, answer in enumerate(given)]


def _neighbours(prediction: Prediction, count: int) -> list[tuple[Neighbour, ...]]:
    from nasicon_ml.io import table_records

    pellets, found = prediction.measured, prediction.neighbours
    columns = [str(column) for column in (*PELLET, Column.SYSTEM)]
    # A pellet is often the neighbour of many recipes: each is turned into plain cells once.
    used = sorted(set(found.positions[:, :count].ravel().tolist()))
    shown = pellets[columns].iloc[used].assign(**{Column.DOI.value: _dois(pellets).iloc[used]})
    count_of_model = len(prediction.model.pellets)
    records = [record | {OWN: at >= count_of_model} for at, record in zip(used, table_records(shown), strict=True)]
    cells = dict(zip(used, records, strict=True))
    return [
        tuple(Neighbour(cells[at], far) for at, far in zip(row, distance, strict=True))
        for row, distance in zip(
            found.positions[:, :count].tolist(), found.distances[:, :count].tolist(), strict=True
        )
    ]


def nearest_origins(prediction: Prediction) -> list[str]:
    """Return the DOIs of the pellets that the table of results names as nearest, "; " between them.

    Where no DOI is known, the key of the source stands in its place.
    """
    pellets = prediction.model.pellets
    origins = _dois(pellets).fillna(pellets[Column.SOURCE]).to_numpy(dtype=object)
    return ["; ".join(row) for row in origins[prediction.answers.named_positions]]


def _dois(pellets: pd.DataFrame) -> pd.Series[Any]:
    """Return a DOI for each pellet: its own; else its source's name, or the only one of the source's pellets."""
    source, doi = pellets[Column.SOURCE], pellets[Column.DOI]
    by_source = doi.groupby(source)
    only = by_source.transform("first").where(by_source.transform("nunique") == 1)
    return doi.fillna(source.where(source.str.startswith("10."))).fillna(only)


def _own_shift(result: Cells, dominant: tuple[DominantPellet, ...]) -> OwnShift | None:
    if Column.OWN_PELLETS not in result:
        return None
    columns = (Column.OWN_PELLETS, Column.OWN_SHIFT_DECADES, Column.OWN_SHIFT_POINTS, Column.OWN_SHIFT_PURITY)
    pellets, decades, points, purity = (result[column] for column in columns)
    return OwnShift(pellets, decades, points, purity, dominant)


# ----------------------------------------------------------------------------------------------- JSON


def as_json(prediction: Prediction, found: Iterable[Answer], findings: Iterable[Finding]) -> str:
    """Return predictions and refused cells as JSON text, numbers with all digits, null for what is missing."""
    rejected = {"rejected": [_finding_json(finding) for finding in findings]}
    return json_text(SCHEMA, prediction, found, rejected)


def json_text(schema: str, prediction: Prediction, found: Iterable[Answer], more: Mapping[str, Any]) -> str:
    """Return predictions, and what else is known about them, as JSON text."""
    metadata = prediction.model.metadata
    content: dict[str, Any] = {
        "schema": schema,
        "level": prediction.level,
        "model": {
            "created": metadata.created,
            "dataset_sha256": metadata.dataset_sha256,
            "dataset_rows": metadata.dataset_rows,
        },
        "predictions": [_answer_json(answer) for answer in found],
        **more,
    }
    indent = 2 if len(content["predictions"]) <= _INDENTED else None
    return json.dumps(_without_nan(content), indent=indent, ensure_ascii=False, allow_nan=False) + "\n"


def _answer_json(answer: Answer) -> dict[str, Any]:
    return {
        Column.INPUT_ROW.value: answer.number,
        "line": answer.line,
        Column.PELLET_ID.value: answer.pellet_id,
        "recipe": {column.value: answer.recipe.get(column.value) for column in RECIPE},
        "not_given": [column.value for column in answer.not_given],
        "composition": _composition_json(answer.composition),
        "conductivity": asdict(answer.conductivity_s_cm)
        | {"unit": Column.CONDUCTIVITY_TOTAL_S_CM.unit, "temperature_c": answer.temperature_c},
        "activation_energy": {"value": answer.activation_energy_ev, "unit": Column.ACTIVATION_ENERGY_EV.unit},
        "relative_density": asdict(answer.relative_density_pct) | {"unit": Column.RELATIVE_DENSITY_PCT.unit},
        "phase_purity": {"probability": answer.phase_purity},
        Column.LIKELY_SECONDARY_PHASES.value: list(answer.secondary_phases),
        "domain": {
            "inside": answer.inside_domain,
            "score": answer.domain_score,
            "reasons": list(answer.domain_notes),
        },
        "measured_alike": {str(name): asdict(alike) for name, alike in answer.measured_alike.items()},
        "broken_rules": [
            {"rule": name, "statement": statement} for name, statement in answer.broken_rules.items()
        ],
        Column.OWN_PELLETS.value: _own_json(answer.own),
        "explanation": _explanation_json(answer.explanation),
        Column.NEAREST_PELLETS.value: [_neighbour_json(neighbour) for neighbour in answer.neighbours],
    }


def _composition_json(composition: Composition) -> dict[str, Any]:
    return {
        Column.FORMULA.value: composition.formula,
        Column.SYSTEM.value: composition.system,
        "x": composition.x,
        "sites": {"A": dict(composition.a_site), "M": dict(composition.m_site), "T": dict(composition.t_site)},
        "oxygen": composition.oxygen,
        "other_anions": dict(composition.other_anions),
        "oxidation_states": dict(composition.oxidation_states),
        "alkali_excess": composition.alkali_excess,
        "charge_imbalance": composition.charge_imbalance,
    }


def _neighbour_json(neighbour: Neighbour) -> dict[str, Any]:
    cells = neighbour.cells
    return {
        **{column.value: cells[column] for column in _IDENTITY},
        "distance": neighbour.distance,
        OWN: cells.get(OWN, False),
        Column.SYSTEM.value: cells[Column.SYSTEM],
        "recipe": {column.value: cells[column] for column in RECIPE},
        "results": {column.value: cells[column] for column in _MEASURED},
    }


def _explanation_json(explanation: Mapping[str, Explanation] | None) -> dict[str, Any] | None:
    if explanation is None:
        return None
    return {
        target: asdict(one) | {"parts": [{"part": part, "contribution": size} for part, size in one.parts]}
        for target, one in explanation.items()
    }


def _own_json(shift: OwnShift | None) -> dict[str, Any] | None:
    if shift is None:
        return None
    return {
        "used": shift.pellets,
        Column.OWN_SHIFT_DECADES.value: shift.decades,
        Column.OWN_SHIFT_POINTS.value: shift.points,
        Column.OWN_SHIFT_PURITY.value: shift.purity,
        "dominant": [asdict(each) for each in shift.dominant],
    }


def _finding_json(finding: Finding) -> dict[str, Any]:
    return {
        Column.INPUT_ROW.value: finding.row + 1,
        "line": finding.line,
        "column": finding.column,
        "value": None if is_missing(finding.value) else str(finding.value),
        "rule": finding.rule,
        "message": finding.message,
    }


def _without_nan(content: Any) -> Any:
    """Return JSON content with None for NaN and infinity, which JSON does not have."""
    if isinstance(content, Mapping):
        return {key: _without_nan(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_without_nan(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content
