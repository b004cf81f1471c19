"""One doubted number does not take its row with it."""

from pathlib import Path

import pytest

from nasicon_ml.columns import Column
from nasicon_ml.data.load import load_pellets
from nasicon_ml.data.own_pellets import own_pellets
from nasicon_ml.data.validate import find_problems
from nasicon_ml.errors import DatasetError
from tests.data.examples import GOOD, SECOND, file_of, table

DOUBTED = {
    **SECOND,
    "conductivity_bound": "upper",
    "doubtful_columns": "conductivity_total_s_cm; phase_pure",
    "suspect_reason": "conductivity: in a figure only",
}


def file(tmp_path: Path, *rows: dict[str, str]) -> Path:
    path = tmp_path / "pellets.csv"
    path.write_text(file_of(*rows), encoding="utf-8")
    return path


def rules(*rows: dict[str, str]) -> list[tuple[str, str, str]]:
    return [(one.column, one.rule, one.severity.value) for one in find_problems(table(*rows))]


def test_a_doubted_result_is_blank_and_the_rest_of_the_row_is_used(tmp_path: Path) -> None:
    path = file(tmp_path, GOOD, DOUBTED)
    for pellets in (load_pellets(path), own_pellets(path)):
        assert pellets[Column.CONDUCTIVITY_TOTAL_S_CM].notna().tolist() == [True, False]
        assert pellets[Column.CONDUCTIVITY_BOUND].tolist() == [None, None]
        assert pellets[Column.PHASE_PURE].tolist() == [False, None]
        assert pellets[Column.RELATIVE_DENSITY_PCT].tolist() == [95.5, 95.5]
        assert pellets[Column.SECONDARY_PHASES].tolist() == ["AlPO4", "AlPO4"]


def test_doubted_results_come_when_suspects_are_asked_for(tmp_path: Path) -> None:
    pellets = load_pellets(file(tmp_path, GOOD, DOUBTED), include_suspect=True)
    assert pellets[Column.CONDUCTIVITY_TOTAL_S_CM].tolist() == [3e-4, 4e-4]
    assert pellets[Column.CONDUCTIVITY_BOUND].tolist() == [None, "upper"]


def test_a_doubt_with_its_reason_is_no_problem() -> None:
    assert rules(GOOD, DOUBTED) == []


def test_a_doubt_needs_a_reason() -> None:
    found = rules({**DOUBTED, "suspect_reason": ""})
    assert found == [("suspect_reason", "doubt_without_reason", "error")]


@pytest.mark.parametrize("name", ["conductivity_total", "sintering_temperature_c", "all"])
def test_only_results_can_be_doubted(tmp_path: Path, name: str) -> None:
    row = {**DOUBTED, "doubtful_columns": f"phase_pure;{name}"}
    assert rules(row) == [("doubtful_columns", "unknown_result", "error")]
    with pytest.raises(DatasetError, match=rf"line 2: doubtful_columns: '{name}' .* allowed: columns of results"):
        load_pellets(file(tmp_path, row))


def test_a_doubted_value_may_be_impossible_and_is_compared_with_nothing() -> None:
    impossible = {**DOUBTED, "relative_density_pct": "150", "doubtful_columns": "relative_density_pct"}
    assert rules(impossible) == [("relative_density_pct", "density_above_100", "warning")]
    same = {**GOOD, "pellet_id": "p9", "relative_density_pct": "", "conductivity_bulk_s_cm": ""}
    assert rules(GOOD, same) == [("pellet_id", "duplicate_measurement", "error")]
    told = {**same, "doubtful_columns": "conductivity_total_s_cm", "suspect_reason": "odd"}
    assert rules(GOOD, told) == []
