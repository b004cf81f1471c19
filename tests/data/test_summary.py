"""Summary of a table of pellets: counts by system, field, choice and source."""

from pathlib import Path

import pandas as pd
import pytest

from nasicon_ml.columns import Column
from nasicon_ml.data.load import load_pellets
from nasicon_ml.data.summary import NO_SYSTEM, Summary, summarise
from tests.data.examples import GOOD, OTHER, SECOND, file_of


@pytest.fixture
def summary(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    file = tmp_path_factory.mktemp("summary") / "pellets.csv"
    marked = {"suspect": "true", "suspect_reason": "conductivity: odd, really"}
    rows = (
        GOOD,
        SECOND,
        OTHER,
        {**SECOND, **marked, "pellet_id": "p4", "formula": ""},
        {**OTHER, "pellet_id": "p5", "formula": "Na3Zr2Si2PO12", "source": "a2020"},
        {**OTHER, "pellet_id": "p6", "suspect": "true", "suspect_reason": "duplicate of p3"},
    )
    file.write_text(file_of(*rows), encoding="utf-8")
    return summarise(load_pellets(file, include_suspect=True))


def rows_by(frame: pd.DataFrame, key: str) -> dict[str, dict[str, object]]:
    return {str(row.pop(key)): row for row in frame.to_dict("records")}


def test_totals_count_results_of_usable_pellets(summary: Summary) -> None:
    assert summary.totals.to_dict("records") == [
        {
            "rows": "all",
            "pellets": 6,
            "usable": 4,
            "sources": 3,
            "conductivity_total_s_cm": 2,
            "relative_density_pct": 2,
            "phase_pure": 4,
        }
    ]


def test_pellets_are_counted_by_alkali_and_system(summary: Summary) -> None:
    assert {name: row["pellets"] for name, row in rows_by(summary.alkalis, "alkali").items()} == {
        "lithium": 4,
        "sodium": 1,
        NO_SYSTEM: 1,
    }
    systems = rows_by(summary.systems, "system")
    assert systems["LATP"]["usable"] == 2
    assert systems["LTP"] == {
        "pellets": 2, "usable": 1, "sources": 1,
        "conductivity_total_s_cm": 0, "relative_density_pct": 0, "phase_pure": 1,
    }  # fmt: skip
    assert systems["NZSP"]["pellets"] == 1
    assert summary.systems["pellets"].is_monotonic_decreasing


def test_fields_have_counts_shares_and_ranges(summary: Summary) -> None:
    fields = rows_by(summary.fields, "field")
    assert fields["sintering_temperature_c"] == {
        "unit": "°C", "given": 2, "share_pct": 50.0, "smallest": 900.0, "middle": 950.0, "largest": 1000.0,
    }  # fmt: skip
    assert fields["formula"]["given"] == 4
    assert pd.isna(fields["formula"]["smallest"])
    assert "notes" not in fields


def test_choices_sources_and_reasons_are_counted(summary: Summary) -> None:
    choices = {(row["field"], row["choice"]): row["pellets"] for row in summary.choices.to_dict("records")}
    assert choices["atmosphere", "air"] == 2
    assert choices["phase_pure", "true"] == 2
    assert choices["phase_pure", "false"] == 2
    assert summary.sources.iloc[0].to_dict() == {"source": "raj2023", "pellets": 3, "usable": 2}
    assert summary.reasons.set_index("reason")["pellets"].to_dict() == {
        "conductivity": 1,
        "duplicate of another row": 1,
    }


def test_doubtful_result_is_not_counted_but_its_reason_is(tmp_path: Path) -> None:
    file = tmp_path / "pellets.csv"
    doubtful = {"doubtful_columns": "conductivity_total_s_cm", "suspect_reason": "conductivity: in a figure only"}
    file.write_text(file_of(GOOD, {**SECOND, **doubtful}), encoding="utf-8")
    summary = summarise(load_pellets(file, include_suspect=True))
    totals = summary.totals.iloc[0]
    assert (totals["usable"], totals["conductivity_total_s_cm"], totals["relative_density_pct"]) == (2, 1, 2)
    assert rows_by(summary.fields, "field")["conductivity_total_s_cm"]["given"] == 1
    assert summary.reasons.to_dict("records") == [{"reason": "conductivity", "pellets": 0, "doubted": 1}]


def test_summary_of_empty_table_is_empty() -> None:
    empty = load_pellets(include_suspect=True).iloc[:0]
    summary = summarise(empty)
    assert summary.totals.empty
    assert (summary.fields["given"] == 0).all()
    assert Column.SYSTEM in summary.systems.columns
