"""Each validation rule reports the cell that violates it, and nothing for valid files."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasicon_ml.checks import Finding, Severity
from nasicon_ml.columns import PELLET
from nasicon_ml.data.validate import find_problems
from nasicon_ml.io import RawTable
from tests.data.examples import GOOD, OTHER, SECOND, table

KNOWN_SOURCES = {"raj2023", "zhao2022"}
ERROR, WARNING = Severity.ERROR, Severity.WARNING


def problems(*rows: dict[str, str]) -> list[Finding]:
    return find_problems(table(*rows), KNOWN_SOURCES)


def test_valid_file_has_no_findings() -> None:
    assert problems(GOOD, SECOND, OTHER) == []


@pytest.mark.parametrize(
    ("change", "column", "rule", "severity", "message"),
    [
        ({"formula": "Li1.4Al0.4Ti1.6(PO4"}, "formula", "bad_formula", ERROR, "never closed"),
        ({"formula": "Li1.4Xx0.4Ti1.6(PO4)3"}, "formula", "bad_formula", ERROR, "Xx"),
        ({"formula": "NaCl"}, "formula", "bad_formula", ERROR, "NaCl"),
        ({"formula": ""}, "formula", "missing_formula", ERROR, "formula"),
        ({"formula": "Li0.7Al0.3Ti1.7(PO4)3"}, "formula", "charge_imbalance", ERROR, "-0.6"),
        ({"formula": "Li1.5Al0.4Ti1.6(PO4)3"}, "formula", "charge_imbalance", WARNING, "+0.1"),
        ({"synthesis_route": "solid_sate"}, "synthesis_route", "unknown_synthesis_route", ERROR, "solid_state"),
        ({"atmosphere": "steam"}, "atmosphere", "unknown_atmosphere", ERROR, "air, O2, N2"),
        ({"densification": "spark"}, "densification", "unknown_densification", ERROR, "spark_plasma"),
        ({"additive_unit": "vol%"}, "additive_unit", "unknown_additive_unit", ERROR, "wt%, mol%"),
        ({"sintering_temperature_c": "9000"}, "sintering_temperature_c", "out_of_bounds", ERROR, "20 to 1700"),
        ({"sintering_temperature_c": "hot"}, "sintering_temperature_c", "not_a_number", ERROR, "'hot'"),
        ({"sintering_temperature_c": "900,5"}, "sintering_temperature_c", "not_a_number", ERROR, "with a point"),
        ({"phase_pure": "mostly"}, "phase_pure", "not_a_flag", ERROR, "true or false"),
        ({"conductivity_total_s_cm": "2e-3"}, "conductivity_total_s_cm", "total_above_bulk", ERROR, "swapped"),
        ({"relative_density_pct": "101"}, "relative_density_pct", "density_above_100", ERROR, "20 to 100"),
        ({"relative_density_pct": "0.955"}, "relative_density_pct", "fraction_for_percent", ERROR, "write 95.5"),
        ({"source": ""}, "source", "missing_source", ERROR, "every split"),
        ({"source": "raj2032"}, "source", "unknown_source", ERROR, "Did you mean 'raj2023'"),
        ({"pellet_id": ""}, "pellet_id", "missing_key", ERROR, "is missing"),
        ({"sintering_temperature_c": "1173.15"}, "sintering_temperature_c", "kelvin_for_celsius", ERROR, "900 °C"),
        ({"sintering_temperature_c": "1173"}, "sintering_temperature_c", "kelvin_for_celsius", WARNING, "900 °C"),
        ({"measurement_temperature_c": "298"}, "measurement_temperature_c", "kelvin_for_celsius", ERROR, "25 °C"),
        ({"measurement_temperature_c": "298.15"}, "measurement_temperature_c", "kelvin_for_celsius", ERROR, "25"),
        ({"measurement_temperature_c": "333"}, "measurement_temperature_c", "kelvin_for_celsius", WARNING, "60"),
        ({"additive_unit": ""}, "additive_unit", "amount_without_unit", ERROR, "wt%, mol%, formula_unit"),
        ({"additive_amount": ""}, "additive_amount", "unit_without_amount", ERROR, "its unit is given"),
        ({"additive": ""}, "additive", "amount_without_additive", ERROR, "its amount is given"),
        (
            {"relative_density_pct": "", "density_bound": "lower"},
            "relative_density_pct", "bound_without_value", ERROR, "density_bound",
        ),
        (
            {"conductivity_total_s_cm": "", "conductivity_bound": "upper"},
            "conductivity_total_s_cm", "bound_without_value", ERROR, "conductivity_bound",
        ),
        ({"phase_pure": "true"}, "phase_pure", "pure_with_secondary_phases", ERROR, "called pure"),
        ({"suspect": "true"}, "suspect_reason", "suspect_without_reason", ERROR, "say why"),
        ({"suspect_reason": "odd"}, "suspect", "reason_without_suspect", WARNING, "a reason is given"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)  # fmt: skip
def test_each_rule_reports_its_cell_once(
    change: dict[str, str], column: str, rule: str, severity: Severity, message: str
) -> None:
    findings = problems(OTHER, {**GOOD, **change})
    assert [
        (finding.row, finding.line, finding.column, finding.rule, finding.severity) for finding in findings
    ] == [(1, 3, column, rule, severity)]
    assert message in findings[0].message
    assert findings[0].message.startswith(f"{column}: ") or rule == "bad_formula"
    assert findings[0].value == ({**GOOD, **change}.get(column, "") or "")


@pytest.mark.parametrize(
    "change",
    [
        {"conductivity_total_s_cm": "1e-3"},  # equal to the bulk value
        {"conductivity_total_s_cm": "2e-3", "conductivity_bound": "upper"},
        {"sintering_temperature_c": "1175"},
        {"sintering_temperature_c": "905"},
        {"measurement_temperature_c": "300"},
        {"measurement_temperature_c": "-10"},
        {"relative_density_pct": "100"},
        {"formula": "LATP x=0.4"},
        {"additive": "", "additive_amount": "", "additive_unit": ""},
        {"additive_amount": "", "additive_unit": ""},
        {"atmosphere": "Argon"},
        {"suspect": "true", "suspect_reason": "odd"},
    ],
    ids=str,
)
def test_valid_values_are_not_reported(change: dict[str, str]) -> None:
    assert problems(OTHER, {**GOOD, **change}) == []


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"additive_amount": "a little"}, "not_a_number"),
        ({"relative_density_pct": "dense", "density_bound": "lower"}, "not_a_number"),
        ({"formula": "LiXx2(PO4)3"}, "bad_formula"),
    ],
)
def test_unreadable_cell_is_reported_by_one_rule(change: dict[str, str], rule: str) -> None:
    assert [finding.rule for finding in problems({**GOOD, **change})] == [rule]


def test_duplicate_key_message_names_first_row() -> None:
    findings = problems(GOOD, OTHER, {**SECOND, "pellet_id": "p1"})
    assert [(finding.line, finding.rule) for finding in findings] == [(4, "duplicate_key")]
    assert "is already in line 2 (p1)" in findings[0].message


def test_all_problems_of_a_file_are_reported() -> None:
    findings = problems(
        {**GOOD, "formula": "LiXx2(PO4)3", "relative_density_pct": "0.9", "atmosphere": "steam"},
        {**SECOND, "source": "", "conductivity_total_s_cm": "0.01"},
    )
    assert [(finding.line, finding.rule) for finding in findings] == [
        (2, "bad_formula"),
        (2, "unknown_atmosphere"),
        (2, "fraction_for_percent"),
        (3, "missing_source"),
        (3, "total_above_bulk"),
    ]


class TestDuplicates:
    """Rows that repeat the measurement of another row."""

    def rules(self, *rows: dict[str, str]) -> list[tuple[int | None, str]]:
        return [(finding.line, finding.rule) for finding in problems(*rows)]

    def test_equal_row_with_another_key_is_a_duplicate(self) -> None:
        assert self.rules(GOOD, SECOND, {**GOOD, "pellet_id": "p9"}) == [(4, "duplicate_measurement")]

    def test_equivalent_formula_is_a_duplicate(self) -> None:
        other = {**GOOD, "pellet_id": "p9", "formula": "Li2.8Al0.8Ti3.2P6O24"}
        assert self.rules(GOOD, other) == [(3, "duplicate_measurement")]

    def test_field_missing_in_one_row_is_a_duplicate(self) -> None:
        other = {**GOOD, "pellet_id": "p9", "atmosphere": "", "relative_density_pct": ""}
        assert self.rules(GOOD, other) == [(3, "duplicate_measurement")]

    @pytest.mark.parametrize(
        "change", [{"sintering_temperature_c": "950"}, {"source": "zhao2022"}, {"formula": "LATP x=0.3"}]
    )
    def test_rows_with_different_recipes_are_not_duplicates(self, change: dict[str, str]) -> None:
        assert self.rules(GOOD, {**GOOD, "pellet_id": "p9", **change}) == []

    def test_rows_with_different_notes_are_possible_duplicates(self) -> None:
        findings = problems(GOOD, {**GOOD, "pellet_id": "p9", "notes": "after a month"})
        assert [(finding.rule, finding.severity) for finding in findings] == [("possible_duplicate", WARNING)]

    def test_suspect_row_is_not_reported_as_duplicate(self) -> None:
        suspect = {**GOOD, "pellet_id": "p9", "suspect": "true", "suspect_reason": "duplicate of p1"}
        assert self.rules(GOOD, suspect) == []

    def test_rows_without_numbers_are_duplicates_only_if_all_fields_agree(self) -> None:
        assert self.rules(OTHER, {**OTHER, "pellet_id": "p9"}) == [(3, "duplicate_measurement")]
        assert self.rules(OTHER, {**OTHER, "pellet_id": "p9", "atmosphere": "air"}) == []
        assert self.rules(OTHER, {**OTHER, "pellet_id": "p9", "phase_pure": "false"}) == []

    def test_rows_with_only_doubtful_results_are_not_duplicates(self) -> None:
        doubted = {**OTHER, "doubtful_columns": "phase_pure", "suspect_reason": "phase purity: garbled"}
        assert self.rules(doubted, {**doubted, "pellet_id": "p9"}) == []


SUSPECT = {**GOOD, "suspect": "true", "suspect_reason": "odd"}


class TestSuspects:
    """Errors in values of suspect rows are warnings if the row has a reason."""

    def test_value_errors_of_suspect_rows_are_warnings(self) -> None:
        findings = problems({**SUSPECT, "relative_density_pct": "150", "formula": "Li0.7Al0.3Ti1.7(PO4)3"})
        assert [(finding.rule, finding.severity) for finding in findings] == [
            ("charge_imbalance", WARNING),
            ("density_above_100", WARNING),
        ]

    def test_missing_key_and_source_of_suspect_rows_are_errors(self) -> None:
        findings = problems({**SUSPECT, "source": "", "pellet_id": ""})
        assert [(finding.rule, finding.severity) for finding in findings] == [
            ("missing_key", ERROR),
            ("missing_source", ERROR),
        ]

    def test_value_errors_of_suspect_rows_without_reason_are_errors(self) -> None:
        findings = problems({**SUSPECT, "suspect_reason": "", "relative_density_pct": "150"})
        assert [(finding.rule, finding.severity) for finding in findings] == [
            ("density_above_100", ERROR),
            ("suspect_without_reason", ERROR),
        ]


def test_missing_and_unknown_columns_are_reported_in_the_header() -> None:
    raw = RawTable(pd.DataFrame({"pellet_id": ["p1"], "sorce": ["raj2023"]}), np.array([2]), "p.csv")
    result = [
        (finding.row, finding.line, finding.column, finding.rule) for finding in find_problems(raw, KNOWN_SOURCES)
    ]
    assert result == [
        (-1, 1, "source", "missing_column"),
        (-1, 1, "formula", "missing_column"),
        (-1, 1, "sorce", "unknown_column"),
        (0, 2, "source", "missing_source"),
    ]
    message = next(
        finding.message for finding in find_problems(raw, KNOWN_SOURCES) if finding.rule == "unknown_column"
    )
    assert "Did you mean 'source'" in message


def test_unknown_columns_have_suggestions_for_common_names() -> None:
    names = ["pellet_id", "source", "system", "x", "Sintering Temperature (°C)", "Conductivity (S/cm)"]
    raw = RawTable(pd.DataFrame(columns=names), None, "p.csv")
    messages = {
        finding.column: finding.message
        for finding in find_problems(raw, KNOWN_SOURCES)
        if finding.rule == "unknown_column"
    }
    assert list(messages) == names[2:]
    assert 'into the formula column, as in "LATP x=0.3"' in messages["system"]
    assert 'into the formula column, as in "LATP x=0.3"' in messages["x"]
    assert "Did you mean 'sintering_temperature_c'?" in messages["Sintering Temperature (°C)"]
    assert "Did you mean 'conductivity_total_s_cm'?" in messages["Conductivity (S/cm)"]


@pytest.mark.parametrize(
    ("column", "cell", "hint"),
    [
        ("conductivity_total_s_cm", "1x10-4", "Write 1e-4."),
        ("conductivity_total_s_cm", "<1e-10", "Write 1e-10, and upper into conductivity_bound."),
        ("relative_density_pct", ">90", "Write 90, and lower into density_bound."),
        ("sintering_time_h", ">5", "Write the number alone: 5."),
    ],
)
def test_invalid_numbers_are_reported_with_a_hint(column: str, cell: str, hint: str) -> None:
    (finding,) = problems({**GOOD, column: cell})
    assert (finding.column, finding.rule) == (column, "not_a_number")
    assert finding.message.endswith(hint)


def test_any_source_is_accepted_without_known_sources() -> None:
    assert find_problems(table({**GOOD, "source": "new2031"})) == []


def test_finding_has_row_column_value_rule_message_and_line() -> None:
    message = "atmosphere: 'steam' is not accepted; allowed: air, O2, N2, Ar, Ar/H2, vacuum"
    assert find_problems(table(GOOD, {**SECOND, "atmosphere": "steam"})) == [
        Finding(1, "atmosphere", "steam", "unknown_atmosphere", ERROR, message, line=3)
    ]


CELLS = st.one_of(st.text(max_size=8), st.sampled_from([*GOOD.values(), "298", "1073", "NaN", "2e-3", "1,5"]))


@settings(max_examples=40)
@given(st.lists(st.dictionaries(st.sampled_from([column.value for column in PELLET]), CELLS), max_size=5))
def test_any_table_is_validated_without_exception(rows: list[dict[str, str]]) -> None:
    frame = pd.DataFrame(rows, dtype="object", index=range(len(rows)))
    raw = RawTable(frame, None, "any")
    for finding in find_problems(raw, KNOWN_SOURCES):
        assert -1 <= finding.row < len(rows)
        assert finding.message
