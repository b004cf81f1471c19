"""The gate: each fault that it is there for is put into a real model, and is found."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest

from nasicon_ml.bundle.out_of_fold import NO_ROWS, to_csv
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.evaluation import gate
from nasicon_ml.evaluation.gate import ALLOWANCES, TOLERANCES, GateReport, evaluate_candidate
from nasicon_ml.evaluation.plausibility import check_plausibility
from nasicon_ml.model import PropertyModel


@pytest.fixture(scope="module")
def model(trained) -> PropertyModel:
    return trained.model


@pytest.fixture(scope="module")
def rules(model: PropertyModel) -> pd.DataFrame:
    return check_plausibility(model)


@pytest.fixture(autouse=True)
def asked_once(monkeypatch: pytest.MonkeyPatch, rules: pd.DataFrame) -> None:
    """Let the rules be asked once: most tests are about other questions."""
    monkeypatch.setattr(gate, "check_plausibility", lambda _model: rules)


def refused(report: GateReport) -> set[str]:
    return {check.question for check in report.checks if not check.passed}


def worse(model: PropertyModel, target: TargetName, by: float) -> PropertyModel:
    """Give a model whose out-of-fold errors of one target are larger by so much."""
    table = model.out_of_fold.copy()
    rows = table["target"] == str(target)
    away = (table["predicted"] >= table["measured"]).map({True: 1.0, False: -1.0})
    table.loc[rows, "predicted"] += by * away[rows]
    return replace(model, out_of_fold_csv=to_csv(table))


def test_a_model_passes_beside_itself_and_without_a_champion(model) -> None:
    for reference in (model, None):
        report = evaluate_candidate(model, reference)
        assert report.passed, report.reasons
        assert [check.question for check in report.checks] == [
            "comparison", "conductivity", "relative_density", "phase_purity", "coverage", "physics", "dataset",
        ]  # fmt: skip
        assert json.loads(json.dumps(report.to_json(), allow_nan=False))["passed"] is True


@pytest.mark.parametrize("target", [TargetName.CONDUCTIVITY, TargetName.RELATIVE_DENSITY])
def test_worse_within_the_tolerance_passes_and_beyond_it_is_refused(model, target) -> None:
    allowed = TOLERANCES[target]
    assert str(target) not in refused(evaluate_candidate(worse(model, target, 0.99 * allowed), model))
    report = evaluate_candidate(worse(model, target, 1.01 * allowed), model)
    assert str(target) in refused(report)
    (reason,) = (check.message for check in report.checks if check.question == str(target))
    assert f"+{1.01 * allowed:.4f}" in reason
    assert f"at most {allowed:g} worse is allowed" in reason


def test_worse_probabilities_are_refused(model) -> None:
    table = model.out_of_fold.copy()
    rows = table["target"] == str(TargetName.PHASE_PURITY)
    table.loc[rows, "predicted"] = 1 - table.loc[rows, "predicted"]
    assert refused(evaluate_candidate(replace(model, out_of_fold_csv=to_csv(table)), model)) == {"phase_purity"}


def test_without_a_champion_the_median_has_to_be_beaten(model) -> None:
    assert "relative_density" in refused(evaluate_candidate(worse(model, TargetName.RELATIVE_DENSITY, 3.0), None))


@pytest.mark.parametrize(("factor", "said"), [(0.2, "conductivity"), (5.0, "conductivity")])
def test_intervals_that_are_too_narrow_or_too_wide_are_refused(model, factor, said) -> None:
    table = model.out_of_fold.copy()
    rows = table["target"] == str(TargetName.CONDUCTIVITY)
    for level in ("_50", "_80", ""):
        for end in ("lower", "upper"):
            column = f"{end}{level}"
            middle = table.loc[rows, "predicted"]
            table.loc[rows, column] = middle + factor * (table.loc[rows, column] - middle)
    report = evaluate_candidate(replace(model, out_of_fold_csv=to_csv(table)), model)
    assert refused(report) == {"coverage"}
    assert said in report.reasons[0]
    assert "at 90 % (85 to 95)" in report.reasons[0]


def test_a_rule_that_the_champion_keeps_may_not_be_clearly_broken(model, rules, monkeypatch) -> None:
    kept = rules.index[rules["holds"]][0]
    unit = rules.loc[kept, "unit"]
    for missed, expected in ((0.9, set()), (1.1, {"physics"})):
        broken = rules.copy()
        broken.loc[kept, ["margin", "holds"]] = [-missed * ALLOWANCES[unit], False]
        answers = iter([broken, rules])
        monkeypatch.setattr(gate, "check_plausibility", lambda _model, answers=answers: next(answers))
        report = evaluate_candidate(model, model)
        assert refused(report) == expected
    assert rules.loc[kept, "statement"] in report.reasons[0]


def test_a_rule_that_the_champion_breaks_too_is_no_reason(model, rules, monkeypatch) -> None:
    far = rules.copy()
    far.loc[~far["holds"], "margin"] -= 100
    answers = iter([far, rules])
    monkeypatch.setattr(gate, "check_plausibility", lambda _model: next(answers))
    assert evaluate_candidate(model, model).passed


def test_without_a_champion_most_rules_have_to_hold(model, rules, monkeypatch) -> None:
    monkeypatch.setattr(gate, "check_plausibility", lambda _model: rules.assign(holds=rules.index < 40))
    assert refused(evaluate_candidate(model, None)) == {"physics"}


def test_every_unit_of_a_rule_has_an_allowance(rules) -> None:
    assert set(rules["unit"]) <= set(ALLOWANCES)


@pytest.mark.parametrize(
    ("validation", "said"), [({"errors": 2, "warnings": 0}, "has 2 errors"), ({}, "is not on record")]
)
def test_a_dataset_with_errors_is_refused(model, validation, said) -> None:
    report = evaluate_candidate(replace(model, metadata=replace(model.metadata, validation=validation)), model)
    assert refused(report) == {"dataset"}
    assert said in report.reasons[0]


def redealt(model: PropertyModel, **metadata: object) -> PropertyModel:
    """Give a model whose folds are others."""
    table = model.out_of_fold.assign(fold=model.out_of_fold["source"].map(lambda name: len(name) % 3))
    return replace(model, out_of_fold_csv=to_csv(table), metadata=replace(model.metadata, **metadata))


def test_the_same_data_by_other_folds_cannot_be_compared(model) -> None:
    report = evaluate_candidate(redealt(model), model)
    assert refused(report) == {"comparison"}
    assert "--folds 3 --repeats 1 --seed 0" in report.reasons[0]


def test_other_data_are_compared_on_what_is_common(model) -> None:
    newer = redealt(model, dataset_sha256="0" * 64)
    report = evaluate_candidate(newer, model)
    assert report.passed, report.reasons
    assert "100 % of the champion's pellets" in report.checks[0].message
    half = newer.out_of_fold.groupby("target").sample(frac=0.5, random_state=0)
    report = evaluate_candidate(replace(newer, out_of_fold_csv=to_csv(half)), model)
    assert "comparison" in refused(report)
    assert "at least 80 % are needed" in report.reasons[0]


def test_a_model_without_out_of_fold_predictions_is_refused_with_every_reason(model) -> None:
    for candidate, reference in ((replace(model, out_of_fold_csv=NO_ROWS), model),):
        report = evaluate_candidate(candidate, reference)
        assert refused(report) == {"comparison", "coverage"}
    assert refused(evaluate_candidate(model, replace(model, out_of_fold_csv=NO_ROWS))) == {"comparison"}
