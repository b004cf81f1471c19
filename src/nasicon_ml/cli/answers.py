"""The answer to each recipe as plain values, and its JSON form (docs/cli.md)."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from nasicon_ml.cli.formatting import OWN_KEY
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

#: The version changes when a key is moved or changes its meaning, but not when keys are added.
SCHEMA = "nasicon-ml/predictions/1"
#: Maximum number of predictions in indented JSON; without indentation it is a third as long.
_MAX_INDENTED = 200
_MEASURED = columns_of(Role.CONDITION, Role.RESULT)
_IDENTITY = (Column.PELLET_ID, Column.SOURCE, Column.DOI, Column.CITED_IN)


@dataclass(frozen=True)
class Interval:
    """A predicted number with its interval; NaN if there is none."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Neighbour:
    """A measured pellet with its cells by column name (None if not reported) and its distance to the recipe."""

    cells: Cells
    distance: float


@dataclass(frozen=True)
class OwnShift:
    """The shifts of an answer by own pellets, with the number of these and the dominant ones."""

    pellets: int
    decades: float
    points: float
    purity: float
    dominant: tuple[DominantPellet, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """The contributions of the parts of a recipe to one answer, the strongest first."""

    unit: str
    base: float
    predicted: float
    parts: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Answer:
    """The predictions for one recipe, and what is known about it."""

    #: Number, line and id of the recipe in the input.
    number: int
    line: int | None
    pellet_id: str | None
    #: The given fields, by column name.
    recipe: Cells
    #: The fields that are not given.
    not_given: tuple[Column, ...]
    #: The parsed formula.
    composition: Composition
    #: Temperature of the conductivity.
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
    #: Name and statement of the rules about similar recipes that the model breaks, the closest first.
    broken_rules: Mapping[str, str]
    #: Results of similarly made pellets of the same composition, by property.
    measured_alike: Mapping[str, SimilarPellets]
    #: Shift by own pellets; None without own pellets.
    own: OwnShift | None = None
    #: Explanation of each property; None if not requested.
    explanation: Mapping[str, Explanation] | None = None


def build_answers(inputs: Inputs, prediction: Prediction, neighbours: int, *, full: bool = True) -> list[Answer]:
    """Return the answers to all recipes, each with at most `neighbours` nearest measured pellets.

    Only full answers contain the results of similar pellets and the dominant own pellets, which take time.
    """
    from nasicon_ml.io import table_records
    from nasicon_ml.workflows.explain import dominant_pellets

    raw = prediction.answers
    recipes = table_records(prediction.recipes[[str(column) for column in MODEL_INPUT]])
    columns = [values.tolist() for values in raw.numbers.values()]
    results = [dict(zip(raw.numbers, row, strict=True)) for row in zip(*columns, strict=True)]
    ids = inputs.pellet_ids or (None,) * len(inputs)
    origins = zip(inputs.recipe_numbers, inputs.lines, ids, strict=True)
    fields = {
        Column.SECONDARY_PHASES.value: raw.secondary_phases,
        Column.DOMAIN_NOTES.value: raw.domain_notes,
        "neighbours": _neighbours(prediction, neighbours),
        "broken_rules": prediction.broken_rules,
        "measured_alike": prediction.similar_pellets if full else [{}] * len(recipes),
    }
    dominant = dominant_pellets(prediction) if full else [()] * len(recipes)
    return [
        _answer(origin, recipe, result, own=_own_shift(result, pellets), **dict(zip(fields, values, strict=True)))
        for origin, recipe, result, pellets, *values in zip(
            origins, recipes, results, dominant, *fields.values(), strict=True
        )
    ]


def _answer(origin: tuple[int, int | None, str | None], recipe: Cells, result: Cells, **fields: Any) -> Answer:
    from nasicon_ml.composition import parse

    given = {column.value: recipe[column] for column in RECIPE if recipe[column] is not None}
    temperature = recipe[Column.MEASUREMENT_TEMPERATURE_C]
    # Amount and unit of an additive are missing only if there is an additive.
    expected = columns_of(Role.COMPOSITION, Role.PROCESSING)
    not_given = tuple(column for column in expected if column.value not in given and column not in ADDITIVE)
    if Column.ADDITIVE in given:
        not_given += tuple(column for column in ADDITIVE if column.value not in given)
    return Answer(
        *origin,
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
        **fields,
    )


def add_explanations(answers: Iterable[Answer], explanations: pd.DataFrame) -> list[Answer]:
    """Return the answers with their explanations, a table of `nasicon_ml.workflows.explain.explain_prediction`."""
    by_row: dict[int, dict[str, Explanation]] = {}
    for (row, target), parts in explanations.groupby(["row", "target"], sort=False):
        first = parts.iloc[0]
        pairs = tuple(zip(parts["part"].tolist(), parts["contribution"].tolist(), strict=True))
        explanation = Explanation(str(first["unit"]), float(first["base"]), float(first["predicted"]), pairs)
        by_row.setdefault(int(str(row)), {})[str(target)] = explanation
    return [replace(answer, explanation=by_row[row]) for row, answer in enumerate(answers)]


def _neighbours(prediction: Prediction, count: int) -> list[tuple[Neighbour, ...]]:
    from nasicon_ml.io import table_records

    pellets, neighbours = prediction.measured, prediction.neighbours
    positions, distances = neighbours.positions[:, :count].tolist(), neighbours.distances[:, :count].tolist()
    # A pellet is often the neighbour of many recipes, so each is converted only once.
    used = sorted(set(itertools.chain.from_iterable(positions)))
    columns = [str(column) for column in (*PELLET, Column.SYSTEM)]
    shown = pellets[columns].iloc[used].assign(**{Column.DOI.value: _dois(pellets).iloc[used]})
    first_own = len(prediction.model.pellets)
    cells = {
        position: record | {OWN_KEY: position >= first_own}
        for position, record in zip(used, table_records(shown), strict=True)
    }
    return [
        tuple(Neighbour(cells[position], distance) for position, distance in zip(*row, strict=True))
        for row in zip(positions, distances, strict=True)
    ]


def nearest_dois(prediction: Prediction) -> list[str]:
    """Return the DOIs of the nearest pellets in the table of results, separated by "; ".

    A pellet without a known DOI is represented by the key of its source.
    """
    pellets = prediction.model.pellets
    origins = _dois(pellets).fillna(pellets[Column.SOURCE]).to_numpy(dtype=object)
    return ["; ".join(row) for row in origins[prediction.answers.named_positions]]


def _dois(pellets: pd.DataFrame) -> pd.Series[Any]:
    """Return the DOI of each pellet: its own, that in the name of its source, or the only DOI of its source."""
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


def predictions_json(prediction: Prediction, answers: Iterable[Answer], findings: Iterable[Finding]) -> str:
    """Return answers and rejected cells as JSON text, numbers with all digits, null for missing values."""
    rejected = {"rejected": [_finding_json(finding) for finding in findings]}
    return json_text(SCHEMA, prediction, answers, rejected)


def json_text(schema: str, prediction: Prediction, answers: Iterable[Answer], more: Mapping[str, Any]) -> str:
    """Return answers and additional content as JSON text."""
    metadata = prediction.model.metadata
    content: dict[str, Any] = {
        "schema": schema,
        "level": prediction.level,
        "model": {
            "created": metadata.created,
            "dataset_sha256": metadata.dataset_sha256,
            "dataset_rows": metadata.dataset_rows,
        },
        "predictions": [_answer_json(answer) for answer in answers],
        **more,
    }
    indent = 2 if len(content["predictions"]) <= _MAX_INDENTED else None
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
        OWN_KEY: cells.get(OWN_KEY, False),
        Column.SYSTEM.value: cells[Column.SYSTEM],
        "recipe": {column.value: cells[column] for column in RECIPE},
        "results": {column.value: cells[column] for column in _MEASURED},
    }


def _explanation_json(explanation: Mapping[str, Explanation] | None) -> dict[str, Any] | None:
    if explanation is None:
        return None
    return {
        target: asdict(each) | {"parts": [{"part": part, "contribution": size} for part, size in each.parts]}
        for target, each in explanation.items()
    }


def _own_json(shift: OwnShift | None) -> dict[str, Any] | None:
    if shift is None:
        return None
    return {
        "used": shift.pellets,
        Column.OWN_SHIFT_DECADES.value: shift.decades,
        Column.OWN_SHIFT_POINTS.value: shift.points,
        Column.OWN_SHIFT_PURITY.value: shift.purity,
        "dominant": [asdict(pellet) for pellet in shift.dominant],
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
    """Return JSON content with None in place of NaN and infinity."""
    if isinstance(content, Mapping):
        return {key: _without_nan(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_without_nan(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content
