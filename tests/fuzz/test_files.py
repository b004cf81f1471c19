"""Malformed files of recipes and pellets, for every command and function that reads one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.columns import MODEL_INPUT, Column, Kind
from nasicon_ml.data.own_pellets import own_pellets
from nasicon_ml.errors import NasiconError
from nasicon_ml.io import read_table
from nasicon_ml.recipe import read_batch
from tests.fuzz.conftest import fuzz
from tests.fuzz.files import ODD_CELLS, Sample, any_file, csv_with_odd_cells, write
from tests.fuzz.oracle import check_json_predictions, check_outcome, count_refusal, run_command
from tests.fuzz.tally import TALLY, Verdict, in_time
from tests.fuzz.texts import HOSTILE


class TrainingStartedError(NasiconError):
    """All input of the training was accepted."""


@pytest.fixture(scope="module", autouse=True)
def _stop_before_training() -> Any:
    """Stop each training after its input was read: the rest takes half a minute and reads nothing more."""

    def stop(*_: Any) -> None:
        raise TrainingStartedError("the training starts")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nasicon_ml.workflows.train._check_fold_count", stop)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@fuzz(350)
@given(sample=any_file, extension=st.sampled_from(["csv", "json", "parquet"]))
def test_predict_answers_or_refuses_any_file(sample: Sample, extension: str, folder: Path) -> None:
    path, output = write(sample, folder), folder / f"answers.{extension}"
    output.unlink(missing_ok=True)
    outcome = run_command("CLI predict FILE", ["predict", str(path), "--json", "--output", str(output)], folder)
    verdict = check_outcome(outcome, output)
    TALLY.add("CLI predict FILE", verdict)
    if verdict is Verdict.REFUSED:
        assert path.name in outcome.err, outcome
        return
    content = check_json_predictions(outcome.out, sample.recipes)
    assert bool(content["rejected"]) == (verdict is Verdict.PARTLY)
    if extension != "json":
        written = read_table(output).frame
        assert len(written) == len(content["predictions"])
        reread = read_batch(written)  # what was written can be read again, with the same recipes
        assert not reread.findings
        assert reread.table["formula"].tolist() == [
            answer["recipe"]["formula"] for answer in content["predictions"]
        ]
    if extension == "csv":
        cells = pd.read_csv(output, dtype=str, na_filter=False)  # as a spreadsheet reads it
        assert not any(
            str(cell).lstrip()[:1] in set("=+-@") and not _is_number(cell) for cell in cells.to_numpy().ravel()
        )


SPREADSHEET_FORMULAS = [
    text for text in [*HOSTILE, *ODD_CELLS] if text.lstrip()[:1] in set("=+-@") and len(text) > 2
]


@pytest.mark.parametrize("column", ["pellet_id", "additive"])
@pytest.mark.parametrize("text", SPREADSHEET_FORMULAS, ids=range(len(SPREADSHEET_FORMULAS)))
def test_predictions_csv_escapes_spreadsheet_formulas(column: str, text: str, folder: Path) -> None:
    """Cells that are copied from the input are written so that a spreadsheet takes them for text."""
    (folder / "r.json").write_text(json.dumps([{"formula": "LTP", column: text}]), encoding="utf-8")
    output = folder / "runs.csv"
    output.unlink(missing_ok=True)
    verdict = check_outcome(
        run_command("CLI predict FILE", ["predict", "r.json", "--output", "runs.csv"], folder), output
    )
    TALLY.add("CLI predict FILE", verdict)
    assert verdict is Verdict.ANSWERED
    cell = pd.read_csv(output, dtype=str, na_filter=False)[column].iloc[0]
    assert cell[0] not in set("=+-@\t\r ") or _is_number(cell)
    assert read_table(output).frame[column].iloc[0] == " ".join(text.split())


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


@fuzz(60)
@given(sample=any_file)
def test_predict_answers_or_refuses_any_standard_input(sample: Sample, folder: Path) -> None:
    outcome = run_command("CLI predict -", ["predict", "-", "--json", "--neighbours", "0"], folder, sample.data)
    verdict = check_outcome(outcome)
    TALLY.add("CLI predict -", verdict)
    if verdict is not Verdict.REFUSED:
        check_json_predictions(outcome.out)


@fuzz(60)
@given(sample=any_file)
def test_predict_text_output_has_no_escape_sequences_or_lone_surrogates(sample: Sample, folder: Path) -> None:
    outcome = run_command(
        "CLI predict FILE", ["predict", str(write(sample, folder)), "--details", "--neighbours", "1"], folder
    )
    TALLY.add("CLI predict FILE", check_outcome(outcome))
    assert "\x1b" not in outcome.out
    assert not any("\ud800" <= char <= "\udfff" for char in outcome.out)


@fuzz(100)
@given(sample=any_file, as_json=st.booleans())
def test_data_validate_reports_or_refuses_any_file(sample: Sample, as_json: bool, folder: Path) -> None:
    outcome = run_command(
        "CLI data validate",
        ["data", "validate", str(write(sample, folder)), *(["--json"] if as_json else [])],
        folder,
    )
    verdict = check_outcome(outcome)
    TALLY.add("CLI data validate", verdict)
    if verdict is not Verdict.REFUSED and as_json:
        report = json.loads(outcome.out)
        assert bool(report["errors"]) == (verdict is Verdict.PARTLY)
        assert report["errors"] + report["warnings"] == len(report["findings"])
    elif verdict is not Verdict.REFUSED:
        assert "\x1b" not in outcome.out


@st.composite
def file_of_pellets(draw: st.DrawFn) -> Sample:
    """Draw a file of recipes; if it is a well-formed CSV, each gets a measured conductivity."""
    sample = draw(any_file)
    if sample.extension == "csv" and sample.recipes is not None:
        lines = sample.data.split(b"\n")
        if len(lines) == sample.recipes + 2:
            cells = [b"conductivity_total_s_cm", *[b"1e-4"] * sample.recipes]
            data = b"\n".join(line + b"," + cell for line, cell in zip(lines, cells, strict=False)) + b"\n"
            return Sample("csv", data, sample.recipes, sample.damage)
    return sample


@fuzz(150)
@given(sample=file_of_pellets())
def test_predict_with_own_pellets_uses_or_refuses_any_file(sample: Sample, folder: Path) -> None:
    own = str(write(sample, folder))
    outcome = run_command("CLI --own FILE", ["predict", "--formula", "LATP x=0.3", "--json", "--own", own], folder)
    verdict = check_outcome(outcome)
    TALLY.add("CLI --own FILE", verdict)
    if verdict is Verdict.REFUSED:
        assert Path(own).name in outcome.err
    else:
        assert check_json_predictions(outcome.out, 1)["predictions"][0]["own_pellets"]["used"] >= 1


@fuzz(40)
@given(sample=file_of_pellets())
def test_train_accepts_or_refuses_any_dataset_file(sample: Sample, folder: Path) -> None:
    dataset = str(write(sample, folder))
    outcome = run_command("CLI train FILE", ["train", "--no-track", "--dataset", dataset], folder)
    assert check_outcome(outcome) is Verdict.REFUSED
    TALLY.add("CLI train FILE", Verdict.ANSWERED if "the training starts" in outcome.err else Verdict.REFUSED)


@fuzz(30)
@given(sample=file_of_pellets())
def test_train_with_added_pellets_accepts_or_refuses_any_file(sample: Sample, folder: Path) -> None:
    outcome = run_command("CLI train FILE", ["train", "--no-track", "--add", str(write(sample, folder))], folder)
    assert check_outcome(outcome) is Verdict.REFUSED
    TALLY.add("CLI train FILE", Verdict.ANSWERED if "the training starts" in outcome.err else Verdict.REFUSED)


@fuzz(250)
@given(sample=any_file)
def test_read_table_and_read_batch_accept_or_refuse_any_file(sample: Sample, folder: Path) -> None:
    path = write(sample, folder)
    check_batch("Python read_table", lambda: read_batch(read_table(path)), sample.recipes)


@pytest.mark.filterwarnings("ignore::nasicon_ml.errors.TableNote")  # notes on how a table was read are not errors
@fuzz(60)
@given(sample=file_of_pellets())
def test_own_pellets_function_reads_or_refuses_any_file(sample: Sample, folder: Path) -> None:
    path = write(sample, folder)

    def read() -> Any:
        try:
            return own_pellets(path)
        except NasiconError as error:
            return error

    result = in_time("Python own_pellets", read)
    if isinstance(result, NasiconError):
        count_refusal("Python own_pellets", result)
        return
    assert result[Column.FORMULA].notna().all()
    TALLY.add("Python own_pellets", Verdict.ANSWERED)


@fuzz(100)
@given(
    sample=csv_with_odd_cells(),
    file_format=st.sampled_from(["csv", "json", "yaml", "parquet", "xlsx", "", "\x1b"]),
)
def test_read_table_with_other_file_format_reads_or_refuses_file(
    sample: Sample, file_format: str, folder: Path
) -> None:
    path = write(sample, folder)
    check_batch("Python read_table", lambda: read_batch(read_table(path, file_format=file_format)), None)


def check_batch(channel: str, read: Any, recipes: int | None) -> None:
    """Check that each row is valid or not, and valid ones are within bounds; or that the whole file is refused."""

    def read_or_error() -> Any:
        try:
            return read()
        except NasiconError as error:
            return error

    result = in_time(channel, read_or_error)
    if isinstance(result, NasiconError):
        count_refusal(channel, result)
        return
    valid, invalid = set(result.rows.tolist()), set(result.bad_rows.tolist())
    assert not valid & invalid
    if recipes is not None:
        assert valid | invalid == set(range(recipes))
    for column in MODEL_INPUT:
        if column.kind is Kind.NUMBER:
            values = result.table[column].dropna()
            assert values.between(column.minimum, column.maximum).all()
    TALLY.add(
        channel, Verdict.REFUSED if not valid and invalid else Verdict.PARTLY if invalid else Verdict.ANSWERED
    )
