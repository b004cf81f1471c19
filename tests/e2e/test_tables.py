"""The example tables of own pellets, read by the installed command and from Python."""

from __future__ import annotations

import warnings
from pathlib import Path

import pandas as pd
import pytest

from nasicon_ml.columns import Column
from nasicon_ml.data.own_pellets import own_pellets
from nasicon_ml.errors import TableNote
from tests.contracts.source import ROOT
from tests.e2e.conftest import Command

WORKBOOK, CSV = (ROOT / "examples" / f"my_pellets.{extension}" for extension in ("xlsx", "csv"))


def read_with_notes(path: Path) -> tuple[pd.DataFrame, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TableNote)
        return own_pellets(path), [str(note.message).removeprefix(f"{path}: ") for note in caught]


def test_example_workbook_and_csv_contain_the_same_pellets() -> None:
    table, notes = read_with_notes(WORKBOOK)
    pd.testing.assert_frame_equal(table, read_with_notes(CSV)[0])
    assert WORKBOOK.stat().st_size < 10_000
    assert table[Column.PELLET_ID].tolist() == ["MK1", "MK2", "MK3", "MK4", "MK5"]
    assert table[Column.SINTERING_TEMPERATURE_C].tolist() == [850, 900, 950, 900, 950]
    assert table[Column.SINTERING_TIME_H].tolist() == [6, 6, 6, 10, 10]
    conductivities = table[Column.CONDUCTIVITY_TOTAL_S_CM].fillna(0).tolist()
    assert conductivities == pytest.approx([2.1e-4, 3.4e-4, 2.9e-4, 3.8e-4, 0])
    assert table[Column.DENSITY_BOUND].tolist() == [None, None, None, "lower", None]
    assert table[Column.PHASE_PURE].tolist() == [True, True, False, None, False]
    assert "column 'σ_total / mS cm-1' read as conductivity_total_s_cm, divided by 1000" in notes  # noqa: RUF001


def test_command_reads_example_workbook_as_own_pellets(command: Command, tmp_path: Path) -> None:
    outcome = command("predict", str(CSV), "--own", str(WORKBOOK), "--json")
    assert outcome.returncode == 0, outcome.stderr
    assert '"used": 5' in outcome.stdout
    assert "column 'T_sinter (K)' read as sintering_temperature_c, minus 273" in outcome.stderr
    assert "sheet 'Pellets' is read, the first of 2" in outcome.stderr
    refused = command("predict", str(CSV), "--own", str(WORKBOOK), "--own-sheet", "Impedance")
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
