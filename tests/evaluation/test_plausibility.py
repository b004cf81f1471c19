"""Checks of models against rules of the literature, with fake models of known predictions."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from benchmarks.plausibility import plausibility_table
from numpy.typing import NDArray

from nasicon_ml.columns import Column
from nasicon_ml.errors import UnreadableFileError
from nasicon_ml.estimators.targets import TARGETS, TargetName
from nasicon_ml.evaluation.plausibility import (
    COLUMNS,
    DEGREES,
    SHAPES,
    PhysicalRule,
    check_plausibility,
    physical_rules,
    read_rules,
)

Floats = NDArray[np.float64]
SIGMA, DENSITY, PURE = TargetName.CONDUCTIVITY, TargetName.RELATIVE_DENSITY, TargetName.PHASE_PURITY
ENERGY = TargetName.ACTIVATION_ENERGY
CELSIUS = (700.0, 800.0, 900.0)


def _constant(table: pd.DataFrame) -> Floats:
    return np.full(len(table), 0.5)


class FakeModel:
    """Predicts each target with a function of the table, and records the tables."""

    def __init__(self, **answers: Callable[[pd.DataFrame], Floats]) -> None:
        self.answers = answers
        self.tables: list[pd.DataFrame] = []

    def predict(self, table: pd.DataFrame, *, level: float = 0.9) -> pd.DataFrame:  # noqa: ARG002
        self.tables.append(table)
        columns = {
            Column.PREDICTED_CONDUCTIVITY_S_CM: 10.0 ** self.answers.get("sigma", _constant)(table),
            Column.PREDICTED_RELATIVE_DENSITY_PCT: self.answers.get("density", _constant)(table),
            Column.PREDICTED_PHASE_PURITY: self.answers.get("pure", _constant)(table),
            Column.PREDICTED_ACTIVATION_ENERGY_EV: self.answers.get("energy", _constant)(table),
        }
        return pd.DataFrame({str(name): values for name, values in columns.items()}, index=table.index)


def _temperature(table: pd.DataFrame) -> Floats:
    return table[Column.SINTERING_TEMPERATURE_C].to_numpy(dtype=np.float64)


RECIPES = {"fired": {"formula": "LATP x=0.3", "sintering_temperature_c": 900, "sintering_time_h": 6}}
HOT, COLD = ({"of": ["fired", "fired"], "sintering_temperature_c": celsius} for celsius in (900, 700))
HOTTER_IS_DENSER: dict[str, Any] = {"higher": HOT, "lower": COLD}


def _rule(stated: dict[str, Any], target: TargetName = DENSITY, **fields: object) -> PhysicalRule:
    entry = {"name": "a_rule", "statement": "Hotter is denser.", "source": "{somebody}", "target": str(target)}
    content = {
        "sources": {"somebody": "Somebody (10.1/x)"},
        "recipes": RECIPES,
        "rules": [entry | stated | fields],
    }
    (rule,) = read_rules(content)
    return rule


def _temperature_series(of: str = "fired", **changes: object) -> dict[str, Any]:
    return {"of": of, **changes, "sintering_temperature_c": list(CELSIUS)}


class TestMargins:
    @pytest.mark.parametrize(("slope", "holds"), [(0.01, True), (-0.01, False), (0.0, False)])
    def test_effect_in_the_stated_direction_has_a_positive_margin(self, slope: float, holds: bool) -> None:
        model = FakeModel(density=lambda table: 80 + slope * _temperature(table))
        result = check_plausibility(model, [_rule(HOTTER_IS_DENSER)]).iloc[0]
        assert result["margin"] == pytest.approx(200 * slope)
        assert result["holds"] == holds
        opposite = check_plausibility(model, [_rule({"higher": COLD, "lower": HOT})]).iloc[0]
        assert opposite["margin"] == pytest.approx(-200 * slope)

    def test_effect_on_conductivity_is_in_decades(self) -> None:
        model = FakeModel(sigma=lambda table: -6 + (_temperature(table) - 700) / 100)
        result = check_plausibility(model, [_rule(HOTTER_IS_DENSER, SIGMA)]).iloc[0]
        assert (result["effect"], result["unit"]) == (pytest.approx(2.0), "decades")

    @pytest.mark.parametrize(("required", "holds"), [(1.9, True), (2.1, False)])
    def test_rule_holds_only_if_the_required_size_is_reached(self, required: float, holds: bool) -> None:
        model = FakeModel(density=lambda table: _temperature(table) / 100)
        result = check_plausibility(model, [_rule(HOTTER_IS_DENSER, required=required)]).iloc[0]
        assert result["effect"] == pytest.approx(2.0)
        assert result["margin"] == pytest.approx(2.0 - required)
        assert result["holds"] == holds

    def test_equal_predictions_satisfy_a_rule_only_with_may_be_equal(self) -> None:
        rules = [_rule(HOTTER_IS_DENSER), _rule(HOTTER_IS_DENSER, may_be_equal=True)]
        assert check_plausibility(FakeModel(), rules)["holds"].tolist() == [False, True]

    def test_nan_predictions_violate_a_rule(self) -> None:
        model = FakeModel(density=lambda table: np.full(len(table), np.nan))
        rules = [_rule(HOTTER_IS_DENSER, may_be_equal=True)]
        assert not check_plausibility(model, rules)["holds"].any()


class TestCurves:
    @pytest.mark.parametrize(
        ("shape", "value", "curve", "expected"),
        [
            ("rises", None, [1, 2, 2.5], 0.5),
            ("rises", None, [1, 3, 2], -1),
            ("inner_maximum", None, [1, 3, 2], 1),
            ("inner_maximum", None, [1, 2, 3], -1),
            ("inner_maximum", None, [3, 2, 1], -1),
            ("best_points", [2, 3], [1, 2, 4, 3], 1),
            ("best_points", [1, 1], [1, 2, 4, 3], -3),
            ("first_lead", 2, [5, 3, 2, 1], 1),
            ("first_lead", 2, [5, 1, 2, 1], -1),
            ("at_least", 2, [3, 2.5], 0.5),
            ("at_most", 2, [1, 2.5], -0.5),
        ],
    )
    def test_effect_of_each_shape_of_a_curve(self, shape, value, curve, expected) -> None:
        assert SHAPES[shape](np.array(curve, dtype=float), value) == pytest.approx(expected)

    def test_points_of_a_curve_are_means_over_recipes(self) -> None:
        recipes = ["fired", {"of": "fired", "sintering_time_h": 12}]
        rule = _rule({"curve": _temperature_series(recipes), "shape": {"at_most": 0}})
        model = FakeModel(density=lambda t: _temperature(t) + t[Column.SINTERING_TIME_H].to_numpy(float))
        assert check_plausibility(model, [rule])["effect"].iloc[0] == pytest.approx(-(900 + 9))

    def test_lists_of_two_fields_give_a_point_for_every_pair(self) -> None:
        both = {"of": "fired", "atmosphere": ["air", "Ar"], "sintering_temperature_c": [700, 800]}
        rule = _rule({"curve": ["fired", both], "shape": "rises"})
        points = [(recipe.atmosphere, recipe.sintering_temperature_c) for recipe in rule.recipes]
        assert points == [(None, 900), ("air", 700), ("air", 800), ("Ar", 700), ("Ar", 800)]

    @pytest.mark.parametrize(
        ("shape", "target", "expected"),
        [("peaks_with", SIGMA, -100), ("follows", SIGMA, 1), ("lowest_at_best", ENERGY, 0.25)],
    )
    def test_two_targets_are_compared_along_a_curve(self, shape: str, target: TargetName, expected: float) -> None:
        model = FakeModel(
            sigma=lambda _: np.array([-5.0, -4.0, -3.0]),
            density=lambda _: np.array([70.0, 90.0, 80.0]),
            energy=lambda _: np.array([0.5, 0.25, 0.75]),
        )
        rule = _rule({"curve": _temperature_series(), "shape": {shape: str(DENSITY)}}, target)
        assert check_plausibility(model, [rule])["effect"].iloc[0] == pytest.approx(expected)

    def test_no_hotter_compares_the_temperatures_needed(self) -> None:
        first, second = _temperature_series(particle_size_um=0.3), _temperature_series(particle_size_um=3)
        rule = _rule({"no_hotter": first, "than": second}, may_be_equal=True)
        assert rule.unit == DEGREES

        def dense_from(start_fine: float, start_coarse: float) -> FakeModel:
            def density(table: pd.DataFrame) -> Floats:
                fine = table[Column.PARTICLE_SIZE_UM].to_numpy(float) < 1
                return 80 + 15.0 * (_temperature(table) >= np.where(fine, start_fine, start_coarse))

            return FakeModel(density=density)

        for (first, second), effect in {(700, 900): 200, (800, 800): 0, (900, 800): -100}.items():
            result = check_plausibility(dense_from(first, second), [rule]).iloc[0]
            assert result["effect"] == pytest.approx(effect)
            assert result["holds"] == (effect >= 0)


class TestTable:
    def test_all_rules_are_predicted_in_one_call(self) -> None:
        model = FakeModel()
        result = check_plausibility(model)
        assert tuple(result.columns) == COLUMNS
        assert len(model.tables) == 1
        assert result["rule"].tolist() == [rule.name for rule in physical_rules()]

    def test_margin_of_a_rule_does_not_depend_on_the_other_rules(self) -> None:
        """Each rule uses the predictions for its own recipes only."""
        model = FakeModel(
            sigma=lambda t: _temperature(t) / 1e4 + t[Column.FORMULA].str.len().to_numpy(float),
            density=lambda t: np.nan_to_num(_temperature(t)) ** 0.5,
            pure=lambda t: np.cos(np.nan_to_num(t[Column.SINTERING_TIME_H].to_numpy(float))),
        )
        all_margins = check_plausibility(model).set_index("rule")["margin"]
        for rule in physical_rules():
            margin = check_plausibility(model, [rule])["margin"].iloc[0]
            assert all_margins[rule.name] == pytest.approx(margin, nan_ok=True), rule.name

    def test_measurement_temperatures_are_passed_to_the_model(self) -> None:
        model = FakeModel(sigma=lambda t: t[Column.MEASUREMENT_TEMPERATURE_C].fillna(25).to_numpy(float) / 100)
        rule = next(rule for rule in physical_rules() if rule.name == "conductivity_rises_with_temperature")
        result = check_plausibility(model, [rule]).iloc[0]
        assert result["effect"] == pytest.approx(0.2)
        assert result["holds"]

    def test_table_lists_violated_rules_first_with_reasons(self) -> None:
        text = plausibility_table(
            check_plausibility(FakeModel()), {"lif_raises_lagp": "No additive has an effect."}
        )
        violated, satisfied = text.split("## Held")
        assert "`lif_raises_lagp`" in violated
        assert "No additive has an effect." in violated
        assert "`lif_raises_lagp`" not in satisfied
        assert "`slow_heating_in_argon_no_less_pure`" in satisfied
        rows = [line for line in text.splitlines() if line.startswith("| `")]
        assert len(rows) == len(physical_rules())
        assert {line.count("|") for line in rows} == {7}


RULES = {rule.name: rule for rule in physical_rules()}


def _prediction_draws(size: int) -> list[Floats]:
    """Return predictions of many shapes: rising, falling, flat at several heights, and noise of several sizes."""
    rng = np.random.default_rng(0)
    steps = np.arange(size, dtype=float)
    shapes = [steps, -steps, *(np.full(size, height) for height in (-9.0, 0.0, 0.4, 9.0))]
    return shapes + [rng.normal(shift, scale, size) for shift in (-4, 0) for scale in (0.3, 5) for _ in range(60)]


@pytest.mark.parametrize("name", RULES)
def test_rule_is_complete_and_can_hold_and_fail(name: str) -> None:
    rule = RULES[name]
    assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)+", name)
    assert re.search(r"10\.\d{4,}/\S+", rule.source)
    assert rule.statement.endswith(".")
    assert len(rule.statement) > 40
    assert not set("|{}") & set(rule.statement + rule.source + rule.note)
    assert rule.unit in {TARGETS[rule.target].unit, DEGREES}
    assert np.isfinite(rule.required)
    assert rule.required >= 0

    predictions = _prediction_draws(len(rule.recipes))
    outcomes = set()
    for values in predictions:
        outcomes.add(rule.holds(rule.margin({SIGMA: values, DENSITY: values, PURE: values, ENERGY: -values})))
    # Rules that compare two targets need different predictions of both.
    for first, second in pairwise(predictions[6:]):
        outcomes.add(rule.holds(rule.margin({SIGMA: first, DENSITY: second, PURE: first, ENERGY: second})))
    assert outcomes == {True, False}


def test_duplicate_key_in_the_file_of_rules_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = files("nasicon_ml.evaluation").joinpath("plausibility.yaml").read_text(encoding="utf-8")
    twice = text.replace("    may_be_equal: true\n", "    may_be_equal: true\n    may_be_equal: false\n", 1)
    (tmp_path / "plausibility.yaml").write_text(twice, encoding="utf-8")
    monkeypatch.setattr("nasicon_ml.evaluation.plausibility.files", lambda _: tmp_path)
    with pytest.raises(UnreadableFileError, match="may_be_equal"):
        physical_rules.__wrapped__()


def test_rule_without_a_comparison_is_refused() -> None:
    with pytest.raises(ValueError, match="a_rule: one of higher"):
        _rule({})


def test_each_target_has_enough_rules() -> None:
    assert len(RULES) == len(physical_rules()) >= 30
    counts = pd.Series([rule.target for rule in RULES.values()]).value_counts()
    assert all(counts[name] >= 10 for name in (SIGMA, DENSITY, PURE))
