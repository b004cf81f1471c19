"""A million rows, one of them bad: the row is named within seconds, and nothing fills the memory."""

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
from tests.fuzz.oracle import check_command, command, refused
from tests.fuzz.tally import LONGEST_S, TALLY, Verdict, in_time

pytestmark = pytest.mark.slow
ROWS, BAD = 1_000_000, 654_321
CHANNEL = "a million rows"


@pytest.fixture(scope="module")
def recipes() -> pd.DataFrame:
    """Give recipes as somebody screens them: some hundred compositions, every condition a little different."""
    random = np.random.default_rng(0)
    x = np.char.mod("LATP x=%.3f", random.integers(50, 550, ROWS) / 1000)
    return pd.DataFrame(
        {
            "formula": x,
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
    """Give them as the lines of a CSV file, which takes long to write."""
    return recipes.to_csv(index=False).encode().splitlines()


@pytest.fixture
def bad_file(lines: list[bytes], tmp_path: Path) -> Path:
    """Give the file of the recipes with one bad cell."""
    text, _, rest = lines[BAD + 1].partition(b",")
    bad = b",".join([text, b"80000", rest.partition(b",")[2]])
    path = tmp_path / "million.csv"
    path.write_bytes(b"\n".join([*lines[: BAD + 1], bad, *lines[BAD + 2 :]]))
    return path


@pytest.fixture
def bad(recipes: pd.DataFrame) -> pd.DataFrame:
    """Give the same with one bad cell."""
    frame = recipes.copy()
    frame.loc[BAD, "sintering_temperature_c"] = "80000"
    return frame


def hold(call: Any) -> RecipeBatch | None:
    def tried() -> Any:
        try:
            return call()
        except NasiconError as error:
            return error

    found = in_time(CHANNEL, tried)
    if isinstance(found, NasiconError):
        refused(CHANNEL, found)
        return None
    TALLY.add(CHANNEL, Verdict.PARTLY)
    return found


def check(batch: RecipeBatch | None, line: int | None) -> None:
    assert batch is not None
    assert [(finding.row, finding.column, finding.line) for finding in batch.findings] == [
        (BAD, "sintering_temperature_c", line)
    ]
    assert len(batch.table) == ROWS - 1


def test_one_bad_row_of_a_csv(bad_file: Path) -> None:
    check(hold(lambda: read_batch(read_table(bad_file))), BAD + 2)


def test_one_bad_row_of_a_parquet(bad: pd.DataFrame, tmp_path: Path) -> None:
    bad["sintering_temperature_c"] = bad["sintering_temperature_c"].astype(float)
    bad.to_parquet(tmp_path / "million.parquet")
    check(hold(lambda: read_batch(read_table(tmp_path / "million.parquet"))), None)


def test_one_bad_row_of_a_table_in_memory(bad: pd.DataFrame) -> None:
    check(hold(lambda: read_batch(bad)), None)


@pytest.mark.parametrize("cell", ["a,b,c,d,e,f,g,h", '"open', "é\0", "a\r"], ids=["long", "quote", "NUL", "CR"])
def test_one_row_that_is_no_row(lines: list[bytes], cell: str, tmp_path: Path) -> None:
    """The file is refused, and the line named; or the row is."""
    (tmp_path / "million.csv").write_bytes(b"\n".join([*lines[:BAD], cell.encode(), *lines[BAD + 1 :]]))
    found = hold(lambda: read_batch(read_table(tmp_path / "million.csv")))
    assert found is None or len(found.bad_rows) == 1


def test_a_column_that_is_bad_throughout(recipes: pd.DataFrame) -> None:
    """Nobody reads a million complaints: one says it, with the limit."""
    texts = recipes.assign(atmosphere=[f"argn{row}" for row in range(ROWS)])
    cells = recipes.assign(sintering_temperature_c="1e4")
    formulas = recipes.assign(formula=[f"LiFe{row}PO4" for row in range(ROWS)])
    empty = recipes.assign(formula="")
    for frame in (texts, cells, formulas, empty):
        assert hold(lambda frame=frame: read_batch(frame)) is None
    with pytest.raises(NasiconError, match=f"More than {MAX_BAD_CELLS} cells of this column"):
        read_batch(cells)


def test_the_command_names_the_row_before_it_predicts(bad_file: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """Predicting so many takes long; who has to mend the row need not wait for it."""

    def stop(*_: Any, **__: Any) -> None:
        raise NasiconError(f"the work begins, and there are {LONGEST_S:g} s for what comes before")

    monkeypatch.setattr("nasicon_ml.workflows.predict.predict", stop)
    output = tmp_path / "out.csv"
    outcome = command(CHANNEL, ["predict", bad_file.name, "--output", str(output)], tmp_path)
    assert check_command(outcome, output) is Verdict.REFUSED
    lines = outcome.err.splitlines()
    assert f"1 bad row left out, {ROWS - 1} to be predicted" in lines
    complaint = f"million.csv, line {BAD + 2}: sintering_temperature_c: '80000' is not accepted"
    assert len([line for line in lines if line.startswith(complaint)]) == 1
    assert lines[-1].startswith("error: the work begins")
    TALLY.add(CHANNEL, Verdict.PARTLY)
