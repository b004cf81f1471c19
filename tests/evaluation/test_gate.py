"""The gate refuses a real model with any of the defects that it checks for."""

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
def rules_checked_once(monkeypatch: pytest.MonkeyPatch, rules: pd.DataFrame) -> None:
    """Check the rules once, because most tests are about other checks."""
    monkeypatch.setattr(gate, "check_plausibility", lambda _model: rules)


def failed_checks(report: GateReport) -> set[str]:
    return {check.question for check in report.checks if not check.passed}


def with_larger_errors(model: PropertyModel, target: TargetName, by: float) -> PropertyModel:
    """Return the model with out-of-fold errors of one target that are larger by a constant."""
    table = model.out_of_fold.copy()
    rows = table["target"] == str(target)
    away = (table["predicted"] >= table["measured"]).map({True: 1.0, False: -1.0})
    table.loc[rows, "predicted"] += by * away[rows]
    return replace(model, out_of_fold_csv=to_csv(table))


def test_model_passes_against_itself_and_without_a_champion(model) -> None:
    for reference in (model, None):
        report = evaluate_candidate(model, reference)
        assert report.passed, report.reasons
        assert [check.question for check in report.checks] == [
            "comparison", "conductivity", "relative_density", "phase_purity", "coverage", "physics", "dataset",
        ]  # fmt: skip
        assert json.loads(json.dumps(report.to_json(), allow_nan=False))["passed"] is True


@pytest.mark.parametrize("target", [TargetName.CONDUCTIVITY, TargetName.RELATIVE_DENSITY])
def test_larger_error_passes_within_the_tolerance_and_is_refused_beyond_it(model, target) -> None:
    allowed = TOLERANCES[target]
    assert str(target) not in failed_checks(
        evaluate_candidate(with_larger_errors(model, target, 0.99 * allowed), model)
    )
    report = evaluate_candidate(with_larger_errors(model, target, 1.01 * allowed), model)
    assert str(target) in failed_checks(report)
    (reason,) = (check.message for check in report.checks if check.question == str(target))
    assert f"+{1.01 * allowed:.4f}" in reason
    assert f"at most {allowed:g} worse is allowed" in reason


def test_worse_probabilities_are_refused(model) -> None:
    table = model.out_of_fold.copy()
    rows = table["target"] == str(TargetName.PHASE_PURITY)
    table.loc[rows, "predicted"] = 1 - table.loc[rows, "predicted"]
    assert failed_checks(evaluate_candidate(replace(model, out_of_fold_csv=to_csv(table)), model)) == {
        "phase_purity"
    }


def test_model_worse_than_the_median_is_refused_without_a_champion(model) -> None:
    assert "relative_density" in failed_checks(
        evaluate_candidate(with_larger_errors(model, TargetName.RELATIVE_DENSITY, 3.0), None)
    )


@pytest.mark.parametrize("factor", [0.2, 5.0])
def test_intervals_that_are_too_narrow_or_too_wide_are_refused(model, factor) -> None:
    table = model.out_of_fold.copy()
    rows = table["target"] == str(TargetName.CONDUCTIVITY)
    for level in ("_50", "_80", ""):
        for end in ("lower", "upper"):
            column = f"{end}{level}"
            middle = table.loc[rows, "predicted"]
            table.loc[rows, column] = middle + factor * (table.loc[rows, column] - middle)
    report = evaluate_candidate(replace(model, out_of_fold_csv=to_csv(table)), model)
    assert failed_checks(report) == {"coverage"}
    assert "conductivity" in report.reasons[0]
    assert "at 90 % (85 to 95)" in report.reasons[0]


def test_clearly_violating_a_rule_that_the_champion_satisfies_is_refused(model, rules, monkeypatch) -> None:
    satisfied = rules.index[rules["holds"]][0]
    unit = rules.loc[satisfied, "unit"]
    for excess, expected in ((0.9, set()), (1.1, {"physics"})):
        violating = rules.copy()
        violating.loc[satisfied, ["margin", "holds"]] = [-excess * ALLOWANCES[unit], False]
        answers = iter([violating, rules])
        monkeypatch.setattr(gate, "check_plausibility", lambda _model, answers=answers: next(answers))
        report = evaluate_candidate(model, model)
        assert failed_checks(report) == expected
    assert rules.loc[satisfied, "statement"] in report.reasons[0]


def test_violating_a_rule_that_the_champion_violates_too_is_accepted(model, rules, monkeypatch) -> None:
    worse_margins = rules.copy()
    worse_margins.loc[~worse_margins["holds"], "margin"] -= 100
    answers = iter([worse_margins, rules])
    monkeypatch.setattr(gate, "check_plausibility", lambda _model: next(answers))
    assert evaluate_candidate(model, model).passed


def test_model_violating_many_rules_is_refused_without_a_champion(model, rules, monkeypatch) -> None:
    monkeypatch.setattr(gate, "check_plausibility", lambda _model: rules.assign(holds=rules.index < 40))
    assert failed_checks(evaluate_candidate(model, None)) == {"physics"}


def test_every_unit_of_a_rule_has_an_allowance(rules) -> None:
    assert set(rules["unit"]) <= set(ALLOWANCES)


@pytest.mark.parametrize(
    ("validation", "message"), [({"errors": 2, "warnings": 0}, "has 2 errors"), ({}, "is not on record")]
)
def test_dataset_with_errors_or_without_validation_is_refused(model, validation, message) -> None:
    report = evaluate_candidate(replace(model, metadata=replace(model.metadata, validation=validation)), model)
    assert failed_checks(report) == {"dataset"}
    assert message in report.reasons[0]


def with_other_folds(model: PropertyModel, **metadata: object) -> PropertyModel:
    """Return the model with out-of-fold predictions of other folds."""
    table = model.out_of_fold.assign(fold=model.out_of_fold["source"].map(lambda name: len(name) % 3))
    return replace(model, out_of_fold_csv=to_csv(table), metadata=replace(model.metadata, **metadata))


def test_same_dataset_with_other_folds_is_refused(model) -> None:
    report = evaluate_candidate(with_other_folds(model), model)
    assert failed_checks(report) == {"comparison"}
    assert "--folds 3 --repeats 1 --seed 0" in report.reasons[0]


def test_other_dataset_is_compared_on_common_pellets_if_these_suffice(model) -> None:
    newer = with_other_folds(model, dataset_sha256="0" * 64)
    report = evaluate_candidate(newer, model)
    assert report.passed, report.reasons
    assert "100 % of the champion's pellets" in report.checks[0].message
    half_of_rows = newer.out_of_fold.groupby("target").sample(frac=0.5, random_state=0)
    report = evaluate_candidate(replace(newer, out_of_fold_csv=to_csv(half_of_rows)), model)
    assert "comparison" in failed_checks(report)
    assert "at least 80 % are needed" in report.reasons[0]


def test_missing_out_of_fold_predictions_are_refused(model) -> None:
    without = replace(model, out_of_fold_csv=NO_ROWS)
    assert failed_checks(evaluate_candidate(without, model)) == {"comparison", "coverage"}
    assert failed_checks(evaluate_candidate(model, without)) == {"comparison"}
