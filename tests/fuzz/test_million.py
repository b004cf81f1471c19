"""A million rows with one invalid cell: the row is named within seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nasicon_ml.checks import MAX_BAD_CELLS
from nasicon_ml.errors import NasiconError
from nasicon_ml.io import read_table
from nasicon_ml.recipe import RecipeBatch, read_batch
from tests.fuzz.oracle import check_outcome, count_refusal, run_command
from tests.fuzz.tally import MAX_SECONDS, TALLY, Verdict, in_time

pytestmark = pytest.mark.slow
ROWS, BAD_ROW = 1_000_000, 654_321
CHANNEL = "a million rows"


@pytest.fixture(scope="module")
def recipes() -> pd.DataFrame:
    """Return recipes as in a screening: some hundred compositions, each with slightly different conditions."""
    random = np.random.default_rng(0)
    formulas = np.char.mod("LATP x=%.3f", random.integers(50, 550, ROWS) / 1000)
    return pd.DataFrame(
        {
            "formula": formulas,
            "sintering_temperature_c": random.integers(600, 1200, ROWS).astype(str),
            "sintering_time_h": np.char.mod("%.2f", random.random(ROWS) * 24),
            "particle_size_um": np.char.mod("%.4f", random.random(ROWS) + 0.01),
            "atmosphere": random.choice(["air", "Ar", "argon", ""], ROWS),
            "densification": "conventional",
        },
        dtype="object",
    )


@pytest.fixture(scope="module")
def lines(recipes: pd.DataFrame) -> list[bytes]:
    """Return the lines of the recipes as a CSV file, which takes long to write."""
    return recipes.to_csv(index=False).encode().splitlines()


@pytest.fixture
def csv_with_bad_cell(lines: list[bytes], tmp_path: Path) -> Path:
    """Return a CSV file of the recipes with one invalid temperature."""
    text, _, rest = lines[BAD_ROW + 1].partition(b",")
    bad_line = b",".join([text, b"80000", rest.partition(b",")[2]])
    path = tmp_path / "million.csv"
    path.write_bytes(b"\n".join([*lines[: BAD_ROW + 1], bad_line, *lines[BAD_ROW + 2 :]]))
    return path


@pytest.fixture
def frame_with_bad_cell(recipes: pd.DataFrame) -> pd.DataFrame:
    """Return the recipes with one invalid temperature."""
    frame = recipes.copy()
    frame.loc[BAD_ROW, "sintering_temperature_c"] = "80000"
    return frame


def read_in_time(call: Any) -> RecipeBatch | None:
    """Return the batch, or None if the whole table was refused."""

    def call_or_error() -> Any:
        try:
            return call()
        except NasiconError as error:
            return error

    result = in_time(CHANNEL, call_or_error)
    if isinstance(result, NasiconError):
        count_refusal(CHANNEL, result)
        return None
    TALLY.add(CHANNEL, Verdict.PARTLY)
    return result


def check_single_finding(batch: RecipeBatch | None, line: int | None) -> None:
    assert batch is not None
    assert [(finding.row, finding.column, finding.line) for finding in batch.findings] == [
        (BAD_ROW, "sintering_temperature_c", line)
    ]
    assert len(batch.table) == ROWS - 1


def test_bad_row_of_million_row_csv_is_reported_with_line(csv_with_bad_cell: Path) -> None:
    check_single_finding(read_in_time(lambda: read_batch(read_table(csv_with_bad_cell))), BAD_ROW + 2)


def test_bad_row_of_million_row_parquet_is_reported(frame_with_bad_cell: pd.DataFrame, tmp_path: Path) -> None:
    frame_with_bad_cell["sintering_temperature_c"] = frame_with_bad_cell["sintering_temperature_c"].astype(float)
    frame_with_bad_cell.to_parquet(tmp_path / "million.parquet")
    check_single_finding(read_in_time(lambda: read_batch(read_table(tmp_path / "million.parquet"))), None)


def test_bad_row_of_million_row_frame_is_reported(frame_with_bad_cell: pd.DataFrame) -> None:
    check_single_finding(read_in_time(lambda: read_batch(frame_with_bad_cell)), None)


@pytest.mark.parametrize("cell", ["a,b,c,d,e,f,g,h", '"open', "é\0", "a\r"], ids=["long", "quote", "NUL", "CR"])
def test_malformed_line_of_million_row_csv_is_refused_or_only_bad_row(
    lines: list[bytes], cell: str, tmp_path: Path
) -> None:
    (tmp_path / "million.csv").write_bytes(b"\n".join([*lines[:BAD_ROW], cell.encode(), *lines[BAD_ROW + 1 :]]))
    result = read_in_time(lambda: read_batch(read_table(tmp_path / "million.csv")))
    assert result is None or len(result.bad_rows) == 1


def test_column_of_invalid_values_raises_one_error_with_limit(recipes: pd.DataFrame) -> None:
    """One error says that there are too many bad cells, instead of a million findings."""
    texts = recipes.assign(atmosphere=[f"argn{row}" for row in range(ROWS)])
    cells = recipes.assign(sintering_temperature_c="1e4")
    formulas = recipes.assign(formula=[f"LiFe{row}PO4" for row in range(ROWS)])
    empty = recipes.assign(formula="")
    for frame in (texts, cells, formulas, empty):
        assert read_in_time(lambda frame=frame: read_batch(frame)) is None
    with pytest.raises(NasiconError, match=f"More than {MAX_BAD_CELLS} cells of this column"):
        read_batch(cells)


def test_predict_names_bad_row_before_predicting(
    csv_with_bad_cell: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    """Predicting a million rows takes long; the invalid row has to be reported before."""

    def stop(*_: Any, **__: Any) -> None:
        raise NasiconError(f"predicting starts, with {MAX_SECONDS:g} s for what comes before")

    monkeypatch.setattr("nasicon_ml.workflows.predict.predict", stop)
    output = tmp_path / "out.csv"
    outcome = run_command(CHANNEL, ["predict", csv_with_bad_cell.name, "--output", str(output)], tmp_path)
    assert check_outcome(outcome, output) is Verdict.REFUSED
    lines = outcome.err.splitlines()
    assert f"1 bad row left out, {ROWS - 1} to be predicted" in lines
    expected = f"million.csv, line {BAD_ROW + 2}: sintering_temperature_c: '80000' is not accepted"
    assert len([line for line in lines if line.startswith(expected)]) == 1
    assert lines[-1].startswith("error: predicting starts")
    TALLY.add(CHANNEL, Verdict.PARTLY)
