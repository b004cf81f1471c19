"""Answers about recipes as plain Python values, and their JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nasicon_ml.checks import Finding, Severity
from nasicon_ml.cli.answers import SCHEMA, Answer, build_answers, predictions_json
from nasicon_ml.cli.inputs import Inputs, expand_recipe
from nasicon_ml.columns import Column
from nasicon_ml.workflows.predict import Prediction
from tests.cli.fakes import FakeModel, fake_predict


def predict_one(formula: str = "LATP x=0.4", **fields: object) -> tuple[Inputs, Prediction]:
    inputs = expand_recipe(formula, None, {}, fields)
    return inputs, fake_predict(inputs.table)


def build_answer(formula: str = "LATP x=0.4", **fields: object) -> Answer:
    (answer,) = build_answers(*predict_one(formula, **fields), neighbours=3)
    return answer


def test_recipe_has_given_fields_and_not_given_lists_the_others() -> None:
    answer = build_answer(sintering_temperature_c=800.0, atmosphere="Ar")
    assert answer.recipe == {
        "formula": "Li1.4Al0.4Ti1.6(PO4)3", "sintering_temperature_c": 800.0, "atmosphere": "Ar",
    }  # fmt: skip
    assert Column.SINTERING_TIME_H in answer.not_given
    assert Column.ATMOSPHERE not in answer.not_given
    assert Column.ADDITIVE_AMOUNT not in answer.not_given, "needed only with an additive"
    assert {type(value) for value in answer.recipe.values()} == {str, float}


def test_additive_without_amount_lists_amount_and_unit_as_not_given() -> None:
    assert build_answer(additive="LiF").not_given[-2:] == (Column.ADDITIVE_AMOUNT, Column.ADDITIVE_UNIT)


def test_second_phase_in_formula_becomes_additive() -> None:
    answer = build_answer("LATP x=0.4 + 2 wt% Al2O3")
    assert [answer.recipe[name] for name in (Column.ADDITIVE, Column.ADDITIVE_AMOUNT, Column.ADDITIVE_UNIT)] == [
        "Al2O3", 2.0, "wt%",
    ]  # fmt: skip


def test_answer_has_predictions_secondary_phases_and_domain_notes() -> None:
    answer = build_answer(sintering_temperature_c=1300.0)
    assert answer.conductivity_s_cm.value == pytest.approx(1.3e-4)
    assert answer.temperature_c == 25.0
    assert answer.secondary_phases == ("AlPO4", "LiTiOPO4")
    assert not answer.inside_domain
    assert answer.domain_notes == ("sintering temperature is above that of any pellet", "far away")
    assert math.isnan(build_answer().conductivity_s_cm.value)


def test_neighbours_have_plain_cells_and_doi_of_their_source() -> None:
    first, second, third = build_answer().neighbours
    assert [first.distance, second.distance, third.distance] == [0.0, 0.1, 0.2]
    assert first.cells[Column.PHASE_PURE] is True
    assert first.cells[Column.SECONDARY_PHASES] is None
    assert second.cells[Column.DOI] == first.cells[Column.DOI], "the same source"
    assert third.cells[Column.DOI] is None


@pytest.mark.parametrize(
    ("sources", "dois", "expected"),
    [
        (["10.1/a", "b"], [None, None], ["10.1/a", None]),
        (["a", "a", "a"], ["10.1/a", "10.1/b", None], ["10.1/a", "10.1/b", None]),
        (["10.1/a", "10.1/a"], ["10.2/b", None], ["10.2/b", "10.1/a"]),
    ],
)
def test_missing_doi_is_filled_only_if_unambiguous(
    sources: list[str], dois: list[str | None], expected: list[str | None]
) -> None:
    from nasicon_ml.cli.answers import _dois

    pellets = pd.DataFrame({Column.SOURCE: sources, Column.DOI: pd.Series(dois, dtype="object")})
    assert [None if pd.isna(doi) else doi for doi in _dois(pellets)] == expected


def test_number_of_neighbours_is_limited_to_pellets_and_may_be_zero() -> None:
    inputs, prediction = predict_one()
    assert len(build_answers(inputs, prediction, 100)[0].neighbours) == 3
    assert build_answers(inputs, prediction, 0)[0].neighbours == ()


def parsed_json(**fields: Any) -> Any:
    inputs, prediction = predict_one(**fields)
    findings = [Finding(1, Column.FORMULA, np.nan, "missing_formula", Severity.ERROR, "a formula is needed", 3)]
    text = predictions_json(prediction, build_answers(inputs, prediction, 2), findings)

    def reject_constant(constant: str) -> None:
        raise AssertionError(f"{constant} is not valid JSON")

    return json.loads(text, parse_constant=reject_constant)


def test_json_has_the_documented_structure() -> None:
    content = parsed_json(sintering_temperature_c=800.0)
    assert list(content) == ["schema", "level", "model", "predictions", "rejected"]
    assert content["schema"] == SCHEMA
    assert content["model"] == {
        "created": FakeModel.metadata.created, "dataset_sha256": "ab" * 32, "dataset_rows": 3,
    }  # fmt: skip
    (item,) = content["predictions"]
    assert list(item) == [
        "input_row", "line", "pellet_id", "recipe", "not_given", "composition", "conductivity",
        "activation_energy", "relative_density", "phase_purity", "likely_secondary_phases", "domain",
        "measured_alike", "broken_rules", "own_pellets", "explanation", "nearest_pellets",
    ]  # fmt: skip
    assert item["recipe"]["sintering_temperature_c"] == 800.0
    assert item["recipe"]["pressure_mpa"] is None
    assert item["composition"]["sites"] == {"A": {"Li": 1.4}, "M": {"Al": 0.4, "Ti": 1.6}, "T": {"P": 3.0}}
    assert item["conductivity"] == {
        "value": pytest.approx(8e-5), "lower": pytest.approx(8e-6), "upper": pytest.approx(8e-4),
        "unit": "S/cm", "temperature_c": 25.0,
    }  # fmt: skip
    assert item["phase_purity"] == {"probability": 0.45}
    assert item["domain"] == {"inside": True, "score": 0.4, "reasons": []}
    assert [pellet["pellet_id"] for pellet in item["nearest_pellets"]] == ["p1", "p2"]
    assert item["nearest_pellets"][0]["results"]["phase_pure"] is True
    assert content["rejected"] == [
        {
            "input_row": 2, "line": 3, "column": "formula", "value": None, "rule": "missing_formula",
            "message": "a formula is needed",
        }
    ]  # fmt: skip


def test_missing_numbers_are_null_in_json() -> None:
    (item,) = parsed_json()["predictions"]
    assert [item["conductivity"][key] for key in ("value", "lower", "upper")] == [None, None, None]


def test_json_of_more_than_200_predictions_is_not_indented() -> None:
    inputs, prediction = predict_one()
    answers = build_answers(inputs, prediction, 0)
    assert predictions_json(prediction, answers * 201, ()).count("\n") == 1
    assert predictions_json(prediction, answers, ()).count("\n") > 50
