"""Doubtful results are left out; the other values of their rows are used."""

from pathlib import Path

import pytest

from nasicon_ml.columns import Column
from nasicon_ml.data.load import load_pellets
from nasicon_ml.data.own_pellets import own_pellets
from nasicon_ml.data.validate import find_problems
from nasicon_ml.errors import DatasetError
from tests.data.examples import GOOD, SECOND, file_of, table

DOUBTFUL = {
    **SECOND,
    "conductivity_bound": "upper",
    "doubtful_columns": "conductivity_total_s_cm; phase_pure",
    "suspect_reason": "conductivity: in a figure only",
}


def write_pellets(tmp_path: Path, *rows: dict[str, str]) -> Path:
    path = tmp_path / "pellets.csv"
    path.write_text(file_of(*rows), encoding="utf-8")
    return path


def rules(*rows: dict[str, str]) -> list[tuple[str, str, str]]:
    return [(finding.column, finding.rule, finding.severity.value) for finding in find_problems(table(*rows))]


def test_doubtful_results_are_missing_and_other_values_are_kept(tmp_path: Path) -> None:
    path = write_pellets(tmp_path, GOOD, DOUBTFUL)
    for pellets in (load_pellets(path), own_pellets(path)):
        assert pellets[Column.CONDUCTIVITY_TOTAL_S_CM].notna().tolist() == [True, False]
        assert pellets[Column.CONDUCTIVITY_BOUND].tolist() == [None, None]
        assert pellets[Column.PHASE_PURE].tolist() == [False, None]
        assert pellets[Column.RELATIVE_DENSITY_PCT].tolist() == [95.5, 95.5]
        assert pellets[Column.SECONDARY_PHASES].tolist() == ["AlPO4", "AlPO4"]


def test_doubtful_results_are_kept_with_include_suspect(tmp_path: Path) -> None:
    pellets = load_pellets(write_pellets(tmp_path, GOOD, DOUBTFUL), include_suspect=True)
    assert pellets[Column.CONDUCTIVITY_TOTAL_S_CM].tolist() == [3e-4, 4e-4]
    assert pellets[Column.CONDUCTIVITY_BOUND].tolist() == [None, "upper"]


def test_doubtful_result_with_reason_is_valid() -> None:
    assert rules(GOOD, DOUBTFUL) == []


def test_doubtful_result_without_reason_is_an_error() -> None:
    result = rules({**DOUBTFUL, "suspect_reason": ""})
    assert result == [("suspect_reason", "doubt_without_reason", "error")]


@pytest.mark.parametrize("name", ["conductivity_total", "sintering_temperature_c", "all"])
def test_doubtful_columns_other_than_results_are_rejected(tmp_path: Path, name: str) -> None:
    row = {**DOUBTFUL, "doubtful_columns": f"phase_pure;{name}"}
    assert rules(row) == [("doubtful_columns", "unknown_result", "error")]
    with pytest.raises(DatasetError, match=rf"line 2: doubtful_columns: '{name}' .* allowed: columns of results"):
        load_pellets(write_pellets(tmp_path, row))


def test_doubtful_value_out_of_bounds_is_a_warning_and_no_duplicate() -> None:
    impossible = {**DOUBTFUL, "relative_density_pct": "150", "doubtful_columns": "relative_density_pct"}
    assert rules(impossible) == [("relative_density_pct", "density_above_100", "warning")]
    same = {**GOOD, "pellet_id": "p9", "relative_density_pct": "", "conductivity_bulk_s_cm": ""}
    assert rules(GOOD, same) == [("pellet_id", "duplicate_measurement", "error")]
    doubtful = {**same, "doubtful_columns": "conductivity_total_s_cm", "suspect_reason": "odd"}
    assert rules(GOOD, doubtful) == []
